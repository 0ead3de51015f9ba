/*
 * store: the room's front. Opens the driver named in the options, hands writes to the writer of
 * their shard (store_writer.c) and lends reading connections.
 *
 * Readers are pooled, not bound to threads: a read takes the connection used last (its page cache
 * is warm) and gives it back, so there are as many as ever read at once, a thread that ends leaves
 * nothing behind, and a read inside a read is no special case.
 */
#include "store/store_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"

#define QUEUE_MAX_DEFAULT 8192
#define BATCH_MAX_DEFAULT 512
#define GATHER_US_DEFAULT 1000
#define BUSY_MS_DEFAULT 5000
#define BALLAST_DEFAULT (64ll << 20)
#define RESERVE_PERCENT_DEFAULT 5
#define IDLE_READERS_MAX 64 /* connections kept; a burst beyond opens and closes its own */

static const struct store_driver *const drivers[] = {
    &store_sqlite,
    &store_postgres,
    &store_mysql,
};

static struct metric metric_queue =
    METRIC_GAUGE("parlance_store_queue_jobs", "Write jobs waiting for a writer.");
static struct metric metric_writable =
    METRIC_GAUGE("parlance_store_writable", "1 while the store accepts writes.");
static struct metric metric_read =
    METRIC_HISTOGRAM("parlance_store_read_seconds", "A read transaction, from begin to end.");
struct metric store_metric_errors = METRIC_COUNTER(
    "parlance_store_errors_total", "Statements, jobs and commits that failed.", "kind");

static double read_queue(void *arg)
{
    struct store *store = arg;
    unsigned queued = 0;
    for (unsigned i = 0; i < store->writer_count; i++) {
        struct store_writer *w = store->writers[i];
        if (!w)
            continue;
        pthread_mutex_lock(&w->lock);
        queued += w->queued;
        pthread_mutex_unlock(&w->lock);
    }
    return queued;
}

static double read_writable(void *arg)
{
    return store_is_writable(arg) ? 1 : 0;
}

static const struct store_driver *find_driver(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
        if (strcmp(drivers[i]->name, name) == 0)
            return drivers[i];
    return NULL;
}

static struct store_options with_defaults(const struct store_options *opt)
{
    struct store_options o = *opt;
    o.busy_ms = o.busy_ms ? o.busy_ms : BUSY_MS_DEFAULT;
    o.queue_max = o.queue_max ? o.queue_max : QUEUE_MAX_DEFAULT;
    o.batch_max = o.batch_max ? o.batch_max : BATCH_MAX_DEFAULT;
    o.gather_us = o.gather_us ? o.gather_us : GATHER_US_DEFAULT;
    o.ballast_bytes = o.ballast_bytes ? o.ballast_bytes : BALLAST_DEFAULT;
    o.reserve_percent = o.reserve_percent ? o.reserve_percent : RESERVE_PERCENT_DEFAULT;
    return o;
}

/* The writer of a shard, started if need be. */
static enum err writer_of(struct store *store, uint32_t shard, struct store_writer **out)
{
    unsigned i = shard % store->writer_count;
    enum err err = ERR_OK;
    *out = store->writers[i];
    if (*out)
        return ERR_OK;
    pthread_mutex_lock(&store->writers_lock);
    *out = store->writers[i];
    if (!*out) {
        struct store_writer *w = mem_zalloc(sizeof(*w));
        err = store_writer_start(w, store, i);
        if (err)
            free(w);
        else
            store->writers[i] = *out = w;
    }
    pthread_mutex_unlock(&store->writers_lock);
    return err;
}

enum err store_open(struct store **out, const struct store_options *opt)
{
    *out = NULL;
    const struct store_driver *driver = find_driver(opt->driver ? opt->driver : "sqlite");
    if (!driver) {
        log_error(NULL, "store: no driver is called \"%s\"", opt->driver);
        return ERR_INVALID_ARGUMENT;
    }
    struct store *store = mem_zalloc(sizeof(*store));
    store->driver = driver;
    store->opt = with_defaults(opt);
    list_init(&store->idle_readers);
    pthread_mutex_init(&store->readers_lock, NULL);
    pthread_mutex_init(&store->writers_lock, NULL);

    enum err err = driver->open(&store->opt, &store->db);
    if (err)
        goto fail;
    store_replicas_open(store);
    if (store->opt.is_replica) { /* nothing is written to it */
        *out = store;
        return ERR_OK;
    }
    store->writer_count = driver->writer_count(store->db);
    store->writers = mem_zalloc(store->writer_count * sizeof(*store->writers));
    struct store_writer *first;
    err = writer_of(store, 0, &first);
    if (err)
        goto fail;
    *out = store;
    metric_register_read(&metric_queue, read_queue, store);
    metric_register_read(&metric_writable, read_writable, store);
    return ERR_OK;
fail:
    store_close(&store);
    return err;
}

