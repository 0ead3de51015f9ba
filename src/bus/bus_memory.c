/*
 * bus_memory: events within this process. A few delivery threads, each with a bounded queue; an
 * event's key chooses the thread, which is what keeps the order of one key. Without a key, the
 * channel does.
 *
 * Handlers run outside every lock. A subscription that is being run is pinned: unsubscribe waits
 * for the runs to end, unless it is called from the run itself.
 */
#include <stdlib.h>
#include <string.h>

#include "bus/bus_internal.h"
#include "core/clock.h"
#include "core/list.h"
#include "core/log.h"
#include "core/map.h"
#include "core/mem.h"
#include "core/metric.h"

static struct metric metric_events =
    METRIC_COUNTER("parlance_bus_events_total", "Events taken for delivery.", "channel");
static struct metric metric_dropped = METRIC_COUNTER(
    "parlance_bus_dropped_total", "Events dropped, the queue being full.", "channel");
static struct metric metric_handle = METRIC_HISTOGRAM(
    "parlance_bus_handle_seconds", "One handler's work on one event.", "subscriber");
static struct metric metric_queue =
    METRIC_GAUGE("parlance_bus_queue_events", "Events waiting for a delivery thread.");

struct subscription {
    struct list node;
    int id;
    char *channel;
    struct metric_cell *handle_seconds;
    bus_event_fn *fn;
    void *arg;
    unsigned runs;   /* handlers running now */
    bool is_removed; /* leaves the list when the runs end */
};

struct delivery {
    struct list node;
    struct bus_event event;
    bus_ack_fn *ack; /* NULL: at most once */
    void *ack_arg;
    int64_t token;
    char bytes[]; /* what event points to */
};

struct lane {
    struct bus_impl *impl;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct list queue; /* guarded by lock, as the next two */
    unsigned queued;
    bool is_stopping;
};

struct bus_impl {
    unsigned queue_max;
    pthread_mutex_t lock; /* of the subscriptions */
    pthread_cond_t run_ended;
    struct list subscriptions;
    int last_id;
    unsigned lane_count;
    struct lane lanes[];
};

/* The subscription whose handler this thread is running. */
static _Thread_local struct subscription *current_run;

/* ---- subscriptions ---- */

static int memory_subscribe(struct bus_impl *b, const char *channel, const char *name,
                            bus_event_fn *fn, void *arg)
{
    struct subscription *s = mem_new(struct subscription);
    s->channel = mem_strdup(channel);
    s->fn = fn;
    s->arg = arg;
    s->handle_seconds = metric_cell(&metric_handle, name, NULL, NULL);
    pthread_mutex_lock(&b->lock);
    int id = s->id = ++b->last_id;
    list_add_tail(&b->subscriptions, &s->node);
    pthread_mutex_unlock(&b->lock);
    return id;
}

/* Lock held; nobody runs it. */
static void subscription_free(struct subscription *s)
{
    list_remove(&s->node);
    free(s->channel);
    free(s);
}

static struct subscription *find_subscription(struct bus_impl *b, int id)
{
    LIST_FOREACH(&b->subscriptions, node)
    {
        struct subscription *s = LIST_ENTRY(node, struct subscription, node);
        if (s->id == id)
            return s;
    }
    return NULL;
}

static void memory_unsubscribe(struct bus_impl *b, int id)
{
    pthread_mutex_lock(&b->lock);
    struct subscription *s = find_subscription(b, id);
    if (s)
        s->is_removed = true;
    /* Looked up anew each time: the run that ends last may have freed it. */
    while ((s = find_subscription(b, id)) && s->runs > (s == current_run))
        pthread_cond_wait(&b->run_ended, &b->lock);
    if (s && s->runs == 0)
        subscription_free(s);
    pthread_mutex_unlock(&b->lock);
}

/* ---- delivery ---- */

/* Lock held on entry and exit. */
static void run_handler(struct bus_impl *b, struct subscription *s, const struct bus_event *event)
{
    s->runs++;
    pthread_mutex_unlock(&b->lock);
    int64_t start_us = clock_mono_us();
    current_run = s;
    s->fn(s->arg, event);
    current_run = NULL;
    metric_cell_observe(s->handle_seconds, (double)(clock_mono_us() - start_us) / 1e6);
    pthread_mutex_lock(&b->lock);
    s->runs--;
    if (s->is_removed)
        pthread_cond_broadcast(&b->run_ended);
}

static void handle(struct bus_impl *b, const struct bus_event *event)
{
    pthread_mutex_lock(&b->lock);
    for (struct list *node = b->subscriptions.next; node != &b->subscriptions;) {
        struct subscription *s = LIST_ENTRY(node, struct subscription, node);
        if (!s->is_removed && strcmp(s->channel, event->channel) == 0)
            run_handler(b, s, event); /* pinned by its run: node is still in the list */
        node = node->next;
        if (s->is_removed && s->runs == 0)
            subscription_free(s);
    }
    pthread_mutex_unlock(&b->lock);
}

static void *lane_main(void *arg)
{
    struct lane *lane = arg;
    pthread_mutex_lock(&lane->lock);
    while (!lane->is_stopping) {
        if (list_is_empty(&lane->queue)) {
            pthread_cond_wait(&lane->wake, &lane->lock);
            continue;
        }
        struct delivery *d = LIST_ENTRY(lane->queue.next, struct delivery, node);
        list_remove(&d->node);
        lane->queued--;
        pthread_mutex_unlock(&lane->lock);
        handle(lane->impl, &d->event);
        if (d->ack)
            d->ack(d->ack_arg, d->token);
        free(d);
        pthread_mutex_lock(&lane->lock);
    }
    pthread_mutex_unlock(&lane->lock);
    return NULL;
}

