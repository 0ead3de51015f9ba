/* fetch: against a server of our own: what comes back, what is refused, and every bound. */
#include "net_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "fetch/fetch.h"

static struct fixture f;
static struct fetch *fetch;
static struct arena *arena;
static atomic_int seen; /* requests that reached the server */
static char filler[70000];

static void describe(struct http_request *req, struct strbuf *text)
{
    strbuf_printf(
        text, "%s %.*s [%.*s] type=%.*s x=%.*s expect=%d", http_method_name(req->method),
        STR_FMT(req->path), STR_FMT(req->body), STR_FMT(http_request_header(req, "Content-Type")),
        STR_FMT(http_request_header(req, "X-Test")), http_request_header(req, "Expect").p != NULL);
}

static void on_request(void *arg, struct http_request *req)
{
    static const struct http_header location = {{"Location", 8}, {"/elsewhere", 10}};
    static const struct http_header fat = {{"X-Fat", 5}, {filler, sizeof(filler)}};
    struct strbuf text = {0};
    struct http_response res = {0};
    atomic_fetch_add(&seen, 1);
    if (str_eq(req->path, STR("/never")))
        return;
    if (str_eq(req->path, STR("/redirect"))) {
        res = (struct http_response){.status = 302, .headers = &location, .header_count = 1};
    } else if (str_eq(req->path, STR("/big"))) {
        res.body = (struct str){filler, 4096};
    } else if (str_eq(req->path, STR("/fat"))) {
        res = (struct http_response){.headers = &fat, .header_count = 1};
    } else {
        describe(req, &text);
        res.body = strbuf_str(&text);
    }
    http_respond(req, &res);
    strbuf_deinit(&text);
}

static const struct http_options http = {.on_request = on_request};

static void start(struct fetch_options opt, struct net_server_options server)
{
    server.http = http;
    fixture_start(&f, server);
    atomic_store(&seen, 0);
    assert_int_equal(fetch_create(&fetch, &opt), ERR_OK);
    arena = arena_create();
}

static const struct fetch_options here = {.guard.is_loopback_allowed = true};

static int teardown(void **state)
{
    fetch_destroy(&fetch);
    arena_destroy(&arena);
    fixture_stop(&f);
    return 0;
}

static const char *url_of(const char *scheme_and_host, const char *path)
{
    return arena_printf(arena, "%s:%u%s", scheme_and_host, net_server_port(f.server), path);
}

static enum err get(const char *url, struct fetch_response *r)
{
    return fetch_sync(fetch, &(struct fetch_request){.url = url, .timeout_ms = 5000}, arena, r);
}

static void brings_the_answer(void **state)
{
    struct fetch_response r;
    start(here, (struct net_server_options){0});
    assert_int_equal(get(url_of("http://127.0.0.1", "/a?b=c"), &r), ERR_OK);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body.p, "GET /a [] type= x= expect=0");
    assert_string_equal(r.problem, "");
    assert_non_null(fetch_response_header(&r, "x-request-id"));
    assert_null(fetch_response_header(&r, "X-None"));
}

static void sends_method_headers_and_body(void **state)
{
    struct fetch_response r;
    const struct fetch_header headers[] = {{"X-Test", "one"}, {"Content-Type", "text/plain"}};
    struct fetch_request request = {.headers = headers, .header_count = 2, .body = STR("hello")};
    start(here, (struct net_server_options){0});
    request.url = url_of("http://localhost", "/p");
    assert_int_equal(fetch_sync(fetch, &request, arena, &r), ERR_OK);
    assert_string_equal(r.body.p, "POST /p [hello] type=text/plain x=one expect=0");
    request.method = "PUT";
    request.header_count = 0;
    assert_int_equal(fetch_sync(fetch, &request, arena, &r), ERR_OK);
    assert_string_equal(r.body.p, "PUT /p [hello] type= x= expect=0");
    request = (struct fetch_request){.method = "HEAD", .url = request.url};
    assert_int_equal(fetch_sync(fetch, &request, arena, &r), ERR_OK);
    assert_int_equal(r.body.n, 0);
}

