/*
 * rtp: the RTP header (RFC 3550) with its extensions (RFC 8285, both forms). A packet is parsed
 * once into offsets; each subscriber gets a new header written from that, while the payload is
 * shared.
 */
#pragma once

#include "core/cursor.h"
#include "core/err.h"
#include "core/str.h"

#define RTP_HEADER_BYTES 12
#define RTP_EXT_SLOTS 16   /* ids 1..15 are kept; negotiate no higher ones (0 is padding) */
#define RTP_HEADER_MAX 256 /* rtp_rewrite_header never writes more */

struct rtp_ext {
    uint16_t offset; /* from the start of the packet */
    uint8_t n;
};

struct rtp_packet {
    uint32_t timestamp;
    uint32_t ssrc;
    uint16_t seq;
    uint16_t payload_offset;
    uint16_t payload_bytes; /* without padding; 0: a padding-only probe, or empty */
    uint16_t ext_present;   /* bit i: ext[i] is valid */
    uint8_t padding_bytes;
    uint8_t pt;
    uint8_t csrc_count;
    bool marker;
    struct rtp_ext ext[RTP_EXT_SLOTS]; /* by id; what ext_present does not name is undefined */
};

/* RFC 5761: RTCP shares the port; its second byte is 192..223. */
static inline bool rtp_is_rtcp(const uint8_t *bytes, size_t n)
{
    return n >= 2 && bytes[1] >= 192 && bytes[1] <= 223;
}

/* False: not version 2, cut short, padding or extensions that do not add up, or over 65,535 bytes.
 */
MUST_USE bool rtp_parse(struct rtp_packet *out, const uint8_t *bytes, size_t n);

/* The value of extension `id` (1..15), or NULL; id 0 ("not negotiated") is always absent. */
static inline const uint8_t *rtp_ext_find(const struct rtp_packet *p, const uint8_t *bytes,
                                          uint8_t id, size_t *n)
{
    if (id == 0 || id >= RTP_EXT_SLOTS || !(p->ext_present >> id & 1))
        return NULL;
    *n = p->ext[id].n;
    return bytes + p->ext[id].offset;
}

/* What kinds of extension we know; SDP maps URIs to these, peers map ids to these. */
enum rtp_ext_kind {
    RTP_EXT_NONE = 0,
    RTP_EXT_AUDIO_LEVEL,   /* RFC 6464 */
    RTP_EXT_TRANSPORT_SEQ, /* transport-wide-cc-01 */
    RTP_EXT_MID,           /* RFC 9143 */
    RTP_EXT_RID,           /* RFC 8852 */
    RTP_EXT_REPAIRED_RID,
    RTP_EXT_ABS_SEND_TIME,
    RTP_EXT_VIDEO_ORIENTATION, /* 3GPP TS 26.114 */
    RTP_EXT_DEPENDENCY_DESCRIPTOR,
    RTP_EXT_ABS_CAPTURE_TIME,
    RTP_EXT_PLAYOUT_DELAY,
    RTP_EXT_VIDEO_LAYERS,
    RTP_EXT_TOFFSET,
    RTP_EXT_CONTENT_TYPE,
    RTP_EXT_VIDEO_TIMING,
    RTP_EXT_COLOR_SPACE,
    RTP_EXT_KIND_COUNT,
};
const char *rtp_ext_uri(enum rtp_ext_kind kind); /* NULL for NONE */
enum rtp_ext_kind rtp_ext_kind_from_uri(struct str uri);

/* Readers of single extensions; false when absent or of another length than theirs. */
/* level: 0 (loudest) .. 127 (silence), in -dBov. */
bool rtp_audio_level(const struct rtp_packet *p, const uint8_t *bytes, uint8_t id, uint8_t *level,
                     bool *is_voice);
bool rtp_transport_seq(const struct rtp_packet *p, const uint8_t *bytes, uint8_t id, uint16_t *seq);
/* 6.18 fixed-point seconds, 24 bits, wraps every 64 s. */
bool rtp_abs_send_time(const struct rtp_packet *p, const uint8_t *bytes, uint8_t id, uint32_t *t);
/* mid, rid, repaired rid: 1..16 characters that SDP could name. */
bool rtp_text_ext(const struct rtp_packet *p, const uint8_t *bytes, uint8_t id, struct str *text);
/* The CVO byte: 0000CFRR. */
bool rtp_video_orientation(const struct rtp_packet *p, const uint8_t *bytes, uint8_t id,
                           uint8_t *cvo);
/* now as the 24 bits of abs-send-time. */
static inline uint32_t rtp_abs_send_time_from_us(int64_t us)
{
    return (uint32_t)((((uint64_t)us << 18) + 500000) / 1000000) & 0xffffff;
}

/* ---- writing ---- */

/* An extension of our own making (transport-wide seq, abs-send-time, mid). */
struct rtp_ext_value {
    uint8_t id; /* the receiver's; 0: skipped */
    uint8_t n;  /* 1..16 in the one-byte form */
    const uint8_t *bytes;
};

struct rtp_rewrite {
    uint32_t ssrc;
    uint32_t timestamp;
    uint16_t seq;
    uint8_t pt;
    bool marker;
    bool has_padding; /* the P bit: the payload will end in padding (see sfu_srtp_parts) */
    /* ids of the sender -> ids of the receiver, 0: drop the extension; NULL: drop all. */
    const uint8_t *ext_map; /* [RTP_EXT_SLOTS] */
    const struct rtp_ext_value *extra;
    size_t extra_count;
};

/*
 * Writes the header that one subscriber gets for a parsed packet: fresh fixed part, no CSRCs, the
 * mapped extensions, then `extra`. `p` and `bytes` may be NULL: a packet of our own (probe).
 * One-byte form where every id is <= 14 and every length 1..16, else the two-byte form. Returns the
 * header's size, or 0 when it does not fit `capacity` (RTP_HEADER_MAX is always enough, or the
 * extensions are refused). `out` must not overlap the packet.
 */
size_t rtp_rewrite_header(uint8_t *out, size_t capacity, const struct rtp_packet *p,
                          const uint8_t *bytes, const struct rtp_rewrite *r);

/* a is later than b in 16- or 32-bit serial arithmetic. */
static inline bool rtp_seq_after(uint16_t a, uint16_t b)
{
    return a != b && (uint16_t)(a - b) < 0x8000;
}
static inline bool rtp_timestamp_after(uint32_t a, uint32_t b)
{
    return a != b && a - b < 0x80000000u;
}
