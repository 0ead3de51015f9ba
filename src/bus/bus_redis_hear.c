/*
 * bus_redis_hear: the thread that hears. It holds one connection that waits for entries of streams
 * and one that is subscribed, says when they are there and when they are lost, and hands over what
 * comes. A channel is read from where we are in it, so that after a lost connection what was added
 * meanwhile still comes; the gap that bus_link tells of then is for what was only published, and
 * for what was trimmed.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus/bus_redis_internal.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "redis/redis_link.h"

#define CONNECT_US 5000000ll
#define BLOCK_MS 2000           /* that the server may wait for entries */
#define ANSWER_US 4000000ll     /* then it must have said so */
#define PING_EVERY_US 5000000ll /* on the subscribed connection */
#define PONG_WITHIN_US 12000000ll
#define JOIN_WAIT_MS 1000
#define COUNT_MAX 256 /* entries of a stream at once */
#define CHANNELS_MAX 128

struct hearing {
    struct bus_impl *bus;
    struct redis_link *reader, *subscriber;
    struct arena *reader_arena, *subscriber_arena; /* of the answers that are coming in */
    bool is_reading;                               /* XREAD is on its way */
    int64_t read_until_us, pinged_us, heard_us;
    unsigned count; /* entries to ask for; fewer after an answer that was too big */
};

/* The thread's own, for joins from within bus_link_up. */
static _Thread_local struct hearing *here;

/* ---- wishes ---- */

static struct redis_wait for_us(const struct bus_impl *b, int64_t us)
{
    return (struct redis_wait){.until_us = clock_mono_us() + us, .stop_fd = b->stop_fd};
}

/* Where the stream ends now: what comes later is ours to hear. */
static enum err find_cursor(struct bus_impl *b, struct redis_channel *c)
{
    const struct redis_reply *reply;
    struct arena *arena = arena_create();
    struct stream_id last = {0};
    enum err err = BUS_REDIS_CALL(b, arena, &reply, STR("XREVRANGE"), str_from(c->key), STR("+"),
                                  STR("-"), STR("COUNT"), STR("1"));
    const struct redis_reply *entry = err ? NULL : redis_reply_item(reply, 0);
    if (entry)
        (void)stream_id_parse(redis_reply_text(redis_reply_item(entry, 0)), &last);
    arena_destroy(&arena);
    pthread_mutex_lock(&b->lock);
    /* A server that has lost its last entries may give their numbers again. */
    if (!err && (!c->has_cursor || stream_id_is_less(last, c->cursor)))
        c->cursor = last;
    c->has_cursor = c->has_cursor || !err;
    pthread_mutex_unlock(&b->lock);
    return err;
}

/* The answer on the subscribed connection comes with the others. */
static enum err tell_subscriber(struct hearing *h, struct redis_channel *c)
{
    struct bus_impl *b = h->bus;
    struct redis_wait wait = for_us(b, CONNECT_US);
    pthread_mutex_lock(&b->lock);
    bool is_heard = c->is_heard, is_known = c->is_subscribed;
    c->is_subscribed = is_heard;
    pthread_mutex_unlock(&b->lock);
    if (is_heard == is_known)
        return ERR_OK;
    struct str argv[] = {is_heard ? STR("SUBSCRIBE") : STR("UNSUBSCRIBE"), str_from(c->key)};
    return redis_link_send(h->subscriber, argv, ARRAY_LEN(argv), &wait);
}

/* The outstanding XREAD does not know of a new channel. */
static void unblock(struct bus_impl *b)
{
    char number[24];
    const struct redis_reply *reply;
    pthread_mutex_lock(&b->lock);
    int n = snprintf(number, sizeof(number), "%" PRId64, b->reader_id);
    bool is_there = b->reader_id != 0;
    pthread_mutex_unlock(&b->lock);
    struct arena *arena = arena_create();
    if (is_there) /* if that fails, it is two seconds later */
        (void)!BUS_REDIS_CALL(b, arena, &reply, STR("CLIENT"), STR("UNBLOCK"),
                              (struct str){number, (size_t)n});
    arena_destroy(&arena);
}

static bool is_told(const struct redis_channel *c)
{
    return c->is_confirmed == c->is_heard;
}

void bus_redis_heard_changed(struct bus_impl *b, struct redis_channel *c)
{
    uint64_t one = 1;
    enum err err = find_cursor(b, c);
    if (here && here->bus == b) {
        if (!err)
            err = tell_subscriber(here, c);
        if (err)
            here->heard_us = 0; /* over: it will be tried with the next connection */
        return;
    }
    (void)!write(b->wake_fd, &one, sizeof(one));
    int64_t until_ms = clock_mono_ms() + JOIN_WAIT_MS;
    pthread_mutex_lock(&b->lock);
    while (b->is_linked && !b->is_stopping && !is_told(c) && clock_mono_ms() < until_ms)
        thread_wait(&b->changed, &b->lock, 50);
    pthread_mutex_unlock(&b->lock);
}

