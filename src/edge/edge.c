/*
 * edge: what a request meets first. Built-in paths, WebSockets, rows of the API, and, for
 * everything else that is asked by GET, the web client. Creation and the order of these is all that
 * stands here.
 */
#include "core/live.h"
#include "edge/edge_internal.h"
#include "net/static.h"

#define CSP                                                                             \
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: blob:; "     \
    "media-src 'self' blob: mediastream:; worker-src 'self' blob:; object-src 'none'; " \
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
#define COMMON_HEADERS                    \
    "X-Content-Type-Options: nosniff\r\n" \
    "Referrer-Policy: same-origin\r\n"    \
    "X-Frame-Options: DENY\r\n"           \
    "Permissions-Policy: camera=(self), microphone=(self), display-capture=(self)\r\n"
#define TLS_HEADERS "Strict-Transport-Security: max-age=31536000\r\n"

static const char no_web_page[] =
    "<!doctype html><meta charset=utf-8><title>Parlance</title>"
    "<p>Parlance runs. It was built without its web client, because Node was not there; "
    "install nodejs and npm, then run make build.";

/* ---- preflight ---- */

static void on_options(struct edge *e, struct http_request *req, const struct edge_match *match)
{
    struct edge_headers h = {0};
    struct str origin = http_request_header(req, "Origin");
    bool is_allowed = origin.n && edge_origin_is_allowed(e, origin, req);
    edge_headers_cors(e, &h, origin, is_allowed);
    edge_headers_options(e, &h, match->allow, is_allowed);
    http_respond(
        req, &(struct http_response){.status = 204, .headers = h.list, .header_count = h.count});
}

static bool is_api(struct str path)
{
    return str_starts(path, STR("/api/")) || str_starts(path, STR("/ws/")) ||
           str_eq(path, STR("/api")) || str_eq(path, STR("/ws"));
}

static void on_page(struct edge *e, struct http_request *req)
{
    static const struct http_header csp = {{"Content-Security-Policy", 23}, {CSP, sizeof(CSP) - 1}};
    bool is_get = req->method == HTTP_METHOD_GET || req->method == HTTP_METHOD_HEAD;
    struct static_options opt = {.headers = &csp, .header_count = 1};
    if (!is_get || is_api(req->path)) {
        edge_reply_error(e, req, ERR_NOT_FOUND, "There is nothing at this path.");
    } else if (!e->opt.web) {
        http_respond(req, &(struct http_response){.content_type = "text/html; charset=utf-8",
                                                  .headers = &csp,
                                                  .header_count = 1,
                                                  .body = {no_web_page, sizeof(no_web_page) - 1},
                                                  .release = http_release_none});
    } else if (!static_serve(e->opt.web, &opt, req)) {
        edge_reply_error(e, req, ERR_NOT_FOUND, "There is no such page.");
    }
}

/* ---- dispatch ---- */

static const struct edge_ws_row *find_ws(const struct edge *e, struct str path)
{
    for (size_t i = 0; i < e->opt.ws_row_count; i++) {
        if (str_eq(path, str_from(e->ws_rows[i].path)))
            return &e->ws_rows[i];
    }
    return NULL;
}

static void on_request(void *arg, struct http_request *req)
{
    struct edge *e = arg;
    if (edge_builtin(e, req))
        return;
    const struct edge_ws_row *ws = find_ws(e, req->path);
    if (ws) {
        if (ws->fn)
            edge_ws_start(e, req, ws);
        else
            edge_reply_error(e, req, ERR_UNIMPLEMENTED, ws->elsewhere);
        return;
    }
    struct edge_match match;
    edge_router_match(e->router, req->method, req->path, &match);
    if (match.target)
        edge_request_start(e, req, &match);
    else if (match.is_known_path && req->method == HTTP_METHOD_OPTIONS)
        on_options(e, req, &match);
    else if (match.is_known_path)
        edge_reply_wrong_method(e, req, match.allow);
    else
        on_page(e, req);
}

