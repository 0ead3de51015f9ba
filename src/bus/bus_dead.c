/*
 * bus_dead: for operators: which queues there are and how they stand, which tasks gave up, and a
 * new life or an end for those. Payloads are not shown: they are their service's.
 */
#include "bus/bus_internal.h"

#define QUEUES_MAX 256

static enum err refuse_without_tasks(const struct bus *bus)
{
    return bus->tasks ? ERR_OK : ERR_FAILED_PRECONDITION;
}

/* ---- looking ---- */

struct queue_list {
    struct arena *arena;
    struct bus_queue *list;
    size_t count;
};

static struct bus_queue *queue_of(struct queue_list *l, const char *name)
{
    if (l->count && strcmp(l->list[l->count - 1].name, name) == 0)
        return &l->list[l->count - 1];
    if (l->count == QUEUES_MAX)
        return NULL;
    l->list[l->count].name = name;
    return &l->list[l->count++];
}

static enum err queues_run(struct store_tx *tx, void *arg)
{
    struct queue_list *l = arg;
    struct store_stmt *st =
        store_query(tx, "SELECT queue, state, COUNT(*) FROM bus_tasks GROUP BY queue, state", "");
    while (store_step(st)) {
        struct bus_queue *q = queue_of(l, store_text(st, 0, l->arena));
        int64_t state = store_int(st, 1), count = store_int(st, 2);
        if (!q)
            break;
        q->stats.waiting += state == BUS_TASK_WAITING || state == BUS_TASK_BEHIND ? count : 0;
        q->stats.ready += state == BUS_TASK_READY ? count : 0;
        q->stats.running += state == BUS_TASK_RUNNING ? count : 0;
        q->stats.dead += state == BUS_TASK_DEAD ? count : 0;
    }
    return store_finish(st);
}

enum err bus_list_queues(struct bus *bus, struct arena *arena, struct bus_queue **list,
                         size_t *count)
{
    struct queue_list l = {.arena = arena,
                           .list = arena_array(arena, struct bus_queue, QUEUES_MAX)};
    enum err err = refuse_without_tasks(bus);
    if (!err)
        err = store_read(bus->opt.store, queues_run, &l);
    *list = l.list;
    *count = l.count;
    return err;
}

struct dead_list {
    struct arena *arena;
    const char *queue;
    int64_t above_id;
    size_t max;
    struct bus_dead_task *list;
    size_t count;
};

static enum err dead_run(struct store_tx *tx, void *arg)
{
    struct dead_list *l = arg;
    struct store_stmt *st = store_query(
        tx,
        "SELECT id, queue, type, last_error, attempts, created_ms FROM bus_tasks"
        " WHERE state = ? AND (? = '' OR queue = ?) AND id > ? ORDER BY id LIMIT ?",
        "issii", (int64_t)BUS_TASK_DEAD, l->queue, l->queue, l->above_id, (int64_t)l->max);
    while (l->count < l->max && store_step(st))
        l->list[l->count++] = (struct bus_dead_task){.id = store_int(st, 0),
                                                     .queue = store_text(st, 1, l->arena),
                                                     .type = store_text(st, 2, l->arena),
                                                     .error = store_text(st, 3, l->arena),
                                                     .attempts = (int)store_int(st, 4),
                                                     .created_at_ms = store_int(st, 5)};
    return store_finish(st);
}

enum err bus_list_dead(struct bus *bus, struct arena *arena, const char *queue, int64_t above_id,
                       size_t max, struct bus_dead_task **list, size_t *count)
{
    struct dead_list l = {.arena = arena, .queue = queue, .above_id = above_id, .max = max};
    l.list = arena_array(arena, struct bus_dead_task, max);
    enum err err = refuse_without_tasks(bus);
    if (!err)
        err = store_read(bus->opt.store, dead_run, &l);
    *list = l.list;
    *count = l.count;
    return err;
}

/* ---- doing ---- */

static enum err revive_one_run(struct store_tx *tx, void *arg)
{
    const int64_t *id = arg;
    enum err err = store_run(tx,
                             "UPDATE bus_tasks SET state = CASE WHEN lane = '' THEN ? ELSE ? END,"
                             " attempts = 0, due_ms = 0 WHERE id = ? AND state = ?",
                             "iiii", (int64_t)BUS_TASK_READY, (int64_t)BUS_TASK_BEHIND, *id,
                             (int64_t)BUS_TASK_DEAD);
    if (err)
        return err;
    return store_changes(tx) == 1 ? bus_lane_promote_one(tx, *id) : ERR_NOT_FOUND;
}

enum err bus_revive_one(struct bus *bus, int64_t id)
{
    enum err err = refuse_without_tasks(bus);
    if (!err)
        err = store_write_sync(bus->opt.store, 0, revive_one_run, &id);
    if (!err)
        bus_tasks_wake(bus->tasks);
    return err;
}

static enum err drop_one_run(struct store_tx *tx, void *arg)
{
    const int64_t *id = arg;
    enum err err = store_run(tx, "DELETE FROM bus_tasks WHERE id = ? AND state = ?", "ii", *id,
                             (int64_t)BUS_TASK_DEAD);
    return err ? err : store_changes(tx) == 1 ? ERR_OK : ERR_NOT_FOUND;
}

enum err bus_drop_one(struct bus *bus, int64_t id)
{
    enum err err = refuse_without_tasks(bus);
    return err ? err : store_write_essential_sync(bus->opt.store, 0, drop_one_run, &id);
}

struct dropping {
    const char *queue;
    int64_t count;
};

static enum err drop_run(struct store_tx *tx, void *arg)
{
    struct dropping *d = arg;
    enum err err = store_run(tx, "DELETE FROM bus_tasks WHERE queue = ? AND state = ?", "si",
                             d->queue, (int64_t)BUS_TASK_DEAD);
    d->count = store_changes(tx);
    return err;
}

enum err bus_drop_dead(struct bus *bus, const char *queue, int64_t *count)
{
    struct dropping d = {.queue = queue};
    enum err err = refuse_without_tasks(bus);
    if (!err)
        err = store_write_essential_sync(bus->opt.store, 0, drop_run, &d);
    *count = err ? 0 : d.count;
    return err;
}
