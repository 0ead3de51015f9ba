/*
 * topology: the whole system in one screen. Which services there are, what each stands on, whom it
 * calls, and which rows and sockets of the public face are theirs. Calls go up this list only; the
 * way back down is an event on the bus.
 */
#include <stdlib.h>

#include "app/app_control.h"
#include "app/app_internal.h"
#include "app/app_operate.h"
#include "convert/convert.h"
#include "core/mem.h"
#include "net/static.h"
#include "services/auth/auth.h"
#include "services/common/erase.h"
#include "services/file/file.h"
#include "services/gateway/gateway.h"
#include "services/media/media.h"
#include "services/meeting/meeting.h"
#include "services/message/message.h"
#include "services/presence/presence.h"
#include "services/signaling/signaling.h"
#include "services/task/task.h"
#include "services/user/user.h"

extern const struct static_table web_table; /* web/meson.build: the pages, or none */

struct app_services {
    struct loop *timers; /* what services do by the clock */
    struct app_control *control;
    struct app_operate *operate_service;
    struct user_service *user_service;
    struct auth_service *auth_service;
    struct media_service *media_service;
    struct meeting_service *meeting_service;
    struct signaling_service *signaling_service;
    struct convert *convert; /* looks into files, in processes of their own */
    struct file_service *file_service;
    struct message_service *message_service;
    struct presence_service *presence_service;
    struct task_service *task_service;
    struct gateway *gateway;
    /* The same behind their shares of threads: what others call. */
    ProtobufCService *operate;
    ProtobufCService *user;
    ProtobufCService *auth;
    ProtobufCService *media;
    ProtobufCService *meeting;
    ProtobufCService *signaling;
    ProtobufCService *file;
    ProtobufCService *message, *group, *contact, *webhook;
    ProtobufCService *task;
    ProtobufCService *presence;
};

/* ---- what can be known without starting ---- */

const struct edge_route_table *const app_route_tables[] = {
    &user_routes,      &auth_routes,     &media_routes,   &meeting_routes,
    &signaling_routes, &file_routes,     &message_routes, &group_routes,
    &contact_routes,   &presence_routes, &webhook_routes, &task_routes};
const size_t app_route_table_count = ARRAY_LEN(app_route_tables);
const struct edge_socket *const app_sockets[] = {&gateway_frames, &signaling_frames};
const size_t app_socket_count = ARRAY_LEN(app_sockets);

/* Each service that keeps something of people, and works on this queue. */
const char *const app_erase_queues[] = {ERASE_QUEUE("auth"), ERASE_QUEUE("meeting"),
                                        ERASE_QUEUE("message"), ERASE_QUEUE("file"),
                                        ERASE_QUEUE("presence")};
const size_t app_erase_queue_count = ARRAY_LEN(app_erase_queues);

static const struct {
    const struct store_migration *list;
    const size_t *count;
} migrations[] = {
    {user_migrations, &user_migration_count},
    {auth_migrations, &auth_migration_count},
    {media_migrations, &media_migration_count},
    {meeting_migrations, &meeting_migration_count},
    {file_migrations, &file_migration_count},
    {message_migrations, &message_migration_count},
    {presence_migrations, &presence_migration_count},
};

const struct store_migration *app_migrations(struct arena *arena, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < ARRAY_LEN(migrations); i++)
        *count += *migrations[i].count;
    struct store_migration *all = arena_array(arena, struct store_migration, *count);
    size_t at = 0;
    for (size_t i = 0; i < ARRAY_LEN(migrations); i++) {
        for (size_t j = 0; j < *migrations[i].count; j++)
            all[at++] = migrations[i].list[j];
    }
    return all;
}

/* ---- starting ---- */

/* The service lives here, behind its own share of threads, and whoever looks for it may know. */
static ProtobufCService *runs_here(const struct app *app, ProtobufCService *implementation)
{
    const struct registry_instance here = {implementation->descriptor->short_name, app->instance_id,
                                           "", 0};
    enum err err = registry_announce(app->registry, &here);
    if (err)
        log_error(NULL, "cannot announce service %s: %s", here.service, err_text(err));
    return rpc_local_create(implementation,
                            &(struct rpc_local_options){
                                .workers.thread_count = (unsigned)app->config->service_threads,
                                .is_packing = app->config->is_packing_calls,
                            });
}

