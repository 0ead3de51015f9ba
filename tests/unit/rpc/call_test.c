/* Calls: replies, failures, deadlines, full shares; with and without packing on the way. */
#include "test.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/loop.h"
#include "rpc/rpc.h"

#include "signaling.pb-c.h"

static atomic_int handler_runs;
static atomic_bool is_blocked;

/* Echoes the participant's length; "fail" fails; "slow" waits until it is let go. */
static void handle_disconnect(Signaling__Signaling_Service *service UNUSED,
                              const Signaling__DisconnectRequest *input,
                              Signaling__DisconnectReply_Closure closure, void *data)
{
    struct rpc_call *call = data;
    atomic_fetch_add(&handler_runs, 1);
    if (strcmp(input->participant_id, "fail") == 0) {
        rpc_fail(call, ERR_NOT_FOUND, "nobody is called %s", input->participant_id);
        closure(NULL, call);
        return;
    }
    while (strcmp(input->participant_id, "slow") == 0 && atomic_load(&is_blocked))
        usleep(1000);
    Signaling__DisconnectReply reply = SIGNALING__DISCONNECT_REPLY__INIT;
    reply.disconnected_count = (int32_t)strlen(input->participant_id);
    closure(&reply, call);
}

static void handle_list_connections(Signaling__Signaling_Service *service UNUSED,
                                    const Signaling__ListConnectionsRequest *input,
                                    Signaling__ConnectionList_Closure closure, void *data)
{
    struct rpc_call *call = data;
    Signaling__Connection one = SIGNALING__CONNECTION__INIT;
    Signaling__Connection *list[] = {&one};
    Signaling__ConnectionList reply = SIGNALING__CONNECTION_LIST__INIT;
    one.meeting_id = input->meeting_id;
    one.user_id = (char *)(call->who ? call->who->user_id : "");
    reply.connections = list;
    reply.n_connections = 1;
    closure(&reply, call);
}

static Signaling__Signaling_Service implementation = {
    .base = {.descriptor = &signaling__signaling__descriptor,
             .invoke = protobuf_c_service_invoke_internal},
    .list_connections = handle_list_connections,
    .disconnect = handle_disconnect,
};

static ProtobufCService *service_create(bool is_packing, unsigned queue_max)
{
    return rpc_local_create(
        &implementation.base,
        &(struct rpc_local_options){
            .workers = {.name = "test", .thread_count = 1, .queue_max = queue_max},
            .is_packing = is_packing,
        });
}

static const Signaling__DisconnectReply *disconnect_sync(ProtobufCService *service, const char *id,
                                                         struct rpc_call *call)
{
    Signaling__DisconnectRequest request = SIGNALING__DISCONNECT_REQUEST__INIT;
    request.participant_id = (char *)id;
    return rpc_sync(service, "Disconnect", &request.base, call);
}

static void test_sync(void **state UNUSED)
{
    for (int packing = 0; packing < 2; packing++) {
        ProtobufCService *service = service_create(packing, 0);
        struct rpc_call *call = rpc_call_create(NULL);
        const Signaling__DisconnectReply *reply = disconnect_sync(service, "abc", call);
        assert_non_null(reply);
        assert_int_equal(reply->disconnected_count, 3);
        assert_null(disconnect_sync(service, "fail", call));
        assert_int_equal(call->err, ERR_NOT_FOUND);
        assert_string_equal(call->message, "nobody is called fail");
        rpc_call_unref(&call);
        rpc_local_destroy(&service);
        assert_null(service);
    }
}

static void test_identity_is_handed_on(void **state UNUSED)
{
    ProtobufCService *service = service_create(true, 0);
    struct identity who = {.role = ROLE_USER, .user_id = "01J0000000000000000000000A"};
    struct rpc_call *outer = rpc_call_create(NULL);
    outer->who = &who;
    struct rpc_call *call = rpc_call_create(outer);
    Signaling__ListConnectionsRequest request = SIGNALING__LIST_CONNECTIONS_REQUEST__INIT;
    request.meeting_id = (char *)"m";
    const Signaling__ConnectionList *reply =
        rpc_sync(service, "ListConnections", &request.base, call);
    assert_non_null(reply);
    assert_string_equal(reply->connections[0]->user_id, who.user_id);
    assert_string_equal(reply->connections[0]->meeting_id, "m");
    rpc_call_unref(&call);
    rpc_call_unref(&outer);
    rpc_local_destroy(&service);
}

