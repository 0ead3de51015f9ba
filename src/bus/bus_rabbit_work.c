/* bus_rabbit_work: what is declared, sent, confirmed, taken and settled on a connection. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "bus/bus_internal.h"
#include "bus/bus_rabbit_internal.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/map.h"
#include "core/mem.h"

enum { CHANNEL_OUT = 1, CHANNEL_IN, CHANNEL_ASK };

#define UNCONFIRMED_MAX_BYTES (512 << 10)
#define PREFETCH 256
#define DELIVERIES_MAX 20 /* of one parcel; then it is a dead letter */
#define OWN_QUEUE_MAX 100000
#define DEAD "dead"
#define LAG_EVERY_MS 5000

static amqp_bytes_t bytes_of(const char *text)
{
    return amqp_cstring_bytes(text);
}

static amqp_table_entry_t entry_text(const char *key, const char *value)
{
    amqp_table_entry_t e = {.key = bytes_of(key)};
    e.value.kind = AMQP_FIELD_KIND_UTF8;
    e.value.value.bytes = bytes_of(value);
    return e;
}

static amqp_table_entry_t entry_int(const char *key, int32_t value)
{
    amqp_table_entry_t e = {.key = bytes_of(key)};
    e.value.kind = AMQP_FIELD_KIND_I32;
    e.value.value.i32 = value;
    return e;
}

static amqp_table_entry_t entry_true(const char *key)
{
    amqp_table_entry_t e = {.key = bytes_of(key)};
    e.value.kind = AMQP_FIELD_KIND_BOOLEAN;
    e.value.value.boolean = 1;
    return e;
}

/* ---- declaring ---- */

static bool declare_exchange(struct bus_impl *b, const char *name)
{
    if (map_get(b->exchanges, str_from(name)))
        return true;
    amqp_exchange_declare(b->conn, CHANNEL_ASK, bytes_of(name), bytes_of("fanout"), 0, 1, 0, 0,
                          amqp_empty_table);
    if (!rabbit_check(b, name))
        return false;
    map_set(b->exchanges, str_from(name), b);
    return true;
}

static bool bind(struct bus_impl *b, const char *queue, const char *exchange)
{
    amqp_queue_bind(b->conn, CHANNEL_ASK, bytes_of(queue), bytes_of(exchange), bytes_of(""),
                    amqp_empty_table);
    return rabbit_check(b, queue);
}

static bool declare_kept_queue(struct bus_impl *b, const char *name, amqp_table_t arguments)
{
    amqp_queue_declare(b->conn, CHANNEL_ASK, bytes_of(name), 0, 1, 0, 0, arguments);
    return rabbit_check(b, name);
}

static bool declare_dead(struct bus_impl *b)
{
    char dead[BUS_TOPIC_MAX];
    amqp_table_entry_t entries[] = {entry_text("x-queue-type", "quorum")};
    return bus_link_topic(b->link, DEAD, NULL, dead) && declare_exchange(b, dead) &&
           declare_kept_queue(b, dead, (amqp_table_t){ARRAY_LEN(entries), entries}) &&
           bind(b, dead, dead);
}

static bool declare_group(struct bus_impl *b, const char *channel, const char *group)
{
    char exchange[BUS_TOPIC_MAX], queue[BUS_TOPIC_MAX], dead[BUS_TOPIC_MAX];
    if (!bus_link_topic(b->link, channel, NULL, exchange) ||
        !bus_link_topic(b->link, channel, group, queue) ||
        !bus_link_topic(b->link, DEAD, NULL, dead))
        return true;
    amqp_table_entry_t entries[] = {
        entry_text("x-queue-type", "quorum"),
        entry_true("x-single-active-consumer"),
        entry_int("x-delivery-limit", DELIVERIES_MAX),
        entry_text("x-dead-letter-exchange", dead),
    };
    return declare_exchange(b, exchange) &&
           declare_kept_queue(b, queue, (amqp_table_t){ARRAY_LEN(entries), entries}) &&
           bind(b, queue, exchange);
}

static bool consume(struct bus_impl *b, const char *queue, const char *tag)
{
    amqp_basic_consume(b->conn, CHANNEL_IN, bytes_of(queue), bytes_of(tag), 0, 0, 0,
                       amqp_empty_table);
    return rabbit_check(b, queue);
}

