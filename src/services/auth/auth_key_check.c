/*
 * auth_key_check: is a request by key good right now, and for whom? A signed request proves that
 * its maker knows the key's secret, when it was made, and that it was made for this very method,
 * path, query and body; that it comes a second time is found by its nonce, which is remembered for
 * as long as its time would still be accepted. The memory is the cache's: what was signed before
 * this server started is refused, since nobody knows any more whether it was used.
 */
#include <openssl/hmac.h>
#include <stdlib.h>
#include <time.h>

#include "core/clock.h"
#include "core/mem.h"
#include "services/auth/auth_internal.h"
#include "services/common/who.h"

#define SKEW_MAX_MS (5 * 60 * 1000LL)
#define SEEN_EVERY_MS (5 * 60 * 1000LL)
#define NONCE_MIN 16
#define NONCE_MAX 64

void auth_key_scopes(struct arena *arena, const char *text, char ***scopes, size_t *count)
{
    struct str rest = str_from(text), one;
    *scopes = arena_array(arena, char *, strlen(text) / 2 + 1);
    *count = 0;
    for (bool is_more = rest.n > 0; is_more;) {
        is_more = str_cut(&rest, ' ', &one);
        (*scopes)[(*count)++] = str_arena(arena, one);
    }
}

/* ---- "last used", now and then, without anybody waiting ---- */

struct used {
    char id[ID_SIZE];
    int64_t now_ms;
};

static enum err used_job(struct store_tx *tx, void *arg)
{
    const struct used *u = arg;
    return auth_store_touch_key(tx, u->id, u->now_ms);
}

static void on_used(enum err err, void *arg)
{
    if (err)
        log_debug(NULL, "last used: %s", err_name(err));
    free(arg);
}

static void mark_used(struct auth_service *svc, const struct auth_key *key, int64_t now_ms)
{
    if (now_ms - key->last_used_at_ms < SEEN_EVERY_MS)
        return;
    struct used *u = mem_alloc(sizeof(*u));
    memcpy(u->id, key->id, ID_SIZE);
    u->now_ms = now_ms;
    store_write(svc->deps.store, 0, used_job, u, on_used);
}

/* ---- the key and its account ---- */

struct lookup {
    struct arena *arena;
    const char *id;
    struct auth_key key;
};

static enum err lookup_job(struct store_tx *tx, void *arg)
{
    struct lookup *l = arg;
    return auth_store_find_key(tx, l->arena, l->id, &l->key);
}

static void *refuse(struct rpc_call *call, const char *why)
{
    rpc_fail(call, ERR_UNAUTHENTICATED, "%s", why);
    return NULL;
}

/* The live key of this id and kind. NULL after rpc_fail; all that is wrong with it is answered
 * alike. */
static const struct auth_key *find_key(struct auth_service *svc, struct rpc_call *call,
                                       const char *id, Auth__KeyKind kind, const char *refusal)
{
    struct lookup *l = arena_new(call->arena, struct lookup);
    *l = (struct lookup){.arena = call->arena, .id = id};
    enum err err = id_is_valid(id) ? store_read_one(svc->deps.store, lookup_job, l) : ERR_NOT_FOUND;
    if (err && err != ERR_NOT_FOUND)
        return who_fail(call, err);
    bool is_over = !err && l->key.expires_at_ms && l->key.expires_at_ms <= clock_wall_ms();
    return err || is_over || l->key.kind != kind ? refuse(call, refusal) : &l->key;
}

/* The account that a key stands for must be able to act, and so must who made the key. */
static bool is_alive(struct auth_service *svc, struct rpc_call *call, const char *id,
                     struct auth_account *out)
{
    enum err err = auth_account_find(svc, call, id, out);
    if (err && err != ERR_NOT_FOUND)
        who_fail(call, err);
    return !err && !out->is_disabled;
}

static Auth__ValidateTokenReply *admit(struct auth_service *svc, struct rpc_call *call,
                                       const struct auth_key *key, const char *refusal)
{
    struct auth_account account, owner;
    bool is_bot = strcmp(key->user_id, key->owner_id) != 0;
    if ((is_bot && !is_alive(svc, call, key->owner_id, &owner)) ||
        !is_alive(svc, call, key->user_id, &account))
        return rpc_failure(call) ? NULL : refuse(call, refusal);
    Auth__ValidateTokenReply *out = arena_new(call->arena, Auth__ValidateTokenReply);
    auth__validate_token_reply__init(out);
    out->user_id = arena_strdup(call->arena, key->user_id);
    out->session_id = arena_strdup(call->arena, key->id);
    out->key_id = out->session_id;
    out->role = (User__Role)account.role;
    out->name = auth_short_name(call->arena, account.name);
    out->expires_at_ms = key->expires_at_ms;
    out->is_bot = account.owner_id[0] != '\0';
    auth_key_scopes(call->arena, key->scopes, &out->scopes, &out->n_scopes);
    mark_used(svc, key, clock_wall_ms());
    return out;
}

/* ---- tokens of bots ---- */

#define TOKEN_REFUSED "the token is not valid (any more)"

static bool has_scope(const char *scopes, const char *wanted)
{
    struct str rest = str_from(scopes), one;
    bool is_found = !rest.n || !wanted[0];
    for (bool is_more = !is_found; is_more && !is_found;) {
        is_more = str_cut(&rest, ' ', &one);
        is_found = str_eq(one, str_from(wanted));
    }
    return is_found;
}

