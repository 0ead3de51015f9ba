/* grpc_fixture: a server with a service of every kind of call, and a client that can be waited for.
 */
#pragma once

#include "test.h"

#include <pthread.h>

#include "grpc/h2_channel.h"
#include "grpc/h2_server.h"

/*
 * "test.Echo": Echo (each message comes back), Count (the first byte of the request is how many
 * answers come), Fail (NOT_FOUND with words and a trailer), Hang (never answers), Header (the value
 * of header x-test).
 */
struct grpc_fixture {
    struct loop *loop;
    struct h2_io *io;
    struct h2_server *server;
    struct h2_channel *channel;
    struct h2_server_options server_options; /* to be set before fixture_start */
    struct h2_channel_options channel_options;
    int opened, gone; /* streams, as the service sees them; after a stop */
};

void fixture_start(struct grpc_fixture *f);
void fixture_stop(struct grpc_fixture *f);

/* What came of one call. */
struct outcome {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_ended;
    enum err err;
    char message[512];
    char trailer[64]; /* x-test */
    bool is_unprocessed, is_answered;
    int messages;
    char last[256];
    size_t last_n;
};

struct ask {
    const char *method; /* "Echo" */
    const char *path;   /* instead of a method */
    const char *body;   /* NULL: none is sent */
    size_t body_n;      /* 0: strlen */
    int repeat;         /* the body is sent so often; 0: once */
    int64_t timeout_ms;
    const char *header; /* of x-test */
    bool is_patient;
    bool is_open; /* our side is not ended */
};

/* Starts it on the loop; the outcome is to be waited for. */
void ask_start(struct grpc_fixture *f, const struct ask *ask, struct outcome *out);
void outcome_wait(struct outcome *out);
/* Both. */
void ask_wait(struct grpc_fixture *f, const struct ask *ask, struct outcome *out);
