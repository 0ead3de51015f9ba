/*
 * app_platform: what the services stand on. The data directory and what must be in it (made on the
 * first start, never logged), the store with its migrations, cache, bus and blobs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app_internal.h"
#include "app/app_registry.h"
#include "app/app_split.h"
#include "services/common/erase.h"
#include "core/clock_trust.h"
#include "core/file.h"
#include "core/id.h"
#include "core/log.h"

#define SECRET_CHARS 43 /* 256 bits of base64url */

static enum err refuse(struct strbuf *problem, enum err err, const char *what, const char *path)
{
    strbuf_printf(problem, "%s %s: %s", what, path, err_text(err));
    return err;
}

/* ---- the secret ---- */

static enum err make_secret(struct app *app, const char *path, struct strbuf *problem)
{
    char secret[SECRET_CHARS + 1];
    id_token(secret, SECRET_CHARS);
    enum err err = file_write_atomic(path, secret, SECRET_CHARS, 0600);
    if (err)
        return refuse(problem, err, "cannot write", path);
    app->jwt_secret = arena_strdup(app->arena, secret);
    explicit_bzero(secret, sizeof(secret));
    app_note(app, "made the key that signs tokens: %s", path);
    return ERR_OK;
}

/* Configured, or kept in the data directory, or made now. */
static enum err find_secret(struct app *app, struct strbuf *problem)
{
    const char *configured = app->config->jwt_secret;
    if (configured && configured[0]) {
        app->jwt_secret = configured;
        return ERR_OK;
    }
    const char *path = app_path(app, "jwt.secret");
    char *text = NULL;
    size_t n = 0;
    enum err err = file_read(path, 4096, &text, &n);
    if (err == ERR_NOT_FOUND)
        return make_secret(app, path, problem);
    if (err)
        return refuse(problem, err, "cannot read", path);
    struct str secret = str_trim((struct str){text, n});
    if (secret.n >= APP_SECRET_MIN_CHARS) {
        app->jwt_secret = str_arena(app->arena, secret);
    } else {
        strbuf_printf(problem,
                      "%s: expected a key of at least %d characters; remove the file to "
                      "have a new one made (everybody must sign in again)",
                      path, APP_SECRET_MIN_CHARS);
        err = ERR_FAILED_PRECONDITION;
    }
    explicit_bzero(text, n);
    free(text);
    return err;
}

static enum err read_key(struct app *app, struct strbuf *problem)
{
    const char *path = app->config->jwt_key_file;
    char *pem = NULL;
    size_t n = 0;
    if (!path || !path[0])
        return ERR_OK;
    enum err err = file_read(path, 64 << 10, &pem, &n);
    if (err)
        return refuse(problem, err, "cannot read jwt.key_file", path);
    app->jwt_key_pem = str_arena(app->arena, (struct str){pem, n});
    explicit_bzero(pem, n);
    free(pem);
    return ERR_OK;
}

/* ---- the store ---- */

static void say_in_use(const struct app_config *config, struct strbuf *problem)
{
    strbuf_printf(problem,
                  "%s is in use by another parlance: stop that one, or give this one a "
                  "directory of its own (data_dir, PARLANCE_DATA_DIR)",
                  config->data_dir);
}

/* The embedded store has a lock of its own; where the tables are on a server, blobs, secrets and
 * the socket for commands still belong to one process. */
static enum err lock_data(struct app *app, struct strbuf *problem)
{
    const char *path = app_path(app, "lock");
    if (!app->config->store_driver)
        return ERR_OK;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return refuse(problem, err_from_errno(errno), "cannot open", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        say_in_use(app->config, problem);
        close(fd);
        return ERR_FAILED_PRECONDITION;
    }
    app->has_lock = true;
    app->lock_fd = fd;
    return ERR_OK;
}

static enum err open_server(struct store **out, const struct app_config *config,
                            struct strbuf *problem)
{
    const char *driver = app_store_drivers[config->store_driver];
    enum err err =
        store_open(out, &(struct store_options){.driver = driver,
                                                .url = config->store_url,
                                                .replicas = config->store_replicas.items,
                                                .replica_count = config->store_replicas.count});
    if (err)
        strbuf_printf(problem, "cannot open the %s database of store.url: %s", driver,
                      err_text(err));
    return err;
}

enum err app_store_open(struct store **out, const struct app_config *config, struct strbuf *problem)
{
    if (config->store_driver)
        return open_server(out, config, problem);
    struct strbuf path = {0};
    strbuf_printf(&path, "%s/store/parlance.db", config->data_dir);
    enum err err = store_open(out, &(struct store_options){.driver = "sqlite", .url = path.p});
    if (err == ERR_FAILED_PRECONDITION)
        say_in_use(config, problem);
    else if (err)
        refuse(problem, err, "cannot open", path.p);
    strbuf_deinit(&path);
    return err;
}

