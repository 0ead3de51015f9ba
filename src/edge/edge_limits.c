/*
 * edge_limits: how often a row may be called by one person (or address). A bucket that holds a
 * minute's worth and refills evenly, kept as a single time per row and caller (GCRA): the time at
 * which the bucket would be full again. The table is fixed: an entry that must make room has its
 * bucket forgotten, the one that is fullest first, so flooding with many callers costs no memory.
 */
#include <stdlib.h>
#include <string.h>

#include "core/map.h"
#include "edge/edge_internal.h"

#define STRIPES 64
#define SETS 256 /* per stripe */
#define WAYS 4
#define MINUTE_US INT64_C(60000000)

struct entry {
    uint64_t key; /* 0: free */
    int64_t full_us;
};

struct stripe {
    pthread_mutex_t lock; /* held for a few compares */
    struct entry sets[SETS][WAYS];
};

struct edge_limits {
    struct stripe stripes[STRIPES];
};

struct edge_limits *edge_limits_create(void)
{
    struct edge_limits *l = mem_zalloc(sizeof(*l));
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_init(&l->stripes[i].lock, NULL);
    return l;
}

void edge_limits_destroy(struct edge_limits **l)
{
    if (!*l)
        return;
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_destroy(&(*l)->stripes[i].lock);
    free(*l);
    *l = NULL;
}

/* The caller's entry, or the one that has least to lose. */
static struct entry *entry_of(struct entry *set, uint64_t key)
{
    struct entry *least = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (set[i].full_us < least->full_us)
            least = &set[i];
    }
    *least = (struct entry){.key = key};
    return least;
}

int64_t edge_limits_take(struct edge_limits *l, uint64_t key, int per_minute, int64_t now_us)
{
    struct stripe *stripe = &l->stripes[key % STRIPES];
    struct entry *set = stripe->sets[key / STRIPES % SETS];
    int64_t interval_us = MINUTE_US / per_minute;
    int64_t wait_us = 0;
    pthread_mutex_lock(&stripe->lock);
    struct entry *e = entry_of(set, key ? key : 1);
    int64_t full_us = MAX(e->full_us, now_us) + interval_us;
    if (full_us - now_us > MINUTE_US)
        wait_us = full_us - now_us - MINUTE_US;
    else
        e->full_us = full_us;
    pthread_mutex_unlock(&stripe->lock);
    return wait_us;
}

/* At most two minutes ahead: who was refused elsewhere may come again here soon enough. */
void edge_limits_add(struct edge_limits *l, uint64_t key, int per_minute, int64_t count,
                     int64_t now_us)
{
    struct stripe *stripe = &l->stripes[key % STRIPES];
    struct entry *set = stripe->sets[key / STRIPES % SETS];
    int64_t more_us = MIN(count, (int64_t)per_minute) * (MINUTE_US / per_minute);
    pthread_mutex_lock(&stripe->lock);
    struct entry *e = entry_of(set, key ? key : 1);
    e->full_us = MIN(MAX(e->full_us, now_us) + more_us, now_us + 2 * MINUTE_US);
    pthread_mutex_unlock(&stripe->lock);
}

uint64_t edge_limits_key(const struct edge_target *target, const struct identity *who,
                         const struct net_address *address)
{
    struct {
        const struct edge_target *target;
        char caller[ID_SIZE];
    } key;
    memset(&key, 0, sizeof(key)); /* padding is hashed too */
    key.target = target;
    if (who) {
        memcpy(key.caller, who->user_id, sizeof(key.caller));
    } else { /* an IPv6 customer has a whole /64 */
        key.caller[0] = (char)address->family;
        memcpy(key.caller + 1, address->ip, address->family == AF_INET ? 4 : 8);
    }
    return map_hash(&key, sizeof(key));
}
