/*
 * ticket: names a request or a WebSocket from any thread. It holds no pointer: a ticket whose
 * request was answered, whose socket closed or whose server is gone is stale, and what is sent to
 * it is dropped.
 */
#pragma once

#include "core/loop.h"

struct net_ticket {
    uint32_t shard;      /* one server's part on one loop; 0: no ticket */
    uint32_t slot;       /* of the connection */
    uint64_t generation; /* of the request or the WebSocket; never reused */
};

/*
 * Runs fn(arg) on the ticket's loop, where http_ticket_find and ws_ticket_find tell whether it
 * still stands for something. When the server is gone, fn(arg) runs on the calling thread, so that
 * arg can be freed; the finders then yield NULL.
 */
void net_ticket_post(struct net_ticket ticket, loop_fn *fn, void *arg);
