/* The state of signaling and how its files call one another. Everything here runs on hub->loop. */
#pragma once

#include <assert.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/list.h"
#include "core/loop.h"
#include "core/map.h"
#include "core/mem.h"
#include "core/metric.h"
#include "core/span.h"
#include "core/str.h"
#include "net/ticket.h"
#include "rpc/rpc.h"
#include "services/signaling/signaling.h"

#include "auth.pb-c.h"
#include "media.pb-c.h"
#include "meeting.pb-c.h"
#include "signaling.pb-c.h"

#define SIGNALING_FRAME_MAX (512 * 1024) /* bytes of one frame; descriptions of large meetings */
#define SIGNALING_QUEUE_MAX 64           /* frames of one socket that wait for the one in work */
#define SIGNALING_REVOKED_MAX 256
#define SIGNALING_EMOJI_MAX 32 /* bytes */
#define SIGNALING_REACTIONS_PER_S 5

enum signaling_close {
    CLOSE_NORMAL = 1000,
    CLOSE_GOING_AWAY = 1001,
    CLOSE_TOO_SLOW = 1013,
    CLOSE_UNAUTHENTICATED = 4401,
    CLOSE_FORBIDDEN = 4403,
    CLOSE_TIMEOUT = 4408,
    CLOSE_REPLACED = 4409,
};

struct signaling_cluster; /* signaling_apart_internal.h */
struct relay_link;

struct signaling_hub {
    struct loop *loop;
    struct signaling_cluster *cluster; /* NULL: all rooms are here */
    ProtobufCService *auth;
    ProtobufCService *meeting;
    ProtobufCService *media;
    struct bus *bus;
    int64_t resume_ms;
    int64_t auth_timeout_ms;
    int64_t presence_every_ms;
    struct loop_timer presence_timer;
    struct map64 *sockets; /* id -> struct signaling_socket */
    uint64_t socket_last_id;
    struct map *rooms;                            /* meeting id -> struct room */
    struct map *resumes;                          /* resume token -> struct member */
    char revoked[SIGNALING_REVOKED_MAX][ID_SIZE]; /* sign-ins that ended last, a ring */
    size_t revoked_count;
    int subscriptions[4];
    struct list checks; /* signaling_gap.c */
    int64_t check_last_number, gap_number;
    bool is_draining;
    unsigned call_count; /* calls whose answers will still be posted to the loop */
    bool is_ending;      /* their answers are of no interest any more */
    sem_t ended;         /* none is left */
};

/* A track as the room knows it. */
struct room_track {
    struct list in_room;
    Media__Track *track; /* own copy */
};

struct room {
    struct signaling_hub *hub;
    char id[ID_SIZE]; /* of the meeting */
    struct list members;
    struct list tracks;
    Meeting__MeetingInfo *meeting; /* own copy of what the meeting service said last */
    /* Its place, when services run apart. */
    char media_id[ID_SIZE]; /* node of its tracks */
    int64_t fence;
    int64_t move_number; /* of the move under way; 0: none */
    bool is_held;        /* stays though it is empty for a moment */
};

enum member_state {
    MEMBER_WAITING, /* in the waiting room: hosts see it, it sees nothing */
    MEMBER_OPENING, /* its media session is being opened */
    MEMBER_JOINED,
};

/* One participant's presence. Outlives its socket by resume_ms. */
struct member {
    struct list in_room;
    struct room *room;
    enum member_state state;
    struct identity who;
    char *participant_id;
    char *name;
    char *avatar_url;
    Meeting__ParticipantRole role;
    bool is_guest;
    bool is_hand_raised;
    int64_t hand_raised_at_ms;
    int64_t entered_at_ms; /* born: what the meeting said before is not about this presence */
    int64_t joined_at_ms;
    int64_t created_at_ms;    /* wall; what happened before is not about this presence */
    char session_id[ID_SIZE]; /* of media */
    char resume_token[44];
    struct signaling_socket *socket; /* NULL while it is away */
    struct loop_timer away_timer;
    Media__Session *session; /* own copy of what media answered at opening */
    struct strbuf offer;     /* the last offer frame, until it is answered */
    int64_t offer_revision;
    bool has_offered; /* published at least once: muting on entry is done */
    bool is_moving;   /* its media session is being opened on another node */
    bool was_moved;   /* and its client has not heard of it yet */
    int64_t opening_ms;
    int64_t opened_ms; /* clock_mono_ms when the node had the session */
    int64_t fence;     /* of the place for which its session was opened */
    int64_t reactions_since_ms;
    int reactions_count;
};

