/* media_udp: one thread per sfu worker, each with its own socket on the same port (SO_REUSEPORT).
 */
#pragma once

#include "core/err.h"
#include "sfu/sfu.h"

struct media_udp;

struct media_udp_options {
    const char *host;
    uint16_t port;
    unsigned worker_count;
};

/* Binds the sockets; threads start with media_udp_start. ALREADY_EXISTS: the port is taken. */
MUST_USE enum err media_udp_open(struct media_udp **out, const struct media_udp_options *opt);
uint16_t media_udp_port(const struct media_udp *u);
/* Datagrams that came while a socket's buffer was full; any thread. */
uint64_t media_udp_kernel_drops(const struct media_udp *u);
/* Fills on_send, on_wake and arg of io[0 .. worker_count); on_event is the caller's. */
void media_udp_fill_io(struct media_udp *u, struct sfu_worker_io *io, sfu_event_fn *on_event,
                       void *arg);
MUST_USE enum err media_udp_start(struct media_udp *u, struct sfu *sfu);
/* Stops and joins the threads; the sfu may be destroyed afterwards. */
void media_udp_stop(struct media_udp *u);
void media_udp_close(struct media_udp **u);
