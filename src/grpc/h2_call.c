/*
 * h2_call: the client's half of a call. It waits for a link, goes out, and ends in exactly one way:
 * the server's status, its own deadline, or what became of the stream or the connection. What is
 * known about whether the server has seen it goes with the end.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "grpc/h2_channel_internal.h"

#define REQUEST_FIRST_BYTES 255 /* path and metadata of an ordinary call */

static struct h2_call *call_of(struct h2_half *half)
{
    return (struct h2_call *)half;
}

/* ---- the end ---- */

/* Nothing refers to it any more but the grave. */
static void forget(struct h2_call *call)
{
    struct h2_io *io = call->channel->io;
    loop_timer_stop(&call->deadline);
    h2_half_leave(&call->half);
    h2_half_bury(&call->half, io);
}

static void release(struct h2_call *call)
{
    strbuf_deinit(&call->request);
    h2_metadata_deinit(&call->metadata);
}

void h2_call_finish(struct h2_call *call, const struct h2_result *result)
{
    struct h2_result said = *result;
    if (call->half.is_gone)
        return;
    said.metadata = &call->metadata;
    forget(call);
    call->handler->on_end(call->arg, &said);
    release(call);
}

/* The stream ends by us, whatever the server still does. */
static void reset(struct h2_call *call)
{
    struct h2_conn *conn = call->half.conn;
    if (!conn || conn->stream.is_closing)
        return;
    nghttp2_submit_rst_stream(conn->session, NGHTTP2_FLAG_NONE, call->half.id, NGHTTP2_CANCEL);
    h2_conn_touch(conn);
}

static void fail(struct h2_call *call, enum err err, const char *message)
{
    reset(call);
    h2_call_finish(call, &(struct h2_result){.err = err, .message = message});
}

void h2_call_cancel(struct h2_call **call)
{
    if (!*call)
        return;
    reset(*call);
    forget(*call);
    release(*call);
    *call = NULL;
}

static void on_deadline(void *arg)
{
    struct h2_call *call = arg;
    bool is_unsent = !call->is_sent;
    reset(call);
    h2_call_finish(call, &(struct h2_result){.err = ERR_DEADLINE_EXCEEDED,
                                             .message = err_text(ERR_DEADLINE_EXCEEDED),
                                             .is_unprocessed = is_unsent});
}

void h2_calls_fail(struct h2_io *io)
{
    while (!list_is_empty(&io->failed)) {
        struct h2_call *call = LIST_ENTRY(io->failed.next, struct h2_call, half.node);
        h2_call_finish(call, &(struct h2_result){.err = call->fail_err,
                                                 .message = call->fail_why,
                                                 .is_unprocessed = true});
    }
}

/* ---- the answer ---- */

void h2_call_on_header(struct h2_half *half, struct str name, struct str value)
{
    struct h2_call *call = call_of(half);
    if (str_eq(name, STR(":status"))) {
        uint64_t status = 0;
        call->http_status = str_to_u64(value, &status) && status < 1000 ? (int)status : 0;
    } else if (h2_metadata_add(&call->metadata, name, value)) {
        call->is_deaf = true;
    }
}

void h2_call_on_headers(struct h2_half *half)
{
    struct h2_call *call = call_of(half);
    const char *type = h2_metadata_find(&call->metadata, "content-type");
    char text[64];
    if (call->is_deaf) {
        fail(call, ERR_RESOURCE_EXHAUSTED, "the server's headers are too long");
    } else if (call->http_status != 200) {
        snprintf(text, sizeof(text), "the server answered HTTP %d", call->http_status);
        fail(call, h2_status_from_http(call->http_status), text);
    } else if (!type || strncmp(type, "application/grpc", 16) != 0) {
        fail(call, ERR_UNKNOWN, "the server's answer is no gRPC");
    }
}

void h2_call_on_message(void *arg, const uint8_t *bytes, size_t n)
{
    struct h2_call *call = arg;
    if (call->handler->on_message)
        call->handler->on_message(call->arg, bytes, n);
}