static struct media_options media_options(const struct app_config *c)
{
    return (struct media_options){.host = c->media_host,
                                  .port = (uint16_t)c->media_port,
                                  .announced_addresses = c->media_announced.items,
                                  .announced_count = c->media_announced.count,
                                  .worker_count = (unsigned)c->media_workers,
                                  .stun_urls = c->media_stun.items,
                                  .stun_count = c->media_stun.count};
}

static enum err start_auth(struct app *app, const struct password_options *password)
{
    const int64_t hour_ms = 3600 * 1000;
    const struct app_config *c = app->config;
    struct app_services *s = app->services;
    enum err err = auth_create(
        &s->auth_service, &(struct auth_deps){.store = app->store,
                                              .bus = app->bus,
                                              .cache = app->cache,
                                              .user = s->user,
                                              .loop = s->timers,
                                              .secret = str_from(app->jwt_secret),
                                              .key_pem = app->jwt_key_pem,
                                              .access_ms = c->jwt_expire_hours * hour_ms,
                                              .refresh_ms = c->jwt_refresh_expire_hours * hour_ms,
                                              .password = *password});
    if (!err)
        s->auth = runs_here(app, auth_rpc(s->auth_service));
    return err;
}

static enum err start_meetings(struct app *app, const struct password_options *password)
{
    const struct app_config *c = app->config;
    struct app_services *s = app->services;
    enum err err = meeting_create(
        &s->meeting_service,
        &(struct meeting_deps){.user = s->user,
                               .auth = s->auth,
                               .store = app->store,
                               .bus = app->bus,
                               .cache = app->cache,
                               .password = *password,
                               .loop = s->timers,
                               .empty_grace_ms = MAX(c->meeting_empty_grace_s * 1000, 1),
                               .public_url = c->public_url,
                               .may_bots_create = c->may_bots_create,
                               .capacity_default = c->meeting_capacity});
    if (err)
        return err;
    s->meeting = runs_here(app, meeting_rpc(s->meeting_service));
    err = signaling_create(&s->signaling_service,
                           &(struct signaling_deps){.auth = s->auth,
                                                    .meeting = s->meeting,
                                                    .media = s->media,
                                                    .bus = app->bus,
                                                    .resume_ms = c->signaling_resume_s * 1000});
    if (!err)
        s->signaling = runs_here(app, signaling_rpc(s->signaling_service));
    return err;
}

static enum err start_files(struct app *app)
{
    const int64_t hour_ms = 3600 * 1000;
    const struct app_config *c = app->config;
    struct app_services *s = app->services;
    enum err err = convert_create(&s->convert, &(struct convert_options){0});
    if (!err)
        err = file_create(&s->file_service,
                          &(struct file_deps){.store = app->store,
                                              .bus = app->bus,
                                              .blob = app->blob,
                                              .convert = s->convert,
                                              .loop = s->timers,
                                              .file_max_bytes = c->file_max_bytes,
                                              .quota_bytes = c->file_quota_bytes,
                                              .upload_ms = c->file_upload_hours * hour_ms,
                                              .orphan_ms = c->file_orphan_hours * hour_ms});
    if (!err)
        s->file = runs_here(app, file_rpc(s->file_service));
    return err;
}

static enum err start_tasks(struct app *app)
{
    const struct config_list *ranges = &app->config->webhook_ranges;
    struct app_services *s = app->services;
    struct guard_range *allowed = arena_array(app->arena, struct guard_range, ranges->count);
    size_t count = 0;
    for (size_t i = 0; i < ranges->count; i++) /* checked when it was read */
        count += guard_range_parse(str_from(ranges->items[i]), &allowed[count]);
    enum err err = task_create(&s->task_service,
                               &(struct task_deps){.bus = app->bus,
                                                   .webhook = s->webhook,
                                                   .message = s->message,
                                                   .presence = s->presence,
                                                   .user = s->user,
                                                   .push_url = app->config->push_url,
                                                   .push_secret = app->config->push_secret,
                                                   .has_push_text = app->config->has_push_text,
                                                   .allowed = allowed,
                                                   .allowed_count = count});
    if (!err)
        s->task = runs_here(app, task_rpc(s->task_service));
    return err;
}

