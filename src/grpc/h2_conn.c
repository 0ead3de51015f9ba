/*
 * h2_conn: one connection, whichever side we are. nghttp2 parses and writes frames; here are its
 * callbacks, the sending (gathered, so that the frames of a turn leave in one write, and stopped
 * while the peer does not read), and the clock: handshake, keepalive, the end.
 */
#include <stdlib.h>

#include "core/log.h"
#include "core/mem.h"
#include "grpc/h2_internal.h"

#define UNSENT_MAX_BYTES (256 << 10) /* more waits in the streams until the peer reads */
#define STREAM_WINDOW_BYTES (1 << 20)
#define CONNECTION_WINDOW_BYTES (8 << 20)
#define FINISH_US 3000000

/* ---- sending ---- */

static void send_bytes(struct h2_conn *conn, const uint8_t *bytes, size_t n)
{
    struct iovec part = {(void *)(uintptr_t)bytes, n};
    if (n > 0 && !conn->stream.is_closing)
        stream_send(&conn->stream, &part, 1);
}

void h2_conn_flush(struct h2_conn *conn)
{
    struct h2_io *io = conn->io;
    size_t n = 0;
    if (conn->is_flushing || conn->stream.is_closing || !conn->session)
        return;
    conn->is_flushing = true;
    while (conn->stream.out_bytes < UNSENT_MAX_BYTES) {
        const uint8_t *frame;
        ssize_t got = nghttp2_session_mem_send(conn->session, &frame);
        if (got < 0)
            stream_abort(&conn->stream);
        if (got <= 0)
            break;
        if (n + (size_t)got > sizeof(io->gather)) {
            send_bytes(conn, io->gather, n);
            n = 0;
        }
        if ((size_t)got > sizeof(io->gather)) {
            send_bytes(conn, frame, (size_t)got);
            continue;
        }
        memcpy(io->gather + n, frame, (size_t)got);
        n += (size_t)got;
    }
    send_bytes(conn, io->gather, n);
    conn->is_flushing = false;
    list_remove(&conn->dirty_node);
    if (!conn->stream.is_closing && !nghttp2_session_want_read(conn->session) &&
        !nghttp2_session_want_write(conn->session))
        h2_conn_finish(conn);
}

void h2_conn_touch(struct h2_conn *conn)
{
    if (list_is_linked(&conn->dirty_node) || conn->stream.is_closing)
        return;
    list_add_tail(&conn->io->dirty, &conn->dirty_node);
    h2_io_touch(conn->io);
}

void h2_conn_finish(struct h2_conn *conn)
{
    if (conn->is_finishing || conn->stream.is_closing)
        return;
    conn->is_finishing = true;
    conn->finish_us = loop_now_us(conn->io->loop);
    stream_finish(&conn->stream);
}

/* ---- halves ---- */

/* Frames of one stream come one after another, and each asks several times. */
static struct h2_half *half_of(struct h2_conn *conn, int32_t id)
{
    struct h2_half *half = conn->latest;
    if (half && half->id == id)
        return half;
    half = nghttp2_session_get_stream_user_data(conn->session, id);
    if (!half || half->is_gone)
        return NULL;
    conn->latest = half;
    return half;
}

void *h2_half_room(struct h2_half *half, size_t n)
{
    uint8_t prefix[H2_PREFIX_BYTES] = {0, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                                       (uint8_t)n};
    char *to = strbuf_reserve(&half->out, H2_PREFIX_BYTES + n);
    memcpy(to, prefix, H2_PREFIX_BYTES);
    half->out.n += H2_PREFIX_BYTES + n;
    if (half->is_out_resting) {
        half->is_out_resting = false;
        nghttp2_session_resume_data(half->conn->session, half->id);
    }
    if (half->conn)
        h2_conn_touch(half->conn);
    return to + H2_PREFIX_BYTES;
}

void h2_half_send(struct h2_half *half, const void *message, size_t n)
{
    void *room = h2_half_room(half, n);
    if (n)
        memcpy(room, message, n);
}

void h2_half_end(struct h2_half *half)
{
    half->is_out_ended = true;
    if (half->is_out_resting) {
        half->is_out_resting = false;
        nghttp2_session_resume_data(half->conn->session, half->id);
    }
    if (half->conn)
        h2_conn_touch(half->conn);
}

