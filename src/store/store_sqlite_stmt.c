/* store_sqlite_stmt: prepared statements of the SQLite driver, a thin layer over sqlite3_stmt. */
#include "store/store_sqlite_internal.h"

#include <stdlib.h>

#include "core/log.h"
#include "core/mem.h"

struct store_prepared {
    struct store_conn *conn;
    sqlite3_stmt *st;
    int64_t changes_before; /* total of the connection when the statement began to run */
};

enum err sqlite_prepare(struct store_conn *conn, const char *sql, struct store_prepared **out)
{
    *out = NULL;
    sqlite3_stmt *st = NULL;
    const char *rest = NULL;
    int rc = sqlite3_prepare_v3(conn->sql, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, &rest);
    if (rc != SQLITE_OK)
        return sqlite_fail(conn, rc, sql);
    if (!st || str_trim(str_from(rest)).n) {
        log_error(NULL, "store: not exactly one statement: %s", sql);
        sqlite3_finalize(st);
        return ERR_INTERNAL;
    }
    *out = mem_zalloc(sizeof(**out));
    (*out)->conn = conn;
    (*out)->st = st;
    return ERR_OK;
}

void sqlite_discard(struct store_prepared **prepared)
{
    sqlite3_finalize((*prepared)->st);
    free(*prepared);
    *prepared = NULL;
}

enum err sqlite_bind(struct store_prepared *p, int index, const struct store_value *v)
{
    int rc = SQLITE_ERROR;
    sqlite3_destructor_type whose = v->is_lasting ? SQLITE_STATIC : SQLITE_TRANSIENT;
    switch (v->type) {
    case STORE_VALUE_NULL:
        rc = sqlite3_bind_null(p->st, index);
        break;
    case STORE_VALUE_INT:
        rc = sqlite3_bind_int64(p->st, index, v->integer);
        break;
    case STORE_VALUE_REAL:
        rc = sqlite3_bind_double(p->st, index, v->real);
        break;
    case STORE_VALUE_TEXT: /* a NULL pointer would bind NULL: empty text is not NULL */
        rc = sqlite3_bind_text64(p->st, index, v->bytes.p ? v->bytes.p : "", v->bytes.n, whose,
                                 SQLITE_UTF8);
        break;
    case STORE_VALUE_BLOB:
        rc = v->bytes.n ? sqlite3_bind_blob64(p->st, index, v->bytes.p, v->bytes.n, whose)
                        : sqlite3_bind_zeroblob(p->st, index, 0);
        break;
    }
    return rc == SQLITE_OK ? ERR_OK : sqlite_fail(p->conn, rc, sqlite3_sql(p->st));
}

enum err sqlite_step(struct store_prepared *p, bool *has_row)
{
    if (!sqlite3_stmt_busy(p->st))
        p->changes_before = sqlite3_total_changes64(p->conn->sql);
    int rc = sqlite3_step(p->st);
    *has_row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        return ERR_OK;
    return sqlite_fail(p->conn, rc, sqlite3_sql(p->st));
}

int64_t sqlite_reset(struct store_prepared *p)
{
    int rc = sqlite3_reset(p->st); /* repeats the error of step, which was judged there */
    sqlite3_clear_bindings(p->st);
    if (rc != SQLITE_OK || sqlite3_stmt_readonly(p->st))
        return 0;
    /* sqlite3_changes keeps its value over statements that change no rows (CREATE TABLE). */
    bool has_changed = sqlite3_total_changes64(p->conn->sql) != p->changes_before;
    return has_changed ? sqlite3_changes64(p->conn->sql) : 0;
}

bool sqlite_is_null(struct store_prepared *p, int column)
{
    return sqlite3_column_type(p->st, column) == SQLITE_NULL;
}

int64_t sqlite_get_int(struct store_prepared *p, int column)
{
    return sqlite3_column_int64(p->st, column);
}

double sqlite_get_real(struct store_prepared *p, int column)
{
    return sqlite3_column_double(p->st, column);
}

struct str sqlite_get_bytes(struct store_prepared *p, int column)
{
    bool is_blob = sqlite3_column_type(p->st, column) == SQLITE_BLOB;
    const char *bytes = is_blob ? sqlite3_column_blob(p->st, column)
                                : (const char *)sqlite3_column_text(p->st, column);
    return (struct str){bytes, (size_t)sqlite3_column_bytes(p->st, column)};
}
