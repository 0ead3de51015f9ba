/* pool: channels by address, shared by the proxies that call there. On the pool's loop. */
#pragma once

#include "core/list.h"
#include "grpc/h2_channel.h"
#include "rpc/remote.h"

struct rpc_pool {
    struct loop *loop;
    struct registry *registry;
    struct net_tls *tls;
    char *secret; /* NULL: none is shown */
    struct h2_io *io;
    struct list channels;
};

struct rpc_channel {
    struct list node;
    struct h2_channel *channel;
    char *address;
    uint16_t port;
    unsigned refs;
};

struct rpc_channel *rpc_channel_get(struct rpc_pool *pool, const char *address, uint16_t port);
void rpc_channel_unref(struct rpc_channel **channel);
