/*
 * config: one typed table of options yields the YAML parser, the checks, the environment overrides,
 * --help and the documented example file. The result is const and passed down, never global.
 *
 * A room describes its options as rows over its own options struct:
 *
 *   static const struct config_row rows[] = {
 *       CONFIG_INT(struct app_config, port, "http.port", 8800, 0, 65535, "", "Port for HTTP."),
 *       CONFIG_TEXT(struct app_config, data_dir, "data_dir", "./data", "Where all is kept."),
 *   };
 *
 * YAML nests by the dots of the key. The environment name is PARLANCE_ plus the key in capitals
 * with dots as underscores (PARLANCE_HTTP_PORT); a row may have one more name of its own
 * (JWT_SECRET).
 */
#pragma once

#include "core/arena.h"
#include "core/err.h"
#include "core/str.h"

enum config_type {
    CONFIG_TYPE_INT,
    CONFIG_TYPE_BOOL,
    CONFIG_TYPE_TEXT,
    CONFIG_TYPE_LIST,
    CONFIG_TYPE_ENUM
};

/* A list of texts: YAML sequence, or comma-separated in the environment. */
struct config_list {
    const char **items;
    size_t count;
};

/* What a text, or each item of a list, must look like. An empty text is always good. */
struct config_form {
    const char *text; /* "a web site as https://example.org" */
    bool (*fits)(struct str text);
};

struct config_row {
    const char *key;
    enum config_type type;
    size_t offset; /* of the field: int64_t, bool, const char *, struct config_list, int (index into
                      choices) */
    const char *text_default;       /* as in the file; lists comma-separated */
    int64_t min, max;               /* CONFIG_TYPE_INT */
    const char *const *choices;     /* CONFIG_TYPE_ENUM, NULL-terminated */
    const char *unit;               /* "ms", "bytes", "" */
    const char *help;               /* one sentence; becomes the comment in the example file */
    const char *env;                /* a further environment name, or NULL */
    bool is_secret;                 /* never printed */
    const struct config_form *form; /* CONFIG_TYPE_TEXT and CONFIG_TYPE_LIST; NULL: any text */
};

#define CONFIG_INT(type_, field, key_, default_, min_, max_, unit_, help_)                \
    {                                                                                     \
        .key = key_, .type = CONFIG_TYPE_INT, .offset = offsetof(type_, field),           \
        .text_default = #default_, .min = min_, .max = max_, .unit = unit_, .help = help_ \
    }
#define CONFIG_BOOL(type_, field, key_, default_, help_)                         \
    {                                                                            \
        .key = key_, .type = CONFIG_TYPE_BOOL, .offset = offsetof(type_, field), \
        .text_default = #default_, .help = help_                                 \
    }
#define CONFIG_TEXT(type_, field, key_, default_, help_)                         \
    {                                                                            \
        .key = key_, .type = CONFIG_TYPE_TEXT, .offset = offsetof(type_, field), \
        .text_default = default_, .help = help_                                  \
    }
#define CONFIG_FORM(type_, field, key_, default_, form_, help_)                  \
    {                                                                            \
        .key = key_, .type = CONFIG_TYPE_TEXT, .offset = offsetof(type_, field), \
        .text_default = default_, .help = help_, .form = form_                   \
    }
#define CONFIG_SECRET(type_, field, key_, env_, form_, help_)                            \
    {                                                                                    \
        .key = key_, .type = CONFIG_TYPE_TEXT, .offset = offsetof(type_, field),         \
        .text_default = "", .help = help_, .env = env_, .is_secret = true, .form = form_ \
    }
#define CONFIG_LIST(type_, field, key_, default_, env_, form_, help_)            \
    {                                                                            \
        .key = key_, .type = CONFIG_TYPE_LIST, .offset = offsetof(type_, field), \
        .text_default = default_, .help = help_, .env = env_, .form = form_      \
    }
#define CONFIG_SECRET_LIST(type_, field, key_, form_, help_)                     \
    {                                                                            \
        .key = key_, .type = CONFIG_TYPE_LIST, .offset = offsetof(type_, field), \
        .text_default = "", .help = help_, .is_secret = true, .form = form_      \
    }
#define CONFIG_ENUM(type_, field, key_, default_, choices_, help_)               \
    {                                                                            \
        .key = key_, .type = CONFIG_TYPE_ENUM, .offset = offsetof(type_, field), \
        .text_default = default_, .choices = choices_, .help = help_             \
    }

struct config_table {
    const struct config_row *rows;
    size_t count;
};

/*
 * Fills *out (all texts in `arena`): defaults, then the YAML text (may be empty), then the
 * environment. On failure `problem` names the line, the key and what was expected:
 * "parlance.yaml:7: http.port: expected a whole number from 0 to 65535, found \"eighty\"".
 */
MUST_USE enum err config_parse(const struct config_table *table, struct str yaml,
                               const char *file_name, char *const *environ_, struct arena *arena,
                               void *out, struct strbuf *problem);
/* NULL: no row has this key. */
const struct config_row *config_row_find(const struct config_table *table, struct str key);
/* One value of *out, by the same rules. On failure nothing has changed and `problem` says "KEY:
 * expected ..., found ...". */
MUST_USE enum err config_set(const struct config_table *table, struct str key, struct str text,
                             struct arena *arena, void *out, struct strbuf *problem);
/* The value of one row from another set of options; texts are shared. */
void config_copy(const struct config_row *row, const void *from, void *to);
/* A value as it stands in the file, secrets hidden. */
void config_write_value(const struct config_row *row, const void *values, struct strbuf *out);
/*
 * Calls fn for each name of the environment that begins like ours and is no option: most likely
 * mistyped. Passed over is what container platforms put there for a service of our name
 * (PARLANCE_PORT, PARLANCE_PORT_8800_TCP_ADDR, PARLANCE_SERVICE_HOST).
 */
typedef void config_unknown_fn(void *arg, struct str name);
void config_unknown_env(const struct config_table *table, char *const *environ_,
                        config_unknown_fn *fn, void *arg);
/* The documented example file: every key with its help, unit, range and default. */
void config_write_example(const struct config_table *table, struct strbuf *out);
/* What is in force, secrets as "(set)" or "(not set)". */
void config_write_effective(const struct config_table *table, const void *values,
                            struct strbuf *out);
