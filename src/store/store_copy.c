/*
 * store_copy: see the header. A table is read by pages in the order of its primary key. The page is
 * stepped through by the job that inserts it, on the target's writer thread, while the reader
 * waits: no row is kept longer than its page.
 */
#include "store/store_copy_internal.h"

#include <openssl/evp.h>
#include <string.h>

#define PAGE_ROWS 500
#define VALUES_AT_ONCE 500 /* in one INSERT: a round trip for many rows */

struct sum {
    int64_t rows;
    uint8_t digest[EVP_MAX_MD_SIZE];
};

/* One value, kept beyond its row: where the next page begins. */
struct value {
    bool is_null;
    int64_t integer;
    double real;
    struct str bytes;
};

struct walk {
    const struct store_copy_options *opt;
    const struct store_copy_table *what;
    const struct store_table *t;
    struct strbuf *problem;
    struct store_tx *tx; /* that reads */
    struct arena *arena; /* of the page */
    EVP_MD_CTX *hash;
    struct sum sum;
    int64_t total;
    struct value last[STORE_KEY_MAX]; /* the key of the last row */
    bool has_last, is_check;
};

/* ---- statements ---- */

static void write_columns(struct strbuf *sql, const struct store_table *t)
{
    for (size_t i = 0; i < t->column_count; i++)
        strbuf_printf(sql, "%s\"%s\"", i ? ", " : "", t->columns[i].name);
}

static const char *key_name(const struct store_table *t, size_t i)
{
    return t->columns[t->key[i]].name;
}

/* Behind the last key: `a >= ? AND (a > ? OR (a = ? AND (b > ?)))`. The first part is for engines
 * that find no place in an index by the second. */
static void write_behind(struct strbuf *sql, const struct store_table *t)
{
    strbuf_printf(sql, " WHERE \"%s\" >= ? AND ", key_name(t, 0));
    for (size_t i = 0; i < t->key_count; i++) {
        strbuf_printf(sql, "(\"%s\" > ?", key_name(t, i));
        if (i + 1 < t->key_count)
            strbuf_printf(sql, " OR (\"%s\" = ? AND ", key_name(t, i));
    }
    for (size_t i = 0; i < 2 * t->key_count - 1; i++)
        strbuf_addc(sql, ')');
}

static void bind(struct store_stmt *st, int index, enum store_column_type type,
                 const struct value *v)
{
    if (v->is_null)
        store_bind_null(st, index);
    else if (type == STORE_COLUMN_INT)
        store_bind_int(st, index, v->integer);
    else if (type == STORE_COLUMN_REAL)
        store_bind_real(st, index, v->real);
    else if (type == STORE_COLUMN_TEXT)
        store_bind_str(st, index, v->bytes);
    else
        store_bind_blob(st, index, v->bytes.p, v->bytes.n);
}

static struct store_stmt *query_page(struct walk *w)
{
    const struct store_table *t = w->t;
    struct strbuf sql = {0};
    strbuf_adds(&sql, "SELECT ");
    write_columns(&sql, t);
    strbuf_printf(&sql, " FROM %s", t->name);
    if (w->has_last)
        write_behind(&sql, t);
    strbuf_adds(&sql, " ORDER BY ");
    for (size_t i = 0; i < t->key_count; i++)
        strbuf_printf(&sql, "%s\"%s\"", i ? ", " : "", key_name(t, i));
    strbuf_printf(&sql, " LIMIT %d", PAGE_ROWS);
    struct store_stmt *st = store_prepare(w->tx, strbuf_str(&sql).p);
    strbuf_deinit(&sql);
    int index = 0;
    if (w->has_last)
        bind(st, ++index, t->columns[t->key[0]].type, &w->last[0]);
    for (size_t i = 0; w->has_last && i < t->key_count; i++) {
        bind(st, ++index, t->columns[t->key[i]].type, &w->last[i]);
        if (i + 1 < t->key_count)
            bind(st, ++index, t->columns[t->key[i]].type, &w->last[i]);
    }
    return st;
}

static struct store_stmt *prepare_insert(struct store_tx *tx, const struct store_table *t,
                                         size_t rows)
{
    struct strbuf sql = {0};
    strbuf_printf(&sql, "INSERT INTO %s (", t->name);
    write_columns(&sql, t);
    strbuf_adds(&sql, ") VALUES ");
    for (size_t row = 0; row < rows; row++) {
        strbuf_adds(&sql, row ? ",(" : "(");
        for (size_t i = 0; i < t->column_count; i++)
            strbuf_adds(&sql, i ? ",?" : "?");
        strbuf_addc(&sql, ')');
    }
    struct store_stmt *st = store_prepare(tx, strbuf_str(&sql).p);
    strbuf_deinit(&sql);
    return st;
}

