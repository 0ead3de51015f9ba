/* shards: see shards.h. The hash is for ever: where a conversation lies never changes. */
#include "services/common/shards.h"

#include <stdint.h>

/* FNV-1a, then mixed: ids differ in their last characters alone. */
static uint64_t hash(const char *text)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * 0x100000001b3u;
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
    return h ^ (h >> 33);
}

unsigned shards_find(const char *key, unsigned count)
{
    return count > 1 ? (unsigned)(hash(key) % count) : 0;
}

void shards_make_id(char id[ID_SIZE], const char *key, unsigned count)
{
    unsigned shard = shards_find(key, count);
    do
        id_make(id);
    while (shards_find(id, count) != shard);
}
