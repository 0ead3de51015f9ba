/* bus_outbox_rows: see bus_outbox_internal.h. */
#include <stdlib.h>
#include <string.h>

#include "bus/bus_outbox_internal.h"
#include "core/map.h"
#include "core/mem.h"

void outbox_rows_init(struct outbox_rows *r, const struct bus *bus)
{
    *r = (struct outbox_rows){.bus = bus, .known = map64_create()};
}

void outbox_rows_deinit(struct outbox_rows *r)
{
    map64_destroy(&r->known);
    free(r->arrived);
}

static bool is_over(const struct outbox_rows *r, unsigned known)
{
    unsigned needed = r->bus->link ? ROW_HEARD | ROW_SENT : ROW_HEARD;
    return (known & needed) == needed;
}

static bool is_busy(const struct outbox_rows *r, unsigned known)
{
    return (known & (ROW_GIVEN | ROW_HEARD)) == ROW_GIVEN || (known & ROW_SENDING) ||
           is_over(r, known);
}

unsigned outbox_row_get(const struct outbox_rows *r, int64_t id)
{
    return (unsigned)(uintptr_t)map64_get(r->known, (uint64_t)id);
}

void outbox_row_set(struct outbox_rows *r, int64_t id, unsigned known)
{
    unsigned before = outbox_row_get(r, id);
    r->busy += (size_t)is_busy(r, known) - (size_t)is_busy(r, before);
    if (known)
        map64_set(r->known, (uint64_t)id, (void *)(uintptr_t)known);
    else
        map64_remove(r->known, (uint64_t)id);
    if (is_over(r, known) && !is_over(r, before))
        outbox_row_arrived(r, id);
}

void outbox_rows_forget_waiting(struct outbox_rows *r)
{
    size_t at = 0;
    uint64_t id;
    void *known;
    struct map64 *kept = map64_create();
    while (map64_next(r->known, &at, &id, &known))
        if (is_busy(r, (unsigned)(uintptr_t)known))
            map64_set(kept, id, known);
    map64_destroy(&r->known);
    r->known = kept;
}

/* ---- those that are over ---- */

void outbox_row_arrived(struct outbox_rows *r, int64_t id)
{
    if (r->arrived_count == r->arrived_capacity) {
        r->arrived_capacity = r->arrived_capacity ? r->arrived_capacity * 2 : 64;
        r->arrived = mem_realloc_array(r->arrived, r->arrived_capacity, sizeof(*r->arrived));
    }
    r->arrived[r->arrived_count++] = id;
}

struct outbox_deletion *outbox_rows_take_arrived(struct outbox_rows *r, struct bus_outbox *outbox)
{
    if (!r->arrived_count)
        return NULL;
    size_t bytes = r->arrived_count * sizeof(*r->arrived);
    struct outbox_deletion *d = mem_alloc(sizeof(*d) + bytes);
    d->outbox = outbox;
    d->count = r->arrived_count;
    memcpy(d->ids, r->arrived, bytes);
    r->arrived_count = 0;
    return d;
}
