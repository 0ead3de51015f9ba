/*
 * http_parse: the request head, parsed in one strict pass (RFC 9112). Whatever two parsers in a row
 * might read differently is refused, for that is what request smuggling is made of: bare LF, bare
 * CR, folded lines, a space before the colon, two lengths, a length beside a transfer coding, an
 * unknown transfer coding, a second Host, control characters.
 *
 * Why not http-parser: it lets the first three through, and Debian's build is the lenient one (it
 * takes "5\rX" for a chunk size), so every byte would have to be checked here anyway. It serves as
 * the oracle in the tests instead.
 */
#include "net/http_parse_internal.h"

#include <string.h>

/* What a byte may be part of. */
enum byte_class { TOKEN = 1, VALUE = 2, TARGET = 4 };

static const uint8_t byte_classes[256] = {
    ['\t'] = VALUE,
    [' '] = VALUE,
    ['!'] = TOKEN | VALUE | TARGET,
    ['"'] = VALUE | TARGET,
    ['#'] = TOKEN | VALUE, /* a fragment is never sent */
    ['$' ... '\''] = TOKEN | VALUE | TARGET,
    ['(' ... ')'] = VALUE | TARGET,
    ['*' ... '+'] = TOKEN | VALUE | TARGET,
    [','] = VALUE | TARGET,
    ['-' ... '.'] = TOKEN | VALUE | TARGET,
    ['/'] = VALUE | TARGET,
    ['0' ... '9'] = TOKEN | VALUE | TARGET,
    [':' ... '@'] = VALUE | TARGET,
    ['A' ... 'Z'] = TOKEN | VALUE | TARGET,
    ['[' ... ']'] = VALUE | TARGET,
    ['^' ... 'z'] = TOKEN | VALUE | TARGET,
    ['{'] = VALUE | TARGET,
    ['|'] = TOKEN | VALUE | TARGET,
    ['}'] = VALUE | TARGET,
    ['~'] = TOKEN | VALUE | TARGET,
    [0x80 ... 0xff] = VALUE, /* obs-text */
};

#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* Leading bytes, in eights, that are VALUE beyond doubt: no control character and no DEL among
 * them (a tab may be one, and is left to the table). */
static size_t count_plain(struct str s)
{
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        uint64_t v;
        memcpy(&v, s.p + i, 8);
        uint64_t low = v & EACH_BYTE(0x7f); /* below: the high bit of a byte says that it is odd */
        uint64_t control = ~(low + EACH_BYTE(0x60)) & ~v;
        uint64_t del = ~((low ^ EACH_BYTE(0x7f)) + EACH_BYTE(0x7f)) & ~v;
        if ((control | del) & EACH_BYTE(0x80))
            break;
    }
    return i;
}

static bool all_of(struct str s, enum byte_class class)
{
    for (size_t i = class == VALUE ? count_plain(s) : 0; i < s.n; i++)
        if (!(byte_classes[(uint8_t)s.p[i]] & class))
            return false;
    return true;
}

static bool fail(struct http_fault *fault, int status, const char *code, const char *message)
{
    *fault = (struct http_fault){status, code, message};
    return false;
}

static bool bad(struct http_fault *fault, const char *message)
{
    return fail(fault, 400, "bad_request", message);
}

size_t http_head_find_end(const char *bytes, size_t n, size_t *at, struct http_fault *fault)
{
    size_t limit = MIN(n, (size_t)HTTP_HEAD_MAX_BYTES);
    while (*at < limit) {
        const char *lf = memchr(bytes + *at, '\n', limit - *at);
        if (!lf) {
            *at = limit;
            break;
        }
        size_t i = (size_t)(lf - bytes);
        *at = i + 1;
        if (i == 0 || lf[-1] != '\r') {
            bad(fault, "lines end in CR LF");
            return 0;
        }
        /* One empty line before the request line is tolerated (RFC 9112, 2.2). */
        if (i >= 3 && lf[-2] == '\n')
            return i + 1;
    }
    if (n >= HTTP_HEAD_MAX_BYTES)
        fail(fault, 431, "header_too_large", "the request head is larger than 16 kB");
    return 0;
}

/* The line up to CRLF, which http_head_find_end has seen. */
static struct str next_line(struct str *rest)
{
    struct str line;
    str_cut(rest, '\n', &line);
    line.n--; /* the CR */
    return line;
}

static const struct {
    struct str name;
    enum http_method method;
} methods[] = {
    {{"GET", 3}, HTTP_METHOD_GET},         {{"POST", 4}, HTTP_METHOD_POST},
    {{"PUT", 3}, HTTP_METHOD_PUT},         {{"HEAD", 4}, HTTP_METHOD_HEAD},
    {{"DELETE", 6}, HTTP_METHOD_DELETE},   {{"PATCH", 5}, HTTP_METHOD_PATCH},
    {{"OPTIONS", 7}, HTTP_METHOD_OPTIONS},
};

