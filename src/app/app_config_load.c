/* app_config_load: options from file, environment and command line, and what no row of the table
 * knows alone. */
#include "app/app_config.h"
#include "app/app_stores.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/app_config_form.h"
#include "core/file.h"

#define CONFIG_FILE_MAX_BYTES (1 << 20)

extern char **environ;

/* What no row knows alone. */
static const char *problem_of(const struct app_config *c)
{
    bool is_embedded = c->store_driver == 0;
    if (is_embedded && c->store_url[0])
        return "store.url: expected store.driver, too";
    if (!is_embedded && !c->store_url[0])
        return "store.driver: expected store.url, too";
    if (!is_embedded && (c->store_driver == 1) != (c->store_url[0] == 'p'))
        return "store.url: expected an address of what store.driver says";
    if (is_embedded && c->store_replicas.count)
        return "store.replicas: expected store.driver, too";
    if (is_embedded && c->blob_dir[0])
        return "blob.dir: expected store.driver, too";
    if (c->blob_driver && !(c->blob_endpoint[0] && c->blob_bucket[0] && c->blob_access_key[0] &&
                            c->blob_secret_key[0]))
        return "blob.driver s3: expected blob.endpoint, blob.bucket, blob.access_key and "
               "blob.secret_key, too";
    if (c->blob_driver && strchr(c->blob_bucket, '/'))
        return "blob.bucket: expected a name without /";
    if ((c->cache != 0) != (c->cache_url[0] != 0))
        return "cache.type and cache.url: expected both or neither";
    if ((c->event_bus != 0) != (c->event_bus_url[0] != 0))
        return "event_bus.type and event_bus.url: expected both or neither";
    if (c->message_queue && !c->message_queue_url[0] && c->message_queue != c->event_bus)
        return "message_queue.type: expected message_queue.url, too";
    if (!c->message_queue && c->message_queue_url[0])
        return "message_queue.url: expected message_queue.type, too";
    if (!c->tls_cert[0] != !c->tls_key[0])
        return "tls.cert and tls.key: expected both or neither";
    if (c->has_tls && c->http_port && c->http_port == c->https_port)
        return "http.port and http.tls_port: expected two different ports";
    if (c->push_url[0] && !c->push_secret[0])
        return "push.url: expected push.secret, too";
    const char *wrong = app_registry_problem(c);
    wrong = wrong ? wrong : app_shard_stores_problem(c);
    return wrong ? wrong : app_split_problem(c);
}

/* The words of --services instead of services.run. */
static enum err choose_services(const char *words, struct arena *arena, struct app_config *out,
                                struct strbuf *problem)
{
    struct str rest = str_from(words), word;
    out->services = (struct config_list){arena_array(arena, const char *, rest.n + 1), 0};
    for (bool is_more = true; is_more;) {
        is_more = str_cut(&rest, ',', &word);
        word = str_trim(word);
        if (!word.n || !app_is_service(word)) {
            strbuf_printf(problem, "--services: expected %s, found \"%.*s\"", app_service_form.text,
                          STR_FMT(word));
            return ERR_INVALID_ARGUMENT;
        }
        out->services.items[out->services.count++] = str_arena(arena, word);
    }
    return ERR_OK;
}

enum err app_config_load_for(const char *path, const char *services, struct arena *arena,
                             struct app_config *out, struct strbuf *problem)
{
    char *text = NULL;
    size_t n = 0;
    bool is_default = !path;
    const char *name = path ? path : "parlance.yaml";
    if (!is_default || access(name, F_OK) == 0) {
        enum err err = file_read(name, CONFIG_FILE_MAX_BYTES, &text, &n);
        if (err) {
            strbuf_printf(problem, "%s: cannot be read: %s", name, err_text(err));
            return err;
        }
    }
    enum err err = config_parse(&app_config_table, (struct str){text ? text : "", n}, name, environ,
                                arena, out, problem);
    free(text);
    if (!err && services)
        err = choose_services(services, arena, out, problem);
    const char *wrong = err ? NULL : problem_of(out);
    if (!wrong)
        return err;
    strbuf_adds(problem, wrong);
    return ERR_INVALID_ARGUMENT;
}

enum err app_config_load(const char *path, struct arena *arena, struct app_config *out,
                         struct strbuf *problem)
{
    return app_config_load_for(path, NULL, arena, out, problem);
}

void app_config_unknown(config_unknown_fn *fn, void *arg)
{
    config_unknown_env(&app_config_table, environ, fn, arg);
}
