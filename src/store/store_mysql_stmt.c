/*
 * store_mysql_stmt: prepared statements of the MySQL driver. The server prepares one when it runs
 * for the first time on a connection; values travel in binary. The rows of an answer are read
 * wholly (services ask for pages), so that another statement may run between two of them.
 */
#include "store/store_mysql_internal.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "store/store_kept.h"

#define COLUMN_BYTES 256 /* to begin with */
#define SURELY_IDLE_US 1000000ll

struct parameter {
    struct store_kept kept;
    const void *at;
    unsigned long length;
    enum enum_field_types type;
};

struct column {
    union {
        int64_t integer;
        double real;
    } number;
    char *bytes;
    unsigned long capacity, length;
    my_bool is_null, is_cut;
    enum enum_field_types type; /* LONGLONG, DOUBLE or BLOB */
};

struct store_prepared {
    struct store_conn *conn;
    char *sql; /* in MySQL's words */
    struct store_dialect_info info;
    uint16_t *places; /* of each `?` its parameter's number; NULL: as they stand */
    size_t place_count;
    bool is_update;
    MYSQL_STMT *stmt;
    unsigned generation; /* of the connection that has it; 0: none */
    struct parameter *parameters;
    MYSQL_BIND *binds; /* of each `?` */
    struct column *columns;
    MYSQL_BIND *results;
    unsigned column_count;
    bool has_run, has_rows;
    int64_t changes;
    char text[64]; /* a number that was asked for as text */
};

static void read_places(struct store_prepared *p, const char *sql)
{
    p->place_count = (size_t)p->info.parameters;
    if (!p->info.is_numbered)
        return;
    p->place_count = store_dialect_places(str_from(sql), NULL, 0);
    p->places = mem_calloc(p->place_count, sizeof(*p->places));
    (void)store_dialect_places(str_from(sql), p->places, p->place_count);
}

enum err store_mysql_prepare_sql(struct store_conn *conn, const char *sql,
                                 struct store_prepared **out)
{
    struct strbuf text = {0};
    struct store_dialect_info info;
    *out = NULL;
    enum err err = store_dialect_rewrite(STORE_DIALECT_MYSQL, str_from(sql), &text, &info);
    if (err) {
        strbuf_deinit(&text);
        return err;
    }
    store_mysql_link_adapt(conn, &text);
    struct store_prepared *p = mem_zalloc(sizeof(*p));
    p->conn = conn;
    p->sql = mem_strdup(text.p);
    p->info = info;
    p->is_update = str_starts(str_from(p->sql), STR("UPDATE"));
    read_places(p, sql);
    p->parameters = mem_calloc((size_t)info.parameters, sizeof(*p->parameters));
    for (int i = 0; i < info.parameters; i++)
        p->parameters[i].type = MYSQL_TYPE_NULL;
    p->binds = mem_calloc(p->place_count, sizeof(*p->binds));
    strbuf_deinit(&text);
    *out = p;
    return ERR_OK;
}

static void free_columns(struct store_prepared *p)
{
    for (unsigned i = 0; i < p->column_count; i++)
        free(p->columns[i].bytes);
    free(p->columns);
    free(p->results);
    p->columns = NULL;
    p->results = NULL;
    p->column_count = 0;
}

/* One of an earlier connection is known to nobody, but its memory is. */
static void forget(struct store_prepared *p)
{
    if (p->stmt)
        mysql_stmt_close(p->stmt);
    p->stmt = NULL;
    p->generation = 0;
    free_columns(p);
}

void store_mysql_discard(struct store_prepared **prepared)
{
    struct store_prepared *p = *prepared;
    *prepared = NULL;
    forget(p);
    for (int i = 0; i < p->info.parameters; i++)
        store_kept_deinit(&p->parameters[i].kept);
    free(p->parameters);
    free(p->binds);
    free(p->places);
    free(p->sql);
    free(p);
}

/* ---- parameters ---- */

static void keep(struct parameter *parameter, enum enum_field_types type, const void *bytes,
                 size_t n, bool is_lasting)
{
    bool is_copied = !is_lasting || n <= STORE_KEPT_SMALL_BYTES;
    parameter->type = type;
    parameter->length = (unsigned long)n;
    parameter->at = is_copied ? store_keep(&parameter->kept, bytes, n) : bytes;
}

