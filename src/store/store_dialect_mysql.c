/*
 * store_dialect_mysql: tables in the words of MySQL and MariaDB. What a key names must have a
 * length there, so a TEXT that a key or an index names is a VARCHAR and any other a LONGTEXT: which
 * one it is stands elsewhere in the statement, or in a later one of the migrations. Tables compare
 * text by its bytes and do not take 'a' and 'a ' for the same. Foreign keys are written at the end
 * (in a column MySQL reads over them) and never deferred; an index over some of the rows is one
 * over all.
 */
#include "store/store_dialect_internal.h"

#define KEY_TEXT "VARCHAR(255)"
#define KEY_BLOB "VARBINARY(255)"
#define TABLE_OPTIONS \
    " ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin"

/* ---- the parts of a statement ---- */

static struct str trim(struct str s)
{
    return str_sub(s, dialect_end_of_space(s, 0), s.n);
}

static bool has_word(struct str piece, const char *word)
{
    struct token token;
    for (size_t at = 0; dialect_next_token(piece, &at, &token);)
        if (token.kind == WORD && str_eq(token.text, str_from(word)))
            return true;
    return false;
}

static struct str word_at(struct str sql, size_t *at)
{
    struct token token = {0};
    *at = dialect_end_of_space(sql, *at);
    return dialect_next_token(sql, at, &token) ? token.text : STR("");
}

/* What stands in the next parentheses, and where they end. */
static struct str inner_of(struct str sql, size_t *at)
{
    struct token token;
    size_t begin = 0;
    int depth = 0;
    while (dialect_next_token(sql, at, &token)) {
        char c = token.kind == SIGN ? token.text.p[0] : 0;
        if (c == '(' && depth++ == 0)
            begin = *at;
        if (c == ')' && --depth == 0)
            return str_sub(sql, begin, *at - 1 - begin);
    }
    return STR("");
}

/* Takes what stands before the next comma outside of parentheses. */
static bool next_item(struct str *body, struct str *item)
{
    struct token token;
    size_t at = 0, end = 0;
    int depth = 0;
    *body = trim(*body);
    if (!body->n)
        return false;
    while (dialect_next_token(*body, &at, &token)) {
        char c = token.kind == SIGN ? token.text.p[0] : 0;
        depth += (c == '(') - (c == ')');
        if (c == ',' && depth == 0)
            break;
        end = at;
    }
    *item = str_sub(*body, 0, end);
    *body = str_sub(*body, at, body->n);
    return true;
}

static struct str first_word(struct str item)
{
    size_t at = 0;
    return word_at(item, &at);
}

static bool is_constraint(struct str item)
{
    struct str word = first_word(item);
    static const char *const words[] = {"PRIMARY", "UNIQUE", "FOREIGN", "CHECK", "CONSTRAINT"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_eq(word, str_from(words[i])))
            return true;
    return false;
}

/* A definition's name and what it is about: the columns of a table, or of an index. */
struct definition {
    struct str table, body;
    size_t end; /* behind the parentheses */
    bool is_unique;
};

static void skip_if_not_exists(struct str sql, size_t *at)
{
    if (dialect_skip_word(sql, at, STR("IF")) && dialect_skip_word(sql, at, STR("NOT")))
        dialect_skip_word(sql, at, STR("EXISTS"));
}

static bool is_table(struct str sql, struct definition *d)
{
    size_t at = 0;
    *d = (struct definition){0};
    if (!dialect_skip_word(sql, &at, STR("CREATE")) || !dialect_skip_word(sql, &at, STR("TABLE")))
        return false;
    skip_if_not_exists(sql, &at);
    d->table = word_at(sql, &at);
    d->body = inner_of(sql, &at);
    d->end = at;
    return d->body.n > 0;
}

static bool is_index(struct str sql, struct definition *d)
{
    size_t at = 0;
    *d = (struct definition){0};
    if (!dialect_skip_word(sql, &at, STR("CREATE")))
        return false;
    d->is_unique = dialect_skip_word(sql, &at, STR("UNIQUE"));
    if (!dialect_skip_word(sql, &at, STR("INDEX")))
        return false;
    skip_if_not_exists(sql, &at);
    word_at(sql, &at);
    if (!dialect_skip_word(sql, &at, STR("ON")))
        return false;
    d->table = word_at(sql, &at);
    d->body = inner_of(sql, &at);
    d->end = at;
    return d->body.n > 0;
}

/* ALTER TABLE t ADD COLUMN ...: the column's definition is the body. */
static bool is_addition(struct str sql, struct definition *d)
{
    size_t at = 0;
    *d = (struct definition){0};
    if (!dialect_skip_word(sql, &at, STR("ALTER")) || !dialect_skip_word(sql, &at, STR("TABLE")))
        return false;
    d->table = word_at(sql, &at);
    if (!dialect_skip_word(sql, &at, STR("ADD")) || !dialect_skip_word(sql, &at, STR("COLUMN")))
        return false;
    d->body = trim(str_sub(sql, at, sql.n));
    return true;
}

