/* The control state of media and how its files call one another. Everything here runs on hub->loop.
 */
#pragma once

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/list.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/map.h"
#include "core/mem.h"
#include "core/metric.h"
#include "rpc/rpc.h"
#include "services/media/media.h"
#include "services/media/media_udp.h"
#include "sfu/sfu.h"
#include "sfu/wire/sdp.h"

#include "media.pb-c.h"

#define MEDIA_TRACKS_MAX 16 /* of one session */
#define MEDIA_SLOTS_MAX 250 /* m-lines of one subscriber's offer */
#define MEDIA_PUBLISH_SDP_MAX 65536
#define MEDIA_CANDIDATES_MAX 16 /* addresses announced */
#define MEDIA_STATS_EVERY_MS 2000
#define MEDIA_PROCESSINGS 4 /* what AI may do to a stream */
static_assert(MEDIA_SLOTS_MAX <= SDP_MAX_MEDIA, "our own offers, and answers to them, are read");
static_assert(MEDIA_SLOTS_MAX <= SFU_MAX_CONSUMERS, "every m-line can be forwarded");

/* What was measured last, and of what the next difference is taken. */
struct media_load {
    int64_t at_us;
    double packets, cpu_seconds;
    double packets_per_s, cpu_share;
};

struct media_hub {
    struct loop *loop;
    struct store *store;
    struct bus *bus;
    struct sfu *sfu;
    unsigned worker_count;
    struct media_udp *udp;
    struct map *rooms;     /* meeting id -> struct media_room */
    struct map64 *numbers; /* sfu's number of the room -> struct media_room */
    struct map *sessions;  /* session id -> struct media_session */
    struct map64 *peers;   /* sfu_peer_id -> struct media_peer */
    uint64_t room_last_number;
    size_t session_max;
    char candidates[MEDIA_CANDIDATES_MAX][100]; /* text after "candidate:" */
    size_t candidate_count;
    const char *const *stun_urls;
    size_t stun_count;
    struct loop_timer stats_timer;
    struct loop_timer seen_timer;
    int64_t seen_every_ms;
    char node_id[ID_SIZE]; /* "": there is no other node */
    struct registry *registry;
    ProtobufCService *others; /* Media of the other nodes; NULL: there is none */
    bool is_draining;
    struct media_load load;
    struct loop_timer sweep_timer;
    int subscriptions[3];
    struct list endings; /* media_listen.c */
    size_t ending_count;
    struct loop_timer ending_timer;
    int64_t linger_ms;
};

struct media_room {
    struct media_hub *hub;
    char meeting_id[ID_SIZE];
    uint64_t number;
    int64_t fence; /* of its place; 0: it has one place alone */
    int64_t kept_at_ms;
    struct list sessions;
};

/* A published track. */
struct media_track {
    struct list in_session;
    struct media_session *session;
    char id[ID_SIZE];
    char mid[SFU_MID_MAX + 1];
    uint32_t number; /* sfu's */
    Media__Source source;
    bool is_audio;
    bool is_muted;
    bool is_started; /* announced to the room and stored */
    enum sfu_codec codec;
    unsigned processed; /* bits: media_processings */
    size_t rid_count;
    char rids[SFU_MAX_LAYERS][SFU_MID_MAX + 1];
};

/* One m-line of a subscriber's offer. m-lines are never removed, only used again (RFC 8829). */
struct media_slot {
    bool is_audio;
    const struct media_track *track; /* NULL: free */
    uint32_t ssrc;
    uint32_t rtx_ssrc;
    uint32_t consumer;  /* sfu's number; 0: not forwarded (not answered yet, or refused) */
    int64_t offered_in; /* the revision that offered this track first; 0: not yet */
    bool is_paused;
    char rid[SFU_MID_MAX + 1]; /* wished layer; "": the best */
};

struct media_stats; /* the last snapshot of a peer's statistics: media_stats.c */

/* One of the session's two peer connections. */
struct media_peer {
    struct media_session *session;
    sfu_peer_id id; /* 0: not there yet */
    struct sfu_credentials credentials;
    bool is_subscriber;
    bool is_connected;
    struct media_stats *stats;
};

struct media_session {
    struct list in_room;
    struct media_room *room;
    char id[ID_SIZE];
    char participant_id[ID_SIZE];
    char user_id[ID_SIZE];
    struct media_peer publisher;
    struct media_peer subscriber;
    struct list tracks;
    size_t track_count;
    uint32_t last_number; /* tracks and consumers */
    uint64_t sdp_id;
    char publish_ufrag[257]; /* the client's; another one asks for an ICE restart */
    int quality_score;
    int64_t opened_at_ms; /* wall */
    /* The offer to the subscriber. */
    struct media_slot *slots;
    size_t slot_count;
    int64_t revision;
    bool is_awaiting_answer;
    bool is_stale; /* something changed while an answer was awaited */
};

/* ---- media_room.c ---- */
struct media_session *media_session_find(struct media_hub *hub, const char *id);
MUST_USE enum err media_session_open(struct media_hub *hub, const Media__OpenSessionRequest *req,
                                     struct media_session **out);
void media_session_close(struct media_session *s);
struct media_track *media_track_find(struct media_session *s, const char *track_id);
struct media_track *media_room_find_track(struct media_room *room, const char *track_id);
/* Everybody else's offer is brought up to date. */
void media_room_refresh(struct media_room *room, const struct media_session *except);
/* Out of sfu, store and the room. */
void media_track_remove(struct media_track *t);
/* A message of it; valid as long as the track. */
void media_track_shape(const struct media_track *t, Media__Track *shape, struct arena *arena);
void media_track_set_muted(struct media_track *t, bool is_muted);
/* Announces a new track: store and room. */
void media_track_started(struct media_track *t);