/* ---- rows ---- */

static struct value read_value(struct store_stmt *row, size_t i, enum store_column_type type)
{
    struct value v = {.is_null = store_is_null(row, (int)i)};
    if (type == STORE_COLUMN_INT)
        v.integer = store_int(row, (int)i);
    else if (type == STORE_COLUMN_REAL)
        v.real = store_real(row, (int)i);
    else
        v.bytes = store_str(row, (int)i);
    return v;
}

static void add_to_hash(EVP_MD_CTX *hash, enum store_column_type type, const struct value *v)
{
    uint64_t head[2] = {v->is_null ? 9u : (unsigned)type, v->bytes.n};
    if (type == STORE_COLUMN_INT)
        memcpy(&head[1], &v->integer, sizeof(v->integer));
    if (type == STORE_COLUMN_REAL)
        memcpy(&head[1], &v->real, sizeof(v->real));
    EVP_DigestUpdate(hash, head, sizeof(head));
    if (!v->is_null && v->bytes.n)
        EVP_DigestUpdate(hash, v->bytes.p, v->bytes.n);
}

static bool is_key(const struct store_table *t, size_t column, size_t *place)
{
    for (*place = 0; *place < t->key_count; ++*place)
        if (t->key[*place] == column)
            return true;
    return false;
}

/* A row is counted, and its key kept. `values`: all of it, kept in the page's arena. */
static void take_row(struct walk *w, struct store_stmt *row, struct value *values)
{
    for (size_t i = 0; i < w->t->column_count; i++) {
        enum store_column_type type = w->t->columns[i].type;
        struct value v = read_value(row, i, type);
        size_t place;
        bool is_in_key = is_key(w->t, i, &place);
        add_to_hash(w->hash, type, &v);
        if (is_in_key || values)
            v.bytes.p = v.bytes.n ? arena_memdup(w->arena, v.bytes.p, v.bytes.n) : "";
        if (is_in_key)
            w->last[place] = v;
        if (values)
            values[i] = v;
    }
    w->has_last = true;
    w->sum.rows++;
}

struct page {
    struct walk *w;
    struct store_stmt *rows;
    int64_t count;
};

static enum err insert_rows(struct store_tx *tx, const struct store_table *t,
                            const struct value *values, size_t rows)
{
    struct store_stmt *st = prepare_insert(tx, t, rows);
    for (size_t i = 0; i < rows * t->column_count; i++)
        bind(st, (int)i + 1, t->columns[i % t->column_count].type, &values[i]);
    return store_finish(st);
}

/* Some rows of the page at once; where each has something to be kept beside it, one. */
static enum err insert_page(struct store_tx *tx, void *arg)
{
    struct page *p = arg;
    const struct walk *w = p->w;
    size_t columns = w->t->column_count;
    size_t at_once = w->what->on_copied ? 1 : MAX(VALUES_AT_ONCE / columns, (size_t)1);
    struct value *values = arena_array(w->arena, struct value, at_once * columns);
    enum err err = ERR_OK;
    for (size_t n = at_once; !err && n == at_once;) {
        for (n = 0; n < at_once && store_step(p->rows); n++)
            take_row(p->w, p->rows, &values[n * columns]);
        p->count += (int64_t)n;
        if (n)
            err = insert_rows(tx, w->t, values, n);
        if (n && !err && w->what->on_copied)
            err = w->what->on_copied(tx, p->rows);
    }
    return err;
}

static enum err fail(struct walk *w, enum err err, const char *why)
{
    if (!w->problem->n)
        strbuf_printf(w->problem, "%s: %s", w->t->name, why ? why : err_text(err));
    return err;
}

/* One page, into `to` if there is one. */
static enum err walk_page(struct walk *w, struct store *to, int64_t *count)
{
    /* The keys of the page before are bound; then they may go. */
    struct arena *former = w->arena;
    struct page page = {.w = w, .rows = query_page(w)};
    w->arena = arena_create();
    enum err err = ERR_OK;
    if (to)
        err = store_write_sync(to, 0, insert_page, &page);
    for (; !to && store_step(page.rows); page.count++)
        take_row(w, page.rows, NULL);
    enum err own = store_finish(page.rows);
    arena_destroy(&former);
    *count = page.count;
    if (w->opt->progress)
        w->opt->progress(w->opt->arg, w->t->name, w->sum.rows, w->total, w->is_check);
    return own ? fail(w, own, NULL) : err ? fail(w, err, NULL) : ERR_OK;
}

