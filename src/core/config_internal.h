/* config_internal: what the reader of YAML (config_yaml.c), the setting of fields (config.c) and
 * the writers (config_write.c) share. */
#pragma once

#include "core/config.h"

/* One run of config_parse. */
struct config_run {
    const struct config_table *table;
    struct arena *arena;
    void *out;
    struct strbuf *problem;
    const char *file_name;
};

/* Where the value at `row` lives in the options struct. */
static inline void *config_field(const struct config_row *row, void *values)
{
    return (char *)values + row->offset;
}

/* "FILE:LINE: KEY: " then the formatted text; `key` may be NULL. Returns INVALID_ARGUMENT. */
enum err config_complain(struct config_run *run, unsigned line, const char *key, const char *fmt,
                         ...) PRINTF_LIKE(4, 5);
/* Checks `text` and stores it; false (with `expected` filled) when it does not fit the row. */
MUST_USE bool config_set_text(struct config_run *run, const struct config_row *row, struct str text,
                              struct strbuf *expected);
void config_set_list(struct config_run *run, const struct config_row *row, const char **items,
                     size_t count);
/* Whether this text, or item of a list, has the row's form. */
bool config_fits(const struct config_row *row, struct str text);
/* What a value of this row looks like: "a whole number from 0 to 65535 (ms)". */
void config_describe(const struct config_row *row, struct strbuf *out);
/* The found text as it may be shown: quoted, cut, and hidden for secrets. */
void config_add_found(const struct config_row *row, struct str text, struct strbuf *out);

MUST_USE enum err config_read_yaml(struct config_run *run, struct str yaml);