static enum err follow_wishes(struct hearing *h)
{
    struct bus_impl *b = h->bus;
    uint64_t ignored;
    (void)!read(b->wake_fd, &ignored, sizeof(ignored));
    pthread_mutex_lock(&b->lock);
    struct redis_channel *changed[CHANNELS_MAX];
    size_t count = 0;
    LIST_FOREACH(&b->channels, node)
    {
        struct redis_channel *c = LIST_ENTRY(node, struct redis_channel, node);
        if (c->is_heard != c->is_subscribed && count < CHANNELS_MAX)
            changed[count++] = c;
    }
    pthread_mutex_unlock(&b->lock);
    enum err err = ERR_OK;
    for (size_t i = 0; i < count && !err; i++)
        err = tell_subscriber(h, changed[i]);
    if (h->is_reading)
        unblock(b);
    return err;
}

/* ---- what is published ---- */

static void note_confirmed(struct bus_impl *b, struct str key, bool is_subscribed)
{
    pthread_mutex_lock(&b->lock);
    struct redis_channel *c = bus_redis_channel_of_key(b, key);
    if (c)
        c->is_confirmed = is_subscribed;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

static struct redis_channel *heard_channel(struct bus_impl *b, struct str key)
{
    pthread_mutex_lock(&b->lock);
    struct redis_channel *c = bus_redis_channel_of_key(b, key);
    if (c && !c->is_heard)
        c = NULL;
    pthread_mutex_unlock(&b->lock);
    return c;
}

/* What is no parcel is nobody's; a group that meets it makes it a dead letter. */
static void hand_over(struct bus_impl *b, struct redis_channel *c, struct str parcel)
{
    enum err err = bus_link_receive(b->link, c->name, NULL, parcel, 0);
    if (err == ERR_INVALID_ARGUMENT)
        log_debug(NULL, "bus: what came on %s is no parcel", c->name);
}

static void on_message(struct hearing *h, const struct redis_reply *message)
{
    struct str kind = redis_reply_text(redis_reply_item(message, 0));
    struct str key = redis_reply_text(redis_reply_item(message, 1));
    h->heard_us = clock_mono_us();
    if (str_eq(kind, STR("subscribe")) || str_eq(kind, STR("unsubscribe"))) {
        note_confirmed(h->bus, key, kind.p[0] == 's');
    } else if (str_eq(kind, STR("message"))) {
        struct redis_channel *c = heard_channel(h->bus, key);
        if (c)
            hand_over(h->bus, c, redis_reply_text(redis_reply_item(message, 2)));
    }
}

static enum err read_messages(struct hearing *h)
{
    struct redis_wait now = {.until_us = 0, .stop_fd = -1};
    const struct redis_reply *message;
    for (;;) {
        enum err err = redis_link_receive(h->subscriber, h->subscriber_arena, &now, &message);
        if (err)
            return err == ERR_DEADLINE_EXCEEDED ? ERR_OK : err;
        on_message(h, message);
        arena_destroy(&h->subscriber_arena);
        h->subscriber_arena = arena_create();
    }
}

static enum err ping(struct hearing *h)
{
    struct redis_wait wait = for_us(h->bus, CONNECT_US);
    struct str argv = STR("PING");
    h->pinged_us = clock_mono_us();
    return redis_link_send(h->subscriber, &argv, 1, &wait);
}

/* ---- entries of streams ---- */

static enum err ask_for_entries(struct hearing *h)
{
    struct bus_impl *b = h->bus;
    static const struct str none = STR("0-0");
    struct str argv[6 + 2 * CHANNELS_MAX];
    char ids[CHANNELS_MAX][STREAM_ID_SIZE], count[16], block[16];
    size_t n = 0;
    int count_n = snprintf(count, sizeof(count), "%u", h->count);
    int block_n = snprintf(block, sizeof(block), "%d", BLOCK_MS);
    struct str head[] = {STR("XREAD"),
                         STR("COUNT"),
                         {count, (size_t)count_n},
                         STR("BLOCK"),
                         {block, (size_t)block_n},
                         STR("STREAMS")};
    memcpy(argv, head, sizeof(head));
    struct redis_channel *list[CHANNELS_MAX];
    pthread_mutex_lock(&b->lock);
    LIST_FOREACH(&b->channels, node)
    {
        struct redis_channel *c = LIST_ENTRY(node, struct redis_channel, node);
        if ((c->is_heard || c->is_watched) && c->has_cursor && n < CHANNELS_MAX)
            list[n++] = c;
    }
    bool is_too_much = n == CHANNELS_MAX;
    for (size_t i = 0; i < n; i++) {
        argv[ARRAY_LEN(head) + i] = str_from(list[i]->key);
        argv[ARRAY_LEN(head) + n + i] = stream_id_text(list[i]->cursor, ids[i]);
    }
    pthread_mutex_unlock(&b->lock);
    if (is_too_much)
        log_error(NULL, "bus: more than %d channels: some are not heard", CHANNELS_MAX - 1);
    if (n == 0) { /* a stream that nobody writes: the server's silence is noticed all the same */
        argv[ARRAY_LEN(head)] = STR(BUS_REDIS_TAG "nothing");
        argv[ARRAY_LEN(head) + 1] = none;
        n = 1;
    }
    struct redis_wait wait = for_us(b, CONNECT_US);
    h->is_reading = true;
    h->read_until_us = clock_mono_us() + ANSWER_US;
    return redis_link_send(h->reader, argv, ARRAY_LEN(head) + 2 * n, &wait);
}

static void on_entries(struct hearing *h, const struct redis_reply *stream)
{
    struct bus_impl *b = h->bus;
    pthread_mutex_lock(&b->lock);
    struct redis_channel *c =
        bus_redis_channel_of_key(b, redis_reply_text(redis_reply_item(stream, 0)));
    bool is_heard = c && c->is_heard, is_watched = c && c->is_watched;
    pthread_mutex_unlock(&b->lock);
    if (!c)
        return;
    if (is_watched)
        bus_redis_wake_serving(b);
    const struct redis_reply *entry, *entries = redis_reply_item(stream, 1);
    for (size_t i = 0; (entry = redis_reply_item(entries, i)); i++) {
        struct stream_id id;
        struct str parcel;
        if (!bus_redis_entry(entry, &id, &parcel))
            continue;
        if (is_heard)
            hand_over(b, c, parcel);
        pthread_mutex_lock(&b->lock);
        c->cursor = id;
        pthread_mutex_unlock(&b->lock);
    }
}

static enum err read_entries(struct hearing *h)
{
    struct redis_wait now = {.until_us = 0, .stop_fd = -1};
    const struct redis_reply *reply, *stream;
    enum err err = redis_link_receive(h->reader, h->reader_arena, &now, &reply);
    if (err)
        return err == ERR_DEADLINE_EXCEEDED ? ERR_OK : err;
    h->is_reading = false;
    h->count = MIN(h->count * 2, COUNT_MAX);
    err = redis_reply_err(reply);
    for (size_t i = 0; !err && (stream = redis_reply_item(reply, i)); i++)
        on_entries(h, stream);
    if (err)
        log_warn(NULL, "bus: Redis says: %.*s", STR_FMT(reply->text));
    arena_destroy(&h->reader_arena);
    h->reader_arena = arena_create();
    return err;
}

/* ---- while it lasts ---- */

/* Handlers may have held us up, while the answer was there. */
static bool is_silent(const struct redis_link *link)
{
    struct pollfd fd = {.fd = redis_link_fd(link), .events = POLLIN};
    return poll(&fd, 1, 0) == 0;
}

static const char *check_time(struct hearing *h)
{
    int64_t now_us = clock_mono_us();
    if (h->is_reading && now_us > h->read_until_us && is_silent(h->reader))
        return "no answer";
    if (now_us - h->heard_us > PONG_WITHIN_US && is_silent(h->subscriber))
        return "no answer to the subscriber";
    if (!redis_is_up(h->bus->client))
        return "the shared connection is lost";
    return NULL;
}

/* Why it is over. */
static const char *hear(struct hearing *h)
{
    struct bus_impl *b = h->bus;
    const char *why = NULL;
    while (!why) {
        struct pollfd fds[] = {{.fd = redis_link_fd(h->reader), .events = POLLIN},
                               {.fd = redis_link_fd(h->subscriber), .events = POLLIN},
                               {.fd = b->wake_fd, .events = POLLIN},
                               {.fd = b->stop_fd, .events = POLLIN}};
        enum err err = h->is_reading ? ERR_OK : ask_for_entries(h);
        if (!err)
            poll(fds, ARRAY_LEN(fds), 250);
        if (fds[3].revents)
            return "stopping";
        if (!err && fds[2].revents)
            err = follow_wishes(h);
        if (!err && fds[1].revents)
            err = read_messages(h);
        if (!err && fds[0].revents)
            err = read_entries(h);
        if (!err && clock_mono_us() - h->pinged_us > PING_EVERY_US)
            err = ping(h);
        why = err ? "closed" : check_time(h);
    }
    return why;
}

/* ---- connecting ---- */

/* Facts that a server forgets are no facts; said once, for it is the operator's choice. */
static void check_durability(struct bus_impl *b)
{
    static const char *const bad[][3] = {
        {"appendonly", "no", "what it holds is lost when it ends"},
        {"appendfsync", "no", "what it holds is lost when its machine fails"},
        {"appendfsync", "everysec", "a second of events is lost when its machine fails"},
    };
    const struct redis_reply *reply;
    struct arena *arena = arena_create();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        enum err err =
            BUS_REDIS_CALL(b, arena, &reply, STR("CONFIG"), STR("GET"), str_from(bad[i][0]));
        if (err || !str_eq(redis_reply_text(redis_reply_item(reply, 1)), str_from(bad[i][1])))
            continue; /* many who run it for others do not say */
        log_warn(NULL, "bus: Redis has %s %s: %s", bad[i][0], bad[i][1], bad[i][2]);
        break;
    }
    arena_destroy(&arena);
}