/* Before the body is read: how much of it this row takes. Who has no token need not send much. */
static void on_headers(void *arg, struct http_request *req)
{
    struct edge *e = arg;
    struct edge_match match;
    edge_router_match(e->router, req->method, req->path, &match);
    const struct edge_route *route = match.target ? match.target->route : NULL;
    size_t most = route && route->body_max_bytes ? route->body_max_bytes : EDGE_BODY_DEFAULT_BYTES;
    bool is_open = !route || route->who == EDGE_WHO_ANYONE;
    if (most > EDGE_BODY_DEFAULT_BYTES && !is_open && !http_request_header(req, "Authorization").p)
        edge_reply_error(e, req, ERR_UNAUTHENTICATED, NULL);
    else
        req->body_max_bytes = most;
    req->body_part_bytes = route ? route->part_bytes : 0;
}

static void on_abort(void *arg, struct http_request *req)
{
    struct edge *e = arg;
    struct edge_match match;
    edge_router_match(e->router, req->method, req->path, &match);
    if (match.target && match.target->route->part_bytes)
        edge_request_abort(e, req, &match);
}

static void write_error(void *arg UNUSED, int status UNUSED, const char *code, const char *message,
                        const char *request_id, struct strbuf *body)
{
    edge_error_body(body, code, message, request_id);
}

struct http_options edge_http_options(struct edge *edge, bool is_tls)
{
    return (struct http_options){
        .on_request = on_request,
        .on_headers = on_headers,
        .on_abort = on_abort,
        .write_error = write_error,
        .arg = edge,
        .fixed_headers = is_tls ? COMMON_HEADERS TLS_HEADERS : COMMON_HEADERS,
        .body_max_bytes = EDGE_BODY_DEFAULT_BYTES,
    };
}

static void on_management(void *arg, struct http_request *req)
{
    edge_manage(arg, req);
}

struct http_options edge_management_options(struct edge *edge)
{
    return (struct http_options){
        .on_request = on_management,
        .write_error = write_error,
        .arg = edge,
        .fixed_headers = COMMON_HEADERS,
        .body_max_bytes = 1024,
    };
}

/* ---- life ---- */

static void on_auth_event(void *arg, const struct bus_event *event UNUSED)
{
    struct edge *e = arg;
    edge_tokens_forget(e->tokens);
}

static void *copy_array(const void *from, size_t count, size_t size)
{
    void *copy = mem_zalloc(count * size + 1);
    if (count)
        memcpy(copy, from, count * size);
    return copy;
}

static void write_openapi(struct edge *e, const struct edge_options *opt)
{
    const struct edge_route_table **tables = mem_zalloc(opt->mount_count * sizeof(*tables) + 1);
    for (size_t i = 0; i < opt->mount_count; i++)
        tables[i] = opt->mounts[i].table;
    edge_openapi_write(&e->openapi, tables, opt->mount_count, opt->version);
    free(tables);
    edge_asyncapi_write(&e->asyncapi, opt->sockets, opt->socket_count, opt->version);
}

/* Each name once. */
static void add_names(struct strbuf *list, const struct edge_header *headers)
{
    for (; headers && headers->name; headers++) {
        struct str rest = strbuf_str(list);
        struct str name;
        bool is_there = false;
        for (bool is_more = true; is_more && !is_there;) {
            is_more = str_cut(&rest, ',', &name);
            is_there = str_eq(str_trim(name), str_from(headers->name));
        }
        if (!is_there)
            strbuf_printf(list, ", %s", headers->name);
    }
}

static void collect_headers(struct edge *e, const struct edge_options *opt)
{
    strbuf_adds(&e->cors_takes, "Authorization, Content-Type, X-CSRF-Token, X-Request-Id, Range, "
                                "If-Range, If-None-Match");
    strbuf_adds(&e->cors_gives, "X-Request-Id, Retry-After, ETag, Content-Range, Accept-Ranges, "
                                "Content-Disposition");
    for (size_t i = 0; i < opt->mount_count; i++) {
        const struct edge_route_table *table = opt->mounts[i].table;
        for (size_t r = 0; r < table->count; r++) {
            add_names(&e->cors_takes, table->routes[r].takes);
            add_names(&e->cors_gives, table->routes[r].gives);
        }
    }
}

