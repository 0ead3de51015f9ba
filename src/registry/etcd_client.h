/*
 * etcd_client: calls of etcd's API to whichever of several endpoints answers. One channel at a
 * time; when it fails, or is silent, the next endpoint is taken and everything under way there ends
 * with UNAVAILABLE: whoever asked asks again, after etcd_client_pause_ms. Signs in when it has a
 * name. On the loop of its h2_io.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "grpc/h2_channel.h"

struct etcd_client;
struct etcd_call;

struct etcd_client_options {
    struct h2_io *io;
    const char *const *endpoints; /* "http://host:port"; copied */
    size_t endpoint_count;
    const char *username, *password; /* NULL or "": none; copied */
    struct net_tls *tls;             /* for https; outlives it */
};

/* "http://10.0.0.7:2379", "https://[::1]:2379", "10.0.0.7:2379". */
struct etcd_endpoint {
    char *host;
    uint16_t port;
    bool is_tls;
};
/* False: it is none. The host is the caller's to free. */
MUST_USE bool etcd_endpoint_parse(const char *text, struct etcd_endpoint *out);

struct etcd_client *etcd_client_create(const struct etcd_client_options *opt);
/* Calls under way end with CANCELLED, inside this. Accepts NULL. */
void etcd_client_destroy(struct etcd_client **client);
/* So long after its endpoint answers again a client that lives has asked it, whatever it was at: a
 * call that hangs, a pause, the call itself. */
#define ETCD_CLIENT_BACK_MS 9000
/* How long to wait before asking again; grows while nobody answers. */
int64_t etcd_client_pause_ms(const struct etcd_client *client);
/* False: it does not let us sign in, which was logged. */
bool etcd_client_is_welcome(const struct etcd_client *client);

struct etcd_call_handler {
    /* Bytes valid during the call, which may cancel it. Of a unary call at most once. */
    void (*on_message)(void *arg, const uint8_t *bytes, size_t n);
    /* Once, the last; never inside etcd_call_start. `why` is never NULL. */
    void (*on_end)(void *arg, enum err err, const char *why);
};

struct etcd_call_options {
    const char *path; /* "/etcdserverpb.KV/Range"; a literal */
    const ProtobufCMessage *request;
    bool is_stream; /* stays open, without a deadline */
    const struct etcd_call_handler *handler;
    void *arg;
};

/* Valid until on_end ran, or etcd_call_cancel. */
struct etcd_call *etcd_call_start(struct etcd_client *client, const struct etcd_call_options *opt);
/* One more message on a stream that has answered. */
void etcd_call_send(struct etcd_call *call, const ProtobufCMessage *message);
/* on_end does not come. Accepts NULL. */
void etcd_call_cancel(struct etcd_call **call);
/* A stream that should have said something did not: its endpoint is left, the stream ends. */
void etcd_call_blame(struct etcd_call *call);
