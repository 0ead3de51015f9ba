/* remote: a service behind gRPC, called as any other: replies, errors and all that goes with them,
 * identity, instances that die, and who is not one of us. */
#include "test.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/loop.h"
#include "rpc/metadata.h"
#include "rpc/remote.h"

#include "signaling.pb-c.h"

#define SECRET "a secret of the cluster, long enough"

static atomic_int runs[2];

/* Echoes the participant's length; "fail" fails; "slow" takes its time. */
static void disconnect(int which, const Signaling__DisconnectRequest *input,
                       Signaling__DisconnectReply_Closure closure, void *data)
{
    struct rpc_call *call = data;
    atomic_fetch_add(&runs[which], 1);
    if (strcmp(input->participant_id, "fail") == 0) {
        call->retry_after_ms = 1500;
        call->http_status = 423;
        rpc_fail(call, ERR_NOT_FOUND, "nobody is called \xc3\xa4%s", input->participant_id);
        closure(NULL, call);
        return;
    }
    if (strcmp(input->participant_id, "slow") == 0)
        usleep(300000);
    Signaling__DisconnectReply reply = SIGNALING__DISCONNECT_REPLY__INIT;
    reply.disconnected_count = (int32_t)strlen(input->participant_id);
    closure(&reply, call);
}

static void list(const Signaling__ListConnectionsRequest *input,
                 Signaling__ConnectionList_Closure closure, void *data)
{
    struct rpc_call *call = data;
    Signaling__Connection one = SIGNALING__CONNECTION__INIT;
    Signaling__Connection *all[] = {&one};
    Signaling__ConnectionList reply = SIGNALING__CONNECTION_LIST__INIT;
    char text[400];
    snprintf(text, sizeof(text), "%s|%s|%s|%s|%s|%s", call->request_id ? call->request_id : "-",
             call->traceparent ? call->traceparent : "-",
             call->remote_addr ? call->remote_addr : "-", call->user_agent ? call->user_agent : "-",
             call->who ? call->who->name : "-", call->who ? call->who->user_id : "-");
    one.user_id = text;
    reply.connections = all;
    reply.n_connections = 1;
    closure(&reply, call);
}

#define IMPLEMENTATION(n)                                                                   \
    static void i##n##_disconnect(Signaling__Signaling_Service *s,                          \
                                  const Signaling__DisconnectRequest *input,                \
                                  Signaling__DisconnectReply_Closure closure, void *data)   \
    {                                                                                       \
        disconnect(n, input, closure, data);                                                \
    }                                                                                       \
    static void i##n##_list_connections(Signaling__Signaling_Service *s,                    \
                                        const Signaling__ListConnectionsRequest *input,     \
                                        Signaling__ConnectionList_Closure closure, void *d) \
    {                                                                                       \
        list(input, closure, d);                                                            \
    }                                                                                       \
    static Signaling__Signaling_Service implementation##n = {                               \
        .base = {.descriptor = &signaling__signaling__descriptor,                           \
                 .invoke = protobuf_c_service_invoke_internal},                             \
        .list_connections = i##n##_list_connections,                                        \
        .disconnect = i##n##_disconnect}
IMPLEMENTATION(0);
IMPLEMENTATION(1);

struct world {
    struct loop *in, *out;
    ProtobufCService *local[2];
    struct rpc_server *servers[2];
    struct registry *registry;
    struct rpc_pool *pool;
    ProtobufCService *service;
};

static void announce(struct world *w, const char *id, uint16_t port)
{
    const struct registry_instance i = {
        .service = "Signaling", .id = id, .address = "127.0.0.1", .port = port};
    assert_int_equal(registry_announce(w->registry, &i), ERR_OK);
}

static void start_server(struct world *w, int i, uint16_t port)
{
    assert_int_equal(
        rpc_server_create(&w->servers[i], &(struct rpc_server_options){.loop = w->in,
                                                                       .host = "127.0.0.1",
                                                                       .port = port,
                                                                       .services = &w->local[i],
                                                                       .service_count = 1,
                                                                       .secret = SECRET}),
        ERR_OK);
}

