/*
 * ws_frame: a message encoded once for all who receive it, on whatever loop. References are atomic.
 * The deflated form is made by the first loop that needs it; should two loops do so at once, one
 * copy wins and the other is thrown away.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "net/ws_internal.h"

struct wire {
    size_t n;
    uint8_t bytes[];
};

struct ws_frame {
    atomic_uint refs;
    enum ws_opcode opcode;
    size_t header_n;
    _Atomic(struct wire *) deflated; /* NULL: not asked for yet; &not_worth_it */
    size_t n;
    uint8_t bytes[];
};

static struct wire not_worth_it;

static struct ws_frame *frame_create(enum ws_opcode opcode, uint8_t flags, struct str payload)
{
    uint8_t header[WS_HEADER_MAX];
    size_t header_n = ws_header_write(header, opcode | flags, payload.n);
    struct ws_frame *frame = mem_alloc(sizeof(*frame) + header_n + payload.n);
    atomic_init(&frame->refs, 1);
    atomic_init(&frame->deflated, NULL);
    frame->opcode = opcode;
    frame->header_n = header_n;
    frame->n = header_n + payload.n;
    memcpy(frame->bytes, header, header_n);
    if (payload.n)
        memcpy(frame->bytes + header_n, payload.p, payload.n);
    return frame;
}

struct ws_frame *ws_frame_create(enum ws_opcode opcode, struct str payload)
{
    return frame_create(opcode, 0, payload);
}

struct ws_frame *ws_frame_ref(struct ws_frame *frame)
{
    atomic_fetch_add_explicit(&frame->refs, 1, memory_order_relaxed);
    return frame;
}

void ws_frame_unref(struct ws_frame **frame)
{
    struct ws_frame *f = *frame;
    *frame = NULL;
    if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    struct wire *deflated = atomic_load_explicit(&f->deflated, memory_order_relaxed);
    if (deflated != &not_worth_it)
        free(deflated);
    free(f);
}

static struct str payload_of(const struct ws_frame *frame)
{
    return (struct str){(const char *)frame->bytes + frame->header_n, frame->n - frame->header_n};
}

static struct wire *make_deflated(const struct ws_frame *frame, struct ws_shard *shard)
{
    struct strbuf *body = ws_shard_scratch(shard);
    struct str payload = payload_of(frame);
    uint8_t header[WS_HEADER_MAX];
    strbuf_clear(body);
    ws_deflate(shard, WS_WINDOW_BITS_MAX, payload, body);
    struct wire *wire = &not_worth_it;
    if (body->n < payload.n) {
        size_t header_n = ws_header_write(header, frame->opcode | WS_WIRE_DEFLATED, body->n);
        wire = mem_alloc(sizeof(*wire) + header_n + body->n);
        wire->n = header_n + body->n;
        memcpy(wire->bytes, header, header_n);
        memcpy(wire->bytes + header_n, body->p, body->n);
    }
    strbuf_deinit(body);
    return wire;
}

struct str ws_frame_wire(struct ws_frame *frame, bool is_deflating, struct ws_shard *shard)
{
    struct str plain = {(const char *)frame->bytes, frame->n};
    if (!is_deflating || frame->n - frame->header_n < WS_DEFLATE_MIN_BYTES)
        return plain;
    struct wire *wire = atomic_load_explicit(&frame->deflated, memory_order_acquire);
    if (!wire) {
        struct wire *mine = make_deflated(frame, shard);
        if (atomic_compare_exchange_strong_explicit(&frame->deflated, &wire, mine,
                                                    memory_order_acq_rel, memory_order_acquire))
            wire = mine;
        else if (mine != &not_worth_it)
            free(mine);
    }
    return wire == &not_worth_it ? plain : (struct str){(const char *)wire->bytes, wire->n};
}

struct ws_frame *ws_frame_narrow(struct ws_frame *frame, unsigned window_bits,
                                 struct ws_shard *shard)
{
    struct str payload = payload_of(frame);
    if (payload.n < WS_DEFLATE_MIN_BYTES)
        return ws_frame_ref(frame);
    struct strbuf *body = ws_shard_scratch(shard);
    strbuf_clear(body);
    ws_deflate(shard, window_bits, payload, body);
    struct ws_frame *narrow = body->n < payload.n
                                  ? frame_create(frame->opcode, WS_WIRE_DEFLATED, strbuf_str(body))
                                  : ws_frame_ref(frame);
    strbuf_deinit(body);
    return narrow;
}
