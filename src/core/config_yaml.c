/*
 * config_yaml: walks libyaml's events with a small stack of the groups that are open. What a
 * configuration does not need is refused, not tolerated: anchors and aliases (the road to a billion
 * laughs), tags, keys twice, keys that nobody knows, a second document.
 */
#include <stdlib.h>
#include <yaml.h>

#include "core/config_internal.h"

#define YAML_MAX_BYTES ((size_t)1 << 20)
#define DEPTH_MAX 32
#define LIST_ITEMS_MAX 256
#define KEY_MAX_BYTES 128

/* A key already seen in a group. */
struct seen {
    struct seen *next;
    const char *key;
};

/* An open mapping. */
struct group {
    const char *path; /* "http." or "" at the top */
    struct seen *seen;
};

struct reader {
    struct config_run *run;
    yaml_parser_t parser;
    struct group groups[DEPTH_MAX];
    size_t depth;
    const char *key;              /* the full key that waits for its value, or NULL */
    const struct config_row *row; /* its row; NULL: a group */
    bool is_in_list;
    const char *items[LIST_ITEMS_MAX];
    size_t item_count;
    unsigned document_count;
};

static unsigned line_of(const yaml_event_t *event)
{
    return (unsigned)event->start_mark.line + 1;
}

static const struct config_row *find_row(const struct config_table *table, const char *key)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->rows[i].key, key) == 0)
            return &table->rows[i];
    return NULL;
}

static bool is_group(const struct config_table *table, const char *key)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < table->count; i++)
        if (strncmp(table->rows[i].key, key, n) == 0 && table->rows[i].key[n] == '.')
            return true;
    return false;
}

static enum err on_key(struct reader *r, const yaml_event_t *event)
{
    struct config_run *run = r->run;
    struct group *group = &r->groups[r->depth - 1];
    struct str text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    if (text.n == 0 || text.n > KEY_MAX_BYTES || !str_is_utf8(text) || str_find(text, '.') >= 0)
        return config_complain(run, line_of(event), NULL,
                               "expected the name of an option (nested, without dots)");
    const char *key = arena_printf(run->arena, "%s%.*s", group->path, STR_FMT(text));
    for (struct seen *s = group->seen; s; s = s->next)
        if (strcmp(s->key, key) == 0)
            return config_complain(run, line_of(event), key, "is given twice");
    r->row = find_row(run->table, key);
    if (!r->row && !is_group(run->table, key))
        return config_complain(run, line_of(event), key, "no such option");
    struct seen *seen = arena_new(run->arena, struct seen);
    *seen = (struct seen){group->seen, key};
    group->seen = seen;
    r->key = key;
    return ERR_OK;
}

/* `key:` with nothing behind it, or ~, or null: nobody can tell what is meant. */
static bool is_null(const yaml_event_t *event)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
            strcmp((const char *)event->data.scalar.value, words[i]) == 0)
            return true;
    return false;
}

static enum err expected_row(struct reader *r, const yaml_event_t *event, const char *found)
{
    struct strbuf what = {0};
    if (r->row)
        config_describe(r->row, &what);
    else
        strbuf_adds(&what, "a group of options");
    enum err err =
        config_complain(r->run, line_of(event), r->key, "expected %s, found %s", what.p, found);
    strbuf_deinit(&what);
    return err;
}

static enum err on_value(struct reader *r, const yaml_event_t *event)
{
    struct str text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    struct strbuf expected = {0};
    enum err err = ERR_OK;
    if (!r->row && is_null(event)) { /* an empty group: all of it as by default */
        r->key = NULL;
        return ERR_OK;
    }
    if (is_null(event))
        return expected_row(r, event,
                            r->row->type == CONFIG_TYPE_TEXT
                                ? "nothing (write \"\" for an empty text)"
                                : "nothing");
    if (!r->row)
        return expected_row(r, event, "a value");
    if (!config_set_text(r->run, r->row, text, &expected))
        err = config_complain(r->run, line_of(event), r->key, "%s", expected.p);
    strbuf_deinit(&expected);
    r->key = NULL;
    return err;
}

static enum err unfit_item(struct reader *r, const yaml_event_t *event, struct str text)
{
    struct strbuf found = {0};
    config_add_found(r->row, text, &found);
    config_complain(r->run, line_of(event), r->key, "expected as item %s, found %s",
                    r->row->form ? r->row->form->text : "a text", found.p);
    strbuf_deinit(&found);
    return ERR_INVALID_ARGUMENT;
}

