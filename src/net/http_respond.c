/*
 * http_respond: writes answers. Head and body leave in one system call; a body that lives on
 * (static files, shared replies) is never copied. The Date line is made once a second.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "net/http_internal.h"

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {423, "Locked"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {460, "Checksum Mismatch"}, /* tus */
        {499, "Client Closed Request"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Other";
}

/* "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"; names are English whatever the locale. */
static struct str date_line(struct http_shard *http)
{
    int64_t second = loop_now_us(http->shard->loop) / 1000000;
    if (second != http->date_second) {
        static const char days[] = "SunMonTueWedThuFriSat";
        static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        time_t now = (time_t)(clock_wall_ms() / 1000);
        struct tm tm;
        gmtime_r(&now, &tm);
        snprintf(http->date, sizeof(http->date),
                 "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n", days + 3 * tm.tm_wday,
                 tm.tm_mday, months + 3 * tm.tm_mon, (tm.tm_year + 1900) % 10000, tm.tm_hour,
                 tm.tm_min, tm.tm_sec);
        http->date_second = second;
    }
    return (struct str){http->date, 37};
}

/* Space was reserved for all of the head beforehand. */
static void put(struct strbuf *b, struct str s)
{
    memcpy(b->p + b->n, s.p, s.n);
    b->n += s.n;
}

static void put_number(struct strbuf *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    put(b, (struct str){digits + at, sizeof(digits) - at});
}

static void put_header(struct strbuf *b, struct str name, struct str value)
{
    put(b, name);
    put(b, STR(": "));
    put(b, value);
    put(b, STR("\r\n"));
}

/* A line break in a value would let its author write headers of his own. */
static bool is_safe(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0')
            return false;
    return true;
}

#define HEAD_OWN_BYTES 512 /* all lines but those whose length is counted below */

