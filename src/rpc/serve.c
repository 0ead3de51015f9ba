/*
 * serve: the way in. A stream of gRPC with one message becomes a call of the service as anybody in
 * this process would make it; its answer comes back from whatever thread it was given on.
 */
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "grpc/h2_health.h"
#include "grpc/h2_reflection.h"
#include "rpc/metadata.h"
#include "rpc/remote.h"
#include "rpc/rpc_internal.h"

#define TIMEOUT_MAX_MS 600000
#define OWN_SERVICES (1 + H2_REFLECTION_SERVICES)

struct mount {
    struct rpc_server *server;
    ProtobufCService *service;
};

struct rpc_server {
    struct h2_io *io;
    struct h2_server *h2;
    struct h2_health *health;
    struct h2_reflection *reflection;
    struct mount *mounts;
    char *secret;
    bool is_proof_by_tls;
    atomic_uint in_flight; /* calls, and one for the server itself */
    sem_t drained;
};

/* One call from outside. */
struct served {
    struct rpc_server *server;
    struct h2_stream *stream; /* NULL: the client is gone */
    struct mount *mount;
    unsigned method;
    struct rpc_call *call;
    ProtobufCMessage *request;
    bool is_started;
    uint8_t *reply; /* packed; NULL: an error */
    size_t reply_n;
};

static void release(struct rpc_server *server)
{
    if (atomic_fetch_sub(&server->in_flight, 1) == 1)
        sem_post(&server->drained); /* the last touch */
}

static void refuse(struct h2_stream *s, enum err err, const char *message)
{
    h2_stream_finish(s, &(struct h2_status){.err = err, .message = message});
}

static void served_free(struct served *served)
{
    struct rpc_server *server = served->server;
    if (served->call)
        rpc_call_unref(&served->call);
    free(served->reply);
    free(served);
    release(server);
}

/* ---- answering ---- */

static void finish_failed(struct h2_stream *s, const struct rpc_call *call)
{
    struct h2_pair pairs[3];
    char retry[24], status[12];
    size_t count = 0;
    if (call->retry_after_ms > 0) {
        snprintf(retry, sizeof(retry), "%lld", (long long)call->retry_after_ms);
        pairs[count++] = (struct h2_pair){"parlance-retry-after-ms", retry};
    }
    if (call->http_status > 0) {
        snprintf(status, sizeof(status), "%d", call->http_status);
        pairs[count++] = (struct h2_pair){"parlance-http-status", status};
    }
    if (call->is_moved)
        pairs[count++] = (struct h2_pair){"parlance-moved-to", call->moved_to};
    h2_stream_finish(s, &(struct h2_status){.err = call->err,
                                            .message = call->message,
                                            .metadata = pairs,
                                            .metadata_count = count});
}

static void finish(struct served *served, bool is_ok)
{
    struct h2_stream *s = served->stream;
    if (s) {
        h2_stream_set_user(s, NULL);
        if (is_ok)
            h2_stream_finish(s, &(struct h2_status){.err = ERR_OK});
        else
            finish_failed(s, served->call);
    }
    served_free(served);
}

static void answer(void *arg)
{
    struct served *served = arg;
    if (served->stream && served->reply)
        h2_stream_send(served->stream, served->reply, served->reply_n);
    finish(served, served->reply);
}

/* On the loop already: packed where it leaves from, and sent with the rest of this turn. */
static void answer_here(struct served *served, const ProtobufCMessage *reply)
{
    uint8_t *room = NULL;
    if (served->stream && reply)
        room = h2_stream_room(served->stream, protobuf_c_message_get_packed_size(reply));
    if (room)
        protobuf_c_message_pack(reply, room);
    finish(served, reply);
}

static void on_done(const ProtobufCMessage *reply, struct rpc_call *call)
{
    struct served *served = call->user;
    struct loop *loop = h2_io_loop(served->server->io);
    if (loop_is_current(loop)) {
        answer_here(served, reply);
        return;
    }
    if (reply) {
        served->reply_n = protobuf_c_message_get_packed_size(reply);
        served->reply = mem_alloc(served->reply_n);
        protobuf_c_message_pack(reply, served->reply);
    }
    loop_post(loop, answer, served);
}

/* ---- the stream ---- */

static bool is_one_of_us(const struct rpc_server *server, const struct h2_stream *s)
{
    return (server->is_proof_by_tls && h2_stream_is_proven(s)) ||
           rpc_metadata_has_secret(s, server->secret);
}

static bool call_on_open(void *arg, struct h2_stream *s, const char *name)
{
    struct mount *mount = arg;
    int method = rpc_method_find(mount->service->descriptor, name);
    if (method < 0)
        return false;
    if (!is_one_of_us(mount->server, s)) {
        refuse(s, ERR_UNAUTHENTICATED,
               "neither a certificate of the cluster nor its secret was shown");
        return true;
    }
    struct served *served = mem_new(struct served);
    served->server = mount->server;
    served->stream = s;
    served->mount = mount;
    served->method = (unsigned)method;
    atomic_fetch_add(&mount->server->in_flight, 1);
    h2_stream_set_user(s, served);
    return true;
}