static enum err start_messages(struct app *app)
{
    const struct app_config *c = app->config;
    struct app_services *s = app->services;
    enum err err = message_create(
        &s->message_service,
        &(struct message_deps){.user = s->user,
                               .file = s->file,
                               .meeting = s->meeting,
                               .store = app->store,
                               .bus = app->bus,
                               .loop = s->timers,
                               .recall_ms = c->recall_minutes * 60000,
                               .invitation_ms = c->invitation_days * 24 * 3600 * 1000,
                               .is_adding_contacts_only = c->adding == APP_ADDING_CONTACTS,
                               .secret = str_from(app->jwt_secret),
                               .is_push_wanted = c->push_url[0] != '\0',
                               .webhook_failing_max_ms = c->webhook_failing_hours * 3600000,
                               .keep_max_ms = c->keep_max_s * 1000,
                               .retention_every_ms = c->retention_every_s * 1000});
    if (err)
        return err;
    s->message = runs_here(app, message_rpc(s->message_service));
    s->group = runs_here(app, message_group_rpc(s->message_service));
    s->contact = runs_here(app, message_contact_rpc(s->message_service));
    s->webhook = runs_here(app, message_webhook_rpc(s->message_service));
    err = presence_create(&s->presence_service, &(struct presence_deps){.message = s->message,
                                                                        .contact = s->contact,
                                                                        .store = app->store,
                                                                        .cache = app->cache,
                                                                        .bus = app->bus,
                                                                        .loop = s->timers});
    if (err)
        return err;
    s->presence = runs_here(app, presence_rpc(s->presence_service));
    err = start_tasks(app);
    if (err)
        return err;
    return gateway_create(&s->gateway, &(struct gateway_deps){.auth = s->auth,
                                                              .message = s->message,
                                                              .group = s->group,
                                                              .contact = s->contact,
                                                              .presence = s->presence,
                                                              .bus = app->bus,
                                                              .is_unlimited = !c->is_rate_limited});
}

static enum err start_services(struct app *app)
{
    const struct app_config *c = app->config;
    struct app_services *s = app->services;
    const struct password_options password = {.ops = c->password_ops,
                                              .memory_bytes = c->password_memory_bytes};

    enum err err = loop_create(&s->timers, "timers");
    if (err)
        return err;
    err = user_create(&s->user_service,
                      &(struct user_deps){.store = app->store,
                                          .bus = app->bus,
                                          .blob = app->blob,
                                          .registration = (enum user_registration)c->registration,
                                          .bots_max = c->bots_max ? c->bots_max : -1,
                                          .erase_queues = app_erase_queues,
                                          .erase_queue_count = app_erase_queue_count,
                                          .password = password});
    if (err)
        return err;
    s->user = runs_here(app, user_rpc(s->user_service));
    err = start_auth(app, &password);
    if (err)
        return err;

    err = media_create(
        &s->media_service,
        &(struct media_deps){.store = app->store, .bus = app->bus, .options = media_options(c)});
    if (err)
        return err;
    s->media = runs_here(app, media_rpc(s->media_service));
    app->report.media_port = media_port(s->media_service);
    err = start_meetings(app, &password);
    if (!err)
        err = start_files(app);
    return err ? err : start_messages(app);
}

static bool is_store_ready(void *arg)
{
    const struct app *app = arg;
    return store_is_writable(app->store);
}

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

