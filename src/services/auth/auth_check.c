/*
 * auth_check: what became of sign-ins and keys. Who keeps sockets hears of their end by an event;
 * after a time in which events may have been missed it asks here, many at once.
 */
#include "services/auth/auth_internal.h"
#include "services/common/who.h"

#define IDS_MAX 500

struct check {
    struct auth_service *svc;
    struct rpc_call *call;
    const Auth__CheckSessionsRequest *in;
    /* of each id: */
    struct found {
        bool is_live, is_guest;
        const char *user_id;
        int64_t password_changed_at_ms; /* of a sign-in; INT64_MAX: a key has none */
    } * found;
};

static enum err find_one(struct store_tx *tx, struct check *c, const char *id, struct found *out)
{
    struct auth_session session;
    struct auth_key key;
    enum err err = auth_store_find_session(tx, c->call->arena, id, &session);
    if (!err) {
        *out = (struct found){.is_live = !session.revoked_at_ms,
                              .is_guest = session.is_guest,
                              .user_id = arena_strdup(c->call->arena, session.user_id),
                              .password_changed_at_ms = session.password_changed_at_ms};
        return ERR_OK;
    }
    if (err == ERR_NOT_FOUND)
        err = auth_store_find_key(tx, c->call->arena, id, &key);
    if (!err)
        *out = (struct found){
            .is_live = !key.expires_at_ms || key.expires_at_ms > clock_wall_ms(),
            .user_id = arena_strdup(c->call->arena, key.user_id),
            .password_changed_at_ms = INT64_MAX,
        };
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err find_job(struct store_tx *tx, void *arg)
{
    struct check *c = arg;
    enum err err = ERR_OK;
    for (size_t i = 0; i < c->in->n_ids && !err; i++)
        err = id_is_valid(c->in->ids[i]) ? find_one(tx, c, c->in->ids[i], &c->found[i]) : ERR_OK;
    return err;
}

/* The role that counts now. */
static enum err judge(const struct check *c, const struct found *f, User__Role *role)
{
    struct auth_account account;
    *role = f->is_live && f->is_guest ? USER__ROLE__GUEST : USER__ROLE__NONE;
    if (!f->is_live || f->is_guest)
        return ERR_OK;
    enum err err = auth_account_find(c->svc, c->call, f->user_id, &account);
    if (!err && !account.is_disabled && f->password_changed_at_ms >= account.password_changed_at_ms)
        *role = (User__Role)account.role;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

Auth__CheckSessionsReply *auth_check_sessions(struct auth_service *svc, struct rpc_call *call,
                                              const Auth__CheckSessionsRequest *in)
{
    struct check c = {.svc = svc, .call = call, .in = in};
    if (!who_require_system(call))
        return NULL;
    if (in->n_ids > IDS_MAX) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "ids: at most %d", IDS_MAX);
        return NULL;
    }
    c.found = arena_array(call->arena, struct found, in->n_ids);
    Auth__CheckSessionsReply *out = arena_new(call->arena, Auth__CheckSessionsReply);
    auth__check_sessions_reply__init(out);
    out->roles = arena_array(call->arena, User__Role, in->n_ids);
    enum err err = store_read(svc->deps.store, find_job, &c);
    for (; out->n_roles < in->n_ids && !err; out->n_roles++)
        err = judge(&c, &c.found[out->n_roles], &out->roles[out->n_roles]);
    return err ? who_fail(call, err) : out;
}