/* In every disguise that a URL can wear. */
static void inner_addresses_are_refused(void **state)
{
    static const char *const hosts[] = {
        "http://127.0.0.1",   "http://localhost", "http://[::1]",     "http://2130706433",
        "http://0x7f.1",      "http://127.1",     "http://0.0.0.0",   "http://[::ffff:127.0.0.1]",
        "http://169.254.1.1", "http://10.0.0.1",  "http://[fe80::1]", "http://[64:ff9b::7f00:1]",
        "http://192.168.0.1", "http://[fd00::1]", "http://[::]"};
    struct fetch_response r;
    start((struct fetch_options){0}, (struct net_server_options){0});
    int six = socket(AF_INET6, SOCK_STREAM, 0); /* without IPv6 libcurl does not even try */
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        if (six < 0 && strchr(hosts[i], '['))
            continue;
        enum err err = get(url_of(hosts[i], "/"), &r);
        if (err != ERR_PERMISSION_DENIED)
            fail_msg("%s: %s (%s)", hosts[i], err_name(err), r.problem);
        assert_int_equal(r.status, 0);
    }
    if (six >= 0)
        close(six);
    assert_int_equal(atomic_load(&seen), 0);
}

static void a_redirect_is_an_answer(void **state)
{
    struct fetch_response r;
    start(here, (struct net_server_options){0});
    assert_int_equal(get(url_of("http://127.0.0.1", "/redirect"), &r), ERR_OK);
    assert_int_equal(r.status, 302);
    assert_string_equal(fetch_response_header(&r, "location"), "/elsewhere");
    assert_int_equal(atomic_load(&seen), 1);
}

static void answers_are_bounded(void **state)
{
    struct fetch_response r;
    struct fetch_request request = {.max_bytes = 4096};
    start(here, (struct net_server_options){0});
    memset(filler, 'x', sizeof(filler));
    request.url = url_of("http://127.0.0.1", "/big");
    assert_int_equal(fetch_sync(fetch, &request, arena, &r), ERR_OK);
    assert_int_equal(r.body.n, 4096);
    request.max_bytes = 4095;
    assert_int_equal(fetch_sync(fetch, &request, arena, &r), ERR_RESOURCE_EXHAUSTED);
    assert_int_equal(r.body.n, 0);
    assert_int_equal(get(url_of("http://127.0.0.1", "/fat"), &r), ERR_RESOURCE_EXHAUSTED);
}

static void time_is_bounded(void **state)
{
    struct fetch_response r;
    int64_t started_ms = clock_mono_ms();
    start(here, (struct net_server_options){0});
    struct fetch_request request = {.url = url_of("http://127.0.0.1", "/never"), .timeout_ms = 100};
    assert_int_equal(fetch_sync(fetch, &request, arena, &r), ERR_DEADLINE_EXCEEDED);
    assert_in_range(clock_mono_ms() - started_ms, 100, 5000);
}

static void bad_requests_go_nowhere(void **state)
{
    static const char *const urls[] = {"",
                                       "no url at all",
                                       "ftp://127.0.0.1/",
                                       "file:///etc/passwd",
                                       "gopher://127.0.0.1/",
                                       "//127.0.0.1/",
                                       "127.0.0.1",
                                       "http://",
                                       "http://me:secret@127.0.0.1/",
                                       "http://me@127.0.0.1/"};
    struct fetch_response r;
    start(here, (struct net_server_options){0});
    for (size_t i = 0; i < ARRAY_LEN(urls); i++)
        if (get(urls[i], &r) != ERR_INVALID_ARGUMENT)
            fail_msg("%s", urls[i]);
    assert_int_equal(get(NULL, &r), ERR_INVALID_ARGUMENT);
    const struct fetch_header header = {"X-Test", "a\r\nX-Evil: b"};
    struct fetch_request request = {
        .url = url_of("http://127.0.0.1", "/"), .headers = &header, .header_count = 1};
    assert_int_equal(fetch_sync(fetch, &request, arena, &r), ERR_INVALID_ARGUMENT);
    request = (struct fetch_request){.url = request.url, .method = "GET / HTTP/1.1\r\nX:"};
    assert_int_equal(fetch_sync(fetch, &request, arena, &r), ERR_INVALID_ARGUMENT);
    assert_int_equal(atomic_load(&seen), 0);
}

static void nobody_there(void **state)
{
    struct fetch_response r;
    start(here, (struct net_server_options){0});
    const char *url = url_of("http://127.0.0.1", "/");
    fixture_stop(&f);
    assert_int_equal(get(url, &r), ERR_UNAVAILABLE);
    assert_true(strlen(r.problem) > 10);
    f = (struct fixture){0};
}

static void proxies_of_the_environment_are_not_used(void **state)
{
    struct fetch_response r;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    start(here, (struct net_server_options){0});
    assert_int_equal(get(url_of("http://127.0.0.1", "/"), &r), ERR_OK);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
}

