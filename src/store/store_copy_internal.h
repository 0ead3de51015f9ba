/* store_copy_internal: see store_copy_marks.c. */
#pragma once

#include "store/store_copy.h"

/* The last number that was given to a row of the table, which may be gone: none is given twice. */
MUST_USE enum err store_copy_mark_read(struct store_tx *tx, const struct store_table *t,
                                       int64_t *mark);
MUST_USE enum err store_copy_mark_write(struct store_tx *tx, const struct store_table *t,
                                        int64_t mark);
