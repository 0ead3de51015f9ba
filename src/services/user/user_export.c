/* user_export: the account, its picture, its bots, and invitations it gave. */
#include "services/common/export.h"
#include "services/user/user_internal.h"

static const struct export_query queries[] = {
    {"profile",
     "id username nickname email phone description locale time_zone role# is_disabled?"
     " password_changed_at_ms# created_at_ms# updated_at_ms#",
     "SELECT id, username, nickname, email, phone, description, locale, time_zone, role,"
     " is_disabled, password_changed_at_ms, created_at_ms, updated_at_ms FROM user_accounts"
     " WHERE id = ?1"},
    {"bots", "id username nickname description is_disabled? created_at_ms#",
     "SELECT id, username, nickname, description, is_disabled, created_at_ms FROM user_accounts"
     " WHERE owner_id = ?1"},
    {"invitations", "email created_at_ms# expires_at_ms# used_by",
     "SELECT email, created_at_ms, expires_at_ms, used_by FROM user_invitations"
     " WHERE created_by = ?1"},
};

struct finding {
    struct arena *arena;
    const char *login;
    struct user_row row;
};

static enum err find_job(struct store_tx *tx, void *arg)
{
    struct finding *f = arg;
    return user_store_find_login(tx, f->arena, f->login, &f->row);
}

enum err user_export(struct store *store, const char *login, char id[ID_SIZE],
                     const struct export_sink *sink)
{
    struct finding f = {.arena = arena_create(), .login = login};
    enum err err = store_read(store, find_job, &f);
    if (!err) {
        snprintf(id, ID_SIZE, "%s", f.row.id);
        err = export_run(store, queries, ARRAY_LEN(queries), id, sink);
    }
    if (!err && f.row.avatar_version[0]) {
        char blob[80];
        snprintf(blob, sizeof(blob), "avatars/%s/%s", id, f.row.avatar_version);
        err = sink->blob(sink->arg, blob, "files/picture");
    }
    arena_destroy(&f.arena);
    return err;
}
