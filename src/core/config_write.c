/*
 * config_write: the table as YAML, once with defaults and comments (the example file, which parses
 * back to the defaults) and once with the values in force. Rows of one group may stand anywhere in
 * the table; a group is written where its first row stands.
 */
#include <inttypes.h>

#include "core/config_internal.h"

struct emitter {
    const struct config_table *table;
    const void *values; /* NULL: the example file */
    struct strbuf *out;
};

static void indent(struct strbuf *out, size_t depth)
{
    for (size_t i = 0; i < depth; i++)
        strbuf_adds(out, "  ");
}

static void add_list(struct strbuf *out, const char *const *items, size_t count)
{
    strbuf_addc(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            strbuf_adds(out, ", ");
        strbuf_add_json(out, str_from(items[i]));
    }
    strbuf_addc(out, ']');
}

/* Reading the default as config_parse does gives lists and numbers their canonical form. */
static void add_value(struct strbuf *out, const struct config_row *row, const void *values)
{
    const void *field = (const char *)values + row->offset;
    switch (row->type) {
    case CONFIG_TYPE_INT:
        strbuf_printf(out, "%" PRId64, *(const int64_t *)field);
        break;
    case CONFIG_TYPE_BOOL:
        strbuf_adds(out, *(const bool *)field ? "true" : "false");
        break;
    case CONFIG_TYPE_ENUM:
        strbuf_adds(out, row->choices[*(const int *)field]);
        break;
    case CONFIG_TYPE_LIST: {
        const struct config_list *list = field;
        if (row->is_secret && list->count)
            strbuf_adds(out, "(set)");
        else
            add_list(out, list->items, list->count);
        break;
    }
    case CONFIG_TYPE_TEXT: {
        const char *text = *(const char *const *)field;
        if (row->is_secret)
            strbuf_adds(out, text && *text ? "(set)" : "(not set)");
        else
            strbuf_add_json(out, str_from(text));
        break;
    }
    }
}

static void add_default(struct strbuf *out, const struct config_row *row)
{
    struct str text = str_from(row->text_default ? row->text_default : ""), item;
    if (row->type == CONFIG_TYPE_TEXT) {
        strbuf_add_json(out, text);
    } else if (row->type == CONFIG_TYPE_LIST) {
        const char *separator = "";
        bool has_more = true;
        strbuf_addc(out, '[');
        while (has_more) {
            has_more = str_cut(&text, ',', &item);
            item = str_trim(item);
            if (item.n == 0)
                continue;
            strbuf_adds(out, separator);
            strbuf_add_json(out, item);
            separator = ", ";
        }
        strbuf_addc(out, ']');
    } else {
        strbuf_add(out, text.p, text.n);
    }
}

static void add_comment(struct strbuf *out, const struct config_row *row, size_t depth)
{
    indent(out, depth);
    strbuf_printf(out, "# %s", row->help ? row->help : "");
    if (row->type != CONFIG_TYPE_TEXT || row->form) {
        strbuf_adds(out, " Takes ");
        config_describe(row, out);
        strbuf_addc(out, '.');
    }
    if (row->env)
        strbuf_printf(out, " Also from the environment as %s.", row->env);
    strbuf_addc(out, '\n');
}

static void add_row(struct emitter *e, const struct config_row *row, struct str name, size_t depth)
{
    if (!e->values)
        add_comment(e->out, row, depth);
    indent(e->out, depth);
    strbuf_printf(e->out, "%.*s: ", STR_FMT(name));
    if (e->values)
        add_value(e->out, row, e->values);
    else
        add_default(e->out, row);
    strbuf_addc(e->out, '\n');
}

/* True when a row before `at` already opened the group or key that starts with `start`. */
static bool is_emitted(const struct config_table *table, size_t at, struct str start)
{
    for (size_t i = 0; i < at; i++) {
        struct str key = str_from(table->rows[i].key);
        if (str_starts(key, start) && (key.n == start.n || key.p[start.n] == '.'))
            return true;
    }
    return false;
}

/* Writes what stands below `prefix` ("" or "http."); the depth is that of the keys in the table. */
static void add_group(struct emitter *e, struct str prefix, size_t depth)
{
    for (size_t i = 0; i < e->table->count; i++) {
        const struct config_row *row = &e->table->rows[i];
        struct str key = str_from(row->key), rest, name;
        if (!str_starts(key, prefix))
            continue;
        rest = str_sub(key, prefix.n, key.n);
        bool is_nested = str_cut(&rest, '.', &name);
        if (!is_nested) {
            add_row(e, row, name, depth);
        } else if (!is_emitted(e->table, i, str_sub(key, 0, prefix.n + name.n))) {
            if (!e->values && depth == 0)
                strbuf_addc(e->out, '\n');
            indent(e->out, depth);
            strbuf_printf(e->out, "%.*s:\n", STR_FMT(name));
            add_group(e, str_sub(key, 0, prefix.n + name.n + 1), depth + 1);
        }
    }
}

void config_write_example(const struct config_table *table, struct strbuf *out)
{
    struct emitter e = {table, NULL, out};
    strbuf_adds(out, "# Every option with its default. The environment overrides: the name is\n"
                     "# PARLANCE_ and the key in capitals, with dots as underscores.\n");
    add_group(&e, STR(""), 0);
}

void config_write_effective(const struct config_table *table, const void *values,
                            struct strbuf *out)
{
    struct emitter e = {table, values, out};
    add_group(&e, STR(""), 0);
}

void config_write_value(const struct config_row *row, const void *values, struct strbuf *out)
{
    add_value(out, row, values);
}
