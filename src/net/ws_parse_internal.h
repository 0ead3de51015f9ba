/*
 * ws_parse: WebSocket framing (RFC 6455) as pure functions over bytes: tests and fuzzers drive them
 * directly.
 */
#pragma once

#include "core/str.h"
#include "net/ws.h"

/* UTF-8 checked as it comes (RFC 3629). The zero value is the start of a text. */
struct ws_utf8 {
    uint8_t needed; /* bytes that the character under way still lacks */
    uint8_t low;    /* the next one must lie between these */
    uint8_t high;
};
MUST_USE bool ws_utf8_feed(struct ws_utf8 *u, const uint8_t *bytes, size_t n);
static inline bool ws_utf8_is_complete(const struct ws_utf8 *u)
{
    return u->needed == 0;
}

void ws_unmask(uint8_t *bytes, size_t n, const uint8_t mask[4], unsigned mask_at);

#define WS_HEADER_MAX 14
#define WS_CONTROL_MAX 125
enum ws_wire_opcode {
    WS_WIRE_CONTINUE = 0,
    WS_WIRE_CLOSE = 8,
    WS_WIRE_PING = 9,
    WS_WIRE_PONG = 10
};
#define WS_WIRE_DEFLATED 0x40 /* RSV1, beside the opcode */

/* The header of an unmasked, unfragmented frame. Returns its size. */
size_t ws_header_write(uint8_t out[WS_HEADER_MAX], uint8_t opcode_bits, uint64_t payload_n);

struct ws_parser {
    size_t message_max;
    bool is_deflate_allowed;
    /* internal */
    bool in_frame; /* of a data frame whose payload is still coming */
    bool is_final;
    bool is_deflated;
    uint8_t opcode; /* of the message under way; 0: none */
    uint8_t mask[4];
    uint8_t mask_at;
    struct ws_utf8 utf8;
    uint64_t frame_left;
    struct strbuf message; /* what has come of it; empty when a message came in one piece */
};

enum ws_event {
    WS_EVENT_NONE, /* more bytes are needed */
    WS_EVENT_MESSAGE,
    WS_EVENT_PING,
    WS_EVENT_PONG,
    WS_EVENT_CLOSE,
    WS_EVENT_FAIL, /* nothing more may be parsed */
};

struct ws_parsed {
    enum ws_opcode opcode; /* of a message */
    bool is_deflated;      /* its payload still is; text is not checked then */
    struct str payload;    /* valid until the next call; CLOSE: the reason */
    unsigned code;         /* CLOSE (1005: none given) and FAIL */
    const char *why;       /* FAIL */
};

/* Parses up to the next event. *used bytes are done with, the others must be given again with what
 * follows. Bytes are unmasked in place. */
enum ws_event ws_parse(struct ws_parser *p, uint8_t *bytes, size_t n, size_t *used,
                       struct ws_parsed *out);
/* After WS_EVENT_MESSAGE was dealt with: lets go of its memory. Also at the end. */
void ws_parser_reset(struct ws_parser *p);
