/*
 * payload_h264: what kind of NAL units a packet carries (RFC 6184 section 5.2). A decoder can start
 * where the parameter sets or the first slice of an IDR picture come.
 *
 *   |F|NRI|Type 5|   24 STAP-A: |size 16| NAL | ...   28 FU-A: |S|E|R|Type 5| fragment
 */
#include "sfu/wire/payload.h"

enum {
    NAL_SLICE = 1,
    NAL_IDR = 5,
    NAL_SPS = 7,
    NAL_PPS = 8,
    NAL_STAP_A = 24,
    NAL_FU_A = 28,
};

/* `first` is the byte behind the NAL header: a slice header begins with first_mb_in_slice in
 * Exp-Golomb code, and 0 is the single bit 1. */
static void look_at(struct h264_payload *out, uint8_t type, uint8_t first)
{
    bool begins_picture = first >> 7;
    if (type == NAL_SPS)
        out->has_sps = true;
    if (type == NAL_SPS || type == NAL_PPS)
        out->is_frame_start = true;
    if ((type == NAL_SLICE || type == NAL_IDR) && begins_picture)
        out->is_frame_start = true;
    if (type == NAL_SPS || (type == NAL_IDR && begins_picture))
        out->is_keyframe = true;
}

static bool parse_aggregate(struct h264_payload *out, struct cursor *c)
{
    while (cursor_left(c)) {
        struct cursor nal = cursor_sub(c, cursor_u16(c));
        if (c->bad || !cursor_left(&nal))
            return false;
        uint8_t type = cursor_u8(&nal) & 31;
        look_at(out, type, cursor_u8(&nal)); /* an empty one reads as 0, which begins nothing */
    }
    return true;
}

bool h264_parse(struct h264_payload *out, const uint8_t *payload, size_t n)
{
    *out = (struct h264_payload){0};
    struct cursor c = cursor_of(payload, n);
    out->nal_type = cursor_u8(&c) & 31;
    if (c.bad)
        return false;
    if (out->nal_type >= 1 && out->nal_type <= 23) {
        look_at(out, out->nal_type, cursor_u8(&c));
        return true;
    }
    if (out->nal_type == NAL_STAP_A)
        return parse_aggregate(out, &c);
    if (out->nal_type != NAL_FU_A)
        return false; /* STAP-B, MTAP, FU-B: only of packetization-mode 2, which nobody offers */
    uint8_t fu = cursor_u8(&c);
    bool is_start = fu >> 7;
    uint8_t first = cursor_u8(&c);
    if (c.bad)
        return false;
    if (is_start)
        look_at(out, fu & 31, first);
    return true;
}
