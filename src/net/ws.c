/*
 * ws: a connection that has become a WebSocket. Messages come in through ws_parse, frames go out
 * straight to the socket or, when it is slow, into the stream's queue by reference. One deadline
 * serves all clocks: authentication, ping and pong, the closing handshake, leaving on drain.
 *
 * Closing (RFC 6455, 7.1): OPEN -> our Close sent (CLOSING) -> theirs came, or time is up ->
 * on_close, the ws freed, the connection lingers until the peer closes. If theirs came first, it is
 * echoed.
 */
#include <assert.h>
#include <stdlib.h>

#include "core/id.h"
#include "core/mem.h"
#include "net/ws_internal.h"

static const struct ws_limits no_limits;

static size_t limit_or(size_t value, size_t standard)
{
    return value ? value : standard;
}

static size_t soft_limit(const struct ws *ws)
{
    return limit_or(ws->limits->queue_soft_bytes, 64 * 1024);
}

static size_t hard_limit(const struct ws *ws)
{
    return limit_or(ws->limits->queue_hard_bytes, 256 * 1024);
}

static int64_t ping_us(const struct ws *ws)
{
    return (int64_t)limit_or(ws->limits->ping_ms, 30000) * 1000;
}

static int64_t pong_us(const struct ws *ws)
{
    return (int64_t)limit_or(ws->limits->pong_ms, 20000) * 1000;
}

static int64_t now_us(const struct ws *ws)
{
    return conn_now_us(ws->conn);
}

static void update_deadline(struct ws *ws)
{
    int64_t at;
    if (ws->state == WS_CLOSING)
        at = ws->close_us;
    else
        at = ws->heard_us + ping_us(ws) + (ws->is_pinged ? pong_us(ws) : 0);
    if (ws->state == WS_OPEN && ws->authenticate_us)
        at = MIN(at, ws->authenticate_us);
    if (ws->state == WS_OPEN && ws->leave_us)
        at = MIN(at, ws->leave_us);
    conn_set_deadline(ws->conn, at);
}

/* The end: tells the handler, frees the ws; the connection stays with whoever called. */
static void end(struct ws *ws, unsigned code, struct str reason)
{
    struct conn *conn = ws->conn;
    ws->state = WS_CLOSED;
    conn->generation = 0;
    ws->handler->on_close(ws->arg, ws, code, reason);
    conn->ws = NULL;
    ws_parser_reset(&ws->parser);
    free(ws);
    net_ws_add(-1);
}

static void send_control(struct ws *ws, uint8_t opcode, const void *payload, size_t n)
{
    uint8_t header[WS_HEADER_MAX];
    struct iovec parts[] = {{header, ws_header_write(header, opcode, n)}, {(void *)payload, n}};
    stream_send(&ws->conn->stream, parts, 2);
}

static void send_close(struct ws *ws, unsigned code, struct str reason)
{
    uint8_t payload[WS_CONTROL_MAX];
    size_t n = 0;
    if (code != WS_CLOSE_NO_STATUS) {
        size_t reason_n = MIN(reason.n, sizeof(payload) - 2);
        payload[0] = (uint8_t)(code >> 8);
        payload[1] = (uint8_t)code;
        if (reason_n)
            memcpy(payload + 2, reason.p, reason_n);
        n = 2 + reason_n;
    }
    send_control(ws, WS_WIRE_CLOSE, payload, n);
}

static void start_closing(struct ws *ws, unsigned code, struct str reason)
{
    ws->state = WS_CLOSING;
    ws->close_code = (uint16_t)code;
    ws->close_us = now_us(ws) + (int64_t)limit_or(ws->limits->close_ms, 5000) * 1000;
    send_close(ws, code, reason);
    update_deadline(ws);
}

void ws_close(struct ws *ws, unsigned code, const char *reason)
{
    LOOP_ASSERT(ws->conn->shard->loop);
    ws_keep_order(ws);
    if (ws->state == WS_OPEN)
        start_closing(ws, code, str_from(reason));
}

/* A peer that broke the rules is told why and not listened to any more. */
static void fail(struct ws *ws, unsigned code, const char *why)
{
    struct conn *conn = ws->conn;
    if (ws->state == WS_OPEN)
        send_close(ws, code, str_from(why));
    end(ws, ws->state == WS_OPEN ? code : ws->close_code, str_from(why));
    conn_linger(conn);
}

static void on_peer_close(struct ws *ws, const struct ws_parsed *parsed)
{
    struct conn *conn = ws->conn;
    unsigned code = parsed->code;
    if (ws->state == WS_OPEN)
        send_close(ws, code, STR(""));
    else
        code = ws->close_code;
    end(ws, code, parsed->payload);
    conn_linger(conn);
}

