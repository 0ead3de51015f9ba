/*
 * consumer: a track as one subscriber gets it: which layer, under which numbers, payload types and
 * extension ids; answers to its requests. It is where a packet's way ends in the send arena.
 */
#pragma once

#include "sfu/route/rewriter.h"
#include "sfu/track.h"

#define CONSUMER_NO_CODEC UINT8_MAX
#define CONSUMER_RESENDS 512 /* packets whose last retransmission is remembered */
#define CONSUMER_SENT 256    /* datagrams kept for retransmission without RTX */
#define CONSUMER_REPORTS 4   /* sender reports remembered for the round trip */

struct consumer {
    struct peer *peer;
    struct track *track; /* NULL: gone */
    struct list in_track;
    struct list in_peer;
    struct list dirty; /* in the peer's dirty_consumers */
    uint32_t number;
    uint32_t ssrc;
    uint32_t rtx_ssrc;
    uint16_t rtx_seq;
    char mid[SFU_MID_MAX + 1];
    char cname[SFU_CNAME_MAX + 1];
    struct sfu_codec_pt *codecs;
    uint8_t codec_count;
    uint8_t codec_map[SFU_MAX_CODECS]; /* the track's codec -> ours, or CONSUMER_NO_CODEC */
    uint8_t ext_map[RTP_EXT_SLOTS];    /* the publisher's extension ids -> ours */
    uint8_t asked;                     /* layer, or SFU_LAYER_BEST */
    uint8_t target;                    /* layer that should be forwarded */
    uint8_t current;                   /* layer that is, while is_flowing */
    bool is_paused;
    bool is_flowing;   /* an epoch is open */
    bool has_started;  /* told */
    bool is_confirmed; /* the subscriber reported on our SSRC: it no longer needs the mid */
    bool is_clashing;  /* another consumer of the peer has these numbers: forwards nothing */
    uint8_t refused;   /* codec of the track that was refused last, or CONSUMER_NO_CODEC */
    struct rewriter rewriter;
    int64_t keyframe_us; /* when a keyframe was last sent */
    int64_t report_due_us;
    /* [CONSUMER_RESENDS]; made at the first request */
    struct consumer_resend *resends;
    struct buf **sent; /* [CONSUMER_SENT], by sequence number: only without RTX */
    /* Statistics. */
    uint64_t packets;
    uint64_t bytes;
    uint64_t payload_bytes;
    uint64_t retransmitted;
    uint64_t nacks;
    uint64_t keyframe_requests;
    uint64_t keyframes;
    int64_t lost;
    uint8_t fraction_lost;
    uint32_t jitter;
    struct rate rate;
    unsigned report_at;
    struct {
        uint32_t ntp_middle;
        int64_t sent_us;
    } reports[CONSUMER_REPORTS];
};

struct consumer *consumer_create(struct peer *peer, uint32_t number,
                                 const struct mail_consumer *opt);
void consumer_destroy(struct consumer **consumer);

/* The track became known, or what was negotiated changed. */
void consumer_adapt(struct consumer *c);
/* The track is about to go. */
void consumer_lose_track(struct consumer *c);
/* Nothing flows for now (muted, held, paused): what comes later is a new beginning. */
void consumer_stop(struct consumer *c);
void consumer_set_choice(struct consumer *c, struct sfu_consumer_choice choice);
/* Layers came or went, the peer got ready, the choice changed: choose, and begin if possible. */
void consumer_retarget(struct consumer *c);
/* Is a keyframe needed before anything can be sent as it should be? Of layer `target`. */
bool consumer_awaits_keyframe(const struct consumer *c);
/* The layers that this consumer needs to be fed: bit i. */
uint8_t consumer_needs(const struct consumer *c);

/* Forwards what the track's layers have in their batches. */
void consumer_forward(struct consumer *c);

/* ---- the subscriber's feedback ---- */
void consumer_on_nack(struct consumer *c, const uint16_t *seqs, size_t count);
void consumer_on_keyframe_request(struct consumer *c);
struct rtcp_report;
void consumer_on_report(struct consumer *c, const struct rtcp_report *report);
/* Writes SR and SDES if due; false: nothing to say yet. */
bool consumer_write_report(struct consumer *c, struct writer *w);

/* The codec entry under which the packet goes to this subscriber, or NULL. */
static inline const struct sfu_codec_pt *consumer_codec(const struct consumer *c, uint8_t codec)
{
    uint8_t own = codec < SFU_MAX_CODECS ? c->codec_map[codec] : CONSUMER_NO_CODEC;
    return own == CONSUMER_NO_CODEC ? NULL : &c->codecs[own];
}

/* Scratch that all consumers of a worker share. */
struct consumer_scratch *consumer_scratch_create(void);
