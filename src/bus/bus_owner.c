/*
 * bus_owner: several processes on one database. What a process has in hand (rows of the outbox,
 * tasks that run) bears its name; here it says every moment that it lives, and looks after the
 * others: who has not moved for a while is struck off, and what was theirs is taken over.
 *
 * Clocks of machines differ, so nobody's clock decides: a process lives while its number changes,
 * and who looks counts by beats of its own that the database took. So when the database is away
 * nobody dies. One that was only frozen sees on its own clock that it was silent for too long
 * (bus_owner_is_valid) before it hands anything on, and finds its name struck off: it signs up
 * again, and has what it writes from then on.
 *
 * A store of one process alone has no such rows, and its rows bear no name.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus_internal.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metric.h"

#define BEATS 4 /* silent for so many beats of ours: dead */
#define PEERS_MAX 512
#define SWEEP_BEATS 16 /* now and then rows without a living owner are looked for anyway */

static struct metric metric_taken = METRIC_COUNTER(
    "parlance_bus_taken_over_total", "Processes struck off, their events and tasks taken over.");

struct peer {
    char id[BUS_PROCESS_MAX];
    int64_t beat;
    unsigned silent; /* beats of ours since it changed */
    bool is_listed;  /* in the database now */
};

struct bus_owner {
    struct bus *bus;
    bool is_shared;
    bool is_signed_up;
    unsigned beats;
    int64_t next_ms, valid_until_ms;
    struct peer peers[PEERS_MAX];
    size_t peer_count;
};

struct bus_owner *bus_owner_create(struct bus *bus)
{
    struct bus_owner *o = mem_new(struct bus_owner);
    o->bus = bus;
    o->is_shared = bus->opt.is_shared || !store_is_exclusive(bus->opt.store);
    return o;
}

bool bus_owner_is_shared(const struct bus_owner *o)
{
    return o->is_shared;
}

const char *bus_owner_name(const struct bus_owner *o)
{
    return o->is_shared ? o->bus->process : "";
}

bool bus_owner_is_valid(const struct bus_owner *o)
{
    return !o->is_shared || clock_mono_ms() < o->valid_until_ms;
}

enum err bus_owner_is_listed(struct store_tx *tx, const struct bus_owner *o, bool *is_listed)
{
    *is_listed = true;
    if (!o->is_shared)
        return ERR_OK;
    struct store_stmt *st =
        store_query(tx, "SELECT 1 FROM bus_processes WHERE id = ?", "s", o->bus->process);
    *is_listed = store_step(st);
    return store_finish(st);
}

/* ---- a beat ---- */

struct beat {
    struct bus_owner *owner;
    bool was_struck_off;
    bool has_taken; /* rows, by whoever's leaving */
    int64_t taken_events;
    unsigned buried;
};

static struct peer *peer_of(struct bus_owner *o, const char *id, int64_t beat)
{
    for (size_t i = 0; i < o->peer_count; i++)
        if (strcmp(o->peers[i].id, id) == 0)
            return &o->peers[i];
    if (o->peer_count == PEERS_MAX)
        return NULL;
    struct peer *p = &o->peers[o->peer_count++];
    *p = (struct peer){.beat = beat - 1};
    snprintf(p->id, sizeof(p->id), "%s", id);
    return p;
}

static enum err sign_up(struct store_tx *tx, struct beat *b)
{
    const char *me = b->owner->bus->process;
    enum err err = store_run(tx, "UPDATE bus_processes SET beat = beat + 1 WHERE id = ?", "s", me);
    if (err || store_changes(tx) > 0)
        return err;
    b->was_struck_off = b->owner->is_signed_up;
    return store_run(tx, "INSERT INTO bus_processes (id, beat) VALUES (?, 1)", "s", me);
}

static enum err look_round(struct store_tx *tx, struct beat *b)
{
    struct bus_owner *o = b->owner;
    struct arena *arena = arena_create();
    for (size_t i = 0; i < o->peer_count; i++)
        o->peers[i].is_listed = false;
    struct store_stmt *st =
        store_query(tx, "SELECT id, beat FROM bus_processes WHERE id <> ?", "s", o->bus->process);
    while (store_step(st)) {
        int64_t beat = store_int(st, 1);
        struct peer *p = peer_of(o, store_text(st, 0, arena), beat);
        if (!p)
            continue;
        p->silent = p->beat == beat ? p->silent + 1 : 0;
        p->beat = beat;
        p->is_listed = true;
    }
    arena_destroy(&arena);
    return store_finish(st);
}

