/*
 * http over real sockets: order, limits, slow clients, late answers. The handler's paths:
 * /hello, /echo (body), /len (body size), /late (answered by a timer), /thread (by another thread),
 * /never, /big (1 MiB), /file, /headers (what it saw).
 */
#include "net_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"

#define BIG_BYTES (1024 * 1024)

static char big[BIG_BYTES];
static atomic_int abort_count;
static atomic_int release_count;
static atomic_int request_count;
static struct net_ticket last_ticket;

struct late {
    struct loop_timer timer;
    struct net_ticket ticket;
};

static void answer_late(void *arg)
{
    struct late *late = arg;
    struct http_request *req = http_ticket_find(late->ticket);
    if (req)
        http_respond(req, &(struct http_response){.content_type = "text/plain", .body = req->path});
    free(late);
}

static void *answer_from_thread(void *arg)
{
    struct net_ticket *ticket = arg;
    char body[] = "from a thread";
    struct http_header header = {STR("X-Thread"), STR("yes")};
    http_ticket_respond(*ticket, &(struct http_response){.status = 202,
                                                         .content_type = "text/plain",
                                                         .headers = &header,
                                                         .header_count = 1,
                                                         .body = str_from(body)});
    memset(body, 'x', sizeof(body));
    free(ticket);
    return NULL;
}

static void on_thread(struct http_request *req)
{
    struct net_ticket *ticket = mem_new(struct net_ticket);
    *ticket = http_request_ticket(req);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, answer_from_thread, ticket), 0);
    pthread_detach(thread);
}

static void on_release(void *arg)
{
    atomic_fetch_add(&release_count, 1);
}

static void on_headers_path(struct http_request *req)
{
    struct strbuf b = {0};
    struct str cookie = http_request_header(req, "cookie");
    strbuf_printf(&b, "%s %.*s %.*s %.*s %s %d", http_method_name(req->method), STR_FMT(req->path),
                  STR_FMT(req->query), STR_FMT(cookie), http_request_remote(req), req->is_tls);
    struct http_header evil = {STR("X-Evil"), STR("a\r\nSet-Cookie: b")};
    http_respond(
        req, &(struct http_response){.body = strbuf_str(&b), .headers = &evil, .header_count = 1});
    strbuf_deinit(&b);
}

static void on_file(struct http_request *req)
{
    char path[] = "/tmp/net-file-XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    assert_int_equal(write(fd, big, BIG_BYTES), BIG_BYTES);
    http_respond(req, &(struct http_response){.content_type = "application/octet-stream",
                                              .file_fd = fd,
                                              .file_offset = 10,
                                              .file_bytes = BIG_BYTES - 10});
}

/* Every part but the last is thanked for with the next one's leave, some of them later. */
static struct {
    struct strbuf seen; /* offset:bytes of each part */
    struct loop_timer timer;
    struct net_ticket ticket;
    atomic_int aborts;
    _Atomic size_t cut_at;
    _Atomic size_t cut_bytes;
} parts;

static void go_on(void *arg)
{
    struct http_request *req = http_ticket_find(parts.ticket);
    if (req)
        http_request_continue(req);
}

static void on_part(struct http_request *req)
{
    strbuf_printf(&parts.seen, "%d:%d%s", (int)req->body_offset, (int)req->body.n,
                  req->has_more_body ? " " : "");
    parts.ticket = http_request_ticket(req);
    if (str_eq(req->query, STR("stop")))
        http_respond(req, &(struct http_response){.status = 409});
    else if (!req->has_more_body)
        http_respond(req, &(struct http_response){.body = strbuf_str(&parts.seen)});
    else if (req->body_offset == 0)
        loop_timer_start(req->loop, &parts.timer, 20, go_on, NULL);
    else
        http_request_continue(req);
}