/* ---- publishing ---- */

static char *put(char **at, const void *bytes, size_t n)
{
    char *start = *at;
    if (n)
        memcpy(start, bytes, n);
    *at += n;
    return start;
}

static char *put_text(char **at, const char *text)
{
    return put(at, text ? text : "", text ? strlen(text) + 1 : 1);
}

static struct delivery *copy_event(const struct bus_event *e)
{
    size_t n = e->payload.n + strlen(e->channel) + strlen(e->type) + 5 /* NULs */;
    n += (e->key ? strlen(e->key) : 0) + (e->id ? strlen(e->id) : 0);
    struct delivery *d = mem_alloc(sizeof(*d) + n);
    memset(d, 0, sizeof(*d));
    char *at = d->bytes;
    d->event.channel = put_text(&at, e->channel);
    d->event.type = put_text(&at, e->type);
    d->event.key = put_text(&at, e->key);
    d->event.id = put_text(&at, e->id);
    d->event.payload = (struct str){put(&at, e->payload.p, e->payload.n), e->payload.n};
    *at = '\0'; /* text may be read as such */
    return d;
}

static struct lane *lane_of(struct bus_impl *b, const struct bus_event *e)
{
    const char *key = e->key && *e->key ? e->key : e->channel;
    return &b->lanes[map_hash(key, strlen(key)) % b->lane_count];
}

static bool lane_add(struct lane *lane, struct delivery *d)
{
    pthread_mutex_lock(&lane->lock);
    bool is_taken = lane->queued < lane->impl->queue_max;
    if (is_taken) {
        list_add_tail(&lane->queue, &d->node);
        if (lane->queued++ == 0)
            pthread_cond_signal(&lane->wake);
    }
    pthread_mutex_unlock(&lane->lock);
    return is_taken;
}

static void memory_publish(struct bus_impl *b, const struct bus_event *event)
{
    struct delivery *d = copy_event(event);
    bool is_taken = lane_add(lane_of(b, event), d);
    metric_cell_add(
        metric_cell(is_taken ? &metric_events : &metric_dropped, event->channel, NULL, NULL), 1);
    if (!is_taken)
        free(d);
}

static enum err memory_deliver(struct bus_impl *b, const struct bus_event *event, bus_ack_fn *ack,
                               void *arg, int64_t token)
{
    struct delivery *d = copy_event(event);
    d->ack = ack;
    d->ack_arg = arg;
    d->token = token;
    if (!lane_add(lane_of(b, event), d)) {
        free(d);
        return ERR_UNAVAILABLE;
    }
    metric_cell_add(metric_cell(&metric_events, event->channel, NULL, NULL), 1);
    return ERR_OK;
}

/* ---- opening and closing ---- */

static double read_queue(void *arg)
{
    struct bus_impl *b = arg;
    unsigned queued = 0;
    for (unsigned i = 0; i < b->lane_count; i++) {
        pthread_mutex_lock(&b->lanes[i].lock);
        queued += b->lanes[i].queued;
        pthread_mutex_unlock(&b->lanes[i].lock);
    }
    return queued;
}

static enum err memory_open(const struct bus_options *opt, struct bus_impl **out)
{
    struct bus_impl *b = mem_zalloc(sizeof(*b) + opt->thread_count * sizeof(struct lane));
    b->queue_max = opt->queue_max;
    b->lane_count = opt->thread_count;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->run_ended, NULL);
    list_init(&b->subscriptions);
    for (unsigned i = 0; i < b->lane_count; i++) {
        struct lane *lane = &b->lanes[i];
        lane->impl = b;
        list_init(&lane->queue);
        pthread_mutex_init(&lane->lock, NULL);
        pthread_cond_init(&lane->wake, NULL);
        bus_thread_start(&lane->thread, "bus", lane_main, lane);
    }
    metric_register_read(&metric_queue, read_queue, b);
    *out = b;
    return ERR_OK;
}

static void lane_stop(struct lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    lane->is_stopping = true;
    pthread_cond_signal(&lane->wake);
    pthread_mutex_unlock(&lane->lock);
    pthread_join(lane->thread, NULL);
}

static void memory_stop(struct bus_impl *b)
{
    for (unsigned i = 0; i < b->lane_count; i++)
        lane_stop(&b->lanes[i]);
}

static void memory_close(struct bus_impl **bp)
{
    struct bus_impl *b = *bp;
    *bp = NULL;
    metric_unregister_read(&metric_queue, b);
    for (unsigned i = 0; i < b->lane_count; i++) {
        LIST_FOREACH(&b->lanes[i].queue, node)
        free(LIST_ENTRY(node, struct delivery, node));
        pthread_cond_destroy(&b->lanes[i].wake);
        pthread_mutex_destroy(&b->lanes[i].lock);
    }
    LIST_FOREACH(&b->subscriptions, node)
    subscription_free(LIST_ENTRY(node, struct subscription, node));
    pthread_cond_destroy(&b->run_ended);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

const struct bus_driver bus_memory = {
    .name = "memory",
    .open = memory_open,
    .stop = memory_stop,
    .close = memory_close,
    .subscribe = memory_subscribe,
    .unsubscribe = memory_unsubscribe,
    .publish = memory_publish,
    .deliver = memory_deliver,
};
