/*
 * store_writer: group commit. One thread owns the writing connection. It takes what waits, runs it
 * in one transaction with a savepoint per job, commits once (one fsync for all), and only then says
 * done. A lone job is committed at once; a writer that just had company waits a moment for the same
 * number again, since those who were answered together tend to come back together.
 *
 * A failing job rolls back to its savepoint and nobody else notices. A failing commit fails every
 * job in it.
 */
#include "store/store_internal.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"

#define IDLE_WAKE_US 1000000 /* housekeeping when nobody writes */

static struct metric metric_write = METRIC_HISTOGRAM(
    "parlance_store_write_seconds", "A write job, from being queued to being durable.");
static struct metric metric_commit =
    METRIC_HISTOGRAM("parlance_store_commit_seconds", "A commit, with its sync to disk.");
static struct metric metric_batch =
    METRIC_HISTOGRAM("parlance_store_batch_jobs", "Write jobs sharing one commit.");
static struct metric metric_jobs =
    METRIC_COUNTER("parlance_store_jobs_total", "Write jobs finished.", "result");

static _Thread_local bool is_writer_thread;

bool store_writer_is_current(void)
{
    return is_writer_thread;
}

/* ---- the queue ---- */

enum err store_writer_add(struct store_writer *w, struct store_job *job)
{
    job->queued_us = clock_mono_us();
    pthread_mutex_lock(&w->lock);
    bool is_full = w->queued >= w->store->opt.queue_max && !job->is_barrier;
    bool is_refused = w->is_stopping || is_full;
    if (!is_refused) {
        list_add_tail(&w->queue, &job->node);
        w->queued++;
        if (w->wake_at && w->queued >= w->wake_at) {
            w->wake_at = 0;
            pthread_cond_signal(&w->wake);
        }
    }
    pthread_mutex_unlock(&w->lock);
    return is_refused ? ERR_UNAVAILABLE : ERR_OK;
}

/* Waits, lock held, until `count` jobs are queued, the writer stops, or the time is over. */
static void wait_for(struct store_writer *w, unsigned count, int64_t timeout_us)
{
    int64_t until_us = clock_mono_us() + timeout_us;
    while (w->queued < count && !w->is_stopping) {
        w->wake_at = count;
        if (!thread_wait_until(&w->wake, &w->lock, until_us))
            break;
    }
    w->wake_at = 0;
}

/* Fills the batch; 0: nobody came within the idle time, or the writer stops. */
static unsigned take_batch(struct store_writer *w, struct list *batch, bool *is_stopping)
{
    const struct store_options *opt = &w->store->opt;
    unsigned count = 0;
    pthread_mutex_lock(&w->lock);
    wait_for(w, 1, IDLE_WAKE_US);
    if (w->queued && w->batch_last > 1 && opt->gather_us > 0)
        wait_for(w, MIN(w->batch_last, opt->batch_max), opt->gather_us);
    while (count < opt->batch_max && w->queued) {
        struct list *node = w->queue.next;
        list_remove(node);
        list_add_tail(batch, node);
        w->queued--;
        count++;
    }
    w->batch_last = count;
    *is_stopping = w->is_stopping;
    pthread_mutex_unlock(&w->lock);
    return count;
}

/* Jobs that did not get their turn because another took the transaction with it go first again. */
static void give_back(struct store_writer *w, struct list *batch, struct list *from)
{
    pthread_mutex_lock(&w->lock);
    for (bool is_last = false; !is_last;) {
        struct list *node = batch->prev;
        is_last = node == from;
        list_remove(node);
        list_add_head(&w->queue, node);
        w->queued++;
    }
    pthread_mutex_unlock(&w->lock);
}

/* ---- a batch ---- */

