/*
 * payload_dd: the dependency descriptor (AV1 RTP specification, appendix A), a header extension
 * made of bit fields. Forwarding wants little of it: frame borders, the template (which names the
 * layer), and, when a structure is attached, that this is a keyframe and what the templates mean.
 *
 *   |start|end|template id 6|frame number 16|   more than 3 bytes:
 *   |structure|active targets|dtis|fdiffs|chains| structure ... | active targets bitmask ...
 */
#include "sfu/wire/payload.h"

struct bits {
    struct cursor c;
    unsigned left; /* bits of `byte` not yet given out */
    uint8_t byte;
};

static uint32_t bits_get(struct bits *b, unsigned count)
{
    uint32_t v = 0;
    for (; count; count--) {
        if (b->left == 0) {
            b->byte = cursor_u8(&b->c);
            b->left = 8;
        }
        b->left--;
        v = v << 1 | (b->byte >> b->left & 1);
    }
    return v;
}

/* ns(n) of AV1 section 4.10.7: a value below n in as few bits as it takes. */
static uint32_t bits_get_below(struct bits *b, uint32_t n)
{
    unsigned width = 0;
    while (n >> width)
        width++;
    uint32_t short_codes = (1u << width) - n;
    uint32_t v = bits_get(b, width - 1);
    return v < short_codes ? v : (v << 1) - short_codes + bits_get(b, 1);
}

static bool parse_templates(struct dd_info *out, struct bits *b)
{
    unsigned sid = 0, tid = 0, step;
    do {
        if (out->template_count == ARRAY_LEN(out->template_sid) || sid > 3 || tid > 7 || b->c.bad)
            return false;
        out->template_sid[out->template_count] = (uint8_t)sid;
        out->template_tid[out->template_count++] = (uint8_t)tid;
        step = bits_get(b, 2); /* 0 same layer, 1 next temporal, 2 next spatial, 3 the end */
        if (step == 1)
            tid++;
        if (step == 2)
            sid++, tid = 0;
    } while (step != 3);
    return !b->c.bad;
}

/* Steps over what decoders need and forwarding does not, to reach what stands behind. */
static void skip_template_details(const struct dd_info *out, struct bits *b)
{
    for (unsigned t = 0; t < out->template_count; t++)
        for (unsigned d = 0; d < out->decode_targets; d++)
            (void)bits_get(b, 2);
    for (unsigned t = 0; t < out->template_count; t++)
        while (bits_get(b, 1) && !b->c.bad)
            (void)bits_get(b, 4);
    unsigned chains = bits_get_below(b, out->decode_targets + 1u);
    for (unsigned d = 0; chains && d < out->decode_targets; d++)
        (void)bits_get_below(b, chains);
    for (unsigned t = 0; t < out->template_count; t++)
        for (unsigned i = 0; i < chains && !b->c.bad; i++)
            (void)bits_get(b, 4);
    unsigned max_sid = out->template_sid[out->template_count - 1];
    if (bits_get(b, 1))
        for (unsigned s = 0; s <= max_sid; s++)
            (void)bits_get(b, 32);
}

static bool parse_structure(struct dd_info *out, struct bits *b)
{
    out->has_structure = true;
    out->template_id_offset = (uint8_t)bits_get(b, 6);
    out->decode_targets = (uint8_t)(bits_get(b, 5) + 1);
    if (!parse_templates(out, b))
        return false;
    skip_template_details(out, b);
    return !b->c.bad;
}

bool dd_parse(struct dd_info *out, const uint8_t *ext, size_t n, unsigned decode_targets)
{
    *out = (struct dd_info){0};
    struct bits b = {.c = cursor_of(ext, n)};
    out->is_frame_start = bits_get(&b, 1);
    out->is_frame_end = bits_get(&b, 1);
    out->template_id = (uint8_t)bits_get(&b, 6);
    out->frame_number = (uint16_t)bits_get(&b, 16);
    if (b.c.bad || n == 3)
        return !b.c.bad;
    bool has_structure = bits_get(&b, 1);
    bool has_active = bits_get(&b, 1);
    (void)bits_get(&b, 3); /* custom dtis, fdiffs, chains: of no concern here */
    if (has_structure && !parse_structure(out, &b))
        return false;
    unsigned count = has_structure ? out->decode_targets : MIN(decode_targets, 32u);
    if (has_structure)
        out->active_targets = (uint32_t)((1ull << count) - 1);
    if (has_active && count)
        out->active_targets = bits_get(&b, count);
    out->has_active_targets = has_structure || (has_active && count);
    return !b.c.bad;
}
