/*
 * bus_tasks: work to be done once by somebody. A dispatcher's thread claims as many ready tasks as
 * there are idle workers (bus_task_store.c has the rows), the workers run the handlers, and the
 * result is stored. While a handler runs its lease is renewed, so leases can be short and a task of
 * a process that died is soon taken up by another.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus_internal.h"
#include "bus/bus_trace.h"
#include "core/clock.h"
#include "core/clock_trust.h"
#include "core/id.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metric.h"
#include "core/worker.h"

#define QUEUES_MAX 64
#define OUTLETS_MAX 128
#define POLL_MS 500             /* of a store that others use, too: they may have left a task */
#define NUDGES "bus.tasks"      /* channel: a queue has a new task */
#define WAIT_MAX_MS 5000        /* wall clocks jump: look again */
#define FAILED_WAIT_MS 1000     /* the store refused a claim */
#define FORGET_EVERY_MS 3600000 /* old keys */

static struct metric metric_finished =
    METRIC_COUNTER("parlance_tasks_finished_total", "Attempts that ended.", "queue", "result");
static struct metric metric_run =
    METRIC_HISTOGRAM("parlance_task_seconds", "One attempt at a task.", "queue");

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

/* Others are told when there is a link; without one they look every POLL_MS. */
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

/* ---- a worker's part ---- */

/* base * 2^(attempt - 1), at most the limit, and of that a random half: those that failed together
 * do not come back together. */
static int64_t backoff_ms(const struct bus_options *opt, int attempt)
{
    int64_t wait_ms = opt->retry_ms;
    for (int i = 1; i < attempt && wait_ms < opt->retry_max_ms; i++)
        wait_ms *= 2;
    wait_ms = MIN(wait_ms, opt->retry_max_ms);
    return wait_ms - (int64_t)((uint64_t)id_random_u32() * ((uint64_t)wait_ms / 2) >> 32);
}

static enum err finish_run(struct store_tx *tx, void *arg)
{
    const struct bus_claim *c = arg;
    const struct bus_options *opt = &c->tasks->bus->opt;
    int64_t now_ms = clock_wall_ms();
    return bus_task_finish(tx, c, now_ms + backoff_ms(opt, c->attempt), now_ms + opt->task_keep_ms);
}

static void finish_done(enum err err, void *arg)
{
    struct bus_claim *c = arg;
    struct bus_tasks *t = c->tasks;
    if (err) /* the lease will run out, and the task run again */
        log_warn(NULL, "bus: the result of a task of %s was not stored: %s", c->task.queue,
                 err_text(err));
    free(c);
    pthread_mutex_lock(&t->lock);
    t->busy--;
    t->is_woken = true;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

static void stop_renewing(struct bus_tasks *t, struct bus_claim *c)
{
    pthread_mutex_lock(&t->lock);
    struct bus_claim **at = &t->running;
    while (*at != c)
        at = &(*at)->next_running;
    *at = c->next_running;
    if (t->is_stopping) /* keep_leases waits for the last */
        pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

static void work(void *arg)
{
    struct bus_claim *c = arg;
    int64_t start_us = clock_mono_us();
    struct bus_span span;
    bus_span_task(&span, &c->task, c->attempt);
    c->result = c->fn(c->arg, &c->task, c->attempt);
    bus_span_handled(&span, c->result);
    stop_renewing(c->tasks, c);
    metric_cell_observe(metric_cell(&metric_run, c->task.queue, NULL, NULL),
                        (double)(clock_mono_us() - start_us) / 1e6);
    metric_cell_add(metric_cell(&metric_finished, c->task.queue,
                                c->put_off_ms ? "put_off" : err_name(c->result), NULL),
                    1);
    if (c->result && !c->put_off_ms)
        log_warn(NULL, "bus: attempt %d of %d at a task of %s failed: %s", c->attempt,
                 c->task.attempts_max, c->task.queue, err_text(c->result));
    store_write_essential(c->tasks->bus->opt.store, 0, finish_run, c, finish_done);
}

/* ---- the dispatcher ---- */

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

static void start_work(struct bus_tasks *t, struct bus_claim *c)
{
    pthread_mutex_lock(&t->lock);
    t->busy++;
    c->next_running = t->running;
    t->running = c;
    pthread_mutex_unlock(&t->lock);
    if (worker_run(t->workers, work, c) == ERR_OK)
        return;
    /* Cannot be while claims are counted; the lease gives the task back. */
    log_error(NULL, "bus: no worker for a claimed task");
    stop_renewing(t, c);
    finish_done(ERR_OK, c);
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
            start_work(t, claim);
    }
    free(c);
    return next_ms;
}

struct renewal {
    int64_t until_ms;
    size_t count;
    struct {
        int64_t id;
        int attempt;
    } leases[];
};

static enum err renew_run(struct store_tx *tx, void *arg)
{
    const struct renewal *r = arg;
    for (size_t i = 0; i < r->count; i++) {
        struct bus_claim claim = {.id = r->leases[i].id, .attempt = r->leases[i].attempt};
        enum err err = bus_task_renew(tx, &claim, r->until_ms);
        if (err)
            return err;
    }
    return ERR_OK;
}

/* By id and attempt, not by pointer: a handler may end meanwhile. */
static void renew(struct bus_tasks *t)
{
    int64_t lease_ms = t->bus->opt.lease_ms, now_ms = clock_mono_ms();
    if (now_ms < t->next_renew_ms)
        return;
    t->next_renew_ms = now_ms + lease_ms / 3;
    pthread_mutex_lock(&t->lock);
    struct renewal *r = mem_zalloc(sizeof(*r) + t->busy * sizeof(r->leases[0]));
    for (const struct bus_claim *c = t->running; c; c = c->next_running, r->count++) {
        r->leases[r->count].id = c->id;
        r->leases[r->count].attempt = c->attempt;
    }
    pthread_mutex_unlock(&t->lock);
    r->until_ms = clock_wall_ms() + lease_ms;
    if (r->count && store_write_essential_sync(t->bus->opt.store, 0, renew_run, r) != ERR_OK)
        log_warn(NULL, "bus: leases of %zu tasks were not renewed", r->count);
    free(r);
}

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
        renew(t);
        if (now_ms >= next_ms || now_ms >= until_ms || has_ready(t))
            return true;
    }
}

/* Stopping: a handler may take longer to end than its lease, and other processes are waiting. */
static void keep_leases(struct bus_tasks *t)
{
    bool is_running = true;
    while (is_running) {
        renew(t);
        pthread_mutex_lock(&t->lock);
        if (t->running)
            thread_wait(&t->changed, &t->lock, MAX(1, t->bus->opt.lease_ms / 3));
        is_running = t->running != NULL;
        pthread_mutex_unlock(&t->lock);
    }
}

static void *dispatcher_main(void *arg)
{
    struct bus_tasks *t = arg;
    int64_t next_ms;
    t->must_release = !bus_owner_is_shared(t->bus->owner);
    do {
        renew(t);
        next_ms = dispatch(t);
    } while (dispatcher_wait(t, next_ms));
    keep_leases(t);
    return NULL;
}

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
    thread_must_start(&t->thread, "bus-tasks", dispatcher_main, t);
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
