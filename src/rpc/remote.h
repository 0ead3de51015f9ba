/*
 * remote: services of other processes, behind the same face as those of this one, and the way in
 * for other processes. Contracts and callers do not change; the wire is gRPC.
 *
 * Who calls over a connection is another Parlance, proven by a certificate of the cluster's
 * authority or by the cluster's secret (as `parlance-secret`, or `authorization: Bearer`). Only
 * then is anything served, and the identity of the person in the metadata believed: who is inside
 * may say who asks.
 */
#pragma once

#include "registry/registry.h"
#include "rpc/rpc.h"

struct net_tls; /* net/tls.h */

/* ---- outward ---- */

struct rpc_pool;

struct rpc_pool_options {
    struct loop *loop;         /* outlives it */
    struct registry *registry; /* outlives it */
    struct net_tls *tls;       /* a client's; NULL: plain */
    const char *secret;        /* NULL or "": none is shown */
};

/* Connections to instances, one each, shared by all proxies. Not on a loop. */
struct rpc_pool *rpc_pool_create(const struct rpc_pool_options *opt);
/* After its proxies. Accepts NULL. */
void rpc_pool_destroy(struct rpc_pool **pool);

/*
 * A service wherever it lives: instances come and go by the registry (its short name). Round robin,
 * or call->instance alone, or the one that call->affinity comes to. A call is made again on another
 * instance when it was provably not processed, or is_idempotent and the instance was lost. Closures
 * run on the pool's loop.
 */
ProtobufCService *rpc_remote_create(struct rpc_pool *pool,
                                    const ProtobufCServiceDescriptor *descriptor);
/* Waits for calls in flight. Sets *service to NULL. */
void rpc_remote_destroy(ProtobufCService **service);

/* ---- inward ---- */

struct rpc_server;

struct rpc_server_options {
    struct loop *loop;
    const char *host; /* NULL or "": every address */
    uint16_t port;    /* 0: any free one */
    ProtobufCService *const *services;
    size_t service_count;
    struct net_tls *tls;   /* a server's; NULL: plain */
    const char *secret;    /* NULL or "": only certificates prove */
    const void *contracts; /* a FileDescriptorSet for reflection; NULL: no reflection */
    size_t contracts_n;
};

/* Health, reflection, and the services. Not on a loop. INVALID_ARGUMENT: nobody could prove to be
 * one of us. ALREADY_EXISTS: the port is taken. */
MUST_USE enum err rpc_server_create(struct rpc_server **out, const struct rpc_server_options *opt);
uint16_t rpc_server_port(const struct rpc_server *server);
/* Health says NOT_SERVING, clients are told to go. Waits for nobody. Not on a loop. */
void rpc_server_leave(struct rpc_server *server);
/* The same, and calls in work may end. Not on a loop. */
void rpc_server_drain(struct rpc_server *server, int64_t timeout_ms);
/* Before the services. Accepts NULL. */
void rpc_server_destroy(struct rpc_server **server);
