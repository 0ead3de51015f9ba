/*
 * A row's request: who asks (a token remembered, or validated by auth), may they, how often, what
 * do they ask (path, query and body into the row's message), then the service, asynchronously, and
 * its reply as JSON from whatever thread it comes. The loop never waits.
 */
#include <string.h>

#include "edge/edge_internal.h"

#include "auth.pb-c.h"
#include "core/live.h"

/* What the Authorization header brings; n == 0: nothing. */
enum proof { PROOF_NONE, PROOF_TOKEN, PROOF_SIGNATURE, PROOF_MALFORMED };

static enum proof find_proof(const struct http_request *req, struct str *value)
{
    struct str header = str_trim(http_request_header(req, "Authorization"));
    struct str scheme;
    *value = STR_NULL;
    if (!header.n)
        return PROOF_NONE;
    bool has_value = str_cut(&header, ' ', &scheme);
    *value = str_trim(header);
    if (!has_value || !value->n || value->n > EDGE_TOKEN_MAX)
        return PROOF_MALFORMED;
    return str_eq_nocase(scheme, STR("Bearer"))                ? PROOF_TOKEN
           : str_eq_nocase(scheme, STR(EDGE_SIGNATURE_SCHEME)) ? PROOF_SIGNATURE
                                                               : PROOF_MALFORMED;
}

/* NULL stays NULL; longer than n is cut. */
static const char *keep(struct arena *arena, struct str text, size_t n)
{
    return text.p ? str_arena(arena, str_sub(text, 0, n)) : NULL;
}

static const char *keep_address(struct arena *arena, const struct net_address *address)
{
    char text[NET_ADDRESS_TEXT_SIZE];
    net_address_ip_text(address, text);
    return arena_strdup(arena, text);
}

/* ---- the trace ---- */

/* A stranger's trace is not gone on with: it would decide what is recorded here, and under which
 * id. Its name is noted, for who asks what became of it. */
static void note_foreign_trace(struct edge_job *j, const char *traceparent)
{
    struct span foreign;
    char hex[33];
    if (!traceparent || strlen(traceparent) < 55 || !j->span.is_sampled)
        return;
    span_start(&foreign, NULL, SPAN_SERVER, traceparent);
    str_hex(hex, foreign.trace_id, sizeof(foreign.trace_id));
    if (strncmp(traceparent + 3, hex, 32) == 0) /* else it was none */
        span_add_text(&j->span, "parlance.foreign_trace_id", arena_strdup(j->call->arena, hex));
}

/* A request begins a trace; if who asks is trusted it goes on with the one that it names. */
static void start_span(struct edge_job *j, const struct http_request *req)
{
    struct rpc_call *call = j->call;
    char text[SPAN_TRACEPARENT_SIZE];
    const char *named = keep(call->arena, http_request_header(req, "traceparent"), 60);
    bool is_trusted = j->edge->opt.is_trace_trusted;
    call->traceparent = is_trusted ? named : NULL;
    span_start(&j->span, NULL, SPAN_SERVER, call->traceparent);
    if (!j->span.is_known)
        return;
    if (!is_trusted)
        note_foreign_trace(j, named);
    span_traceparent(&j->span, text);
    call->traceparent = arena_strdup(call->arena, text);
    j->span.service = "edge";
}

/* Before the call begins: later its arena may be the handler's. */
static void name_span(struct edge_job *j, const char *method, const char *route)
{
    if (!j->span.is_sampled)
        return;
    j->span.name = arena_printf(j->call->arena, "%s %s", method, route);
    span_add_text(&j->span, "http.request.method", method);
    span_add_text(&j->span, "http.route", route);
    span_add_text(&j->span, "parlance.request_id", j->call->request_id);
}

static void end_span(struct edge_job *j)
{
    if (j->status)
        span_add_number(&j->span, "http.response.status_code", j->status);
    span_end(&j->span, j->status >= 500 ? ERR_INTERNAL : ERR_OK);
}

