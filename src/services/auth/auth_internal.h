/* auth_internal: what the files of this service share. */
#pragma once

#include "auth.pb-c.h"
#include "services/auth/auth.h"
#include "services/auth/auth_token.h"
#include "services/common/page.h"
#include "services/common/seal.h"
#include "services/common/throttle.h"

struct auth_service {
    Auth__Auth_Service rpc; /* handlers get the service back by CONTAINER_OF */
    struct auth_deps deps;  /* with the defaults filled in */
    struct auth_keys *keys;
    struct password_hasher *hasher;
    struct loop_timer sweep_timer;
    int64_t started_at_ms; /* what was signed before may have been used already */
    int user_subscription, audit_subscription;
    struct auth_known *known; /* NULL: sign-ins are not remembered beside the store */
};

/* ---- auth_known.c: sign-ins in the shared cache; a NULL one remembers nothing ---- */

struct auth_known *auth_known_create(struct bus *bus, struct cache *cache, int64_t access_ms);
void auth_known_destroy(struct auth_known **known);
/* It is good, the store says. */
void auth_known_note(struct auth_known *known, struct arena *arena,
                     const Auth__ValidateTokenReply *reply);
/* It is over. */
void auth_known_end(struct auth_known *known, const char *session_id);
/* The store says so of a token's sign-in; at most once a minute for each. */
void auth_known_seen_over(struct auth_known *known, const char *session_id);
/* What was said of the sign-in of these (verified) claims; NULL: nothing good. Only for when the
 * store is away. */
Auth__ValidateTokenReply *auth_known_find(struct auth_known *known, struct arena *arena,
                                          const struct auth_claims *claims);

/* ---- auth_store.c: rows ---- */

struct auth_session {
    char id[ID_SIZE], user_id[ID_SIZE];
    bool is_guest;
    char meeting_id[ID_SIZE]; /* guests */
    const char *name;         /* guests */
    const char *device, *user_agent, *remote_addr;
    int64_t created_at_ms, last_seen_at_ms, expires_at_ms;
    int64_t password_changed_at_ms; /* of the password that it was opened with */
    int64_t revoked_at_ms;          /* 0: alive */
};

/* A refresh token that was given out; the token itself is not kept. */
struct auth_refresh {
    char token_hash[65];
    char session_id[ID_SIZE];
    int64_t created_at_ms, expires_at_ms;
    int64_t used_at_ms; /* 0: not yet */
    const char *used_addr, *used_agent;
};

struct auth_audit {
    const char *id, *actor_id, *action, *target, *remote_addr, *detail;
    int64_t at_ms;
};

enum err auth_store_add_session(struct store_tx *tx, const struct auth_session *s);
/* ERR_NOT_FOUND. */
/* Rows of sign-ins, refresh tokens and keys, and the addresses in the log. */
enum err auth_store_forget(struct store_tx *tx, const char *user_id);
enum err auth_store_find_session(struct store_tx *tx, struct arena *arena, const char *id,
                                 struct auth_session *out);
/* Those alive, the last used first; at most max. */
enum err auth_store_list_sessions(struct store_tx *tx, struct arena *arena, const char *user_id,
                                  int64_t now_ms, size_t max, struct auth_session **list,
                                  size_t *count);
/* ERR_NOT_FOUND: it was revoked already. */
enum err auth_store_revoke_session(struct store_tx *tx, const char *id, int64_t now_ms);
enum err auth_store_touch_session(struct store_tx *tx, const char *id, int64_t now_ms,
                                  int64_t expires_at_ms); /* expiry 0: as it is */
enum err auth_store_set_session_password(struct store_tx *tx, const char *id,
                                         int64_t changed_at_ms);

void auth_store_hash(const char *token_id, char out[65]);
enum err auth_store_add_refresh(struct store_tx *tx, const struct auth_refresh *r);
enum err auth_store_find_refresh(struct store_tx *tx, struct arena *arena, const char *token_hash,
                                 struct auth_refresh *out);
/* ERR_ABORTED: somebody else was faster. */
enum err auth_store_use_refresh(struct store_tx *tx, const char *token_hash, int64_t now_ms,
                                const char *addr, const char *agent);

enum err auth_store_add_audit(struct store_tx *tx, const struct auth_audit *a);
enum err auth_store_list_audit(struct store_tx *tx, struct arena *arena, const char *actor_id,
                               const char *action, const struct page *page,
                               struct auth_audit **list, size_t *count);