static void on_request(void *arg, struct http_request *req)
{
    atomic_fetch_add(&request_count, 1);
    last_ticket = http_request_ticket(req);
    if (str_eq(req->path, STR("/echo"))) {
        http_respond(req, &(struct http_response){.body = req->body});
    } else if (str_eq(req->path, STR("/len"))) {
        char text[32];
        snprintf(text, sizeof(text), "%zu", req->body.n);
        http_respond(req, &(struct http_response){.body = str_from(text)});
    } else if (str_starts(req->path, STR("/late"))) {
        struct late *late = mem_new(struct late);
        late->ticket = last_ticket;
        loop_timer_start(req->loop, &late->timer, 20, answer_late, late);
    } else if (str_eq(req->path, STR("/thread"))) {
        on_thread(req);
    } else if (str_eq(req->path, STR("/never"))) {
        req->user = &abort_count;
    } else if (str_eq(req->path, STR("/parts"))) {
        on_part(req);
    } else if (str_eq(req->path, STR("/big"))) {
        http_respond(req, &(struct http_response){.body = {big, BIG_BYTES}, .release = on_release});
    } else if (str_eq(req->path, STR("/file"))) {
        on_file(req);
    } else if (str_eq(req->path, STR("/headers"))) {
        on_headers_path(req);
    } else if (str_eq(req->path, STR("/empty"))) {
        http_respond(req, &(struct http_response){.status = 204});
    } else {
        http_respond(req, &(struct http_response){.content_type = "text/plain", .body = STR("hi")});
    }
}

static void on_headers(void *arg, struct http_request *req)
{
    if (str_eq(req->path, STR("/parts"))) {
        req->body_part_bytes = 10;
        req->body_max_bytes = 100;
        strbuf_clear(&parts.seen);
    }
    if (str_eq(req->path, STR("/refuse")))
        http_respond_error(req, 403, "no", "not this body");
    else if (str_eq(req->path, STR("/len")))
        req->body_max_bytes = 2 * BIG_BYTES;
}

static void on_abort(void *arg, struct http_request *req)
{
    if (req->user == &abort_count)
        atomic_fetch_add(&abort_count, 1);
    if (str_eq(req->path, STR("/parts"))) {
        parts.cut_at = req->body_offset;
        parts.cut_bytes = req->body.n;
        atomic_fetch_add(&parts.aborts, 1);
    }
}

static struct fixture f;

static struct net_server_options standard(void)
{
    return (struct net_server_options){.http = {
                                           .on_request = on_request,
                                           .on_headers = on_headers,
                                           .on_abort = on_abort,
                                           .fixed_headers = "X-Fixed: always\r\n",
                                           .body_max_bytes = 1000,
                                       }};
}

static int setup(void **state)
{
    fixture_start(&f, standard());
    return 0;
}

static int setup_impatient(void **state)
{
    struct net_server_options opt = standard();
    opt.http.head_ms = 150;
    opt.http.idle_ms = 300;
    opt.http.body_grace_ms = 150;
    opt.http.body_min_bytes_per_second = 1000;
    opt.http.send_stall_ms = 200;
    fixture_start(&f, opt);
    return 0;
}

