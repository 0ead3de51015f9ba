/*
 * arena: allocations of one request live in a few chunks and go at once. Chunks start at 4 KiB and
 * double up to 64 KiB; what is larger than a chunk gets one of its own. With ARENA_DEBUG each
 * allocation is a chunk of exactly its size, so AddressSanitizer sees every overrun.
 */
#include "core/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#define ALIGNMENT 16u
#define CHUNK_MIN 4096u       /* bytes */
#define CHUNK_MAX (64u << 10) /* bytes */
#define PROTOBUF_LIMIT_DEFAULT ((size_t)16 << 20)

struct chunk {
    struct chunk *next;
    size_t used;
    size_t capacity;
    _Alignas(ALIGNMENT) uint8_t bytes[];
};

struct deferred {
    struct deferred *next;
    arena_fn *fn;
    void *arg;
};

struct arena {
    struct chunk *chunks; /* the first is the one being filled */
    struct deferred *deferred;
    size_t used;
    size_t next_capacity;
};

struct arena *arena_create(void)
{
    struct arena *a = mem_new(struct arena);
    a->next_capacity = CHUNK_MIN;
    return a;
}

void arena_destroy(struct arena **a)
{
    if (!*a)
        return;
    /* A deferred call may defer further ones: always take the newest. */
    while ((*a)->deferred) {
        struct deferred *d = (*a)->deferred;
        (*a)->deferred = d->next;
        d->fn(d->arg);
    }
    for (struct chunk *c = (*a)->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(*a);
    *a = NULL;
}

static struct chunk *chunk_create(size_t capacity)
{
    struct chunk *c = mem_alloc(sizeof(*c) + capacity);
    c->used = 0;
    c->capacity = capacity;
    return c;
}

#ifdef ARENA_DEBUG
static void *take(struct arena *a, size_t bytes)
{
    struct chunk *c = chunk_create(bytes);
    c->next = a->chunks;
    a->chunks = c;
    return c->bytes;
}
#else
static void *take(struct arena *a, size_t bytes)
{
    size_t rounded = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct chunk *c = a->chunks;
    if (likely(c && c->capacity - c->used >= rounded)) {
        c->used += rounded;
        return c->bytes + c->used - rounded;
    }
    if (rounded > a->next_capacity / 4) { /* its own chunk, behind the one being filled */
        struct chunk *own = chunk_create(rounded);
        own->used = rounded;
        own->next = c ? c->next : NULL;
        if (c)
            c->next = own;
        else
            a->chunks = own;
        return own->bytes;
    }
    struct chunk *fresh = chunk_create(a->next_capacity - sizeof(struct chunk));
    a->next_capacity = MIN(a->next_capacity * 2, CHUNK_MAX);
    fresh->next = c;
    fresh->used = rounded;
    a->chunks = fresh;
    return fresh->bytes;
}
#endif

void *arena_alloc(struct arena *a, size_t bytes)
{
    if (unlikely(bytes > SIZE_MAX / 4))
        abort(); /* a bug in the caller: untrusted sizes are bounded first */
    void *p = take(a, bytes);
    a->used += bytes;
    return memset(p, 0, bytes);
}

void *arena_alloc_array(struct arena *a, size_t count, size_t size)
{
    size_t bytes;
    if (unlikely(__builtin_mul_overflow(count, size, &bytes)))
        abort();
    return arena_alloc(a, bytes);
}

char *arena_strdup(struct arena *a, const char *s)
{
    return s ? arena_memdup(a, s, strlen(s) + 1) : NULL;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    size_t size = n < 0 ? 1 : (size_t)n + 1;
    char *text = arena_alloc(a, size);
    if (n > 0)
        vsnprintf(text, size, fmt, again);
    va_end(again);
    va_end(args);
    return text;
}

void *arena_memdup(struct arena *a, const void *bytes, size_t n)
{
    void *copy = arena_alloc(a, n);
    if (n)
        memcpy(copy, bytes, n);
    return copy;
}

void arena_defer(struct arena *a, arena_fn *fn, void *arg)
{
    struct deferred *d = arena_new(a, struct deferred);
    *d = (struct deferred){a->deferred, fn, arg};
    a->deferred = d;
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}

struct protobuf_arena {
    ProtobufCAllocator allocator;
    struct arena *arena;
    size_t left;
};

static void *protobuf_alloc(void *data, size_t bytes)
{
    struct protobuf_arena *pa = data;
    if (bytes > pa->left)
        return NULL;
    pa->left -= bytes;
    return arena_alloc(pa->arena, bytes);
}

static void protobuf_free(void *data, void *p)
{
}

ProtobufCAllocator *arena_protobuf(struct arena *a, size_t limit)
{
    struct protobuf_arena *pa = arena_new(a, struct protobuf_arena);
    pa->allocator = (ProtobufCAllocator){protobuf_alloc, protobuf_free, pa};
    pa->arena = a;
    pa->left = limit ? limit : PROTOBUF_LIMIT_DEFAULT;
    return &pa->allocator;
}
