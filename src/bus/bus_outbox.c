/*
 * bus_outbox: events that must not be lost. bus_publish_tx writes a row in the caller's
 * transaction; after the commit the relay's thread reads rows in order, hands them to the driver,
 * and deletes them when the driver says that they arrived. What a crash leaves is delivered by the
 * next start.
 *
 * A row in flight stays in a set until its deletion is committed, so reading anew from the
 * beginning (now and then, for ids that were committed out of order by several writers) delivers
 * nothing twice.
 */
#include <stdlib.h>
#include <string.h>

#include "bus/bus_internal.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "core/map.h"
#include "core/mem.h"
#include "core/metric.h"

#define READ_MAX 256       /* rows read at once */
#define IN_FLIGHT_MAX 4096 /* rows handed over and not deleted yet */
#define BUSY_WAIT_MS 5     /* the driver has no room */
#define IDLE_WAIT_MS 1000  /* also how long a failed deletion waits */
#define RESCAN_EVERY_US 1000000
#define SETTLE_US 5000000

static struct metric metric_in_flight =
    METRIC_GAUGE("parlance_bus_outbox_in_flight", "Outbox events handed over, not yet confirmed.");
static struct metric metric_errors =
    METRIC_COUNTER("parlance_bus_outbox_errors_total", "Reads and deletions that failed.", "what");

struct bus_outbox {
    struct bus *bus;
    pthread_t thread;
    bool is_started;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* guarded by lock: */
    bool is_stopping;
    bool is_committed;       /* there may be new rows */
    bool is_woken;           /* anything changed: committed, arrived, deleted */
    bool is_deleting;        /* a deletion is on its way */
    bool is_settled;         /* subscribers go: who arrives now may have met nobody */
    size_t unhandled;        /* handed over, and not arrived */
    struct map64 *in_flight; /* row id -> the outbox itself */
    int64_t *arrived;        /* row ids to delete */
    size_t arrived_count, arrived_capacity;
    /* the relay's: */
    int64_t cursor; /* rows up to here were looked at */
    int64_t rescanned_us;
};

static double read_in_flight(void *arg)
{
    struct bus_outbox *o = arg;
    pthread_mutex_lock(&o->lock);
    size_t count = map64_count(o->in_flight);
    pthread_mutex_unlock(&o->lock);
    return (double)count;
}

struct bus_outbox *bus_outbox_create(struct bus *bus)
{
    struct bus_outbox *o = mem_new(struct bus_outbox);
    o->bus = bus;
    o->in_flight = map64_create();
    pthread_mutex_init(&o->lock, NULL);
    bus_cond_init(&o->changed);
    metric_register_read(&metric_in_flight, read_in_flight, o);
    return o;
}

/* ---- in ---- */

static void on_commit(void *arg)
{
    struct bus_outbox *o = arg;
    pthread_mutex_lock(&o->lock);
    o->is_committed = o->is_woken = true;
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
}

enum err bus_publish_tx(struct bus *bus, struct store_tx *tx, const struct bus_event *event)
{
    if (!bus->outbox)
        return ERR_FAILED_PRECONDITION;
    char id[ID_SIZE];
    id_make(id);
    enum err err = store_run(tx,
                             "INSERT INTO bus_outbox (event_id, channel, type, event_key, payload)"
                             " VALUES (?, ?, ?, ?, ?)",
                             "ssssb", id, event->channel, event->type, event->key ? event->key : "",
                             event->payload.p, event->payload.n);
    if (!err)
        store_on_commit(tx, on_commit, bus->outbox);
    return err;
}

/* ---- out ---- */

struct row {
    int64_t id;
    struct bus_event event;
};

struct page {
    int64_t after;
    int64_t count_max;
    struct arena *arena;
    struct row rows[READ_MAX];
    size_t count;
};

static enum err page_read(struct store_tx *tx, void *arg)
{
    struct page *p = arg;
    struct store_stmt *st =
        store_query(tx,
                    "SELECT id, event_id, channel, type, event_key, payload FROM bus_outbox"
                    " WHERE id > ? ORDER BY id LIMIT ?",
                    "ii", p->after, p->count_max);
    while (p->count < READ_MAX && store_step(st)) {
        struct row *row = &p->rows[p->count++];
        row->id = store_int(st, 0);
        row->event.id = store_text(st, 1, p->arena);
        row->event.channel = store_text(st, 2, p->arena);
        row->event.type = store_text(st, 3, p->arena);
        row->event.key = store_text(st, 4, p->arena);
        row->event.payload.p = store_blob(st, 5, p->arena, &row->event.payload.n);
    }
    return store_finish(st);
}

