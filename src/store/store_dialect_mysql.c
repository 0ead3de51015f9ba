/*
 * store_dialect_mysql: tables in the words of MySQL and MariaDB. What a key names must have a
 * length there, so a TEXT that a key or an index names is a VARCHAR and any other a LONGTEXT: which
 * one it is stands elsewhere in the statement, or in a later one of the migrations. Tables compare
 * text by its bytes and do not take 'a' and 'a ' for the same. Foreign keys are written at the end
 * (in a column MySQL reads over them) and never deferred; an index over some of the rows is one
 * over all.
 */
#include "store/store_definition_internal.h"
#include "store/store_dialect_internal.h"

#define KEY_TEXT "VARCHAR(255)"
#define KEY_BLOB "VARBINARY(255)"
#define TABLE_OPTIONS \
    " ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin"

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
    bool is_long = !is_in_key && definition_has_word(item, "TEXT");
    for (size_t at = 0; dialect_next_token(item, &at, &token);) {
        bool is_word = token.kind == WORD;
        if (is_word && str_eq(token.text, STR("REFERENCES"))) {
            struct str name = definition_name(item), rest = str_sub(item, at, item.n);
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
    while (definition_next(&body, &item)) {
        strbuf_adds(r->out, gap);
        gap = ", ";
        if (definition_is_constraint(item))
            write_references(r, item);
        else
            write_column(r, item, definition_is_key(d->body, definition_name(item)), &references,
                         ",");
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
    write_column(r, d->body, definition_has_word(d->body, "REFERENCES"), &references, ", ADD");
    write_references(r, strbuf_str(&references));
    strbuf_deinit(&references);
}

enum err dialect_mysql_schema(struct dialect_rewriting *r)
{
    struct definition d;
    size_t at = 0;
    if (definition_is_table(r->sql, &d)) {
        write_table(r, &d);
    } else if (definition_is_addition(r->sql, &d)) {
        write_addition(r, &d);
    } else if (definition_is_index(r->sql, &d)) {
        if (d.is_unique && definition_has_word(str_sub(r->sql, d.end, r->sql.n), "WHERE"))
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
        if (definition_is_index(definition_trim(statement), &d) && str_eq(d.table, table) &&
            definition_names(d.body, column))
            return true;
    return false;
}

static bool has_length(struct str item)
{
    return !definition_has_word(item, "TEXT") && !definition_has_word(item, "BLOB");
}

/* The definition of a column as the migration has it. */
static bool find_column(const struct store_migration *m, struct str table, struct str column,
                        struct str *item, bool *is_short)
{
    struct str script = str_from(m->sql), statement;
    struct definition d;
    while (store_dialect_next(&script, &statement)) {
        struct str sql = definition_trim(statement);
        bool is_whole = definition_is_table(sql, &d);
        if ((!is_whole && !definition_is_addition(sql, &d)) || !str_eq(d.table, table))
            continue;
        struct str body = d.body, one = d.body;
        for (bool has_more = !is_whole || definition_next(&body, &one); has_more;
             has_more = is_whole && definition_next(&body, &one)) {
            if (definition_is_constraint(one) || !str_eq(definition_name(one), column))
                continue;
            *item = one;
            *is_short = has_length(one) || (is_whole && definition_is_key(d.body, column));
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
    struct str sql = definition_trim(statement), item;
    struct definition d;
    if (definition_is_index(sql, &d)) {
        for (struct str body = d.body; definition_next(&body, &item);)
            shorten_column(list, at, d.table, definition_name(item), out);
    } else if (definition_is_table(sql, &d)) {
        const char *gap = "";
        strbuf_add(out, sql.p, (size_t)(d.body.p - sql.p));
        for (struct str body = d.body; definition_next(&body, &item); gap = ", ") {
            strbuf_adds(out, gap);
            if (!definition_is_constraint(item) &&
                is_indexed(&list[at], d.table, definition_name(item)))
                write_short(item, out);
            else
                strbuf_add(out, item.p, item.n);
        }
        strbuf_add(out, sql.p + d.end - 1, sql.n - d.end + 1);
        return;
    } else if (definition_is_addition(sql, &d) &&
               is_indexed(&list[at], d.table, definition_name(d.body))) {
        strbuf_add(out, sql.p, (size_t)(d.body.p - sql.p));
        write_short(d.body, out);
        return;
    }
    strbuf_add(out, sql.p, sql.n);
}
