/* The pieces of edge: router, tokens, limits, replies. */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus/bus.h"

#include "core/worker.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metric.h"
#include "core/span.h"
#include "edge/edge.h"
#include "net/guard.h"

#define EDGE_SEGMENTS_MAX 12
#define EDGE_PARAMS_MAX 4
#define EDGE_BODY_DEFAULT_BYTES (64 * 1024)
#define EDGE_RATE_DEFAULT 600 /* requests a minute */
#define EDGE_TOKEN_MAX 4096   /* bytes of a bearer token */
#define EDGE_HEADERS_MAX 24   /* that edge adds to an answer */
#define EDGE_MAPPED_MAX 8     /* headers that a row takes, or gives */

/* ---- edge_router.c ---- */
struct edge_router;

#define EDGE_STATUS_CELLS 16

struct edge_target {
    const struct edge_route *route;
    const char *tag; /* of its table: the part of the API that scopes name */
    ProtobufCService *service;
    unsigned method; /* index in the service */
    const ProtobufCMessageDescriptor *request;
    const ProtobufCFieldDescriptor *raw_field;              /* EDGE_RAW_BODY */
    const ProtobufCFieldDescriptor *raw_type;               /* EDGE_RAW_REPLY: content_type ... */
    const ProtobufCFieldDescriptor *raw_bytes;              /* ... and the bytes */
    const ProtobufCFieldDescriptor *raw_name;               /* file_name, if there is one */
    const ProtobufCFieldDescriptor *takes[EDGE_MAPPED_MAX]; /* as in the row */
    const ProtobufCFieldDescriptor *gives[EDGE_MAPPED_MAX]; /* NULL: a constant */
    const ProtobufCFieldDescriptor *body_id, *body_offset, *has_more, *is_cut; /* part_bytes */
    struct metric_cell *seconds;
    _Atomic(struct metric_cell *) statuses[EDGE_STATUS_CELLS]; /* found once, see edge_count */
};

struct edge_match {
    struct edge_target *target; /* NULL: no such path or method */
    size_t param_count;
    struct str names[EDGE_PARAMS_MAX];
    struct str values[EDGE_PARAMS_MAX]; /* still percent-encoded */
    bool is_known_path;                 /* with other methods */
    char allow[64];                     /* those methods, when target is NULL or asks for them */
};

MUST_USE enum err edge_router_create(struct edge_router **out, const struct edge_mount *mounts,
                                     size_t count);
void edge_router_destroy(struct edge_router **r);
void edge_router_match(const struct edge_router *r, enum http_method method, struct str path,
                       struct edge_match *out);

/* ---- edge_tokens.c: who a bearer token is, remembered for a second at most ---- */

/* What a key of a program may do beside what its account may; a sign-in has no bounds. */
struct edge_rights {
    bool is_key;
    char scopes[224]; /* "messages:read sockets"; "": no bounds */
};
struct edge_tokens;
struct edge_tokens *edge_tokens_create(void);
void edge_tokens_destroy(struct edge_tokens **t);
bool edge_tokens_find(struct edge_tokens *t, struct str token, struct identity *who,
                      struct edge_rights *rights);
/* who->expires_at_ms 0: never. */
void edge_tokens_add(struct edge_tokens *t, struct str token, const struct identity *who,
                     const struct edge_rights *rights, unsigned epoch);
/* To be taken before asking auth: what is learned then is not remembered across a forget. */
unsigned edge_tokens_epoch(const struct edge_tokens *t);
void edge_tokens_forget(struct edge_tokens *t);

/* ---- edge_signature.c: requests that are signed instead ---- */

#define EDGE_SIGNATURE_SCHEME "Parlance-HMAC-SHA256"
struct edge_signature {
    struct str key_id, nonce, signature;
    int64_t time_ms;
    uint8_t body_digest[32];
};
/* What stands after the scheme: key=..., time=..., nonce=..., digest=..., signature=..., each once,
 * in any order. The texts are the header's. False, with what was expected in `problem`. */
bool edge_signature_parse(struct str value, struct edge_signature *out, const char **problem);
/* Is the body the one whose digest was signed? */
bool edge_signature_has_body(const struct edge_signature *s, struct str body);
/* Method, path, query with its parts in order of their bytes, and digest: the part of what is
 * signed that is the request's own. */
void edge_signature_request(const struct edge_signature *s, const struct http_request *req,
                            struct strbuf *out);
/* The scopes as one text, a space between; false: they do not fit, or one is empty or holds a
 * space, and `out` opens nothing. */
