/*
 * user_account: how accounts come into being, and their passwords. Registration hashes first, on
 * this worker thread, and then decides everything in one transaction: whether the invitation is
 * still good, whether the names are free, and whether this is the first account, which becomes
 * administrator.
 */
#include <stdlib.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/live.h"
#include "services/common/audit.h"
#include "services/common/who.h"
#include "services/user/user_internal.h"

#define INVITATION_CODE_CHARS 22 /* 132 bits */
#define DAY_MS (24 * 3600 * 1000LL)

struct registration {
    struct user_service *svc;
    struct rpc_call *call;
    const char *invitation;
    struct user_row row;
};

static enum err refuse(struct rpc_call *call, const char *why)
{
    rpc_fail(call, ERR_PERMISSION_DENIED, "%s", why);
    return ERR_PERMISSION_DENIED;
}

/* Asked twice: before the costly hash, and again inside the transaction, where the answer counts.
 */
static enum err check_mode(struct store_tx *tx, struct registration *r)
{
    enum user_registration mode = LIVE_GET(r->svc->deps.registration);
    if (who_is_system(r->call) || mode == USER_REGISTRATION_OPEN)
        return ERR_OK;
    if (mode == USER_REGISTRATION_CLOSED)
        return refuse(r->call, "registration is closed");
    bool is_empty = false;
    enum err err = user_store_is_empty(tx, &is_empty);
    if (err || is_empty)
        return err;
    if (!r->invitation[0])
        return refuse(r->call, "registration is by invitation");
    err = user_store_check_invitation(tx, r->invitation, clock_wall_ms());
    return err == ERR_NOT_FOUND ? refuse(r->call, "the invitation is unknown, used or expired")
                                : err;
}

static enum err check_mode_job(struct store_tx *tx, void *arg)
{
    return check_mode(tx, arg);
}

static enum err register_job(struct store_tx *tx, void *arg)
{
    struct registration *r = arg;
    const char *taken = NULL;
    int64_t ordinal = 0;
    enum err err = check_mode(tx, r);
    if (!err)
        err = user_store_count_in(tx, &ordinal);
    if (err)
        return err;
    r->row.role = ordinal == 1 ? ROLE_ADMIN : ROLE_USER;
    if (r->invitation[0]) {
        /* In other modes an invitation is welcome, but not needed. */
        err = user_store_use_invitation(tx, r->invitation, r->row.id, clock_wall_ms());
        if (err == ERR_NOT_FOUND)
            err = ERR_OK;
    }
    if (!err)
        err = user_store_insert(tx, r->call->arena, &r->row, &taken);
    if (err == ERR_ALREADY_EXISTS)
        rpc_fail(r->call, err, "%s: belongs to another account already",
                 taken ? taken : "username");
    if (!err)
        err = audit_publish_tx(r->svc->deps.bus, tx, r->call,
                               &(struct audit_note){"registered", r->row.id,
                                                    ordinal == 1 ? "first account: admin" : NULL,
                                                    r->row.id});
    if (!err)
        err = user_publish_tx(r->svc, tx, r->call, "user.registered", &r->row);
    return err;
}

static bool take_registration(struct registration *r, const User__RegisterRequest *in)
{
    struct rpc_call *call = r->call;
    const char *zoneinfo = r->svc->deps.zoneinfo_dir;
    r->row = (struct user_row){.phone = "", .description = "", .avatar_version = ""};
    r->row.avatar_type = "";
    r->invitation = in->invitation;
    return (r->row.username = user_take_username(call, in->username)) &&
           (r->row.email = user_take_email(call, in->email)) &&
           (r->row.nickname =
                user_take_nickname(call, in->nickname[0] ? in->nickname : r->row.username)) &&
           (r->row.locale = user_take_locale(call, in->locale)) &&
           (r->row.time_zone = user_take_time_zone(call, in->time_zone, zoneinfo));
}

