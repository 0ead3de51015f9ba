/*
 * store: SQL with one writer. A write is a job that runs on the writer inside a transaction it
 * shares with the other jobs that waited (group commit); each job has a savepoint, a failing job
 * rolls back alone, and `done` follows COMMIT (synced to disk). Reads run on the calling thread's
 * own connection.
 *
 * SQL is portable: `?` placeholders, snake_case tables; each service touches only its own tables.
 * Column types are INTEGER (64 bits), REAL, TEXT and BLOB; `INTEGER PRIMARY KEY AUTOINCREMENT` for
 * generated keys; 'single quotes' for text, which is UTF-8 without NUL; keywords in capitals, by
 * which store_dialect knows them. ATTACH, PRAGMA and BEGIN/COMMIT/SAVEPOINT are refused.
 *
 * A statement that fails dooms its job (PostgreSQL demands it, so every driver keeps it): further
 * statements fail too and the job rolls back, even if fn returns ERR_OK. Where a conflict is
 * expected say ON CONFLICT DO NOTHING and look at store_changes.
 */
#pragma once

#include "core/arena.h"
#include "core/err.h"
#include "core/str.h"

struct store;
struct store_tx;   /* a transaction on one connection; valid inside the job alone */
struct store_stmt; /* a statement in flight; finish it before the job returns */

/* The disk lost a write (fsync failed): nothing is acknowledged any more. Runs once, on the writer
 * thread; must end the process soon. Only a new start can mend the store (it sees the marker). */
typedef void store_fatal_fn(void *arg);

struct store_options {
    const char *driver; /* "sqlite", "postgres", "mysql" (MariaDB, too) */
    /* sqlite: path of the database file, alone in its directory with what belongs to it (lock,
     * ballast, marker); ":memory:" for tests. postgres: as libpq knows it, with several hosts if
     * need be: postgres://user:password@one,two:5432/parlance?sslmode=verify-full. mysql: in the
     * same form, mysql://user:password@one,two:3306/parlance?ssl-ca=/etc/ssl/ca.pem */
    const char *url;
    int64_t busy_ms;          /* 0: 5,000 */
    unsigned queue_max;       /* jobs waiting per writer; 0: 8,192 */
    unsigned batch_max;       /* jobs sharing a commit; 0: 512 */
    int64_t gather_us;        /* how long a busy writer waits for more jobs; 0: 1,000; -1: never */
    int64_t ballast_bytes;    /* kept for the day the disk is full; 0: 64 MiB; -1: none */
    int reserve_percent;      /* read-only when less of the disk is free; 0: 5; -1: never */
    store_fatal_fn *on_fatal; /* NULL: the process exits with status 74 */
    void *on_fatal_arg;
    const char *vfs;     /* sqlite: tests inject faults here; NULL: the system's */
    const char *pragmas; /* sqlite: more of them after the store's own; NULL: none */
    /* Copies of the database, kept by the engine, for store_read_stale; addresses like url. One
     * that is away is passed by. */
    const char *const *replicas;
    size_t replica_count;
    bool is_replica; /* the store's own: one that need not take writes */
};

/* ERR_FAILED_PRECONDITION: another process has the store open (logged with its id). */
MUST_USE enum err store_open(struct store **out, const struct store_options *opt);
/* Commits what is queued, checkpoints, closes. Nobody may be inside a call. Accepts NULL. */
void store_close(struct store **store);

/* ---- migrations ---- */
/* Where an engine needs another statement than the portable one: the one that begins so is these
 * there ("": none), in the engine's own words. */
struct store_variant {
    const char *begins;
    const char *postgres, *mysql; /* NULL: as it stands */
};
struct store_migration {
    const char *room;                     /* "auth": each service has its own sequence */
    int version;                          /* 1, 2, ... contiguous per room */
    const char *sql;                      /* statements separated by semicolons */
    const struct store_variant *variants; /* the last has no `begins`; NULL: none */
};
MUST_USE enum err store_migrate(struct store *store, const struct store_migration *list,
                                size_t count);
/* How many of the list are not applied yet. */
MUST_USE enum err store_migrations_pending(struct store *store, const struct store_migration *list,
                                           size_t count, size_t *pending);

/* Appends the statements that this store would run for list[at]. */
MUST_USE enum err store_migration_write(const struct store *store,
                                        const struct store_migration *list, size_t at,
                                        struct strbuf *out);

/* ---- transactions ---- */
typedef enum err store_fn(struct store_tx *tx, void *arg);
typedef void store_done_fn(enum err err, void *arg);

