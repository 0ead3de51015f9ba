/*
 * http_conn: reads requests from a connection, one at a time: head, body, handler, and only after
 * the answer the next. Slow clients meet absolute deadlines (a byte now and then does not move
 * them): a head has head_ms from its first byte, a body must keep up with a minimum rate, an answer
 * must get on leaving.
 */
#include <assert.h>

#include "net/http_internal.h"

/* Answers that wait for the client to read; beyond, no further requests are looked at. */
#define OUT_MAX_BYTES (256 * 1024)

static const struct http_options *options(const struct conn *conn)
{
    return &conn->shard->server->http;
}

/* When the client's time is up, in whatever it does now. */
static void update_deadline(struct conn *conn)
{
    const struct http_options *opt = options(conn);
    const struct http_exchange *ex = conn->exchange;
    int64_t deadline;
    if (!ex)
        deadline = conn->head_deadline_us ?: conn_now_us(conn) + (int64_t)opt->idle_ms * 1000;
    else if (ex->phase == HTTP_READING_BODY)
        deadline = ex->body_start_us + (int64_t)opt->body_grace_ms * 1000 +
                   (int64_t)(ex->body_received * 1000000 / opt->body_min_bytes_per_second);
    else
        deadline = 0;
    if (conn->stream.out_bytes > 0) {
        int64_t stall = conn->stream.progress_us + (int64_t)opt->send_stall_ms * 1000;
        deadline = deadline ? MIN(deadline, stall) : stall;
    }
    conn_set_deadline(conn, deadline);
}

void http_conn_start(struct conn *conn)
{
    conn->head_deadline_us = conn_now_us(conn) + (int64_t)options(conn)->head_ms * 1000;
    update_deadline(conn);
}

static void tell_abort(struct http_exchange *ex)
{
    const struct http_options *opt = options(ex->conn);
    struct http_request *req = &ex->req;
    if (!opt->on_abort || (ex->phase == HTTP_READING_BODY && !opt->on_headers))
        return;
    if (ex->phase == HTTP_HANDLING) { /* that part is handled already */
        req->body_offset += req->body.n;
        req->body = STR("");
    } else {
        req->body = strbuf_str(&ex->body);
    }
    opt->on_abort(opt->arg, req);
}

/* The client is gone before its answer. */
static void give_up(struct conn *conn)
{
    if (!conn->exchange)
        return;
    net_count(NET_ABORTED, 1);
    tell_abort(conn->exchange);
    http_exchange_recycle(conn->exchange);
}

static void handle(struct http_exchange *ex)
{
    struct conn *conn = ex->conn;
    const struct http_options *opt = options(conn);
    conn_is_known(conn);
    ex->phase = HTTP_HANDLING;
    ex->req.body = strbuf_str(&ex->body);
    if (!conn->generation) /* a ticket taken in on_headers stays good */
        conn_new_generation(conn);
    opt->on_request(opt->arg, &ex->req);
}

void http_request_continue(struct http_request *req)
{
    struct http_exchange *ex = http_exchange_of(req);
    struct conn *conn = ex->conn;
    assert(ex->phase == HTTP_HANDLING && req->has_more_body);
    req->body_offset += req->body.n;
    req->body = STR("");
    req->has_more_body = false;
    strbuf_clear(&ex->body);
    ex->phase = HTTP_READING_BODY;
    ex->body_received = 0; /* what the server took to work on a part is not the client's delay */
    ex->body_start_us = conn_now_us(conn);
    if (conn->is_http_busy)
        return; /* on_bytes goes on by itself */
    if (conn->stream.is_ended && conn->stream.in_n == 0) {
        give_up(conn);
        conn_linger(conn);
        return;
    }
    stream_resume(&conn->stream);
    update_deadline(conn);
}

static bool is_current(const struct conn *conn, const struct http_exchange *ex, uint64_t generation)
{
    return conn->exchange == ex && conn->generation == generation;
}

/* A head with a body to come: may it? */
static void admit_body(struct http_exchange *ex, bool is_body_here)
{
    struct conn *conn = ex->conn;
    const struct http_options *opt = options(conn);
    ex->body_left = ex->parsed.content_length;
    ex->body_received = 0;
    ex->body_start_us = conn_now_us(conn);
    ex->chunked = (struct http_chunked){0};
    conn_new_generation(conn);
    uint64_t generation = conn->generation;
    if (opt->on_headers)
        opt->on_headers(opt->arg, &ex->req);
    if (!is_current(conn, ex, generation))
        return; /* answered */
    if (ex->parsed.content_length > ex->req.body_max_bytes) {
        http_respond_error(&ex->req, 413, "body_too_large", "the request body is too large");
        return;
    }
    if (ex->parsed.wants_continue && !is_body_here) {
        net_count(NET_ANSWER_1XX, 1);
        struct iovec go_on = {(void *)"HTTP/1.1 100 Continue\r\n\r\n", 25};
        stream_send(&conn->stream, &go_on, 1);
    }
}

/* Returns the bytes taken; 0: more are needed. */
static size_t read_head(struct conn *conn, const uint8_t *bytes, size_t n)
{
    struct http_fault fault = {0};
    size_t at = conn->head_at;
    size_t head_n = http_head_find_end((const char *)bytes, n, &at, &fault);
    conn->head_at = head_n ? 0 : (uint32_t)at;
    if (fault.status) {
        http_respond_fault(http_exchange_create(conn), &fault);
        return n;
    }
    if (!head_n)
        return 0;
    conn->head_deadline_us = 0;
    struct http_exchange *ex = http_exchange_create(conn);
    if (!http_exchange_parse(ex, bytes, head_n, &fault))
        http_respond_fault(ex, &fault);
    else if (ex->parsed.is_chunked || ex->parsed.content_length > 0)
        admit_body(ex, n > head_n);
    else
        handle(ex);
    return head_n;
}

