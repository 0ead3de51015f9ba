/*
 * history: a circle of slots, sequence number modulo size. A slot holds at most the one packet of
 * the current window [oldest, newest]; moving newest up empties the slots it passes.
 */
#include "sfu/route/history.h"

#include <stdlib.h>

#include "core/mem.h"

void history_init(struct history *h, uint32_t size)
{
    *h = (struct history){
        .slots = mem_calloc(size, sizeof(struct buf *)), .mask = size - 1, .is_empty = true};
}

static void clear(struct history *h)
{
    for (size_t i = 0; h->slots && i <= h->mask; i++)
        buf_unref(&h->slots[i]);
    h->is_empty = true;
}

void history_deinit(struct history *h)
{
    clear(h);
    free(h->slots);
    h->slots = NULL;
}

static void advance(struct history *h, int64_t newest)
{
    int64_t size = (int64_t)h->mask + 1;
    if (newest - h->newest >= size) {
        for (int64_t i = 0; i < size; i++)
            buf_unref(&h->slots[i]);
    } else {
        for (int64_t s = h->newest + 1; s <= newest; s++)
            buf_unref(&h->slots[s & h->mask]);
    }
    h->newest = newest;
    h->oldest = MAX(h->oldest, newest - size + 1);
}

bool history_add(struct history *h, struct buf *b)
{
    int64_t seq = media_of(b)->seq;
    if (h->is_empty) {
        /* What was in flight before it may still come. */
        h->newest = seq;
        h->oldest = seq - h->mask;
        h->is_empty = false;
    } else if (seq > h->newest) {
        advance(h, seq);
    } else if (seq < h->oldest || h->slots[seq & h->mask]) {
        return false;
    }
    h->slots[seq & h->mask] = buf_ref(b);
    return true;
}

void history_expire(struct history *h, int64_t before_us)
{
    if (h->is_empty)
        return;
    /* A hole is passed only when something behind it is old, too: it may still be filled. */
    for (int64_t s = h->oldest; s < h->newest; s++) {
        struct buf **slot = &h->slots[s & h->mask];
        if (!*slot)
            continue;
        if (media_of(*slot)->arrival_us >= before_us)
            return;
        buf_unref(slot);
        h->oldest = s + 1;
    }
}
