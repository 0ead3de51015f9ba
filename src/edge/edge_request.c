/*
 * A row's request: who asks (a token remembered, or validated by auth), may they, how often, what
 * do they ask (path, query and body into the row's message), then the service, asynchronously, and
 * its reply as JSON from whatever thread it comes. The loop never waits.
 */
#include <string.h>

#include "edge/edge_internal.h"

#include "auth.pb-c.h"

static struct metric requests_total =
    METRIC_COUNTER("parlance_http_api_requests_total", "API requests answered.", "route", "status");

/* One request on its way. Lives in its call's arena. */
struct job {
    struct edge *edge;
    struct net_ticket ticket;
    const struct edge_ws_row *ws_row; /* NULL: a row of the API */
    struct edge_match match;
    struct rpc_call *call;
    struct rpc_call *validation;
    struct str token;
    unsigned token_epoch;
    struct identity who;
    bool is_known; /* signed in */
    bool is_tls;
    bool is_origin_allowed;
    struct str origin;
    int64_t start_us;
    enum err err; /* of the validation */
};

bool edge_bearer(const struct http_request *req, struct str *token)
{
    *token = STR_NULL;
    struct str header = str_trim(http_request_header(req, "Authorization"));
    if (!header.n)
        return true;
    struct str scheme;
    if (!str_cut(&header, ' ', &scheme) || !str_eq_nocase(scheme, STR("Bearer")))
        return false;
    *token = str_trim(header);
    return token->n > 0 && token->n <= EDGE_TOKEN_MAX;
}

static struct job *job_create(struct edge *e, struct http_request *req)
{
    struct rpc_call *call = rpc_call_create(NULL);
    struct job *j = arena_new(call->arena, struct job);
    j->edge = e;
    j->call = call;
    j->ticket = http_request_ticket(req);
    j->is_tls = req->is_tls;
    j->start_us = clock_mono_us();
    struct str origin = http_request_header(req, "Origin");
    j->origin = (struct str){str_arena(call->arena, origin), origin.n};
    j->is_origin_allowed = origin.n && edge_origin_is_allowed(e, origin, req);
    call->user = j;
    call->request_id = arena_strdup(call->arena, req->id);
    call->remote_addr = arena_strdup(call->arena, http_request_remote(req));
    call->user_agent =
        str_arena(call->arena, str_sub(http_request_header(req, "User-Agent"), 0, 300));
    call->traceparent =
        str_arena(call->arena, str_sub(http_request_header(req, "traceparent"), 0, 60));
    return j;
}

static void job_destroy(struct job *j)
{
    struct rpc_call *call = j->call;
    rpc_call_unref(&call);
}

static void count(const struct job *j, int status)
{
    if (!j->match.target)
        return;
    char text[8];
    snprintf(text, sizeof(text), "%d", status);
    metric_cell_add(metric_cell(&requests_total, j->match.target->route->path, text, NULL), 1);
    metric_cell_observe(j->match.target->seconds, (double)(clock_mono_us() - j->start_us) / 1e6);
}

/* ---- replies, from any thread ---- */

static void reply_failure(struct job *j, enum err err, const char *message, int64_t retry_after_ms)
{
    struct edge_headers h = {0};
    struct strbuf body = {0};
    char retry[24];
    edge_headers_cors(j->edge, &h, j->origin, j->is_origin_allowed);
    if (err == ERR_UNAUTHENTICATED)
        edge_headers_add(&h, "WWW-Authenticate", STR("Bearer"));
    if (retry_after_ms > 0 || err == ERR_UNAVAILABLE || err == ERR_RESOURCE_EXHAUSTED) {
        snprintf(retry, sizeof(retry), "%lld",
                 (long long)MAX((retry_after_ms + 999) / 1000, (int64_t)1));
        edge_headers_add(&h, "Retry-After", str_from(retry));
    }
    edge_error_body(&body, err_name(err), message && message[0] ? message : err_text(err),
                    j->call->request_id);
    int status = err_http_status(err);
    http_ticket_respond(j->ticket, &(struct http_response){.status = status,
                                                           .content_type = "application/json",
                                                           .headers = h.list,
                                                           .header_count = h.count,
                                                           .body = strbuf_str(&body),
                                                           .flags = HTTP_RESPONSE_NO_STORE});
    strbuf_deinit(&body);
    count(j, status);
}