/* Strikes off the silent; forgets who is gone. */
static enum err bury(struct store_tx *tx, struct beat *b)
{
    struct bus_owner *o = b->owner;
    enum err err = ERR_OK;
    for (size_t i = 0; i < o->peer_count && !err;) {
        struct peer *p = &o->peers[i];
        if (p->is_listed && p->silent < BEATS) {
            i++;
            continue;
        }
        if (p->is_listed) {
            err = store_run(tx, "DELETE FROM bus_processes WHERE id = ? AND beat = ?", "si", p->id,
                            p->beat);
            b->buried++;
            log_warn(NULL, "bus: process %s is silent: its events and tasks are taken over", p->id);
        }
        b->has_taken = true;
        *p = o->peers[--o->peer_count];
    }
    return err;
}

static enum err take_over(struct store_tx *tx, struct beat *b)
{
    const char *me = b->owner->bus->process;
    enum err err = store_run(tx,
                             "UPDATE bus_outbox SET owner = ?"
                             " WHERE owner NOT IN (SELECT id FROM bus_processes)",
                             "s", me);
    b->taken_events = err ? 0 : store_changes(tx);
    return err ? err
               : store_run(tx,
                           "UPDATE bus_tasks SET due_ms = 0 WHERE state = ? AND owner <> ''"
                           " AND owner NOT IN (SELECT id FROM bus_processes)",
                           "i", (int64_t)BUS_TASK_RUNNING);
}

static enum err beat_run(struct store_tx *tx, void *arg)
{
    struct beat *b = arg;
    bool is_first = b->owner->beats % SWEEP_BEATS == 0;
    enum err err = sign_up(tx, b);
    if (!err)
        err = look_round(tx, b);
    if (!err)
        err = bury(tx, b);
    return err || !(b->has_taken || is_first) ? err : take_over(tx, b);
}

/* Counted from before the write: it may take long. */
enum bus_beat bus_owner_beat(struct bus_owner *o)
{
    int64_t now_ms = clock_mono_ms();
    if (!o->is_shared || now_ms < o->next_ms)
        return BUS_BEAT_NONE;
    struct beat b = {.owner = o};
    o->next_ms = now_ms + MAX(o->bus->opt.owner_ms / BEATS, (int64_t)1);
    enum err err = store_write_essential_sync(o->bus->opt.store, 0, beat_run, &b);
    if (err) {
        log_warn(NULL, "bus: this process could not say that it lives: %s", err_text(err));
        return BUS_BEAT_NONE;
    }
    o->is_signed_up = true;
    o->beats++;
    o->valid_until_ms = now_ms + o->bus->opt.owner_ms;
    if (b.buried)
        metric_add(&metric_taken, b.buried);
    if (b.has_taken)
        bus_tasks_wake(o->bus->tasks);
    if (b.was_struck_off)
        log_warn(NULL, "bus: this process was silent, and what it had was taken over");
    return b.was_struck_off ? BUS_BEAT_STRUCK_OFF : b.taken_events ? BUS_BEAT_TAKEN : BUS_BEAT_NONE;
}

int64_t bus_owner_wait_ms(const struct bus_owner *o)
{
    return o->is_shared ? MAX(o->next_ms - clock_mono_ms(), (int64_t)1) : INT64_MAX;
}

static enum err leave_run(struct store_tx *tx, void *arg)
{
    const struct bus_owner *o = arg;
    return store_run(tx, "DELETE FROM bus_processes WHERE id = ?", "s", o->bus->process);
}

void bus_owner_destroy(struct bus_owner **op)
{
    struct bus_owner *o = *op;
    *op = NULL;
    if (o->is_signed_up && store_write_essential_sync(o->bus->opt.store, 0, leave_run, o) != ERR_OK)
        log_warn(NULL, "bus: this process could not say that it goes");
    free(o);
}
