/*
 * media: tracks and their forwarding. Owns the UDP sockets and one thread per sfu worker; turns the
 * clients' offers into producers and rooms' tracks into offers. All control state belongs to one
 * loop; packets never touch it. The RPCs are for signaling (the system); three read-only ones are
 * public rows.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "bus/bus.h"
#include "core/err.h"
#include "edge/edge.h"
#include "registry/registry.h"
#include "store/store.h"

struct media_service;

struct media_options {
    const char *host; /* to bind; NULL or "": every address, IPv6 and IPv4 */
    uint16_t port;    /* UDP; 0: any free one */
    const char *const
        *announced_addresses; /* what clients are told to reach; none: this machine's own */
    size_t announced_count;
    unsigned worker_count; /* 0: one per core */
    size_t session_max;    /* 0: 5,000 */
    int64_t seen_every_ms; /* how often rows of tracks are marked as going on; 0: 30,000 */
    int64_t linger_ms;     /* how long what is over may stay, for signaling to close it; 0: 5,000 */
    const char *const
        *stun_urls; /* for clients behind NAT that want a reflexive candidate; may be none */
    size_t stun_count;
};

/* Other media nodes; all NULL: there is no other. */
struct media_apart {
    const char *node_id; /* of this process */
    struct registry *registry;
    ProtobufCService *peers; /* Media as others serve it */
};

struct media_deps {
    struct store *store;
    struct bus *bus;
    struct media_apart apart;
    struct media_options options;
};

/* ALREADY_EXISTS: the port is taken. */
MUST_USE enum err media_create(struct media_service **out, const struct media_deps *deps);
/* Takes no new rooms, and waits until those that are here have been placed on another node. */
void media_drain(struct media_service *s, int64_t timeout_ms);
/* Accepts NULL, sets *s to NULL. */
void media_destroy(struct media_service **s);
/* The implementation, to be wrapped by rpc_local_create. */
ProtobufCService *media_rpc(struct media_service *s);
uint16_t media_port(const struct media_service *s);

extern const struct edge_route_table media_routes;
extern const struct store_migration media_migrations[];
extern const size_t media_migration_count;
