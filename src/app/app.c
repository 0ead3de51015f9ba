/*
 * app: start and stop of the whole. The order is: what holds data, who works on it, who may reach
 * it; and the other way round on the way out. Each part cleans up half-built.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "app/app_internal.h"
#include "app/app_live.h"
#include "app/app_registry.h"
#include "app/app_split.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "telemetry/telemetry.h"

#define FEW_DESCRIPTORS 1024

const char *app_path(const struct app *app, const char *name)
{
    return arena_printf(app->arena, "%s/%s", app->config->data_dir, name);
}

const char *app_blob_dir(const struct app_config *config, struct arena *arena)
{
    return config->blob_dir[0] ? config->blob_dir
                               : arena_printf(arena, "%s/blobs", config->data_dir);
}

enum err app_blob_open(struct blob_store **out, const struct app_config *c, struct arena *arena)
{
    return blob_open(out, &(struct blob_options){.driver = app_blob_drivers[c->blob_driver],
                                                 .root = app_blob_dir(c, arena),
                                                 .s3 = {.endpoint = c->blob_endpoint,
                                                        .bucket = c->blob_bucket,
                                                        .prefix = c->blob_prefix,
                                                        .region = c->blob_region,
                                                        .access_key = c->blob_access_key,
                                                        .secret_key = c->blob_secret_key,
                                                        .ca_file = c->blob_tls_ca,
                                                        .is_by_host = !c->blob_path_style}});
}

void app_note(struct app *app, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (app->report.note_count < APP_NOTES_MAX)
        app->notes[app->report.note_count++] = arena_strdup(app->arena, text);
}

/* "parlance", or "parlance-user+auth" where not all services are. */
static const char *name_service(struct app *app)
{
    struct strbuf name = {0};
    const struct config_list *services = &app->config->services;
    strbuf_adds(&name, "parlance");
    for (size_t i = 0; i < services->count && strcmp(services->items[i], "all") != 0; i++)
        strbuf_printf(&name, "%c%s", i ? '+' : '-', services->items[i]);
    char *text = str_arena(app->arena, strbuf_str(&name));
    strbuf_deinit(&name);
    return text;
}

static enum err start_telemetry(struct app *app, struct strbuf *problem)
{
    struct telemetry_options opt = {.otlp_url = app->config->otlp_url,
                                    .loki_url = app->config->loki_url,
                                    .service = name_service(app),
                                    .instance = app->config->instance,
                                    .version = app->version};
    app_ratio_ppm(str_from(app->config->trace_ratio), &opt.trace_ratio_ppm);
    enum err err = telemetry_open(&app->telemetry, &opt);
    if (err)
        strbuf_printf(problem, "cannot send traces or logs: %s", err_text(err));
    return err;
}

enum err app_create(struct app **out, const struct app_config *config, const char *version,
                    struct strbuf *problem)
{
    struct app *app = mem_zalloc(sizeof(*app));
    app->arena = arena_create();
    app->config = config;
    app->version = version;
    app->report.data_dir = config->data_dir;
    app->report.notes = app->notes;
    telemetry_count_process(version);
    enum err err = start_telemetry(app, problem);
    if (!err)
        err = app_platform_start(app, problem);
    if (err)
        goto fail;
    err = app_topology_start(app);
    if (err)
        goto fail;
    app_live_start(app);
    bus_start(app->bus);
    app_bases_start(app);
    err = app_front_start(app, problem);
    if (!err)
        err = app_split_serve(app->split, problem);
    if (err)
        goto fail;
    app_registry_announce(app);
    *out = app;
    return ERR_OK;
fail:
    if (!problem->n)
        strbuf_printf(problem, "cannot start: %s", err_text(err));
    app_destroy(&app);
    return err;
}

const struct app_report *app_report(const struct app *app)
{
    return &app->report;
}

void app_reload(struct app *app)
{
    struct strbuf problem = {0};
    app_split_reload(app->split);
    if (!app->tls)
        return;
    if (net_tls_reload(app->tls, &problem) == ERR_OK)
        log_info(NULL, "the certificate was read again");
    else
        log_error(NULL, "the certificate stays as it was: %s",
                  problem.p ? problem.p : "unreadable");
    strbuf_deinit(&problem);
}

void app_drain(struct app *app)
{
    app_topology_leave(app);
    int64_t until_ms = clock_mono_ms() + app->config->drain_ms;
    registry_leave(app->registry); /* first: nobody new comes */
    app_split_leave(app->split);
    edge_drain(app->edge);
    app_topology_drain(app);
    app_front_drain(app);
    app_split_drain(app->split, until_ms);
}

void app_destroy(struct app **app_)
{
    struct app *app = *app_;
    *app_ = NULL;
    if (!app)
        return;
    app_live_stop(app);
    app_front_stop(app);
    app_split_close(app->split);
    app_topology_stop(app);
    app_front_join(app);
    app_platform_stop(app);
    telemetry_close(&app->telemetry);
    arena_destroy(&app->arena);
    free(app);
}

void app_raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (limit.rlim_cur <= FEW_DESCRIPTORS)
        log_warn(NULL,
                 "only %llu descriptors may be open, so about as many connections: raise it with "
                 "LimitNOFILE= (systemd) or `ulimit -Hn` before the start",
                 (unsigned long long)limit.rlim_cur);
}
