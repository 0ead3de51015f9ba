/* bus_forward: see bus_forward.h. A bus without a broker over the other database; its only
 * listeners and workers write into the first. */
#include "bus/bus_forward.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "bus/bus_internal.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metric.h"

#define AGAIN_MS 200 /* while the first database takes nothing */
#define TASK_AGAIN_MS 1000

static struct metric metric_forwarded = METRIC_COUNTER(
    "parlance_bus_forwarded_total", "Events and tasks taken over from other databases.", "what");

struct bus_forward {
    struct bus_forward_options opt;
    struct bus *bus;
    _Atomic bool is_stopping;
};

/* ---- events ---- */

static enum err take_event(struct bus_forward *f, const struct bus_event *event)
{
    struct bus_event own = *event;
    own.id = NULL;
    own.source = NULL;
    return bus_publish_sync(f->opt.to, &own);
}

/* An event counts as delivered when this returns, so it returns when the event is where it goes;
 * but for the end, after which nothing counts any more (bus_stop_events). */
static void on_event(void *arg, const struct bus_event *event)
{
    struct bus_forward *f = arg;
    enum err err = take_event(f, event);
    for (unsigned tries = 0; err && !f->is_stopping; tries++) {
        if (tries == 0)
            log_warn(NULL, "bus: an event of another database waits: %s", err_text(err));
        usleep(AGAIN_MS * 1000);
        err = take_event(f, event);
    }
    if (!err)
        metric_cell_add(metric_cell(&metric_forwarded, "event", NULL, NULL), 1);
}

/* ---- tasks ---- */

struct taking_over {
    struct bus *to;
    struct bus_task task;
};

static enum err enqueue_job(struct store_tx *tx, void *arg)
{
    const struct taking_over *t = arg;
    return bus_enqueue_tx(t->to, tx, &t->task);
}

/* Never a failed attempt: the task has not been tried yet. */
static enum err on_task(void *arg, const struct bus_task *task, int attempt UNUSED)
{
    struct bus_forward *f = arg;
    struct taking_over t = {f->opt.to, *task};
    t.task.delay_ms = 0;
    enum err err = store_write_sync(f->opt.to->opt.store, 0, enqueue_job, &t);
    if (err)
        bus_put_off(task, TASK_AGAIN_MS);
    else
        metric_cell_add(metric_cell(&metric_forwarded, "task", NULL, NULL), 1);
    return err;
}

/* ---- life ---- */

enum err bus_forward_open(struct bus_forward **out, const struct bus_forward_options *opt)
{
    struct bus_forward *f = mem_new(struct bus_forward);
    f->opt = *opt;
    /* The broker behind the first keeps the order of a key; that of the processes that write here
     * is kept before. */
    enum err err = bus_open(&f->bus, &(struct bus_options){.store = opt->store,
                                                           .process = opt->process,
                                                           .is_in_order = true,
                                                           .task_threads = 2});
    *out = NULL;
    if (err) {
        free(f);
        return err;
    }
    for (size_t i = 0; opt->channels[i]; i++)
        (void)bus_subscribe(f->bus, opt->channels[i], "forward", on_event, f);
    for (size_t i = 0; opt->queues[i]; i++)
        bus_work(f->bus, opt->queues[i], on_task, f);
    *out = f;
    return ERR_OK;
}

struct bus *bus_forward_bus(struct bus_forward *forward)
{
    return forward->bus;
}

void bus_forward_start(struct bus_forward *f)
{
    bus_start(f->bus);
}

void bus_forward_stop(struct bus_forward *f)
{
    if (!f)
        return;
    bus_stop_tasks(f->bus);
    bus_stop_events(f->bus);
    f->is_stopping = true;
}

void bus_forward_close(struct bus_forward **forward)
{
    struct bus_forward *f = *forward;
    *forward = NULL;
    if (!f)
        return;
    f->is_stopping = true;
    bus_close(&f->bus);
    free(f);
}
