/*
 * payload_av1: the AV1 aggregation header and the OBU headers behind it (AOM "RTP Payload Format
 * For AV1", section 4). A packet of OBU elements; the first may continue, the last may go on.
 *
 *   |Z|Y|W 2|N|- - -|   element: [LEB128 size, but for the last when W > 0] | OBU
 *   OBU: |F|type 4|X|has size|-|   X: |TID 3|SID 2|---|
 */
#include "sfu/wire/payload.h"

enum {
    OBU_SEQUENCE_HEADER = 1,
};

/* At most 8 bytes of 7 bits, the value at most 32 bits (AV1 section 4.10.5). */
static uint32_t leb128(struct cursor *c)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 8; i++) {
        uint8_t byte = cursor_u8(c);
        v |= (uint64_t)(byte & 127) << (i * 7);
        if (!(byte & 128)) {
            c->bad |= v > UINT32_MAX;
            return (uint32_t)v;
        }
    }
    c->bad = true;
    return 0;
}

static void look_at(struct av1_payload *out, struct cursor obu)
{
    uint8_t head = cursor_u8(&obu);
    if ((head >> 3 & 15) == OBU_SEQUENCE_HEADER)
        out->has_sequence_header = true;
    if ((head & 4) && !out->has_layers && cursor_left(&obu)) {
        uint8_t layers = cursor_u8(&obu);
        out->has_layers = true;
        out->tid = layers >> 5;
        out->sid = layers >> 3 & 3;
    }
}

bool av1_parse(struct av1_payload *out, const uint8_t *payload, size_t n)
{
    *out = (struct av1_payload){0};
    struct cursor c = cursor_of(payload, n);
    uint8_t head = cursor_u8(&c);
    out->is_continued = head >> 7;
    out->is_unfinished = head >> 6 & 1;
    out->element_count = head >> 4 & 3;
    out->is_new_sequence = head >> 3 & 1;
    if (c.bad || !cursor_left(&c) || (out->is_continued && out->is_new_sequence))
        return false;
    unsigned seen = 0;
    while (cursor_left(&c)) {
        seen++;
        bool is_last_of_w = out->element_count && seen == out->element_count;
        size_t size = is_last_of_w ? cursor_left(&c) : leb128(&c);
        struct cursor obu = cursor_sub(&c, size);
        if (c.bad)
            return false;
        bool is_middle = out->is_continued && seen == 1;
        if (cursor_left(&obu) && !is_middle)
            look_at(out, obu);
    }
    if (out->element_count && seen != out->element_count)
        return false;
    out->is_keyframe = out->is_new_sequence || out->has_sequence_header;
    return true;
}
