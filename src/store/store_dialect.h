/*
 * store_dialect: the room's portable SQL in the words of another engine. The statements of this
 * program are written once, in upper-case keywords and snake_case names; here alone it is known
 * what PostgreSQL calls a thing differently. Not a parser: a scanner that knows texts,
 * names, comments and parentheses, and changes words.
 */
#pragma once

#include "core/err.h"
#include "core/str.h"
#include "store/store.h"

enum store_dialect { STORE_DIALECT_SQLITE, STORE_DIALECT_POSTGRES };

struct store_dialect_info {
    int parameters;  /* how many `?` */
    bool is_schema;  /* it makes or changes tables */
    bool is_reading; /* SELECT, WITH, VALUES */
};

/* Appends one statement, rewritten, to `out`. ERR_INTERNAL (logged): none, more than one, or not a
 * statement that services may run (transactions, settings and files are the store's). */
MUST_USE enum err store_dialect_rewrite(enum store_dialect dialect, struct str sql,
                                        struct strbuf *out, struct store_dialect_info *info);

/* Appends the migration's script with its variants in place, still portable elsewhere. */
void store_dialect_choose(enum store_dialect dialect, const struct store_migration *m,
                          struct strbuf *out);

/* Takes the first statement off a script, without its semicolon; false: nothing is left. */
bool store_dialect_next(struct str *script, struct str *statement);
