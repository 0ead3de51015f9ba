/*
 * Answers: the headers that an answer carries by circumstance, the one shape of errors, replies as
 * JSON or as the file that they are, and the counting of it all.
 */
#include <ctype.h>
#include <string.h>

#include "edge/edge_internal.h"

#define JSON_FIRST_BYTES 1000

static struct metric requests_total = METRIC_COUNTER(
    "parlance_http_api_requests_total", "API requests answered.", "route", "method", "status");

/* ---- counting ---- */

static const int common_statuses[EDGE_STATUS_CELLS] = {200, 201, 204, 400, 401, 403, 404, 409,
                                                       413, 429, 499, 500, 501, 503, 504, 206};

static struct metric_cell *find_cell(const struct edge_target *t, int status)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", status);
    return metric_cell(&requests_total, t->route->path, t->route->method, text);
}

void edge_count(struct edge_job *j, int status)
{
    struct edge_target *t = j->match.target;
    struct metric_cell *cell = NULL;
    j->status = status;
    if (!t)
        return;
    for (size_t i = 0; !cell && i < EDGE_STATUS_CELLS; i++) {
        if (common_statuses[i] != status)
            continue;
        cell = atomic_load_explicit(&t->statuses[i], memory_order_acquire);
        if (!cell) {
            cell = find_cell(t, status);
            atomic_store_explicit(&t->statuses[i], cell, memory_order_release);
        }
    }
    metric_cell_add(cell ? cell : find_cell(t, status), 1);
    metric_cell_observe(t->seconds, (double)(clock_mono_us() - j->start_us) / 1e6);
    const struct span *before = span_enter(&j->span);
    if (status >= 500)
        log_warn(&j->call->log, "%s %s: %d", t->route->method, t->route->path, status);
    else
        log_debug(&j->call->log, "%s %s: %d", t->route->method, t->route->path, status);
    span_leave(before);
}

/* ---- headers ---- */

void edge_headers_add(struct edge_headers *h, const char *name, struct str value)
{
    if (h->count < EDGE_HEADERS_MAX)
        h->list[h->count++] = (struct http_header){str_from(name), value};
}

void edge_headers_cors(const struct edge *e, struct edge_headers *h, struct str origin,
                       bool is_allowed)
{
    if (!origin.n || !is_allowed)
        return;
    bool is_any = e->is_any_origin_allowed;
    edge_headers_add(h, "Access-Control-Allow-Origin", is_any ? STR("*") : origin);
    edge_headers_add(h, "Access-Control-Expose-Headers", strbuf_str(&e->cors_gives));
    edge_headers_add(h, "Vary", STR("Origin"));
    if (!is_any)
        edge_headers_add(h, "Access-Control-Allow-Credentials", STR("true"));
}

void edge_headers_options(const struct edge *e, struct edge_headers *h, const char *allow,
                          bool is_allowed)
{
    edge_headers_add(h, "Allow", str_from(allow));
    if (!is_allowed)
        return;
    edge_headers_add(h, "Access-Control-Allow-Methods", str_from(allow));
    edge_headers_add(h, "Access-Control-Allow-Headers", strbuf_str(&e->cors_takes));
    edge_headers_add(h, "Access-Control-Max-Age", STR("600"));
}

void edge_headers_row(struct edge_headers *h, const struct edge_target *t,
                      const ProtobufCMessage *reply, struct arena *arena)
{
    const struct edge_header *gives = t ? t->route->gives : NULL;
    for (size_t i = 0; gives && gives[i].name; i++) {
        const ProtobufCFieldDescriptor *f = t->gives[i];
        if (!f)
            edge_headers_add(h, gives[i].name, str_from(gives[i].value));
        if (!f || !reply || !edge_message_has(reply, f))
            continue;
        const void *at = (const char *)reply + f->offset;
        edge_headers_add(
            h, gives[i].name,
            str_from(f->type == PROTOBUF_C_TYPE_STRING
                         ? *(char *const *)at
                         : arena_printf(arena, "%lld", (long long)*(const int64_t *)at)));
    }
}

/* ---- errors ---- */

void edge_error_body(struct strbuf *out, const char *code, const char *message,
                     const char *request_id)
{
    strbuf_adds(out, "{\"error\":{\"code\":");
    strbuf_add_json(out, str_from(code));
    strbuf_adds(out, ",\"message\":");
    strbuf_add_json(out, str_from(message));
    strbuf_adds(out, ",\"request_id\":");
    strbuf_add_json(out, str_from(request_id ? request_id : ""));
    strbuf_adds(out, "}}");
}

/* Headers and body of an error; `retry` is the caller's storage. */
static void write_failure(struct edge_headers *h, struct strbuf *body, char retry[24], enum err err,
                          const char *message, int64_t retry_after_ms, const char *request_id)
{
    if (err == ERR_UNAUTHENTICATED)
        edge_headers_add(h, "WWW-Authenticate", STR("Bearer"));
    if (retry_after_ms > 0 || err == ERR_UNAVAILABLE || err == ERR_RESOURCE_EXHAUSTED) {
        int64_t seconds = MAX((retry_after_ms + 999) / 1000, (int64_t)1);
        snprintf(retry, 24, "%lld", (long long)seconds);
        edge_headers_add(h, "Retry-After", str_from(retry));
    }
    edge_error_body(body, err_name(err), message && message[0] ? message : err_text(err),
                    request_id);
}

