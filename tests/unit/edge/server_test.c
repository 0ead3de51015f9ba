/*
 * The edge on a real socket: a server on a free loopback port, a service and an auth service of the
 * test's own, and requests as bytes. Authentication, rules, parameters, bodies, errors, CORS, what
 * is built in, revocation.
 */
#include "test.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bus/bus.h"
#include "core/clock.h"
#include "edge/edge.h"
#include "net/server.h"

#include "auth.pb-c.h"
#include "signaling.pb-c.h"

/* ---- services of the test ---- */

static _Atomic int validations;

static void list_handler(Signaling__Signaling_Service *s UNUSED,
                         const Signaling__ListConnectionsRequest *in,
                         Signaling__ConnectionList_Closure closure, void *data)
{
    struct rpc_call *call = data;
    Signaling__Connection c = SIGNALING__CONNECTION__INIT;
    Signaling__Connection *list[] = {&c};
    Signaling__ConnectionList reply = SIGNALING__CONNECTION_LIST__INIT;
    c.meeting_id = in->meeting_id;
    c.user_id = (char *)call->who->user_id;
    reply.connections = list;
    reply.n_connections = 1;
    closure(&reply, call);
}

static void disconnect_handler(Signaling__Signaling_Service *s UNUSED,
                               const Signaling__DisconnectRequest *in,
                               Signaling__DisconnectReply_Closure closure, void *data)
{
    struct rpc_call *call = data;
    if (strcmp(in->participant_id, "missing") == 0) {
        rpc_fail(call, ERR_NOT_FOUND, "nobody \"%s\" <b>", in->participant_id);
        closure(NULL, call);
        return;
    }
    Signaling__DisconnectReply reply = SIGNALING__DISCONNECT_REPLY__INIT;
    reply.disconnected_count = (int32_t)strlen(in->participant_id);
    closure(&reply, call);
}

static Signaling__Signaling_Service signaling = {
    .base = {.descriptor = &signaling__signaling__descriptor,
             .invoke = protobuf_c_service_invoke_internal},
    .list_connections = list_handler,
    .disconnect = disconnect_handler,
};

/* Tokens "guest", "user" and "admin" are good; the rest is not. */
static void validate_handler(Auth__Auth_Service *s UNUSED, const Auth__ValidateTokenRequest *in,
                             Auth__ValidateTokenReply_Closure closure, void *data)
{
    struct rpc_call *call = data;
    Auth__ValidateTokenReply reply = AUTH__VALIDATE_TOKEN_REPLY__INIT;
    validations++;
    reply.role = strcmp(in->token, "admin") == 0   ? USER__ROLE__ADMIN
                 : strcmp(in->token, "user") == 0  ? USER__ROLE__USER
                 : strcmp(in->token, "guest") == 0 ? USER__ROLE__GUEST
                                                   : USER__ROLE__NONE;
    if (reply.role == USER__ROLE__NONE) {
        rpc_fail(call, ERR_UNAUTHENTICATED, "no");
        closure(NULL, call);
        return;
    }
    reply.user_id = in->token;
    reply.expires_at_ms = clock_wall_ms() + 60000;
    closure(&reply, call);
}

static Auth__Auth_Service auth = {
    .base = {.descriptor = &auth__auth__descriptor, .invoke = protobuf_c_service_invoke_internal},
    .validate_token = validate_handler,
};

static const struct edge_route rows[] = {
    {.method = "GET",
     .path = "/api/v1/anyone/:meeting_id",
     .rpc = "ListConnections",
     .who = EDGE_WHO_ANYONE},
    {.method = "GET", .path = "/api/v1/guest", .rpc = "ListConnections", .who = EDGE_WHO_GUEST},
    {.method = "GET", .path = "/api/v1/user", .rpc = "ListConnections", .who = EDGE_WHO_USER},
    {.method = "GET", .path = "/api/v1/admin", .rpc = "ListConnections", .who = EDGE_WHO_ADMIN},
    {.method = "POST",
     .path = "/api/v1/disconnect",
     .rpc = "Disconnect",
     .who = EDGE_WHO_ANYONE,
     .body_max_bytes = 1000},
    {.method = "POST",
     .path = "/api/v1/disconnect/:participant_id",
     .rpc = "Disconnect",
     .who = EDGE_WHO_ANYONE},
    {.method = "GET",
     .path = "/api/v1/rare",
     .rpc = "ListConnections",
     .who = EDGE_WHO_ANYONE,
     .rate_per_minute = 2},
};
static const struct edge_route_table table = {.tag = "test",
                                              .service = &signaling__signaling__descriptor,
                                              .routes = rows,
                                              .count = ARRAY_LEN(rows)};

/* ---- fixture ---- */