static int teardown(void **state)
{
    fixture_stop(&f);
    return 0;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\n\r\n"

static void answers(void **state)
{
    struct client c;
    client_connect(&c, &f);
    struct client_response r = client_get(&c, GET("/hello"));
    assert_int_equal(r.status, 200);
    assert_true(str_eq(r.body, STR("hi")));
    assert_true(str_eq(client_header(r.head, "Content-Type"), STR("text/plain")));
    assert_true(str_eq(client_header(r.head, "X-Fixed"), STR("always")));
    assert_int_equal(client_header(r.head, "Date").n, 29);
    assert_true(client_header(r.head, "X-Request-Id").n >= 18);
    assert_null(client_header(r.head, "Connection").p);
    /* the client's own id comes back, a mad one does not */
    r = client_get(&c, "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: abc-1\r\n\r\n");
    assert_true(str_eq(client_header(r.head, "X-Request-Id"), STR("abc-1")));
    r = client_get(&c, "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: a\"b\r\n\r\n");
    assert_false(str_eq(client_header(r.head, "X-Request-Id"), STR("a\"b")));
    r = client_get(&c, "GET /headers?a=1 HTTP/1.1\r\nHost: a\r\nCookie: z\r\n\r\n");
    assert_true(str_eq(r.body, STR("GET /headers a=1 z 127.0.0.1 0")));
    assert_null(client_header(r.head, "Set-Cookie").p);
    r = client_get(&c, GET("/empty"));
    assert_int_equal(r.status, 204);
    assert_null(client_header(r.head, "Content-Length").p);
    client_close(&c);
}

static void answers_head_without_body(void **state)
{
    struct client c;
    client_connect(&c, &f);
    client_sends(&c, "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    struct client_response r = client_read_response(&c, true);
    assert_true(str_eq(client_header(r.head, "Content-Length"), STR("2")));
    atomic_store(&release_count, 0);
    client_sends(&c, "HEAD /big HTTP/1.1\r\nHost: a\r\n\r\n");
    r = client_read_response(&c, true);
    assert_true(str_eq(client_header(r.head, "Content-Length"), STR("1048576")));
    r = client_get(&c, GET("/hello"));
    assert_int_equal(r.status, 200); /* nothing of a body came between */
    assert_int_equal(atomic_load(&release_count), 1);
    client_close(&c);
}

static void keeps_http10_apart(void **state)
{
    struct client c;
    client_connect(&c, &f);
    struct client_response r = client_get(&c, "GET / HTTP/1.0\r\n\r\n");
    assert_int_equal(r.status, 200);
    assert_true(str_eq(client_header(r.head, "Connection"), STR("close")));
    assert_true(client_is_closed(&c));
    client_close(&c);

    client_connect(&c, &f);
    r = client_get(&c, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_true(str_eq(client_header(r.head, "Connection"), STR("keep-alive")));
    r = client_get(&c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_true(str_eq(client_header(r.head, "Connection"), STR("close")));
    assert_true(client_is_closed(&c));
    client_close(&c);
}

static void takes_bytes_one_by_one(void **state)
{
    struct client c;
    client_connect(&c, &f);
    struct str request = STR("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
                             "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                             "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n" GET("/hello"));
    for (size_t step = 1; step < 8; step++) {
        client_send_in_steps(&c, request, step);
        assert_true(str_eq(client_read_response(&c, false).body, STR("hello")));
        assert_true(str_eq(client_read_response(&c, false).body, STR("abcde")));
        assert_true(str_eq(client_read_response(&c, false).body, STR("hi")));
    }
    client_close(&c);
}

/* Late answers between prompt ones: the order is that of the requests. */
static void keeps_pipeline_order(void **state)
{
    struct client c;
    client_connect(&c, &f);
    client_sends(&c, GET("/late/1") GET("/hello") GET("/thread") GET("/late/2")
                         GET("/hello") "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
                                       "end" GET("/late/3"));
    static const char *const bodies[] = {"/late/1", "hi",  "from a thread", "/late/2",
                                         "hi",      "end", "/late/3"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct client_response r = client_read_response(&c, false);
        assert_true(str_eq(r.body, str_from(bodies[i])));
        if (i == 2) {
            assert_int_equal(r.status, 202);
            assert_true(str_eq(client_header(r.head, "X-Thread"), STR("yes")));
        }
    }
    client_close(&c);
}

/* Far more requests than a reader takes answers for: the server stops reading, not growing. */
static void holds_back_who_does_not_read(void **state)
{
    struct client c;
    client_connect(&c, &f);
    int before = atomic_load(&request_count);
    struct strbuf many = {0};
    for (int i = 0; i < 200; i++)
        strbuf_adds(&many, GET("/big"));
    client_send(&c, strbuf_str(&many));
    struct client other;
    client_connect(&other, &f);
    for (int i = 0; i < 20; i++)
        assert_int_equal(client_get(&other, GET("/late")).status, 200);
    /* 200 MiB asked for; socket buffers hold a few. */
    assert_true(atomic_load(&request_count) - before - 20 < 30);
    for (int i = 0; i < 200; i++)
        assert_int_equal(client_read_response(&c, false).body.n, BIG_BYTES);
    client_close(&c);
    client_close(&other);
    strbuf_deinit(&many);
}

static void sends_files(void **state)
{
    struct client c;
    client_connect(&c, &f);
    client_sends(&c, GET("/file") GET("/hello"));
    struct client_response r = client_read_response(&c, false);
    assert_int_equal(r.body.n, BIG_BYTES - 10);
    assert_memory_equal(r.body.p, big + 10, BIG_BYTES - 10);
    assert_true(str_eq(client_read_response(&c, false).body, STR("hi")));
    client_close(&c);
}

static void limits_bodies(void **state)
{
    struct client c;
    struct client_response r;
    static const char *const too_big[] = {
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999999999\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(too_big); i++) {
        client_connect(&c, &f);
        r = client_get(&c, too_big[i]);
        assert_int_equal(r.status, 413);
        assert_true(memmem(r.body.p, r.body.n, "\"code\":\"body_too_large\"", 23) != NULL);
        assert_true(client_is_closed(&c));
        client_close(&c);
    }
    /* on_headers may refuse, or allow more */
    client_connect(&c, &f);
    r = client_get(&c, "POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    assert_int_equal(r.status, 403);
    assert_true(client_is_closed(&c));
    client_close(&c);
    client_connect(&c, &f);
    client_sends(&c, "POST /len HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n");
    client_send(&c, (struct str){big, BIG_BYTES});
    assert_true(str_eq(client_read_response(&c, false).body, STR("1048576")));
    client_close(&c);
}

/* An answer before the body was read must reach the client although it goes on sending. */
static void refuses_while_the_body_comes(void **state)
{
    struct client c;
    client_connect(&c, &f);
    client_sends(&c, "POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n");
    client_send(&c, (struct str){big, 900000});
    assert_int_equal(client_read_response(&c, false).status, 403);
    client_close(&c);
}

static void continues_on_expect(void **state)
{
    struct client c;
    client_connect(&c, &f);
    client_sends(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                     "Content-Length: 3\r\n\r\n");
    while (c.in.n < 25)
        assert_true(client_read_some(&c));
    assert_memory_equal(c.in.p, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    client_consume(&c, 25);
    client_sends(&c, "abc");
    assert_true(str_eq(client_read_response(&c, false).body, STR("abc")));
    /* not when the body is there already, nor for HTTP/1.0 */
    struct client_response r =
        client_get(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                       "Content-Length: 3\r\n\r\nabc");
    assert_int_equal(r.status, 200);
    r = client_get(&c,
                   "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 3\r\n\r\nabc");
    assert_int_equal(r.status, 417);
    client_close(&c);
}

/* What smuggles elsewhere: one clear error, and nothing after it is looked at. */
static void refuses_and_closes(void **state)
{
    static const struct {
        const char *text;
        int status;
    } rows[] = {
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
         "0\r\n\r\nGET /never HTTP/1.1\r\nHost: a\r\n\r\n",
         400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\rXhello\r\n0\r\n\r\n",
         400},
        {"GET / HTTP/1.1\nHost: a\n\n", 400},
        {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"\x16\x03\x01\x02\x01\n", 400},
        {"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
        {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct client c;
        int before = atomic_load(&request_count);
        client_connect(&c, &f);
        struct client_response r = client_get(&c, rows[i].text);
        if (r.status != rows[i].status)
            fail_msg("%d for %s", r.status, rows[i].text);
        assert_true(str_eq(client_header(r.head, "Connection"), STR("close")));
        assert_true(str_eq(client_header(r.head, "X-Fixed"), STR("always")));
        struct str id = client_header(r.head, "X-Request-Id");
        assert_true(memmem(r.body.p, r.body.n, id.p, id.n) != NULL);
        assert_true(client_is_closed(&c));
        assert_int_equal(atomic_load(&request_count), before);
        client_close(&c);
    }
}

static void refuses_big_heads(void **state)
{
    struct client c;
    struct strbuf b = {0};
    client_connect(&c, &f);
    strbuf_adds(&b, "GET / HTTP/1.1\r\nHost: a\r\n");
    while (b.n < 20000)
        strbuf_adds(&b, "Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: bbbbbbbbbbbbbbbbbbbbbbbbbb\r\n");
    client_send(&c, strbuf_str(&b));
    assert_int_equal(client_read_response(&c, false).status, 431);
    assert_true(client_is_closed(&c));
    client_close(&c);
    strbuf_deinit(&b);
}

static void drops_stale_tickets(void **state)
{
    struct client c;
    client_connect(&c, &f);
    assert_int_equal(client_get(&c, GET("/hello")).status, 200);
    struct net_ticket stale = last_ticket;
    client_sends(&c, GET("/late/x"));
    /* An answer to the former request must not become this one's. */
    http_ticket_respond(stale, &(struct http_response){.body = STR("wrong")});
    http_ticket_respond((struct net_ticket){0}, &(struct http_response){.body = STR("wrong")});
    http_ticket_respond((struct net_ticket){stale.shard, 999999, 1},
                        &(struct http_response){.body = STR("wrong")});
    http_ticket_respond((struct net_ticket){stale.shard + 77, 0, 1},
                        &(struct http_response){.body = STR("wrong")});
    assert_true(str_eq(client_read_response(&c, false).body, STR("/late/x")));
    /* The body's owner hears of it even so. */
    atomic_store(&release_count, 0);
    http_ticket_respond(stale, &(struct http_response){.body = STR("x"), .release = on_release});
    for (int i = 0; i < 10000 && !atomic_load(&release_count); i++)
        usleep(1000);
    assert_int_equal(atomic_load(&release_count), 1);
    client_close(&c);
}

static void wait_for_abort(void)
{
    for (int i = 0; i < 10000 && !atomic_load(&parts.aborts); i++)
        usleep(2000);
    assert_int_equal(atomic_load(&parts.aborts), 1);
}

/* A long body comes in parts, however its bytes come; the next request stays what it is. */
static void bodies_in_parts(void **state)
{
    static const char head[] = "POST /parts HTTP/1.1\r\nHost: a\r\nContent-Length: ";
    static const struct {
        const char *rest;
        const char *parts;
    } cases[] = {
        {"25\r\n\r\n0123456789012345678901234", "0:10 10:10 20:5"},
        {"20\r\n\r\n01234567890123456789", "0:10 10:10"},
        {"3\r\n\r\n012", "0:3"},
    };
    for (size_t step = 1; step <= 64; step *= 8) {
        struct client c;
        client_connect(&c, &f);
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            char text[400];
            snprintf(text, sizeof(text), "%s%s" GET("/hello"), head, cases[i].rest);
            client_send_in_steps(&c, str_from(text), step);
            struct client_response r = client_read_response(&c, false);
            assert_true(str_eq(r.body, str_from(cases[i].parts)));
            r = client_read_response(&c, false);
            assert_true(str_eq(r.body, STR("hi")));
        }
        client_sends(&c, "POST /parts HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "7\r\n0123456\r\n7\r\n0123456\r\n6\r\n012345\r\n0\r\n\r\n");
        struct client_response r = client_read_response(&c, false);
        assert_true(str_eq(r.body, STR("0:10 10:10 20:0")));
        client_close(&c);
    }
    assert_int_equal(atomic_load(&parts.aborts), 0);
}

/* An answer before the end closes; what is broken or breaks off is told with what had come. */
static void parts_end_early(void **state)
{
    struct client c;
    client_connect(&c, &f);
    client_sends(&c, "POST /parts?stop HTTP/1.1\r\nHost: a\r\nContent-Length: 25\r\n\r\n"
                     "0123456789012");
    struct client_response r = client_read_response(&c, false);
    assert_int_equal(r.status, 409);
    assert_true(str_eq(client_header(r.head, "Connection"), STR("close")));
    client_close(&c);
    assert_int_equal(atomic_load(&parts.aborts), 0);
    client_connect(&c, &f);
    client_sends(&c, "POST /parts HTTP/1.1\r\nHost: a\r\nContent-Length: 25\r\n\r\n0123456789012");
    usleep(60000); /* the second part is waited for */
    client_close(&c);
    wait_for_abort();
    assert_int_equal(parts.cut_at, 10);
    assert_int_equal(parts.cut_bytes, 3);
    atomic_store(&parts.aborts, 0);
    client_connect(&c, &f);
    client_sends(&c, "POST /parts HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n0");
    r = client_read_response(&c, false);
    assert_int_equal(r.status, 413);
    client_close(&c);
    client_connect(&c, &f);
    client_sends(&c, "POST /parts HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "c\r\n0123456789ab\r\nx");
    r = client_read_response(&c, false);
    assert_int_equal(r.status, 400);
    client_close(&c);
    assert_int_equal(parts.cut_at, 10);
    assert_int_equal(parts.cut_bytes, 2);
    client_connect(&c, &f);
    atomic_store(&parts.aborts, 0);
    client_sends(&c, "POST /parts HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "4f\r\n0123456789012345678901234567890123456789012345678901234567890123456789"
                     "012345678\r\n1f\r\n0");
    r = client_read_response(&c, false);
    assert_int_equal(r.status, 413);
    client_close(&c);
    atomic_store(&parts.aborts, 0);
    strbuf_deinit(&parts.seen);
}

static void tells_of_aborts(void **state)
{
    struct client c;
    atomic_store(&abort_count, 0);
    client_connect(&c, &f);
    client_sends(&c, GET("/never"));
    usleep(20000);
    struct linger hard = {1, 0};
    setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)); /* a reset */
    client_close(&c);
    for (int i = 0; i < 10000 && !atomic_load(&abort_count); i++)
        usleep(1000);
    assert_int_equal(atomic_load(&abort_count), 1);
}

/* A client that has said all it will say still gets its answers. */
static void answers_the_half_closed(void **state)
{
    struct client c;
    client_connect(&c, &f);
    client_sends(&c, GET("/late/1") GET("/late/2") "GET /unfinished");
    client_shut(&c);
    assert_true(str_eq(client_read_response(&c, false).body, STR("/late/1")));
    assert_true(str_eq(client_read_response(&c, false).body, STR("/late/2")));
    assert_true(client_is_closed(&c));
    client_close(&c);
}

/* Impatient server: one byte now and then does not move a deadline. */
static void drip(struct client *c, const char *text, int64_t for_ms)
{
    int64_t end = clock_mono_ms() + for_ms;
    while (clock_mono_ms() < end) {
        client_send(c, (struct str){text, 1});
        usleep(20000);
    }
}

static void times_out_slow_heads(void **state)
{
    struct client c;
    client_connect(&c, &f);
    int64_t start = clock_mono_ms();
    client_sends(&c, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    drip(&c, "x", 300);
    struct client_response r = client_read_response(&c, false);
    assert_int_equal(r.status, 408);
    assert_true(clock_mono_ms() - start < 2000);
    client_close(&c);
    /* silence from the start */
    client_connect(&c, &f);
    start = clock_mono_ms();
    assert_true(client_is_closed(&c));
    assert_true(clock_mono_ms() - start < 2000);
    client_close(&c);
    /* idle between requests has its own, longer time */
    client_connect(&c, &f);
    assert_int_equal(client_get(&c, GET("/")).status, 200);
    usleep(200000);
    assert_int_equal(client_get(&c, GET("/")).status, 200);
    assert_true(client_is_closed(&c));
    client_close(&c);
}

static void times_out_slow_bodies(void **state)
{
    struct client c;
    client_connect(&c, &f);
    client_sends(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    drip(&c, "x", 400); /* 50 a second */
    assert_int_equal(client_read_response(&c, false).status, 408);
    client_close(&c);
    client_connect(&c, &f);
    client_sends(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe");
    assert_int_equal(client_read_response(&c, false).status, 408);
    client_close(&c);
    /* one that keeps up may take longer than the grace */
    client_connect(&c, &f);
    client_sends(&c, "POST /len HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n");
    for (int i = 0; i < 15; i++) {
        client_send(&c, (struct str){big, 200});
        usleep(30000);
    }
    assert_int_equal(client_read_response(&c, false).status, 200);
    client_close(&c);
}

static void times_out_who_does_not_read(void **state)
{
    struct client c;
    client_connect(&c, &f);
    struct strbuf many = {0};
    for (int i = 0; i < 50; i++)
        strbuf_adds(&many, GET("/big"));
    client_send(&c, strbuf_str(&many));
    for (int i = 0; i < 3000 && net_server_connections(f.server) > 0; i++)
        usleep(1000);
    assert_int_equal(net_server_connections(f.server), 0);
    client_close(&c);
    strbuf_deinit(&many);
}

int main(void)
{
    for (size_t i = 0; i < BIG_BYTES; i++)
        big[i] = (char)('a' + i % 23);
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define IMPATIENT(fn) cmocka_unit_test_setup_teardown(fn, setup_impatient, teardown)
    const struct CMUnitTest tests[] = {
        TEST(answers),
        TEST(answers_head_without_body),
        TEST(keeps_http10_apart),
        TEST(takes_bytes_one_by_one),
        TEST(keeps_pipeline_order),
        TEST(holds_back_who_does_not_read),
        TEST(sends_files),
        TEST(limits_bodies),
        TEST(refuses_while_the_body_comes),
        TEST(continues_on_expect),
        TEST(refuses_and_closes),
        TEST(refuses_big_heads),
        TEST(drops_stale_tickets),
        TEST(tells_of_aborts),
        TEST(bodies_in_parts),
        TEST(parts_end_early),
        TEST(answers_the_half_closed),
        IMPATIENT(times_out_slow_heads),
        IMPATIENT(times_out_slow_bodies),
        IMPATIENT(times_out_who_does_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
