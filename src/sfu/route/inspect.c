/*
 * inspect: per codec, is this where a keyframe begins, and where do the numbers stand that must go
 * on evenly when the layer changes. A payload that its parser refuses is forwarded as a plain one;
 * decoding it is the receiver's affair.
 */
#include "sfu/route/inspect.h"

#include "sfu/wire/payload.h"

static void inspect_vp8(struct media *m, const uint8_t *payload, size_t n, struct inspected *out)
{
    struct vp8_payload v;
    if (!vp8_parse(&v, payload, n))
        return;
    m->is_keyframe = v.is_keyframe;
    m->picture = (struct media_picture){
        .id = v.picture_id,
        .tl0 = v.tl0picidx,
        .id_offset = v.picture_id_offset,
        .tl0_offset = v.tl0picidx_offset,
        .has_long_id = v.has_long_picture_id,
    };
    out->width = v.width;
    out->height = v.height;
}

static void inspect_vp9(struct media *m, const uint8_t *payload, size_t n, struct inspected *out)
{
    struct vp9_payload v;
    if (!vp9_parse(&v, payload, n))
        return;
    m->is_keyframe = v.is_keyframe;
    m->picture = (struct media_picture){
        .id = v.picture_id,
        .tl0 = v.tl0picidx,
        .id_offset = v.picture_id_offset,
        .has_long_id = v.has_long_picture_id,
    };
    /* RFC 9628: the layer byte follows the picture id, TL0PICIDX follows that. */
    if (v.picture_id_offset && v.has_layers && !v.is_flexible)
        m->picture.tl0_offset = (uint8_t)(v.picture_id_offset + (v.has_long_picture_id ? 3 : 2));
    out->width = v.width;
    out->height = v.height;
}

static void inspect_descriptor(struct media *m, uint8_t dd_id)
{
    size_t n = 0;
    const uint8_t *ext = rtp_ext_find(&m->rtp, media_bytes(m), dd_id, &n);
    struct dd_info dd;
    if (!ext || !dd_parse(&dd, ext, n, 0))
        return;
    m->dd_id = dd_id;
    m->frame_number = dd.frame_number;
    m->is_keyframe |= dd.has_structure && dd.is_frame_start;
}

HOT void media_inspect(struct media *m, enum sfu_codec codec, uint8_t dd_id, struct inspected *out)
{
    const uint8_t *payload = media_payload(m);
    size_t n = m->rtp.payload_bytes;
    *out = (struct inspected){0};
    m->is_keyframe = m->is_unsure = false;
    m->dd_id = 0;
    m->picture = (struct media_picture){0};
    if (n == 0)
        return;
    if (codec == SFU_CODEC_VP8) {
        inspect_vp8(m, payload, n, out);
    } else if (codec == SFU_CODEC_VP9) {
        inspect_vp9(m, payload, n, out);
    } else if (codec == SFU_CODEC_H264) {
        struct h264_payload h;
        m->is_keyframe = h264_parse(&h, payload, n) && h.is_keyframe;
        m->is_unsure = m->is_keyframe && !h.has_sps; /* its parameter sets may come late */
    } else if (codec == SFU_CODEC_AV1) {
        struct av1_payload a;
        m->is_keyframe = av1_parse(&a, payload, n) && a.is_keyframe && !a.is_continued;
    }
    if (dd_id && codec != SFU_CODEC_OPUS)
        inspect_descriptor(m, dd_id);
    struct media_picture *p = &m->picture;
    if (p->id_offset)
        p->prefix_bytes = (uint8_t)(p->id_offset + (p->has_long_id ? 2 : 1));
    if (p->tl0_offset)
        p->prefix_bytes = MAX(p->prefix_bytes, (uint8_t)(p->tl0_offset + 1));
}
