/* The pieces of the running server, in the order in which they start. */
#pragma once

#include "app/app.h"
#include "app/app_stores.h"
#include "blob/blob.h"
#include "bus/bus.h"
#include "cache/cache.h"
#include "core/loop.h"
#include "net/server.h"
#include "net/tls.h"
#include "registry/registry.h"

#define APP_NOTES_MAX 8
#define APP_LOOPS_MAX 64
#define APP_SERVERS_MAX 16 /* one a service, HTTPS, management */
#define APP_INSTANCE_CHARS 22

struct app_services; /* topology.c */
struct bus_forward;
struct telemetry;

struct app {
    const struct app_config *config;
    const char *version;
    struct arena *arena;
    struct telemetry *telemetry;
    struct app_report report;
    const char *notes[APP_NOTES_MAX];

    /* app_platform.c */
    const char *jwt_secret;
    const char *jwt_key_pem; /* NULL: tokens are signed by the secret */
    struct store *store;
    bool has_lock; /* of DATA/lock: where the tables are on a server */
    int lock_fd;
    struct cache *cache;
    struct bus *bus;
    struct app_stores stores; /* of shards; the first is `store` */
    struct bus_forward *forwards[APP_SHARD_STORES_MAX];
    struct message_base bases[APP_SHARD_STORES_MAX];
    struct blob_store *blob;
    struct registry *registry;
    struct app_split *split;                  /* NULL: all runs here, and is served to nobody */
    struct app_live *live;                    /* app_live.c */
    char instance_id[APP_INSTANCE_CHARS + 1]; /* of this process, in the registry */

    /* topology.c */
    struct app_services *services;
    struct edge *edge; /* app_face.c */

    /* app_front.c */
    struct net_tls *tls;
    struct loop *loops[APP_LOOPS_MAX];
    size_t loop_count;
    struct net_server *servers[APP_SERVERS_MAX];
    size_t server_count;
};

extern const char *const app_erase_queues[]; /* app_known.c */
extern const size_t app_erase_queue_count;

/* A path in the data directory, in the app's arena. */
const char *app_path(const struct app *app, const char *name);
void app_note(struct app *app, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Brings it up to date; shards NULL: it is the first. */
MUST_USE enum err app_migrate(struct app *app, struct store *store, const char *shards,
                              struct strbuf *problem);
MUST_USE enum err app_platform_start(struct app *app, struct strbuf *problem);
void app_platform_stop(struct app *app);

/* app_place.c */
/* The service lives here, behind its own share of threads, and whoever looks for it may know. */
ProtobufCService *app_runs_here(const struct app *app, ProtobufCService *implementation);
/* The service lives in another process: the same face, and gRPC behind it. */
ProtobufCService *app_runs_elsewhere(const struct app *app, const struct edge_route_table *table);
/* Whether the registry knows it as this process's own. */
bool app_is_here(const struct app *app, const struct edge_route_table *table);
/* Lets go of a service, wherever it lives. */
void app_leave(ProtobufCService **service);

MUST_USE enum err app_topology_start(struct app *app);
/* What must be given to other processes first. */
void app_topology_leave(struct app *app);
/* Sockets are told to come back; nothing new begins. */
void app_topology_drain(struct app *app);
void app_topology_stop(struct app *app);

MUST_USE enum err app_front_start(struct app *app, struct strbuf *problem);
void app_front_drain(struct app *app);
/* Servers first, loops later: what is in work may still answer into the loops. */
void app_front_stop(struct app *app);
void app_front_join(struct app *app);