bool edge_scopes_take(char *out, size_t size, char *const *scopes, size_t count);
/* Does one of the scopes open this? "messages" opens "messages:read" and "messages:write". */
bool edge_scopes_open(const char *scopes, const char *part, const char *verb);

/* ---- edge_schema.c: schemas for the API's documents ---- */
struct edge_schemas {
    struct strbuf *out;
    struct map *seen; /* schema name -> descriptor */
    const ProtobufCMessageDescriptor *queue[512];
    size_t queued;
};
struct edge_schemas *edge_schemas_create(struct strbuf *out);
void edge_schemas_destroy(struct edge_schemas **schemas);
/* All that were referred to, and what they refer to: "name":{...}, ... */
void edge_schemas_write(struct edge_schemas *w, bool is_first);
void edge_schema_quote(struct strbuf *out, const char *text);
/* {"$ref":...} */
void edge_schema_refer(struct edge_schemas *w, const ProtobufCMessageDescriptor *d);
void edge_schema_field(struct edge_schemas *w, const ProtobufCFieldDescriptor *f);

/* ---- edge_limits.c ---- */
struct edge_limits;
struct edge_limits *edge_limits_create(void);
void edge_limits_destroy(struct edge_limits **l);
/* Counts one request of this key. 0: it may pass; else how long until the next may, in us. */
int64_t edge_limits_take(struct edge_limits *l, uint64_t key, int per_minute, int64_t now_us);
/* who may be NULL: then the address counts. */
uint64_t edge_limits_key(const struct edge_target *target, const struct identity *who,
                         const struct net_address *address);

/* Others let so many pass. */
void edge_limits_add(struct edge_limits *l, uint64_t key, int per_minute, int64_t count,
                     int64_t now_us);

/* ---- edge_together.c ---- */
struct edge_together;
struct edge_use {
    uint64_t key; /* edge_limits_key */
    const struct edge_target *target;
    const struct identity *who; /* NULL: the address counts */
    const struct net_address *address;
    int per_minute;
};
struct edge_together *edge_together_create(struct cache *cache, struct edge_limits *limits);
void edge_together_destroy(struct edge_together **together);
/* A request passed here. Any thread; never blocks; NULL: nothing. */
void edge_together_note(struct edge_together *together, const struct edge_use *use);

/* ---- edge.c ---- */
struct edge {
    struct edge_options opt;
    struct edge_router *router;
    struct edge_tokens *tokens;
    struct edge_limits *limits;
    struct edge_together *together; /* NULL: this process counts by itself */
    struct edge_ws_row *ws_rows;
    struct edge_check *checks;
    char **origins;
    bool is_any_origin_allowed;
    struct guard_range *proxies;
    size_t proxy_count;
    int subscription, gap_subscription;
    _Atomic bool is_draining;
    struct strbuf openapi, asyncapi;
    struct strbuf cors_takes, cors_gives; /* names of headers that pages of others may use */
    unsigned validate_method, signature_method;
    struct worker_pool
        *blob_pool; /* where blobs are waited for that come over a network; or NULL */
    /* Jobs, and one for the edge itself: whoever takes it to zero posts `ended`. */
    atomic_uint jobs;
    sem_t ended;
};

/* ---- edge_client.c ---- */
struct edge_client {
    struct net_address address;
    bool is_tls;       /* as the client sees it */
    bool is_forwarded; /* somebody in between says that it forwards, and is no proxy we know */
};
struct edge_client edge_client_of(const struct edge *e, const struct http_request *req);

/* ---- edge_message.c ---- */
/* Whether a field says more than its default. */
bool edge_message_has(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f);
/* The row's message in the arena, or NULL with the problem. is_cut: its client is gone. */
ProtobufCMessage *edge_message_read(const struct edge_match *match, const struct http_request *req,
                                    bool is_cut, struct arena *arena, struct strbuf *problem);

/* The name of this request's body: the same for all its parts, and no other's. In the arena. */
const char *edge_body_id(const struct http_request *req, struct arena *arena);

/* ---- edge_origin.c ---- */
bool edge_origin_is_allowed(void *edge, struct str origin, const struct http_request *req);

/* ---- edge_range.c: which part of a file is asked for ---- */
struct edge_wish {
    struct str range, if_range, if_none_match;
};
struct edge_span {
    int status; /* 200 all, 206 a part, 304 nothing new, 416 no such part */
    uint64_t offset, count;
};
/* etag: with its quotes. Ranges that are no proper ones, and several at once, are all of it. */
struct edge_span edge_range_find(const struct edge_wish *wish, struct str etag, uint64_t size);

