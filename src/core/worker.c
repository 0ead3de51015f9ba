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
#include "core/metric.h"

#define THREADS_DEFAULT 4u
#define THREADS_MAX 256u
#define QUEUE_DEFAULT 1024u
#define QUEUE_MAX (1u << 20)

static struct metric queued_jobs =
    METRIC_GAUGE("parlance_worker_queued_jobs", "Jobs waiting for a thread.", "pool");
static struct metric busy_threads =
    METRIC_GAUGE("parlance_worker_busy_threads", "Threads at work.", "pool");
static struct metric threads_there =
    METRIC_GAUGE("parlance_worker_threads", "Threads there are.", "pool");
static struct metric refused_jobs = METRIC_COUNTER(
    "parlance_worker_refused_total", "Jobs refused because the queue was full.", "pool");

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
    struct metric_cell *queued_cell;
    struct metric_cell *busy_cell;
    struct metric_cell *refused_cell;
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

/* Under lock, so that the last one to tell tells the truth. */
static void tell(struct worker_pool *pool)
{
    metric_cell_set(pool->queued_cell, pool->queued);
    metric_cell_set(pool->busy_cell, pool->thread_count - pool->idle);
}

static void wait_for_job(struct worker_pool *pool)
{
    pool->idle++;
    tell(pool);
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
    tell(pool);
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
    pool->queued_cell = metric_cell(&queued_jobs, pool->name, NULL, NULL);
    pool->busy_cell = metric_cell(&busy_threads, pool->name, NULL, NULL);
    pool->refused_cell = metric_cell(&refused_jobs, pool->name, NULL, NULL);
    metric_cell_set(metric_cell(&threads_there, pool->name, NULL, NULL), threads);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->has_work, NULL);
    pool->thread_count = threads;
    for (unsigned i = 0; i < threads; i++) {
        int code = pthread_create(&pool->threads[i], NULL, thread_main, pool);
        if (code != 0) {
            pthread_mutex_lock(&pool->lock); /* those that run already look at it */
            pool->thread_count = i;
            pthread_mutex_unlock(&pool->lock);
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
        tell(pool);
    } else {
        metric_cell_add(pool->refused_cell, 1);
    }
    pthread_mutex_unlock(&pool->lock);
    return err;
}

size_t worker_queued(const struct worker_pool *pool)
{
    return __atomic_load_n(&pool->queued, __ATOMIC_RELAXED);
}
