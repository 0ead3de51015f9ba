/* The paths that every process answers by itself: alive, ready, measured, described. */
#include "core/loop.h"
#include "edge/edge_internal.h"

static void reply_json(struct http_request *req, int status, const struct strbuf *body)
{
    http_respond(req, &(struct http_response){.status = status,
                                              .content_type = "application/json",
                                              .body = strbuf_str(body),
                                              .flags = HTTP_RESPONSE_NO_STORE});
}

static void on_health(struct edge *e UNUSED, struct http_request *req)
{
    http_respond(req, &(struct http_response){.content_type = "application/json",
                                              .body = STR("{\"status\":\"ok\"}"),
                                              .release = http_release_none});
}

static void on_ready(struct edge *e, struct http_request *req)
{
    struct strbuf body = {0};
    bool is_ready = !e->is_draining, is_whole = true;
    strbuf_adds(&body, "{\"checks\":{");
    for (size_t i = 0; i < e->opt.check_count; i++) {
        bool is_ok = e->checks[i].is_ready(e->checks[i].arg);
        is_whole = is_whole && is_ok;
        is_ready = is_ready && (is_ok || e->checks[i].is_spare);
        strbuf_adds(&body, i ? "," : "");
        strbuf_add_json(&body, str_from(e->checks[i].name));
        strbuf_printf(&body, ":%s", is_ok ? "true" : "false");
    }
    strbuf_printf(&body, "},\"status\":\"%s\"}",
                  e->is_draining ? "draining"
                  : !is_ready    ? "not_ready"
                  : is_whole     ? "ready"
                                 : "degraded");
    reply_json(req, is_ready ? 200 : 503, &body);
    strbuf_deinit(&body);
}

static void reply_metrics(struct http_request *req)
{
    struct strbuf text = {0};
    metric_write_prometheus(&text);
    http_respond(req,
                 &(struct http_response){.content_type = "text/plain; version=0.0.4; charset=utf-8",
                                         .body = strbuf_str(&text),
                                         .flags = HTTP_RESPONSE_NO_STORE});
    strbuf_deinit(&text);
}

/* From this machine or a private network, by nobody who merely stands between. */
static bool is_near(const struct edge *e, const struct http_request *req)
{
    struct edge_client client = edge_client_of(e, req);
    struct sockaddr_storage ss;
    if (client.is_forwarded)
        return false;
    if (req->is_local && client.address.family == AF_UNIX)
        return true;
    if (!net_address_to(&client.address, &ss))
        return false;
    enum guard_kind kind = guard_classify((struct sockaddr *)&ss);
    return kind == GUARD_LOOPBACK || kind == GUARD_PRIVATE;
}

static void on_metrics_asked(struct edge_job *j, struct http_request *req)
{
    if (j->is_known && j->who.role == ROLE_ADMIN && !j->rights.scopes[0])
        reply_metrics(req);
    else
        edge_reply_error(j->edge, req, j->is_known ? ERR_PERMISSION_DENIED : ERR_UNAUTHENTICATED,
                         "Metrics are for private networks and administrators.");
    edge_job_destroy(j);
}

static void on_metrics(struct edge *e, struct http_request *req)
{
    if (e->opt.is_measured_apart)
        edge_reply_error(e, req, ERR_NOT_FOUND, "Metrics are on the management port.");
    else if (e->opt.are_metrics_public || is_near(e, req))
        reply_metrics(req);
    else
        edge_job_start(e, req, on_metrics_asked);
}

/* Whoever reaches this address may know. */
static void on_measured(struct edge *e UNUSED, struct http_request *req)
{
    reply_metrics(req);
}

static void on_openapi(struct edge *e, struct http_request *req)
{
    reply_json(req, 200, &e->openapi);
}

static void on_asyncapi(struct edge *e, struct http_request *req)
{
    reply_json(req, 200, &e->asyncapi);
}

struct builtin {
    struct str path;
    void (*fn)(struct edge *e, struct http_request *req);
};

static const struct builtin builtins[] = {
    {{"/health", 7}, on_health},           {{"/ready", 6}, on_ready},
    {{"/metrics", 8}, on_metrics},         {{"/openapi.json", 13}, on_openapi},
    {{"/asyncapi.json", 14}, on_asyncapi},
};

static const struct builtin management[] = {
    {{"/health", 7}, on_health},
    {{"/ready", 6}, on_ready},
    {{"/metrics", 8}, on_measured},
};

static bool answer(struct edge *e, struct http_request *req, const struct builtin *list,
                   size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!str_eq(req->path, list[i].path))
            continue;
        if (req->method != HTTP_METHOD_GET && req->method != HTTP_METHOD_HEAD)
            edge_reply_wrong_method(e, req, "GET, HEAD");
        else
            list[i].fn(e, req);
        return true;
    }
    return false;
}

bool edge_builtin(struct edge *e, struct http_request *req)
{
    return answer(e, req, builtins, ARRAY_LEN(builtins));
}

void edge_manage(struct edge *e, struct http_request *req)
{
    if (!answer(e, req, management, ARRAY_LEN(management)))
        edge_reply_error(e, req, ERR_NOT_FOUND, "Here are /health, /ready and /metrics.");
}
