/*
 * store_sqlite: the embedded driver. One writing connection, which alone checkpoints: SQLite 3.7.0
 * to 3.51.2 can corrupt a database when two connections write or checkpoint at once. WAL with
 * synchronous=FULL, so a commit that returned survives the loss of power. Checkpoints happen
 * between batches, when nobody waits if that can be had.
 *
 * What else lies in the directory (lock, ballast, marker) is store_sqlite_disk.c; statements are
 * store_sqlite_stmt.c.
 */
#include "store/store_sqlite_internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/metric.h"

#define CHECKPOINT_PAGES 1000 /* due when idle */
/* Due even when jobs wait. A long log's indexes are touched in the same many places by each commit,
 * and a checkpoint writes each place once: the rarer, the cheaper. */
#define CHECKPOINT_PAGES_BUSY 16000
#define TRUNCATE_PAGES 32768 /* 128 MiB: readers that never end are waited for, a moment */
#define TRUNCATE_WAIT_MS 100
/* KiB: the pages that inserts into the indexes of a long log touch. */
#define WRITER_CACHE "-32768"
#define LENGTH_MAX_BYTES (64 << 20) /* of one value or row */

static struct metric metric_wal =
    METRIC_GAUGE("parlance_store_wal_pages", "Pages in the write-ahead log after the last commit.");
static struct metric metric_checkpoint =
    METRIC_COUNTER("parlance_store_checkpoints_total", "Checkpoints of the log.", "result");
static struct metric metric_failures = METRIC_COUNTER(
    "parlance_store_sqlite_errors_total", "Failed calls into SQLite by result.", "code");

/* ---- errors ---- */

static enum err err_from_sqlite(int rc)
{
    switch (rc) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return ERR_ALREADY_EXISTS;
    }
    switch (rc & 0xff) {
    case SQLITE_CONSTRAINT:
    case SQLITE_READONLY:
        return ERR_FAILED_PRECONDITION;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_CANTOPEN:
        return ERR_UNAVAILABLE;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
        return ERR_RESOURCE_EXHAUSTED;
    case SQLITE_TOOBIG:
        return ERR_INVALID_ARGUMENT;
    case SQLITE_AUTH:
        return ERR_PERMISSION_DENIED;
    case SQLITE_INTERRUPT:
        return ERR_CANCELLED;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_DATA_LOSS;
    case SQLITE_IOERR:
        return ERR_UNAVAILABLE;
    default:
        return ERR_INTERNAL;
    }
}

/* Bytes that were to reach the disk did not, and the page cache may pretend they did. */
static bool is_lost_write(int rc)
{
    switch (rc) {
    case SQLITE_IOERR_FSYNC:
    case SQLITE_IOERR_DIR_FSYNC:
    case SQLITE_IOERR_WRITE:
    case SQLITE_IOERR_TRUNCATE:
    case SQLITE_IOERR_CLOSE:
        return true;
    }
    return false;
}

/* errno of the file that was being written: the log, or in a checkpoint the database. (After a
 * failed COMMIT sqlite3_system_errno does not know.) */
static int write_errno(const struct store_conn *conn)
{
    sqlite3_file *file = NULL;
    int error_number = 0;
    sqlite3_file_control(
        conn->sql, "main",
        conn->is_checkpointing ? SQLITE_FCNTL_FILE_POINTER : SQLITE_FCNTL_JOURNAL_POINTER, &file);
    if (file && file->pMethods)
        file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error_number);
    return error_number;
}

/* Refused as a whole, so nothing was lost. */
static bool is_disk_full(const struct store_conn *conn, int rc)
{
    if ((rc & 0xff) == SQLITE_FULL || rc == SQLITE_IOERR_SHMSIZE)
        return true;
    if (rc != SQLITE_IOERR_WRITE)
        return false;
    int error_number = write_errno(conn);
    return error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
}

enum err sqlite_fail(struct store_conn *conn, int rc, const char *what)
{
    int base = rc & 0xff;
    if (base == SQLITE_CONSTRAINT) /* an answer, not a fault */
        return err_from_sqlite(rc);
    metric_cell_add(metric_cell(&metric_failures, sqlite3_errstr(rc), NULL, NULL), 1);
    log_error(NULL, "store: %s (%d) in: %s", sqlite3_errmsg(conn->sql), rc, what);
    if (conn->access == STORE_ACCESS_READ)
        return err_from_sqlite(rc);
    if (is_disk_full(conn, rc)) {
        sqlite_disk_exhausted(conn->db);
        return ERR_RESOURCE_EXHAUSTED;
    }
    if (is_lost_write(rc))
        sqlite_disk_broke(conn->db);
    return err_from_sqlite(rc);
}

