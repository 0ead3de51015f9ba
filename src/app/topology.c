/*
 * topology: the whole system in one list. Which services there are, what each stands on, and whom
 * it calls. Calls go up this list only; the way back down is an event on the bus. What is theirs of
 * the public face is in app_face.c.
 */
#include <stdlib.h>

#include "app/app_control.h"
#include "app/app_internal.h"
#include "app/app_operate.h"
#include "app/app_shards.h"
#include "app/app_services.h"
#include "app/app_split.h"
#include "core/mem.h"

/* ---- starting ---- */

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
    if (!app_runs(c, "auth")) {
        s->auth = app_runs_elsewhere(app, &auth_routes);
        return ERR_OK;
    }
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
                                              .is_remembering = cache_is_shared(app->cache),
                                              .password = *password});
    if (!err)
        s->auth = app_runs_here(app, auth_rpc(s->auth_service));
    return err;
}

static enum err start_meeting(struct app *app, const struct password_options *password)
{
    const struct app_config *c = app->config;
    struct app_services *s = app->services;
    if (!app_runs(c, "meeting")) {
        s->meeting = app_runs_elsewhere(app, &meeting_routes);
        return ERR_OK;
    }
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
    if (!err)
        s->meeting = app_runs_here(app, meeting_rpc(s->meeting_service));
    return err;
}

static enum err start_signaling(struct app *app)
{
    const struct app_config *c = app->config;
    struct app_services *s = app->services;
    if (!app_runs(c, "signaling")) {
        s->signaling = app_runs_elsewhere(app, &signaling_routes);
        return ERR_OK;
    }
    enum err err = signaling_create(
        &s->signaling_service, &(struct signaling_deps){.auth = s->auth,
                                                        .meeting = s->meeting,
                                                        .media = s->media,
                                                        .bus = app->bus,
                                                        .apart = app_signaling_apart(app),
                                                        .resume_ms = c->signaling_resume_s * 1000});
    if (!err)
        s->signaling = app_runs_here(app, signaling_rpc(s->signaling_service));
    return err;
}

static enum err start_files(struct app *app)
{
    const int64_t hour_ms = 3600 * 1000;
    const struct app_config *c = app->config;
    struct app_services *s = app->services;
    if (!app_runs(c, "file")) {
        s->file = app_runs_elsewhere(app, &file_routes);
        return ERR_OK;
    }
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
        s->file = app_runs_here(app, file_rpc(s->file_service));
    return err;
}

static enum err start_tasks(struct app *app)
{
    const struct config_list *ranges = &app->config->webhook_ranges;
    struct app_services *s = app->services;
    if (!app_runs(app->config, "task")) {
        s->task = app_runs_elsewhere(app, &task_routes);
        return ERR_OK;
    }
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
                                                   .meeting = s->meeting,
                                                   .media = s->media,
                                                   .signaling = s->signaling,
                                                   .push_url = app->config->push_url,
                                                   .push_secret = app->config->push_secret,
                                                   .has_push_text = app->config->has_push_text,
                                                   .allowed = allowed,
                                                   .allowed_count = count});
    if (!err)
        s->task = app_runs_here(app, task_rpc(s->task_service));
    return err;
}

static enum err start_messages(struct app *app)
{
    const struct app_config *c = app->config;
    struct app_services *s = app->services;
    s->shards = app_shards_create(app);
    if (!app_runs(c, "message")) {
        s->message = app_shards_route(s->shards, NULL, message_routes.service, NULL);
        s->group = app_shards_route(s->shards, NULL, group_routes.service, NULL);
        s->contact = app_runs_elsewhere(app, &contact_routes);
        s->webhook = app_shards_route(s->shards, NULL, webhook_routes.service, NULL);
        return ERR_OK;
    }
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
                               .shards = (unsigned)c->shards,
                               .bases = app->bases,
                               .base_count = app->stores.count,
                               .instance = app_shards_self(app),
                               .name = app_shards_name(app),
                               .is_adding_contacts_only = c->adding == APP_ADDING_CONTACTS,
                               .secret = str_from(app->jwt_secret),
                               .is_push_wanted = c->push_url[0] != '\0',
                               .has_upstream = c->has_upstream && c->event_bus,
                               .webhook_failing_max_ms = c->webhook_failing_hours * 3600000,
                               .keep_max_ms = c->keep_max_s * 1000,
                               .retention_every_ms = c->retention_every_s * 1000});
    if (err)
        return err;
    struct message_service *own = s->message_service;
    s->message = app_shards_route(s->shards, app_runs_here(app, message_rpc(own)),
                                  message_routes.service, own);
    s->group = app_shards_route(s->shards, app_runs_here(app, message_group_rpc(own)),
                                group_routes.service, own);
    s->contact = app_runs_here(app, message_contact_rpc(own));
    s->webhook = app_shards_route(s->shards, app_runs_here(app, message_webhook_rpc(own)),
                                  webhook_routes.service, own);
    message_set_peers(own, s->message);
    return ERR_OK;
}