static enum err ask_reader_id(struct hearing *h)
{
    struct redis_wait wait = for_us(h->bus, CONNECT_US);
    struct str argv[] = {STR("CLIENT"), STR("ID")};
    const struct redis_reply *reply;
    struct arena *arena = arena_create();
    enum err err = redis_link_call(h->reader, argv, ARRAY_LEN(argv), arena, &wait, &reply);
    pthread_mutex_lock(&h->bus->lock);
    h->bus->reader_id = err ? 0 : reply->number;
    pthread_mutex_unlock(&h->bus->lock);
    arena_destroy(&arena);
    return err;
}

static enum err connect_both(struct hearing *h, struct strbuf *problem)
{
    struct bus_impl *b = h->bus;
    const struct redis_address *address = redis_address_of(b->client);
    struct redis_wait wait = for_us(b, CONNECT_US);
    enum err err = redis_link_open(&h->reader, address, b->tag_key, &wait, problem);
    if (!err)
        err = redis_link_open(&h->subscriber, address, b->tag_key, &wait, problem);
    if (!err)
        err = ask_reader_id(h);
    if (!err && !redis_is_up(b->client)) {
        strbuf_adds(problem, "the shared connection is not there yet");
        err = ERR_UNAVAILABLE;
    }
    h->is_reading = false;
    h->heard_us = h->pinged_us = clock_mono_us();
    return err;
}