/* ---- connections ---- */

/* Services may read and change tables; transactions, files and settings are the store's. */
static int authorize(void *arg, int action, const char *a, const char *b, const char *database,
                     const char *trigger)
{
    static const char *const harmless_pragmas[] = {
        "table_info", "table_xinfo", "index_list", "index_info", "foreign_key_list", "data_version",
    };
    const struct store_conn *conn = arg;
    if (conn->is_internal)
        return SQLITE_OK;
    switch (action) {
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
    case SQLITE_ATTACH:
    case SQLITE_DETACH:
        return SQLITE_DENY;
    case SQLITE_PRAGMA:
        for (size_t i = 0; i < ARRAY_LEN(harmless_pragmas); i++)
            if (sqlite3_stricmp(a, harmless_pragmas[i]) == 0)
                return SQLITE_OK;
        return SQLITE_DENY;
    default:
        return SQLITE_OK;
    }
}

static int on_wal(void *arg, sqlite3 *sql, const char *name, int pages)
{
    struct store_conn *conn = arg;
    if (pages < conn->wal_pages) /* the log began anew */
        conn->checkpoint_at = CHECKPOINT_PAGES;
    conn->wal_pages = pages;
    metric_set(&metric_wal, pages);
    return SQLITE_OK;
}

static enum err exec(struct store_conn *conn, const char *sql)
{
    int rc = sqlite3_exec(conn->sql, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ERR_OK : sqlite_fail(conn, rc, sql);
}

/* A pragma that is silently ignored (WAL on a file system without it) must not pass. */
static enum err expect_pragma(struct store_conn *conn, const char *sql, const char *expected)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(conn->sql, sql, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    const char *value = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;
    enum err err = ERR_OK;
    if (rc != SQLITE_ROW) {
        err = sqlite_fail(conn, rc, sql);
    } else if (!value || strcmp(value, expected) != 0) {
        log_error(NULL, "store: %s is %s, not %s", sql, value ? value : "nothing", expected);
        err = ERR_FAILED_PRECONDITION;
    }
    sqlite3_finalize(st);
    return err;
}

static enum err set_up(struct store_conn *conn)
{
    /* temp_store: a savepoint's pages that outgrow memory would go to a file, and SQLite 3.40 says
     * SQLITE_FULL there when one before it was released. */
    static const char common[] =
        "PRAGMA mmap_size=0; PRAGMA cell_size_check=ON; PRAGMA trusted_schema=OFF;"
        "PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY;";
    static const int off[] = {
        SQLITE_DBCONFIG_DQS_DDL,
        SQLITE_DBCONFIG_DQS_DML,
        SQLITE_DBCONFIG_TRUSTED_SCHEMA,
    };
    const struct store_options *opt = conn->db->opt;
    sqlite3_extended_result_codes(conn->sql, 1);
    sqlite3_busy_timeout(conn->sql, (int)opt->busy_ms);
    sqlite3_limit(conn->sql, SQLITE_LIMIT_LENGTH, LENGTH_MAX_BYTES);
    sqlite3_limit(conn->sql, SQLITE_LIMIT_ATTACHED, 0);
    for (size_t i = 0; i < ARRAY_LEN(off); i++)
        sqlite3_db_config(conn->sql, off[i], 0, NULL);
    sqlite3_db_config(conn->sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(conn->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_wal_autocheckpoint(conn->sql, 0);
    enum err err = exec(conn, common);
    if (!err && conn->access == STORE_ACCESS_WRITE) {
        err = expect_pragma(conn, "PRAGMA journal_mode=WAL", "wal");
        if (!err)
            err = exec(conn, "PRAGMA synchronous=FULL; PRAGMA journal_size_limit=67108864;"
                             "PRAGMA cache_size=" WRITER_CACHE);
        if (!err)
            err = expect_pragma(conn, "PRAGMA synchronous", "2");
        sqlite3_wal_hook(conn->sql, on_wal, conn);
    }
    if (!err && opt->pragmas)
        err = exec(conn, opt->pragmas);
    return err;
}

static enum err prepare_controls(struct store_conn *conn)
{
    const struct {
        sqlite3_stmt **st;
        const char *sql;
    } controls[] = {
        {&conn->begin, conn->access == STORE_ACCESS_WRITE ? "BEGIN IMMEDIATE" : "BEGIN"},
        {&conn->commit, "COMMIT"},
        {&conn->rollback, "ROLLBACK"},
        {&conn->savepoint, "SAVEPOINT job"},
        {&conn->release, "RELEASE job"},
        {&conn->rollback_to, "ROLLBACK TO job"},
    };
    for (size_t i = 0; i < ARRAY_LEN(controls); i++) {
        int rc = sqlite3_prepare_v3(conn->sql, controls[i].sql, -1, SQLITE_PREPARE_PERSISTENT,
                                    controls[i].st, NULL);
        if (rc != SQLITE_OK)
            return sqlite_fail(conn, rc, controls[i].sql);
    }
    return ERR_OK;
}

static enum err checkpoint(struct store_conn *conn, int mode);

static void sqlite_disconnect(struct store_conn **connp)
{
    struct store_conn *conn = *connp;
    *connp = NULL;
    sqlite3_stmt *const controls[] = {conn->begin,     conn->commit,  conn->rollback,
                                      conn->savepoint, conn->release, conn->rollback_to};
    for (size_t i = 0; i < ARRAY_LEN(controls); i++)
        sqlite3_finalize(controls[i]);
    if (conn->access == STORE_ACCESS_WRITE && conn->begin && !conn->db->is_broken &&
        checkpoint(conn, SQLITE_CHECKPOINT_TRUNCATE) == ERR_OK) {
        /* All is in the database file: the last one to close may remove the empty log. */
        sqlite3_db_config(conn->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    }
    sqlite3_close_v2(conn->sql);
    free(conn);
}

static enum err sqlite_connect(struct store_db *db, enum store_access access,
                               struct store_conn **out)
{
    struct store_conn *conn = mem_zalloc(sizeof(*conn));
    conn->db = db;
    conn->access = access;
    conn->checkpoint_at = CHECKPOINT_PAGES;
    conn->is_internal = true;
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                (access == STORE_ACCESS_WRITE ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                                              : SQLITE_OPEN_READONLY);
    int rc = sqlite3_open_v2(db->path, &conn->sql, flags, db->opt->vfs);
    enum err err = rc == SQLITE_OK ? ERR_OK : sqlite_fail(conn, rc, db->path);
    if (!err)
        err = set_up(conn);
    if (!err && access == STORE_ACCESS_WRITE && db->is_rescued) {
        err = checkpoint(conn, SQLITE_CHECKPOINT_TRUNCATE);
        if (!err)
            err = sqlite_disk_clear_marker(db);
    }
    if (!err)
        err = prepare_controls(conn);
    sqlite3_set_authorizer(conn->sql, authorize, conn);
    conn->is_internal = false;
    if (err)
        sqlite_disconnect(&conn);
    *out = conn;
    return err;
}

/* ---- transactions ---- */

/* A schema change makes SQLite prepare anew what it runs: the authorizer must know whose it is. */
static enum err control(struct store_conn *conn, sqlite3_stmt *st)
{
    conn->is_internal = true;
    sqlite3_step(st);
    int rc = sqlite3_reset(st);
    conn->is_internal = false;
    return rc == SQLITE_OK ? ERR_OK : sqlite_fail(conn, rc, sqlite3_sql(st));
}

static bool sqlite_in_transaction(const struct store_conn *conn)
{
    return !sqlite3_get_autocommit(conn->sql);
}

static enum err sqlite_begin(struct store_conn *conn)
{
    if (conn->access == STORE_ACCESS_WRITE && conn->db->is_broken)
        return ERR_UNAVAILABLE;
    return control(conn, conn->begin);
}

static enum err sqlite_commit(struct store_conn *conn)
{
    return control(conn, conn->commit);
}

static void sqlite_rollback(struct store_conn *conn)
{
    if (sqlite_in_transaction(conn))
        (void)!control(conn, conn->rollback);
}

static enum err sqlite_savepoint(struct store_conn *conn)
{
    return control(conn, conn->savepoint);
}

static enum err sqlite_release(struct store_conn *conn)
{
    return control(conn, conn->release);
}

static enum err sqlite_rollback_to(struct store_conn *conn)
{
    enum err err = control(conn, conn->rollback_to);
    return err ? err : control(conn, conn->release);
}

/* Deferred foreign keys are judged at COMMIT, where they would fail the whole batch. */
static enum err sqlite_check(struct store_conn *conn)
{
    int unresolved = 0, highest = 0;
    sqlite3_db_status(conn->sql, SQLITE_DBSTATUS_DEFERRED_FKS, &unresolved, &highest, 0);
    return unresolved ? ERR_FAILED_PRECONDITION : ERR_OK;
}

static enum err sqlite_script(struct store_conn *conn, const char *name, const char *sql)
{
    return exec(conn, sql);
}

/* ---- checkpoints ---- */

static enum err checkpoint(struct store_conn *conn, int mode)
{
    int in_log = 0, moved = 0;
    conn->is_checkpointing = true;
    int rc = sqlite3_wal_checkpoint_v2(conn->sql, NULL, mode, &in_log, &moved);
    enum err err = rc == SQLITE_OK     ? ERR_OK
                   : rc == SQLITE_BUSY ? ERR_UNAVAILABLE
                                       : sqlite_fail(conn, rc, "checkpoint");
    conn->is_checkpointing = false;
    const char *result = rc == SQLITE_BUSY ? "busy"
                         : err             ? "failed"
                         : moved == in_log ? "whole"
                                           : "partial";
    metric_cell_add(metric_cell(&metric_checkpoint, result, NULL, NULL), 1);
    /* As long as a reader needs the log it goes on growing: try again then, not each time. */
    if (!err && mode == SQLITE_CHECKPOINT_TRUNCATE)
        conn->wal_pages = 0;
    conn->checkpoint_at = conn->wal_pages + CHECKPOINT_PAGES;
    return err;
}

static void sqlite_maintain(struct store_conn *conn, bool is_idle)
{
    if (conn->db->is_broken)
        return;
    sqlite_disk_watch(conn->db);
    int due = conn->checkpoint_at + (is_idle ? 0 : CHECKPOINT_PAGES_BUSY - CHECKPOINT_PAGES);
    if (conn->wal_pages < due)
        return;
    if (conn->wal_pages < TRUNCATE_PAGES) {
        (void)!checkpoint(conn, SQLITE_CHECKPOINT_PASSIVE);
        return;
    }
    sqlite3_busy_timeout(conn->sql, TRUNCATE_WAIT_MS);
    (void)!checkpoint(conn, SQLITE_CHECKPOINT_TRUNCATE);
    sqlite3_busy_timeout(conn->sql, (int)conn->db->opt->busy_ms);
}

/* ---- the database ---- */

static void sqlite_close(struct store_db **dbp)
{
    struct store_db *db = *dbp;
    *dbp = NULL;
    if (!db)
        return;
    sqlite_disk_close(db);
    free(db->path);
    free(db->dir);
    free(db);
}

/* Counting every allocation under one lock is of no use here; must precede SQLite's first call. */
static void configure(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static enum err sqlite_open(const struct store_options *opt, struct store_db **out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, configure);
    struct store_db *db = mem_zalloc(sizeof(*db));
    db->opt = opt;
    db->lock_fd = -1;
    enum err err = sqlite_disk_open(db);
    if (err)
        sqlite_close(&db);
    *out = db;
    return err;
}

static unsigned sqlite_writer_count(const struct store_db *db)
{
    return 1;
}

static enum err sqlite_admit(const struct store_db *db, bool is_essential)
{
    if (db->is_broken)
        return ERR_UNAVAILABLE;
    return db->is_full && !is_essential ? ERR_RESOURCE_EXHAUSTED : ERR_OK;
}

const struct store_driver store_sqlite = {
    .name = "sqlite",
    .is_exclusive = true,
    .open = sqlite_open,
    .close = sqlite_close,
    .writer_count = sqlite_writer_count,
    .admit = sqlite_admit,
    .connect = sqlite_connect,
    .disconnect = sqlite_disconnect,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .in_transaction = sqlite_in_transaction,
    .savepoint = sqlite_savepoint,
    .release = sqlite_release,
    .rollback_to = sqlite_rollback_to,
    .check = sqlite_check,
    .script = sqlite_script,
    .maintain = sqlite_maintain,
    .prepare = sqlite_prepare,
    .discard = sqlite_discard,
    .bind = sqlite_bind,
    .step = sqlite_step,
    .reset = sqlite_reset,
    .is_null = sqlite_is_null,
    .get_int = sqlite_get_int,
    .get_real = sqlite_get_real,
    .get_bytes = sqlite_get_bytes,
    .backup = sqlite_backup,
};