/* ---- a job ---- */

static struct edge_job *job_create(struct edge *e, struct http_request *req)
{
    struct rpc_call *call = rpc_call_create(NULL);
    struct edge_job *j = arena_new(call->arena, struct edge_job);
    struct str origin = http_request_header(req, "Origin");
    j->edge = e;
    atomic_fetch_add(&e->jobs, 1);
    j->call = call;
    j->ticket = http_request_ticket(req);
    j->client = edge_client_of(e, req);
    j->start_us = loop_now_us(req->loop);
    if (origin.n) {
        j->origin = (struct str){str_arena(call->arena, origin), origin.n};
        j->is_origin_allowed = edge_origin_is_allowed(e, origin, req);
    }
    call->user = j;
    call->request_id = arena_strdup(call->arena, req->id);
    call->remote_addr = keep_address(call->arena, &j->client.address);
    call->user_agent = keep(call->arena, http_request_header(req, "User-Agent"), 300);
    start_span(j, req);
    call->log = log_scope(NULL, "request_id", call->request_id);
    return j;
}

void edge_job_destroy(struct edge_job *j)
{
    struct edge *e = j->edge;
    struct rpc_call *call = j->call;
    end_span(j);
    rpc_call_unref(&call);
    edge_job_ended(e);
}

/* ---- the question ---- */

static enum err check_who(const struct edge_job *j)
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

/* What a key is good for; NULL: for this. */
static const char *find_bound(const struct edge_job *j, struct arena *arena)
{
    const struct edge_target *t = j->match.target;
    if (!j->rights.is_key)
        return NULL;
    bool is_read = strcmp(t->route->method, "GET") == 0 || strcmp(t->route->method, "HEAD") == 0;
    const char *verb = is_read ? "read" : "write";
    if (t->route->flags & EDGE_NO_KEYS)
        return "This is for people who sign in; keys of programs are not accepted.";
    if (edge_scopes_open(j->rights.scopes, t->tag, verb))
        return NULL;
    return arena_printf(arena, "The key is not good for this: its scopes have no \"%s:%s\".",
                        t->tag, verb);
}

/* How long this caller has to wait until the row may be called again; 0: now. */
static int64_t check_rate_ms(const struct edge_job *j)
{
    const struct edge_route *route = j->match.target->route;
    if (!LIVE_GET(j->edge->opt.is_rate_limited))
        return 0;
    int most = route->rate_per_minute > 0 ? route->rate_per_minute : EDGE_RATE_DEFAULT;
    struct edge_use use = {.target = j->match.target,
                           .who = j->is_known ? &j->who : NULL,
                           .address = &j->client.address,
                           .per_minute = most};
    use.key = edge_limits_key(use.target, use.who, use.address);
    int64_t wait_us = edge_limits_take(j->edge->limits, use.key, most, j->start_us);
    if (wait_us == 0)
        edge_together_note(j->edge->together, &use);
    return (wait_us + 999) / 1000;
}

/* A page of a foreign site must not act with our cookies, whatever the browser lets through. */
static bool is_foreign_page(const struct edge_job *j)
{
    const unsigned cookies = EDGE_COOKIE_SET | EDGE_COOKIE_USE | EDGE_COOKIE_CLEAR;
    return (j->match.target->route->flags & cookies) && j->origin.n && !j->is_origin_allowed;
}

/* On the request's loop, if there is still one. */
static void go_on(void *arg)
{
    struct edge_job *j = arg;
    struct http_request *req = http_ticket_find(j->ticket);
    if (req)
        http_request_continue(req);
    edge_job_destroy(j);
}

