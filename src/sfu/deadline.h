/*
 * deadline: who must be looked at next. A binary heap of intrusive nodes, soonest first; moving a
 * deadline costs a few swaps and no memory.
 */
#pragma once

#include "core/base.h"

struct deadline {
    int64_t due_us;
    size_t at; /* place in the heap, from 1; 0: not in it */
};

struct deadlines {
    struct deadline **nodes; /* [1..count] */
    size_t count;
    size_t capacity;
};

void deadlines_deinit(struct deadlines *h);
/* Puts it in or moves it. INT64_MAX takes it out. */
void deadline_set(struct deadlines *h, struct deadline *d, int64_t due_us);
/* Only ever sooner than it was. */
static inline void deadline_by(struct deadlines *h, struct deadline *d, int64_t due_us)
{
    if (!d->at || due_us < d->due_us)
        deadline_set(h, d, due_us);
}
void deadline_remove(struct deadlines *h, struct deadline *d);
/* The soonest, or NULL. */
static inline struct deadline *deadlines_first(const struct deadlines *h)
{
    return h->count ? h->nodes[1] : NULL;
}
