/* What a stranger's traceparent is worth at the edge: nothing, but for a note; and of who is
 * trusted, everything. */
#include "net_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bus/bus.h"
#include "core/span.h"
#include "core/str.h"
#include "edge/edge.h"

#include "signaling.pb-c.h"

#define FOREIGN "0af7651916cd43dd8448eb211c80319c"

static pthread_mutex_t caught_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    int count;
    char trace_id[33], foreign[33];
} caught; /* the edge's spans, and the last of them */

static void on_span(void *arg UNUSED, const struct span *s, int64_t duration_us UNUSED,
                    int err UNUSED)
{
    if (!s->service || strcmp(s->service, "edge") != 0 || s->kind != SPAN_SERVER)
        return;
    pthread_mutex_lock(&caught_lock);
    caught.count++;
    caught.foreign[0] = '\0';
    str_hex(caught.trace_id, s->trace_id, sizeof(s->trace_id));
    for (int i = 0; i < s->attribute_count; i++)
        if (strcmp(s->attributes[i].key, "parlance.foreign_trace_id") == 0)
            snprintf(caught.foreign, sizeof(caught.foreign), "%s", s->attributes[i].text);
    pthread_mutex_unlock(&caught_lock);
}

static int spans_so_far(void)
{
    pthread_mutex_lock(&caught_lock);
    int count = caught.count;
    pthread_mutex_unlock(&caught_lock);
    return count;
}

static void on_list(Signaling__Signaling_Service *service UNUSED,
                    const Signaling__ListConnectionsRequest *in UNUSED,
                    Signaling__ConnectionList_Closure closure, void *data)
{
    Signaling__ConnectionList reply = SIGNALING__CONNECTION_LIST__INIT;
    closure(&reply, data);
}

static Signaling__Signaling_Service service = {
    .base = {.descriptor = &signaling__signaling__descriptor,
             .invoke = protobuf_c_service_invoke_internal},
    .list_connections = on_list,
};
static const struct edge_route row = {
    .method = "GET", .path = "/api/v1/list", .rpc = "ListConnections", .who = EDGE_WHO_ANYONE};
static const struct edge_route_table table = {
    .tag = "test", .service = &signaling__signaling__descriptor, .routes = &row, .count = 1};

static struct fixture f;
static ProtobufCService *local;
static struct edge *edge;
static struct bus *bus;

static int open_edge(bool is_trace_trusted)
{
    assert_int_equal(bus_open(&bus, &(struct bus_options){.driver = "memory"}), ERR_OK);
    local = rpc_local_create(&service.base, NULL);
    struct edge_mount mount = {&table, local};
    assert_int_equal(edge_create(&edge, &(struct edge_options){.is_trace_trusted = is_trace_trusted,
                                                               .bus = bus,
                                                               .mounts = &mount,
                                                               .mount_count = 1,
                                                               .version = "0"}),
                     ERR_OK);
    fixture_start(&f, (struct net_server_options){.http = edge_http_options(edge, false)});
    memset(&caught, 0, sizeof(caught));
    span_set_sink(on_span, NULL);
    return 0;
}

static int setup(void **state UNUSED)
{
    return open_edge(false);
}

static int setup_trusting(void **state UNUSED)
{
    return open_edge(true);
}

static int teardown(void **state UNUSED)
{
    span_set_sink(NULL, NULL);
    fixture_stop(&f);
    edge_destroy(&edge);
    rpc_local_destroy(&local);
    bus_close(&bus);
    return 0;
}

static void request(const char *headers)
{
    struct client c;
    char text[300];
    snprintf(text, sizeof(text), "GET /api/v1/list HTTP/1.1\r\nHost: here\r\n%s\r\n", headers);
    client_connect(&c, &f);
    assert_int_equal(client_get(&c, text).status, 200);
    client_close(&c);
}

/* Whether a request with this header was recorded; then `caught` is its span. Waits long if it
 * should be. */
static bool is_recorded(const char *headers, bool should_be)
{
    int before = spans_so_far();
    request(headers);
    for (int i = 0; i < (should_be ? 10000 : 25) && spans_so_far() == before; i++)
        usleep(2000);
    return spans_so_far() > before;
}

static void test_a_strangers_trace_is_not_obeyed(void **state UNUSED)
{
    span_set_ratio(0);
    assert_false(is_recorded("traceparent: 00-" FOREIGN "-b7ad6b7169203331-01\r\n", false));
    span_set_ratio(1000000);
    static const char *const flags[] = {"00", "01"};
    for (int i = 0; i < 2; i++) {
        char header[100];
        snprintf(header, sizeof(header), "traceparent: 00-" FOREIGN "-b7ad6b7169203331-%s\r\n",
                 flags[i]);
        assert_true(is_recorded(header, true));
        assert_string_not_equal(caught.trace_id, FOREIGN);
        assert_string_equal(caught.foreign, FOREIGN);
    }
    static const char *const nonsense[] = {
        "", "traceparent: \r\n", "traceparent: 00\r\n",
        "traceparent: 00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01\r\n",
        "traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(nonsense); i++) {
        assert_true(is_recorded(nonsense[i], true));
        assert_string_equal(caught.foreign, "");
    }
}

static void test_who_is_trusted_decides(void **state UNUSED)
{
    span_set_ratio(0);
    assert_true(is_recorded("traceparent: 00-" FOREIGN "-b7ad6b7169203331-01\r\n", true));
    assert_string_equal(caught.trace_id, FOREIGN);
    span_set_ratio(1000000);
    assert_false(is_recorded("traceparent: 00-" FOREIGN "-b7ad6b7169203331-00\r\n", false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_strangers_trace_is_not_obeyed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_is_trusted_decides, setup_trusting, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
