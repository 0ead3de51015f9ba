/*
 * store_stmt: statements. Each connection keeps what it prepared, by text, so a service's SQL is
 * parsed once; the least recently used go when there are too many. A statement remembers its first
 * error and turns silent, so callers write straight lines and look once, at store_finish.
 */
#include "store/store_internal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/metric.h"

#define CACHED_MAX 256 /* statements per connection */

static struct metric metric_statements =
    METRIC_GAUGE("parlance_store_statements", "Prepared statements that connections keep.");

struct store_stmt {
    struct list flight_node; /* store_tx.in_flight while in use */
    struct list recent_node; /* store_link.recent while cached and idle */
    struct store_tx *tx;
    char *sql; /* a copy: the map and the log need it after the caller's is gone */
    struct store_prepared *prepared; /* NULL when prepare failed */
    enum err err;
    bool is_cached; /* owned by the connection's map; else freed at finish */
    bool has_row;
    bool was_stepped;
    bool is_at_once; /* bound, run and finished within one call: parameters outlive it */
};

static const struct store_driver *driver_of(const struct store_stmt *st)
{
    return st->tx->link->store->driver;
}

static void stmt_fail(struct store_stmt *st, enum err err)
{
    if (!st->err)
        st->err = err;
    if (!st->tx->doomed)
        st->tx->doomed = err;
    st->has_row = false;
}

static void stmt_destroy(const struct store_driver *driver, struct store_stmt *st)
{
    if (st->prepared)
        driver->discard(&st->prepared);
    if (st->is_cached)
        metric_add(&metric_statements, -1);
    free(st->sql);
    free(st);
}

static struct store_stmt **slot_of(struct store_link *link, const char *sql)
{
    return &link->by_address[((uintptr_t)sql >> 3) % STATEMENT_SLOTS];
}

static void link_forget(struct store_link *link, const struct store_stmt *st)
{
    for (size_t i = 0; i < STATEMENT_SLOTS; i++) {
        if (link->by_address[i] == st)
            link->by_address[i] = NULL;
    }
}

static void link_evict(struct store_link *link)
{
    struct store_stmt *oldest = LIST_ENTRY(link->recent.next, struct store_stmt, recent_node);
    list_remove(&oldest->recent_node);
    link_forget(link, oldest);
    map_remove(link->statements, str_from(oldest->sql));
    stmt_destroy(link->store->driver, oldest);
}

/* The address alone proves nothing: the caller may have reused the memory. */
static struct store_stmt *stmt_find(struct store_link *link, const char *sql)
{
    struct store_stmt **slot = slot_of(link, sql);
    if (!*slot || strcmp((*slot)->sql, sql) != 0) {
        struct store_stmt *st = map_get(link->statements, str_from(sql));
        if (!st)
            return NULL;
        *slot = st;
    }
    return *slot;
}

/* A cached statement is in `recent` only while idle; the second use at once gets one of its own. */
static struct store_stmt *stmt_take(struct store_link *link, const char *sql)
{
    struct store_stmt *st = stmt_find(link, sql);
    if (st && list_is_linked(&st->recent_node)) {
        list_remove(&st->recent_node);
        return st;
    }
    bool is_cached = st == NULL;
    st = mem_zalloc(sizeof(*st));
    st->sql = mem_strdup(sql);
    st->is_cached = is_cached;
    if (is_cached) {
        if (map_count(link->statements) >= CACHED_MAX && !list_is_empty(&link->recent))
            link_evict(link);
        map_set(link->statements, str_from(sql), st);
        metric_add(&metric_statements, 1);
    }
    return st;
}

struct store_stmt *store_prepare(struct store_tx *tx, const char *sql)
{
    struct store_link *link = tx->link;
    struct store_stmt *st = stmt_take(link, sql);
    st->tx = tx;
    st->err = ERR_OK;
    st->has_row = st->was_stepped = st->is_at_once = false;
    list_add_tail(&tx->in_flight, &st->flight_node);
    if (tx->is_single && tx->has_statement) {
        log_error(NULL, "store: store_read_one runs one statement, not also: %s", sql);
        stmt_fail(st, ERR_INTERNAL);
    }
    tx->has_statement = true;
    if (tx->doomed) {
        stmt_fail(st, tx->doomed);
    } else if (!st->prepared) {
        enum err err = link->store->driver->prepare(link->conn, sql, &st->prepared);
        if (err)
            stmt_fail(st, err);
    }
    return st;
}

/* ---- parameters ---- */

static void stmt_bind(struct store_stmt *st, int index, const struct store_value *value)
{
    if (st->err)
        return;
    enum err err = driver_of(st)->bind(st->prepared, index, value);
    if (err)
        stmt_fail(st, err);
}

void store_bind_int(struct store_stmt *st, int index, int64_t value)
{
    stmt_bind(st, index, &(struct store_value){.type = STORE_VALUE_INT, .integer = value});
}

void store_bind_real(struct store_stmt *st, int index, double value)
{
    stmt_bind(st, index, &(struct store_value){.type = STORE_VALUE_REAL, .real = value});
}

void store_bind_str(struct store_stmt *st, int index, struct str text)
{
    stmt_bind(st, index,
              &(struct store_value){
                  .type = STORE_VALUE_TEXT, .bytes = text, .is_lasting = st->is_at_once});
}

