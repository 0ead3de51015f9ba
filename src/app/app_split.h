/*
 * app_split: services in several processes. Which of them run here, where the others are, and by
 * which ports other processes reach ours. With all of them here and gRPC not asked for, nothing of
 * this exists.
 */
#pragma once

#include "app/app_config.h"
#include "registry/registry.h"
#include "rpc/rpc.h"

struct app;
struct app_split;

/* Whether this service (as services.run calls it) runs in this process. */
bool app_runs(const struct app_config *config, const char *service);
/* The instances of services.remote, for the registry. In the arena. */
size_t app_remote_instances(const struct app_config *config, struct arena *arena,
                            struct registry_instance **out);

/* Under which names of the registry the services are (other instances of those here, too), but for
 * those that are named by host. In the arena. */
size_t app_remote_aliases(const struct app_config *config, struct arena *arena,
                          struct registry_alias **out);

/* The connections to others, when anything runs elsewhere or is to be served. */
MUST_USE enum err app_split_create(struct app_split **out, const struct app_config *config,
                                   struct registry *registry, struct strbuf *problem);
/* On which calls to others end. */
struct loop *app_split_loop(struct app_split *split);
/* A service that lives in another process. */
ProtobufCService *app_split_remote(struct app_split *split,
                                   const ProtobufCServiceDescriptor *service);
/* Serves what lives here to other processes: offered one by one, then all at once. Accept NULL. */
void app_split_offer(struct app_split *split, ProtobufCService *service);
MUST_USE enum err app_split_serve(struct app_split *split, struct strbuf *problem);
/* Calls fn for each service that is served to others: "parlance-user" and its port. */
typedef void app_served_fn(void *arg, const char *registered, uint16_t port);
void app_split_each_served(const struct app_split *split, app_served_fn *fn, void *arg);
/* Certificates are read again. */
void app_split_reload(struct app_split *split);
/* Other processes are told to go elsewhere: all servers at once. */
void app_split_leave(struct app_split *split);
/* What they asked before may end; until_ms: monotonic. */
void app_split_drain(struct app_split *split, int64_t until_ms);
/* Nobody comes in any more; before the services go. */
void app_split_close(struct app_split *split);
/* After the services that are called. */
void app_split_destroy(struct app_split **split);
