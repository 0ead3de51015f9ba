/*
 * http_parse: heads and chunked bodies, the request smuggling matrix among them. http-parser is the
 * oracle for what we accept: it is lenient, so it must accept all that too, and see the same.
 */
#include "test.h"

#define http_method oracle_http_method /* http-parser has an enum of that name, too */
#include <http_parser.h>
#undef http_method
#include <stdlib.h>

#include "net/http_parse_internal.h"

struct outcome {
    size_t head_n;
    struct http_fault fault;
    struct http_head head;
};

static struct outcome parse(struct str text)
{
    struct outcome o = {0};
    size_t at = 0;
    o.head_n = http_head_find_end(text.p, text.n, &at, &o.fault);
    if (o.head_n)
        http_head_parse(str_sub(text, 0, o.head_n), &o.head, &o.fault);
    return o;
}

/* What http-parser makes of the same head. */
struct oracle {
    struct strbuf url;
    struct strbuf headers; /* "name: value\n" */
    bool was_value;
    bool is_complete;
};

static int on_url(http_parser *p, const char *at, size_t n)
{
    strbuf_add(&((struct oracle *)p->data)->url, at, n);
    return 0;
}

static int on_field(http_parser *p, const char *at, size_t n)
{
    struct oracle *o = p->data;
    if (o->was_value)
        strbuf_addc(&o->headers, '\n');
    o->was_value = false;
    strbuf_add(&o->headers, at, n);
    return 0;
}

static int on_value(http_parser *p, const char *at, size_t n)
{
    struct oracle *o = p->data;
    if (!o->was_value)
        strbuf_adds(&o->headers, ": ");
    o->was_value = true;
    /* It leaves blanks at the end of a value; we do not. */
    struct str trimmed = str_trim((struct str){at, n});
    strbuf_add(&o->headers, trimmed.p, trimmed.n);
    return 0;
}

static int on_headers_complete(http_parser *p)
{
    struct oracle *o = p->data;
    if (o->was_value)
        strbuf_addc(&o->headers, '\n');
    o->is_complete = true;
    return 0;
}

static void agrees_with_oracle(struct str text, const struct http_head *head)
{
    static const http_parser_settings settings = {.on_url = on_url,
                                                  .on_header_field = on_field,
                                                  .on_header_value = on_value,
                                                  .on_headers_complete = on_headers_complete};
    struct oracle o = {0};
    struct strbuf ours = {0};
    http_parser p;
    http_parser_init(&p, HTTP_REQUEST);
    p.data = &o;
    http_parser_execute(&p, &settings, text.p, text.n);
    assert_true(o.is_complete);
    assert_string_equal(http_method_str(p.method), http_method_name(head->method));
    assert_int_equal(p.http_minor, head->is_http10 ? 0 : 1);
    for (size_t i = 0; i < head->header_count; i++)
        strbuf_printf(&ours, "%.*s: %.*s\n", STR_FMT(head->headers[i].name),
                      STR_FMT(head->headers[i].value));
    assert_true(str_eq(strbuf_str(&ours), strbuf_str(&o.headers)));
    assert_true(str_ends(strbuf_str(&o.url), head->query.p ? head->query : head->path));
    if (head->has_length)
        assert_true(p.content_length == head->content_length || head->content_length == 0);
    strbuf_deinit(&ours);
    strbuf_deinit(&o.url);
    strbuf_deinit(&o.headers);
}

