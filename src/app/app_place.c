/*
 * app_place: the one difference between a service of this process and one of another, for topology.
 */
#include "app/app_internal.h"
#include "app/app_services.h"
#include "app/app_split.h"
#include "core/log.h"

ProtobufCService *app_runs_here(const struct app *app, ProtobufCService *implementation)
{
    const struct registry_instance here = {
        .service = implementation->descriptor->short_name, .id = app->instance_id, .address = ""};
    enum err err = registry_announce(app->registry, &here);
    if (err)
        log_error(NULL, "cannot announce service %s: %s", here.service, err_text(err));
    ProtobufCService *service = rpc_local_create(
        implementation, &(struct rpc_local_options){
                            .workers.thread_count = (unsigned)app->config->service_threads,
                            .is_packing = app->config->is_packing_calls,
                        });
    app_split_offer(app->split, service);
    return service;
}

ProtobufCService *app_runs_elsewhere(const struct app *app, const struct edge_route_table *table)
{
    return app_split_remote(app->split, table->service);
}

bool app_is_here(const struct app *app, const struct edge_route_table *table)
{
    struct arena *arena = arena_create();
    struct registry_instance *list;
    bool is_here = false;
    size_t count = registry_find(app->registry, table->service->short_name, arena, &list);
    for (size_t i = 0; i < count; i++)
        is_here |= list[i].port == 0;
    arena_destroy(&arena);
    return is_here;
}

void app_leave(ProtobufCService **service)
{
    if (*service)
        protobuf_c_service_destroy(*service);
    *service = NULL;
}

/* With gRPC there may be other instances, and a meeting has but one owner. */
struct signaling_apart app_signaling_apart(struct app *app)
{
    if (!app->split)
        return (struct signaling_apart){0};
    app->services->signaling_peers = app_runs_elsewhere(app, &signaling_routes);
    return (struct signaling_apart){.node_id = app->instance_id,
                                    .registry = app->registry,
                                    .peers = app->services->signaling_peers,
                                    .is_media_apart = !app->services->media_service};
}

struct media_apart app_media_apart(struct app *app)
{
    if (!app->split)
        return (struct media_apart){0};
    app->services->media_peers = app_runs_elsewhere(app, &media_routes);
    return (struct media_apart){.node_id = app->instance_id,
                                .registry = app->registry,
                                .peers = app->services->media_peers};
}
