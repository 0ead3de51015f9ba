/*
 * ws_autobahn: the cases of the Autobahn test suite, by their numbers, against an echo server over
 * loopback. A case sends frames (whole, or cut into small packets) and says what must come back:
 * echoes and pongs in order, then perhaps a close with a code. Class 9 is reduced to sizes a unit
 * test can bear; 12 and 13 (compression) run every size with and without compressible text.
 */
#include "net_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "net/ws_internal.h"

#define MESSAGE_MAX (2 * 1024 * 1024)

static struct fixture f;
static char *filler; /* printable, MESSAGE_MAX long */

static void on_message(void *arg, struct ws *ws, enum ws_opcode opcode, struct str payload)
{
    struct ws_frame *frame = ws_frame_create(opcode, payload);
    ws_send_frame(ws, frame, 0);
    ws_frame_unref(&frame);
}

static void on_close(void *arg, struct ws *ws, unsigned code, struct str reason)
{
}

static const struct ws_handler echo = {.on_message = on_message, .on_close = on_close};
static const struct ws_limits limits = {.message_max_bytes = MESSAGE_MAX,
                                        .queue_hard_bytes = 16 * MESSAGE_MAX};

static void on_request(void *arg, struct http_request *req)
{
    struct ws *ws;
    assert_int_equal(ws_accept(req, &(struct ws_options){.handler = &echo, .limits = &limits}, &ws),
                     ERR_OK);
}

static int setup(void **state)
{
    filler = malloc(MESSAGE_MAX);
    for (size_t i = 0; i < MESSAGE_MAX; i++)
        filler[i] = (char)('*' + i % 80);
    fixture_start(&f, (struct net_server_options){.http = {.on_request = on_request}});
    return 0;
}

static int teardown(void **state)
{
    fixture_stop(&f);
    free(filler);
    return 0;
}

/* A case under way. */
struct run {
    const char *number;
    struct client c;
    struct strbuf out; /* frames to send */
    size_t chop;       /* 0: at once */
};

static struct run start(const char *number, size_t chop)
{
    struct run r = {.number = number, .chop = chop};
    client_connect(&r.c, &f);
    client_ws_open(&r.c, "/", "");
    return r;
}

static void add(struct run *r, unsigned opcode, struct str payload, unsigned flags)
{
    client_ws_encode(&r->out, opcode, payload, flags);
}

static void flush(struct run *r)
{
    if (r->chop)
        client_send_in_steps(&r->c, strbuf_str(&r->out), r->chop);
    else
        client_send(&r->c, strbuf_str(&r->out));
    strbuf_clear(&r->out);
}

static void expect(struct run *r, unsigned opcode, struct str payload)
{
    struct client_ws_frame frame = client_ws_read(&r->c);
    if (!frame.is_there || frame.opcode != opcode || !str_eq(frame.payload, payload))
        fail_msg("%s: wanted opcode %u with %zu bytes, got %s %u with %zu", r->number, opcode,
                 payload.n, frame.is_there ? "opcode" : "the end, not", frame.opcode,
                 frame.payload.n);
}

static void end(struct run *r)
{
    if (!client_is_closed(&r->c))
        fail_msg("%s: the server did not close", r->number);
    client_close(&r->c);
    strbuf_deinit(&r->out);
}

static void expect_close(struct run *r, unsigned code)
{
    unsigned got = client_ws_read_close(&r->c);
    if (got != code)
        fail_msg("%s: closed with %u instead of %u", r->number, got, code);
    end(r);
}

/* The good end: we close, it answers in kind. */
static void finish(struct run *r)
{
    client_ws_send(&r->c, WS_WIRE_CLOSE, STR("\x03\xe8"), 0);
    expect_close(r, 1000);
}

static struct str fill(size_t n)
{
    return (struct str){filler, n};
}

static void echoes(const char *number, unsigned opcode, size_t n, size_t chop)
{
    struct run r = start(number, chop);
    add(&r, opcode, fill(n), 0);
    flush(&r);
    expect(&r, opcode, fill(n));
    finish(&r);
}

