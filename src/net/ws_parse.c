/*
 * ws_parse: RFC 6455, section 5.2.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +-+-+-+-+-------+-+-------------+-------------------------------+
 *   |F|R|R|R| opcode|M| Payload len |    Extended payload length    |
 *   |I|S|S|S|  (4)  |A|     (7)     |          (16 or 64)           |
 *   |N|V|V|V|       |S|             |                               |
 *   | |1|2|3|       |K|             |          masking key          |
 *   +-+-+-+-+-------+-+-------------+-------------------------------+
 *
 * A header, and a control frame as a whole, are taken only when complete (the stream keeps their
 * first bytes). A data frame's payload is taken as it comes; a message that lies in the buffer in
 * one piece is handed on without a copy. Everything that can be refused is refused at the first
 * byte that shows it.
 */
#include "net/ws_parse_internal.h"

#include <string.h>

#include "core/cursor.h"

bool ws_utf8_feed(struct ws_utf8 *u, const uint8_t *bytes, size_t n)
{
    size_t i = 0;
    while (i < n) {
        uint64_t eight;
        if (u->needed == 0) {
            /* Most text is ASCII: eight at a time. */
            while (n - i >= 8 && (memcpy(&eight, bytes + i, 8), !(eight & 0x8080808080808080u)))
                i += 8;
            if (i == n)
                return true;
        }
        uint8_t b = bytes[i++];
        if (u->needed > 0) {
            if (b < u->low || b > u->high)
                return false;
            u->needed--;
            u->low = 0x80;
            u->high = 0xbf;
        } else if (b >= 0x80) {
            if (b < 0xc2 || b > 0xf4)
                return false;
            u->needed = b < 0xe0 ? 1 : b < 0xf0 ? 2 : 3;
            /* No overlong forms, no surrogates, nothing beyond U+10FFFF. */
            u->low = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80;
            u->high = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;
        }
    }
    return true;
}

void ws_unmask(uint8_t *bytes, size_t n, const uint8_t mask[4], unsigned mask_at)
{
    uint8_t turned[8];
    for (unsigned i = 0; i < 8; i++)
        turned[i] = mask[(mask_at + i) & 3];
    uint64_t wide;
    uint64_t eight;
    memcpy(&wide, turned, 8);
    size_t i = 0;
    for (; n - i >= 8; i += 8) {
        memcpy(&eight, bytes + i, 8);
        eight ^= wide;
        memcpy(bytes + i, &eight, 8);
    }
    for (; i < n; i++)
        bytes[i] ^= turned[i & 7];
}

size_t ws_header_write(uint8_t out[WS_HEADER_MAX], uint8_t opcode_bits, uint64_t payload_n)
{
    struct writer w = writer_of(out, WS_HEADER_MAX);
    writer_u8(&w, 0x80 | opcode_bits);
    if (payload_n < 126) {
        writer_u8(&w, (uint8_t)payload_n);
    } else if (payload_n <= 0xffff) {
        writer_u8(&w, 126);
        writer_u16(&w, (uint16_t)payload_n);
    } else {
        writer_u8(&w, 127);
        writer_u64(&w, payload_n);
    }
    return writer_size(&w);
}

static enum ws_event fail(struct ws_parsed *out, unsigned code, const char *why)
{
    out->code = code;
    out->why = why;
    return WS_EVENT_FAIL;
}

static enum ws_event protocol_error(struct ws_parsed *out, const char *why)
{
    return fail(out, WS_CLOSE_PROTOCOL, why);
}

struct frame {
    bool is_final;
    bool is_deflated;
    uint8_t opcode;
    uint64_t n;
    uint8_t mask[4];
    size_t header_n;
};

/* The first two bytes alone can already be wrong. */
static enum ws_event check_start(const struct ws_parser *p, uint8_t b0, uint8_t b1,
                                 struct ws_parsed *out)
{
    uint8_t opcode = b0 & 0x0f;
    bool is_control = opcode & 0x08;
    bool is_data = opcode == WS_TEXT || opcode == WS_BINARY;
    if (b0 & 0x30)
        return protocol_error(out, "reserved bit set");
    if ((b0 & WS_WIRE_DEFLATED) && !(p->is_deflate_allowed && is_data))
        return protocol_error(out, "reserved bit set");
    if (opcode > WS_WIRE_PONG || (!is_control && opcode > WS_BINARY))
        return protocol_error(out, "unknown opcode");
    if (!(b1 & 0x80))
        return protocol_error(out, "frame is not masked");
    if (is_control && !(b0 & 0x80))
        return protocol_error(out, "fragmented control frame");
    if (is_control && (b1 & 0x7f) > WS_CONTROL_MAX)
        return protocol_error(out, "control frame too long");
    if (opcode == WS_WIRE_CONTINUE && p->opcode == 0)
        return protocol_error(out, "continuation of nothing");
    if (is_data && p->opcode != 0)
        return protocol_error(out, "new message inside a fragmented one");
    return WS_EVENT_NONE;
}

