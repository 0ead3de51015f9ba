/* thread: see thread.h. */
#include "core/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/log.h"

static int start(pthread_t *out, const char *name, void *(*fn)(void *), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(out, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failure)
        pthread_setname_np(*out, name);
    return failure;
}

enum err thread_start(pthread_t *out, const char *name, void *(*fn)(void *), void *arg)
{
    int failure = start(out, name, fn, arg);
    return failure ? err_from_errno(failure) : ERR_OK;
}

void thread_must_start(pthread_t *out, const char *name, void *(*fn)(void *), void *arg)
{
    int failure = start(out, name, fn, arg);
    if (!failure)
        return;
    log_error(NULL, "cannot start the thread %s: %s", name, strerror(failure));
    abort();
}

bool thread_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_us)
{
    struct timespec until = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
    return pthread_cond_clockwait(cond, lock, CLOCK_MONOTONIC, &until) != ETIMEDOUT;
}

bool thread_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t timeout_ms)
{
    return thread_wait_until(cond, lock, clock_mono_us() + timeout_ms * 1000);
}