/* Sign-ins that ended before `dead_before_ms`, records older than `audit_before_ms`. */
enum err auth_store_sweep(struct store_tx *tx, int64_t dead_before_ms, int64_t audit_before_ms);

/* ---- auth_key_store.c: keys of programs ---- */

#define AUTH_SCOPES_MAX 200 /* bytes of all, one space between; "" for no bounds */

struct auth_key {
    char id[ID_SIZE];
    char user_id[ID_SIZE];  /* whom it stands for */
    char owner_id[ID_SIZE]; /* who made it, and may end it */
    const char *name, *scopes;
    Auth__KeyKind kind;
    const void *secret; /* HMAC: sealed; TOKEN: its hash as text */
    size_t secret_n;
    int64_t created_at_ms, expires_at_ms, last_used_at_ms;
};

enum err auth_store_add_key(struct store_tx *tx, const struct auth_key *k);
enum err auth_store_find_key(struct store_tx *tx, struct arena *arena, const char *id,
                             struct auth_key *out);
/* Those that have not expired, the newest first; at most max. */
enum err auth_store_list_keys(struct store_tx *tx, struct arena *arena, const char *owner_id,
                              int64_t now_ms, size_t max, struct auth_key **list, size_t *count);
/* All that stand for the person or were made by the person. */
enum err auth_store_list_keys_about(struct store_tx *tx, struct arena *arena, const char *user_id,
                                    size_t max, struct auth_key **list, size_t *count);
enum err auth_store_remove_key(struct store_tx *tx, const char *id);
enum err auth_store_touch_key(struct store_tx *tx, const char *id, int64_t now_ms);
enum err auth_store_sweep_keys(struct store_tx *tx, int64_t dead_before_ms);

/* ---- auth_account.c: accounts are user's; here is how we ask ---- */

struct auth_account {
    const char *id, *password_hash;
    const char *name;     /* nickname */
    const char *owner_id; /* of a bot; "" for people */
    enum identity_role role;
    bool is_disabled;
    int64_t password_changed_at_ms;
    const User__Profile *profile; /* as the person sees it */
};
/* Copies into call's arena. The call's own failure is not set: the caller decides what a missing
 * account means. ERR_NOT_FOUND or what went wrong. */
enum err auth_account_find(struct auth_service *svc, struct rpc_call *call, const char *login,
                           struct auth_account *out);
enum err auth_account_set_password(struct auth_service *svc, struct rpc_call *call,
                                   const struct auth_account *account, const char *hash,
                                   bool is_rehash, int64_t *changed_at_ms);
/* Writes one line into the log, in the transaction of what it speaks of. */
enum err auth_note(struct store_tx *tx, const struct rpc_call *call, const char *actor_id,
                   const char *action, const char *target, const char *detail);

/* ---- auth_session.c ---- */

/* Opens a sign-in and answers with its tokens. `action` goes on record. NULL after rpc_fail. */
Auth__LoginReply *auth_session_open(struct auth_service *svc, struct rpc_call *call,
                                    const struct auth_account *account, const char *device,
                                    const char *action);
/* Tokens for a sign-in that exists. */
Auth__LoginReply *auth_session_reply(struct auth_service *svc, struct rpc_call *call,
                                     const struct auth_account *account,
                                     const struct auth_session *session, const char *refresh_id);
/* Ends it and tells everybody (channel "auth_events"); ERR_OK when it had ended before. */
enum err auth_session_end_tx(struct auth_service *svc, struct store_tx *tx, const char *session_id,
                             const char *user_id);
/* "session.revoked": whoever holds a socket or remembers something of it lets go. */
enum err auth_session_publish_end_tx(struct auth_service *svc, struct store_tx *tx,
                                     const char *session_id, const char *user_id);
/* All of a person's but `except` (NULL: none) and those opened after `until_ms` (0: none). */
struct auth_end_all {
    const char *user_id, *except;
    int64_t until_ms;
};
enum err auth_session_end_all_tx(struct auth_service *svc, struct store_tx *tx, struct arena *arena,
                                 const struct auth_end_all *what, int *count);