static void world_start(struct world *w, int server_count, const char *secret)
{
    Signaling__Signaling_Service *const all[] = {&implementation0, &implementation1};
    *w = (struct world){0};
    atomic_store(&runs[0], 0);
    atomic_store(&runs[1], 0);
    assert_int_equal(loop_create(&w->in, "in"), ERR_OK);
    assert_int_equal(loop_create(&w->out, "out"), ERR_OK);
    assert_int_equal(registry_open(&w->registry, &(struct registry_options){0}), ERR_OK);
    for (int i = 0; i < server_count; i++) {
        w->local[i] = rpc_local_create(&all[i]->base, NULL);
        start_server(w, i, 0);
        announce(w, i ? "one" : "zero", rpc_server_port(w->servers[i]));
    }
    w->pool = rpc_pool_create(
        &(struct rpc_pool_options){.loop = w->out, .registry = w->registry, .secret = secret});
    w->service = rpc_remote_create(w->pool, &signaling__signaling__descriptor);
}

static void world_stop(struct world *w)
{
    rpc_remote_destroy(&w->service);
    rpc_pool_destroy(&w->pool);
    registry_close(&w->registry);
    for (int i = 0; i < 2; i++) {
        rpc_server_destroy(&w->servers[i]);
        rpc_local_destroy(&w->local[i]);
    }
    loop_destroy(&w->in);
    loop_destroy(&w->out);
}

struct answer {
    int count; /* -1: failed */
    enum err err;
    char message[200];
    int64_t retry_after_ms;
    int http_status;
};

static struct answer ask(struct world *w, const char *id, const char *instance, int64_t timeout_ms)
{
    Signaling__DisconnectRequest request = SIGNALING__DISCONNECT_REQUEST__INIT;
    struct rpc_call *call = rpc_call_create(NULL);
    request.participant_id = (char *)(uintptr_t)id;
    call->instance = instance;
    call->timeout_ms = timeout_ms;
    const Signaling__DisconnectReply *reply =
        rpc_sync(w->service, "Disconnect", &request.base, call);
    struct answer a = {.count = reply ? reply->disconnected_count : -1,
                       .err = call->err,
                       .retry_after_ms = call->retry_after_ms,
                       .http_status = call->http_status};
    snprintf(a.message, sizeof(a.message), "%s", call->message);
    rpc_call_unref(&call);
    return a;
}

static void test_replies(void **state)
{
    struct world w;
    world_start(&w, 1, SECRET);
    assert_int_equal(ask(&w, "abc", NULL, 0).count, 3);
    assert_int_equal(ask(&w, "", NULL, 0).count, 0);
    struct answer a = ask(&w, "fail", NULL, 0);
    assert_int_equal(a.err, ERR_NOT_FOUND);
    assert_string_equal(a.message, "nobody is called \xc3\xa4"
                                   "fail");
    assert_int_equal(a.retry_after_ms, 1500);
    assert_int_equal(a.http_status, 423);
    a = ask(&w, "slow", NULL, 60);
    assert_int_equal(a.err, ERR_DEADLINE_EXCEEDED);
    world_stop(&w);
}

static void test_what_goes_with_it(void **state)
{
    struct world w;
    struct identity who = {
        .role = ROLE_GUEST, .user_id = "01J0000000000000000000000A", .name = "J\xc3\xb6rg; 50%"};
    world_start(&w, 1, SECRET);
    struct rpc_call *call = rpc_call_create(NULL);
    Signaling__ListConnectionsRequest request = SIGNALING__LIST_CONNECTIONS_REQUEST__INIT;
    call->who = &who;
    call->request_id = "r-1";
    call->traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    call->remote_addr = "2001:db8::1";
    call->user_agent = "Somebody\r\nx: y";
    const Signaling__ConnectionList *reply =
        rpc_sync(w.service, "ListConnections", &request.base, call);
    assert_non_null(reply);
    assert_string_equal(reply->connections[0]->user_id,
                        "r-1|00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01|2001:db8::1|"
                        "Somebody\r\nx: y|J\xc3\xb6rg; 50%|01J0000000000000000000000A");
    rpc_call_unref(&call);
    call = rpc_call_create(NULL); /* nobody: the system itself */
    reply = rpc_sync(w.service, "ListConnections", &request.base, call);
    assert_non_null(reply);
    assert_string_equal(reply->connections[0]->user_id, "-|-|-|-|-|-");
    rpc_call_unref(&call);
    world_stop(&w);
}

static void test_strangers(void **state)
{
    static const char *const secrets[] = {NULL, "", "another secret of a cluster, long enough",
                                          "a secret of the cluster, long enoug"};
    for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
        struct world w;
        world_start(&w, 1, secrets[i]);
        assert_int_equal(ask(&w, "abc", NULL, 0).err, ERR_UNAUTHENTICATED);
        assert_int_equal(atomic_load(&runs[0]), 0);
        world_stop(&w);
    }
    struct rpc_server *server;
    assert_int_equal(rpc_server_create(&server, &(struct rpc_server_options){0}),
                     ERR_INVALID_ARGUMENT);
}

