/*
 * app_live: see the header. One copy of the options, changed on the registry's thread alone; each
 * change is given to everything that has such an option, as atomic words (core/live.h).
 */
#include "app/app_live.h"

#include <stdlib.h>

#include "app/app_registry.h"
#include "app/app_services.h"
#include "core/live.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metric.h"

static struct metric overrides = METRIC_GAUGE(
    "parlance_config_overrides", "Options in force that the registry has, not the file.");
static struct metric refused =
    METRIC_COUNTER("parlance_config_refused_total", "Values of the registry that were refused.");

struct app_live {
    struct app *app;
    struct arena *arena;
    struct app_config now;
    uint32_t overridden; /* a bit for each key */
};

static const char *const keys[] = {
    "log.level",       "http.rate_limits",  "auth.registration",        "meeting.capacity",
    "files.max_bytes", "files.quota_bytes", "messages.recall_minutes",  "messages.keep_max_s",
    "messages.adding", "bots.per_owner",    "bots.may_create_meetings",
};

const char *app_live_key(size_t i)
{
    return i < ARRAY_LEN(keys) ? keys[i] : NULL;
}

static size_t find_key(struct str key)
{
    size_t i = 0;
    while (i < ARRAY_LEN(keys) && !str_eq(key, str_from(keys[i])))
        i++;
    return i;
}

bool app_live_has(struct str key)
{
    return find_key(key) < ARRAY_LEN(keys);
}

/* ---- giving them out ---- */

static void apply_to_services(const struct app_services *s, const struct app_config *c)
{
    if (s->user_service)
        user_set_rules(s->user_service, (enum user_registration)c->registration,
                       c->bots_max ? c->bots_max : -1);
    if (s->meeting_service)
        meeting_set_rules(s->meeting_service, c->meeting_capacity, c->may_bots_create);
    if (s->message_service)
        message_set_rules(s->message_service,
                          &(struct message_rules){
                              .recall_ms = c->recall_minutes * 60000,
                              .keep_max_ms = c->keep_max_s * 1000,
                              .is_adding_contacts_only = c->adding == APP_ADDING_CONTACTS,
                          });
    if (s->file_service)
        file_set_limits(s->file_service, c->file_max_bytes, c->file_quota_bytes);
    if (s->gateway)
        gateway_set_unlimited(s->gateway, !c->is_rate_limited);
}

static void apply(struct app_live *live)
{
    const struct app_config *c = &live->now;
    log_set_level((enum log_level)c->log_level);
    edge_set_rate_limited(live->app->edge, c->is_rate_limited);
    apply_to_services(live->app->services, c);
    metric_set(&overrides, __builtin_popcount(live->overridden));
}

/* ---- what the registry says ---- */

static void take_back(struct app_live *live, size_t i)
{
    if (!(live->overridden & 1u << i))
        return;
    config_copy(config_row_find(&app_config_table, str_from(keys[i])), live->app->config,
                &live->now);
    live->overridden &= ~(1u << i);
    apply(live);
    log_warn(NULL, "%s is again as the configuration file has it", keys[i]);
}

static void put_in_force(struct app_live *live, size_t i, const char *value)
{
    struct strbuf problem = {0};
    if (config_set(&app_config_table, str_from(keys[i]), str_from(value), live->arena, &live->now,
                   &problem)) {
        metric_add(&refused, 1);
        log_error(NULL, "the registry's value is refused, the former one stays: %s", problem.p);
    } else {
        live->overridden |= 1u << i;
        apply(live);
        log_warn(NULL, "%s is now %s, by the registry", keys[i], value);
    }
    strbuf_deinit(&problem);
}

static void on_record(void *arg, const char *name, const char *value)
{
    struct app_live *live = arg;
    size_t i = find_key(str_from(name));
    if (i == ARRAY_LEN(keys))
        log_warn(NULL, "the registry sets %s, which is no option that changes while we run", name);
    else if (value)
        put_in_force(live, i, value);
    else
        take_back(live, i);
}

void app_live_start(struct app *app)
{
    struct app_live *live = mem_new(struct app_live);
    live->app = app;
    live->arena = arena_create();
    live->now = *app->config;
    app->live = live;
    registry_record_watch(app->registry, APP_SPACE_CONFIG, on_record, live);
}

void app_live_stop(struct app *app)
{
    if (!app->live)
        return;
    registry_record_unwatch(app->registry, on_record, app->live);
    arena_destroy(&app->live->arena);
    free(app->live);
    app->live = NULL;
}