static void set_linked(struct bus_impl *b, bool is_linked)
{
    pthread_mutex_lock(&b->lock);
    b->is_linked = is_linked;
    if (!is_linked)
        b->reader_id = 0;
    LIST_FOREACH(&b->channels, node)
    {
        struct redis_channel *c = LIST_ENTRY(node, struct redis_channel, node);
        c->is_subscribed = c->is_confirmed = false;
    }
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

static void disconnect(struct hearing *h)
{
    if (h->is_reading) /* perhaps it was too big */
        h->count = MAX(h->count / 2, 1u);
    redis_link_close(&h->reader);
    redis_link_close(&h->subscriber);
    arena_destroy(&h->reader_arena);
    arena_destroy(&h->subscriber_arena);
    h->reader_arena = arena_create();
    h->subscriber_arena = arena_create();
}

static bool is_stopping_after(struct bus_impl *b, int64_t wait_ms)
{
    struct pollfd stop = {.fd = b->stop_fd, .events = POLLIN};
    return poll(&stop, 1, (int)wait_ms) != 0;
}

/* One connection from beginning to end. */
static void hear_once(struct hearing *h, bool *is_checked)
{
    struct bus_impl *b = h->bus;
    struct strbuf problem = {0};
    const char *why = NULL;
    if (connect_both(h, &problem) == ERR_OK) {
        if (!*is_checked)
            check_durability(b);
        *is_checked = true;
        set_linked(b, true);
        bus_link_up(b->link);
        bus_redis_wake_serving(b);
        why = hear(h);
        set_linked(b, false);
    }
    disconnect(h);
    if (!is_stopping_after(b, 0))
        bus_link_down(b->link, why ? why : problem.p ? problem.p : "no connection");
    strbuf_deinit(&problem);
}

void *bus_redis_hear_main(void *arg)
{
    struct hearing h = {.bus = arg, .count = COUNT_MAX};
    bool is_checked = false;
    here = &h;
    h.reader_arena = arena_create();
    h.subscriber_arena = arena_create();
    do
        hear_once(&h, &is_checked);
    while (!is_stopping_after(h.bus, bus_link_backoff_ms(h.bus->link)));
    arena_destroy(&h.reader_arena);
    arena_destroy(&h.subscriber_arena);
    return NULL;
}