static enum err parse_proxies(struct edge *e, const struct edge_options *opt)
{
    e->proxies = mem_zalloc(opt->trusted_proxy_count * sizeof(*e->proxies) + 1);
    for (size_t i = 0; i < opt->trusted_proxy_count; i++) {
        if (!guard_range_parse(str_from(opt->trusted_proxies[i]), &e->proxies[i])) {
            log_error(NULL, "trusted proxies: \"%s\" is no address or range like 10.0.0.0/8",
                      opt->trusted_proxies[i]);
            return ERR_INVALID_ARGUMENT;
        }
        e->proxy_count++;
    }
    return ERR_OK;
}

static void copy_origins(struct edge *e, const struct edge_options *opt)
{
    e->origins = mem_zalloc((opt->allowed_origin_count + 1) * sizeof(*e->origins));
    for (size_t i = 0; i < opt->allowed_origin_count; i++) {
        e->origins[i] = mem_strdup(opt->allowed_origins[i]);
        e->is_any_origin_allowed |= strcmp(e->origins[i], "*") == 0;
    }
}

enum err edge_create(struct edge **out, const struct edge_options *opt)
{
    struct edge *e = mem_zalloc(sizeof(*e));
    e->opt = *opt;
    atomic_init(&e->jobs, 1);
    sem_init(&e->ended, 0, 0);
    e->ws_rows = copy_array(opt->ws_rows, opt->ws_row_count, sizeof(*opt->ws_rows));
    e->checks = copy_array(opt->checks, opt->check_count, sizeof(*opt->checks));
    copy_origins(e, opt);
    collect_headers(e, opt);
    e->tokens = edge_tokens_create();
    e->limits = edge_limits_create();
    if (opt->cache && cache_is_shared(opt->cache))
        e->together = edge_together_create(opt->cache, e->limits);
    e->subscription = bus_subscribe(opt->bus, "auth_events", "edge", on_auth_event, e);
    e->gap_subscription = bus_on_gap(opt->bus, "edge", on_auth_event, e);
    if (opt->auth) {
        e->validate_method = (unsigned)rpc_method_find(opt->auth->descriptor, "ValidateToken");
        e->signature_method = (unsigned)rpc_method_find(opt->auth->descriptor, "ValidateSignature");
    }
    enum err err = parse_proxies(e, opt);
    if (!err)
        err = edge_router_create(&e->router, opt->mounts, opt->mount_count);
    if (!err && opt->blob && blob_is_remote(opt->blob))
        err = worker_pool_create(&e->blob_pool,
                                 &(struct worker_options){.name = "blob", .thread_count = 8});
    if (err) {
        edge_destroy(&e);
        return err;
    }
    write_openapi(e, opt);
    *out = e;
    return ERR_OK;
}

void edge_job_ended(struct edge *e)
{
    if (atomic_fetch_sub(&e->jobs, 1) == 1)
        sem_post(&e->ended);
}

void edge_set_rate_limited(struct edge *edge, bool is_rate_limited)
{
    LIVE_SET(edge->opt.is_rate_limited, is_rate_limited);
}

void edge_drain(struct edge *edge)
{
    edge->is_draining = true;
}

void edge_destroy(struct edge **edge)
{
    struct edge *e = *edge;
    *edge = NULL;
    if (!e)
        return;
    bus_unsubscribe(e->opt.bus, e->subscription);
    bus_unsubscribe(e->opt.bus, e->gap_subscription);
    /* An answer may be out, and its worker still counting it. */
    edge_job_ended(e);
    while (sem_wait(&e->ended) != 0)
        ;
    sem_destroy(&e->ended);
    worker_pool_destroy(&e->blob_pool);
    edge_router_destroy(&e->router);
    edge_tokens_destroy(&e->tokens);
    edge_together_destroy(&e->together);
    edge_limits_destroy(&e->limits);
    free(e->proxies);
    for (size_t i = 0; e->origins[i]; i++)
        free(e->origins[i]);
    free(e->origins);
    free(e->ws_rows);
    free(e->checks);
    strbuf_deinit(&e->openapi);
    strbuf_deinit(&e->asyncapi);
    strbuf_deinit(&e->cors_takes);
    strbuf_deinit(&e->cors_gives);
    free(e);
}
