/*
 * edge_together: limits that several processes count together, through the shared cache. No request
 * waits for it: each process judges by its own buckets (edge_limits) and notes what it let pass; a
 * thread adds that to a common counter of the minute several times a second, and what others added
 * meanwhile it takes from the own bucket. So a caller who spreads requests over gateways gains what
 * passes within a quarter of a second, and no more. When the cache is away each counts by itself.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/list.h"
#include "core/map.h"
#include "edge/edge_internal.h"

#define EVERY_MS 250
#define KEEP_MS 120000
#define CALLERS_MAX 20000 /* a minute; those beyond count in this process alone */
#define NAME_SIZE 256

struct usage {
    struct list in_fresh; /* guarded by lock, as count */
    int64_t count;        /* passed, and not told yet */
    uint64_t key;
    int per_minute;
    int64_t told, heard; /* the thread's: of this minute, by us and by others */
    char name[];
};

struct edge_together {
    struct cache *cache;
    struct edge_limits *limits;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stop;
    bool is_stopping; /* guarded by lock, as the next two */
    struct map64 *usages;
    struct list fresh;
};

/* ---- what passed ---- */

static struct usage *usage_create(const struct edge_use *use)
{
    char caller[NET_ADDRESS_TEXT_SIZE], name[NAME_SIZE];
    const struct edge_route *route = use->target->route;
    if (use->who)
        snprintf(caller, sizeof(caller), "%s", use->who->user_id);
    else if (use->address->family == AF_INET)
        net_address_ip_text(use->address, caller);
    else
        str_hex(caller, use->address->ip, 8); /* an IPv6 customer has a whole /64 */
    int n = snprintf(name, sizeof(name), "%s %s:%s", route->method, route->path, caller);
    if (n < 0 || n >= NAME_SIZE)
        return NULL;
    struct usage *u = mem_zalloc(sizeof(*u) + (size_t)n + 1);
    memcpy(u->name, name, (size_t)n + 1);
    u->key = use->key;
    u->per_minute = use->per_minute;
    return u;
}

void edge_together_note(struct edge_together *t, const struct edge_use *use)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    struct usage *u = map64_get(t->usages, use->key);
    if (!u && map64_count(t->usages) < CALLERS_MAX && (u = usage_create(use)))
        map64_set(t->usages, use->key, u);
    if (u && u->count++ == 0)
        list_add_tail(&t->fresh, &u->in_fresh);
    pthread_mutex_unlock(&t->lock);
}

/* ---- the thread ---- */

static struct usage *take_fresh(struct edge_together *t, int64_t *count)
{
    struct usage *u = NULL;
    pthread_mutex_lock(&t->lock);
    if (!list_is_empty(&t->fresh) && !t->is_stopping) {
        u = LIST_ENTRY(t->fresh.next, struct usage, in_fresh);
        list_remove(&u->in_fresh);
        *count = u->count;
        u->count = 0;
    }
    pthread_mutex_unlock(&t->lock);
    return u;
}

static enum err tell(struct edge_together *t, struct usage *u, int64_t count, int64_t minute)
{
    char key[NAME_SIZE + 40];
    int64_t total;
    int n = snprintf(key, sizeof(key), "limit:%" PRId64 ":%s", minute, u->name);
    struct str name = {key, (size_t)n};
    enum err err = cache_increment(t->cache, name, count, KEEP_MS, &total);
    if (err)
        return err;
    u->told += count;
    int64_t others = total - u->told;
    if (others > u->heard)
        edge_limits_add(t->limits, u->key, u->per_minute, others - u->heard, clock_mono_us());
    u->heard = MAX(u->heard, others);
    return ERR_OK;
}

/* The next minute has other counters. */
static void forget_all(struct edge_together *t)
{
    uint64_t key;
    void *usage;
    size_t at = 0;
    pthread_mutex_lock(&t->lock);
    while (map64_next(t->usages, &at, &key, &usage))
        free(usage);
    map64_destroy(&t->usages);
    t->usages = map64_create();
    list_init(&t->fresh);
    pthread_mutex_unlock(&t->lock);
}

/* False: it is time to stop. */
static bool wait_a_little(struct edge_together *t)
{
    struct timespec until;
    int64_t until_us = clock_mono_us() + EVERY_MS * 1000;
    until = (struct timespec){.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
    pthread_mutex_lock(&t->lock);
    while (!t->is_stopping && clock_mono_us() < until_us)
        pthread_cond_timedwait(&t->stop, &t->lock, &until);
    bool is_going_on = !t->is_stopping;
    pthread_mutex_unlock(&t->lock);
    return is_going_on;
}

static void *together_main(void *arg)
{
    struct edge_together *t = arg;
    int64_t minute = clock_wall_ms() / 60000;
    while (wait_a_little(t)) {
        struct usage *u;
        int64_t count;
        enum err err = ERR_OK;
        while (!err && (u = take_fresh(t, &count)))
            err = tell(t, u, count, minute);
        if (clock_wall_ms() / 60000 == minute)
            continue;
        minute = clock_wall_ms() / 60000;
        forget_all(t);
    }
    return NULL;
}

/* ---- life ---- */

struct edge_together *edge_together_create(struct cache *cache, struct edge_limits *limits)
{
    struct edge_together *t = mem_zalloc(sizeof(*t));
    pthread_condattr_t monotonic;
    t->cache = cache;
    t->limits = limits;
    t->usages = map64_create();
    list_init(&t->fresh);
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&t->stop, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&t->thread, NULL, together_main, t) != 0) {
        log_error(NULL, "edge: cannot start a thread");
        abort();
    }
    pthread_setname_np(t->thread, "edge-limits");
    return t;
}

void edge_together_destroy(struct edge_together **tp)
{
    struct edge_together *t = *tp;
    *tp = NULL;
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    t->is_stopping = true;
    pthread_cond_signal(&t->stop);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
    forget_all(t);
    map64_destroy(&t->usages);
    pthread_cond_destroy(&t->stop);
    pthread_mutex_destroy(&t->lock);
    free(t);
}
