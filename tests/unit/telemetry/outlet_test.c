/* outlet, telemetry: against a server of our own that takes, refuses, or is away. */
#include "net_fixture.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metric.h"
#include "core/span.h"
#include "telemetry/outlet.h"
#include "telemetry/telemetry.h"

static struct fixture f;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct strbuf got; /* guarded by lock: path and unpacked body of each request taken */
static atomic_int requests, failures_left, status;

static void unzip(struct str body, struct strbuf *out)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)body.p, .avail_in = (uInt)body.n};
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    int done;
    do {
        z.next_out = (Bytef *)strbuf_reserve(out, 65536);
        z.avail_out = 65536;
        done = inflate(&z, Z_NO_FLUSH);
        assert_true(done == Z_OK || done == Z_STREAM_END);
        out->n += 65536 - z.avail_out;
    } while (done != Z_STREAM_END);
    inflateEnd(&z);
}

static void on_request(void *arg, struct http_request *req)
{
    atomic_fetch_add(&requests, 1);
    if (atomic_fetch_sub(&failures_left, 1) > 0) {
        http_respond(req, &(struct http_response){.status = 503});
        return;
    }
    pthread_mutex_lock(&lock);
    strbuf_printf(&got, "%.*s %.*s ", STR_FMT(req->path),
                  STR_FMT(http_request_header(req, "Content-Type")));
    unzip(req->body, &got);
    pthread_mutex_unlock(&lock);
    http_respond(req, &(struct http_response){.status = atomic_load(&status)});
}

static int setup(void **state)
{
    fixture_start(&f, (struct net_server_options){
                          .http = {.on_request = on_request, .body_max_bytes = 8 << 20}});
    atomic_store(&requests, 0);
    atomic_store(&failures_left, 0);
    atomic_store(&status, 204);
    strbuf_clear(&got);
    return 0;
}

static int teardown(void **state)
{
    fixture_stop(&f);
    strbuf_deinit(&got);
    return 0;
}

static bool has(const char *text)
{
    pthread_mutex_lock(&lock);
    bool is_there = got.n && memmem(got.p, got.n, text, strlen(text));
    pthread_mutex_unlock(&lock);
    return is_there;
}

static bool comes(const char *text)
{
    for (int i = 0; i < 5000 && !has(text); i++)
        usleep(20000);
    return has(text);
}

static const char *server_url(const char *path)
{
    static char url[100];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", net_server_port(f.server), path);
    return url;
}

static void pack(void *arg, const struct list *items, struct strbuf *body)
{
    LIST_FOREACH(items, node)
    {
        const struct outlet_item *item = LIST_ENTRY(node, struct outlet_item, node);
        strbuf_printf(body, "%s=%.*s;", item->group, (int)item->n, item->bytes);
    }
}

static struct outlet *open_outlet(struct outlet_options opt)
{
    struct outlet *o;
    opt.url = opt.url ? opt.url : server_url("");
    opt.path = "/in";
    opt.content_type = "text/plain";
    opt.pack = pack;
    opt.interval_ms = 20;
    opt.retry_ms = 10;
    assert_int_equal(outlet_open(&o, &opt), ERR_OK);
    return o;
}

/* "what",result="x"} N */
static double counted(const char *what, const char *result)
{
    struct strbuf text = {0};
    char series[200];
    snprintf(series, sizeof(series), "parlance_telemetry_items_total{what=\"%s\",result=\"%s\"} ",
             what, result);
    metric_write_prometheus(&text);
    const char *at = strstr(text.p, series);
    double value = at ? strtod(at + strlen(series), NULL) : 0;
    strbuf_deinit(&text);
    return value;
}

static int64_t soon(void)
{
    return clock_mono_ms() + 3000;
}

static void sends_in_batches(void **state)
{
    struct outlet *o = open_outlet((struct outlet_options){.what = "a"});
    outlet_add(o, "g", 0, STR("one"));
    outlet_add(o, "h", 0, STR("two"));
    assert_true(comes("h=two;"));
    assert_true(has("/in text/plain g=one;"));
    outlet_add(o, "g", 0, STR("last"));
    outlet_close(&o, soon()); /* what is left goes out */
    assert_true(has("g=last;"));
    assert_true(counted("a", "sent") == 3);
}

