/*
 * srtp_suite_cm: packets of AES_CM_128_HMAC_SHA1_80 (RFC 3711), for peers that know no better.
 *
 *   SRTP:   | header | ciphertext | tag 10 |          tag over header, ciphertext, ROC
 *   SRTCP:  | 8 bytes | ciphertext | E, index | tag 10 |   tag over all before it
 *   IV:     (salt 14, 00 00) xor (SSRC at byte 4) xor (index, 48 bits, at byte 8)
 *
 * The tag is judged before anything is deciphered.
 */
#include "sfu/transport/srtp_internal.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "core/mem.h"

#define SHA1_BYTES 20

struct state {
    EVP_CIPHER_CTX *ctr;
    EVP_MAC_CTX *hmac;
};

static EVP_MAC_CTX *create_hmac(const uint8_t *key, size_t key_bytes)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    char digest[] = "SHA1";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    if (ctx && EVP_MAC_init(ctx, key, key_bytes, params) != 1) {
        EVP_MAC_CTX_free(ctx);
        ctx = NULL;
    }
    EVP_MAC_free(mac);
    return ctx;
}

static bool init(struct srtp_cipher *c, const struct srtp_session_keys *keys, size_t key_bytes,
                 enum srtp_engine engine)
{
    struct state *s = c->state = mem_new(struct state);
    memcpy(c->salt, keys->salt, sizeof(c->salt));
    s->ctr = EVP_CIPHER_CTX_new();
    s->hmac = create_hmac(keys->auth, sizeof(keys->auth));
    return s->ctr && s->hmac && key_bytes == 16 &&
           EVP_EncryptInit_ex(s->ctr, EVP_aes_128_ctr(), NULL, keys->cipher, NULL) == 1;
}

static void deinit(struct srtp_cipher *c)
{
    struct state *s = c->state;
    if (!s)
        return;
    EVP_CIPHER_CTX_free(s->ctr);
    EVP_MAC_CTX_free(s->hmac);
    free(s);
}

static bool apply_keystream(struct srtp_cipher *c, const uint8_t *ssrc, uint64_t index,
                            uint8_t *dst, const uint8_t *src, size_t n)
{
    struct state *s = c->state;
    uint8_t iv[16] = {0};
    int written = 0;
    memcpy(iv, c->salt, sizeof(c->salt));
    for (int i = 0; i < 4; i++)
        iv[4 + i] ^= ssrc[i];
    for (int i = 0; i < 6; i++)
        iv[8 + i] ^= (uint8_t)(index >> (40 - 8 * i));
    return EVP_EncryptInit_ex(s->ctr, NULL, NULL, NULL, iv) == 1 &&
           (n == 0 || EVP_EncryptUpdate(s->ctr, dst, &written, src, (int)n) == 1);
}

/* HMAC-SHA1 over the packet and, if any, four bytes more. */
static bool make_tag(struct srtp_cipher *c, const uint8_t *packet, size_t n, const uint8_t *extra,
                     uint8_t tag[SHA1_BYTES])
{
    struct state *s = c->state;
    size_t size = 0;
    return EVP_MAC_init(s->hmac, NULL, 0, NULL) == 1 && EVP_MAC_update(s->hmac, packet, n) == 1 &&
           (!extra || EVP_MAC_update(s->hmac, extra, 4) == 1) &&
           EVP_MAC_final(s->hmac, tag, &size, SHA1_BYTES) == 1 && size == SHA1_BYTES;
}

static bool seal_rtp(struct srtp_cipher *c, uint8_t *packet, size_t header_bytes,
                     const uint8_t *src, size_t n, uint64_t index)
{
    uint8_t roc[4], tag[SHA1_BYTES];
    srtp_put_u32(roc, (uint32_t)(index >> 16));
    if (!apply_keystream(c, packet + 8, index, packet + header_bytes, src, n) ||
        !make_tag(c, packet, header_bytes + n, roc, tag))
        return false;
    memcpy(packet + header_bytes + n, tag, SRTP_CM_TAG_BYTES);
    return true;
}

static bool open_rtp(struct srtp_cipher *c, uint8_t *packet, size_t header_bytes, size_t n,
                     uint64_t index)
{
    uint8_t roc[4], tag[SHA1_BYTES];
    uint8_t *body = packet + header_bytes;
    srtp_put_u32(roc, (uint32_t)(index >> 16));
    return make_tag(c, packet, header_bytes + n, roc, tag) &&
           CRYPTO_memcmp(tag, body + n, SRTP_CM_TAG_BYTES) == 0 &&
           apply_keystream(c, packet + 8, index, body, body, n);
}

static bool seal_rtcp(struct srtp_cipher *c, uint8_t *packet, size_t n, uint32_t index_word)
{
    uint8_t tag[SHA1_BYTES];
    uint8_t *body = packet + SRTCP_HEADER_BYTES;
    if (!apply_keystream(c, packet + 4, (uint64_t)(index_word & ~SRTCP_ENCRYPTED), body, body,
                         n - SRTCP_HEADER_BYTES))
        return false;
    srtp_put_u32(packet + n, index_word);
    if (!make_tag(c, packet, n + SRTCP_INDEX_BYTES, NULL, tag))
        return false;
    memcpy(packet + n + SRTCP_INDEX_BYTES, tag, SRTP_CM_TAG_BYTES);
    return true;
}

static bool open_rtcp(struct srtp_cipher *c, uint8_t *packet, size_t n, uint32_t index_word)
{
    uint8_t tag[SHA1_BYTES];
    uint8_t *body = packet + SRTCP_HEADER_BYTES;
    return make_tag(c, packet, n + SRTCP_INDEX_BYTES, NULL, tag) &&
           CRYPTO_memcmp(tag, packet + n + SRTCP_INDEX_BYTES, SRTP_CM_TAG_BYTES) == 0 &&
           apply_keystream(c, packet + 4, index_word & ~SRTCP_ENCRYPTED, body, body,
                           n - SRTCP_HEADER_BYTES);
}

const struct srtp_suite srtp_suite_cm = {
    .tag_bytes = SRTP_CM_TAG_BYTES,
    .init = init,
    .deinit = deinit,
    .seal_rtp = seal_rtp,
    .open_rtp = open_rtp,
    .seal_rtcp = seal_rtcp,
    .open_rtcp = open_rtcp,
    .index_offset = 0,
};