/* ---- signaling_socket.c: one WebSocket, seen from the signaling loop ---- */
struct signaling_socket {
    struct signaling_hub *hub;
    uint64_t id;
    struct net_ticket ticket; /* the WebSocket itself lives on a loop of the edge */
    struct identity who;
    bool is_authenticated;
    int64_t token_expires_ms; /* wall */
    struct loop_timer timer;  /* until authenticated; then until the token expires */
    struct member *member;
    char request_id[ID_SIZE];
    char remote_addr[64];
    bool is_busy;     /* a request is in work; later frames wait, so order is kept */
    struct span span; /* of that request */
    enum err span_err;
    struct list waiting_frames;
    size_t waiting_count;
    char resume_token[44]; /* of the join in work */
    /* Services apart (signaling_relay.c): the room is another instance's, or the socket is. */
    struct relay_link *owner, *front;
    uint64_t front_id; /* its number there */
    int hops;
};

void signaling_socket_send(struct signaling_socket *s, const ProtobufCMessage *frame);
void signaling_socket_send_json(struct signaling_socket *s, struct str json);
/* The same text to many sockets, encoded once. */
void signaling_sockets_send_json(struct signaling_socket **sockets, size_t count, struct str json);
void signaling_socket_close(struct signaling_socket *s, enum signaling_close code,
                            const char *reason);
/* The request in work is answered: takes up the next frame. */
void signaling_socket_done(struct signaling_socket *s);
/* A socket of another instance, under a number of our own. */
struct signaling_socket *signaling_socket_open_remote(struct signaling_hub *hub,
                                                      struct relay_link *front, uint64_t front_id,
                                                      const Signaling__RelayPerson *who);
/* It signed in anew over there. */
void signaling_socket_set_who(struct signaling_socket *s, const Signaling__RelayPerson *who);
/* A frame of it, as if it came from here. */
void signaling_socket_take(struct signaling_socket *s, struct str text);
/* Closed: its member is away. */
void signaling_socket_gone(struct signaling_socket *s);
/* Out of the tables and freed; its member is not told. */
void signaling_socket_destroy(struct signaling_socket *s);
struct signaling_socket *signaling_socket_find(struct signaling_hub *hub, uint64_t id);
/* After authentication: net may let larger frames through. */
void signaling_socket_set_authenticated(struct signaling_socket *s);
/* After authentication; arms the expiry timer. */
void signaling_socket_authenticated(struct signaling_socket *s,
                                    const Auth__ValidateTokenReply *reply);
/* Its sign-in has ended: closed. */
void signaling_socket_sign_out(struct signaling_socket *s);
/* ---- signaling_socket_many.c ---- */
/* Everybody is told to come back later, and closed. */
void signaling_socket_drain(struct signaling_hub *hub);
/* Closes the sockets of a revoked sign-in (session_id), or of a whole account (session_id ""). */
void signaling_socket_revoke(struct signaling_hub *hub, const char *user_id,
                             const char *session_id);

/* It ended a moment ago, while somebody was still saying that it is good. */
bool signaling_socket_is_revoked(const struct signaling_hub *hub, const char *session_id);
/* An account has another role now: whoever asks on its behalf asks with that. */
void signaling_socket_set_role(struct signaling_hub *hub, const char *user_id,
                               enum identity_role role);

/* ---- signaling_call.c: RPCs whose answers come back to the loop ---- */
/* reply is NULL on failure (call->err, call->message). s is NULL when the socket is gone meanwhile.
 */
typedef void signaling_reply_fn(struct signaling_hub *hub, struct signaling_socket *s,
                                int64_t request_id, const ProtobufCMessage *reply,
                                struct rpc_call *call);
struct signaling_call_options {
    ProtobufCService *service;
    const char *method;
    const ProtobufCMessage *request;
    const struct identity *who;
    struct signaling_socket *socket; /* may be NULL */
    int64_t request_id;              /* handed on */
    bool is_idempotent;
    const char *instance;     /* this one alone; NULL: any */
    int64_t timeout_ms;       /* 0: the usual */
    signaling_reply_fn *done; /* NULL: nobody cares */
};
void signaling_call(struct signaling_hub *hub, const struct signaling_call_options *opt);
/* A deep copy on the heap; free with protobuf_c_message_free_unpacked. */
void *signaling_copy(const ProtobufCMessage *message);
void signaling_free(void *message); /* accepts NULL */

/* ---- signaling_requests.c ---- */
/* Dispatches one frame; true when it is answered already (else signaling_socket_done comes later).
 */
