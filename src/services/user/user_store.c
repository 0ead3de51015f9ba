/*
 * user_store: the tables of accounts and of invitations to register, and all SQL on them. What is
 * compared without regard to case is stored folded in a column of its own (email_key,
 * nickname_key), so every database compares bytes.
 */
#include "core/id.h"
#include "services/common/text.h"
#include "services/user/user_internal.h"

const struct store_migration user_migrations[] = {
    {"user", 1,
     "CREATE TABLE user_accounts ("
     " id TEXT NOT NULL PRIMARY KEY,"
     " username TEXT NOT NULL UNIQUE,"
     " nickname TEXT NOT NULL,"
     " nickname_key TEXT NOT NULL,"
     " email TEXT NOT NULL,"
     " email_key TEXT UNIQUE," /* NULL: none; several NULLs are no conflict */
     " phone TEXT NOT NULL,"
     " avatar_version TEXT NOT NULL,"
     " avatar_type TEXT NOT NULL,"
     " description TEXT NOT NULL,"
     " locale TEXT NOT NULL,"
     " time_zone TEXT NOT NULL,"
     " role INTEGER NOT NULL,"
     " is_disabled INTEGER NOT NULL,"
     " password_hash TEXT NOT NULL,"
     " password_changed_at_ms INTEGER NOT NULL,"
     " created_at_ms INTEGER NOT NULL,"
     " updated_at_ms INTEGER NOT NULL);"
     "CREATE INDEX user_accounts_by_role ON user_accounts (role, is_disabled);"
     "CREATE TABLE user_invitations ("
     " code TEXT NOT NULL PRIMARY KEY,"
     " email TEXT NOT NULL,"
     " created_by TEXT NOT NULL,"
     " used_by TEXT NOT NULL,"
     " created_at_ms INTEGER NOT NULL,"
     " expires_at_ms INTEGER NOT NULL);"
     "CREATE TABLE user_counters (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL);"
     "INSERT INTO user_counters (name, value) VALUES ('accounts', 0)"},
    /* whose bot it is; "": a person */
    {"user", 2,
     "ALTER TABLE user_accounts ADD COLUMN owner_id TEXT NOT NULL DEFAULT '';"
     "CREATE INDEX user_accounts_by_owner ON user_accounts (owner_id) WHERE owner_id <> ''"},
};
const size_t user_migration_count = ARRAY_LEN(user_migrations);

/* In the order of read_row. */
#define COLUMNS                                                                               \
    "id, username, nickname, email, phone, avatar_version, avatar_type, description, locale," \
    " time_zone, role, is_disabled, password_hash, password_changed_at_ms, created_at_ms,"    \
    " updated_at_ms, owner_id"

static void read_row(struct store_stmt *st, struct arena *arena, struct user_row *out)
{
    *out = (struct user_row){
        .id = store_text(st, 0, arena),
        .username = store_text(st, 1, arena),
        .nickname = store_text(st, 2, arena),
        .email = store_text(st, 3, arena),
        .phone = store_text(st, 4, arena),
        .avatar_version = store_text(st, 5, arena),
        .avatar_type = store_text(st, 6, arena),
        .description = store_text(st, 7, arena),
        .locale = store_text(st, 8, arena),
        .time_zone = store_text(st, 9, arena),
        .role = (enum identity_role)store_int(st, 10),
        .is_disabled = store_int(st, 11) != 0,
        .password_hash = store_text(st, 12, arena),
        .password_changed_at_ms = store_int(st, 13),
        .created_at_ms = store_int(st, 14),
        .updated_at_ms = store_int(st, 15),
        .owner_id = store_text(st, 16, arena),
    };
}

static enum err read_one(struct store_stmt *st, struct arena *arena, struct user_row *out)
{
    bool is_found = store_step(st);
    if (is_found)
        read_row(st, arena, out);
    enum err err = store_finish(st);
    return err ? err : is_found ? ERR_OK : ERR_NOT_FOUND;
}

static enum err read_int(struct store_stmt *st, int64_t *out)
{
    *out = store_step(st) ? store_int(st, 0) : 0;
    return store_finish(st);
}

enum err user_store_find(struct store_tx *tx, struct arena *arena, const char *id,
                         struct user_row *out)
{
    return read_one(store_query(tx, "SELECT " COLUMNS " FROM user_accounts WHERE id = ?", "s", id),
                    arena, out);
}

enum err user_store_find_login(struct store_tx *tx, struct arena *arena, const char *login,
                               struct user_row *out)
{
    struct str text = str_from(login);
    if (text.n == ID_SIZE - 1 && id_is_valid(login)) {
        char id[ID_SIZE] = {0}; /* people may type it in lower case */
        for (size_t i = 0; i < text.n; i++)
            id[i] = login[i] >= 'a' ? (char)(login[i] - 'a' + 'A') : login[i];
        enum err err = user_store_find(tx, arena, id, out);
        if (err != ERR_NOT_FOUND)
            return err;
    }
    const char *folded = text_fold(arena, text);
    if (str_find(text, '@') >= 0)
        return read_one(store_query(tx, "SELECT " COLUMNS " FROM user_accounts WHERE email_key = ?",
                                    "s", folded),
                        arena, out);
    return read_one(
        store_query(tx, "SELECT " COLUMNS " FROM user_accounts WHERE username = ?", "s", folded),
        arena, out);
}

