/* bus_outbox_store: the outbox's SQL. */
#include "bus/bus_outbox_internal.h"
#include "core/clock.h"
#include "core/id.h"

enum err outbox_insert(struct bus *bus, struct store_tx *tx, const struct bus_event *event)
{
    char id[ID_SIZE];
    id_make(id);
    return store_run(tx,
                     "INSERT INTO bus_outbox (event_id, channel, type, event_key, payload,"
                     " at_ms, traceparent, owner) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                     "ssssbiss", id, event->channel, event->type, event->key ? event->key : "",
                     event->payload.p, event->payload.n, clock_wall_ms(),
                     event->traceparent ? event->traceparent : "", bus_owner_name(bus->owner));
}

#define COLUMNS "SELECT id, event_id, channel, type, event_key, payload, at_ms, traceparent"
#define MINE " WHERE o.owner = ? AND o.id > ? ORDER BY o.id LIMIT ?"

static struct store_stmt *page_query(struct store_tx *tx, const struct outbox_page *p)
{
    if (!p->owner[0])
        return store_query(tx, COLUMNS ", 0 FROM bus_outbox WHERE id > ? ORDER BY id LIMIT ?", "ii",
                           p->after, p->count_max);
    return store_query(tx,
                       p->is_ordered ? COLUMNS
                           ", EXISTS (SELECT 1 FROM bus_outbox e WHERE e.channel ="
                           " o.channel AND e.event_key = o.event_key AND e.id < o.id AND"
                           " e.owner <> o.owner AND e.owner <> '')"
                           " FROM bus_outbox o" MINE
                                     : COLUMNS ", 0 FROM bus_outbox o" MINE,
                       "sii", p->owner, p->after, p->count_max);
}

enum err outbox_page_read(struct store_tx *tx, void *arg)
{
    struct outbox_page *p = arg;
    struct store_stmt *st = page_query(tx, p);
    while (p->count < OUTBOX_READ_MAX && store_step(st)) {
        struct outbox_row *row = &p->rows[p->count++];
        row->id = store_int(st, 0);
        row->event.id = store_text(st, 1, p->arena);
        row->event.channel = store_text(st, 2, p->arena);
        row->event.type = store_text(st, 3, p->arena);
        row->event.key = store_text(st, 4, p->arena);
        row->event.payload.p = store_blob(st, 5, p->arena, &row->event.payload.n);
        row->event.at_ms = store_int(st, 6);
        row->event.traceparent = store_text(st, 7, p->arena);
        row->event.source = p->process;
        row->is_behind = store_int(st, 8) != 0;
    }
    return store_finish(st);
}

enum err outbox_deletion_run(struct store_tx *tx, void *arg)
{
    const struct outbox_deletion *d = arg;
    for (size_t i = 0; i < d->count; i++) {
        enum err err = store_run(tx, "DELETE FROM bus_outbox WHERE id = ?", "i", d->ids[i]);
        if (err)
            return err;
    }
    return ERR_OK;
}
