/*
 * h2_stream: the server's half of a call. Headers are judged when they are whole; then the service
 * has the stream until it is gone. An error before any answer is one HEADERS frame.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "grpc/h2_server_internal.h"

#define PATH_MAX_CHARS 256
#define MESSAGE_MAX_BYTES 1024

static struct h2_stream *stream_of(struct h2_half *half)
{
    return (struct h2_stream *)half;
}

static struct h2_peer *peer_of(const struct h2_stream *s)
{
    return (struct h2_peer *)s->half.conn;
}

/* ---- answering ---- */

static void begin(struct h2_stream *s)
{
    nghttp2_nv nv[] = {H2_NV_STATIC(":status", "200"),
                       H2_NV_STATIC("content-type", "application/grpc")};
    nghttp2_data_provider provider = h2_half_provider();
    s->is_begun = true;
    nghttp2_submit_response(s->half.conn->session, s->half.id, nv, ARRAY_LEN(nv), &provider);
    h2_conn_touch(s->half.conn);
}

void *h2_stream_room(struct h2_stream *s, size_t n)
{
    if (s->half.is_gone || s->is_finished)
        return NULL;
    if (!s->is_begun)
        begin(s);
    return h2_half_room(&s->half, n);
}

void h2_stream_send(struct h2_stream *s, const void *message, size_t n)
{
    void *room = h2_stream_room(s, n);
    if (room && n)
        memcpy(room, message, n);
}

static void add_trailer(struct strbuf *out, const char *name, const char *value)
{
    strbuf_add(out, name, strlen(name) + 1);
    strbuf_add(out, value, strlen(value) + 1);
}

static void write_trailers(struct strbuf *out, const struct h2_status *status)
{
    char code[] = {(char)('0' + status->err / 10), (char)('0' + status->err % 10), '\0'};
    add_trailer(out, "grpc-status", status->err < 10 ? code + 1 : code);
    if (status->err != ERR_OK) {
        struct strbuf text = {0};
        struct str message = str_from(status->message ? status->message : err_text(status->err));
        h2_percent_write(&text, str_sub(message, 0, MESSAGE_MAX_BYTES));
        add_trailer(out, "grpc-message", text.n ? text.p : "");
        strbuf_deinit(&text);
    }
    for (size_t i = 0; i < MIN(status->metadata_count, (size_t)H2_METADATA_MAX_PAIRS); i++)
        add_trailer(out, status->metadata[i].name, status->metadata[i].value);
}

/* Status and all in one frame: there was nothing to say before. */
static void answer_at_once(struct h2_stream *s)
{
    nghttp2_nv nv[H2_METADATA_MAX_PAIRS + 4] = {H2_NV_STATIC(":status", "200"),
                                                H2_NV_STATIC("content-type", "application/grpc")};
    size_t count = 2;
    const char *end = s->half.trailers.p + s->half.trailers.n;
    for (const char *at = s->half.trailers.p; at < end; count++) {
        const char *value = at + strlen(at) + 1;
        nv[count] = h2_nv(at, value);
        at = value + strlen(value) + 1;
    }
    s->is_begun = true;
    nghttp2_submit_response(s->half.conn->session, s->half.id, nv, count, NULL);
    h2_conn_touch(s->half.conn);
}

void h2_stream_finish(struct h2_stream *s, const struct h2_status *status)
{
    if (s->half.is_gone || s->is_finished)
        return;
    s->is_finished = true;
    s->half.in.max_bytes = 0; /* what still comes is not kept */
    s->half.is_out_ok = s->is_begun && status->err == ERR_OK && status->metadata_count == 0;
    if (!s->half.is_out_ok)
        write_trailers(&s->half.trailers, status);
    if (s->is_begun)
        h2_half_end(&s->half);
    else
        answer_at_once(s);
}

static void refuse(struct h2_stream *s, enum err err, const char *message)
{
    h2_stream_finish(s, &(struct h2_status){.err = err, .message = message});
}

/* For who does not speak gRPC at all. */
static void refuse_http(struct h2_stream *s, const char *http_status)
{
    nghttp2_nv nv[] = {h2_nv(":status", http_status)};
    s->is_begun = s->is_finished = true;
    s->half.in.max_bytes = 0;
    nghttp2_submit_response(s->half.conn->session, s->half.id, nv, 1, NULL);
    h2_conn_touch(s->half.conn);
}

/* ---- the request ---- */

void h2_stream_on_begin(struct h2_conn *conn, int32_t id)
{
    struct h2_stream *s = mem_new(struct h2_stream);
    s->server = ((struct h2_peer *)conn)->server;
    s->half.in.max_bytes = s->server->opt.message_max_bytes;
    h2_half_join(&s->half, conn, id);
    nghttp2_session_set_stream_user_data(conn->session, id, &s->half);
}

void h2_stream_on_header(struct h2_half *half, struct str name, struct str value)
{
    struct h2_stream *s = stream_of(half);
    if (!s->header_err && !s->is_open) /* a client's trailers say nothing to us */
        s->header_err = h2_metadata_add(&s->headers, name, value);
}

