/*
 * buf: the packet pool. Bufs come in slabs that are made when first needed and kept until the pool
 * goes, so the packet path never meets malloc in steady state. Under AddressSanitizer the bytes of
 * a free buf are poisoned, so a use after unref is seen although the memory stays ours.
 */
#include "core/buf.h"

#include <assert.h>
#include <stdlib.h>

#include "core/mem.h"

#ifdef __SANITIZE_ADDRESS__
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif

#ifdef HAS_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)0)
#endif

#define SLAB_COUNT 128

struct slab {
    struct slab *next;
    struct buf bufs[SLAB_COUNT];
};

struct buf_pool {
    struct slab *slabs;
    struct buf *free;
    size_t used;
    size_t made;
    size_t max_count;
};

struct buf_pool *buf_pool_create(size_t max_count)
{
    struct buf_pool *pool = mem_new(struct buf_pool);
    pool->max_count = max_count;
    return pool;
}

void buf_pool_destroy(struct buf_pool **pool)
{
    if (!*pool)
        return;
    assert((*pool)->used == 0);
    for (struct slab *s = (*pool)->slabs, *next; s; s = next) {
        next = s->next;
        ASAN_UNPOISON_MEMORY_REGION(s, sizeof(*s));
        free(s);
    }
    free(*pool);
    *pool = NULL;
}

static void put_free(struct buf_pool *pool, struct buf *b)
{
    b->next_free = pool->free;
    pool->free = b;
    ASAN_POISON_MEMORY_REGION(b->data, sizeof(b->data));
}

static void grow(struct buf_pool *pool)
{
    size_t count = MIN((size_t)SLAB_COUNT, pool->max_count - pool->made);
    if (count == 0)
        return;
    struct slab *s = mem_alloc(sizeof(*s)); /* not zeroed: pages are touched when packets come */
    s->next = pool->slabs;
    pool->slabs = s;
    pool->made += count;
    for (size_t i = count; i-- > 0;) {
        s->bufs[i].pool = pool;
        put_free(pool, &s->bufs[i]);
    }
}

struct buf *buf_get(struct buf_pool *pool)
{
    if (unlikely(!pool->free))
        grow(pool);
    struct buf *b = pool->free;
    if (unlikely(!b))
        return NULL;
    pool->free = b->next_free;
    pool->used++;
    ASAN_UNPOISON_MEMORY_REGION(b->data, sizeof(b->data));
    b->next_free = NULL;
    b->refs = 1;
    b->offset = 0;
    b->n = 0;
    return b;
}

void buf_unref(struct buf **b)
{
    struct buf *it = *b;
    *b = NULL;
    if (!it)
        return;
    assert(it->refs > 0);
    if (--it->refs)
        return;
    it->pool->used--;
    put_free(it->pool, it);
}

size_t buf_pool_used(const struct buf_pool *pool)
{
    return pool->used;
}