enum err app_migrate(struct app *app, struct store *store, const char *shards,
                     struct strbuf *problem)
{
    size_t count, pending = 0;
    const struct store_migration *list = app_migrations(app->arena, &count);
    enum err err = store_migrations_pending(store, list, count, &pending);
    if (!err && pending)
        err = store_migrate(store, list, count);
    if (err)
        strbuf_printf(problem, "cannot bring the database up to date: %s", err_text(err));
    else if (shards && pending)
        app_note(app, "brought the database of shards %s up to date", shards);
    else if (pending == count && count)
        app_note(app, "made the database: %s",
                 app->config->store_driver ? app_store_drivers[app->config->store_driver]
                                           : app_path(app, "store/parlance.db"));
    else if (pending)
        app_note(app, "brought the database up to date (%zu steps)", pending);
    return err;
}

/* ---- all of it ---- */

/* Who must hear of each event once, whether or not one of them has ever run. */
static const struct {
    const char *channel, *group;
} groups[] = {
    {"file_refs", "file"},       {"audit_events", "auth"},      {"user_events", "auth"},
    {"user_events", "meeting"},  {"meeting_events", "message"}, {"ai_events", "meeting"},
    {"media_events", "meeting"},
};

/* "erase_user" is of user. Those of messaging travel together, as Kafka's im-task-topic: with one
 * database for all they find who works on them, whichever process they come to. */
static const char *service_of(const char *queue)
{
    static const char *const queues[][2] = {
        {"meeting", "meeting"},
        {"media", "media"},
        {"signaling", "signaling"},
        {"ai", "ai"},
        {"push", "im"},
        {"webhooks", "im"},
        {"message_schedule", "im"},
        {"message_retention", "im"},
        {"message_follow", "im"},
        {ERASE_QUEUE("message"), "im"},
        {ERASE_QUEUE("presence"), "im"},
        {ERASE_QUEUE("user"), "user"},
    };
    for (size_t i = 0; i < ARRAY_LEN(queues); i++)
        if (strcmp(queues[i][0], queue) == 0)
            return queues[i][1];
    for (size_t i = 0; i < app_erase_queue_count; i++)
        if (strcmp(app_erase_queues[i], queue) == 0)
            return queue + strlen(ERASE_QUEUE(""));
    return NULL;
}

/* A broker that is away is no error: see /ready. */
static enum err open_bus(struct app *app, struct strbuf *problem)
{
    const struct app_config *c = app->config;
    bool is_one_broker = !c->message_queue_url[0] && c->message_queue == c->event_bus;
    struct bus_options opt = {
        .driver = app_bus_drivers[c->event_bus],
        .url = c->event_bus_url,
        .task_driver = app_bus_drivers[c->message_queue],
        .task_url = is_one_broker ? c->event_bus_url : c->message_queue_url,
        .service_of = service_of,
        .process = app->instance_id,
        .prefix = c->bus_prefix,
        .store = app->store,
        .task_threads = 14,
    };
    enum err err = bus_open(&app->bus, &opt);
    if (err == ERR_INVALID_ARGUMENT)
        strbuf_adds(problem, "event_bus or message_queue: this build has no such driver, or the "
                             "url is none of it (the log says which)");
    for (size_t i = 0; !err && i < ARRAY_LEN(groups); i++)
        bus_expect_group(app->bus, groups[i].channel, groups[i].group);
    return err;
}

static enum err open_stores(struct app *app, struct strbuf *problem)
{
    const struct app_config *c = app->config;
    id_token(app->instance_id, APP_INSTANCE_CHARS);
    enum err err = app_store_open(&app->store, c, problem);
    if (err)
        return err;
    err = app_migrate(app, app->store, NULL, problem);
    if (err)
        return err;
    clock_trust_load(app_path(app, "clock"));
    err = cache_open(&app->cache, &(struct cache_options){.driver = app_cache_drivers[c->cache],
                                                          .url = c->cache_url,
                                                          .prefix = c->cache_prefix,
                                                          .max_bytes = (size_t)c->cache_bytes});
    if (err == ERR_INVALID_ARGUMENT)
        strbuf_adds(problem, "cache.url or cache.prefix is none of a Redis (the log says why)");
    if (err)
        return err;
    err = open_bus(app, problem);
    if (err)
        return err;
    err = app_bases_open(app, problem);
    if (err)
        return err;
    err = app_blob_open(&app->blob, app->config, app->arena);
    if (err)
        return err;
    err = app_registry_open(app, problem);
    return err ? err : app_split_create(&app->split, c, app->registry, problem);
}

enum err app_platform_start(struct app *app, struct strbuf *problem)
{
    const char *dir = app->config->data_dir;
    struct stat st;
    bool is_new = stat(dir, &st) != 0;
    enum err err = file_make_dirs(dir, 0700);
    if (err)
        return refuse(problem, err, "cannot make the data directory", dir);
    if (is_new)
        app_note(app, "made the data directory: %s", dir);
    err = lock_data(app, problem);
    if (!err)
        err = find_secret(app, problem);
    if (!err)
        err = read_key(app, problem);
    if (err)
        return err;
    return open_stores(app, problem);
}

void app_platform_stop(struct app *app)
{
    app_split_destroy(&app->split);
    registry_close(&app->registry);
    app_bases_close(app);
    bus_close(&app->bus);
    blob_close(&app->blob);
    cache_close(&app->cache);
    store_close(&app->store);
    if (app->has_lock)
        close(app->lock_fd);
    app->has_lock = false;
}
