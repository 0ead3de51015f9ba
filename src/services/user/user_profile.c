/*
 * user_profile: showing, changing and finding accounts. What others see of somebody is decided in
 * one place, user_profile(): e-mail and phone are masked for everybody but the person and
 * administrators.
 */
#include "core/clock.h"
#include "core/id.h"
#include "services/common/audit.h"
#include "services/common/text.h"
#include "services/common/who.h"
#include "services/user/user_internal.h"

static char *masked(struct arena *arena, const char *secret)
{
    char out[320];
    if (!secret[0])
        return arena_strdup(arena, "");
    log_mask(out, sizeof(out), secret);
    return arena_strdup(arena, out);
}

User__Profile *user_profile(struct rpc_call *call, const struct user_row *row)
{
    bool is_open = who_is_admin(call) || who_is(call, row->id);
    User__Profile *out = arena_new(call->arena, User__Profile);
    user__profile__init(out);
    out->id = (char *)row->id;
    out->username = (char *)row->username;
    out->nickname = (char *)row->nickname;
    out->email = is_open ? (char *)row->email : masked(call->arena, row->email);
    out->phone = is_open ? (char *)row->phone : masked(call->arena, row->phone);
    if (row->avatar_version[0])
        out->avatar_url = arena_printf(call->arena, "/api/v1/users/%s/avatar?version=%s", row->id,
                                       row->avatar_version);
    out->description = (char *)row->description;
    out->locale = (char *)row->locale;
    out->time_zone = (char *)row->time_zone;
    out->role = (User__Role)row->role;
    out->is_disabled = row->is_disabled;
    out->created_at_ms = row->created_at_ms;
    out->updated_at_ms = row->updated_at_ms;
    out->owner_id = (char *)(row->owner_id ? row->owner_id : "");
    out->is_bot = out->owner_id[0] != '\0';
    return out;
}

const char *user_resolve_id(struct rpc_call *call, const char *id)
{
    if (!id[0] || strcmp(id, "me") == 0)
        id = who_id(call);
    if (id_is_valid(id))
        return id;
    rpc_fail(call, ERR_NOT_FOUND, "no such user");
    return NULL;
}

struct load {
    struct arena *arena;
    const char *id;
    struct user_row *out;
};

static enum err load_job(struct store_tx *tx, void *arg)
{
    struct load *load = arg;
    return user_store_find(tx, load->arena, load->id, load->out);
}

bool user_load(struct user_service *svc, struct rpc_call *call, const char *id,
               struct user_row *out)
{
    struct load load = {call->arena, id, out};
    enum err err = store_read_one(svc->deps.store, load_job, &load);
    if (err == ERR_NOT_FOUND)
        rpc_fail(call, err, "no such user");
    else if (err)
        who_fail(call, err);
    return !err;
}

User__Profile *user_get(struct user_service *svc, struct rpc_call *call, const char *id)
{
    struct user_row row;
    id = user_resolve_id(call, id);
    return id && user_load(svc, call, id, &row) ? user_profile(call, &row) : NULL;
}

/* ---- changing ---- */

struct change {
    struct user_service *svc;
    struct rpc_call *call;
    const char *id;
    /* NULL: stays */
    const char *nickname, *email, *phone, *description, *locale, *time_zone;
    bool has_role, has_disabled, is_avatar_removed;
    enum identity_role role;
    bool is_disabled;
    /* out */
    struct user_row row;
    char former_avatar[ID_SIZE];
};

#define TAKE(field, take)                                \
    do {                                                 \
        if (in->_##field##_case && !(c->field = (take))) \
            return false;                                \
    } while (0)

static bool take_fields(struct change *c, const User__UpdateUserRequest *in)
{
    struct rpc_call *call = c->call;
    TAKE(nickname, user_take_nickname(call, in->nickname));
    TAKE(email, user_take_email(call, in->email));
    TAKE(phone, user_take_phone(call, in->phone));
    TAKE(description, user_take_description(call, in->description));
    TAKE(locale, user_take_locale(call, in->locale));
    TAKE(time_zone, user_take_time_zone(call, in->time_zone, c->svc->deps.zoneinfo_dir));
    c->is_avatar_removed = in->_avatar_url_case != 0;
    if (c->is_avatar_removed && in->avatar_url[0]) {
        rpc_fail(call, ERR_INVALID_ARGUMENT,
                 "avatar_url: may only be emptied here; PUT the picture itself to .../avatar");
        return false;
    }
    c->has_role = in->_role_case != 0;
    c->has_disabled = in->_is_disabled_case != 0;
    if ((c->has_role || c->has_disabled) && !who_require(call, ROLE_ADMIN))
        return false;
    c->role = (enum identity_role)in->role;
    c->is_disabled = in->is_disabled;
    if (c->has_role && c->role != ROLE_USER && c->role != ROLE_ADMIN) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "role: expected user or admin");
        return false;
    }
    return true;
}

/* Without an administrator nobody could ever mend anything. */
static enum err check_last_admin(struct store_tx *tx, struct change *c)
{
    bool is_losing = (c->has_role && c->role != ROLE_ADMIN) || (c->has_disabled && c->is_disabled);
    if (c->row.role != ROLE_ADMIN || c->row.is_disabled || !is_losing)
        return ERR_OK;
    int64_t others = 0;
    enum err err = user_store_count_other_admins(tx, c->id, &others);
    if (err || others > 0)
        return err;
    rpc_fail(c->call, ERR_FAILED_PRECONDITION, "this is the last administrator");
    return ERR_FAILED_PRECONDITION;
}

static enum err note(struct store_tx *tx, struct change *c, const char *action, const char *detail)
{
    return audit_publish_tx(c->svc->deps.bus, tx, c->call,
                            &(struct audit_note){action, c->id, detail, NULL});
}