enum err store_mysql_bind_value(struct store_prepared *p, int index, const struct store_value *v)
{
    int i = index - 1;
    if (i < 0 || i >= p->info.parameters) {
        log_error(NULL, "store: there is no parameter %d in: %s", index, p->sql);
        return ERR_INTERNAL;
    }
    struct parameter *parameter = &p->parameters[i];
    switch (v->type) {
    case STORE_VALUE_NULL:
        parameter->type = MYSQL_TYPE_NULL;
        break;
    case STORE_VALUE_INT:
        keep(parameter, MYSQL_TYPE_LONGLONG, &v->integer, sizeof(v->integer), false);
        break;
    case STORE_VALUE_REAL:
        keep(parameter, MYSQL_TYPE_DOUBLE, &v->real, sizeof(v->real), false);
        break;
    case STORE_VALUE_TEXT:
        if (v->bytes.n && memchr(v->bytes.p, 0, v->bytes.n)) {
            log_error(NULL, "store: a NUL within text, in: %s", p->sql);
            return ERR_INVALID_ARGUMENT;
        }
        keep(parameter, MYSQL_TYPE_STRING, v->bytes.p, v->bytes.n, v->is_lasting);
        break;
    case STORE_VALUE_BLOB:
        keep(parameter, MYSQL_TYPE_BLOB, v->bytes.p, v->bytes.n, v->is_lasting);
        break;
    }
    return ERR_OK;
}

static void fill_binds(struct store_prepared *p)
{
    for (size_t i = 0; i < p->place_count; i++) {
        struct parameter *parameter = &p->parameters[p->places ? p->places[i] - 1u : i];
        p->binds[i] = (MYSQL_BIND){.buffer_type = parameter->type,
                                   .buffer = (void *)parameter->at,
                                   .buffer_length = parameter->length,
                                   .length = &parameter->length};
    }
}

/* ---- running ---- */

static enum err fail(struct store_prepared *p)
{
    return store_mysql_link_fail(p->conn, mysql_stmt_errno(p->stmt), mysql_stmt_error(p->stmt),
                                 p->sql);
}

static enum err make(struct store_prepared *p)
{
    forget(p);
    p->stmt = mysql_stmt_init(p->conn->my);
    if (!p->stmt)
        return ERR_UNAVAILABLE;
    if (mysql_stmt_prepare(p->stmt, p->sql, strlen(p->sql)))
        return fail(p);
    p->generation = p->conn->generation;
    if (mysql_stmt_param_count(p->stmt) == p->place_count)
        return ERR_OK;
    log_error(NULL, "store: MySQL counts %lu parameters in: %s", mysql_stmt_param_count(p->stmt),
              p->sql);
    return ERR_INTERNAL;
}

static enum enum_field_types kept_as(const MYSQL_FIELD *field)
{
    switch (field->type) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
        return MYSQL_TYPE_LONGLONG;
    case MYSQL_TYPE_FLOAT:
    case MYSQL_TYPE_DOUBLE:
        return MYSQL_TYPE_DOUBLE;
    default:
        return MYSQL_TYPE_BLOB;
    }
}

static void point_at(MYSQL_BIND *bind, struct column *c)
{
    bool is_bytes = c->type == MYSQL_TYPE_BLOB;
    if (is_bytes && !c->bytes) {
        c->capacity = COLUMN_BYTES;
        c->bytes = mem_alloc(c->capacity);
    }
    *bind = (MYSQL_BIND){.buffer_type = c->type,
                         .buffer = is_bytes ? (void *)c->bytes : (void *)&c->number,
                         .buffer_length = is_bytes ? c->capacity : sizeof(c->number),
                         .length = &c->length,
                         .is_null = &c->is_null,
                         .error = &c->is_cut};
}

/* The rows come here, and into these columns; what they are may have changed with the schema. */
static enum err take_rows(struct store_prepared *p)
{
    unsigned count = mysql_stmt_field_count(p->stmt);
    const MYSQL_FIELD *fields = p->stmt->fields;
    if (count != p->column_count) {
        free_columns(p);
        p->columns = mem_calloc(count, sizeof(*p->columns));
        p->results = mem_calloc(count, sizeof(*p->results));
        p->column_count = count;
    }
    for (unsigned i = 0; i < count; i++) {
        p->columns[i].type = kept_as(&fields[i]);
        point_at(&p->results[i], &p->columns[i]);
    }
    if (mysql_stmt_bind_result(p->stmt, p->results) || mysql_stmt_store_result(p->stmt))
        return fail(p);
    p->has_rows = true;
    return ERR_OK;
}

/* "Rows matched: 3  Changed: 1  Warnings: 0": the others count those that were matched. */
static int64_t matched_rows(struct store_prepared *p)
{
    const char *info = mysql_info(p->conn->my);
    const char *digits = info ? strpbrk(info, "0123456789") : NULL;
    return digits ? strtoll(digits, NULL, 10) : (int64_t)mysql_stmt_affected_rows(p->stmt);
}

static int64_t count_changes(struct store_prepared *p)
{
    if (p->info.is_schema || p->info.is_reading)
        return 0;
    if (p->is_update)
        return matched_rows(p);
    int64_t changes = (int64_t)mysql_stmt_affected_rows(p->stmt);
    if (!p->info.is_upsert) /* of one row: 1 inserted, 2 changed, 0 was the same already */
        return changes;
    return p->info.has_guard ? MIN(changes, 1) : 1;
}

