/*
 * worker: a fixed number of threads and a ring of jobs with a fixed length. Full means "no" at
 * once: a service that is too slow answers 503 instead of growing until nothing answers at all.
 */
#include "core/worker.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"

#define THREADS_DEFAULT 4u
#define THREADS_MAX 256u
#define QUEUE_DEFAULT 1024u
#define QUEUE_MAX (1u << 20)

struct job {
    worker_fn *fn;
    void *arg;
};

struct worker_pool {
    char name[11];
    pthread_mutex_t lock;
    pthread_cond_t has_work;
    struct job *ring;
    unsigned ring_size;
    unsigned head;   /* the oldest job */
    unsigned queued; /* jobs waiting; read by worker_queued without the lock */
    unsigned idle;   /* threads that sleep and that nobody has woken */
    bool is_waking;  /* a woken thread has not come yet: it will wake the next if need be */
    bool is_stopping;
    unsigned thread_count;
    pthread_t threads[];
};

static _Thread_local bool is_worker;

bool worker_is_current(void)
{
    return is_worker;
}

/* Under lock. At most one thread is on its way at a time: a burst of jobs costs a system call for
 * each thread that it takes, not one for each job. */
static bool claim_wake(struct worker_pool *pool)
{
    if (pool->idle == 0 || pool->queued == 0 || pool->is_waking)
        return false;
    pool->idle--;
    return pool->is_waking = true;
}

static void wait_for_job(struct worker_pool *pool)
{
    pool->idle++;
    do
        pthread_cond_wait(&pool->has_work, &pool->lock);
    while (!pool->is_waking && !pool->is_stopping); /* nobody called */
    pool->is_waking = false;
}

/* False: stopping, and nothing is left to do. */
static bool take_job(struct worker_pool *pool, struct job *job)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->queued == 0 && !pool->is_stopping)
        wait_for_job(pool);
    bool has_job = pool->queued > 0;
    if (has_job) {
        *job = pool->ring[pool->head];
        pool->head = (pool->head + 1) % pool->ring_size;
        __atomic_store_n(&pool->queued, pool->queued - 1, __ATOMIC_RELAXED);
    }
    bool is_waking = claim_wake(pool);
    pthread_mutex_unlock(&pool->lock);
    if (is_waking)
        pthread_cond_signal(&pool->has_work);
    return has_job;
}

static void *thread_main(void *arg)
{
    struct worker_pool *pool = arg;
    struct job job;
    is_worker = true;
    pthread_setname_np(pthread_self(), pool->name);
    while (take_job(pool, &job))
        job.fn(job.arg);
    return NULL;
}

enum err worker_pool_create(struct worker_pool **out, const struct worker_options *opt)
{
    unsigned threads = opt->thread_count ? opt->thread_count : THREADS_DEFAULT;
    unsigned queue = opt->queue_max ? opt->queue_max : QUEUE_DEFAULT;
    if (threads > THREADS_MAX || queue > QUEUE_MAX)
        return ERR_INVALID_ARGUMENT;
    struct worker_pool *pool = mem_zalloc(sizeof(*pool) + threads * sizeof(pthread_t));
    snprintf(pool->name, sizeof(pool->name), "%.10s", opt->name ? opt->name : "worker");
    pool->ring = mem_calloc(queue, sizeof(*pool->ring));
    pool->ring_size = queue;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->has_work, NULL);
    for (; pool->thread_count < threads; pool->thread_count++) {
        int code = pthread_create(&pool->threads[pool->thread_count], NULL, thread_main, pool);
        if (code != 0) {
            worker_pool_destroy(&pool);
            return err_from_errno(code);
        }
    }
    *out = pool;
    return ERR_OK;
}

void worker_pool_destroy(struct worker_pool **pool)
{
    struct worker_pool *it = *pool;
    if (!it)
        return;
    pthread_mutex_lock(&it->lock);
    it->is_stopping = true;
    pthread_cond_broadcast(&it->has_work);
    pthread_mutex_unlock(&it->lock);
    for (unsigned i = 0; i < it->thread_count; i++) {
        assert(!pthread_equal(it->threads[i], pthread_self()));
        pthread_join(it->threads[i], NULL);
    }
    pthread_cond_destroy(&it->has_work);
    pthread_mutex_destroy(&it->lock);
    free(it->ring);
    free(it);
    *pool = NULL;
}

enum err worker_run(struct worker_pool *pool, worker_fn *fn, void *arg)
{
    enum err err = ERR_UNAVAILABLE;
    pthread_mutex_lock(&pool->lock);
    if (pool->queued < pool->ring_size && !pool->is_stopping) {
        pool->ring[(pool->head + pool->queued) % pool->ring_size] = (struct job){fn, arg};
        __atomic_store_n(&pool->queued, pool->queued + 1, __ATOMIC_RELAXED);
        /* Under the lock: once the job runs, nothing else keeps the pool from being destroyed. */
        if (claim_wake(pool))
            pthread_cond_signal(&pool->has_work);
        err = ERR_OK;
    }
    pthread_mutex_unlock(&pool->lock);
    return err;
}

size_t worker_queued(const struct worker_pool *pool)
{
    return __atomic_load_n(&pool->queued, __ATOMIC_RELAXED);
}