enum err user_store_count_in(struct store_tx *tx, int64_t *ordinal)
{
    /* The update locks the row: on databases with several writers too, registrations pass here one
     * by one, so exactly one of them is the first. */
    enum err err =
        store_run(tx, "UPDATE user_counters SET value = value + 1 WHERE name = 'accounts'", "");
    if (err)
        return err;
    return read_int(store_query(tx, "SELECT value FROM user_counters WHERE name = 'accounts'", ""),
                    ordinal);
}

enum err user_store_is_empty(struct store_tx *tx, bool *is_empty)
{
    int64_t count = 0;
    enum err err = read_int(
        store_query(tx, "SELECT value FROM user_counters WHERE name = 'accounts'", ""), &count);
    *is_empty = count == 0;
    return err;
}

static const char *email_key(struct arena *arena, const char *email)
{
    return email[0] ? text_fold(arena, str_from(email)) : NULL;
}

/* Says which of the unique values belongs to another account already. */
static enum err check_taken(struct store_tx *tx, struct arena *arena, const struct user_row *row,
                            const char **taken)
{
    int64_t count = 0;
    enum err err = read_int(
        store_query(tx, "SELECT COUNT(*) FROM user_accounts WHERE username = ? AND id <> ?", "ss",
                    row->username, row->id),
        &count);
    if (err)
        return err;
    *taken = "username";
    if (count)
        return ERR_ALREADY_EXISTS;
    err = read_int(store_query(tx,
                               "SELECT COUNT(*) FROM user_accounts WHERE email_key = ? AND id <> ?",
                               "ss", email_key(arena, row->email), row->id),
                   &count);
    *taken = "email";
    return err ? err : count ? ERR_ALREADY_EXISTS : ERR_OK;
}

enum err user_store_insert(struct store_tx *tx, struct arena *arena, const struct user_row *r,
                           const char **taken)
{
    enum err err = check_taken(tx, arena, r, taken);
    if (err)
        return err;
    return store_run(tx,
                     "INSERT INTO user_accounts (" COLUMNS ", nickname_key, email_key)"
                     " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                     "ssssssssssiisiiisss", r->id, r->username, r->nickname, r->email, r->phone,
                     r->avatar_version, r->avatar_type, r->description, r->locale, r->time_zone,
                     (int64_t)r->role, (int64_t)r->is_disabled, r->password_hash,
                     r->password_changed_at_ms, r->created_at_ms, r->updated_at_ms,
                     r->owner_id ? r->owner_id : "", text_fold(arena, str_from(r->nickname)),
                     email_key(arena, r->email));
}

enum err user_store_update(struct store_tx *tx, struct arena *arena, const struct user_row *r,
                           const char **taken)
{
    enum err err = check_taken(tx, arena, r, taken);
    if (err)
        return err;
    return store_run(tx,
                     "UPDATE user_accounts SET nickname = ?, nickname_key = ?, email = ?,"
                     " email_key = ?, phone = ?, avatar_version = ?, avatar_type = ?,"
                     " description = ?, locale = ?, time_zone = ?, role = ?, is_disabled = ?,"
                     " updated_at_ms = ? WHERE id = ?",
                     "ssssssssssiiis", r->nickname, text_fold(arena, str_from(r->nickname)),
                     r->email, email_key(arena, r->email), r->phone, r->avatar_version,
                     r->avatar_type, r->description, r->locale, r->time_zone, (int64_t)r->role,
                     (int64_t)r->is_disabled, r->updated_at_ms, r->id);
}

enum err user_store_set_password(struct store_tx *tx, const char *id, const char *hash,
                                 const char *former, int64_t changed_at_ms)
{
    enum err err = store_run(tx,
                             "UPDATE user_accounts SET password_hash = ?,"
                             " password_changed_at_ms = ? WHERE id = ? AND password_hash = ?",
                             "siss", hash, changed_at_ms, id, former);
    return err ? err : store_changes(tx) == 1 ? ERR_OK : ERR_ABORTED;
}

enum err user_store_forget(struct store_tx *tx, const char *id)
{
    enum err err = store_run(tx,
                             "UPDATE user_accounts SET password_hash = '',"
                             " username = 'erased_' || lower(id) WHERE id = ?",
                             "s", id);
    return err ? err
               : store_run(tx,
                           "UPDATE user_invitations SET email = ''"
                           " WHERE used_by = ? OR created_by = ?",
                           "ss", id, id);
}