static enum err count_rows(struct walk *w)
{
    struct strbuf sql = {0};
    strbuf_printf(&sql, "SELECT COUNT(*) FROM %s", w->t->name);
    struct store_stmt *st = store_prepare(w->tx, strbuf_str(&sql).p);
    strbuf_deinit(&sql);
    w->total = store_step(st) ? store_int(st, 0) : 0;
    return store_finish(st);
}

/* Migrations insert a row here and there, which comes from the source, too. */
static enum err clear_job(struct store_tx *tx, void *arg)
{
    struct strbuf sql = {0};
    strbuf_printf(&sql, "DELETE FROM %s", ((const struct store_table *)arg)->name);
    enum err err = store_run(tx, strbuf_str(&sql).p, "");
    strbuf_deinit(&sql);
    return err;
}

static enum err walk_table(struct walk *w, struct store *to)
{
    int64_t count = PAGE_ROWS;
    w->hash = EVP_MD_CTX_new();
    EVP_DigestInit_ex(w->hash, EVP_sha256(), NULL);
    enum err err = count_rows(w);
    if (!err && to)
        err = store_write_sync(to, 0, clear_job, (void *)w->t);
    while (!err && count == PAGE_ROWS)
        err = walk_page(w, to, &count);
    EVP_DigestFinal_ex(w->hash, w->sum.digest, NULL);
    EVP_MD_CTX_free(w->hash);
    arena_destroy(&w->arena);
    if (!err && w->sum.rows != w->total)
        err = fail(w, ERR_DATA_LOSS, "not all rows were read");
    return err;
}

/* ---- all tables ---- */

struct copying {
    struct store *to;
    const struct store_copy_options *opt;
    struct strbuf *problem;
    struct sum *sums;
    int64_t *marks;
    bool is_check;
};

struct marking {
    const struct store_table *table;
    int64_t mark;
};

static enum err mark_job(struct store_tx *tx, void *arg)
{
    const struct marking *m = arg;
    return store_copy_mark_write(tx, m->table, m->mark);
}

/* The number of the last row that was made, in the source and then in the target. */
static enum err copy_mark(struct copying *c, struct store_tx *tx, size_t i)
{
    const struct store_table *t = &c->opt->tables[i].table;
    int64_t mark = 0;
    enum err err = t->is_generated ? store_copy_mark_read(tx, t, &mark) : ERR_OK;
    if (c->is_check)
        return err || mark == c->marks[i] ? err : ERR_DATA_LOSS;
    c->marks[i] = mark;
    struct marking marking = {t, mark};
    return err || !mark ? err : store_write_sync(c->to, 0, mark_job, &marking);
}

static enum err walk_all(struct store_tx *tx, void *arg)
{
    struct copying *c = arg;
    enum err err = ERR_OK;
    for (size_t i = 0; i < c->opt->count && !err; i++) {
        struct walk w = {.opt = c->opt,
                         .what = &c->opt->tables[i],
                         .t = &c->opt->tables[i].table,
                         .problem = c->problem,
                         .tx = tx,
                         .is_check = c->is_check};
        err = walk_table(&w, c->is_check ? NULL : c->to);
        bool is_same = !c->is_check || memcmp(&w.sum, &c->sums[i], sizeof(w.sum)) == 0;
        if (!err && !is_same)
            err = fail(&w, ERR_DATA_LOSS, "the copy is not what was read");
        c->sums[i] = w.sum;
        if (!err && copy_mark(c, tx, i) != ERR_OK)
            err = fail(&w, ERR_INTERNAL, "the number of its next row cannot be set");
    }
    return err;
}

enum err store_copy(struct store *from, struct store *to, const struct store_copy_options *opt,
                    struct strbuf *problem)
{
    struct arena *arena = arena_create();
    struct copying c = {.to = to, .opt = opt, .problem = problem};
    c.sums = arena_array(arena, struct sum, opt->count);
    c.marks = arena_array(arena, int64_t, opt->count);
    enum err err = store_read(from, walk_all, &c);
    c.is_check = true;
    if (!err)
        err = store_read(to, walk_all, &c);
    if (err && !problem->n)
        strbuf_adds(problem, err_text(err));
    arena_destroy(&arena);
    return err;
}
