/*
 * bus_lane: tasks of one lane of a queue run one after the other, in their order. One of them is
 * its head (ready, running, or waiting for its next attempt); the others are BEHIND, cost nothing,
 * and are bounded: the oldest gives way, and is a dead letter that says so. Whatever ends a head
 * calls bus_lane_promote in the same transaction.
 */
#include <stdio.h>

#include "bus/bus_internal.h"

#define CROWDED "too many were waiting behind the same receiver"

enum err bus_lane_is_busy(struct store_tx *tx, const char *queue, const char *lane, bool *is_busy)
{
    struct store_stmt *st =
        store_query(tx,
                    "SELECT 1 FROM bus_tasks WHERE queue = ? AND lane = ?"
                    " AND state IN (?, ?, ?, ?) LIMIT 1",
                    "ssiiii", queue, lane, (int64_t)BUS_TASK_READY, (int64_t)BUS_TASK_WAITING,
                    (int64_t)BUS_TASK_RUNNING, (int64_t)BUS_TASK_BEHIND);
    *is_busy = store_step(st);
    return store_finish(st);
}

static enum err take_id(struct store_stmt *st, int64_t *id)
{
    *id = store_step(st) && !store_is_null(st, 0) ? store_int(st, 0) : 0;
    return store_finish(st);
}

enum err bus_lane_promote(struct store_tx *tx, const char *queue, const char *lane)
{
    int64_t id = 0;
    enum err err = take_id(store_query(tx,
                                       "SELECT id FROM bus_tasks WHERE queue = ? AND lane = ?"
                                       " AND state IN (?, ?, ?) LIMIT 1",
                                       "ssiii", queue, lane, (int64_t)BUS_TASK_READY,
                                       (int64_t)BUS_TASK_WAITING, (int64_t)BUS_TASK_RUNNING),
                           &id);
    if (err || id)
        return err; /* has a head */
    err = take_id(store_query(tx,
                              "SELECT MIN(id) FROM bus_tasks WHERE queue = ? AND lane = ?"
                              " AND state = ?",
                              "ssi", queue, lane, (int64_t)BUS_TASK_BEHIND),
                  &id);
    if (err || !id)
        return err;
    return store_run(tx, "UPDATE bus_tasks SET state = ? WHERE id = ?", "ii",
                     (int64_t)BUS_TASK_READY, id);
}

/* The newest of this state that has `above` others of it before it, seen from the young end. */
static enum err find_surplus(struct store_tx *tx, const struct bus_task *t,
                             enum bus_task_state state, int64_t above, int64_t *id)
{
    return take_id(store_query(tx,
                               "SELECT id FROM bus_tasks WHERE queue = ? AND lane = ?"
                               " AND state = ? ORDER BY id DESC LIMIT 1 OFFSET ?",
                               "ssii", t->queue, t->lane, (int64_t)state, above),
                   id);
}

enum err bus_lane_bound(struct store_tx *tx, const struct bus_task *t)
{
    int64_t crowded = 0, old = 0;
    enum err err = find_surplus(tx, t, BUS_TASK_BEHIND, t->lane_max, &crowded);
    if (err || !crowded)
        return err;
    err = store_run(tx,
                    "UPDATE bus_tasks SET state = ?, last_error = ?"
                    " WHERE queue = ? AND lane = ? AND state = ? AND id <= ?",
                    "isssii", (int64_t)BUS_TASK_DEAD, CROWDED, t->queue, t->lane,
                    (int64_t)BUS_TASK_BEHIND, crowded);
    if (!err) /* nor do the dead letters of one lane grow for ever */
        err = find_surplus(tx, t, BUS_TASK_DEAD, t->lane_max, &old);
    if (err || !old)
        return err;
    return store_run(tx,
                     "DELETE FROM bus_tasks WHERE queue = ? AND lane = ? AND state = ?"
                     " AND id <= ?",
                     "ssii", t->queue, t->lane, (int64_t)BUS_TASK_DEAD, old);
}

struct lane_name {
    char queue[BUS_TEXT_MAX + 1], lane[BUS_TEXT_MAX + 1];
    int64_t id;
};

static enum err take_name(struct store_stmt *st, struct lane_name *out, bool *is_found)
{
    *is_found = store_step(st);
    if (*is_found) {
        struct str queue = store_str(st, 1), lane = store_str(st, 2);
        out->id = store_int(st, 0);
        snprintf(out->queue, sizeof(out->queue), "%.*s", STR_FMT(queue));
        snprintf(out->lane, sizeof(out->lane), "%.*s", STR_FMT(lane));
    }
    return store_finish(st);
}

enum err bus_lane_bury(struct store_tx *tx, int64_t now_ms)
{
    for (;;) {
        struct lane_name found;
        bool is_found;
        enum err err = take_name(
            store_query(tx,
                        "SELECT id, queue, lane FROM bus_tasks WHERE state = ? AND due_ms <= ?"
                        " AND lane <> '' AND attempts >= attempts_max LIMIT 1",
                        "ii", (int64_t)BUS_TASK_RUNNING, now_ms),
            &found, &is_found);
        if (err || !is_found)
            return err;
        err = store_run(tx, "UPDATE bus_tasks SET state = ?, last_error = ? WHERE id = ?", "isi",
                        (int64_t)BUS_TASK_DEAD, BUS_PROCESS_ENDED, found.id);
        if (!err)
            err = bus_lane_promote(tx, found.queue, found.lane);
        if (err)
            return err;
    }
}

enum err bus_lane_promote_all(struct store_tx *tx, const char *queue)
{
    struct lane_name found = {0};
    for (;;) {
        bool is_found;
        enum err err = take_name(
            store_query(tx,
                        "SELECT MIN(id), queue, lane FROM bus_tasks WHERE queue = ? AND state = ?"
                        " AND lane > ? GROUP BY queue, lane ORDER BY lane LIMIT 1",
                        "sis", queue, (int64_t)BUS_TASK_BEHIND, found.lane),
            &found, &is_found);
        if (!err && is_found)
            err = bus_lane_promote(tx, queue, found.lane);
        if (err || !is_found)
            return err;
    }
}

enum err bus_lane_promote_one(struct store_tx *tx, int64_t id)
{
    struct lane_name found;
    bool is_found;
    enum err err =
        take_name(store_query(tx, "SELECT id, queue, lane FROM bus_tasks WHERE id = ?", "i", id),
                  &found, &is_found);
    if (err || !is_found || !found.lane[0])
        return err;
    return bus_lane_promote(tx, found.queue, found.lane);
}
