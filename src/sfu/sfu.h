/*
 * sfu: the public face of the media engine. No sockets, no clock, no threads of its own: whoever
 * owns those (services/media; the tests, in virtual time) feeds datagrams with the time and gets
 * datagrams and events back through functions it gave.
 *
 *   struct sfu           everything; made once, with all its workers
 *   struct sfu_worker    one thread's share of the peers; touched by that thread alone
 *   peer                 one peer connection (a session has two); lives on the worker whose socket
 *                        its first valid STUN check reached, and nobody needs to know which
 *   producer             a track that a peer sends: one RTP stream, or several simulcast layers
 *   consumer             a producer as another peer gets it
 *
 * Two kinds of function. Those that take a `struct sfu *` are the control plane: any thread may
 * call them at any time; they check their arguments, copy them and post a message, which takes
 * effect when the worker polls, in the order posted for one peer (before a peer has appeared,
 * messages wait for it). Those that take a `struct sfu_worker *` belong to that worker's thread.
 *
 * Numbers, not pointers, name things: a peer's id comes from the engine and is never used again;
 * track and consumer numbers are chosen by the caller, not 0, never used twice within one peer.
 */
#pragma once

#include "core/err.h"
#include "core/str.h"
#include "sfu/route/names.h"
#include "sfu/transport/dtls.h"
#include "sfu/wire/address.h"
#include "sfu/wire/fingerprint.h"
#include "sfu/wire/rtp.h"

#define SFU_MAX_WORKERS 64
#define SFU_MAX_PRODUCERS 64  /* tracks that one peer sends */
#define SFU_MAX_CONSUMERS 512 /* tracks that one peer gets */
#define SFU_CNAME_MAX 64
#define SFU_UFRAG_SIZE 20 /* with NUL */
#define SFU_PWD_SIZE 33

struct sfu;
struct sfu_worker;

/* ---- what the outside gives ---- */

/* One destination; n bytes are datagrams of segment_bytes each, the last may be shorter (UDP GSO).
 * segment_bytes == n: one datagram. At most 64 segments and 65,000 bytes. */
struct sfu_send {
    struct sfu_address to; /* `via` says which socket or TCP connection the peer uses */
    const uint8_t *bytes;  /* valid during the call */
    uint32_t n;
    uint16_t segment_bytes;
};
/* Up to 64 messages; on the worker's thread. What the socket refuses is lost, as on any network. */
typedef void sfu_send_fn(void *arg, const struct sfu_send *batch, size_t count);

struct sfu_event;
/* On a worker's thread. Everything pointed to is valid during the call. It may call control-plane
 * functions (they only post), and no sfu_worker_ function. */
typedef void sfu_event_fn(void *arg, const struct sfu_event *event);

/* From any thread: worker should call sfu_worker_poll soon (write its eventfd). At most once until
 * it polls. */
typedef void sfu_wake_fn(void *arg);

struct sfu_worker_io {
    sfu_send_fn *on_send;
    sfu_event_fn *on_event;
    sfu_wake_fn *on_wake; /* NULL: the caller polls anyway */
    void *arg;
};

struct sfu_options {
    unsigned worker_count; /* 0: 1 */
    /* [worker_count] */
    const struct sfu_worker_io *io;
    size_t max_peers;            /* in all; 0: 16,384; at most 2^20 - 1 */
    size_t max_peers_per_worker; /* 0: max_peers */
    size_t max_bufs_per_worker;  /* packets held at once, 1.6 kB each; 0: 65,536 */
    size_t ring_bytes;           /* of the packet ring between two workers; 0: 1 MiB */
    int64_t consent_timeout_us;  /* 0: 30 s; see ice.h */
    int64_t wall_offset_us;      /* wall clock - now_us, for NTP times in reports */
    uint64_t seed; /* 0: random from the kernel; else numbers that need no secrecy (SSRCs, first
                      sequence numbers) repeat from run to run. Credentials never do. */
};

MUST_USE enum err sfu_create(struct sfu **out, const struct sfu_options *opt);
/* When no thread uses any worker any more. Sends nothing. */
void sfu_destroy(struct sfu **sfu);
struct sfu_worker *sfu_worker(struct sfu *sfu, unsigned index);
/* For a=fingerprint. */
const struct fingerprint *sfu_fingerprint(const struct sfu *sfu);

/* ---- a worker's thread ---- */

/* What one recvmsg gave. With UDP GRO it holds several datagrams of segment_bytes each. */
struct sfu_received {
    struct sfu_address from;
    const uint8_t *bytes; /* not modified, not kept */
    uint32_t n;
    uint16_t segment_bytes; /* 0: one datagram */
};
/* A batch as recvmmsg gave it; everything that follows from it is sent before this returns. now_us
 * is monotonic and the same clock for all workers. */
