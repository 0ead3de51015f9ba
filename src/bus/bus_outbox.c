/*
 * bus_outbox: events that must not be lost. bus_publish_tx writes a row in the caller's
 * transaction; after the commit the relay's thread reads rows in order and hands each over twice:
 * here, to the handlers of this process, and, if there is a broker, there. It is deleted when it
 * was handled here and the broker has it. What a crash leaves comes at the next start.
 *
 * Here and there have a cursor each, so that a broker that is away holds up nobody here. What is
 * known of a row (bus_outbox_rows.c) stays in a map until its deletion is committed, so reading
 * anew from the beginning delivers nothing twice.
 */
#include <stdlib.h>
#include <string.h>

#include "bus/bus_outbox_internal.h"
#include "bus/bus_trace.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/map.h"
#include "core/mem.h"
#include "core/metric.h"

#define IN_FLIGHT_MAX \
    4096 /* rows handed over and not deleted yet, but for those that wait for a link */
#define BUSY_WAIT_MS 5    /* the driver has no room */
#define BEHIND_WAIT_MS 20 /* another process's event goes first */
#define LOOK_BACK 512     /* ids that writers may have in hand at a time */
#define IDLE_WAIT_MS 1000 /* also how long a failed deletion waits */
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
    size_t pending;          /* handed over here or there, and not answered */
    struct outbox_rows rows; /* what is known of them */
    bool is_behind;          /* some wait for those of another process */
    int64_t resend_after;    /* the broker has not taken what comes after this; or INT64_MAX */
    int64_t regive_after;    /* the same of the handlers here */
    struct outbox_deletion *deleted; /* committed; see forget_deleted */
    /* the relay's: */
    int64_t here, there; /* rows up to here were looked at */
    int64_t rescanned_us;
};

static double read_in_flight(void *arg)
{
    struct bus_outbox *o = arg;
    pthread_mutex_lock(&o->lock);
    size_t count = o->rows.busy;
    pthread_mutex_unlock(&o->lock);
    return (double)count;
}

struct bus_outbox *bus_outbox_create(struct bus *bus)
{
    struct bus_outbox *o = mem_new(struct bus_outbox);
    o->bus = bus;
    outbox_rows_init(&o->rows, bus);
    o->resend_after = o->regive_after = INT64_MAX;
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->changed, NULL);
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
    struct bus_event own = *event;
    struct bus_span span;
    bus_span_publish(&span, &own);
    enum err err = outbox_insert(bus, tx, &own);
    span_end(&span.span, err);
    if (!err)
        store_on_commit(tx, on_commit, bus->outbox);
    return err;
}

/* ---- here ---- */

static void wake(struct bus_outbox *o)
{
    o->is_woken = true;
    pthread_cond_broadcast(&o->changed);
}

static void on_heard(void *arg, int64_t id)
{
    struct bus_outbox *o = arg;
    pthread_mutex_lock(&o->lock);
    o->pending--;
    if (!o->is_settled)
        outbox_row_set(&o->rows, id, outbox_row_get(&o->rows, id) | ROW_HEARD);
    wake(o);
    pthread_mutex_unlock(&o->lock);
}

/* Marks a step as begun; false when it was before. */
static bool begin(struct bus_outbox *o, int64_t id, unsigned step, unsigned done)
{
    pthread_mutex_lock(&o->lock);
    unsigned known = outbox_row_get(&o->rows, id);
    bool is_new = !(known & (step | done));
    if (is_new) {
        outbox_row_set(&o->rows, id, known | step);
        o->pending++;
    }
    pthread_mutex_unlock(&o->lock);
    return is_new;
}

static void take_back(struct bus_outbox *o, int64_t id, unsigned step)
{
    pthread_mutex_lock(&o->lock);
    outbox_row_set(&o->rows, id, outbox_row_get(&o->rows, id) & ~step);
    o->pending--;
    pthread_mutex_unlock(&o->lock);
}

/* Before it another process's goes, which is here until that was heard. */
static void put_off_here(struct bus_outbox *o, int64_t id)
{
    pthread_mutex_lock(&o->lock);
    if (!(outbox_row_get(&o->rows, id) & (ROW_GIVEN | ROW_HEARD))) {
        o->regive_after = MIN(o->regive_after, id - 1);
        o->is_behind = true;
    }
    pthread_mutex_unlock(&o->lock);
}

/* False: no room now. */
static bool give_here(struct bus_outbox *o, const struct outbox_row *row)
{
    if (row->is_behind && o->bus->opt.is_in_order) {
        put_off_here(o, row->id);
        return true;
    }
    struct bus_handing how = {.audience = o->bus->link ? BUS_TO_PLAIN : BUS_TO_ALL,
                              .ack = on_heard,
                              .arg = o,
                              .token = row->id};
    if (!begin(o, row->id, ROW_GIVEN, ROW_HEARD) ||
        bus_local_give(o->bus->local, &row->event, &how))
        return true;
    take_back(o, row->id, ROW_GIVEN);
    return false;
}

