/*
 * store_postgres_link: one connection to PostgreSQL and how it is spoken over. It is always in
 * libpq's pipeline mode: BEGIN, SAVEPOINT and RELEASE have no answer that anybody needs at once, so
 * they wait and go out with the next statement, in one round trip; ROLLBACK is told and its answer
 * read with the next one.
 *
 * A lost connection is made anew, to whichever of the URL's hosts takes writes. What was in the
 * middle of a transaction fails with ERR_UNAVAILABLE; if that was its COMMIT, nobody knows whether
 * it happened: idempotency keys are for that.
 */
#include "store/store_postgres_internal.h"

#include <poll.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/metric.h"

#define ANSWER_MAX_US 40000000ll /* the server itself gives up before (statement_timeout) */
#define RETRY_AFTER_US 500000ll  /* a server that is away is not asked by every job */
#define TRY_MAX_US 60000000ll    /* no attempt to connect takes longer */
#define SURELY_IDLE_US 1000000ll /* a connection that died before we spoke shows it at once */
/* Jobs of a batch wait for nobody: who is silent in the middle of one has stopped, and holds the
 * lock that all others need. */
#define FROZEN_AFTER_MS 4000
#define RESULTS_MAX (POSTGRES_WAITING_MAX + 2)

static struct metric metric_errors = METRIC_COUNTER(
    "parlance_store_postgres_errors_total", "Errors that PostgreSQL told, by code.", "code");
static struct metric metric_connections = METRIC_COUNTER(
    "parlance_store_postgres_connections_total", "Attempts to connect to PostgreSQL.", "result");

/* ---- errors ---- */

/* The whole connection is of no use any more; 25006: it was a primary, and is one no more. */
static bool is_fatal(const struct store_conn *conn, const char *code)
{
    return strncmp(code, "08", 2) == 0 || strncmp(code, "57P", 3) == 0 ||
           strcmp(code, "25P03") == 0 ||
           (strcmp(code, "25006") == 0 && conn->access == STORE_ACCESS_WRITE);
}

static enum err err_from_state(const char *code)
{
    static const struct {
        const char *prefix;
        enum err err;
    } table[] = {
        {"23505", ERR_ALREADY_EXISTS},
        {"23", ERR_FAILED_PRECONDITION},
        {"40", ERR_ABORTED},
        {"55P03", ERR_UNAVAILABLE},
        {"53100", ERR_RESOURCE_EXHAUSTED},
        {"53", ERR_UNAVAILABLE},
        {"57", ERR_UNAVAILABLE},
        {"58", ERR_UNAVAILABLE},
        {"08", ERR_UNAVAILABLE},
        {"25P03", ERR_UNAVAILABLE},
        {"25006", ERR_FAILED_PRECONDITION},
        {"42501", ERR_PERMISSION_DENIED},
        {"22", ERR_INVALID_ARGUMENT},
        {"54", ERR_INVALID_ARGUMENT},
        {"XX001", ERR_DATA_LOSS},
        {"XX002", ERR_DATA_LOSS},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strncmp(code, table[i].prefix, strlen(table[i].prefix)) == 0)
            return table[i].err;
    return ERR_INTERNAL;
}

enum err postgres_fail(struct store_conn *conn, const PGresult *result, const char *what)
{
    const char *code = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *text = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    if (code && strncmp(code, "23", 2) == 0) /* an answer, not a fault */
        return err_from_state(code);
    metric_cell_add(metric_cell(&metric_errors, code ? code : "none", NULL, NULL), 1);
    log_error(NULL, "store: %s (%s) in: %s", text ? text : PQerrorMessage(conn->pg),
              code ? code : "no answer", what);
    if (!code || is_fatal(conn, code)) {
        conn->is_lost = true;
        return ERR_UNAVAILABLE;
    }
    return err_from_state(code);
}

static enum err lose(struct store_conn *conn, const char *why)
{
    if (!conn->is_lost)
        log_warn(NULL, "store: the connection to PostgreSQL is lost: %s", why);
    conn->is_lost = true;
    return ERR_UNAVAILABLE;
}

/* ---- connecting ---- */

static void ignore_notice(void *arg, const PGresult *result)
{
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    log_debug(NULL, "store: PostgreSQL says: %s", text ? text : "");
}

/* One text of the server's; "" when it does not say. */
static enum err ask(struct store_conn *conn, const char *sql, char *out, size_t size)
{
    PGresult *result = PQexec(conn->pg, sql);
    ExecStatusType status = PQresultStatus(result);
    out[0] = '\0';
    if (status == PGRES_TUPLES_OK && PQntuples(result) == 1)
        snprintf(out, size, "%s", PQgetvalue(result, 0, 0));
    enum err err = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK
                       ? ERR_OK
                       : postgres_fail(conn, result, sql);
    PQclear(result);
    return err;
}