static bool names(struct str columns, struct str column)
{
    struct str item;
    while (next_item(&columns, &item))
        if (str_eq(first_word(item), column))
            return true;
    return false;
}

/* Whether a key within the table's own statement is made of the column. */
static bool is_key(struct str body, struct str column)
{
    struct str item;
    while (next_item(&body, &item)) {
        size_t at = 0;
        if (is_constraint(item) && !has_word(item, "CHECK") && names(inner_of(item, &at), column))
            return true;
        if (!is_constraint(item) && str_eq(first_word(item), column) &&
            (has_word(item, "PRIMARY") || has_word(item, "UNIQUE") || has_word(item, "REFERENCES")))
            return true;
    }
    return false;
}

/* ---- writing ---- */

static void write_default(struct strbuf *out, struct str item, size_t *at)
{
    size_t behind = dialect_end_of_space(item, *at);
    struct token token;
    strbuf_adds(out, "DEFAULT");
    if (!dialect_next_token(item, &behind, &token) || token.kind != QUOTED)
        return;
    strbuf_adds(out, " ("); /* MySQL wants it so for a LONGTEXT */
    strbuf_add(out, token.text.p, token.text.n);
    strbuf_addc(out, ')');
    *at = behind;
}

/* The definition of a column; what it refers to goes to `references`. */
static void write_column(struct dialect_rewriting *r, struct str item, bool is_in_key,
                         struct strbuf *references, const char *begins)
{
    struct token token;
    bool is_long = !is_in_key && has_word(item, "TEXT");
    for (size_t at = 0; dialect_next_token(item, &at, &token);) {
        bool is_word = token.kind == WORD;
        if (is_word && str_eq(token.text, STR("REFERENCES"))) {
            struct str name = first_word(item), rest = str_sub(item, at, item.n);
            strbuf_printf(references, "%s FOREIGN KEY (%.*s) REFERENCES", begins, STR_FMT(name));
            strbuf_add(references, rest.p, rest.n);
            return;
        }
        if (is_word && is_in_key && str_eq(token.text, STR("TEXT")))
            strbuf_adds(r->out, KEY_TEXT);
        else if (is_word && is_in_key && str_eq(token.text, STR("BLOB")))
            strbuf_adds(r->out, KEY_BLOB);
        else if (is_word && is_long && str_eq(token.text, STR("DEFAULT")))
            write_default(r->out, item, &at);
        else if (is_word)
            dialect_write_word(r, token.text, &at);
        else if (token.kind == SPACE)
            strbuf_addc(r->out, ' ');
        else
            strbuf_add(r->out, token.text.p, token.text.n);
    }
}

/* Without DEFERRABLE INITIALLY DEFERRED, which is not known there. */
static void write_references(struct dialect_rewriting *r, struct str references)
{
    struct token token;
    for (size_t at = 0; dialect_next_token(references, &at, &token);) {
        bool is_deferring = token.kind == WORD && (str_eq(token.text, STR("DEFERRABLE")) ||
                                                   str_eq(token.text, STR("INITIALLY")) ||
                                                   str_eq(token.text, STR("DEFERRED")));
        if (!is_deferring)
            strbuf_add(r->out, token.text.p, token.text.n);
    }
}

static void write_table(struct dialect_rewriting *r, const struct definition *d)
{
    struct strbuf references = {0};
    struct str body = d->body, item;
    const char *gap = "";
    struct str head = {r->sql.p, (size_t)(d->body.p - r->sql.p)};
    struct str tail = str_sub(r->sql, d->end, r->sql.n);
    (void)!dialect_write_plain(r, head);
    while (next_item(&body, &item)) {
        strbuf_adds(r->out, gap);
        gap = ", ";
        if (is_constraint(item))
            write_references(r, item);
        else
            write_column(r, item, is_key(d->body, first_word(item)), &references, ",");
    }
    write_references(r, strbuf_str(&references));
    strbuf_addc(r->out, ')');
    (void)!dialect_write_plain(r, tail);
    strbuf_adds(r->out, TABLE_OPTIONS);
    strbuf_deinit(&references);
}

static void write_addition(struct dialect_rewriting *r, const struct definition *d)
{
    struct strbuf references = {0};
    (void)!dialect_write_plain(r, (struct str){r->sql.p, (size_t)(d->body.p - r->sql.p)});
    write_column(r, d->body, has_word(d->body, "REFERENCES"), &references, ", ADD");
    write_references(r, strbuf_str(&references));
    strbuf_deinit(&references);
}

