/*
 * metric: where things are counted. A cell is sharded over cache lines, each thread adding to its
 * own, so counting on many cores costs no traffic between them. Cells are found without a lock and
 * are never freed; only making a new one, and registering, takes the mutex.
 */
#include "core/metric.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/map.h"
#include "core/mem.h"
#include "core/metric_internal.h"

#define CELLS_MAX 1000 /* a metric; a label that an attacker can choose must not eat memory */
#define BUCKETS 256    /* of the hash table of cells */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* registry, new cells, reads */
static struct metric *registered;

struct metric *metric_first(void)
{
    pthread_mutex_lock(&lock);
    struct metric *first = registered;
    pthread_mutex_unlock(&lock);
    return first;
}

static unsigned my_shard(void)
{
    static unsigned next_shard;
    static _Thread_local unsigned mine; /* + 1 */
    if (unlikely(mine == 0))
        mine = 1 + __atomic_fetch_add(&next_shard, 1, __ATOMIC_RELAXED) % METRIC_SHARDS;
    return mine - 1;
}

/* Under the lock. */
static void ensure_registered(struct metric *m)
{
    if (m->is_registered)
        return;
    m->is_registered = true;
    m->next = registered;
    registered = m;
}

static bool has_suffix(const char *name, struct str suffix)
{
    return str_ends(str_from(name), suffix);
}

static struct metric_cell *cell_create(struct metric *m, const char *const v[METRIC_LABELS_MAX])
{
    bool is_histogram = m->type == METRIC_TYPE_HISTOGRAM;
    /* A gauge is set as well as added to, so it has one shard. */
    unsigned shards = m->type == METRIC_TYPE_GAUGE ? 1 : METRIC_SHARDS;
    size_t shard_bytes = sizeof(struct metric_shard);
    if (is_histogram)
        shard_bytes += (METRIC_BUCKETS_MAX + 1) * sizeof(uint64_t);
    shard_bytes = (shard_bytes + 63) & ~(size_t)63;
    struct metric_cell *c = mem_new(struct metric_cell);
    c->shards = aligned_alloc(64, shards * shard_bytes);
    if (!c->shards)
        abort();
    memset(c->shards, 0, shards * shard_bytes);
    c->shard_bytes = shard_bytes;
    c->shard_count = shards;
    if (is_histogram) {
        bool is_time = has_suffix(m->name, STR("_seconds"));
        c->first_bound = is_time ? 0.0005 : 1;
        c->bucket_count = is_time ? 16 : 21;
    }
    for (int i = 0; i < METRIC_LABELS_MAX; i++)
        c->values[i] = m->labels[i] ? mem_strdup(v[i] ? v[i] : "") : NULL;
    return c;
}

/* Under the lock. Publishes a finished cell to the readers of the list. */
static struct metric_cell *cell_publish(struct metric *m, struct metric_cell *c)
{
    ensure_registered(m);
    c->next = m->cells;
    __atomic_store_n(&m->cells, c, __ATOMIC_RELEASE);
    return c;
}

static struct metric_cell *only_cell(struct metric *m)
{
    static const char *const none[METRIC_LABELS_MAX];
    struct metric_cell *c = __atomic_load_n(&m->only, __ATOMIC_ACQUIRE);
    if (likely(c != NULL))
        return c;
    pthread_mutex_lock(&lock);
    if (!m->only)
        __atomic_store_n(&m->only, cell_publish(m, cell_create(m, none)), __ATOMIC_RELEASE);
    c = m->only;
    pthread_mutex_unlock(&lock);
    return c;
}

static uint64_t hash_values(const struct metric *m, const char *const v[METRIC_LABELS_MAX])
{
    uint64_t hash = 0;
    for (int i = 0; i < METRIC_LABELS_MAX && m->labels[i]; i++)
        hash = hash * 31 + map_hash(v[i] ? v[i] : "", v[i] ? strlen(v[i]) : 0);
    return hash;
}

static struct metric_cell *find_in(struct metric_cell *c, uint64_t hash,
                                   const char *const v[METRIC_LABELS_MAX])
{
    for (; c; c = c->next_in_bucket) {
        bool is_same = c->hash == hash;
        for (int i = 0; i < METRIC_LABELS_MAX && c->values[i] && is_same; i++)
            is_same = strcmp(c->values[i], v[i] ? v[i] : "") == 0;
        if (is_same)
            return c;
    }
    return NULL;
}

/* Under the lock: the cell beyond the limit, the same for all. */
static struct metric_cell *other_cell(struct metric *m)
{
    static const char *const other[METRIC_LABELS_MAX] = {"other", "other", "other"};
    if (!m->other)
        m->other = cell_publish(m, cell_create(m, other));
    return m->other;
}

