/*
 * media: one RTP packet as the engine keeps it: a buf that holds the plain packet, and in front of
 * it in the same buf what was found when it was parsed, once. Shared by all who forward it; nobody
 * changes it afterwards.
 */
#pragma once

#include "core/buf.h"
#include "sfu/wire/rtp.h"

#define MEDIA_HEADROOM 256
#define MEDIA_MAX_BYTES 1500 /* of a datagram */

/* Numbers in the payload that must go on evenly across a switch of layers (VP8, VP9). */
struct media_picture {
    uint16_t id;
    uint8_t tl0;          /* TL0PICIDX */
    uint8_t id_offset;    /* from the start of the payload; 0: absent */
    uint8_t tl0_offset;   /* 0: absent */
    uint8_t prefix_bytes; /* of the payload that must be copied to change them; 0: nothing to */
    bool has_long_id;     /* 15 bits in two bytes, else 7 in one */
};

struct media {
    struct rtp_packet rtp;
    int64_t seq; /* unwrapped within its layer, and going on across a change of SSRC */
    int64_t arrival_us;
    struct media_picture picture;
    uint16_t frame_number; /* of the dependency descriptor */
    uint8_t dd_id;         /* its extension id; 0: absent */
    uint8_t codec;         /* index into the track's codecs */
    bool is_keyframe;      /* first packet of a picture that needs no other */
    bool is_unsure;        /* that, unless the packet before belongs to the same picture */
    bool is_recovered;     /* came by retransmission */
};

_Static_assert(sizeof(struct media) <= MEDIA_HEADROOM, "media must fit in front of its packet");
_Static_assert(MEDIA_HEADROOM + MEDIA_MAX_BYTES <= BUF_CAPACITY, "packet must fit behind it");

static inline struct media *media_of(struct buf *b)
{
    return (struct media *)(void *)b->data;
}
/* The packet that media stands in front of. */
static inline const uint8_t *media_bytes(const struct media *m)
{
    return (const uint8_t *)m + MEDIA_HEADROOM;
}
static inline const uint8_t *media_payload(const struct media *m)
{
    return media_bytes(m) + m->rtp.payload_offset;
}