Auth__ValidateTokenReply *auth_validate_key_token(struct auth_service *svc, struct rpc_call *call,
                                                  const Auth__ValidateTokenRequest *in)
{
    struct str token = str_from(in->token);
    const size_t prefix = sizeof(AUTH_KEY_PREFIX) - 1, id_chars = ID_SIZE - 1;
    char hash[65];
    if (token.n != prefix + id_chars + AUTH_KEY_SECRET_CHARS)
        return refuse(call, TOKEN_REFUSED);
    const char *id = str_arena(call->arena, str_sub(token, prefix, id_chars));
    const struct auth_key *key = find_key(svc, call, id, AUTH__KEY_KIND__TOKEN, TOKEN_REFUSED);
    if (!key)
        return NULL;
    auth_store_hash(token.p + prefix + id_chars, hash);
    if (!str_eq_secret(str_from(hash), (struct str){key->secret, key->secret_n}))
        return refuse(call, TOKEN_REFUSED);
    if (!has_scope(key->scopes, in->scope)) {
        rpc_fail(call, ERR_PERMISSION_DENIED, "the key is not good for \"%s\"", in->scope);
        return NULL;
    }
    return admit(svc, call, key, TOKEN_REFUSED);
}

/* ---- signed requests ---- */

#define SIGNATURE_REFUSED "the signature is not valid: see \"Signed requests\" of the API's manual"

static void time_text(int64_t ms, char out[32])
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    if (!gmtime_r(&s, &tm) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
        snprintf(out, 32, "%lld ms", (long long)ms);
}

/* false after rpc_fail, which says our time: whose clock is wrong can mend it. */
static bool is_fresh(struct auth_service *svc, struct rpc_call *call, int64_t time_ms)
{
    int64_t now_ms = clock_wall_ms();
    char theirs[32], ours[32];
    bool is_near = time_ms >= now_ms - SKEW_MAX_MS && time_ms <= now_ms + SKEW_MAX_MS;
    if (is_near && time_ms >= svc->started_at_ms)
        return true;
    time_text(time_ms, theirs);
    time_text(now_ms, ours);
    rpc_fail(call, ERR_UNAUTHENTICATED,
             is_near ? "signed at %s, before this server started; its time is %s (%lld ms)"
                     : "signed at %s, which is over five minutes from the server's time %s "
                       "(%lld ms)",
             theirs, ours, (long long)now_ms);
    return false;
}

static bool is_nonce(struct str nonce)
{
    for (size_t i = 0; i < nonce.n; i++) {
        char c = nonce.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              c == '-' || c == '_'))
            return false;
    }
    return nonce.n >= NONCE_MIN && nonce.n <= NONCE_MAX;
}

static bool is_signed_by(struct auth_service *svc, struct rpc_call *call,
                         const struct auth_key *key, const Auth__ValidateSignatureRequest *in)
{
    uint8_t expected[32], given[32];
    unsigned n = sizeof(expected);
    struct str secret =
        unseal(auth_keys_seal_key(svc->keys), key->id, key->secret, key->secret_n, call->arena);
    if (!secret.n) {
        log_warn(&call->log, "key %s cannot be read: it was made under another jwt.secret",
                 key->id);
        return false;
    }
    const char *text = arena_printf(call->arena, "PARLANCE-HMAC-SHA256\n%s\n%lld\n%s\n%s",
                                    in->key_id, (long long)in->time_ms, in->nonce, in->request);
    HMAC(EVP_sha256(), secret.p, (int)secret.n, (const uint8_t *)text, strlen(text), expected, &n);
    return str_unhex(str_from(in->signature), given, sizeof(given)) &&
           str_eq_secret((struct str){(const char *)expected, sizeof(expected)},
                         (struct str){(const char *)given, sizeof(given)});
}

/* Only who knows the secret gets this far, so nobody else can fill the cache. */
static bool is_first_use(struct auth_service *svc, struct rpc_call *call, const char *key_id,
                         const char *nonce)
{
    const char *name = arena_printf(call->arena, "auth-nonce:%s:%s", key_id, nonce);
    enum err err = cache_add(svc->deps.cache, str_from(name), STR("1"), 2 * SKEW_MAX_MS + 1000);
    if (err == ERR_ALREADY_EXISTS)
        refuse(call, "this signed request was made already: sign each with a nonce of its own");
    else if (err)
        who_fail(call, err);
    return !err;
}

Auth__ValidateTokenReply *auth_validate_signature(struct auth_service *svc, struct rpc_call *call,
                                                  const Auth__ValidateSignatureRequest *in)
{
    if (!is_nonce(str_from(in->nonce)))
        return refuse(call, "nonce: expected 16 to 64 of A-Z a-z 0-9 - _");
    if (!is_fresh(svc, call, in->time_ms))
        return NULL;
    const struct auth_key *key =
        find_key(svc, call, in->key_id, AUTH__KEY_KIND__HMAC, SIGNATURE_REFUSED);
    if (!key)
        return NULL;
    if (!is_signed_by(svc, call, key, in))
        return refuse(call, SIGNATURE_REFUSED);
    if (!is_first_use(svc, call, key->id, in->nonce))
        return NULL;
    return admit(svc, call, key, SIGNATURE_REFUSED);
}
