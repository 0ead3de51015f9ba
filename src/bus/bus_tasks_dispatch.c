/* bus_tasks_dispatch: claims ready tasks for idle workers, and waits for the next: for news, for
 * the clock, and where others use the store, too, by looking. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus_tasks_internal.h"
#include "core/clock.h"
#include "core/clock_trust.h"
#include "core/log.h"
#include "core/mem.h"

#define POLL_MS 500             /* of a store that others use, too: they may have left a task */
#define WAIT_MAX_MS 5000        /* wall clocks jump: look again */
#define FAILED_WAIT_MS 1000     /* the store refused a claim */
#define FORGET_EVERY_MS 3600000 /* old keys */

/* ---- claiming ---- */

struct claiming {
    struct bus_tasks *tasks;
    struct queue queues[QUEUES_MAX]; /* a copy: the job runs on another thread */
    unsigned queue_count;
    unsigned idle; /* workers without a task */
    bool must_release;
    bool must_forget;
    struct bus_claim *claims;
    int64_t next_due_ms;
    bool is_listed; /* among the living */
};

/* Where tasks travel, what waits for its departure is not ours to run. */
static enum bus_task_place place_of(const struct bus_tasks *t)
{
    return t->bus->carry ? BUS_TASK_HERE : BUS_TASK_SENDER;
}

static enum err claim_queue(struct store_tx *tx, struct claiming *c, const struct queue *q,
                            int64_t until_ms)
{
    unsigned count = 0, most = MIN(c->idle, q->most);
    if (!most)
        return ERR_OK;
    struct bus_claiming how = {.queue = q->name,
                               .owner = bus_owner_name(c->tasks->bus->owner),
                               .lease_until_ms = until_ms,
                               .count = most,
                               .place = place_of(c->tasks)};
    enum err err = bus_task_claim(tx, &how, &c->claims, &count);
    c->idle -= count;
    for (struct bus_claim *claim = c->claims; count--; claim = claim->next) {
        claim->tasks = c->tasks;
        claim->fn = q->fn;
        claim->arg = q->arg;
    }
    return err;
}

static enum err claim_run(struct store_tx *tx, void *arg)
{
    struct claiming *c = arg;
    int64_t now_ms = clock_wall_ms();
    enum err err = c->must_release ? bus_task_release_all(tx) : ERR_OK;
    if (!err)
        err = bus_task_wake_due(tx, now_ms);
    if (!err && c->must_forget && clock_is_trusted())
        err = bus_task_forget(tx, now_ms);
    if (!err && c->must_forget && clock_is_trusted())
        err = bus_task_bring_near(tx, now_ms);
    if (!err)
        err = bus_owner_is_listed(tx, c->tasks->bus->owner, &c->is_listed);
    for (unsigned i = 0; !err && c->is_listed && c->idle && i < c->queue_count; i++) {
        unsigned turn = (c->tasks->first_queue + i) % c->queue_count;
        err = claim_queue(tx, c, &c->queues[turn], now_ms + c->tasks->bus->opt.lease_ms);
    }
    return err ? err : bus_task_next_due(tx, &c->next_due_ms);
}

/* What each queue may take beyond what runs of it. */
static void bound_queues(struct claiming *c, const struct bus_claim *running)
{
    for (; running; running = running->next_running) {
        for (unsigned i = 0; i < c->queue_count; i++) {
            struct queue *q = &c->queues[i];
            if (q->most != UINT_MAX && q->most && strcmp(q->name, running->task.queue) == 0)
                q->most--;
        }
    }
}

