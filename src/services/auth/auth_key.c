/*
 * auth_key: keys for programs, made, listed and ended by their owner. A key stands for an account
 * without a sign-in: for its owner, or for a bot of the owner's. One kind signs requests, so its
 * secret must be known here again (sealed); the other, for bots, is sent as a token (hashed).
 */
#include "core/clock.h"
#include "services/auth/auth_internal.h"
#include "services/common/text.h"
#include "services/common/who.h"

#define KEYS_PER_OWNER 50
#define SCOPES_MAX 16

/* ---- what may stand in a key ---- */

/* "messages", "messages:read", "messages:write", "sockets". Whether there is such a part of the API
 * only the edge knows; a scope that names none opens nothing. */
static bool is_scope(struct str scope)
{
    struct str part;
    bool has_verb = str_cut(&scope, ':', &part);
    for (size_t i = 0; i < part.n; i++)
        if ((part.p[i] < 'a' || part.p[i] > 'z') && part.p[i] != '_')
            return false;
    return part.n > 0 && part.n <= 30 &&
           (!has_verb || str_eq(scope, STR("read")) || str_eq(scope, STR("write")));
}

/* One text, a space between; NULL after rpc_fail. */
static const char *take_scopes(struct rpc_call *call, char *const *scopes, size_t count)
{
    struct strbuf all = {0};
    bool is_good = count <= SCOPES_MAX;
    for (size_t i = 0; i < count && is_good; i++) {
        is_good = is_scope(str_from(scopes[i]));
        strbuf_printf(&all, "%s%s", i ? " " : "", scopes[i]);
    }
    is_good = is_good && all.n <= AUTH_SCOPES_MAX;
    const char *out = is_good ? str_arena(call->arena, strbuf_str(&all)) : NULL;
    if (!is_good)
        rpc_fail(call, ERR_INVALID_ARGUMENT,
                 "scopes: expected at most %d like \"messages\", \"messages:read\" or \"sockets\"",
                 SCOPES_MAX);
    strbuf_deinit(&all);
    return out;
}

/* Whom the key stands for: the caller, or a bot of the caller's. */
static bool take_bearer(struct auth_service *svc, struct rpc_call *call,
                        const Auth__CreateKeyRequest *in, struct auth_key *key)
{
    struct auth_account account;
    const char *owner = who_id(call);
    if (!owner[0]) {
        who_fail(call, ERR_PERMISSION_DENIED); /* the system needs none */
        return false;
    }
    bool is_own = !in->user_id[0] || strcmp(in->user_id, owner) == 0;
    snprintf(key->owner_id, ID_SIZE, "%s", owner);
    snprintf(key->user_id, ID_SIZE, "%s", is_own ? owner : in->user_id);
    if (is_own && in->kind == AUTH__KEY_KIND__HMAC)
        return true;
    if (is_own) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "kind: tokens that do not expire are for bots");
        return false;
    }
    enum err err = id_is_valid(in->user_id) ? auth_account_find(svc, call, in->user_id, &account)
                                            : ERR_NOT_FOUND;
    if (!err && !(account.owner_id[0] && strcmp(account.owner_id, owner) == 0))
        err = ERR_NOT_FOUND;
    if (err == ERR_NOT_FOUND)
        rpc_fail(call, err, "user_id: expected a bot of one's own");
    else if (err)
        who_fail(call, err);
    return !err;
}

static bool take_key(struct auth_service *svc, struct rpc_call *call,
                     const Auth__CreateKeyRequest *in, struct auth_key *key)
{
    key->created_at_ms = clock_wall_ms();
    key->expires_at_ms = in->expires_at_ms;
    key->kind = in->kind;
    key->name = text_take(call, in->name, &(struct text_rule){"name", 1, 64, 0});
    key->scopes = key->name ? take_scopes(call, in->scopes, in->n_scopes) : NULL;
    if (!key->scopes)
        return false;
    if (in->kind != AUTH__KEY_KIND__HMAC && in->kind != AUTH__KEY_KIND__TOKEN) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "kind: expected hmac or token");
        return false;
    }
    if (in->expires_at_ms && in->expires_at_ms <= key->created_at_ms) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "expires_at_ms: is over already");
        return false;
    }
    return take_bearer(svc, call, in, key);
}

/* ---- making ---- */

/* The secret's text for its owner, and what is kept of it. */
static char *make_secret(struct auth_service *svc, struct arena *arena, struct auth_key *key)
{
    char secret[AUTH_KEY_SECRET_CHARS + 1];
    id_token(secret, AUTH_KEY_SECRET_CHARS);
    if (key->kind == AUTH__KEY_KIND__TOKEN) {
        char *hash = arena_alloc(arena, 65);
        auth_store_hash(secret, hash);
        key->secret = hash;
        key->secret_n = 64;
        return arena_printf(arena, AUTH_KEY_PREFIX "%s%s", key->id, secret);
    }
    uint8_t *sealed = arena_alloc(arena, sizeof(secret) + SEAL_EXTRA);
    seal(auth_keys_seal_key(svc->keys), key->id, str_from(secret), sealed);
    key->secret = sealed;
    key->secret_n = AUTH_KEY_SECRET_CHARS + SEAL_EXTRA;
    return arena_strdup(arena, secret);
}

