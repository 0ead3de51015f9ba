/*
 * task_rpc: what administrators see of the queues, and what they may do with tasks that gave up.
 */
#include "core/id.h"
#include "services/common/who.h"
#include "services/task/task_internal.h"

#define LIST_NORMAL 50
#define LIST_MAX 500

static struct task_service *service_of(Task__Task_Service *rpc)
{
    return CONTAINER_OF(rpc, struct task_service, rpc);
}

/* ---- looking ---- */

static Task__QueueList *list_queues(struct task_service *svc, struct rpc_call *call)
{
    struct bus_queue *list;
    size_t count;
    enum err err = bus_list_queues(svc->deps.bus, call->arena, &list, &count);
    if (err)
        return who_fail(call, err);
    Task__QueueList *out = arena_new(call->arena, Task__QueueList);
    task__queue_list__init(out);
    out->queues = arena_array(call->arena, Task__Queue *, count);
    for (size_t i = 0; i < count; i++) {
        Task__Queue *q = arena_new(call->arena, Task__Queue);
        task__queue__init(q);
        q->name = (char *)list[i].name;
        q->ready = list[i].stats.ready;
        q->waiting = list[i].stats.waiting;
        q->running = list[i].stats.running;
        q->dead = list[i].stats.dead;
        out->queues[out->n_queues++] = q;
    }
    return out;
}

static void on_list_queues(Task__Task_Service *rpc, const Task__ListQueuesRequest *in UNUSED,
                           Task__QueueList_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_ADMIN);
    closure(is_allowed ? list_queues(service_of(rpc), data) : NULL, data);
}

static Task__DeadTaskList *list_dead(struct task_service *svc, struct rpc_call *call,
                                     const Task__ListDeadTasksRequest *in)
{
    struct bus_dead_task *list;
    size_t count, limit = in->limit > 0 ? (size_t)MIN(in->limit, LIST_MAX) : LIST_NORMAL;
    int64_t above = 0;
    if (in->cursor[0] && (!str_to_i64(str_from(in->cursor), &above) || above < 0)) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "cursor: not one of this list");
        return NULL;
    }
    enum err err =
        bus_list_dead(svc->deps.bus, call->arena, in->queue, above, limit + 1, &list, &count);
    if (err)
        return who_fail(call, err);
    Task__DeadTaskList *out = arena_new(call->arena, Task__DeadTaskList);
    task__dead_task_list__init(out);
    out->tasks = arena_array(call->arena, Task__DeadTask *, count);
    for (size_t i = 0; i < MIN(count, limit); i++) {
        Task__DeadTask *t = arena_new(call->arena, Task__DeadTask);
        task__dead_task__init(t);
        t->id = list[i].id;
        t->queue = (char *)list[i].queue;
        t->type = (char *)list[i].type;
        t->attempts = list[i].attempts;
        t->error = (char *)list[i].error;
        t->created_at_ms = list[i].created_at_ms;
        out->tasks[out->n_tasks++] = t;
    }
    if (count > limit)
        out->next_cursor = arena_printf(call->arena, "%lld", (long long)list[limit - 1].id);
    return out;
}

static void on_list_dead_tasks(Task__Task_Service *rpc, const Task__ListDeadTasksRequest *in,
                               Task__DeadTaskList_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_ADMIN);
    closure(is_allowed ? list_dead(service_of(rpc), data, in) : NULL, data);
}

/* ---- doing ---- */

typedef enum err one_fn(struct bus *bus, int64_t id);
typedef enum err all_fn(struct bus *bus, const char *queue, int64_t *count);

static Task__DeadTasksReply *act(struct task_service *svc, struct rpc_call *call,
                                 const Task__DeadTasksRequest *in, one_fn *one, all_fn *all)
{
    int64_t count = 1;
    if (!in->queue[0] == !in->id) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "expected queue or id");
        return NULL;
    }
    enum err err = in->id ? one(svc->deps.bus, in->id) : all(svc->deps.bus, in->queue, &count);
    if (err)
        return who_fail(call, err);
    log_info(&call->log, "%s: %lld dead tasks %s", who_id(call), (long long)count,
             one == bus_drop_one ? "dropped" : "revived");
    Task__DeadTasksReply *out = arena_new(call->arena, Task__DeadTasksReply);
    task__dead_tasks_reply__init(out);
    out->count = count;
    return out;
}

static void on_revive_dead_tasks(Task__Task_Service *rpc, const Task__DeadTasksRequest *in,
                                 Task__DeadTasksReply_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_ADMIN);
    closure(is_allowed ? act(service_of(rpc), data, in, bus_revive_one, bus_revive_dead) : NULL,
            data);
}

static void on_drop_dead_tasks(Task__Task_Service *rpc, const Task__DeadTasksRequest *in,
                               Task__DeadTasksReply_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_ADMIN);
    closure(is_allowed ? act(service_of(rpc), data, in, bus_drop_one, bus_drop_dead) : NULL, data);
}

const Task__Task_Service task_rpc_table = TASK__TASK__INIT(on_);