/* False: the ws is gone. */
static bool on_deflated(struct ws *ws, const struct ws_parsed *parsed)
{
    struct ws_shard *shard = ws->conn->shard->ws;
    struct strbuf text = {0};
    struct ws_utf8 utf8 = {0};
    enum err err = ws_inflate(shard, parsed->payload, ws->parser.message_max, &text);
    ws_parser_reset(&ws->parser);
    unsigned code = 0;
    if (err)
        code = err == ERR_RESOURCE_EXHAUSTED ? WS_CLOSE_TOO_BIG : WS_CLOSE_INVALID_DATA;
    else if (parsed->opcode == WS_TEXT &&
             (!ws_utf8_feed(&utf8, (uint8_t *)text.p, text.n) || !ws_utf8_is_complete(&utf8)))
        code = WS_CLOSE_INVALID_DATA;
    if (code)
        fail(ws, code, code == WS_CLOSE_TOO_BIG ? "message too big" : "invalid compressed message");
    else
        ws->handler->on_message(ws->arg, ws, parsed->opcode, strbuf_str(&text));
    strbuf_deinit(&text);
    return !code;
}

static bool on_message(struct ws *ws, const struct ws_parsed *parsed)
{
    net_count(NET_WS_IN, 1);
    if (ws->state != WS_OPEN) {
        ws_parser_reset(&ws->parser);
        return true;
    }
    if (parsed->is_deflated)
        return on_deflated(ws, parsed);
    ws->handler->on_message(ws->arg, ws, parsed->opcode, parsed->payload);
    ws_parser_reset(&ws->parser);
    return true;
}

/* False: the ws is gone. */
static bool on_event(struct ws *ws, enum ws_event event, const struct ws_parsed *parsed)
{
    switch (event) {
    case WS_EVENT_MESSAGE:
        return on_message(ws, parsed);
    case WS_EVENT_PING:
        /* Answers to a flood of pings must not pile up for one who does not read them. */
        if (ws->state == WS_OPEN && ws_queued_bytes(ws) < soft_limit(ws))
            send_control(ws, WS_WIRE_PONG, parsed->payload.p, parsed->payload.n);
        return true;
    case WS_EVENT_CLOSE:
        on_peer_close(ws, parsed);
        return false;
    case WS_EVENT_FAIL:
        fail(ws, parsed->code, parsed->why);
        return false;
    default: /* a pong: that it came is all that matters */
        return true;
    }
}

static size_t on_bytes(struct stream *s, uint8_t *bytes, size_t n)
{
    struct ws *ws = conn_of(s)->ws;
    size_t at = 0;
    ws->heard_us = now_us(ws);
    ws->is_pinged = false;
    while (at < n && !s->is_closing) {
        struct ws_parsed parsed;
        size_t used;
        enum ws_event event = ws_parse(&ws->parser, bytes + at, n - at, &used, &parsed);
        at += used;
        if (!event)
            return at;
        if (!on_event(ws, event, &parsed))
            return n;
    }
    return at;
}

static void on_end(struct stream *s)
{
    struct conn *conn = conn_of(s);
    struct ws *ws = conn->ws;
    end(ws, ws->state == WS_CLOSING ? ws->close_code : WS_CLOSE_ABNORMAL, STR(""));
    conn_linger(conn);
}

static void on_sent(struct stream *s)
{
    struct ws *ws = conn_of(s)->ws;
    bool was_behind = ws->is_behind;
    ws->is_behind = false;
    if (was_behind && ws->state == WS_OPEN && ws->handler->on_caught_up)
        ws->handler->on_caught_up(ws->arg, ws);
}

static void on_closed(struct stream *s)
{
    struct conn *conn = conn_of(s);
    struct ws *ws = conn->ws;
    end(ws, ws->state == WS_CLOSING ? ws->close_code : WS_CLOSE_ABNORMAL, STR(""));
    conn_free(conn);
}

static void on_timeout(struct conn *conn)
{
    struct ws *ws = conn->ws;
    int64_t now = now_us(ws);
    if (ws->state == WS_CLOSING) {
        if (now >= ws->close_us)
            stream_abort(&conn->stream);
    } else if (ws->authenticate_us && now >= ws->authenticate_us) {
        ws_close(ws, WS_CLOSE_POLICY, "sign in first");
    } else if (ws->leave_us && now >= ws->leave_us) {
        ws_close(ws, WS_CLOSE_GOING_AWAY, "the server is restarting");
    } else if (ws->is_pinged && now >= ws->heard_us + ping_us(ws) + pong_us(ws)) {
        stream_abort(&conn->stream);
    } else if (!ws->is_pinged && now >= ws->heard_us + ping_us(ws)) {
        ws->is_pinged = true;
        send_control(ws, WS_WIRE_PING, NULL, 0);
    }
    if (!conn->stream.is_closing)
        update_deadline(ws);
}

