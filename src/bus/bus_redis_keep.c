/*
 * bus_redis_keep: the thread that keeps what this process owns, whatever handlers do, and keeps the
 * streams within bounds. Trimmed is what every group has confirmed and nobody who was away for a
 * few minutes would read; a group that lags keeps its entries, and when too many wait, nothing more
 * is sent (the outbox keeps it, in SQL) until it has caught up. A group that nobody has read for
 * for a week is dropped, loudly.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus_redis_internal.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/metric.h"

#define TIDY_EVERY_MS 5000
#define KEEP_MS (10 * 60 * 1000ll) /* for who hears without a group, and was away */
#define KEEP_MAX 100000            /* entries that every group has confirmed */
#define WAITING_MAX 200000         /* entries of a stream, before it is closed */
#define ABANDONED_MS (7 * 24 * 3600 * 1000ll)
#define CHANNELS_MAX 128

static struct metric metric_stream = METRIC_GAUGE(
    "parlance_bus_stream_entries", "Entries that Redis holds of a channel.", "channel");

/* ---- ownership ---- */

static const struct str own_script =
    STR("local o = redis.call('GET', KEYS[1]) if o and o ~= ARGV[1] then return 0 end "
        "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1");
static const struct str disown_script =
    STR("if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end "
        "return 0");

enum err bus_redis_own(struct bus_impl *b, struct redis_group *g)
{
    char ms[24];
    int n = snprintf(ms, sizeof(ms), "%" PRId64, b->owner_ms);
    const struct redis_reply *reply;
    struct arena *arena = arena_create();
    /* Ours ends a little before the server's, whose clock began later. */
    int64_t until_us = clock_mono_us() + b->owner_ms * 900;
    enum err err =
        BUS_REDIS_CALL(b, arena, &reply, STR("EVAL"), own_script, STR("1"), str_from(g->owner_key),
                       str_from(b->self), (struct str){ms, (size_t)n});
    if (!err && reply->number != 1)
        err = ERR_ALREADY_EXISTS;
    arena_destroy(&arena);
    pthread_mutex_lock(&b->lock);
    bool was_owner = g->is_owner;
    if (!err || err == ERR_ALREADY_EXISTS)
        g->is_owner = !err;
    if (!err)
        g->owned_until_us = until_us;
    pthread_mutex_unlock(&b->lock);
    if (err == ERR_ALREADY_EXISTS && was_owner)
        log_warn(NULL, "bus: another process serves group %s of %s now", g->name, g->channel->name);
    return err;
}

void bus_redis_disown(struct bus_impl *b, struct redis_group *g)
{
    const struct redis_reply *reply;
    pthread_mutex_lock(&b->lock);
    bool was_owner = g->is_owner;
    g->is_owner = false;
    pthread_mutex_unlock(&b->lock);
    if (!was_owner)
        return;
    struct arena *arena = arena_create();
    enum err err = BUS_REDIS_CALL(b, arena, &reply, STR("EVAL"), disown_script, STR("1"),
                                  str_from(g->owner_key), str_from(b->self));
    /* a consumer without pending entries is of no use any more; one with them keeps them */
    if (err)
        log_debug(NULL, "bus: group %s stays ours until it runs out", g->name);
    arena_destroy(&arena);
}

static void renew_all(struct bus_impl *b)
{
    pthread_mutex_lock(&b->lock);
    for (struct list *node = b->groups.next; node != &b->groups; node = node->next) {
        struct redis_group *g = LIST_ENTRY(node, struct redis_group, node);
        if (!g->is_owner || !g->is_joined || !b->is_linked)
            continue;
        pthread_mutex_unlock(&b->lock);
        (void)!bus_redis_own(b, g); /* what fails is tried again before it has run out */
        pthread_mutex_lock(&b->lock);
    }
    pthread_mutex_unlock(&b->lock);
}

/* ---- within bounds ---- */