/* ---- media_node.c ---- */
void media_node_start(struct media_hub *hub);
void media_node_stop(struct media_hub *hub);
void media_node_write(struct media_hub *hub, Node__Node *out);
/* false: not here, or not under this fence. */
bool media_node_keep(struct media_hub *hub, const Media__RoomLease *lease);
/* All its sessions are closed; the room is gone. */
void media_room_clear(struct media_room *room);
/* Not on the loop: says that it goes, waits until no room is left. */
void media_node_drain(struct media_hub *hub, int64_t timeout_ms);

/* ---- media_sdp.c: what we speak ---- */
/* Codecs of an m-line that we know, with the numbers of that m-line. At most max. */
size_t media_sdp_codecs(const struct sdp_media *m, struct sfu_codec_pt *out, size_t max);
/* The m-line's own codecs that we know, with rtx, for an answer. */
void media_sdp_answer_codecs(const struct sdp_media *offer, struct sdp_media *answer,
                             struct arena *arena);
/* The same for header extensions; also notes their ids. */
void media_sdp_answer_extmaps(const struct sdp_media *offer, struct sdp_media *answer,
                              struct arena *arena);
void media_sdp_ext_ids(const struct sdp_session *s, uint8_t ids[RTP_EXT_KIND_COUNT]);
/* Our codecs and extensions for an m-line of an offer. */
void media_sdp_offer_media(bool is_audio, struct sdp_media *m, struct arena *arena);
/* ICE and DTLS, which every m-line of ours carries. */
void media_sdp_transport(struct media_hub *hub, const struct media_peer *peer, enum sdp_setup setup,
                         struct sdp_media *m, struct arena *arena);
/* Bundles all m-lines that are not rejected; the first of them carries our candidates for all. */
void media_sdp_bundle(struct media_hub *hub, struct sdp_session *s, struct arena *arena);

/* ---- media_publish.c ---- */
/* Fills reply (in the arena); a failure is put into `problem`. */
MUST_USE enum err media_publish(struct media_session *s, const Media__PublishRequest *req,
                                struct arena *arena, Media__PublishReply *reply,
                                const char **problem);

/* ---- media_subscribe.c ---- */
/* Offers what changed, unless an answer is awaited (then afterwards). */
void media_subscribe_refresh(struct media_session *s);
MUST_USE enum err media_subscribe_answer(struct media_session *s, const Media__AnswerRequest *req,
                                         struct arena *arena, const char **problem);
/* The offer that is not answered yet may have been lost on its way. */
void media_subscribe_repeat(struct media_session *s);
MUST_USE enum err media_subscribe_restart(struct media_session *s);
MUST_USE enum err media_subscribe_choose(struct media_session *s,
                                         const Media__SetSubscriptionRequest *req);
/* The track is gone: its slot is free. */
void media_subscribe_forget(struct media_session *s, const struct media_track *t);

/* ---- media_events.c ---- */
/* The sfu's events, on its threads: copied to the loop. */
void media_events_on_sfu(void *arg, const struct sfu_event *event);
void media_events_publish(struct media_room *room, Media__MediaEvent *event);
/* Of the node itself. */
void media_events_publish_node(struct media_hub *hub, Media__MediaEvent *event);
void media_events_track(const struct media_track *t, const char *type);

/* ---- media_listen.c: what is over, what AI did ---- */
extern const char *const media_processings[MEDIA_PROCESSINGS];
void media_listen_start(struct media_hub *hub); /* not on the loop, as the next */
void media_listen_stop(struct media_hub *hub);
void media_listen_clear(struct media_hub *hub);

/* ---- media_store.c ---- */
void media_store_started(const struct media_track *t);
void media_store_stopped(const struct media_track *t);
/* All open rows are still going on. */
void media_store_seen(struct media_hub *hub);
/* Rows that a crash left open are closed, at the time they were seen last; of other nodes those
 * that have not been seen for long. */
MUST_USE enum err media_store_close_open(struct media_hub *hub);

/* ---- media_stats.c ---- */
void media_stats_start(struct media_hub *hub);
void media_stats_free(struct media_stats **stats);
struct media_stats *media_stats_copy(const struct sfu_peer_stats *stats);
void media_stats_set(struct media_peer *peer, struct media_stats *stats);
/* What the caller may see: all rooms, one room, or (user_id not NULL) one's own sessions. */
void media_stats_write(struct media_hub *hub, const char *meeting_id, const char *user_id,
                       struct arena *arena, Media__Stats *reply);
/* Adds what other nodes answer to the same question. Not on a loop. */
void media_stats_of_others(struct media_hub *hub, struct rpc_call *call, const char *meeting_id,
                           const char *user_id, Media__Stats *reply);

/* ---- media_metrics.c ---- */
/* The engine's counters, summed over the workers when scraped. One media service a process. */
void media_room_metrics_start(void);
void media_metrics_start(struct media_hub *hub);
void media_metrics_stop(struct media_hub *hub);

/* ---- media_rpc.c ---- */
struct media_rpc;
struct media_rpc *media_rpc_create(struct media_hub *hub);
void media_rpc_destroy(struct media_rpc **rpc);
ProtobufCService *media_rpc_service(struct media_rpc *rpc);
