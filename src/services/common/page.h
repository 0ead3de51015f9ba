/* page: lists in pages by keyset cursor. A cursor is the sort value and id of the last row shown.
 */
#pragma once

#include "core/arena.h"
#include "core/id.h"

struct page {
    int limit;
    bool is_first; /* no cursor was given */
    int64_t sort;  /* of the last row of the former page */
    char id[ID_SIZE];
};

/* asked 0: normal; more than max: max. false: the cursor is not one of ours. */
bool page_parse(struct page *out, int64_t asked, int normal, int max, const char *cursor);
char *page_cursor(struct arena *arena, int64_t sort, const char *id);
