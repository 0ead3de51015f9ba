/*
 * faults: preloaded into the real server by tests. A page of a file (PARLANCE_TEST_FAULTS) that the
 * test writes says how far the time of day is off, and which call of the C library fails: the nth
 * from now, once or from then on, with which errno. Calls are counted only while one is named.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* As tests/flow/faults.mjs writes it. */
struct page {
    int64_t clock_offset_ms;
    char call[24]; /* "": none */
    int32_t error;
    int32_t is_for_ever;
    _Atomic int64_t left; /* this many succeed first */
    _Atomic int64_t failed;
};

static struct page none;
static struct page *page = &none;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("PARLANCE_TEST_FAULTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED)
        page = at;
}

static int must_fail(const char *call)
{
    if (!page->call[0] || strcmp(page->call, call) != 0)
        return 0;
    int64_t left = atomic_fetch_sub(&page->left, 1);
    if (left > 0 || (left < 0 && !page->is_for_ever))
        return 0;
    atomic_fetch_add(&page->failed, 1);
    errno = page->error;
    return 1;
}

#define REAL(name)                 \
    static __typeof__(&name) real; \
    if (!real)                     \
    real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define FAULTY(type, name, params, args) \
    type name params                     \
    {                                    \
        REAL(name);                      \
        if (must_fail(#name))            \
            return (type)-1;             \
        return real args;                \
    }

#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wnonnull-compare"

FAULTY(ssize_t, read, (int fd, void *p, size_t n), (fd, p, n))
FAULTY(ssize_t, pread, (int fd, void *p, size_t n, off_t at), (fd, p, n, at))
FAULTY(ssize_t, pread64, (int fd, void *p, size_t n, off_t at), (fd, p, n, at))
FAULTY(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n))
FAULTY(ssize_t, pwrite, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
FAULTY(ssize_t, pwrite64, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
FAULTY(ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n))
FAULTY(int, fsync, (int fd), (fd))
FAULTY(int, fdatasync, (int fd), (fd))
FAULTY(int, ftruncate, (int fd, off_t n), (fd, n))
FAULTY(int, ftruncate64, (int fd, off_t n), (fd, n))
FAULTY(int, rename, (const char *a, const char *b), (a, b))
FAULTY(int, renameat, (int d, const char *a, int e, const char *b), (d, a, e, b))
FAULTY(int, unlink, (const char *a), (a))
FAULTY(int, unlinkat, (int d, const char *a, int f), (d, a, f))
FAULTY(int, mkdir, (const char *a, mode_t m), (a, m))
FAULTY(int, mkdirat, (int d, const char *a, mode_t m), (d, a, m))
FAULTY(int, accept4, (int fd, struct sockaddr *a, socklen_t *n, int f), (fd, a, n, f))
FAULTY(int, socket, (int d, int t, int p), (d, t, p))
FAULTY(int, socketpair, (int d, int t, int p, int v[2]), (d, t, p, v))
FAULTY(ssize_t, recv, (int fd, void *p, size_t n, int f), (fd, p, n, f))
FAULTY(ssize_t, recvmsg, (int fd, struct msghdr *m, int f), (fd, m, f))
FAULTY(ssize_t, send, (int fd, const void *p, size_t n, int f), (fd, p, n, f))
FAULTY(ssize_t, sendmsg, (int fd, const struct msghdr *m, int f), (fd, m, f))
FAULTY(int, setsockopt, (int fd, int l, int o, const void *p, socklen_t n), (fd, l, o, p, n))
FAULTY(int, epoll_create1, (int f), (f))
FAULTY(int, epoll_ctl, (int e, int op, int fd, struct epoll_event *v), (e, op, fd, v))
FAULTY(int, epoll_wait, (int e, struct epoll_event *v, int n, int ms), (e, v, n, ms))
FAULTY(int, eventfd, (unsigned n, int f), (n, f))
FAULTY(int, pipe2, (int v[2], int f), (v, f))
FAULTY(pid_t, fork, (void), ())
FAULTY(ssize_t, getrandom, (void *p, size_t n, unsigned f), (p, n, f))

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
    REAL(posix_spawn);
    return must_fail("posix_spawn") ? page->error
                                    : real(pid, path, actions, attributes, argv, envp);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *),
                   void *arg)
{
    REAL(pthread_create);
    return must_fail("pthread_create") ? page->error : real(thread, attributes, fn, arg);
}

void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
    REAL(mmap);
    return must_fail("mmap") ? MAP_FAILED : real(at, n, prot, flags, fd, offset);
}

#define OPENING(name)                                            \
    int name(const char *path, int flags, ...)                   \
    {                                                            \
        static int (*real)(const char *, int, ...);              \
        va_list list;                                            \
        va_start(list, flags);                                   \
        mode_t mode = va_arg(list, mode_t);                      \
        va_end(list);                                            \
        if (!real)                                               \
            *(void **)&real = dlsym(RTLD_NEXT, #name);           \
        return must_fail("open") ? -1 : real(path, flags, mode); \
    }
#define OPENING_AT(name)                                              \
    int name(int dir, const char *path, int flags, ...)               \
    {                                                                 \
        static int (*real)(int, const char *, int, ...);              \
        va_list list;                                                 \
        va_start(list, flags);                                        \
        mode_t mode = va_arg(list, mode_t);                           \
        va_end(list);                                                 \
        if (!real)                                                    \
            *(void **)&real = dlsym(RTLD_NEXT, #name);                \
        return must_fail("open") ? -1 : real(dir, path, flags, mode); \
    }
OPENING(open)
OPENING(open64)
OPENING_AT(openat)
OPENING_AT(openat64)

/* ---- memory: glibc's own names beneath, since dlsym allocates ---- */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n)
{
    return must_fail("malloc") ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return must_fail("malloc") ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return must_fail("malloc") ? NULL : __libc_realloc(p, n);
}

/* ---- the time of day ---- */

int clock_gettime(clockid_t id, struct timespec *t)
{
    REAL(clock_gettime);
    int result = real(id, t);
    int64_t offset_ms = page->clock_offset_ms;
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
        t->tv_sec += offset_ms / 1000;
    return result;
}

time_t time(time_t *out)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out)
        *out = t.tv_sec;
    return t.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec t;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &t);
    out->tv_sec = t.tv_sec;
    out->tv_usec = t.tv_nsec / 1000;
    return 0;
}
