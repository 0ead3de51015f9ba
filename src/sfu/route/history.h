/*
 * history: the last packets of one layer, found by sequence number: what retransmissions are served
 * from, and late joiners started from. It refuses what it has already, which makes it the place
 * where duplicates end.
 */
#pragma once

#include "sfu/route/media.h"

struct history {
    struct buf **slots;
    uint32_t mask;
    int64_t newest; /* highest sequence number; meaningful unless is_empty */
    int64_t oldest; /* nothing older is kept */
    bool is_empty;
};

/* size is a power of two. */
void history_init(struct history *h, uint32_t size);
void history_deinit(struct history *h);
/* Takes a reference. False: it is there already, or too old. */
MUST_USE bool history_add(struct history *h, struct buf *b);
/* NULL: not there (any more). */
static inline struct buf *history_find(const struct history *h, int64_t seq)
{
    if (h->is_empty || seq < h->oldest || seq > h->newest)
        return NULL;
    return h->slots[seq & h->mask];
}
/* Lets go of what arrived before. */
void history_expire(struct history *h, int64_t before_us);
