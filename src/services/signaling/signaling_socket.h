/* The edge's side of signaling's sockets: only signaling.c and signaling_socket.c look here. */
#pragma once

#include "net/ws.h"

struct signaling_hub;
struct identity;

/* On the edge's loop: accepts the upgrade and hands the socket to the signaling loop. `who` is the
 * identity of the Authorization header, or NULL. Answers the request in any case. */
void signaling_socket_accept(struct signaling_hub *hub, struct http_request *req,
                             const struct identity *who, ws_origin_fn *is_origin_allowed,
                             void *origin_arg);
