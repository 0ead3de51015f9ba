/* task_routes: this service's rows of the public API. */
#include "services/task/task.h"
#include "task.pb-c.h"

static const struct edge_route routes[] = {
    {
        .method = "GET",
        .path = "/api/v1/tasks/queues",
        .rpc = "ListQueues",
        .who = EDGE_WHO_ADMIN,
        .summary = "Work in the background: what waits, runs and gave up in each queue",
    },
    {
        .method = "GET",
        .path = "/api/v1/tasks/dead",
        .rpc = "ListDeadTasks",
        .who = EDGE_WHO_ADMIN,
        .summary = "Tasks that gave up, the oldest first",
    },
    {
        .method = "POST",
        .path = "/api/v1/tasks/dead/revive",
        .rpc = "ReviveDeadTasks",
        .who = EDGE_WHO_ADMIN,
        .is_idempotent = true,
        .summary = "Give a task that gave up another life, or all of a queue",
    },
    {
        .method = "DELETE",
        .path = "/api/v1/tasks/dead",
        .rpc = "DropDeadTasks",
        .who = EDGE_WHO_ADMIN,
        .is_idempotent = true,
        .summary = "Drop a task that gave up, or all of a queue",
    },
};

const struct edge_route_table task_routes = {
    .tag = "tasks",
    .service = &task__task__descriptor,
    .routes = routes,
    .count = ARRAY_LEN(routes),
};
