/*
 * h2_channel: connections of a client. The channel has one link at a time for new calls; links that
 * a GOAWAY retired finish what they carry and go. States move in one place each: connect, settled,
 * lost.
 */
#include "grpc/h2_channel_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/id.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metric.h"

static struct metric connects =
    METRIC_COUNTER("parlance_grpc_connects_total", "Connections to other instances.", "result");

static void count(const char *result)
{
    metric_cell_add(metric_cell(&connects, result, NULL, NULL), 1);
}

static struct h2_call *first_waiting(struct h2_channel *channel)
{
    return LIST_ENTRY(channel->waiting.next, struct h2_call, half.node);
}

/* ---- failing ---- */

static void on_pause_over(void *arg)
{
    struct h2_channel *channel = arg;
    channel->state = H2_CHANNEL_IDLE;
    if (!list_is_empty(&channel->waiting))
        h2_channel_connect(channel);
}

static void fail_impatient(struct h2_channel *channel)
{
    LIST_FOREACH(&channel->waiting, node)
    {
        struct h2_call *call = LIST_ENTRY(node, struct h2_call, half.node);
        if (!call->is_patient)
            h2_call_finish(call, &(struct h2_result){.err = ERR_UNAVAILABLE,
                                                     .message = channel->why,
                                                     .is_unprocessed = true});
    }
}

/* The pause doubles; up to a fifth of it is chance, so that many clients do not come at once. */
static void connect_failed(struct h2_channel *channel, const char *why)
{
    const struct h2_channel_options *opt = &channel->opt;
    int64_t backoff_ms = channel->backoff_ms ? channel->backoff_ms * 2 : opt->backoff_min_ms;
    channel->backoff_ms = MIN(backoff_ms, opt->backoff_max_ms);
    int64_t fifth_ms = channel->backoff_ms / 5;
    int64_t pause_ms =
        channel->backoff_ms - fifth_ms + (fifth_ms ? id_random_u32() % (2 * fifth_ms) : 0);
    snprintf(channel->why, sizeof(channel->why), "cannot reach %.80s: %.100s", channel->authority,
             why);
    count("failed");
    channel->state = H2_CHANNEL_FAILING;
    loop_timer_start(channel->io->loop, &channel->pause, pause_ms, on_pause_over, channel);
    fail_impatient(channel);
}

/* ---- a link's life ---- */

static void link_settled(struct h2_conn *conn)
{
    struct h2_link *link = (struct h2_link *)conn;
    struct h2_channel *channel = link->channel;
    if (!channel || channel->link != link)
        return;
    count("ok");
    channel->state = H2_CHANNEL_READY;
    channel->backoff_ms = 0;
    while (channel->link == link && !list_is_empty(&channel->waiting)) {
        struct h2_call *call = first_waiting(channel);
        list_remove(&call->half.node);
        h2_call_submit(call, link);
    }
}

void h2_channel_retire(struct h2_channel *channel, struct h2_link *link)
{
    if (channel->link != link)
        return;
    channel->link = NULL;
    channel->state = H2_CHANNEL_IDLE;
    if (!list_is_empty(&channel->waiting))
        h2_channel_connect(channel);
}

static void link_goaway(struct h2_conn *conn, int32_t last_id, uint32_t code)
{
    struct h2_link *link = (struct h2_link *)conn;
    if (link->channel)
        h2_channel_retire(link->channel, link);
    /* Streams above last_id are ended by nghttp2 as refused. */
    if (conn->half_count == 0)
        h2_conn_finish(conn);
}

static bool link_reset(struct h2_conn *conn)
{
    return true; /* a server may reset what it likes */
}

/* What the channel makes of it comes first: ends of calls may start new ones. */
static void link_lost(struct h2_channel *channel, struct h2_link *link)
{
    list_remove(&link->node);
    if (channel->link != link)
        return;
    channel->link = NULL;
    channel->state = H2_CHANNEL_IDLE;
    if (!link->conn.is_settled)
        connect_failed(channel, "no TLS or no gRPC with it");
}

static void link_closed(struct h2_conn *conn)
{
    struct h2_link *link = (struct h2_link *)conn;
    if (link->channel)
        link_lost(link->channel, link);
    while (!list_is_empty(&conn->halves)) {
        struct h2_call *call = LIST_ENTRY(conn->halves.next, struct h2_call, half.node);
        h2_call_finish(call, &(struct h2_result){.err = ERR_UNAVAILABLE,
                                                 .message = "the connection was lost",
                                                 .is_unprocessed = !call->is_sent});
    }
    h2_conn_deinit(conn);
    free(link);
}

