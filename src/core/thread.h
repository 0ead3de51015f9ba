/* thread: what everybody who has a thread of their own does alike. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

/* A thread that gets no signals (they are for the main thread), under a name of at most 15 bytes.
 */
MUST_USE enum err thread_start(pthread_t *out, const char *name, void *(*fn)(void *), void *arg);
/* For the start of a program: says why there can be none, and aborts. */
void thread_must_start(pthread_t *out, const char *name, void *(*fn)(void *), void *arg);

/* pthread_cond_timedwait by the monotonic clock (clock_mono_us), which no leap of the time of day
 * reaches, whatever the condition was made with. False: the time is over. */
bool thread_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_us);
/* The same, from now on. */
bool thread_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t timeout_ms);