static struct metric_cell *add_cell(struct metric *m, uint64_t hash,
                                    const char *const v[METRIC_LABELS_MAX])
{
    pthread_mutex_lock(&lock);
    if (!m->buckets) {
        struct metric_cell **fresh = mem_calloc(BUCKETS, sizeof(struct metric_cell *));
        __atomic_store_n(&m->buckets, fresh, __ATOMIC_RELEASE);
    }
    struct metric_cell **bucket = &m->buckets[hash % BUCKETS];
    struct metric_cell *c = find_in(*bucket, hash, v); /* another thread may have been faster */
    if (!c && m->cell_count >= CELLS_MAX)
        c = other_cell(m);
    if (!c) {
        c = cell_create(m, v);
        c->hash = hash;
        c->next_in_bucket = *bucket;
        m->cell_count++;
        cell_publish(m, c);
        __atomic_store_n(bucket, c, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&lock);
    return c;
}

struct metric_cell *metric_cell(struct metric *m, const char *v0, const char *v1, const char *v2)
{
    if (!m->labels[0])
        return only_cell(m);
    const char *const v[METRIC_LABELS_MAX] = {v0, v1, v2};
    uint64_t hash = hash_values(m, v);
    struct metric_cell **buckets = __atomic_load_n(&m->buckets, __ATOMIC_ACQUIRE);
    struct metric_cell *c = NULL;
    if (likely(buckets != NULL))
        c = find_in(__atomic_load_n(&buckets[hash % BUCKETS], __ATOMIC_ACQUIRE), hash, v);
    return likely(c != NULL) ? c : add_cell(m, hash, v);
}

static struct metric_shard *shard_of(struct metric_cell *c)
{
    return metric_shard_at(c, c->shard_count == 1 ? 0 : my_shard());
}

static void atomic_add_double(uint64_t *bits, double delta)
{
    uint64_t was = __atomic_load_n(bits, __ATOMIC_RELAXED), now;
    double v;
    do {
        memcpy(&v, &was, sizeof(v));
        v += delta;
        memcpy(&now, &v, sizeof(now));
    } while (
        !__atomic_compare_exchange_n(bits, &was, now, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

void metric_cell_add(struct metric_cell *c, double delta)
{
    atomic_add_double(&shard_of(c)->sum_bits, delta);
}

void metric_cell_set(struct metric_cell *c, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    __atomic_store_n(&metric_shard_at(c, 0)->sum_bits, bits, __ATOMIC_RELAXED);
}

void metric_cell_observe(struct metric_cell *c, double value)
{
    struct metric_shard *shard = shard_of(c);
    double bound = c->first_bound;
    unsigned at = 0;
    while (at < c->bucket_count && value > bound) {
        bound *= 2;
        at++;
    }
    __atomic_fetch_add(&shard->counts[at], 1, __ATOMIC_RELAXED); /* the last: +Inf */
    atomic_add_double(&shard->sum_bits, value);
}

double metric_cell_sum(struct metric_cell *c)
{
    double sum = 0;
    for (unsigned i = 0; i < c->shard_count; i++) {
        uint64_t bits = __atomic_load_n(&metric_shard_at(c, i)->sum_bits, __ATOMIC_RELAXED);
        double v;
        memcpy(&v, &bits, sizeof(v));
        sum += v;
    }
    return sum;
}

uint64_t metric_cell_bucket(struct metric_cell *c, unsigned bucket)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < c->shard_count; i++)
        sum += __atomic_load_n(&metric_shard_at(c, i)->counts[bucket], __ATOMIC_RELAXED);
    return sum;
}

struct metric_read {
    struct metric_read *next;
    metric_read_fn *fn;
    void *arg;
};

void metric_register_read(struct metric *m, metric_read_fn *fn, void *arg)
{
    struct metric_read *read = mem_new(struct metric_read);
    pthread_mutex_lock(&lock);
    ensure_registered(m);
    *read = (struct metric_read){m->reads, fn, arg};
    m->reads = read;
    pthread_mutex_unlock(&lock);
}

void metric_unregister_read(struct metric *m, void *arg)
{
    pthread_mutex_lock(&lock);
    for (struct metric_read **at = &m->reads; *at;) {
        struct metric_read *read = *at;
        if (read->arg != arg) {
            at = &read->next;
            continue;
        }
        *at = read->next;
        free(read);
    }
    pthread_mutex_unlock(&lock);
}

bool metric_read_sum(struct metric *m, double *sum)
{
    *sum = 0;
    pthread_mutex_lock(&lock);
    bool has_any = m->reads != NULL;
    for (struct metric_read *read = m->reads; read; read = read->next)
        *sum += read->fn(read->arg);
    pthread_mutex_unlock(&lock);
    return has_any;
}
