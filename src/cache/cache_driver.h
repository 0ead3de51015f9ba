/* cache_driver: what a cache must offer. Keys and values were checked before; all functions are
 * called from any thread. */
#pragma once

#include "cache/cache.h"

struct cache_impl; /* the driver's own */

enum cache_mode { CACHE_MODE_SET, CACHE_MODE_ADD };

struct cache_driver {
    const char *name;
    enum err (*open)(const struct cache_options *opt, struct cache_impl **out);
    void (*close)(struct cache_impl **impl);
    enum err (*get)(struct cache_impl *impl, struct str key, struct arena *arena,
                    struct str *value);
    enum err (*put)(struct cache_impl *impl, struct str key, struct str value, int64_t ttl_ms,
                    enum cache_mode mode);
    enum err (*remove)(struct cache_impl *impl, struct str key);
    enum err (*increment)(struct cache_impl *impl, struct str key, int64_t delta, int64_t ttl_ms,
                          int64_t *value);
    /* NULL: it is of this process, and always there. */
    bool (*is_up)(struct cache_impl *impl);
};

extern const struct cache_driver cache_memory;
extern const struct cache_driver cache_redis;