/* The value behind a name, in a reply like [name, value, name, value ...]. */
static const struct redis_reply *field(const struct redis_reply *row, const char *name)
{
    for (size_t i = 0; row && i + 1 < row->count; i += 2)
        if (str_eq(redis_reply_text(&row->items[i]), str_from(name)))
            return &row->items[i + 1];
    return NULL;
}

static int64_t number_of(const struct redis_reply *reply)
{
    return reply && reply->type == REDIS_NUMBER ? reply->number : 0;
}

static bool is_served_here(struct bus_impl *b, const struct redis_channel *c, struct str group)
{
    bool is = false;
    pthread_mutex_lock(&b->lock);
    LIST_FOREACH(&b->groups, node)
    {
        const struct redis_group *g = LIST_ENTRY(node, struct redis_group, node);
        is |= g->channel == c && g->is_joined && str_eq(str_from(g->name), group);
    }
    pthread_mutex_unlock(&b->lock);
    return is;
}

/* The first entry that the group has not confirmed. */
static enum err first_needed(struct bus_impl *b, const struct redis_channel *c,
                             const struct redis_reply *row, struct arena *arena,
                             struct stream_id *out)
{
    const struct redis_reply *reply;
    struct str group = redis_reply_text(field(row, "name"));
    if (!stream_id_parse(redis_reply_text(field(row, "last-delivered-id")), out))
        return ERR_DATA_LOSS;
    if (number_of(field(row, "pending")) == 0)
        return ERR_OK;
    enum err err = BUS_REDIS_CALL(b, arena, &reply, STR("XPENDING"), str_from(c->key), group);
    struct stream_id first;
    if (!err && stream_id_parse(redis_reply_text(redis_reply_item(reply, 1)), &first))
        *out = first;
    return err;
}

static bool has_owner(struct bus_impl *b, const struct redis_channel *c, struct str group,
                      struct arena *arena)
{
    const struct redis_reply *reply;
    const char *key = arena_printf(arena, "%s.%.*s.owner", c->key, STR_FMT(group));
    enum err err = BUS_REDIS_CALL(b, arena, &reply, STR("EXISTS"), str_from(key));
    return err || reply->number;
}

/* Whether the first entry that waits for the group waits for a week, and nobody owns it. */
static bool is_abandoned(struct bus_impl *b, const struct redis_channel *c, struct str group,
                         struct stream_id needed, struct arena *arena)
{
    const struct redis_reply *reply;
    char from[STREAM_ID_SIZE];
    struct stream_id first = {0};
    struct str parcel;
    int64_t old_ms = clock_wall_ms() - ABANDONED_MS;
    if ((int64_t)needed.ms > old_ms)
        return false;
    enum err err = BUS_REDIS_CALL(b, arena, &reply, STR("XRANGE"), str_from(c->key),
                                  stream_id_text(needed, from), STR("+"), STR("COUNT"), STR("2"));
    const struct redis_reply *entry = err ? NULL : redis_reply_item(reply, reply->count - 1);
    return entry && bus_redis_entry(entry, &first, &parcel) && (int64_t)first.ms < old_ms &&
           stream_id_is_less(needed, first) && !has_owner(b, c, group, arena);
}

static void drop_group(struct bus_impl *b, const struct redis_channel *c, struct str group,
                       struct arena *arena)
{
    const struct redis_reply *reply;
    log_error(NULL,
              "bus: nobody has read %s for group %.*s in a week: the group is dropped, with what "
              "waited for it",
              c->name, STR_FMT(group));
    (void)!BUS_REDIS_CALL(b, arena, &reply, STR("XGROUP"), STR("DESTROY"), str_from(c->key), group);
}

