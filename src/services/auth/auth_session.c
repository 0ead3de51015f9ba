/*
 * auth_session: sign-ins from their opening to their end. A sign-in is a row; ending it marks the
 * row and, in the same transaction, tells everybody who holds a socket or remembers a token of it.
 */
#include "core/clock.h"
#include "core/id.h"
#include "services/auth/auth_internal.h"
#include "services/common/text.h"
#include "services/common/who.h"

const char *auth_bounded(struct arena *arena, const char *text, size_t max_bytes)
{
    struct str s = str_from(text ? text : "");
    if (!str_is_utf8(s))
        return "";
    while (s.n > max_bytes || (s.n > 0 && s.n < strlen(s.p) && ((uint8_t)s.p[s.n] & 0xc0) == 0x80))
        s.n--;
    return str_arena(arena, s);
}

/* ---- telling others ---- */

static enum err publish(struct auth_service *svc, struct store_tx *tx, const char *type,
                        const char *session_id, const char *user_id, User__Role role)
{
    uint8_t bytes[128];
    Auth__SessionEvent event = AUTH__SESSION_EVENT__INIT;
    event.session_id = (char *)session_id;
    event.user_id = (char *)user_id;
    event.at_ms = clock_wall_ms();
    event.role = role;
    size_t n = auth__session_event__get_packed_size(&event);
    if (n > sizeof(bytes))
        return ERR_INTERNAL; /* ids are 26 characters */
    auth__session_event__pack(&event, bytes);
    struct bus_event out = {
        .channel = "auth_events",
        .type = type,
        .key = user_id,
        .payload = {(const char *)bytes, n},
    };
    if (tx)
        return bus_publish_tx(svc->deps.bus, tx, &out);
    bus_publish(svc->deps.bus, &out);
    return ERR_OK;
}

void auth_session_publish_role(struct auth_service *svc, const char *user_id, User__Role role)
{
    (void)!publish(svc, NULL, "session.changed", "", user_id, role);
}

enum err auth_session_publish_end_tx(struct auth_service *svc, struct store_tx *tx,
                                     const char *session_id, const char *user_id)
{
    return publish(svc, tx, "session.revoked", session_id, user_id, USER__ROLE__NONE);
}

enum err auth_session_end_tx(struct auth_service *svc, struct store_tx *tx, const char *session_id,
                             const char *user_id)
{
    enum err err = auth_store_revoke_session(tx, session_id, clock_wall_ms());
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    return err ? err : auth_session_publish_end_tx(svc, tx, session_id, user_id);
}

enum err auth_session_end_all_tx(struct auth_service *svc, struct store_tx *tx, struct arena *arena,
                                 const struct auth_end_all *what, int *count)
{
    struct auth_session *list;
    size_t n;
    *count = 0;
    enum err err = auth_store_list_sessions(tx, arena, what->user_id, 0, 10000, &list, &n);
    for (size_t i = 0; i < n && !err; i++) {
        bool is_kept = (what->except && strcmp(list[i].id, what->except) == 0) ||
                       (what->until_ms && list[i].created_at_ms > what->until_ms);
        if (is_kept)
            continue;
        err = auth_session_end_tx(svc, tx, list[i].id, what->user_id);
        ++*count;
    }
    return err;
}

/* ---- opening ---- */

