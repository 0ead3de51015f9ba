/*
 * payload_vp8: the VP8 payload descriptor (RFC 7741 section 4.2) and the frame header behind it.
 *
 *   |X|R|N|S|R| PID |      X: |I|L|T|K| RSV |     I: |M| picture id (7 or 15) |
 *   L: |  TL0PICIDX (8)  |      T or K: |TID 2|Y| KEYIDX (5) |
 */
#include "sfu/wire/payload.h"

/* Behind the descriptor of a frame's first packet: 3 bytes frame tag, start code, size. */
static void parse_frame_header(struct vp8_payload *out, struct cursor *c)
{
    uint32_t tag = cursor_u24(c);
    uint32_t start_code = cursor_u24(c);
    out->is_keyframe = !(tag >> 16 & 1);
    if (!out->is_keyframe)
        return;
    /* Little-endian; the upper two bits are the scaling. */
    uint16_t width = cursor_u16(c), height = cursor_u16(c);
    if (c->bad || start_code != 0x9d012a) {
        out->is_keyframe = false; /* says it is one and is not: no decoder could start here */
        return;
    }
    out->width = (uint16_t)(width << 8 | width >> 8) & 0x3fff;
    out->height = (uint16_t)(height << 8 | height >> 8) & 0x3fff;
}

static void parse_extension(struct vp8_payload *out, struct cursor *c, const uint8_t *payload)
{
    uint8_t flags = cursor_u8(c);
    if (flags & 0x80) {
        out->picture_id_offset = (uint8_t)(c->p - payload);
        out->picture_id = cursor_u8(c);
        out->has_long_picture_id = out->picture_id >> 7;
        if (out->has_long_picture_id)
            out->picture_id = (uint16_t)((out->picture_id & 127) << 8 | cursor_u8(c));
    }
    if (flags & 0x40) {
        out->tl0picidx_offset = (uint8_t)(c->p - payload);
        out->tl0picidx = cursor_u8(c);
    }
    if (flags & 0x30) {
        uint8_t layers = cursor_u8(c);
        out->has_tid = flags >> 5 & 1;
        out->tid = out->has_tid ? layers >> 6 : 0;
        out->is_layer_sync = out->has_tid && (layers >> 5 & 1);
        out->keyidx = flags & 0x10 ? layers & 31 : 0;
    }
}

bool vp8_parse(struct vp8_payload *out, const uint8_t *payload, size_t n)
{
    *out = (struct vp8_payload){0};
    struct cursor c = cursor_of(payload, n);
    uint8_t first = cursor_u8(&c);
    out->is_non_reference = first >> 5 & 1;
    out->is_frame_start = (first & 0x10) && (first & 7) == 0;
    if (first & 0x80)
        parse_extension(out, &c, payload);
    if (c.bad || !cursor_left(&c)) /* a descriptor without a frame is no VP8 packet */
        return false;
    out->descriptor_bytes = (uint8_t)(c.p - payload);
    if (out->is_frame_start)
        parse_frame_header(out, &c);
    return true;
}

size_t vp8_rewrite(uint8_t *out, const struct vp8_payload *v, const uint8_t *payload,
                   uint16_t picture_id, uint8_t tl0picidx)
{
    struct writer w = writer_of(out, PAYLOAD_DESCRIPTOR_MAX);
    writer_bytes(&w, payload, v->descriptor_bytes);
    if (v->picture_id_offset && v->has_long_picture_id) {
        out[v->picture_id_offset] = (uint8_t)(0x80 | (picture_id >> 8 & 127));
        out[v->picture_id_offset + 1] = (uint8_t)picture_id;
    } else if (v->picture_id_offset) {
        out[v->picture_id_offset] = picture_id & 127;
    }
    if (v->tl0picidx_offset)
        out[v->tl0picidx_offset] = tl0picidx;
    return v->descriptor_bytes;
}
