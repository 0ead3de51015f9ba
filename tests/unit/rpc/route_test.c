/* route: calls go to the owner of their slot, over real connections: who is asked in vain says who
 * it is; nobody owns it for a while; an owner dies; the caller pins one; one of them is here. */
#include "test.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/loop.h"
#include "rpc/remote.h"
#include "rpc/route.h"

#include "signaling.pb-c.h"

#define SECRET "a secret of the cluster, long enough"
#define SLOTS 4
#define NOBODY 2

static _Atomic int owner_of[SLOTS];
static atomic_int runs[2], refusals[2];
static char names[3][RPC_INSTANCE_SIZE]; /* the last: nobody's */

/* The slot is the number in the name; "any": whoever is asked. */
static int slot_of(const ProtobufCMessage *request, const struct rpc_call *call, unsigned count)
{
    const Signaling__DisconnectRequest *in = (const Signaling__DisconnectRequest *)request;
    return strcmp(in->participant_id, "any") == 0 ? -1 : in->participant_id[0] - '0';
}

static void disconnect(int which, const Signaling__DisconnectRequest *in,
                       Signaling__DisconnectReply_Closure closure, void *data)
{
    int slot = slot_of(&in->base, data, SLOTS);
    Signaling__DisconnectReply reply = SIGNALING__DISCONNECT_REPLY__INIT;
    if (slot >= 0 && owner_of[slot] != which) {
        refusals[which]++;
        rpc_move(data, names[owner_of[slot]]);
        closure(NULL, data);
        return;
    }
    runs[which]++;
    reply.disconnected_count = which + 1;
    closure(&reply, data);
}

#define IMPLEMENTATION(n)                                                                 \
    static void i##n##_disconnect(Signaling__Signaling_Service *s UNUSED,                 \
                                  const Signaling__DisconnectRequest *input,              \
                                  Signaling__DisconnectReply_Closure closure, void *data) \
    {                                                                                     \
        disconnect(n, input, closure, data);                                              \
    }                                                                                     \
    static Signaling__Signaling_Service implementation##n = {                             \
        .base = {.descriptor = &signaling__signaling__descriptor,                         \
                 .invoke = protobuf_c_service_invoke_internal},                           \
        .disconnect = i##n##_disconnect}
IMPLEMENTATION(0);
IMPLEMENTATION(1);

static struct loop *in, *out;
static ProtobufCService *local[2], *route, *half;
static struct rpc_server *servers[2];
static struct registry *registry;
static struct rpc_pool *pool;

static bool is_first_here(void *arg UNUSED, unsigned slot)
{
    return owner_of[slot] == 0;
}

static void start_server(int i)
{
    struct rpc_server_options opt = {.loop = in,
                                     .host = "127.0.0.1",
                                     .services = &local[i],
                                     .service_count = 1,
                                     .secret = SECRET};
    assert_int_equal(rpc_server_create(&servers[i], &opt), ERR_OK);
    snprintf(names[i], sizeof(names[i]), "127.0.0.1:%u", rpc_server_port(servers[i]));
}

static int setup(void **state UNUSED)
{
    Signaling__Signaling_Service *const all[] = {&implementation0, &implementation1};
    assert_int_equal(loop_create(&in, "in"), ERR_OK);
    assert_int_equal(loop_create(&out, "out"), ERR_OK);
    assert_int_equal(registry_open(&registry, &(struct registry_options){0}), ERR_OK);
    for (int i = 0; i < 2; i++) {
        char id[8];
        local[i] = rpc_local_create(&all[i]->base, NULL);
        start_server(i);
        snprintf(id, sizeof(id), "i%d", i);
        struct registry_instance one = {.service = "Signaling",
                                        .id = id,
                                        .address = "127.0.0.1",
                                        .port = rpc_server_port(servers[i])};
        assert_int_equal(registry_announce(registry, &one), ERR_OK);
        runs[i] = refusals[i] = 0;
    }
    for (int i = 0; i < SLOTS; i++)
        owner_of[i] = i % 2;
    pool = rpc_pool_create(
        &(struct rpc_pool_options){.loop = out, .registry = registry, .secret = SECRET});
    struct rpc_route_options opt = {.there =
                                        rpc_remote_create(pool, &signaling__signaling__descriptor),
                                    .loop = out,
                                    .slot = slot_of,
                                    .slot_count = SLOTS};
    route = rpc_route_create(&opt);
    opt.there = rpc_remote_create(pool, &signaling__signaling__descriptor);
    opt.here = rpc_local_create(&implementation0.base, NULL);
    opt.self = names[0];
    opt.is_here = is_first_here;
    half = rpc_route_create(&opt);
    return 0;
}