static const struct h2_role role = {
    .on_header = h2_call_on_header,
    .on_headers = h2_call_on_headers,
    .on_message = h2_call_on_message,
    .on_broken = h2_call_on_broken,
    .on_end = h2_call_on_end,
    .on_sent = h2_call_on_sent,
    .on_close = h2_call_on_close,
    .on_goaway = link_goaway,
    .on_reset = link_reset,
    .on_settled = link_settled,
    .on_closed = link_closed,
};

/* ---- connecting ---- */

static void on_dialled(void *arg, int fd, enum err err, const char *why)
{
    struct h2_channel *channel = arg;
    SSL *ssl = NULL;
    channel->dial = NULL;
    if (fd >= 0 && channel->opt.tls && !(ssl = net_tls_connect(channel->opt.tls, channel->host))) {
        close(fd);
        fd = -1;
        why = "no TLS for this name";
    }
    if (fd < 0) {
        connect_failed(channel, why);
        return;
    }
    struct h2_link *link = mem_new(struct h2_link);
    if (h2_conn_init(&link->conn, channel->io, fd, ssl,
                     &(struct h2_conn_options){
                         .role = &role,
                         .keepalive_ms = channel->opt.keepalive_ms,
                         .ping_timeout_ms = channel->opt.ping_timeout_ms,
                         .handshake_timeout_ms = channel->opt.connect_timeout_ms,
                     })) {
        free(link);
        connect_failed(channel, "no place for a connection");
        return;
    }
    link->channel = channel;
    channel->link = link;
    list_add_tail(&channel->links, &link->node);
}

void h2_channel_connect(struct h2_channel *channel)
{
    channel->state = H2_CHANNEL_CONNECTING;
    channel->dial = h2_dial_start(channel->io->loop, channel->host, channel->opt.port,
                                  channel->opt.connect_timeout_ms, on_dialled, channel);
}

/* ---- life ---- */

static int64_t or_default(int64_t value, int64_t if_zero)
{
    return value ? value : if_zero;
}

struct h2_channel *h2_channel_create(const struct h2_channel_options *opt)
{
    struct h2_channel *channel = mem_new(struct h2_channel);
    struct strbuf authority = {0};
    channel->opt = *opt;
    channel->io = opt->io;
    channel->host = mem_strdup(opt->host);
    strbuf_printf(&authority, strchr(opt->host, ':') ? "[%s]:%u" : "%s:%u", opt->host, opt->port);
    channel->authority = authority.p;
    channel->opt.keepalive_ms = or_default(opt->keepalive_ms, 30000);
    channel->opt.ping_timeout_ms = or_default(opt->ping_timeout_ms, 10000);
    channel->opt.connect_timeout_ms = or_default(opt->connect_timeout_ms, 5000);
    channel->opt.backoff_min_ms = or_default(opt->backoff_min_ms, 200);
    channel->opt.backoff_max_ms = or_default(opt->backoff_max_ms, 30000);
    if (!opt->message_max_bytes)
        channel->opt.message_max_bytes = H2_MESSAGE_MAX_BYTES;
    list_init(&channel->links);
    list_init(&channel->waiting);
    return channel;
}

static void cancel_all(struct list *halves)
{
    LIST_FOREACH(halves, node)
    {
        struct h2_call *call = LIST_ENTRY(node, struct h2_call, half.node);
        h2_call_finish(call, &(struct h2_result){.err = ERR_CANCELLED, .message = "stopping"});
    }
}

void h2_channel_destroy(struct h2_channel **channel_)
{
    struct h2_channel *channel = *channel_;
    *channel_ = NULL;
    if (!channel)
        return;
    h2_dial_cancel(&channel->dial);
    loop_timer_stop(&channel->pause);
    h2_calls_fail(channel->io);
    cancel_all(&channel->waiting);
    LIST_FOREACH(&channel->links, node)
    {
        struct h2_link *link = LIST_ENTRY(node, struct h2_link, node);
        cancel_all(&link->conn.halves);
        list_remove(&link->node);
        link->channel = NULL;
        stream_part(&link->conn.stream);
    }
    free(channel->host);
    free(channel->authority);
    free(channel);
}

enum h2_channel_state h2_channel_state(const struct h2_channel *channel)
{
    return channel->state;
}

int64_t h2_channel_pause_ms(const struct h2_channel *channel)
{
    if (channel->state != H2_CHANNEL_FAILING)
        return 0;
    return MAX((channel->pause.due_us - loop_now_us(channel->io->loop)) / 1000, (int64_t)1);
}