void sfu_worker_receive(struct sfu_worker *w, const struct sfu_received *batch, size_t count,
                        int64_t now_us);
/*
 * What other threads sent to this worker (messages, packets by the rings) and its timers that are
 * due. Returns when to call again at the latest (INT64_MAX: no timer). Call it after each batch or
 * group of batches, when woken, and at that time.
 */
int64_t sfu_worker_poll(struct sfu_worker *w, int64_t now_us);

/* ---- peers ---- */

struct sfu_credentials {
    char ufrag[SFU_UFRAG_SIZE]; /* for a=ice-ufrag; encodes where to find the peer */
    char pwd[SFU_PWD_SIZE];
};

struct sfu_peer_options {
    uint64_t room; /* the caller's number of the room, not 0; speakers are found per room */
    /* May be given later, by sfu_peer_set_remote. */
    struct str remote_ufrag;
    struct fingerprint remote_fingerprint;
    bool is_dtls_client;                 /* the remote description said a=setup:passive */
    uint8_t ext_ids[RTP_EXT_KIND_COUNT]; /* negotiated header extension ids, 0: not */
};
/*
 * Expects a peer. It costs a few hundred bytes until its first valid check; the caller removes the
 * ones that never come. RESOURCE_EXHAUSTED: max_peers are there.
 */
MUST_USE enum err sfu_peer_add(struct sfu *sfu, const struct sfu_peer_options *opt, sfu_peer_id *id,
                               struct sfu_credentials *credentials);
/* The functions below yield NOT_FOUND for a peer that is gone, INVALID_ARGUMENT for nonsense. */

/* What the peer's latest description says; zero fields (empty ufrag, hash NONE) leave what was.
 * ext_ids replace the former ones as a whole unless has_ext_ids is false. */
struct sfu_peer_remote {
    struct str ufrag;
    struct fingerprint fingerprint;
    bool has_dtls_role; /* is_dtls_client is meant (only before the handshake) */
    bool is_dtls_client;
    bool has_ext_ids;
    uint8_t ext_ids[RTP_EXT_KIND_COUNT];
};
MUST_USE enum err sfu_peer_set_remote(struct sfu *sfu, sfu_peer_id peer,
                                      const struct sfu_peer_remote *remote);
/* ICE restart: new credentials for the next description. The old ones are honoured until the new
 * ones are used; media goes on meanwhile. */
MUST_USE enum err sfu_peer_restart_ice(struct sfu *sfu, sfu_peer_id peer,
                                       struct sfu_credentials *credentials);
/* Says good-bye (BYE, close_notify) and forgets. Its producers' consumers get CONSUMER_CLOSED. */
MUST_USE enum err sfu_peer_remove(struct sfu *sfu, sfu_peer_id peer);

/* ---- tracks ---- */

struct sfu_layer_id {
    struct str rid;    /* simulcast by rid; else empty */
    uint32_t ssrc;     /* from a=ssrc / SIM groups; 0: not said, found by mid and rid */
    uint32_t rtx_ssrc; /* from FID groups; 0: not said */
};

struct sfu_producer_options {
    uint32_t track;
    struct str mid;
    bool is_audio;
    bool is_muted; /* by its own user */
    const struct sfu_codec_pt *codecs;
    size_t codec_count;
    const struct sfu_layer_id *layers; /* lowest quality first; at least one */
    size_t layer_count;
};
MUST_USE enum err sfu_producer_add(struct sfu *sfu, sfu_peer_id peer,
                                   const struct sfu_producer_options *opt);
/* Of one that exists already, after a renegotiation: codecs, layers and mid as now described. The
 * consumers stay. */
MUST_USE enum err sfu_producer_update(struct sfu *sfu, sfu_peer_id peer,
                                      const struct sfu_producer_options *opt);
MUST_USE enum err sfu_producer_set_flags(struct sfu *sfu, sfu_peer_id peer, uint32_t track,
                                         struct sfu_producer_flags flags);
MUST_USE enum err sfu_producer_remove(struct sfu *sfu, sfu_peer_id peer, uint32_t track);

#define SFU_LAYER_BEST 0xff

