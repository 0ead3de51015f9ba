/*
 * edge: the public face. A service hands over rows; a row says method, path, RPC, who may call, and
 * limits. The edge authenticates, checks the row's rule, turns path, query and JSON body into the
 * request message, calls the service asynchronously and turns the reply into JSON. The public API
 * is nothing but these rows, and `parlance openapi` prints them, so API and document cannot drift.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "blob/blob.h"
#include "cache/cache.h"
#include "core/err.h"
#include "core/loop.h"
#include "net/http.h"
#include "net/ws.h"
#include "rpc/rpc.h"

struct edge;

/* Deny by default: a row without a rule (EDGE_WHO_UNSET) is refused at start. */
enum edge_who {
    EDGE_WHO_UNSET,
    EDGE_WHO_ANYONE, /* signed in or not; a token, if given, must be valid */
    EDGE_WHO_GUEST,  /* guests, users, administrators */
    EDGE_WHO_USER,   /* users, administrators */
    EDGE_WHO_ADMIN,
};

enum edge_flags {
    EDGE_COOKIE_SET = 1 << 0,   /* reply is auth.LoginReply: sets the refresh and CSRF cookies */
    EDGE_COOKIE_USE = 1 << 1,   /* the refresh cookie may stand in for the token field; then
                                   X-CSRF-Token is checked */
    EDGE_COOKIE_CLEAR = 1 << 2, /* sign-out: clears the cookies */
    EDGE_RAW_BODY = 1 << 3,     /* the body's bytes go into the bytes field named by raw_field */
    EDGE_RAW_REPLY = 1 << 4,    /* reply has content_type and body/image bytes: sent as they are */
    EDGE_NO_KEYS = 1 << 5,      /* for people who signed in: keys of programs are refused */
    EDGE_BLOB_REPLY = 1 << 6,   /* reply names a blob (blob, content_type, file_name, etag,
                                   is_inline): sent from there, whole or the range asked for */
};

/* A header of HTTP that is a field of the row's message. */
struct edge_header {
    const char *name;  /* "Upload-Offset" */
    const char *field; /* of the request, or of the reply; a 64-bit number or text */
    const char *value; /* instead of a field of the reply: sent with errors, too */
};

struct edge_route {
    const char *method; /* "GET" */
    const char *path;   /* "/api/v1/meetings/:id/join"; :names fill fields of the request */
    const char *rpc;    /* method of the service's contract: "JoinMeeting" */
    enum edge_who who;
    int ok_status;         /* 0: 200 */
    size_t body_max_bytes; /* 0: 64 KiB */
    int64_t timeout_ms;    /* 0: 10,000 */
    int rate_per_minute;   /* per user or address; 0: the default (600) */
    unsigned flags;        /* enum edge_flags */
    const char *raw_field; /* EDGE_RAW_BODY */
    /* EDGE_RAW_BODY: a longer body is several calls, one after the other, each with at most so many
     * bytes; the last one's reply is the answer, and so is the first error. The request has the
     * fields body_id (the same for all of them, unique), body_offset, has_more and is_cut (the
     * client is gone; what had come). 0: one call. */
    size_t part_bytes;
    const struct edge_header *takes; /* headers of the request; ends with a NULL name */
    const struct edge_header *gives; /* of the answer; fields that are not given send none */
    const char *raw_types; /* of a raw body or reply, for the document: "image/png image/webp";
                              NULL: application/octet-stream */
    bool is_idempotent;    /* GET is anyhow */
    /* Requests about one :id, the parts of one body, or all of one person go to one instance. */
    bool is_pinned;
    const char *summary; /* one line for the OpenAPI document */
};

struct edge_route_table {
    const char *tag; /* "meetings": groups rows in the document */
    const ProtobufCServiceDescriptor *service;
    const struct edge_route *routes;
    size_t count;
};

/* A WebSocket: the handler answers the request (ws_accept). `who` is the identity of the
 * Authorization header or NULL; the origin function and its argument are to be handed to ws_accept.
 * On the request's loop. */
