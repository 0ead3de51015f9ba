/*
 * peer: one peer connection on its worker: ICE, DTLS, SRTP; the tracks it publishes, the consumers
 * it subscribes; its timers and reports.
 */
#pragma once

#include "sfu/congestion/twcc.h"
#include "sfu/track.h"
#include "sfu/transport/dtls.h"
#include "sfu/transport/ice.h"
#include "sfu/transport/srtp.h"
#include "sfu/worker.h"

#define PEER_MAX_STREAMS (2 * SFU_MAX_PRODUCERS * SFU_MAX_LAYERS)
#define PEER_LATCH_BURST 64           /* SSRCs that may be learned at once, */
#define PEER_LATCH_INTERVAL_US 500000 /* and one more each so often */
#define PEER_RESEND_BURST 1000        /* retransmissions at once, */
#define PEER_RESEND_PER_SECOND 1000   /* and per second */
#define PEER_PACKETS_BURST 4000       /* media packets taken from a peer at once, */
#define PEER_PACKETS_PER_SECOND 10000 /* and per second; 4K video has some 3,000 */
#define PEER_RTCP_BYTES 1200          /* of a compound before encryption */
#define PEER_RTT_DEFAULT_US 100000
#define PEER_REPORT_US 1000000 /* RR, and SR of video */
#define PEER_REPORT_AUDIO_US 5000000

/* A bucket of allowances that refills with time. */
struct allowance {
    int64_t full_at_us; /* when it will be full again */
};
static inline bool allowance_take(struct allowance *a, int64_t burst, int64_t interval_us,
                                  int64_t now_us)
{
    int64_t base_us = MAX(a->full_at_us, now_us);
    if (base_us - now_us > (burst - 1) * interval_us)
        return false;
    a->full_at_us = base_us + interval_us;
    return true;
}

/* Whose an SSRC is, for incoming RTP. */
struct peer_stream {
    struct layer *layer;
    bool is_rtx;
};
struct peer_streams {
    unsigned count;
    unsigned last; /* found last: packets come in runs */
    struct allowance latches;
    uint32_t ssrcs[PEER_MAX_STREAMS];
    struct peer_stream streams[PEER_MAX_STREAMS];
};

struct peer {
    struct sfu_worker *worker;
    sfu_peer_id id;
    uint64_t room;
    struct deadline deadline;
    struct list dirty; /* in the worker's dirty_peers */
    struct list dirty_consumers;

    struct ice_agent *ice;
    struct dtls *dtls;
    struct sfu_srtp_tx *tx;
    struct sfu_srtp_rx *rx;
    enum srtp_profile profile;
    struct fingerprint remote; /* hash NONE: not known yet */
    bool is_dtls_client;
    bool is_connected;    /* keys are there */
    bool is_disconnected; /* told: no consent */
    bool can_send;        /* connected, with consent and an address */
    struct sfu_address to;
    uint8_t ext_ids[RTP_EXT_KIND_COUNT];

    /* Publishing. */
    unsigned track_count;
    struct track *tracks[SFU_MAX_PRODUCERS];
    struct peer_streams *streams; /* made with the first track */
    struct twcc_receiver *twcc;   /* made with the first packet that has a number */

    /* Subscribing. */
    unsigned consumer_count;
    struct list consumers;
    struct map64 *consumers_by_number;
    struct map64 *consumers_by_ssrc; /* media and rtx; of removed ones: &peer_used_ssrc */
    uint16_t transport_seq;
    struct allowance resends;

    /* Reports. */
    uint32_t rtcp_ssrc;
    int64_t report_due_us;
    int64_t round_trip_us; /* 0: not known */
    uint32_t rrtr_middle;  /* of the peer's last RRTR; 0: none */
    uint32_t rrtr_ssrc;
    int64_t rrtr_at_us;

    struct allowance packets; /* of media, incoming */

    /* Statistics. */
    uint64_t packets_in;
    uint64_t packets_out;
    uint64_t bytes_in;
    uint64_t bytes_out;
    struct rate rate_in;
    struct rate rate_out;
};

/* ---- peer.c ---- */

MUST_USE enum err peer_create(struct peer **out, struct sfu_worker *w, sfu_peer_id id,
                              const struct announcement *a);
/* BYE and close_notify if it is connected; its tracks end. */
void peer_destroy(struct peer **peer);
void peer_set_remote(struct peer *p, const struct mail_remote *r);
void peer_restart(struct peer *p, const struct sfu_credentials *c);
/* from_worker: where the datagram came in. */
void peer_on_stun(struct peer *p, const struct stun_message *m, const struct sfu_address *from,
                  unsigned from_worker);
void peer_on_dtls(struct peer *p, const uint8_t *bytes, size_t n);
void peer_tick(struct peer *p);
/* Recomputes when to tick. */
void peer_reschedule(struct peer *p);
static inline int64_t peer_rtt_us(const struct peer *p)
{
    return p->round_trip_us ? p->round_trip_us : PEER_RTT_DEFAULT_US;
}
void peer_note_rtt(struct peer *p, int64_t sample_us);
static inline void peer_note_sent(struct peer *p, size_t n)
{
    p->packets_out++;
    p->bytes_out += n;
}

/* ---- peer_tracks.c: what the control plane asks ---- */

/* New, or as negotiated anew. */
void peer_set_producer(struct peer *p, uint32_t number, const struct track_info *info);
void peer_set_producer_flags(struct peer *p, uint32_t number, struct sfu_producer_flags flags);
void peer_remove_producer(struct peer *p, uint32_t number);
/* The peer's extension ids changed: its tracks' descriptions follow. */
void peer_update_track_extensions(struct peer *p);
void peer_add_consumer(struct peer *p, uint32_t number, const struct mail_consumer *opt);
struct consumer *peer_find_consumer(const struct peer *p, uint32_t number);
void peer_remove_consumer(struct peer *p, uint32_t number);

/* Stands for an SSRC that was used and never may be again: its keystream would repeat. */
extern char peer_used_ssrc;
/* The living consumer of an SSRC, or NULL. */
struct consumer *peer_consumer_of(const struct peer *p, uint32_t ssrc);

/* ---- peer_streams.c: SSRC -> layer ---- */

/* NULL: the packet belongs to no track; counted. */
const struct peer_stream *peer_find_stream(struct peer *p, const struct rtp_packet *rtp,
                                           const uint8_t *bytes);
void peer_declare_stream(struct peer *p, uint32_t ssrc, struct layer *layer, bool is_rtx);
void peer_forget_layer(struct peer *p, const struct layer *layer);

/* ---- peer_rtp.c ---- */

/* SRTP or SRTCP: a buf with the datagram behind MEDIA_HEADROOM; takes it. */
void peer_on_media(struct peer *p, struct buf *b);

/* ---- peer_rtcp.c: reading ---- */
/* A decrypted compound. */
void peer_on_rtcp(struct peer *p, const uint8_t *bytes, size_t n);

/* ---- peer_report.c: writing ---- */
void peer_send_twcc(struct peer *p);
void peer_send_nacks(struct peer *p);
void peer_send_keyframe_request(struct peer *p, struct track *t, struct layer *l);
void peer_send_reports(struct peer *p);
void peer_send_byes(struct peer *p);
/* When NACKs are due. */
int64_t peer_nack_due_us(const struct peer *p);

/* ---- peer_stats.c ---- */
void peer_emit_stats(struct peer *p, uint64_t token);
