/* The router: which row a path and method reach, and which tables are refused at start. */
#include "test.h"

#include <string.h>

#include "edge/edge_internal.h"

#include "signaling.pb-c.h"

static void nothing_list_connections(Signaling__Signaling_Service *s UNUSED,
                                     const Signaling__ListConnectionsRequest *in UNUSED,
                                     Signaling__ConnectionList_Closure closure, void *data)
{
    closure(NULL, data);
}

static void nothing_disconnect(Signaling__Signaling_Service *s UNUSED,
                               const Signaling__DisconnectRequest *in UNUSED,
                               Signaling__DisconnectReply_Closure closure, void *data)
{
    closure(NULL, data);
}

static Signaling__Signaling_Service service = {
    .base = {.descriptor = &signaling__signaling__descriptor,
             .invoke = protobuf_c_service_invoke_internal},
    .list_connections = nothing_list_connections,
    .disconnect = nothing_disconnect,
};

#define ROW(method_, path_, who_)                                               \
    {                                                                           \
        .method = method_, .path = path_, .rpc = "ListConnections", .who = who_ \
    }

static enum err create(struct edge_router **out, const struct edge_route *routes, size_t count)
{
    static struct edge_route_table table;
    table = (struct edge_route_table){
        .tag = "t", .service = &signaling__signaling__descriptor, .routes = routes, .count = count};
    struct edge_mount mount = {&table, &service.base};
    return edge_router_create(out, &mount, 1);
}

static const struct edge_route rows[] = {
    ROW("GET", "/api/things", EDGE_WHO_USER),
    ROW("GET", "/api/things/:meeting_id", EDGE_WHO_USER),
    ROW("PUT", "/api/things/:meeting_id", EDGE_WHO_USER),
    ROW("GET", "/api/things/mine", EDGE_WHO_USER),
    ROW("POST", "/api/things/:meeting_id/mend", EDGE_WHO_USER),
};

static void test_match(void **state UNUSED)
{
    static const struct {
        enum http_method method;
        const char *path;
        int row; /* -1: none */
        bool is_known;
        const char *first_value;
    } cases[] = {
        {HTTP_METHOD_GET, "/api/things", 0, true, NULL},
        {HTTP_METHOD_HEAD, "/api/things", 0, true, NULL},
        {HTTP_METHOD_GET, "/api/things/7", 1, true, "7"},
        {HTTP_METHOD_PUT, "/api/things/7", 2, true, "7"},
        {HTTP_METHOD_GET, "/api/things/mine", 3, true, NULL},
        {HTTP_METHOD_PUT, "/api/things/mine", 2, true, "mine"},
        {HTTP_METHOD_DELETE, "/api/things/mine", -1, true, NULL},
        {HTTP_METHOD_POST, "/api/things/a%2Fb/mend", 4, true, "a%2Fb"},
        {HTTP_METHOD_DELETE, "/api/things/7", -1, true, NULL},
        {HTTP_METHOD_GET, "/api/things/", -1, false, NULL},
        {HTTP_METHOD_GET, "/api/things//parts", -1, false, NULL},
        {HTTP_METHOD_GET, "/api", -1, false, NULL},
        {HTTP_METHOD_GET, "/", -1, false, NULL},
        {HTTP_METHOD_GET, "", -1, false, NULL},
        {HTTP_METHOD_GET, "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p", -1, false, NULL},
    };
    struct edge_router *r;
    assert_int_equal(create(&r, rows, ARRAY_LEN(rows)), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct edge_match m;
        edge_router_match(r, cases[i].method, str_from(cases[i].path), &m);
        const struct edge_route *wanted = cases[i].row < 0 ? NULL : &rows[cases[i].row];
        if ((m.target ? m.target->route : NULL) != wanted || m.is_known_path != cases[i].is_known)
            fail_msg("%s %s", http_method_name(cases[i].method), cases[i].path);
        if (cases[i].first_value)
            assert_true(str_eq(m.values[0], str_from(cases[i].first_value)));
    }
    struct edge_match m;
    edge_router_match(r, HTTP_METHOD_DELETE, STR("/api/things/7"), &m);
    assert_string_equal(m.allow, "GET, PUT");
    edge_router_match(r, HTTP_METHOD_DELETE, STR("/api/things/mine"), &m);
    assert_string_equal(m.allow, "GET, PUT");
    edge_router_destroy(&r);
    assert_null(r);
}