static void on_answer(const ProtobufCMessage *reply, struct rpc_call *call)
{
    struct edge_job *j = call->user;
    if (reply && j->has_more_body) {
        net_ticket_post(j->ticket, go_on, j);
        return;
    }
    if (reply && (j->match.target->route->flags & EDGE_BLOB_REPLY)) {
        edge_reply_blob(j, reply);
        return;
    }
    if (reply)
        edge_reply_message(j, reply);
    else
        edge_reply_failure(j, call->err, call->message, call->retry_after_ms);
    edge_job_destroy(j);
}

/* The later parts of a body are no requests of their own, but who sends them is asked each time. */
static bool is_admitted(struct edge_job *j, bool is_later_part)
{
    const char *bound = find_bound(j, j->call->arena);
    if (bound) {
        edge_reply_failure(j, ERR_PERMISSION_DENIED, bound, 0);
        return false;
    }
    enum err err = is_foreign_page(j) ? ERR_PERMISSION_DENIED : check_who(j);
    if (err) {
        edge_reply_failure(j, err, NULL, 0);
        return false;
    }
    int64_t wait_ms = is_later_part ? 0 : check_rate_ms(j);
    if (wait_ms) {
        edge_reply_failure(j, ERR_RESOURCE_EXHAUSTED, "Too many requests; wait a little.", wait_ms);
        return false;
    }
    return true;
}

/* Of a body in parts, of what is asked about the same thing meanwhile, of what is one's own. */
static void pin(struct edge_job *j, const struct edge_match *match, const struct http_request *req)
{
    if (!match->target->route->is_pinned)
        return;
    if (match->param_count)
        j->call->affinity = str_arena(j->call->arena, match->values[0]);
    else if (match->target->route->part_bytes)
        j->call->affinity = edge_body_id(req, j->call->arena);
    else
        j->call->affinity = rpc_share(j->who.user_id);
}

static void call_service(struct edge_job *j, ProtobufCMessage *message)
{
    const struct edge_target *t = j->match.target;
    /* Somebody unknown is still somebody: only the system itself has no identity. */
    j->call->who = &j->who;
    j->call->timeout_ms = t->route->timeout_ms;
    rpc_async(t->service, t->method, message, j->call, on_answer, RPC_REQUEST_IN_ARENA);
}

static struct str keep_header(struct arena *arena, const struct http_request *req, const char *name)
{
    struct str value = http_request_header(req, name);
    return value.p ? (struct str){str_arena(arena, value), value.n} : STR_NULL;
}

static void keep_wish(struct edge_job *j, const struct http_request *req)
{
    if (!(j->match.target->route->flags & EDGE_BLOB_REPLY))
        return;
    j->wish.if_none_match = keep_header(j->call->arena, req, "If-None-Match");
    if (req->method != HTTP_METHOD_GET) /* ranges mean nothing to HEAD */
        return;
    j->wish.range = keep_header(j->call->arena, req, "Range");
    j->wish.if_range = keep_header(j->call->arena, req, "If-Range");
}

/* The row, with the identity known. */
static void ask_service(struct edge_job *j, struct http_request *req)
{
    const struct edge_target *t = j->match.target;
    if (!is_admitted(j, req->body_offset > 0)) {
        edge_job_destroy(j);
        return;
    }
    keep_wish(j, req);
    pin(j, &j->match, req);
    j->has_more_body = req->has_more_body;
    struct strbuf problem = {0};
    ProtobufCMessage *message = edge_message_read(&j->match, req, false, j->call->arena, &problem);
    if (!message) {
        edge_reply_failure(j, ERR_INVALID_ARGUMENT, problem.p, 0);
        strbuf_deinit(&problem);
        edge_job_destroy(j);
        return;
    }
    strbuf_deinit(&problem);
    j->call->is_idempotent = t->route->is_idempotent || req->method == HTTP_METHOD_GET;
    call_service(j, message);
}

static void open_socket(struct edge_job *j, struct http_request *req)
{
    if (j->rights.is_key && !edge_scopes_open(j->rights.scopes, "sockets", NULL)) {
        edge_reply_failure(j, ERR_PERMISSION_DENIED,
                           "The key is not good for this: its scopes have no \"sockets\".", 0);
        edge_job_destroy(j);
        return;
    }
    j->ws_row->fn(j->ws_row->arg, req, j->is_known ? &j->who : NULL, edge_origin_is_allowed,
                  j->edge);
    edge_job_destroy(j);
}

