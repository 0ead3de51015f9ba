/*
 * store_mysql_link: one connection to MySQL or MariaDB and how it is spoken over. Transactions are
 * controlled in text, several statements in one round trip: BEGIN, the lock and SAVEPOINT wait and
 * go out before the job's first statement, ROLLBACK is told and its answer read with the next one.
 *
 * A lost connection is made anew, to the first of the address's hosts that takes writes. What was
 * in the middle of a transaction fails with ERR_UNAVAILABLE; if that was its COMMIT, nobody knows
 * whether it happened: idempotency keys are for that.
 */
#include "store/store_mysql_internal.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/metric.h"

#define CONNECT_MAX_S 5
#define ANSWER_MAX_S 40 /* the server itself gives up before (max_statement_time) */
#define SEND_MAX_S 10
#define RETRY_AFTER_US 500000ll  /* a server that is away is not asked by every job */
#define TRY_MAX_US 60000000ll    /* no attempt to connect takes longer */
#define SURELY_IDLE_US 1000000ll /* a connection that died before we spoke shows it at once */
/* Jobs of a batch wait for nobody: who is silent in the middle of one has stopped, and holds the
 * lock that all others need. */
#define FROZEN_AFTER_S 4
#define MARIADB_OLDEST 100600ul
#define MYSQL_OLDEST 80017ul

static struct metric metric_errors =
    METRIC_COUNTER("parlance_store_mysql_errors_total", "Errors that MySQL told, by code.", "code");
static struct metric metric_connections = METRIC_COUNTER("parlance_store_mysql_connections_total",
                                                         "Attempts to connect to MySQL.", "result");

/* ---- errors ---- */

static const struct {
    unsigned code;
    enum err err;
    bool is_fatal;  /* the connection is of no use any more */
    bool is_answer; /* no fault: not logged */
} meanings[] = {
    {ER_DUP_ENTRY, ERR_ALREADY_EXISTS, .is_answer = true},
    {ER_DUP_ENTRY_WITH_KEY_NAME, ERR_ALREADY_EXISTS, .is_answer = true},
    {ER_BAD_NULL_ERROR, ERR_FAILED_PRECONDITION, .is_answer = true},
    {ER_NO_DEFAULT_FOR_FIELD, ERR_FAILED_PRECONDITION, .is_answer = true},
    {ER_NO_REFERENCED_ROW, ERR_FAILED_PRECONDITION, .is_answer = true},
    {ER_NO_REFERENCED_ROW_2, ERR_FAILED_PRECONDITION, .is_answer = true},
    {ER_ROW_IS_REFERENCED, ERR_FAILED_PRECONDITION, .is_answer = true},
    {ER_ROW_IS_REFERENCED_2, ERR_FAILED_PRECONDITION, .is_answer = true},
    {4025 /* MariaDB: CHECK */, ERR_FAILED_PRECONDITION, .is_answer = true},
    {3819 /* MySQL: CHECK */, ERR_FAILED_PRECONDITION, .is_answer = true},
    {ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, ERR_FAILED_PRECONDITION},
    {ER_OPTION_PREVENTS_STATEMENT, ERR_UNAVAILABLE, .is_fatal = true}, /* a primary no more */
    {1836 /* ER_READ_ONLY_MODE */, ERR_UNAVAILABLE, .is_fatal = true},
    {ER_LOCK_DEADLOCK, ERR_ABORTED},
    {ER_LOCK_WAIT_TIMEOUT, ERR_ABORTED},
    {ER_CHECKREAD, ERR_ABORTED},
    {ER_DATA_TOO_LONG, ERR_INVALID_ARGUMENT},
    {ER_WARN_DATA_OUT_OF_RANGE, ERR_INVALID_ARGUMENT},
    {ER_TRUNCATED_WRONG_VALUE_FOR_FIELD, ERR_INVALID_ARGUMENT},
    {ER_NET_PACKET_TOO_LARGE, ERR_INVALID_ARGUMENT, .is_fatal = true},
    {ER_RECORD_FILE_FULL, ERR_RESOURCE_EXHAUSTED},
    {ER_DISK_FULL, ERR_RESOURCE_EXHAUSTED},
    {ER_CON_COUNT_ERROR, ERR_UNAVAILABLE, .is_fatal = true},
    {ER_TOO_MANY_USER_CONNECTIONS, ERR_UNAVAILABLE, .is_fatal = true},
    {ER_SERVER_SHUTDOWN, ERR_UNAVAILABLE, .is_fatal = true},
    {ER_CONNECTION_KILLED, ERR_UNAVAILABLE, .is_fatal = true},
    {ER_QUERY_INTERRUPTED, ERR_UNAVAILABLE},
    {1969 /* MariaDB: max_statement_time */, ERR_UNAVAILABLE},
    {3024 /* MySQL: max_execution_time */, ERR_UNAVAILABLE},
    {ER_OUT_OF_RESOURCES, ERR_UNAVAILABLE},
    {ER_ACCESS_DENIED_ERROR, ERR_PERMISSION_DENIED, .is_fatal = true},
    {ER_DBACCESS_DENIED_ERROR, ERR_PERMISSION_DENIED, .is_fatal = true},
    {ER_TABLEACCESS_DENIED_ERROR, ERR_PERMISSION_DENIED},
    {ER_NOT_KEYFILE, ERR_DATA_LOSS},
    {ER_CRASHED_ON_USAGE, ERR_DATA_LOSS},
};

