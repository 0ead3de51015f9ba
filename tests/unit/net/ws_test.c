/*
 * ws: the life of sockets on real loops: handshake, authentication, slow receivers, pings, closing
 * from either side, fan-out over loops. The server understands a few texts: "close", "echo ...",
 * "sign in", "flood" (400 kB in frames of 1 kB), "ephemeral" (the same, droppable), "skippable"
 * (the same, to be fetched), "count" (handler calls so far).
 */
#include "net_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "net/ws_internal.h"

static struct fixture f;
static atomic_int closed_count;
static atomic_uint closed_code;
static atomic_int refused_count; /* sends that ws_send_frame refused */

struct audience {
    struct net_ticket tickets[64];
    atomic_int count;
};
static struct audience audience;

static void flood(struct ws *ws, unsigned flags)
{
    char kilobyte[1000];
    memset(kilobyte, 'f', sizeof(kilobyte));
    struct ws_frame *frame = ws_frame_create(WS_TEXT, (struct str){kilobyte, sizeof(kilobyte)});
    for (int i = 0; i < 20000; i++)
        if (ws_send_frame(ws, frame, flags) != ERR_OK)
            atomic_fetch_add(&refused_count, 1);
    ws_frame_unref(&frame);
}

static void on_message(void *arg, struct ws *ws, enum ws_opcode opcode, struct str text)
{
    assert_ptr_equal(arg, &audience);
    assert_true(loop_is_current(ws_loop(ws)));
    if (str_eq(text, STR("close"))) {
        ws_close(ws, 4001, "as you wish");
        assert_int_equal(ws_send_text(ws, STR("too late")), ERR_UNAVAILABLE);
        ws_close(ws, 4002, "twice");
    } else if (str_starts(text, STR("echo "))) {
        ws_send_text(ws, str_sub(text, 5, SIZE_MAX));
    } else if (str_eq(text, STR("sign in"))) {
        ws_set_authenticated(ws);
        ws_send_text(ws, STR("welcome"));
    } else if (str_eq(text, STR("flood"))) {
        flood(ws, 0);
    } else if (str_eq(text, STR("ephemeral"))) {
        flood(ws, WS_SEND_EPHEMERAL);
        ws_send_text(ws, STR("the end"));
    } else if (str_eq(text, STR("skippable"))) {
        flood(ws, WS_SEND_SKIPPABLE);
    } else if (str_eq(text, STR("protocol"))) {
        ws_send_text(ws, str_from(ws_subprotocol(ws)));
    }
}

static void on_close(void *arg, struct ws *ws, unsigned code, struct str reason)
{
    assert_int_equal(ws_send_text(ws, STR("too late")), ERR_UNAVAILABLE);
    atomic_store(&closed_code, code);
    atomic_fetch_add(&closed_count, 1);
}

static void on_caught_up(void *arg, struct ws *ws)
{
    ws_send_text(ws, STR("caught up"));
}

static const struct ws_handler handler = {
    .on_message = on_message, .on_close = on_close, .on_caught_up = on_caught_up};
static const char *const subprotocols[] = {"chat.v2", "chat.v1", NULL};

static bool is_origin_allowed(void *arg, struct str origin, const struct http_request *req)
{
    return str_eq(origin, STR("https://friend.example"));
}

static struct ws_limits limits;

static void accept_socket(struct http_request *req, unsigned flags)
{
    struct ws *ws;
    struct ws_options opt = {.handler = &handler,
                             .arg = &audience,
                             .limits = &limits,
                             .subprotocols = subprotocols,
                             .flags = flags};
    if (str_eq(req->path, STR("/friends")))
        opt.is_origin_allowed = is_origin_allowed;
    if (ws_accept(req, &opt, &ws) == ERR_OK)
        audience.tickets[atomic_fetch_add(&audience.count, 1) & 63] = ws_ticket(ws);
}

struct later {
    struct loop_timer timer;
    struct net_ticket ticket;
};

static void accept_later(void *arg)
{
    struct later *later = arg;
    struct http_request *req = http_ticket_find(later->ticket);
    if (req)
        accept_socket(req, 0);
    free(later);
}

static void on_request(void *arg, struct http_request *req)
{
    if (str_eq(req->path, STR("/later"))) {
        struct later *later = mem_new(struct later);
        later->ticket = http_request_ticket(req);
        loop_timer_start(req->loop, &later->timer, 20, accept_later, later);
        return;
    }
    accept_socket(req, str_eq(req->path, STR("/private")) ? WS_ACCEPT_UNAUTHENTICATED : 0);
}