/* ---- edge_request.c: from the row to the service ---- */
/* One request on its way. Lives in its call's arena. */
struct edge_job {
    struct edge *edge;
    struct net_ticket ticket;
    /* What to do when it is known who asks; on the request's loop, lets the job go. */
    void (*next)(struct edge_job *j, struct http_request *req);
    const struct edge_ws_row *ws_row;
    struct edge_match match; /* target NULL: no row of the API */
    struct rpc_call *call;
    struct str token;
    unsigned token_epoch;
    struct identity who;
    struct edge_rights rights;
    bool is_known; /* signed in */
    struct edge_client client;
    struct str origin;
    bool is_origin_allowed;
    bool has_more_body;        /* this is a part: go on reading instead of an answer */
    ProtobufCMessage *message; /* read beforehand, since the client is gone; else NULL */
    struct edge_wish wish;     /* EDGE_BLOB_REPLY */
    int64_t start_us;
    struct span span;
    atomic_int status;   /* of the answer; 0: none yet */
    enum err err;        /* of the validation */
    const char *problem; /* why a signature was refused */
};
void edge_request_start(struct edge *e, struct http_request *req, const struct edge_match *match);
/* The client of a row with parts has left: its service hears of it. */
void edge_request_abort(struct edge *e, struct http_request *req, const struct edge_match *match);
void edge_ws_start(struct edge *e, struct http_request *req, const struct edge_ws_row *row);
/* For built-in paths that are for administrators: finds out who asks, then `next`. */
void edge_job_start(struct edge *e, struct http_request *req,
                    void (*next)(struct edge_job *j, struct http_request *req));
void edge_job_destroy(struct edge_job *j);
/* edge.c: the last touch of a job on the edge. */
void edge_job_ended(struct edge *e);

/* ---- edge_reply.c ---- */
/* Headers of one answer; values borrow, or live in the arena that the caller gives. */
struct edge_headers {
    struct http_header list[EDGE_HEADERS_MAX];
    size_t count;
};
void edge_headers_add(struct edge_headers *h, const char *name, struct str value);
/* The row's own headers: constants and, of a reply, fields. */
void edge_headers_row(struct edge_headers *h, const struct edge_target *t,
                      const ProtobufCMessage *reply, struct arena *arena);
/* What may be asked at this path, for a preflight too. */
void edge_headers_options(const struct edge *e, struct edge_headers *h, const char *allow,
                          bool is_allowed);
/* CORS, for an answer to this Origin ("" when there was none). */
void edge_headers_cors(const struct edge *e, struct edge_headers *h, struct str origin,
                       bool is_allowed);
/* {"error":{"code","message","request_id"}} */
void edge_error_body(struct strbuf *out, const char *code, const char *message,
                     const char *request_id);
/* On the request's loop. */
void edge_reply_error(struct edge *e, struct http_request *req, enum err err, const char *message);
void edge_reply_wrong_method(struct edge *e, struct http_request *req, const char *allow);
/* From any thread. retry_after_ms 0: not said. */
void edge_reply_failure(struct edge_job *j, enum err err, const char *message,
                        int64_t retry_after_ms);
void edge_reply_message(struct edge_job *j, const ProtobufCMessage *reply);
void edge_count(struct edge_job *j, int status);

/* ---- edge_blob.c: files as answers ---- */
/* Ends the job, perhaps later. */
void edge_reply_blob(struct edge_job *j, const ProtobufCMessage *reply);
/* inline or attachment, with the name as a header can say it (RFC 6266). */
struct str edge_disposition(const char *file_name, bool is_inline, struct strbuf *out);

/* ---- edge_builtin.c: /health /ready /metrics /openapi.json /asyncapi.json ---- */
/* True when the path was one of them (answered). */
bool edge_builtin(struct edge *e, struct http_request *req);
/* The same where nothing else is served, /metrics for everybody. */
void edge_manage(struct edge *e, struct http_request *req);

/* ---- edge_cookie.c ---- */
void edge_cookie_set(struct edge_headers *h, const ProtobufCMessage *login_reply, bool is_tls,
                     struct arena *arena);
void edge_cookie_clear(struct edge_headers *h, bool is_tls);
/* Fills the request's token from the cookie when the body gave none, with the CSRF token of the
 * header. */
void edge_cookie_use(const struct http_request *req, ProtobufCMessage *message,
                     struct arena *arena);