static enum err start_presence(struct app *app)
{
    struct app_services *s = app->services;
    if (!app_runs(app->config, "presence")) {
        s->presence = app_runs_elsewhere(app, &presence_routes);
        return ERR_OK;
    }
    enum err err =
        presence_create(&s->presence_service, &(struct presence_deps){.message = s->message,
                                                                      .contact = s->contact,
                                                                      .store = app->store,
                                                                      .cache = app->cache,
                                                                      .bus = app->bus,
                                                                      .loop = s->timers});
    if (err)
        return err;
    s->presence = app_runs_here(app, presence_rpc(s->presence_service));
    return ERR_OK;
}

static enum err start_gateway(struct app *app)
{
    struct app_services *s = app->services;
    if (!app_runs(app->config, "gateway"))
        return ERR_OK;
    return gateway_create(&s->gateway,
                          &(struct gateway_deps){.auth = s->auth,
                                                 .message = s->message,
                                                 .group = s->group,
                                                 .contact = s->contact,
                                                 .presence = s->presence,
                                                 .bus = app->bus,
                                                 .is_unlimited = !app->config->is_rate_limited});
}

static enum err start_user(struct app *app, const struct password_options *password)
{
    const struct app_config *c = app->config;
    struct app_services *s = app->services;
    if (!app_runs(c, "user")) {
        s->user = app_runs_elsewhere(app, &user_routes);
        return ERR_OK;
    }
    enum err err =
        user_create(&s->user_service,
                    &(struct user_deps){.store = app->store,
                                        .bus = app->bus,
                                        .blob = app->blob,
                                        .registration = (enum user_registration)c->registration,
                                        .bots_max = c->bots_max ? c->bots_max : -1,
                                        .erase_queues = app_erase_queues,
                                        .erase_queue_count = app_erase_queue_count,
                                        .password = *password});
    if (!err)
        s->user = app_runs_here(app, user_rpc(s->user_service));
    return err;
}

static enum err start_media(struct app *app)
{
    const struct app_config *c = app->config;
    struct app_services *s = app->services;
    if (!app_runs(c, "media")) {
        s->media = app_runs_elsewhere(app, &media_routes);
        return ERR_OK;
    }
    enum err err =
        media_create(&s->media_service, &(struct media_deps){.store = app->store,
                                                             .bus = app->bus,
                                                             .apart = app_media_apart(app),
                                                             .options = media_options(c)});
    if (err)
        return err;
    s->media = app_runs_here(app, media_rpc(s->media_service));
    app->report.media_port = media_port(s->media_service);
    return ERR_OK;
}

static enum err start_services(struct app *app)
{
    const struct password_options password = {.ops = app->config->password_ops,
                                              .memory_bytes = app->config->password_memory_bytes};
    enum err err = loop_create(&app->services->timers, "timers");
    if (!err)
        err = start_user(app, &password);
    if (!err)
        err = start_auth(app, &password);
    if (!err)
        err = start_media(app);
    if (!err)
        err = start_meeting(app, &password);
    if (!err)
        err = start_signaling(app);
    if (!err)
        err = start_files(app);
    if (!err)
        err = start_messages(app);
    if (!err)
        err = start_presence(app);
    if (!err)
        err = start_tasks(app);
    return err ? err : start_gateway(app);
}

/* What commands on this machine may call. Without it the server is no worse a server. */
static void start_control(struct app *app)
{
    struct app_services *s = app->services;
    s->operate_service = app_operate_create(
        &(struct app_operate_options){.store = app->store,
                                      .shard_stores = app->stores.shard_stores,
                                      .shard_store_count = app->stores.count,
                                      .shard_stores_wanted = app->config->shard_stores.count,
                                      .data_dir = app->config->data_dir,
                                      .blob_dir = app_blob_dir(app->config, app->arena),
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
        err = app_face_create(app);
    if (!err)
        start_control(app);
    return err;
}

/* ---- stopping: callers before those whom they call ---- */

/* While others may still call: who places meetings takes them from here. */
void app_topology_leave(struct app *app)
{
    struct app_services *s = app->services;
    if (app->split && s && s->media_service && !s->signaling_service)
        media_drain(s->media_service, app->config->drain_ms);
}

void app_topology_drain(struct app *app)
{
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
    app_bases_stop(app);
    bus_stop_tasks(app->bus);
    bus_stop_events(app->bus);
    gateway_destroy(&s->gateway);
    app_leave(&s->presence);
    presence_destroy(&s->presence_service);
    app_shards_destroy(&s->shards);
    message_stop_following(s->message_service);
    app_leave(&s->message);
    app_leave(&s->group);
    app_leave(&s->contact);
    app_leave(&s->task);
    task_destroy(&s->task_service);
    app_leave(&s->webhook);
    message_destroy(&s->message_service);
    app_leave(&s->file);
    file_destroy(&s->file_service);
    convert_destroy(&s->convert);
    app_leave(&s->signaling);
    signaling_destroy(&s->signaling_service);
    app_leave(&s->signaling_peers);
    app_leave(&s->meeting);
    meeting_destroy(&s->meeting_service);
    app_leave(&s->media);
    media_destroy(&s->media_service);
    app_leave(&s->media_peers);
    app_leave(&s->auth);
    auth_destroy(&s->auth_service);
    app_leave(&s->user);
    user_destroy(&s->user_service);
    edge_destroy(&app->edge); /* after the answers that go through it */
    loop_destroy(&s->timers);
    free(s);
    app->services = NULL;
}
