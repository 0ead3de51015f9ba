/*
 * auth_token: tokens, signed and checked with OpenSSL directly. (libjwt 1.10 always writes the type
 * "JWT" and takes the algorithm from the token; RFC 8725 wants both otherwise. Its answers serve as
 * an oracle in the tests.)
 *
 * Checking goes from outside in, and nothing is read before it is proven: size, three parts, a
 * header of exactly alg, typ and kid equal to ours, the signature, and only then the claims.
 */
#include "services/auth/auth_token.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <stdlib.h>

#include "core/log.h"
#include "core/mem.h"
#include "services/auth/auth_signature.h"

#define ISSUER "parlance"
#define AUDIENCE "parlance"
#define CLOCK_SKEW_MS 30000 /* between machines: a token may come from a little in the future */

struct auth_keys {
    struct auth_signer *signer;
    char kid[17];
    uint8_t csrf_key[32];
    uint8_t next_key[32];
    struct seal_key seal_key;
};

static const char *const type_names[] = {
    [AUTH_TOKEN_ACCESS] = "at+jwt", /* RFC 9068 */
    [AUTH_TOKEN_REFRESH] = "refresh+jwt",
};
static const char *const role_names[] = {
    [ROLE_NONE] = "none", [ROLE_GUEST] = "guest", [ROLE_USER] = "user", [ROLE_ADMIN] = "admin"};

/* A key of its own for each purpose, from the one secret. */
static void derive(struct str secret, const char *purpose, uint8_t out[32])
{
    unsigned n = 32;
    HMAC(EVP_sha256(), secret.p, (int)secret.n, (const uint8_t *)purpose, strlen(purpose), out, &n);
}

enum err auth_keys_create(struct auth_keys **out, struct str secret, const char *key_pem)
{
    *out = NULL;
    if (secret.n < 32 || secret.n > 4096) {
        log_error(NULL, "jwt.secret: expected at least 32 characters");
        return ERR_INVALID_ARGUMENT;
    }
    struct auth_keys *keys = mem_zalloc(sizeof(*keys));
    enum err err = auth_signer_create(&keys->signer, secret, key_pem);
    if (err) {
        auth_keys_destroy(&keys);
        return err;
    }
    derive(secret, "parlance csrf 1", keys->csrf_key);
    derive(secret, "parlance refresh 1", keys->next_key);
    seal_key_make(secret, "parlance seal 1", &keys->seal_key);
    auth_signer_key_id(keys->signer, keys->kid);
    *out = keys;
    return ERR_OK;
}

void auth_keys_destroy(struct auth_keys **keys)
{
    if (!*keys)
        return;
    auth_signer_destroy(&(*keys)->signer);
    OPENSSL_cleanse(*keys, sizeof(**keys));
    free(*keys);
    *keys = NULL;
}

const char *auth_keys_algorithm(const struct auth_keys *keys)
{
    return auth_signer_algorithm(keys->signer);
}

const struct seal_key *auth_keys_seal_key(const struct auth_keys *keys)
{
    return &keys->seal_key;
}

/* ---- signing ---- */

static void add_base64(struct strbuf *out, const void *bytes, size_t n)
{
    str_base64url(strbuf_reserve(out, str_base64_size(n)), bytes, n);
    out->n += strlen(out->p + out->n);
}

char *auth_token_sign(const struct auth_keys *keys, struct arena *arena,
                      const struct auth_claims *claims)
{
    struct strbuf part = {0}, token = {0};
    uint8_t signature[AUTH_SIGNATURE_MAX];
    size_t n = 0;
    strbuf_printf(&part, "{\"alg\":\"%s\",\"typ\":\"%s\",\"kid\":\"%s\"}",
                  auth_keys_algorithm(keys), type_names[claims->type], keys->kid);
    add_base64(&token, part.p, part.n);
    strbuf_clear(&part);
    /* Every text in it is an id or a name from a list: nothing needs escaping. */
    strbuf_printf(&part,
                  "{\"iss\":\"" ISSUER "\",\"aud\":\"" AUDIENCE "\",\"sub\":\"%s\",\"sid\":\"%s\","
                  "\"jti\":\"%s\",\"iat\":%lld,\"nbf\":%lld,\"exp\":%lld",
                  claims->user_id, claims->session_id, claims->token_id,
                  (long long)(claims->issued_at_ms / 1000),
                  (long long)(claims->issued_at_ms / 1000),
                  (long long)(claims->expires_at_ms / 1000));
    if (claims->type == AUTH_TOKEN_ACCESS)
        strbuf_printf(&part, ",\"role\":\"%s\"", role_names[claims->role]);
    strbuf_addc(&part, '}');
    strbuf_addc(&token, '.');
    add_base64(&token, part.p, part.n);
    char *out = NULL;
    if (auth_signer_sign(keys->signer, strbuf_str(&token), signature, &n)) {
        strbuf_addc(&token, '.');
        add_base64(&token, signature, n);
        out = str_arena(arena, strbuf_str(&token));
    }
    strbuf_deinit(&part);
    strbuf_deinit(&token);
    return out;
}

/* ---- checking ---- */

