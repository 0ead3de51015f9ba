/*
 * store_postgres: the driver for PostgreSQL (libpq). The room above it is the same as over SQLite:
 * one writer with group commit and savepoints, readers with a snapshot each.
 *
 * Services rely on writes of a shard that follow one another. Several processes may share the
 * database, so a batch takes a lock first (of its schema and shard, released with the transaction):
 * it rides with BEGIN and costs no round trip. A process that freezes while it holds the lock is
 * cut off by the server.
 *
 * The connection is store_postgres_link.c, statements are store_postgres_stmt.c.
 */
#include "store/store_postgres_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"

#define BEGIN_WRITE "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
#define BEGIN_READ "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
#define LOCK_WRITERS "SELECT pg_advisory_xact_lock(hashtextextended(current_schema()::text, %u))"
#define LOCK_SEED 8800u /* and the shard */
#define SAVEPOINT "SAVEPOINT job"
#define COMMIT "COMMIT"

/* ---- the database ---- */

static const char *const defaults[][2] = {
    {"application_name", "parlance"},
    {"client_encoding", "UTF8"},
    {"connect_timeout", "5"},
    {"target_session_attrs", "read-write"}, /* of several hosts the primary */
    {"tcp_user_timeout", "10000"},
    {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},
    {"keepalives_count", "3"},
};

static const char *default_of(const char *keyword, bool is_replica)
{
    if (is_replica && strcmp(keyword, "target_session_attrs") == 0)
        return "any";
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
        if (strcmp(defaults[i][0], keyword) == 0)
            return defaults[i][1];
    return NULL;
}

static enum err read_url(struct store_db *db, const char *url)
{
    char *problem = NULL;
    PQconninfoOption *all = PQconninfoParse(url, &problem);
    if (!all) {
        /* libpq's words quote the address, and with it the password. */
        log_error(NULL, "store: the address of PostgreSQL cannot be read; in a password %%, /, ?, "
                        "#, @ and : are written as %%25, %%2F and so on");
        PQfreemem(problem);
        return ERR_INVALID_ARGUMENT;
    }
    size_t count = 0, n = 0;
    while (all[count].keyword)
        count++;
    db->keywords = mem_calloc(count + 1, sizeof(*db->keywords));
    db->values = mem_calloc(count + 1, sizeof(*db->values));
    for (size_t i = 0; i < count; i++) {
        const char *value =
            all[i].val ? all[i].val : default_of(all[i].keyword, db->opt->is_replica);
        if (!value)
            continue;
        db->keywords[n] = mem_strdup(all[i].keyword);
        db->values[n++] = mem_strdup(value);
    }
    PQconninfoFree(all);
    return ERR_OK;
}

static void postgres_close(struct store_db **dbp)
{
    struct store_db *db = *dbp;
    *dbp = NULL;
    if (!db)
        return;
    for (size_t i = 0; db->keywords && db->keywords[i]; i++) {
        free(db->keywords[i]);
        explicit_bzero(db->values[i], strlen(db->values[i]));
        free(db->values[i]);
    }
    free(db->keywords);
    free(db->values);
    free(db);
}

static enum err postgres_open(const struct store_options *opt, struct store_db **out)
{
    struct store_db *db = mem_zalloc(sizeof(*db));
    db->opt = opt;
    enum err err = read_url(db, opt->url);
    if (err)
        postgres_close(&db);
    *out = db;
    return err;
}

static unsigned postgres_writer_count(const struct store_db *db)
{
    return POSTGRES_WRITERS_MAX;
}

static enum err postgres_admit(const struct store_db *db, bool is_essential)
{
    return atomic_load(&db->is_down) ? ERR_UNAVAILABLE : ERR_OK;
}

/* ---- connections ---- */

static void postgres_disconnect(struct store_conn **conn)
{
    PQfinish((*conn)->pg);
    free(*conn);
    *conn = NULL;
}

static enum err postgres_connect(struct store_db *db, enum store_access access,
                                 struct store_conn **out)
{
    struct store_conn *conn = mem_zalloc(sizeof(*conn));
    conn->db = db;
    conn->access = access;
    enum err err = postgres_link_open(conn);
    if (err)
        postgres_disconnect(&conn);
    *out = conn;
    return err;
}

static void postgres_assign(struct store_conn *conn, uint32_t shard)
{
    snprintf(conn->lock_sql, sizeof(conn->lock_sql), LOCK_WRITERS, LOCK_SEED + shard);
}

static enum err postgres_follow(struct store_conn *conn, uint32_t shard)
{
    snprintf(conn->follow_sql, sizeof(conn->follow_sql), LOCK_WRITERS, LOCK_SEED + shard);
    if (strcmp(conn->follow_sql, conn->lock_sql) != 0)
        postgres_wait(conn, conn->follow_sql);
    return ERR_OK;
}

/* ---- transactions ---- */

static bool postgres_in_transaction(const struct store_conn *conn)
{
    return conn->in_transaction;
}

static void postgres_rollback(struct store_conn *conn)
{
    bool is_known = conn->in_transaction && !conn->is_begin_waiting;
    conn->in_transaction = conn->is_begin_waiting = false;
    conn->waiting_count = 0;
    if (is_known)
        postgres_tell(conn, "ROLLBACK");
}