Auth__LoginReply *auth_session_reply(struct auth_service *svc, struct rpc_call *call,
                                     const struct auth_account *account,
                                     const struct auth_session *session, const char *refresh_id)
{
    int64_t now_ms = clock_wall_ms();
    struct auth_claims claims = {
        .type = AUTH_TOKEN_ACCESS,
        .role = account->role,
        .issued_at_ms = now_ms,
        .expires_at_ms = now_ms + svc->deps.access_ms,
    };
    snprintf(claims.user_id, ID_SIZE, "%s", account->id);
    snprintf(claims.session_id, ID_SIZE, "%s", session->id);
    id_token(claims.token_id, AUTH_TOKEN_ID_CHARS);
    Auth__LoginReply *out = arena_new(call->arena, Auth__LoginReply);
    auth__login_reply__init(out);
    out->access_token = auth_token_sign(svc->keys, call->arena, &claims);
    out->expires_in_s = svc->deps.access_ms / 1000;
    claims.type = AUTH_TOKEN_REFRESH;
    claims.expires_at_ms = now_ms + svc->deps.refresh_ms;
    snprintf(claims.token_id, sizeof(claims.token_id), "%s", refresh_id);
    out->refresh_token = auth_token_sign(svc->keys, call->arena, &claims);
    out->refresh_expires_in_s = svc->deps.refresh_ms / 1000;
    out->user = (User__Profile *)account->profile;
    out->csrf_token = arena_alloc(call->arena, AUTH_CSRF_SIZE);
    auth_csrf_make(svc->keys, session->id, out->csrf_token);
    out->session_id = arena_strdup(call->arena, session->id);
    if (out->access_token && out->refresh_token)
        return out;
    return who_fail(call, ERR_INTERNAL);
}

struct opening {
    struct auth_service *svc;
    struct rpc_call *call;
    struct auth_session session;
    struct auth_refresh refresh;
    const char *action;
};

/* An account has so many sign-ins; the one not used for longest makes room. */
static enum err make_room(struct store_tx *tx, struct opening *o)
{
    struct auth_session *list;
    size_t count;
    size_t max = (size_t)o->svc->deps.session_max;
    enum err err = auth_store_list_sessions(tx, o->call->arena, o->session.user_id,
                                            o->session.created_at_ms, max + 10, &list, &count);
    for (size_t i = max > 0 ? max - 1 : 0; i < count && !err; i++)
        err = auth_session_end_tx(o->svc, tx, list[i].id, list[i].user_id);
    return err;
}

static enum err open_job(struct store_tx *tx, void *arg)
{
    struct opening *o = arg;
    enum err err = make_room(tx, o);
    if (!err)
        err = auth_store_add_session(tx, &o->session);
    if (!err && !o->session.is_guest)
        err = auth_store_add_refresh(tx, &o->refresh);
    if (!err)
        err = auth_note(tx, o->call, o->session.user_id, o->action,
                        o->session.is_guest ? o->session.meeting_id : o->session.user_id,
                        o->session.device);
    return err;
}

static void fill_session(struct opening *o, const char *user_id, const char *device,
                         int64_t life_ms)
{
    struct auth_session *s = &o->session;
    struct arena *arena = o->call->arena;
    id_make(s->id);
    snprintf(s->user_id, ID_SIZE, "%s", user_id);
    s->name = "";
    s->device = device;
    s->user_agent = auth_bounded(arena, o->call->user_agent, 400);
    s->remote_addr = auth_bounded(arena, o->call->remote_addr, 64);
    s->created_at_ms = s->last_seen_at_ms = clock_wall_ms();
    s->expires_at_ms = s->created_at_ms + life_ms;
}

Auth__LoginReply *auth_session_open(struct auth_service *svc, struct rpc_call *call,
                                    const struct auth_account *account, const char *device,
                                    const char *action)
{
    struct opening o = {.svc = svc, .call = call, .action = action};
    char refresh_id[AUTH_TOKEN_ID_CHARS + 1];
    fill_session(&o, account->id, device, svc->deps.refresh_ms);
    o.session.password_changed_at_ms = account->password_changed_at_ms;
    id_token(refresh_id, AUTH_TOKEN_ID_CHARS);
    auth_store_hash(refresh_id, o.refresh.token_hash);
    memcpy(o.refresh.session_id, o.session.id, ID_SIZE);
    o.refresh.created_at_ms = o.session.created_at_ms;
    o.refresh.expires_at_ms = o.session.expires_at_ms;
    enum err err = store_write_sync(svc->deps.store, 0, open_job, &o);
    if (err)
        return who_fail(call, err);
    return auth_session_reply(svc, call, account, &o.session, refresh_id);
}