static struct {
    struct loop *loop;
    struct bus *bus;
    struct edge *edge;
    struct net_server *server;
    ProtobufCService *signaling;
    ProtobufCService *auth;
} t;

static int setup(void **state UNUSED)
{
    static const char *const origins[] = {"https://friend.example"};
    static const char *const proxies[] = {"127.0.0.0/8"};
    assert_int_equal(loop_create(&t.loop, "test"), ERR_OK);
    assert_int_equal(bus_open(&t.bus, &(struct bus_options){.driver = "memory"}), ERR_OK);
    t.signaling = rpc_local_create(&signaling.base, NULL);
    t.auth = rpc_local_create(&auth.base, NULL);
    struct edge_mount mount = {&table, t.signaling};
    assert_int_equal(edge_create(&t.edge, &(struct edge_options){.mounts = &mount,
                                                                 .mount_count = 1,
                                                                 .auth = t.auth,
                                                                 .bus = t.bus,
                                                                 .allowed_origins = origins,
                                                                 .allowed_origin_count = 1,
                                                                 .trusted_proxies = proxies,
                                                                 .trusted_proxy_count = 1,
                                                                 .is_rate_limited = true,
                                                                 .version = "0"}),
                     ERR_OK);
    assert_int_equal(
        net_server_create(&t.server,
                          &(struct net_server_options){.name = "http",
                                                       .loops = &t.loop,
                                                       .loop_count = 1,
                                                       .host = "127.0.0.1",
                                                       .http = edge_http_options(t.edge, false)}),
        ERR_OK);
    return 0;
}

static int teardown(void **state UNUSED)
{
    net_server_destroy(&t.server);
    edge_destroy(&t.edge);
    rpc_local_destroy(&t.signaling);
    rpc_local_destroy(&t.auth);
    bus_close(&t.bus);
    loop_destroy(&t.loop);
    return 0;
}

