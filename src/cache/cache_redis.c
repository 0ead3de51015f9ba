/*
 * cache_redis: the cache that several processes share. A key is one key of Redis (behind a prefix),
 * expiry is Redis's own, a counter is made and added to by one script, so that its time to live is
 * that of its creation. What does not fit is evicted as the server is configured to.
 *
 * When Redis is away every call ends at once with ERR_UNAVAILABLE (see redis.h); what must go on
 * meanwhile has cache_local.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/cache_driver.h"
#include "core/log.h"
#include "core/mem.h"
#include "redis/redis.h"

#define TIMEOUT_MS 500
#define KEY_SPACE 640            /* a prefix and a key */
#define PREFIX_MAX 64            /* bytes */
#define TTL_MAX_MS 3153600000000 /* a hundred years: Redis refuses what overflows its clock */

struct cache_impl {
    struct redis *redis;
    char prefix[PREFIX_MAX + 1];
};

struct redis_key {
    char bytes[KEY_SPACE];
};

static struct str full_key(const struct cache_impl *c, struct str key, struct redis_key *out)
{
    size_t n = strlen(c->prefix);
    memcpy(out->bytes, c->prefix, n);
    memcpy(out->bytes + n, key.p, key.n);
    return (struct str){out->bytes, n + key.n};
}

static enum err call(struct cache_impl *c, const struct str *argv, size_t argc, size_t key_at,
                     struct arena *arena, const struct redis_reply **reply)
{
    struct redis_command command = {.argv = argv, .argc = argc, .key_at = key_at};
    enum err err = redis_call(c->redis, &command, arena, reply);
    if (err && *reply && (*reply)->type == REDIS_PROBLEM)
        log_debug(NULL, "cache: Redis says: %.*s", STR_FMT((*reply)->text));
    return err == ERR_CANCELLED ? ERR_UNAVAILABLE : err;
}

static enum err shared_get(struct cache_impl *c, struct str key, struct arena *arena,
                           struct str *value)
{
    struct redis_key space;
    const struct redis_reply *reply;
    struct str argv[] = {STR("GET"), full_key(c, key, &space)};
    enum err err = call(c, argv, ARRAY_LEN(argv), 1, arena, &reply);
    if (err)
        return err;
    *value = redis_reply_text(reply);
    return reply->type == REDIS_TEXT ? ERR_OK : ERR_NOT_FOUND;
}

static enum err shared_put(struct cache_impl *c, struct str key, struct str value, int64_t ttl_ms,
                           enum cache_mode mode)
{
    struct redis_key space;
    char ttl[24];
    struct str argv[6] = {STR("SET"), full_key(c, key, &space), value};
    size_t argc = 3;
    if (ttl_ms && ttl_ms <= TTL_MAX_MS) {
        int n = snprintf(ttl, sizeof(ttl), "%" PRId64, ttl_ms);
        argv[argc++] = STR("PX");
        argv[argc++] = (struct str){ttl, (size_t)n};
    }
    if (mode == CACHE_MODE_ADD)
        argv[argc++] = STR("NX");
    const struct redis_reply *reply;
    struct arena *arena = arena_create();
    enum err err = call(c, argv, argc, 1, arena, &reply);
    if (!err && reply->type == REDIS_NIL)
        err = ERR_ALREADY_EXISTS;
    arena_destroy(&arena);
    return err;
}

static enum err shared_remove(struct cache_impl *c, struct str key)
{
    struct redis_key space;
    const struct redis_reply *reply;
    struct arena *arena = arena_create();
    struct str argv[] = {STR("DEL"), full_key(c, key, &space)};
    enum err err = call(c, argv, ARRAY_LEN(argv), 1, arena, &reply);
    arena_destroy(&arena);
    return err;
}

static bool has_words(const struct redis_reply *reply, const char *words)
{
    return reply && reply->type == REDIS_PROBLEM && strstr(reply->text.p, words) != NULL;
}

static enum err shared_increment(struct cache_impl *c, struct str key, int64_t delta,
                                 int64_t ttl_ms, int64_t *value)
{
    static const struct str script =
        STR("if ARGV[2] ~= '0' then redis.call('SET', KEYS[1], '0', 'PX', ARGV[2], 'NX') end "
            "redis.call('INCRBY', KEYS[1], ARGV[1]) "
            "return redis.call('GET', KEYS[1])"); /* as text: Lua's numbers are doubles */
    struct redis_key space;
    char added[24], ttl[24];
    int added_n = snprintf(added, sizeof(added), "%" PRId64, delta);
    int ttl_n = snprintf(ttl, sizeof(ttl), "%" PRId64, ttl_ms <= TTL_MAX_MS ? ttl_ms : 0);
    struct str argv[] = {
        STR("EVAL"),         script, STR("1"), full_key(c, key, &space), {added, (size_t)added_n},
        {ttl, (size_t)ttl_n}};
    const struct redis_reply *reply;
    struct arena *arena = arena_create();
    enum err err = call(c, argv, ARRAY_LEN(argv), 3, arena, &reply);
    if (!err && !str_to_i64(redis_reply_text(reply), value))
        err = ERR_INTERNAL;
    else if (has_words(reply, "overflow"))
        err = ERR_OUT_OF_RANGE;
    else if (has_words(reply, "not an integer"))
        err = ERR_FAILED_PRECONDITION;
    arena_destroy(&arena);
    return err;
}

static bool shared_is_up(struct cache_impl *c)
{
    return redis_is_up(c->redis);
}

static enum err shared_open(const struct cache_options *opt, struct cache_impl **out)
{
    struct strbuf problem = {0};
    const char *prefix = opt->prefix ? opt->prefix : "parlance:cache:";
    *out = NULL;
    if (strlen(prefix) > PREFIX_MAX) {
        log_error(NULL, "cache: the prefix has more than %d bytes", PREFIX_MAX);
        return ERR_INVALID_ARGUMENT;
    }
    struct cache_impl *c = mem_new(struct cache_impl);
    memcpy(c->prefix, prefix, strlen(prefix));
    struct redis_options redis = {.url = opt->url, .name = "cache", .timeout_ms = TIMEOUT_MS};
    enum err err = redis_open(&c->redis, &redis, &problem);
    if (err) {
        log_error(NULL, "cache: %s", problem.p ? problem.p : err_text(err));
        free(c);
    } else {
        *out = c;
    }
    strbuf_deinit(&problem);
    return err;
}

static void shared_close(struct cache_impl **cp)
{
    redis_close(&(*cp)->redis);
    free(*cp);
    *cp = NULL;
}

const struct cache_driver cache_redis = {
    .name = "redis",
    .open = shared_open,
    .close = shared_close,
    .get = shared_get,
    .put = shared_put,
    .remove = shared_remove,
    .increment = shared_increment,
    .is_up = shared_is_up,
};
