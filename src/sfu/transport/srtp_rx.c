/*
 * srtp_rx: opens what comes from one peer, in place. Anyone can send anything to this: an SSRC is
 * remembered, and a window moved, only by a packet that proved authentic; everything else leaves
 * the context as it was and ends no call.
 */
#include "sfu/transport/srtp_internal.h"

#include <stdlib.h>

#include "core/cursor.h"
#include "core/mem.h"

struct sfu_srtp_rx {
    struct srtp_cipher rtp;
    struct srtp_cipher rtcp;
    struct srtp_streams streams;
};

enum err sfu_srtp_rx_create(struct sfu_srtp_rx **out, const struct sfu_srtp_options *opt)
{
    struct sfu_srtp_rx *rx = mem_new(struct sfu_srtp_rx);
    srtp_streams_init(&rx->streams, opt->max_streams ? opt->max_streams : SRTP_MAX_STREAMS);
    enum err err = srtp_ciphers_init(&rx->rtp, &rx->rtcp, opt);
    if (err)
        sfu_srtp_rx_destroy(&rx);
    *out = rx;
    return err;
}

void sfu_srtp_rx_destroy(struct sfu_srtp_rx **rx)
{
    if (!*rx)
        return;
    srtp_cipher_deinit(&(*rx)->rtp);
    srtp_cipher_deinit(&(*rx)->rtcp);
    srtp_streams_deinit(&(*rx)->streams);
    free(*rx);
    *rx = NULL;
}

void sfu_srtp_rx_forget(struct sfu_srtp_rx *rx, uint32_t ssrc)
{
    srtp_streams_remove(&rx->streams, ssrc);
}

/* Where the ciphertext begins: behind CSRCs and extensions. 0: not RTP, or cut short. */
static size_t header_bytes_of(const uint8_t *packet, size_t n)
{
    struct cursor c = cursor_of(packet, n);
    uint8_t first = cursor_u8(&c);
    cursor_skip(&c, 11 + (size_t)(first & 15) * 4);
    if (first & 0x10) {
        cursor_skip(&c, 2);
        cursor_skip(&c, (size_t)cursor_u16(&c) * 4);
    }
    return c.bad || first >> 6 != 2 ? 0 : (size_t)(c.p - packet);
}

HOT enum err sfu_srtp_unprotect(struct sfu_srtp_rx *rx, uint8_t *packet, size_t *n)
{
    const struct srtp_suite *suite = rx->rtp.suite;
    size_t header = header_bytes_of(packet, *n);
    if (unlikely(!header || *n - header < suite->tag_bytes))
        return ERR_INVALID_ARGUMENT;
    uint32_t ssrc = srtp_get_u32(packet + 8);
    struct srtp_stream fresh __attribute__((uninitialized));
    struct srtp_stream *stream = srtp_streams_find(&rx->streams, ssrc);
    bool is_fresh = !stream;
    if (unlikely(is_fresh)) {
        if (srtp_streams_is_full(&rx->streams))
            return ERR_RESOURCE_EXHAUSTED;
        fresh = (struct srtp_stream){.ssrc = ssrc};
        stream = &fresh;
    }
    uint64_t index = srtp_stream_index(stream, srtp_get_u16(packet + 2));
    if (!srtp_stream_is_new(stream, index))
        return ERR_ALREADY_EXISTS;
    size_t cipher_bytes = *n - header - suite->tag_bytes;
    if (!suite->open_rtp(&rx->rtp, packet, header, cipher_bytes, index))
        return ERR_UNAUTHENTICATED;
    srtp_stream_accept(stream, index);
    if (unlikely(is_fresh))
        srtp_streams_add(&rx->streams, stream);
    *n = header + cipher_bytes;
    return ERR_OK;
}

enum err sfu_srtcp_unprotect(struct sfu_srtp_rx *rx, uint8_t *packet, size_t *n)
{
    const struct srtp_suite *suite = rx->rtcp.suite;
    size_t trailer = suite->tag_bytes + SRTCP_INDEX_BYTES;
    if (*n < SRTCP_HEADER_BYTES + trailer || packet[0] >> 6 != 2)
        return ERR_INVALID_ARGUMENT;
    size_t plain = *n - trailer;
    uint32_t index_word = srtp_get_u32(packet + plain + suite->index_offset);
    if (!(index_word & SRTCP_ENCRYPTED)) /* authenticated but in the clear: nobody we talk to */
        return ERR_INVALID_ARGUMENT;
    uint32_t index = index_word & ~SRTCP_ENCRYPTED;
    struct srtp_stream fresh = {.ssrc = srtp_get_u32(packet + 4)};
    struct srtp_stream *stream = srtp_streams_find(&rx->streams, fresh.ssrc);
    bool is_fresh = !stream;
    if (is_fresh) {
        if (srtp_streams_is_full(&rx->streams))
            return ERR_RESOURCE_EXHAUSTED;
        stream = &fresh;
    }
    if (!srtp_stream_is_new_rtcp(stream, index))
        return ERR_ALREADY_EXISTS;
    if (!suite->open_rtcp(&rx->rtcp, packet, plain, index_word))
        return ERR_UNAUTHENTICATED;
    srtp_stream_accept_rtcp(stream, index);
    if (is_fresh)
        srtp_streams_add(&rx->streams, stream);
    *n = plain;
    return ERR_OK;
}
