/*
 * redis_slots: which of a cluster's 16,384 slots a key hashes to, and what a node says of who has
 * them.
 */
#include <string.h>

#include "redis/redis_internal.h"

/* CRC-16/XMODEM, as the cluster's specification asks. */
static unsigned crc16(struct str text)
{
    unsigned crc = 0;
    for (size_t i = 0; i < text.n; i++) {
        crc ^= (unsigned)(uint8_t)text.p[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc << 1 ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
    }
    return crc;
}

unsigned redis_slot(struct str key)
{
    ptrdiff_t open = str_find(key, '{');
    if (open >= 0) {
        struct str rest = str_sub(key, (size_t)open + 1, key.n);
        ptrdiff_t close = str_find(rest, '}');
        if (close > 0)
            key = str_sub(rest, 0, (size_t)close);
    }
    return crc16(key) % REDIS_SLOTS;
}

bool redis_range_parse(const struct redis_reply *row, struct redis_range *out)
{
    const struct redis_reply *first = redis_reply_item(row, 0), *last = redis_reply_item(row, 1);
    const struct redis_reply *master = redis_reply_item(row, 2),
                             *port = redis_reply_item(master, 1);
    struct str name = redis_reply_text(redis_reply_item(master, 0));
    if (!first || !last || !port || name.n >= REDIS_HOST_SIZE)
        return false;
    *out = (struct redis_range){.first = first->number, .last = last->number};
    out->host.port = (uint16_t)port->number;
    if (name.n && !str_eq(name, STR("?")))
        memcpy(out->host.name, name.p, name.n);
    return out->first >= 0 && out->first <= out->last && out->last < REDIS_SLOTS &&
           port->number > 0 && port->number < 65536;
}

enum err redis_slots_ask(struct redis_link *link, struct arena *arena,
                         const struct redis_wait *wait, const struct redis_reply **reply)
{
    struct str argv[] = {STR("CLUSTER"), STR("SLOTS")};
    enum err err = redis_link_call(link, argv, ARRAY_LEN(argv), arena, wait, reply);
    return err ? err : (*reply)->type == REDIS_LIST ? ERR_OK : ERR_DATA_LOSS;
}

void redis_range_name(struct redis_range *range, const struct redis_host *asked)
{
    if (!range->host.name[0])
        memcpy(range->host.name, asked->name, sizeof(range->host.name));
}

enum err redis_cluster_find(struct redis_link *link, unsigned slot, const struct redis_wait *wait,
                            struct redis_host *out)
{
    const struct redis_reply *reply;
    struct arena *arena = arena_create();
    enum err err = redis_slots_ask(link, arena, wait, &reply);
    struct redis_range range;
    bool is_found = false;
    for (size_t i = 0; !err && !is_found && i < reply->count; i++)
        is_found = redis_range_parse(&reply->items[i], &range) && range.first <= slot &&
                   slot <= range.last;
    if (is_found) {
        redis_range_name(&range, redis_link_host(link));
        *out = range.host;
    }
    arena_destroy(&arena);
    return err ? err : is_found ? ERR_OK : ERR_NOT_FOUND;
}
