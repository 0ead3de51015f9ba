/*
 * store_schema: the tables that migrations make, as far as they can be told from their text:
 * columns, their types, the primary key. For what must reach every table, on every engine.
 */
#pragma once

#include "core/arena.h"
#include "store/store.h"

#define STORE_KEY_MAX 8

enum store_column_type {
    STORE_COLUMN_INT,
    STORE_COLUMN_REAL,
    STORE_COLUMN_TEXT,
    STORE_COLUMN_BLOB
};

struct store_column {
    const char *name;
    enum store_column_type type;
};

struct store_table {
    const char *room, *name;
    struct store_column *columns;
    size_t column_count;
    size_t key[STORE_KEY_MAX]; /* the columns of the primary key */
    size_t key_count;
    bool is_generated; /* AUTOINCREMENT */
};

/* In the order in which they are made; all of it in the arena. ERR_INTERNAL (logged): a table
 * without a primary key. Virtual tables are no tables. */
MUST_USE enum err store_schema_read(struct arena *arena, const struct store_migration *list,
                                    size_t count, struct store_table **tables, size_t *table_count);
