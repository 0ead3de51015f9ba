/*
 * bus_task_store: the tasks' rows.
 *
 *   enqueue -> WAITING (delay) -> READY -> RUNNING -> gone | DONE (its key is remembered) | WAITING
 *   (a later attempt) | DEAD (no attempt left). A lease that runs out: RUNNING -> READY | DEAD.
 *   With a lane (bus_lane.c): enqueue -> BEHIND -> READY when its turn comes.
 *
 * Attempts are counted when a task is claimed, so one that kills its process comes to an end too.
 * The count is also the fence: whoever lost the lease holds an old one and changes nothing.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus_internal.h"
#include "core/clock.h"
#include "core/mem.h"

#define ATTEMPTS_DEFAULT 10
#define ATTEMPTS_MAX 1000
#define LANE_DEFAULT 1000

static bool is_text(const char *text)
{
    return text && *text && strlen(text) <= BUS_TEXT_MAX;
}

bool bus_task_is_sound(const struct bus_task *t)
{
    return is_text(t->queue) && is_text(t->type) && t->delay_ms >= 0 && t->attempts_max >= 0 &&
           t->attempts_max <= ATTEMPTS_MAX &&
           (!t->idempotency_key || is_text(t->idempotency_key)) &&
           (!t->lane || (is_text(t->lane) && !t->delay_ms && t->lane_max >= 0));
}

enum err bus_task_insert(struct store_tx *tx, const struct bus_task *t, int64_t now_ms,
                         enum bus_task_place place)
{
    if (!bus_task_is_sound(t))
        return ERR_INVALID_ARGUMENT;
    bool is_behind = false;
    enum err err = t->lane ? bus_lane_is_busy(tx, t->queue, t->lane, &is_behind) : ERR_OK;
    if (err)
        return err;
    int64_t due_ms = t->delay_ms > INT64_MAX - now_ms ? INT64_MAX : now_ms + t->delay_ms;
    int64_t state = is_behind ? BUS_TASK_BEHIND : t->delay_ms ? BUS_TASK_WAITING : BUS_TASK_READY;
    int64_t attempts_max = t->attempts_max ? t->attempts_max : ATTEMPTS_DEFAULT;
    err = store_run(tx,
                    "INSERT INTO bus_tasks (queue, type, payload, idempotency_key, turn, state,"
                    " attempts, attempts_max, due_ms, created_ms, lane, is_here)"
                    " VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?)"
                    " ON CONFLICT (queue, idempotency_key) DO NOTHING",
                    "ssbsiiiiisi", t->queue, t->type, t->payload.p, t->payload.n,
                    t->idempotency_key, -(int64_t)t->priority, state, attempts_max, due_ms, now_ms,
                    t->lane ? t->lane : "", (int64_t)place);
    if (err || !is_behind)
        return err;
    struct bus_task bounded = *t;
    bounded.lane_max = t->lane_max ? t->lane_max : LANE_DEFAULT;
    return bus_lane_bound(tx, &bounded);
}

enum err bus_task_wake_due(struct store_tx *tx, int64_t now_ms)
{
    enum err err = store_run(tx, "UPDATE bus_tasks SET state = ? WHERE state = ? AND due_ms <= ?",
                             "iii", (int64_t)BUS_TASK_READY, (int64_t)BUS_TASK_WAITING, now_ms);
    if (!err)
        err = bus_lane_bury(tx, now_ms);
    if (err)
        return err;
    return store_run(tx,
                     "UPDATE bus_tasks SET state = CASE WHEN attempts < attempts_max THEN ? ELSE ?"
                     " END, last_error = ? WHERE state = ? AND due_ms <= ?",
                     "iisii", (int64_t)BUS_TASK_READY, (int64_t)BUS_TASK_DEAD, BUS_PROCESS_ENDED,
                     (int64_t)BUS_TASK_RUNNING, now_ms);
}

enum err bus_task_release_all(struct store_tx *tx)
{
    return store_run(tx, "UPDATE bus_tasks SET due_ms = 0 WHERE state = ?", "i",
                     (int64_t)BUS_TASK_RUNNING);
}

/* ---- claiming ---- */

static const char *put_text(char **at, struct str s)
{
    char *start = *at;
    memcpy(start, s.p, s.n);
    start[s.n] = '\0';
    *at += s.n + 1;
    return start;
}

