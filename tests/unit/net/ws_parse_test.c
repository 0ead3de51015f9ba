/* ws_parse: framing, masking and UTF-8 as pure functions; what comes out must not depend on how
 * the bytes were cut. */
#include "net_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "net/ws_internal.h"

#define MESSAGE_MAX 1000

/* Parses all of `in` in pieces of `step`, as a stream would offer it, and writes what happens. */
static void trace(struct str in, size_t step, bool is_deflate_allowed, struct strbuf *out)
{
    struct ws_parser p = {.message_max = MESSAGE_MAX, .is_deflate_allowed = is_deflate_allowed};
    struct strbuf kept = {0};
    enum ws_event event = WS_EVENT_NONE;
    for (size_t at = 0; at < in.n && event != WS_EVENT_FAIL; at += step) {
        struct str piece = str_sub(in, at, step);
        strbuf_add(&kept, piece.p, piece.n);
        size_t done = 0;
        do {
            struct ws_parsed parsed = {0};
            size_t used;
            event = ws_parse(&p, (uint8_t *)kept.p + done, kept.n - done, &used, &parsed);
            assert_true(used <= kept.n - done);
            done += used;
            if (event == WS_EVENT_MESSAGE)
                strbuf_printf(out, "%s%s(%.*s) ", parsed.opcode == WS_TEXT ? "text" : "binary",
                              parsed.is_deflated ? "-deflated" : "", STR_FMT(parsed.payload));
            else if (event == WS_EVENT_PING || event == WS_EVENT_PONG)
                strbuf_printf(out, "%s(%.*s) ", event == WS_EVENT_PING ? "ping" : "pong",
                              STR_FMT(parsed.payload));
            else if (event == WS_EVENT_CLOSE)
                strbuf_printf(out, "close(%u %.*s) ", parsed.code, STR_FMT(parsed.payload));
            else if (event == WS_EVENT_FAIL)
                strbuf_printf(out, "fail(%u) ", parsed.code);
            if (event == WS_EVENT_MESSAGE)
                ws_parser_reset(&p);
        } while (event && event != WS_EVENT_FAIL && done < kept.n);
        memmove(kept.p, kept.p + done, kept.n - done);
        kept.n -= done;
    }
    ws_parser_reset(&p);
    strbuf_deinit(&kept);
}

static void is_cut_proof(void **state)
{
    struct strbuf in = {0};
    struct strbuf whole = {0};
    client_ws_encode(&in, WS_TEXT, STR("hello"), 0);
    client_ws_encode(&in, WS_TEXT, STR(""), 0);
    client_ws_encode(&in, WS_WIRE_PING, STR("are you there?"), 0);
    client_ws_encode(&in, WS_BINARY, STR("bin"), CLIENT_WS_NOT_FINAL);
    client_ws_encode(&in, WS_WIRE_PONG, STR(""), 0);
    client_ws_encode(&in, WS_WIRE_CONTINUE, STR(""), CLIENT_WS_NOT_FINAL);
    client_ws_encode(&in, WS_WIRE_CONTINUE, STR("ary"), 0);
    client_ws_encode(&in, WS_TEXT, STR("\xc3"), CLIENT_WS_NOT_FINAL);
    client_ws_encode(&in, WS_WIRE_CONTINUE, STR("\xa4"), 0);
    char long_text[300];
    memset(long_text, 'x', sizeof(long_text));
    client_ws_encode(&in, WS_TEXT, (struct str){long_text, 300}, 0);
    client_ws_encode(&in, WS_WIRE_CLOSE,
                     STR("\x03\xe8"
                         "bye"),
                     0);
    trace(strbuf_str(&in), in.n, false, &whole);
    struct strbuf expected = {0};
    strbuf_printf(&expected,
                  "text(hello) text() ping(are you there?) pong() binary(binary) text(\xc3\xa4) "
                  "text(%.300s) close(1000 bye) ",
                  long_text);
    assert_true(str_eq(strbuf_str(&whole), strbuf_str(&expected)));
    for (size_t step = 1; step < in.n; step++) {
        struct strbuf out = {0};
        trace(strbuf_str(&in), step, false, &out);
        assert_string_equal(out.p, whole.p);
        strbuf_deinit(&out);
    }
    strbuf_deinit(&in);
    strbuf_deinit(&whole);
    strbuf_deinit(&expected);
}