/* content_type, and the first bytes field, of a reply that is a file by itself. */
static bool raw_of(const ProtobufCMessage *reply, const char **content_type, struct str *bytes)
{
    const ProtobufCFieldDescriptor *type = rpc_field_find(reply->descriptor, STR("content_type"));
    *bytes = STR_NULL;
    for (unsigned i = 0; i < reply->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &reply->descriptor->fields[i];
        if (f->type == PROTOBUF_C_TYPE_BYTES && !bytes->p) {
            const ProtobufCBinaryData *data =
                (const ProtobufCBinaryData *)((const char *)reply + f->offset);
            *bytes = (struct str){data->data ? (const char *)data->data : "", data->len};
        }
    }
    if (!type || !bytes->p)
        return false;
    *content_type = *(char *const *)((const char *)reply + type->offset);
    return true;
}

static void reply_message(struct job *j, const ProtobufCMessage *reply)
{
    const struct edge_route *route = j->match.target->route;
    struct arena *arena = arena_create();
    struct edge_headers h = {0};
    struct strbuf json = {0};
    struct http_response response = {.status = route->ok_status ? route->ok_status : 200,
                                     .content_type = "application/json",
                                     .flags = HTTP_RESPONSE_NO_STORE};
    edge_headers_cors(j->edge, &h, j->origin, j->is_origin_allowed);
    if (route->flags & EDGE_COOKIE_SET)
        edge_cookie_set(&h, reply, j->is_tls, arena);
    if (route->flags & EDGE_COOKIE_CLEAR)
        edge_cookie_clear(&h, j->is_tls);
    if ((route->flags & EDGE_RAW_REPLY) && raw_of(reply, &response.content_type, &response.body)) {
        /* Somebody's upload: never run as a page of ours. */
        edge_headers_add(&h, "Content-Security-Policy", STR("default-src 'none'; sandbox"));
    } else {
        rpc_json_write(&json, reply);
        response.body = strbuf_str(&json);
    }
    response.headers = h.list;
    response.header_count = h.count;
    http_ticket_respond(j->ticket, &response);
    strbuf_deinit(&json);
    arena_destroy(&arena);
    count(j, response.status);
}

static void on_answer(const ProtobufCMessage *reply, struct rpc_call *call)
{
    struct job *j = call->user;
    if (reply)
        reply_message(j, reply);
    else
        reply_failure(j, call->err, call->message, call->retry_after_ms);
    job_destroy(j);
}

/* ---- the question ---- */

static bool set_params(struct job *j, ProtobufCMessage *message, struct strbuf *problem)
{
    for (size_t i = 0; i < j->match.param_count; i++) {
        struct strbuf text = {0};
        bool is_ok = http_percent_decode(j->match.values[i], HTTP_DECODE_PATH, &text);
        if (!is_ok)
            strbuf_adds(problem, "the path is not properly encoded");
        else
            is_ok = rpc_field_set(message, j->match.names[i], strbuf_str(&text), j->call->arena,
                                  problem);
        strbuf_deinit(&text);
        if (!is_ok)
            return false;
    }
    return true;
}

static bool set_query(struct job *j, struct str query, ProtobufCMessage *message,
                      struct strbuf *problem)
{
    struct str pair;
    for (bool is_more = query.n > 0; is_more;) {
        is_more = str_cut(&query, '&', &pair);
        if (!pair.n)
            continue;
        struct str raw_key;
        struct strbuf key = {0};
        struct strbuf value = {0};
        bool has_value = str_cut(&pair, '=', &raw_key);
        bool is_ok = http_percent_decode(raw_key, HTTP_DECODE_QUERY, &key) &&
                     (!has_value || http_percent_decode(pair, HTTP_DECODE_QUERY, &value));
        if (!is_ok)
            strbuf_adds(problem, "the query is not properly encoded");
        else
            is_ok = rpc_field_set(message, strbuf_str(&key), strbuf_str(&value), j->call->arena,
                                  problem);
        strbuf_deinit(&key);
        strbuf_deinit(&value);
        if (!is_ok)
            return false;
    }
    return true;
}

