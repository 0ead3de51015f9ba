/* The pieces of edge: router, tokens, limits, replies. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus/bus.h"
#include "cache/cache.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metric.h"
#include "edge/edge.h"

#define EDGE_SEGMENTS_MAX 12
#define EDGE_PARAMS_MAX 4
#define EDGE_BODY_DEFAULT_BYTES (64 * 1024)
#define EDGE_RATE_DEFAULT 600 /* requests a minute */
#define EDGE_TOKEN_MAX 4096   /* bytes of a bearer token */
#define EDGE_HEADERS_MAX 12   /* that edge adds to an answer */

/* ---- edge_router.c ---- */
struct edge_router;

struct edge_target {
    const struct edge_route *route;
    ProtobufCService *service;
    unsigned method; /* index in the service */
    const ProtobufCMessageDescriptor *request;
    struct metric_cell *seconds;
};

struct edge_match {
    const struct edge_target *target; /* NULL: no such path or method */
    size_t param_count;
    struct str names[EDGE_PARAMS_MAX];
    struct str values[EDGE_PARAMS_MAX]; /* still percent-encoded */
    bool is_known_path;                 /* with other methods */
    char allow[64];                     /* those methods */
};

MUST_USE enum err edge_router_create(struct edge_router **out, const struct edge_mount *mounts,
                                     size_t count);
void edge_router_destroy(struct edge_router **r);
void edge_router_match(const struct edge_router *r, enum http_method method, struct str path,
                       struct edge_match *out);

/* ---- edge_tokens.c: who a bearer token is, remembered for a second at most ---- */
struct edge_tokens;
struct edge_tokens *edge_tokens_create(void);
void edge_tokens_destroy(struct edge_tokens **t);
bool edge_tokens_find(struct edge_tokens *t, struct str token, struct identity *who);
void edge_tokens_add(struct edge_tokens *t, struct str token, const struct identity *who,
                     int64_t expires_at_ms, unsigned epoch);
/* To be taken before asking auth: what is learned then is not remembered across a forget. */
unsigned edge_tokens_epoch(const struct edge_tokens *t);
void edge_tokens_forget(struct edge_tokens *t);

/* ---- edge.c ---- */
struct edge {
    struct edge_options opt;
    struct edge_router *router;
    struct edge_tokens *tokens;
    struct edge_ws_row *ws_rows;
    struct edge_check *checks;
    char **origins;
    int subscription;
    _Atomic bool is_draining;
    struct strbuf openapi;
    unsigned validate_method;
};

/* ---- edge_origin.c ---- */
bool edge_origin_is_allowed(void *edge, struct str origin, const struct http_request *req);

/* ---- edge_reply.c ---- */
/* Headers of one answer; values borrow, or live in the arena that the caller gives. */
struct edge_headers {
    struct http_header list[EDGE_HEADERS_MAX];
    size_t count;
};
void edge_headers_add(struct edge_headers *h, const char *name, struct str value);
/* CORS, for an answer to this Origin ("" when there was none). */
void edge_headers_cors(struct edge *e, struct edge_headers *h, struct str origin, bool is_allowed);
/* {"error":{"code","message","request_id"}} */
void edge_error_body(struct strbuf *out, const char *code, const char *message,
                     const char *request_id);
void edge_reply_error(struct edge *e, struct http_request *req, enum err err, const char *message);

/* ---- edge_builtin.c: /health /ready /metrics /openapi.json ---- */
/* True when the path was one of them (answered). */
bool edge_builtin(struct edge *e, struct http_request *req);

/* ---- edge_request.c: rows ---- */
void edge_request_start(struct edge *e, struct http_request *req, const struct edge_match *match);
void edge_ws_start(struct edge *e, struct http_request *req, const struct edge_ws_row *row);
/* Bearer token of the Authorization header; n == 0: none. False: a malformed header. */
bool edge_bearer(const struct http_request *req, struct str *token);

/* ---- edge_cookie.c ---- */
struct str edge_cookie_find(const struct http_request *req, const char *name);
void edge_cookie_set(struct edge_headers *h, const ProtobufCMessage *login_reply, bool is_tls,
                     struct arena *arena);
void edge_cookie_clear(struct edge_headers *h, bool is_tls);
/* Fills the request's token from the cookie when the body gave none, with the CSRF token of the
 * header. */
void edge_cookie_use(const struct http_request *req, ProtobufCMessage *message,
                     struct arena *arena);
