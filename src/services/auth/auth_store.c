/*
 * auth_store: the tables of sign-ins, of refresh tokens (by hash) and of the audit log, and all SQL
 * on them.
 */
#include <sodium.h>

#include "services/auth/auth_internal.h"

const struct store_migration auth_migrations[] = {
    {"auth", 1,
     "CREATE TABLE auth_sessions ("
     " id TEXT NOT NULL PRIMARY KEY,"
     " user_id TEXT NOT NULL,"
     " is_guest INTEGER NOT NULL,"
     " meeting_id TEXT NOT NULL,"
     " name TEXT NOT NULL,"
     " device TEXT NOT NULL,"
     " user_agent TEXT NOT NULL,"
     " remote_addr TEXT NOT NULL,"
     " created_at_ms INTEGER NOT NULL,"
     " last_seen_at_ms INTEGER NOT NULL,"
     " expires_at_ms INTEGER NOT NULL,"
     " password_changed_at_ms INTEGER NOT NULL,"
     " revoked_at_ms INTEGER NOT NULL);"
     "CREATE INDEX auth_sessions_by_user ON auth_sessions (user_id, revoked_at_ms);"
     "CREATE INDEX auth_sessions_by_expiry ON auth_sessions (expires_at_ms);"
     "CREATE TABLE auth_refresh_tokens ("
     " token_hash TEXT NOT NULL PRIMARY KEY,"
     " session_id TEXT NOT NULL,"
     " created_at_ms INTEGER NOT NULL,"
     " expires_at_ms INTEGER NOT NULL,"
     " used_at_ms INTEGER NOT NULL,"
     " used_addr TEXT NOT NULL,"
     " used_agent TEXT NOT NULL);"
     "CREATE INDEX auth_refresh_tokens_by_expiry ON auth_refresh_tokens (expires_at_ms);"
     "CREATE TABLE auth_audit ("
     " id TEXT NOT NULL PRIMARY KEY,"
     " at_ms INTEGER NOT NULL,"
     " actor_id TEXT NOT NULL,"
     " action TEXT NOT NULL,"
     " target TEXT NOT NULL,"
     " remote_addr TEXT NOT NULL,"
     " detail TEXT NOT NULL);"
     "CREATE INDEX auth_audit_by_time ON auth_audit (at_ms, id);"
     "CREATE INDEX auth_audit_by_actor ON auth_audit (actor_id, at_ms);"},
    {"auth", 2,
     "CREATE TABLE auth_api_keys ("
     " id TEXT NOT NULL PRIMARY KEY,"
     " user_id TEXT NOT NULL,"
     " owner_id TEXT NOT NULL,"
     " name TEXT NOT NULL,"
     " kind INTEGER NOT NULL,"
     " secret BLOB NOT NULL,"
     " scopes TEXT NOT NULL,"
     " created_at_ms INTEGER NOT NULL,"
     " expires_at_ms INTEGER NOT NULL,"
     " last_used_at_ms INTEGER NOT NULL);"
     "CREATE INDEX auth_api_keys_by_owner ON auth_api_keys (owner_id, created_at_ms);"
     "CREATE INDEX auth_api_keys_by_user ON auth_api_keys (user_id);"},
};
const size_t auth_migration_count = ARRAY_LEN(auth_migrations);

/* ---- sign-ins ---- */

#define SESSION_COLUMNS                                                                        \
    "id, user_id, is_guest, meeting_id, name, device, user_agent, remote_addr, created_at_ms," \
    " last_seen_at_ms, expires_at_ms, password_changed_at_ms, revoked_at_ms"

static void read_session(struct store_stmt *st, struct arena *arena, struct auth_session *out)
{
    id_read(out->id, store_str(st, 0));
    id_read(out->user_id, store_str(st, 1));
    out->is_guest = store_int(st, 2) != 0;
    id_read(out->meeting_id, store_str(st, 3));
    out->name = store_text(st, 4, arena);
    out->device = store_text(st, 5, arena);
    out->user_agent = store_text(st, 6, arena);
    out->remote_addr = store_text(st, 7, arena);
    out->created_at_ms = store_int(st, 8);
    out->last_seen_at_ms = store_int(st, 9);
    out->expires_at_ms = store_int(st, 10);
    out->password_changed_at_ms = store_int(st, 11);
    out->revoked_at_ms = store_int(st, 12);
}