/* "session.changed": all of the person's sign-ins have this role now. */
void auth_session_publish_role(struct auth_service *svc, const char *user_id, User__Role role);
/* At most so many bytes, cut at a whole code point: other people's clients send anything. */
const char *auth_bounded(struct arena *arena, const char *text, size_t max_bytes);
const char *auth_device_name(struct arena *arena, const char *user_agent); /* "Firefox on Linux" */

/* auth_refresh.c. false after rpc_fail: another site's page may make a browser send its cookie, but
 * cannot know the CSRF token. */
bool auth_csrf_check(struct auth_service *svc, struct rpc_call *call, bool is_cookie,
                     const char *csrf, const char *session_id);

/* ---- auth_key.c ---- */

#define AUTH_KEY_SECRET_CHARS 43 /* 256 bits */
#define AUTH_KEY_PREFIX "pbt_"   /* of a bot's token: prefix, id of the key, secret */
/* Ends the keys that stand for a person or that the person made. */
enum err auth_key_end_all_tx(struct auth_service *svc, struct store_tx *tx, struct arena *arena,
                             const char *user_id);

/* auth_key_check.c: scopes as a list of texts. */
void auth_key_scopes(struct arena *arena, const char *text, char ***scopes, size_t *count);
/* A token that begins with AUTH_KEY_PREFIX. */
Auth__ValidateTokenReply *auth_validate_key_token(struct auth_service *svc, struct rpc_call *call,
                                                  const Auth__ValidateTokenRequest *in);
/* auth_validate.c: whole code points that fit the identity everybody passes on. */
char *auth_short_name(struct arena *arena, const char *name);

/* ---- the RPCs; replies in the call's arena, NULL after rpc_fail ---- */

Auth__LoginReply *auth_register(struct auth_service *svc, struct rpc_call *call,
                                const Auth__RegisterRequest *in);
Auth__LoginReply *auth_login(struct auth_service *svc, struct rpc_call *call,
                             const Auth__LoginRequest *in);
Auth__LoginReply *auth_refresh(struct auth_service *svc, struct rpc_call *call,
                               const Auth__RefreshTokenRequest *in);
Auth__RevokeTokenReply *auth_revoke(struct auth_service *svc, struct rpc_call *call,
                                    const Auth__RevokeTokenRequest *in);
Auth__CsrfToken *auth_csrf(struct auth_service *svc, struct rpc_call *call,
                           const Auth__GetCsrfTokenRequest *in);
Auth__ValidateTokenReply *auth_validate(struct auth_service *svc, struct rpc_call *call,
                                        const Auth__ValidateTokenRequest *in);
Auth__GuestToken *auth_issue_guest(struct auth_service *svc, struct rpc_call *call,
                                   const Auth__IssueGuestTokenRequest *in);
Auth__SessionList *auth_list_sessions(struct auth_service *svc, struct rpc_call *call);
Auth__RevokeSessionReply *auth_revoke_session(struct auth_service *svc, struct rpc_call *call,
                                              const char *id);
Auth__ChangePasswordReply *auth_change_password(struct auth_service *svc, struct rpc_call *call,
                                                const Auth__ChangePasswordRequest *in);
Auth__ChangePasswordReply *auth_reset_password(struct auth_service *svc, struct rpc_call *call,
                                               const Auth__ResetPasswordRequest *in);
Auth__AuditList *auth_list_audit(struct auth_service *svc, struct rpc_call *call,
                                 const Auth__ListAuditRequest *in);

Auth__ValidateTokenReply *auth_validate_signature(struct auth_service *svc, struct rpc_call *call,
                                                  const Auth__ValidateSignatureRequest *in);
Auth__ApiKey *auth_create_key(struct auth_service *svc, struct rpc_call *call,
                              const Auth__CreateKeyRequest *in);
Auth__KeyList *auth_list_keys(struct auth_service *svc, struct rpc_call *call);
Auth__RevokeKeyReply *auth_revoke_key(struct auth_service *svc, struct rpc_call *call,
                                      const char *id);

/* ---- auth_check.c ---- */
Auth__CheckSessionsReply *auth_check_sessions(struct auth_service *svc, struct rpc_call *call,
                                              const Auth__CheckSessionsRequest *in);

/* ---- auth_events.c ---- */
/* auth_erase.c */
void auth_erase_start(struct auth_service *svc);
void auth_events_start(struct auth_service *svc);
void auth_events_stop(struct auth_service *svc);

/* ---- auth_rpc.c ---- */
extern const Auth__Auth_Service auth_rpc_table;
