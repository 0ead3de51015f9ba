/* app_stores: see app_stores.h. An address is never said, since it holds a password: a database is
 * named by its shards. */
#include "app/app_stores.h"

#include <stdlib.h>
#include <string.h>

#include "app/app_internal.h"
#include "app/app_split.h"
#include "bus/bus_forward.h"
#include "core/mem.h"

/* ---- what the configuration says ---- */

static bool take_shards(struct str text, uint64_t *shards)
{
    struct str from, to = text;
    uint64_t first, last;
    bool is_range = str_cut(&to, '-', &from);
    if (!str_to_u64(from, &first))
        return false;
    last = first;
    if ((is_range && !str_to_u64(to, &last)) || first > last || last >= SHARDS_MAX)
        return false;
    for (uint64_t i = first; i <= last; i++) {
        if (*shards >> i & 1)
            return false;
        *shards |= UINT64_C(1) << i;
    }
    return true;
}

static const char *driver_of(struct str url)
{
    bool is_postgres = str_starts(url, STR("postgres://")) || str_starts(url, STR("postgresql://"));
    bool is_mysql = str_starts(url, STR("mysql://")) || str_starts(url, STR("mariadb://"));
    return is_postgres ? "postgres" : is_mysql ? "mysql" : NULL;
}

bool app_shard_store_parse(struct str text, struct arena *arena, struct app_shard_store *out)
{
    struct str ranges, range;
    *out = (struct app_shard_store){0};
    if (!str_cut(&text, '=', &ranges))
        return false;
    out->range = arena ? str_arena(arena, ranges) : NULL;
    out->url = arena ? str_arena(arena, text) : NULL;
    out->driver = driver_of(text);
    for (bool is_more = true; is_more;) {
        is_more = str_cut(&ranges, '+', &range);
        if (!take_shards(range, &out->shards))
            return false;
    }
    return out->driver != NULL;
}

const char *app_shard_stores_problem(const struct app_config *c)
{
    const struct config_list *list = &c->shard_stores;
    uint64_t taken = 0;
    if (!list->count)
        return NULL;
    if (!c->store_driver)
        return "messages.shard_stores: expected store.driver, too: SQLite has all shards itself";
    if (list->count > APP_SHARD_STORES_MAX)
        return "messages.shard_stores: at most 16 databases";
    for (size_t i = 0; i < list->count; i++) {
        struct app_shard_store one;
        if (!app_shard_store_parse(str_from(list->items[i]), NULL, &one))
            continue; /* said when it was read */
        if (c->shards < SHARDS_MAX && one.shards >> c->shards)
            return "messages.shard_stores: there are not so many shards (messages.shards; the "
                   "first "
                   "is 0)";
        if (one.shards & taken)
            return "messages.shard_stores: a shard is named twice";
        taken |= one.shards;
        const char *url = strchr(list->items[i], '=') + 1;
        bool is_twice = strcmp(url, c->store_url) == 0;
        for (size_t j = 0; j < i; j++)
            is_twice |= strcmp(strchr(list->items[j], '=') + 1, url) == 0;
        if (is_twice)
            return "messages.shard_stores: a database is named twice (its shards together are "
                   "written as 2+4-7=...)";
    }
    return NULL;
}

/* ---- opened ---- */

enum err app_shard_stores_open(struct app_stores *out, const struct app_config *config,
                               struct arena *arena, struct strbuf *problem)
{
    for (size_t i = 0; i < config->shard_stores.count && i < APP_SHARD_STORES_MAX; i++) {
        struct app_shard_store *one = &out->shard[i];
        if (!app_shard_store_parse(str_from(config->shard_stores.items[i]), arena, one))
            return ERR_INVALID_ARGUMENT;
        enum err err = store_open(&out->shard_stores[i],
                                  &(struct store_options){.driver = one->driver, .url = one->url});
        if (err) {
            strbuf_printf(problem,
                          "cannot open the %s database of messages.shard_stores for shards %s: %s",
                          one->driver, one->range, err_text(err));
            return err;
        }
        out->count++;
    }
    return ERR_OK;
}

enum err app_stores_open(struct app_stores *out, const struct app_config *config,
                         struct arena *arena, struct strbuf *problem)
{
    *out = (struct app_stores){0};
    enum err err = app_store_open(&out->main, config, problem);
    return err ? err : app_shard_stores_open(out, config, arena, problem);
}

void app_stores_close(struct app_stores *stores)
{
    while (stores->count)
        store_close(&stores->shard_stores[--stores->count]);
    store_close(&stores->main);
}

/* ---- of the running server ---- */

static enum err open_forward(struct app *app, size_t i, struct strbuf *problem)
{
    /* What is told in transactions of conversations. */
    static const char *const channels[] = {"file_refs", "audit_events", NULL};
    static const char *const queues[] = {"push", "webhooks", "message_schedule", NULL};
    enum err err = bus_forward_open(
        &app->forwards[i], &(struct bus_forward_options){.to = app->bus,
                                                         .store = app->stores.shard_stores[i],
                                                         .process = app->instance_id,
                                                         .channels = channels,
                                                         .queues = queues});
    if (err)
        strbuf_printf(problem, "cannot use the database of messages.shard_stores for shards %s: %s",
                      app->stores.shard[i].range, err_text(err));
    else
        app->bases[i] = (struct message_base){.store = app->stores.shard_stores[i],
                                              .bus = bus_forward_bus(app->forwards[i]),
                                              .shards = app->stores.shard[i].shards};
    return err;
}

enum err app_bases_open(struct app *app, struct strbuf *problem)
{
    if (!app_runs(app->config, "message"))
        return ERR_OK;
    enum err err = app_shard_stores_open(&app->stores, app->config, app->arena, problem);
    for (size_t i = 0; i < app->stores.count && !err; i++) {
        err = app_migrate(app, app->stores.shard_stores[i], app->stores.shard[i].range, problem);
        if (!err)
            err = open_forward(app, i, problem);
    }
    return err;
}

void app_bases_start(struct app *app)
{
    for (size_t i = 0; i < app->stores.count; i++)
        bus_forward_start(app->forwards[i]);
}

void app_bases_stop(struct app *app)
{
    for (size_t i = 0; i < app->stores.count; i++)
        bus_forward_stop(app->forwards[i]);
}

void app_bases_close(struct app *app)
{
    for (size_t i = 0; i < app->stores.count; i++)
        bus_forward_close(&app->forwards[i]);
    app_stores_close(&app->stores); /* the first is the app's own, and not among them */
}

bool app_bases_are_ready(void *arg)
{
    const struct app *app = arg;
    bool are_ready = true;
    for (size_t i = 0; i < app->stores.count; i++)
        are_ready &= store_is_writable(app->stores.shard_stores[i]);
    return are_ready;
}