void store_close(struct store **storep)
{
    struct store *store = *storep;
    *storep = NULL;
    if (!store)
        return;
    store_replicas_close(store);
    metric_unregister_read(&metric_queue, store);
    metric_unregister_read(&metric_writable, store);
    /* Readers first: the last connection to close must be a writer's, which may checkpoint. */
    LIST_FOREACH(&store->idle_readers, node)
    {
        struct store_link *link = LIST_ENTRY(node, struct store_link, node);
        list_remove(node);
        store_link_close(&link);
    }
    for (unsigned i = 0; i < store->writer_count; i++) {
        if (store->writers[i])
            store_writer_stop(store->writers[i]);
        free(store->writers[i]);
    }
    store->driver->close(&store->db);
    pthread_mutex_destroy(&store->readers_lock);
    pthread_mutex_destroy(&store->writers_lock);
    free(store->writers);
    free(store);
}

enum err store_link_open(struct store *store, enum store_access access, struct store_link **out)
{
    struct store_link *link = mem_zalloc(sizeof(*link));
    link->store = store;
    list_init(&link->recent);
    link->statements = map_create();
    enum err err = store->driver->connect(store->db, access, &link->conn);
    if (err)
        store_link_close(&link);
    *out = link;
    return err;
}

void store_link_close(struct store_link **linkp)
{
    struct store_link *link = *linkp;
    *linkp = NULL;
    if (!link)
        return;
    store_link_discard_statements(link);
    map_destroy(&link->statements);
    if (link->conn)
        link->store->driver->disconnect(&link->conn);
    free(link);
}

void store_span_start(const struct store *store, struct span *span, const char *name)
{
    span_start_child(span, name, SPAN_CLIENT);
    span_add_text(span, "db.system", store->driver->name);
}

/* ---- writes ---- */

/* A write that belongs to something recorded is recorded too: from here until it is durable. */
static struct span *start_write_span(const struct store *store)
{
    struct span span;
    store_span_start(store, &span, "store.write");
    return span.is_sampled ? mem_dup(&span, sizeof(span)) : NULL;
}

static enum err write_start(struct store *store, uint32_t shard, const struct store_job *job,
                            bool is_essential)
{
    struct store_writer *writer;
    enum err err = store->driver->admit(store->db, is_essential);
    if (!err)
        err = writer_of(store, shard, &writer);
    if (err)
        return err;
    struct store_job *queued = mem_alloc(sizeof(*queued));
    *queued = *job;
    queued->span = start_write_span(store);
    err = store_writer_add(writer, queued);
    if (err)
        store_job_free(&queued);
    return err;
}

static void write_async(struct store *store, uint32_t shard, const struct store_job *job,
                        bool is_essential)
{
    enum err err = write_start(store, shard, job, is_essential);
    if (!err)
        return;
    metric_cell_add(metric_cell(&store_metric_errors, "refused", NULL, NULL), 1);
    if (job->done)
        job->done(err, job->arg);
}

void store_write(struct store *store, uint32_t shard, store_fn *fn, void *arg, store_done_fn *done)
{
    struct store_job job = {.fn = fn, .arg = arg, .done = done};
    write_async(store, shard, &job, false);
}

void store_write_essential(struct store *store, uint32_t shard, store_fn *fn, void *arg,
                           store_done_fn *done)
{
    struct store_job job = {.fn = fn, .arg = arg, .done = done};
    write_async(store, shard, &job, true);
}

struct sync_write {
    store_fn *fn;
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t finished;
    bool is_finished;
    enum err err;
};

static enum err sync_run(struct store_tx *tx, void *arg)
{
    struct sync_write *sync = arg;
    return sync->fn(tx, sync->arg);
}

static void sync_done(enum err err, void *arg)
{
    struct sync_write *sync = arg;
    pthread_mutex_lock(&sync->lock);
    sync->err = err;
    sync->is_finished = true;
    pthread_cond_signal(&sync->finished);
    pthread_mutex_unlock(&sync->lock);
}

static void sync_init(struct sync_write *sync, store_fn *fn, void *arg)
{
    assert(!store_writer_is_current());
    *sync = (struct sync_write){.fn = fn, .arg = arg};
    pthread_mutex_init(&sync->lock, NULL);
    pthread_cond_init(&sync->finished, NULL);
}

static enum err sync_wait(struct sync_write *sync)
{
    pthread_mutex_lock(&sync->lock);
    while (!sync->is_finished)
        pthread_cond_wait(&sync->finished, &sync->lock);
    pthread_mutex_unlock(&sync->lock);
    pthread_cond_destroy(&sync->finished);
    pthread_mutex_destroy(&sync->lock);
    return sync->err;
}

