/*
 * payload_vp9: the VP9 payload descriptor (RFC 9628 section 4.2).
 *
 *   |I|P|L|F|B|E|V|Z|   I: |M| picture id (7 or 15) |   L: |TID 3|U|SID 3|D|, not F: TL0PICIDX (8)
 *   F and P: up to three |P_DIFF 7|N|     V: |N_S 3|Y|G|RSV|, Y: width, height per layer, G:
 * pictures
 */
#include "sfu/wire/payload.h"

static void parse_structure(struct vp9_payload *out, struct cursor *c)
{
    uint8_t head = cursor_u8(c);
    out->spatial_layers = (head >> 5) + 1;
    for (unsigned i = 0; (head & 0x10) && i < out->spatial_layers; i++) {
        out->width = cursor_u16(c);
        out->height = cursor_u16(c);
    }
    unsigned pictures = head & 0x08 ? cursor_u8(c) : 0;
    for (unsigned i = 0; i < pictures && !c->bad; i++)
        cursor_skip(c, cursor_u8(c) >> 2 & 3); /* |TID 3|U|R 2|..|, R reference bytes follow */
}

static void parse_layers(struct vp9_payload *out, struct cursor *c)
{
    uint8_t layers = cursor_u8(c);
    out->tid = layers >> 5;
    out->is_switch_up = layers >> 4 & 1;
    out->sid = layers >> 1 & 7;
    out->is_inter_layer = layers & 1;
    if (!out->is_flexible)
        out->tl0picidx = cursor_u8(c);
}

bool vp9_parse(struct vp9_payload *out, const uint8_t *payload, size_t n)
{
    *out = (struct vp9_payload){0};
    struct cursor c = cursor_of(payload, n);
    uint8_t flags = cursor_u8(&c);
    out->is_inter_predicted = flags >> 6 & 1;
    out->has_layers = flags >> 5 & 1;
    out->is_flexible = flags >> 4 & 1;
    out->is_frame_start = flags >> 3 & 1;
    out->is_frame_end = flags >> 2 & 1;
    out->is_not_reference = flags & 1;
    if (flags & 0x80) {
        out->picture_id_offset = (uint8_t)(c.p - payload);
        out->picture_id = cursor_u8(&c);
        out->has_long_picture_id = out->picture_id >> 7;
        if (out->has_long_picture_id)
            out->picture_id = (uint16_t)((out->picture_id & 127) << 8 | cursor_u8(&c));
    }
    if (out->has_layers)
        parse_layers(out, &c);
    if (out->is_flexible && out->is_inter_predicted) {
        int more = 3; /* RFC 9628: at most three reference indices */
        while (more && (cursor_u8(&c) & 1))
            more--;
        if (!more)
            return false;
    }
    if (flags & 0x02)
        parse_structure(out, &c);
    if (c.bad || !cursor_left(&c) || c.p - payload > UINT8_MAX)
        return false;
    out->descriptor_bytes = (uint8_t)(c.p - payload);
    out->is_keyframe =
        out->is_frame_start && !out->is_inter_predicted && out->sid == 0 && !out->is_inter_layer;
    return true;
}
