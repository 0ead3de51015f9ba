/*
 * topology: the whole system in one screen. Which services there are, what each stands on, whom it
 * calls, and which rows and sockets of the public face are theirs. Calls go up this list only; the
 * way back down is an event on the bus.
 */
#include <stdlib.h>

#include "app/app_internal.h"
#include "core/mem.h"

const struct edge_route_table *const app_route_tables[] = {NULL};
const size_t app_route_table_count = 0;

struct app_services {
    int none;
};

const struct store_migration *app_migrations(struct arena *arena, size_t *count)
{
    *count = 0;
    return arena_array(arena, struct store_migration, 1);
}

static bool is_store_ready(void *arg)
{
    const struct app *app = arg;
    return store_is_writable(app->store);
}

enum err app_topology_start(struct app *app, struct strbuf *problem)
{
    const struct app_config *c = app->config;
    app->services = mem_zalloc(sizeof(*app->services));
    const struct edge_check checks[] = {{"store", is_store_ready, app}};
    return edge_create(&app->edge,
                       &(struct edge_options){.checks = checks,
                                              .check_count = ARRAY_LEN(checks),
                                              .cache = app->cache,
                                              .bus = app->bus,
                                              .allowed_origins = c->allowed_origins.items,
                                              .allowed_origin_count = c->allowed_origins.count,
                                              .are_metrics_public = c->are_metrics_public,
                                              .is_rate_limited = c->is_rate_limited,
                                              .version = app->version});
}

void app_topology_drain(struct app *app)
{
    (void)app;
}

void app_topology_stop(struct app *app)
{
    edge_destroy(&app->edge);
    free(app->services);
    app->services = NULL;
}