/* ---- who asks ---- */

static void fail(struct edge_job *j, enum err err, const char *message)
{
    edge_reply_failure(j, err, message, 0);
    edge_job_destroy(j);
}

static void on_validated_loop(void *arg)
{
    struct edge_job *j = arg;
    struct http_request *req = http_ticket_find(j->ticket);
    bool is_refused = j->err == ERR_UNAUTHENTICATED || j->err == ERR_INVALID_ARGUMENT;
    bool is_here = loop_current() != NULL; /* else the server is gone, and services may be */
    if (j->message && j->err == ERR_OK && is_here)
        j->next(j, NULL);
    else if (!req)
        edge_job_destroy(j);
    else if (j->err == ERR_OK)
        j->next(j, req);
    else
        fail(j, is_refused ? ERR_UNAUTHENTICATED : j->err,
             !is_refused  ? NULL
             : j->problem ? j->problem
                          : "The token is not valid (any more).");
}

static void take_identity(struct edge_job *j, const Auth__ValidateTokenReply *r)
{
    if (!edge_scopes_take(j->rights.scopes, sizeof(j->rights.scopes), r->scopes, r->n_scopes)) {
        j->err = ERR_UNAUTHENTICATED;
        j->problem = "The key has more scopes than are taken: make another.";
        return;
    }
    j->is_known = true;
    j->who.role = (enum identity_role)r->role;
    snprintf(j->who.user_id, sizeof(j->who.user_id), "%s", r->user_id);
    snprintf(j->who.session_id, sizeof(j->who.session_id), "%s", r->session_id);
    snprintf(j->who.meeting_id, sizeof(j->who.meeting_id), "%s", r->meeting_id);
    snprintf(j->who.name, sizeof(j->who.name), "%s", r->name);
    j->who.expires_at_ms = r->expires_at_ms;
    j->who.is_bot = r->is_bot;
    j->rights.is_key = r->key_id[0] != '\0';
}

static void on_validated(const ProtobufCMessage *reply, struct rpc_call *call)
{
    struct edge_job *j = call->user;
    j->err = reply ? ERR_OK : call->err;
    if (reply)
        take_identity(j, (const Auth__ValidateTokenReply *)reply);
    else if (!j->token.n)
        j->problem = arena_strdup(j->call->arena, call->message);
    if (j->is_known && j->token.n)
        edge_tokens_add(j->edge->tokens, j->token, &j->who, &j->rights, j->token_epoch);
    rpc_call_unref(&call);
    net_ticket_post(j->ticket, on_validated_loop, j);
}

/* The job outlives this call. */
static void ask_auth(struct edge_job *j, unsigned method, const ProtobufCMessage *request)
{
    struct rpc_call *call = rpc_call_create(NULL);
    call->user = j;
    call->request_id = j->call->request_id;
    call->traceparent = j->call->traceparent;
    call->remote_addr = j->call->remote_addr;
    call->log = j->call->log;
    call->is_idempotent = method == j->edge->validate_method; /* a signature is good once */
    rpc_async(j->edge->opt.auth, method, request, call, on_validated, 0);
}

static void check_token(struct edge_job *j, struct str token)
{
    Auth__ValidateTokenRequest request = AUTH__VALIDATE_TOKEN_REQUEST__INIT;
    j->token = (struct str){str_arena(j->call->arena, token), token.n};
    j->token_epoch = edge_tokens_epoch(j->edge->tokens);
    request.token = (char *)j->token.p;
    ask_auth(j, j->edge->validate_method, &request.base);
}

