/*
 * store: SQL with one writer. A write is a job that runs on the writer inside a transaction it
 * shares with the other jobs that waited (group commit); each job has a savepoint, a failing job
 * rolls back alone, and `done` follows COMMIT (synced to disk). Reads run on the calling thread's
 * own connection.
 *
 * SQL is portable: `?` placeholders, snake_case tables; each service touches only its own tables.
 */
#pragma once

#include "core/arena.h"
#include "core/err.h"
#include "core/str.h"

struct store;
struct store_tx;   /* a transaction on one connection; valid inside the job alone */
struct store_stmt; /* a statement in flight; finish it before the job returns */

struct store_options {
    const char *driver; /* "sqlite" */
    const char *url;    /* sqlite: path of the database file; ":memory:" for tests */
    int64_t busy_ms;    /* 0: 5,000 */
};

MUST_USE enum err store_open(struct store **out, const struct store_options *opt);
/* Commits what is queued, checkpoints, closes. Accepts NULL. */
void store_close(struct store **store);

/* ---- migrations ---- */
struct store_migration {
    const char *room; /* "auth": each service has its own sequence */
    int version;      /* 1, 2, ... contiguous per room */
    const char *sql;  /* statements separated by semicolons */
};
MUST_USE enum err store_migrate(struct store *store, const struct store_migration *list,
                                size_t count);
/* How many of the list are not applied yet. */
MUST_USE enum err store_migrations_pending(struct store *store, const struct store_migration *list,
                                           size_t count, size_t *pending);

/* ---- transactions ---- */
typedef enum err store_fn(struct store_tx *tx, void *arg);
typedef void store_done_fn(enum err err, void *arg);

/* Queues a write job on the shard's writer. `done` runs on the writer thread after COMMIT (or
 * failure) and must be short: post or answer. fn calls no service and no network. ERR_UNAVAILABLE
 * is given to done when the queue is full or the store is read-only. */
void store_write(struct store *store, uint32_t shard, store_fn *fn, void *arg, store_done_fn *done);
/* The same, waiting; on worker threads. Returns fn's error or the commit's. */
MUST_USE enum err store_write_sync(struct store *store, uint32_t shard, store_fn *fn, void *arg);
/* A read transaction (one snapshot) on this thread's connection. On worker threads. */
MUST_USE enum err store_read(struct store *store, store_fn *fn, void *arg);

/* ---- statements ---- */
/* Cached per connection by text; sql must be a literal. Never NULL: errors show at step. */
struct store_stmt *store_prepare(struct store_tx *tx, const char *sql);
/* Parameters count from 1. Bytes are copied. */
void store_bind_int(struct store_stmt *st, int index, int64_t value);
void store_bind_real(struct store_stmt *st, int index, double value);
void store_bind_text(struct store_stmt *st, int index, const char *text); /* NULL binds NULL */
void store_bind_str(struct store_stmt *st, int index, struct str text);
void store_bind_blob(struct store_stmt *st, int index, const void *bytes, size_t n);
void store_bind_null(struct store_stmt *st, int index);
/* true: a row is there; false: finished, or failed (see store_finish). */
bool store_step(struct store_stmt *st);
/* Columns count from 0. Text and blobs live until the next step; copy with the arena forms. */
int64_t store_int(struct store_stmt *st, int column);
double store_real(struct store_stmt *st, int column);
struct str store_str(struct store_stmt *st, int column);
bool store_is_null(struct store_stmt *st, int column);
char *store_text(struct store_stmt *st, int column, struct arena *arena); /* "" for NULL */
void *store_blob(struct store_stmt *st, int column, struct arena *arena, size_t *n);
/* Gives the statement back; the first error of prepare, bind or step. UNIQUE and PRIMARY KEY
 * violations are ERR_ALREADY_EXISTS, foreign keys and CHECKs ERR_FAILED_PRECONDITION. */
MUST_USE enum err store_finish(struct store_stmt *st);
/* Rows changed by the last finished statement of this transaction. */
int64_t store_changes(struct store_tx *tx);

/*
 * Shorthand for statements without rows: one letter per parameter: i int64_t, s const char * (NULL
 * allowed), d double, b (const void *, size_t). err = store_run(tx, "UPDATE users SET name = ?
 * WHERE id = ?", "ss", name, id);
 */
MUST_USE enum err store_run(struct store_tx *tx, const char *sql, const char *types, ...);
/* Binds like store_run and leaves the statement ready to step. */
struct store_stmt *store_query(struct store_tx *tx, const char *sql, const char *types, ...);

/* For /ready and metrics. */
bool store_is_writable(const struct store *store);