enum err user_store_count_other_admins(struct store_tx *tx, const char *id, int64_t *count)
{
    return read_int(store_query(tx,
                                "SELECT COUNT(*) FROM user_accounts WHERE role = ? AND"
                                " is_disabled = 0 AND id <> ?",
                                "is", (int64_t)ROLE_ADMIN, id),
                    count);
}

enum err user_store_list_bots(struct store_tx *tx, struct arena *arena, const char *owner_id,
                              size_t max, struct user_row **rows, size_t *count)
{
    struct store_stmt *st = store_query(tx,
                                        "SELECT " COLUMNS " FROM user_accounts WHERE owner_id = ?"
                                        " AND owner_id <> '' AND is_disabled = 0"
                                        " ORDER BY username LIMIT ?",
                                        "si", owner_id, (int64_t)max);
    *rows = arena_array(arena, struct user_row, max);
    *count = 0;
    while (*count < max && store_step(st))
        read_row(st, arena, &(*rows)[(*count)++]);
    return store_finish(st);
}

/* `%` and `_` are only letters when people search for them. */
static char *like_pattern(struct arena *arena, const char *folded)
{
    char *out = arena_alloc(arena, strlen(folded) * 2 + 3), *p = out;
    *p++ = '%';
    for (; *folded; folded++) {
        if (*folded == '%' || *folded == '_' || *folded == '!')
            *p++ = '!';
        *p++ = *folded;
    }
    *p++ = '%';
    *p = 0;
    return out;
}

enum err user_store_search(struct store_tx *tx, struct arena *arena, const struct user_search *s,
                           struct user_row **rows, size_t *count)
{
    const char *inside = like_pattern(arena, s->folded);
    size_t most = (size_t)s->page->limit + 1;
    struct store_stmt *st =
        store_query(tx,
                    "SELECT " COLUMNS " FROM user_accounts WHERE username > ?"
                    " AND (is_disabled = 0 OR ? = 1)"
                    " AND (username LIKE ? ESCAPE '!' OR nickname_key LIKE ? ESCAPE '!'"
                    "  OR (? = 1 AND email_key LIKE ? ESCAPE '!'))"
                    " ORDER BY username LIMIT ?",
                    "sissisi", s->after_username, (int64_t)s->is_full, inside + 1, inside,
                    (int64_t)s->is_full, inside, (int64_t)most);
    *rows = arena_array(arena, struct user_row, most);
    *count = 0;
    while (*count < most && store_step(st))
        read_row(st, arena, &(*rows)[(*count)++]);
    return store_finish(st);
}

enum err user_store_add_invitation(struct store_tx *tx, const struct user_invitation *inv)
{
    return store_run(tx,
                     "INSERT INTO user_invitations (code, email, created_by, used_by,"
                     " created_at_ms, expires_at_ms) VALUES (?, ?, ?, '', ?, ?)",
                     "sssii", inv->code, inv->email, inv->created_by, inv->created_at_ms,
                     inv->expires_at_ms);
}

enum err user_store_check_invitation(struct store_tx *tx, const char *code, int64_t now_ms)
{
    int64_t count = 0;
    enum err err = read_int(store_query(tx,
                                        "SELECT COUNT(*) FROM user_invitations WHERE code = ? AND"
                                        " used_by = '' AND expires_at_ms > ?",
                                        "si", code, now_ms),
                            &count);
    return err ? err : count ? ERR_OK : ERR_NOT_FOUND;
}

enum err user_store_use_invitation(struct store_tx *tx, const char *code, const char *user_id,
                                   int64_t now_ms)
{
    enum err err = store_run(tx,
                             "UPDATE user_invitations SET used_by = ? WHERE code = ? AND"
                             " used_by = '' AND expires_at_ms > ?",
                             "ssi", user_id, code, now_ms);
    return err ? err : store_changes(tx) == 1 ? ERR_OK : ERR_NOT_FOUND;
}

enum err user_store_list_invitations(struct store_tx *tx, struct arena *arena,
                                     struct user_invitation **list, size_t *count)
{
    enum { LIST_MAX = 500 };
    struct store_stmt *st = store_query(tx,
                                        "SELECT code, email, created_by, used_by, created_at_ms,"
                                        " expires_at_ms FROM user_invitations"
                                        " ORDER BY created_at_ms DESC, code LIMIT 500",
                                        "");
    *list = arena_array(arena, struct user_invitation, LIST_MAX);
    for (*count = 0; *count < LIST_MAX && store_step(st); (*count)++)
        (*list)[*count] = (struct user_invitation){
            .code = store_text(st, 0, arena),
            .email = store_text(st, 1, arena),
            .created_by = store_text(st, 2, arena),
            .used_by = store_text(st, 3, arena),
            .created_at_ms = store_int(st, 4),
            .expires_at_ms = store_int(st, 5),
        };
    return store_finish(st);
}

enum err user_store_delete_invitation(struct store_tx *tx, const char *code)
{
    enum err err = store_run(tx, "DELETE FROM user_invitations WHERE code = ?", "s", code);
    return err ? err : store_changes(tx) == 1 ? ERR_OK : ERR_NOT_FOUND;
}
