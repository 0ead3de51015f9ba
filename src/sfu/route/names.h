/*
 * names: what the engine's public face (sfu.h) and its routing have in common: codecs, payload
 * types, numbers of things.
 */
#pragma once

#include "core/str.h"

#define SFU_MAX_LAYERS 4   /* simulcast layers of a producer */
#define SFU_MAX_CODECS 32  /* payload types of one track (without rtx) */
#define SFU_MAX_SPEAKERS 8 /* in one speakers event */
#define SFU_MID_MAX 16     /* RFC 9143 mids and RFC 8852 rids, as header extensions carry them */

typedef uint64_t sfu_peer_id; /* never 0 */

enum sfu_codec {
    SFU_CODEC_NONE = 0,
    SFU_CODEC_OPUS,
    SFU_CODEC_VP8,
    SFU_CODEC_VP9,
    SFU_CODEC_H264,
    SFU_CODEC_AV1,
};
enum sfu_codec sfu_codec_from_name(struct str name); /* as in a=rtpmap, any case; NONE: unknown */
const char *sfu_codec_name(enum sfu_codec codec);    /* "opus", "VP8", ... */

/* One payload type. Streams of the same codec and `format` are interchangeable, so format should
 * say what else must agree (H.264 profile and packetization mode, VP9 profile); any number. */
struct sfu_codec_pt {
    enum sfu_codec codec;
    uint32_t format;
    uint32_t clock_rate;
    uint8_t pt;
    uint8_t rtx_pt; /* with apt=pt; 0: none */
    bool has_nack;  /* a=rtcp-fb of this payload type */
    bool has_pli;
    bool has_fir;
};

/* Muted by its user or held back by a host: while either is set nothing is forwarded. */
struct sfu_producer_flags {
    bool is_muted;
    bool is_held;
};
struct sfu_speaker {
    sfu_peer_id peer;
    uint32_t track;
    float level; /* 0 (silence) to 1 */
};
