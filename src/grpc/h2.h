/*
 * h2: gRPC over HTTP/2. What both sides share: the io of a loop, on which any number of channels
 * (h2_channel.h) and servers (h2_server.h) live. All functions of the room are for that loop's
 * thread where not said otherwise.
 */
#pragma once

#include "core/err.h"
#include "core/loop.h"

struct h2_io;

/* On any thread but a loop's. The loop must outlive it. */
struct h2_io *h2_io_create(struct loop *loop);
/* When its channels and servers are destroyed; not from a loop. Accepts NULL. */
void h2_io_destroy(struct h2_io **io);
struct loop *h2_io_loop(const struct h2_io *io);

#define H2_MESSAGE_MAX_BYTES (4 << 20) /* unless an option says otherwise: gRPC's own default */

/* Name (lower case) and value (printable ASCII) of a header. */
struct h2_pair {
    const char *name;
    const char *value;
};