void store_on_commit(struct store_tx *tx, store_hook_fn *fn, void *arg)
{
    assert(tx->is_write);
    if (tx->hook_count == tx->hook_capacity) {
        tx->hook_capacity = tx->hook_capacity ? tx->hook_capacity * 2 : 16;
        tx->hooks = mem_realloc(tx->hooks, tx->hook_capacity * sizeof(*tx->hooks));
    }
    tx->hooks[tx->hook_count++] = (struct store_hook){fn, arg, span_current()};
}

enum err store_follow(struct store_tx *tx, uint32_t shard)
{
    const struct store_driver *driver = tx->link->store->driver;
    assert(tx->is_write);
    return driver->follow ? driver->follow(tx->link->conn, shard) : ERR_OK;
}

bool store_before_commit(struct store_tx *tx, store_fn *fn, void *arg)
{
    assert(tx->is_write);
    for (size_t i = 0; i < tx->seal_count; i++)
        if (tx->seals[i].fn == fn && tx->seals[i].arg == arg)
            return false;
    tx->seals = mem_realloc_array(tx->seals, tx->seal_count + 1, sizeof(*tx->seals));
    tx->seals[tx->seal_count++] = (struct store_seal){fn, arg};
    return true;
}

void store_job_free(struct store_job **job)
{
    free((*job)->span);
    free(*job);
    *job = NULL;
}

/* What the job publishes belongs to its trace. */
static enum err job_fn(struct store_tx *tx, struct store_job *job)
{
    if (!job->span)
        return job->fn(tx, job->arg);
    const struct span *before = span_enter(job->span);
    span_add_number(job->span, "parlance.queued_us", clock_mono_us() - job->queued_us);
    enum err err = job->fn(tx, job->arg);
    span_leave(before);
    return err;
}

static enum err job_call(struct store_tx *tx, struct store_job *job)
{
    tx->doomed = ERR_OK;
    tx->changes = 0;
    enum err err = job_fn(tx, job);
    store_tx_finish_all(tx);
    return err ? err : tx->doomed;
}

/* Runs the job inside its savepoint. After it the transaction may be gone (see in_transaction). */
static void job_run(struct store_tx *tx, struct store_job *job)
{
    const struct store_driver *driver = tx->link->store->driver;
    struct store_conn *conn = tx->link->conn;
    size_t hooks_before = tx->hook_count;
    job->err = driver->savepoint(conn);
    if (job->err)
        return;
    job->err = job_call(tx, job);
    if (!job->err && driver->in_transaction(conn))
        job->err = driver->check(conn);
    if (!job->err && driver->in_transaction(conn))
        job->err = driver->release(conn);
    else if (driver->in_transaction(conn) && driver->rollback_to(conn) != ERR_OK)
        driver->rollback(conn); /* cannot tell this job's changes from the others' any more */
    if (job->err)
        tx->hook_count = hooks_before;
}

/* Runs the jobs; false when the transaction was lost on the way. Those that had no turn yet are
 * back in the queue then. */
static bool jobs_run(struct store_writer *w, struct store_tx *tx, struct list *batch)
{
    LIST_FOREACH(batch, node)
    {
        job_run(tx, LIST_ENTRY(node, struct store_job, node));
        if (w->store->driver->in_transaction(w->link->conn))
            continue;
        if (node_next != batch)
            give_back(w, batch, node_next);
        return false;
    }
    return true;
}

static bool any_passed(struct list *batch)
{
    LIST_FOREACH(batch, node)
    if (!LIST_ENTRY(node, struct store_job, node)->err)
        return true;
    return false;
}

static enum err run_seals(struct store_tx *tx)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < tx->seal_count && !err; i++) {
        tx->doomed = ERR_OK;
        err = tx->seals[i].fn(tx, tx->seals[i].arg);
        store_tx_finish_all(tx);
        err = err ? err : tx->doomed;
    }
    return err;
}

static enum err batch_commit(struct store_writer *w, struct store_tx *tx, struct list *batch)
{
    const struct store_driver *driver = w->store->driver;
    if (!any_passed(batch)) {
        driver->rollback(w->link->conn);
        return ERR_OK;
    }
    int64_t start_us = clock_mono_us();
    enum err err = run_seals(tx);
    if (!err)
        err = driver->commit(w->link->conn);
    if (err)
        driver->rollback(w->link->conn);
    metric_observe(&metric_commit, (double)(clock_mono_us() - start_us) / 1e6);
    return err;
}

