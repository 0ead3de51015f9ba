/*
 * bus_redis: events over Redis. Durable parcels are entries of streams, read by consumer groups and
 * by everybody who hears the channel; the others are published. What the threads do stands in
 * bus_redis_internal.h; here are the driver's calls, which come from any thread.
 */
#include "bus/bus_redis_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "core/mem.h"

#define TIMEOUT_MS 2000
#define CONFIRM_WAIT_MS 2000 /* at the end */

/* ---- small things ---- */

enum err bus_redis_call(struct bus_impl *b, const struct str *argv, size_t argc,
                        struct arena *arena, const struct redis_reply **reply)
{
    /* All keys are of one slot. */
    struct redis_command command = {.argv = argv, .argc = argc, .route = str_from(b->tag_key)};
    return redis_call(b->client, &command, arena, reply);
}

bool stream_id_parse(struct str text, struct stream_id *out)
{
    struct str ms;
    return str_cut(&text, '-', &ms) && str_to_u64(ms, &out->ms) && str_to_u64(text, &out->seq);
}

struct str stream_id_text(struct stream_id id, char out[STREAM_ID_SIZE])
{
    int n = snprintf(out, STREAM_ID_SIZE, "%" PRIu64 "-%" PRIu64, id.ms, id.seq);
    return (struct str){out, (size_t)n};
}

bool stream_id_is_less(struct stream_id a, struct stream_id b)
{
    return a.ms != b.ms ? a.ms < b.ms : a.seq < b.seq;
}

bool bus_redis_entry(const struct redis_reply *entry, struct stream_id *id, struct str *parcel)
{
    const struct redis_reply *fields = redis_reply_item(entry, 1);
    *parcel = STR_NULL;
    if (!stream_id_parse(redis_reply_text(redis_reply_item(entry, 0)), id))
        return false;
    for (size_t i = 0; fields && i + 1 < fields->count; i += 2)
        if (str_eq(redis_reply_text(&fields->items[i]), STR("e")))
            *parcel = redis_reply_text(&fields->items[i + 1]);
    return true;
}

struct redis_channel *bus_redis_channel_of_key(struct bus_impl *b, struct str key)
{
    LIST_FOREACH(&b->channels, node)
    {
        struct redis_channel *c = LIST_ENTRY(node, struct redis_channel, node);
        if (str_eq(str_from(c->key), key))
            return c;
    }
    return NULL;
}

static bool make_key(const struct bus_impl *b, const char *channel, const char *group,
                     const char *tail, char out[BUS_REDIS_KEY_MAX])
{
    char topic[BUS_TOPIC_MAX];
    if (!bus_link_topic(b->link, channel, group, topic))
        return false;
    int n = snprintf(out, BUS_REDIS_KEY_MAX, "%s%s%s", BUS_REDIS_TAG, topic, tail);
    return n > 0 && n < BUS_REDIS_KEY_MAX;
}

struct redis_channel *bus_redis_channel(struct bus_impl *b, const char *name)
{
    char key[BUS_REDIS_KEY_MAX];
    if (!make_key(b, name, NULL, "", key))
        return NULL;
    struct redis_channel *c = bus_redis_channel_of_key(b, str_from(key));
    if (c)
        return c;
    c = mem_new(struct redis_channel);
    c->name = mem_strdup(name);
    memcpy(c->key, key, sizeof(key));
    list_add_tail(&b->channels, &c->node);
    return c;
}

/* Lock held. */
static struct redis_group *find_group(struct bus_impl *b, const struct redis_channel *channel,
                                      const char *name)
{
    LIST_FOREACH(&b->groups, node)
    {
        struct redis_group *g = LIST_ENTRY(node, struct redis_group, node);
        if (g->channel == channel && strcmp(g->name, name) == 0)
            return g;
    }
    return NULL;
}