static bool hash_password(struct registration *r, const char *value)
{
    char *password = user_take_password(r->call, value);
    if (!password)
        return false;
    char *hash = arena_alloc(r->call->arena, PASSWORD_HASH_SIZE);
    enum err err = password_hash(r->svc->hasher, str_from(password), hash);
    explicit_bzero(password, strlen(password));
    r->row.password_hash = hash;
    if (err)
        rpc_fail(r->call, err, "too many registrations at once, try again");
    return !err;
}

User__Profile *user_register(struct user_service *svc, struct rpc_call *call,
                             const User__RegisterRequest *in)
{
    struct registration r = {.svc = svc, .call = call};
    if (!take_registration(&r, in))
        return NULL;
    enum err err = store_read(svc->deps.store, check_mode_job, &r);
    if (err)
        return who_fail(call, err);
    if (!hash_password(&r, in->password))
        return NULL;
    char *id = arena_alloc(call->arena, ID_SIZE);
    id_make(id);
    r.row.id = id;
    r.row.created_at_ms = r.row.updated_at_ms = r.row.password_changed_at_ms = clock_wall_ms();
    err = store_write_sync(svc->deps.store, 0, register_job, &r);
    if (err)
        return who_fail(call, err);
    log_info(&call->log, "account %s registered%s", id,
             r.row.role == ROLE_ADMIN ? " as the first, administrator" : "");
    return user_profile(call, &r.row);
}

/* ---- passwords, for auth ---- */

struct lookup {
    struct arena *arena;
    const char *login;
    struct user_row row;
};

static enum err lookup_job(struct store_tx *tx, void *arg)
{
    struct lookup *l = arg;
    return user_store_find_login(tx, l->arena, l->login, &l->row);
}

User__Credentials *user_credentials(struct user_service *svc, struct rpc_call *call,
                                    const char *login)
{
    struct lookup l = {.arena = call->arena, .login = login};
    struct str text = str_from(login);
    if (!text.n || text.n > 320 || !str_is_utf8(text)) {
        rpc_fail(call, ERR_NOT_FOUND, "no such user");
        return NULL;
    }
    enum err err = store_read(svc->deps.store, lookup_job, &l);
    if (err)
        return who_fail(call, err);
    User__Credentials *out = arena_new(call->arena, User__Credentials);
    user__credentials__init(out);
    out->user = user_profile(call, &l.row);
    out->password_hash = (char *)l.row.password_hash;
    out->password_changed_at_ms = l.row.password_changed_at_ms;
    return out;
}

struct password_change {
    struct user_service *svc;
    struct rpc_call *call;
    const User__SetPasswordRequest *in;
    int64_t changed_at_ms;
};

static enum err set_password_job(struct store_tx *tx, void *arg)
{
    struct password_change *c = arg;
    struct user_row row;
    enum err err = user_store_find(tx, c->call->arena, c->in->id, &row);
    if (err)
        return err;
    c->changed_at_ms = c->in->is_rehash ? row.password_changed_at_ms
                                        : MAX(clock_wall_ms(), row.password_changed_at_ms + 1);
    err = user_store_set_password(tx, row.id, c->in->password_hash,
                                  c->in->former_hash[0] ? c->in->former_hash : row.password_hash,
                                  c->changed_at_ms);
    if (err || c->in->is_rehash)
        return err;
    return user_publish_tx(c->svc, tx, c->call, "user.password_changed", &row);
}

User__SetPasswordReply *user_set_password(struct user_service *svc, struct rpc_call *call,
                                          const User__SetPasswordRequest *in)
{
    struct password_change c = {svc, call, in, 0};
    struct str hash = str_from(in->password_hash);
    if (!str_starts(hash, STR("$argon2id$")) || hash.n >= PASSWORD_HASH_SIZE) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "password_hash: expected an Argon2id hash");
        return NULL;
    }
    enum err err = store_write_sync(svc->deps.store, 0, set_password_job, &c);
    if (err)
        return who_fail(call, err);
    User__SetPasswordReply *out = arena_new(call->arena, User__SetPasswordReply);
    user__set_password_reply__init(out);
    out->password_changed_at_ms = c.changed_at_ms;
    return out;
}

/* ---- invitations ---- */

