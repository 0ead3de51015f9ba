/* Spans of calls: who is whose parent, what is not recorded, and what is handed on all the same. */
#include "test.h"

#include <pthread.h>
#include <string.h>

#include "core/loop.h"
#include "core/span.h"
#include "rpc/rpc.h"

#include "signaling.pb-c.h"

#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#define UNSAMPLED "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
#define LIST "parlance.signaling.v1.Signaling/ListConnections"
#define DISCONNECT "parlance.signaling.v1.Signaling/Disconnect"

struct seen {
    char name[80];
    uint8_t trace_id[16], span_id[8], parent_id[8];
    int err;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct seen seen[16]; /* guarded by lock, in the order in which they ended */
static size_t seen_count;
static ProtobufCService *service;
static char handed_on[SPAN_TRACEPARENT_SIZE];

static void on_span(void *arg, const struct span *s, int64_t duration_us, int err)
{
    pthread_mutex_lock(&lock);
    struct seen *one = &seen[seen_count++];
    snprintf(one->name, sizeof(one->name), "%s", s->name);
    memcpy(one->trace_id, s->trace_id, 16);
    memcpy(one->span_id, s->span_id, 8);
    memcpy(one->parent_id, s->parent_id, 8);
    one->err = err;
    pthread_mutex_unlock(&lock);
}

static void handle_disconnect(Signaling__Signaling_Service *s UNUSED,
                              const Signaling__DisconnectRequest *input,
                              Signaling__DisconnectReply_Closure closure, void *data)
{
    struct rpc_call *call = data;
    snprintf(handed_on, sizeof(handed_on), "%s", call->traceparent ? call->traceparent : "");
    if (strcmp(input->participant_id, "fail") == 0) {
        rpc_fail(call, ERR_NOT_FOUND, "nobody");
        closure(NULL, call);
        return;
    }
    Signaling__DisconnectReply reply = SIGNALING__DISCONNECT_REPLY__INIT;
    closure(&reply, call);
}

static void disconnect(const char *id, const struct rpc_call *like)
{
    Signaling__DisconnectRequest request = SIGNALING__DISCONNECT_REQUEST__INIT;
    struct rpc_call *inner = rpc_call_create(like);
    request.participant_id = (char *)id;
    rpc_sync(service, "Disconnect", &request.base, inner);
    rpc_call_unref(&inner);
}

/* Calls the same service for whom it works, and as nobody: both are its work. */
static void handle_list_connections(Signaling__Signaling_Service *s UNUSED,
                                    const Signaling__ListConnectionsRequest *input UNUSED,
                                    Signaling__ConnectionList_Closure closure, void *data)
{
    struct rpc_call *call = data;
    Signaling__ConnectionList reply = SIGNALING__CONNECTION_LIST__INIT;
    disconnect("fail", call);
    disconnect("", NULL);
    closure(&reply, call);
}

static Signaling__Signaling_Service implementation = {
    .base = {.descriptor = &signaling__signaling__descriptor,
             .invoke = protobuf_c_service_invoke_internal},
    .list_connections = handle_list_connections,
    .disconnect = handle_disconnect,
};

static int setup(void **state)
{
    seen_count = 0;
    handed_on[0] = '\0';
    span_set_sink(on_span, NULL);
    service = rpc_local_create(&implementation.base, NULL);
    return 0;
}

static int teardown(void **state)
{
    rpc_local_destroy(&service);
    span_set_sink(NULL, NULL);
    return 0;
}

static void list(const char *traceparent)
{
    Signaling__ListConnectionsRequest request = SIGNALING__LIST_CONNECTIONS_REQUEST__INIT;
    struct rpc_call *call = rpc_call_create(NULL);
    call->traceparent = traceparent;
    assert_non_null(rpc_sync(service, "ListConnections", &request.base, call));
    rpc_call_unref(&call);
}

static void calls_are_children(void **state)
{
    list(PARENT);
    assert_null(span_current());
    assert_int_equal(seen_count, 3);
    assert_string_equal(seen[0].name, DISCONNECT);
    assert_int_equal(seen[0].err, ERR_NOT_FOUND);
    assert_string_equal(seen[1].name, DISCONNECT);
    assert_int_equal(seen[1].err, ERR_OK);
    assert_string_equal(seen[2].name, LIST);
    assert_memory_equal(seen[2].parent_id, "\xb7\xad\x6b\x71\x69\x20\x33\x31", 8);
    for (size_t i = 0; i < 2; i++) {
        assert_memory_equal(seen[i].parent_id, seen[2].span_id, 8);
        assert_memory_equal(seen[i].trace_id, seen[2].trace_id, 16);
    }
    assert_memory_not_equal(seen[0].span_id, seen[1].span_id, 8);
}

static void not_recorded_is_handed_on(void **state)
{
    list(UNSAMPLED);
    assert_int_equal(seen_count, 0);
    assert_string_equal(handed_on, ""); /* as nobody: nothing is known there */
    disconnect("", NULL);
    struct rpc_call *outer = rpc_call_create(NULL);
    outer->traceparent = UNSAMPLED;
    disconnect("", outer);
    assert_string_equal(handed_on, UNSAMPLED);
    rpc_call_unref(&outer);
}

static void housekeeping_is_nobodys_trace(void **state)
{
    list(NULL);
    assert_int_equal(seen_count, 0);
}

static void without_a_sink_it_goes_through(void **state)
{
    span_set_sink(NULL, NULL);
    struct rpc_call *outer = rpc_call_create(NULL);
    outer->traceparent = PARENT;
    disconnect("", outer);
    assert_string_equal(handed_on, PARENT);
    rpc_call_unref(&outer);
    assert_int_equal(seen_count, 0);
}

#define served(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        served(calls_are_children),
        served(not_recorded_is_handed_on),
        served(housekeeping_is_nobodys_trace),
        served(without_a_sink_it_goes_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