/* "/package.Service/Method"; opens the stream, or says what is wrong. */
static void dispatch(struct h2_stream *s, const char *path)
{
    char name[PATH_MAX_CHARS];
    const char *slash = path[0] == '/' ? strchr(path + 1, '/') : NULL;
    size_t n = slash ? (size_t)(slash - path - 1) : 0;
    if (n == 0 || n >= sizeof(name)) {
        refuse(s, ERR_UNIMPLEMENTED, "the path is not /service/method");
        return;
    }
    s->service = map_get(s->server->services, (struct str){path + 1, n});
    if (!s->service) {
        refuse(s, ERR_UNIMPLEMENTED, "no such service here");
        return;
    }
    if (s->service->message_max_bytes)
        s->half.in.max_bytes = s->service->message_max_bytes;
    s->is_open = true; /* on_open may finish it already */
    if (s->service->handler->on_open(s->service->arg, s, slash + 1))
        return;
    s->is_open = false;
    refuse(s, ERR_UNIMPLEMENTED, "the service has no such method");
}

static bool is_grpc(const char *type)
{
    return type && strncmp(type, "application/grpc", 16) == 0 &&
           (type[16] == '\0' || type[16] == '+' || type[16] == ';');
}

void h2_stream_on_headers(struct h2_half *half)
{
    struct h2_stream *s = stream_of(half);
    const char *method = h2_stream_header(s, ":method");
    const char *encoding = h2_stream_header(s, "grpc-encoding");
    const char *timeout = h2_stream_header(s, "grpc-timeout");
    const char *path = h2_stream_header(s, ":path");
    if (s->is_open || s->is_finished)
        return;
    if (s->header_err)
        refuse_http(s, s->header_err == ERR_RESOURCE_EXHAUSTED ? "431" : "400");
    else if (!method || strcmp(method, "POST") != 0)
        refuse_http(s, "405");
    else if (!is_grpc(h2_stream_header(s, "content-type")))
        refuse_http(s, "415");
    else if (encoding && strcmp(encoding, "identity") != 0)
        refuse(s, ERR_UNIMPLEMENTED, "messages must not be compressed");
    else if (timeout && !h2_timeout_parse(str_from(timeout), &s->timeout_ms))
        refuse(s, ERR_INVALID_ARGUMENT, "grpc-timeout is no time");
    else
        dispatch(s, path ? path : "");
}

static bool is_listening(const struct h2_stream *s)
{
    return s->is_open && !s->is_finished;
}

void h2_stream_on_message(void *arg, const uint8_t *bytes, size_t n)
{
    struct h2_stream *s = arg;
    if (is_listening(s))
        s->service->handler->on_message(s->service->arg, s, bytes, n);
}

void h2_stream_on_broken(struct h2_half *half, enum err err)
{
    struct h2_stream *s = stream_of(half);
    const char *why = err == ERR_RESOURCE_EXHAUSTED ? "the message is too long"
                      : err == ERR_UNIMPLEMENTED    ? "messages must not be compressed"
                                                    : "the message has no gRPC form";
    refuse(s, err, why);
}

void h2_stream_on_end(struct h2_half *half)
{
    struct h2_stream *s = stream_of(half);
    if (!is_listening(s))
        return;
    if (h2_deframer_is_inside(&half->in))
        refuse(s, ERR_INVALID_ARGUMENT, "the stream ended within a message");
    else
        s->service->handler->on_end(s->service->arg, s);
}

/* ---- the end ---- */

void h2_stream_on_sent(struct h2_half *half, bool is_end)
{
    if (is_end && !half->is_in_ended) /* nobody will read the rest */
        nghttp2_submit_rst_stream(half->conn->session, NGHTTP2_FLAG_NONE, half->id,
                                  NGHTTP2_NO_ERROR);
}

void h2_stream_on_close(struct h2_half *half, uint32_t code)
{
    struct h2_stream *s = stream_of(half);
    struct h2_io *io = half->conn->io;
    h2_half_leave(half);
    if (s->is_open)
        s->service->handler->on_gone(s->service->arg, s);
    h2_metadata_deinit(&s->headers);
    h2_half_bury(half, io);
}

/* ---- for services ---- */

size_t h2_stream_unsent(const struct h2_stream *s)
{
    return s->half.out.n - s->half.out_at;
}

const char *h2_stream_header(const struct h2_stream *s, const char *name)
{
    return h2_metadata_find(&s->headers, name);
}

int64_t h2_stream_timeout_ms(const struct h2_stream *s)
{
    return s->timeout_ms;
}

bool h2_stream_is_proven(const struct h2_stream *s)
{
    const SSL *ssl = peer_of(s)->conn.stream.ssl;
    return ssl && net_tls_is_proven(ssl);
}

void h2_stream_set_user(struct h2_stream *s, void *user)
{
    s->user = user;
}

void *h2_stream_user(const struct h2_stream *s)
{
    return s->user;
}
