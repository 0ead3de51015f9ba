/*
 * app_face: what the world sees of this process: the rows of the public API and the sockets of the
 * services that it serves, the pages, and whether it is ready. A gateway shows all of it.
 */
#include "app/app_services.h"
#include "app/app_split.h"
#include "net/static.h"

extern const struct static_table web_table; /* web/meson.build: the pages, or none */

/* ---- is it ready? ---- */

static bool is_store_ready(void *arg)
{
    const struct app *app = arg;
    return store_is_writable(app->store);
}

static bool is_cache_there(void *arg)
{
    const struct app *app = arg;
    return cache_is_up(app->cache);
}

static bool is_bus_there(void *arg)
{
    const struct app *app = arg;
    return bus_is_linked(app->bus);
}

/* ---- sockets ---- */

static void accept_signaling(void *arg, struct http_request *req, const struct identity *who,
                             ws_origin_fn *is_origin_allowed, void *origin_arg)
{
    signaling_accept(arg, req, who, is_origin_allowed, origin_arg);
}

static void accept_messages(void *arg, struct http_request *req, const struct identity *who,
                            ws_origin_fn *is_origin_allowed, void *origin_arg)
{
    gateway_accept(arg, req, who, is_origin_allowed, origin_arg);
}

#define SIGNALING_APART                                                                         \
    "This gateway has no signaling in it: whatever stands before it has to send /ws/signaling " \
    "to the signaling processes (http.ports.signaling; docs/scaling.md)."

/* ---- all of it ---- */

enum err app_face_create(struct app *app)
{
    const struct app_config *c = app->config;
    struct app_services *s = app->services;
    const struct edge_mount all[] = {
        {&user_routes, s->user},           {&auth_routes, s->auth},
        {&media_routes, s->media},         {&meeting_routes, s->meeting},
        {&signaling_routes, s->signaling}, {&file_routes, s->file},
        {&message_routes, s->message},     {&group_routes, s->group},
        {&contact_routes, s->contact},     {&presence_routes, s->presence},
        {&webhook_routes, s->webhook},     {&task_routes, s->task},
    };
    struct edge_mount mounts[ARRAY_LEN(all)];
    struct edge_ws_row ws_rows[2];
    size_t mount_count = 0, ws_count = 0;
    /* A gateway has all the rows; another process those of its own services. */
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (s->gateway || app_is_here(app, all[i].table))
            mounts[mount_count++] = all[i];
    if (s->signaling_service)
        ws_rows[ws_count++] =
            (struct edge_ws_row){"/ws/signaling", accept_signaling, s->signaling_service, NULL};
    else if (s->gateway)
        ws_rows[ws_count++] = (struct edge_ws_row){"/ws/signaling", NULL, NULL, SIGNALING_APART};
    if (s->gateway)
        ws_rows[ws_count++] = (struct edge_ws_row){"/ws/im", accept_messages, s->gateway, NULL};
    const struct edge_check checks[] = {
        {"store", is_store_ready, app, false},
        {"cache", is_cache_there, app, true},
        {"bus", is_bus_there, app, true},
        {"shard_stores", app_bases_are_ready, app, true},
    };
    return edge_create(&app->edge,
                       &(struct edge_options){.mounts = mounts,
                                              .mount_count = mount_count,
                                              .sockets = app_sockets,
                                              .socket_count = app_socket_count,
                                              .ws_rows = ws_rows,
                                              .ws_row_count = ws_count,
                                              .cache = app->cache,
                                              .checks = checks,
                                              .check_count = ARRAY_LEN(checks) - !app->stores.count,
                                              .auth = s->auth,
                                              .blob = app->blob,
                                              .bus = app->bus,
                                              .allowed_origins = c->allowed_origins.items,
                                              .allowed_origin_count = c->allowed_origins.count,
                                              .is_measured_apart = c->management_host[0] != '\0',
                                              .are_metrics_public = c->are_metrics_public,
                                              .is_rate_limited = c->is_rate_limited,
                                              .trusted_proxies = c->trusted_proxies.items,
                                              .trusted_proxy_count = c->trusted_proxies.count,
                                              .web = web_table.count ? &web_table : NULL,
                                              .is_trace_trusted = c->is_trace_trusted,
                                              .version = app->version});
}