Auth__GuestToken *auth_issue_guest(struct auth_service *svc, struct rpc_call *call,
                                   const Auth__IssueGuestTokenRequest *in)
{
    struct opening o = {.svc = svc, .call = call, .action = "guest_token"};
    char guest_id[ID_SIZE];
    const char *name = text_take(call, in->name, &(struct text_rule){"name", 1, 64, 0});
    if (!name)
        return NULL;
    if (!id_is_valid(in->meeting_id)) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "meeting_id: expected an id");
        return NULL;
    }
    id_make(guest_id);
    fill_session(&o, guest_id, auth_device_name(call->arena, call->user_agent), svc->deps.guest_ms);
    o.session.is_guest = true;
    o.session.name = name;
    snprintf(o.session.meeting_id, ID_SIZE, "%s", in->meeting_id);
    enum err err = store_write_essential_sync(svc->deps.store, 0, open_job, &o);
    if (err)
        return who_fail(call, err);
    struct auth_claims claims = {
        .type = AUTH_TOKEN_ACCESS,
        .role = ROLE_GUEST,
        .issued_at_ms = o.session.created_at_ms,
        .expires_at_ms = o.session.expires_at_ms,
    };
    memcpy(claims.user_id, guest_id, ID_SIZE);
    memcpy(claims.session_id, o.session.id, ID_SIZE);
    id_token(claims.token_id, AUTH_TOKEN_ID_CHARS);
    Auth__GuestToken *out = arena_new(call->arena, Auth__GuestToken);
    auth__guest_token__init(out);
    out->user_id = arena_strdup(call->arena, guest_id);
    out->access_token = auth_token_sign(svc->keys, call->arena, &claims);
    out->expires_in_s = svc->deps.guest_ms / 1000;
    return out->access_token ? out : who_fail(call, ERR_INTERNAL);
}

/* ---- ending ---- */

struct ending {
    struct auth_service *svc;
    struct rpc_call *call;
    const char *session_id, *user_id;
    const char *except; /* others: all but this */
    int count;
};

static enum err end_job(struct store_tx *tx, void *arg)
{
    struct ending *e = arg;
    struct auth_session session;
    e->count = 0;
    if (e->except) {
        enum err err =
            auth_session_end_all_tx(e->svc, tx, e->call->arena,
                                    &(struct auth_end_all){e->user_id, e->except, 0}, &e->count);
        return err ? err : auth_note(tx, e->call, e->user_id, "sessions_revoked", "others", NULL);
    }
    enum err err = auth_store_find_session(tx, e->call->arena, e->session_id, &session);
    if (!err && strcmp(session.user_id, e->user_id) != 0)
        err = ERR_NOT_FOUND;
    if (err || session.revoked_at_ms)
        return err;
    e->count = 1;
    err = auth_session_end_tx(e->svc, tx, session.id, session.user_id);
    return err ? err : auth_note(tx, e->call, e->user_id, "logout", session.id, NULL);
}

