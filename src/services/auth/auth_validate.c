/*
 * auth_validate: is this access token good right now, and whose is it? The signature says that we
 * made it; the sign-in's row, that it was not revoked; the account, that it is not disabled, which
 * role it has today, and that the password is still the one the sign-in was opened with. The edge
 * remembers the answer for at most a second and forgets it on any event of "auth_events".
 */
#include <stdlib.h>

#include "core/clock.h"
#include "core/mem.h"
#include "services/auth/auth_internal.h"
#include "services/common/who.h"

#define SEEN_EVERY_MS (5 * 60 * 1000)
#define NAME_MAX_BYTES 127 /* struct identity */

struct lookup {
    struct arena *arena;
    const char *id;
    struct auth_session session;
};

static enum err lookup_job(struct store_tx *tx, void *arg)
{
    struct lookup *l = arg;
    return auth_store_find_session(tx, l->arena, l->id, &l->session);
}

/* ---- "last seen", now and then, without anybody waiting ---- */

struct seen {
    char id[ID_SIZE];
    int64_t now_ms;
};

static enum err seen_job(struct store_tx *tx, void *arg)
{
    struct seen *s = arg;
    return auth_store_touch_session(tx, s->id, s->now_ms, 0);
}

static void on_seen(enum err err, void *arg)
{
    if (err)
        log_debug(NULL, "last seen: %s", err_name(err));
    free(arg);
}

static void mark_seen(struct auth_service *svc, const struct auth_session *session, int64_t now_ms)
{
    if (now_ms - session->last_seen_at_ms < SEEN_EVERY_MS)
        return;
    struct seen *s = mem_alloc(sizeof(*s));
    memcpy(s->id, session->id, ID_SIZE);
    s->now_ms = now_ms;
    store_write(svc->deps.store, 0, seen_job, s, on_seen);
}

/* ---- the judgement ---- */

static void *refuse(struct rpc_call *call)
{
    rpc_fail(call, ERR_UNAUTHENTICATED, "the token is not valid (any more)");
    return NULL;
}

char *auth_short_name(struct arena *arena, const char *name)
{
    size_t n = strlen(name);
    if (n > NAME_MAX_BYTES)
        for (n = NAME_MAX_BYTES; n > 0 && ((uint8_t)name[n] & 0xc0) == 0x80;)
            n--;
    return str_arena(arena, (struct str){name, n});
}

/* The account as it is today. */
static enum err judge_account(struct auth_service *svc, struct rpc_call *call,
                              const struct auth_session *session, Auth__ValidateTokenReply *out)
{
    struct auth_account account;
    enum err err = auth_account_find(svc, call, session->user_id, &account);
    if (err)
        return err;
    if (account.is_disabled || session->password_changed_at_ms < account.password_changed_at_ms)
        return ERR_NOT_FOUND;
    out->role = (User__Role)account.role;
    out->name = auth_short_name(call->arena, account.name);
    return ERR_OK;
}

/* NOT_FOUND: it is not good (any more). */
static enum err judge(struct auth_service *svc, struct rpc_call *call,
                      const struct auth_claims *claims, struct auth_session *session,
                      Auth__ValidateTokenReply *out)
{
    struct lookup l = {.arena = call->arena, .id = claims->session_id};
    enum err err = store_read(svc->deps.store, lookup_job, &l);
    if (err)
        return err;
    *session = l.session;
    if (session->revoked_at_ms || strcmp(session->user_id, claims->user_id) != 0)
        return ERR_NOT_FOUND;
    out->user_id = arena_strdup(call->arena, session->user_id);
    out->session_id = arena_strdup(call->arena, session->id);
    out->expires_at_ms = claims->expires_at_ms;
    if (!session->is_guest)
        return judge_account(svc, call, session, out);
    out->role = USER__ROLE__GUEST;
    out->meeting_id = arena_strdup(call->arena, session->meeting_id);
    out->name = auth_short_name(call->arena, session->name);
    return ERR_OK;
}

Auth__ValidateTokenReply *auth_validate(struct auth_service *svc, struct rpc_call *call,
                                        const Auth__ValidateTokenRequest *in)
{
    struct auth_claims claims;
    struct auth_session session;
    int64_t now_ms = clock_wall_ms();
    if (str_starts(str_from(in->token), STR(AUTH_KEY_PREFIX)))
        return auth_validate_key_token(svc, call, in);
    if (auth_token_verify(svc->keys, str_from(in->token), AUTH_TOKEN_ACCESS, now_ms, 0, &claims))
        return refuse(call);
    Auth__ValidateTokenReply *out = arena_new(call->arena, Auth__ValidateTokenReply);
    auth__validate_token_reply__init(out);
    enum err err = judge(svc, call, &claims, &session, out);
    if (err == ERR_NOT_FOUND) {
        auth_known_seen_over(svc->known, claims.session_id);
        return refuse(call);
    }
    if (err) {
        out = auth_known_find(svc->known, call->arena, &claims);
        return out ? out : who_fail(call, err);
    }
    auth_known_note(svc->known, call->arena, out);
    mark_seen(svc, &session, now_ms);
    return out;
}