/* ---- there ---- */

void bus_outbox_sent(struct bus_outbox *o, int64_t id, enum err err)
{
    pthread_mutex_lock(&o->lock);
    o->pending--;
    unsigned known = outbox_row_get(&o->rows, id) & ~(unsigned)ROW_SENDING;
    outbox_row_set(&o->rows, id, err ? known : known | ROW_SENT);
    if (err) {
        o->resend_after = MIN(o->resend_after, id - 1);
        o->is_committed = true;
    }
    wake(o);
    pthread_mutex_unlock(&o->lock);
}

void bus_outbox_linked(struct bus_outbox *o)
{
    on_commit(o);
}

/* What must wait for another process's is looked at again soon. */
static void put_off(struct bus_outbox *o, int64_t id)
{
    pthread_mutex_lock(&o->lock);
    if (!(outbox_row_get(&o->rows, id) & (ROW_SENDING | ROW_SENT))) {
        o->resend_after = MIN(o->resend_after, id - 1);
        o->is_behind = true;
    }
    pthread_mutex_unlock(&o->lock);
}

static bool give_there(struct bus_outbox *o, const struct outbox_row *row)
{
    if (row->is_behind) {
        put_off(o, row->id);
        return true;
    }
    if (!begin(o, row->id, ROW_SENDING, ROW_SENT) ||
        bus_link_send(o->bus->link, &(struct bus_envelope){.event = row->event}, row->id) == ERR_OK)
        return true;
    take_back(o, row->id, ROW_SENDING);
    return false;
}

/* ---- the relay's reading ---- */

/* Before a read, which does not see them then. Were they forgotten when they were deleted, a read
 * that began before would bring them once more. */
static void forget_deleted(struct bus_outbox *o)
{
    pthread_mutex_lock(&o->lock);
    while (o->deleted) {
        struct outbox_deletion *d = o->deleted;
        o->deleted = d->next;
        for (size_t i = 0; i < d->count; i++)
            outbox_row_set(&o->rows, d->ids[i], 0);
        free(d);
    }
    pthread_mutex_unlock(&o->lock);
}

static size_t room_in_flight(struct bus_outbox *o)
{
    pthread_mutex_lock(&o->lock);
    size_t busy = o->rows.busy;
    pthread_mutex_unlock(&o->lock);
    return busy < IN_FLIGHT_MAX ? IN_FLIGHT_MAX - busy : 0;
}

/* Which way is open, and how far the rows were looked at. */
struct ways {
    bool is_here_open, is_there_open;
};

static int64_t first_after(const struct bus_outbox *o, const struct ways *w)
{
    return MIN(w->is_here_open ? o->here : INT64_MAX, w->is_there_open ? o->there : INT64_MAX);
}

static void page_deliver(struct bus_outbox *o, const struct outbox_page *p, struct ways *w)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct outbox_row *row = &p->rows[i];
        if (w->is_here_open && row->id > o->here) {
            w->is_here_open = give_here(o, row);
            o->here = w->is_here_open ? row->id : o->here;
        }
        if (w->is_there_open && row->id > o->there) {
            w->is_there_open = give_there(o, row);
            o->there = w->is_there_open ? row->id : o->there;
        }
    }
}

enum relay_end {
    RELAY_DONE,   /* nothing new is left */
    RELAY_FULL,   /* too many in flight: an arrival makes room */
    RELAY_BUSY,   /* the driver has no room */
    RELAY_FAILED, /* the store did not answer */
};

/* One page of rows; *is_end when it was the last. */
static enum relay_end relay_page(struct bus_outbox *o, struct ways *w, bool *is_end)
{
    forget_deleted(o);
    size_t room = room_in_flight(o);
    struct ways before = *w;
    *is_end = true;
    if (room == 0)
        return RELAY_FULL;
    struct outbox_page *p = mem_new(struct outbox_page);
    p->after = first_after(o, w);
    p->count_max = (int64_t)MIN(room, OUTBOX_READ_MAX);
    p->process = o->bus->process;
    p->owner = bus_owner_name(o->bus->owner);
    p->is_ordered = w->is_there_open || o->bus->opt.is_in_order;
    p->arena = arena_create();
    enum relay_end end = RELAY_DONE;
    if (store_read(o->bus->opt.store, outbox_page_read, p) != ERR_OK) {
        metric_cell_add(metric_cell(&metric_errors, "read", NULL, NULL), 1);
        end = RELAY_FAILED;
    } else {
        page_deliver(o, p, w);
        *is_end = (int64_t)p->count < p->count_max || (!w->is_here_open && !w->is_there_open);
        if (before.is_here_open != w->is_here_open || before.is_there_open != w->is_there_open)
            end = RELAY_BUSY;
    }
    arena_destroy(&p->arena);
    free(p);
    return end;
}

