/*
 * Which part of a file is asked for (RFC 9110, 13 and 14): conditions, then one range of bytes. A
 * pure function over what clients send; what it cannot read it leaves aside, as the standard wants.
 */
#include "edge/edge_internal.h"

/* `list` of entity tags has this one, or is "*". Weak ones compare by their text (for GET). */
static bool has_tag(struct str list, struct str etag)
{
    struct str tag;
    for (bool is_more = list.n > 0; is_more;) {
        is_more = str_cut(&list, ',', &tag);
        tag = str_trim(tag);
        if (str_starts(tag, STR("W/")))
            tag = str_sub(tag, 2, tag.n);
        if (str_eq(tag, etag) || str_eq(tag, STR("*")))
            return true;
    }
    return false;
}

/* Digits alone; what is larger than any file is as good as the largest number. */
static bool take_number(struct str text, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text.p[i] - '0');
        *out = *out > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *out * 10 + digit;
    }
    return text.n > 0;
}

/* False: no range that is understood. count 0: it lies beyond the end. */
static bool take_range(struct str range, uint64_t size, struct edge_span *span)
{
    struct str unit, first, last;
    if (!str_cut(&range, '=', &unit) || !str_eq_nocase(str_trim(unit), STR("bytes")))
        return false;
    last = str_trim(range);
    if (!str_cut(&last, '-', &first))
        return false;
    first = str_trim(first);
    last = str_trim(last);
    uint64_t from, to = UINT64_MAX;
    if (!first.n) { /* the last so many */
        if (!take_number(last, &to))
            return false;
        span->count = MIN(to, size);
        span->offset = size - span->count;
        return true;
    }
    if (!take_number(first, &from) || (last.n && !take_number(last, &to)) || to < from)
        return false;
    span->offset = MIN(from, size);
    span->count = MIN(to - from, UINT64_MAX - 1) + 1;
    span->count = MIN(span->count, size - span->offset);
    return true;
}

struct edge_span edge_range_find(const struct edge_wish *wish, struct str etag, uint64_t size)
{
    struct edge_span all = {.status = 200, .count = size};
    struct edge_span part = {.status = 206};
    if (wish->if_none_match.n && has_tag(wish->if_none_match, etag))
        return (struct edge_span){.status = 304};
    /* A date, or another version: then all of it. */
    if (wish->if_range.n && !str_eq(str_trim(wish->if_range), etag))
        return all;
    if (!wish->range.n || !take_range(wish->range, size, &part))
        return all;
    return part.count ? part : (struct edge_span){.status = 416};
}
