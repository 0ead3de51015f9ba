/*
 * cache_memory: the embedded cache. Keys are spread over shards by a keyed hash; each shard has its
 * own lock, table, least-recently-used list and share of the bytes. What expired is dropped when it
 * is met, or when it drifts to the cold end of the list: every insertion looks there first.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/cache_driver.h"
#include "core/clock.h"
#include "core/list.h"
#include "core/map.h"
#include "core/mem.h"
#include "core/metric.h"

#define SHARDS_MAX 16
#define SHARD_BYTES_MIN (4u << 20) /* the largest value fits a shard with company */
#define BUCKETS_MIN 64
#define NEVER INT64_MAX
#define COLD_LOOKS 2 /* entries at the cold end that an insertion looks at */

struct entry {
    struct list recent_node; /* shard.recent, the coldest first */
    struct entry *next;      /* in its bucket */
    uint64_t hash;
    int64_t expires_ms; /* monotonic */
    uint32_t key_n, value_n;
    char bytes[]; /* key, value */
};

struct shard {
    pthread_mutex_t lock;
    struct entry **buckets;
    size_t bucket_count; /* a power of two */
    size_t entry_count;
    size_t used_bytes, max_bytes;
    struct list recent;
};

struct cache_impl {
    unsigned shard_count;
    struct shard shards[SHARDS_MAX];
};

static struct metric metric_evicted =
    METRIC_COUNTER("parlance_cache_evicted_total", "Entries dropped to make room, still valid.");
static struct metric metric_bytes =
    METRIC_GAUGE("parlance_cache_used_bytes", "Memory of the in-process cache.");

static double read_bytes(void *arg)
{
    struct cache_impl *c = arg;
    size_t used = 0;
    for (unsigned i = 0; i < c->shard_count; i++) {
        pthread_mutex_lock(&c->shards[i].lock);
        used += c->shards[i].used_bytes;
        pthread_mutex_unlock(&c->shards[i].lock);
    }
    return (double)used;
}

/* ---- one shard; its lock is held ---- */

static size_t entry_bytes(size_t key_n, size_t value_n)
{
    return sizeof(struct entry) + key_n + value_n;
}

static struct entry **shard_slot(struct shard *s, uint64_t hash, struct str key)
{
    struct entry **at = &s->buckets[hash & (s->bucket_count - 1)];
    while (*at && !((*at)->hash == hash && (*at)->key_n == key.n &&
                    memcmp((*at)->bytes, key.p, key.n) == 0))
        at = &(*at)->next;
    return at;
}

static void shard_drop(struct shard *s, struct entry **at)
{
    struct entry *e = *at;
    *at = e->next;
    list_remove(&e->recent_node);
    s->used_bytes -= entry_bytes(e->key_n, e->value_n);
    s->entry_count--;
    free(e);
}

static void shard_drop_entry(struct shard *s, struct entry *e)
{
    shard_drop(s, shard_slot(s, e->hash, (struct str){e->bytes, e->key_n}));
}

/* NULL when absent or expired. */
static struct entry *shard_find(struct shard *s, uint64_t hash, struct str key, int64_t now_ms)
{
    struct entry **at = shard_slot(s, hash, key);
    if (!*at || (*at)->expires_ms > now_ms)
        return *at;
    shard_drop(s, at);
    return NULL;
}

static void shard_grow(struct shard *s)
{
    size_t count = s->bucket_count * 2;
    struct entry **buckets = mem_calloc(count, sizeof(struct entry *));
    for (size_t i = 0; i < s->bucket_count; i++) {
        for (struct entry *e = s->buckets[i], *next; e; e = next) {
            next = e->next;
            struct entry **head = &buckets[e->hash & (count - 1)];
            e->next = *head;
            *head = e;
        }
    }
    free(s->buckets);
    s->buckets = buckets;
    s->bucket_count = count;
}

static void shard_make_room(struct shard *s, size_t bytes, int64_t now_ms)
{
    for (int looks = 0; !list_is_empty(&s->recent); looks++) {
        struct entry *coldest = LIST_ENTRY(s->recent.next, struct entry, recent_node);
        bool is_expired = coldest->expires_ms <= now_ms;
        bool is_needed = s->used_bytes + bytes > s->max_bytes;
        if (!is_needed && (!is_expired || looks >= COLD_LOOKS))
            break;
        if (!is_expired)
            metric_add(&metric_evicted, 1);
        shard_drop_entry(s, coldest);
    }
}

static int64_t expiry(int64_t now_ms, int64_t ttl_ms)
{
    return ttl_ms == 0 || ttl_ms > NEVER - now_ms ? NEVER : now_ms + ttl_ms;
}

static enum err shard_insert(struct shard *s, uint64_t hash, struct str key, struct str value,
                             int64_t expires_ms)
{
    size_t bytes = entry_bytes(key.n, value.n);
    if (bytes > s->max_bytes)
        return ERR_RESOURCE_EXHAUSTED;
    shard_make_room(s, bytes, clock_mono_ms());
    if (s->entry_count >= s->bucket_count)
        shard_grow(s);
    struct entry *e = mem_alloc(bytes);
    struct entry **head = &s->buckets[hash & (s->bucket_count - 1)];
    *e = (struct entry){.next = *head, .hash = hash, .expires_ms = expires_ms};
    e->key_n = (uint32_t)key.n;
    e->value_n = (uint32_t)value.n;
    memcpy(e->bytes, key.p, key.n);
    if (value.n)
        memcpy(e->bytes + key.n, value.p, value.n);
    *head = e;
    list_add_tail(&s->recent, &e->recent_node);
    s->used_bytes += bytes;
    s->entry_count++;
    return ERR_OK;
}