static const struct {
    struct str bytes;
    const char *result;
} frames[] = {
    {{"\x81\x80\0\0\0\0", 6}, "text() "},
    {{"\x81\x00", 2}, "fail(1002) "},                      /* not masked */
    {{"\xa1\x80\0\0\0\0", 6}, "fail(1002) "},              /* RSV2 */
    {{"\x91\x80\0\0\0\0", 6}, "fail(1002) "},              /* RSV3 */
    {{"\xc1\x80\0\0\0\0", 6}, "fail(1002) "},              /* RSV1, not agreed on */
    {{"\x83\x80", 2}, "fail(1002) "},                      /* opcode 3 */
    {{"\x8b\x80", 2}, "fail(1002) "},                      /* opcode 11 */
    {{"\x80\x80", 2}, "fail(1002) "},                      /* continuation of nothing */
    {{"\x09\x80", 2}, "fail(1002) "},                      /* fragmented ping */
    {{"\x89\xfe", 2}, "fail(1002) "},                      /* long ping */
    {{"\x81\xfe\x00\x7d", 4}, "fail(1002) "},              /* 125 in 16 bits */
    {{"\x81\xff\0\0\0\0\0\0\xff\xff", 10}, "fail(1002) "}, /* 65,535 in 64 bits */
    {{"\x81\xff\x80\0\0\0\0\0\0\0", 10}, "fail(1002) "},   /* top bit */
    {{"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 10}, "fail(1009) "},
    {{"\x81\xfe\x03\xe9", 4}, "fail(1009) "},             /* 1,001 bytes: one too many */
    {{"\x01\x81\0\0\0\0a\x01\x81", 9}, "fail(1002) "},    /* a new message inside another */
    {{"\x88\x81\0\0\0\0a", 7}, "fail(1002) "},            /* close of one byte */
    {{"\x88\x82\0\0\0\0\x03\xec", 8}, "fail(1002) "},     /* 1004 */
    {{"\x88\x83\0\0\0\0\x03\xe8\xff", 9}, "fail(1007) "}, /* reason */
    {{"\x88\x80\0\0\0\0", 6}, "close(1005 ) "},
    {{"\x81\x82\0\0\0\0\xc3\x28", 8}, "fail(1007) "},
    {{"\x81\x81\0\0\0\0\xc3", 7}, "fail(1007) "}, /* ends within a character */
    {{"\x82\x81\0\0\0\0\xc3", 7}, "binary(\xc3) "},
    {{"\x01\x84\0\0\0\0\xed\xa0", 8}, "fail(1007) "}, /* seen before the frame is whole */
};

static void judges_frames(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
        for (size_t step = 1; step <= frames[i].bytes.n; step++) {
            struct strbuf out = {0};
            trace(frames[i].bytes, step, false, &out);
            if (!str_eq(strbuf_str(&out), str_from(frames[i].result)))
                fail_msg("row %zu, step %zu: %s instead of %s", i, step, out.p, frames[i].result);
            strbuf_deinit(&out);
        }
    }
}

static void bounds_whole_messages(void **state)
{
    struct strbuf in = {0};
    struct strbuf out = {0};
    char part[400];
    memset(part, 'a', sizeof(part));
    for (int i = 0; i < 3; i++)
        client_ws_encode(&in, i ? WS_WIRE_CONTINUE : WS_TEXT, (struct str){part, 400},
                         i < 2 ? CLIENT_WS_NOT_FINAL : 0);
    trace(strbuf_str(&in), 100, false, &out);
    assert_string_equal(out.p, "fail(1009) ");
    strbuf_deinit(&in);
    strbuf_deinit(&out);
}

static void marks_deflated(void **state)
{
    struct strbuf in = {0};
    struct strbuf out = {0};
    client_ws_encode(&in, WS_TEXT, STR("\xff"), CLIENT_WS_RSV1 | CLIENT_WS_NOT_FINAL);
    client_ws_encode(&in, WS_WIRE_CONTINUE, STR("\xfe"), 0);
    client_ws_encode(&in, WS_TEXT, STR("plain"), 0);
    trace(strbuf_str(&in), 5, true, &out);
    assert_string_equal(out.p, "text-deflated(\xff\xfe) text(plain) ");
    /* RSV1 belongs on the first frame only, and never on control frames */
    strbuf_clear(&in);
    strbuf_clear(&out);
    client_ws_encode(&in, WS_TEXT, STR("a"), CLIENT_WS_RSV1 | CLIENT_WS_NOT_FINAL);
    client_ws_encode(&in, WS_WIRE_CONTINUE, STR("b"), CLIENT_WS_RSV1);
    trace(strbuf_str(&in), 5, true, &out);
    assert_string_equal(out.p, "fail(1002) ");
    strbuf_clear(&in);
    strbuf_clear(&out);
    client_ws_encode(&in, WS_WIRE_PING, STR("a"), CLIENT_WS_RSV1);
    trace(strbuf_str(&in), 5, true, &out);
    assert_string_equal(out.p, "fail(1002) ");
    strbuf_deinit(&in);
    strbuf_deinit(&out);
}

static void unmasks(void **state)
{
    static const uint8_t mask[4] = {1, 2, 4, 8};
    for (size_t n = 0; n < 40; n++) {
        for (unsigned at = 0; at < 4; at++) {
            uint8_t bytes[40] = {0};
            ws_unmask(bytes, n, mask, at);
            for (size_t i = 0; i < sizeof(bytes); i++)
                assert_int_equal(bytes[i], i < n ? mask[(at + i) & 3] : 0);
        }
    }
}

/* Every lead byte with every second byte, and the cuts in between, against core's validator. */
static void agrees_on_utf8(void **state)
{
    for (unsigned a = 1; a < 256; a++) {
        for (unsigned b = 1; b < 256; b++) {
            for (unsigned tail = 0; tail < 3; tail++) {
                uint8_t s[6] = {'x', (uint8_t)a, (uint8_t)b, 0x80, 0xbf, 'y'};
                size_t n = 3 + tail;
                struct ws_utf8 whole = {0};
                struct ws_utf8 cut = {0};
                bool is_good = ws_utf8_feed(&whole, s, n) && ws_utf8_is_complete(&whole);
                bool is_cut_good = ws_utf8_feed(&cut, s, 2) && ws_utf8_feed(&cut, s + 2, n - 2) &&
                                   ws_utf8_is_complete(&cut);
                assert_int_equal(is_good, str_is_utf8((struct str){(char *)s, n}));
                assert_int_equal(is_good, is_cut_good);
            }
        }
    }
    /* The ASCII fast path must not lose a byte at its edges. */
    for (size_t at = 0; at < 40; at++) {
        uint8_t text[40];
        memset(text, 'a', sizeof(text));
        text[at] = 0xff;
        struct ws_utf8 u = {0};
        assert_false(ws_utf8_feed(&u, text, sizeof(text)));
    }
}

static void writes_headers(void **state)
{
    uint8_t h[WS_HEADER_MAX];
    assert_int_equal(ws_header_write(h, WS_TEXT, 125), 2);
    assert_memory_equal(h, "\x81\x7d", 2);
    assert_int_equal(ws_header_write(h, WS_BINARY, 126), 4);
    assert_memory_equal(h, "\x82\x7e\x00\x7e", 4);
    assert_int_equal(ws_header_write(h, WS_TEXT | WS_WIRE_DEFLATED, 65535), 4);
    assert_memory_equal(h, "\xc1\x7e\xff\xff", 4);
    assert_int_equal(ws_header_write(h, WS_TEXT, 65536), 10);
    assert_memory_equal(h, "\x81\x7f\0\0\0\0\0\x01\0\0", 10);
}

static void inflates_within_bounds(void **state)
{
    struct ws_shard *shard = ws_shard_create();
    struct strbuf packed = {0};
    struct strbuf out = {0};
    char *zeros = calloc(1, 1000000);
    ws_deflate(shard, 15, (struct str){zeros, 1000000}, &packed);
    assert_true(packed.n < 2000); /* a bomb of one to a thousand */
    assert_int_equal(ws_inflate(shard, strbuf_str(&packed), 1000000, &out), ERR_OK);
    assert_int_equal(out.n, 1000000);
    strbuf_deinit(&out);
    assert_int_equal(ws_inflate(shard, strbuf_str(&packed), 999999, &out), ERR_RESOURCE_EXHAUSTED);
    assert_true(out.capacity < 2500000);
    strbuf_deinit(&out);
    assert_int_equal(ws_inflate(shard, STR("\xff\xff\xff"), 100, &out), ERR_INVALID_ARGUMENT);
    /* Each message stands alone, whatever came before. */
    for (int i = 0; i < 3; i++) {
        strbuf_clear(&packed);
        strbuf_deinit(&out);
        ws_deflate(shard, 15, STR("hello hello hello"), &packed);
        assert_int_equal(ws_inflate(shard, strbuf_str(&packed), 100, &out), ERR_OK);
        assert_true(str_eq(strbuf_str(&out), STR("hello hello hello")));
    }
    /* The examples of RFC 7692, 7.2.3: plain, stored, with a final block, in two blocks. */
    static const struct str examples[] = {
        {"\xf2\x48\xcd\xc9\xc9\x07\x00", 7},
        {"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11},
        {"\xf3\x48\xcd\xc9\xc9\x07\x00", 7},
        {"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13},
    };
    for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
        strbuf_deinit(&out);
        assert_int_equal(ws_inflate(shard, examples[i], 5, &out), ERR_OK);
        assert_true(str_eq(strbuf_str(&out), STR("Hello")));
    }
    free(zeros);
    strbuf_deinit(&packed);
    strbuf_deinit(&out);
    ws_shard_destroy(&shard);
}

static void negotiates_deflate(void **state)
{
    static const struct {
        const char *offers;
        unsigned window_bits; /* 0: declined */
        bool is_answered;     /* with server_max_window_bits */
    } rows[] = {
        {"permessage-deflate", 15, false},
        {"permessage-deflate; client_max_window_bits", 15, false},
        {"permessage-deflate;client_max_window_bits=8", 15, false},
        {"permessage-deflate; server_no_context_takeover; client_no_context_takeover", 15, false},
        {"permessage-deflate; server_max_window_bits=15", 15, true},
        {"permessage-deflate; server_max_window_bits=\"15\"", 15, true},
        {"permessage-deflate; server_max_window_bits=9", 9, true},
        {"permessage-deflate; server_max_window_bits=10, permessage-deflate", 10, true},
        {"permessage-deflate; server_max_window_bits=8", 0, false},
        {"permessage-deflate; server_max_window_bits=8, permessage-deflate", 15, false},
        {"permessage-deflate; server_max_window_bits=9; x, permessage-deflate", 15, false},
        {"permessage-deflate; server_max_window_bits=16", 0, false},
        {"permessage-deflate; server_max_window_bits=7", 0, false},
        {"permessage-deflate; server_max_window_bits=09", 0, false},
        {"permessage-deflate; server_max_window_bits=-9", 0, false},
        {"permessage-deflate; server_max_window_bits=", 0, false},
        {"permessage-deflate; server_max_window_bits", 0, false},
        {"permessage-deflate; client_max_window_bits=16", 0, false},
        {"permessage-deflate; client_max_window_bits=08", 0, false},
        {"permessage-deflate; client_max_window_bits=", 0, false},
        {"permessage-deflate; client_no_context_takeover=1", 0, false},
        {"permessage-deflate; server_no_context_takeover; server_no_context_takeover", 0, false},
        {"permessage-deflate; unknown", 0, false},
        {"x-webkit-deflate-frame", 0, false},
        {"x-webkit-deflate-frame, permessage-deflate", 15, false},
        {"", 0, false},
        {";;,,;", 0, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ws_agreement a = {0};
        bool is_found = ws_deflate_negotiate(str_from(rows[i].offers), &a);
        if (a.window_bits != rows[i].window_bits || is_found != (rows[i].window_bits != 0))
            fail_msg("%s: %u", rows[i].offers, a.window_bits);
        if (is_found)
            assert_int_equal(a.is_window_bits_asked, rows[i].is_answered);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_cut_proof),
        cmocka_unit_test(judges_frames),
        cmocka_unit_test(bounds_whole_messages),
        cmocka_unit_test(marks_deflated),
        cmocka_unit_test(unmasks),
        cmocka_unit_test(agrees_on_utf8),
        cmocka_unit_test(writes_headers),
        cmocka_unit_test(inflates_within_bounds),
        cmocka_unit_test(negotiates_deflate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
