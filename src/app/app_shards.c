/* app_shards: see app_shards.h. */
#include "app/app_shards.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/app_registry.h"
#include "app/app_split.h"
#include "core/mem.h"
#include "rpc/route.h"
#include "services/message/message.h"

#define ROUTES_MAX 4
#define NAME_MAX_CHARS 110

struct app_shards {
    struct app *app;
    ProtobufCService *routes[ROUTES_MAX];
    size_t count;
    int subscription;
};

const char *app_shards_name(const struct app *app)
{
    char host[65] = "";
    char *dir = realpath(app->config->data_dir, NULL);
    gethostname(host, sizeof(host) - 1);
    const char *name = arena_printf(app->arena, "%.40s:%s", host, dir ? dir : "");
    free(dir);
    size_t n = strlen(name); /* of a long path its end tells them apart */
    return n <= NAME_MAX_CHARS ? name : name + n - NAME_MAX_CHARS;
}

const char *app_shards_self(const struct app *app)
{
    const struct app_config *c = app->config;
    if (!app->split)
        return NULL;
    if (!c->grpc_ports.message) /* any port: by its name in the registry, which no next life has */
        return app->instance_id;
    return arena_printf(app->arena, "%s:%lld", app_registry_host(app),
                        (long long)c->grpc_ports.message);
}

static void on_news(void *arg, const struct bus_event *event)
{
    struct app_shards *s = arg;
    struct str owner = event->payload, shard;
    uint64_t slot;
    char name[RPC_INSTANCE_SIZE];
    if (!str_cut(&owner, ' ', &shard) || !str_to_u64(shard, &slot) || owner.n >= sizeof(name) ||
        slot >= (uint64_t)s->app->config->shards)
        return;
    memcpy(name, owner.p, owner.n);
    name[owner.n] = '\0';
    for (size_t i = 0; i < s->count; i++)
        rpc_route_learn(s->routes[i], (unsigned)slot, name);
}

struct app_shards *app_shards_create(struct app *app)
{
    bool is_apart =
        app->split && !(app_runs(app->config, "message") && store_is_exclusive(app->store));
    if (!is_apart)
        return NULL;
    struct app_shards *s = mem_new(struct app_shards);
    s->app = app;
    return s;
}

ProtobufCService *app_shards_route(struct app_shards *s, ProtobufCService *here,
                                   const ProtobufCServiceDescriptor *service,
                                   struct message_service *owner)
{
    if (!s)
        return here ? here : NULL;
    struct app *app = s->app;
    ProtobufCService *route =
        rpc_route_create(&(struct rpc_route_options){.here = here,
                                                     .there = app_split_remote(app->split, service),
                                                     .self = here ? app_shards_self(app) : NULL,
                                                     .loop = app_split_loop(app->split),
                                                     .slot = message_slot,
                                                     .slot_count = (unsigned)app->config->shards,
                                                     .is_here = message_owns,
                                                     .arg = owner});
    s->routes[s->count++] = route;
    if (s->count == 1) /* news come when the bus is started: no route is added after that */
        s->subscription = bus_subscribe(app->bus, MESSAGE_OWNERS_CHANNEL, "routes", on_news, s);
    return route;
}

void app_shards_destroy(struct app_shards **shards)
{
    struct app_shards *s = *shards;
    *shards = NULL;
    if (!s)
        return;
    if (s->count)
        bus_unsubscribe(s->app->bus, s->subscription);
    free(s);
}
