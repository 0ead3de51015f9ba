/*
 * How the gateway's files call one another. A socket lives on the loop of the edge that accepted
 * it; the hub, which knows whom a conversation concerns, has a loop of its own. They speak by posts
 * and name each other by ticket and number.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/list.h"
#include "core/loop.h"
#include "core/map.h"
#include "core/mem.h"
#include "core/metric.h"
#include "core/str.h"
#include "net/ticket.h"
#include "net/ws.h"
#include "rpc/rpc.h"
#include "services/common/session_news.h"
#include "services/common/shards.h"
#include "services/gateway/gateway.h"

#include "auth.pb-c.h"
#include "gateway.pb-c.h"
#include "presence.pb-c.h"

enum gateway_close { GATEWAY_CLOSE_SIGNED_OUT = 4401 };

/* An RPC that a field of ClientFrame names; the field of ServerFrame with the same number answers.
 */
struct gateway_method {
    ProtobufCService *service; /* NULL: no RPC of others */
    unsigned index;
};
#define GATEWAY_METHOD_MAX 128

struct gateway {
    struct gateway_deps deps;
    struct gateway_method methods[GATEWAY_METHOD_MAX]; /* by field number */
    struct loop *loop;                                 /* the hub's */
    char downstream[96];                               /* the channel of what is for us alone */
    /* the rest belongs to it */
    struct map *users;       /* id -> struct user */
    struct map *topics;      /* conversation id -> struct topic */
    struct topic **numbered; /* NULL: the number is in unused */
    uint32_t *unused;        /* numbers, for the next ones */
    uint32_t numbered_count, unused_count;
    struct map64 *members; /* socket number -> struct member */
    uint64_t last_serial;
    size_t call_count;   /* calls of the hub's that are not answered yet */
    struct map *watched; /* user id -> struct watched */
    struct list dirty;   /* members whose watches have news */
    struct list telling; /* of these, those whose turn it is */
    size_t doubt_count;  /* asked about, not answered */
    struct loop_timer dirty_timer;
    int64_t dirty_at_ms; /* when they were told last */
    struct list round;   /* of users, whose presence was kept fresh longest ago first */
    struct loop_timer round_timer;
    size_t round_credit;
    int64_t fences[SHARDS_MAX]; /* of each shard of the log: its latest owner's that was heard of */
    struct list stale;          /* users whose conversations are to be asked anew, after a gap */
    size_t reloading_count;
    uint64_t gap_count;
    bool has_loaded;     /* somebody, since all were doubted */
    struct list reports; /* being gathered, one for each share of the people */
    struct loop_timer report_timer;
    struct list moved; /* large topics that moved since who does not look was told */
    struct loop_timer moved_timer;
    int64_t moved_at_ms;       /* when they were told last */
    struct map *revoked;       /* session id -> struct revoked: sign-ins that ended just now */
    struct list revoked_order; /* the oldest first */
    char instance_id[ID_SIZE]; /* makes the names of its devices unique */
    struct interest
        *interest; /* gateway_interest.c; NULL: nobody tells us anything from elsewhere */
    int subscriptions[7];
    bool is_draining;
    bool is_alone; /* the bus reaches no other process */
};

/* ---- gateway_frames.c: both encodings ---- */
/* The frame as this kind of socket reads it. One reference. */
struct ws_frame *gateway_encode(const Gateway__ServerFrame *frame, bool is_packed);
/* NULL with the reason in problem. In the arena. */
const Gateway__ClientFrame *gateway_decode(struct arena *arena, enum ws_opcode opcode,
                                           struct str payload, struct strbuf *problem);
/* The frame that answers request number `field` with this message. */
Gateway__ServerFrame gateway_answer(uint32_t field, const ProtobufCMessage *reply);
/* Finds the RPCs that ClientFrame names; aborts if one is missing, which a test would see. */
void gateway_find_methods(struct gateway *gw);

/* ---- gateway_socket.c ---- */
extern const char *const gateway_subprotocols[];
/* From any loop. */
void gateway_socket_set_role(struct net_ticket ticket, enum identity_role role);
/* A request that somebody else answers; see gateway_socket.c. */
struct asking;
const Gateway__WatchRequest *gateway_asking_watch(const struct asking *asking);
/* Answers it and frees it; from any thread. */
void gateway_answer_asking(struct asking *asking, const ProtobufCMessage *reply);
void gateway_refuse_asking(struct asking *asking, enum err err, const char *message);

/* ---- gateway_hub.c: who is here, and whom a conversation concerns ---- */
enum hub_post_kind {
    HUB_JOIN,
    HUB_SESSION,
    HUB_LEAVE,
    HUB_OPEN,
    HUB_CLOSE,
    HUB_TYPING,
    HUB_WATCH,
    HUB_DEVICE,
    HUB_MISSED,
};
struct hub_post {
    struct gateway *gw;
    enum hub_post_kind kind;
    uint64_t socket; /* number */
    struct net_ticket ticket;
    bool is_packed, is_guest;
    bool is_idle;
    uint8_t device_kind; /* Presence__DeviceKind */
    char user_id[ID_SIZE], session_id[ID_SIZE];
    char conversation_id[ID_SIZE];
    struct asking *asking; /* HUB_WATCH: who waits */
};
/* From any loop; in order. */
void gateway_hub_post(const struct hub_post *post);
/* A sign-in is over (its sockets are closed), or an account has another role. On the hub. */
void gateway_hub_session(struct gateway *gw, const struct session_news *news);
/* On the hub. Of presences the message is freed. */
void gateway_hub_event(struct gateway *gw, const Message__MessageEvent *event);
void gateway_hub_receipt(struct gateway *gw, const Message__ReceiptEvent *event);
void gateway_hub_typing(struct gateway *gw, const Message__ReceiptEvent *event);
void gateway_hub_presence(struct gateway *gw, Presence__PresenceEvent *event);
/* The link to the bus was lost: something may never come. On the hub. */
void gateway_hub_gap(struct gateway *gw);
void gateway_hub_start(struct gateway *gw);
void gateway_hub_drain(struct gateway *gw);
void gateway_hub_clear(struct gateway *gw);
void gateway_hub_end(struct gateway *gw);

/* ---- gateway_events.c ---- */
void gateway_events_start(struct gateway *gw);
/* To the other gateways, if there may be any. */
void gateway_events_typing(struct gateway *gw, const char *conversation_id, const char *user_id);
void gateway_events_stop(struct gateway *gw);