static enum err write_and_wait(struct store *store, uint32_t shard, store_fn *fn, void *arg,
                               bool is_essential)
{
    struct sync_write sync;
    sync_init(&sync, fn, arg);
    struct store_job job = {.fn = sync_run, .arg = &sync, .done = sync_done};
    write_async(store, shard, &job, is_essential);
    return sync_wait(&sync);
}

enum err store_write_sync(struct store *store, uint32_t shard, store_fn *fn, void *arg)
{
    return write_and_wait(store, shard, fn, arg, false);
}

enum err store_write_essential_sync(struct store *store, uint32_t shard, store_fn *fn, void *arg)
{
    return write_and_wait(store, shard, fn, arg, true);
}

static enum err flush_run(struct store_tx *tx, void *arg)
{
    return ERR_OK;
}

void store_flush(struct store *store)
{
    for (unsigned i = 0; i < store->writer_count; i++) {
        if (!store->writers[i])
            continue;
        struct sync_write sync;
        sync_init(&sync, flush_run, NULL);
        struct store_job *job = mem_new(struct store_job);
        *job = (struct store_job){.fn = sync_run, .arg = &sync, .done = sync_done};
        job->is_barrier = true;
        if (store_writer_add(store->writers[i], job) != ERR_OK) {
            free(job); /* closing: nothing can follow */
            sync.is_finished = true;
        }
        (void)!sync_wait(&sync);
    }
}

/* ---- reads ---- */

static enum err reader_take(struct store *store, struct store_link **out)
{
    *out = NULL;
    pthread_mutex_lock(&store->readers_lock);
    if (!list_is_empty(&store->idle_readers)) {
        *out = LIST_ENTRY(store->idle_readers.next, struct store_link, node);
        list_remove(&(*out)->node);
        store->idle_reader_count--;
    }
    pthread_mutex_unlock(&store->readers_lock);
    return *out ? ERR_OK : store_link_open(store, STORE_ACCESS_READ, out);
}

static void reader_give_back(struct store *store, struct store_link *link)
{
    pthread_mutex_lock(&store->readers_lock);
    bool is_kept = store->idle_reader_count < IDLE_READERS_MAX;
    if (is_kept) {
        list_add_head(&store->idle_readers, &link->node);
        store->idle_reader_count++;
    }
    pthread_mutex_unlock(&store->readers_lock);
    if (!is_kept)
        store_link_close(&link);
}

static enum err read_on_link(struct store *store, store_fn *fn, void *arg, bool is_single)
{
    struct store_link *link;
    enum err err = reader_take(store, &link);
    if (err)
        return err;
    err = is_single ? ERR_OK : store->driver->begin(link->conn);
    if (err) {
        store_link_close(&link); /* perhaps broken: the next read opens a new one */
        return err;
    }
    struct store_tx tx = {.link = link, .is_single = is_single};
    list_init(&tx.in_flight);
    err = fn(&tx, arg);
    store_tx_finish_all(&tx);
    if (!err)
        err = tx.doomed;
    if (!is_single)
        store->driver->rollback(link->conn); /* nothing was written: the cheap way to end */
    reader_give_back(store, link);
    return err;
}

enum err store_read_with(struct store *store, store_fn *fn, void *arg, bool is_single)
{
    int64_t start_us = clock_mono_us();
    struct span span;
    store_span_start(store, &span, "store.read");
    enum err err = read_on_link(store, fn, arg, is_single);
    span_end(&span, err);
    metric_observe(&metric_read, (double)(clock_mono_us() - start_us) / 1e6);
    return err;
}

enum err store_read(struct store *store, store_fn *fn, void *arg)
{
    return store_read_with(store, fn, arg, false);
}

enum err store_read_one(struct store *store, store_fn *fn, void *arg)
{
    return store_read_with(store, fn, arg, true);
}

struct backup {
    const struct store_driver *driver;
    const char *path;
    const struct store_progress *progress;
};

static enum err backup_job(struct store_tx *tx, void *arg)
{
    const struct backup *b = arg;
    return b->driver->backup(tx->link->conn, b->path, b->progress);
}

enum err store_backup(struct store *store, const char *path, const struct store_progress *progress)
{
    struct backup b = {store->driver, path, progress};
    return store->driver->backup ? store_read(store, backup_job, &b) : ERR_UNIMPLEMENTED;
}

bool store_is_writable(const struct store *store)
{
    return store->driver->admit(store->db, false) == ERR_OK;
}

struct store *store_of_tx(const struct store_tx *tx)
{
    return tx->link->store;
}

const char *store_driver_of(const struct store_tx *tx)
{
    return tx->link->store->driver->name;
}

bool store_is_exclusive(const struct store *store)
{
    return store->driver->is_exclusive;
}
