/*
 * layer: one RTP stream of a published track as it comes in: numbering, what is missing, what is
 * kept, when the last keyframe was. A mirrored layer (its publisher is on another worker) has the
 * same history and keyframe, but leaves the reception to the publisher's worker.
 */
#pragma once

#include "sfu/congestion/receive.h"
#include "sfu/congestion/rate.h"
#include "sfu/route/history.h"
#include "sfu/route/inspect.h"
#include "sfu/route/keyframe.h"
#include "sfu/route/nack.h"
#include "sfu/route/track_info.h"

#define LAYER_BATCH_MAX 64
#define LAYER_HISTORY_VIDEO 1024 /* packets */
#define LAYER_HISTORY_AUDIO 256
#define LAYER_HISTORY_VIDEO_US 1200000 /* who asks later has frozen for good */
#define LAYER_HISTORY_AUDIO_US 500000  /* never asked for: duplicates end here */
#define LAYER_START_US 1000000         /* a start from the history goes back no further */
#define LAYER_START_PACKETS 150
#define LAYER_SILENT_US 1000000 /* no packet for so long: the layer is not active */

struct track;

struct layer {
    struct track *track;
    uint8_t index;
    bool is_active;
    bool has_packets; /* since the numbering began */
    bool has_odd_seq;
    uint16_t odd_seq; /* the number after one that was far off */
    uint32_t ssrc;    /* latched; 0: not yet */
    uint32_t rtx_ssrc;
    uint32_t generation; /* of the numbering */
    uint8_t codec;       /* of the newest packet: index into the track's */
    int64_t highest;     /* sequence number, unwrapped */
    int64_t lowest;      /* of this numbering: the first packets may come out of order, too */
    int64_t last_us;     /* newest media packet */
    int64_t keyframe_seq;
    int64_t keyframe_us; /* 0: none that could be started from */
    uint32_t keyframe_timestamp;
    struct history history;
    struct timeline timeline;
    struct nack_list nacks;
    struct receive_stats stats;
    struct keyframe_request keyframe;
    struct rate rate;
    uint64_t keyframes;
    uint16_t width;
    uint16_t height;
    /* Packets of the batch that is being worked on, to be forwarded at its end. */
    unsigned batch_count;
    struct buf *batch[LAYER_BATCH_MAX];
};

struct layer *layer_create(struct track *track, uint8_t index, bool is_audio);
void layer_destroy(struct layer **layer);

enum layer_verdict {
    LAYER_TAKEN = 0,
    LAYER_TOO_OLD,       /* or so far ahead that another must confirm it */
    LAYER_LOST_TOO_MUCH, /* taken, but the gap before it cannot be mended: ask for a keyframe */
};
struct layer_arrival {
    uint16_t seq;
    bool is_retransmission;
    bool can_nack; /* missing packets may be asked for */
    int64_t now_us;
};
/* Places a packet in the numbering; *seq is the unwrapped number, *round_trip_us that of a request
 * it answers (0: not known). */
enum layer_verdict layer_place(struct layer *l, const struct layer_arrival *a, int64_t *seq,
                               int64_t *round_trip_us);
/* Another SSRC, or the same one counting anew: what is to come has no relation to what was. */
void layer_restart(struct layer *l);
/* Keeps the packet (its media is complete) and queues it for the batch. False: a copy of one that
 * is there, or too old. The batch must have room. */
MUST_USE bool layer_keep(struct layer *l, struct buf *b);
void layer_clear_batch(struct layer *l);
/* A subscriber can be started from what is kept: the last keyframe and all since, if that is little
 * and recent. */
bool layer_can_start(const struct layer *l, int64_t now_us);
static inline bool layer_batch_is_full(const struct layer *l)
{
    return l->batch_count == LAYER_BATCH_MAX;
}