static void test_instances(void **state)
{
    struct world w;
    world_start(&w, 2, SECRET);
    announce(&w, "dead", 1);
    for (int i = 0; i < 30; i++) /* what a dead one was asked is asked again elsewhere */
        assert_int_equal(ask(&w, "abc", NULL, 0).count, 3);
    assert_true(atomic_load(&runs[0]) >= 10 && atomic_load(&runs[1]) >= 10);
    assert_int_equal(atomic_load(&runs[0]) + atomic_load(&runs[1]), 30);
    for (int i = 0; i < 5; i++)
        assert_int_equal(ask(&w, "abc", "one", 0).count, 3);
    assert_true(atomic_load(&runs[1]) >= 15);
    assert_int_equal(ask(&w, "abc", "dead", 0).err, ERR_UNAVAILABLE);
    assert_int_equal(ask(&w, "abc", "unheard of", 0).err, ERR_UNAVAILABLE);

    rpc_server_drain(w.servers[0], 2000);
    rpc_server_destroy(&w.servers[0]);
    for (int i = 0; i < 10; i++)
        assert_int_equal(ask(&w, "abc", NULL, 0).count, 3);
    assert_int_equal(registry_withdraw(w.registry, "Signaling", "one"), ERR_OK);
    assert_int_equal(registry_withdraw(w.registry, "Signaling", "zero"), ERR_OK);
    assert_int_equal(registry_withdraw(w.registry, "Signaling", "dead"), ERR_OK);
    assert_int_equal(ask(&w, "abc", NULL, 0).err, ERR_UNAVAILABLE);
    world_stop(&w);
}

static atomic_int left, good;

static void on_done(const ProtobufCMessage *reply, struct rpc_call *call)
{
    atomic_fetch_add(&good, reply != NULL);
    atomic_fetch_sub(&left, 1);
    rpc_call_unref(&call);
}

static void burst(struct world *w, const char *id, int count)
{
    Signaling__DisconnectRequest request = SIGNALING__DISCONNECT_REQUEST__INIT;
    request.participant_id = (char *)(uintptr_t)id;
    atomic_store(&left, count);
    atomic_store(&good, 0);
    int method = rpc_method_find(w->service->descriptor, "Disconnect");
    for (int i = 0; i < count; i++)
        rpc_async(w->service, (unsigned)method, &request.base, rpc_call_create(NULL), on_done, 0);
}

static void burst_wait(void)
{
    for (int i = 0; i < 10000 && atomic_load(&left); i++)
        usleep(1000);
    assert_int_equal(atomic_load(&left), 0);
}

static struct answer ask_about(struct world *w, const char *affinity)
{
    Signaling__DisconnectRequest request = SIGNALING__DISCONNECT_REQUEST__INIT;
    struct rpc_call *call = rpc_call_create(NULL);
    request.participant_id = (char *)(uintptr_t) "ok";
    call->affinity = affinity;
    const Signaling__DisconnectReply *reply =
        rpc_sync(w->service, "Disconnect", &request.base, call);
    struct answer a = {.count = reply ? reply->disconnected_count : -1, .err = call->err};
    rpc_call_unref(&call);
    return a;
}

/* What has the same affinity goes to the same instance, all together to both; when one is gone,
 * to the other. */
static void test_affinity(void **state UNUSED)
{
    struct world w;
    char key[16];
    world_start(&w, 2, SECRET);
    for (int i = 0; i < 40; i++) {
        int before[2] = {atomic_load(&runs[0]), atomic_load(&runs[1])};
        snprintf(key, sizeof(key), "thing %d", i);
        for (int j = 0; j < 3; j++)
            assert_true(ask_about(&w, key).count >= 0);
        int moved[2] = {atomic_load(&runs[0]) - before[0], atomic_load(&runs[1]) - before[1]};
        assert_true((moved[0] == 3 && !moved[1]) || (moved[1] == 3 && !moved[0]));
    }
    assert_true(atomic_load(&runs[0]) >= 15 && atomic_load(&runs[1]) >= 15);
    rpc_server_destroy(&w.servers[0]);
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof(key), "thing %d", i);
        struct answer a = ask_about(&w, key);
        assert_true(a.count >= 0 || a.err == ERR_UNAVAILABLE); /* the first may find it dead */
    }
    assert_true(ask_about(&w, "thing 1").count >= 0);
    world_stop(&w);
}

