/* deadline: the heap. Every move keeps each node's own place, so any node can be moved later. */
#include "sfu/deadline.h"

#include <stdlib.h>

#include "core/mem.h"

void deadlines_deinit(struct deadlines *h)
{
    free(h->nodes);
    *h = (struct deadlines){0};
}

static void place(struct deadlines *h, struct deadline *d, size_t at)
{
    h->nodes[at] = d;
    d->at = at;
}

static void sift(struct deadlines *h, struct deadline *d, size_t at)
{
    while (at > 1 && h->nodes[at / 2]->due_us > d->due_us) {
        place(h, h->nodes[at / 2], at);
        at /= 2;
    }
    for (size_t child = at * 2; child <= h->count; child = at * 2) {
        if (child < h->count && h->nodes[child + 1]->due_us < h->nodes[child]->due_us)
            child++;
        if (h->nodes[child]->due_us >= d->due_us)
            break;
        place(h, h->nodes[child], at);
        at = child;
    }
    place(h, d, at);
}

void deadline_set(struct deadlines *h, struct deadline *d, int64_t due_us)
{
    if (due_us == INT64_MAX) {
        deadline_remove(h, d);
        return;
    }
    d->due_us = due_us;
    if (!d->at) {
        if (h->count + 1 >= h->capacity) {
            h->capacity = h->capacity ? h->capacity * 2 : 64;
            h->nodes = mem_realloc_array(h->nodes, h->capacity, sizeof(struct deadline *));
        }
        d->at = ++h->count;
    }
    sift(h, d, d->at);
}

void deadline_remove(struct deadlines *h, struct deadline *d)
{
    size_t at = d->at;
    if (!at)
        return;
    d->at = 0;
    struct deadline *last = h->nodes[h->count--];
    if (last != d)
        sift(h, last, at);
}