struct bus_claim *bus_claim_from_row(struct store_stmt *st, struct str queue_text)
{
    struct str type = store_str(st, 1), payload = store_str(st, 2);
    struct str key = store_str(st, 3), lane = store_str(st, 7);
    struct bus_claim *c =
        mem_zalloc(sizeof(*c) + queue_text.n + type.n + payload.n + key.n + lane.n + 5 /* NULs */);
    char *at = c->bytes;
    c->id = store_int(st, 0);
    c->task.queue = put_text(&at, queue_text);
    c->task.type = put_text(&at, type);
    c->task.payload = (struct str){put_text(&at, payload), payload.n};
    c->task.idempotency_key = store_is_null(st, 3) ? NULL : put_text(&at, key);
    c->task.lane = lane.n ? put_text(&at, lane) : NULL;
    c->task.priority = (int)-CLAMP(store_int(st, 4), -INT_MAX, INT_MAX);
    c->attempt = (int)store_int(st, 5) + 1;
    c->task.attempts_max = (int)store_int(st, 6);
    return c;
}

/* False when somebody else was faster. */
static enum err claim_take(struct store_tx *tx, const struct bus_claim *c,
                           const struct bus_claiming *how, bool *is_mine)
{
    enum err err =
        store_run(tx,
                  "UPDATE bus_tasks SET state = ?, attempts = ?, due_ms = ?, owner = ?"
                  " WHERE id = ? AND state = ? AND attempts = ?",
                  "iiisiii", (int64_t)BUS_TASK_RUNNING, (int64_t)c->attempt, how->lease_until_ms,
                  how->owner, c->id, (int64_t)BUS_TASK_READY, (int64_t)c->attempt - 1);
    *is_mine = !err && store_changes(tx) == 1;
    return err;
}

enum err bus_task_is_ready(struct store_tx *tx, const struct bus_claiming *how, bool *is_ready)
{
    struct store_stmt *st = store_query(
        tx, "SELECT 1 FROM bus_tasks WHERE queue = ? AND state = ? AND is_here >= ? LIMIT 1", "sii",
        how->queue, (int64_t)BUS_TASK_READY, (int64_t)how->place);
    *is_ready = store_step(st);
    return store_finish(st);
}

enum err bus_task_claim(struct store_tx *tx, const struct bus_claiming *how,
                        struct bus_claim **list, unsigned *claimed)
{
    struct bus_claim *found = NULL;
    struct store_stmt *st = store_query(
        tx,
        "SELECT id, type, payload, idempotency_key, turn, attempts, attempts_max,"
        " lane FROM bus_tasks WHERE queue = ? AND state = ? AND is_here >= ?"
        " ORDER BY turn, id LIMIT ?",
        "siii", how->queue, (int64_t)BUS_TASK_READY, (int64_t)how->place, (int64_t)how->count);
    while (store_step(st)) {
        struct bus_claim *c = bus_claim_from_row(st, str_from(how->queue));
        c->next = found;
        found = c;
    }
    enum err err = store_finish(st);
    *claimed = 0;
    while (found) {
        struct bus_claim *c = found;
        bool is_mine = false;
        found = c->next;
        if (!err)
            err = claim_take(tx, c, how, &is_mine);
        if (!is_mine) {
            free(c);
            continue;
        }
        c->next = *list;
        *list = c;
        (*claimed)++;
    }
    return err;
}

enum err bus_task_next_due(struct store_tx *tx, int64_t *due_ms)
{
    struct store_stmt *st =
        store_query(tx, "SELECT MIN(due_ms) FROM bus_tasks WHERE state IN (?, ?)", "ii",
                    (int64_t)BUS_TASK_WAITING, (int64_t)BUS_TASK_RUNNING);
    *due_ms = store_step(st) && !store_is_null(st, 0) ? store_int(st, 0) : INT64_MAX;
    return store_finish(st);
}

/* ---- after claiming ---- */

enum err bus_task_renew(struct store_tx *tx, const struct bus_claim *c, int64_t until_ms)
{
    return store_run(tx,
                     "UPDATE bus_tasks SET due_ms = ? WHERE id = ? AND state = ? AND attempts = ?",
                     "iiii", until_ms, c->id, (int64_t)BUS_TASK_RUNNING, (int64_t)c->attempt);
}