static void on_drain(struct conn *conn)
{
    struct ws *ws = conn->ws;
    int64_t span = MAX(conn->shard->drain_us - now_us(ws), 1);
    ws->leave_us = now_us(ws) + id_random_u32() % span;
    update_deadline(ws);
}

static const struct conn_protocol ws_protocol = {
    .stream = {.on_bytes = on_bytes, .on_end = on_end, .on_sent = on_sent, .on_closed = on_closed},
    .on_timeout = on_timeout,
    .on_drain = on_drain,
};

static struct ws *upgrade(struct conn *conn, const struct ws_options *opt,
                          const struct ws_agreement *agreement)
{
    struct ws *ws = mem_new(struct ws);
    ws->conn = conn;
    ws->handler = opt->handler;
    ws->arg = opt->arg;
    ws->limits = opt->limits ? opt->limits : &no_limits;
    ws->subprotocol = agreement->subprotocol ? agreement->subprotocol : "";
    ws->window_bits = agreement->window_bits;
    ws->parser.is_deflate_allowed = agreement->window_bits != 0;
    ws->heard_us = now_us(ws);
    conn->ws = ws;
    if (opt->flags & WS_ACCEPT_UNAUTHENTICATED) {
        ws->parser.message_max = limit_or(ws->limits->unauthenticated_max_bytes, 16 * 1024);
        ws->authenticate_us =
            now_us(ws) + (int64_t)limit_or(ws->limits->authenticate_ms, 10000) * 1000;
    } else {
        ws->parser.message_max = limit_or(ws->limits->message_max_bytes, 256 * 1024);
    }
    return ws;
}

enum err ws_accept(struct http_request *req, const struct ws_options *opt, struct ws **out)
{
    struct http_exchange *ex = http_exchange_of(req);
    struct conn *conn = ex->conn;
    struct ws_agreement agreement;
    struct http_fault fault;
    LOOP_ASSERT(conn->shard->loop);
    enum err err = ws_handshake_check(req, opt, &agreement, &fault);
    if (!err && conn->shard->is_draining) {
        fault = (struct http_fault){503, "unavailable", "the server is restarting"};
        err = ERR_UNAVAILABLE;
    }
    if (err) {
        http_respond_error(req, fault.status, fault.code, fault.message);
        return err;
    }
    struct strbuf head = {0};
    ws_handshake_write(&head, &agreement, req->id);
    http_exchange_recycle(ex);
    stream_send(&conn->stream, &(struct iovec){head.p, head.n}, 1);
    strbuf_deinit(&head);
    struct ws *ws = upgrade(conn, opt, &agreement);
    conn_new_generation(conn);
    conn_set_protocol(conn, &ws_protocol);
    stream_resume(&conn->stream);
    update_deadline(ws);
    net_count(NET_ANSWER_1XX, 1);
    net_count(NET_WS_OPENED, 1);
    net_ws_add(1);
    *out = ws;
    return ERR_OK;
}

void ws_set_authenticated(struct ws *ws)
{
    ws->authenticate_us = 0;
    ws->parser.message_max = limit_or(ws->limits->message_max_bytes, 256 * 1024);
    if (ws->state == WS_OPEN)
        update_deadline(ws);
}

const char *ws_subprotocol(const struct ws *ws)
{
    return ws->subprotocol;
}

struct loop *ws_loop(const struct ws *ws)
{
    return ws->conn->shard->loop;
}

void *ws_arg(const struct ws *ws)
{
    return ws->arg;
}

void ws_set_arg(struct ws *ws, void *arg)
{
    ws->arg = arg;
}

size_t ws_queued_bytes(const struct ws *ws)
{
    return ws->conn->stream.out_bytes;
}

struct net_ticket ws_ticket(const struct ws *ws)
{
    return conn_ticket(ws->conn);
}

struct ws *ws_ticket_find(struct net_ticket ticket)
{
    struct conn *conn = shard_ticket_conn(ticket);
    return conn && !conn->stream.is_closing ? conn->ws : NULL;
}

/* Backpressure, exact to the byte. ERR_OK: go on. */
static enum err admit(struct ws *ws, size_t n, unsigned flags)
{
    size_t queued = ws_queued_bytes(ws);
    if (ws->state != WS_OPEN || ws->conn->stream.is_closing)
        return ERR_UNAVAILABLE;
    if (likely(queued == 0))
        return ERR_OK;
    if ((flags & WS_SEND_EPHEMERAL) && queued + n > soft_limit(ws)) {
        net_count(NET_WS_DROPPED, 1);
        return ERR_RESOURCE_EXHAUSTED;
    }
    if ((flags & WS_SEND_SKIPPABLE) && (ws->is_behind || queued + n > soft_limit(ws))) {
        ws->is_behind = true;
        net_count(NET_WS_DROPPED, 1);
        return ERR_RESOURCE_EXHAUSTED;
    }
    if (queued + n > hard_limit(ws)) {
        /* What it has not begun to take it will not miss; the close shall not wait behind it. */
        net_count(NET_WS_OVERFLOW, 1);
        stream_drop_unsent(&ws->conn->stream);
        start_closing(ws, WS_CLOSE_TRY_LATER, STR("too slow"));
        return ERR_RESOURCE_EXHAUSTED;
    }
    return ERR_OK;
}