static bool is_of_the_link(unsigned code)
{
    return code >= CR_MIN_ERROR && code <= 2999;
}

enum err store_mysql_link_fail(struct store_conn *conn, unsigned code, const char *text,
                               const char *what)
{
    enum err err = is_of_the_link(code) ? ERR_UNAVAILABLE : ERR_INTERNAL;
    bool is_fatal = is_of_the_link(code), is_answer = false;
    for (size_t i = 0; i < ARRAY_LEN(meanings); i++) {
        if (meanings[i].code != code)
            continue;
        err = meanings[i].err;
        is_fatal = meanings[i].is_fatal;
        is_answer = meanings[i].is_answer;
    }
    if (is_answer)
        return err;
    char number[16];
    snprintf(number, sizeof(number), "%u", code);
    metric_cell_add(metric_cell(&metric_errors, number, NULL, NULL), 1);
    if (!conn->is_lost)
        log_error(NULL, "store: %s (%u) in: %.400s", text, code, what);
    conn->is_lost = conn->is_lost || is_fatal;
    if (code == ER_LOCK_DEADLOCK && conn->in_transaction) { /* it was rolled back wholly */
        conn->in_transaction = false;
        store_mysql_link_tell(conn, MYSQL_ROLLBACK);
    }
    return err;
}

static enum err fail_now(struct store_conn *conn, const char *what)
{
    return store_mysql_link_fail(conn, mysql_errno(conn->my), mysql_error(conn->my), what);
}

/* ---- answers ---- */

/* Until the server has something to say; how long a statement may take is otherwise the library's
 * affair, which knows one limit for all. */
static bool await_endlessly(struct store_conn *conn)
{
    struct pollfd fd = {.fd = (int)mysql_get_socket(conn->my), .events = POLLIN};
    return poll(&fd, 1, -1) == 1;
}

/* Answers to several statements; the first row of the last one that has any, when asked for.
 * `*index` counts those that went well. */
static enum err read_answers(struct store_conn *conn, unsigned *count, char *out, size_t size,
                             const char *what)
{
    bool is_refused = false;
    int more = mysql_read_query_result(conn->my);
    for (*count = 0; more == 0; (*count)++) {
        MYSQL_RES *result = mysql_store_result(conn->my);
        if (!result && mysql_errno(conn->my))
            return fail_now(conn, what);
        MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
        const char *value = row && row[0] ? row[0] : "";
        if (result && out)
            snprintf(out, size, "%s", value);
        /* Among what waits only the lock has an answer: 1, or it was not to be had. */
        is_refused = is_refused || (result && !out && strcmp(value, "1") != 0);
        mysql_free_result(result);
        more = mysql_next_result(conn->my);
    }
    if (more > 0)
        return fail_now(conn, what);
    if (is_refused)
        log_error(NULL, "store: another process writes, and does not end");
    return is_refused ? ERR_UNAVAILABLE : ERR_OK;
}