static void class_1_framing(void **state)
{
    static const size_t sizes[] = {0, 125, 126, 127, 128, 65535, 65536};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char number[16];
        snprintf(number, sizeof(number), "1.1.%zu", i + 1);
        echoes(number, WS_TEXT, sizes[i], 0);
        snprintf(number, sizeof(number), "1.2.%zu", i + 1);
        echoes(number, WS_BINARY, sizes[i], 0);
    }
    echoes("1.1.8", WS_TEXT, 65536, 997);
    echoes("1.2.8", WS_BINARY, 65536, 997);
}

static void ping(const char *number, struct str payload, size_t chop)
{
    struct run r = start(number, chop);
    add(&r, WS_WIRE_PING, payload, 0);
    flush(&r);
    expect(&r, WS_WIRE_PONG, payload);
    finish(&r);
}

static void class_2_pings(void **state)
{
    ping("2.1", STR(""), 0);
    ping("2.2", STR("Hello, world!"), 0);
    ping("2.3", STR("\x00\xff\xfe\xfd\xfc\xfb\x00\xff"), 0);
    ping("2.4", fill(125), 0);
    struct run r = start("2.5", 0);
    add(&r, WS_WIRE_PING, fill(126), 0);
    flush(&r);
    expect_close(&r, 1002);
    ping("2.6", fill(125), 1);

    r = start("2.7", 0); /* unsolicited pongs are ignored */
    add(&r, WS_WIRE_PONG, STR(""), 0);
    flush(&r);
    finish(&r);
    r = start("2.8", 0);
    add(&r, WS_WIRE_PONG, STR("unsolicited pong payload"), 0);
    flush(&r);
    finish(&r);
    r = start("2.9", 0);
    add(&r, WS_WIRE_PONG, STR("unsolicited pong payload"), 0);
    add(&r, WS_WIRE_PING, STR("ping payload"), 0);
    flush(&r);
    expect(&r, WS_WIRE_PONG, STR("ping payload"));
    finish(&r);
    for (size_t chop = 0; chop < 2; chop++) {
        r = start(chop ? "2.11" : "2.10", chop);
        for (size_t i = 0; i < 10; i++)
            add(&r, WS_WIRE_PING, fill(i + 1), 0);
        flush(&r);
        for (size_t i = 0; i < 10; i++)
            expect(&r, WS_WIRE_PONG, fill(i + 1));
        finish(&r);
    }
}

static void class_3_reserved_bits(void **state)
{
    static const unsigned bits[] = {
        CLIENT_WS_RSV1,
        CLIENT_WS_RSV2,
        CLIENT_WS_RSV1 | CLIENT_WS_RSV2,
        CLIENT_WS_RSV3,
        CLIENT_WS_RSV3 | CLIENT_WS_RSV1,
        CLIENT_WS_RSV3 | CLIENT_WS_RSV2,
        CLIENT_WS_RSV1 | CLIENT_WS_RSV2 | CLIENT_WS_RSV3,
    };
    for (size_t i = 0; i < ARRAY_LEN(bits); i++) {
        char number[16];
        snprintf(number, sizeof(number), "3.%zu", i + 1);
        /* 3.1 alone; 3.2 to 3.5 after a good message; 3.5 to 3.7 on binary and control frames */
        struct run r = start(number, i == 2 ? 1 : 0);
        add(&r, WS_TEXT, STR("Hello, world!"), 0);
        add(&r,
            i == 4   ? WS_BINARY
            : i == 5 ? WS_WIRE_PING
            : i == 6 ? WS_WIRE_CLOSE
                     : WS_TEXT,
            STR("\x03\xe8"), bits[i]);
        add(&r, WS_WIRE_PING, STR("too late"), 0);
        flush(&r);
        expect(&r, WS_TEXT, STR("Hello, world!"));
        expect_close(&r, 1002);
    }
}

static void class_4_opcodes(void **state)
{
    for (unsigned opcode = 3; opcode < 16; opcode++) {
        if (opcode >= 8 && opcode <= 10)
            continue;
        char number[16];
        snprintf(number, sizeof(number), "4.%d.%u", opcode < 8 ? 1 : 2,
                 opcode < 8 ? opcode - 2 : opcode - 10);
        for (int has_before = 0; has_before < 2; has_before++) {
            struct run r = start(number, 0);
            if (has_before)
                add(&r, WS_TEXT, STR("Hello, world!"), 0);
            add(&r, opcode, has_before ? STR("reserved") : STR(""), 0);
            add(&r, WS_WIRE_PING, STR(""), 0);
            flush(&r);
            if (has_before)
                expect(&r, WS_TEXT, STR("Hello, world!"));
            expect_close(&r, 1002);
        }
    }
}