static User__Invitation *show_invitation(struct arena *arena, const struct user_invitation *inv)
{
    User__Invitation *out = arena_new(arena, User__Invitation);
    user__invitation__init(out);
    out->code = (char *)inv->code;
    out->email = (char *)inv->email;
    out->created_by = (char *)inv->created_by;
    out->used_by = (char *)inv->used_by;
    out->created_at_ms = inv->created_at_ms;
    out->expires_at_ms = inv->expires_at_ms;
    return out;
}

struct invite {
    struct user_service *svc;
    struct rpc_call *call;
    struct user_invitation inv;
};

static enum err invite_job(struct store_tx *tx, void *arg)
{
    struct invite *i = arg;
    enum err err = user_store_add_invitation(tx, &i->inv);
    if (err)
        return err;
    /* The code is a key to the house: the record names its beginning alone. */
    const char *target = arena_printf(i->call->arena, "%.6s...", i->inv.code);
    return audit_publish_tx(i->svc->deps.bus, tx, i->call,
                            &(struct audit_note){"invitation_created", target, NULL, NULL});
}

User__Invitation *user_invite(struct user_service *svc, struct rpc_call *call,
                              const User__CreateInvitationRequest *in)
{
    int64_t now_ms = clock_wall_ms();
    struct invite i = {.svc = svc, .call = call};
    char *code = arena_alloc(call->arena, INVITATION_CODE_CHARS + 1);
    id_token(code, INVITATION_CODE_CHARS);
    i.inv = (struct user_invitation){
        .code = code,
        .email = user_take_email(call, in->email),
        .created_by = arena_strdup(call->arena, who_id(call)),
        .used_by = "",
        .created_at_ms = now_ms,
        .expires_at_ms = in->expires_at_ms ? in->expires_at_ms : now_ms + 7 * DAY_MS,
    };
    if (!i.inv.email)
        return NULL;
    if (i.inv.expires_at_ms <= now_ms || i.inv.expires_at_ms > now_ms + 366 * DAY_MS) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "expires_at_ms: expected a time within a year");
        return NULL;
    }
    enum err err = store_write_sync(svc->deps.store, 0, invite_job, &i);
    return err ? who_fail(call, err) : show_invitation(call->arena, &i.inv);
}

struct invitations {
    struct arena *arena;
    struct user_invitation *list;
    size_t count;
};

static enum err list_job(struct store_tx *tx, void *arg)
{
    struct invitations *l = arg;
    return user_store_list_invitations(tx, l->arena, &l->list, &l->count);
}

User__InvitationList *user_list_invitations(struct user_service *svc, struct rpc_call *call)
{
    struct invitations l = {.arena = call->arena};
    enum err err = store_read(svc->deps.store, list_job, &l);
    if (err)
        return who_fail(call, err);
    User__InvitationList *out = arena_new(call->arena, User__InvitationList);
    user__invitation_list__init(out);
    out->n_invitations = l.count;
    out->invitations = arena_array(call->arena, User__Invitation *, l.count);
    for (size_t i = 0; i < l.count; i++)
        out->invitations[i] = show_invitation(call->arena, &l.list[i]);
    return out;
}

struct deletion {
    struct user_service *svc;
    struct rpc_call *call;
    const char *code;
};

static enum err delete_job(struct store_tx *tx, void *arg)
{
    struct deletion *d = arg;
    enum err err = user_store_delete_invitation(tx, d->code);
    if (err)
        return err;
    const char *target = arena_printf(d->call->arena, "%.6s...", d->code);
    return audit_publish_tx(d->svc->deps.bus, tx, d->call,
                            &(struct audit_note){"invitation_deleted", target, NULL, NULL});
}

User__DeleteInvitationReply *user_delete_invitation(struct user_service *svc, struct rpc_call *call,
                                                    const char *code)
{
    struct deletion d = {svc, call, code};
    enum err err = store_write_sync(svc->deps.store, 0, delete_job, &d);
    if (err)
        return who_fail(call, err);
    User__DeleteInvitationReply *out = arena_new(call->arena, User__DeleteInvitationReply);
    user__delete_invitation_reply__init(out);
    return out;
}
