/* bus_tasks_internal: what the dispatcher, the workers and those who put tasks in share. */
#pragma once

#include <pthread.h>

#include "bus/bus_internal.h"
#include "core/worker.h"

#define QUEUES_MAX 64
#define OUTLETS_MAX 128

/* A queue that tasks are put into here: who works on it elsewhere is told. */
struct outlet {
    struct bus_tasks *tasks;
    char *queue;
};

struct queue {
    char *name;
    bus_task_fn *fn;
    void *arg;
    unsigned most; /* at a time */
};

struct bus_tasks {
    struct bus *bus;
    pthread_t thread;
    bool is_started;
    struct worker_pool *workers;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* guarded by lock: */
    struct queue queues[QUEUES_MAX];
    unsigned queue_count;
    struct outlet outlets[OUTLETS_MAX];
    unsigned outlet_count;
    bool is_stopping;
    bool is_woken;             /* a task was committed or finished */
    unsigned busy;             /* claims whose result is not stored yet */
    struct bus_claim *running; /* claims whose handler runs */
    /* the dispatcher's: */
    unsigned first_queue; /* takes turns */
    int nudge_subscription;
    bool must_release; /* leases are of this process's earlier life */
    int64_t next_renew_ms, next_forget_ms;
};

/* bus_tasks_dispatch.c: the dispatcher's thread, until t->is_stopping. */
void *bus_tasks_dispatch(void *t);
/* bus_tasks_run.c: hands a claim of ours to a worker, and frees it when its result is stored. */
void bus_tasks_run(struct bus_tasks *t, struct bus_claim *c);
/* bus_tasks_lease.c: as often as leases need it. */
void bus_tasks_renew(struct bus_tasks *t);
/* Stopping: until the last handler has ended. */
void bus_tasks_renew_to_the_end(struct bus_tasks *t);
