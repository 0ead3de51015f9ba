/* bus_carry_store: the SQL of tasks that travel (bus_carry.c). A row with is_here = 0 was put in by
 * a sender; with 1 it has arrived, and may be run. */
#include <stdlib.h>

#include "bus/bus_internal.h"

static enum err look_run(struct store_tx *tx, void *arg)
{
    bool *has = arg;
    struct store_stmt *st =
        store_query(tx, "SELECT 1 FROM bus_tasks WHERE state = ? AND is_here = 0 LIMIT 1", "i",
                    (int64_t)BUS_TASK_READY);
    *has = store_step(st);
    return store_finish(st);
}

enum err bus_tasks_has_departing(struct store *store, bool *has)
{
    return store_read_one(store, look_run, has);
}

enum err bus_task_depart(struct store_tx *tx, const struct bus_claiming *how,
                         struct bus_claim **list)
{
    struct store_stmt *st =
        store_query(tx,
                    "SELECT id, type, payload, idempotency_key, turn, attempts, attempts_max, lane,"
                    " queue FROM bus_tasks WHERE state = ? AND is_here = 0 ORDER BY turn, id"
                    " LIMIT ?",
                    "ii", (int64_t)BUS_TASK_READY, (int64_t)how->count);
    struct bus_claim **end = list;
    while (store_step(st)) {
        *end = bus_claim_from_row(st, store_str(st, 8));
        end = &(*end)->next;
    }
    enum err err = store_finish(st);
    for (const struct bus_claim *c = *list; c && !err; c = c->next)
        err = store_run(tx, "UPDATE bus_tasks SET state = ?, due_ms = ?, owner = ? WHERE id = ?",
                        "iisi", (int64_t)BUS_TASK_RUNNING, how->lease_until_ms, how->owner, c->id);
    return err;
}

/* A key is remembered where it was given, as of a task that is done; if the receiver's table is the
 * same one, it finds it there. */
enum err bus_task_departed(struct store_tx *tx, int64_t id, bool is_sent, int64_t forget_ms)
{
    if (!is_sent)
        return store_run(
            tx, "UPDATE bus_tasks SET state = ? WHERE id = ? AND state = ? AND is_here = 0", "iii",
            (int64_t)BUS_TASK_READY, id, (int64_t)BUS_TASK_RUNNING);
    enum err err =
        store_run(tx,
                  "UPDATE bus_tasks SET state = ?, due_ms = ? WHERE id = ?"
                  " AND state = ? AND is_here = 0 AND idempotency_key IS NOT NULL",
                  "iiii", (int64_t)BUS_TASK_DONE, forget_ms, id, (int64_t)BUS_TASK_RUNNING);
    return err ? err
               : store_run(tx,
                           "DELETE FROM bus_tasks WHERE id = ? AND state = ? AND is_here = 0"
                           " AND idempotency_key IS NULL",
                           "ii", id, (int64_t)BUS_TASK_RUNNING);
}

enum err bus_task_arrive(struct store_tx *tx, const struct bus_task *t, int64_t now_ms)
{
    enum err err = ERR_OK;
    int64_t found = 0;
    if (t->idempotency_key) {
        err = store_run(tx,
                        "UPDATE bus_tasks SET is_here = 1, state = ?, due_ms = ? WHERE queue = ?"
                        " AND idempotency_key = ? AND is_here = 0",
                        "iiss", (int64_t)BUS_TASK_READY, now_ms, t->queue, t->idempotency_key);
        found = err ? 0 : store_changes(tx);
    }
    return err || found ? err : bus_task_insert(tx, t, now_ms, BUS_TASK_HERE);
}