static enum err postgres_begin(struct store_conn *conn)
{
    enum err err = conn->is_lost ? postgres_link_open(conn) : ERR_OK;
    if (err)
        return err;
    conn->in_transaction = conn->is_begin_waiting = true;
    bool is_reader = conn->access == STORE_ACCESS_READ;
    postgres_wait(conn, is_reader ? BEGIN_READ : BEGIN_WRITE);
    if (!is_reader)
        postgres_wait(conn, conn->lock_sql);
    return ERR_OK;
}

static enum err postgres_commit(struct store_conn *conn)
{
    PGresult *result = NULL;
    if (conn->is_begin_waiting) { /* nothing was asked for */
        postgres_rollback(conn);
        return ERR_OK;
    }
    postgres_wait(conn, COMMIT);
    enum err err = postgres_exchange(conn, NULL, &result);
    if (!err && strcmp(PQcmdStatus(result), COMMIT) != 0) {
        log_error(NULL, "store: PostgreSQL answered a commit with %s", PQcmdStatus(result));
        err = ERR_ABORTED;
    }
    PQclear(result);
    conn->in_transaction = false;
    return err;
}

/* A job that asked for nothing leaves nothing to end. */
static bool take_back_savepoint(struct store_conn *conn)
{
    if (!conn->waiting_count || strcmp(conn->waiting[conn->waiting_count - 1], SAVEPOINT) != 0)
        return false;
    conn->waiting_count--;
    return true;
}

static enum err postgres_savepoint(struct store_conn *conn)
{
    postgres_wait(conn, SAVEPOINT);
    return ERR_OK;
}

static enum err postgres_release(struct store_conn *conn)
{
    if (!take_back_savepoint(conn))
        postgres_wait(conn, "RELEASE SAVEPOINT job");
    return ERR_OK;
}

static enum err postgres_rollback_to(struct store_conn *conn)
{
    if (!take_back_savepoint(conn)) {
        postgres_wait(conn, "ROLLBACK TO SAVEPOINT job");
        postgres_wait(conn, "RELEASE SAVEPOINT job");
    }
    return ERR_OK;
}

static enum err run_plain(struct store_conn *conn, const char *sql, bool is_endless,
                          PGresult **result)
{
    struct postgres_command command = {.sql = sql, .is_endless = is_endless};
    return postgres_exchange(conn, &command, result);
}

static enum err learn_schema(struct store_conn *conn)
{
    PGresult *result = NULL;
    enum err err =
        run_plain(conn, "SELECT 1 FROM pg_constraint WHERE condeferrable LIMIT 1", false, &result);
    conn->is_schema_known = !err;
    conn->has_deferrable = !err && PQntuples(result) > 0;
    PQclear(result);
    return err;
}

/* Deferred constraints are judged at COMMIT, where they would fail the whole batch. */
static enum err postgres_check(struct store_conn *conn)
{
    PGresult *result = NULL;
    if (conn->is_begin_waiting)
        return ERR_OK;
    enum err err = conn->is_schema_known ? ERR_OK : learn_schema(conn);
    if (err || !conn->has_deferrable)
        return err;
    err = run_plain(conn, "SET CONSTRAINTS ALL IMMEDIATE", false, &result);
    PQclear(result);
    if (!err)
        postgres_wait(conn, "SET CONSTRAINTS ALL DEFERRED");
    return err;
}

/* ---- migrations ---- */

static enum err postgres_script(struct store_conn *conn, const char *name, const char *sql)
{
    struct str script = str_from(sql), statement;
    struct strbuf text = {0};
    PGresult *result = NULL;
    enum err err = run_plain(conn, "SET LOCAL statement_timeout = 0", false, &result);
    PQclear(result);
    while (!err && store_dialect_next(&script, &statement)) {
        struct store_dialect_info info;
        strbuf_clear(&text);
        err = store_dialect_rewrite(STORE_DIALECT_POSTGRES, statement, &text, &info);
        if (!err)
            err = run_plain(conn, text.p, true, &result);
        PQclear(result);
        result = NULL;
    }
    conn->is_schema_known = false;
    strbuf_deinit(&text);
    return err;
}

/* A connection that is lost is made anew before somebody needs it; until then writes are refused.
 */
static void postgres_maintain(struct store_conn *conn, bool is_idle)
{
    if (conn->is_lost || atomic_load(&conn->db->is_down))
        (void)!postgres_link_open(conn);
}

const struct store_driver store_postgres = {
    .name = "postgres",
    .dialect = STORE_DIALECT_POSTGRES,
    .open = postgres_open,
    .close = postgres_close,
    .writer_count = postgres_writer_count,
    .admit = postgres_admit,
    .connect = postgres_connect,
    .assign = postgres_assign,
    .follow = postgres_follow,
    .disconnect = postgres_disconnect,
    .begin = postgres_begin,
    .commit = postgres_commit,
    .rollback = postgres_rollback,
    .in_transaction = postgres_in_transaction,
    .savepoint = postgres_savepoint,
    .release = postgres_release,
    .rollback_to = postgres_rollback_to,
    .check = postgres_check,
    .script = postgres_script,
    .maintain = postgres_maintain,
    .prepare = postgres_prepare,
    .discard = postgres_discard,
    .bind = postgres_bind,
    .step = postgres_step,
    .reset = postgres_reset,
    .is_null = postgres_is_null,
    .get_int = postgres_get_int,
    .get_real = postgres_get_real,
    .get_bytes = postgres_get_bytes,
};