static enum err on_item(struct reader *r, const yaml_event_t *event)
{
    struct str text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    if (r->item_count == LIST_ITEMS_MAX)
        return config_complain(r->run, line_of(event), r->key, "more than %d items",
                               LIST_ITEMS_MAX);
    if (is_null(event) || !str_is_utf8(text))
        return config_complain(r->run, line_of(event), r->key, "expected a text as item");
    if (!config_fits(r->row, text) || !text.n)
        return unfit_item(r, event, text);
    r->items[r->item_count++] = str_arena(r->run->arena, text);
    return ERR_OK;
}

static enum err on_scalar(struct reader *r, const yaml_event_t *event)
{
    if (event->data.scalar.anchor || event->data.scalar.tag)
        return config_complain(r->run, line_of(event), r->key,
                               "anchors and tags are not used here");
    if (r->is_in_list)
        return on_item(r, event);
    if (r->depth == 0)
        return is_null(event) ? ERR_OK
                              : config_complain(r->run, line_of(event), NULL,
                                                "expected options as \"name: value\"");
    return r->key ? on_value(r, event) : on_key(r, event);
}

static enum err on_mapping_start(struct reader *r, const yaml_event_t *event)
{
    const char *path = "";
    if (event->data.mapping_start.anchor || event->data.mapping_start.tag)
        return config_complain(r->run, line_of(event), r->key,
                               "anchors and tags are not used here");
    if (r->is_in_list)
        return config_complain(r->run, line_of(event), r->key, "expected a text as item");
    if (r->depth > 0 && !r->key)
        return config_complain(r->run, line_of(event), NULL, "expected the name of an option");
    if (r->depth > 0) {
        if (!is_group(r->run->table, r->key))
            return expected_row(r, event, "a group of options");
        path = arena_printf(r->run->arena, "%s.", r->key);
    }
    if (r->depth == DEPTH_MAX)
        return config_complain(r->run, line_of(event), r->key, "nested too deeply");
    r->groups[r->depth++] = (struct group){.path = path};
    r->key = NULL;
    return ERR_OK;
}

static enum err on_list_start(struct reader *r, const yaml_event_t *event)
{
    if (event->data.sequence_start.anchor || event->data.sequence_start.tag)
        return config_complain(r->run, line_of(event), r->key,
                               "anchors and tags are not used here");
    if (r->is_in_list)
        return config_complain(r->run, line_of(event), r->key, "expected a text as item");
    if (!r->key)
        return config_complain(r->run, line_of(event), NULL, "expected options as \"name: value\"");
    if (!r->row || r->row->type != CONFIG_TYPE_LIST)
        return expected_row(r, event, "a list");
    r->is_in_list = true;
    r->item_count = 0;
    return ERR_OK;
}

static enum err on_event(struct reader *r, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (r->document_count++ > 0)
            return config_complain(r->run, line_of(event), NULL, "more than one document");
        return ERR_OK;
    case YAML_SCALAR_EVENT:
        return on_scalar(r, event);
    case YAML_MAPPING_START_EVENT:
        return on_mapping_start(r, event);
    case YAML_MAPPING_END_EVENT:
        r->depth--;
        return ERR_OK;
    case YAML_SEQUENCE_START_EVENT:
        return on_list_start(r, event);
    case YAML_SEQUENCE_END_EVENT:
        config_set_list(r->run, r->row, r->items, r->item_count);
        r->is_in_list = false;
        r->key = NULL;
        return ERR_OK;
    case YAML_ALIAS_EVENT:
        return config_complain(r->run, line_of(event), r->key, "aliases are not used here");
    default:
        return ERR_OK;
    }
}

static enum err read_events(struct reader *r)
{
    enum err err = ERR_OK;
    for (bool is_done = false; !is_done && err == ERR_OK;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&r->parser, &event))
            return config_complain(r->run, (unsigned)r->parser.problem_mark.line + 1, NULL,
                                   "not valid YAML: %s",
                                   r->parser.problem ? r->parser.problem : "cannot be read");
        err = on_event(r, &event);
        is_done = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    return err;
}

enum err config_read_yaml(struct config_run *run, struct str yaml)
{
    struct reader r = {.run = run};
    if (yaml.n > YAML_MAX_BYTES)
        return config_complain(run, 1, NULL, "larger than %zu bytes", YAML_MAX_BYTES);
    if (!yaml_parser_initialize(&r.parser))
        abort();
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(yaml.p ? yaml.p : ""), yaml.n);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    enum err err = read_events(&r);
    yaml_parser_delete(&r.parser);
    return err;
}