/*
 * Queues a write job on the shard's writer. Writes of one shard follow one another, whichever of
 * the processes that share the database makes them; those of two shards may not (over SQLite they
 * do: all shards have one writer). Shard 0 is everybody's; who uses others says how what both touch
 * stays right. `done` (may be NULL) runs on the writer thread after
 * COMMIT (or failure) and must be short: post or answer. fn calls no service and no network.
 * Refused at once, done running inside the call: ERR_UNAVAILABLE (queue full, or the store is
 * broken), ERR_RESOURCE_EXHAUSTED (disk nearly full).
 */
void store_write(struct store *store, uint32_t shard, store_fn *fn, void *arg, store_done_fn *done);
/* The same, waiting; on worker threads, never inside fn or done. Returns fn's error or the
 * commit's. */
MUST_USE enum err store_write_sync(struct store *store, uint32_t shard, store_fn *fn, void *arg);
/* For small writes that must go on when the disk is nearly full, or that free space: joining a
 * meeting, signing out, deleting. Accepted until nothing at all is left. */
void store_write_essential(struct store *store, uint32_t shard, store_fn *fn, void *arg,
                           store_done_fn *done);
MUST_USE enum err store_write_essential_sync(struct store *store, uint32_t shard, store_fn *fn,
                                             void *arg);
/* Waits until every write queued before has been answered. Never inside fn or done. */
void store_flush(struct store *store);
/* A read transaction (one snapshot) on a connection that is this thread's for the call. On worker
 * threads. Sees every write whose done ran before. */
MUST_USE enum err store_read(struct store *store, store_fn *fn, void *arg);
/* The same for a job of one statement, which sees one moment anyhow: cheaper, as no transaction is
 * put around it. A second statement fails with INTERNAL. */
MUST_USE enum err store_read_one(struct store *store, store_fn *fn, void *arg);

/* A read that may be of a moment ago: of a replica, if there is one, in turn. fn runs once more, on
 * the database itself, whenever it fails on a replica, so it must begin anew each time (and can
 * refuse what is too old by any error); without one it is store_read. Never for what somebody may
 * just have written and looks for. */
MUST_USE enum err store_read_stale(struct store *store, store_fn *fn, void *arg);
/* Whether this transaction is on a replica. */
bool store_is_stale(const struct store_tx *tx);

/* How far it is; false: stop. On the calling thread. */
struct store_progress {
    bool (*fn)(void *arg, int64_t done, int64_t total);
    void *arg;
};
/* All that is committed at one moment, as a database file of its own at `path`, synced (its
 * directory is the caller's). Writers go on meanwhile. ERR_ALREADY_EXISTS: something is there;
 * ERR_CANCELLED: progress said stop; ERR_UNIMPLEMENTED: not with this driver. On worker threads. */
MUST_USE enum err store_backup(struct store *store, const char *path,
                               const struct store_progress *progress);

/* Inside a write job: fn(arg) runs on the writer thread after COMMIT, before done; it does not run
 * if the job fails, so arg must not be something to free. Must be short: wake somebody. */
typedef void store_hook_fn(void *arg);
void store_on_commit(struct store_tx *tx, store_hook_fn *fn, void *arg);
/* Inside a write job: from here to its end this transaction follows those of another shard, too,
 * and they follow it: for what writers of several shards decide by looking at each other's rows.
 * Shards of higher numbers may follow lower ones, never the other way about. */
MUST_USE enum err store_follow(struct store_tx *tx, uint32_t shard);
/* Inside a write job: fn(tx, arg) runs in the transaction, after all jobs that share it and right
 * before COMMIT; once, however many jobs ask for the same. If it fails, all of them do. True: the
 * first of its batch to ask. */
bool store_before_commit(struct store_tx *tx, store_fn *fn, void *arg);

/* ---- statements ---- */
/* Cached per connection by text; sql should be a literal: 256 texts are kept. Never NULL:
 * errors show at step. */
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
/* Gives the statement back (and runs it first if it was not stepped); the first error of prepare,
 * bind or step. UNIQUE and PRIMARY KEY
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

/* For /ready and metrics: false when store_write would be refused. Any thread. */
bool store_is_writable(const struct store *store);
/* Where this transaction is. */
struct store *store_of_tx(const struct store_tx *tx);
/* "sqlite", "postgres", "mysql": for what no portable SQL says (full text). */
const char *store_driver_of(const struct store_tx *tx);
/* Whether this process alone uses the database (sqlite): what was in flight when it opened is
 * nobody's. */
bool store_is_exclusive(const struct store *store);
