/*
 * config: puts texts into typed fields, whoever brings them: the default of the row, the YAML file,
 * the environment. Every text goes through config_set_text, so all three obey the same rules.
 */
#include "core/config.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/config_internal.h"
#include "core/log.h"
#include "core/mem.h"

#define ENV_PREFIX "PARLANCE_"
#define FOUND_MAX 60 /* bytes of a wrong value that are shown */
#define LIST_ITEMS_MAX 256

enum err config_complain(struct config_run *run, unsigned line, const char *key, const char *fmt,
                         ...)
{
    va_list args;
    strbuf_clear(run->problem);
    if (line)
        strbuf_printf(run->problem, "%s:%u: ", run->file_name, line);
    if (key)
        strbuf_printf(run->problem, "%s: ", key);
    va_start(args, fmt);
    strbuf_vprintf(run->problem, fmt, args);
    va_end(args);
    return ERR_INVALID_ARGUMENT;
}

void config_describe(const struct config_row *row, struct strbuf *out)
{
    bool has_unit = row->unit && *row->unit;
    switch (row->type) {
    case CONFIG_TYPE_INT:
        strbuf_printf(out, "a whole number from %" PRId64 " to %" PRId64 "%s%s%s", row->min,
                      row->max, has_unit ? " (" : "", has_unit ? row->unit : "",
                      has_unit ? ")" : "");
        break;
    case CONFIG_TYPE_BOOL:
        strbuf_adds(out, "true or false");
        break;
    case CONFIG_TYPE_TEXT:
        strbuf_adds(out, row->form ? row->form->text : "a text");
        break;
    case CONFIG_TYPE_LIST:
        strbuf_adds(out, row->form ? "a list, each item " : "a list of texts");
        strbuf_adds(out, row->form ? row->form->text : "");
        break;
    case CONFIG_TYPE_ENUM:
        strbuf_adds(out, "one of ");
        for (size_t i = 0; row->choices[i]; i++)
            strbuf_printf(out, "%s%s", i ? ", " : "", row->choices[i]);
        break;
    }
}

void config_add_found(const struct config_row *row, struct str text, struct strbuf *out)
{
    if (row && row->is_secret) {
        strbuf_adds(out, "something else");
        return;
    }
    strbuf_add_json(out, str_sub(text, 0, FOUND_MAX));
    if (text.n > FOUND_MAX)
        strbuf_adds(out, "...");
}

bool config_fits(const struct config_row *row, struct str text)
{
    return str_is_utf8(text) && (!row->form || text.n == 0 || row->form->fits(text));
}

static bool set_int(const struct config_row *row, struct str text, void *field)
{
    int64_t v;
    if (!str_to_i64(text, &v) || v < row->min || v > row->max)
        return false;
    *(int64_t *)field = v;
    return true;
}

static bool set_bool(struct str text, void *field)
{
    static const char *const words[] = {"false", "no", "off", "0", "true", "yes", "on", "1"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_eq_nocase(text, str_from(words[i]))) {
            *(bool *)field = i >= ARRAY_LEN(words) / 2;
            return true;
        }
    return false;
}

static bool set_enum(const struct config_row *row, struct str text, void *field)
{
    for (int i = 0; row->choices[i]; i++)
        if (str_eq(text, str_from(row->choices[i]))) {
            *(int *)field = i;
            return true;
        }
    return false;
}

void config_set_list(struct config_run *run, const struct config_row *row, const char **items,
                     size_t count)
{
    struct config_list *list = config_field(row, run->out);
    list->items = arena_array(run->arena, const char *, count + 1);
    list->count = count;
    if (count)
        memcpy(list->items, items, count * sizeof(*items));
}

/* "a, b,c": blanks around items are not part of them, empty items are nothing. */
static bool set_comma_list(struct config_run *run, const struct config_row *row, struct str text)
{
    const char *items[LIST_ITEMS_MAX];
    size_t count = 0;
    bool has_more = true;
    while (has_more) {
        struct str item;
        has_more = str_cut(&text, ',', &item);
        item = str_trim(item);
        if (item.n == 0)
            continue;
        if (count == LIST_ITEMS_MAX || !config_fits(row, item))
            return false;
        items[count++] = str_arena(run->arena, item);
    }
    config_set_list(run, row, items, count);
    return true;
}

bool config_set_text(struct config_run *run, const struct config_row *row, struct str text,
                     struct strbuf *expected)
{
    void *field = config_field(row, run->out);
    bool is_good = str_is_utf8(text);
    switch (row->type) {
    case CONFIG_TYPE_INT:
        is_good = is_good && set_int(row, text, field);
        break;
    case CONFIG_TYPE_BOOL:
        is_good = is_good && set_bool(text, field);
        break;
    case CONFIG_TYPE_ENUM:
        is_good = is_good && set_enum(row, text, field);
        break;
    case CONFIG_TYPE_LIST:
        is_good = is_good && set_comma_list(run, row, text);
        break;
    case CONFIG_TYPE_TEXT:
        is_good = is_good && config_fits(row, text);
        if (is_good)
            *(const char **)field = str_arena(run->arena, text);
        break;
    }
    if (!is_good) {
        strbuf_adds(expected, "expected ");
        config_describe(row, expected);
        strbuf_adds(expected, ", found ");
        config_add_found(row, text, expected);
    }
    return is_good;
}

const struct config_row *config_row_find(const struct config_table *table, struct str key)
{
    for (size_t i = 0; i < table->count; i++)
        if (str_eq(str_from(table->rows[i].key), key))
            return &table->rows[i];
    return NULL;
}