static enum err finish_row(struct store_tx *tx, const struct bus_claim *c, int64_t retry_ms,
                           int64_t forget_ms, bool is_last)
{
    if (c->put_off_ms) /* the count stays a fence: a claim that lost its lease is still below */
        return store_run(tx,
                         "UPDATE bus_tasks SET state = ?, due_ms = ?, attempts = attempts - 1"
                         " WHERE id = ? AND state = ? AND attempts = ?",
                         "iiiii", (int64_t)BUS_TASK_WAITING, clock_wall_ms() + c->put_off_ms, c->id,
                         (int64_t)BUS_TASK_RUNNING, (int64_t)c->attempt);
    if (c->result == ERR_OK && !c->task.idempotency_key)
        return store_run(tx, "DELETE FROM bus_tasks WHERE id = ? AND state = ? AND attempts = ?",
                         "iii", c->id, (int64_t)BUS_TASK_RUNNING, (int64_t)c->attempt);
    if (c->result == ERR_OK)
        return store_run(
            tx,
            "UPDATE bus_tasks SET state = ?, due_ms = ?, payload = ?, last_error = NULL"
            " WHERE id = ? AND state = ? AND attempts = ?",
            "iibiii", (int64_t)BUS_TASK_DONE, forget_ms, "", (size_t)0, c->id,
            (int64_t)BUS_TASK_RUNNING, (int64_t)c->attempt);
    return store_run(tx,
                     "UPDATE bus_tasks SET state = ?, due_ms = ?, last_error = ?"
                     " WHERE id = ? AND state = ? AND attempts = ?",
                     "iisiii", (int64_t)(is_last ? BUS_TASK_DEAD : BUS_TASK_WAITING), retry_ms,
                     err_name(c->result), c->id, (int64_t)BUS_TASK_RUNNING, (int64_t)c->attempt);
}

enum err bus_task_finish(struct store_tx *tx, const struct bus_claim *c, int64_t retry_ms,
                         int64_t forget_ms)
{
    bool is_last = c->is_given_up || c->attempt >= c->task.attempts_max;
    enum err err = finish_row(tx, c, retry_ms, forget_ms, is_last);
    bool is_over = !c->put_off_ms && (c->result == ERR_OK || is_last);
    return err || !is_over || !c->task.lane ? err
                                            : bus_lane_promote(tx, c->task.queue, c->task.lane);
}

enum err bus_task_forget(struct store_tx *tx, int64_t now_ms)
{
    return store_run(tx, "DELETE FROM bus_tasks WHERE state = ? AND due_ms <= ?", "ii",
                     (int64_t)BUS_TASK_DONE, now_ms);
}

#define FAR_MS (400LL * 24 * 3600 * 1000)

enum err bus_task_bring_near(struct store_tx *tx, int64_t now_ms)
{
    return store_run(tx, "UPDATE bus_tasks SET due_ms = ? WHERE state = ? AND due_ms > ?", "iii",
                     now_ms, (int64_t)BUS_TASK_WAITING, now_ms + FAR_MS);
}

/* ---- operations ---- */

struct stats_read {
    const char *queue;
    struct bus_task_stats *stats;
};

static enum err stats_run(struct store_tx *tx, void *arg)
{
    struct stats_read *r = arg;
    struct store_stmt *st = store_query(
        tx, "SELECT state, COUNT(*) FROM bus_tasks WHERE queue = ? GROUP BY state", "s", r->queue);
    while (store_step(st)) {
        int64_t count = store_int(st, 1);
        switch (store_int(st, 0)) {
        case BUS_TASK_WAITING:
        case BUS_TASK_BEHIND:
            r->stats->waiting += count;
            break;
        case BUS_TASK_READY:
            r->stats->ready = count;
            break;
        case BUS_TASK_RUNNING:
            r->stats->running = count;
            break;
        case BUS_TASK_DEAD:
            r->stats->dead = count;
            break;
        }
    }
    return store_finish(st);
}

enum err bus_task_stats(struct bus *bus, const char *queue, struct bus_task_stats *out)
{
    struct stats_read r = {queue, out};
    *out = (struct bus_task_stats){0};
    return bus->tasks ? store_read(bus->opt.store, stats_run, &r) : ERR_FAILED_PRECONDITION;
}

struct revival {
    const char *queue;
    int64_t count;
};

static enum err revive_run(struct store_tx *tx, void *arg)
{
    struct revival *r = arg;
    enum err err = store_run(tx,
                             "UPDATE bus_tasks SET state = CASE WHEN lane = '' THEN ? ELSE ? END,"
                             " attempts = 0, due_ms = 0 WHERE queue = ? AND state = ?",
                             "iisi", (int64_t)BUS_TASK_READY, (int64_t)BUS_TASK_BEHIND, r->queue,
                             (int64_t)BUS_TASK_DEAD);
    r->count = store_changes(tx);
    return err ? err : bus_lane_promote_all(tx, r->queue);
}

enum err bus_revive_dead(struct bus *bus, const char *queue, int64_t *count)
{
    struct revival r = {.queue = queue};
    *count = 0;
    if (!bus->tasks)
        return ERR_FAILED_PRECONDITION;
    enum err err = store_write_sync(bus->opt.store, 0, revive_run, &r);
    if (!err)
        *count = r.count;
    bus_tasks_wake(bus->tasks);
    return err;
}
