/*
 * mail: messages between threads of the engine: what the control plane asks of a worker, and what
 * workers tell one another. Packets do not go this way (see ring.h); mail is rare, never lost, and
 * keeps its order from one sender. An inbox is a lock-free stack that its worker empties at a poll.
 */
#pragma once

#include <stdatomic.h>

#include "sfu/route/track_info.h"
#include "sfu/sfu.h"

enum mail_type {
    /* To a peer, from the control plane. */
    MAIL_PEER_REMOTE = 1,
    MAIL_PEER_RESTART,
    MAIL_PEER_REMOVE,
    MAIL_PEER_STATS,
    MAIL_PRODUCER_ADD,
    MAIL_PRODUCER_UPDATE,
    MAIL_PRODUCER_FLAGS,
    MAIL_PRODUCER_REMOVE,
    MAIL_CONSUMER_ADD,
    MAIL_CONSUMER_CHOICE,
    MAIL_CONSUMER_REMOVE,
    /* To a publishing peer, from a worker whose consumers want its track (a mirror). */
    MAIL_MIRROR_OPEN,
    MAIL_MIRROR_WANT,
    MAIL_MIRROR_KEYFRAME,
    MAIL_MIRROR_CLOSE,
    /* To a worker that has a mirror. */
    MAIL_TRACK_INFO,
    MAIL_TRACK_STATE,
    MAIL_TRACK_TIMELINE,
    MAIL_TRACK_GONE,
    /* To any worker. */
    MAIL_TUPLE_ADD, /* datagrams from this address belong to a peer of worker `from` */
    MAIL_TUPLE_REMOVE,
    MAIL_LEVEL, /* to the worker that ranks the speakers of the room */
};

/* ext_ids etc. of sfu_peer_remote, with text of its own. */
struct mail_remote {
    char ufrag[257];
    struct fingerprint fingerprint;
    bool has_dtls_role;
    bool is_dtls_client;
    bool has_ext_ids;
    uint8_t ext_ids[RTP_EXT_KIND_COUNT];
};

struct mail_consumer {
    sfu_peer_id producer_peer;
    uint32_t producer_track;
    uint32_t ssrc;
    uint32_t rtx_ssrc;
    uint8_t layer;
    bool is_paused;
    uint8_t codec_count;
    char mid[SFU_MID_MAX + 1];
    char cname[SFU_CNAME_MAX + 1];
    struct sfu_codec_pt codecs[SFU_MAX_CODECS];
};

struct mail_timeline {
    uint8_t layer;
    struct timeline timeline;
};

struct mail_state {
    uint8_t active_layers;
    struct sfu_producer_flags flags;
};

struct mail_level {
    uint64_t room;
    float level;
};

struct mail {
    struct mail *next;
    enum mail_type type;
    sfu_peer_id peer; /* whom it concerns; 0 when it is not about a peer */
    uint32_t number;  /* track or consumer */
    uint32_t mirror;  /* of mirror and track mail: the handle that the mirroring worker chose */
    unsigned from;    /* worker */
    uint8_t layers;   /* of WANT and OPEN: bit i: layer i; of KEYFRAME: the layer */
    union {
        struct mail_remote remote;
        struct sfu_credentials credentials;
        struct track_info info; /* PRODUCER_ADD and UPDATE, TRACK_INFO */
        struct sfu_producer_flags flags;
        struct mail_consumer consumer;
        struct sfu_consumer_choice choice;
        struct mail_timeline timeline;
        struct mail_state state;
        struct sfu_address address;
        struct mail_level level;
        uint64_t token;
    };
};

struct mail *mail_create(enum mail_type type, sfu_peer_id peer, uint32_t number);
/* Wipes it: it may hold credentials. */
void mail_destroy(struct mail **mail);

struct inbox {
    _Atomic(struct mail *) top;
};
/* From any thread; takes the mail. */
void inbox_push(struct inbox *inbox, struct mail *mail);
/* By the owner: everything there is, oldest first, linked by next. */
struct mail *inbox_take(struct inbox *inbox);
