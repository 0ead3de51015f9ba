/*
 * page: cursors are readable ("1732150000000.01J...") and hold nothing secret; a forged one only
 * starts the list elsewhere, within what the caller may see anyhow.
 */
#include "services/common/page.h"

#include <stdio.h>

#include "core/str.h"

bool page_parse(struct page *out, int64_t asked, int normal, int max, const char *cursor)
{
    *out = (struct page){.limit = (int)CLAMP(asked, 1, max), .is_first = true};
    if (asked <= 0)
        out->limit = normal;
    if (!cursor || !cursor[0])
        return true;
    struct str rest = str_from(cursor), part;
    if (!str_cut(&rest, '.', &part) || !str_to_i64(part, &out->sort))
        return false;
    if (rest.n != ID_SIZE - 1 || !id_is_valid(rest.p))
        return false;
    out->is_first = false;
    memcpy(out->id, rest.p, ID_SIZE);
    return true;
}

char *page_cursor(struct arena *arena, int64_t sort, const char *id)
{
    return arena_printf(arena, "%lld.%s", (long long)sort, id);
}
