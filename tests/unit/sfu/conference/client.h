/*
 * client: one peer connection from the browser's side, built of the same wire and transport code in
 * its other role: ICE controlling, DTLS client, SRTP both ways. It can publish synthetic Opus and
 * video of any codec (simulcast by rid), answers NACK with RTX and PLI with a keyframe, and can
 * subscribe: then it asks for what is missing, puts packets in order, and checks everything that a
 * decoder would.
 *
 * What it finds wrong it counts in `faults` and remembers in `fault`; tests assert that there are
 * none.
 */
#pragma once

#include "net.h"
#include "sfu/sfu.h"
#include "sfu/transport/dtls.h"
#include "sfu/transport/srtp.h"
#include "sfu/wire/rtcp.h"
#include "sfu/wire/stun.h"

#define CLIENT_TRACKS 4
#define CLIENT_LAYERS 3
#define CLIENT_RECEIVERS 64
#define CLIENT_HISTORY 1024
#define CLIENT_PACKET 1200
#define CLIENT_RENEWAL 1000

/* Extension ids and payload types of publishers; subscribers use others, so mapping shows. */
enum {
    PUB_MID = 1,
    PUB_RID = 2,
    PUB_REPAIRED_RID = 3,
    PUB_TCC = 4,
    PUB_LEVEL = 5,
    PUB_ORIENTATION = 6,
    PUB_DESCRIPTOR = 7,
    PUB_OPUS = 111,
    PUB_VIDEO = 96, /* + 2 per codec, + 1 for its rtx: see client_video_pt */
    SUB_MID = 9,
    SUB_TCC = 7,
    SUB_LEVEL = 3,
    SUB_ORIENTATION = 2,
    SUB_DESCRIPTOR = 5,
    SUB_OPUS = 109,
    SUB_VIDEO = 119,
};
static inline uint8_t client_video_pt(uint8_t base, enum sfu_codec codec)
{
    return (uint8_t)(base + 2 * (codec - SFU_CODEC_VP8));
}
#define CLIENT_DESCRIPTOR_MAX 8 /* bytes of AV1's dependency descriptor here */

/* What a payload carries behind its codec's descriptor, so that a receiver can judge it. */
struct client_mark {
    uint32_t source; /* who sent it: the client's id and the track */
    uint32_t frame;
    uint8_t layer;
    uint8_t index; /* packet of the frame */
    uint8_t count; /* packets of the frame */
    bool is_key;
};

struct client_sent {
    uint16_t seq;
    uint32_t timestamp;
    bool marker;
    bool is_used;
    uint8_t descriptor_bytes; /* 0: none */
    uint8_t descriptor[CLIENT_DESCRIPTOR_MAX];
    size_t n;
    uint8_t payload[CLIENT_PACKET];
};

struct client_layer {
    uint32_t ssrc;
    uint32_t renewed_at; /* frame */
    unsigned renewals;   /* the SSRC rose so often by CLIENT_RENEWAL; feedback may lag behind */
    uint32_t rtx_ssrc;
    char rid[4];
    uint16_t seq;
    uint16_t rtx_seq;
    uint32_t timestamp_base;
    uint16_t picture_id; /* of AV1: the frame number */
    uint8_t tl0;
    uint32_t frame;
    bool wants_key;
    bool is_off;
    unsigned packets_per_frame;
    uint64_t keyframes;
    uint64_t plis;
    struct client_sent *sent; /* [CLIENT_HISTORY] */
    int64_t next_report_us;
    uint32_t packets;
};

struct client_track {
    uint32_t number;
    bool is_audio;
    enum sfu_codec codec;
    bool is_muted; /* sends nothing */
    char mid[4];
    uint8_t level; /* dBov of audio */
    unsigned layer_count;
    struct client_layer layers[CLIENT_LAYERS];
    int64_t next_frame_us;
};

/* One stream that is received. */
struct client_receiver {
    uint32_t ssrc;
    uint32_t rtx_ssrc;
    bool is_audio;
    enum sfu_codec codec;
    bool has_begun;
    bool is_switching_allowed; /* another layer may come, with a keyframe */
    bool is_gap_allowed;       /* muted and back: frames may be left out, before a keyframe */
    bool may_skip;             /* to the next keyframe, when what is missing does not come */
    unsigned skips;
    int64_t next; /* unwrapped number that the decoder waits for */
    int64_t highest;
    int64_t missing_since_us;
    int64_t nacked_us;
    bool awaits_keyframe;
    int64_t pli_us;
    unsigned plis;
    struct client_sent *slots; /* [CLIENT_HISTORY], by number */
    /* What the decoder saw. */
    bool has_frame;
    struct client_mark last;
    uint32_t last_timestamp;
    uint16_t last_picture;
    uint64_t packets;
    uint64_t recovered; /* by rtx */
    uint64_t duplicates;
    uint64_t frames;
    uint64_t keyframes;
    uint64_t broken_frames; /* at a switch of layers */
    int64_t first_frame_us;
    int64_t last_frame_us;
    uint32_t frames_of_layer[CLIENT_LAYERS];
    uint64_t sender_reports;
    uint64_t byes;
    uint64_t ntp;             /* of a sender report that was not answered yet */
    uint64_t last_report_ntp; /* of the newest sender report */
    uint32_t last_report_rtp;
    int64_t last_report_us;
    bool has_mid;
    bool has_orientation;
    bool has_level;
};