/* Which sign-in a logout means. */
static bool take_ending(struct auth_service *svc, struct rpc_call *call,
                        const Auth__RevokeTokenRequest *in, struct auth_claims *claims)
{
    int64_t now_ms = clock_wall_ms();
    bool has_identity = call->who && call->who->session_id[0];
    enum err err = ERR_UNAUTHENTICATED;
    struct str token = str_from(in->token);
    if (token.n) {
        err = auth_token_verify(svc->keys, token, AUTH_TOKEN_REFRESH, now_ms,
                                AUTH_TOKEN_MAY_BE_EXPIRED, claims);
        if (err && !in->is_cookie)
            err = auth_token_verify(svc->keys, token, AUTH_TOKEN_ACCESS, now_ms,
                                    AUTH_TOKEN_MAY_BE_EXPIRED, claims);
    }
    /* The bearer token of the request itself proves as much as a CSRF token does. */
    bool is_cookie_void =
        in->is_cookie && (err || !auth_csrf_matches(svc->keys, claims->session_id, in->csrf_token));
    if (has_identity && (!token.n || is_cookie_void)) {
        snprintf(claims->session_id, ID_SIZE, "%s", call->who->session_id);
        snprintf(claims->user_id, ID_SIZE, "%s", call->who->user_id);
        return true;
    }
    if (err) {
        rpc_fail(call, ERR_UNAUTHENTICATED, "the token is not valid (any more)");
        return false;
    }
    return auth_csrf_check(svc, call, in->is_cookie, in->csrf_token, claims->session_id);
}

Auth__RevokeTokenReply *auth_revoke(struct auth_service *svc, struct rpc_call *call,
                                    const Auth__RevokeTokenRequest *in)
{
    struct auth_claims claims = {0};
    if (!take_ending(svc, call, in, &claims))
        return NULL;
    struct ending e = {
        .svc = svc, .call = call, .session_id = claims.session_id, .user_id = claims.user_id};
    enum err err = store_write_essential_sync(svc->deps.store, 0, end_job, &e);
    if (err && err != ERR_NOT_FOUND) /* swept away long ago: it is over all the same */
        return who_fail(call, err);
    Auth__RevokeTokenReply *out = arena_new(call->arena, Auth__RevokeTokenReply);
    auth__revoke_token_reply__init(out);
    return out;
}

Auth__RevokeSessionReply *auth_revoke_session(struct auth_service *svc, struct rpc_call *call,
                                              const char *id)
{
    struct ending e = {.svc = svc, .call = call, .session_id = id, .user_id = who_id(call)};
    if (strcmp(id, "others") == 0)
        e.except = call->who ? call->who->session_id : "";
    else if (!id_is_valid(id))
        return who_fail(call, ERR_NOT_FOUND);
    enum err err = store_write_essential_sync(svc->deps.store, 0, end_job, &e);
    if (err)
        return who_fail(call, err);
    Auth__RevokeSessionReply *out = arena_new(call->arena, Auth__RevokeSessionReply);
    auth__revoke_session_reply__init(out);
    out->revoked_count = e.count;
    return out;
}

/* ---- looking ---- */

struct listing {
    struct rpc_call *call;
    struct auth_session *list;
    size_t count;
};

static enum err list_job(struct store_tx *tx, void *arg)
{
    struct listing *l = arg;
    return auth_store_list_sessions(tx, l->call->arena, who_id(l->call), clock_wall_ms(), 200,
                                    &l->list, &l->count);
}

Auth__SessionList *auth_list_sessions(struct auth_service *svc, struct rpc_call *call)
{
    struct listing l = {.call = call};
    enum err err = store_read(svc->deps.store, list_job, &l);
    if (err)
        return who_fail(call, err);
    Auth__SessionList *out = arena_new(call->arena, Auth__SessionList);
    auth__session_list__init(out);
    out->n_sessions = l.count;
    out->sessions = arena_array(call->arena, Auth__Session *, l.count);
    for (size_t i = 0; i < l.count; i++) {
        const struct auth_session *s = &l.list[i];
        Auth__Session *shown = arena_new(call->arena, Auth__Session);
        auth__session__init(shown);
        shown->id = (char *)s->id;
        shown->device = (char *)s->device;
        shown->user_agent = (char *)s->user_agent;
        shown->remote_addr = (char *)s->remote_addr;
        shown->created_at_ms = s->created_at_ms;
        shown->last_seen_at_ms = s->last_seen_at_ms;
        shown->is_current = call->who && strcmp(s->id, call->who->session_id) == 0;
        out->sessions[i] = shown;
    }
    return out;
}
