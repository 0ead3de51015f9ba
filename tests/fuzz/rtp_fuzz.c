/*
 * rtp_fuzz: any bytes as an RTP packet; what is found must lie inside, and the header that a
 * subscriber gets must be readable and say the same.
 */
#include <stdlib.h>

#include "sfu/wire/rtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_offsets(const struct rtp_packet *p, const uint8_t *data, size_t size)
{
    check((size_t)p->payload_offset + p->payload_bytes + p->padding_bytes == size);
    for (uint8_t id = 1; id < RTP_EXT_SLOTS; id++) {
        size_t n;
        const uint8_t *value = rtp_ext_find(p, data, id, &n);
        check(!value || (value >= data + 12 && value + n <= data + p->payload_offset));
        uint8_t byte;
        uint16_t seq;
        uint32_t t;
        bool is_voice;
        struct str text;
        (void)rtp_audio_level(p, data, id, &byte, &is_voice);
        (void)rtp_transport_seq(p, data, id, &seq);
        (void)rtp_abs_send_time(p, data, id, &t);
        (void)rtp_video_orientation(p, data, id, &byte);
        (void)rtp_text_ext(p, data, id, &text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rtp_packet p, q;
    uint8_t map[RTP_EXT_SLOTS], out[RTP_HEADER_MAX];
    if (!rtp_parse(&p, data, size))
        return 0;
    check_offsets(&p, data, size);
    for (uint8_t id = 0; id < RTP_EXT_SLOTS; id++)
        map[id] = p.seq >> 12 ? id : (uint8_t)(id * 7 % 16);
    struct rtp_ext_value extra = {(uint8_t)(p.ssrc & 15), (uint8_t)(p.pt % 20), data};
    if (extra.n > size)
        return 0;
    struct rtp_rewrite r = {.ssrc = 1,
                            .timestamp = 2,
                            .seq = 3,
                            .pt = 4,
                            .marker = p.marker,
                            .ext_map = map,
                            .extra = &extra,
                            .extra_count = 1};
    size_t n = rtp_rewrite_header(out, sizeof(out), &p, data, &r);
    if (!n)
        return 0;
    check(rtp_parse(&q, out, n));
    check(q.payload_bytes == 0 && q.ssrc == 1 && q.timestamp == 2 && q.seq == 3 && q.pt == 4);
    check_offsets(&q, out, n);
    return 0;
}