static bool has_length(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

static size_t body_bytes(const struct http_response *res)
{
    return res->file_fd > 0 ? (size_t)MAX(res->file_bytes, 0) : res->body.n;
}

static struct str write_head(struct http_exchange *ex, const struct http_response *res, int status,
                             bool is_closing)
{
    struct http_shard *http = ex->conn->shard->http;
    const char *fixed = ex->conn->shard->server->http.fixed_headers;
    struct strbuf *b = &http->out;
    struct str type = str_from(res->content_type);
    size_t total = HEAD_OWN_BYTES + http->fixed_headers_n + type.n;
    for (size_t i = 0; i < res->header_count; i++)
        total += res->headers[i].name.n + res->headers[i].value.n + 4;
    strbuf_clear(b);
    strbuf_reserve(b, total);
    if (status == 200) {
        put(b, STR("HTTP/1.1 200 OK\r\n"));
    } else {
        put(b, STR("HTTP/1.1 "));
        put_number(b, (unsigned)status);
        put(b, STR(" "));
        put(b, str_from(reason_of(status)));
        put(b, STR("\r\n"));
    }
    put(b, date_line(http));
    if (has_length(status)) {
        put(b, STR("Content-Length: "));
        put_number(b, body_bytes(res));
        put(b, STR("\r\n"));
    }
    if (type.n)
        put_header(b, STR("Content-Type"), type);
    put_header(b, STR("X-Request-Id"), str_from(ex->id));
    if (res->flags & HTTP_RESPONSE_NO_STORE)
        put(b, STR("Cache-Control: no-store\r\n"));
    for (size_t i = 0; i < res->header_count; i++) {
        const struct http_header *h = &res->headers[i];
        if (is_safe(h->name) && is_safe(h->value))
            put_header(b, h->name, h->value);
        else
            log_error(NULL, "left out a response header with a line break in it");
    }
    put(b, (struct str){fixed, http->fixed_headers_n});
    if (is_closing)
        put(b, STR("Connection: close\r\n"));
    else if (ex->parsed.is_http10)
        put(b, STR("Connection: keep-alive\r\n"));
    put(b, STR("\r\n"));
    return strbuf_str(b);
}

static void drop_body(const struct http_response *res)
{
    if (res->release)
        res->release(res->release_arg);
    if (res->file_fd > 0)
        close(res->file_fd);
}

static void send_answer(struct stream *s, struct str head, const struct http_response *res,
                        bool has_body)
{
    struct iovec parts[2] = {{(void *)head.p, head.n}, {(void *)res->body.p, res->body.n}};
    if (!has_body) {
        stream_send(s, parts, 1);
        drop_body(res);
    } else if (res->file_fd > 0) {
        stream_send(s, parts, 1);
        stream_send_file(s, res->file_fd, res->file_offset, res->file_bytes);
        if (res->release)
            res->release(res->release_arg);
    } else if (res->release) {
        stream_send_shared(s, parts, 2, res->release, res->release_arg);
    } else {
        stream_send(s, parts, 2);
    }
}

static void count(int status)
{
    net_count(status < 300   ? NET_ANSWER_2XX
              : status < 400 ? NET_ANSWER_3XX
              : status < 500 ? NET_ANSWER_4XX
                             : NET_ANSWER_5XX,
              1);
}

void http_respond(struct http_request *req, const struct http_response *res)
{
    struct http_exchange *ex = http_exchange_of(req);
    struct conn *conn = ex->conn;
    LOOP_ASSERT(conn->shard->loop);
    int status = res->status ?: 200;
    /* A body that was not read would be taken for the next request. */
    bool is_closing = !ex->is_keeping_alive || ex->phase != HTTP_HANDLING || req->has_more_body ||
                      (res->flags & HTTP_RESPONSE_CLOSE) || conn->shard->is_draining;
    struct str head = write_head(ex, res, status, is_closing);
    bool has_body = req->method != HTTP_METHOD_HEAD && has_length(status) && body_bytes(res) > 0;
    count(status);
    send_answer(&conn->stream, head, res, has_body);
    http_exchange_recycle(ex);
    http_conn_answered(conn, is_closing);
}

void http_release_none(void *arg)
{
}

static void write_default_error(struct strbuf *body, const char *code, const char *message,
                                const char *request_id)
{
    strbuf_adds(body, "{\"error\":{\"code\":");
    strbuf_add_json(body, str_from(code));
    strbuf_adds(body, ",\"message\":");
    strbuf_add_json(body, str_from(message));
    strbuf_adds(body, ",\"request_id\":");
    strbuf_add_json(body, str_from(request_id));
    strbuf_adds(body, "}}");
}

void http_respond_error(struct http_request *req, int status, const char *code, const char *message)
{
    const struct http_options *opt = &http_exchange_of(req)->conn->shard->server->http;
    struct strbuf body = {0};
    if (opt->write_error)
        opt->write_error(opt->arg, status, code, message, req->id, &body);
    else
        write_default_error(&body, code, message, req->id);
    http_respond(req, &(struct http_response){
                          .status = status,
                          .content_type = opt->error_content_type,
                          .body = strbuf_str(&body),
                          .flags = HTTP_RESPONSE_NO_STORE,
                      });
    strbuf_deinit(&body);
}

void http_respond_fault(struct http_exchange *ex, const struct http_fault *fault)
{
    ex->is_keeping_alive = false;
    http_respond_error(&ex->req, fault->status, fault->code, fault->message);
}

/* An answer on its way to its loop; everything it points to lies behind it. */
struct mail {
    struct net_ticket ticket;
    struct http_response res;
    struct http_header headers[];
};

static struct str carry(char **at, struct str s)
{
    struct str copy = {*at, s.n};
    if (s.n)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return copy;
}

static void deliver(void *arg)
{
    struct mail *mail = arg;
    struct http_response res = mail->res;
    bool is_body_inside = !res.release; /* then the mail lives until its body is sent */
    if (is_body_inside) {
        res.release = free;
        res.release_arg = mail;
    }
    struct http_request *req = http_ticket_find(mail->ticket);
    if (req) {
        http_respond(req, &res);
    } else {
        net_count(NET_ANSWER_STALE, 1);
        drop_body(&res);
    }
    if (!is_body_inside)
        free(mail);
}

void http_ticket_respond(struct net_ticket ticket, const struct http_response *res)
{
    struct str type = str_from(res->content_type);
    size_t total =
        sizeof(struct mail) + res->header_count * sizeof(struct http_header) + type.n + 1;
    for (size_t i = 0; i < res->header_count; i++)
        total += res->headers[i].name.n + res->headers[i].value.n;
    if (!res->release)
        total += res->body.n;
    struct mail *mail = mem_alloc(total);
    mail->ticket = ticket;
    mail->res = *res;
    mail->res.headers = mail->headers;
    char *at = (char *)&mail->headers[res->header_count];
    for (size_t i = 0; i < res->header_count; i++) {
        mail->headers[i].name = carry(&at, res->headers[i].name);
        mail->headers[i].value = carry(&at, res->headers[i].value);
    }
    if (!res->release)
        mail->res.body = carry(&at, res->body);
    if (res->content_type) {
        mail->res.content_type = carry(&at, type).p;
        *at = '\0';
    }
    net_ticket_post(ticket, deliver, mail);
}