enum err auth_store_add_session(struct store_tx *tx, const struct auth_session *s)
{
    return store_run(tx,
                     "INSERT INTO auth_sessions (" SESSION_COLUMNS ")"
                     " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
                     "ssisssssiiiii", s->id, s->user_id, (int64_t)s->is_guest, s->meeting_id,
                     s->name, s->device, s->user_agent, s->remote_addr, s->created_at_ms,
                     s->last_seen_at_ms, s->expires_at_ms, s->password_changed_at_ms,
                     s->revoked_at_ms);
}

enum err auth_store_forget(struct store_tx *tx, const char *user_id)
{
    static const char *const sql[] = {
        ("DELETE FROM auth_refresh_tokens WHERE session_id IN"
         " (SELECT id FROM auth_sessions WHERE user_id = ?)"),
        "DELETE FROM auth_sessions WHERE user_id = ?",
        "DELETE FROM auth_api_keys WHERE user_id = ?",
        "DELETE FROM auth_api_keys WHERE owner_id = ?",
        "UPDATE auth_audit SET remote_addr = '', detail = '' WHERE actor_id = ?",
    };
    enum err err = ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(sql) && !err; i++)
        err = store_run(tx, sql[i], "s", user_id);
    return err;
}

enum err auth_store_find_session(struct store_tx *tx, struct arena *arena, const char *id,
                                 struct auth_session *out)
{
    struct store_stmt *st =
        store_query(tx, "SELECT " SESSION_COLUMNS " FROM auth_sessions WHERE id = ?", "s", id);
    bool is_found = store_step(st);
    if (is_found)
        read_session(st, arena, out);
    enum err err = store_finish(st);
    return err ? err : is_found ? ERR_OK : ERR_NOT_FOUND;
}

enum err auth_store_list_sessions(struct store_tx *tx, struct arena *arena, const char *user_id,
                                  int64_t now_ms, size_t max, struct auth_session **list,
                                  size_t *count)
{
    struct store_stmt *st = store_query(tx,
                                        "SELECT " SESSION_COLUMNS " FROM auth_sessions"
                                        " WHERE user_id = ? AND revoked_at_ms = 0 AND"
                                        " expires_at_ms > ?"
                                        " ORDER BY last_seen_at_ms DESC, id DESC LIMIT ?",
                                        "sii", user_id, now_ms, (int64_t)max);
    *list = arena_array(arena, struct auth_session, max);
    *count = 0;
    while (*count < max && store_step(st))
        read_session(st, arena, &(*list)[(*count)++]);
    return store_finish(st);
}

enum err auth_store_revoke_session(struct store_tx *tx, const char *id, int64_t now_ms)
{
    enum err err = store_run(
        tx, "UPDATE auth_sessions SET revoked_at_ms = ? WHERE id = ? AND revoked_at_ms = 0", "is",
        now_ms, id);
    return err ? err : store_changes(tx) == 1 ? ERR_OK : ERR_NOT_FOUND;
}

enum err auth_store_touch_session(struct store_tx *tx, const char *id, int64_t now_ms,
                                  int64_t expires_at_ms)
{
    return store_run(tx,
                     "UPDATE auth_sessions SET last_seen_at_ms = ?,"
                     " expires_at_ms = CASE WHEN ? > expires_at_ms THEN ? ELSE expires_at_ms END"
                     " WHERE id = ?",
                     "iiis", now_ms, expires_at_ms, expires_at_ms, id);
}

enum err auth_store_set_session_password(struct store_tx *tx, const char *id, int64_t changed_at_ms)
{
    return store_run(tx, "UPDATE auth_sessions SET password_changed_at_ms = ? WHERE id = ?", "is",
                     changed_at_ms, id);
}

/* ---- refresh tokens ---- */

void auth_store_hash(const char *token_id, char out[65])
{
    uint8_t hash[32];
    /* The id is 256 random bits: a plain hash is enough. */
    crypto_generichash(hash, sizeof(hash), (const uint8_t *)token_id, strlen(token_id), NULL, 0);
    str_hex(out, hash, sizeof(hash));
}

enum err auth_store_add_refresh(struct store_tx *tx, const struct auth_refresh *r)
{
    return store_run(tx,
                     "INSERT INTO auth_refresh_tokens (token_hash, session_id, created_at_ms,"
                     " expires_at_ms, used_at_ms, used_addr, used_agent)"
                     " VALUES (?, ?, ?, ?, 0, '', '')",
                     "ssii", r->token_hash, r->session_id, r->created_at_ms, r->expires_at_ms);
}

