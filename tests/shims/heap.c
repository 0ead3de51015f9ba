/*
 * heap: preloaded into the real server by tests/chaos. Counts the bytes that its malloc has given
 * out and not got back, into a file of the directory PARLANCE_TEST_HEAP, named by the process id:
 * what resident memory cannot say, for an allocator gives pages back when it likes.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t count, size_t n);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);
extern void __libc_free(void *p);

#define CLASSES 64

/* As tests/chaos/memory.mjs reads it. Class k holds blocks of 2^(k/2) bytes and more. */
struct page {
    _Atomic int64_t live_bytes;
    _Atomic int64_t class_bytes[CLASSES];
};

static struct page own;
static struct page *page = &own; /* counted from the first call on; begin() moves it to the file */

/* A child that has not become another program yet shares the page: it counts for itself. */
static void after_fork(void)
{
    page = &own;
}

__attribute__((constructor)) static void begin(void)
{
    char path[512];
    const char *dir = getenv("PARLANCE_TEST_HEAP");
    if (!dir)
        return;
    snprintf(path, sizeof(path), "%s/%ld", dir, (long)getpid());
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    void *at = ftruncate(fd, sizeof(*page)) == 0
                   ? mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                   : MAP_FAILED;
    close(fd);
    if (at == MAP_FAILED)
        return;
    memcpy(at, &own, sizeof(own)); /* before there is a second thread */
    page = at;
    pthread_atfork(NULL, NULL, after_fork);
}

static void add(int64_t bytes, int sign)
{
    unsigned log = 63 - (unsigned)__builtin_clzll((uint64_t)bytes | 1);
    bool is_upper = (double)bytes >= (double)(1ull << log) * 1.41421356;
    unsigned class = 2 * log + is_upper;
    atomic_fetch_add_explicit(&page->live_bytes, sign * bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&page->class_bytes[class < CLASSES ? class : CLASSES - 1],
                              sign * bytes, memory_order_relaxed);
}

static void *count(void *p)
{
    if (p)
        add((int64_t)malloc_usable_size(p), 1);
    return p;
}

static void discount(int64_t bytes)
{
    add(bytes, -1);
}

void *malloc(size_t n)
{
    return count(__libc_malloc(n));
}

void *calloc(size_t many, size_t n)
{
    return count(__libc_calloc(many, n));
}

void *realloc(void *p, size_t n)
{
    int64_t before = p ? (int64_t)malloc_usable_size(p) : 0;
    void *now = __libc_realloc(p, n);
    if (p && (now || n == 0))
        discount(before);
    return count(now);
}

void free(void *p)
{
    if (p)
        discount((int64_t)malloc_usable_size(p));
    __libc_free(p);
}

void *memalign(size_t align, size_t n)
{
    return count(__libc_memalign(align, n));
}

void *aligned_alloc(size_t align, size_t n)
{
    return count(__libc_memalign(align, n));
}

int posix_memalign(void **out, size_t align, size_t n)
{
    if (align % sizeof(void *) || align & (align - 1) || align == 0)
        return EINVAL;
    void *p = __libc_memalign(align, n);
    if (!p)
        return ENOMEM;
    *out = count(p);
    return 0;
}