bool rabbit_name_queue(const struct bus_impl *b, const char *process, char out[BUS_TOPIC_MAX])
{
    return bus_link_topic(b->link, "process", process, out);
}

/* The queue of this process: goes with the connection. */
static bool declare_own_queue(struct bus_impl *b)
{
    amqp_table_entry_t entries[] = {entry_int("x-max-length", OWN_QUEUE_MAX)};
    if (!rabbit_name_queue(b, b->process, b->own_queue))
        return rabbit_fail(b, "the name of the queue", AMQP_STATUS_BAD_URL);
    amqp_queue_declare(b->conn, CHANNEL_ASK, bytes_of(b->own_queue), 0, 0, 1, 1,
                       (amqp_table_t){ARRAY_LEN(entries), entries});
    return rabbit_check(b, b->own_queue) && consume(b, b->own_queue, b->own_queue);
}

bool rabbit_declare_base(struct bus_impl *b)
{
    for (amqp_channel_t c = CHANNEL_OUT; c <= CHANNEL_ASK; c++) {
        amqp_channel_open(b->conn, c);
        if (!rabbit_check(b, "a channel"))
            return false;
    }
    amqp_confirm_select(b->conn, CHANNEL_OUT);
    if (!rabbit_check(b, "confirms"))
        return false;
    amqp_basic_qos(b->conn, CHANNEL_IN, 0, PREFETCH, 0);
    return rabbit_check(b, "prefetch") && declare_dead(b);
}

/* ---- hearing ---- */

static struct rabbit_consumer *find_consumer(struct bus_impl *b, struct str tag)
{
    LIST_FOREACH(&b->consumers, node)
    {
        struct rabbit_consumer *c = LIST_ENTRY(node, struct rabbit_consumer, node);
        if (str_eq(str_from(c->tag), tag))
            return c;
    }
    return NULL;
}

static bool join_group(struct bus_impl *b, const char *channel, const char *group)
{
    char queue[BUS_TOPIC_MAX];
    if (!bus_link_topic(b->link, channel, group, queue) || find_consumer(b, str_from(queue)))
        return true;
    struct rabbit_consumer *c = mem_new(struct rabbit_consumer);
    c->channel = mem_strdup(channel);
    c->group = mem_strdup(group);
    snprintf(c->tag, sizeof(c->tag), "%s", queue);
    list_add_tail(&b->consumers, &c->node);
    return declare_group(b, channel, group) && consume(b, queue, c->tag);
}

static bool leave_group(struct bus_impl *b, const char *channel, const char *group)
{
    char queue[BUS_TOPIC_MAX];
    struct rabbit_consumer *c =
        bus_link_topic(b->link, channel, group, queue) ? find_consumer(b, str_from(queue)) : NULL;
    if (!c)
        return true;
    amqp_basic_cancel(b->conn, CHANNEL_IN, bytes_of(c->tag));
    list_remove(&c->node);
    free(c->channel);
    free(c->group);
    free(c);
    return rabbit_check(b, "leaving a queue");
}

static bool bind_own(struct bus_impl *b, const char *channel, const char *suffix, bool is_leaving)
{
    char exchange[BUS_TOPIC_MAX];
    if (!bus_link_topic(b->link, channel, suffix, exchange))
        return true;
    if (!b->own_queue[0] && !declare_own_queue(b))
        return false;
    if (bus_channel_process(channel))
        return true;
    if (!declare_exchange(b, exchange))
        return false;
    if (!is_leaving)
        return bind(b, b->own_queue, exchange);
    amqp_queue_unbind(b->conn, CHANNEL_ASK, bytes_of(b->own_queue), bytes_of(exchange),
                      bytes_of(""), amqp_empty_table);
    return rabbit_check(b, "leaving a channel");
}

bool rabbit_do(struct bus_impl *b, const struct rabbit_wish *w)
{
    bool is_leaving = w->verb == RABBIT_LEAVE;
    if (w->verb == RABBIT_EXPECT)
        return declare_group(b, w->channel, w->group);
    if (!w->group)
        return bind_own(b, w->channel, NULL, is_leaving) &&
               bind_own(b, w->channel, "now", is_leaving);
    return is_leaving ? leave_group(b, w->channel, w->group) : join_group(b, w->channel, w->group);
}

