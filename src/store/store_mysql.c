/*
 * store_mysql: the driver for MySQL and MariaDB (libmariadb). The room above it is the same as over
 * SQLite: one writer with group commit and savepoints, readers with a snapshot each.
 *
 * Services rely on writes of a shard that follow one another. Several processes may share the
 * database, so a batch takes a named lock of the server's first (of its database and shard): it
 * rides with BEGIN and goes with COMMIT. A process that freezes while it holds the lock is cut off
 * by the server, and its lock with it.
 *
 * A statement that makes a table commits, there, whatever is open. Services make none but in
 * migrations (store_mysql_script.c); the transaction is begun again behind it.
 */
#include "store/store_mysql_internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"

#define BEGIN_READ "START TRANSACTION READ ONLY"
#define BEGIN_WRITE "START TRANSACTION READ WRITE"
#define LOCK_WRITERS "SELECT GET_LOCK(CONCAT('parlance.',MD5(DATABASE()),'.%u'),%lld)"
#define COMMIT_WRITE "COMMIT;DO RELEASE_ALL_LOCKS()"
#define PING_AFTER_US 5000000ll /* the server hangs up on a writer that is silent for long */

/* ---- the database ---- */

static void mysql_driver_close(struct store_db **dbp)
{
    struct store_db *db = *dbp;
    *dbp = NULL;
    if (!db)
        return;
    store_mysql_address_deinit(&db->address);
    free(db);
}

static void start_library(void)
{
    (void)mysql_library_init(0, NULL, NULL);
}

static enum err mysql_driver_open(const struct store_options *opt, struct store_db **out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_library);
    struct store_db *db = mem_zalloc(sizeof(*db));
    db->opt = opt;
    enum err err = store_mysql_address_read(&db->address, opt->url);
    if (err)
        mysql_driver_close(&db);
    *out = db;
    return err;
}

static unsigned mysql_writer_count(const struct store_db *db)
{
    return MYSQL_WRITERS_MAX;
}

static enum err mysql_admit(const struct store_db *db, bool is_essential)
{
    return atomic_load(&db->is_down) ? ERR_UNAVAILABLE : ERR_OK;
}

/* ---- connections ---- */

static void mysql_disconnect(struct store_conn **connp)
{
    struct store_conn *conn = *connp;
    if (conn->my)
        mysql_close(conn->my);
    strbuf_deinit(&conn->waiting);
    free(conn);
    *connp = NULL;
}

static enum err mysql_connect_now(struct store_db *db, enum store_access access,
                                  struct store_conn **out)
{
    struct store_conn *conn = mem_zalloc(sizeof(*conn));
    conn->db = db;
    conn->access = access;
    enum err err = store_mysql_link_open(conn);
    if (err)
        mysql_disconnect(&conn);
    *out = conn;
    return err;
}

static void mysql_assign(struct store_conn *conn, uint32_t shard)
{
    snprintf(conn->lock_sql, sizeof(conn->lock_sql), LOCK_WRITERS, shard,
             (long long)MAX(conn->db->opt->busy_ms / 1000, 1));
}

/* Named locks are the session's: asked for again, one that is held is given again. */
static enum err mysql_follow(struct store_conn *conn, uint32_t shard)
{
    char sql[sizeof(conn->lock_sql)];
    snprintf(sql, sizeof(sql), LOCK_WRITERS, shard,
             (long long)MAX(conn->db->opt->busy_ms / 1000, 1));
    if (strcmp(sql, conn->lock_sql) != 0)
        store_mysql_link_wait(conn, sql);
    return ERR_OK;
}

/* ---- transactions ---- */

static bool mysql_in_transaction(const struct store_conn *conn)
{
    return conn->in_transaction;
}

static void forget_waiting(struct store_conn *conn)
{
    strbuf_clear(&conn->waiting);
    conn->waiting_count = 0;
    conn->is_savepoint_wanted = false;
}