/* Net itself answers to what is wrong with a body. */
static void refuse_body(struct http_exchange *ex, int status, const char *code, const char *message)
{
    tell_abort(ex);
    http_respond_error(&ex->req, status, code, message);
}

/* False: answered. */
static bool read_chunked(struct http_exchange *ex, const uint8_t *bytes, size_t n, size_t *used,
                         bool *is_done)
{
    size_t most = ex->req.body_max_bytes - MIN(ex->req.body_offset, ex->req.body_max_bytes);
    enum http_chunked_result result =
        http_chunked_feed(&ex->chunked, bytes, n, used, &ex->body, most);
    *is_done = result == HTTP_CHUNKED_DONE;
    if (result == HTTP_CHUNKED_BAD)
        refuse_body(ex, 400, "bad_request", "malformed chunked body");
    else if (result == HTTP_CHUNKED_TOO_BIG)
        refuse_body(ex, 413, "body_too_large", "the request body is too large");
    return result == HTTP_CHUNKED_MORE || result == HTTP_CHUNKED_DONE;
}

static size_t read_body(struct http_exchange *ex, const uint8_t *bytes, size_t n)
{
    size_t part = ex->req.body_part_bytes;
    size_t used = part ? MIN(n, part - ex->body.n) : n;
    bool is_done;
    if (ex->parsed.is_chunked) {
        if (!read_chunked(ex, bytes, used, &used, &is_done))
            return n;
    } else {
        used = MIN(used, ex->body_left);
        strbuf_add(&ex->body, bytes, used);
        ex->body_left -= used;
        is_done = ex->body_left == 0;
    }
    ex->body_received += used;
    ex->req.has_more_body = !is_done && part && ex->body.n >= part;
    if (is_done || ex->req.has_more_body)
        handle(ex);
    return used;
}

static bool is_http(const struct conn *conn)
{
    return conn->protocol == &http_protocol && !conn->stream.is_closing;
}

static size_t on_bytes(struct stream *s, uint8_t *bytes, size_t n)
{
    struct conn *conn = conn_of(s);
    size_t at = 0;
    conn->is_http_busy = true;
    while (at < n && is_http(conn)) {
        struct http_exchange *ex = conn->exchange;
        if ((ex && ex->phase == HTTP_HANDLING) || s->out_bytes > OUT_MAX_BYTES) {
            stream_pause(s);
            break;
        }
        size_t used = ex ? read_body(ex, bytes + at, n - at) : read_head(conn, bytes + at, n - at);
        if (used == 0)
            break;
        at += used;
    }
    conn->is_http_busy = false;
    if (!is_http(conn))
        return at;
    if (s->is_ended &&
        (!conn->exchange || (conn->exchange->phase == HTTP_READING_BODY && at == n))) {
        give_up(conn);
        conn_linger(conn);
        return at;
    }
    if (!conn->exchange && at < n && !s->is_paused && !conn->head_deadline_us)
        conn->head_deadline_us = conn_now_us(conn) + (int64_t)options(conn)->head_ms * 1000;
    update_deadline(conn);
    return at;
}

void http_conn_answered(struct conn *conn, bool is_closing)
{
    if (is_closing || (conn->stream.is_ended && conn->stream.in_n == 0)) {
        conn_linger(conn);
        return;
    }
    if (conn->is_http_busy)
        return; /* on_bytes goes on by itself */
    stream_resume(&conn->stream);
    update_deadline(conn);
}

/* The peer sends no more. It may still wait for the answer it asked for. */
static void on_end(struct stream *s)
{
    struct conn *conn = conn_of(s);
    if (conn->exchange && conn->exchange->phase == HTTP_HANDLING)
        return;
    give_up(conn);
    conn_linger(conn);
}

static void on_sent(struct stream *s)
{
    struct conn *conn = conn_of(s);
    if (!conn->exchange)
        stream_resume(s);
    update_deadline(conn);
}

static void on_closed(struct stream *s)
{
    give_up(conn_of(s));
    conn_free(conn_of(s));
}

static void on_timeout(struct conn *conn)
{
    struct stream *s = &conn->stream;
    struct http_exchange *ex = conn->exchange;
    int64_t now = conn_now_us(conn);
    if (s->out_bytes > 0 && now >= s->progress_us + (int64_t)options(conn)->send_stall_ms * 1000) {
        net_count(NET_TIMEOUT_SEND, 1);
        stream_abort(s);
    } else if (ex && ex->phase == HTTP_READING_BODY) {
        net_count(NET_TIMEOUT_BODY, 1);
        refuse_body(ex, 408, "timeout", "the request body came too slowly");
    } else if (ex) {
        update_deadline(conn);
    } else if (conn->head_deadline_us && s->in_n > 0) {
        net_count(NET_TIMEOUT_HEAD, 1);
        http_respond_error(&http_exchange_create(conn)->req, 408, "timeout",
                           "the request head came too slowly");
    } else if (s->is_handshaking) {
        net_count(NET_TIMEOUT_HEAD, 1);
        stream_abort(s);
    } else if (s->out_bytes > 0) {
        update_deadline(conn);
    } else {
        stream_part(s);
    }
}

/* Idle connections close; an answer that is due says Connection: close. */
static void on_drain(struct conn *conn)
{
    if (conn->exchange || conn->stream.in_n > 0)
        return;
    if (conn->stream.out_bytes > 0)
        conn_linger(conn);
    else
        stream_part(&conn->stream);
}

const struct conn_protocol http_protocol = {
    .stream = {.on_bytes = on_bytes, .on_end = on_end, .on_sent = on_sent, .on_closed = on_closed},
    .on_timeout = on_timeout,
    .on_drain = on_drain,
};