/* Strict: no padding, no foreign characters, no stray bits. */
static bool decode(struct str text, uint8_t *out, size_t max, size_t *n)
{
    return sodium_base642bin(out, max, text.p, text.n, NULL, n, NULL,
                             sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0;
}

static json_t *decode_json(struct str text)
{
    uint8_t bytes[AUTH_TOKEN_MAX_BYTES];
    size_t n = 0;
    if (!decode(text, bytes, sizeof(bytes), &n))
        return NULL;
    json_t *root = json_loadb((const char *)bytes, n, JSON_REJECT_DUPLICATES, NULL);
    if (root && !json_is_object(root)) {
        json_decref(root);
        root = NULL;
    }
    return root;
}

static bool text_is(const json_t *root, const char *key, const char *expected)
{
    const json_t *value = json_object_get(root, key);
    return json_is_string(value) && strcmp(json_string_value(value), expected) == 0 &&
           json_string_length(value) == strlen(expected);
}

static bool text_take_id(const json_t *root, const char *key, char *out, size_t size)
{
    const json_t *value = json_object_get(root, key);
    if (!json_is_string(value) || json_string_length(value) != size - 1)
        return false;
    memcpy(out, json_string_value(value), size);
    return strlen(out) == size - 1;
}

static bool time_take(const json_t *root, const char *key, int64_t *out_ms)
{
    const json_t *value = json_object_get(root, key);
    int64_t s = json_is_integer(value) ? json_integer_value(value) : -1;
    *out_ms = s * 1000;
    return s > 0 && s < 253402300800; /* year 10000 */
}

/* Exactly our own header. A token that names its key or algorithm otherwise, brings a key along, or
 * demands extensions is not ours. */
static const char *header_problem(const struct auth_keys *keys, struct str part,
                                  enum auth_token_type type)
{
    json_t *root = decode_json(part);
    const char *problem = NULL;
    if (!root)
        return "header is no JSON object";
    if (json_object_size(root) != 3)
        problem = "header has other members";
    else if (!text_is(root, "alg", auth_keys_algorithm(keys)))
        problem = "algorithm";
    else if (!text_is(root, "typ", type_names[type]))
        problem = "type";
    else if (!text_is(root, "kid", keys->kid))
        problem = "key id";
    json_decref(root);
    return problem;
}

static const char *claims_problem(struct str part, int64_t now_ms, unsigned flags,
                                  struct auth_claims *out)
{
    json_t *root = decode_json(part);
    int64_t not_before_ms = 0;
    const char *problem = NULL;
    if (!root)
        return "claims are no JSON object";
    if (!text_is(root, "iss", ISSUER))
        problem = "issuer";
    else if (!text_is(root, "aud", AUDIENCE))
        problem = "audience";
    else if (!text_take_id(root, "sub", out->user_id, ID_SIZE) || !id_is_valid(out->user_id))
        problem = "subject";
    else if (!text_take_id(root, "sid", out->session_id, ID_SIZE) || !id_is_valid(out->session_id))
        problem = "session";
    else if (!text_take_id(root, "jti", out->token_id, sizeof(out->token_id)))
        problem = "token id";
    else if (!time_take(root, "iat", &out->issued_at_ms) ||
             !time_take(root, "nbf", &not_before_ms) ||
             !time_take(root, "exp", &out->expires_at_ms))
        problem = "times";
    else if (not_before_ms > now_ms + CLOCK_SKEW_MS || out->issued_at_ms > now_ms + CLOCK_SKEW_MS)
        problem = "not valid yet";
    else if (out->expires_at_ms <= now_ms && !(flags & AUTH_TOKEN_MAY_BE_EXPIRED))
        problem = "expired";
    json_decref(root);
    return problem;
}

enum err auth_token_verify(const struct auth_keys *keys, struct str token,
                           enum auth_token_type type, int64_t now_ms, unsigned flags,
                           struct auth_claims *out)
{
    struct str rest = token, header, claims;
    uint8_t signature[AUTH_SIGNATURE_MAX];
    size_t n = 0;
    const char *problem = NULL;
    *out = (struct auth_claims){.type = type};
    if (token.n > AUTH_TOKEN_MAX_BYTES)
        problem = "too long";
    else if (!str_cut(&rest, '.', &header) || !str_cut(&rest, '.', &claims) ||
             str_find(rest, '.') >= 0)
        problem = "not three parts";
    else
        problem = header_problem(keys, header, type);
    if (!problem) {
        struct str signed_part = str_sub(token, 0, header.n + 1 + claims.n);
        if (!decode(rest, signature, sizeof(signature), &n) ||
            !auth_signer_verify(keys->signer, signed_part, signature, n))
            problem = "signature";
    }
    if (!problem)
        problem = claims_problem(claims, now_ms, flags, out);
    if (!problem)
        return ERR_OK;
    log_debug(NULL, "token refused: %s", problem);
    *out = (struct auth_claims){.type = type};
    return ERR_UNAUTHENTICATED;
}

/* ---- what hangs on a sign-in ---- */

static void keyed_text(const uint8_t key[32], const char *label, const char *text, char *out)
{
    uint8_t mac[32];
    unsigned n = sizeof(mac);
    char message[128];
    int length = snprintf(message, sizeof(message), "%s:%s", label, text);
    HMAC(EVP_sha256(), key, 32, (const uint8_t *)message, (size_t)length, mac, &n);
    str_base64url(out, mac, sizeof(mac));
}

void auth_csrf_make(const struct auth_keys *keys, const char *session_id, char out[AUTH_CSRF_SIZE])
{
    keyed_text(keys->csrf_key, "csrf", session_id, out);
}

bool auth_csrf_matches(const struct auth_keys *keys, const char *session_id, const char *token)
{
    char expected[AUTH_CSRF_SIZE];
    auth_csrf_make(keys, session_id, expected);
    return str_eq_secret(str_from(expected), str_from(token));
}

void auth_token_next_id(const struct auth_keys *keys, const char *token_id,
                        char out[AUTH_TOKEN_ID_CHARS + 1])
{
    keyed_text(keys->next_key, "next", token_id, out);
}