/* What is acknowledged must be on disk. */
static enum err check_durability(struct store_conn *conn)
{
    char text[64];
    enum err err = ask(conn, "SHOW fsync", text, sizeof(text));
    if (!err && strcmp(text, "off") == 0) {
        log_error(NULL, "store: PostgreSQL runs with fsync=off, which loses what it acknowledged");
        err = ERR_FAILED_PRECONDITION;
    }
    if (!err)
        err = ask(conn, "SHOW synchronous_commit", text, sizeof(text));
    if (!err && strcmp(text, "off") == 0) {
        log_warn(NULL, "store: PostgreSQL has synchronous_commit=off; turned on for our writes");
        err = ask(conn, "SET synchronous_commit = on", text, sizeof(text));
    }
    return err;
}

static enum err set_up(struct store_conn *conn)
{
    char sql[512], text[64];
    const char *encoding = PQparameterStatus(conn->pg, "server_encoding");
    if (!encoding || strcmp(encoding, "UTF8") != 0) {
        log_error(NULL, "store: the database is in %s, not UTF8", encoding ? encoding : "?");
        return ERR_FAILED_PRECONDITION;
    }
    bool is_reader = conn->access == STORE_ACCESS_READ;
    snprintf(sql, sizeof(sql),
             "SET standard_conforming_strings = on; SET lock_timeout = %lld;"
             "SET statement_timeout = 30000; SET idle_in_transaction_session_timeout = %d;"
             "SET default_transaction_read_only = %s",
             (long long)conn->db->opt->busy_ms, is_reader ? 60000 : FROZEN_AFTER_MS,
             is_reader ? "on" : "off");
    enum err err = ask(conn, sql, text, sizeof(text));
    return err || is_reader ? err : check_durability(conn);
}