static bool set_raw(struct job *j, struct str body, ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *f =
        rpc_field_find(message->descriptor, str_from(j->match.target->route->raw_field));
    if (!f || f->type != PROTOBUF_C_TYPE_BYTES)
        return false;
    ProtobufCBinaryData *data = (ProtobufCBinaryData *)((char *)message + f->offset);
    data->len = body.n;
    data->data = arena_memdup(j->call->arena, body.p, body.n);
    return true;
}

/* The row's message, or NULL with the problem. */
static ProtobufCMessage *read_message(struct job *j, struct http_request *req,
                                      struct strbuf *problem)
{
    const struct edge_target *t = j->match.target;
    bool is_raw = t->route->flags & EDGE_RAW_BODY;
    bool has_body =
        req->body.n > 0 && req->method != HTTP_METHOD_GET && req->method != HTTP_METHOD_HEAD;
    ProtobufCMessage *message = has_body && !is_raw
                                    ? rpc_json_parse(t->request, req->body, j->call->arena, problem)
                                    : rpc_message_create(t->request, j->call->arena);
    if (!message)
        return NULL;
    if (is_raw && !set_raw(j, req->body, message)) {
        strbuf_adds(problem, "no body is expected here");
        return NULL;
    }
    if (!set_query(j, req->query, message, problem) || !set_params(j, message, problem))
        return NULL;
    if (t->route->flags & EDGE_COOKIE_USE)
        edge_cookie_use(req, message, j->call->arena);
    return message;
}

static enum err check_who(const struct job *j)
{
    enum edge_who who = j->match.target->route->who;
    enum identity_role role = j->is_known ? j->who.role : ROLE_NONE;
    if (who == EDGE_WHO_ANYONE)
        return ERR_OK;
    if (role == ROLE_NONE)
        return ERR_UNAUTHENTICATED;
    enum identity_role least = who == EDGE_WHO_ADMIN  ? ROLE_ADMIN
                               : who == EDGE_WHO_USER ? ROLE_USER
                                                      : ROLE_GUEST;
    return role >= least ? ERR_OK : ERR_PERMISSION_DENIED;
}

/* A window of a minute per row and person (or address). */
static enum err check_rate(const struct job *j)
{
    const struct edge_route *route = j->match.target->route;
    if (!j->edge->opt.is_rate_limited)
        return ERR_OK;
    int most = route->rate_per_minute ? route->rate_per_minute : EDGE_RATE_DEFAULT;
    char key[200];
    snprintf(key, sizeof(key), "rate:%p:%s", (const void *)route,
             j->is_known ? j->who.user_id : j->call->remote_addr);
    int64_t value;
    enum err err = cache_increment(j->edge->opt.cache, str_from(key), 1, 60 * 1000, &value);
    return !err && value > most ? ERR_RESOURCE_EXHAUSTED : ERR_OK; /* no cache: no limit */
}

/* On the request's loop, with the identity known. */
static void job_ask(struct job *j, struct http_request *req)
{
    enum err err = check_who(j);
    if (!err)
        err = check_rate(j);
    if (err) {
        reply_failure(j, err,
                      err == ERR_RESOURCE_EXHAUSTED ? "Too many requests; wait a little." : NULL,
                      err == ERR_RESOURCE_EXHAUSTED ? 60 * 1000 : 0);
        job_destroy(j);
        return;
    }
    struct strbuf problem = {0};
    ProtobufCMessage *message = read_message(j, req, &problem);
    if (!message) {
        reply_failure(j, ERR_INVALID_ARGUMENT, problem.p, 0);
        strbuf_deinit(&problem);
        job_destroy(j);
        return;
    }
    strbuf_deinit(&problem);
    /* Somebody unknown is still somebody: only the system itself has no identity. */
    j->call->who = &j->who;
    j->call->is_idempotent =
        j->match.target->route->is_idempotent || req->method == HTTP_METHOD_GET;
    rpc_async(j->match.target->service, j->match.target->method, message, j->call, on_answer,
              RPC_REQUEST_IN_ARENA);
}

