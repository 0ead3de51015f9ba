/* auth_signature: the three signatures tokens may have (RFC 7518: HS256, RS256, ES256), chosen by
 * the key at start and never by what comes in. */
#pragma once

#include "core/err.h"
#include "core/str.h"

struct auth_signer;

#define AUTH_SIGNATURE_MAX 1024 /* bytes: RSA of 8,192 bits */

/* key_pem NULL: HS256 with the secret. INVALID_ARGUMENT (logged): the key is of another kind. */
MUST_USE enum err auth_signer_create(struct auth_signer **out, struct str secret,
                                     const char *key_pem);
void auth_signer_destroy(struct auth_signer **signer);
const char *auth_signer_algorithm(const struct auth_signer *signer);
/* 16 hex digits that say which key it was, and nothing about it. */
void auth_signer_key_id(const struct auth_signer *signer, char out[17]);
bool auth_signer_sign(const struct auth_signer *signer, struct str message,
                      uint8_t out[AUTH_SIGNATURE_MAX], size_t *n);
bool auth_signer_verify(const struct auth_signer *signer, struct str message,
                        const uint8_t *signature, size_t n);