static void call_on_message(void *arg, struct h2_stream *s, const uint8_t *bytes, size_t n)
{
    struct served *served = h2_stream_user(s);
    const ProtobufCServiceDescriptor *d = served->mount->service->descriptor;
    if (served->call) {
        refuse(s, ERR_INVALID_ARGUMENT, "this method takes one message");
        return;
    }
    served->call = rpc_call_create(NULL);
    rpc_state(served->call)->is_from_outside = true;
    served->request =
        rpc_message_unpack(d->methods[served->method].input, served->call->arena, bytes, n);
    if (!served->request)
        refuse(s, ERR_INVALID_ARGUMENT, "the message is not of this method");
    else if (rpc_metadata_read(s, served->call))
        refuse(s, ERR_INVALID_ARGUMENT, "parlance-identity is none");
}

static void call_on_end(void *arg, struct h2_stream *s)
{
    struct served *served = h2_stream_user(s);
    if (!served->call) {
        refuse(s, ERR_INVALID_ARGUMENT, "a message is missing");
        return;
    }
    served->is_started = true;
    served->call->timeout_ms = MIN(served->call->timeout_ms, (int64_t)TIMEOUT_MAX_MS);
    served->call->user = served;
    rpc_async(served->mount->service, served->method, served->request, served->call, on_done,
              RPC_REQUEST_IN_ARENA);
}

static void call_on_gone(void *arg, struct h2_stream *s)
{
    struct served *served = h2_stream_user(s);
    if (!served)
        return;
    served->stream = NULL;
    if (!served->is_started)
        served_free(served);
}

static const struct h2_service_handler handler = {.on_open = call_on_open,
                                                  .on_message = call_on_message,
                                                  .on_end = call_on_end,
                                                  .on_gone = call_on_gone};

/* ---- life ---- */

static enum err start(struct rpc_server *server, const struct rpc_server_options *opt,
                      struct arena *arena)
{
    size_t count = opt->service_count;
    const char **names = arena_array(arena, const char *, count + OWN_SERVICES);
    struct h2_service *list = arena_array(arena, struct h2_service, count + OWN_SERVICES);
    server->mounts = mem_calloc(count + 1, sizeof(*server->mounts));
    for (size_t i = 0; i < count; i++) {
        server->mounts[i] = (struct mount){server, opt->services[i]};
        names[i] = opt->services[i]->descriptor->name;
        list[i] = (struct h2_service){names[i], &handler, &server->mounts[i]};
    }
    server->health = h2_health_create(names, count);
    list[count] = h2_health_service(server->health);
    names[count] = list[count].name;
    count++;
    if (opt->contracts) {
        names[count] = "grpc.reflection.v1.ServerReflection";
        enum err err = h2_reflection_create(&server->reflection, opt->contracts, opt->contracts_n,
                                            names, count + 1);
        if (err)
            return err;
        h2_reflection_services(server->reflection, list + count);
        count += H2_REFLECTION_SERVICES;
    }
    return h2_server_create(&server->h2, &(struct h2_server_options){.io = server->io,
                                                                     .host = opt->host,
                                                                     .port = opt->port,
                                                                     .tls = opt->tls,
                                                                     .services = list,
                                                                     .service_count = count});
}

enum err rpc_server_create(struct rpc_server **out, const struct rpc_server_options *opt)
{
    *out = NULL;
    if (!opt->tls && (!opt->secret || !opt->secret[0])) {
        log_error(NULL, "gRPC is not served: nobody could prove to be one of us");
        return ERR_INVALID_ARGUMENT;
    }
    struct rpc_server *server = mem_new(struct rpc_server);
    struct arena *arena = arena_create();
    server->io = h2_io_create(opt->loop);
    server->secret = mem_strdup(opt->secret);
    server->is_proof_by_tls = opt->tls != NULL;
    atomic_init(&server->in_flight, 1);
    sem_init(&server->drained, 0, 0);
    enum err err = start(server, opt, arena);
    arena_destroy(&arena);
    if (err)
        rpc_server_destroy(&server);
    *out = server;
    return err;
}

uint16_t rpc_server_port(const struct rpc_server *server)
{
    return h2_server_port(server->h2);
}

static void stop_health(void *arg)
{
    struct rpc_server *server = arg;
    h2_health_stop(server->health);
}

void rpc_server_leave(struct rpc_server *server)
{
    loop_call(h2_io_loop(server->io), stop_health, server);
    (void)h2_server_drain(server->h2, 0);
}

void rpc_server_drain(struct rpc_server *server, int64_t timeout_ms)
{
    rpc_server_leave(server);
    size_t left = h2_server_drain(server->h2, timeout_ms);
    if (left)
        log_warn(NULL, "%zu connections of other processes did not end in time", left);
}

void rpc_server_destroy(struct rpc_server **server_)
{
    struct rpc_server *server = *server_;
    *server_ = NULL;
    if (!server)
        return;
    h2_server_destroy(&server->h2);
    release(server);
    while (sem_wait(&server->drained) != 0) /* calls whose clients are gone */
        ;
    h2_health_destroy(&server->health);
    h2_reflection_destroy(&server->reflection);
    h2_io_destroy(&server->io);
    sem_destroy(&server->drained);
    free(server->mounts);
    free(server->secret);
    free(server);
}