/* ---- sending ---- */

bool rabbit_may_publish(const struct bus_impl *b)
{
    return b->published - b->confirmed < RABBIT_UNCONFIRMED_MAX &&
           b->unconfirmed_bytes < UNCONFIRMED_MAX_BYTES;
}

bool rabbit_publish(struct bus_impl *b, const struct rabbit_letter *l)
{
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG |
                  (l->id[0] ? AMQP_BASIC_MESSAGE_ID_FLAG : 0),
        .delivery_mode = l->token ? 2 : 1,
        .content_type = bytes_of("application/x-protobuf"),
        .message_id = bytes_of(l->id),
    };
    if (!l->is_direct && !declare_exchange(b, l->exchange))
        return false;
    int status = amqp_basic_publish(b->conn, CHANNEL_OUT, bytes_of(l->is_direct ? "" : l->exchange),
                                    bytes_of(l->is_direct ? l->exchange : ""), 0, 0, &properties,
                                    (amqp_bytes_t){l->n, (void *)(uintptr_t)l->bytes});
    if (status != AMQP_STATUS_OK)
        return rabbit_fail(b, "publishing", status);
    b->published++;
    b->unconfirmed[b->published % RABBIT_UNCONFIRMED_MAX] =
        (struct rabbit_unconfirmed){.token = l->token, .n = l->n};
    b->unconfirmed_bytes += l->n;
    return true;
}

static void confirm_one(struct bus_impl *b, uint64_t number, bool is_taken)
{
    struct rabbit_unconfirmed *u = &b->unconfirmed[number % RABBIT_UNCONFIRMED_MAX];
    if (u->is_over)
        return;
    u->is_over = true;
    b->unconfirmed_bytes -= u->n;
    if (u->token)
        bus_link_sent(b->link, u->token, is_taken ? ERR_OK : ERR_UNAVAILABLE);
}

static void confirm(struct bus_impl *b, uint64_t number, bool is_multiple, bool is_taken)
{
    if (number > b->published || number <= b->confirmed)
        return;
    for (uint64_t i = is_multiple ? b->confirmed + 1 : number; i <= number; i++)
        confirm_one(b, i, is_taken);
    while (b->confirmed < b->published &&
           b->unconfirmed[(b->confirmed + 1) % RABBIT_UNCONFIRMED_MAX].is_over)
        b->confirmed++;
}

/* ---- taking ---- */

/* 16 bits of generation, 48 of the broker's number: an old one does not settle a new one. */
static uint64_t receipt_of(const struct bus_impl *b, uint64_t delivery_tag)
{
    return b->generation << 48 | (delivery_tag & 0xffffffffffff);
}

bool rabbit_settle(struct bus_impl *b, uint64_t receipt)
{
    if (receipt >> 48 != b->generation)
        return true;
    int status = amqp_basic_ack(b->conn, CHANNEL_IN, receipt & 0xffffffffffff, 0);
    return status == AMQP_STATUS_OK || rabbit_fail(b, "acknowledging", status);
}

/* "meeting.user_events.now" -> "user_events"; false: not of ours. */
static bool channel_of(const struct bus_impl *b, amqp_bytes_t exchange, char channel[BUS_TOPIC_MAX])
{
    char prefix[BUS_TOPIC_MAX];
    struct str name = {exchange.bytes, exchange.len};
    if (!name.n) { /* straight to our queue */
        snprintf(channel, BUS_TOPIC_MAX, BUS_DOWNSTREAM "%s", b->process);
        return true;
    }
    if (!bus_link_topic(b->link, "", NULL, prefix) || !str_starts(name, str_from(prefix)))
        return false;
    name = str_sub(name, strlen(prefix), name.n);
    if (name.n > 4 && memcmp(name.p + name.n - 4, ".now", 4) == 0)
        name.n -= 4;
    snprintf(channel, BUS_TOPIC_MAX, "%.*s", STR_FMT(name));
    return true;
}

