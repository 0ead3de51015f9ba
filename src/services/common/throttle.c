/*
 * throttle: two entries a key in the cache, a counter of tries and, once those that are free are
 * used up, a gate that exists as long as nobody may try. Passing means creating the gate, which is
 * atomic: of many parallel guesses one gets through. Keys are hashed, so what people typed (it may
 * be a password in the wrong field) is not kept.
 */
#include "services/common/throttle.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <stdio.h>

#include "core/arena.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/metric.h"

#define KEY_SIZE 128

static struct metric metric_local =
    METRIC_COUNTER("parlance_throttle_local_total",
                   "Tries counted by this process alone, the shared cache being away.", "scope");

static struct str make_key(char out[KEY_SIZE], const char *part, const struct throttle_rule *rule,
                           const char *key)
{
    uint8_t hash[16];
    char hex[2 * sizeof(hash) + 1];
    crypto_generichash(hash, sizeof(hash), (const uint8_t *)key, strlen(key), NULL, 0);
    str_hex(hex, hash, sizeof(hash));
    int n = snprintf(out, KEY_SIZE, "throttle:%s:%s:%s", rule->scope, part, hex);
    return (struct str){out, (size_t)MIN(n, KEY_SIZE - 1)};
}

static int64_t delay_of(const struct throttle_rule *rule, int64_t tries)
{
    int64_t delay = rule->first_delay_ms;
    for (int64_t i = rule->free_count + 1; i < tries && delay < rule->delay_max_ms; i++)
        delay *= 2;
    return MIN(delay, rule->delay_max_ms);
}

/* The gate's value is the wall time when it opens. */
static int64_t gate_wait_ms(struct cache *cache, const struct throttle_rule *rule, struct str gate)
{
    struct arena *arena = arena_create();
    struct str value;
    int64_t opens_at_ms = 0, wait_ms = 0;
    if (cache_get(cache, gate, arena, &value) == ERR_OK && str_to_i64(value, &opens_at_ms))
        wait_ms = CLAMP(opens_at_ms - clock_wall_ms(), 0, rule->delay_max_ms);
    arena_destroy(&arena);
    return wait_ms;
}

/* *problem: what the cache says; the try counts only if there is none. */
static enum err try_in(struct cache *cache, const struct throttle_rule *rule, const char *key,
                       int64_t *retry_after_ms, enum err *problem)
{
    char count_text[KEY_SIZE], gate_text[KEY_SIZE], value[24];
    struct str gate = make_key(gate_text, "gate", rule, key);
    struct str count = make_key(count_text, "count", rule, key);
    *retry_after_ms = gate_wait_ms(cache, rule, gate);
    if (*retry_after_ms > 0)
        return ERR_RESOURCE_EXHAUSTED;
    int64_t tries = 0;
    *problem = cache_increment(cache, count, 1, rule->window_ms, &tries);
    if (*problem || tries <= rule->free_count)
        return ERR_OK;
    int64_t delay_ms = delay_of(rule, tries);
    int n = snprintf(value, sizeof(value), "%lld", (long long)(clock_wall_ms() + delay_ms));
    enum err err = cache_add(cache, gate, (struct str){value, (size_t)n}, delay_ms);
    if (err != ERR_ALREADY_EXISTS)
        return ERR_OK;
    *retry_after_ms = MAX(gate_wait_ms(cache, rule, gate), 1);
    return ERR_RESOURCE_EXHAUSTED;
}

enum err throttle_try(struct cache *cache, const struct throttle_rule *rule, const char *key,
                      int64_t *retry_after_ms)
{
    enum err problem = ERR_OK;
    enum err err = try_in(cache, rule, key, retry_after_ms, &problem);
    if (problem == ERR_UNAVAILABLE && cache_is_shared(cache)) {
        metric_cell_add(metric_cell(&metric_local, rule->scope, NULL, NULL), 1);
        problem = ERR_OK;
        err = try_in(cache_local(cache), rule, key, retry_after_ms, &problem);
    }
    if (problem)
        log_warn(NULL, "throttle %s: the cache does not answer (%s), let through", rule->scope,
                 err_name(problem));
    return err;
}

/* What does not get through to a cache that is away ends with its window. */
static void note(const struct throttle_rule *rule, enum err err)
{
    if (err && err != ERR_UNAVAILABLE)
        log_warn(NULL, "throttle %s: the cache does not answer (%s)", rule->scope, err_name(err));
}

void throttle_forget(struct cache *cache, const struct throttle_rule *rule, const char *key)
{
    char text[KEY_SIZE];
    note(rule, cache_delete(cache, make_key(text, "count", rule, key)));
    note(rule, cache_delete(cache, make_key(text, "gate", rule, key)));
    if (cache_is_shared(cache))
        throttle_forget(cache_local(cache), rule, key);
}

void throttle_give_back(struct cache *cache, const struct throttle_rule *rule, const char *key)
{
    char text[KEY_SIZE];
    int64_t tries;
    struct str count = make_key(text, "count", rule, key);
    enum err err = cache_increment(cache, count, -1, rule->window_ms, &tries);
    if (!err && tries <= 0) /* it had run out meanwhile */
        err = cache_delete(cache, count);
    note(rule, err);
    if (cache_is_shared(cache))
        throttle_give_back(cache_local(cache), rule, key);
}

void throttle_addr(const char *remote_addr, char out[THROTTLE_ADDR_SIZE])
{
    struct in6_addr v6;
    snprintf(out, THROTTLE_ADDR_SIZE, "%s", remote_addr ? remote_addr : "");
    if (inet_pton(AF_INET6, out, &v6) != 1)
        return;
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
        inet_ntop(AF_INET, &v6.s6_addr[12], out, THROTTLE_ADDR_SIZE);
        return;
    }
    memset(&v6.s6_addr[8], 0, 8);
    inet_ntop(AF_INET6, &v6, out, THROTTLE_ADDR_SIZE);
}