void h2_call_on_broken(struct h2_half *half, enum err err)
{
    fail(call_of(half), err == ERR_UNIMPLEMENTED ? ERR_INTERNAL : err,
         err == ERR_RESOURCE_EXHAUSTED ? "the answer is too long"
                                       : "the answer is compressed, or no gRPC");
}

void h2_call_on_end(struct h2_half *half)
{
    struct h2_call *call = call_of(half);
    const char *status = h2_metadata_find(&call->metadata, "grpc-status");
    const char *why = h2_metadata_find(&call->metadata, "grpc-message");
    enum err err = status ? h2_status_parse(str_from(status)) : ERR_INTERNAL;
    char message[512];
    snprintf(message, sizeof(message), "%s", status ? "" : "the answer ended without a status");
    if (err && status)
        h2_percent_parse(str_from(why ? why : ""), message, sizeof(message));
    if (!err && h2_deframer_is_inside(&half->in)) {
        err = ERR_INTERNAL;
        snprintf(message, sizeof(message), "the answer ended within a message");
    }
    if (!call->is_end_sent)
        reset(call);
    h2_call_finish(
        call, &(struct h2_result){.err = err, .message = message, .is_answered = status != NULL});
}

void h2_call_on_sent(struct h2_half *half, bool is_end)
{
    struct h2_call *call = call_of(half);
    call->is_sent = true;
    call->is_end_sent |= is_end;
}

void h2_call_on_close(struct h2_half *half, uint32_t code)
{
    struct h2_call *call = call_of(half);
    struct h2_result result = {.err = ERR_INTERNAL, .message = "the server reset the stream"};
    switch (code) {
    case NGHTTP2_REFUSED_STREAM:
        result.err = ERR_UNAVAILABLE;
        result.is_unprocessed = true;
        break;
    case NGHTTP2_CANCEL:
        result.err = ERR_CANCELLED;
        break;
    case NGHTTP2_ENHANCE_YOUR_CALM:
        result.err = ERR_RESOURCE_EXHAUSTED;
        break;
    case NGHTTP2_INADEQUATE_SECURITY:
        result.err = ERR_PERMISSION_DENIED;
        break;
    default:
        break;
    }
    if (!call->is_sent) {
        result = (struct h2_result){.err = ERR_UNAVAILABLE,
                                    .message = "the connection takes no more calls",
                                    .is_unprocessed = true};
    }
    h2_call_finish(call, &result);
}

/* ---- the request ---- */

static const char *next_text(const char **at)
{
    const char *text = *at;
    *at += strlen(text) + 1;
    return text;
}

/* What a call says, wherever it lies. */
struct said {
    const char *path;
    const struct h2_pair *pairs;
    size_t count;
};

static size_t write_headers(const struct h2_call *call, const struct said *said, nghttp2_nv *nv,
                            char timeout[H2_TIMEOUT_SIZE])
{
    size_t n = 0;
    nv[n++] = (nghttp2_nv)H2_NV_STATIC(":method", "POST");
    nv[n++] = call->channel->opt.tls ? (nghttp2_nv)H2_NV_STATIC(":scheme", "https")
                                     : (nghttp2_nv)H2_NV_STATIC(":scheme", "http");
    nv[n++] = H2_NV_NAMED(":path", said->path);
    nv[n++] = H2_NV_NAMED(":authority", call->channel->authority);
    nv[n++] = (nghttp2_nv)H2_NV_STATIC("te", "trailers");
    nv[n++] = (nghttp2_nv)H2_NV_STATIC("content-type", "application/grpc");
    if (call->deadline_us) {
        h2_timeout_write((call->deadline_us - loop_now_us(call->channel->io->loop)) / 1000,
                         timeout);
        nv[n++] = H2_NV_NAMED("grpc-timeout", timeout);
    }
    for (size_t i = 0; i < MIN(said->count, (size_t)H2_METADATA_MAX_PAIRS); i++)
        nv[n++] = h2_nv(said->pairs[i].name, said->pairs[i].value);
    return n;
}