/* Claims and hands out; returns when to look again, in wall milliseconds. */
static int64_t dispatch(struct bus_tasks *t)
{
    struct claiming *c = mem_new(struct claiming);
    int64_t now_ms = clock_wall_ms(), next_ms = now_ms + FAILED_WAIT_MS;
    c->tasks = t;
    c->must_release = t->must_release;
    c->must_forget = clock_mono_ms() >= t->next_forget_ms;
    if (c->must_forget) /* here, since every process has this thread, whatever runs in it */
        clock_trust_keep();
    pthread_mutex_lock(&t->lock);
    c->queue_count = t->queue_count;
    memcpy(c->queues, t->queues, sizeof(c->queues));
    bound_queues(c, t->running);
    c->idle = t->bus->opt.task_threads - t->busy;
    pthread_mutex_unlock(&t->lock);

    enum err err = store_write_sync(t->bus->opt.store, 0, claim_run, c);
    if (!err) {
        next_ms = c->is_listed ? c->next_due_ms : next_ms;
        t->first_queue++;
        t->must_release = false;
        if (c->must_forget)
            t->next_forget_ms = clock_mono_ms() + FORGET_EVERY_MS;
    }
    while (c->claims) {
        struct bus_claim *claim = c->claims;
        c->claims = claim->next;
        if (err)
            free(claim); /* rolled back */
        else
            bus_tasks_run(t, claim);
    }
    free(c);
    return next_ms;
}

/* ---- waiting ---- */

enum waking { WAKING_STOP, WAKING_NEWS, WAKING_TIME };

/* Waits for news, or until next_ms. */
static enum waking dispatcher_sleep(struct bus_tasks *t, int64_t next_ms, int64_t most_ms)
{
    int64_t wait_ms = CLAMP(next_ms - clock_wall_ms(), 1, most_ms);
    pthread_mutex_lock(&t->lock);
    if (t->running)
        wait_ms = MIN(wait_ms, MAX(1, t->bus->opt.lease_ms / 3));
    if (!t->is_woken && !t->is_stopping)
        thread_wait(&t->changed, &t->lock, wait_ms);
    enum waking waking = t->is_stopping ? WAKING_STOP : t->is_woken ? WAKING_NEWS : WAKING_TIME;
    t->is_woken = false;
    pthread_mutex_unlock(&t->lock);
    return waking;
}

static enum err peek_run(struct store_tx *tx, void *arg)
{
    struct claiming *c = arg;
    bool is_ready = false;
    enum err err = ERR_OK;
    for (unsigned i = 0; !err && !is_ready && i < c->queue_count; i++) {
        struct bus_claiming how = {.queue = c->queues[i].name, .place = place_of(c->tasks)};
        err = bus_task_is_ready(tx, &how, &is_ready);
    }
    c->idle = is_ready;
    return err;
}

/* Whether others left something for us; a read costs nobody a lock. */
static bool has_ready(struct bus_tasks *t)
{
    struct claiming *c = mem_new(struct claiming);
    c->tasks = t;
    pthread_mutex_lock(&t->lock);
    c->queue_count = t->queue_count;
    memcpy(c->queues, t->queues, sizeof(c->queues));
    bool is_idle = t->busy < t->bus->opt.task_threads;
    pthread_mutex_unlock(&t->lock);
    bool has = is_idle && store_read(t->bus->opt.store, peek_run, c) == ERR_OK && c->idle;
    free(c);
    return has;
}

/* False when the dispatcher must end. */
static bool dispatcher_wait(struct bus_tasks *t, int64_t next_ms)
{
    int64_t until_ms = clock_wall_ms() + WAIT_MAX_MS;
    if (!bus_owner_is_shared(t->bus->owner))
        return dispatcher_sleep(t, next_ms, WAIT_MAX_MS) != WAKING_STOP;
    for (;;) {
        enum waking waking = dispatcher_sleep(t, next_ms, POLL_MS);
        int64_t now_ms = clock_wall_ms();
        if (waking != WAKING_TIME)
            return waking == WAKING_NEWS;
        bus_tasks_renew(t);
        if (now_ms >= next_ms || now_ms >= until_ms || has_ready(t))
            return true;
    }
}

void *bus_tasks_dispatch(void *arg)
{
    struct bus_tasks *t = arg;
    int64_t next_ms;
    t->must_release = !bus_owner_is_shared(t->bus->owner);
    do {
        bus_tasks_renew(t);
        next_ms = dispatch(t);
    } while (dispatcher_wait(t, next_ms));
    bus_tasks_renew_to_the_end(t);
    return NULL;
}