struct sfu_consumer_options {
    uint32_t consumer;
    sfu_peer_id producer_peer;
    uint32_t producer_track;
    struct str mid;    /* of the subscriber's m-line */
    uint32_t ssrc;     /* as the offer said; not 0; no two streams of a peer may share one */
    uint32_t rtx_ssrc; /* 0: no rtx */
    struct str cname;  /* of the publisher, the same for all its tracks (lip sync) */
    const struct sfu_codec_pt *codecs; /* what the subscriber takes, with its payload types */
    size_t codec_count;
    uint8_t layer; /* index into the producer's layers, or SFU_LAYER_BEST */
    bool is_paused;
};
/*
 * Add it when the subscriber's answer is there: forwarding starts at once (a keyframe is asked for,
 * or served from the ring). The producer may not have appeared yet. An m-line may be used again for
 * another consumer after the first was removed, with other SSRCs.
 */
MUST_USE enum err sfu_consumer_add(struct sfu *sfu, sfu_peer_id peer,
                                   const struct sfu_consumer_options *opt);
struct sfu_consumer_choice {
    uint8_t layer;
    bool is_paused;
};
MUST_USE enum err sfu_consumer_set_choice(struct sfu *sfu, sfu_peer_id peer, uint32_t consumer,
                                          struct sfu_consumer_choice choice);
MUST_USE enum err sfu_consumer_remove(struct sfu *sfu, sfu_peer_id peer, uint32_t consumer);

/* ---- events ---- */

enum sfu_event_type {
    /* Handshake done, media may flow: address, srtp_profile. */
    SFU_EVENT_PEER_CONNECTED = 1,
    /* No consent for consent_timeout. The peer stays and may come back. */
    SFU_EVENT_PEER_DISCONNECTED,
    SFU_EVENT_PEER_RECONNECTED,
    /* The selected address changed: address. */
    SFU_EVENT_PEER_MOVED,
    /* The handshake failed: failure. Of no use any more; the caller removes it. */
    SFU_EVENT_PEER_FAILED,
    /* The other side closed (close_notify). The caller removes it. */
    SFU_EVENT_PEER_CLOSED,
    /* First packet of the track: codec, layer. */
    SFU_EVENT_PRODUCER_STARTED,
    /* Which layers flow now: layers (bit i: layer i). 0: the track fell silent. */
    SFU_EVENT_PRODUCER_LAYERS,
    /* First packet went out: codec, layer. */
    SFU_EVENT_CONSUMER_STARTED,
    /* Another layer is forwarded: layer. */
    SFU_EVENT_CONSUMER_LAYER,
    /* The subscriber lacks the codec that the publisher sends (codec), or the options clash with
     * those of another consumer (codec NONE). Forwards nothing, until the codec changes. */
    SFU_EVENT_CONSUMER_REFUSED,
    /* The producer is gone; the caller removes the consumer. */
    SFU_EVENT_CONSUMER_CLOSED,
    /* Who speaks in `room`, loudest first: speakers, speaker_count. At most 5 a second. */
    SFU_EVENT_SPEAKERS,
    /* Answer to sfu_peer_request_stats: token, stats. */
    SFU_EVENT_STATS,
};

struct sfu_peer_stats;
struct sfu_event {
    enum sfu_event_type type;
    uint64_t room;
    sfu_peer_id peer;  /* 0 for SPEAKERS */
    uint32_t track;    /* of PRODUCER_ events */
    uint32_t consumer; /* of CONSUMER_ events */
    enum sfu_codec codec;
    uint8_t layer;
    uint8_t layers;
    enum dtls_failure failure;
    enum srtp_profile srtp_profile;
    struct sfu_address address;
    const struct sfu_speaker *speakers;
    size_t speaker_count;
    uint64_t token;
    const struct sfu_peer_stats *stats;
};

/* ---- statistics ---- */

struct sfu_track_stats {
    uint32_t track;    /* producer, else 0 */
    uint32_t consumer; /* consumer, else 0 */
    enum sfu_codec codec;
    uint8_t layer;  /* producer: this row's layer; consumer: the one forwarded now */
    bool is_paused; /* muted or held; of a consumer: paused */
    uint32_t ssrc;
    uint64_t packets; /* without retransmissions */
    uint64_t bytes;   /* payload and headers, without UDP/IP */
    uint64_t packets_retransmitted;
    uint64_t packets_lost;      /* producer: missing for good; consumer: as the peer reports */
    uint64_t nacks;             /* sequence numbers asked for: producer by us, consumer by it */
    uint64_t keyframe_requests; /* PLI and FIR: producer by us, consumer by it */
    uint64_t keyframes;
    uint32_t bitrate_bps; /* over the last 2 s */
    float fraction_lost;  /* 0..1, of the last report interval */
    float jitter_ms;
    uint16_t width; /* 0: not known */
    uint16_t height;
};

