/*
 * rtcp: reads control packets. A compound is walked by rtcp_next, which checks each packet's length
 * against what is left, so that a parser below sees exactly one body and nothing beyond it.
 *
 *   |V=2|P| count 5 |  type (8)  |  length in words - 1 (16)  |  body ...
 */
#include "sfu/wire/rtcp.h"

bool rtcp_next(struct cursor *c, struct rtcp_packet *out)
{
    if (c->bad || !cursor_left(c))
        return false;
    uint8_t first = cursor_u8(c);
    out->type = cursor_u8(c);
    out->count = first & 31;
    out->body_bytes = (size_t)cursor_u16(c) * 4;
    out->body = cursor_bytes(c, out->body_bytes);
    bool has_padding = first & 0x20;
    if (c->bad || first >> 6 != 2)
        goto fail;
    if (has_padding) {
        uint8_t padding = out->body_bytes ? out->body[out->body_bytes - 1] : 0;
        /* RFC 3550 section 6.4.1: whole words, and only the last packet of a compound has it. */
        if (padding == 0 || padding % 4 || padding > out->body_bytes || cursor_left(c))
            goto fail;
        out->body_bytes -= padding;
    }
    return true;

fail:
    c->bad = true;
    return false;
}

static int32_t signed_24(uint32_t v)
{
    return (int32_t)(v << 8) >> 8;
}

bool rtcp_parse_reports(struct rtcp_reports *out, const struct rtcp_packet *p)
{
    struct cursor c = cursor_of(p->body, p->body_bytes);
    if (p->type != RTCP_SR && p->type != RTCP_RR)
        return false;
    out->ssrc = cursor_u32(&c);
    out->is_sender = p->type == RTCP_SR;
    if (out->is_sender) {
        out->sender.ntp = cursor_u64(&c);
        out->sender.rtp_timestamp = cursor_u32(&c);
        out->sender.packet_count = cursor_u32(&c);
        out->sender.octet_count = cursor_u32(&c);
    }
    out->count = p->count;
    for (unsigned i = 0; i < out->count; i++) {
        struct rtcp_report *r = &out->reports[i];
        r->ssrc = cursor_u32(&c);
        r->fraction_lost = cursor_u8(&c);
        r->cumulative_lost = signed_24(cursor_u24(&c));
        r->highest_seq = cursor_u32(&c);
        r->jitter = cursor_u32(&c);
        r->last_sr = cursor_u32(&c);
        r->delay_since_sr = cursor_u32(&c);
    }
    return !c.bad; /* what follows is a profile-specific extension */
}

bool rtcp_next_sdes(struct cursor *c, uint32_t *ssrc, struct str *cname)
{
    enum { ITEM_END = 0, ITEM_CNAME = 1 };
    *cname = STR_NULL;
    if (c->bad || !cursor_left(c))
        return false;
    const uint8_t *chunk = c->p;
    *ssrc = cursor_u32(c);
    for (uint8_t item; (item = cursor_u8(c)) != ITEM_END && !c->bad;) {
        uint8_t n = cursor_u8(c);
        const uint8_t *text = cursor_bytes(c, n);
        if (text && item == ITEM_CNAME && !cname->p)
            *cname = (struct str){(const char *)text, n};
    }
    if (!c->bad) /* chunks begin on words; the last one's zeros reach the end of the packet */
        cursor_skip(c, -(size_t)(c->p - chunk) & 3);
    return !c->bad;
}

size_t rtcp_parse_bye(const struct rtcp_packet *p, uint32_t out[RTCP_MAX_REPORTS])
{
    struct cursor c = cursor_of(p->body, p->body_bytes);
    size_t count = 0;
    while (p->type == RTCP_BYE && count < p->count && cursor_left(&c) >= 4)
        out[count++] = cursor_u32(&c);
    return count;
}

static bool parse_dlrr(struct rtcp_xr *out, struct cursor *block)
{
    while (cursor_left(block)) {
        struct rtcp_dlrr d = {.ssrc = cursor_u32(block)};
        d.last_rr = cursor_u32(block);
        d.delay_since_rr = cursor_u32(block);
        if (block->bad)
            return false;
        if (out->dlrr_count < ARRAY_LEN(out->dlrr))
            out->dlrr[out->dlrr_count++] = d;
    }
    return true;
}

bool rtcp_parse_xr(struct rtcp_xr *out, const struct rtcp_packet *p)
{
    enum { BLOCK_RRTR = 4, BLOCK_DLRR = 5 };
    *out = (struct rtcp_xr){0};
    struct cursor c = cursor_of(p->body, p->body_bytes);
    out->ssrc = cursor_u32(&c);
    while (p->type == RTCP_XR && cursor_left(&c)) {
        uint8_t type = cursor_u8(&c);
        cursor_skip(&c, 1);
        size_t words = cursor_u16(&c);
        struct cursor block = cursor_sub(&c, words * 4);
        if (c.bad || (type == BLOCK_RRTR && words != 2))
            return false;
        if (type == BLOCK_RRTR) {
            out->has_rrtr = true;
            out->rrtr_ntp = cursor_u64(&block);
        }
        if (type == BLOCK_DLRR && !parse_dlrr(out, &block))
            return false;
    }
    return p->type == RTCP_XR && !c.bad;
}
