/* What a server of Redis may send, in pieces of any size, and what an operator may write as its
 * address. */
#include <stdlib.h>

#include "redis/redis_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t walk(const struct redis_reply *reply, unsigned depth)
{
    size_t n = reply->text.n;
    if (depth > 16)
        abort();
    if (reply->text.p && reply->text.p[reply->text.n] != '\0')
        abort();
    (void)redis_reply_err(reply);
    for (size_t i = 0; i < reply->count; i++)
        n += walk(redis_reply_item(reply, i), depth + 1);
    return n;
}

static void read_answers(const uint8_t *data, size_t size, size_t step)
{
    struct redis_reader *reader = redis_reader_create();
    struct arena *arena = arena_create();
    enum err err = ERR_OK;
    size_t text = 0;
    for (size_t at = 0; at < size && (!err || err == ERR_NOT_FOUND); at += step) {
        const struct redis_reply *reply;
        err = redis_reader_feed(reader, data + at, MIN(step, size - at));
        while (!err && !(err = redis_reader_take(reader, arena, &reply)))
            text += walk(reply, 0);
    }
    if (text > size)
        abort();
    redis_reader_destroy(&reader);
    arena_destroy(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct str text = {(const char *)data + 1, size - 1};
    read_answers(data + 1, size - 1, data[0] ? data[0] : 1);
    if (redis_is_address(text, NULL) && text.n < sizeof("redis://h") - 1)
        abort();
    (void)redis_slot(text);
    return 0;
}
