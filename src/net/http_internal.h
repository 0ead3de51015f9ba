/*
 * http_internal: the exchange (one request and its answer) as http_conn.c (reading), http_request.c
 * (what handlers ask) and http_respond.c (writing) share it.
 */
#pragma once

#include "net/http_parse_internal.h"
#include "net/server_internal.h"

enum http_phase { HTTP_READING_BODY, HTTP_HANDLING };

struct http_exchange {
    struct http_request req; /* must be first: see http_exchange_of */
    struct conn *conn;
    enum http_phase phase;
    bool is_keeping_alive; /* the client would like to */
    uint64_t body_left;    /* of a body with Content-Length */
    uint64_t body_received;
    int64_t body_start_us;
    struct http_chunked chunked;
    struct strbuf head; /* the bytes that `parsed` points into */
    struct strbuf body;
    char id[65];
    char remote[NET_ADDRESS_TEXT_SIZE];
    struct http_head parsed;
    struct http_exchange *next_spare;
};

/* What the connections of a shard share for HTTP. */
struct http_shard {
    struct shard *shard;
    struct http_exchange *spares;
    unsigned spare_count;
    struct strbuf out; /* the head being written */
    char date[40];     /* "Date: ...\r\n" */
    int64_t date_second;
    char id_prefix[17];
    uint64_t last_id;
    size_t fixed_headers_n;
};

static inline struct http_exchange *http_exchange_of(const struct http_request *req)
{
    return CONTAINER_OF(req, struct http_exchange, req);
}

/* http_request.c */
/* A blank exchange that becomes the connection's. */
struct http_exchange *http_exchange_create(struct conn *conn);
/* Copies and parses a head. False with *fault set. */
bool http_exchange_parse(struct http_exchange *ex, const uint8_t *head, size_t n,
                         struct http_fault *fault);
/* Takes it from the connection and keeps it for the next. */
void http_exchange_recycle(struct http_exchange *ex);

/* http_conn.c */
/* After an answer: the next request's turn, or the end. */
void http_conn_answered(struct conn *conn, bool is_closing);

/* http_respond.c */
void http_respond_fault(struct http_exchange *ex, const struct http_fault *fault);