/* What groups still need, and how far they are behind. */
static enum err look_at_groups(struct bus_impl *b, const struct redis_channel *c,
                               struct arena *arena, struct stream_id *needed)
{
    const struct redis_reply *rows;
    enum err err = BUS_REDIS_CALL(b, arena, &rows, STR("XINFO"), STR("GROUPS"), str_from(c->key));
    for (size_t i = 0; !err && i < rows->count; i++) {
        const struct redis_reply *row = &rows->items[i];
        struct str group = redis_reply_text(field(row, "name"));
        struct stream_id first;
        err = first_needed(b, c, row, arena, &first);
        if (err)
            break;
        if (is_served_here(b, c, group))
            bus_link_set_lag(b->link, c->name, group.p,
                             number_of(field(row, "lag")) + number_of(field(row, "pending")));
        if (is_abandoned(b, c, group, first, arena))
            drop_group(b, c, group, arena);
        else if (stream_id_is_less(first, *needed))
            *needed = first;
    }
    return err;
}

static enum err trim(struct bus_impl *b, const struct redis_channel *c, int64_t length,
                     struct stream_id needed, struct arena *arena)
{
    char text[STREAM_ID_SIZE];
    const struct redis_reply *reply;
    struct stream_id old = {.ms = (uint64_t)MAX(clock_wall_ms() - KEEP_MS, 0)};
    bool has_groups = needed.ms != UINT64_MAX;
    if (length > KEEP_MAX && !has_groups)
        return BUS_REDIS_CALL(b, arena, &reply, STR("XTRIM"), str_from(c->key), STR("MAXLEN"),
                              STR("~"), STR("100000"));
    if (length <= KEEP_MAX && stream_id_is_less(old, needed))
        needed = old;
    return BUS_REDIS_CALL(b, arena, &reply, STR("XTRIM"), str_from(c->key), STR("MINID"), STR("~"),
                          stream_id_text(needed, text));
}

static void tidy_channel(struct bus_impl *b, struct redis_channel *c)
{
    const struct redis_reply *reply;
    struct stream_id needed = {.ms = UINT64_MAX};
    struct arena *arena = arena_create();
    enum err err = BUS_REDIS_CALL(b, arena, &reply, STR("XLEN"), str_from(c->key));
    int64_t length = err ? 0 : reply->number;
    if (length) {
        err = look_at_groups(b, c, arena, &needed);
        if (!err)
            err = trim(b, c, length, needed, arena);
    }
    arena_destroy(&arena);
    if (err)
        return;
    metric_cell_set(metric_cell(&metric_stream, c->name, NULL, NULL), (double)length);
    pthread_mutex_lock(&b->lock);
    bool was_full = c->is_full;
    bool is_full = c->is_full = length > WAITING_MAX;
    pthread_mutex_unlock(&b->lock);
    if (is_full && !was_full)
        log_error(NULL,
                  "bus: %" PRId64 " entries of %s wait at Redis: no more is sent until its "
                  "groups have caught up",
                  length, c->name);
}

static void tidy(struct bus_impl *b)
{
    pthread_mutex_lock(&b->lock);
    for (struct list *node = b->channels.next; node != &b->channels && b->is_linked;
         node = node->next) { /* channels stay until close */
        struct redis_channel *c = LIST_ENTRY(node, struct redis_channel, node);
        pthread_mutex_unlock(&b->lock);
        tidy_channel(b, c);
        pthread_mutex_lock(&b->lock);
    }
    pthread_mutex_unlock(&b->lock);
}

void *bus_redis_keep_main(void *arg)
{
    struct bus_impl *b = arg;
    int64_t every_ms = MIN(b->owner_ms, (int64_t)TIDY_EVERY_MS);
    int64_t tidy_at_ms = clock_mono_ms() + every_ms;
    pthread_mutex_lock(&b->lock);
    while (!b->is_stopping) {
        bool is_linked = b->is_linked;
        pthread_mutex_unlock(&b->lock);
        if (is_linked)
            renew_all(b);
        if (is_linked && clock_mono_ms() >= tidy_at_ms) {
            tidy(b);
            tidy_at_ms = clock_mono_ms() + every_ms;
        }
        int64_t until_ms = clock_mono_ms() + every_ms / 4;
        pthread_mutex_lock(&b->lock);
        while (!b->is_stopping && clock_mono_ms() < until_ms) /* woken for others, too */
            thread_wait(&b->changed, &b->lock, until_ms - clock_mono_ms());
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}