const char *http_method_name(enum http_method method)
{
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (methods[i].method == method)
            return methods[i].name.p;
    return "?";
}

static bool parse_method(struct str text, struct http_head *out, struct http_fault *fault)
{
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (str_eq(text, methods[i].name)) {
            out->method = methods[i].method;
            return true;
        }
    }
    if (text.n == 0 || !all_of(text, TOKEN))
        return bad(fault, "malformed request line");
    return fail(fault, 501, "method_not_implemented", "this method is not known here");
}

static bool parse_version(struct str text, struct http_head *out, struct http_fault *fault)
{
    if (str_eq(text, STR("HTTP/1.1")))
        return true;
    out->is_http10 = true;
    if (str_eq(text, STR("HTTP/1.0")))
        return true;
    if (text.n == 8 && str_starts(text, STR("HTTP/")))
        return fail(fault, 505, "version_not_supported", "HTTP/1.1 or HTTP/1.0, please");
    return bad(fault, "malformed request line");
}

/* uri-host [":" port]; names, IPv4 and bracketed IPv6 (RFC 9110, 7.2). */
static bool is_host(struct str s)
{
    static const char never[] = "\"/\\?@<>{}|^`,";
    for (size_t i = 0; i < s.n; i++)
        if (!(byte_classes[(uint8_t)s.p[i]] & TARGET) || memchr(never, s.p[i], sizeof(never) - 1))
            return false;
    return true;
}

/* RFC 9112, 3.2: origin form, absolute form, "*". */
static bool parse_target(struct str target, struct http_head *out, struct http_fault *fault)
{
    if (target.n > HTTP_TARGET_MAX_BYTES)
        return fail(fault, 414, "uri_too_long", "the request target is larger than 8 kB");
    if (!all_of(target, TARGET))
        return bad(fault, "the request target holds a character that must be encoded");
    if (str_eq(target, STR("*")) && out->method == HTTP_METHOD_OPTIONS) {
        out->path = target;
        return true;
    }
    if (str_starts(target, STR("http://")) || str_starts(target, STR("https://"))) {
        struct str rest = str_sub(target, target.p[4] == 's' ? 8 : 7, SIZE_MAX);
        ptrdiff_t slash = str_find(rest, '/');
        out->target_host = str_sub(rest, 0, (size_t)MAX(slash, 0));
        if (slash <= 0 || !is_host(out->target_host))
            return bad(fault, "malformed request target");
        target = str_sub(rest, (size_t)slash, SIZE_MAX);
    }
    if (target.n == 0 || target.p[0] != '/')
        return bad(fault, "malformed request target");
    struct str query = target;
    if (str_cut(&query, '?', &out->path))
        out->query = query;
    return true;
}

static bool parse_request_line(struct str line, struct http_head *out, struct http_fault *fault)
{
    struct str method;
    struct str target;
    if (!str_cut(&line, ' ', &method) || !str_cut(&line, ' ', &target))
        return bad(fault, "malformed request line");
    return parse_method(method, out, fault) && parse_version(line, out, fault) &&
           parse_target(target, out, fault);
}

static struct str trim_blanks(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

bool http_header_parse(struct str line, struct http_header *out)
{
    /* A folded line starts with a blank, a space before the colon is no token: both end here. */
    size_t n = 0;
    while (n < line.n && (byte_classes[(uint8_t)line.p[n]] & TOKEN))
        n++;
    if (n == 0 || n == line.n || line.p[n] != ':')
        return false;
    out->name = (struct str){line.p, n};
    out->value = trim_blanks((struct str){line.p + n + 1, line.n - n - 1});
    return all_of(out->value, VALUE);
}

/* What a field may look like that this parser understands itself. */
typedef bool header_fn(struct str value, struct http_head *out, struct http_fault *fault);

static bool on_content_length(struct str value, struct http_head *out, struct http_fault *fault)
{
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] < '0' || value.p[i] > '9')
            return bad(fault, "Content-Length is not a number");
    if (value.n == 0 || value.n > 18 || !str_to_u64(value, &out->content_length))
        return bad(fault, "Content-Length is not a sensible number");
    out->has_length = true;
    return true;
}

static bool on_transfer_encoding(struct str value, struct http_head *out, struct http_fault *fault)
{
    if (!str_eq_nocase(value, STR("chunked")))
        return fail(fault, 501, "transfer_coding_not_implemented",
                    "the only transfer coding known here is chunked");
    out->is_chunked = true;
    return true;
}