/* Role and disabling are told apart from the rest: auth acts on them, and they are on record. */
static enum err apply_powers(struct store_tx *tx, struct change *c)
{
    static const char *const names[] = {"none", "guest", "user", "admin"};
    enum err err = ERR_OK;
    struct user_row *row = &c->row;
    if (c->has_role && c->role != row->role) {
        char *detail =
            arena_printf(c->call->arena, "%s -> %s", names[row->role & 3], names[c->role & 3]);
        row->role = c->role;
        err = note(tx, c, "role_changed", detail);
        if (!err)
            err = user_publish_tx(c->svc, tx, c->call, "user.role_changed", row);
    }
    if (!err && c->has_disabled && c->is_disabled != row->is_disabled) {
        row->is_disabled = c->is_disabled;
        err = note(tx, c, c->is_disabled ? "user_disabled" : "user_enabled", NULL);
        if (!err)
            err = user_publish_tx(c->svc, tx, c->call,
                                  c->is_disabled ? "user.disabled" : "user.enabled", row);
    }
    return err;
}

static void apply_fields(struct change *c)
{
    struct user_row *row = &c->row;
    row->nickname = c->nickname ? c->nickname : row->nickname;
    row->email = c->email ? c->email : row->email;
    row->phone = c->phone ? c->phone : row->phone;
    row->description = c->description ? c->description : row->description;
    row->locale = c->locale ? c->locale : row->locale;
    row->time_zone = c->time_zone ? c->time_zone : row->time_zone;
    c->former_avatar[0] = 0;
    if (c->is_avatar_removed) {
        strncpy(c->former_avatar, row->avatar_version, sizeof(c->former_avatar) - 1);
        row->avatar_version = row->avatar_type = "";
    }
    row->updated_at_ms = MAX(clock_wall_ms(), row->updated_at_ms + 1);
}

static enum err change_job(struct store_tx *tx, void *arg)
{
    struct change *c = arg;
    const char *taken = NULL;
    enum err err = user_store_find(tx, c->call->arena, c->id, &c->row);
    if (err == ERR_NOT_FOUND)
        rpc_fail(c->call, err, "no such user");
    if (!err && c->row.owner_id[0] && (c->has_role || (c->email && c->email[0]))) {
        rpc_fail(c->call, ERR_INVALID_ARGUMENT, "role, email: a bot has none");
        return ERR_INVALID_ARGUMENT;
    }
    if (!err)
        err = check_last_admin(tx, c);
    if (err)
        return err;
    bool is_email_new = c->email && strcmp(c->email, c->row.email) != 0;
    apply_fields(c);
    err = apply_powers(tx, c);
    if (!err)
        err = user_store_update(tx, c->call->arena, &c->row, &taken);
    if (err == ERR_ALREADY_EXISTS)
        rpc_fail(c->call, err, "%s: belongs to another account already", taken);
    if (!err && is_email_new)
        err = note(tx, c, "email_changed", NULL);
    if (!err)
        err = user_publish_tx(c->svc, tx, c->call, "user.updated", &c->row);
    return err;
}

User__Profile *user_update(struct user_service *svc, struct rpc_call *call,
                           const User__UpdateUserRequest *in)
{
    struct change c = {.svc = svc, .call = call, .id = user_resolve_id(call, in->id)};
    if (!c.id)
        return NULL;
    if (!user_may_change(svc, call, c.id))
        return NULL;
    if (!take_fields(&c, in))
        return NULL;
    enum err err = store_write_sync(svc->deps.store, 0, change_job, &c);
    if (err)
        return who_fail(call, err);
    if (c.former_avatar[0])
        user_drop_avatar(svc, c.id, c.former_avatar);
    return user_profile(call, &c.row);
}

/* ---- searching ---- */

struct search {
    struct arena *arena;
    struct user_search what;
    struct page page;
    struct user_row *rows;
    size_t count;
};

static enum err search_job(struct store_tx *tx, void *arg)
{
    struct search *s = arg;
    return user_store_search(tx, s->arena, &s->what, &s->rows, &s->count);
}

User__UserList *user_search(struct user_service *svc, struct rpc_call *call,
                            const User__SearchUsersRequest *in)
{
    struct search s = {.arena = call->arena,
                       .what = {.after_username = in->cursor, .is_full = who_is_admin(call)}};
    /* `parlance user list` asks for all, and so may administrators. */
    bool may_list = who_is_system(call) || (who_is_admin(call) && !in->q[0]);
    size_t least = may_list ? 0 : 2;
    char *q = text_take(call, in->q, &(struct text_rule){"q", least, 64, 0});
    if (!q)
        return NULL;
    struct str after = str_from(in->cursor);
    if (!page_parse(&s.page, in->limit, 20, 100, NULL) || after.n > 32 || !str_is_utf8(after)) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "cursor: not one of this list");
        return NULL;
    }
    s.what.folded = text_fold(call->arena, str_from(q));
    s.what.page = &s.page;
    /* Whom one has just made stands on the first page, if anywhere one looks at once. */
    enum err err = in->cursor[0] ? store_read_stale(svc->deps.store, search_job, &s)
                                 : store_read(svc->deps.store, search_job, &s);
    if (err)
        return who_fail(call, err);
    User__UserList *out = arena_new(call->arena, User__UserList);
    user__user_list__init(out);
    out->n_users = MIN(s.count, (size_t)s.page.limit);
    out->users = arena_array(call->arena, User__Profile *, out->n_users);
    for (size_t i = 0; i < out->n_users; i++)
        out->users[i] = user_profile(call, &s.rows[i]);
    if (s.count > out->n_users)
        out->next_cursor = (char *)s.rows[out->n_users - 1].username;
    return out;
}
