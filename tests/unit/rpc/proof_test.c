/* The secret of the cluster, in either of the headers that it may come in: ours, and the one that
 * programs of others use. */
#include "test.h"

#include <semaphore.h>

#include "core/loop.h"
#include "grpc/h2_channel.h"
#include "rpc/remote.h"

#include "signaling.pb-c.h"

#define SECRET "a secret of the cluster, long enough"

static void list(Signaling__Signaling_Service *s, const Signaling__ListConnectionsRequest *input,
                 Signaling__ConnectionList_Closure closure, void *data)
{
    Signaling__ConnectionList reply = SIGNALING__CONNECTION_LIST__INIT;
    closure(&reply, data);
}

static Signaling__Signaling_Service implementation = {
    .base = {.descriptor = &signaling__signaling__descriptor,
             .invoke = protobuf_c_service_invoke_internal},
    .list_connections = list};

struct asked {
    struct h2_channel *channel;
    struct h2_channel_options to;
    const struct h2_pair *pairs;
    size_t count;
    enum err err;
    sem_t done;
};

static void on_end(void *arg, const struct h2_result *result)
{
    struct asked *a = arg;
    a->err = result->err;
    sem_post(&a->done);
}

static void start(void *arg)
{
    static const struct h2_call_handler handler = {.on_end = on_end};
    struct asked *a = arg;
    a->channel = h2_channel_create(&a->to);
    struct h2_call *call = h2_call_start(
        a->channel,
        &(struct h2_call_options){.path = "/parlance.signaling.v1.Signaling/ListConnections",
                                  .metadata = a->pairs,
                                  .metadata_count = a->count,
                                  .handler = &handler,
                                  .arg = a});
    h2_call_send(call, "", 0);
    h2_call_end(call);
}

static void stop(void *arg)
{
    struct asked *a = arg;
    h2_channel_destroy(&a->channel);
}

static enum err ask(struct loop *loop, uint16_t port, const struct h2_pair *pairs, size_t count)
{
    struct h2_io *io = h2_io_create(loop);
    struct asked a = {
        .to = {.io = io, .host = "127.0.0.1", .port = port}, .pairs = pairs, .count = count};
    sem_init(&a.done, 0, 0);
    loop_call(loop, start, &a);
    while (sem_wait(&a.done) != 0)
        ;
    loop_call(loop, stop, &a);
    h2_io_destroy(&io);
    sem_destroy(&a.done);
    return a.err;
}

static void test_headers(void **state)
{
    static const struct {
        struct h2_pair pairs[2];
        size_t count;
        enum err err;
    } cases[] = {
        {{{"authorization", "Bearer " SECRET}}, 1, ERR_OK},
        {{{"parlance-secret", SECRET}}, 1, ERR_OK},
        {{{"parlance-secret", ""}, {"authorization", "Bearer " SECRET}}, 2, ERR_OK},
        {{{"x-other", SECRET}}, 1, ERR_UNAUTHENTICATED},
        {{{"authorization", SECRET}}, 1, ERR_UNAUTHENTICATED},
        {{{"authorization", "Bearer"}}, 1, ERR_UNAUTHENTICATED},
        {{{"authorization", "Bearer " SECRET "r"}}, 1, ERR_UNAUTHENTICATED},
        {{{"parlance-secret", ""}}, 1, ERR_UNAUTHENTICATED},
        {{{"parlance-secret", "Bearer " SECRET}}, 1, ERR_UNAUTHENTICATED},
        {{{"parlance-secret", "x"}, {"authorization", "Bearer " SECRET}}, 2, ERR_UNAUTHENTICATED},
    };
    enum err got[ARRAY_LEN(cases)];
    struct loop *in, *out;
    struct rpc_server *server;
    ProtobufCService *service = rpc_local_create(&implementation.base, NULL);
    assert_int_equal(loop_create(&in, "in"), ERR_OK);
    assert_int_equal(loop_create(&out, "out"), ERR_OK);
    assert_int_equal(rpc_server_create(&server, &(struct rpc_server_options){.loop = in,
                                                                             .host = "127.0.0.1",
                                                                             .services = &service,
                                                                             .service_count = 1,
                                                                             .secret = SECRET}),
                     ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        got[i] = ask(out, rpc_server_port(server), cases[i].pairs, cases[i].count);
    rpc_server_destroy(&server);
    rpc_local_destroy(&service);
    loop_destroy(&out);
    loop_destroy(&in);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(got[i], cases[i].err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_headers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
