/*
 * payloads: the same frames in the dress of each codec, as browsers send them: VP8 and VP9 with
 * picture ids, H.264 with its parameter sets in front of each keyframe, AV1 with the dependency
 * descriptor. Reading them back takes nothing but what the payload says.
 */
#include "client.h"

#include <string.h>

#include "sfu/wire/payload.h"

static void write_size(struct writer *w, const struct client_mark *m, bool is_little)
{
    uint16_t width = (uint16_t)(320 << m->layer), height = (uint16_t)(180 << m->layer);
    writer_u16(w, is_little ? __builtin_bswap16(width) : width);
    writer_u16(w, is_little ? __builtin_bswap16(height) : height);
}

/* RFC 7741: X; I, L, T present; 15-bit picture id. */
static void write_vp8(struct writer *w, const struct client_layer *l, const struct client_mark *m)
{
    writer_u8(w, 0x80 | (m->index == 0 ? 0x10 : 0));
    writer_u8(w, 0xe0);
    writer_u16(w, 0x8000 | l->picture_id);
    writer_u8(w, l->tl0);
    writer_u8(w, 0);
    if (m->index > 0)
        return;
    writer_u8(w, m->is_key ? 0x10 : 0x11);
    writer_u16(w, 0);
    writer_u24(w, 0x9d012a);
    write_size(w, m, true);
}

/* RFC 9628: I and L, not flexible; 15-bit picture id; V with the size at a keyframe. */
static void write_vp9(struct writer *w, const struct client_layer *l, const struct client_mark *m)
{
    bool has_structure = m->is_key && m->index == 0;
    writer_u8(w, 0xa0 | (m->is_key ? 0 : 0x40) | (m->index == 0 ? 0x08 : 0) |
                     (m->index + 1 == m->count ? 0x04 : 0) | (has_structure ? 0x02 : 0));
    writer_u16(w, 0x8000 | l->picture_id);
    writer_u8(w, 0);
    writer_u8(w, l->tl0);
    if (!has_structure)
        return;
    writer_u8(w, 0x10);
    write_size(w, m, false);
}

/* RFC 6184: SPS, PPS and a SEI (whose content is the mark) as STAP-A, then the picture as FU-A. */
static void write_h264(struct writer *w, const struct client_mark *m, bool *is_whole)
{
    static const uint8_t SETS[] = {0x78, 0, 4, 0x67, 0x42, 0xe0, 0x1f, 0, 2, 0x68, 0xce, 0, 13, 6};
    unsigned first = m->is_key ? 1 : 0;
    if (m->is_key && m->index == 0) {
        writer_bytes(w, SETS, sizeof(SETS));
        *is_whole = true; /* what follows would be taken for another unit */
        return;
    }
    writer_u8(w, m->is_key ? 0x7c : 0x5c);
    writer_u8(w, (m->index == first ? 0x80 : 0) | (m->index + 1 == m->count ? 0x40 : 0) |
                     (m->is_key ? 5 : 1));
    writer_u8(w, m->is_key ? 0x88 : 0x9a);
}

/* One OBU over all packets of the frame; N at a keyframe, which begins with a sequence header. */
static void write_av1(struct writer *w, const struct client_mark *m)
{
    writer_u8(w, 0x10 | (m->index ? 0x80 : 0) | (m->index + 1 < m->count ? 0x40 : 0) |
                     (m->is_key && m->index == 0 ? 0x08 : 0));
    if (m->index == 0)
        writer_u8(w, m->is_key ? 0x08 : 0x30);
}

size_t client_write_payload(uint8_t *out, enum sfu_codec codec, const struct client_layer *l,
                            const struct client_mark *m, bool *is_whole)
{
    struct writer w = writer_of(out, CLIENT_PAYLOAD_HEAD);
    *is_whole = false;
    if (codec == SFU_CODEC_VP9)
        write_vp9(&w, l, m);
    else if (codec == SFU_CODEC_H264)
        write_h264(&w, m, is_whole);
    else if (codec == SFU_CODEC_AV1)
        write_av1(&w, m);
    else
        write_vp8(&w, l, m);
    return writer_size(&w);
}

/* One template, one target; the structure itself at a keyframe's beginning. */
uint8_t client_write_descriptor(uint8_t out[CLIENT_DESCRIPTOR_MAX], const struct client_layer *l,
                                const struct client_mark *m)
{
    struct writer w = writer_of(out, CLIENT_DESCRIPTOR_MAX);
    writer_u8(&w, (m->index == 0 ? 0x80 : 0) | (m->index + 1 == m->count ? 0x40 : 0));
    writer_u16(&w, l->picture_id);
    if (m->is_key && m->index == 0)
        writer_u24(&w, 0x8000e0);
    return (uint8_t)writer_size(&w);
}

/* ---- reading ---- */

static bool read_vp8(struct client_picture *out, const struct client_sent *s)
{
    struct vp8_payload v;
    if (!vp8_parse(&v, s->payload, s->n))
        return false;
    *out = (struct client_picture){.mark_at = v.is_frame_start ? 16 : 6,
                                   .is_keyframe = v.is_keyframe,
                                   .is_numbered = true,
                                   .number = v.picture_id,
                                   .mask = 0x7fff};
    return true;
}

static bool read_vp9(struct client_picture *out, const struct client_sent *s)
{
    struct vp9_payload v;
    if (!vp9_parse(&v, s->payload, s->n))
        return false;
    *out = (struct client_picture){.mark_at = v.descriptor_bytes,
                                   .is_keyframe = v.is_keyframe,
                                   .is_numbered = true,
                                   .number = v.picture_id,
                                   .mask = 0x7fff};
    return true;
}

static bool read_h264(struct client_picture *out, const struct client_sent *s)
{
    struct h264_payload h;
    if (!h264_parse(&h, s->payload, s->n))
        return false;
    *out =
        (struct client_picture){.mark_at = h.nal_type == 24 ? 14 : 3, .is_keyframe = h.is_keyframe};
    return true;
}

static bool read_av1(struct client_picture *out, const struct client_sent *s)
{
    struct av1_payload a;
    struct dd_info dd;
    if (!av1_parse(&a, s->payload, s->n) || !dd_parse(&dd, s->descriptor, s->descriptor_bytes, 0))
        return false;
    *out = (struct client_picture){.mark_at = a.is_continued ? 1 : 2,
                                   .is_keyframe = a.is_keyframe,
                                   .is_numbered = true,
                                   .number = dd.frame_number,
                                   .mask = 0xffff};
    return a.is_keyframe == dd.has_structure && dd.is_frame_start == !a.is_continued;
}

bool client_read_payload(struct client_picture *out, enum sfu_codec codec,
                         const struct client_sent *s)
{
    switch (codec) {
    case SFU_CODEC_VP9:
        return read_vp9(out, s);
    case SFU_CODEC_H264:
        return read_h264(out, s);
    case SFU_CODEC_AV1:
        return read_av1(out, s);
    default:
        return read_vp8(out, s);
    }
}
