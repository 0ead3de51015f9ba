/*
 * tuples: open addressing with linear probing under a keyed hash, at most half full, so that a look
 * costs one cache line. Removal closes the gap behind it; there are no tombstones.
 */
#include "sfu/tuples.h"

#include <stdlib.h>

#include "core/map.h"
#include "core/mem.h"

#define FIRST_SLOTS 64

void tuples_deinit(struct tuples *t)
{
    free(t->slots);
    *t = (struct tuples){0};
}

static inline size_t home_of(const struct tuples *t, const struct sfu_address *address)
{
    return (size_t)map_hash(address, sizeof(*address)) & t->mask;
}

const struct tuple *tuples_find(const struct tuples *t, const struct sfu_address *address)
{
    if (!t->slots)
        return NULL;
    for (size_t i = home_of(t, address); t->slots[i].peer; i = (i + 1) & t->mask)
        if (sfu_address_eq(&t->slots[i].address, address))
            return &t->slots[i];
    return NULL;
}

static void grow(struct tuples *t)
{
    struct tuples old = *t;
    t->mask = old.slots ? old.mask * 2 + 1 : FIRST_SLOTS - 1;
    t->slots = mem_calloc(t->mask + 1, sizeof(struct tuple));
    t->count = 0;
    for (size_t i = 0; old.slots && i <= old.mask; i++)
        if (old.slots[i].peer)
            tuples_set(t, &old.slots[i].address, old.slots[i].peer, old.slots[i].worker);
    free(old.slots);
}

void tuples_set(struct tuples *t, const struct sfu_address *address, sfu_peer_id peer,
                unsigned worker)
{
    if (!t->slots || (t->count + 1) * 2 > t->mask + 1)
        grow(t);
    size_t i = home_of(t, address);
    while (t->slots[i].peer && !sfu_address_eq(&t->slots[i].address, address))
        i = (i + 1) & t->mask;
    if (!t->slots[i].peer)
        t->count++;
    t->slots[i] = (struct tuple){*address, peer, worker};
}

void tuples_remove(struct tuples *t, const struct sfu_address *address, sfu_peer_id peer)
{
    const struct tuple *found = tuples_find(t, address);
    if (!found || found->peer != peer)
        return;
    size_t hole = (size_t)(found - t->slots);
    for (size_t i = (hole + 1) & t->mask; t->slots[i].peer; i = (i + 1) & t->mask) {
        size_t from_home = (i - home_of(t, &t->slots[i].address)) & t->mask;
        if (from_home >= ((i - hole) & t->mask)) {
            t->slots[hole] = t->slots[i];
            hole = i;
        }
    }
    t->slots[hole].peer = 0;
    t->count--;
}
