/*
 * track: a published track as one worker knows it. On the publisher's worker it is fed by the peer;
 * elsewhere it is a mirror, fed by the ring from there. Consumers of this worker hang on it either
 * way, and cannot tell. A track may also be wanted before it is there: then it waits, unknown.
 */
#pragma once

#include "sfu/route/layer.h"
#include "sfu/route/levels.h"
#include "sfu/worker.h"

#define TRACK_TICK_US 100000
#define TRACK_NO_CODEC UINT8_MAX
#define MIRROR_MISSED_MAX 1024

struct mirror_missed {
    int64_t seq;
    uint8_t layer;
};

/* A worker that mirrors this track. */
struct mirror {
    unsigned worker;
    uint32_t handle;
    uint8_t wanted; /* bit i: it wants layer i */
    /* What did not fit into the ring, to be tried again; made when first needed. */
    unsigned missed_count;
    struct mirror_missed *missed;
};

struct track {
    struct sfu_worker *worker;
    sfu_peer_id peer_id; /* the publisher */
    uint32_t number;
    struct peer *peer; /* NULL: mirrored, or not there yet */
    bool is_known;     /* info is valid */
    bool has_started;  /* the first packet was told */
    struct track_info info;
    uint8_t codec_of_pt[128]; /* TRACK_NO_CODEC */
    uint8_t codec_of_rtx[128];
    struct layer *layers[SFU_MAX_LAYERS];
    uint8_t active_layers; /* bit i */
    struct list consumers;
    struct list in_worker;
    struct list dirty; /* in the worker's dirty_tracks */
    struct mirror *mirrors;
    unsigned mirror_count;
    /* Of a mirror. */
    uint32_t handle; /* 0: not mirrored */
    uint8_t wanted;
    /* Of an audio track. */
    struct loudness loudness;
    int64_t level_told_us;
    bool is_heard;
};

/* NULL: nobody here has or wants it. */
struct track *track_find(struct sfu_worker *w, sfu_peer_id peer, uint32_t number);
/* Made, unknown, when it was not there. */
struct track *track_get(struct sfu_worker *w, sfu_peer_id peer, uint32_t number);
/* The track ends: consumers are told, mirrors too. */
void track_destroy(struct track **track);
/* Nobody needs it any more (no publisher here, no consumer): close it. */
void track_drop_if_idle(struct track **track);

/* What was negotiated, the first time or anew. */
void track_set_info(struct track *t, const struct track_info *info);
void track_set_flags(struct track *t, struct sfu_producer_flags flags);
static inline bool track_is_silenced(const struct track *t)
{
    return t->info.flags.is_muted || t->info.flags.is_held;
}

/* A packet was kept in a layer's batch: it will be forwarded at the end of the batch. */
void track_note_packet(struct track *t, struct layer *l);
/* A subscriber needs a keyframe of this layer. */
void track_want_keyframe(struct track *t, uint8_t layer);
void track_set_timeline(struct track *t, uint8_t layer, const struct timeline *timeline);
void track_set_active(struct track *t, uint8_t active_layers);
/* Ten times a second: silent layers, requests that are due, what is too old, loudness. */
void track_tick(struct track *t);
/* Which layers the consumers of this worker need now; tells the publisher's worker. */
void track_update_wanted(struct track *t);

/* ---- for the publisher's side of mirrors ---- */
void track_add_mirror(struct track *t, unsigned worker, uint32_t handle, uint8_t wanted);
void track_set_mirror_wanted(struct track *t, unsigned worker, uint8_t wanted);
void track_remove_mirror(struct track *t, unsigned worker);

/* ---- track_relay.c: packets into the rings ---- */

/* A layer's batch, to all mirrors that want it. */
void track_relay(struct track *t, struct layer *l);
/* A mirror begins to want a layer: what a subscriber could be started from, if there is such. */
void track_relay_start(struct track *t, struct mirror *m, struct layer *l);
/* What did not fit into the ring the last time. */
void track_resend_missed(struct track *t, struct mirror *m);
