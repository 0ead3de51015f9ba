/*
 * auth_refresh: renewing a sign-in, and the CSRF tokens that protect browsers' cookies.
 *
 * A refresh token is good for one renewal; its successor is derived from it. Used a second time,
 * the sign-in is over (somebody has a copy), with one exception: the same client asking again
 * within a few seconds, because the answer got lost or two tabs renewed at once, gets the very same
 * successor as long as that has not been used.
 */
#include "core/clock.h"
#include "core/id.h"
#include "services/auth/auth_internal.h"
#include "services/common/who.h"

static const char token_void[] = "the token is not valid (any more)";

struct renewal {
    struct auth_service *svc;
    struct rpc_call *call;
    const struct auth_claims *claims;
    const struct auth_account *account;
    const char *address, *agent;
    char next_id[AUTH_TOKEN_ID_CHARS + 1];
    struct auth_session session;
    bool is_refused; /* committed all the same: a reused token ends the sign-in */
};

/* The same client again, its first answer perhaps lost, and the successor untouched. */
static bool is_repeat(struct store_tx *tx, struct renewal *r, const struct auth_refresh *used,
                      int64_t now_ms, enum err *err)
{
    char next_hash[65];
    struct auth_refresh next;
    if (now_ms - used->used_at_ms > r->svc->deps.refresh_grace_ms ||
        strcmp(used->used_addr, r->address) != 0 || strcmp(used->used_agent, r->agent) != 0)
        return false;
    auth_store_hash(r->next_id, next_hash);
    *err = auth_store_find_refresh(tx, r->call->arena, next_hash, &next);
    if (*err == ERR_NOT_FOUND)
        *err = ERR_OK;
    else if (!*err && next.used_at_ms == 0)
        return true;
    return false;
}

static enum err end_family(struct store_tx *tx, struct renewal *r, const char *action)
{
    r->is_refused = true;
    enum err err = auth_session_end_tx(r->svc, tx, r->session.id, r->session.user_id);
    return err ? err
               : auth_note(tx, r->call, r->session.user_id, action, r->session.id, "sign-in ended");
}

static enum err rotate(struct store_tx *tx, struct renewal *r, const struct auth_refresh *used,
                       int64_t now_ms)
{
    struct auth_refresh next = {.created_at_ms = now_ms,
                                .expires_at_ms = now_ms + r->svc->deps.refresh_ms};
    auth_store_hash(r->next_id, next.token_hash);
    memcpy(next.session_id, r->session.id, ID_SIZE);
    enum err err = auth_store_use_refresh(tx, used->token_hash, now_ms, r->address, r->agent);
    if (!err)
        err = auth_store_add_refresh(tx, &next);
    if (!err)
        err = auth_store_touch_session(tx, r->session.id, now_ms, next.expires_at_ms);
    return err;
}

static enum err renew_job(struct store_tx *tx, void *arg)
{
    struct renewal *r = arg;
    struct auth_refresh token;
    char hash[65];
    int64_t now_ms = clock_wall_ms();
    r->is_refused = false;
    auth_store_hash(r->claims->token_id, hash);
    enum err err = auth_store_find_refresh(tx, r->call->arena, hash, &token);
    if (!err)
        err = auth_store_find_session(tx, r->call->arena, token.session_id, &r->session);
    if (err == ERR_NOT_FOUND ||
        (!err && (r->session.revoked_at_ms || strcmp(r->session.id, r->claims->session_id) != 0))) {
        r->is_refused = true;
        return ERR_OK;
    }
    if (err)
        return err;
    if (r->account->is_disabled ||
        r->session.password_changed_at_ms < r->account->password_changed_at_ms)
        return end_family(tx, r, "refresh_refused");
    if (!token.used_at_ms)
        return rotate(tx, r, &token, now_ms);
    if (is_repeat(tx, r, &token, now_ms, &err) || err)
        return err;
    return end_family(tx, r, "refresh_reused");
}

bool auth_csrf_check(struct auth_service *svc, struct rpc_call *call, bool is_cookie,
                     const char *csrf, const char *session_id)
{
    if (!is_cookie || auth_csrf_matches(svc->keys, session_id, csrf))
        return true;
    rpc_fail(call, ERR_PERMISSION_DENIED, "X-CSRF-Token is missing or wrong");
    return false;
}

Auth__LoginReply *auth_refresh(struct auth_service *svc, struct rpc_call *call,
                               const Auth__RefreshTokenRequest *in)
{
    struct auth_claims claims;
    struct auth_account account;
    enum err err = auth_token_verify(svc->keys, str_from(in->refresh_token), AUTH_TOKEN_REFRESH,
                                     clock_wall_ms(), 0, &claims);
    if (!err && !auth_csrf_check(svc, call, in->is_cookie, in->csrf_token, claims.session_id))
        return NULL;
    if (!err)
        err = auth_account_find(svc, call, claims.user_id, &account);
    if (err == ERR_NOT_FOUND || err == ERR_UNAUTHENTICATED) {
        rpc_fail(call, ERR_UNAUTHENTICATED, token_void);
        return NULL;
    }
    struct renewal r = {
        .svc = svc,
        .call = call,
        .claims = &claims,
        .account = &account,
        .address = auth_bounded(call->arena, call->remote_addr, 64),
        .agent = auth_bounded(call->arena, call->user_agent, 400),
    };
    auth_token_next_id(svc->keys, claims.token_id, r.next_id);
    if (!err)
        err = store_write_sync(svc->deps.store, 0, renew_job, &r);
    if (err)
        return who_fail(call, err);
    if (r.is_refused) {
        rpc_fail(call, ERR_UNAUTHENTICATED, token_void);
        return NULL;
    }
    return auth_session_reply(svc, call, &account, &r.session, r.next_id);
}

Auth__CsrfToken *auth_csrf(struct auth_service *svc, struct rpc_call *call,
                           const Auth__GetCsrfTokenRequest *in)
{
    struct auth_claims claims = {0};
    if (in->refresh_token[0]) {
        /* Reading the answer is what another site cannot do; that is the whole protection. */
        enum err err = auth_token_verify(svc->keys, str_from(in->refresh_token), AUTH_TOKEN_REFRESH,
                                         clock_wall_ms(), 0, &claims);
        if (err)
            claims.session_id[0] = 0;
    }
    if (!claims.session_id[0] && call->who)
        snprintf(claims.session_id, ID_SIZE, "%s", call->who->session_id);
    if (!claims.session_id[0]) {
        rpc_fail(call, ERR_UNAUTHENTICATED, "sign in first");
        return NULL;
    }
    Auth__CsrfToken *out = arena_new(call->arena, Auth__CsrfToken);
    auth__csrf_token__init(out);
    out->csrf_token = arena_alloc(call->arena, AUTH_CSRF_SIZE);
    auth_csrf_make(svc->keys, claims.session_id, out->csrf_token);
    return out;
}