enum err dialect_mysql_schema(struct dialect_rewriting *r)
{
    struct definition d;
    size_t at = 0;
    if (is_table(r->sql, &d)) {
        write_table(r, &d);
    } else if (is_addition(r->sql, &d)) {
        write_addition(r, &d);
    } else if (is_index(r->sql, &d)) {
        if (d.is_unique && has_word(str_sub(r->sql, d.end, r->sql.n), "WHERE"))
            return dialect_refuse(r->sql, "MySQL has no unique index over some of the rows");
        (void)!dialect_write_plain(r, str_sub(r->sql, 0, d.end));
    } else if (dialect_skip_word(r->sql, &at, STR("DROP")) &&
               dialect_skip_word(r->sql, &at, STR("INDEX"))) {
        return dialect_refuse(r->sql, "MySQL wants to know the table of an index: say so there");
    } else if (!dialect_write_plain(r, r->sql)) {
        return dialect_refuse(r->sql, "no such parameter");
    }
    return ERR_OK;
}

/* ---- what the migrations of a room say together ---- */

/* Whether the migration makes an index of the column. */
static bool is_indexed(const struct store_migration *m, struct str table, struct str column)
{
    struct str script = str_from(m->sql), statement;
    struct definition d;
    while (store_dialect_next(&script, &statement))
        if (is_index(trim(statement), &d) && str_eq(d.table, table) && names(d.body, column))
            return true;
    return false;
}

static bool has_length(struct str item)
{
    return !has_word(item, "TEXT") && !has_word(item, "BLOB");
}

/* The definition of a column as the migration has it. */
static bool find_column(const struct store_migration *m, struct str table, struct str column,
                        struct str *item, bool *is_short)
{
    struct str script = str_from(m->sql), statement;
    struct definition d;
    while (store_dialect_next(&script, &statement)) {
        struct str sql = trim(statement);
        bool is_whole = is_table(sql, &d);
        if ((!is_whole && !is_addition(sql, &d)) || !str_eq(d.table, table))
            continue;
        struct str body = d.body, one = d.body;
        for (bool has_more = !is_whole || next_item(&body, &one); has_more;
             has_more = is_whole && next_item(&body, &one)) {
            if (is_constraint(one) || !str_eq(first_word(one), column))
                continue;
            *item = one;
            *is_short = has_length(one) || (is_whole && is_key(d.body, column));
            return true;
        }
    }
    return false;
}

static void write_short(struct str item, struct strbuf *out)
{
    struct token token;
    for (size_t at = 0; dialect_next_token(item, &at, &token);) {
        if (token.kind == WORD && str_eq(token.text, STR("TEXT")))
            strbuf_adds(out, KEY_TEXT);
        else if (token.kind == WORD && str_eq(token.text, STR("BLOB")))
            strbuf_adds(out, KEY_BLOB);
        else
            strbuf_add(out, token.text.p, token.text.n);
    }
}

/* A column that was made by an earlier migration, without a length, is given one now. */
static void shorten_column(const struct store_migration *list, size_t at, struct str table,
                           struct str column, struct strbuf *out)
{
    struct str item = STR("");
    bool is_short = true;
    for (size_t i = 0; i < at; i++) {
        if (!str_eq(str_from(list[i].room), str_from(list[at].room)))
            continue;
        find_column(&list[i], table, column, &item, &is_short);
        is_short = is_short || is_indexed(&list[i], table, column);
    }
    if (is_short || !item.n)
        return;
    strbuf_printf(out, "ALTER TABLE %.*s MODIFY ", STR_FMT(table));
    write_short(item, out);
    strbuf_adds(out, ";\n");
}

void dialect_mysql_choose(const struct store_migration *list, size_t at, struct str statement,
                          struct strbuf *out)
{
    struct str sql = trim(statement), item;
    struct definition d;
    if (is_index(sql, &d)) {
        for (struct str body = d.body; next_item(&body, &item);)
            shorten_column(list, at, d.table, first_word(item), out);
    } else if (is_table(sql, &d)) {
        const char *gap = "";
        strbuf_add(out, sql.p, (size_t)(d.body.p - sql.p));
        for (struct str body = d.body; next_item(&body, &item); gap = ", ") {
            strbuf_adds(out, gap);
            if (!is_constraint(item) && is_indexed(&list[at], d.table, first_word(item)))
                write_short(item, out);
            else
                strbuf_add(out, item.p, item.n);
        }
        strbuf_add(out, sql.p + d.end - 1, sql.n - d.end + 1);
        return;
    } else if (is_addition(sql, &d) && is_indexed(&list[at], d.table, first_word(d.body))) {
        strbuf_add(out, sql.p, (size_t)(d.body.p - sql.p));
        write_short(d.body, out);
        return;
    }
    strbuf_add(out, sql.p, sql.n);
}
