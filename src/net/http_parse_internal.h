/*
 * http_parse: strict parsing of HTTP/1 requests, as pure functions over bytes (tests and fuzzers
 * drive them directly): where a head ends, what it says, and the decoding of chunked bodies.
 */
#pragma once

#include "net/http.h"

/* A request that cannot be served. The texts are static. */
struct http_fault {
    int status; /* 0: no fault */
    const char *code;
    const char *message;
};

struct http_head {
    enum http_method method;
    struct str path;
    struct str query;
    struct str host;        /* never NULL; "" only in HTTP/1.0 or with an empty Host */
    struct str target_host; /* of a target in absolute form */
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t header_count;
    uint64_t content_length;
    struct str request_id; /* p == NULL: none */
    bool is_http10;
    bool is_chunked;
    bool has_length;
    bool wants_continue; /* Expect: 100-continue */
    bool wants_close;
    bool wants_keep_alive; /* said so: matters in HTTP/1.0 only */
    bool connection_upgrade;
    bool to_websocket; /* Upgrade: websocket */
    bool is_upgrade;   /* both */
};

/*
 * Looks for the empty line that ends the head. *at remembers how far it got, so bytes that come one
 * by one are looked at once; start with 0. Returns the head's length with the empty line, or 0 when
 * more bytes are needed or *fault says why there will never be one. Empty lines before the request
 * line count to the head.
 */
size_t http_head_find_end(const char *bytes, size_t n, size_t *at, struct http_fault *fault);

/* Parses a whole head (as found above). All texts in *out point into it. False with *fault set. */
bool http_head_parse(struct str bytes, struct http_head *out, struct http_fault *fault);

/* One header or trailer line without its CRLF. */
bool http_header_parse(struct str line, struct http_header *out);

/* A chunked body (RFC 9112, 7.1), fed in pieces of any size. Zero-initialise. */
struct http_chunked {
    uint8_t state;
    uint8_t size_digits;
    uint16_t line_bytes;    /* of the chunk-size or trailer line so far */
    uint16_t trailer_bytes; /* of all trailer lines */
    uint64_t left;          /* of the chunk */
};
enum http_chunked_result {
    HTTP_CHUNKED_MORE,
    HTTP_CHUNKED_DONE,
    HTTP_CHUNKED_BAD,
    HTTP_CHUNKED_TOO_BIG
};

/* Adds the decoded bytes to `body`; *used says how many of `bytes` belonged to this body. */
enum http_chunked_result http_chunked_feed(struct http_chunked *c, const uint8_t *bytes, size_t n,
                                           size_t *used, struct strbuf *body, size_t body_max);