static bool on_host(struct str value, struct http_head *out, struct http_fault *fault)
{
    out->host = value;
    return is_host(value) || bad(fault, "malformed Host");
}

static bool on_connection(struct str value, struct http_head *out, struct http_fault *fault)
{
    struct str part;
    while (value.n > 0) {
        if (!str_cut(&value, ',', &part))
            value = STR_NULL;
        part = trim_blanks(part);
        if (str_eq_nocase(part, STR("close")))
            out->wants_close = true;
        else if (str_eq_nocase(part, STR("keep-alive")))
            out->wants_keep_alive = true;
        else if (str_eq_nocase(part, STR("upgrade")))
            out->connection_upgrade = true;
    }
    return true;
}

static bool on_upgrade(struct str value, struct http_head *out, struct http_fault *fault)
{
    out->to_websocket = str_eq_nocase(value, STR("websocket"));
    return true;
}

static bool on_expect(struct str value, struct http_head *out, struct http_fault *fault)
{
    if (!str_eq_nocase(value, STR("100-continue")))
        return fail(fault, 417, "expectation_failed", "the only expectation met is 100-continue");
    out->wants_continue = true;
    return true;
}

static bool on_request_id(struct str value, struct http_head *out, struct http_fault *fault)
{
    if (value.n == 0 || value.n > 64)
        return true;
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_plain && c != '-' && c != '_' && c != '.')
            return true;
    }
    out->request_id = value;
    return true;
}

/* Fields that this parser understands, or that may come but once because two readers might choose
 * different ones. */
static const struct {
    struct str name;
    header_fn *fn;
    bool is_single;
} known_headers[] = {
    {{"host", 4}, on_host, true},
    {{"origin", 6}, NULL, true},
    {{"expect", 6}, on_expect, true},
    {{"upgrade", 7}, on_upgrade, true},
    {{"connection", 10}, on_connection, false},
    {{"content-type", 12}, NULL, true},
    {{"x-request-id", 12}, on_request_id, false},
    {{"authorization", 13}, NULL, true},
    {{"content-length", 14}, on_content_length, true},
    {{"sec-websocket-key", 17}, NULL, true},
    {{"transfer-encoding", 17}, on_transfer_encoding, true},
    {{"sec-websocket-version", 21}, NULL, true},
};

static bool parse_known(const struct http_header *header, uint32_t *seen, struct http_head *out,
                        struct http_fault *fault)
{
    for (size_t i = 0; i < ARRAY_LEN(known_headers); i++) {
        if (known_headers[i].name.n != header->name.n ||
            !str_eq_nocase(header->name, known_headers[i].name))
            continue;
        if (known_headers[i].is_single && (*seen & 1u << i))
            return bad(fault, "a header that may come only once came twice");
        *seen |= 1u << i;
        return !known_headers[i].fn || known_headers[i].fn(header->value, out, fault);
    }
    return true;
}

/* What no single line shows. */
static bool check_whole(struct http_head *out, struct http_fault *fault)
{
    if (out->is_chunked && out->has_length)
        return bad(fault, "Content-Length beside Transfer-Encoding");
    if (out->is_chunked && out->is_http10)
        return bad(fault, "Transfer-Encoding in HTTP/1.0");
    if (!out->is_http10 && !out->host.p)
        return bad(fault, "no Host header");
    if (out->target_host.p && out->host.p && !str_eq_nocase(out->target_host, out->host))
        return bad(fault, "Host differs from the request target");
    if (!out->host.p)
        out->host = out->target_host.p ? out->target_host : STR("");
    if (out->is_http10)
        out->wants_continue = false;
    out->is_upgrade = out->connection_upgrade && out->to_websocket && !out->is_http10;
    return true;
}

bool http_head_parse(struct str bytes, struct http_head *out, struct http_fault *fault)
{
    /* Not the header array: 2 kB that nobody reads beyond header_count. */
    memset(out, 0, offsetof(struct http_head, headers));
    memset(&out->header_count, 0, sizeof(*out) - offsetof(struct http_head, header_count));
    struct str line = next_line(&bytes);
    if (line.n == 0)
        line = next_line(&bytes);
    if (!parse_request_line(line, out, fault))
        return false;
    uint32_t seen = 0;
    while (line = next_line(&bytes), line.n > 0) {
        if (out->header_count == HTTP_HEADERS_MAX)
            return fail(fault, 431, "header_too_large", "more than 64 header fields");
        struct http_header *header = &out->headers[out->header_count];
        if (!http_header_parse(line, header))
            return bad(fault, "malformed header line");
        out->header_count++;
        if (!parse_known(header, &seen, out, fault))
            return false;
    }
    return check_whole(out, fault);
}
