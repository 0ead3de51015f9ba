/*
 * listen: a TCP socket that listens, for whoever accepts by itself (the HTTP servers, gRPC).
 */
#pragma once

#include "core/err.h"

/*
 * Binds and listens; the descriptor does not block and its accepted sockets inherit TCP_NODELAY.
 * host NULL or "": every address, IPv6 too where there is any. port 0: any free one; *bound is
 * what it is. ALREADY_EXISTS: taken. What went wrong is logged.
 */
MUST_USE enum err net_listen(const char *host, uint16_t port, int *fd, uint16_t *bound);
