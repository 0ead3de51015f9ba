/* store_schema: see the header. */
#include "store/store_schema.h"

#include <string.h>

#include "core/log.h"
#include "store/store_definition_internal.h"
#include "store/store_dialect_internal.h"

#define TABLES_MAX 256
#define COLUMNS_MAX 64

struct reading {
    struct arena *arena;
    struct store_table *tables;
    size_t count;
    enum err err;
};

static enum err refuse(const char *why, struct str what)
{
    log_error(NULL, "store: %s: %.*s", why, (int)MIN(what.n, (size_t)100), what.p);
    return ERR_INTERNAL;
}

static struct store_table *find_table(struct reading *r, struct str name)
{
    for (size_t i = 0; i < r->count; i++)
        if (str_eq(name, str_from(r->tables[i].name)))
            return &r->tables[i];
    return NULL;
}

static enum store_column_type type_of(struct str item)
{
    return definition_has_word(item, "TEXT")   ? STORE_COLUMN_TEXT
           : definition_has_word(item, "BLOB") ? STORE_COLUMN_BLOB
           : definition_has_word(item, "REAL") ? STORE_COLUMN_REAL
                                               : STORE_COLUMN_INT;
}

static void add_key(struct store_table *t, struct str name)
{
    for (size_t i = 0; i < t->column_count; i++)
        if (str_eq(name, str_from(t->columns[i].name)) && t->key_count < STORE_KEY_MAX)
            t->key[t->key_count++] = i;
}

static void add_column(struct reading *r, struct store_table *t, struct str item)
{
    if (t->column_count == COLUMNS_MAX) {
        r->err = refuse("too many columns", item);
        return;
    }
    t->columns[t->column_count++] =
        (struct store_column){str_arena(r->arena, definition_name(item)), type_of(item)};
    if (definition_has_word(item, "PRIMARY"))
        add_key(t, definition_name(item));
    t->is_generated = t->is_generated || definition_has_word(item, "AUTOINCREMENT");
}

static void add_table(struct reading *r, const char *room, const struct definition *d)
{
    struct str body = d->body, item, column;
    if (r->count == TABLES_MAX) {
        r->err = refuse("too many tables", d->table);
        return;
    }
    struct store_table *t = &r->tables[r->count++];
    *t = (struct store_table){.room = room, .name = str_arena(r->arena, d->table)};
    t->columns = arena_array(r->arena, struct store_column, COLUMNS_MAX);
    while (definition_next(&body, &item)) {
        size_t at = 0;
        if (!definition_is_constraint(item)) {
            add_column(r, t, item);
            continue;
        }
        if (!str_eq(definition_name(item), STR("PRIMARY")))
            continue;
        for (struct str key = definition_inner(item, &at); definition_next(&key, &column);)
            add_key(t, definition_name(column));
    }
    if (!t->key_count)
        r->err = refuse("a table has no primary key", d->table);
}

static void read_statement(struct reading *r, const char *room, struct str sql)
{
    struct definition d;
    struct store_table *t = NULL;
    size_t at = 0;
    if (definition_is_table(sql, &d))
        add_table(r, room, &d);
    else if (definition_is_addition(sql, &d) && (t = find_table(r, d.table)))
        add_column(r, t, d.body);
    else if (dialect_skip_word(sql, &at, STR("DROP")) && dialect_skip_word(sql, &at, STR("TABLE")))
        t = find_table(r, definition_name(str_sub(sql, at, sql.n)));
    if (t && at) {
        size_t place = (size_t)(t - r->tables);
        memmove(t, t + 1, (--r->count - place) * sizeof(*t));
    }
}

enum err store_schema_read(struct arena *arena, const struct store_migration *list, size_t count,
                           struct store_table **tables, size_t *table_count)
{
    struct reading r = {.arena = arena};
    r.tables = arena_array(arena, struct store_table, TABLES_MAX);
    for (size_t i = 0; i < count && !r.err; i++) {
        struct str script = str_from(list[i].sql), statement;
        while (store_dialect_next(&script, &statement))
            read_statement(&r, list[i].room, definition_trim(statement));
    }
    *tables = r.tables;
    *table_count = r.count;
    return r.err;
}
