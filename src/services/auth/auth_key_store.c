/*
 * auth_key_store: the table of keys of programs, and all SQL on it.
 */
#include "services/auth/auth_internal.h"

#define KEY_COLUMNS                                                                    \
    "id, user_id, owner_id, name, kind, secret, scopes, created_at_ms, expires_at_ms," \
    " last_used_at_ms"

static void read_key(struct store_stmt *st, struct arena *arena, struct auth_key *out)
{
    id_read(out->id, store_str(st, 0));
    id_read(out->user_id, store_str(st, 1));
    id_read(out->owner_id, store_str(st, 2));
    out->name = store_text(st, 3, arena);
    out->kind = (Auth__KeyKind)store_int(st, 4);
    out->secret = store_blob(st, 5, arena, &out->secret_n);
    out->scopes = store_text(st, 6, arena);
    out->created_at_ms = store_int(st, 7);
    out->expires_at_ms = store_int(st, 8);
    out->last_used_at_ms = store_int(st, 9);
}

static enum err read_list(struct store_stmt *st, struct arena *arena, size_t max,
                          struct auth_key **list, size_t *count)
{
    *list = arena_array(arena, struct auth_key, max);
    *count = 0;
    while (*count < max && store_step(st))
        read_key(st, arena, &(*list)[(*count)++]);
    return store_finish(st);
}

enum err auth_store_add_key(struct store_tx *tx, const struct auth_key *k)
{
    return store_run(tx,
                     "INSERT INTO auth_api_keys (" KEY_COLUMNS ")"
                     " VALUES (?,?,?,?,?,?,?,?,?,?)",
                     "ssssibsiii", k->id, k->user_id, k->owner_id, k->name, (int64_t)k->kind,
                     k->secret, k->secret_n, k->scopes, k->created_at_ms, k->expires_at_ms,
                     k->last_used_at_ms);
}

enum err auth_store_find_key(struct store_tx *tx, struct arena *arena, const char *id,
                             struct auth_key *out)
{
    struct store_stmt *st =
        store_query(tx, "SELECT " KEY_COLUMNS " FROM auth_api_keys WHERE id = ?", "s", id);
    bool is_found = store_step(st);
    if (is_found)
        read_key(st, arena, out);
    enum err err = store_finish(st);
    return err ? err : is_found ? ERR_OK : ERR_NOT_FOUND;
}

enum err auth_store_list_keys(struct store_tx *tx, struct arena *arena, const char *owner_id,
                              int64_t now_ms, size_t max, struct auth_key **list, size_t *count)
{
    return read_list(store_query(tx,
                                 "SELECT " KEY_COLUMNS " FROM auth_api_keys WHERE owner_id = ?"
                                 " AND (expires_at_ms = 0 OR expires_at_ms > ?)"
                                 " ORDER BY created_at_ms DESC, id DESC LIMIT ?",
                                 "sii", owner_id, now_ms, (int64_t)max),
                     arena, max, list, count);
}

enum err auth_store_list_keys_about(struct store_tx *tx, struct arena *arena, const char *user_id,
                                    size_t max, struct auth_key **list, size_t *count)
{
    return read_list(store_query(tx,
                                 "SELECT " KEY_COLUMNS " FROM auth_api_keys"
                                 " WHERE owner_id = ? OR user_id = ? LIMIT ?",
                                 "ssi", user_id, user_id, (int64_t)max),
                     arena, max, list, count);
}

enum err auth_store_remove_key(struct store_tx *tx, const char *id)
{
    enum err err = store_run(tx, "DELETE FROM auth_api_keys WHERE id = ?", "s", id);
    return err ? err : store_changes(tx) == 1 ? ERR_OK : ERR_NOT_FOUND;
}

enum err auth_store_touch_key(struct store_tx *tx, const char *id, int64_t now_ms)
{
    return store_run(tx, "UPDATE auth_api_keys SET last_used_at_ms = ? WHERE id = ?", "is", now_ms,
                     id);
}

enum err auth_store_sweep_keys(struct store_tx *tx, int64_t dead_before_ms)
{
    return store_run(tx, "DELETE FROM auth_api_keys WHERE expires_at_ms > 0 AND expires_at_ms < ?",
                     "i", dead_before_ms);
}
