/*
 * payload: what the first bytes of a video (or Opus) payload say, as far as forwarding needs it: is
 * this a keyframe, which layer, which picture. Positions of rewritable fields are given as offsets
 * from the start of the payload. Every parser takes any bytes; false means "not of this codec", and
 * the packet is then forwarded as a plain one or dropped by the caller.
 */
#pragma once

#include "core/cursor.h"

/* The descriptor that a rewriter must replace is never longer than this. */
#define PAYLOAD_DESCRIPTOR_MAX 16

/* ---- VP8, RFC 7741 ---- */
struct vp8_payload {
    uint16_t picture_id; /* 7 or 15 bits */
    uint8_t tl0picidx;
    uint8_t tid;
    uint8_t keyidx;
    uint8_t descriptor_bytes;
    uint8_t picture_id_offset; /* 0: absent */
    uint8_t tl0picidx_offset;  /* 0: absent */
    bool has_long_picture_id;  /* 15 bits, two bytes */
    bool has_tid;
    bool is_layer_sync; /* Y: one may switch up to this temporal layer here */
    bool is_non_reference;
    bool is_frame_start; /* S and partition 0 */
    bool is_keyframe;    /* first packet of a keyframe */
    uint16_t width;      /* of a keyframe's first packet, else 0 */
    uint16_t height;
};
MUST_USE bool vp8_parse(struct vp8_payload *out, const uint8_t *payload, size_t n);
/*
 * Copies the descriptor with a new picture id and tl0picidx (each only where the original has the
 * field; the picture id keeps its width). Returns descriptor_bytes. out: PAYLOAD_DESCRIPTOR_MAX.
 */
size_t vp8_rewrite(uint8_t *out, const struct vp8_payload *v, const uint8_t *payload,
                   uint16_t picture_id, uint8_t tl0picidx);

/* ---- VP9, RFC 9628 ---- */
struct vp9_payload {
    uint16_t picture_id;
    uint8_t tl0picidx;
    uint8_t sid;
    uint8_t tid;
    uint8_t descriptor_bytes;
    uint8_t picture_id_offset; /* 0: absent */
    uint8_t spatial_layers;    /* from the scalability structure; 0: none in this packet */
    bool has_long_picture_id;
    bool has_layers; /* sid, tid valid */
    bool is_flexible;
    bool is_inter_predicted; /* P */
    bool is_inter_layer;     /* D */
    bool is_switch_up;       /* U */
    bool is_frame_start;     /* B: of this spatial layer's frame */
    bool is_frame_end;       /* E */
    bool is_not_reference;   /* Z: not a reference for upper spatial layers */
    bool is_keyframe;        /* starts a frame that needs no other picture, in spatial layer 0 */
    uint16_t width;          /* of the highest layer in the structure, else 0 */
    uint16_t height;
};
MUST_USE bool vp9_parse(struct vp9_payload *out, const uint8_t *payload, size_t n);

/* ---- H.264, RFC 6184 ---- */
struct h264_payload {
    bool is_keyframe; /* begins an IDR picture or carries its SPS: single NAL, STAP-A, FU-A start */
    bool has_sps;
    bool is_frame_start; /* first slice with first_mb_in_slice 0, or parameter sets before it */
    uint8_t nal_type;    /* of the packet: 1..23, 24 STAP-A, 28 FU-A */
};
MUST_USE bool h264_parse(struct h264_payload *out, const uint8_t *payload, size_t n);

/* ---- AV1, AOM RTP specification ---- */
struct av1_payload {
    bool is_continued;    /* Z: first element continues an OBU of the previous packet */
    bool is_unfinished;   /* Y: last element goes on in the next packet */
    bool is_new_sequence; /* N: first packet of a coded video sequence */
    bool has_sequence_header;
    bool is_keyframe;      /* N, or a sequence header OBU is inside */
    uint8_t element_count; /* W; 0: every element has a length */
    uint8_t sid;           /* from the first OBU extension header, if has_layers */
    uint8_t tid;
    bool has_layers;
};
MUST_USE bool av1_parse(struct av1_payload *out, const uint8_t *payload, size_t n);

/* ---- Dependency descriptor (AV1 RTP specification, appendix A), the part needed here ---- */
struct dd_info {
    uint16_t frame_number;
    uint8_t template_id;
    bool is_frame_start;
    bool is_frame_end;
    bool has_structure; /* a template structure is attached: this frame is a keyframe */
    bool has_active_targets;
    uint32_t active_targets;    /* bit per decode target */
    uint8_t template_id_offset; /* valid with has_structure */
    uint8_t template_count;     /* with has_structure: 1..64 */
    uint8_t decode_targets;     /* with has_structure: 1..32 */
    /* With has_structure: layers of each template, indexed as (template_id - offset) mod 64. */
    uint8_t template_sid[64];
    uint8_t template_tid[64];
};
/*
 * `decode_targets`: as the sender's last structure said, 0 when none was seen; without it (and
 * without a structure in this very packet) active_targets cannot be told and is left out.
 */
MUST_USE bool dd_parse(struct dd_info *out, const uint8_t *ext, size_t n, unsigned decode_targets);

/* ---- Opus, RFC 7587 ---- */
/* A payload of at most two bytes is a DTX (comfort noise) packet: it carries no audio frame. */
static inline bool opus_is_dtx(const uint8_t *payload, size_t n)
{
    return payload && n <= 2;
}