static void test_withdrawn_while_calling(void **state)
{
    struct world w;
    world_start(&w, 1, SECRET);
    burst(&w, "slow", 2);
    usleep(100000);
    assert_int_equal(registry_withdraw(w.registry, "Signaling", "zero"), ERR_OK);
    burst_wait(); /* what it has, it may end */
    assert_int_equal(atomic_load(&good), 2);
    world_stop(&w);
}

static void test_burst(void **state)
{
    struct world w;
    world_start(&w, 2, SECRET);
    burst(&w, "hello", 500);
    burst_wait();
    assert_int_equal(atomic_load(&good), 500);
    burst(&w, "hello", 50);
    world_stop(&w); /* waits for them */
    assert_int_equal(atomic_load(&left), 0);
}

/* Each call of the chain is made in the answer of the one before: on the loop, like its answer on
 * the other side. */
static struct {
    struct world *w;
    atomic_int left, good, refused, elsewhere;
} chain;

static void chain_next(void);

static void on_chain_done(const ProtobufCMessage *reply, struct rpc_call *call)
{
    const Signaling__DisconnectReply *answer = (const Signaling__DisconnectReply *)reply;
    atomic_fetch_add(&chain.elsewhere, !loop_is_current(chain.w->out));
    atomic_fetch_add(&chain.good, answer && answer->disconnected_count == 5);
    atomic_fetch_add(&chain.refused, !answer && call->err == ERR_NOT_FOUND &&
                                         call->retry_after_ms == 1500 && call->http_status == 423);
    rpc_call_unref(&call);
    chain_next();
}

static void chain_next(void)
{
    int turn = atomic_fetch_sub(&chain.left, 1);
    if (turn <= 0)
        return;
    Signaling__DisconnectRequest request = SIGNALING__DISCONNECT_REQUEST__INIT;
    struct rpc_call *call = rpc_call_create(NULL);
    request.participant_id = (char *)(uintptr_t)(turn % 3 == 0 ? "fail" : "hello");
    int method = rpc_method_find(&signaling__signaling__descriptor, "Disconnect");
    rpc_async(chain.w->service, (unsigned)method, &request.base, call, on_chain_done, 0);
}

static void test_all_on_loops(void **state)
{
    struct world w;
    world_start(&w, 0, SECRET);
    w.local[0] = &implementation0.base; /* no threads of its own: it answers where it is asked */
    start_server(&w, 0, 0);
    announce(&w, "zero", rpc_server_port(w.servers[0]));
    chain.w = &w;
    atomic_store(&chain.left, 300);
    chain_next();
    for (int i = 0; i < 20000 && atomic_load(&chain.left) >= 0; i++)
        usleep(1000);
    w.local[0] = NULL;
    world_stop(&w);
    assert_int_equal(atomic_load(&chain.good), 200);
    assert_int_equal(atomic_load(&chain.refused), 100);
    assert_int_equal(atomic_load(&chain.elsewhere), 0);
    assert_int_equal(atomic_load(&runs[0]), 300);
}

static void test_identity_text(void **state)
{
    static const char *const bad[] = {"",
                                      "user",
                                      "king;;;;0;0;",
                                      "user;;;;2;0;",
                                      "user;;;;0;x;",
                                      "user;;;;0;0",
                                      "user;0123456789012345678901234567;;;0;0;"};
    struct identity who;
    struct arena *arena = arena_create();
    struct identity full = {.role = ROLE_ADMIN,
                            .user_id = "u",
                            .session_id = "s",
                            .meeting_id = "m",
                            .name = "n",
                            .is_bot = true,
                            .expires_at_ms = -5};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(rpc_identity_read(str_from(bad[i]), &who));
    assert_true(rpc_identity_read(str_from(rpc_identity_write(&full, arena)), &who));
    assert_int_equal(who.role, ROLE_ADMIN);
    assert_string_equal(who.user_id, "u");
    assert_string_equal(who.session_id, "s");
    assert_string_equal(who.meeting_id, "m");
    assert_string_equal(who.name, "n");
    assert_true(who.is_bot);
    assert_int_equal(who.expires_at_ms, -5);
    arena_destroy(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),       cmocka_unit_test(test_what_goes_with_it),
        cmocka_unit_test(test_strangers),     cmocka_unit_test(test_instances),
        cmocka_unit_test(test_affinity),      cmocka_unit_test(test_withdrawn_while_calling),
        cmocka_unit_test(test_burst),         cmocka_unit_test(test_all_on_loops),
        cmocka_unit_test(test_identity_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