static enum err run_once(struct store_prepared *p)
{
    enum err err = p->generation == p->conn->generation ? ERR_OK : make(p);
    if (err)
        return err;
    fill_binds(p);
    if (p->place_count && mysql_stmt_bind_param(p->stmt, p->binds))
        return fail(p);
    if (mysql_stmt_execute(p->stmt))
        return fail(p);
    p->has_run = true;
    if (mysql_stmt_field_count(p->stmt))
        return take_rows(p);
    p->changes = count_changes(p);
    return ERR_OK;
}

static enum err run(struct store_prepared *p)
{
    struct store_conn *conn = p->conn;
    enum err err = store_mysql_link_settle(conn);
    if (err)
        return err;
    int64_t start_us = clock_mono_us();
    err = run_once(p);
    conn->used_at_us = clock_mono_us();
    if (conn->is_lost && !conn->in_transaction && p->info.is_reading &&
        conn->used_at_us - start_us < SURELY_IDLE_US) {
        err = store_mysql_link_open(conn); /* it had died before we spoke */
        if (!err)
            err = run_once(p);
    }
    if (conn->is_lost)
        conn->in_transaction = false;
    if (err == ERR_INTERNAL) /* perhaps the schema changed under it: the next use prepares anew */
        forget(p);
    if (p->info.is_schema)
        store_mysql_begin_again(conn);
    return err;
}

enum err store_mysql_step(struct store_prepared *p, bool *has_row)
{
    *has_row = false;
    if (!p->has_run) {
        p->changes = 0;
        enum err err = run(p);
        if (err)
            return err;
    }
    if (!p->has_rows)
        return ERR_OK;
    int answer = mysql_stmt_fetch(p->stmt);
    if (answer == 1)
        return fail(p);
    *has_row = answer != MYSQL_NO_DATA;
    return ERR_OK;
}

int64_t store_mysql_reset(struct store_prepared *p)
{
    int64_t changes = p->changes;
    if (p->has_rows)
        mysql_stmt_free_result(p->stmt);
    p->has_run = p->has_rows = false;
    p->changes = 0;
    for (int i = 0; i < p->info.parameters; i++)
        p->parameters[i].type = MYSQL_TYPE_NULL;
    return changes;
}

/* ---- columns ---- */

bool store_mysql_is_null(struct store_prepared *p, int column)
{
    return column < 0 || (unsigned)column >= p->column_count || p->columns[column].is_null;
}

/* What did not fit is fetched once more, now that its length is known. */
static struct str bytes_of(struct store_prepared *p, int column)
{
    struct column *c = &p->columns[column];
    if (c->length > c->capacity) {
        c->capacity = c->length;
        c->bytes = mem_realloc(c->bytes, c->capacity);
        point_at(&p->results[column], c);
        if (mysql_stmt_fetch_column(p->stmt, &p->results[column], (unsigned)column, 0) ||
            mysql_stmt_bind_result(p->stmt, p->results))
            c->length = 0;
    }
    return (struct str){c->bytes, c->length};
}

/* A decimal of MySQL's (sums are) is text. */
static const char *digits_of(struct store_prepared *p, int column)
{
    struct str s = bytes_of(p, column);
    snprintf(p->text, sizeof(p->text), "%.*s", (int)MIN(s.n, sizeof(p->text) - 1), s.p);
    return p->text;
}

int64_t store_mysql_get_int(struct store_prepared *p, int column)
{
    if (store_mysql_is_null(p, column))
        return 0;
    const struct column *c = &p->columns[column];
    return c->type == MYSQL_TYPE_LONGLONG ? c->number.integer
           : c->type == MYSQL_TYPE_DOUBLE ? (int64_t)c->number.real
                                          : strtoll(digits_of(p, column), NULL, 10);
}

double store_mysql_get_real(struct store_prepared *p, int column)
{
    if (store_mysql_is_null(p, column))
        return 0;
    const struct column *c = &p->columns[column];
    return c->type == MYSQL_TYPE_LONGLONG ? (double)c->number.integer
           : c->type == MYSQL_TYPE_DOUBLE ? c->number.real
                                          : strtod(digits_of(p, column), NULL);
}

struct str store_mysql_get_bytes(struct store_prepared *p, int column)
{
    if (store_mysql_is_null(p, column))
        return STR_NULL;
    const struct column *c = &p->columns[column];
    if (c->type == MYSQL_TYPE_LONGLONG)
        snprintf(p->text, sizeof(p->text), "%lld", (long long)c->number.integer);
    else if (c->type == MYSQL_TYPE_DOUBLE)
        snprintf(p->text, sizeof(p->text), "%.17g", c->number.real);
    else
        return bytes_of(p, column);
    return str_from(p->text);
}