static void release_frame(void *arg)
{
    struct ws_frame *frame = arg;
    ws_frame_unref(&frame);
}

HOT static inline enum err send_frame(struct ws *ws, struct ws_frame *frame, bool is_deflating,
                                      unsigned flags)
{
    struct conn *conn = ws->conn;
    struct str wire = ws_frame_wire(frame, is_deflating, conn->shard->ws);
    enum err err = admit(ws, wire.n, flags);
    if (err)
        return err;
    net_count(NET_WS_OUT, 1);
    size_t sent = stream_send_now(&conn->stream, wire.p, wire.n);
    if (sent < wire.n)
        stream_queue_shared(&conn->stream, wire.p + sent, wire.n - sent, release_frame,
                            ws_frame_ref(frame));
    return ERR_OK;
}

/* The few that asked for a smaller window get a copy of their own. */
static COLD enum err send_narrow(struct ws *ws, struct ws_frame *frame, unsigned flags)
{
    struct ws_frame *narrow = ws_frame_narrow(frame, ws->window_bits, ws->conn->shard->ws);
    enum err err = send_frame(ws, narrow, false, flags);
    ws_frame_unref(&narrow);
    return err;
}

static enum err send_any(struct ws *ws, struct ws_frame *frame, unsigned flags)
{
    if (unlikely(ws->window_bits && ws->window_bits < WS_WINDOW_BITS_MAX))
        return send_narrow(ws, frame, flags);
    return send_frame(ws, frame, ws->window_bits != 0, flags);
}

HOT enum err ws_send_frame(struct ws *ws, struct ws_frame *frame, unsigned flags)
{
    LOOP_ASSERT(ws->conn->shard->loop);
    ws_keep_order(ws);
    return send_any(ws, frame, flags);
}

/* What the socket does not take is queued frame by frame. */
static void queue_unsent(struct ws *ws, struct ws_frame *const *frames, const struct str *wires,
                         int count, size_t sent)
{
    for (int i = 0; i < count; i++) {
        size_t begun = MIN(sent, wires[i].n);
        sent -= begun;
        if (begun < wires[i].n)
            stream_queue_shared(&ws->conn->stream, wires[i].p + begun, wires[i].n - begun,
                                release_frame, ws_frame_ref(frames[i]));
    }
}

/* Together only where backpressure could not judge one of them otherwise than the next: when
 * nothing waits, and all of it would be no more than may wait. */
HOT void ws_send_frames(struct ws *ws, struct ws_frame *const *frames, int count, unsigned flags)
{
    struct str wires[WS_FRAMES_AT_ONCE];
    struct iovec parts[WS_FRAMES_AT_ONCE];
    size_t total = 0;
    bool is_narrow = ws->window_bits && ws->window_bits < WS_WINDOW_BITS_MAX;
    for (int i = 0; count > 1 && !is_narrow && i < count; i++) {
        wires[i] = ws_frame_wire(frames[i], ws->window_bits != 0, ws->conn->shard->ws);
        parts[i] = (struct iovec){(void *)wires[i].p, wires[i].n};
        total += wires[i].n;
    }
    if (count == 1 || is_narrow || ws_queued_bytes(ws) > 0 || total > soft_limit(ws)) {
        for (int i = 0; i < count; i++)
            (void)!send_any(ws, frames[i], flags);
        return;
    }
    if (admit(ws, total, flags))
        return;
    net_count(NET_WS_OUT, (uint64_t)count);
    size_t sent = stream_send_parts_now(&ws->conn->stream, parts, count);
    if (sent < total)
        queue_unsent(ws, frames, wires, count, sent);
}

enum err ws_send_text(struct ws *ws, struct str text)
{
    ws_keep_order(ws);
    if (ws->window_bits && text.n >= WS_DEFLATE_MIN_BYTES) {
        struct ws_frame *frame = ws_frame_create(WS_TEXT, text);
        enum err err = ws_send_frame(ws, frame, 0);
        ws_frame_unref(&frame);
        return err;
    }
    enum err err = admit(ws, text.n, 0);
    if (err)
        return err;
    net_count(NET_WS_OUT, 1);
    send_control(ws, WS_TEXT, text.p, text.n);
    return ERR_OK;
}