/* frame->header_n == 0: not all of it is here yet. */
static enum ws_event parse_header(const struct ws_parser *p, const uint8_t *bytes, size_t n,
                                  struct frame *f, struct ws_parsed *out)
{
    struct cursor c = cursor_of(bytes, n);
    uint8_t b0 = cursor_u8(&c);
    uint8_t b1 = cursor_u8(&c);
    f->header_n = 0;
    if (c.bad)
        return WS_EVENT_NONE;
    enum ws_event event = check_start(p, b0, b1, out);
    if (event)
        return event;
    unsigned short_n = b1 & 0x7f;
    f->n = short_n == 127 ? cursor_u64(&c) : short_n == 126 ? cursor_u16(&c) : short_n;
    if (c.bad)
        return WS_EVENT_NONE;
    if ((short_n == 126 && f->n < 126) || (short_n == 127 && (f->n <= 0xffff || f->n >> 63)))
        return protocol_error(out, "length not in its shortest form");
    if (!(b0 & 0x08) && (f->n > p->message_max || p->message.n > p->message_max - f->n))
        return fail(out, WS_CLOSE_TOO_BIG, "message too big");
    const uint8_t *mask = cursor_bytes(&c, 4);
    if (!mask)
        return WS_EVENT_NONE;
    memcpy(f->mask, mask, 4);
    f->is_final = b0 & 0x80;
    f->is_deflated = b0 & WS_WIRE_DEFLATED;
    f->opcode = b0 & 0x0f;
    f->header_n = (size_t)(c.p - bytes);
    return WS_EVENT_NONE;
}

static bool is_close_code(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static enum ws_event on_close_frame(const uint8_t *payload, size_t n, struct ws_parsed *out)
{
    struct cursor c = cursor_of(payload, n);
    struct ws_utf8 utf8 = {0};
    out->code = WS_CLOSE_NO_STATUS;
    out->payload = STR("");
    if (n == 0)
        return WS_EVENT_CLOSE;
    unsigned code = cursor_u16(&c);
    if (c.bad)
        return protocol_error(out, "close frame of one byte");
    if (!is_close_code(code))
        return protocol_error(out, "invalid close code");
    if (!ws_utf8_feed(&utf8, c.p, cursor_left(&c)) || !ws_utf8_is_complete(&utf8))
        return fail(out, WS_CLOSE_INVALID_DATA, "close reason is not UTF-8");
    out->code = code;
    out->payload = (struct str){(const char *)c.p, cursor_left(&c)};
    return WS_EVENT_CLOSE;
}

static enum ws_event on_control(const struct frame *f, uint8_t *payload, struct ws_parsed *out)
{
    ws_unmask(payload, f->n, f->mask, 0);
    if (f->opcode == WS_WIRE_CLOSE)
        return on_close_frame(payload, f->n, out);
    out->payload = (struct str){(const char *)payload, f->n};
    return f->opcode == WS_WIRE_PING ? WS_EVENT_PING : WS_EVENT_PONG;
}

static enum ws_event on_message_end(struct ws_parser *p, struct str payload, struct ws_parsed *out)
{
    bool is_plain_text = p->opcode == WS_TEXT && !p->is_deflated;
    if (is_plain_text && !ws_utf8_is_complete(&p->utf8))
        return fail(out, WS_CLOSE_INVALID_DATA, "text is not UTF-8");
    out->opcode = (enum ws_opcode)p->opcode;
    out->is_deflated = p->is_deflated;
    out->payload = payload;
    p->opcode = 0;
    return WS_EVENT_MESSAGE;
}

/* What has come of a data frame's payload. */
static enum ws_event on_payload(struct ws_parser *p, uint8_t *bytes, size_t n,
                                struct ws_parsed *out)
{
    ws_unmask(bytes, n, p->mask, p->mask_at);
    p->mask_at = (uint8_t)((p->mask_at + n) & 3);
    p->frame_left -= n;
    if (p->opcode == WS_TEXT && !p->is_deflated && !ws_utf8_feed(&p->utf8, bytes, n))
        return fail(out, WS_CLOSE_INVALID_DATA, "text is not UTF-8");
    bool is_frame_done = p->frame_left == 0;
    bool is_done = is_frame_done && p->is_final;
    p->in_frame = !is_frame_done;
    if (is_done && p->message.n == 0)
        return on_message_end(p, (struct str){(const char *)bytes, n}, out);
    if (n > 0)
        strbuf_add(&p->message, bytes, n);
    return is_done ? on_message_end(p, strbuf_str(&p->message), out) : WS_EVENT_NONE;
}

static void start_data(struct ws_parser *p, const struct frame *f)
{
    if (f->opcode != WS_WIRE_CONTINUE) {
        p->opcode = f->opcode;
        p->is_deflated = f->is_deflated;
        p->utf8 = (struct ws_utf8){0};
    }
    p->in_frame = true;
    p->is_final = f->is_final;
    p->frame_left = f->n;
    memcpy(p->mask, f->mask, 4);
    p->mask_at = 0;
}

enum ws_event ws_parse(struct ws_parser *p, uint8_t *bytes, size_t n, size_t *used,
                       struct ws_parsed *out)
{
    size_t at = 0;
    enum ws_event event = WS_EVENT_NONE;
    while (!event && (at < n || (p->in_frame && p->frame_left == 0))) {
        if (!p->in_frame) {
            struct frame f;
            event = parse_header(p, bytes + at, n - at, &f, out);
            if (event || f.header_n == 0)
                break;
            if (f.opcode & 0x08) {
                if (n - at - f.header_n < f.n)
                    break;
                event = on_control(&f, bytes + at + f.header_n, out);
                at += f.header_n + (size_t)f.n;
                break;
            }
            at += f.header_n;
            start_data(p, &f);
        }
        size_t take = MIN(n - at, p->frame_left);
        event = on_payload(p, bytes + at, take, out);
        at += take;
    }
    *used = at;
    return event;
}

void ws_parser_reset(struct ws_parser *p)
{
    strbuf_deinit(&p->message);
}
