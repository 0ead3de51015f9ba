/* metrics_internal: what this room counts. Any thread. */
#pragma once

#include "core/base.h"

enum net_count {
    NET_ACCEPTED,
    NET_REFUSED_FULL,
    NET_REFUSED_DESCRIPTORS,
    NET_REFUSED_PENDING,
    NET_TIMEOUT_HEAD,
    NET_TIMEOUT_BODY,
    NET_TIMEOUT_SEND,
    NET_ANSWER_1XX,
    NET_ANSWER_2XX,
    NET_ANSWER_3XX,
    NET_ANSWER_4XX,
    NET_ANSWER_5XX,
    NET_ANSWER_STALE, /* to a request that was gone */
    NET_ABORTED,      /* client left before the answer */
    NET_WS_OPENED,
    NET_WS_IN,
    NET_WS_OUT,
    NET_WS_DROPPED,  /* ephemeral frames for slow receivers */
    NET_WS_OVERFLOW, /* sockets closed for not reading */
    NET_BYTES_IN,
    NET_BYTES_OUT,
    NET_COUNTS
};
void net_count(enum net_count what, uint64_t n);
void net_connections_add(const char *server, int delta);
void net_ws_add(int delta);
