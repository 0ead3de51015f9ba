/*
 * store_dialect: the room's portable SQL in the words of another engine. The statements of this
 * program are written once, in upper-case keywords and snake_case names; here alone it is known
 * what PostgreSQL and MySQL call a thing differently. Not a parser: a scanner that knows texts,
 * names, comments and parentheses, and changes words.
 */
#pragma once

#include "core/err.h"
#include "core/str.h"
#include "store/store.h"

enum store_dialect { STORE_DIALECT_SQLITE, STORE_DIALECT_POSTGRES, STORE_DIALECT_MYSQL };

struct store_dialect_info {
    int parameters;   /* the highest number of a `?` */
    bool is_schema;   /* it makes or changes tables */
    bool is_reading;  /* SELECT, WITH, VALUES */
    bool is_numbered; /* a `?2` is among them (see store_dialect_places) */
    bool is_upsert;   /* ON CONFLICT DO UPDATE: MySQL counts what it changed as two */
    bool has_guard;   /* and it says of which rows (WHERE) */
};

/* Appends one statement, rewritten, to `out`. ERR_INTERNAL (logged): none, more than one, or not a
 * statement that services may run (transactions, settings and files are the store's). */
MUST_USE enum err store_dialect_rewrite(enum store_dialect dialect, struct str sql,
                                        struct strbuf *out, struct store_dialect_info *info);

/* The numbers of the placeholders as they stand, for engines that know `?` alone; how many there
 * are, of which at most `max` are written. */
size_t store_dialect_places(struct str sql, uint16_t *places, size_t max);

/* Appends the script of list[at] with its variants in place, still portable elsewhere. The others
 * of its room tell what its tables are. */
void store_dialect_choose(enum store_dialect dialect, const struct store_migration *list, size_t at,
                          struct strbuf *out);

/* Takes the first statement off a script, without its semicolon; false: nothing is left. */
bool store_dialect_next(struct str *script, struct str *statement);