struct client {
    struct net *net;
    uint32_t id;
    struct sfu_address address;
    struct sfu_address server;
    struct net_link up;
    int64_t now_us;
    /* ICE */
    char ufrag[8];
    char remote_ufrag[SFU_UFRAG_SIZE];
    char remote_pwd[SFU_PWD_SIZE];
    uint8_t transaction[STUN_TRANSACTION_SIZE];
    bool is_connected_ice;
    bool is_checking;
    bool is_silent; /* no checks: consent will run out */
    int64_t next_check_us;
    uint64_t checks_answered;
    /* DTLS, SRTP */
    struct dtls *dtls;
    const enum srtp_profile *profiles;
    struct sfu_srtp_tx *tx;
    struct sfu_srtp_rx *rx;
    bool is_ready;
    int64_t ready_us;
    /* publishing */
    unsigned track_count;
    struct client_track tracks[CLIENT_TRACKS];
    uint16_t transport_seq;
    uint8_t *transport_state; /* [65536]: 0 not sent, 1 sent, 2 lost on the way, 3 reported */
    uint64_t feedbacks;
    uint64_t nacks_received;
    /* subscribing */
    unsigned receiver_count;
    struct client_receiver receivers[CLIENT_RECEIVERS];
    int64_t next_receiver_report_us;
    bool asks_for_missing;
    uint32_t transport_highest;
    uint64_t transport_gaps;
    /* findings */
    uint64_t received;
    uint64_t undecryptable;
    unsigned faults;
    char fault[160];
};

struct client_options {
    struct net *net;
    uint32_t id;
    struct sfu_address address;
    struct sfu_address server;
    struct net_link up;
    struct dtls_context *context;
    const struct fingerprint *server_fingerprint;
    struct sfu_credentials credentials;
    int64_t now_us;
};
void client_init(struct client *c, const struct client_options *opt);
void client_deinit(struct client *c);
/* New credentials of the server: an ICE restart. */
void client_restart(struct client *c, const struct sfu_credentials *credentials);
/* From now on from another address. */
void client_move(struct client *c, const struct sfu_address *address);
void client_on_datagram(struct client *c, uint8_t *bytes, size_t n, int64_t now_us);
/* Once per virtual millisecond. */
void client_tick(struct client *c, int64_t now_us);
void client_fault(struct client *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ---- client_publish.c ---- */
struct client_track *client_add_audio(struct client *c, uint32_t number, const char *mid);
struct client_track *client_add_video(struct client *c, uint32_t number, const char *mid,
                                      enum sfu_codec codec, unsigned layer_count);
void client_publish_tick(struct client *c);
void client_publish_rtcp(struct client *c, const struct rtcp_packet *p);
/* Any RTP packet, protected and sent. */
bool client_send_rtp(struct client *c, const uint8_t *header, size_t header_bytes,
                     const uint8_t *payload, size_t n);
void client_send_rtcp(struct client *c, uint8_t *bytes, size_t n, size_t capacity);
/* How many transport-wide numbers reached the server but were never reported. */
unsigned client_unreported(const struct client *c);

/* ---- payloads.c: what the codecs put in front of the mark ---- */
#define CLIENT_PAYLOAD_HEAD 32
/* At most CLIENT_PAYLOAD_HEAD bytes; returns how many. *is_whole: nothing may follow the mark. */
size_t client_write_payload(uint8_t *out, enum sfu_codec codec, const struct client_layer *l,
                            const struct client_mark *m, bool *is_whole);
uint8_t client_write_descriptor(uint8_t out[CLIENT_DESCRIPTOR_MAX], const struct client_layer *l,
                                const struct client_mark *m);
struct client_picture {
    size_t mark_at;
    bool is_keyframe; /* begins one */
    bool is_numbered;
    uint16_t number; /* picture id, or AV1's frame number */
    uint16_t mask;   /* of its width */
};
bool client_read_payload(struct client_picture *out, enum sfu_codec codec,
                         const struct client_sent *s);

/* ---- client_subscribe.c ---- */
static inline bool timestamp_is_behind(uint32_t now, uint32_t before)
{
    return (int32_t)(now - before) <= 0;
}
struct client_receiver *client_add_receiver(struct client *c, uint32_t ssrc, uint32_t rtx_ssrc,
                                            bool is_audio);
void client_subscribe_rtp(struct client *c, uint8_t *bytes, size_t n);
void client_subscribe_rtcp(struct client *c, const struct rtcp_packet *p);
void client_subscribe_tick(struct client *c);
void client_send_pli(struct client *c, uint32_t ssrc);
/* Everything that was sent under this SSRC up to the newest is there, in order. */
bool client_is_complete(const struct client_receiver *r);
