/*
 * arena: allocations of one request live in a few chunks and go at once. Chunks start at 4 KiB and
 * double up to 64 KiB; what is larger than a chunk gets one of its own. The arena itself lives in
 * its first chunk. With ARENA_DEBUG each allocation is a chunk of exactly its size, so
 * AddressSanitizer sees every overrun.
 *
 * First chunks are kept for the next arena. Most are filled on a loop and freed on a worker, which
 * is malloc's worst case (foreign lists, foreign locks): so each thread has a few of its own, and
 * surplus moves in batches over a common stock. What lay there unused for a second is freed: a
 * moment with many requests at once (a database that hangs) is not paid for ever after.
 */
#include "core/arena.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
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

static struct chunk *chunk_create(size_t capacity)
{
    struct chunk *c = mem_alloc(sizeof(*c) + capacity);
    c->next = NULL;
    c->used = 0;
    c->capacity = capacity;
    return c;
}

/* ---- the stock of first chunks ---- */

#define OWN_MAX 32    /* of a thread: 128 KiB */
#define BATCH 16      /* that move at once */
#define COMMON_MAX 64 /* batches: 4 MiB */
#define TRIM_EVERY_US 1000000

struct stock {
    struct chunk *chunks;
    unsigned count;
};

static _Thread_local struct stock own;
static pthread_mutex_t common_lock = PTHREAD_MUTEX_INITIALIZER;
static struct chunk *common[COMMON_MAX]; /* full batches; under lock */
static unsigned common_count;
static unsigned common_least; /* since the last trim: nobody needed these; under lock */
static int64_t next_trim_us;  /* under lock */
static pthread_once_t own_once = PTHREAD_ONCE_INIT;
static pthread_key_t own_key; /* for its destructor alone */

static void chunks_free(struct chunk *c)
{
    for (struct chunk *next; c; c = next) {
        next = c->next;
        free(c);
    }
}

static void on_thread_end(void *unused)
{
    chunks_free(own.chunks);
    own = (struct stock){0};
}

static void make_own_key(void)
{
    if (pthread_key_create(&own_key, on_thread_end) != 0)
        abort();
}

/* What lay unused since the last time, to be freed without the lock. */
static unsigned take_unused(struct chunk **out)
{
    int64_t now_us = clock_mono_us();
    if (now_us < next_trim_us)
        return 0;
    unsigned n = common_least;
    for (unsigned i = 0; i < n; i++)
        out[i] = common[__atomic_sub_fetch(&common_count, 1, __ATOMIC_RELAXED)];
    common_least = common_count;
    next_trim_us = now_us + TRIM_EVERY_US;
    return n;
}

/* Of this thread's chunks, one batch goes to whoever runs short. */
static void give_batch(void)
{
    struct chunk *batch = own.chunks, *last = batch, *unused[COMMON_MAX];
    for (unsigned i = 1; i < BATCH; i++)
        last = last->next;
    own.chunks = last->next;
    own.count -= BATCH;
    last->next = NULL;
    pthread_mutex_lock(&common_lock);
    bool is_taken = common_count < COMMON_MAX;
    if (is_taken)
        common[__atomic_fetch_add(&common_count, 1, __ATOMIC_RELAXED)] = batch;
    unsigned unused_count = take_unused(unused);
    pthread_mutex_unlock(&common_lock);
    if (!is_taken)
        chunks_free(batch);
    for (unsigned i = 0; i < unused_count; i++)
        chunks_free(unused[i]);
}

static void fetch_batch(void)
{
    if (__atomic_load_n(&common_count, __ATOMIC_RELAXED) == 0)
        return;
    pthread_mutex_lock(&common_lock);
    if (common_count) {
        own.chunks = common[__atomic_sub_fetch(&common_count, 1, __ATOMIC_RELAXED)];
        own.count = BATCH;
        common_least = MIN(common_least, common_count);
    }
    pthread_mutex_unlock(&common_lock);
}

static struct chunk *stock_take(void)
{
    if (!own.chunks)
        fetch_batch();
    struct chunk *c = own.chunks;
    if (!c)
        return chunk_create(CHUNK_MIN - sizeof(struct chunk));
    own.chunks = c->next;
    own.count--;
    c->next = NULL;
    c->used = 0;
    return c;
}

static void stock_give(struct chunk *c)
{
    if (!own.chunks) {
        pthread_once(&own_once, make_own_key);
        pthread_setspecific(own_key, &own);
    }
    c->next = own.chunks;
    own.chunks = c;
    if (++own.count == OWN_MAX)
        give_batch();
}

/* ---- arenas ---- */

#ifdef ARENA_DEBUG
#define IS_STOCKED false
#else
#define IS_STOCKED true
#endif

struct arena *arena_create(void)
{
    size_t size = (sizeof(struct arena) + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct chunk *c = IS_STOCKED ? stock_take() : chunk_create(size);
    struct arena *a = (struct arena *)(void *)c->bytes;
    c->used = size;
    *a = (struct arena){.chunks = c, .next_capacity = 2 * CHUNK_MIN};
    return a;
}

void arena_destroy(struct arena **ap)
{
    struct arena *a = *ap;
    *ap = NULL; /* first: it may lie in the arena itself */
    if (!a)
        return;
    /* A deferred call may defer further ones: always take the newest. */
    while (a->deferred) {
        struct deferred *d = a->deferred;
        a->deferred = d->next;
        d->fn(d->arg);
    }
    struct chunk *first = (struct chunk *)(void *)((uint8_t *)a - offsetof(struct chunk, bytes));
    for (struct chunk *c = a->chunks, *next; c; c = next) {
        next = c->next;
        if (c != first)
            free(c);
    }
    if (IS_STOCKED)
        stock_give(first);
    else
        free(first);
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
    if (likely(c->capacity - c->used >= rounded)) {
        c->used += rounded;
        return c->bytes + c->used - rounded;
    }
    if (rounded > a->next_capacity / 4) { /* its own chunk, behind the one being filled */
        struct chunk *big = chunk_create(rounded);
        big->used = rounded;
        big->next = c->next;
        c->next = big;
        return big->bytes;
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