static void read_unread(struct store_conn *conn)
{
    unsigned count;
    if (conn->has_unread && !conn->is_lost) {
        char ignored[8];
        (void)!read_answers(conn, &count, ignored, sizeof(ignored), "what ended before");
    }
    conn->has_unread = false;
}

static enum err exchange(struct store_conn *conn, const char *sql, size_t n, unsigned *count,
                         bool is_endless)
{
    *count = 0;
    read_unread(conn);
    if (conn->is_lost)
        return ERR_UNAVAILABLE;
    if (mysql_send_query(conn->my, sql, n))
        return fail_now(conn, sql);
    if (is_endless && !await_endlessly(conn))
        return fail_now(conn, sql);
    return read_answers(conn, count, NULL, 0, sql);
}

enum err store_mysql_link_ask(struct store_conn *conn, const char *sql, char *out, size_t size)
{
    unsigned count;
    out[0] = '\0';
    read_unread(conn);
    if (conn->is_lost)
        return ERR_UNAVAILABLE;
    if (mysql_send_query(conn->my, sql, strlen(sql)))
        return fail_now(conn, sql);
    return read_answers(conn, &count, out, size, sql);
}

void store_mysql_link_tell(struct store_conn *conn, const char *sql)
{
    read_unread(conn);
    if (conn->is_lost)
        return;
    if (mysql_send_query(conn->my, sql, strlen(sql)))
        (void)fail_now(conn, sql);
    else
        conn->has_unread = true;
}

void store_mysql_link_wait(struct store_conn *conn, const char *sql)
{
    if (conn->waiting_count++)
        strbuf_addc(&conn->waiting, ';');
    strbuf_adds(&conn->waiting, sql);
}

void store_mysql_link_adapt(const struct store_conn *conn, struct strbuf *sql)
{
    static const char ours[] = "utf8mb4_nopad_bin", theirs[] = "utf8mb4_0900_bin ";
    char *at = conn->is_mariadb || !sql->n ? NULL : strstr(sql->p, ours);
    for (; at; at = strstr(at, ours))
        memcpy(at, theirs, sizeof(ours) - 1);
}

/* ---- connecting ---- */

static enum err refuse(const char *why)
{
    log_error(NULL, "store: %s", why);
    return ERR_FAILED_PRECONDITION;
}

static enum err ask_number(struct store_conn *conn, const char *sql, int64_t *value)
{
    char text[32];
    enum err err = store_mysql_link_ask(conn, sql, text, sizeof(text));
    if (!str_to_i64(str_from(text), value))
        *value = -1;
    return err;
}

/* What is acknowledged must be on disk. */
static enum err check_durability(struct store_conn *conn)
{
    int64_t flush, sync, doublewrite;
    char format[32];
    enum err err = ask_number(conn, "SELECT @@global.innodb_flush_log_at_trx_commit", &flush);
    if (!err && flush != 1 && flush != 3)
        return refuse("MySQL runs with innodb_flush_log_at_trx_commit other than 1, which loses "
                      "what it acknowledged");
    if (!err) /* with a binary log it is that which decides what was committed */
        err = ask_number(conn, "SELECT IF(@@global.log_bin, @@global.sync_binlog, 1)", &sync);
    if (!err && sync != 1)
        return refuse("MySQL keeps a binary log with sync_binlog other than 1, which loses what it "
                      "acknowledged");
    if (!err)
        err = store_mysql_link_ask(conn, "SELECT IF(@@global.log_bin, @@session.binlog_format, '')",
                                   format, sizeof(format));
    if (!err && strcmp(format, "STATEMENT") == 0)
        return refuse("MySQL keeps a binary log with binlog_format=STATEMENT; expected ROW or "
                      "MIXED");
    if (!err)
        err = ask_number(conn, "SELECT @@global.innodb_doublewrite <> 'OFF'", &doublewrite);
    if (!err && doublewrite == 0)
        log_warn(NULL, "store: MySQL runs with innodb_doublewrite=OFF: a page half written when "
                       "the power goes is lost, unless the file system writes whole ones");
    return err;
}

static enum err check_server(struct store_conn *conn)
{
    unsigned long version = mysql_get_server_version(conn->my);
    conn->is_mariadb = mariadb_connection(conn->my);
    if (version < (conn->is_mariadb ? MARIADB_OLDEST : MYSQL_OLDEST))
        return refuse("expected MariaDB 10.6 or MySQL 8.0.17, or later");
    return ERR_OK;
}