static int teardown(void **state UNUSED)
{
    rpc_route_destroy(&route);
    rpc_route_destroy(&half);
    rpc_pool_destroy(&pool);
    for (int i = 0; i < 2; i++) {
        rpc_server_destroy(&servers[i]);
        rpc_local_destroy(&local[i]);
    }
    registry_close(&registry);
    loop_destroy(&in);
    loop_destroy(&out);
    return 0;
}

/* Which instance did it; 0: none, with what it said in *err. */
static int ask(ProtobufCService *service, const char *what, const char *pinned, int64_t timeout_ms,
               enum err *err)
{
    struct rpc_call *call = rpc_call_create(NULL);
    Signaling__DisconnectRequest request = SIGNALING__DISCONNECT_REQUEST__INIT;
    request.participant_id = (char *)(uintptr_t)what;
    call->instance = pinned;
    call->timeout_ms = timeout_ms;
    const Signaling__DisconnectReply *reply = rpc_sync(service, "Disconnect", &request.base, call);
    int which = reply ? reply->disconnected_count : 0;
    *err = call->err;
    rpc_call_unref(&call);
    return which;
}

static int done_by(const char *what)
{
    enum err err;
    return ask(route, what, NULL, 5000, &err);
}

static void test_it_comes_to_the_owner_and_is_remembered(void **state UNUSED)
{
    for (int round = 0; round < 10; round++) {
        assert_int_equal(done_by("0"), 1);
        assert_int_equal(done_by("1"), 2);
    }
    assert_int_equal(runs[0], 10);
    assert_int_equal(runs[1], 10);
    assert_true(refusals[0] + refusals[1] <= 2); /* the first of each, at most */
    assert_in_range(done_by("any"), 1, 2);
}

static void test_news_spare_the_detour(void **state UNUSED)
{
    assert_int_equal(done_by("3"), 2);
    int before = refusals[0] + refusals[1];
    owner_of[3] = 0;
    rpc_route_learn(route, 3, names[0]);
    rpc_route_learn(route, 1000, names[0]); /* is nothing */
    assert_int_equal(done_by("3"), 1);
    assert_int_equal(refusals[0] + refusals[1], before);
    owner_of[3] = 1; /* without news */
    assert_int_equal(done_by("3"), 2);
}

static void test_while_nobody_owns_it_the_call_waits(void **state UNUSED)
{
    owner_of[2] = NOBODY;
    int64_t from_ms = clock_mono_ms();
    enum err err;
    assert_int_equal(ask(route, "2", NULL, 600, &err), 0);
    assert_true(err == ERR_UNAVAILABLE || err == ERR_DEADLINE_EXCEEDED);
    assert_true(clock_mono_ms() - from_ms >= 400);
    usleep(500000);
    owner_of[2] = 1;
    assert_int_equal(done_by("2"), 2);
}

static void test_an_owner_that_died_is_asked_for_again(void **state UNUSED)
{
    assert_int_equal(done_by("1"), 2);
    rpc_server_destroy(&servers[1]);
    owner_of[1] = 0; /* taken over */
    assert_int_equal(done_by("1"), 1);
}

static void test_who_is_pinned_is_not_led_elsewhere(void **state UNUSED)
{
    enum err err;
    assert_int_equal(ask(route, "0", names[0], 1000, &err), 1);
    assert_int_equal(ask(route, "0", "i1", 1000, &err), 0);
    assert_int_equal(err, ERR_UNAVAILABLE);
}

static void test_one_of_them_is_here(void **state UNUSED)
{
    enum err err;
    assert_int_equal(ask(half, "0", NULL, 2000, &err), 1);
    assert_int_equal(ask(half, "1", NULL, 2000, &err), 2);
    owner_of[1] = 0; /* the other says that it is here now */
    assert_int_equal(ask(half, "1", NULL, 2000, &err), 1);
    assert_int_equal(ask(half, "any", NULL, 2000, &err), 1);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_it_comes_to_the_owner_and_is_remembered),
        T(test_news_spare_the_detour),
        T(test_while_nobody_owns_it_the_call_waits),
        T(test_an_owner_that_died_is_asked_for_again),
        T(test_who_is_pinned_is_not_led_elsewhere),
        T(test_one_of_them_is_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