static void unix_sockets(void **state)
{
    struct fetch_response r;
    char path[128];
    snprintf(path, sizeof(path), "%s/s", fixture_dir(&f));
    start((struct fetch_options){0}, (struct net_server_options){.unix_path = path});
    struct fetch_request request = {.url = "http://localhost/u", .unix_path = path};
    assert_int_equal(fetch_sync(fetch, &request, arena, &r), ERR_OK);
    assert_string_equal(r.body.p, "GET /u [] type= x= expect=0");
}

static void certificates_are_checked(void **state)
{
    struct fetch_response r;
    struct strbuf problem = {0};
    const char *hosts[] = {"localhost"};
    const char *dir = fixture_dir(&f);
    char cert[128], key[128];
    snprintf(cert, sizeof(cert), "%s/fullchain.pem", dir);
    snprintf(key, sizeof(key), "%s/privkey.pem", dir);
    assert_int_equal(net_tls_self_signed(dir, hosts, 1), ERR_OK);
    assert_int_equal(net_tls_create(&f.tls,
                                    &(struct net_tls_options){.cert_path = cert, .key_path = key},
                                    &problem),
                     ERR_OK);
    start(here, (struct net_server_options){.tls = f.tls});
    assert_int_equal(get(url_of("https://localhost", "/"), &r), ERR_UNAVAILABLE);
    assert_int_equal(atomic_load(&seen), 0);
    fetch_destroy(&fetch);
    struct fetch_options opt = here;
    opt.ca_file = cert;
    assert_int_equal(fetch_create(&fetch, &opt), ERR_OK);
    assert_int_equal(get(url_of("https://localhost", "/"), &r), ERR_OK);
    /* a good certificate of another name */
    assert_int_equal(get(url_of("https://127.0.0.1", "/"), &r), ERR_UNAVAILABLE);
}

struct results {
    atomic_int count;
    atomic_int of[17];
};

static void on_done(void *arg, enum err err, const struct fetch_response *r)
{
    struct results *results = arg;
    assert_int_equal(r->status, err ? 0 : 200);
    atomic_fetch_add(&results->of[err], 1);
    atomic_fetch_add(&results->count, 1);
}

static void wait_for(atomic_int *what, int count)
{
    for (int i = 0; i < 5000 && atomic_load(what) < count; i++)
        usleep(1000);
    assert_int_equal(atomic_load(what), count);
}

static void many_at_once_are_bounded_and_closing_ends_them(void **state)
{
    struct results results = {0};
    struct fetch_options opt = here;
    opt.concurrent_max = 5;
    start(opt, (struct net_server_options){0});
    struct fetch_request request = {.url = url_of("http://127.0.0.1", "/never")};
    for (int i = 0; i < 8; i++)
        fetch_start(fetch, &request, on_done, &results);
    wait_for(&results.count, 3);
    assert_int_equal(atomic_load(&results.of[ERR_UNAVAILABLE]), 3);
    wait_for(&seen, 5);
    fetch_destroy(&fetch);
    assert_int_equal(atomic_load(&results.of[ERR_CANCELLED]), 5);
    assert_int_equal(atomic_load(&results.count), 8);
}

static void *ask_often(void *arg)
{
    struct results *results = arg;
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", net_server_port(f.server));
    for (int i = 0; i < 50; i++)
        fetch_start(fetch, &(struct fetch_request){.url = url}, on_done, results);
    return NULL;
}

static void from_many_threads(void **state)
{
    struct results results = {0};
    struct fetch_options opt = here;
    pthread_t threads[4];
    opt.concurrent_max = 1000;
    start(opt, (struct net_server_options){0});
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_create(&threads[i], NULL, ask_often, &results);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    wait_for(&results.count, 200);
    assert_int_equal(atomic_load(&results.of[ERR_OK]), 200);
}

int main(void)
{
#define T(name) cmocka_unit_test_teardown(name, teardown)
    const struct CMUnitTest tests[] = {
        T(brings_the_answer),
        T(sends_method_headers_and_body),
        T(inner_addresses_are_refused),
        T(a_redirect_is_an_answer),
        T(answers_are_bounded),
        T(time_is_bounded),
        T(bad_requests_go_nowhere),
        T(nobody_there),
        T(proxies_of_the_environment_are_not_used),
        T(unix_sockets),
        T(certificates_are_checked),
        T(many_at_once_are_bounded_and_closing_ends_them),
        T(from_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