static bool take(struct bus_impl *b, const amqp_envelope_t *e)
{
    char channel[BUS_TOPIC_MAX];
    const struct rabbit_consumer *c =
        find_consumer(b, (struct str){e->consumer_tag.bytes, e->consumer_tag.len});
    struct str bytes = {e->message.body.bytes, e->message.body.len};
    if (c)
        snprintf(channel, sizeof(channel), "%s", c->channel);
    else if (!channel_of(b, e->exchange, channel))
        channel[0] = '\0';
    enum err err = channel[0] ? bus_link_receive(b->link, channel, c ? c->group : NULL, bytes,
                                                 receipt_of(b, e->delivery_tag))
                              : ERR_INVALID_ARGUMENT;
    if (err != ERR_INVALID_ARGUMENT)
        return true;
    bus_link_count_dead(b->link, channel, "no envelope");
    /* Of the own queue it is a copy; the queue has no dead letters. */
    int status = amqp_basic_reject(b->conn, CHANNEL_IN, e->delivery_tag, 0);
    return status == AMQP_STATUS_OK || rabbit_fail(b, "rejecting", status);
}

static bool on_method(struct bus_impl *b, const amqp_frame_t *f)
{
    if (f->frame_type != AMQP_FRAME_METHOD)
        return true;
    const amqp_method_t *m = &f->payload.method;
    const amqp_basic_ack_t *ack = m->decoded;
    const amqp_basic_nack_t *nack = m->decoded;
    switch (m->id) {
    case AMQP_BASIC_ACK_METHOD:
        confirm(b, ack->delivery_tag, ack->multiple, true);
        return true;
    case AMQP_BASIC_NACK_METHOD:
        confirm(b, nack->delivery_tag, nack->multiple, false);
        return true;
    case AMQP_CHANNEL_CLOSE_METHOD:
    case AMQP_CONNECTION_CLOSE_METHOD:
        return rabbit_fail(b, "the broker", AMQP_STATUS_CONNECTION_CLOSED);
    case AMQP_BASIC_CANCEL_METHOD: /* a queue was deleted under us: declare all anew */
        return rabbit_fail(b, "a queue is gone", AMQP_STATUS_UNEXPECTED_STATE);
    default:
        return true;
    }
}

/* One parcel or frame; *is_more: there may be others. */
static bool receive_one(struct bus_impl *b, bool *is_more)
{
    struct timeval now = {0};
    amqp_envelope_t e;
    amqp_frame_t frame;
    amqp_rpc_reply_t reply = amqp_consume_message(b->conn, &e, &now, 0);
    *is_more = true;
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
        bool is_up = take(b, &e);
        amqp_destroy_envelope(&e);
        return is_up;
    }
    int status = reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION ? reply.library_error
                                                                     : AMQP_STATUS_UNEXPECTED_STATE;
    if (status == AMQP_STATUS_TIMEOUT) {
        *is_more = false;
        return true;
    }
    if (status != AMQP_STATUS_UNEXPECTED_STATE)
        return rabbit_fail(b, "reading", status);
    status = amqp_simple_wait_frame_noblock(b->conn, &frame, &now);
    *is_more = status == AMQP_STATUS_OK;
    if (status != AMQP_STATUS_OK && status != AMQP_STATUS_TIMEOUT)
        return rabbit_fail(b, "reading", status);
    return status != AMQP_STATUS_OK || on_method(b, &frame);
}

#define AT_ONCE 256 /* then what is to be sent has its turn */

bool rabbit_receive(struct bus_impl *b)
{
    bool is_more = true;
    for (int i = 0; is_more && i < AT_ONCE; i++)
        if (!receive_one(b, &is_more))
            return false;
    b->has_more = is_more;
    return true;
}

bool rabbit_measure(struct bus_impl *b)
{
    if (clock_mono_ms() < b->lag_at_ms)
        return true;
    b->lag_at_ms = clock_mono_ms() + LAG_EVERY_MS;
    LIST_FOREACH(&b->consumers, node)
    {
        const struct rabbit_consumer *c = LIST_ENTRY(node, struct rabbit_consumer, node);
        amqp_queue_declare_ok_t *ok = amqp_queue_declare(b->conn, CHANNEL_ASK, bytes_of(c->tag), 1,
                                                         1, 0, 0, amqp_empty_table);
        if (!rabbit_check(b, c->tag))
            return false;
        bus_link_set_lag(b->link, c->channel, c->group, ok->message_count);
    }
    return true;
}