enum err config_set(const struct config_table *table, struct str key, struct str text,
                    struct arena *arena, void *out, struct strbuf *problem)
{
    struct config_run run = {table, arena, out, problem, ""};
    struct strbuf expected = {0};
    const struct config_row *row = config_row_find(table, key);
    enum err err = ERR_OK;
    if (!row)
        err = config_complain(&run, 0, NULL, "%.*s: there is no such option", STR_FMT(key));
    else if (!config_set_text(&run, row, text, &expected))
        err = config_complain(&run, 0, row->key, "%s", expected.p);
    strbuf_deinit(&expected);
    return err;
}

void config_copy(const struct config_row *row, const void *from, void *to)
{
    static const size_t sizes[] = {
        [CONFIG_TYPE_INT] = sizeof(int64_t),       [CONFIG_TYPE_BOOL] = sizeof(bool),
        [CONFIG_TYPE_TEXT] = sizeof(const char *), [CONFIG_TYPE_LIST] = sizeof(struct config_list),
        [CONFIG_TYPE_ENUM] = sizeof(int),
    };
    memcpy((char *)to + row->offset, (const char *)from + row->offset, sizes[row->type]);
}

static char env_char(char c)
{
    return (char)(c == '.' || c == '-' ? '_' : c >= 'a' && c <= 'z' ? c - 32 : c);
}

/* http.port -> PARLANCE_HTTP_PORT */
static void make_env_name(const char *key, struct strbuf *out)
{
    strbuf_clear(out);
    strbuf_adds(out, ENV_PREFIX);
    for (; *key; key++)
        strbuf_addc(out, env_char(*key));
}

static const char *find_env(char *const *environ_, struct str name)
{
    for (; environ_ && *environ_; environ_++)
        if (strncmp(*environ_, name.p, name.n) == 0 && (*environ_)[name.n] == '=')
            return *environ_ + name.n + 1;
    return NULL;
}

static bool has_env_name(const struct config_row *row, struct str name)
{
    struct strbuf ours = {0};
    make_env_name(row->key, &ours);
    bool is_it = str_eq(strbuf_str(&ours), name);
    strbuf_deinit(&ours);
    return is_it;
}

/* Kubernetes and its like, by what they append to the name of a service. */
static bool is_of_platform(struct str name)
{
    static const char *const marks[] = {"_PORT", "_SERVICE_HOST", "_SERVICE_PORT"};
    const char *text = name.p;
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        const char *at = memmem(text, name.n, marks[i], strlen(marks[i]));
        size_t end = at ? (size_t)(at - text) + strlen(marks[i]) : 0;
        if (at && (end == name.n || text[end] == '_'))
            return true;
    }
    return false;
}

void config_unknown_env(const struct config_table *table, char *const *environ_,
                        config_unknown_fn *fn, void *arg)
{
    for (; environ_ && *environ_; environ_++) {
        struct str rest = str_from(*environ_), name;
        bool is_known = false;
        if (!str_cut(&rest, '=', &name) || !str_starts(name, STR(ENV_PREFIX)))
            continue;
        for (size_t i = 0; i < table->count && !is_known; i++)
            is_known = has_env_name(&table->rows[i], name);
        if (!is_known && !is_of_platform(name))
            fn(arg, name);
    }
}

/* PARLANCE_* names that no row has are let be, not refused: see config_unknown_env. */
static enum err read_env(struct config_run *run, char *const *environ_)
{
    struct strbuf name = {0}, expected = {0};
    enum err err = ERR_OK;
    for (size_t i = 0; i < run->table->count && err == ERR_OK; i++) {
        const struct config_row *row = &run->table->rows[i];
        make_env_name(row->key, &name);
        const char *value = find_env(environ_, strbuf_str(&name));
        const char *used = name.p;
        if (!value && row->env) { /* the long name is the more deliberate one */
            value = find_env(environ_, str_from(row->env));
            used = row->env;
        }
        if (value && !config_set_text(run, row, str_from(value), &expected))
            err = config_complain(run, 0, NULL, "environment %s: %s", used, expected.p);
    }
    strbuf_deinit(&name);
    strbuf_deinit(&expected);
    return err;
}

/* Bugs in the table, not in anyone's file: say which row, and stop before anything runs on it. */
static _Noreturn COLD void table_bug(const struct config_row *row, const char *what)
{
    log_error(NULL, "config table: %s: %s", row->key, what);
    abort();
}

/* True when both keys have the same name in the environment (which the same key has, too). */
static bool has_same_env_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (env_char(*a) != env_char(*b))
            return false;
    return *a == *b;
}

static void set_defaults(struct config_run *run)
{
    struct strbuf expected = {0};
    for (size_t i = 0; i < run->table->count; i++) {
        const struct config_row *row = &run->table->rows[i];
        const char *text = row->text_default ? row->text_default : "";
        if (!config_set_text(run, row, str_from(text), &expected))
            table_bug(row, expected.p);
        for (size_t k = 0; k < i; k++)
            if (has_same_env_name(row->key, run->table->rows[k].key))
                table_bug(row, "another key has the same name in the environment");
    }
    strbuf_deinit(&expected);
}

enum err config_parse(const struct config_table *table, struct str yaml, const char *file_name,
                      char *const *environ_, struct arena *arena, void *out, struct strbuf *problem)
{
    struct config_run run = {table, arena, out, problem, file_name};
    set_defaults(&run);
    enum err err = config_read_yaml(&run, yaml);
    return err == ERR_OK ? read_env(&run, environ_) : err;
}