bool signaling_request(struct signaling_socket *s, const Signaling__ClientFrame *frame);
void signaling_reply_ok(struct signaling_socket *s, int64_t id);
void signaling_reply_error(struct signaling_socket *s, int64_t id, enum err err,
                           const char *message);
#define SIGNALING_NO_ID INT64_MIN
/* The frame's id, or SIGNALING_NO_ID when the client wants no answer. */
int64_t signaling_frame_id(const Signaling__ClientFrame *f);

/* ---- signaling_join.c ---- */
bool signaling_join(struct signaling_socket *s, const Signaling__ClientFrame *frame);
bool signaling_leave(struct signaling_socket *s, const Signaling__ClientFrame *frame);
/* The room is this process's: in. */
void signaling_enter(struct signaling_socket *s, int64_t request_id, struct room *room,
                     const Meeting__Participant *p);
/* A media session for the member, under m->session_id, on the node of the room. */
void signaling_member_open(struct member *m, struct signaling_socket *s, int64_t request_id,
                           signaling_reply_fn *done);
/* Which instance of media has the room's tracks; NULL: there is but one. */
const char *signaling_media_instance(const struct room *room);
/* The member of this media session, in any room; NULL. */
struct member *signaling_member_of_session(struct signaling_hub *hub, const char *session_id);
/* On the node where it was. */
void signaling_session_close(struct signaling_hub *hub, const char *session_id,
                             const char *instance);
/* The socket is gone: the member is away, its time runs. */
void signaling_member_away(struct member *m);
/* A waiting member was admitted by the meeting service. */
void signaling_member_admitted(struct member *m);
/* Out of the room for good: media closed, everybody told, freed. */
void signaling_member_remove(struct member *m, const char *reason, bool should_tell_meeting);

/* The same, by the meeting service's decision: told by a frame of this type, and closed (4403). */
void signaling_member_put_out(struct member *m, const char *type, const char *reason);

/* ---- signaling_room.c ---- */
struct room *room_get_or_create(struct signaling_hub *hub, const Meeting__MeetingInfo *meeting);
struct room *room_find(struct signaling_hub *hub, const char *meeting_id);
void room_set_meeting(struct room *room, const Meeting__MeetingInfo *meeting);
/* Frees the room when nobody is left. */
void room_release(struct room *room);
struct member *room_find_member(struct room *room, const char *participant_id);
struct member *room_find_session(struct room *room, const char *session_id);
void room_set_track(struct room *room, const Media__Track *track);
void room_remove_track(struct room *room, const char *track_id);
/* All of them, and nobody is told. */
void room_forget_tracks(struct room *room);
/* To every joined member but `except` (may be NULL); encoded once. */
void room_broadcast(struct room *room, const struct member *except, const ProtobufCMessage *frame);
void room_tell_hosts(struct room *room, const ProtobufCMessage *frame);
void room_tell_changed(struct member *m);
void room_send_joined(struct member *m, int64_t request_id, bool is_resumed);

/* ---- signaling_member.c ---- */
struct member *member_create(struct room *room, struct signaling_socket *s,
                             const Meeting__Participant *p);
/* Unlinked from room, socket and resume table. Accepts NULL. */
void member_destroy(struct member **m);
void member_attach(struct member *m, struct signaling_socket *s);
bool member_is_host(const struct member *m);
Signaling__Member member_shape(const struct member *m);

/* In any room; NULL: not here. */
struct member *signaling_member_find(struct signaling_hub *hub, const char *participant_id);

/* ---- signaling_presence.c ---- */
void signaling_presence_start(struct signaling_hub *hub);
/* Now, not only by the clock. */
void signaling_presence_report(struct signaling_hub *hub);
void signaling_presence_stop(struct signaling_hub *hub);

/* ---- signaling_rpc.c ---- */
struct signaling_rpc;
struct signaling_rpc *signaling_rpc_create(struct signaling_hub *hub);
void signaling_rpc_destroy(struct signaling_rpc **rpc);
ProtobufCService *signaling_rpc_service(struct signaling_rpc *rpc);

/* ---- signaling_tell.c ---- */
void signaling_tell(const struct member *m, const char *type, const char *connection);

/* ---- signaling_gap.c: events may have been missed ---- */
/* For loop_post; takes the hub. */
void signaling_gap(void *arg);
void signaling_gap_free(struct signaling_hub *hub);

/* ---- signaling_events.c ---- */
void signaling_events_start(struct signaling_hub *hub);
void signaling_events_stop(struct signaling_hub *hub);