/* False: the link's numbers are used up, or it is at its end. */
static bool submit(struct h2_call *call, struct h2_link *link, const struct said *said)
{
    nghttp2_nv nv[H2_METADATA_MAX_PAIRS + 8];
    char timeout[H2_TIMEOUT_SIZE];
    size_t count = write_headers(call, said, nv, timeout);
    nghttp2_data_provider provider = h2_half_provider();
    int32_t id = nghttp2_submit_request(link->conn.session, NULL, nv, count, &provider, call);
    if (id < 0)
        return false;
    h2_half_join(&call->half, &link->conn, id);
    h2_conn_touch(&link->conn);
    return true;
}

static void wait_for_another(struct h2_call *call, struct h2_link *link)
{
    list_add_tail(&call->channel->waiting, &call->half.node);
    h2_channel_retire(call->channel, link);
    if (link->conn.half_count == 0)
        h2_conn_finish(&link->conn);
}

void h2_call_submit(struct h2_call *call, struct h2_link *link)
{
    struct h2_pair pairs[H2_METADATA_MAX_PAIRS];
    const char *at = call->request.p;
    const char *end = call->request.p + call->request.n;
    struct said said = {.path = next_text(&at), .pairs = pairs};
    while (at < end && said.count < ARRAY_LEN(pairs)) {
        pairs[said.count].name = next_text(&at);
        pairs[said.count++].value = next_text(&at);
    }
    if (!submit(call, link, &said))
        wait_for_another(call, link);
}

static struct h2_call *make_call(struct h2_channel *channel, const struct h2_call_options *opt)
{
    struct h2_call *call = mem_new(struct h2_call);
    call->channel = channel;
    call->handler = opt->handler;
    call->arg = opt->arg;
    call->is_patient = opt->is_patient;
    call->half.in.max_bytes = channel->opt.message_max_bytes;
    if (opt->timeout_ms) {
        call->deadline_us = loop_now_us(channel->io->loop) + opt->timeout_ms * 1000;
        loop_timer_start(channel->io->loop, &call->deadline, opt->timeout_ms, on_deadline, call);
    }
    return call;
}

/* For later. */
static void keep_request(struct h2_call *call, const struct h2_call_options *opt)
{
    struct strbuf *to = &call->request;
    strbuf_reserve(to, REQUEST_FIRST_BYTES);
    strbuf_add(to, opt->path, strlen(opt->path) + 1);
    for (size_t i = 0; i < opt->metadata_count; i++) {
        strbuf_add(to, opt->metadata[i].name, strlen(opt->metadata[i].name) + 1);
        strbuf_add(to, opt->metadata[i].value, strlen(opt->metadata[i].value) + 1);
    }
}

struct h2_call *h2_call_start(struct h2_channel *channel, const struct h2_call_options *opt)
{
    struct h2_call *call = make_call(channel, opt);
    const struct said said = {opt->path, opt->metadata, opt->metadata_count};
    bool is_ready = channel->state == H2_CHANNEL_READY;
    if (is_ready && submit(call, channel->link, &said))
        return call;
    keep_request(call, opt);
    if (is_ready) {
        wait_for_another(call, channel->link);
    } else if (channel->state == H2_CHANNEL_FAILING && !opt->is_patient) {
        call->fail_err = ERR_UNAVAILABLE;
        snprintf(call->fail_why, sizeof(call->fail_why), "%s", channel->why);
        list_add_tail(&channel->io->failed, &call->half.node);
        h2_io_touch(channel->io);
    } else {
        list_add_tail(&channel->waiting, &call->half.node);
        if (channel->state == H2_CHANNEL_IDLE)
            h2_channel_connect(channel);
    }
    return call;
}

void h2_call_send(struct h2_call *call, const void *message, size_t n)
{
    h2_half_send(&call->half, message, n);
}

void h2_call_end(struct h2_call *call)
{
    h2_half_end(&call->half);
}

size_t h2_call_unsent(const struct h2_call *call)
{
    return call->half.out.n - call->half.out_at;
}
