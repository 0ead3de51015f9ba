/* store_definition_internal: the parts of a statement that makes a table, a column or an index. */
#pragma once

#include "core/str.h"

struct definition {
    struct str table, body; /* the columns, or that of ALTER TABLE ... ADD COLUMN */
    size_t end;             /* behind the parentheses */
    bool is_unique;
};

/* Which of these a statement is (without white space before it). */
bool definition_is_table(struct str sql, struct definition *d);
bool definition_is_index(struct str sql, struct definition *d);
bool definition_is_addition(struct str sql, struct definition *d);

/* Without the white space and comments before it. */
struct str definition_trim(struct str s);
/* Takes what stands before the next comma outside of parentheses. */
bool definition_next(struct str *body, struct str *item);
/* The first word of an item: a column's name, if it is no constraint. */
struct str definition_name(struct str item);
bool definition_is_constraint(struct str item);
bool definition_has_word(struct str piece, const char *word);
/* What stands in the next parentheses, and where they end. */
struct str definition_inner(struct str sql, size_t *at);
/* Whether a list of columns has this one. */
bool definition_names(struct str columns, struct str column);
/* Whether a key within the table's own statement is made of the column. */
bool definition_is_key(struct str body, struct str column);
