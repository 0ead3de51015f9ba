/*
 * signaling: who is on the wire in which meeting. One WebSocket per participant
 * (docs/signaling.md); rooms, members and tracks as everybody in the room sees them. Who may be
 * there is meeting's decision, media flows in media. All state belongs to one loop of its own;
 * sockets live on the edge's loops and reach it by posts.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "bus/bus.h"
#include "core/err.h"
#include "edge/edge.h"
#include "net/ws.h"

struct registry;
struct signaling_service;

/* Of services apart; without a node_id all rooms are this process's. */
struct signaling_apart {
    const char *node_id;       /* of this process */
    struct registry *registry; /* which other instances and media nodes there are */
    ProtobufCService *peers;   /* Signaling as others serve it */
    bool is_media_apart;       /* media nodes are other processes */
};

struct signaling_deps {
    ProtobufCService *auth;
    ProtobufCService *meeting;
    ProtobufCService *media;
    struct bus *bus;
    struct signaling_apart apart;
    int64_t resume_ms;         /* 0: 30,000; how long a dropped socket may come back unseen */
    int64_t auth_timeout_ms;   /* 0: 10,000 */
    int64_t presence_every_ms; /* 0: 30,000; how often meeting is told who is here */
};

MUST_USE enum err signaling_create(struct signaling_service **out,
                                   const struct signaling_deps *deps);
/* Tells every socket to come back later (server_closing, close 1001). Returns when they have been
 * told. */
void signaling_drain(struct signaling_service *s);
/* Accepts NULL, sets *s to NULL. */
void signaling_destroy(struct signaling_service **s);
/* The implementation, to be wrapped by rpc_local_create. */
ProtobufCService *signaling_rpc(struct signaling_service *s);

/* On a loop of the edge: takes the upgrade of /ws/signaling. `who` is the identity of the
 * Authorization header, or NULL: then the first frame must be `auth`. Answers the request in any
 * case. */
void signaling_accept(struct signaling_service *s, struct http_request *req,
                      const struct identity *who, ws_origin_fn *is_origin_allowed,
                      void *origin_arg);

extern const struct edge_route_table signaling_routes;

/* What goes over the socket, for the AsyncAPI document. */
extern const struct edge_socket signaling_frames;
