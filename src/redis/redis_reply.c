/*
 * redis_reply: the server's answers, read by hiredis' reader into an arena. A hostile or broken
 * server cannot make it allocate without end: the bytes of one answer are bounded, and so are the
 * items that an answer may announce before it sends them; hiredis itself bounds the depth.
 */
#include <hiredis/read.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "redis/redis_internal.h"

#define BYTES_MAX (128u << 20) /* of one answer */
#define ITEMS_MAX (1u << 18)
#define ECHO ", with args beginning with"

struct redis_reader {
    struct redisReader *hiredis;
    struct arena *arena; /* of the answer being read */
    size_t items;        /* that it announced so far */
    size_t bytes;        /* fed since the last whole answer */
};

/* Where the answer, or the item of a list, goes; NULL: there are too many. */
static struct redis_reply *place(const redisReadTask *task)
{
    struct redis_reader *r = task->privdata;
    if (!task->parent)
        return arena_new(r->arena, struct redis_reply);
    struct redis_reply *list = task->parent->obj;
    return (struct redis_reply *)&list->items[task->idx];
}

static void *make_text(const redisReadTask *task, char *bytes, size_t n)
{
    struct redis_reader *r = task->privdata;
    struct redis_reply *reply = place(task);
    reply->type = task->type == REDIS_REPLY_ERROR ? REDIS_PROBLEM : REDIS_TEXT;
    const char *echo =
        reply->type == REDIS_PROBLEM && n ? memmem(bytes, n, ECHO, sizeof(ECHO) - 1) : NULL;
    if (echo) /* of our arguments, a password or an event among them: it would be logged */
        n = (size_t)(echo - bytes);
    reply->text = (struct str){str_arena(r->arena, (struct str){bytes, n}), n};
    return reply;
}

static void *make_list(const redisReadTask *task, int count)
{
    struct redis_reader *r = task->privdata;
    if (count < 0 || (size_t)count > ITEMS_MAX - r->items)
        return NULL;
    r->items += (size_t)count;
    struct redis_reply *reply = place(task);
    reply->type = REDIS_LIST;
    reply->count = (size_t)count;
    reply->items = count ? arena_array(r->arena, struct redis_reply, (size_t)count) : NULL;
    return reply;
}

static void *make_number(const redisReadTask *task, long long number)
{
    struct redis_reply *reply = place(task);
    reply->type = REDIS_NUMBER;
    reply->number = number;
    return reply;
}

static void *make_nil(const redisReadTask *task)
{
    return place(task); /* zeroed: NIL */
}

static void forget(void *reply) /* the arena's */
{
}

static redisReplyObjectFunctions functions = {
    .createString = make_text,
    .createArray = make_list,
    .createInteger = make_number,
    .createNil = make_nil,
    .freeObject = forget,
};

struct redis_reader *redis_reader_create(void)
{
    struct redis_reader *r = mem_new(struct redis_reader);
    r->hiredis = redisReaderCreateWithFunctions(&functions);
    if (!r->hiredis)
        abort();
    r->hiredis->privdata = r; /* its macro does not compile with clang */
    return r;
}

void redis_reader_destroy(struct redis_reader **reader)
{
    if (!*reader)
        return;
    redisReaderFree((*reader)->hiredis);
    free(*reader);
    *reader = NULL;
}

enum err redis_reader_feed(struct redis_reader *r, const void *bytes, size_t n)
{
    r->bytes += n;
    if (r->bytes > BYTES_MAX)
        return ERR_RESOURCE_EXHAUSTED;
    return redisReaderFeed(r->hiredis, bytes, n) == REDIS_OK ? ERR_OK : ERR_DATA_LOSS;
}

enum err redis_reader_take(struct redis_reader *r, struct arena *arena,
                           const struct redis_reply **reply)
{
    void *made = NULL;
    r->arena = arena;
    *reply = NULL;
    if (redisReaderGetReply(r->hiredis, &made) != REDIS_OK)
        return ERR_DATA_LOSS;
    if (!made)
        return ERR_NOT_FOUND;
    r->items = 0;
    r->bytes = r->hiredis->len - r->hiredis->pos; /* of the next ones */
    *reply = made;
    return ERR_OK;
}

bool redis_reader_is_empty(const struct redis_reader *r)
{
    return r->bytes == 0;
}

/* ---- for who looks at answers ---- */

enum err redis_reply_err(const struct redis_reply *reply)
{
    static const struct {
        struct str word;
        enum err err;
    } words[] = {
        {STR("NOGROUP"), ERR_NOT_FOUND},
        {STR("BUSYGROUP"), ERR_ALREADY_EXISTS},
        {STR("WRONGTYPE"), ERR_FAILED_PRECONDITION},
        {STR("NOAUTH"), ERR_PERMISSION_DENIED},
        {STR("WRONGPASS"), ERR_PERMISSION_DENIED},
        {STR("NOPERM"), ERR_PERMISSION_DENIED},
        {STR("OOM"), ERR_RESOURCE_EXHAUSTED},
        {STR("LOADING"), ERR_UNAVAILABLE},
        {STR("READONLY"), ERR_UNAVAILABLE},
        {STR("MASTERDOWN"), ERR_UNAVAILABLE},
        {STR("CLUSTERDOWN"), ERR_UNAVAILABLE},
        {STR("TRYAGAIN"), ERR_UNAVAILABLE},
        {STR("MISCONF"), ERR_UNAVAILABLE},
        {STR("NOREPLICAS"), ERR_UNAVAILABLE},
        {STR("BUSY"), ERR_UNAVAILABLE},
        {STR("MOVED"), ERR_UNAVAILABLE},
        {STR("ASK"), ERR_UNAVAILABLE},
    };
    if (reply->type != REDIS_PROBLEM)
        return ERR_OK;
    struct str rest = reply->text, word;
    (void)str_cut(&rest, ' ', &word);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_eq(words[i].word, word))
            return words[i].err;
    return ERR_INTERNAL;
}

struct str redis_reply_text(const struct redis_reply *reply)
{
    return reply && reply->type == REDIS_TEXT ? reply->text : STR_NULL;
}

const struct redis_reply *redis_reply_item(const struct redis_reply *reply, size_t index)
{
    return reply && reply->type == REDIS_LIST && index < reply->count ? &reply->items[index] : NULL;
}
