/*
 * throttle: slows down guessing. A key may fail a few times for free; then every further try must
 * win a place that opens again after a wait that doubles. Who succeeds is forgiven at once. The
 * counters live in the cache: shared between processes, gone after their window.
 */
#pragma once

#include "cache/cache.h"
#include "core/err.h"

struct throttle_rule {
    const char *scope;      /* "login": part of the key */
    int64_t free_count;     /* tries before the first wait */
    int64_t first_delay_ms; /* doubles with each try */
    int64_t delay_max_ms;
    int64_t window_ms; /* tries are forgotten after this */
};

/*
 * Counts a try. ERR_RESOURCE_EXHAUSTED: not now, come back after *retry_after_ms; a refused try
 * does not lengthen the wait. When the shared cache is away this process counts by itself; when
 * there is no counting at all the try is let through (logged), for nobody shall be locked out.
 */
MUST_USE enum err throttle_try(struct cache *cache, const struct throttle_rule *rule,
                               const char *key, int64_t *retry_after_ms);
/* It was the right one: forget the tries. */
void throttle_forget(struct cache *cache, const struct throttle_rule *rule, const char *key);

/* It was a right one, but the key may have wrong ones to its name: only this try is not counted. */
void throttle_give_back(struct cache *cache, const struct throttle_rule *rule, const char *key);

/* The address as a throttle sees it: IPv6 by its /64, since one person has all of it. */
#define THROTTLE_ADDR_SIZE 64
void throttle_addr(const char *remote_addr, char out[THROTTLE_ADDR_SIZE]);