/* What is done with the result belongs to the trace, too, but not to the write's time. */
static void job_done(struct store_job *job, enum err err)
{
    const struct span *before = span_current();
    struct span span;
    if (job->span) {
        span = *job->span;
        span_end(job->span, err);
        span_enter(&span);
    }
    if (job->done)
        job->done(err, job->arg);
    span_leave(before);
}

static void batch_answer(struct list *batch, enum err batch_err)
{
    struct metric_cell *failed = metric_cell(&metric_jobs, "failed", NULL, NULL);
    struct metric_cell *passed = metric_cell(&metric_jobs, "committed", NULL, NULL);
    int64_t now_us = clock_mono_us();
    LIST_FOREACH(batch, node)
    {
        struct store_job *job = LIST_ENTRY(node, struct store_job, node);
        enum err err = job->err ? job->err : batch_err;
        metric_cell_add(err ? failed : passed, 1);
        metric_observe(&metric_write, (double)(now_us - job->queued_us) / 1e6);
        list_remove(node);
        job_done(job, err);
        store_job_free(&job);
    }
}

static void run_hook(const struct store_hook *hook)
{
    const struct span *before = span_current();
    if (hook->span)
        span_enter(hook->span);
    hook->fn(hook->arg);
    span_leave(before);
}

static void batch_run(struct store_writer *w, struct list *batch, unsigned count)
{
    struct store_tx tx = {.link = w->link, .is_write = true};
    list_init(&tx.in_flight);
    metric_observe(&metric_batch, count);

    enum err err = w->store->driver->begin(w->link->conn);
    if (!err)
        err = jobs_run(w, &tx, batch) ? batch_commit(w, &tx, batch) : ERR_UNAVAILABLE;
    if (err)
        metric_cell_add(metric_cell(&store_metric_errors, "batch", NULL, NULL), 1);
    for (size_t i = 0; !err && i < tx.hook_count; i++)
        run_hook(&tx.hooks[i]);
    free(tx.hooks);
    free(tx.seals);
    batch_answer(batch, err);
}

/* ---- the thread ---- */

static void *writer_main(void *arg)
{
    struct store_writer *w = arg;
    is_writer_thread = true;
    for (bool is_stopping = false;;) {
        struct list batch;
        list_init(&batch);
        unsigned count = take_batch(w, &batch, &is_stopping);
        if (!count && is_stopping)
            break;
        if (count)
            batch_run(w, &batch, count);
        pthread_mutex_lock(&w->lock);
        bool is_idle = w->queued == 0;
        pthread_mutex_unlock(&w->lock);
        if (w->store->driver->maintain)
            w->store->driver->maintain(w->link->conn, is_idle);
    }
    is_writer_thread = false;
    return NULL;
}

enum err store_writer_start(struct store_writer *w, struct store *store, uint32_t shard)
{
    w->store = store;
    list_init(&w->queue);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);

    enum err err = store_link_open(store, STORE_ACCESS_WRITE, &w->link);
    if (err)
        goto fail;
    if (store->driver->assign)
        store->driver->assign(w->link->conn, shard);
    err = thread_start(&w->thread, "store-writer", writer_main, w);
    if (err)
        goto fail;
    w->is_running = true;
    return ERR_OK;
fail:
    store_writer_stop(w);
    return err;
}

void store_writer_stop(struct store_writer *w)
{
    if (w->is_running) {
        pthread_mutex_lock(&w->lock);
        w->is_stopping = true;
        pthread_cond_signal(&w->wake);
        pthread_mutex_unlock(&w->lock);
        pthread_join(w->thread, NULL);
        w->is_running = false;
    }
    store_link_close(&w->link);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
}
