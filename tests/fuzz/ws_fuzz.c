/*
 * ws: whatever comes as frames, however cut. Checked: nothing crashes; the events do not depend on
 * the cuts; text that is handed on is UTF-8; no message is larger than allowed, deflated ones
 * neither before nor after inflating.
 *
 * Input: one byte of options (bit 0: deflate was agreed on), one byte that says how the rest is
 * cut, then the bytes.
 */
#include <assert.h>
#include <string.h>

#include "net/ws_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MESSAGE_MAX_BYTES 2000

/* Events in a form that can be compared: kind, code, length, bytes. */
static void note(struct strbuf *log, enum ws_event event, const struct ws_parsed *parsed)
{
    bool has_payload = event != WS_EVENT_FAIL;
    strbuf_printf(log, "%d %u %d %zu ", event,
                  event == WS_EVENT_FAIL || event == WS_EVENT_CLOSE ? parsed->code : 0,
                  event == WS_EVENT_MESSAGE && parsed->is_deflated,
                  has_payload ? parsed->payload.n : 0);
    if (has_payload && parsed->payload.n)
        strbuf_add(log, parsed->payload.p, parsed->payload.n);
}

static void check(struct ws_shard *shard, enum ws_event event, const struct ws_parsed *parsed)
{
    if (event != WS_EVENT_MESSAGE)
        return;
    assert(parsed->payload.n <= MESSAGE_MAX_BYTES);
    if (parsed->is_deflated) {
        struct strbuf plain = {0};
        if (ws_inflate(shard, parsed->payload, MESSAGE_MAX_BYTES, &plain) == ERR_OK)
            assert(plain.n <= MESSAGE_MAX_BYTES);
        strbuf_deinit(&plain);
    } else if (parsed->opcode == WS_TEXT && !memchr(parsed->payload.p, 0, parsed->payload.n)) {
        assert(str_is_utf8(parsed->payload)); /* which refuses NUL, as WebSocket text need not */
    }
}

static void parse_all(struct ws_shard *shard, struct str in, size_t step, bool is_deflating,
                      struct strbuf *log)
{
    struct ws_parser p = {.message_max = MESSAGE_MAX_BYTES, .is_deflate_allowed = is_deflating};
    struct strbuf kept = {0};
    enum ws_event event = WS_EVENT_NONE;
    for (size_t at = 0; at < in.n && event != WS_EVENT_FAIL; at += MIN(step, in.n - at)) {
        struct str piece = str_sub(in, at, step);
        strbuf_add(&kept, piece.p, piece.n);
        size_t done = 0;
        do {
            struct ws_parsed parsed = {0};
            size_t used;
            event = ws_parse(&p, (uint8_t *)kept.p + done, kept.n - done, &used, &parsed);
            assert(used <= kept.n - done);
            done += used;
            if (event) {
                note(log, event, &parsed);
                check(shard, event, &parsed);
            }
            if (event == WS_EVENT_MESSAGE)
                ws_parser_reset(&p);
        } while (event && event != WS_EVENT_FAIL && done < kept.n);
        memmove(kept.p, kept.p + done, kept.n - done);
        kept.n -= done;
        /* A stream keeps no more than a header and a control frame. */
        assert(event == WS_EVENT_FAIL || kept.n < WS_HEADER_MAX + WS_CONTROL_MAX);
    }
    ws_parser_reset(&p);
    strbuf_deinit(&kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ws_shard *shard;
    if (size < 2)
        return 0;
    if (!shard)
        shard = ws_shard_create();
    struct str in = {(const char *)data + 2, size - 2};
    struct strbuf whole = {0};
    struct strbuf cut = {0};
    parse_all(shard, in, SIZE_MAX, data[0] & 1, &whole);
    parse_all(shard, in, (size_t)data[1] % 64 + 1, data[0] & 1, &cut);
    assert(str_eq(strbuf_str(&whole), strbuf_str(&cut)));
    strbuf_deinit(&whole);
    strbuf_deinit(&cut);
    return 0;
}