static enum err set_up(struct store_conn *conn)
{
    struct strbuf sql = {0};
    bool is_reader = conn->access == STORE_ACCESS_READ;
    unsigned count;
    enum err err = check_server(conn);
    if (err)
        return err;
    strbuf_printf(&sql,
                  "SET NAMES utf8mb4 COLLATE %s;"
                  "SET SESSION sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,"
                  "STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION%s';"
                  "SET SESSION autocommit = 1, lc_messages = 'en_US', wait_timeout = %d,"
                  " innodb_lock_wait_timeout = %lld;"
                  "SET SESSION TRANSACTION ISOLATION LEVEL %s",
                  conn->is_mariadb ? "utf8mb4_nopad_bin" : "utf8mb4_0900_bin",
                  conn->is_mariadb ? ",SIMULTANEOUS_ASSIGNMENT" : "", is_reader ? 3600 : 20,
                  (long long)MAX(conn->db->opt->busy_ms / 1000, 1),
                  is_reader ? "REPEATABLE READ, READ ONLY" : "READ COMMITTED, READ WRITE");
    if (conn->is_mariadb)
        strbuf_printf(&sql, ";SET SESSION max_statement_time = 30, idle_transaction_timeout = %d",
                      is_reader ? 60 : FROZEN_AFTER_S);
    err = exchange(conn, strbuf_str(&sql).p, sql.n, &count, false);
    strbuf_deinit(&sql);
    return err || is_reader ? err : check_durability(conn);
}

static void keep_alive(MYSQL *my)
{
    static const int on = 1, idle_s = 10, between_s = 5, count = 3, unanswered_ms = 10000;
    int fd = (int)mysql_get_socket(my);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between_s, sizeof(between_s));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered_ms, sizeof(unanswered_ms));
}

