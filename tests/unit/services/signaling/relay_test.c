/*
 * Sockets of other instances, white-box: an instance in the middle of a chain, whose peers are
 * played here. A new sign-in goes all the way; a request that fails late breaks nothing that was
 * begun after its link had broken.
 */
#include "test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "services/signaling/signaling_apart_internal.h"

#define SELF "01J0000000000000000000000S"
#define FRONT "01J0000000000000000000000F"
#define OWNER "01J0000000000000000000000W"

static struct {
    struct signaling_hub hub;
    struct signaling_cluster cluster;
    struct signaling_node front, owner;
    ProtobufCService *peers;
} t;

/* ---- the peers ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    bool is_holding; /* the next request to the owner is answered later */
    Signaling__RelayReply_Closure held;
    void *held_data;
    char kinds[400]; /* what came to the owner: "reset open1 who1:ada | ..." */
} told;

static void on_relay(Signaling__Signaling_Service *s UNUSED, const Signaling__RelayRequest *in,
                     Signaling__RelayReply_Closure closure, void *data)
{
    static const char *const names[] = {"reset", "open", "frame", "who", "close", "send", "shut"};
    struct rpc_call *call = data;
    Signaling__RelayReply reply = SIGNALING__RELAY_REPLY__INIT;
    bool is_held = false;
    pthread_mutex_lock(&lock);
    if (strcmp(call->instance, "the owner") == 0) {
        for (size_t i = 0; i < in->n_frames; i++) {
            size_t n = strlen(told.kinds);
            snprintf(told.kinds + n, sizeof(told.kinds) - n, "%s%s%s ", names[in->frames[i]->kind],
                     in->frames[i]->who ? ":" : "",
                     in->frames[i]->who ? in->frames[i]->who->user_id : "");
        }
        strcat(told.kinds, "| ");
        is_held = told.is_holding;
        if (is_held) {
            told.is_holding = false;
            told.held = closure;
            told.held_data = data;
        }
    }
    pthread_mutex_unlock(&lock);
    if (!is_held)
        closure(&reply, data);
}

static Signaling__Signaling_Service peers = {
    .base = {.descriptor = &signaling__signaling__descriptor,
             .invoke = protobuf_c_service_invoke_internal},
    .relay = on_relay,
};

static bool has_told(const char *kinds)
{
    pthread_mutex_lock(&lock);
    bool is = strcmp(told.kinds, kinds) == 0;
    pthread_mutex_unlock(&lock);
    return is;
}

static void wait_told(const char *kinds)
{
    for (int i = 0; i < 4000 && !has_told(kinds); i++)
        usleep(5000);
    assert_string_equal(told.kinds, kinds);
}

static void fail_held(void)
{
    pthread_mutex_lock(&lock);
    Signaling__RelayReply_Closure held = told.held;
    told.held = NULL;
    pthread_mutex_unlock(&lock);
    assert_non_null(held);
    rpc_fail(told.held_data, ERR_UNAVAILABLE, "it took too long");
    held(NULL, told.held_data);
}

/* ---- this instance ---- */

static void add_node(struct signaling_node *n, const char *id, const char *instance)
{
    snprintf(n->id, sizeof(n->id), "%s", id);
    snprintf(n->instance, sizeof(n->instance), "%s", instance);
    n->is_listed = n->is_alive = true;
    list_add_tail(&t.cluster.signaling.nodes, &n->in_set);
}

static int setup(void **state UNUSED)
{
    memset(&t, 0, sizeof(t));
    memset(&told, 0, sizeof(told));
    assert_int_equal(loop_create(&t.hub.loop, "test"), ERR_OK);
    t.peers = rpc_local_create(&peers.base, NULL);
    t.hub.sockets = map64_create();
    t.hub.rooms = map_create();
    t.hub.resumes = map_create();
    t.hub.cluster = &t.cluster;
    list_init(&t.hub.checks);
    list_init(&t.cluster.signaling.nodes);
    list_init(&t.cluster.links);
    t.cluster.peers = t.peers;
    t.cluster.claims = map_create();
    t.cluster.remotes = map_create();
    snprintf(t.cluster.self_id, sizeof(t.cluster.self_id), SELF);
    add_node(&t.front, FRONT, "the front");
    add_node(&t.owner, OWNER, "the owner");
    return 0;
}

static void clear_on_loop(void *arg UNUSED)
{
    size_t at = 0;
    uint64_t id;
    void *value;
    while (map64_next(t.hub.sockets, &at, &id, &value))
        signaling_socket_destroy(value);
    t.hub.is_ending = true;
}

