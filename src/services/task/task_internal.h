/* task_internal: what the files of this service share. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "fetch/fetch.h"
#include "services/task/task.h"

#include "task.pb-c.h"

#define DELIVERIES_AT_ONCE 8 /* each of another webhook: the bus has a lane for each */
#define PUSHES_AT_ONCE 2
#define CATALOGUE_AT_ONCE 2
#define SLOW_MS 3000 /* whoever takes longer counts as failing, though it took what it was told */

struct task_service {
    Task__Task_Service rpc; /* handlers get the service back by CONTAINER_OF */
    struct task_deps deps;
    struct guard_range *allowed;
    pthread_rwlock_t gate; /* held while a request is handed over, never while it is waited for */
    struct fetch *fetch;   /* NULL: stopped */
    struct fetch *push_fetch; /* to the operator's own server, wherever it is */
    char *push_url, *push_secret;
    struct task_over *over;
    atomic_int doubtful; /* deliveries under way to those that failed last time */
    atomic_int push_failures;
    _Atomic int64_t push_retry_at_ms; /* monotonic */
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
struct task_went {
    char problem[256]; /* also of what was taken, but slowly; "" for none */
    bool is_gone;      /* the server says that nobody is there any more */
};
/* One signed POST. ERR_OK: 2xx. */
enum err task_post(struct task_service *svc, const struct task_post *post, struct task_went *went);

/* ---- task_catalogue.c ---- */
void task_catalogue_start(struct task_service *svc);

/* ---- task_over.c: meetings and streams that are over ---- */
struct task_over *task_over_create(struct bus *bus);
/* Hears no more. Accepts NULL. */
void task_over_stop(struct task_over *over);
void task_over_destroy(struct task_over **over);
bool task_over_has(struct task_over *over, const char *id);

/* ---- task_pace.c ---- */
/* A place for a delivery to one that failed last time; false: none is free just now. */
bool task_enter_doubtful(struct task_service *svc);
void task_leave_doubtful(struct task_service *svc);
/* 0: the push server may be asked. */
int64_t task_push_wait_ms(struct task_service *svc);
void task_push_went(struct task_service *svc, bool is_good);

/* ---- task_rpc.c ---- */
extern const Task__Task_Service task_rpc_table;
