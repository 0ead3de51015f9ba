/* cache: the room's front. Checks what comes in, so that every driver refuses the same, and calls
 * the driver named in the options. */
#include "cache/cache.h"

#include <stdlib.h>
#include <string.h>

#include "cache/cache_driver.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metric.h"
#include "core/span.h"

#define KEY_MAX_BYTES 512
#define VALUE_MAX_BYTES (1u << 20)
#define MAX_BYTES_DEFAULT (64u << 20)

#define LOCAL_MAX_BYTES (4u << 20)

struct cache {
    const struct cache_driver *driver;
    struct cache_impl *impl;
    struct cache *local; /* NULL: this one is */
    struct metric_cell *hits, *misses, *failures;
};

static struct metric metric_lookups =
    METRIC_COUNTER("parlance_cache_lookups_total", "Keys asked for.", "result");

static void start_span(const struct cache *cache, struct span *span, const char *name)
{
    span_start_child(span, name, SPAN_CLIENT);
    span_add_text(span, "db.system", cache->driver->name);
}

static const struct cache_driver *const drivers[] = {
    &cache_memory,
    &cache_redis,
};

enum err cache_open(struct cache **out, const struct cache_options *opt)
{
    *out = NULL;
    const char *name = opt->driver ? opt->driver : "memory";
    const struct cache_driver *driver = NULL;
    for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
        if (strcmp(drivers[i]->name, name) == 0)
            driver = drivers[i];
    if (!driver) {
        log_error(NULL, "cache: no driver is called \"%s\"", name);
        return ERR_INVALID_ARGUMENT;
    }
    struct cache_options own = *opt;
    own.max_bytes = own.max_bytes ? own.max_bytes : MAX_BYTES_DEFAULT;
    struct cache_impl *impl;
    enum err err = driver->open(&own, &impl);
    if (err)
        return err;
    struct cache *cache = *out = mem_new(struct cache);
    *cache = (struct cache){.driver = driver, .impl = impl};
    cache->hits = metric_cell(&metric_lookups, "hit", NULL, NULL);
    cache->misses = metric_cell(&metric_lookups, "miss", NULL, NULL);
    cache->failures = metric_cell(&metric_lookups, "error", NULL, NULL);
    if (driver->is_up)
        err = cache_open(&cache->local, &(struct cache_options){.max_bytes = LOCAL_MAX_BYTES});
    return err;
}

void cache_close(struct cache **cachep)
{
    struct cache *cache = *cachep;
    *cachep = NULL;
    if (!cache)
        return;
    cache_close(&cache->local);
    cache->driver->close(&cache->impl);
    free(cache);
}

bool cache_is_shared(const struct cache *cache)
{
    return cache->driver->is_up != NULL;
}

bool cache_is_up(struct cache *cache)
{
    return !cache->driver->is_up || cache->driver->is_up(cache->impl);
}

struct cache *cache_local(struct cache *cache)
{
    return cache->local ? cache->local : cache;
}

static bool is_key(struct str key)
{
    return key.n >= 1 && key.n <= KEY_MAX_BYTES;
}

enum err cache_get(struct cache *cache, struct str key, struct arena *arena, struct str *value)
{
    struct span span;
    *value = STR_NULL;
    if (!is_key(key))
        return ERR_INVALID_ARGUMENT;
    start_span(cache, &span, "cache.get");
    enum err err = cache->driver->get(cache->impl, key, arena, value);
    const char *found = !err ? "hit" : err == ERR_NOT_FOUND ? "miss" : "error";
    metric_cell_add(!err ? cache->hits : err == ERR_NOT_FOUND ? cache->misses : cache->failures, 1);
    span_add_text(&span, "parlance.cache", found);
    span_end(&span, err == ERR_NOT_FOUND ? ERR_OK : err);
    return err;
}

static enum err put(struct cache *cache, struct str key, struct str value, int64_t ttl_ms,
                    enum cache_mode mode)
{
    if (!is_key(key) || value.n > VALUE_MAX_BYTES || ttl_ms < 0)
        return ERR_INVALID_ARGUMENT;
    struct span span;
    start_span(cache, &span, "cache.put");
    enum err err = cache->driver->put(cache->impl, key, value, ttl_ms, mode);
    span_end(&span, err == ERR_ALREADY_EXISTS ? ERR_OK : err);
    return err;
}

enum err cache_set(struct cache *cache, struct str key, struct str value, int64_t ttl_ms)
{
    return put(cache, key, value, ttl_ms, CACHE_MODE_SET);
}

enum err cache_add(struct cache *cache, struct str key, struct str value, int64_t ttl_ms)
{
    return put(cache, key, value, ttl_ms, CACHE_MODE_ADD);
}

enum err cache_delete(struct cache *cache, struct str key)
{
    struct span span;
    if (!is_key(key))
        return ERR_INVALID_ARGUMENT;
    start_span(cache, &span, "cache.delete");
    enum err err = cache->driver->remove(cache->impl, key);
    span_end(&span, err);
    return err;
}

enum err cache_increment(struct cache *cache, struct str key, int64_t delta, int64_t ttl_ms,
                         int64_t *value)
{
    *value = 0;
    if (!is_key(key) || ttl_ms < 0)
        return ERR_INVALID_ARGUMENT;
    struct span span;
    start_span(cache, &span, "cache.increment");
    enum err err = cache->driver->increment(cache->impl, key, delta, ttl_ms, value);
    span_end(&span, err);
    return err;
}
