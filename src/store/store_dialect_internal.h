/* store_dialect_internal: the scanner, for the files that know one engine's words. */
#pragma once

#include "store/store_dialect.h"

enum token_kind { SPACE, WORD, QUOTED, PLACEHOLDER, SEMICOLON, SIGN };

struct token {
    enum token_kind kind;
    struct str text;
};

struct dialect_rewriting {
    enum store_dialect dialect;
    struct str sql; /* one statement */
    struct strbuf *out;
    struct store_dialect_info *info;
};

/* ---- store_dialect.c ---- */
/* The end of the white space and comments at `at`: `at` itself when there are none. */
size_t dialect_end_of_space(struct str sql, size_t at);
bool dialect_next_token(struct str sql, size_t *at, struct token *out);
/* Is the next word this one? Then `at` stands behind it. */
bool dialect_skip_word(struct str sql, size_t *at, struct str word);
void dialect_write_word(struct dialect_rewriting *r, struct str word, size_t *at);
/* A piece of the statement, word by word; false: no such parameter. */
bool dialect_write_plain(struct dialect_rewriting *r, struct str piece);
/* Logs why. */
enum err dialect_refuse(struct str sql, const char *why);

/* ---- store_dialect_mysql.c ---- */
/* CREATE, ALTER, DROP. */
enum err dialect_mysql_schema(struct dialect_rewriting *r);
/* A statement of list[at], with keys as short as MySQL wants them. */
void dialect_mysql_choose(const struct store_migration *list, size_t at, struct str statement,
                          struct strbuf *out);

/* ---- store_dialect_conflict.c ---- */
enum err dialect_mysql_insert(struct dialect_rewriting *r);