/* Asked each time, never remembered. */
static void check_signature(struct edge_job *j, struct http_request *req, struct str value)
{
    struct edge_signature s;
    const char *problem = NULL;
    struct arena *arena = j->call->arena;
    struct strbuf text = {0};
    if (!edge_signature_parse(value, &s, &problem)) {
        fail(j, ERR_UNAUTHENTICATED, problem);
        return;
    }
    if (req->has_more_body) {
        fail(j, ERR_UNAUTHENTICATED, "A body this long cannot be signed: send it in shorter ones.");
        return;
    }
    if (!edge_signature_has_body(&s, req->body)) {
        fail(j, ERR_UNAUTHENTICATED, "The digest that was signed is not that of the body.");
        return;
    }
    Auth__ValidateSignatureRequest request = AUTH__VALIDATE_SIGNATURE_REQUEST__INIT;
    edge_signature_request(&s, req, &text);
    request.key_id = str_arena(arena, s.key_id);
    request.time_ms = s.time_ms;
    request.nonce = str_arena(arena, s.nonce);
    request.signature = str_arena(arena, s.signature);
    request.request = str_arena(arena, strbuf_str(&text));
    strbuf_deinit(&text);
    ask_auth(j, j->edge->signature_method, &request.base);
}

static void find_out_who(struct edge_job *j, struct http_request *req)
{
    struct str value;
    enum proof proof = find_proof(req, &value);
    bool is_remembered =
        proof == PROOF_TOKEN && edge_tokens_find(j->edge->tokens, value, &j->who, &j->rights);
    if (proof == PROOF_NONE || is_remembered) {
        j->is_known = is_remembered;
        j->next(j, req);
    } else if (proof == PROOF_MALFORMED) {
        fail(j, ERR_UNAUTHENTICATED, "Authorization: expected Bearer and a token, or a signature.");
    } else if (!j->edge->opt.auth) {
        fail(j, ERR_UNAUTHENTICATED, "Nobody can sign in here.");
    } else if (proof == PROOF_TOKEN) {
        check_token(j, value);
    } else {
        check_signature(j, req, value);
    }
}

void edge_request_start(struct edge *e, struct http_request *req, const struct edge_match *match)
{
    struct edge_job *j = job_create(e, req);
    j->match = *match;
    j->next = ask_service;
    name_span(j, match->target->route->method, match->target->route->path);
    for (size_t i = 0; i < match->param_count; i++) /* the path belongs to the request */
        j->match.values[i].p = str_arena(j->call->arena, match->values[i]);
    find_out_who(j, req);
}

static void tell_cut(struct edge_job *j, struct http_request *req UNUSED)
{
    if (is_admitted(j, true))
        call_service(j, j->message);
    else
        edge_job_destroy(j);
}

void edge_request_abort(struct edge *e, struct http_request *req, const struct edge_match *match)
{
    if (e->is_draining || (!req->body.n && !req->body_offset))
        return;
    struct edge_job *j = job_create(e, req);
    struct strbuf problem = {0};
    j->match = *match;
    pin(j, match, req);
    j->match.param_count = 0; /* they are in the message, and the path goes */
    j->next = tell_cut;
    name_span(j, match->target->route->method, match->target->route->path);
    req->has_more_body = false;
    j->message = edge_message_read(match, req, true, j->call->arena, &problem);
    strbuf_deinit(&problem);
    if (j->message)
        find_out_who(j, req);
    else
        edge_job_destroy(j);
}

void edge_ws_start(struct edge *e, struct http_request *req, const struct edge_ws_row *row)
{
    struct edge_job *j = job_create(e, req);
    j->ws_row = row;
    j->next = open_socket;
    name_span(j, "GET", row->path);
    find_out_who(j, req);
}

void edge_job_start(struct edge *e, struct http_request *req,
                    void (*next)(struct edge_job *j, struct http_request *req))
{
    struct edge_job *j = job_create(e, req);
    j->next = next;
    name_span(j, "GET", "/metrics");
    find_out_who(j, req);
}
