/* Answers: headers that every answer carries by circumstance, and the one shape of errors. */
#include "edge/edge_internal.h"

void edge_headers_add(struct edge_headers *h, const char *name, struct str value)
{
    if (h->count < EDGE_HEADERS_MAX)
        h->list[h->count++] = (struct http_header){str_from(name), value};
}

static bool is_any_allowed(const struct edge *e)
{
    for (size_t i = 0; i < e->opt.allowed_origin_count; i++) {
        if (e->origins[i][0] == '*')
            return true;
    }
    return false;
}

void edge_headers_cors(struct edge *e, struct edge_headers *h, struct str origin, bool is_allowed)
{
    if (!origin.n || !is_allowed)
        return;
    bool is_any = is_any_allowed(e);
    edge_headers_add(h, "Access-Control-Allow-Origin", is_any ? STR("*") : origin);
    edge_headers_add(h, "Access-Control-Expose-Headers", STR("X-Request-Id, Retry-After"));
    edge_headers_add(h, "Vary", STR("Origin"));
    if (!is_any)
        edge_headers_add(h, "Access-Control-Allow-Credentials", STR("true"));
}

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

void edge_reply_error(struct edge *e, struct http_request *req, enum err err, const char *message)
{
    struct edge_headers h = {0};
    struct str origin = http_request_header(req, "Origin");
    edge_headers_cors(e, &h, origin, origin.n && edge_origin_is_allowed(e, origin, req));
    if (err == ERR_UNAUTHENTICATED)
        edge_headers_add(&h, "WWW-Authenticate", STR("Bearer"));
    if (err == ERR_UNAVAILABLE || err == ERR_RESOURCE_EXHAUSTED)
        edge_headers_add(&h, "Retry-After", err == ERR_UNAVAILABLE ? STR("1") : STR("60"));
    struct strbuf body = {0};
    edge_error_body(&body, err_name(err), message ? message : err_text(err), req->id);
    http_respond(req, &(struct http_response){.status = err_http_status(err),
                                              .content_type = "application/json",
                                              .headers = h.list,
                                              .header_count = h.count,
                                              .body = strbuf_str(&body),
                                              .flags = HTTP_RESPONSE_NO_STORE});
    strbuf_deinit(&body);
}