static Auth__ApiKey *show(struct arena *arena, const struct auth_key *key)
{
    Auth__ApiKey *out = arena_new(arena, Auth__ApiKey);
    auth__api_key__init(out);
    out->id = arena_strdup(arena, key->id);
    out->name = (char *)key->name;
    out->kind = key->kind;
    out->user_id = arena_strdup(arena, key->user_id);
    out->created_at_ms = key->created_at_ms;
    out->expires_at_ms = key->expires_at_ms;
    out->last_used_at_ms = key->last_used_at_ms;
    auth_key_scopes(arena, key->scopes, &out->scopes, &out->n_scopes);
    return out;
}

struct making {
    struct auth_service *svc;
    struct rpc_call *call;
    struct auth_key key;
};

static enum err make_job(struct store_tx *tx, void *arg)
{
    struct making *m = arg;
    struct auth_key *list;
    size_t count;
    enum err err = auth_store_list_keys(tx, m->call->arena, m->key.owner_id, m->key.created_at_ms,
                                        KEYS_PER_OWNER, &list, &count);
    if (!err && count >= KEYS_PER_OWNER) {
        rpc_fail(m->call, ERR_RESOURCE_EXHAUSTED, "at most %d keys; end one that is not used",
                 KEYS_PER_OWNER);
        return ERR_RESOURCE_EXHAUSTED;
    }
    if (!err)
        err = auth_store_add_key(tx, &m->key);
    if (!err)
        err = auth_note(tx, m->call, m->key.owner_id, "key_created", m->key.id, m->key.name);
    return err;
}

Auth__ApiKey *auth_create_key(struct auth_service *svc, struct rpc_call *call,
                              const Auth__CreateKeyRequest *in)
{
    struct making m = {.svc = svc, .call = call};
    if (!take_key(svc, call, in, &m.key))
        return NULL;
    id_make(m.key.id);
    char *secret = make_secret(svc, call->arena, &m.key);
    enum err err = store_write_sync(svc->deps.store, 0, make_job, &m);
    if (err)
        return who_fail(call, err);
    Auth__ApiKey *out = show(call->arena, &m.key);
    out->secret = secret;
    return out;
}

/* ---- looking ---- */

struct listing {
    struct rpc_call *call;
    struct auth_key *list;
    size_t count;
};

static enum err list_job(struct store_tx *tx, void *arg)
{
    struct listing *l = arg;
    return auth_store_list_keys(tx, l->call->arena, who_id(l->call), clock_wall_ms(),
                                KEYS_PER_OWNER, &l->list, &l->count);
}

Auth__KeyList *auth_list_keys(struct auth_service *svc, struct rpc_call *call)
{
    struct listing l = {.call = call};
    enum err err = store_read(svc->deps.store, list_job, &l);
    if (err)
        return who_fail(call, err);
    Auth__KeyList *out = arena_new(call->arena, Auth__KeyList);
    auth__key_list__init(out);
    out->n_keys = l.count;
    out->keys = arena_array(call->arena, Auth__ApiKey *, l.count);
    for (size_t i = 0; i < l.count; i++)
        out->keys[i] = show(call->arena, &l.list[i]);
    return out;
}

/* ---- ending ---- */

struct ending {
    struct auth_service *svc;
    struct rpc_call *call;
    const char *id;
};

/* Sockets that were opened with it close, as those of a sign-in that ended. */
static enum err end_tx(struct auth_service *svc, struct store_tx *tx, const struct auth_key *key)
{
    enum err err = auth_store_remove_key(tx, key->id);
    return err ? err : auth_session_publish_end_tx(svc, tx, key->id, key->user_id);
}

static enum err end_job(struct store_tx *tx, void *arg)
{
    struct ending *e = arg;
    struct auth_key key;
    enum err err = auth_store_find_key(tx, e->call->arena, e->id, &key);
    if (!err && strcmp(key.owner_id, who_id(e->call)) != 0)
        err = ERR_NOT_FOUND;
    if (!err)
        err = end_tx(e->svc, tx, &key);
    return err ? err : auth_note(tx, e->call, key.owner_id, "key_revoked", key.id, key.name);
}

Auth__RevokeKeyReply *auth_revoke_key(struct auth_service *svc, struct rpc_call *call,
                                      const char *id)
{
    struct ending e = {svc, call, id};
    enum err err = id_is_valid(id) ? store_write_essential_sync(svc->deps.store, 0, end_job, &e)
                                   : ERR_NOT_FOUND;
    if (err)
        return who_fail(call, err);
    Auth__RevokeKeyReply *out = arena_new(call->arena, Auth__RevokeKeyReply);
    auth__revoke_key_reply__init(out);
    return out;
}

enum err auth_key_end_all_tx(struct auth_service *svc, struct store_tx *tx, struct arena *arena,
                             const char *user_id)
{
    struct auth_key *list;
    size_t count;
    enum err err = auth_store_list_keys_about(tx, arena, user_id, 1000, &list, &count);
    for (size_t i = 0; i < count && !err; i++)
        err = end_tx(svc, tx, &list[i]);
    return err;
}
