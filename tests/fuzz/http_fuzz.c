/*
 * http: whatever comes as a request head, however cut. Checked: nothing crashes; the outcome does
 * not depend on the cuts; all that we accept is accepted by http-parser (lenient, so it must be)
 * with the same parts; a decoded chunked body stays within its limit.
 *
 * Input: one byte that says how the rest is cut, then the bytes.
 */
#include <assert.h>

#define http_method oracle_http_method /* http-parser has an enum of that name, too */
#include <http_parser.h>
#undef http_method

#include "net/http_parse_internal.h"
#include "net/ws_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BODY_MAX 4096

static size_t oracle_header_count;
static bool is_oracle_done;

static int on_value(http_parser *p, const char *at, size_t n)
{
    oracle_header_count++;
    return 0;
}

static int on_done(http_parser *p)
{
    is_oracle_done = true;
    return 1; /* headers are all that is asked for */
}

/* http-parser takes any name that begins with Transfer-Encoding for it. */
static bool is_beyond_oracle(const struct http_head *head)
{
    const size_t n = sizeof("Transfer-Encoding") - 1;
    for (size_t i = 0; i < head->header_count; i++) {
        struct str name = head->headers[i].name;
        if (name.n > n && str_eq_nocase(str_sub(name, 0, n), STR("Transfer-Encoding")))
            return true;
    }
    return false;
}

static void check_with_oracle(struct str text, const struct http_head *head)
{
    static const http_parser_settings settings = {.on_header_value = on_value,
                                                  .on_headers_complete = on_done};
    http_parser p;
    if (is_beyond_oracle(head))
        return;
    oracle_header_count = 0;
    is_oracle_done = false;
    http_parser_init(&p, HTTP_REQUEST);
    http_parser_execute(&p, &settings, text.p, text.n);
    assert(is_oracle_done);
    assert(oracle_header_count == head->header_count);
    assert(str_eq(str_from(http_method_str(p.method)), str_from(http_method_name(head->method))));
    assert(!head->is_chunked || (p.flags & F_CHUNKED));
    assert(!head->has_length || p.content_length == head->content_length);
}

static void check_head(const struct http_head *head)
{
    assert(head->path.n > 0 && (head->path.p[0] == '/' || head->path.p[0] == '*'));
    assert(head->host.p);
    assert(!(head->is_chunked && head->has_length));
    for (size_t i = 0; i < head->header_count; i++)
        for (size_t k = 0; k < head->headers[i].value.n; k++)
            assert((uint8_t)head->headers[i].value.p[k] >= ' ' ||
                   head->headers[i].value.p[k] == '\t');
    struct strbuf decoded = {0};
    if (http_percent_decode(head->path, HTTP_DECODE_PATH, &decoded))
        assert(!memchr(decoded.p, 0, decoded.n));
    if (http_percent_decode(head->query, HTTP_DECODE_QUERY, &decoded))
        assert(decoded.n <= head->path.n + head->query.n);
    strbuf_deinit(&decoded);
    struct ws_agreement agreement = {0};
    for (size_t i = 0; i < head->header_count; i++)
        ws_deflate_negotiate(head->headers[i].value, &agreement);
}

static enum http_chunked_result decode(struct str in, size_t step, struct strbuf *body,
                                       size_t *used)
{
    struct http_chunked c = {0};
    enum http_chunked_result result = HTTP_CHUNKED_MORE;
    *used = 0;
    while (result == HTTP_CHUNKED_MORE && *used < in.n) {
        struct str piece = str_sub(in, *used, step);
        size_t taken = 0;
        result = http_chunked_feed(&c, (const uint8_t *)piece.p, piece.n, &taken, body, BODY_MAX);
        assert(taken <= piece.n);
        assert(body->n <= BODY_MAX);
        *used += taken;
    }
    return result;
}

static void check_chunked(struct str in, size_t step)
{
    struct strbuf whole = {0};
    struct strbuf cut = {0};
    size_t whole_used;
    size_t cut_used;
    enum http_chunked_result a = decode(in, SIZE_MAX, &whole, &whole_used);
    enum http_chunked_result b = decode(in, step, &cut, &cut_used);
    assert(a == b);
    if (a == HTTP_CHUNKED_DONE) {
        assert(whole_used == cut_used);
        assert(str_eq(strbuf_str(&whole), strbuf_str(&cut)));
    }
    strbuf_deinit(&whole);
    strbuf_deinit(&cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t step = (size_t)data[0] % 32 + 1;
    struct str text = {(const char *)data + 1, size - 1};
    struct http_fault fault = {0};
    struct http_fault cut_fault = {0};
    size_t at = 0;
    size_t cut_at = 0;
    size_t cut_n = 0;
    size_t n = http_head_find_end(text.p, text.n, &at, &fault);
    for (size_t end = 0; end < text.n && !cut_n && !cut_fault.status;) {
        end = MIN(end + step, text.n);
        cut_n = http_head_find_end(text.p, end, &cut_at, &cut_fault);
    }
    assert(n == cut_n && fault.status == cut_fault.status);
    check_chunked(text, step);
    struct http_head head;
    if (!n || !http_head_parse(str_sub(text, 0, n), &head, &fault))
        return 0;
    check_head(&head);
    check_with_oracle(str_sub(text, 0, n), &head);
    if (head.is_chunked)
        check_chunked(str_sub(text, n, SIZE_MAX), step);
    return 0;
}