static void test_refuses_tables(void **state UNUSED)
{
    static const struct edge_route without_rule[] = {ROW("GET", "/api/x", EDGE_WHO_UNSET)};
    static const struct edge_route twice[] = {ROW("GET", "/api/x", EDGE_WHO_USER),
                                              ROW("GET", "/api/x", EDGE_WHO_ADMIN)};
    static const struct edge_route unknown_rpc[] = {
        {.method = "GET", .path = "/api/x", .rpc = "NoSuch", .who = EDGE_WHO_USER}};
    static const struct edge_route bad_method[] = {ROW("FETCH", "/api/x", EDGE_WHO_USER)};
    static const struct edge_route no_field[] = {ROW("GET", "/api/:nothing", EDGE_WHO_USER)};
    static const struct edge_route raw_text[] = {{.method = "PUT",
                                                  .path = "/api/x",
                                                  .rpc = "ListConnections",
                                                  .who = EDGE_WHO_USER,
                                                  .flags = EDGE_RAW_BODY,
                                                  .raw_field = "meeting_id"}};
    static const struct edge_route two_names[] = {ROW("GET", "/api/:meeting_id", EDGE_WHO_USER),
                                                  {.method = "PUT",
                                                   .path = "/api/:participant_id",
                                                   .rpc = "Disconnect",
                                                   .who = EDGE_WHO_USER}};
    struct edge_router *r;
    log_set_level(LOG_OFF);
    assert_int_equal(create(&r, without_rule, 1), ERR_INVALID_ARGUMENT);
    assert_int_equal(create(&r, twice, 2), ERR_INVALID_ARGUMENT);
    assert_int_equal(create(&r, unknown_rpc, 1), ERR_INVALID_ARGUMENT);
    assert_int_equal(create(&r, bad_method, 1), ERR_INVALID_ARGUMENT);
    assert_int_equal(create(&r, no_field, 1), ERR_INVALID_ARGUMENT);
    assert_int_equal(create(&r, raw_text, 1), ERR_INVALID_ARGUMENT);
    assert_int_equal(create(&r, two_names, 2), ERR_INVALID_ARGUMENT);
    log_set_level(LOG_INFO);
}

static void test_tokens(void **state UNUSED)
{
    struct edge_tokens *t = edge_tokens_create();
    struct identity who = {.role = ROLE_USER, .user_id = "someone"};
    struct identity found;
    struct edge_rights rights, bounded = {.is_key = true, .scopes = "sockets"};
    unsigned epoch = edge_tokens_epoch(t);
    assert_false(edge_tokens_find(t, STR("abc"), &found, &rights));
    edge_tokens_add(t, STR("abc"), &who, &bounded, epoch);
    assert_true(edge_tokens_find(t, STR("abc"), &found, &rights));
    assert_string_equal(found.user_id, "someone");
    assert_string_equal(rights.scopes, "sockets");
    assert_false(edge_tokens_find(t, STR("abd"), &found, &rights));
    who.expires_at_ms = clock_wall_ms() - 1;
    edge_tokens_add(t, STR("old"), &who, &bounded, epoch);
    assert_false(edge_tokens_find(t, STR("old"), &found, &rights));
    who.expires_at_ms = clock_wall_ms() + 60000;
    edge_tokens_forget(t);
    assert_false(edge_tokens_find(t, STR("abc"), &found, &rights));
    /* A validation that was under way when everything was forgotten is not remembered. */
    edge_tokens_add(t, STR("abc"), &who, &bounded, epoch);
    assert_false(edge_tokens_find(t, STR("abc"), &found, &rights));
    edge_tokens_destroy(&t);
}

static void test_limits(void **state UNUSED)
{
    struct edge_limits *l = edge_limits_create();
    const int64_t second = 1000000;
    int64_t now = 1000 * second;
    for (int i = 0; i < 60; i++)
        assert_int_equal(edge_limits_take(l, 7, 60, now), 0);
    assert_int_equal(edge_limits_take(l, 7, 60, now), second);
    assert_int_equal(edge_limits_take(l, 8, 60, now), 0); /* somebody else */
    now += second;
    assert_int_equal(edge_limits_take(l, 7, 60, now), 0);
    assert_int_equal(edge_limits_take(l, 7, 60, now), second);
    now += 60 * second; /* full again, not fuller */
    for (int i = 0; i < 60; i++)
        assert_int_equal(edge_limits_take(l, 7, 60, now), 0);
    assert_int_not_equal(edge_limits_take(l, 7, 60, now), 0);
    edge_limits_destroy(&l);
}

static uint64_t key_of(const char *address, const char *user)
{
    static const struct edge_target target;
    struct identity who = {.role = ROLE_USER};
    struct net_address a;
    assert_true(net_address_parse(str_from(address), &a));
    snprintf(who.user_id, sizeof(who.user_id), "%s", user ? user : "");
    return edge_limits_key(&target, user ? &who : NULL, &a);
}

static void test_limit_keys(void **state UNUSED)
{
    assert_true(key_of("192.0.2.1", NULL) == key_of("192.0.2.1", NULL));
    assert_true(key_of("192.0.2.1", NULL) != key_of("192.0.2.2", NULL));
    assert_true(key_of("2001:db8::1", NULL) == key_of("2001:db8::ffff:2", NULL));
    assert_true(key_of("2001:db8::1", NULL) != key_of("2001:db8:0:1::1", NULL));
    assert_true(key_of("192.0.2.1", "a") == key_of("192.0.2.2", "a"));
    assert_true(key_of("192.0.2.1", "a") != key_of("192.0.2.1", "b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_match),      cmocka_unit_test(test_refuses_tables),
        cmocka_unit_test(test_tokens),     cmocka_unit_test(test_limits),
        cmocka_unit_test(test_limit_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