/* Frames of a fragmented message, as text: "t" text, "b" binary, "c" continuation, "i" ping, "o"
 * pong, capitals are final. Each data frame carries "fragN", each ping "pingN". */
static void fragments(struct run *r, const char *script)
{
    unsigned count = 0;
    for (const char *s = script; *s; s++) {
        bool is_final = *s < 'a';
        char kind = (char)(*s | 0x20);
        unsigned opcode = kind == 't'   ? WS_TEXT
                          : kind == 'b' ? WS_BINARY
                          : kind == 'i' ? WS_WIRE_PING
                          : kind == 'o' ? WS_WIRE_PONG
                                        : WS_WIRE_CONTINUE;
        char payload[16];
        snprintf(payload, sizeof(payload), "%s%u", opcode > 2 ? "ping" : "frag", ++count);
        add(r, opcode, str_from(payload), is_final ? 0 : CLIENT_WS_NOT_FINAL);
    }
    flush(r);
}

static void class_5_fragmentation(void **state)
{
    static const struct {
        const char *number;
        const char *script;
        size_t chop;
        const char *replies[3]; /* "p..." a pong, else text */
        unsigned code;          /* 0: goes on */
    } rows[] = {
        {"5.1", "i", 0, {NULL}, 1002},
        {"5.2", "o", 0, {NULL}, 1002},
        {"5.3", "tC", 14, {"frag1frag2"}, 0},
        {"5.4", "tC", 0, {"frag1frag2"}, 0},
        {"5.5", "tC", 1, {"frag1frag2"}, 0},
        {"5.6", "tIC", 11, {"pping2", "frag1frag3"}, 0},
        {"5.7", "tIC", 0, {"pping2", "frag1frag3"}, 0},
        {"5.8", "tIC", 1, {"pping2", "frag1frag3"}, 0},
        {"5.9", "CT", 11, {NULL}, 1002},
        {"5.10", "CT", 0, {NULL}, 1002},
        {"5.11", "CT", 1, {NULL}, 1002},
        {"5.12", "cT", 11, {NULL}, 1002},
        {"5.13", "cT", 0, {NULL}, 1002},
        {"5.14", "cT", 1, {NULL}, 1002},
        {"5.15", "tCcT", 0, {"frag1frag2"}, 1002},
        {"5.16", "ctCctC", 0, {NULL}, 1002},
        {"5.17", "CtCCtC", 0, {NULL}, 1002},
        {"5.18", "tT", 0, {NULL}, 1002},
        {"5.19", "tcIcIC", 0, {"pping3", "pping5", "frag1frag2frag4frag6"}, 0},
        {"5.20", "tcIcIC", 11, {"pping3", "pping5", "frag1frag2frag4frag6"}, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct run r = start(rows[i].number, rows[i].chop);
        fragments(&r, rows[i].script);
        for (size_t k = 0; k < 3 && rows[i].replies[k]; k++) {
            const char *reply = rows[i].replies[k];
            bool is_pong = reply[0] == 'p';
            expect(&r, is_pong ? WS_WIRE_PONG : WS_TEXT, str_from(reply + is_pong));
        }
        if (rows[i].code)
            expect_close(&r, rows[i].code);
        else
            finish(&r);
    }
}

/* Sends text whole, in fragments at every place, and byte by byte. */
static void utf8(const char *number, struct str text, bool is_good)
{
    for (size_t cut = 0; cut <= text.n; cut++) {
        struct run r = start(number, cut == text.n ? 1 : 0);
        if (cut > 0 && cut < text.n) {
            add(&r, WS_TEXT, str_sub(text, 0, cut), CLIENT_WS_NOT_FINAL);
            add(&r, WS_WIRE_CONTINUE, str_sub(text, cut, SIZE_MAX), 0);
        } else {
            add(&r, WS_TEXT, text, 0);
        }
        flush(&r);
        if (is_good) {
            expect(&r, WS_TEXT, text);
            finish(&r);
        } else {
            expect_close(&r, 1007);
        }
    }
}

static void class_6_utf8(void **state)
{
    struct run r = start("6.1.1", 0);
    add(&r, WS_TEXT, STR(""), 0);
    flush(&r);
    expect(&r, WS_TEXT, STR(""));
    finish(&r);
    r = start("6.1.2", 0);
    add(&r, WS_TEXT, STR(""), CLIENT_WS_NOT_FINAL);
    add(&r, WS_WIRE_CONTINUE, STR(""), CLIENT_WS_NOT_FINAL);
    add(&r, WS_WIRE_CONTINUE, STR(""), 0);
    flush(&r);
    expect(&r, WS_TEXT, STR(""));
    finish(&r);
    r = start("6.1.3", 0);
    add(&r, WS_TEXT, STR(""), CLIENT_WS_NOT_FINAL);
    add(&r, WS_WIRE_CONTINUE, STR("middle"), CLIENT_WS_NOT_FINAL);
    add(&r, WS_WIRE_CONTINUE, STR(""), 0);
    flush(&r);
    expect(&r, WS_TEXT, STR("middle"));
    finish(&r);

    static const struct {
        const char *number;
        struct str text;
        bool is_good;
    } rows[] = {
        {"6.2", STR("Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!"),
         true},
        {"6.3",
         STR("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"
             "edited"),
         false},
        {"6.5", STR("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"), true},
        {"6.6.1", STR("\xce"), false},
        {"6.6.3", STR("\xce\xba\xe1"), false},
        {"6.6.4", STR("\xce\xba\xe1\xbd"), false},
        {"6.6.6", STR("\xce\xba\xe1\xbd\xb9\xcf"), false},
        {"6.7.1", STR("\x00"), true},
        {"6.7.2", STR("\xc2\x80"), true},
        {"6.7.3", STR("\xe0\xa0\x80"), true},
        {"6.7.4", STR("\xf0\x90\x80\x80"), true},
        {"6.8.1", STR("\xf8\x88\x80\x80\x80"), false},
        {"6.8.2", STR("\xfc\x84\x80\x80\x80\x80"), false},
        {"6.9.1", STR("\x7f"), true},
        {"6.9.2", STR("\xdf\xbf"), true},
        {"6.9.3", STR("\xef\xbf\xbf"), true},
        {"6.9.4", STR("\xf4\x8f\xbf\xbf"), true},
        {"6.10.1", STR("\xf7\xbf\xbf\xbf"), false},
        {"6.10.2", STR("\xfb\xbf\xbf\xbf\xbf"), false},
        {"6.10.3", STR("\xfd\xbf\xbf\xbf\xbf\xbf"), false},
        {"6.11.1", STR("\xed\x9f\xbf"), true},
        {"6.11.2", STR("\xee\x80\x80"), true},
        {"6.11.3", STR("\xef\xbf\xbd"), true},
        {"6.11.4", STR("\xf4\x8f\xbf\xbf"), true},
        {"6.11.5", STR("\xf4\x90\x80\x80"), false},
        {"6.12.1", STR("\x80"), false},
        {"6.12.2", STR("\xbf"), false},
        {"6.12.8", STR("\x80\xbf\x80\xbf\x80\xbf\xbe"), false},
        {"6.13.1", STR("\xc0 \xc1 \xc2 \xc3 \xde \xdf "), false},
        {"6.13.2", STR("\xe0 \xe1 \xee \xef "), false},
        {"6.13.3", STR("\xf0 \xf1 \xf6 \xf7 "), false},
        {"6.13.4", STR("\xf8 \xf9 \xfa \xfb "), false},
        {"6.13.5", STR("\xfc \xfd "), false},
        {"6.14.1", STR("\xc0"), false},
        {"6.14.2", STR("\xe0\x80"), false},
        {"6.14.3", STR("\xf0\x80\x80"), false},
        {"6.14.6", STR("\xdf"), false},
        {"6.14.7", STR("\xef\xbf"), false},
        {"6.14.8", STR("\xf7\xbf\xbf"), false},
        {"6.15.1", STR("\xc0\xe0\x80\xf0\x80\x80\xdf\xef\xbf"), false},
        {"6.16.1", STR("\xfe"), false},
        {"6.16.2", STR("\xff"), false},
        {"6.16.3", STR("\xfe\xfe\xff\xff"), false},
        {"6.17.1", STR("\xc0\xaf"), false},
        {"6.17.2", STR("\xe0\x80\xaf"), false},
        {"6.17.3", STR("\xf0\x80\x80\xaf"), false},
        {"6.18.1", STR("\xc1\xbf"), false},
        {"6.18.2", STR("\xe0\x9f\xbf"), false},
        {"6.18.3", STR("\xf0\x8f\xbf\xbf"), false},
        {"6.19.1", STR("\xc0\x80"), false},
        {"6.19.2", STR("\xe0\x80\x80"), false},
        {"6.19.3", STR("\xf0\x80\x80\x80"), false},
        {"6.20.1", STR("\xed\xa0\x80"), false},
        {"6.20.2", STR("\xed\xad\xbf"), false},
        {"6.20.7", STR("\xed\xbf\xbf"), false},
        {"6.21.1", STR("\xed\xa0\x80\xed\xb0\x80"), false},
        {"6.21.8", STR("\xed\xaf\xbf\xed\xbf\xbf"), false},
        {"6.22.1", STR("\xef\xbf\xbe"), true},
        {"6.22.3", STR("\xf0\x9f\xbf\xbe"), true},
        {"6.22.34", STR("\xf4\x8f\xbf\xbf"), true},
        {"6.23.1", STR("\xef\xbf\xb9"), true},
        {"6.23.7", STR("\xef\xbf\xbf"), true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        utf8(rows[i].number, rows[i].text, rows[i].is_good);
}

/* 6.4: invalid text is refused when it is seen, not when the message ends. */
static void class_6_fails_fast(void **state)
{
    struct run r = start("6.4.1", 0);
    add(&r, WS_TEXT, STR("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"), CLIENT_WS_NOT_FINAL);
    add(&r, WS_WIRE_CONTINUE, STR("\xf4\x90\x80\x80"), CLIENT_WS_NOT_FINAL);
    flush(&r);
    expect_close(&r, 1007);
    r = start("6.4.2", 0);
    add(&r, WS_TEXT, STR("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4"), CLIENT_WS_NOT_FINAL);
    add(&r, WS_WIRE_CONTINUE, STR("\x90"), CLIENT_WS_NOT_FINAL);
    flush(&r);
    expect_close(&r, 1007);
    r = start("6.4.3", 0); /* within one frame of which more is announced */
    add(&r, WS_TEXT, STR("\xce\xba\xf4\x90\x80\x80 and more"), 0);
    r.out.n -= 9;
    flush(&r);
    expect_close(&r, 1007);
    r = start("6.4.4", 1);
    add(&r, WS_TEXT, STR("\xce\xba\xf4\x90\x80\x80 and more"), 0);
    r.out.n -= 11;
    flush(&r);
    expect_close(&r, 1007);
}

static void close_payload(const char *number, struct str payload, unsigned code)
{
    struct run r = start(number, 0);
    add(&r, WS_WIRE_CLOSE, payload, 0);
    flush(&r);
    expect_close(&r, code);
}

static void close_code(const char *number, unsigned sent, unsigned code)
{
    char payload[2] = {(char)(sent >> 8), (char)sent};
    close_payload(number, (struct str){payload, 2}, code);
}

static void class_7_close(void **state)
{
    struct run r = start("7.1.1", 0);
    add(&r, WS_TEXT, STR("Hello World!"), 0);
    flush(&r);
    expect(&r, WS_TEXT, STR("Hello World!"));
    finish(&r);
    /* nothing after a close is answered: another close, a ping, text, the rest of a message */
    static const unsigned after[] = {WS_WIRE_CLOSE, WS_WIRE_PING, WS_TEXT, WS_WIRE_CONTINUE};
    for (size_t i = 0; i < ARRAY_LEN(after); i++) {
        char number[16];
        snprintf(number, sizeof(number), "7.1.%zu", i + 2);
        r = start(number, 0);
        if (after[i] == WS_WIRE_CONTINUE)
            add(&r, WS_TEXT, STR("fragment1"), CLIENT_WS_NOT_FINAL);
        add(&r, WS_WIRE_CLOSE, STR("\x03\xe8"), 0);
        add(&r, after[i], STR(""), 0);
        flush(&r);
        expect_close(&r, 1000);
    }
    r = start("7.1.6", 0); /* much text, close, ping */
    add(&r, WS_TEXT, fill(256 * 1024), 0);
    add(&r, WS_TEXT, STR("Hello World!"), 0);
    add(&r, WS_WIRE_CLOSE, STR("\x03\xe8"), 0);
    add(&r, WS_WIRE_PING, STR(""), 0);
    flush(&r);
    expect(&r, WS_TEXT, fill(256 * 1024));
    expect(&r, WS_TEXT, STR("Hello World!"));
    expect_close(&r, 1000);

    close_payload("7.3.1", STR(""), WS_CLOSE_NO_STATUS);
    close_payload("7.3.2", STR("a"), 1002);
    close_payload("7.3.3", STR("\x03\xe8"), 1000);
    close_payload("7.3.4", STR("\x03\xe8Hello World!"), 1000);
    char longest[126] = "\x03\xe8";
    memset(longest + 2, '*', 124);
    close_payload("7.3.5", (struct str){longest, 125}, 1000);
    close_payload("7.3.6", (struct str){longest, 126}, 1002);
    close_payload("7.5.1",
                  STR("\x03\xe8\xce\xba\xe1\xbd\xb9\xed\xa0\x80"
                      "edited"),
                  1007);

    static const unsigned good[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009,
                                    1010, 1011, 3000, 3999, 4000, 4999};
    static const unsigned bad[] = {0,    999,  1004, 1005, 1006, 1015,
                                   1016, 1100, 2000, 2999, 5000, 65535};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        close_code("7.7", good[i], good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        close_code(bad[i] < 5000 ? "7.9" : "7.13", bad[i], 1002);
}

static void fragmented_echo(const char *number, unsigned opcode, size_t n, size_t fragment)
{
    struct run r = start(number, 0);
    for (size_t at = 0; at < n; at += fragment)
        add(&r, at ? WS_WIRE_CONTINUE : opcode, str_sub(fill(n), at, fragment),
            at + fragment < n ? CLIENT_WS_NOT_FINAL : 0);
    flush(&r);
    expect(&r, opcode, fill(n));
    finish(&r);
}

static void class_9_limits_reduced(void **state)
{
    static const size_t sizes[] = {65536, 256 * 1024, 1024 * 1024};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        echoes("9.1", WS_TEXT, sizes[i], 0);
        echoes("9.2", WS_BINARY, sizes[i], 0);
    }
    for (size_t fragment = 64; fragment <= 64 * 1024; fragment *= 4) {
        fragmented_echo("9.3", WS_TEXT, 256 * 1024, fragment);
        fragmented_echo("9.4", WS_BINARY, 256 * 1024, fragment);
    }
    for (size_t chop = 128; chop <= 2048; chop *= 2) {
        echoes("9.5", WS_TEXT, 128 * 1024, chop);
        echoes("9.6", WS_BINARY, 128 * 1024, chop);
    }
    for (size_t n = 0; n <= 1024; n = n ? n * 4 : 16) {
        struct run r = start("9.7", 0);
        for (int i = 0; i < 200; i++)
            add(&r, i & 1 ? WS_BINARY : WS_TEXT, fill(n), 0);
        flush(&r);
        for (int i = 0; i < 200; i++)
            expect(&r, i & 1 ? WS_BINARY : WS_TEXT, fill(n));
        finish(&r);
    }
}

static void class_10_autofragment(void **state)
{
    fragmented_echo("10.1.1", WS_TEXT, 65536, 1300);
}

/* Echoes of compressed messages; the client has zlib streams of its own. */
static void deflated_echo(const char *number, const char *offer, struct str text, int count,
                          size_t fragment)
{
    struct run r = {.number = number};
    struct ws_shard *zlib = ws_shard_create();
    client_connect(&r.c, &f);
    client_ws_open(&r.c, "/", offer);
    for (int i = 0; i < count; i++) {
        struct strbuf packed = {0};
        ws_deflate(zlib, text, &packed);
        size_t step = fragment ? fragment : packed.n;
        for (size_t at = 0; at < packed.n; at += step)
            add(&r, at ? WS_WIRE_CONTINUE : WS_TEXT, str_sub(strbuf_str(&packed), at, step),
                (at ? 0 : CLIENT_WS_RSV1) | (at + step < packed.n ? CLIENT_WS_NOT_FINAL : 0));
        flush(&r);
        struct client_ws_frame frame = client_ws_read(&r.c);
        struct strbuf plain = {0};
        assert_true(frame.is_there && frame.opcode == WS_TEXT);
        if (frame.is_deflated) {
            assert_int_equal(ws_inflate(zlib, frame.payload, text.n, &plain), ERR_OK);
            frame.payload = strbuf_str(&plain);
        }
        if (!str_eq(frame.payload, text))
            fail_msg("%s: a message of %zu bytes came back otherwise", number, text.n);
        strbuf_deinit(&plain);
        strbuf_deinit(&packed);
    }
    finish(&r);
    ws_shard_destroy(&zlib);
}

static void class_12_13_compression(void **state)
{
    static const size_t sizes[] = {1,    16,   64,   127,   128,   129,   256,
                                   1024, 4096, 8192, 16384, 32768, 65536, 131072};
    static const struct {
        const char *number;
        const char *offer;
    } offers[] = {
        {"12", "Sec-WebSocket-Extensions: permessage-deflate\r\n"},
        {"13.1", "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n"},
        {"13.2", "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
                 "client_max_window_bits\r\n"},
        {"13.4", "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=15\r\n"},
        {"13.7", "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9, "
                 "permessage-deflate\r\n"},
    };
    char *noise = malloc(131072);
    uint32_t seed = 1;
    for (size_t i = 0; i < 131072; i++) {
        seed = seed * 1664525 + 1013904223;
        noise[i] = (char)(' ' + (seed >> 24) % 95); /* hardly compressible */
    }
    for (size_t o = 0; o < ARRAY_LEN(offers); o++) {
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            deflated_echo(offers[o].number, offers[o].offer, fill(sizes[i]), 3, 0);
            deflated_echo(offers[o].number, offers[o].offer, (struct str){noise, sizes[i]}, 2, 0);
        }
    }
    for (size_t fragment = 1; fragment <= 4096; fragment *= 8)
        deflated_echo("12.2", offers[0].offer, (struct str){noise, 32768}, 1, fragment);
    deflated_echo("12.3", offers[0].offer, STR(""), 2, 0);
    free(noise);
}

static void compressed_nonsense(void **state)
{
    static const struct {
        struct str payload;
        unsigned code;
    } rows[] = {
        {STR("\xff\xff\xff\xff"), 1007},                          /* not deflate */
        {STR("\x00\x05\x00\xfa\xff\xc3\x28\xc3\x28x\x00"), 1007}, /* inflates to no UTF-8 */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct run r = {.number = "12.x"};
        client_connect(&r.c, &f);
        client_ws_open(&r.c, "/", "Sec-WebSocket-Extensions: permessage-deflate\r\n");
        add(&r, WS_TEXT, rows[i].payload, CLIENT_WS_RSV1);
        flush(&r);
        expect_close(&r, rows[i].code);
    }
    /* a bomb: 4 MiB of zeros in a few kB */
    struct run r = {.number = "bomb"};
    struct ws_shard *zlib = ws_shard_create();
    struct strbuf packed = {0};
    char *zeros = calloc(1, 2 * MESSAGE_MAX);
    ws_deflate(zlib, (struct str){zeros, 2 * MESSAGE_MAX}, &packed);
    client_connect(&r.c, &f);
    client_ws_open(&r.c, "/", "Sec-WebSocket-Extensions: permessage-deflate\r\n");
    add(&r, WS_BINARY, strbuf_str(&packed), CLIENT_WS_RSV1);
    flush(&r);
    expect_close(&r, 1009);
    free(zeros);
    strbuf_deinit(&packed);
    ws_shard_destroy(&zlib);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(class_1_framing),         cmocka_unit_test(class_2_pings),
        cmocka_unit_test(class_3_reserved_bits),   cmocka_unit_test(class_4_opcodes),
        cmocka_unit_test(class_5_fragmentation),   cmocka_unit_test(class_6_utf8),
        cmocka_unit_test(class_6_fails_fast),      cmocka_unit_test(class_7_close),
        cmocka_unit_test(class_9_limits_reduced),  cmocka_unit_test(class_10_autofragment),
        cmocka_unit_test(class_12_13_compression), cmocka_unit_test(compressed_nonsense),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