static void mysql_roll_back(struct store_conn *conn)
{
    bool is_known = conn->in_transaction && !conn->is_begin_waiting;
    conn->in_transaction = conn->is_begin_waiting = false;
    forget_waiting(conn);
    if (is_known)
        store_mysql_link_tell(conn,
                              conn->access == STORE_ACCESS_READ ? "ROLLBACK" : MYSQL_ROLLBACK);
}

static enum err mysql_begin(struct store_conn *conn)
{
    enum err err = conn->is_lost ? store_mysql_link_open(conn) : ERR_OK;
    if (err)
        return err;
    bool is_reader = conn->access == STORE_ACCESS_READ;
    conn->in_transaction = conn->is_begin_waiting = true;
    store_mysql_link_wait(conn, is_reader ? BEGIN_READ : BEGIN_WRITE);
    if (!is_reader)
        store_mysql_link_wait(conn, conn->lock_sql);
    return ERR_OK;
}

void store_mysql_begin_again(struct store_conn *conn)
{
    if (!conn->in_transaction || conn->is_lost)
        return;
    store_mysql_link_wait(conn, BEGIN_WRITE);
    store_mysql_link_wait(conn, "SAVEPOINT job");
}

static enum err mysql_commit_now(struct store_conn *conn)
{
    if (conn->is_begin_waiting) { /* nothing was asked for */
        mysql_roll_back(conn);
        return ERR_OK;
    }
    conn->is_savepoint_wanted = false;
    enum err err = store_mysql_link_run(conn, COMMIT_WRITE, false);
    if (err && conn->in_transaction && !conn->is_lost)
        store_mysql_link_tell(conn, MYSQL_ROLLBACK);
    conn->in_transaction = false;
    return err;
}

/* The one before, of the same name, goes with it: nothing is ever released. */
static enum err mysql_savepoint(struct store_conn *conn)
{
    conn->is_savepoint_wanted = true;
    return ERR_OK;
}

static enum err mysql_release(struct store_conn *conn)
{
    return ERR_OK;
}

static enum err mysql_rollback_to(struct store_conn *conn)
{
    if (!conn->is_savepoint_wanted) /* else the job has asked for nothing */
        store_mysql_link_wait(conn, "ROLLBACK TO SAVEPOINT job");
    return ERR_OK;
}

/* No constraint is deferred there. */
static enum err mysql_check(struct store_conn *conn)
{
    return ERR_OK;
}

/* A connection that is lost is made anew before somebody needs it; until then writes are refused.
 */
static void mysql_maintain(struct store_conn *conn, bool is_idle)
{
    if (conn->is_lost || atomic_load(&conn->db->is_down)) {
        (void)!store_mysql_link_open(conn);
    } else if (is_idle && clock_mono_us() - conn->used_at_us > PING_AFTER_US) {
        char answer[8];
        conn->used_at_us = clock_mono_us();
        (void)!store_mysql_link_ask(conn, "SELECT 1", answer, sizeof(answer));
    }
}

const struct store_driver store_mysql = {
    .name = "mysql",
    .dialect = STORE_DIALECT_MYSQL,
    .open = mysql_driver_open,
    .close = mysql_driver_close,
    .writer_count = mysql_writer_count,
    .admit = mysql_admit,
    .connect = mysql_connect_now,
    .assign = mysql_assign,
    .follow = mysql_follow,
    .disconnect = mysql_disconnect,
    .begin = mysql_begin,
    .commit = mysql_commit_now,
    .rollback = mysql_roll_back,
    .in_transaction = mysql_in_transaction,
    .savepoint = mysql_savepoint,
    .release = mysql_release,
    .rollback_to = mysql_rollback_to,
    .check = mysql_check,
    .script = store_mysql_script,
    .maintain = mysql_maintain,
    .prepare = store_mysql_prepare_sql,
    .discard = store_mysql_discard,
    .bind = store_mysql_bind_value,
    .step = store_mysql_step,
    .reset = store_mysql_reset,
    .is_null = store_mysql_is_null,
    .get_int = store_mysql_get_int,
    .get_real = store_mysql_get_real,
    .get_bytes = store_mysql_get_bytes,
};