/* A link that is lost on the way says so by failures, each of which sets resend_after. */
static enum relay_end relay_all(struct bus_outbox *o)
{
    enum relay_end end, worst = RELAY_DONE;
    int64_t down_ms;
    struct ways ways = {.is_here_open = true,
                        .is_there_open = o->bus->link && bus_owner_is_valid(o->bus->owner) &&
                                         bus_link_is_up(o->bus->link, &down_ms)};
    bool is_end;
    pthread_mutex_lock(&o->lock);
    o->there = MIN(o->there, o->resend_after);
    o->here = MIN(o->here, o->regive_after);
    o->resend_after = o->regive_after = INT64_MAX;
    o->is_behind = false;
    pthread_mutex_unlock(&o->lock);
    do {
        end = relay_page(o, &ways, &is_end);
        worst = MAX(worst, end);
    } while (!is_end);
    return worst;
}

/* ---- deletion ---- */

static void deletion_done(enum err err, void *arg)
{
    struct outbox_deletion *d = arg;
    struct bus_outbox *o = d->outbox;
    if (err)
        metric_cell_add(metric_cell(&metric_errors, "delete", NULL, NULL), 1);
    pthread_mutex_lock(&o->lock);
    for (size_t i = 0; err && i < d->count; i++)
        outbox_row_arrived(&o->rows, d->ids[i]); /* once more, not at once: nobody is woken */
    if (!err) {
        d->next = o->deleted;
        o->deleted = d;
        o->is_woken = true;
    }
    o->is_deleting = false;
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
    if (err)
        free(d);
}

static void delete_arrived(struct bus_outbox *o)
{
    pthread_mutex_lock(&o->lock);
    struct outbox_deletion *d = o->is_deleting ? NULL : outbox_rows_take_arrived(&o->rows, o);
    o->is_deleting |= d != NULL;
    pthread_mutex_unlock(&o->lock);
    if (d) /* essential: it frees space */
        store_write_essential(o->bus->opt.store, 0, outbox_deletion_run, d, deletion_done);
}

/* ---- the relay ---- */

/* Waits for a change; false when the relay must end. */
static bool relay_wait(struct bus_outbox *o, int64_t wait_ms, bool *is_committed)
{
    pthread_mutex_lock(&o->lock);
    if (o->is_behind)
        wait_ms = MIN(wait_ms, BEHIND_WAIT_MS);
    if (!o->is_woken && !o->is_stopping)
        thread_wait(&o->changed, &o->lock, wait_ms);
    *is_committed = o->is_committed || o->is_behind;
    o->is_woken = o->is_committed = false;
    bool is_going_on = !o->is_stopping;
    pthread_mutex_unlock(&o->lock);
    return is_going_on;
}

/* From the beginning again: several writers may commit ids out of order, and rows may change hands.
 * While the broker is away there may be very many, so that is done less often then. */
static bool must_rescan(struct bus_outbox *o)
{
    enum bus_beat beat = bus_owner_beat(o->bus->owner);
    pthread_mutex_lock(&o->lock);
    if (beat == BUS_BEAT_STRUCK_OFF) /* what only waits for a link is another's now */
        outbox_rows_forget_waiting(&o->rows);
    bool is_backlog = map64_count(o->rows.known) > IN_FLIGHT_MAX;
    pthread_mutex_unlock(&o->lock);
    int64_t every_us = is_backlog ? RESCAN_EVERY_US * 60 : RESCAN_EVERY_US;
    return beat == BUS_BEAT_TAKEN || clock_mono_us() - o->rescanned_us > every_us;
}

static void *relay_main(void *arg)
{
    struct bus_outbox *o = arg;
    enum relay_end end = RELAY_DONE;
    bool must_read = true;
    int64_t wait_ms;
    do {
        if (must_rescan(o)) {
            o->rescanned_us = clock_mono_us();
            o->here = o->there = 0;
            must_read = true;
        } else if (must_read &&
                   bus_owner_is_shared(o->bus->owner)) { /* a writer of another shard may just have
                                                            committed a lower id */
            o->here = MAX(o->here - LOOK_BACK, (int64_t)0);
            o->there = MAX(o->there - LOOK_BACK, (int64_t)0);
        }
        if (must_read || end != RELAY_DONE)
            end = relay_all(o);
        delete_arrived(o);
        wait_ms = MIN(end == RELAY_BUSY ? (int64_t)BUSY_WAIT_MS : (int64_t)IDLE_WAIT_MS,
                      bus_owner_wait_ms(o->bus->owner));
    } while (relay_wait(o, wait_ms, &must_read));
    return NULL;
}

void bus_outbox_start(struct bus_outbox *o)
{
    o->rescanned_us = clock_mono_us();
    o->is_started = true;
    thread_must_start(&o->thread, "bus-outbox", relay_main, o);
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
    while (o->pending && clock_mono_us() < until_us)
        thread_wait(&o->changed, &o->lock, 100);
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
    forget_deleted(o);
    outbox_rows_deinit(&o->rows);
    pthread_cond_destroy(&o->changed);
    pthread_mutex_destroy(&o->lock);
    free(o);
}