static void submit_trailers(struct h2_half *half)
{
    if (half->is_out_ok) {
        nghttp2_nv ok = H2_NV_STATIC("grpc-status", "0");
        nghttp2_submit_trailer(half->conn->session, half->id, &ok, 1);
        return;
    }
    nghttp2_nv nv[H2_METADATA_MAX_PAIRS + 2];
    size_t count = 0;
    const char *end = half->trailers.p + half->trailers.n;
    for (const char *at = half->trailers.p; at < end && count < ARRAY_LEN(nv); count++) {
        const char *value = at + strlen(at) + 1;
        nv[count] = h2_nv(at, value);
        at = value + strlen(value) + 1;
    }
    nghttp2_submit_trailer(half->conn->session, half->id, nv, count);
}

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t space,
                       uint32_t *flags, nghttp2_data_source *source, void *user)
{
    /* By its number: a half that has left must not be touched, whatever is still queued of it. */
    struct h2_half *half = half_of(user, id);
    if (!half)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t take = MIN(space, half->out.n - half->out_at);
    if (take)
        memcpy(to, half->out.p + half->out_at, take);
    half->out_at += take;
    if (half->out_at < half->out.n)
        return (ssize_t)take;
    strbuf_clear(&half->out);
    half->out_at = 0;
    if (half->is_out_ended) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (half->is_out_ok || half->trailers.n) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            submit_trailers(half);
        }
    } else if (take == 0) {
        half->is_out_resting = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)take;
}

nghttp2_data_provider h2_half_provider(void)
{
    return (nghttp2_data_provider){.read_callback = on_read};
}

void h2_half_join(struct h2_half *half, struct h2_conn *conn, int32_t id)
{
    half->conn = conn;
    half->id = id;
    list_add_tail(&conn->halves, &half->node);
    conn->half_count++;
    conn->latest = half;
}

void h2_half_leave(struct h2_half *half)
{
    half->is_gone = true;
    list_remove(&half->node);
    if (!half->conn)
        return;
    half->conn->half_count--;
    if (half->conn->latest == half)
        half->conn->latest = NULL;
    half->conn->unfinished_bytes -= half->in.partial.n;
    /* nghttp2 must not find it any more, neither by its number nor as a source of bytes. */
    nghttp2_session_set_stream_user_data(half->conn->session, half->id, NULL);
}

void h2_half_bury(struct h2_half *half, struct h2_io *io)
{
    list_add_tail(&io->graves, &half->node);
    h2_io_touch(io);
}

/* ---- nghttp2's callbacks ---- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_conn *conn = user;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        conn->opt.role->on_begin(conn, frame->hd.stream_id);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    struct h2_conn *conn = user;
    struct h2_half *half = half_of(conn, frame->hd.stream_id);
    if (half)
        conn->opt.role->on_header(half, (struct str){(const char *)name, name_n},
                                  (struct str){(const char *)value, value_n});
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                   size_t n, void *user)
{
    struct h2_conn *conn = user;
    struct h2_half *half = half_of(conn, id);
    if (!half)
        return 0;
    size_t before = half->in.partial.n;
    enum err err =
        h2_deframe(&half->in, bytes, n, &half->is_gone, conn->opt.role->on_message, half);
    if (half->is_gone)
        return 0;
    conn->unfinished_bytes += half->in.partial.n - before;
    if (!err && conn->opt.unfinished_max_bytes &&
        conn->unfinished_bytes > conn->opt.unfinished_max_bytes)
        err = ERR_RESOURCE_EXHAUSTED;
    if (err)
        conn->opt.role->on_broken(half, err);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_conn *conn = user;
    const struct h2_role *role = conn->opt.role;
    struct h2_half *half = frame->hd.stream_id ? half_of(conn, frame->hd.stream_id) : NULL;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        if (half)
            role->on_headers(half);
        break;
    case NGHTTP2_SETTINGS:
        if (!(frame->hd.flags & NGHTTP2_FLAG_ACK) && !conn->is_settled) {
            conn->is_settled = true;
            role->on_settled(conn);
        }
        break;
    case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            conn->is_ping_out = false;
        break;
    case NGHTTP2_GOAWAY:
        role->on_goaway(conn, frame->goaway.last_stream_id, frame->goaway.error_code);
        break;
    case NGHTTP2_RST_STREAM:
        if (!role->on_reset(conn))
            nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
        break;
    default:
        break;
    }
    bool may_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (may_end && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && half && !half->is_gone) {
        half->is_in_ended = true;
        role->on_end(half);
    }
    return 0;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_conn *conn = user;
    struct h2_half *half = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA
                               ? half_of(conn, frame->hd.stream_id)
                               : NULL;
    if (half)
        conn->opt.role->on_sent(half, frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct h2_conn *conn = user;
    struct h2_half *half = half_of(conn, id);
    if (half)
        conn->opt.role->on_close(half, code);
    return 0;
}

/* ---- the socket ---- */

