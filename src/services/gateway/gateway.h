/*
 * gateway: the socket of messaging, /ws/im (docs/messaging.md). Requests go straight from the
 * socket's loop to the service they are for; what happens in conversations comes over the bus, is
 * encoded once, and goes to everybody here whom it concerns. The gateway keeps nothing that is not
 * kept elsewhere: a client that missed something finds it by Sync.
 */
#pragma once

#include "bus/bus.h"
#include "core/err.h"
#include "edge/edge.h"

struct gateway;

struct gateway_deps {
    ProtobufCService *auth;                                 /* ValidateToken */
    ProtobufCService *message, *group, *contact, *presence; /* what the frames name */
    struct bus *bus;
    bool is_unlimited; /* as many frames a second as a socket likes (http.rate_limits: false) */
};

MUST_USE enum err gateway_create(struct gateway **out, const struct gateway_deps *deps);
/* Whether sockets may send as many frames as they like, while it runs. */
void gateway_set_unlimited(struct gateway *gw, bool is_unlimited);
/* Tells every socket to come back later, and closes it (1001). */
void gateway_drain(struct gateway *gw);
/* After the servers and their sockets, before the services. Accepts NULL. */
void gateway_destroy(struct gateway **gw);

/* On a loop of the edge: takes the upgrade of /ws/im. `who` is the identity of the Authorization
 * header, or NULL: then the first frame must be `authenticate`. Answers the request in any case. */
void gateway_accept(struct gateway *gw, struct http_request *req, const struct identity *who,
                    ws_origin_fn *is_origin_allowed, void *origin_arg);

/* What goes over it, for the AsyncAPI document. */
extern const struct edge_socket gateway_frames;
