/*
 * rpc_parlance: calls between processes as Parlance makes them, nothing else: room rpc over room
 * grpc. The server's handler answers at once; `shared` hands each call to the service's share of
 * threads, as app/topology does, `inline` answers on the loop, as the other peers do.
 *
 *   rpc_parlance server PORT shared|inline
 *   rpc_parlance client PORT IN_FLIGHT SECONDS
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/loop.h"
#include "rpc/remote.h"
#include "rpc/said.h"

/* ---- the server ---- */

static void get_user(User__User_Service *s, const User__GetUserRequest *input,
                     User__Profile_Closure closure, void *data)
{
    struct rpc_call *call = data;
    if (strcmp(input->id, SAID_ID) == 0) {
        closure(said_answer(), call);
        return;
    }
    rpc_fail(call, ERR_NOT_FOUND, "nobody has this id");
    closure(NULL, call);
}

static User__User_Service implementation = {
    .base = USER__USER__BASE_INIT,
    .get_user = get_user,
};

static int serve(uint16_t port, bool is_shared)
{
    struct loop *loop;
    struct rpc_server *server;
    sigset_t stops;
    int stop;
    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stops, NULL);
    ProtobufCService *service =
        is_shared ? rpc_local_create(&implementation.base, NULL) : &implementation.base;
    if (loop_create(&loop, "grpc") ||
        rpc_server_create(&server, &(struct rpc_server_options){.loop = loop,
                                                                .host = "127.0.0.1",
                                                                .port = port,
                                                                .services = &service,
                                                                .service_count = 1,
                                                                .secret = SAID_SECRET}))
        return 1;
    sigwait(&stops, &stop);
    rpc_server_destroy(&server);
    if (is_shared)
        rpc_local_destroy(&service);
    loop_destroy(&loop);
    return 0;
}

/* ---- the client ---- */

static struct {
    ProtobufCService *service;
    unsigned method;
    atomic_bool is_running;
    atomic_uint in_flight;
    atomic_ullong calls, wrong;
} load;

static void call_once(void);

static void on_done(const ProtobufCMessage *reply, struct rpc_call *call)
{
    bool is_right = said_is_right((const User__Profile *)reply);
    atomic_fetch_add(is_right ? &load.calls : &load.wrong, 1);
    rpc_call_unref(&call);
    if (atomic_load(&load.is_running))
        call_once();
    else
        atomic_fetch_sub(&load.in_flight, 1);
}

static void call_once(void)
{
    struct rpc_call *call = rpc_call_create(NULL);
    call->timeout_ms = 10000;
    rpc_async(load.service, load.method, &said_question()->base, call, on_done, 0);
}

static void run(unsigned in_flight, int64_t run_us)
{
    atomic_store(&load.calls, 0);
    atomic_store(&load.wrong, 0);
    atomic_store(&load.is_running, true);
    atomic_store(&load.in_flight, in_flight);
    for (unsigned i = 0; i < in_flight; i++)
        call_once();
    usleep((useconds_t)run_us);
    atomic_store(&load.is_running, false);
    while (atomic_load(&load.in_flight) > 0)
        usleep(1000);
}

static int measure(uint16_t port, unsigned in_flight, unsigned seconds)
{
    const struct registry_instance there = {"User", "there", "127.0.0.1", port};
    struct loop *loop;
    struct registry *registry;
    if (loop_create(&loop, "grpc") ||
        registry_open(&registry, &(struct registry_options){.fixed = &there, .fixed_count = 1}))
        return 1;
    struct rpc_pool *pool = rpc_pool_create(
        &(struct rpc_pool_options){.loop = loop, .registry = registry, .secret = SAID_SECRET});
    load.service = rpc_remote_create(pool, &user__user__descriptor);
    load.method = (unsigned)rpc_method_find(&user__user__descriptor, "GetUser");
    run(in_flight, 200000); /* connections, pools, caches */
    said_ready();
    said_wait();
    int64_t start_us = clock_mono_us();
    run(in_flight, (int64_t)seconds * 1000000);
    said_done(load.calls, load.wrong, (double)(clock_mono_us() - start_us) / 1e6);
    said_wait();
    rpc_remote_destroy(&load.service);
    rpc_pool_destroy(&pool);
    registry_close(&registry);
    loop_destroy(&loop);
    return 0;
}

int main(int argc, char **argv)
{
    log_set_level(LOG_WARN);
    if (argc == 4 && strcmp(argv[1], "server") == 0)
        return serve((uint16_t)atoi(argv[2]), strcmp(argv[3], "shared") == 0);
    if (argc == 5 && strcmp(argv[1], "client") == 0)
        return measure((uint16_t)atoi(argv[2]), (unsigned)atoi(argv[3]), (unsigned)atoi(argv[4]));
    fprintf(stderr,
            "usage: rpc_parlance server PORT shared|inline | client PORT IN_FLIGHT SECONDS\n");
    return 2;
}
