/*
 * meeting: meetings, who may be in them and as what. Every change is one transaction, with its
 * event in the outbox; who is on the wire right now is signaling's affair.
 */
#pragma once

#include "bus/bus.h"
#include "cache/cache.h"
#include "core/err.h"
#include "core/loop.h"
#include "edge/edge.h"
#include "services/common/password.h"
#include "store/store.h"

struct meeting_service;

struct meeting_deps {
    ProtobufCService *user;
    ProtobufCService *auth; /* guests' tokens */
    struct store *store;
    struct bus *bus;
    struct cache *cache; /* guesses at meeting passwords */
    struct password_options password;
    const char *public_url;   /* for links; "": paths alone */
    int64_t capacity_default; /* 0: 500 */
    int64_t empty_grace_ms;   /* an unscheduled meeting ends so long after the last has left; 0:
                                 300,000 */
    bool may_bots_create;     /* meetings */
    struct loop *loop;        /* for the sweep; NULL: none */
    int64_t presence_ms;      /* who is not reported for so long has left; 0: 120,000 */
    int64_t sweep_every_ms;   /* 0: 15,000, or sooner where the grace is short */
};

MUST_USE enum err meeting_create(struct meeting_service **out, const struct meeting_deps *deps);
/* The implementation, for rpc_local_create. */
/* Other rules for meetings to come, while it runs. */
void meeting_set_rules(struct meeting_service *svc, int64_t capacity_default, bool may_bots_create);
ProtobufCService *meeting_rpc(struct meeting_service *svc);
/* No call may be in flight. */
void meeting_destroy(struct meeting_service **svc);

/* Ends what is empty and lets go who is not there any more; the loop's timer does it. */
MUST_USE enum err meeting_sweep(struct meeting_service *svc);

/* Everything kept of a person: `parlance export`. */
struct export_sink;
MUST_USE enum err meeting_export(struct store *store, const char *user_id,
                                 const struct export_sink *sink);

extern const struct store_migration meeting_migrations[];
extern const size_t meeting_migration_count;
extern const struct edge_route_table meeting_routes;