static int teardown(void **state UNUSED)
{
    loop_call(t.hub.loop, clear_on_loop, NULL);
    rpc_local_destroy(&t.peers); /* waits for what is asked; answers are posted */
    loop_destroy(&t.hub.loop);
    signaling_relay_free(&t.hub);
    map_destroy(&t.cluster.claims);
    map_destroy(&t.cluster.remotes);
    map64_destroy(&t.hub.sockets);
    map_destroy(&t.hub.rooms);
    map_destroy(&t.hub.resumes);
    return 0;
}

/* ---- what the front sends ---- */

struct arrival {
    Signaling__RelayKind kind;
    uint64_t number;
    const char *user_id; /* NULL: nobody */
};

static void arrive_on_loop(void *arg)
{
    const struct arrival *a = arg;
    Signaling__RelayRequest request = SIGNALING__RELAY_REQUEST__INIT;
    Signaling__RelayItem item = SIGNALING__RELAY_ITEM__INIT, *items[] = {&item};
    Signaling__RelayPerson who = SIGNALING__RELAY_PERSON__INIT;
    uint64_t number = a->number;
    static const char text[] = "{\"type\":\"ping\"}";
    who.user_id = (char *)a->user_id;
    request.from = (char *)FRONT;
    request.frames = items;
    request.n_frames = 1;
    item.kind = a->kind;
    item.sockets = &number;
    item.n_sockets = 1;
    item.who = a->user_id ? &who : NULL;
    item.text = (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
    assert_int_equal(signaling_relay_take(&t.hub, &request), ERR_OK);
}

static void arrive(Signaling__RelayKind kind, uint64_t number, const char *user_id)
{
    loop_call(t.hub.loop, arrive_on_loop, &(struct arrival){kind, number, user_id});
}

static struct signaling_socket *find(uint64_t number)
{
    char key[60];
    int n = snprintf(key, sizeof(key), FRONT "/%llu", (unsigned long long)number);
    return map_get(t.cluster.remotes, (struct str){key, (size_t)n});
}

/* Its room is the owner's. */
static void pass_on_loop(void *arg)
{
    struct signaling_socket *s = find(*(uint64_t *)arg);
    assert_non_null(s);
    signaling_relay_open(s, OWNER, STR("{}"));
}

static void come(uint64_t number, const char *user_id)
{
    arrive(SIGNALING__RELAY_KIND__RELAY_OPEN, number, user_id);
    loop_call(t.hub.loop, pass_on_loop, &number);
}

static void break_on_loop(void *arg UNUSED)
{
    signaling_relay_break(&t.hub, OWNER);
}

struct look {
    uint64_t number;
    bool is_passed_on;
};

static void look_on_loop(void *arg)
{
    struct look *l = arg;
    const struct signaling_socket *s = find(l->number);
    l->is_passed_on = s && s->owner;
}

static bool is_passed_on(uint64_t number)
{
    struct look l = {.number = number};
    loop_call(t.hub.loop, look_on_loop, &l);
    return l.is_passed_on;
}

/* ---- tests ---- */

static void test_a_new_sign_in_goes_all_the_way(void **state UNUSED)
{
    come(1, "ada");
    wait_told("open:ada | ");
    arrive(SIGNALING__RELAY_KIND__RELAY_WHO, 1, "ada again");
    wait_told("open:ada | who:ada again | ");
    arrive(SIGNALING__RELAY_KIND__RELAY_WHO, 2, "nobody"); /* no such socket: nobody is told */
    arrive(SIGNALING__RELAY_KIND__RELAY_CLOSE, 1, NULL);
    wait_told("open:ada | who:ada again | close | ");
}

static void test_a_late_failure_breaks_nothing_new(void **state UNUSED)
{
    told.is_holding = true;
    come(1, "ada");
    wait_told("open:ada | ");
    loop_call(t.hub.loop, break_on_loop, NULL); /* the owner was thought dead */
    assert_false(is_passed_on(1));
    come(2, "bob"); /* it is there after all */
    fail_held();    /* and what was asked of it before has failed at last */
    wait_told("open:ada | reset open:bob | ");
    assert_true(is_passed_on(2));
}

static void test_a_failure_breaks_what_it_bore(void **state UNUSED)
{
    told.is_holding = true;
    come(1, "ada");
    wait_told("open:ada | ");
    come(2, "bob"); /* waits behind it */
    fail_held();
    for (int i = 0; i < 4000 && is_passed_on(1); i++)
        usleep(5000);
    assert_false(is_passed_on(1));
    assert_false(is_passed_on(2));
    come(3, "cec");
    wait_told("open:ada | reset open:cec | ");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_new_sign_in_goes_all_the_way),
        TEST(test_a_late_failure_breaks_nothing_new),
        TEST(test_a_failure_breaks_what_it_bore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
