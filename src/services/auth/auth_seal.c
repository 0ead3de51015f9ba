/*
 * auth_seal: secrets that the server must be able to read again (keys that requests are signed
 * with), kept sealed under a key made of jwt.secret: a copy of the database alone gives none away.
 * XChaCha20-Poly1305; 24 bytes of nonce, the text, 16 bytes of tag.
 */
#include <sodium.h>

#include "services/auth/auth_internal.h"

_Static_assert(AUTH_SEAL_EXTRA == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES +
                                      crypto_aead_xchacha20poly1305_ietf_ABYTES,
               "what sealing adds");
#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES

void auth_seal(const struct auth_keys *keys, const char *about, struct str secret, uint8_t *out)
{
    randombytes_buf(out, NONCE_BYTES);
    crypto_aead_xchacha20poly1305_ietf_encrypt(out + NONCE_BYTES, NULL, (const uint8_t *)secret.p,
                                               secret.n, (const uint8_t *)about, strlen(about),
                                               NULL, out, auth_keys_seal_key(keys));
}

struct str auth_unseal(const struct auth_keys *keys, const char *about, const void *sealed,
                       size_t n, struct arena *arena)
{
    const uint8_t *bytes = sealed;
    unsigned long long length = 0;
    if (n < AUTH_SEAL_EXTRA)
        return STR_NULL;
    uint8_t *out = arena_alloc(arena, n - AUTH_SEAL_EXTRA + 1);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            out, &length, NULL, bytes + NONCE_BYTES, n - NONCE_BYTES, (const uint8_t *)about,
            strlen(about), bytes, auth_keys_seal_key(keys)) != 0)
        return STR_NULL;
    return (struct str){(const char *)out, (size_t)length};
}