static void ws_open(struct job *j, struct http_request *req)
{
    j->ws_row->fn(j->ws_row->arg, req, j->is_known ? &j->who : NULL, edge_origin_is_allowed,
                  j->edge);
    job_destroy(j);
}

/* ---- who asks ---- */

static void job_continue(struct job *j, struct http_request *req)
{
    if (j->ws_row)
        ws_open(j, req);
    else
        job_ask(j, req);
}

static void on_validated_loop(void *arg)
{
    struct job *j = arg;
    struct http_request *req = http_ticket_find(j->ticket);
    if (req && j->err == ERR_OK) {
        job_continue(j, req);
        return;
    }
    if (req) {
        bool is_refused = j->err == ERR_UNAUTHENTICATED || j->err == ERR_INVALID_ARGUMENT;
        reply_failure(j, is_refused ? ERR_UNAUTHENTICATED : j->err,
                      is_refused ? "The token is not valid (any more)." : NULL, 0);
    }
    job_destroy(j);
}

static void on_validated(const ProtobufCMessage *reply, struct rpc_call *call)
{
    struct job *j = call->user;
    const Auth__ValidateTokenReply *r = (const Auth__ValidateTokenReply *)reply;
    j->err = reply ? ERR_OK : call->err;
    if (r) {
        j->is_known = true;
        j->who.role = (enum identity_role)r->role;
        snprintf(j->who.user_id, sizeof(j->who.user_id), "%s", r->user_id);
        snprintf(j->who.session_id, sizeof(j->who.session_id), "%s", r->session_id);
        snprintf(j->who.meeting_id, sizeof(j->who.meeting_id), "%s", r->meeting_id);
        snprintf(j->who.name, sizeof(j->who.name), "%s", r->name);
        edge_tokens_add(j->edge->tokens, j->token, &j->who, r->expires_at_ms, j->token_epoch);
    }
    rpc_call_unref(&call);
    net_ticket_post(j->ticket, on_validated_loop, j);
}

static void validate(struct job *j)
{
    struct edge *e = j->edge;
    struct rpc_call *call = rpc_call_create(NULL);
    call->user = j;
    call->request_id = j->call->request_id; /* the job outlives this call */
    call->is_idempotent = true;
    j->token_epoch = edge_tokens_epoch(e->tokens);
    Auth__ValidateTokenRequest request = AUTH__VALIDATE_TOKEN_REQUEST__INIT;
    request.token = (char *)j->token.p;
    rpc_async(e->opt.auth, e->validate_method, &request.base, call, on_validated, 0);
}

static void job_start(struct job *j, struct http_request *req)
{
    struct str token;
    if (!edge_bearer(req, &token)) {
        reply_failure(j, ERR_UNAUTHENTICATED, "Authorization: expected Bearer and a token.", 0);
        job_destroy(j);
        return;
    }
    if (!token.n || edge_tokens_find(j->edge->tokens, token, &j->who)) {
        j->is_known = token.n > 0;
        job_continue(j, req);
        return;
    }
    j->token = (struct str){str_arena(j->call->arena, token), token.n};
    validate(j);
}

void edge_request_start(struct edge *e, struct http_request *req, const struct edge_match *match)
{
    struct job *j = job_create(e, req);
    j->match = *match;
    for (size_t i = 0; i < match->param_count; i++) /* the path belongs to the request */
        j->match.values[i].p = str_arena(j->call->arena, match->values[i]);
    job_start(j, req);
}

void edge_ws_start(struct edge *e, struct http_request *req, const struct edge_ws_row *row)
{
    struct job *j = job_create(e, req);
    j->ws_row = row;
    job_start(j, req);
}