void bus_redis_wake_serving(struct bus_impl *b)
{
    pthread_mutex_lock(&b->lock);
    b->has_work = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

/* ---- joining and leaving ---- */

static void redis_expect(struct bus_impl *b, const char *channel, const char *group)
{
    char key[BUS_REDIS_KEY_MAX];
    enum err err = ERR_INVALID_ARGUMENT;
    if (make_key(b, channel, NULL, "", key))
        err = bus_redis_make_group(b, key, group, "$");
    if (err)
        log_warn(NULL, "bus: group %s of %s cannot be made: %s", group, channel, err_name(err));
}

/* Lock held. */
static struct redis_group *add_group(struct bus_impl *b, struct redis_channel *channel,
                                     const char *name)
{
    struct redis_group *g = find_group(b, channel, name);
    if (g)
        return g;
    g = mem_new(struct redis_group);
    if (!make_key(b, channel->name, name, ".owner", g->owner_key)) {
        free(g);
        return NULL;
    }
    g->channel = channel;
    g->name = mem_strdup(name);
    list_add_tail(&b->groups, &g->node);
    return g;
}

static void redis_join(struct bus_impl *b, const char *name, const char *group)
{
    pthread_mutex_lock(&b->lock);
    struct redis_channel *channel = bus_redis_channel(b, name);
    struct redis_group *g = channel && group ? add_group(b, channel, group) : NULL;
    if (channel && !group)
        channel->is_heard = true;
    if (g)
        channel->is_watched = g->is_joined = true;
    pthread_mutex_unlock(&b->lock);
    if (!channel || (group && !g)) {
        log_error(NULL, "bus: the name of channel %s is too long for Redis", name);
        return;
    }
    if (group)
        redis_expect(b, name, group);
    bus_redis_heard_changed(b, channel);
    bus_redis_wake_serving(b);
}

static void redis_leave(struct bus_impl *b, const char *name, const char *group)
{
    pthread_mutex_lock(&b->lock);
    struct redis_channel *channel = bus_redis_channel(b, name);
    struct redis_group *g = channel && group ? find_group(b, channel, group) : NULL;
    if (channel && !group)
        channel->is_heard = false;
    if (g)
        g->is_joined = false;
    pthread_mutex_unlock(&b->lock);
    if (g) {
        bus_redis_disown(b, g);
        bus_redis_forget_group(b, g);
    } else if (channel) {
        bus_redis_heard_changed(b, channel);
    }
}

/* ---- sending ---- */

struct sending {
    struct bus_impl *bus;
    struct redis_channel *channel;
    int64_t token;
    pthread_t caller;
    enum err *refused; /* of the caller, while it is inside send */
};

static void on_sent(void *arg, enum err err, const struct redis_reply *reply)
{
    struct sending *s = arg;
    if (err && reply) { /* it has no room: not again at once, but when the keeping thread looks */
        pthread_mutex_lock(&s->bus->lock);
        s->channel->is_full = true;
        pthread_mutex_unlock(&s->bus->lock);
        log_warn(NULL, "bus: Redis takes nothing for %s: %.*s", s->channel->name,
                 STR_FMT(reply->text));
    }
    if (s->refused && pthread_equal(s->caller, pthread_self()))
        *s->refused = err;
    else
        bus_link_sent(s->bus->link, s->token, err);
    free(s);
}

static void on_published(void *arg, enum err err, const struct redis_reply *reply)
{
}

/* Where it goes, or that it may not now. */
static enum err find_way(struct bus_impl *b, const struct bus_parcel *parcel,
                         struct redis_channel **channel)
{
    pthread_mutex_lock(&b->lock);
    *channel = bus_redis_channel(b, parcel->channel);
    bool is_open = b->is_linked && *channel && !((*channel)->is_full && parcel->token);
    pthread_mutex_unlock(&b->lock);
    return is_open && redis_is_up(b->client) ? ERR_OK : ERR_UNAVAILABLE;
}

static enum err redis_send(struct bus_impl *b, const struct bus_parcel *parcel)
{
    struct redis_channel *channel;
    enum err err = find_way(b, parcel, &channel), refused = ERR_OK;
    if (err)
        return err;
    struct str key = str_from(channel->key);
    struct str publish[] = {STR("PUBLISH"), key, parcel->bytes};
    struct str add[] = {STR("XADD"), key, STR("*"), STR("e"), parcel->bytes};
    if (!parcel->token) {
        struct redis_command command = {.argv = publish, .argc = 3, .key_at = 1};
        redis_post(b->client, &command, on_published, NULL);
        return ERR_OK;
    }
    struct sending *s = mem_new(struct sending);
    *s = (struct sending){
        .bus = b, .channel = channel, .token = parcel->token, .caller = pthread_self()};
    s->refused = &refused;
    struct redis_command command = {.argv = add, .argc = ARRAY_LEN(add), .key_at = 1};
    redis_post(b->client, &command, on_sent, s);
    return refused;
}

/* ---- life ---- */

static int make_event(void)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) {
        log_error(NULL, "bus: no descriptor is left");
        abort();
    }
    return fd;
}