static const struct {
    const char *head;
    int status; /* 0: accepted */
} heads[] = {
    {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0},
    {"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 0},
    {"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"GET / HTTP/1.0\r\n\r\n", 0},
    {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 0},
    {"GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"GET http://x/a?b HTTP/1.1\r\nHost: X\r\n\r\n", 0},
    {"GET http://x/a HTTP/1.1\r\nHost: y\r\n\r\n", 400},
    {"GET http://`/ HTTP/1.0\r\n\r\n", 400},
    {"GET http://user@x/ HTTP/1.0\r\n\r\n", 400},
    {"GET http:///a HTTP/1.1\r\nHost: y\r\n\r\n", 400},
    {"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 501},
    {"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 501},
    {"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 501},
    {"get / HTTP/1.1\r\nHost: x\r\n\r\n", 501},
    {"G@T / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {" GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"GET /  HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400},
    {"GET /\tHTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"GET /#x HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"GET /\xc3\xa4 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"GET a HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"GET HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"GET /\r\nHost: x\r\n\r\n", 400},
    {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505},
    {"GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505},
    {"GET / HTTP/0.9\r\nHost: x\r\n\r\n", 505},
    {"GET / http/1.1\r\nHost: x\r\n\r\n", 400},
    {"GET / HTTP/1.10\r\nHost: x\r\n\r\n", 400},
    {"PRI * HTTP/2.0\r\n\r\n", 501},
    /* Line ends and folding */
    {"GET / HTTP/1.1\nHost: x\n\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\n\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\r\nHost: x\r\n\r\n", 400},
    /* Names and values */
    {"GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\nA\t: b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\nAb\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\nA(b: c\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\n\xc3\xa4: c\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\nA: b\x01\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\nA: b\x7f\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\nA:\r\nB:c\r\nC: \t d \t\r\n\r\n", 0},
    {"GET / HTTP/1.1\r\nHost: x\r\nA: \xc3\xa4\r\n\r\n", 0},
    /* Host */
    {"GET / HTTP/1.1\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\nhOST: y\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: [::1]:8800\r\n\r\n", 0},
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 0},
    /* Lengths: the smuggling matrix */
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", 0},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 0},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 0},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: CHUNKED\r\n\r\n", 0},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5 5\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999999999\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\x0b"
     "chunked\r\n\r\n",
     400},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
     "Transfer-Encoding: chunked\r\n\r\n",
     400},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
     "Transfer-encoding: x\r\n\r\n",
     400},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n", 400},
    /* Other fields that may come only once */
    {"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\nOrigin: a\r\nOrigin: b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\nContent-Type: a\r\nContent-Type: b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\nCookie: a\r\nCookie: b\r\n\r\n", 0},
    {"GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n", 0},
    {"GET / HTTP/1.1\r\nHost: x\r\nExpect: magic\r\n\r\n", 417},
};

static void judges_heads(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct str text = str_from(heads[i].head);
        struct outcome o = parse(text);
        if (o.fault.status != heads[i].status || (!o.fault.status && !o.head_n))
            fail_msg("%d (%s) instead of %d for:\n%s", o.fault.status,
                     o.fault.message ? o.fault.message : "none", heads[i].status, heads[i].head);
        if (!o.fault.status)
            agrees_with_oracle(text, &o.head);
        else
            assert_true(o.fault.code && o.fault.message);
    }
}

/* Every byte at every place of values around the width that is looked at in one go. */
static void judges_each_byte_of_a_value(void **state)
{
    char line[64] = "A:";
    for (size_t n = 1; n < 26; n++) {
        for (size_t at = 0; at < n; at++) {
            for (int byte = 0; byte < 256; byte++) {
                memset(line + 2, 'x', n);
                line[2 + at] = (char)byte;
                struct http_header header;
                bool is_good = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
                if (http_header_parse((struct str){line, 2 + n}, &header) != is_good)
                    fail_msg("byte %d at %zu of %zu", byte, at, n);
            }
        }
    }
}

static void refuses_nul(void **state)
{
    struct outcome o = parse(STR("GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n"));
    assert_int_equal(o.fault.status, 400);
    o = parse(STR("GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_int_equal(o.fault.status, 400);
    o = parse(STR("GET / HTTP/1.1\r\nHost: x\r\nA\0b: c\r\n\r\n"));
    assert_int_equal(o.fault.status, 400);
}

static void finds_parts(void **state)
{
    struct outcome o =
        parse(STR("PUT /a/b%20c?d=e&f HTTP/1.1\r\nHost: h:1\r\nX-Request-Id: a.B-9_\r\n"
                  "Connection: foo, Close\r\nContent-Length: 12\r\n\r\nrest"));
    assert_int_equal(o.fault.status, 0);
    assert_int_equal(o.head.method, HTTP_METHOD_PUT);
    assert_true(str_eq(o.head.path, STR("/a/b%20c")));
    assert_true(str_eq(o.head.query, STR("d=e&f")));
    assert_true(str_eq(o.head.host, STR("h:1")));
    assert_true(str_eq(o.head.request_id, STR("a.B-9_")));
    assert_true(o.head.wants_close);
    assert_int_equal(o.head.content_length, 12);
    assert_int_equal(o.head.header_count, 4);

    o = parse(STR("GET /x HTTP/1.1\r\nHost: h\r\nX-Request-Id: a b\r\nUpgrade: WebSocket\r\n"
                  "Connection: keep-alive, Upgrade\r\n\r\n"));
    assert_null(o.head.request_id.p);
    assert_true(o.head.is_upgrade);
    assert_true(o.head.wants_keep_alive);
    o = parse(STR("GET /x HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n"));
    assert_false(o.head.is_upgrade);
    o = parse(STR("GET http://[::1]:80/x HTTP/1.0\r\n\r\n"));
    assert_true(str_eq(o.head.host, STR("[::1]:80")));
    assert_true(str_eq(o.head.path, STR("/x")));
}

static void bounds_heads(void **state)
{
    struct strbuf b = {0};
    strbuf_adds(&b, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < HTTP_HEADERS_MAX - 1; i++)
        strbuf_printf(&b, "H%d: v\r\n", i);
    struct strbuf more = {0};
    strbuf_add(&more, b.p, b.n);
    strbuf_adds(&b, "\r\n");
    assert_int_equal(parse(strbuf_str(&b)).fault.status, 0);
    strbuf_adds(&more, "One: more\r\n\r\n");
    assert_int_equal(parse(strbuf_str(&more)).fault.status, 431);

    /* A head that never ends is given up at 16 kB, wherever it is. */
    strbuf_clear(&b);
    strbuf_adds(&b, "GET / HTTP/1.1\r\nHost: x\r\nA: ");
    while (b.n < HTTP_HEAD_MAX_BYTES - 1)
        strbuf_addc(&b, 'a');
    struct outcome o = parse(strbuf_str(&b));
    assert_int_equal(o.head_n, 0);
    assert_int_equal(o.fault.status, 0);
    strbuf_addc(&b, 'a');
    assert_int_equal(parse(strbuf_str(&b)).fault.status, 431);

    strbuf_clear(&b);
    strbuf_adds(&b, "GET /");
    while (b.n < 5 + HTTP_TARGET_MAX_BYTES)
        strbuf_addc(&b, 'a');
    strbuf_adds(&b, " HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(parse(strbuf_str(&b)).fault.status, 414);
    strbuf_deinit(&b);
    strbuf_deinit(&more);
}

static void finds_the_end_byte_by_byte(void **state)
{
    struct str text = STR("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET");
    size_t at = 0;
    struct http_fault fault = {0};
    for (size_t n = 0; n < text.n - 3; n++)
        assert_int_equal(http_head_find_end(text.p, n, &at, &fault), 0);
    assert_int_equal(http_head_find_end(text.p, text.n - 3, &at, &fault), text.n - 3);
    assert_int_equal(fault.status, 0);
}

#define BODY_MAX 64

/* Feeds in pieces of `step`; returns what came out, `used` bytes taken. */
static enum http_chunked_result feed(struct str in, size_t step, struct strbuf *body, size_t *used)
{
    struct http_chunked c = {0};
    enum http_chunked_result result = HTTP_CHUNKED_MORE;
    *used = 0;
    while (result == HTTP_CHUNKED_MORE && *used < in.n) {
        size_t taken = 0;
        struct str piece = str_sub(in, *used, step);
        result = http_chunked_feed(&c, (const uint8_t *)piece.p, piece.n, &taken, body, BODY_MAX);
        if (result == HTTP_CHUNKED_MORE)
            assert_int_equal(taken, piece.n);
        *used += taken;
    }
    return result;
}

static const struct {
    const char *in;
    enum http_chunked_result result;
    const char *body;
    const char *rest; /* what is left for the next request */
} bodies[] = {
    {"0\r\n\r\n", HTTP_CHUNKED_DONE, "", ""},
    {"5\r\nhello\r\n0\r\n\r\n", HTTP_CHUNKED_DONE, "hello", ""},
    {"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\nGET /", HTTP_CHUNKED_DONE, "hello!", "GET /"},
    {"A\r\n0123456789\r\na\r\nabcdefghij\r\n000\r\n\r\n", HTTP_CHUNKED_DONE, "0123456789abcdefghij",
     ""},
    {"5;a=b;c=\"d\"\r\nhello\r\n0;x\r\n\r\n", HTTP_CHUNKED_DONE, "hello", ""},
    {"5\r\nhello\r\n0\r\nTrailer: x\r\nB:\r\n\r\n", HTTP_CHUNKED_DONE, "hello", ""},
    {"5\r\nhel", HTTP_CHUNKED_MORE, "hel", ""},
    {"", HTTP_CHUNKED_MORE, "", ""},
    /* malformed */
    {"\r\nhello", HTTP_CHUNKED_BAD},
    {"x\r\n", HTTP_CHUNKED_BAD},
    {"-5\r\nhello", HTTP_CHUNKED_BAD},
    {"0x5\r\nhello", HTTP_CHUNKED_BAD},
    {" 5\r\nhello", HTTP_CHUNKED_BAD},
    {"5 \r\nhello", HTTP_CHUNKED_BAD},
    {"5\nhello", HTTP_CHUNKED_BAD},
    {"5\rXhello", HTTP_CHUNKED_BAD},
    {"5;a\nb\r\nhello", HTTP_CHUNKED_BAD},
    {"5;a\x01\r\nhello", HTTP_CHUNKED_BAD},
    {"5\r\nhelloXX0\r\n\r\n", HTTP_CHUNKED_BAD},
    {"5\r\nhello\rX", HTTP_CHUNKED_BAD},
    {"5\r\nhello\n0\r\n\r\n", HTTP_CHUNKED_BAD},
    {"5\r\nhello!\r\n0\r\n\r\n", HTTP_CHUNKED_BAD},
    {"0\r\n\rX", HTTP_CHUNKED_BAD},
    {"0\r\n\n", HTTP_CHUNKED_BAD},
    {"0\r\n folded: x\r\n\r\n", HTTP_CHUNKED_BAD},
    {"0\r\nname : x\r\n\r\n", HTTP_CHUNKED_BAD},
    {"0\r\nname: x\n\r\n", HTTP_CHUNKED_BAD},
    {"0\r\nname\r\n\r\n", HTTP_CHUNKED_BAD},
    {"000000005\r\nhello\r\n", HTTP_CHUNKED_BAD},
    {"41\r\n", HTTP_CHUNKED_TOO_BIG},
    {"ffffffff\r\n", HTTP_CHUNKED_TOO_BIG},
    {"40\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n1\r\n",
     HTTP_CHUNKED_TOO_BIG},
};

static void decodes_chunks(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        for (size_t step = 1; step < 9; step++) {
            struct strbuf body = {0};
            struct str in = str_from(bodies[i].in);
            size_t used;
            enum http_chunked_result result = feed(in, step, &body, &used);
            if (result != bodies[i].result)
                fail_msg("%d for %s (step %zu)", result, bodies[i].in, step);
            if (bodies[i].body) {
                assert_true(str_eq(strbuf_str(&body), str_from(bodies[i].body)));
                assert_true(str_eq(str_sub(in, used, SIZE_MAX), str_from(bodies[i].rest)));
            }
            assert_true(body.n <= BODY_MAX);
            strbuf_deinit(&body);
        }
    }
}

static void bounds_chunk_lines(void **state)
{
    struct strbuf in = {0};
    struct strbuf body = {0};
    size_t used;
    strbuf_adds(&in, "5;");
    while (in.n < 1000)
        strbuf_addc(&in, 'x');
    assert_int_equal(feed(strbuf_str(&in), 7, &body, &used), HTTP_CHUNKED_BAD);
    strbuf_clear(&in);
    strbuf_adds(&in, "0\r\n");
    while (in.n < 10000)
        strbuf_adds(&in, "a: b\r\n");
    assert_int_equal(feed(strbuf_str(&in), 7, &body, &used), HTTP_CHUNKED_BAD);
    strbuf_deinit(&in);
    strbuf_deinit(&body);
}

static void decodes_percent(void **state)
{
    struct strbuf b = {0};
    assert_true(http_percent_decode(STR("/a%20b%2F+"), HTTP_DECODE_PATH, &b));
    assert_string_equal(b.p, "/a b/+");
    strbuf_clear(&b);
    assert_true(http_percent_decode(STR("a+%c3%A4"), HTTP_DECODE_QUERY, &b));
    assert_string_equal(b.p, "a \xc3\xa4");
    static const char *const bad[] = {"%", "%2", "%zz", "a%0", "%00", "%ff", "%c3", "%e4b"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(http_percent_decode(str_from(bad[i]), HTTP_DECODE_PATH, &b));
    strbuf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_heads),
        cmocka_unit_test(refuses_nul),
        cmocka_unit_test(judges_each_byte_of_a_value),
        cmocka_unit_test(finds_parts),
        cmocka_unit_test(bounds_heads),
        cmocka_unit_test(finds_the_end_byte_by_byte),
        cmocka_unit_test(decodes_chunks),
        cmocka_unit_test(bounds_chunk_lines),
        cmocka_unit_test(decodes_percent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
