/*
 * range: conditions and ranges of downloads, three headers divided by line feeds. A part lies
 * within the file and is not empty; everything else is all of it, or nothing.
 */
#include <stdlib.h>

#include "edge/edge_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct edge_wish *wish, uint64_t size)
{
    struct edge_span span = edge_range_find(wish, STR("\"tag\""), size);
    bool is_part = span.count > 0 && span.offset < size && span.count <= size - span.offset;
    bool is_all = span.offset == 0 && span.count == size;
    bool is_none = span.offset == 0 && span.count == 0;
    if (!(span.status == 206 ? is_part : span.status == 200 ? is_all : is_none))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t sizes[] = {0, 1, 10, 1u << 20, INT64_MAX, UINT64_MAX};
    struct str rest = {(const char *)data, size};
    struct edge_wish wish;
    str_cut(&rest, '\n', &wish.range);
    str_cut(&rest, '\n', &wish.if_range);
    wish.if_none_match = rest;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        check(&wish, sizes[i]);
    return 0;
}