static void tries_again(void **state)
{
    struct outlet *o = open_outlet((struct outlet_options){.what = "b"});
    atomic_store(&failures_left, 3);
    outlet_add(o, "g", 0, STR("kept"));
    assert_true(comes("g=kept;"));
    outlet_close(&o, soon());
    assert_int_equal(atomic_load(&requests), 4);
    assert_true(counted("b", "sent") == 1);
}

static void what_is_refused_is_not_sent_again(void **state)
{
    struct outlet *o = open_outlet((struct outlet_options){.what = "c"});
    atomic_store(&status, 400);
    outlet_add(o, "g", 0, STR("wrong"));
    assert_true(comes("g=wrong;"));
    outlet_close(&o, soon());
    assert_int_equal(atomic_load(&requests), 1);
    assert_true(counted("c", "refused") == 1);
}

static void the_queue_is_bounded(void **state)
{
    enum { ITEMS = 1000, BYTES = 1000 };
    static char bytes[BYTES];
    /* Nobody listens on port 1: everything waits. */
    struct outlet *o = open_outlet((struct outlet_options){
        .what = "d", .url = "http://127.0.0.1:1", .queue_max_bytes = 100000});
    for (int i = 0; i < ITEMS; i++)
        outlet_add(o, "g", 0, (struct str){bytes, BYTES});
    int64_t before_ms = clock_mono_ms();
    outlet_close(&o, soon());
    assert_true(clock_mono_ms() - before_ms < 30000);
    assert_true(counted("d", "dropped") >= ITEMS - 300);
    assert_true(counted("d", "dropped") + counted("d", "lost") == ITEMS);
}

static void spans_and_lines_leave(void **state)
{
    struct telemetry *t;
    struct span s;
    char base[100];
    snprintf(base, sizeof(base), "%s", server_url("/"));
    log_set_json(false); /* what stdout shows does not matter */
    assert_int_equal(telemetry_open(&t, &(struct telemetry_options){.otlp_url = base,
                                                                    .trace_ratio_ppm = 1000000,
                                                                    .loki_url = server_url(""),
                                                                    .service = "parlance-x",
                                                                    .instance = "node-7"}),
                     ERR_OK);
    span_start(&s, "work", SPAN_INTERNAL, NULL);
    s.service = "user";
    const struct span *before = span_enter(&s);
    log_warn(NULL, "a line of it");
    span_leave(before);
    span_end(&s, 0);
    telemetry_close(&t);
    log_set_json(true);
    assert_false(span_is_on());
    assert_true(has("/v1/traces application/x-protobuf "));
    assert_true(has("parlance-user"));
    assert_true(has("work"));
    assert_true(has("/loki/api/v1/push application/json {\"streams\":"));
    assert_true(has("{\"service\":\"parlance-x\",\"instance\":\"node-7\",\"level\":\"warn\"}"));
    assert_true(has("\\\"msg\\\":\\\"a line of it\\\""));
    assert_true(has("\\\"trace_id\\\":\\\""));
}

/* A server that takes connections and says nothing: a request that is under way at the end would
 * wait 10 s, each, and so would what follows it. */
static void silence_holds_up_nobody(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    char url[100];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", ntohs(at.sin_port));
    struct outlet *outlets[4];
    for (int i = 0; i < 4; i++) {
        outlets[i] = open_outlet((struct outlet_options){.what = "e", .url = url});
        outlet_add(outlets[i], "g", 0, STR("one"));
    }
    int first = accept(fd, NULL, NULL); /* something is under way */
    assert_true(first >= 0);
    int64_t before_ms = clock_mono_ms();
    for (int i = 0; i < 4; i++)
        outlet_close(&outlets[i], before_ms + 200);
    assert_true(clock_mono_ms() - before_ms < 9000); /* not even one timeout */
    assert_true(counted("e", "lost") == 4);
    close(first);
    close(fd);
}

static void nothing_without_an_address(void **state)
{
    struct telemetry *t;
    assert_int_equal(telemetry_open(&t, &(struct telemetry_options){.otlp_url = ""}), ERR_OK);
    assert_null(t);
    assert_false(span_is_on());
    telemetry_close(&t);
}

#define served(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        served(sends_in_batches),
        served(tries_again),
        served(the_queue_is_bounded),
        served(what_is_refused_is_not_sent_again),
        served(spans_and_lines_leave),
        cmocka_unit_test(nothing_without_an_address),
        cmocka_unit_test(silence_holds_up_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