/* Lock held. */
static void add_arrived(struct bus_outbox *o, int64_t id)
{
    if (o->arrived_count == o->arrived_capacity) {
        o->arrived_capacity = o->arrived_capacity ? o->arrived_capacity * 2 : 64;
        o->arrived = mem_realloc_array(o->arrived, o->arrived_capacity, sizeof(*o->arrived));
    }
    o->arrived[o->arrived_count++] = id;
}

static void on_arrival(void *arg, int64_t id)
{
    struct bus_outbox *o = arg;
    pthread_mutex_lock(&o->lock);
    o->unhandled--;
    if (!o->is_settled)
        add_arrived(o, id);
    o->is_woken = true;
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
}

/* Claims the row for this delivery; false when it is in flight already. */
static bool mark_in_flight(struct bus_outbox *o, int64_t id)
{
    pthread_mutex_lock(&o->lock);
    bool is_new = map64_get(o->in_flight, (uint64_t)id) == NULL;
    if (is_new)
        map64_set(o->in_flight, (uint64_t)id, o);
    o->unhandled += is_new;
    pthread_mutex_unlock(&o->lock);
    return is_new;
}

static void unmark_in_flight(struct bus_outbox *o, int64_t id)
{
    pthread_mutex_lock(&o->lock);
    map64_remove(o->in_flight, (uint64_t)id);
    o->unhandled--;
    pthread_mutex_unlock(&o->lock);
}

/* Hands rows over in order; false when the driver has no room and the rest must wait. */
static bool page_deliver(struct bus_outbox *o, const struct page *p)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct row *row = &p->rows[i];
        if (mark_in_flight(o, row->id)) {
            enum err err =
                o->bus->driver->deliver(o->bus->impl, &row->event, on_arrival, o, row->id);
            if (err) {
                unmark_in_flight(o, row->id);
                return false;
            }
        }
        o->cursor = row->id;
    }
    return true;
}

static size_t room_in_flight(struct bus_outbox *o)
{
    pthread_mutex_lock(&o->lock);
    size_t count = map64_count(o->in_flight);
    pthread_mutex_unlock(&o->lock);
    return count < IN_FLIGHT_MAX ? IN_FLIGHT_MAX - count : 0;
}

enum relay_end {
    RELAY_DONE,   /* nothing new is left */
    RELAY_FULL,   /* too many in flight: an arrival makes room */
    RELAY_BUSY,   /* the driver has no room */
    RELAY_FAILED, /* the store did not answer */
};

/* One page of rows; *is_end when it was the last. */
static enum relay_end relay_page(struct bus_outbox *o, bool *is_end)
{
    size_t room = room_in_flight(o);
    *is_end = true;
    if (room == 0)
        return RELAY_FULL;
    struct page *p = mem_new(struct page);
    p->after = o->cursor;
    p->count_max = (int64_t)MIN(room, READ_MAX);
    p->arena = arena_create();
    enum relay_end end = RELAY_DONE;
    if (store_read(o->bus->opt.store, page_read, p) != ERR_OK) {
        metric_cell_add(metric_cell(&metric_errors, "read", NULL, NULL), 1);
        end = RELAY_FAILED;
    } else if (!page_deliver(o, p)) {
        end = RELAY_BUSY;
    } else {
        *is_end = (int64_t)p->count < p->count_max;
    }
    arena_destroy(&p->arena);
    free(p);
    return end;
}

static enum relay_end relay_all(struct bus_outbox *o)
{
    enum relay_end end;
    bool is_end;
    do
        end = relay_page(o, &is_end);
    while (!is_end);
    return end;
}

/* ---- deletion ---- */

struct deletion {
    struct bus_outbox *outbox;
    size_t count;
    int64_t ids[];
};

static enum err deletion_run(struct store_tx *tx, void *arg)
{
    const struct deletion *d = arg;
    for (size_t i = 0; i < d->count; i++) {
        enum err err = store_run(tx, "DELETE FROM bus_outbox WHERE id = ?", "i", d->ids[i]);
        if (err)
            return err;
    }
    return ERR_OK;
}