typedef void edge_ws_fn(void *arg, struct http_request *req, const struct identity *who,
                        ws_origin_fn *is_origin_allowed, void *origin_arg);
struct edge_ws_row {
    const char *path;
    edge_ws_fn *fn; /* NULL: refused, and `elsewhere` says who has it */
    void *arg;
    const char *elsewhere;
};

/* What goes over a socket, for the AsyncAPI document. */
struct edge_socket {
    const char *name, *path, *summary; /* "im", "/ws/im" */
    const char *manual;                /* "docs/messaging.md" */
    /* A frame of the client; its oneof fields are requests, each answered by the frame of the
     * server in which the field of the same name stands, or by `error`. With neither oneof the
     * frames are what they are. */
    const ProtobufCMessageDescriptor *client, *server;
    const ProtobufCMessageDescriptor *const *frames; /* of the server, when there is no `server` */
    size_t frame_count;
};

/* One line of /ready: name and whether it is there. Must be quick; on a loop. */
struct edge_check {
    const char *name;
    bool (*is_ready)(void *arg);
    void *arg;
    bool is_spare; /* without it less works, but this process serves: "degraded", and ready */
};

/* A table and the service that answers its rows. */
struct edge_mount {
    const struct edge_route_table *table;
    ProtobufCService *service;
};

struct static_table;
struct edge_options {
    const struct edge_mount *mounts; /* copied */
    size_t mount_count;
    const struct edge_ws_row *ws_rows; /* copied */
    size_t ws_row_count;
    const struct edge_socket *const *sockets; /* for the document; must outlive the edge */
    size_t socket_count;
    struct cache *cache;             /* if it is shared, processes count limits together; or NULL */
    const struct edge_check *checks; /* copied */
    size_t check_count;
    ProtobufCService *auth;             /* ValidateToken, ValidateSignature */
    struct blob_store *blob;            /* for rows with EDGE_BLOB_REPLY */
    struct bus *bus;                    /* auth_events: what is remembered of a token is dropped */
    const char *const *allowed_origins; /* "https://example.org"; "*": any, without credentials */
    size_t allowed_origin_count;
    const struct static_table *web;     /* NULL: built without the web client */
    bool is_measured_apart;             /* /metrics is for edge_management_options alone */
    bool are_metrics_public;            /* else /metrics answers loopback and private addresses, and
                                           administrators */
    const char *const *trusted_proxies; /* ranges ("10.0.0.0/8") whose X-Forwarded-For and -Proto
                                           are believed */
    size_t trusted_proxy_count;
    bool is_rate_limited;
    bool is_trace_trusted; /* whoever asks decides by traceparent what is recorded */
    const char *version;
};

/* INVALID_ARGUMENT (logged): a row without a rule, an unknown RPC, a parameter that is no field, a
 * path twice, a proxy that is no range. */
MUST_USE enum err edge_create(struct edge **out, const struct edge_options *opt);
/* After the servers that use it; waits for requests in work. Accepts NULL. */
void edge_destroy(struct edge **edge);
/* For net_server_create; the edge must outlive the server. */
struct http_options edge_http_options(struct edge *edge, bool is_tls);
/* For a server of its own, on an address of operators: /health, /ready and /metrics, and nothing
 * else. */
struct http_options edge_management_options(struct edge *edge);
/* /ready says no from now on. */
void edge_drain(struct edge *edge);
/* Whether requests are limited, while it runs. */
void edge_set_rate_limited(struct edge *edge, bool is_rate_limited);

/* The OpenAPI 3.1 document of these tables. */
void edge_openapi_write(struct strbuf *out, const struct edge_route_table *const *tables,
                        size_t count, const char *version);
/* The AsyncAPI 3.0 document of these sockets. */
void edge_asyncapi_write(struct strbuf *out, const struct edge_socket *const *sockets, size_t count,
                         const char *version);