static enum err start_edge(struct app *app)
{
    const struct app_config *c = app->config;
    struct app_services *s = app->services;
    const struct edge_mount mounts[] = {
        {&user_routes, s->user},           {&auth_routes, s->auth},
        {&media_routes, s->media},         {&meeting_routes, s->meeting},
        {&signaling_routes, s->signaling}, {&file_routes, s->file},
        {&message_routes, s->message},     {&group_routes, s->group},
        {&contact_routes, s->contact},     {&presence_routes, s->presence},
        {&webhook_routes, s->webhook},     {&task_routes, s->task},
    };
    const struct edge_ws_row ws_rows[] = {
        {"/ws/signaling", accept_signaling, s->signaling_service},
        {"/ws/im", accept_messages, s->gateway},
    };
    const struct edge_check checks[] = {
        {"store", is_store_ready, app},
    };
    return edge_create(&app->edge,
                       &(struct edge_options){.mounts = mounts,
                                              .mount_count = ARRAY_LEN(mounts),
                                              .sockets = app_sockets,
                                              .socket_count = app_socket_count,
                                              .ws_rows = ws_rows,
                                              .ws_row_count = ARRAY_LEN(ws_rows),
                                              .checks = checks,
                                              .check_count = ARRAY_LEN(checks),
                                              .auth = s->auth,
                                              .blob = app->blob,
                                              .bus = app->bus,
                                              .allowed_origins = c->allowed_origins.items,
                                              .allowed_origin_count = c->allowed_origins.count,
                                              .are_metrics_public = c->are_metrics_public,
                                              .is_rate_limited = c->is_rate_limited,
                                              .trusted_proxies = c->trusted_proxies.items,
                                              .trusted_proxy_count = c->trusted_proxies.count,
                                              .web = web_table.count ? &web_table : NULL,
                                              .version = app->version});
}

/* What commands on this machine may call. Without it the server is no worse a server. */
static void start_control(struct app *app)
{
    struct app_services *s = app->services;
    s->operate_service = app_operate_create(
        &(struct app_operate_options){.store = app->store,
                                      .data_dir = app->config->data_dir,
                                      .version = app->version,
                                      .bus = app->bus,
                                      .erase_queues = app_erase_queues,
                                      .erase_queue_count = app_erase_queue_count});
    s->operate = rpc_local_create(app_operate_rpc(s->operate_service),
                                  &(struct rpc_local_options){.workers.thread_count = 1});
    ProtobufCService *const services[] = {s->user, s->auth, s->operate};
    enum err err = app_control_start(&s->control, &(struct app_control_options){
                                                      .data_dir = app->config->data_dir,
                                                      .services = services,
                                                      .service_count = ARRAY_LEN(services),
                                                  });
    if (err)
        log_warn(NULL, "commands cannot reach this server: no socket in %s: %s",
                 app->config->data_dir, err_text(err));
}

enum err app_topology_start(struct app *app)
{
    app->services = mem_zalloc(sizeof(*app->services));
    enum err err = start_services(app);
    if (!err)
        err = start_edge(app);
    if (!err)
        start_control(app);
    return err;
}

/* ---- stopping: callers before those whom they call ---- */

void app_topology_drain(struct app *app)
{
    for (size_t i = 0; i < app_route_table_count; i++)
        registry_withdraw(app->registry, app_route_tables[i]->service->short_name,
                          app->instance_id);
    if (app->services && app->services->signaling_service)
        signaling_drain(app->services->signaling_service);
    if (app->services && app->services->gateway)
        gateway_drain(app->services->gateway);
    if (app->services && app->services->message_service)
        message_drain(app->services->message_service);
}

void app_topology_stop(struct app *app)
{
    struct app_services *s = app->services;
    if (!s)
        return;
    app_control_stop(&s->control);
    rpc_local_destroy(&s->operate);
    app_operate_destroy(&s->operate_service);
    task_stop(s->task_service);
    bus_stop_tasks(app->bus);
    bus_stop_events(app->bus);
    gateway_destroy(&s->gateway);
    rpc_local_destroy(&s->presence);
    presence_destroy(&s->presence_service);
    rpc_local_destroy(&s->message);
    rpc_local_destroy(&s->group);
    rpc_local_destroy(&s->contact);
    rpc_local_destroy(&s->task);
    task_destroy(&s->task_service);
    rpc_local_destroy(&s->webhook);
    message_destroy(&s->message_service);
    rpc_local_destroy(&s->file);
    file_destroy(&s->file_service);
    convert_destroy(&s->convert);
    rpc_local_destroy(&s->signaling);
    signaling_destroy(&s->signaling_service);
    rpc_local_destroy(&s->meeting);
    meeting_destroy(&s->meeting_service);
    rpc_local_destroy(&s->media);
    media_destroy(&s->media_service);
    rpc_local_destroy(&s->auth);
    auth_destroy(&s->auth_service);
    rpc_local_destroy(&s->user);
    user_destroy(&s->user_service);
    edge_destroy(&app->edge); /* after the answers that go through it */
    loop_destroy(&s->timers);
    free(s);
    app->services = NULL;
}