static void shard_touch(struct shard *s, struct entry *e)
{
    list_remove(&e->recent_node);
    list_add_tail(&s->recent, &e->recent_node);
}

static struct shard *shard_lock(struct cache_impl *c, struct str key, uint64_t *hash)
{
    *hash = map_hash(key.p, key.n);
    /* The high bits: the low ones choose the bucket. */
    struct shard *s = &c->shards[(*hash >> 32) % c->shard_count];
    pthread_mutex_lock(&s->lock);
    return s;
}

/* ---- the driver ---- */

static enum err memory_get(struct cache_impl *c, struct str key, struct arena *arena,
                           struct str *value)
{
    uint64_t hash;
    struct shard *s = shard_lock(c, key, &hash);
    struct entry *e = shard_find(s, hash, key, clock_mono_ms());
    if (e) {
        shard_touch(s, e);
        *value = (struct str){e->bytes + e->key_n, e->value_n};
        *value = (struct str){str_arena(arena, *value), value->n};
    }
    pthread_mutex_unlock(&s->lock);
    return e ? ERR_OK : ERR_NOT_FOUND;
}

static enum err memory_put(struct cache_impl *c, struct str key, struct str value, int64_t ttl_ms,
                           enum cache_mode mode)
{
    uint64_t hash;
    struct shard *s = shard_lock(c, key, &hash);
    int64_t now_ms = clock_mono_ms();
    struct entry *e = shard_find(s, hash, key, now_ms);
    enum err err = ERR_ALREADY_EXISTS;
    if (!e || mode == CACHE_MODE_SET) {
        if (e)
            shard_drop_entry(s, e);
        err = shard_insert(s, hash, key, value, expiry(now_ms, ttl_ms));
    }
    pthread_mutex_unlock(&s->lock);
    return err;
}

static enum err memory_remove(struct cache_impl *c, struct str key)
{
    uint64_t hash;
    struct shard *s = shard_lock(c, key, &hash);
    struct entry **at = shard_slot(s, hash, key);
    if (*at)
        shard_drop(s, at);
    pthread_mutex_unlock(&s->lock);
    return ERR_OK;
}

static enum err memory_increment(struct cache_impl *c, struct str key, int64_t delta,
                                 int64_t ttl_ms, int64_t *value)
{
    uint64_t hash;
    struct shard *s = shard_lock(c, key, &hash);
    int64_t now_ms = clock_mono_ms();
    struct entry *e = shard_find(s, hash, key, now_ms);
    int64_t before = 0, expires_ms = e ? e->expires_ms : expiry(now_ms, ttl_ms);
    enum err err = ERR_OK;
    if (e && !str_to_i64((struct str){e->bytes + e->key_n, e->value_n}, &before))
        err = ERR_FAILED_PRECONDITION;
    else if (__builtin_add_overflow(before, delta, value))
        err = ERR_OUT_OF_RANGE;
    if (!err) {
        char text[32];
        int n = snprintf(text, sizeof(text), "%" PRId64, *value);
        if (e)
            shard_drop_entry(s, e);
        err = shard_insert(s, hash, key, (struct str){text, (size_t)n}, expires_ms);
    }
    pthread_mutex_unlock(&s->lock);
    if (err)
        *value = 0;
    return err;
}

static enum err memory_open(const struct cache_options *opt, struct cache_impl **out)
{
    struct cache_impl *c = mem_new(struct cache_impl);
    c->shard_count = (unsigned)CLAMP(opt->max_bytes / SHARD_BYTES_MIN, 1, SHARDS_MAX);
    for (unsigned i = 0; i < c->shard_count; i++) {
        struct shard *s = &c->shards[i];
        pthread_mutex_init(&s->lock, NULL);
        s->bucket_count = BUCKETS_MIN;
        s->buckets = mem_calloc(s->bucket_count, sizeof(struct entry *));
        s->max_bytes = opt->max_bytes / c->shard_count;
        list_init(&s->recent);
    }
    metric_register_read(&metric_bytes, read_bytes, c);
    *out = c;
    return ERR_OK;
}

static void memory_close(struct cache_impl **cp)
{
    struct cache_impl *c = *cp;
    *cp = NULL;
    metric_unregister_read(&metric_bytes, c);
    for (unsigned i = 0; i < c->shard_count; i++) {
        struct shard *s = &c->shards[i];
        LIST_FOREACH(&s->recent, node)
        free(LIST_ENTRY(node, struct entry, recent_node));
        free(s->buckets);
        pthread_mutex_destroy(&s->lock);
    }
    free(c);
}

const struct cache_driver cache_memory = {
    .name = "memory",
    .open = memory_open,
    .close = memory_close,
    .get = memory_get,
    .put = memory_put,
    .remove = memory_remove,
    .increment = memory_increment,
};
