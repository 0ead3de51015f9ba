/* task_internal: what the files of this service share. */
#pragma once

#include <pthread.h>

#include "fetch/fetch.h"
#include "services/task/task.h"

#include "task.pb-c.h"

struct task_service {
    Task__Task_Service rpc; /* handlers get the service back by CONTAINER_OF */
    struct task_deps deps;
    struct guard_range *allowed;
    pthread_rwlock_t gate; /* held while a request is handed over, never while it is waited for */
    struct fetch *fetch;   /* NULL: stopped */
    struct fetch *push_fetch; /* to the operator's own server, wherever it is */
    char *push_url, *push_secret;
};

/* ---- task_deliver.c ---- */
/* Queue "webhooks": "<webhook> <conversation> <rev>". */
enum err task_on_webhook(void *svc, const struct bus_task *task, int attempt);

/* ---- task_push.c ---- */
/* Queue "push": "<conversation> <seq>". */
enum err task_on_push(void *svc, const struct bus_task *task, int attempt);

struct task_post {
    bool is_own; /* to the operator's server, not to one that users named */
    const char *url, *secret, *event, *delivery;
    struct str body;
};
/* One signed POST. ERR_OK: 2xx. Else `problem` (at least 200 bytes) says what was wrong; is_gone:
 * the server says that nobody is there any more. */
enum err task_post(struct task_service *svc, const struct task_post *post, char *problem,
                   size_t size, bool *is_gone);

/* ---- task_rpc.c ---- */
extern const Task__Task_Service task_rpc_table;
