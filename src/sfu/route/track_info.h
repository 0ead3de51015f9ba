/*
 * track_info: what a published track is, as negotiated. The publisher's worker has it from the
 * control plane; workers that mirror the track get a copy.
 */
#pragma once

#include "sfu/route/names.h"
#include "sfu/wire/rtp.h"

struct track_layer_info {
    char rid[SFU_MID_MAX + 1]; /* empty: found by SSRC or by mid alone */
    uint32_t ssrc;             /* 0: not said */
    uint32_t rtx_ssrc;
};

struct track_info {
    bool is_audio;
    uint8_t codec_count;
    uint8_t layer_count;
    char mid[SFU_MID_MAX + 1];
    struct sfu_producer_flags flags;
    uint64_t room;
    uint8_t ext_ids[RTP_EXT_KIND_COUNT]; /* of the publishing connection */
    struct sfu_codec_pt codecs[SFU_MAX_CODECS];
    struct track_layer_info layers[SFU_MAX_LAYERS];
};

/* How RTP time relates to the sender's wall clock, from its latest sender report. */
struct timeline {
    uint64_t ntp; /* 32.32; 0: no report yet */
    uint32_t rtp;
    int64_t at_us; /* when the report came */
};
