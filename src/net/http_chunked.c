/*
 * http_chunked: the decoder of chunked bodies (RFC 9112, 7.1), one byte-driven state machine for
 * the framing with a bulk copy for the data. As strict as the head: hexadecimal digits, then CR LF
 * exactly; extensions are skipped but bounded and may hold no control characters; trailers are
 * checked like headers, bounded, and dropped.
 *
 *   5 ;ext CRLF h e l l o CRLF 0 CRLF [trailer CRLF]* CRLF
 *   SIZE EXT SIZE_LF DATA DATA_CR DATA_LF    TRAILER ...
 */
#include "net/http_parse_internal.h"

#include <string.h>

enum state {
    SIZE, /* must be 0: the zero value starts here */
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START, /* CR ends the body, anything else starts a trailer */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
};

#define SIZE_DIGITS_MAX 8
#define LINE_BYTES_MAX 256
#define TRAILER_BYTES_MAX 4096

static int hex_value(uint8_t b)
{
    if (b >= '0' && b <= '9')
        return b - '0';
    if (b >= 'a' && b <= 'f')
        return b - 'a' + 10;
    if (b >= 'A' && b <= 'F')
        return b - 'A' + 10;
    return -1;
}

static bool is_text(uint8_t b)
{
    return b == '\t' || (b >= ' ' && b != 0x7f);
}

static bool is_token(uint8_t b)
{
    return (b >= '0' && b <= '9') || (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') ||
           (b != 0 && strchr("!#$%&'*+-.^_`|~", b) != NULL);
}

static bool on_size(struct http_chunked *c, uint8_t b)
{
    int digit = hex_value(b);
    if (digit >= 0) {
        c->left = c->left << 4 | (unsigned)digit;
        return ++c->size_digits <= SIZE_DIGITS_MAX;
    }
    if (c->size_digits == 0)
        return false;
    c->line_bytes = 0;
    c->state = b == '\r' ? SIZE_LF : EXTENSION;
    return b == '\r' || b == ';';
}

static bool on_extension(struct http_chunked *c, uint8_t b)
{
    if (b == '\r') {
        c->state = SIZE_LF;
        return true;
    }
    return is_text(b) && ++c->line_bytes <= LINE_BYTES_MAX;
}

static bool on_trailer(struct http_chunked *c, uint8_t b)
{
    if (++c->trailer_bytes > TRAILER_BYTES_MAX)
        return false;
    switch (c->state) {
    case TRAILER_START:
        c->state = b == '\r' ? END_LF : TRAILER_NAME;
        return b == '\r' || is_token(b);
    case TRAILER_NAME:
        if (b == ':')
            c->state = TRAILER_VALUE;
        return b == ':' || is_token(b);
    case TRAILER_VALUE:
        if (b == '\r')
            c->state = TRAILER_LF;
        return b == '\r' || is_text(b);
    default: /* TRAILER_LF */
        c->state = TRAILER_START;
        return b == '\n';
    }
}

/* One byte of framing. False: malformed. */
static bool on_byte(struct http_chunked *c, uint8_t b)
{
    switch (c->state) {
    case SIZE:
        return on_size(c, b);
    case EXTENSION:
        return on_extension(c, b);
    case SIZE_LF:
        c->state = c->left ? DATA : TRAILER_START;
        return b == '\n';
    case DATA_CR:
        c->state = DATA_LF;
        return b == '\r';
    case DATA_LF:
        c->state = SIZE;
        c->size_digits = 0;
        return b == '\n';
    default:
        return on_trailer(c, b);
    }
}

enum http_chunked_result http_chunked_feed(struct http_chunked *c, const uint8_t *bytes, size_t n,
                                           size_t *used, struct strbuf *body, size_t body_max)
{
    size_t at = 0;
    while (at < n) {
        if (c->state == DATA) {
            size_t take = MIN(n - at, c->left);
            strbuf_add(body, bytes + at, take);
            at += take;
            c->left -= take;
            if (c->left == 0)
                c->state = DATA_CR;
            continue;
        }
        uint8_t b = bytes[at++];
        if (c->state == END_LF) {
            *used = at;
            return b == '\n' ? HTTP_CHUNKED_DONE : HTTP_CHUNKED_BAD;
        }
        if (!on_byte(c, b))
            return HTTP_CHUNKED_BAD;
        if (c->left > body_max || body->n > body_max - c->left)
            return HTTP_CHUNKED_TOO_BIG;
    }
    *used = at;
    return HTTP_CHUNKED_MORE;
}
