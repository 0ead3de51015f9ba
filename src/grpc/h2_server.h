/*
 * h2_server: serves gRPC. A service is a name and a handler of streams; a unary method is a stream
 * with one message each way. Bounded per connection: streams at once, headers, a message, all
 * messages that are not whole together, resets in a row.
 */
#pragma once

#include "grpc/h2.h"
#include "grpc/h2_wire.h"
#include "net/tls.h"

struct h2_server;
struct h2_stream;

struct h2_service_handler {
    /* A call of this service. False: it has no such method. */
    bool (*on_open)(void *arg, struct h2_stream *s, const char *method);
    /* Bytes are valid during the call. */
    void (*on_message)(void *arg, struct h2_stream *s, const uint8_t *bytes, size_t n);
    /* The client will send no more. */
    void (*on_end)(void *arg, struct h2_stream *s);
    /* The last call of each stream for which on_open returned true: answered, cancelled or lost. */
    void (*on_gone)(void *arg, struct h2_stream *s);
};

struct h2_service {
    const char *name; /* "parlance.user.v1.User" */
    const struct h2_service_handler *handler;
    void *arg;
    uint32_t message_max_bytes; /* of a request; 0: the server's */
};

struct h2_server_options {
    struct h2_io *io;
    const char *host;    /* NULL or "": every address */
    uint16_t port;       /* 0: any free one */
    struct net_tls *tls; /* a server's, for "h2"; NULL: plain */
    const struct h2_service *services;
    size_t service_count;
    uint32_t message_max_bytes;   /* 0: H2_MESSAGE_MAX_BYTES */
    uint32_t streams_max;         /* at once, of a connection; 0: 1,000 */
    uint32_t connections_max;     /* 0: 1,000 */
    size_t unfinished_max_bytes;  /* of messages not whole yet, of a connection; 0: 64 MiB */
    uint32_t resets_max;          /* in a row, then 50 a second; 0: 1,000 */
    int64_t keepalive_ms;         /* PING after such a silence; 0: 60,000 */
    int64_t ping_timeout_ms;      /* 0: 20,000 */
    int64_t handshake_timeout_ms; /* 0: 10,000 */
};

/* Not from a loop. ALREADY_EXISTS: the port is taken. */
MUST_USE enum err h2_server_create(struct h2_server **out, const struct h2_server_options *opt);
uint16_t h2_server_port(const struct h2_server *server);
/* Nobody new is let in, clients are told to go elsewhere (GOAWAY), streams may end within the time.
 * Returns how many connections were left. Not from a loop. */
size_t h2_server_drain(struct h2_server *server, int64_t timeout_ms);
/* Not from a loop. Accepts NULL. */
void h2_server_destroy(struct h2_server **server);

/* ---- a stream; for its loop, between on_open and on_gone ---- */

struct h2_status {
    enum err err;
    const char *message; /* UTF-8; NULL: err's own text */
    const struct h2_pair *metadata;
    size_t metadata_count;
};
void h2_stream_send(struct h2_stream *s, const void *message, size_t n);
/* Where the caller writes a message of n bytes himself, before anything else is done with the
 * stream. NULL: nobody would read it. */
void *h2_stream_room(struct h2_stream *s, size_t n);
/* The end; what comes of the client afterwards is dropped. */
void h2_stream_finish(struct h2_stream *s, const struct h2_status *status);
/* Bytes that wait for the client to read. */
size_t h2_stream_unsent(const struct h2_stream *s);
/* A header of the request (lower case), or NULL. */
const char *h2_stream_header(const struct h2_stream *s, const char *name);
/* What the client allows; 0: not said. */
int64_t h2_stream_timeout_ms(const struct h2_stream *s);
/* The client showed a certificate that our authority signed. */
bool h2_stream_is_proven(const struct h2_stream *s);
void h2_stream_set_user(struct h2_stream *s, void *user);
void *h2_stream_user(const struct h2_stream *s);
