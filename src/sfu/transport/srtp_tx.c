/*
 * srtp_tx: protects what goes to one peer. This runs once per packet and subscriber: it finds the
 * SSRC (nearly always the one found last), checks that the index is fresh, and lets the suite write
 * ciphertext straight from the shared plaintext into the caller's send arena.
 */
#include "sfu/transport/srtp_internal.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#define RTP_FIXED_BYTES 12
#define KEYS_FETCHED_BYTES 1024 /* round keys and the powers of H that a packet takes */
#define INDEX_END ((uint64_t)1 << 48)
#define RTCP_INDEX_END ((uint32_t)1 << 31)

struct sfu_srtp_tx {
    struct srtp_cipher rtp;
    struct srtp_cipher rtcp;
    struct srtp_streams streams;
};

enum err sfu_srtp_tx_create(struct sfu_srtp_tx **out, const struct sfu_srtp_options *opt)
{
    struct sfu_srtp_tx *tx = mem_new(struct sfu_srtp_tx);
    srtp_streams_init(&tx->streams, opt->max_streams ? opt->max_streams : SRTP_MAX_STREAMS);
    enum err err = srtp_ciphers_init(&tx->rtp, &tx->rtcp, opt);
    if (err)
        sfu_srtp_tx_destroy(&tx);
    *out = tx;
    return err;
}

void sfu_srtp_tx_destroy(struct sfu_srtp_tx **tx)
{
    if (!*tx)
        return;
    srtp_cipher_deinit(&(*tx)->rtp);
    srtp_cipher_deinit(&(*tx)->rtcp);
    srtp_streams_deinit(&(*tx)->streams);
    free(*tx);
    *tx = NULL;
}

size_t sfu_srtp_overhead(const struct sfu_srtp_tx *tx)
{
    return tx->rtp.suite->tag_bytes;
}

HOT void sfu_srtp_tx_fetch_keys(const struct sfu_srtp_tx *tx)
{
    const char *keys = tx->rtp.state, *stream = (const char *)tx->streams.last;
    for (size_t at = 0; at < KEYS_FETCHED_BYTES; at += 64)
        __builtin_prefetch(keys + at);
    __builtin_prefetch(stream, 1);
    __builtin_prefetch(stream + 64, 1);
    __builtin_prefetch(stream + 128, 1);
}

void sfu_srtp_tx_retire(struct sfu_srtp_tx *tx, uint32_t ssrc)
{
    srtp_streams_remove(&tx->streams, ssrc);
}

/* Prefix, payload and padding in one piece at `out`, to be ciphered in place. */
static void assemble(uint8_t *out, const struct sfu_srtp_parts *parts)
{
    if (parts->prefix_bytes)
        memcpy(out, parts->prefix, parts->prefix_bytes);
    out += parts->prefix_bytes;
    if (parts->payload_bytes)
        memcpy(out, parts->payload, parts->payload_bytes);
    out += parts->payload_bytes;
    if (parts->pad_bytes) {
        memset(out, 0, parts->pad_bytes);
        out[parts->pad_bytes - 1] = parts->pad_bytes;
    }
}

HOT enum err sfu_srtp_protect(struct sfu_srtp_tx *tx, const struct sfu_srtp_parts *parts,
                              uint8_t *out, size_t capacity, size_t *n)
{
    const struct srtp_suite *suite = tx->rtp.suite;
    size_t plain = parts->prefix_bytes + parts->payload_bytes + parts->pad_bytes;
    size_t total = parts->header_bytes + plain + suite->tag_bytes;
    if (unlikely(parts->header_bytes < RTP_FIXED_BYTES || total > capacity))
        return ERR_OUT_OF_RANGE;
    uint32_t ssrc = srtp_get_u32(parts->header + 8);
    struct srtp_stream fresh __attribute__((uninitialized));
    struct srtp_stream *stream = srtp_streams_find(&tx->streams, ssrc);
    bool is_fresh = !stream;
    if (unlikely(is_fresh)) {
        if (srtp_streams_is_full(&tx->streams))
            return ERR_RESOURCE_EXHAUSTED;
        fresh = (struct srtp_stream){.ssrc = ssrc};
        stream = &fresh;
    }
    uint64_t index = srtp_stream_index(stream, srtp_get_u16(parts->header + 2));
    if (unlikely(!srtp_stream_is_new(stream, index)))
        return ERR_ALREADY_EXISTS;
    if (unlikely(index >= INDEX_END))
        return ERR_RESOURCE_EXHAUSTED;
    if (parts->header != out)
        memcpy(out, parts->header, parts->header_bytes);
    const uint8_t *src = parts->payload;
    if (parts->prefix_bytes || parts->pad_bytes) {
        src = out + parts->header_bytes;
        assemble(out + parts->header_bytes, parts);
    }
    if (unlikely(!suite->seal_rtp(&tx->rtp, out, parts->header_bytes, src, plain, index)))
        return ERR_INTERNAL;
    srtp_stream_accept(stream, index);
    if (unlikely(is_fresh))
        srtp_streams_add(&tx->streams, stream);
    *n = total;
    return ERR_OK;
}

enum err sfu_srtcp_protect(struct sfu_srtp_tx *tx, uint8_t *packet, size_t capacity, size_t *n)
{
    size_t trailer = tx->rtcp.suite->tag_bytes + SRTCP_INDEX_BYTES;
    if (*n < SRTCP_HEADER_BYTES || *n > capacity || capacity - *n < trailer)
        return ERR_OUT_OF_RANGE;
    uint32_t ssrc = srtp_get_u32(packet + 4);
    struct srtp_stream *stream = srtp_streams_find(&tx->streams, ssrc);
    if (!stream) {
        if (srtp_streams_is_full(&tx->streams))
            return ERR_RESOURCE_EXHAUSTED;
        stream = srtp_streams_add(&tx->streams, &(struct srtp_stream){.ssrc = ssrc});
    }
    uint32_t index = stream->rtcp_highest + 1;
    if (index >= RTCP_INDEX_END)
        return ERR_RESOURCE_EXHAUSTED;
    if (!tx->rtcp.suite->seal_rtcp(&tx->rtcp, packet, *n, SRTCP_ENCRYPTED | index))
        return ERR_INTERNAL;
    stream->rtcp_highest = index;
    *n += trailer;
    return ERR_OK;
}
