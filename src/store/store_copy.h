/*
 * store_copy: everything that one database keeps, into another, on whatever engine each is. The
 * source is read in one transaction, so what is copied is one moment; the target is read back and
 * every table held against what was read, by its rows and a checksum over all values.
 */
#pragma once

#include "store/store_schema.h"

/* A row was inserted: what else the target keeps beside it. NULL: nothing. `row` stands on it in
 * the source. */
typedef enum err store_copied_fn(struct store_tx *tx, struct store_stmt *row);

struct store_copy_table {
    struct store_table table;
    store_copied_fn *on_copied;
};

struct store_copy_options {
    const struct store_copy_table *tables; /* in this order */
    size_t count;
    /* Now and then: rows of the table so far, of how many; is_check: while it is read back. */
    void (*progress)(void *arg, const char *table, int64_t rows, int64_t total, bool is_check);
    void *arg;
};

/* Whether there is no table at all. */
MUST_USE enum err store_copy_is_empty(struct store *store, bool *is_empty);
/* The target has the same tables; what its migrations put into them gives way. `problem` says what
 * is wrong. ERR_DATA_LOSS: the copy is not what was read. On a thread that may wait. */
MUST_USE enum err store_copy(struct store *from, struct store *to,
                             const struct store_copy_options *opt, struct strbuf *problem);