static void set_options(MYSQL *my, const struct mysql_address *a)
{
    static const unsigned connect_s = CONNECT_MAX_S, read_s = ANSWER_MAX_S, write_s = SEND_MAX_S,
                          none = 0;
    unsigned protocol = a->socket ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    my_bool is_verified = a->is_verified, has_tls = a->has_tls;
    mysql_options(my, MYSQL_OPT_PROTOCOL, &protocol);
    mysql_options(my, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
    mysql_options(my, MYSQL_OPT_READ_TIMEOUT, &read_s);
    mysql_options(my, MYSQL_OPT_WRITE_TIMEOUT, &write_s);
    mysql_options(my, MYSQL_OPT_LOCAL_INFILE, &none); /* no server may ask for our files */
    mysql_options(my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_options4(my, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "parlance");
    if (!has_tls)
        return;
    mysql_ssl_set(my, a->ssl_key, a->ssl_cert, a->ssl_ca, NULL, NULL);
    mysql_options(my, MYSQL_OPT_SSL_ENFORCE, &has_tls);
    mysql_options(my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &is_verified);
}

static void hang_up(struct store_conn *conn)
{
    if (conn->my)
        mysql_close(conn->my);
    conn->my = NULL;
}

static enum err connect_to(struct store_conn *conn, const struct mysql_host *host)
{
    const struct mysql_address *a = &conn->db->address;
    int64_t is_read_only = 0;
    hang_up(conn);
    conn->my = mysql_init(NULL);
    conn->generation++;
    conn->is_lost = conn->has_unread = false;
    set_options(conn->my, a);
    const char *name = host ? host->name : NULL;
    if (!mysql_real_connect(conn->my, name, a->user, a->password, a->database,
                            host ? host->port : 0, a->socket, CLIENT_MULTI_STATEMENTS)) {
        log_error(NULL, "store: cannot connect to MySQL at %s: %s", name ? name : a->socket,
                  mysql_error(conn->my));
        conn->is_lost = true;
        return ERR_UNAVAILABLE;
    }
    if (!a->socket)
        keep_alive(conn->my);
    enum err err = set_up(conn);
    if (!err && a->host_count > 1 && !conn->db->opt->is_replica) /* of several the primary */
        err = ask_number(conn, "SELECT @@global.read_only <> 'OFF' AND @@global.read_only <> 0",
                         &is_read_only);
    if (!err && is_read_only > 0)
        err = ERR_UNAVAILABLE;
    conn->is_lost = err != ERR_OK;
    return err;
}

/* A server that is silent holds up whoever asks it for seconds: of readers one, not all. */
static bool may_try(struct store_conn *conn)
{
    struct store_db *db = conn->db;
    int64_t now_us = clock_mono_us(), at_us = atomic_load(&db->reader_at_us);
    if (!atomic_load(&db->is_down))
        return true;
    if (now_us < atomic_load(&db->retry_at_us))
        return false;
    return conn->access == STORE_ACCESS_WRITE ||
           (now_us >= at_us &&
            atomic_compare_exchange_strong(&db->reader_at_us, &at_us, now_us + TRY_MAX_US));
}

enum err store_mysql_link_open(struct store_conn *conn)
{
    struct store_db *db = conn->db;
    if (!may_try(conn))
        return ERR_UNAVAILABLE;
    enum err err = ERR_UNAVAILABLE;
    for (unsigned i = 0; i == 0 || (err && i < db->address.host_count); i++)
        err = connect_to(conn, db->address.host_count ? &db->address.hosts[i] : NULL);
    metric_cell_add(metric_cell(&metric_connections, err ? "failed" : "made", NULL, NULL), 1);
    conn->used_at_us = clock_mono_us();
    if (conn->access == STORE_ACCESS_WRITE) { /* a reader too many says nothing about the server */
        atomic_store(&db->retry_at_us, clock_mono_us() + RETRY_AFTER_US);
        atomic_store(&db->is_down, err != ERR_OK);
    } else {
        atomic_store(&db->reader_at_us, err ? clock_mono_us() + RETRY_AFTER_US : 0);
    }
    return err;
}

/* ---- exchanges ---- */

/* What waits must go well, or the transaction is over: there is no savepoint to go back to. What
 * follows it is the caller's affair. */
static enum err run_waiting(struct store_conn *conn, unsigned must_pass, unsigned *count,
                            bool is_endless)
{
    struct str text = strbuf_str(&conn->waiting);
    bool was_begin = conn->is_begin_waiting, was_inside = conn->in_transaction;
    bool may_restart = was_begin || !was_inside;
    int64_t start_us = clock_mono_us();
    conn->waiting_count = 0;
    conn->is_begin_waiting = false;
    enum err err = !conn->is_lost ? ERR_OK
                   : may_restart  ? store_mysql_link_open(conn)
                                  : ERR_UNAVAILABLE;
    if (!err)
        err = exchange(conn, text.p, text.n, count, is_endless);
    if (conn->is_lost && may_restart && clock_mono_us() - start_us < SURELY_IDLE_US) {
        conn->in_transaction = was_inside;
        err = store_mysql_link_open(conn);
        if (!err)
            err = exchange(conn, text.p, text.n, count, is_endless);
    }
    strbuf_clear(&conn->waiting);
    conn->used_at_us = clock_mono_us();
    if (conn->is_lost)
        conn->in_transaction = false;
    if (!err || !conn->in_transaction || *count == must_pass)
        return err;
    conn->in_transaction = false;
    store_mysql_link_tell(conn, MYSQL_ROLLBACK);
    return err;
}

enum err store_mysql_link_settle(struct store_conn *conn)
{
    unsigned count;
    if (conn->is_savepoint_wanted && conn->in_transaction)
        store_mysql_link_wait(conn, "SAVEPOINT job");
    conn->is_savepoint_wanted = false;
    if (conn->waiting_count)
        return run_waiting(conn, conn->waiting_count + 1, &count, false);
    read_unread(conn);
    if (conn->is_lost && !conn->in_transaction)
        return store_mysql_link_open(conn);
    return conn->is_lost ? ERR_UNAVAILABLE : ERR_OK;
}

enum err store_mysql_link_run(struct store_conn *conn, const char *sql, bool is_endless)
{
    unsigned before = conn->waiting_count, count = 0;
    store_mysql_link_wait(conn, sql);
    enum err err = run_waiting(conn, before, &count, is_endless);
    return count > before ? ERR_OK : err;
}