/* The shared connection is tried at once, behind our back. */
static enum err redis_driver_open(struct bus_link *link, const struct bus_link_options *opt,
                                  struct bus_impl **out)
{
    struct strbuf problem = {0};
    struct redis_options redis = {.url = opt->url, .name = "bus", .timeout_ms = TIMEOUT_MS};
    struct redis *client;
    *out = NULL;
    enum err err = redis_open(&client, &redis, &problem);
    if (err)
        log_error(NULL, "bus: the address of Redis: %s", problem.p ? problem.p : err_text(err));
    strbuf_deinit(&problem);
    if (err)
        return err;
    struct bus_impl *b = mem_new(struct bus_impl);
    char chance[9];
    id_token(chance, sizeof(chance) - 1);
    b->link = link;
    b->client = client;
    b->tag_key = BUS_REDIS_TAG;
    b->owner_ms = opt->owner_ms;
    /* A process that starts again under its name is another owner. */
    snprintf(b->self, sizeof(b->self), "%s-%s", opt->process, chance);
    b->stop_fd = make_event();
    b->wake_fd = make_event();
    b->receipts = map64_create();
    list_init(&b->channels);
    list_init(&b->groups);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    *out = b;
    return ERR_OK;
}

static void redis_driver_start(struct bus_impl *b)
{
    b->is_started = true;
    thread_must_start(&b->hearing, "bus-hear", bus_redis_hear_main, b);
    thread_must_start(&b->serving, "bus-serve", bus_redis_serve_main, b);
    thread_must_start(&b->keeping, "bus-keep", bus_redis_keep_main, b);
}

/* What was handled shall not come again elsewhere. */
static void wait_confirmed(struct bus_impl *b)
{
    int64_t until_ms = clock_mono_ms() + CONFIRM_WAIT_MS;
    pthread_mutex_lock(&b->lock);
    while (b->confirming && clock_mono_ms() < until_ms)
        thread_wait(&b->changed, &b->lock, 100);
    pthread_mutex_unlock(&b->lock);
}

static void redis_driver_stop(struct bus_impl *b)
{
    uint64_t one = 1;
    if (!b->is_started)
        return;
    wait_confirmed(b);
    pthread_mutex_lock(&b->lock);
    b->is_stopping = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    (void)!write(b->stop_fd, &one, sizeof(one));
    pthread_join(b->hearing, NULL);
    pthread_join(b->serving, NULL);
    pthread_join(b->keeping, NULL);
    LIST_FOREACH(&b->groups, node)
    bus_redis_disown(b, LIST_ENTRY(node, struct redis_group, node));
}

static void redis_driver_close(struct bus_impl **bp)
{
    struct bus_impl *b = *bp;
    uint64_t number;
    void *receipt;
    size_t at = 0;
    *bp = NULL;
    redis_close(&b->client);
    while (map64_next(b->receipts, &at, &number, &receipt))
        free(receipt);
    map64_destroy(&b->receipts);
    LIST_FOREACH(&b->groups, node)
    {
        struct redis_group *g = LIST_ENTRY(node, struct redis_group, node);
        free(g->name);
        free(g);
    }
    LIST_FOREACH(&b->channels, node)
    {
        struct redis_channel *c = LIST_ENTRY(node, struct redis_channel, node);
        free(c->name);
        free(c);
    }
    close(b->stop_fd);
    close(b->wake_fd);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

const struct bus_driver bus_redis = {
    .name = "redis",
    .open = redis_driver_open,
    .start = redis_driver_start,
    .stop = redis_driver_stop,
    .close = redis_driver_close,
    .expect = redis_expect,
    .join = redis_join,
    .leave = redis_leave,
    .send = redis_send,
    .settle = bus_redis_settle,
};
