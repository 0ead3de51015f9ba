/*
 * worker: a bounded share of threads with a bounded queue, for work that may block. Each service
 * has its own, so that calls between processes cannot starve one another into a deadlock.
 */
#pragma once

#include "core/err.h"

struct worker_pool;
typedef void worker_fn(void *arg);

struct worker_options {
    const char *name;      /* thread name prefix, <= 10 chars */
    unsigned thread_count; /* 0: 4 */
    unsigned queue_max;    /* 0: 1,024 */
};

MUST_USE enum err worker_pool_create(struct worker_pool **out, const struct worker_options *opt);
/* Finishes what is queued, joins, frees. Accepts NULL. */
void worker_pool_destroy(struct worker_pool **pool);
/* ERR_UNAVAILABLE when the queue is full: the caller answers 503, nothing grows. */
MUST_USE enum err worker_run(struct worker_pool *pool, worker_fn *fn, void *arg);
size_t worker_queued(const struct worker_pool *pool);
/* True on a thread of any pool: there one may block. */
bool worker_is_current(void);
