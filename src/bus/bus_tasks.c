/*
 * bus_tasks: work to be done once by somebody. A dispatcher's thread (bus_tasks_dispatch.c) claims
 * as many ready tasks as there are idle workers (bus_task_store.c has the rows), the workers run
 * the handlers, and the result is stored (bus_tasks_run.c). While a handler runs its lease is
 * renewed (bus_tasks_lease.c), so leases can be short and a task of a process that died is soon
 * taken up by another. Here: putting tasks in, who works on which, beginning and end.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus_tasks_internal.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"

#define NUDGES "bus.tasks" /* channel: a queue has a new task */

struct bus_tasks *bus_tasks_create(struct bus *bus)
{
    struct bus_tasks *t = mem_new(struct bus_tasks);
    t->bus = bus;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->changed, NULL);
    return t;
}

void bus_tasks_wake(struct bus_tasks *t)
{
    pthread_mutex_lock(&t->lock);
    t->is_woken = true;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

/* ---- putting in ---- */

/* Others are told when there is a link; without one they look now and then. */
static void on_commit(void *arg)
{
    struct outlet *o = arg;
    struct bus *bus = o->tasks->bus;
    bus_tasks_wake(o->tasks);
    bus_carry_wake(bus->carry);
    if (bus->link)
        bus_link_publish(bus->link, &(struct bus_event){.channel = NUDGES,
                                                        .type = "queued",
                                                        .key = o->queue,
                                                        .source = bus->process});
}

/* NULL: too many. */
static struct outlet *outlet_of(struct bus_tasks *t, const char *queue)
{
    struct outlet *o = NULL;
    pthread_mutex_lock(&t->lock);
    for (unsigned i = 0; i < t->outlet_count && !o; i++)
        o = strcmp(t->outlets[i].queue, queue) == 0 ? &t->outlets[i] : NULL;
    if (!o && t->outlet_count < OUTLETS_MAX) {
        o = &t->outlets[t->outlet_count++];
        *o = (struct outlet){t, mem_strdup(queue)};
    }
    pthread_mutex_unlock(&t->lock);
    return o;
}

bool bus_tasks_work_on(struct bus_tasks *t, const char *queue)
{
    bool is_ours = false;
    pthread_mutex_lock(&t->lock);
    for (unsigned i = 0; i < t->queue_count && !is_ours; i++)
        is_ours = strcmp(t->queues[i].name, queue) == 0;
    pthread_mutex_unlock(&t->lock);
    return is_ours;
}

static void on_nudge(void *arg, const struct bus_event *event)
{
    if (bus_tasks_work_on(arg, event->key))
        bus_tasks_wake(arg);
}

enum err bus_enqueue_tx(struct bus *bus, struct store_tx *tx, const struct bus_task *task)
{
    if (!bus->tasks)
        return ERR_FAILED_PRECONDITION;
    /* Who ends a task looks for the next of its lane, in shard 0: neither may miss the other. */
    enum err err = task->lane ? store_follow(tx, 0) : ERR_OK;
    if (!err)
        err = bus_task_insert(tx, task, clock_wall_ms(), BUS_TASK_SENDER);
    struct outlet *outlet = err ? NULL : outlet_of(bus->tasks, task->queue);
    if (outlet)
        store_on_commit(tx, on_commit, outlet);
    return err;
}

void bus_work(struct bus *bus, const char *queue, bus_task_fn *fn, void *arg)
{
    bus_work_bounded(bus, queue, fn, arg, UINT_MAX);
}

void bus_work_bounded(struct bus *bus, const char *queue, bus_task_fn *fn, void *arg, unsigned most)
{
    struct bus_tasks *t = bus->tasks;
    if (!t) {
        log_error(NULL, "bus: queue %s needs a store", queue);
        return;
    }
    pthread_mutex_lock(&t->lock);
    if (t->queue_count < QUEUES_MAX)
        t->queues[t->queue_count++] = (struct queue){mem_strdup(queue), fn, arg, most};
    else
        log_error(NULL, "bus: too many queues, %s has no worker", queue);
    pthread_mutex_unlock(&t->lock);
    bus_carry_want(bus->carry, queue);
    bus_tasks_wake(t);
}

void bus_put_off(const struct bus_task *task, int64_t wait_ms)
{
    struct bus_claim *c = CONTAINER_OF((struct bus_task *)task, struct bus_claim, task);
    c->put_off_ms = MAX(wait_ms, 1);
}

void bus_give_up(const struct bus_task *task)
{
    CONTAINER_OF((struct bus_task *)task, struct bus_claim, task)->is_given_up = true;
}

/* ---- beginning and end ---- */

void bus_tasks_start(struct bus_tasks *t)
{
    struct worker_options opt = {.name = "task",
                                 .thread_count = t->bus->opt.task_threads,
                                 .queue_max = t->bus->opt.task_threads};
    if (worker_pool_create(&t->workers, &opt) != ERR_OK) {
        log_error(NULL, "bus: cannot start the task workers");
        abort();
    }
    t->is_started = true;
    if (t->bus->link)
        t->nudge_subscription = bus_subscribe(t->bus, NUDGES, "tasks", on_nudge, t);
    thread_must_start(&t->thread, "bus-tasks", bus_tasks_dispatch, t);
}

void bus_tasks_stop(struct bus_tasks *t)
{
    pthread_mutex_lock(&t->lock);
    t->is_stopping = true;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
    if (!t->is_started)
        return;
    t->is_started = false;
    if (t->nudge_subscription)
        bus_unsubscribe(t->bus, t->nudge_subscription);
    pthread_join(t->thread, NULL);
    worker_pool_destroy(&t->workers);
}

void bus_tasks_destroy(struct bus_tasks **tp)
{
    struct bus_tasks *t = *tp;
    *tp = NULL;
    pthread_mutex_lock(&t->lock);
    while (t->busy)
        pthread_cond_wait(&t->changed, &t->lock);
    pthread_mutex_unlock(&t->lock);
    for (unsigned i = 0; i < t->queue_count; i++)
        free(t->queues[i].name);
    for (unsigned i = 0; i < t->outlet_count; i++)
        free(t->outlets[i].queue);
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    free(t);
}