enum err auth_store_find_refresh(struct store_tx *tx, struct arena *arena, const char *token_hash,
                                 struct auth_refresh *out)
{
    struct store_stmt *st = store_query(tx,
                                        "SELECT session_id, created_at_ms, expires_at_ms,"
                                        " used_at_ms, used_addr, used_agent"
                                        " FROM auth_refresh_tokens WHERE token_hash = ?",
                                        "s", token_hash);
    bool is_found = store_step(st);
    if (is_found) {
        memcpy(out->token_hash, token_hash, sizeof(out->token_hash));
        id_read(out->session_id, store_str(st, 0));
        out->created_at_ms = store_int(st, 1);
        out->expires_at_ms = store_int(st, 2);
        out->used_at_ms = store_int(st, 3);
        out->used_addr = store_text(st, 4, arena);
        out->used_agent = store_text(st, 5, arena);
    }
    enum err err = store_finish(st);
    return err ? err : is_found ? ERR_OK : ERR_NOT_FOUND;
}

enum err auth_store_use_refresh(struct store_tx *tx, const char *token_hash, int64_t now_ms,
                                const char *addr, const char *agent)
{
    enum err err = store_run(tx,
                             "UPDATE auth_refresh_tokens SET used_at_ms = ?, used_addr = ?,"
                             " used_agent = ? WHERE token_hash = ? AND used_at_ms = 0",
                             "isss", now_ms, addr, agent, token_hash);
    return err ? err : store_changes(tx) == 1 ? ERR_OK : ERR_ABORTED;
}

/* ---- the audit log ---- */

enum err auth_store_add_audit(struct store_tx *tx, const struct auth_audit *a)
{
    /* An event may come twice; its id comes in once. */
    return store_run(tx,
                     "INSERT INTO auth_audit (id, at_ms, actor_id, action, target, remote_addr,"
                     " detail) VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
                     "sisssss", a->id, a->at_ms, a->actor_id, a->action, a->target, a->remote_addr,
                     a->detail);
}

enum err auth_store_list_audit(struct store_tx *tx, struct arena *arena, const char *actor_id,
                               const char *action, const struct page *page,
                               struct auth_audit **list, size_t *count)
{
    int64_t sort = page->is_first ? INT64_MAX : page->sort;
    struct store_stmt *st = store_query(
        tx,
        "SELECT id, at_ms, actor_id, action, target, remote_addr, detail FROM auth_audit"
        " WHERE (? = '' OR actor_id = ?) AND (? = '' OR action = ?)"
        " AND (at_ms < ? OR (at_ms = ? AND id < ?)) ORDER BY at_ms DESC, id DESC LIMIT ?",
        "ssssiisi", actor_id, actor_id, action, action, sort, sort, page->id,
        (int64_t)page->limit + 1);
    size_t max = (size_t)page->limit + 1;
    *list = arena_array(arena, struct auth_audit, max);
    for (*count = 0; *count < max && store_step(st); (*count)++)
        (*list)[*count] = (struct auth_audit){
            .id = store_text(st, 0, arena),
            .at_ms = store_int(st, 1),
            .actor_id = store_text(st, 2, arena),
            .action = store_text(st, 3, arena),
            .target = store_text(st, 4, arena),
            .remote_addr = store_text(st, 5, arena),
            .detail = store_text(st, 6, arena),
        };
    return store_finish(st);
}

enum err auth_store_sweep(struct store_tx *tx, int64_t dead_before_ms, int64_t audit_before_ms)
{
    enum err err = store_run(tx,
                             "DELETE FROM auth_sessions WHERE expires_at_ms < ? OR"
                             " (revoked_at_ms > 0 AND revoked_at_ms < ?)",
                             "ii", dead_before_ms, dead_before_ms);
    if (!err)
        err = store_run(tx, "DELETE FROM auth_refresh_tokens WHERE expires_at_ms < ?", "i",
                        dead_before_ms);
    if (!err)
        err = auth_store_sweep_keys(tx, dead_before_ms);
    if (!err)
        err = store_run(tx, "DELETE FROM auth_audit WHERE at_ms < ?", "i", audit_before_ms);
    return err;
}