static size_t on_bytes(struct stream *s, uint8_t *bytes, size_t n)
{
    struct h2_conn *conn = CONTAINER_OF(s, struct h2_conn, stream);
    if (!conn->is_begun) {
        conn->is_begun = true;
        if (s->ssl && !net_tls_speaks(s->ssl, "h2")) {
            stream_abort(s);
            return n;
        }
    }
    conn->heard_us = loop_now_us(conn->io->loop);
    if (nghttp2_session_mem_recv(conn->session, bytes, n) < 0) {
        stream_abort(s);
        return n;
    }
    h2_conn_flush(conn);
    return n;
}

static void on_all_sent(struct stream *s)
{
    h2_conn_touch(CONTAINER_OF(s, struct h2_conn, stream));
}

static void on_closed(struct stream *s)
{
    struct h2_conn *conn = CONTAINER_OF(s, struct h2_conn, stream);
    conn->opt.role->on_closed(conn);
}

static const struct stream_handler handler = {
    .on_bytes = on_bytes,
    .on_sent = on_all_sent,
    .on_closed = on_closed,
};

/* ---- the clock ---- */

static void on_tick(void *arg)
{
    struct h2_conn *conn = arg;
    const struct h2_conn_options *opt = &conn->opt;
    int64_t now_us = loop_now_us(conn->io->loop);
    bool is_lost =
        (conn->is_finishing && now_us - conn->finish_us > FINISH_US) ||
        (!conn->is_settled && now_us - conn->born_us > opt->handshake_timeout_ms * 1000) ||
        (conn->is_ping_out && now_us - conn->ping_us > opt->ping_timeout_ms * 1000);
    if (conn->stream.is_closing)
        return;
    if (is_lost) {
        stream_abort(&conn->stream);
        return;
    }
    bool is_asking = opt->role->is_server || conn->half_count > 0;
    if (conn->is_settled && is_asking && !conn->is_ping_out &&
        now_us - conn->heard_us >= opt->keepalive_ms * 1000) {
        conn->is_ping_out = true;
        conn->ping_us = now_us;
        nghttp2_submit_ping(conn->session, NGHTTP2_FLAG_NONE, NULL);
        h2_conn_touch(conn);
    }
    int64_t every_ms = MIN(MIN(opt->keepalive_ms, opt->ping_timeout_ms) / 2, (int64_t)2000);
    loop_timer_start(conn->io->loop, &conn->tick, MAX(every_ms, (int64_t)5), on_tick, conn);
}

/* ---- life ---- */

static nghttp2_session *make_session(struct h2_conn *conn)
{
    nghttp2_session *session = NULL;
    nghttp2_session_callbacks *cb;
    nghttp2_option *option;
    if (nghttp2_session_callbacks_new(&cb) != 0)
        abort();
    if (nghttp2_option_new(&option) != 0)
        abort();
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_option_set_no_closed_streams(option, 1);
    int rc = conn->opt.role->is_server ? nghttp2_session_server_new2(&session, cb, conn, option)
                                       : nghttp2_session_client_new2(&session, cb, conn, option);
    if (rc != 0)
        abort();
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(cb);
    return session;
}

static void submit_settings(struct h2_conn *conn)
{
    nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_METADATA_MAX_BYTES},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, conn->opt.streams_max},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    };
    size_t count = ARRAY_LEN(entries) - conn->opt.role->is_server; /* a server cannot say it */
    nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, entries, count);
    nghttp2_session_set_local_window_size(conn->session, NGHTTP2_FLAG_NONE, 0,
                                          CONNECTION_WINDOW_BYTES);
}

enum err h2_conn_init(struct h2_conn *conn, struct h2_io *io, int fd, SSL *ssl,
                      const struct h2_conn_options *opt)
{
    conn->io = io;
    conn->opt = *opt;
    list_init(&conn->halves);
    conn->born_us = conn->heard_us = loop_now_us(io->loop);
    enum err err = stream_init(&conn->stream, io->io, fd, ssl, &handler);
    if (err)
        return err;
    conn->session = make_session(conn);
    submit_settings(conn);
    h2_conn_touch(conn);
    on_tick(conn);
    return ERR_OK;
}

void h2_conn_deinit(struct h2_conn *conn)
{
    loop_timer_stop(&conn->tick);
    list_remove(&conn->dirty_node);
    nghttp2_session_del(conn->session);
}