/* Sends a request with Connection: close and returns the whole answer. */
static char *ask(const char *method, const char *path, const char *headers, const char *body)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(net_server_port(t.server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    struct strbuf out = {0};
    strbuf_printf(&out, "%s %s HTTP/1.1\r\nHost: here\r\nConnection: close\r\n%s", method, path,
                  headers);
    if (body)
        strbuf_printf(&out, "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
    else
        strbuf_adds(&out, "\r\n");
    assert_int_equal(write(fd, out.p, out.n), out.n);
    strbuf_clear(&out);
    for (;;) {
        ssize_t n = read(fd, strbuf_reserve(&out, 4096), 4096);
        if (n <= 0)
            break;
        out.n += (size_t)n;
    }
    close(fd);
    strbuf_addc(&out, '\0');
    return out.p;
}

static int status_of(const char *answer)
{
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? atoi(answer + 9) : 0;
}

static json_t *body_of(const char *answer)
{
    const char *body = strstr(answer, "\r\n\r\n");
    assert_non_null(body);
    json_t *json = json_loads(body + 4, 0, NULL);
    assert_non_null(json);
    return json;
}

static void expect_error(char *answer, int status, const char *code)
{
    assert_int_equal(status_of(answer), status);
    json_t *json = body_of(answer);
    json_t *error = json_object_get(json, "error");
    assert_string_equal(json_string_value(json_object_get(error, "code")), code);
    assert_true(json_string_length(json_object_get(error, "message")) > 0);
    assert_true(json_string_length(json_object_get(error, "request_id")) > 0);
    json_decref(json);
    free(answer);
}

static int get_status(const char *path, const char *headers)
{
    char *answer = ask("GET", path, headers, NULL);
    int status = status_of(answer);
    free(answer);
    return status;
}

/* ---- tests ---- */

static void test_rules(void **state UNUSED)
{
    static const char *const paths[] = {"/api/v1/anyone/m", "/api/v1/guest", "/api/v1/user",
                                        "/api/v1/admin"};
    static const char *const tokens[] = {"", "guest", "user", "admin"};
    static const int wanted[4][4] = {
        {200, 200, 200, 200}, {401, 200, 200, 200}, {401, 403, 200, 200}, {401, 403, 403, 200}};
    for (size_t p = 0; p < 4; p++) {
        for (size_t k = 0; k < 4; k++) {
            char header[80] = "";
            if (tokens[k][0])
                snprintf(header, sizeof(header), "Authorization: Bearer %s\r\n", tokens[k]);
            assert_int_equal(get_status(paths[p], header), wanted[p][k]);
        }
    }
}

static void test_bad_tokens(void **state UNUSED)
{
    /* Even where nobody need sign in, a token that is given must be good. */
    expect_error(ask("GET", "/api/v1/anyone/m", "Authorization: Bearer forged\r\n", NULL), 401,
                 "unauthenticated");
    expect_error(ask("GET", "/api/v1/user", "Authorization: Basic dXNlcg==\r\n", NULL), 401,
                 "unauthenticated");
    expect_error(ask("GET", "/api/v1/user", "Authorization: Bearer\r\n", NULL), 401,
                 "unauthenticated");
}

static void test_parameters(void **state UNUSED)
{
    char *answer = ask("GET", "/api/v1/anyone/a%20b%3Cc", "Authorization: Bearer user\r\n", NULL);
    json_t *json = body_of(answer);
    json_t *c = json_array_get(json_object_get(json, "connections"), 0);
    assert_string_equal(json_string_value(json_object_get(c, "meeting_id")), "a b<c");
    assert_string_equal(json_string_value(json_object_get(c, "user_id")), "user");
    json_decref(json);
    free(answer);
    expect_error(ask("GET", "/api/v1/guest?no_such=1", "Authorization: Bearer user\r\n", NULL), 400,
                 "invalid_argument");
    expect_error(ask("GET", "/api/v1/anyone/%ff", "", NULL), 400, "invalid_argument");
    expect_error(ask("GET", "/api/v1/anyone/%00", "", NULL), 400, "invalid_argument");
}

static void test_bodies(void **state UNUSED)
{
    char *answer = ask("POST", "/api/v1/disconnect", "", "{\"participant_id\":\"four\"}");
    assert_int_equal(status_of(answer), 200);
    assert_non_null(strstr(answer, "{\"disconnected_count\":4}"));
    free(answer);
    expect_error(ask("POST", "/api/v1/disconnect", "", "{\"participant_id\":\"missing\"}"), 404,
                 "not_found");
    expect_error(ask("POST", "/api/v1/disconnect", "", "{\"participant_id\":4}"), 400,
                 "invalid_argument");
    expect_error(ask("POST", "/api/v1/disconnect", "", "{"), 400, "invalid_argument");
    char large[2000];
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    answer = ask("POST", "/api/v1/disconnect", "", large);
    assert_int_equal(status_of(answer), 413);
    free(answer);
}

static void test_one_truth(void **state UNUSED)
{
    const char *path = "/api/v1/disconnect/four";
    char *answer = ask("POST", path, "", "{}");
    assert_non_null(strstr(answer, "{\"disconnected_count\":4}"));
    free(answer);
    /* The same said twice is fine; anything else is not, wherever it stands. */
    answer = ask("POST", path, "", "{\"participant_id\":\"four\"}");
    assert_int_equal(status_of(answer), 200);
    free(answer);
    expect_error(ask("POST", path, "", "{\"participant_id\":\"three\"}"), 400, "invalid_argument");
    expect_error(ask("POST", "/api/v1/disconnect/four?participant_id=three", "", NULL), 400,
                 "invalid_argument");
    expect_error(ask("POST", "/api/v1/disconnect?participant_id=a&participant_id=b", "", NULL), 400,
                 "invalid_argument");
    expect_error(
        ask("POST", "/api/v1/disconnect?participant_id=a", "", "{\"participant_id\":\"b\"}"), 400,
        "invalid_argument");
    /* What a form of another site could send is no JSON. */
    expect_error(ask("POST", path, "Content-Type: text/plain\r\n", "{}"), 400, "invalid_argument");
    answer = ask("POST", path, "Content-Type: application/json; charset=utf-8\r\n", "{}");
    assert_int_equal(status_of(answer), 200);
    free(answer);
}

static void test_proxies(void **state UNUSED)
{
    /* 127.0.0.1 is a proxy here; its word counts, and only the last hop that is none of ours. */
    const char *near = "X-Forwarded-For: 203.0.113.7, 10.1.2.3\r\n";
    const char *far = "X-Forwarded-For: 10.1.2.3, 203.0.113.7\r\n";
    assert_int_equal(get_status("/metrics", ""), 200);
    assert_int_equal(get_status("/metrics", near), 200);
    expect_error(ask("GET", "/metrics", far, NULL), 401, "unauthenticated");
    char headers[200];
    snprintf(headers, sizeof(headers), "%sAuthorization: Bearer user\r\n", far);
    expect_error(ask("GET", "/metrics", headers, NULL), 403, "permission_denied");
    snprintf(headers, sizeof(headers), "%sAuthorization: Bearer admin\r\n", far);
    assert_int_equal(get_status("/metrics", headers), 200);
    assert_int_equal(get_status("/metrics", "X-Forwarded-For: nonsense\r\n"), 401);
    /* Limits follow the client, not the proxy. */
    assert_int_equal(get_status("/api/v1/rare", "X-Forwarded-For: 203.0.113.8\r\n"), 200);
    assert_int_equal(get_status("/api/v1/rare", "X-Forwarded-For: 203.0.113.8\r\n"), 200);
    assert_int_equal(get_status("/api/v1/rare", "X-Forwarded-For: 203.0.113.8\r\n"), 429);
    assert_int_equal(get_status("/api/v1/rare", "X-Forwarded-For: 203.0.113.9\r\n"), 200);
    char *answer = ask("GET", "/api/v1/anyone/m",
                       "Origin: https://here\r\nX-Forwarded-Proto: https\r\n", NULL);
    assert_non_null(strstr(answer, "Access-Control-Allow-Origin: https://here\r\n"));
    free(answer);
}

static void test_wrong_paths(void **state UNUSED)
{
    expect_error(ask("GET", "/api/v1/nothing", "", NULL), 404, "not_found");
    char *answer = ask("PUT", "/api/v1/disconnect", "", "{}");
    assert_int_equal(status_of(answer), 405);
    assert_non_null(strstr(answer, "Allow: POST\r\n"));
    free(answer);
    answer = ask("POST", "/health", "", NULL);
    assert_int_equal(status_of(answer), 405);
    assert_non_null(strstr(answer, "Allow: GET, HEAD\r\n"));
    free(answer);
    answer = ask("GET", "/some/page", "", NULL);
    assert_int_equal(status_of(answer),
                     200); /* the web client, or the page that says there is none */
    assert_non_null(strstr(answer, "Content-Security-Policy: default-src 'self'"));
    assert_non_null(strstr(answer, "X-Content-Type-Options: nosniff"));
    free(answer);
}

static void test_origins(void **state UNUSED)
{
    char *answer = ask("GET", "/api/v1/anyone/m", "Origin: https://friend.example\r\n", NULL);
    assert_non_null(strstr(answer, "Access-Control-Allow-Origin: https://friend.example\r\n"));
    free(answer);
    answer = ask("GET", "/api/v1/anyone/m", "Origin: https://foe.example\r\n", NULL);
    assert_null(strstr(answer, "Access-Control-Allow-Origin"));
    free(answer);
    answer = ask("OPTIONS", "/api/v1/disconnect", "Origin: https://friend.example\r\n", NULL);
    assert_int_equal(status_of(answer), 204);
    assert_non_null(strstr(answer, "Access-Control-Allow-Methods: POST\r\n"));
    free(answer);
}

static void test_rate_limit(void **state UNUSED)
{
    assert_int_equal(get_status("/api/v1/rare", ""), 200);
    assert_int_equal(get_status("/api/v1/rare", ""), 200);
    char *answer = ask("GET", "/api/v1/rare", "", NULL);
    assert_non_null(strstr(answer, "Retry-After: "));
    expect_error(answer, 429, "resource_exhausted");
}

static void test_tokens_are_remembered_until_revoked(void **state UNUSED)
{
    bus_publish(t.bus, &(struct bus_event){.channel = "auth_events",
                                           .type = "session.revoked",
                                           .key = "k",
                                           .payload = STR("")});
    usleep(100 * 1000);
    validations = 0;
    for (int i = 0; i < 5; i++)
        assert_int_equal(get_status("/api/v1/user", "Authorization: Bearer user\r\n"), 200);
    assert_int_equal(validations, 1);
    bus_publish(t.bus, &(struct bus_event){.channel = "auth_events",
                                           .type = "session.revoked",
                                           .key = "k",
                                           .payload = STR("")});
    usleep(100 * 1000);
    assert_int_equal(get_status("/api/v1/user", "Authorization: Bearer user\r\n"), 200);
    assert_int_equal(validations, 2);
}

static void test_builtin(void **state UNUSED)
{
    assert_int_equal(get_status("/health", ""), 200);
    assert_int_equal(get_status("/ready", ""), 200);
    char *answer = ask("GET", "/metrics", "", NULL);
    assert_non_null(strstr(answer, "# TYPE parlance_http_api_requests_total counter"));
    free(answer);
    answer = ask("GET", "/openapi.json", "", NULL);
    json_t *json = body_of(answer);
    json_t *path = json_object_get(json_object_get(json, "paths"), "/api/v1/anyone/{meeting_id}");
    assert_non_null(json_object_get(path, "get"));
    json_decref(json);
    free(answer);
    edge_drain(t.edge);
    assert_int_equal(get_status("/ready", ""), 503);
    assert_int_equal(get_status("/health", ""), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_bad_tokens),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_one_truth),
        cmocka_unit_test(test_proxies),
        cmocka_unit_test(test_wrong_paths),
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_rate_limit),
        cmocka_unit_test(test_tokens_are_remembered_until_revoked),
        cmocka_unit_test(test_builtin),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
