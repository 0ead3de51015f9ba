/* The table of what outlives a visit: what people say of themselves, to whom, and when they were
 * last here. */
#include "services/presence/presence_internal.h"

const struct store_migration presence_migrations[] = {
    {.room = "presence",
     .version = 1,
     .sql = "CREATE TABLE presence_people ("
            " user_id TEXT PRIMARY KEY, status INTEGER NOT NULL, status_until_ms BIGINT NOT NULL,"
            " text TEXT NOT NULL, emoji TEXT NOT NULL, text_until_ms BIGINT NOT NULL,"
            " shown_to INTEGER NOT NULL, last_seen_to INTEGER NOT NULL,"
            " last_seen_ms BIGINT NOT NULL);"},
};
const size_t presence_migration_count = ARRAY_LEN(presence_migrations);

enum err presence_store_load(struct store_tx *tx, struct arena *arena, const char *user_id,
                             Presence__Settings *out)
{
    struct store_stmt *st =
        store_query(tx,
                    "SELECT status, status_until_ms, text, emoji, text_until_ms, shown_to,"
                    " last_seen_to, last_seen_ms FROM presence_people WHERE user_id = ?",
                    "s", user_id);
    if (store_step(st)) {
        out->status = (Presence__Status)store_int(st, 0);
        out->status_until_ms = store_int(st, 1);
        out->text = store_text(st, 2, arena);
        out->emoji = store_text(st, 3, arena);
        out->text_until_ms = store_int(st, 4);
        out->shown_to = (Presence__Audience)store_int(st, 5);
        out->last_seen_to = (Presence__Audience)store_int(st, 6);
        out->last_seen_ms = store_int(st, 7);
    }
    return store_finish(st);
}

enum err presence_store_save(struct store_tx *tx, const char *user_id, const Presence__Settings *s)
{
    return store_run(
        tx,
        "INSERT INTO presence_people (user_id, status, status_until_ms, text, emoji,"
        " text_until_ms, shown_to, last_seen_to, last_seen_ms) VALUES (?,?,?,?,?,?,?,?,?)"
        " ON CONFLICT (user_id) DO UPDATE SET status = excluded.status,"
        " status_until_ms = excluded.status_until_ms, text = excluded.text,"
        " emoji = excluded.emoji, text_until_ms = excluded.text_until_ms,"
        " shown_to = excluded.shown_to, last_seen_to = excluded.last_seen_to,"
        " last_seen_ms = excluded.last_seen_ms",
        "siissiiii", user_id, (int64_t)s->status, s->status_until_ms, s->text, s->emoji,
        s->text_until_ms, (int64_t)s->shown_to, (int64_t)s->last_seen_to, s->last_seen_ms);
}

enum err presence_store_seen(struct store_tx *tx, const char *user_id, int64_t at_ms)
{
    return store_run(tx,
                     "INSERT INTO presence_people (user_id, status, status_until_ms, text, emoji,"
                     " text_until_ms, shown_to, last_seen_to, last_seen_ms)"
                     " VALUES (?,?,0,'','',0,0,0,?) ON CONFLICT (user_id) DO UPDATE SET"
                     " last_seen_ms = excluded.last_seen_ms"
                     " WHERE presence_people.last_seen_ms < excluded.last_seen_ms",
                     "sii", user_id, (int64_t)PRESENCE__STATUS__ONLINE, at_ms);
}

static enum err load_job(struct store_tx *tx, void *arg)
{
    struct presence_batch *b = arg;
    enum err err = ERR_OK;
    for (size_t i = 0; i < b->count && !err; i++) {
        if (b->settings[i])
            continue;
        b->settings[i] = arena_new(b->arena, Presence__Settings);
        presence__settings__init(b->settings[i]);
        b->settings[i]->status = PRESENCE__STATUS__ONLINE;
        err = presence_store_load(tx, b->arena, b->ids[i], b->settings[i]);
    }
    return err;
}

enum err presence_load(struct presence_service *svc, struct presence_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (!batch->settings[i])
            return store_read(svc->deps.store, load_job, batch);
    }
    return ERR_OK;
}