static int setup(void **state)
{
    limits = (struct ws_limits){.message_max_bytes = 100000, .unauthenticated_max_bytes = 100};
    atomic_store(&closed_count, 0);
    atomic_store(&refused_count, 0);
    atomic_store(&audience.count, 0);
    fixture_start(&f, (struct net_server_options){.http = {.on_request = on_request}});
    return 0;
}

static int teardown(void **state)
{
    fixture_stop(&f);
    return 0;
}

static void wait_closed(int count)
{
    for (int i = 0; i < 5000 && atomic_load(&closed_count) < count; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&closed_count), count);
}

static void expect_text(struct client *c, const char *text)
{
    struct client_ws_frame frame = client_ws_read(c);
    assert_true(frame.is_there);
    assert_int_equal(frame.opcode, WS_TEXT);
    assert_true(str_eq(frame.payload, str_from(text)));
}

static void send_text(struct client *c, const char *text)
{
    client_ws_send(c, WS_TEXT, str_from(text), 0);
}

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"

static void refuses_bad_handshakes(void **state)
{
    static const struct {
        const char *text;
        int status;
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 426},
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n" VERSION KEY "\r\n", 426},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n" VERSION KEY "\r\n", 426},
        {"GET / HTTP/1.1\r\nHost: a\r\n" UPGRADE KEY "\r\n", 426},
        {"GET / HTTP/1.1\r\nHost: a\r\n" UPGRADE "Sec-WebSocket-Version: 8\r\n" KEY "\r\n", 426},
        {"POST / HTTP/1.1\r\nHost: a\r\n" UPGRADE VERSION KEY "\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n" UPGRADE VERSION KEY "\r\nx", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\n" UPGRADE VERSION "\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\n" UPGRADE VERSION "Sec-WebSocket-Key: abc\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\n" UPGRADE VERSION KEY KEY "\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\n" UPGRADE VERSION KEY "Origin: https://b\r\n\r\n", 403},
        {"GET / HTTP/1.1\r\nHost: a\r\n" UPGRADE VERSION KEY "Origin: null\r\n\r\n", 403},
        {"GET / HTTP/1.1\r\nHost: a\r\n" UPGRADE VERSION KEY "Origin: http://a.b\r\n\r\n", 403},
        {"GET /friends HTTP/1.1\r\nHost: a\r\n" UPGRADE VERSION KEY "Origin: https://a\r\n\r\n",
         403},
        {"GET / HTTP/1.1\r\nHost: a\r\n" UPGRADE VERSION KEY "Origin: https://A\r\n\r\n", 101},
        {"GET / HTTP/1.1\r\nHost: a\r\n" UPGRADE VERSION KEY "\r\n", 101},
        {"GET /friends HTTP/1.1\r\nHost: a\r\n" UPGRADE VERSION KEY
         "Origin: https://friend.example\r\n\r\n",
         101},
        {"GET / HTTP/1.1\r\nHost: a\r\nupgrade: WebSocket\r\n"
         "connection: keep-alive, UPGRADE\r\n" VERSION KEY "\r\n",
         101},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct client c;
        client_connect(&c, &f);
        client_sends(&c, rows[i].text);
        struct client_response r = client_read_response(&c, rows[i].status == 101);
        if (r.status != rows[i].status)
            fail_msg("%d for %s", r.status, rows[i].text);
        client_close(&c);
    }
}

