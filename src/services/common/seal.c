/*
 * seal: XChaCha20-Poly1305; 24 bytes of nonce, the text, 16 bytes of tag.
 */
#include "services/common/seal.h"

#include <openssl/hmac.h>
#include <sodium.h>

_Static_assert(SEAL_EXTRA == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES +
                                 crypto_aead_xchacha20poly1305_ietf_ABYTES,
               "what sealing adds");
#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES

void seal_key_make(struct str secret, const char *purpose, struct seal_key *out)
{
    unsigned n = sizeof(out->bytes);
    HMAC(EVP_sha256(), secret.p ? secret.p : "", (int)secret.n, (const uint8_t *)purpose,
         strlen(purpose), out->bytes, &n);
}

void seal(const struct seal_key *key, const char *about, struct str secret, uint8_t *out)
{
    randombytes_buf(out, NONCE_BYTES);
    crypto_aead_xchacha20poly1305_ietf_encrypt(out + NONCE_BYTES, NULL, (const uint8_t *)secret.p,
                                               secret.n, (const uint8_t *)about, strlen(about),
                                               NULL, out, key->bytes);
}

struct str unseal(const struct seal_key *key, const char *about, const void *sealed, size_t n,
                  struct arena *arena)
{
    const uint8_t *bytes = sealed;
    unsigned long long length = 0;
    if (n < SEAL_EXTRA)
        return STR_NULL;
    uint8_t *out = arena_alloc(arena, n - SEAL_EXTRA + 1);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(out, &length, NULL, bytes + NONCE_BYTES,
                                                   n - NONCE_BYTES, (const uint8_t *)about,
                                                   strlen(about), bytes, key->bytes) != 0)
        return STR_NULL;
    return (struct str){(const char *)out, (size_t)length};
}
