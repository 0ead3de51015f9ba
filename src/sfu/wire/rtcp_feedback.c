/*
 * rtcp_feedback: reads the small feedback messages: NACK and PLI (RFC 4585), FIR (RFC 5104), REMB
 * (draft-alvestrand-rmcat-remb). Transport-cc has a file of its own.
 */
#include "sfu/wire/rtcp.h"

bool rtcp_parse_feedback(struct rtcp_feedback *out, const struct rtcp_packet *p)
{
    struct cursor c = cursor_of(p->body, p->body_bytes);
    out->sender_ssrc = cursor_u32(&c);
    out->media_ssrc = cursor_u32(&c);
    out->fci = c;
    return (p->type == RTCP_RTPFB || p->type == RTCP_PSFB) && !c.bad;
}

size_t rtcp_parse_nack(const struct rtcp_feedback *f, uint16_t *seqs, size_t max)
{
    struct cursor c = f->fci;
    size_t count = 0;
    while (cursor_left(&c) >= 4) {
        uint16_t pid = cursor_u16(&c);
        uint32_t mask = (uint32_t)cursor_u16(&c) << 1 | 1; /* bit i: pid + i */
        for (; mask && count < max; mask &= mask - 1)
            seqs[count++] = (uint16_t)(pid + __builtin_ctz(mask));
    }
    return count;
}

bool rtcp_next_fir(struct rtcp_feedback *f, uint32_t *ssrc, uint8_t *command_seq)
{
    *ssrc = cursor_u32(&f->fci);
    *command_seq = cursor_u8(&f->fci);
    cursor_skip(&f->fci, 3);
    return !f->fci.bad;
}

bool rtcp_parse_remb(const struct rtcp_feedback *f, uint64_t *bitrate_bps, uint32_t *ssrcs,
                     size_t max, size_t *count)
{
    struct cursor c = f->fci;
    *count = 0;
    if (cursor_u32(&c) != 0x52454d42) /* "REMB" */
        return false;
    size_t listed = cursor_u8(&c);
    uint32_t packed = cursor_u24(&c); /* exponent 6, mantissa 18 */
    unsigned exponent = packed >> 18;
    uint64_t mantissa = packed & 0x3ffff;
    *bitrate_bps = mantissa << MIN(exponent, 45u); /* 18 + 45 = 63 bits */
    if (exponent > 45 && mantissa)
        *bitrate_bps = UINT64_MAX;
    if (cursor_left(&c) < listed * 4)
        return false;
    for (size_t i = 0; i < listed && i < max; i++)
        ssrcs[(*count)++] = cursor_u32(&c);
    return !c.bad;
}