static void agrees_on_subprotocols(void **state)
{
    static const struct {
        const char *header;
        const char *chosen;
    } rows[] = {
        {"", ""},
        {"Sec-WebSocket-Protocol: chat.v1\r\n", "chat.v1"},
        {"Sec-WebSocket-Protocol: chat.v1, chat.v2\r\n", "chat.v2"},
        {"Sec-WebSocket-Protocol: chat.v1\r\nSec-WebSocket-Protocol: chat.v2\r\n", "chat.v2"},
        {"Sec-WebSocket-Protocol: other\r\n", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct client c;
        client_connect(&c, &f);
        client_ws_open(&c, "/", rows[i].header);
        send_text(&c, "protocol");
        expect_text(&c, rows[i].chosen);
        client_close(&c);
    }
}

/* Handshake, messages and close in one packet, and byte by byte. */
static void takes_what_follows_at_once(void **state)
{
    struct strbuf b = {0};
    strbuf_adds(&b, "GET / HTTP/1.1\r\nHost: a\r\n" UPGRADE VERSION KEY "\r\n");
    client_ws_encode(&b, WS_TEXT, STR("echo one"), 0);
    client_ws_encode(&b, WS_TEXT, STR("echo two"), 0);
    client_ws_encode(&b, WS_WIRE_CLOSE, STR("\x0f\xa0"), 0);
    for (size_t step = 1; step <= b.n; step = step == 1 ? 7 : b.n + (step == b.n)) {
        struct client c;
        client_connect(&c, &f);
        client_send_in_steps(&c, strbuf_str(&b), step);
        assert_int_equal(client_read_response(&c, true).status, 101);
        expect_text(&c, "one");
        expect_text(&c, "two");
        assert_int_equal(client_ws_read_close(&c), 4000);
        assert_true(client_is_closed(&c));
        client_close(&c);
    }
    wait_closed(3);
    assert_int_equal(atomic_load(&closed_code), 4000);
    strbuf_deinit(&b);
}

static void accepts_later(void **state)
{
    struct client c;
    struct strbuf b = {0};
    client_connect(&c, &f);
    strbuf_adds(&b, "GET /later HTTP/1.1\r\nHost: a\r\n" UPGRADE VERSION KEY "\r\n");
    client_ws_encode(&b, WS_TEXT, STR("echo impatient"), 0);
    client_send(&c, strbuf_str(&b));
    assert_int_equal(client_read_response(&c, true).status, 101);
    expect_text(&c, "impatient");
    send_text(&c, "echo more");
    expect_text(&c, "more");
    client_close(&c);
    strbuf_deinit(&b);
}

static void closes_from_our_side(void **state)
{
    struct client c;
    client_connect(&c, &f);
    client_ws_open(&c, "/", "");
    send_text(&c, "close");
    assert_int_equal(client_ws_read_close(&c), 4001);
    send_text(&c, "echo ignored"); /* no message after a close */
    client_ws_send(&c, WS_WIRE_CLOSE, STR("\x0f\xa1"), 0);
    assert_true(client_is_closed(&c));
    wait_closed(1);
    assert_int_equal(atomic_load(&closed_code), 4001);
    client_close(&c);
}

static void gives_up_on_the_silent(void **state)
{
    limits.close_ms = 100;
    struct client c;
    client_connect(&c, &f);
    client_ws_open(&c, "/", "");
    send_text(&c, "close");
    assert_int_equal(client_ws_read_close(&c), 4001);
    wait_closed(1); /* although the peer never answers */
    client_close(&c);
}

static void tells_of_a_lost_peer(void **state)
{
    struct client c;
    client_connect(&c, &f);
    client_ws_open(&c, "/", "");
    client_close(&c);
    wait_closed(1);
    assert_int_equal(atomic_load(&closed_code), 1006);
    client_connect(&c, &f);
    client_ws_open(&c, "/", "");
    struct linger hard = {1, 0};
    setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    client_close(&c);
    wait_closed(2);
    assert_int_equal(atomic_load(&closed_code), 1006);
}

static void pings_the_quiet(void **state)
{
    limits.ping_ms = 50;
    limits.pong_ms = 100;
    struct client c;
    client_connect(&c, &f);
    client_ws_open(&c, "/", "");
    for (int i = 0; i < 5; i++) { /* who answers lives on */
        struct client_ws_frame frame = client_ws_read(&c);
        assert_int_equal(frame.opcode, WS_WIRE_PING);
        client_ws_send(&c, WS_WIRE_PONG, frame.payload, 0);
    }
    send_text(&c, "echo alive");
    expect_text(&c, "alive");
    wait_closed(1); /* who does not, does not */
    assert_int_equal(atomic_load(&closed_code), 1006);
    client_close(&c);
}

static void bounds_the_unauthenticated(void **state)
{
    limits.authenticate_ms = 150;
    struct client c;
    client_connect(&c, &f);
    client_ws_open(&c, "/private", "");
    send_text(&c, "echo hello"); /* talking does not help */
    expect_text(&c, "hello");
    assert_int_equal(client_ws_read_close(&c), 1008);
    client_close(&c);
    char big[200];
    memset(big, 'b', sizeof(big));
    client_connect(&c, &f);
    client_ws_open(&c, "/private", "");
    client_ws_send(&c, WS_TEXT, (struct str){big, sizeof(big)}, 0);
    assert_int_equal(client_ws_read_close(&c), 1009);
    client_close(&c);
    client_connect(&c, &f);
    client_ws_open(&c, "/private", "");
    send_text(&c, "sign in");
    expect_text(&c, "welcome");
    client_ws_send(&c, WS_TEXT, (struct str){big, sizeof(big)}, 0);
    usleep(200000);
    send_text(&c, "echo still here");
    expect_text(&c, "still here");
    client_close(&c);
}

/* A receiver that does not read: its queue has a hard end, and then a close without waiting. */
static void closes_slow_receivers(void **state)
{
    limits.close_ms = 1000;
    struct client c;
    client_connect(&c, &f);
    client_ws_open(&c, "/", "");
    send_text(&c, "flood"); /* 20 MB at a socket that takes a few */
    for (int i = 0; i < 5000 && atomic_load(&refused_count) <= 1000; i++)
        usleep(1000);
    assert_true(atomic_load(&refused_count) > 1000);
    struct client_ws_frame frame;
    size_t whole = 0;
    while (frame = client_ws_read(&c), frame.is_there && frame.opcode == WS_TEXT) {
        assert_int_equal(frame.payload.n, 1000); /* frames are never torn */
        whole++;
    }
    assert_true(whole > 10);
    assert_int_equal(frame.opcode, WS_WIRE_CLOSE);
    assert_memory_equal(frame.payload.p, "\x03\xf5", 2); /* 1013 */
    client_ws_send(&c, WS_WIRE_CLOSE, STR("\x03\xf5"), 0);
    wait_closed(1);
    assert_int_equal(atomic_load(&closed_code), 1013);
    client_close(&c);
}

/* Asks for 20,000 messages and reads them when some were left out; then comes the last word. */
static void read_late(struct client *c, const char *kind, struct str last)
{
    client_connect(c, &f);
    client_ws_open(c, "/", "");
    send_text(c, kind);
    for (int i = 0; i < 50000 && !atomic_load(&refused_count); i++)
        usleep(1000);
    size_t got = 0;
    struct client_ws_frame frame;
    while (frame = client_ws_read(c), frame.is_there && frame.payload.n == 1000)
        got++;
    assert_true(str_eq(frame.payload, last));
    assert_int_equal(got + (size_t)atomic_load(&refused_count), 20000);
    assert_true(atomic_load(&refused_count) > 1000);
}

static void drops_the_ephemeral(void **state)
{
    struct client c;
    read_late(&c, "ephemeral", STR("the end")); /* what counts came through */
    send_text(&c, "echo alive");
    expect_text(&c, "alive");
    client_close(&c);
}

/* From the first that is left out all are, until the peer has what waited; then it hears of it. */
static void leaves_out_what_can_be_fetched(void **state)
{
    struct client c;
    read_late(&c, "skippable", STR("caught up"));
    send_text(&c, "echo alive"); /* said once, and the socket lives on */
    expect_text(&c, "alive");
    client_close(&c);
}

struct publish {
    struct ws_frame *frame;
    struct net_ticket ticket;
};

static void publish_one(void *arg)
{
    struct publish *p = arg;
    struct ws *ws = ws_ticket_find(p->ticket);
    if (ws)
        ws_send_frame(ws, p->frame, 0);
    ws_frame_unref(&p->frame);
    free(p);
}

static void publish_to(struct net_ticket ticket, struct str text)
{
    struct publish *p = mem_new(struct publish);
    *p = (struct publish){ws_frame_create(WS_TEXT, text), ticket};
    net_ticket_post(ticket, publish_one, p);
}

/* One frame for all receivers on both loops, some compressing and some not. */
static void shares_frames_over_loops(void **state)
{
    enum { RECEIVERS = 16 };
    struct client c[RECEIVERS];
    for (int i = 0; i < RECEIVERS; i++) {
        client_connect(&c[i], &f);
        client_ws_open(&c[i], "/",
                       i % 4 < 2 ? "" : "Sec-WebSocket-Extensions: permessage-deflate\r\n");
    }
    struct ws_shard *zlib = ws_shard_create();
    char text[500];
    for (int round = 0; round < 20; round++) {
        memset(text, 'a' + round, sizeof(text));
        struct ws_frame *frame = ws_frame_create(WS_TEXT, (struct str){text, sizeof(text)});
        for (int i = 0; i < RECEIVERS; i++) {
            struct publish *p = mem_new(struct publish);
            *p = (struct publish){ws_frame_ref(frame), audience.tickets[i]};
            net_ticket_post(p->ticket, publish_one, p);
        }
        ws_frame_unref(&frame);
        for (int i = 0; i < RECEIVERS; i++) {
            struct client_ws_frame got = client_ws_read(&c[i]);
            struct strbuf plain = {0};
            assert_int_equal(got.is_deflated, i % 4 >= 2);
            if (got.is_deflated) {
                assert_true(got.payload.n < 100);
                assert_int_equal(ws_inflate(zlib, got.payload, 1000, &plain), ERR_OK);
                got.payload = strbuf_str(&plain);
            }
            assert_true(str_eq(got.payload, (struct str){text, sizeof(text)}));
            strbuf_deinit(&plain);
        }
    }
    /* A ticket of a socket that is gone finds nothing, also when its slot is used again. */
    client_close(&c[0]);
    wait_closed(1);
    client_connect(&c[0], &f);
    client_ws_open(&c[0], "/", "");
    publish_to(audience.tickets[0], STR("stale"));
    send_text(&c[0], "echo fresh");
    expect_text(&c[0], "fresh");
    for (int i = 0; i < RECEIVERS; i++)
        client_close(&c[i]);
    ws_shard_destroy(&zlib);
}

/* To many at once, single frames in between: everybody has everything in order. Tickets of servers
 * that never were (more than one round takes) and of a socket that is gone do no harm. */
static void multicasts_in_order(void **state)
{
    enum { RECEIVERS = 8, STRANGERS = 40 };
    struct client c[RECEIVERS];
    struct net_ticket tickets[RECEIVERS + STRANGERS + 1];
    for (int i = 0; i < RECEIVERS; i++) {
        client_connect(&c[i], &f);
        client_ws_open(&c[i], "/", "");
    }
    for (int round = 0; round < 50; round++) {
        char text[32];
        size_t count = 0;
        for (int i = 0; i < STRANGERS; i++)
            tickets[count++] = (struct net_ticket){900000 + (uint32_t)i, 0, 1};
        for (int i = 0; i < RECEIVERS; i++)
            tickets[count++] = audience.tickets[i];
        tickets[count] = audience.tickets[0];
        tickets[count++].generation += 1000; /* nobody's */
        snprintf(text, sizeof(text), "all %d", round);
        struct ws_frame *frame = ws_frame_create(WS_TEXT, str_from(text));
        ws_multicast(frame, tickets, count, 0);
        ws_frame_unref(&frame);
        snprintf(text, sizeof(text), "one %d", round);
        publish_to(audience.tickets[round % RECEIVERS], str_from(text));
    }
    for (int i = 0; i < RECEIVERS; i++) {
        for (int round = 0; round < 50; round++) {
            char text[32];
            snprintf(text, sizeof(text), "all %d", round);
            expect_text(&c[i], text);
            snprintf(text, sizeof(text), "one %d", round);
            if (round % RECEIVERS == i)
                expect_text(&c[i], text);
        }
        client_close(&c[i]);
    }
    ws_multicast(NULL, NULL, 0, 0);
}

/* The text of message `number`: of all sizes, and hardly the same twice. */
static struct str numbered(char *text, int number)
{
    size_t n = (size_t)number * 37 % 2500 + 8;
    memset(text, 'a' + number % 26, n);
    memcpy(text,
           (char[8]){'0' + number / 1000 % 10, '0' + number / 100 % 10, '0' + number / 10 % 10,
                     '0' + number % 10, ' ', ' ', ' ', ' '},
           8);
    return (struct str){text, n};
}

static void expect_numbered(struct client *c, struct ws_shard *zlib, int number)
{
    char text[2600];
    struct strbuf plain = {0};
    struct client_ws_frame got = client_ws_read(c);
    assert_true(got.is_there);
    if (got.is_deflated) {
        assert_int_equal(ws_inflate(zlib, got.payload, sizeof(text), &plain), ERR_OK);
        got.payload = strbuf_str(&plain);
    }
    if (!str_eq(got.payload, numbered(text, number)))
        fail_msg("not message %d but %.10s (%zu bytes)", number, got.payload.p, got.payload.n);
    strbuf_deinit(&plain);
}

/* Faster than the loops send, so that many leave together: to plain, deflating and narrow sockets,
 * some of which read only when it is all over and have had their socket full of it. */
static void multicasts_leave_together(void **state)
{
    enum { RECEIVERS = 9, COUNT = 3000 };
    static const char *const offers[] = {
        "", "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n"};
    struct client c[RECEIVERS];
    struct net_ticket tickets[RECEIVERS];
    limits.queue_hard_bytes = 64 << 20;
    for (int i = 0; i < RECEIVERS; i++) {
        client_connect(&c[i], &f);
        client_ws_open(&c[i], "/", offers[i % 3]);
    }
    for (int number = 0; number < COUNT; number++) {
        char text[2600];
        memcpy(tickets, audience.tickets, sizeof(tickets));
        struct ws_frame *frame = ws_frame_create(WS_TEXT, numbered(text, number));
        if (number % 500 == 250) /* singly: in its place among the others all the same */
            for (int i = 0; i < RECEIVERS; i++)
                publish_to(tickets[i], numbered(text, number));
        else
            ws_multicast(frame, tickets, RECEIVERS, 0);
        ws_frame_unref(&frame);
    }
    struct ws_shard *zlib = ws_shard_create();
    for (int i = 0; i < RECEIVERS; i++) {
        for (int number = 0; number < COUNT; number++)
            expect_numbered(&c[i], zlib, number);
        send_text(&c[i], "echo alive");
        expect_text(&c[i], "alive");
        client_close(&c[i]);
    }
    ws_shard_destroy(&zlib);
}

/* The same again where so few sockets are many. */
static void multicasts_in_slices(void **state)
{
    size_t usual = ws_slice_sockets;
    ws_slice_sockets = 3;
    multicasts_in_order(state);
    ws_slice_sockets = usual;
}

static void slices_leave_together(void **state)
{
    size_t usual = ws_slice_sockets;
    ws_slice_sockets = 2;
    multicasts_leave_together(state);
    ws_slice_sockets = usual;
}

static void floods_of_pings_do_not_pile_up(void **state)
{
    struct client c;
    struct strbuf pings = {0};
    client_connect(&c, &f);
    client_ws_open(&c, "/", "");
    char payload[125];
    memset(payload, 'p', sizeof(payload));
    for (int i = 0; i < 1000; i++)
        client_ws_encode(&pings, WS_WIRE_PING, (struct str){payload, sizeof(payload)}, 0);
    for (int i = 0; i < 100; i++) /* 12.5 MB of pings, no pong read */
        client_send(&c, strbuf_str(&pings));
    client_ws_send(&c, WS_TEXT, STR("echo survived"), 0);
    size_t pongs = 0;
    struct client_ws_frame frame;
    while (frame = client_ws_read(&c), frame.is_there && frame.opcode == WS_WIRE_PONG)
        pongs++;
    assert_true(str_eq(frame.payload, STR("survived")));
    assert_true(pongs < 100000);
    strbuf_deinit(&pings);
    client_close(&c);
}

static void *drain(void *arg)
{
    return (void *)net_server_drain(arg, 2000);
}

static void drains_politely(void **state)
{
    struct client c[4];
    for (int i = 0; i < 4; i++) {
        client_connect(&c[i], &f);
        client_ws_open(&c[i], "/", "");
    }
    int64_t start = clock_mono_ms();
    /* It waits for the clients, which are us. */
    pthread_t thread;
    void *left;
    assert_int_equal(pthread_create(&thread, NULL, drain, f.server), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(client_ws_read_close(&c[i]), 1001);
        client_ws_send(&c[i], WS_WIRE_CLOSE, STR("\x03\xe9"), 0);
        assert_true(client_is_closed(&c[i]));
        client_close(&c[i]);
    }
    pthread_join(thread, &left);
    assert_null(left);
    assert_int_equal(net_server_connections(f.server), 0);
    assert_true(clock_mono_ms() - start < 5000);
    wait_closed(4);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(refuses_bad_handshakes),
        TEST(agrees_on_subprotocols),
        TEST(takes_what_follows_at_once),
        TEST(accepts_later),
        TEST(closes_from_our_side),
        TEST(gives_up_on_the_silent),
        TEST(tells_of_a_lost_peer),
        TEST(pings_the_quiet),
        TEST(bounds_the_unauthenticated),
        TEST(closes_slow_receivers),
        TEST(leaves_out_what_can_be_fetched),
        TEST(drops_the_ephemeral),
        TEST(shares_frames_over_loops),
        TEST(multicasts_in_order),
        TEST(multicasts_leave_together),
        TEST(multicasts_in_slices),
        TEST(slices_leave_together),
        TEST(floods_of_pings_do_not_pile_up),
        TEST(drains_politely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
