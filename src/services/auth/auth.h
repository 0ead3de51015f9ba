/*
 * auth: sign-ins. Checks passwords (which user keeps), hands out tokens, knows which sign-ins are
 * alive, and keeps the audit log of the whole house.
 *
 * An access token names a sign-in (session); it is good as long as it has not expired, its session
 * is not revoked, and the account is neither disabled nor has a newer password. So revoking takes
 * effect at the next ValidateToken; channel "auth_events" tells those who remember an answer.
 */
#pragma once

#include "bus/bus.h"
#include "cache/cache.h"
#include "core/loop.h"
#include "edge/edge.h"
#include "rpc/rpc.h"
#include "services/common/password.h"
#include "store/store.h"

struct auth_service;

struct auth_deps {
    struct store *store;
    struct bus *bus;
    struct cache *cache;    /* throttles, used nonces */
    ProtobufCService *user; /* accounts */
    struct loop *loop;      /* for the sweep of what expired; NULL: none */
    struct str secret;      /* at least 32 bytes; copied */
    const char *key_pem; /* private key, RSA (RS256) or EC P-256 (ES256); NULL: HS256 by secret */
    int64_t access_ms;   /* life of an access token; 0: 24 h */
    int64_t refresh_ms;  /* of a refresh token, renewed with each use; 0: 168 h */
    int64_t guest_ms;    /* of a guest's token; 0: as access_ms */
    int64_t refresh_grace_ms; /* within it the same client may repeat a renewal whose answer got
                                 lost; 0: 10 s; -1: never */
    int session_max;          /* sign-ins an account may have; the oldest goes; 0: 100 */
    int audit_keep_days;      /* 0: 400 */
    bool is_remembering;      /* sign-ins in the cache, for when the store is away */
    struct password_options password; /* as user's, so that old hashes are made anew */
};

/* INVALID_ARGUMENT (logged): the secret is too short, or the key of a kind not allowed. */
MUST_USE enum err auth_create(struct auth_service **out, const struct auth_deps *deps);
/* The implementation, for rpc_local_create. */
ProtobufCService *auth_rpc(struct auth_service *svc);
/* No call may be in flight; before the bus and the loop. */
void auth_destroy(struct auth_service **svc);
/* Deletes what expired; the loop's timer does it every ten minutes. */
void auth_sweep(struct auth_service *svc);

/* Everything kept of a person: `parlance export`. */
struct export_sink;
MUST_USE enum err auth_export(struct store *store, const char *user_id,
                              const struct export_sink *sink);

extern const struct store_migration auth_migrations[];
extern const size_t auth_migration_count;
extern const struct edge_route_table auth_routes;
