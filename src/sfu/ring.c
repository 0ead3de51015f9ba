/*
 * ring: a message is a 16-byte head (its size) and its bytes, rounded up to 16. One that does not
 * fit before the end of the circle leaves a mark there and begins at its start. Positions are
 * 64-bit counts of bytes that never wrap; each side keeps a copy of the other's, so that the shared
 * cache lines move only when a side believes itself stuck.
 */
#include "sfu/ring.h"

#include <stdlib.h>

#include "core/mem.h"

#define CACHE_LINE 64
#define ALIGN 16u
#define SKIP UINT32_MAX /* size of a mark: go on at the start of the circle */
#define MIN_BYTES 65536

struct ring {
    uint64_t mask;
    uint8_t *bytes;
    /* The reader's share. */
    _Alignas(CACHE_LINE) _Atomic uint64_t tail;
    uint64_t read_at;
    /* The writer's share. */
    _Alignas(CACHE_LINE) _Atomic uint64_t head;
    uint64_t write_at;
    uint64_t tail_seen;
};

struct ring *ring_create(size_t bytes)
{
    size_t size = MIN_BYTES;
    while (size < bytes)
        size *= 2;
    struct ring *r = aligned_alloc(CACHE_LINE, sizeof(*r));
    if (!r)
        abort();
    *r = (struct ring){.mask = size - 1};
    r->bytes = aligned_alloc(CACHE_LINE, size);
    if (!r->bytes)
        abort();
    return r;
}

void ring_destroy(struct ring **ring)
{
    if (*ring)
        free((*ring)->bytes);
    free(*ring);
    *ring = NULL;
}

static inline uint32_t *head_at(struct ring *r, uint64_t position)
{
    return (uint32_t *)(void *)(r->bytes + (position & r->mask));
}

void *ring_write(struct ring *r, uint32_t n)
{
    uint64_t size = r->mask + 1;
    uint64_t need = ALIGN + (((uint64_t)n + ALIGN - 1) & ~(uint64_t)(ALIGN - 1));
    uint64_t until_end = size - (r->write_at & r->mask);
    uint64_t skip = until_end < need ? until_end : 0;
    if (need > size / 2)
        return NULL;
    if (r->write_at + skip + need - r->tail_seen > size) {
        r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
        if (r->write_at + skip + need - r->tail_seen > size)
            return NULL;
    }
    if (skip)
        *head_at(r, r->write_at) = SKIP;
    r->write_at += skip;
    *head_at(r, r->write_at) = n;
    void *out = r->bytes + (r->write_at & r->mask) + ALIGN;
    r->write_at += need;
    return out;
}

bool ring_publish(struct ring *r)
{
    if (atomic_load_explicit(&r->head, memory_order_relaxed) == r->write_at)
        return false;
    atomic_store_explicit(&r->head, r->write_at, memory_order_release);
    return true;
}

uint64_t ring_head(const struct ring *r)
{
    return atomic_load_explicit(&r->head, memory_order_acquire);
}

const void *ring_read(struct ring *r, uint64_t head, uint32_t *n)
{
    if (r->read_at == head)
        return NULL;
    uint32_t size = *head_at(r, r->read_at);
    if (size == SKIP) {
        r->read_at += r->mask + 1 - (r->read_at & r->mask);
        size = *head_at(r, r->read_at);
    }
    const void *out = r->bytes + (r->read_at & r->mask) + ALIGN;
    r->read_at += ALIGN + (((uint64_t)size + ALIGN - 1) & ~(uint64_t)(ALIGN - 1));
    *n = size;
    return out;
}

void ring_release(struct ring *r)
{
    atomic_store_explicit(&r->tail, r->read_at, memory_order_release);
}
