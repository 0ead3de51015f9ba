/*
 * presence: who is here, on what, and what they say of themselves. Being here is a record in the
 * cache with a time to live, which gateways keep fresh; settings and the time of the last visit are
 * a row. Nothing is told unasked: gateways watch people for their sockets, ask here what each
 * viewer may see, and hear of changes over the bus.
 */
#pragma once

#include "bus/bus.h"
#include "cache/cache.h"
#include "core/err.h"
#include "core/loop.h"
#include "edge/edge.h"
#include "store/store.h"

struct presence_service;

struct presence_deps {
    ProtobufCService *message, *contact; /* GetRelations, ListContacts */
    struct store *store;
    struct cache *cache;
    struct bus *bus;
    struct loop *loop;       /* what runs out, and last visits to be written */
    int64_t ttl_ms;          /* a device that nobody reports; 0: 5 minutes */
    int64_t debounce_ms;     /* how long somebody who went is still here; 0: 5 s */
    int64_t write_behind_ms; /* 0: 10 s */
};

MUST_USE enum err presence_create(struct presence_service **out, const struct presence_deps *deps);
/* The implementation, for rpc_local_create. */
ProtobufCService *presence_rpc(struct presence_service *svc);
/* No call may be in flight; writes what is to be written. Accepts NULL. */
void presence_destroy(struct presence_service **svc);

/* Everything kept of a person: `parlance export`. */
struct export_sink;
MUST_USE enum err presence_export(struct store *store, const char *user_id,
                                  const struct export_sink *sink);

extern const struct store_migration presence_migrations[];
extern const size_t presence_migration_count;
extern const struct edge_route_table presence_routes;
