/*
 * cache: keys with expiry; holds nothing that cannot be rebuilt. Thread-safe. Keys are 1 to 512
 * bytes, values at most 1 MiB (ERR_INVALID_ARGUMENT beyond). ttl_ms 0: no expiry, until room is
 * needed. A shared cache may be away: then each call ends at once with ERR_UNAVAILABLE. With one,
 * no call may be made on a loop.
 */
#pragma once

#include "core/arena.h"
#include "core/err.h"
#include "core/str.h"

struct cache;

struct cache_options {
    const char *driver; /* "memory": of this process; "redis": shared */
    size_t max_bytes;   /* memory: 0: 64 MiB; beyond it the least recently used go */
    const char *url;    /* redis: see redis.h */
    const char *prefix; /* redis: of all keys; NULL: "parlance:cache:"; at most 64 bytes */
};

MUST_USE enum err cache_open(struct cache **out, const struct cache_options *opt);
void cache_close(struct cache **cache);
/* Whether several processes see the same keys, and whether it answers now. */
bool cache_is_shared(const struct cache *cache);
bool cache_is_up(struct cache *cache);
/* A small cache of this process alone, for what must go on while the shared one is away (limits);
 * the same one when it is not shared. */
struct cache *cache_local(struct cache *cache);
/* ERR_NOT_FOUND when absent or expired. The value is copied into the arena, NUL-terminated. */
MUST_USE enum err cache_get(struct cache *cache, struct str key, struct arena *arena,
                            struct str *value);
MUST_USE enum err cache_set(struct cache *cache, struct str key, struct str value, int64_t ttl_ms);
/* Sets only when absent: ERR_ALREADY_EXISTS otherwise. */
MUST_USE enum err cache_add(struct cache *cache, struct str key, struct str value, int64_t ttl_ms);
/* ERR_OK also when it was not there. */
MUST_USE enum err cache_delete(struct cache *cache, struct str key);
/* Atomically adds delta to a counter (absent: 0); ttl applies when it is created. For rate limits.
 * A counter reads as decimal text; ERR_FAILED_PRECONDITION when the value is no number,
 * ERR_OUT_OF_RANGE on overflow. */
MUST_USE enum err cache_increment(struct cache *cache, struct str key, int64_t delta,
                                  int64_t ttl_ms, int64_t *value);