static void deletion_done(enum err err, void *arg)
{
    struct deletion *d = arg;
    struct bus_outbox *o = d->outbox;
    if (err)
        metric_cell_add(metric_cell(&metric_errors, "delete", NULL, NULL), 1);
    pthread_mutex_lock(&o->lock);
    for (size_t i = 0; i < d->count; i++) {
        if (err)
            add_arrived(o, d->ids[i]); /* once more, not at once: nobody is woken */
        else
            map64_remove(o->in_flight, (uint64_t)d->ids[i]);
    }
    o->is_deleting = false;
    if (!err)
        o->is_woken = true;
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
    free(d);
}

/* NULL: nothing to delete, or a deletion is on its way. */
static struct deletion *take_arrived(struct bus_outbox *o)
{
    struct deletion *d = NULL;
    pthread_mutex_lock(&o->lock);
    if (o->arrived_count && !o->is_deleting) {
        size_t bytes = o->arrived_count * sizeof(*o->arrived);
        d = mem_alloc(sizeof(*d) + bytes);
        d->outbox = o;
        d->count = o->arrived_count;
        memcpy(d->ids, o->arrived, bytes);
        o->arrived_count = 0;
        o->is_deleting = true;
    }
    pthread_mutex_unlock(&o->lock);
    return d;
}

static void delete_arrived(struct bus_outbox *o)
{
    struct deletion *d = take_arrived(o);
    if (d) /* essential: it frees space */
        store_write_essential(o->bus->opt.store, 0, deletion_run, d, deletion_done);
}

/* ---- the relay ---- */

/* Waits for a change; false when the relay must end. */
static bool relay_wait(struct bus_outbox *o, int64_t wait_ms, bool *is_committed)
{
    pthread_mutex_lock(&o->lock);
    if (!o->is_woken && !o->is_stopping)
        bus_cond_wait(&o->changed, &o->lock, wait_ms);
    *is_committed = o->is_committed;
    o->is_woken = o->is_committed = false;
    bool is_going_on = !o->is_stopping;
    pthread_mutex_unlock(&o->lock);
    return is_going_on;
}

static void *relay_main(void *arg)
{
    struct bus_outbox *o = arg;
    enum relay_end end = RELAY_DONE;
    bool must_read = true;
    do {
        if (clock_mono_us() - o->rescanned_us > RESCAN_EVERY_US) {
            o->rescanned_us = clock_mono_us();
            o->cursor = 0;
            must_read = true;
        }
        if (must_read || end != RELAY_DONE)
            end = relay_all(o);
        delete_arrived(o);
    } while (relay_wait(o, end == RELAY_BUSY ? BUSY_WAIT_MS : IDLE_WAIT_MS, &must_read));
    return NULL;
}

void bus_outbox_start(struct bus_outbox *o)
{
    o->rescanned_us = clock_mono_us();
    o->is_started = true;
    bus_thread_start(&o->thread, "bus-outbox", relay_main, o);
}

void bus_outbox_stop(struct bus_outbox *o)
{
    pthread_mutex_lock(&o->lock);
    o->is_stopping = true;
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
    if (o->is_started)
        pthread_join(o->thread, NULL);
    o->is_started = false;
}

void bus_outbox_settle(struct bus_outbox *o)
{
    bus_outbox_stop(o);
    int64_t until_us = clock_mono_us() + SETTLE_US;
    pthread_mutex_lock(&o->lock);
    while (o->unhandled && clock_mono_us() < until_us)
        bus_cond_wait(&o->changed, &o->lock, 100);
    o->is_settled = true;
    pthread_mutex_unlock(&o->lock);
}

void bus_outbox_destroy(struct bus_outbox **op)
{
    struct bus_outbox *o = *op;
    *op = NULL;
    metric_unregister_read(&metric_in_flight, o);
    /* The deletion on its way, then one more for what arrived since. If that one fails the events
     * come again at the next start, as the contract says. */
    for (int round = 0; round < 2; round++) {
        pthread_mutex_lock(&o->lock);
        while (o->is_deleting)
            pthread_cond_wait(&o->changed, &o->lock);
        pthread_mutex_unlock(&o->lock);
        if (round == 0)
            delete_arrived(o);
    }
    map64_destroy(&o->in_flight);
    pthread_cond_destroy(&o->changed);
    pthread_mutex_destroy(&o->lock);
    free(o->arrived);
    free(o);
}
