/*
 * rtp: reads an RTP header into offsets (RFC 3550 section 5.1, RFC 8285). This runs once for every
 * packet that comes in, so it allocates nothing and touches only the header and the last byte.
 *
 *   |V=2|P|X| CC |M|   PT   |      sequence      |   timestamp (32)   |   SSRC (32)   | CSRCs ...
 *   X: |  profile (16)  |  length in words (16)  |  elements ...  |
 *   profile 0xBEDE: |id 4|len-1 4| value ...      profile 0x100x: |id 8|len 8| value ...
 */
#include "sfu/wire/rtp.h"

#define ONE_BYTE_PROFILE 0xbede
#define TWO_BYTE_PROFILE 0x1000 /* the low four bits are the application's */

static inline bool keep_extension(struct rtp_packet *out, const uint8_t *bytes, struct cursor *c,
                                  unsigned id, uint8_t n)
{
    const uint8_t *value = cursor_bytes(c, n);
    if (unlikely(!value))
        return false;
    if (likely(id < RTP_EXT_SLOTS && !(out->ext_present >> id & 1))) {
        out->ext[id] = (struct rtp_ext){(uint16_t)(value - bytes), n};
        out->ext_present |= (uint16_t)(1u << id);
    }
    return true;
}

static bool parse_one_byte(struct rtp_packet *out, const uint8_t *bytes, struct cursor *c)
{
    while (cursor_left(c)) {
        uint8_t head = cursor_u8(c);
        if (head == 0)
            continue; /* padding between elements */
        if (head >> 4 == 15)
            return true; /* RFC 8285 section 4.2: nothing behind it counts */
        if (head >> 4 == 0)
            return false; /* id 0 with a length: reserved */
        if (!keep_extension(out, bytes, c, head >> 4, (head & 15) + 1))
            return false;
    }
    return true;
}

static bool parse_two_byte(struct rtp_packet *out, const uint8_t *bytes, struct cursor *c)
{
    while (cursor_left(c)) {
        uint8_t id = cursor_u8(c);
        if (id == 0)
            continue;
        uint8_t n = cursor_u8(c);
        if (!keep_extension(out, bytes, c, id, n))
            return false;
    }
    return !c->bad;
}

static bool parse_extensions(struct rtp_packet *out, const uint8_t *bytes, struct cursor *c)
{
    uint16_t profile = cursor_u16(c);
    size_t words = cursor_u16(c);
    struct cursor elements = cursor_sub(c, words * 4);
    if (c->bad)
        return false;
    if (profile == ONE_BYTE_PROFILE)
        return parse_one_byte(out, bytes, &elements);
    if ((profile & 0xfff0) == TWO_BYTE_PROFILE)
        return parse_two_byte(out, bytes, &elements);
    return true; /* an extension of someone else's: stepped over */
}

HOT bool rtp_parse(struct rtp_packet *out, const uint8_t *bytes, size_t n)
{
    struct cursor c = cursor_of(bytes, n);
    const uint8_t *fixed = cursor_bytes(&c, RTP_HEADER_BYTES);
    if (!fixed || n > UINT16_MAX || fixed[0] >> 6 != 2)
        return false;
    out->csrc_count = fixed[0] & 15;
    out->marker = fixed[1] >> 7;
    out->pt = fixed[1] & 127;
    out->seq = (uint16_t)(fixed[2] << 8 | fixed[3]);
    out->timestamp =
        (uint32_t)fixed[4] << 24 | (uint32_t)fixed[5] << 16 | (uint32_t)fixed[6] << 8 | fixed[7];
    out->ssrc =
        (uint32_t)fixed[8] << 24 | (uint32_t)fixed[9] << 16 | (uint32_t)fixed[10] << 8 | fixed[11];
    out->ext_present = 0;
    out->padding_bytes = 0;
    cursor_skip(&c, (size_t)out->csrc_count * 4);
    if ((fixed[0] & 0x10) && !parse_extensions(out, bytes, &c))
        return false;
    size_t payload = cursor_left(&c);
    if (c.bad)
        return false;
    if (fixed[0] & 0x20) {
        uint8_t padding = payload ? bytes[n - 1] : 0;
        if (padding == 0 || padding > payload)
            return false;
        out->padding_bytes = padding;
        payload -= padding;
    }
    out->payload_offset = (uint16_t)(c.p - bytes);
    out->payload_bytes = (uint16_t)payload;
    return true;
}

/* ---- writing ---- */

/* Appends one element; false when the form cannot hold it. */
static inline bool write_extension(struct writer *w, bool is_two_byte, uint8_t id,
                                   const uint8_t *value, uint8_t n)
{
    if (is_two_byte) {
        writer_u8(w, id);
        writer_u8(w, n);
    } else {
        if (id > 14 || n == 0 || n > 16)
            return false;
        writer_u8(w, (uint8_t)(id << 4 | (n - 1)));
    }
    writer_bytes(w, value, n);
    return true;
}

static bool write_extensions(struct writer *w, bool is_two_byte, const struct rtp_packet *p,
                             const uint8_t *bytes, const struct rtp_rewrite *r)
{
    uint8_t *start = w->p;
    writer_u16(w, is_two_byte ? TWO_BYTE_PROFILE : ONE_BYTE_PROFILE);
    writer_u16(w, 0);
    unsigned present = p && r->ext_map ? p->ext_present : 0;
    for (; present; present &= present - 1) {
        unsigned id = (unsigned)__builtin_ctz(present);
        if (r->ext_map[id] && !write_extension(w, is_two_byte, r->ext_map[id],
                                               bytes + p->ext[id].offset, p->ext[id].n))
            return false;
    }
    for (size_t i = 0; i < r->extra_count; i++)
        if (r->extra[i].id &&
            !write_extension(w, is_two_byte, r->extra[i].id, r->extra[i].bytes, r->extra[i].n))
            return false;
    if (w->bad)
        return true;
    size_t used = (size_t)(w->p - start) - 4;
    if (used == 0) {
        w->p = start; /* nothing to say: no X bit either */
        return true;
    }
    while (used % 4) {
        writer_u8(w, 0);
        used++;
    }
    struct writer length = writer_of(start + 2, 2);
    writer_u16(&length, (uint16_t)(used / 4));
    w->start[0] |= 0x10;
    return true;
}

HOT size_t rtp_rewrite_header(uint8_t *out, size_t capacity, const struct rtp_packet *p,
                              const uint8_t *bytes, const struct rtp_rewrite *r)
{
    struct writer w = writer_of(out, MIN(capacity, (size_t)RTP_HEADER_MAX));
    writer_u8(&w, r->has_padding ? 0xa0 : 0x80);
    writer_u8(&w, (uint8_t)(r->marker << 7 | (r->pt & 127)));
    writer_u16(&w, r->seq);
    writer_u32(&w, r->timestamp);
    writer_u32(&w, r->ssrc);
    if (w.bad)
        return 0;
    struct writer fixed = w;
    if (!write_extensions(&w, false, p, bytes, r)) {
        w = fixed; /* an id or a length that the short form cannot say: once more in the long one */
        (void)write_extensions(&w, true, p, bytes, r);
    }
    return w.bad ? 0 : writer_size(&w);
}
