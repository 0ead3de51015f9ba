/*
 * srtp_suite_gcm: packets of AEAD_AES_128_GCM and AEAD_AES_256_GCM (RFC 7714).
 *
 *   SRTP:   | header (associated data) | ciphertext | tag 16 |
 *   SRTCP:  | 8 bytes (associated) | ciphertext | tag 16 | E, index (associated) |
 *   IV:     salt 12 xor (00 00, SSRC 4, ROC 4, sequence 2)  or  (00 00, SSRC 4, 00 00, index 4)
 */
#include "sfu/transport/srtp_internal.h"

#include <string.h>

static bool init(struct srtp_cipher *c, const struct srtp_session_keys *keys, size_t key_bytes,
                 enum srtp_engine engine)
{
    const struct srtp_gcm_engine *fast = srtp_gcm_ipsec_mb();
    c->engine = fast && engine != SRTP_ENGINE_OPENSSL ? fast : &srtp_gcm_openssl;
    c->state = c->engine->create(keys->cipher, key_bytes);
    memcpy(c->salt, keys->salt, SRTP_GCM_IV_BYTES);
    return c->state != NULL;
}

static void deinit(struct srtp_cipher *c)
{
    if (c->engine)
        c->engine->destroy(c->state);
}

/* `low` is what follows the SSRC: ROC and sequence number, or the SRTCP index. */
static inline void make_iv(uint8_t iv[SRTP_GCM_IV_BYTES], const struct srtp_cipher *c,
                           const uint8_t *ssrc, uint64_t low)
{
    memcpy(iv, c->salt, SRTP_GCM_IV_BYTES);
    for (int i = 0; i < 4; i++)
        iv[2 + i] ^= ssrc[i];
    for (int i = 0; i < 6; i++)
        iv[6 + i] ^= (uint8_t)(low >> (40 - 8 * i));
}

HOT static bool seal_rtp(struct srtp_cipher *c, uint8_t *packet, size_t header_bytes,
                         const uint8_t *src, size_t n, uint64_t index)
{
    uint8_t iv[SRTP_GCM_IV_BYTES];
    make_iv(iv, c, packet + 8, index);
    return c->engine->seal(c->state, &(struct srtp_gcm_job){
                                         .iv = iv,
                                         .aad = packet,
                                         .aad_bytes = header_bytes,
                                         .src = src,
                                         .dst = packet + header_bytes,
                                         .n = n,
                                         .tag = packet + header_bytes + n,
                                     });
}

HOT static bool open_rtp(struct srtp_cipher *c, uint8_t *packet, size_t header_bytes, size_t n,
                         uint64_t index)
{
    uint8_t iv[SRTP_GCM_IV_BYTES];
    make_iv(iv, c, packet + 8, index);
    return c->engine->open(c->state, &(struct srtp_gcm_job){
                                         .iv = iv,
                                         .aad = packet,
                                         .aad_bytes = header_bytes,
                                         .src = packet + header_bytes,
                                         .dst = packet + header_bytes,
                                         .n = n,
                                         .tag = packet + header_bytes + n,
                                     });
}

/* The associated data of SRTCP stands in two places; it is put together in `aad`. */
static struct srtp_gcm_job rtcp_job(struct srtp_cipher *c, uint8_t *packet, size_t n,
                                    uint32_t index_word, uint8_t *iv, uint8_t *aad)
{
    make_iv(iv, c, packet + 4, index_word & ~SRTCP_ENCRYPTED);
    memcpy(aad, packet, SRTCP_HEADER_BYTES);
    srtp_put_u32(aad + SRTCP_HEADER_BYTES, index_word);
    return (struct srtp_gcm_job){
        .iv = iv,
        .aad = aad,
        .aad_bytes = SRTCP_HEADER_BYTES + SRTCP_INDEX_BYTES,
        .src = packet + SRTCP_HEADER_BYTES,
        .dst = packet + SRTCP_HEADER_BYTES,
        .n = n - SRTCP_HEADER_BYTES,
        .tag = packet + n,
    };
}

static bool seal_rtcp(struct srtp_cipher *c, uint8_t *packet, size_t n, uint32_t index_word)
{
    uint8_t iv[SRTP_GCM_IV_BYTES], aad[SRTCP_HEADER_BYTES + SRTCP_INDEX_BYTES];
    struct srtp_gcm_job job = rtcp_job(c, packet, n, index_word, iv, aad);
    srtp_put_u32(packet + n + SRTP_GCM_TAG_BYTES, index_word);
    return c->engine->seal(c->state, &job);
}

static bool open_rtcp(struct srtp_cipher *c, uint8_t *packet, size_t n, uint32_t index_word)
{
    uint8_t iv[SRTP_GCM_IV_BYTES], aad[SRTCP_HEADER_BYTES + SRTCP_INDEX_BYTES];
    struct srtp_gcm_job job = rtcp_job(c, packet, n, index_word, iv, aad);
    return c->engine->open(c->state, &job);
}

const struct srtp_suite srtp_suite_gcm = {
    .tag_bytes = SRTP_GCM_TAG_BYTES,
    .init = init,
    .deinit = deinit,
    .seal_rtp = seal_rtp,
    .open_rtp = open_rtp,
    .seal_rtcp = seal_rtcp,
    .open_rtcp = open_rtcp,
    .index_offset = SRTP_GCM_TAG_BYTES,
};