struct sfu_peer_stats {
    struct sfu_address address;
    enum srtp_profile srtp_profile;
    bool is_connected;
    unsigned worker;
    float round_trip_ms; /* 0: not known yet */
    uint64_t packets_in; /* datagrams and their bytes, all kinds */
    uint64_t packets_out;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint32_t bitrate_in_bps; /* over the last 2 s */
    uint32_t bitrate_out_bps;
    const struct sfu_track_stats *tracks; /* a row per layer of each producer, per consumer */
    size_t track_count;
};
/* Answered by SFU_EVENT_STATS with the same token, on the peer's worker, once the peer has appeared
 * there; not at all if it is removed before. */
MUST_USE enum err sfu_peer_request_stats(struct sfu *sfu, sfu_peer_id peer, uint64_t token);

/* XX(NAME, name, help): counted per worker, read from any thread. */
#define SFU_COUNTER_MAP(XX)                                                                       \
    XX(RECEIVED, "received", "datagrams received")                                                \
    XX(RECEIVED_BYTES, "received_bytes", "their bytes")                                           \
    XX(SENT, "sent", "datagrams sent")                                                            \
    XX(SENT_BYTES, "sent_bytes", "their bytes")                                                   \
    XX(SEND_MESSAGES, "send_messages", "messages sent, each one or more equal datagrams")         \
    XX(SEND_BATCHES, "send_batches", "batches of messages sent")                                  \
    XX(FORWARDED, "forwarded", "media packets forwarded")                                         \
    XX(RETRANSMITTED, "retransmitted", "media packets sent again on request")                     \
    XX(RECOVERED, "recovered", "media packets that came by retransmission")                       \
    XX(NACKS_SENT, "nacks_sent", "sequence numbers asked for from publishers")                    \
    XX(NACKS_RECEIVED, "nacks_received", "sequence numbers asked for by subscribers")             \
    XX(KEYFRAMES_ASKED, "keyframes_asked", "keyframe requests sent to publishers")                \
    XX(HANDED_OVER, "handed_over", "datagrams passed on to the peer's own worker")                \
    XX(RELAYED, "relayed", "media packets passed to other workers")                               \
    XX(DROP_UNKNOWN, "drop_unknown", "dropped: neither STUN nor from a known address")            \
    XX(DROP_STUN_MALFORMED, "drop_stun_malformed", "dropped: malformed STUN")                     \
    XX(DROP_STUN_STRANGER, "drop_stun_stranger", "dropped: STUN for nobody here")                 \
    XX(DROP_STUN_REFUSED, "drop_stun_refused", "STUN check refused: wrong password or malformed") \
    XX(DROP_SIZE, "drop_size", "dropped: too short or too long")                                  \
    XX(DROP_RATE, "drop_rate", "dropped: more packets of one peer than any browser sends")        \
    XX(DROP_NOT_READY, "drop_not_ready", "dropped: media before the keys")                        \
    XX(DROP_SRTP_FORGED, "drop_srtp_forged", "dropped: SRTP authentication failed")               \
    XX(DROP_SRTP_REPLAYED, "drop_srtp_replayed", "dropped: SRTP packet replayed or too old")      \
    XX(DROP_MALFORMED, "drop_malformed", "dropped: malformed RTP or RTCP after decryption")       \
    XX(DROP_SSRC_UNKNOWN, "drop_ssrc_unknown", "dropped: RTP that belongs to no track")           \
    XX(DROP_SSRC_LIMIT, "drop_ssrc_limit", "dropped: too many SSRCs of one peer")                 \
    XX(DROP_PT_UNKNOWN, "drop_pt_unknown", "dropped: payload type not negotiated")                \
    XX(DROP_DUPLICATE, "drop_duplicate", "dropped: packet already there or far too old")          \
    XX(DROP_HELD, "drop_held", "dropped: the track is muted or held back")                        \
    XX(DROP_POOL, "drop_pool", "dropped: no packet buffer free")                                  \
    XX(DROP_RING, "drop_ring", "dropped: ring to another worker full")                            \
    XX(DROP_LIMIT, "drop_limit", "refused: a limit on peers or tracks")                           \
    XX(DROP_PROTECT, "drop_protect", "dropped: could not be encrypted")

enum sfu_counter {
#define XX(name, lower, help) SFU_COUNTER_##name,
    SFU_COUNTER_MAP(XX)
#undef XX
        SFU_COUNTER_COUNT,
};
uint64_t sfu_worker_counter(const struct sfu_worker *w, enum sfu_counter counter);
const char *sfu_counter_name(enum sfu_counter counter); /* "drop_srtp_forged" */
const char *sfu_counter_help(enum sfu_counter counter);
/* Peers and packet bufs in use on this worker; from any thread. */
size_t sfu_worker_peer_count(const struct sfu_worker *w);
size_t sfu_worker_buf_count(const struct sfu_worker *w);