static enum err connect_now(struct store_conn *conn)
{
    struct store_db *db = conn->db;
    conn->pg =
        PQconnectdbParams((const char *const *)db->keywords, (const char *const *)db->values, 0);
    conn->generation++;
    conn->unread = 0;
    conn->is_lost = conn->is_schema_known = false;
    enum err err = ERR_OK;
    if (PQstatus(conn->pg) != CONNECTION_OK) {
        log_error(NULL, "store: cannot connect to PostgreSQL: %s",
                  conn->pg ? PQerrorMessage(conn->pg) : "out of memory");
        err = ERR_UNAVAILABLE;
    } else {
        PQsetNoticeReceiver(conn->pg, ignore_notice, NULL);
        err = set_up(conn);
    }
    if (!err && (!PQenterPipelineMode(conn->pg) || PQsetnonblocking(conn->pg, 1) != 0))
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

enum err postgres_link_open(struct store_conn *conn)
{
    struct store_db *db = conn->db;
    if (!may_try(conn))
        return ERR_UNAVAILABLE;
    PQfinish(conn->pg);
    enum err err = connect_now(conn);
    metric_cell_add(metric_cell(&metric_connections, err ? "failed" : "made", NULL, NULL), 1);
    if (conn->access == STORE_ACCESS_WRITE) { /* a reader too many says nothing about the server */
        atomic_store(&db->retry_at_us, clock_mono_us() + RETRY_AFTER_US);
        atomic_store(&db->is_down, err != ERR_OK);
    } else {
        atomic_store(&db->reader_at_us, err ? clock_mono_us() + RETRY_AFTER_US : 0);
    }
    return err;
}

/* ---- sending ---- */

void postgres_wait(struct store_conn *conn, const char *sql)
{
    conn->waiting[conn->waiting_count++] = sql;
}

static bool send_plain(struct store_conn *conn, const char *sql)
{
    return PQsendQueryParams(conn->pg, sql, 0, NULL, NULL, NULL, NULL, 1);
}

static bool send_command(struct store_conn *conn, const struct postgres_command *c)
{
    if (!c->name)
        return send_plain(conn, c->sql);
    if (c->must_prepare && !PQsendPrepare(conn->pg, c->name, c->sql, c->count, c->types))
        return false;
    return PQsendQueryPrepared(conn->pg, c->name, c->count, c->values, c->lengths, c->formats, 1);
}

void postgres_tell(struct store_conn *conn, const char *sql)
{
    if (conn->is_lost)
        return;
    if (!send_plain(conn, sql) || !PQpipelineSync(conn->pg) || PQflush(conn->pg) < 0)
        (void)!lose(conn, PQerrorMessage(conn->pg));
    else
        conn->unread++;
}

/* ---- reading ---- */

/* Until the next result is there or the deadline. */
static enum err await(struct store_conn *conn, int64_t until_us)
{
    while (PQisBusy(conn->pg)) {
        int unsent = PQflush(conn->pg);
        if (unsent < 0)
            return lose(conn, PQerrorMessage(conn->pg));
        int64_t left_us = until_us ? until_us - clock_mono_us() : 1000000;
        if (left_us <= 0)
            return lose(conn, "it does not answer");
        struct pollfd fd = {.fd = PQsocket(conn->pg),
                            .events = (short)(POLLIN | (unsent ? POLLOUT : 0))};
        if (poll(&fd, 1, (int)(left_us / 1000) + 1) > 0 && !PQconsumeInput(conn->pg))
            return lose(conn, PQerrorMessage(conn->pg));
    }
    return ERR_OK;
}

/* The results of one exchange, and before it those of what was only told. */
static enum err read_results(struct store_conn *conn, int64_t until_us, PGresult **results,
                             size_t *count)
{
    unsigned empty = 0; /* each result is followed by one NULL; more means that nothing comes */
    for (*count = 0; empty < 3;) {
        enum err err = await(conn, until_us);
        if (err)
            return err;
        PGresult *result = PQgetResult(conn->pg);
        empty = result ? 0 : empty + 1;
        if (!result)
            continue;
        bool is_end = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
        if (is_end || conn->unread || *count == RESULTS_MAX)
            PQclear(result);
        else
            results[(*count)++] = result;
        if (is_end && conn->unread)
            conn->unread--;
        else if (is_end)
            return ERR_OK;
        if (PQstatus(conn->pg) == CONNECTION_BAD)
            return lose(conn, PQerrorMessage(conn->pg));
    }
    return lose(conn, "it lost its place");
}

static bool is_good(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

/* ---- exchanges ---- */

struct unit {
    const char *waiting[POSTGRES_WAITING_MAX];
    unsigned waiting_count;
    struct postgres_command *command;
};

static bool send_unit(struct store_conn *conn, const struct unit *unit)
{
    for (unsigned i = 0; i < unit->waiting_count; i++)
        if (!send_plain(conn, unit->waiting[i]))
            return false;
    return (!unit->command || send_command(conn, unit->command)) && PQpipelineSync(conn->pg);
}

/* The first that failed is what is wrong; those after it were passed over. */
static enum err judge(struct store_conn *conn, const struct unit *unit, PGresult **results,
                      size_t count)
{
    struct postgres_command *c = unit->command;
    size_t prepare_at = unit->waiting_count;
    for (size_t i = 0; i < count; i++) {
        if (c && c->name && c->must_prepare && i == prepare_at)
            c->is_prepared = is_good(results[i]);
        if (is_good(results[i]))
            continue;
        bool is_waiting = i < unit->waiting_count;
        enum err err = postgres_fail(conn, results[i], is_waiting ? unit->waiting[i] : c->sql);
        if (is_waiting && conn->in_transaction) { /* no savepoint to go back to */
            conn->in_transaction = false;
            postgres_tell(conn, "ROLLBACK");
        }
        return err;
    }
    return count ? ERR_OK : ERR_UNAVAILABLE;
}

static enum err exchange_once(struct store_conn *conn, const struct unit *unit, PGresult **out)
{
    PGresult *results[RESULTS_MAX];
    size_t count = 0;
    bool is_endless = unit->command && unit->command->is_endless;
    if (!send_unit(conn, unit))
        return lose(conn, PQerrorMessage(conn->pg));
    enum err err =
        read_results(conn, is_endless ? 0 : clock_mono_us() + ANSWER_MAX_US, results, &count);
    if (!err)
        err = judge(conn, unit, results, count);
    for (size_t i = 0; i < count; i++) {
        if (!err && i == count - 1)
            *out = results[i];
        else
            PQclear(results[i]);
    }
    return err;
}

static enum err connect_again(struct store_conn *conn, const struct unit *unit)
{
    enum err err = postgres_link_open(conn);
    if (!err && unit->command)
        unit->command->must_prepare = true;
    return err;
}

enum err postgres_exchange(struct store_conn *conn, struct postgres_command *command,
                           PGresult **out)
{
    struct unit unit = {.waiting_count = conn->waiting_count, .command = command};
    memcpy(unit.waiting, conn->waiting, sizeof(unit.waiting));
    /* Nothing was done yet that a new connection would not know of. */
    bool was_inside = conn->in_transaction;
    bool may_restart = !was_inside || conn->is_begin_waiting;
    int64_t start_us = clock_mono_us();
    *out = NULL;
    conn->waiting_count = 0;
    conn->is_begin_waiting = false;
    enum err err = !conn->is_lost ? ERR_OK
                   : may_restart  ? connect_again(conn, &unit)
                                  : ERR_UNAVAILABLE;
    if (!err)
        err = exchange_once(conn, &unit, out);
    if (conn->is_lost && may_restart && clock_mono_us() - start_us < SURELY_IDLE_US) {
        conn->in_transaction = was_inside;
        err = connect_again(conn, &unit);
        if (!err)
            err = exchange_once(conn, &unit, out);
    }
    if (conn->is_lost)
        conn->in_transaction = false;
    return err;
}
