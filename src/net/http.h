/*
 * http: HTTP/1.1 for servers. One handler per server is called on the connection's loop with a
 * whole request (head and body); the answer may be given at once, later on the loop, or from any
 * thread through a ticket. Requests of one connection are handled one after the other, so pipelined
 * answers keep their order.
 *
 *   static void on_request(void *arg, struct http_request *req)
 *   {
 *       http_respond(req, &(struct http_response){.content_type = "text/plain", .body =
 * STR("hi")});
 *   }
 *
 * What never reaches a handler: anything but strict RFC 9112 syntax (no bare LF, no folding, no
 * space before a colon, one Host, one Content-Length or Transfer-Encoding but not both), heads over
 * 16 kB or 64 fields, bodies over the limit, clients slower than the deadlines.
 */
#pragma once

#include <sys/types.h>

#include "core/str.h"
#include "net/address.h"
#include "net/ticket.h"

#define HTTP_HEADERS_MAX 64
#define HTTP_HEAD_MAX_BYTES 16384
#define HTTP_TARGET_MAX_BYTES 8192

enum http_method {
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_PATCH,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_OPTIONS,
};
#define HTTP_METHOD_COUNT 7
const char *http_method_name(enum http_method method);

struct http_header {
    struct str name; /* as sent; compare without case */
    struct str value;
};

/* Lives from on_headers or on_request until it is answered or its client is gone; so do all texts
 * in it. Belongs to its loop. */
struct http_request {
    enum http_method method;
    struct str path;  /* starts with '/', still percent-encoded; "*" only with OPTIONS */
    struct str query; /* after the '?', still encoded; n == 0: none */
    struct str host;  /* "" only in HTTP/1.0, or when the client sends an empty Host */
    const struct http_header *headers;
    size_t header_count;
    struct str body;
    const char
        *id; /* the client's X-Request-Id if it is sane, else ours; sent back by every answer */
    bool is_tls;
    bool is_local;   /* came by a Unix socket */
    bool is_upgrade; /* asks to become a WebSocket: see ws_accept */
    struct loop *loop;
    void *user;            /* the handler's own; starts as NULL */
    size_t body_max_bytes; /* on_headers may change it */
    /* on_headers may set it: a body that is longer comes in parts of this size. Each is given to
     * on_request, with has_more_body until the last (which may be empty); http_request_continue
     * asks for the next one. 0: whole. */
    size_t body_part_bytes;
    uint64_t body_offset; /* of this part in the body */
    bool has_more_body;
};

/* First field of that name, p == NULL when there is none. */
struct str http_request_header(const struct http_request *req, const char *name);
const struct net_address *http_request_address(const struct http_request *req);
/* The peer's address as text without port; "local" for a Unix socket. Valid as long as the request.
 */
const char *http_request_remote(struct http_request *req);
/* Whose process is at the other end; false unless is_local. */
bool http_request_peer_uid(const struct http_request *req, uid_t *uid);
/* Undoes %XX (and, for a query, '+'). False for broken escapes, NUL, or what is not UTF-8. */
enum http_decode_kind { HTTP_DECODE_PATH, HTTP_DECODE_QUERY };
MUST_USE bool http_percent_decode(struct str raw, enum http_decode_kind kind, struct strbuf *out);

enum http_response_flags {
    HTTP_RESPONSE_CLOSE = 1,    /* close the connection afterwards */
    HTTP_RESPONSE_NO_STORE = 2, /* Cache-Control: no-store */
};

typedef void http_release_fn(void *arg);

struct http_response {
    int status;               /* 0: 200 */
    const char *content_type; /* NULL: no Content-Type */
    const struct http_header *headers;
    size_t header_count;
    struct str body;
    /* NULL: the body is copied where it must outlive the call. Else it stays in place and release
     * runs once, on the loop, when it is no longer needed (http_release_none: lives for ever). */
    http_release_fn *release;
    void *release_arg;
    /* A file as the body instead of `body`: file_bytes from file_offset; the descriptor is closed
     * when sent or dropped. 0: none (as descriptor 0 never is one). */
    int file_fd;
    int64_t file_offset;
    int64_t file_bytes;
    unsigned flags;
};

http_release_fn http_release_none;

/* Answers; on the request's loop. The request is gone when this returns. Content-Length, Date,
 * X-Request-Id, Connection and the server's fixed headers are added. For HEAD give the body that
 * GET would have: its length is sent, it is not. */
void http_respond(struct http_request *req, const struct http_response *res);
/* Answers with the server's error document (see http_error_fn). */
void http_respond_error(struct http_request *req, int status, const char *code,
                        const char *message);

/* Of a request that has_more_body, instead of an answer: on_request will be called with the next
 * part, never inside this call. On the request's loop. */
void http_request_continue(struct http_request *req);

struct net_ticket http_request_ticket(const struct http_request *req);
/* On the ticket's loop: the request, or NULL when it is gone. */
struct http_request *http_ticket_find(struct net_ticket ticket);
/* Answers from any thread. Head and body are copied unless `release` is set; dropped when stale. */
void http_ticket_respond(struct net_ticket ticket, const struct http_response *res);

/* All on the connection's loop. */
typedef void http_request_fn(void *arg, struct http_request *req);
/* Writes the body of an error that net itself answers (400, 404, 408, 413, 431, 503 ...). */
typedef void http_error_fn(void *arg, int status, const char *code, const char *message,
                           const char *request_id, struct strbuf *body);

struct http_options {
    /* A whole request. Answer it now, or take a ticket and answer later. */
    http_request_fn *on_request;
    /* A head has come and a body will follow. May set req->body_max_bytes, or answer at once: then
     * the body is never read. Optional. */
    http_request_fn *on_headers;
    /* The client left before the answer, or net itself answers what is wrong with the body;
     * req->user is to be let go. Must not answer. `body` is what has come of the body (of its next
     * part) and was not handled. Optional. */
    http_request_fn *on_abort;
    http_error_fn *write_error;     /* NULL: {"error":{"code","message","request_id"}} */
    const char *error_content_type; /* NULL: application/json */
    void *arg;
    /* Sent with every answer: "Name: value\r\nName: value\r\n". Must outlive the server. */
    const char *fixed_headers;
    size_t body_max_bytes;  /* 0: 64 kB */
    unsigned head_ms;       /* 0: 10,000; from the first byte (or accept) to the head's end */
    unsigned idle_ms;       /* 0: 75,000; between requests */
    unsigned body_grace_ms; /* 0: 10,000; then a body must keep up ... */
    unsigned body_min_bytes_per_second; /* 0: 1,024 */
    unsigned send_stall_ms;             /* 0: 30,000; no progress in sending an answer: closed */
};
