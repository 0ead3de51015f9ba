/* bus_tasks_run: a claimed task, its handler on a worker, and its result in the store. */
#include <stdlib.h>

#include "bus/bus_tasks_internal.h"
#include "bus/bus_trace.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "core/metric.h"

static struct metric metric_finished =
    METRIC_COUNTER("parlance_tasks_finished_total", "Attempts that ended.", "queue", "result");
static struct metric metric_run =
    METRIC_HISTOGRAM("parlance_task_seconds", "One attempt at a task.", "queue");

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
    if (t->is_stopping) /* bus_tasks_renew_to_the_end waits for the last */
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

void bus_tasks_run(struct bus_tasks *t, struct bus_claim *c)
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
