/*
 * h2_channel: a client of one instance. One connection, made when the first call wants it and made
 * again when it is lost: after a failure a pause that doubles (with jitter) up to a bound, in which
 * calls fail at once. A server that says GOAWAY keeps what it has; new calls go to a new
 * connection.
 */
#pragma once

#include "grpc/h2.h"
#include "grpc/h2_wire.h"
#include "net/tls.h"

struct h2_channel;
struct h2_call;

struct h2_channel_options {
    struct h2_io *io;
    const char *host; /* name or address; copied */
    uint16_t port;
    struct net_tls *tls;        /* a client's, for "h2"; NULL: plain */
    uint32_t message_max_bytes; /* of an answer; 0: H2_MESSAGE_MAX_BYTES */
    int64_t keepalive_ms;       /* PING after such a silence while calls are open; 0: 30,000 */
    int64_t ping_timeout_ms;    /* no answer for so long: the connection is lost; 0: 10,000 */
    int64_t connect_timeout_ms; /* 0: 5,000 */
    int64_t backoff_min_ms;     /* 0: 200 */
    int64_t backoff_max_ms;     /* 0: 30,000 */
};

struct h2_channel *h2_channel_create(const struct h2_channel_options *opt);
/* Calls in flight end with CANCELLED, inside this. Accepts NULL. */
void h2_channel_destroy(struct h2_channel **channel);

enum h2_channel_state {
    H2_CHANNEL_IDLE,       /* nobody has asked yet, or the connection was closed in peace */
    H2_CHANNEL_CONNECTING, /* calls wait */
    H2_CHANNEL_READY,
    H2_CHANNEL_FAILING, /* in the pause after a failure: calls fail at once */
};
enum h2_channel_state h2_channel_state(const struct h2_channel *channel);
/* How long the pause still lasts; 0: there is none. */
int64_t h2_channel_pause_ms(const struct h2_channel *channel);

struct h2_result {
    enum err err;
    const char *message; /* UTF-8, never NULL */
    /* No handler of the server has seen the call, for certain: it may be made again elsewhere. */
    bool is_unprocessed;
    /* The server itself said so: `metadata` is its trailers. Else the connection's fault. */
    bool is_answered;
    const struct h2_metadata *metadata;
};

struct h2_call_handler {
    /* A message; bytes valid during the call. May cancel the call. NULL: none is expected. */
    void (*on_message)(void *arg, const uint8_t *bytes, size_t n);
    /* Once, the last; never inside h2_call_start. */
    void (*on_end)(void *arg, const struct h2_result *result);
};

struct h2_call_options {
    const char *path; /* "/parlance.user.v1.User/GetUser" */
    const struct h2_pair *metadata;
    size_t metadata_count;
    int64_t timeout_ms; /* 0: none; the server is told, and we give up then */
    bool is_patient;    /* waits for a failing channel to come back, up to its deadline */
    const struct h2_call_handler *handler;
    void *arg;
};

/* Valid until on_end ran, or h2_call_cancel. */
struct h2_call *h2_call_start(struct h2_channel *channel, const struct h2_call_options *opt);
/* The bytes are copied. */
void h2_call_send(struct h2_call *call, const void *message, size_t n);
/* Nothing more will be sent: for a unary call, after the one message. */
void h2_call_end(struct h2_call *call);
/* Bytes that wait for the server to read. */
size_t h2_call_unsent(const struct h2_call *call);
/* Gives it up; on_end does not come. */
void h2_call_cancel(struct h2_call **call);