struct counted {
    atomic_int ok, late, busy, other;
};

static void on_done(const ProtobufCMessage *reply, struct rpc_call *call)
{
    struct counted *c = call->user;
    if (reply)
        atomic_fetch_add(&c->ok, 1);
    else if (call->err == ERR_DEADLINE_EXCEEDED)
        atomic_fetch_add(&c->late, 1);
    else if (call->err == ERR_UNAVAILABLE)
        atomic_fetch_add(&c->busy, 1);
    else
        atomic_fetch_add(&c->other, 1);
    rpc_call_unref(&call);
}

struct burst {
    ProtobufCService *service;
    struct counted *counted;
    const char *id;
    int count;
    int64_t timeout_ms;
};

static void start_burst(void *arg)
{
    const struct burst *b = arg;
    for (int i = 0; i < b->count; i++) {
        struct rpc_call *call = rpc_call_create(NULL);
        call->user = b->counted;
        call->timeout_ms = b->timeout_ms;
        Signaling__DisconnectRequest request = SIGNALING__DISCONNECT_REQUEST__INIT;
        request.participant_id = (char *)b->id;
        int method = rpc_method_find(b->service->descriptor, "Disconnect");
        rpc_async(b->service, (unsigned)method, &request.base, call, on_done, 0);
    }
}

static int total(struct counted *c)
{
    return atomic_load(&c->ok) + atomic_load(&c->late) + atomic_load(&c->busy) +
           atomic_load(&c->other);
}

static void wait_total(struct counted *c, int wanted)
{
    int64_t until_ms = clock_mono_ms() + 10000;
    while (total(c) < wanted && clock_mono_ms() < until_ms)
        usleep(1000);
    assert_int_equal(total(c), wanted);
}

static void test_async_from_a_loop(void **state UNUSED)
{
    struct loop *loop;
    assert_int_equal(loop_create(&loop, "test"), ERR_OK);
    ProtobufCService *service = service_create(true, 0);
    struct counted c = {0};
    struct burst burst = {service, &c, "hello", 200, 0};
    loop_call(loop, start_burst, &burst);
    wait_total(&c, 200);
    assert_int_equal(c.ok, 200);
    rpc_local_destroy(&service);
    loop_destroy(&loop);
}

/* One thread, held; a queue of two: of five calls two wait and time out or finish, two are refused.
 */
static void test_full_share_is_busy_at_once(void **state UNUSED)
{
    struct loop *loop;
    assert_int_equal(loop_create(&loop, "test"), ERR_OK);
    ProtobufCService *service = service_create(false, 2);
    struct counted c = {0};
    atomic_store(&is_blocked, true);
    int runs_before = atomic_load(&handler_runs);
    struct burst first = {service, &c, "slow", 1, 0};
    loop_call(loop, start_burst, &first);
    while (atomic_load(&handler_runs) == runs_before)
        usleep(1000);
    struct burst rest = {service, &c, "slow", 4, 0};
    loop_call(loop, start_burst, &rest);
    wait_total(&c, 2);
    assert_int_equal(c.busy, 2);
    atomic_store(&is_blocked, false);
    wait_total(&c, 5);
    assert_int_equal(c.ok, 3);
    rpc_local_destroy(&service);
    loop_destroy(&loop);
}

static void test_late_answer_is_dropped(void **state UNUSED)
{
    struct loop *loop;
    assert_int_equal(loop_create(&loop, "test"), ERR_OK);
    ProtobufCService *service = service_create(false, 0);
    struct counted c = {0};
    atomic_store(&is_blocked, true);
    struct burst burst = {service, &c, "slow", 1, 50};
    loop_call(loop, start_burst, &burst);
    wait_total(&c, 1);
    assert_int_equal(c.late, 1);
    atomic_store(&is_blocked, false);
    rpc_local_destroy(&service); /* waits for the handler */
    assert_int_equal(total(&c), 1);
    loop_destroy(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sync),
        cmocka_unit_test(test_identity_is_handed_on),
        cmocka_unit_test(test_async_from_a_loop),
        cmocka_unit_test(test_full_share_is_busy_at_once),
        cmocka_unit_test(test_late_answer_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
