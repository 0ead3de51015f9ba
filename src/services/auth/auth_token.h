/*
 * auth_token: signed tokens (JWT, RFC 7519) by the rules of RFC 8725. One key, whose kind alone
 * decides the algorithm; issuer, audience, type and times are always checked; an access token never
 * passes for a refresh token or the other way round.
 */
#pragma once

#include "core/arena.h"
#include "core/err.h"
#include "core/id.h"
#include "core/str.h"
#include "rpc/rpc.h"
#include "services/common/seal.h"

struct auth_keys;

#define AUTH_TOKEN_MAX_BYTES 2048
#define AUTH_TOKEN_ID_CHARS 43 /* 256 bits */

/* INVALID_ARGUMENT (logged): a secret under 32 bytes; a key that is not RSA of at least 2,048 bits
 * or EC P-256. */
MUST_USE enum err auth_keys_create(struct auth_keys **out, struct str secret, const char *key_pem);
void auth_keys_destroy(struct auth_keys **keys);
/* "HS256", "RS256" or "ES256". */
const char *auth_keys_algorithm(const struct auth_keys *keys);

/* What secrets that must be read again are kept under. */
const struct seal_key *auth_keys_seal_key(const struct auth_keys *keys);

enum auth_token_type { AUTH_TOKEN_ACCESS, AUTH_TOKEN_REFRESH };

struct auth_claims {
    enum auth_token_type type;
    char user_id[ID_SIZE];
    char session_id[ID_SIZE];
    char token_id[AUTH_TOKEN_ID_CHARS + 1];
    enum identity_role role; /* access tokens; what counts is the account's at validation */
    int64_t issued_at_ms;    /* whole seconds in the token */
    int64_t expires_at_ms;
};

char *auth_token_sign(const struct auth_keys *keys, struct arena *arena,
                      const struct auth_claims *claims);

enum auth_token_flags { AUTH_TOKEN_MAY_BE_EXPIRED = 1 }; /* signing out with an old token */
/* UNAUTHENTICATED for everything that is not wholly right; the reason is for the debug log alone.
 */
MUST_USE enum err auth_token_verify(const struct auth_keys *keys, struct str token,
                                    enum auth_token_type type, int64_t now_ms, unsigned flags,
                                    struct auth_claims *out);

/* The CSRF token of a sign-in: whoever can read our page knows it, another site does not. */
#define AUTH_CSRF_SIZE 44 /* with NUL */
void auth_csrf_make(const struct auth_keys *keys, const char *session_id, char out[AUTH_CSRF_SIZE]);
bool auth_csrf_matches(const struct auth_keys *keys, const char *session_id, const char *token);
/* The id of the refresh token that follows this one: always the same one, so that a repeated
 * renewal gets the token it would have got. */
void auth_token_next_id(const struct auth_keys *keys, const char *token_id,
                        char out[AUTH_TOKEN_ID_CHARS + 1]);