void store_bind_text(struct store_stmt *st, int index, const char *text)
{
    if (text)
        store_bind_str(st, index, str_from(text));
    else
        store_bind_null(st, index);
}

void store_bind_blob(struct store_stmt *st, int index, const void *bytes, size_t n)
{
    stmt_bind(st, index,
              &(struct store_value){
                  .type = STORE_VALUE_BLOB, .bytes = {bytes, n}, .is_lasting = st->is_at_once});
}

void store_bind_null(struct store_stmt *st, int index)
{
    stmt_bind(st, index, &(struct store_value){.type = STORE_VALUE_NULL});
}

/* ---- rows ---- */

bool store_step(struct store_stmt *st)
{
    /* After the last row a database would start anew: once finished stays finished. */
    if (st->err || (st->was_stepped && !st->has_row))
        return false;
    st->was_stepped = true;
    enum err err = driver_of(st)->step(st->prepared, &st->has_row);
    if (err)
        stmt_fail(st, err);
    return st->has_row;
}

int64_t store_int(struct store_stmt *st, int column)
{
    return st->has_row ? driver_of(st)->get_int(st->prepared, column) : 0;
}

double store_real(struct store_stmt *st, int column)
{
    return st->has_row ? driver_of(st)->get_real(st->prepared, column) : 0;
}

struct str store_str(struct store_stmt *st, int column)
{
    struct str s = st->has_row ? driver_of(st)->get_bytes(st->prepared, column) : STR_NULL;
    return s.p ? s : STR("");
}

bool store_is_null(struct store_stmt *st, int column)
{
    return !st->has_row || driver_of(st)->is_null(st->prepared, column);
}

char *store_text(struct store_stmt *st, int column, struct arena *arena)
{
    return str_arena(arena, store_str(st, column));
}

void *store_blob(struct store_stmt *st, int column, struct arena *arena, size_t *n)
{
    struct str s = store_str(st, column);
    *n = s.n;
    return arena_memdup(arena, s.p, s.n);
}

/* ---- the end ---- */

static enum err stmt_finish(struct store_stmt *st)
{
    struct store_tx *tx = st->tx;
    struct store_link *link = tx->link;
    enum err err = st->err;
    bool is_good = st->prepared != NULL;
    if (is_good)
        tx->changes = link->store->driver->reset(st->prepared);
    list_remove(&st->flight_node);
    st->tx = NULL;
    st->has_row = false;
    if (st->is_cached && is_good) {
        list_add_tail(&link->recent, &st->recent_node);
        return err;
    }
    if (st->is_cached) {
        link_forget(link, st);
        map_remove(link->statements, str_from(st->sql));
    }
    stmt_destroy(link->store->driver, st);
    return err;
}

enum err store_finish(struct store_stmt *st)
{
    /* A write that nobody stepped runs now; a query whose rows nobody wants costs one step. */
    if (!st->was_stepped)
        store_step(st);
    return stmt_finish(st);
}

int64_t store_changes(struct store_tx *tx)
{
    return tx->changes;
}

void store_tx_finish_all(struct store_tx *tx)
{
    LIST_FOREACH(&tx->in_flight, node)
    {
        struct store_stmt *st = LIST_ENTRY(node, struct store_stmt, flight_node);
        /* An early return after an error is usual; without one it is a leak of the caller's. */
        if (!tx->doomed)
            log_debug(NULL, "store: a job left a statement unfinished: %s", st->sql);
        (void)stmt_finish(st);
    }
}

void store_link_discard_statements(struct store_link *link)
{
    LIST_FOREACH(&link->recent, node)
    {
        struct store_stmt *st = LIST_ENTRY(node, struct store_stmt, recent_node);
        list_remove(node);
        link_forget(link, st);
        map_remove(link->statements, str_from(st->sql));
        stmt_destroy(link->store->driver, st);
    }
}

/* ---- shorthand ---- */

static void bind_all(struct store_stmt *st, const char *types, va_list args)
{
    for (int i = 0; types[i]; i++) {
        switch (types[i]) {
        case 'i':
            store_bind_int(st, i + 1, va_arg(args, int64_t));
            break;
        case 's':
            store_bind_text(st, i + 1, va_arg(args, const char *));
            break;
        case 'd':
            store_bind_real(st, i + 1, va_arg(args, double));
            break;
        case 'b': {
            const void *bytes = va_arg(args, const void *);
            store_bind_blob(st, i + 1, bytes, va_arg(args, size_t));
            break;
        }
        default:
            log_error(NULL, "store: '%c' is no parameter type in: %s", types[i], st->sql);
            stmt_fail(st, ERR_INTERNAL);
            return;
        }
    }
}

struct store_stmt *store_query(struct store_tx *tx, const char *sql, const char *types, ...)
{
    struct store_stmt *st = store_prepare(tx, sql);
    va_list args;
    va_start(args, types);
    bind_all(st, types, args);
    va_end(args);
    return st;
}

enum err store_run(struct store_tx *tx, const char *sql, const char *types, ...)
{
    struct store_stmt *st = store_prepare(tx, sql);
    st->is_at_once = true;
    va_list args;
    va_start(args, types);
    bind_all(st, types, args);
    va_end(args);
    return store_finish(st);
}
