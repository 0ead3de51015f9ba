/*
 * bus_local: events on their way to this process's handlers, whoever brought them. A few delivery
 * threads (lanes), each with a bounded queue; an event's key chooses the lane, which is what keeps
 * the order of one key. Without a key, the channel does.
 *
 * Handlers run outside every lock. A subscription that is being run is pinned: unsubscribe waits
 * for the runs to end, unless it is called from the run itself.
 */
#include <stdlib.h>
#include <string.h>

#include "bus/bus_internal.h"
#include "bus/bus_trace.h"
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
    char *group; /* NULL: plain */
    char *name;
    struct metric_cell *handle_seconds;
    bus_event_fn *fn;
    void *arg;
    unsigned runs;   /* handlers running now */
    bool is_removed; /* leaves the list when the runs end */
};

struct delivery {
    struct list node;
    struct bus_event event;
    struct bus_handing how;
    char bytes[]; /* what event and how.group point to */
};

struct lane {
    struct bus_local *local;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, room;
    struct list queue; /* guarded by lock, as the next three */
    unsigned queued;
    unsigned patient; /* threads that wait for room */
    bool is_stopping;
};

struct bus_local {
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

int bus_local_subscribe(struct bus_local *b, const struct bus_listener *l)
{
    struct subscription *s = mem_new(struct subscription);
    s->channel = mem_strdup(l->channel);
    s->name = mem_strdup(l->name);
    s->group = l->group ? mem_strdup(l->group) : NULL;
    s->fn = l->fn;
    s->arg = l->arg;
    s->handle_seconds = metric_cell(&metric_handle, l->name, NULL, NULL);
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
    free(s->name);
    free(s->group);
    free(s);
}

static struct subscription *find_subscription(struct bus_local *b, int id)
{
    LIST_FOREACH(&b->subscriptions, node)
    {
        struct subscription *s = LIST_ENTRY(node, struct subscription, node);
        if (s->id == id)
            return s;
    }
    return NULL;
}

void bus_local_unsubscribe(struct bus_local *b, int id)
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

static bool is_of_group(const struct subscription *s, const char *group)
{
    return s->group && group ? strcmp(s->group, group) == 0 : !s->group && !group;
}

bool bus_local_has(struct bus_local *b, const char *channel, const char *group)
{
    bool has = false;
    pthread_mutex_lock(&b->lock);
    LIST_FOREACH(&b->subscriptions, node)
    {
        const struct subscription *s = LIST_ENTRY(node, struct subscription, node);
        has |= !s->is_removed && strcmp(s->channel, channel) == 0 && is_of_group(s, group);
    }
    pthread_mutex_unlock(&b->lock);
    return has;
}

/* ---- delivery ---- */

/* Lock held on entry and exit. */
static void run_handler(struct bus_local *b, struct subscription *s, const struct bus_event *event)
{
    s->runs++;
    pthread_mutex_unlock(&b->lock);
    int64_t start_us = clock_mono_us();
    current_run = s;
    struct bus_span span;
    bus_span_handle(&span, event, s->name);
    s->fn(s->arg, event);
    bus_span_handled(&span, ERR_OK);
    current_run = NULL;
    metric_cell_observe(s->handle_seconds, (double)(clock_mono_us() - start_us) / 1e6);
    pthread_mutex_lock(&b->lock);
    s->runs--;
    if (s->is_removed)
        pthread_cond_broadcast(&b->run_ended);
}

static bool is_for(const struct subscription *s, const struct delivery *d)
{
    return !s->is_removed && strcmp(s->channel, d->event.channel) == 0 &&
           (d->how.audience == BUS_TO_ALL ||
            is_of_group(s, d->how.audience == BUS_TO_GROUP ? d->how.group : NULL));
}

/* How many heard it. */
static unsigned handle(struct bus_local *b, const struct delivery *d)
{
    unsigned heard = 0;
    pthread_mutex_lock(&b->lock);
    for (struct list *node = b->subscriptions.next; node != &b->subscriptions;) {
        struct subscription *s = LIST_ENTRY(node, struct subscription, node);
        if (is_for(s, d)) {
            run_handler(b, s, &d->event); /* pinned by its run: node is still in the list */
            heard++;
        }
        node = node->next;
        if (s->is_removed && s->runs == 0)
            subscription_free(s);
    }
    pthread_mutex_unlock(&b->lock);
    return heard;
}

/* What nobody of its group heard does not count as handled: another process will hear it. */
static void finish(struct bus_local *b, struct delivery *d)
{
    unsigned heard = handle(b, d);
    if (d->how.ack && (heard || d->how.audience != BUS_TO_GROUP))
        d->how.ack(d->how.arg, d->how.token);
    free(d);
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
        if (lane->patient)
            pthread_cond_signal(&lane->room);
        pthread_mutex_unlock(&lane->lock);
        finish(lane->local, d);
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

static size_t text_size(const char *text)
{
    return (text ? strlen(text) : 0) + 1;
}

static struct delivery *copy_event(const struct bus_event *e, const struct bus_handing *how)
{
    size_t n = e->payload.n + 1 + text_size(e->channel) + text_size(e->type) + text_size(e->key) +
               text_size(e->id) + text_size(e->source) + text_size(e->traceparent) +
               text_size(how->group);
    struct delivery *d = mem_alloc(sizeof(*d) + n);
    memset(d, 0, sizeof(*d));
    d->how = *how;
    char *at = d->bytes;
    d->event.channel = put_text(&at, e->channel);
    d->event.type = put_text(&at, e->type);
    d->event.key = put_text(&at, e->key);
    d->event.id = put_text(&at, e->id);
    d->event.source = put_text(&at, e->source);
    d->event.traceparent = put_text(&at, e->traceparent);
    d->event.at_ms = e->at_ms;
    d->how.group = put_text(&at, how->group);
    d->event.payload = (struct str){put(&at, e->payload.p, e->payload.n), e->payload.n};
    *at = '\0'; /* text may be read as such */
    return d;
}

static struct lane *lane_of(struct bus_local *b, const struct bus_event *e)
{
    const char *key = e->key && *e->key ? e->key : e->channel;
    return &b->lanes[map_hash(key, strlen(key)) % b->lane_count];
}

static bool lane_add(struct lane *lane, struct delivery *d)
{
    pthread_mutex_lock(&lane->lock);
    lane->patient++;
    while (d->how.is_patient && !lane->is_stopping && lane->queued >= lane->local->queue_max)
        pthread_cond_wait(&lane->room, &lane->lock);
    lane->patient--;
    bool is_taken =
        lane->queued < lane->local->queue_max && !(d->how.is_patient && lane->is_stopping);
    if (is_taken) {
        list_add_tail(&lane->queue, &d->node);
        if (lane->queued++ == 0)
            pthread_cond_signal(&lane->wake);
    }
    pthread_mutex_unlock(&lane->lock);
    return is_taken;
}

bool bus_local_give(struct bus_local *b, const struct bus_event *event,
                    const struct bus_handing *how)
{
    struct delivery *d = copy_event(event, how);
    bool is_taken = lane_add(lane_of(b, event), d);
    if (!is_taken)
        free(d);
    if (is_taken || !how->ack) /* else it comes again */
        metric_cell_add(metric_cell(is_taken ? &metric_events : &metric_dropped,
                                    bus_channel_label(event->channel), NULL, NULL),
                        1);
    return is_taken;
}

/* ---- opening and closing ---- */

static double read_queue(void *arg)
{
    struct bus_local *b = arg;
    unsigned queued = 0;
    for (unsigned i = 0; i < b->lane_count; i++) {
        pthread_mutex_lock(&b->lanes[i].lock);
        queued += b->lanes[i].queued;
        pthread_mutex_unlock(&b->lanes[i].lock);
    }
    return queued;
}

struct bus_local *bus_local_create(const struct bus_options *opt)
{
    struct bus_local *b = mem_zalloc(sizeof(*b) + opt->thread_count * sizeof(struct lane));
    b->queue_max = opt->queue_max;
    b->lane_count = opt->thread_count;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->run_ended, NULL);
    list_init(&b->subscriptions);
    for (unsigned i = 0; i < b->lane_count; i++) {
        struct lane *lane = &b->lanes[i];
        lane->local = b;
        list_init(&lane->queue);
        pthread_mutex_init(&lane->lock, NULL);
        pthread_cond_init(&lane->wake, NULL);
        pthread_cond_init(&lane->room, NULL);
        thread_must_start(&lane->thread, "bus", lane_main, lane);
    }
    metric_register_read(&metric_queue, read_queue, b);
    return b;
}

static void lane_stop(struct lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    lane->is_stopping = true;
    pthread_cond_signal(&lane->wake);
    pthread_cond_broadcast(&lane->room);
    pthread_mutex_unlock(&lane->lock);
    pthread_join(lane->thread, NULL);
}

void bus_local_stop(struct bus_local *b)
{
    for (unsigned i = 0; i < b->lane_count; i++)
        lane_stop(&b->lanes[i]);
}

void bus_local_destroy(struct bus_local **bp)
{
    struct bus_local *b = *bp;
    *bp = NULL;
    metric_unregister_read(&metric_queue, b);
    for (unsigned i = 0; i < b->lane_count; i++) {
        LIST_FOREACH(&b->lanes[i].queue, node)
        free(LIST_ENTRY(node, struct delivery, node));
        pthread_cond_destroy(&b->lanes[i].wake);
        pthread_cond_destroy(&b->lanes[i].room);
        pthread_mutex_destroy(&b->lanes[i].lock);
    }
    LIST_FOREACH(&b->subscriptions, node)
    subscription_free(LIST_ENTRY(node, struct subscription, node));
    pthread_cond_destroy(&b->run_ended);
    pthread_mutex_destroy(&b->lock);
    free(b);
}
