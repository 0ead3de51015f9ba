/* store_internal: what the files of this room share and nobody else sees. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "core/list.h"
#include "core/map.h"
#include "core/metric.h"
#include "core/span.h"
#include "store/store_driver.h"

#define STATEMENT_SLOTS 128

/* A connection with its prepared statements. */
struct store_link {
    struct list node; /* store.idle_readers */
    struct store *store;
    struct store_conn *conn;
    /* the same by the address of the text, which is mostly a literal's: found without hashing it */
    struct store_stmt *by_address[STATEMENT_SLOTS];
    struct map *statements; /* sql text -> struct store_stmt */
    struct list recent;     /* the same, least recently used first */
};

struct store_hook {
    store_hook_fn *fn;
    void *arg;
    const struct span *span; /* of its job; NULL: not recorded */
};

/* Something to be done once before the batch commits. */
struct store_seal {
    store_fn *fn;
    void *arg;
};

struct store_tx {
    struct store_link *link;
    struct list in_flight; /* statements not finished yet */
    enum err doomed;       /* the first failure; nothing more succeeds */
    int64_t changes;
    bool is_write;
    bool is_single; /* one statement, no transaction around it */
    bool has_statement;
    struct store_hook *hooks; /* of all jobs in the batch so far */
    size_t hook_count, hook_capacity;
    struct store_seal *seals;
    size_t seal_count;
};

struct store_job {
    struct list node;
    store_fn *fn;
    void *arg;
    store_done_fn *done;
    int64_t queued_us;
    bool is_barrier;   /* may exceed the limit of the queue */
    struct span *span; /* NULL: not recorded */
    enum err err;
};

/* One writing connection, its thread and its queue. */
struct store_writer {
    struct store *store;
    struct store_link *link;
    pthread_t thread;
    bool is_running; /* the thread was started */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct list queue; /* guarded by lock, as are the next three */
    unsigned queued;
    unsigned wake_at; /* jobs that must be queued before the writer is woken; 0: it is awake */
    bool is_stopping;
    unsigned batch_last; /* jobs in the batch before: what a busy writer waits for */
};

struct store_replica;

struct store {
    const struct store_driver *driver;
    struct store_db *db;
    struct store_options opt;                /* with defaults filled in */
    _Atomic(struct store_writer *) *writers; /* NULL: nothing was written to its shards yet */
    unsigned writer_count;
    pthread_mutex_t writers_lock; /* one is being started */
    pthread_mutex_t readers_lock;
    struct list idle_readers; /* most recently used first */
    unsigned idle_reader_count;
    struct store_replica *replicas;
    size_t replica_count;
    atomic_uint next_replica;
};

/* store.c */
enum err store_link_open(struct store *store, enum store_access access, struct store_link **out);
void store_link_close(struct store_link **link);
extern struct metric store_metric_errors;

/* Begins a span of what this thread is at. */
void store_span_start(const struct store *store, struct span *span, const char *name);

enum err store_read_with(struct store *store, store_fn *fn, void *arg, bool is_single);

/* store_replica.c */
void store_replicas_open(struct store *store);
void store_replicas_close(struct store *store);

/* store_stmt.c */
/* Resets what a job left in flight. */
void store_tx_finish_all(struct store_tx *tx);
void store_link_discard_statements(struct store_link *link);

/* store_writer.c */
enum err store_writer_start(struct store_writer *writer, struct store *store, uint32_t shard);
/* Runs what is queued, ends the thread, closes the connection. */
void store_writer_stop(struct store_writer *writer);
/* ERR_OK: queued, done will be called. Anything else: refused. */
enum err store_writer_add(struct store_writer *writer, struct store_job *job);
void store_job_free(struct store_job **job);
/* Whether this thread is a writer's (of any store): there one must not wait for a write. */
bool store_writer_is_current(void);
