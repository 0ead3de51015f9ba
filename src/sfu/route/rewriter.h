/*
 * rewriter: the numbering that one subscriber sees. Whatever layer or SSRC the packets come from,
 * and whatever is left out, sequence numbers go on one by one, timestamps follow the source's time,
 * and picture ids count on. A stretch of packets with one and the same shift is an epoch; a switch
 * of layers begins a new one. The last few epochs are remembered, so that a packet which comes late
 * or is asked for again is numbered as its neighbours were.
 */
#pragma once

#include "sfu/route/media.h"
#include "sfu/route/track_info.h"

#define REWRITER_EPOCHS 4
#define REWRITER_LATE_US 1000000 /* so long after its end packets of an epoch still go out */
#define REWRITER_PREFIX_MAX 8

/* Where packets come from: a numbering that has no breaks of its own. */
struct rewriter_source {
    uint8_t layer;
    uint32_t generation; /* moves when the layer's numbering starts anew */
};

struct rewriter_epoch {
    struct rewriter_source source;
    int64_t first; /* source sequence numbers that belong to it */
    int64_t last;  /* the highest so far */
    int64_t seq_shift;
    uint32_t timestamp_shift;
    uint16_t picture_shift;
    uint16_t frame_shift;
    uint8_t tl0_shift;
    int64_t ended_us; /* of former epochs */
};

struct rewriter {
    struct rewriter_epoch epochs[REWRITER_EPOCHS]; /* [0] is the current one */
    unsigned count;                                /* 0: nothing was sent yet */
    int64_t highest;                               /* sequence number sent, unwrapped */
    uint32_t timestamp;                            /* of the highest */
    int64_t arrival_us;                            /* of the highest */
    uint16_t picture_id;                           /* the latest, 15 bits */
    uint16_t frame_number;
    uint8_t tl0;
    bool has_picture;
};

/* What replaces a packet's own numbers. */
struct rewritten {
    uint16_t seq;
    uint32_t timestamp;
    uint16_t frame_number; /* of the dependency descriptor, if the packet has one */
    bool has_frame_shift;  /* frame_number differs from the packet's */
    uint8_t prefix_bytes;  /* of the payload that `prefix` replaces; 0: payload as it is */
    uint8_t prefix[REWRITER_PREFIX_MAX];
};

/* The first sequence number to send; below 2^15, so that SRTP's roll-over counter starts safely. */
void rewriter_init(struct rewriter *r, uint16_t first_seq);

/*
 * From `first` on (its numbers; it need not be sent) packets of `source` follow what was sent.
 * `timestamp` is where first's time falls in the time that the subscriber sees; it is moved ahead
 * if it does not lie behind what was sent. The very first epoch keeps the source's own time.
 */
void rewriter_begin(struct rewriter *r, const struct media *first, struct rewriter_source source,
                    uint32_t timestamp, int64_t now_us);

/* Numbers for a packet that is sent now. False: it belongs to no epoch that is still open. */
MUST_USE bool rewriter_map(struct rewriter *r, const struct media *m, struct rewriter_source source,
                           int64_t now_us, struct rewritten *out);

/* The packet that was, or would have been, sent under `seq`: for retransmission. Within the last
 * 2^15 numbers. False: none. */
MUST_USE bool rewriter_find(const struct rewriter *r, uint16_t seq,
                            const struct rewriter_epoch **epoch, int64_t *source_seq);
/* Its numbers as in that epoch. */
void rewriter_apply(const struct rewriter_epoch *epoch, const struct media *m,
                    struct rewritten *out);

static inline bool rewriter_is_from(const struct rewriter_epoch *e, struct rewriter_source s)
{
    return e->source.layer == s.layer && e->source.generation == s.generation;
}

/*
 * Where source time `ts` of the new layer falls in the time of the old one, both known by their
 * sender reports. False: one has none.
 */
MUST_USE bool timeline_align(const struct timeline *old_line, const struct timeline *new_line,
                             uint32_t ts, uint32_t clock_rate, uint32_t *out);
/* a - b of RTP times in ticks. */
static inline int32_t timestamp_diff(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}