/* Borrows both. */
static struct http_response error_document(int status, const struct edge_headers *h,
                                           const struct strbuf *body)
{
    return (struct http_response){.status = status,
                                  .content_type = "application/json",
                                  .headers = h->list,
                                  .header_count = h->count,
                                  .body = strbuf_str(body),
                                  .flags = HTTP_RESPONSE_NO_STORE};
}

void edge_reply_error(struct edge *e, struct http_request *req, enum err err, const char *message)
{
    struct edge_headers h = {0};
    struct strbuf body = {0};
    char retry[24];
    struct str origin = http_request_header(req, "Origin");
    edge_headers_cors(e, &h, origin, origin.n && edge_origin_is_allowed(e, origin, req));
    write_failure(&h, &body, retry, err, message, 0, req->id);
    struct http_response document = error_document(err_http_status(err), &h, &body);
    http_respond(req, &document);
    strbuf_deinit(&body);
}

void edge_reply_wrong_method(struct edge *e, struct http_request *req, const char *allow)
{
    struct edge_headers h = {0};
    struct strbuf body = {0};
    struct str origin = http_request_header(req, "Origin");
    edge_headers_cors(e, &h, origin, origin.n && edge_origin_is_allowed(e, origin, req));
    edge_headers_add(&h, "Allow", str_from(allow));
    edge_error_body(&body, "method_not_allowed", "That method is not answered here; see Allow.",
                    req->id);
    struct http_response document = error_document(405, &h, &body);
    http_respond(req, &document);
    strbuf_deinit(&body);
}

void edge_reply_failure(struct edge_job *j, enum err err, const char *message,
                        int64_t retry_after_ms)
{
    struct edge_headers h = {0};
    struct strbuf body = {0};
    char retry[24];
    /* After the deadline the handler may still be writing to the call. */
    bool is_exact = err != ERR_DEADLINE_EXCEEDED && j->call->http_status;
    int status = is_exact ? j->call->http_status : err_http_status(err);
    edge_headers_cors(j->edge, &h, j->origin, j->is_origin_allowed);
    edge_headers_row(&h, j->match.target, NULL, NULL);
    write_failure(&h, &body, retry, err, message, retry_after_ms, j->call->request_id);
    struct http_response document = error_document(status, &h, &body);
    http_ticket_respond(j->ticket, &document);
    strbuf_deinit(&body);
    edge_count(j, status);
}

/* ---- replies ---- */

static const char *text_of(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    return f && f->type == PROTOBUF_C_TYPE_STRING ? *(char *const *)((const char *)m + f->offset)
                                                  : "";
}

/* A file by itself. It may be somebody's upload: never run as a page of ours. */
static void write_raw(const struct edge_target *t, const ProtobufCMessage *reply,
                      struct edge_headers *h, struct strbuf *name, struct http_response *res)
{
    const ProtobufCBinaryData *data =
        (const ProtobufCBinaryData *)((const char *)reply + t->raw_bytes->offset);
    const char *file_name = text_of(reply, t->raw_name);
    res->content_type = text_of(reply, t->raw_type);
    res->body = (struct str){data->data ? (const char *)data->data : "", data->len};
    edge_headers_add(h, "Content-Security-Policy", STR("default-src 'none'; sandbox"));
    if (file_name[0])
        edge_headers_add(h, "Content-Disposition", edge_disposition(file_name, false, name));
    /* The address of such a file carries its version, so what it names never changes. */
    if (rpc_field_find(t->request, STR("version"))) {
        edge_headers_add(h, "Cache-Control", STR("private, max-age=31536000, immutable"));
        res->flags &= ~(unsigned)HTTP_RESPONSE_NO_STORE;
    }
}

void edge_reply_message(struct edge_job *j, const ProtobufCMessage *reply)
{
    const struct edge_target *t = j->match.target;
    struct edge_headers h = {0};
    struct strbuf text = {0};
    struct arena *scratch = NULL;
    struct http_response res = {.status = t->route->ok_status ? t->route->ok_status : 200,
                                .flags = HTTP_RESPONSE_NO_STORE};
    if (t->route->gives || (t->route->flags & EDGE_COOKIE_SET))
        scratch = arena_create();
    edge_headers_row(&h, t, reply, scratch);
    if (strcmp(t->route->method, "OPTIONS") == 0)
        edge_headers_options(j->edge, &h, j->match.allow, j->is_origin_allowed);
    edge_headers_cors(j->edge, &h, j->origin, j->is_origin_allowed);
    if (t->route->flags & EDGE_COOKIE_SET)
        edge_cookie_set(&h, reply, j->client.is_tls, scratch);
    if (t->route->flags & EDGE_COOKIE_CLEAR) {
        edge_cookie_clear(&h, j->client.is_tls);
        edge_tokens_forget(j->edge->tokens); /* the event says so too, a little later */
    }
    if (t->route->flags & EDGE_RAW_REPLY) {
        write_raw(t, reply, &h, &text, &res);
    } else if (res.status != 204) {
        strbuf_reserve(&text, JSON_FIRST_BYTES); /* most replies fit: no growing in steps */
        rpc_json_write(&text, reply);
        res.content_type = "application/json";
        res.body = strbuf_str(&text);
    }
    res.headers = h.list;
    res.header_count = h.count;
    http_ticket_respond(j->ticket, &res);
    strbuf_deinit(&text);
    arena_destroy(&scratch);
    edge_count(j, res.status);
}
