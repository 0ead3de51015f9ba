/*
 * outgoing: collecting datagrams into messages. A message takes datagrams as long as each is as
 * large as the first; a smaller one is taken too and closes it, since the kernel cuts a message
 * into equal pieces and only the last may be short.
 */
#include "sfu/outgoing.h"

#include <stdlib.h>

#include "core/mem.h"

void outgoing_init(struct outgoing *o, sfu_send_fn *on_send, void *arg, struct counters *counters)
{
    *o = (struct outgoing){
        .on_send = on_send,
        .arg = arg,
        .counters = counters,
        .arena = mem_alloc(OUTGOING_ARENA_BYTES),
    };
}

void outgoing_deinit(struct outgoing *o)
{
    free(o->arena);
    o->arena = NULL;
}

void outgoing_flush(struct outgoing *o)
{
    if (o->count) {
        o->on_send(o->arg, o->messages, o->count);
        counters_add(o->counters, SFU_COUNTER_SEND_MESSAGES, o->count);
        counters_add(o->counters, SFU_COUNTER_SEND_BATCHES, 1);
        counters_add(o->counters, SFU_COUNTER_SENT_BYTES, o->used);
    }
    o->count = 0;
    o->used = 0;
    o->is_open = false;
}

static inline bool can_join(const struct outgoing *o, const struct sfu_address *to, size_t n)
{
    const struct sfu_send *last = &o->messages[o->count - 1];
    return n <= last->segment_bytes && o->segments < OUTGOING_SEGMENTS &&
           last->n + n <= OUTGOING_GSO_MAX && sfu_address_eq(&last->to, to);
}

HOT void outgoing_commit(struct outgoing *o, const struct sfu_address *to, size_t n)
{
    counters_add(o->counters, SFU_COUNTER_SENT, 1);
    if (o->is_open && can_join(o, to, n)) {
        struct sfu_send *last = &o->messages[o->count - 1];
        last->n += (uint32_t)n;
        o->segments++;
        o->is_open = n == last->segment_bytes;
        o->used += n;
        return;
    }
    uint8_t *at = o->arena + o->used;
    o->messages[o->count++] = (struct sfu_send){
        .to = *to,
        .bytes = at,
        .n = (uint32_t)n,
        .segment_bytes = (uint16_t)n,
    };
    o->segments = 1;
    o->is_open = true;
    o->used += n;
    if (o->count == OUTGOING_MESSAGES) {
        /* The 64th message might still grow, but then it would have to wait for a 65th. */
        outgoing_flush(o);
    }
}

void outgoing_copy(struct outgoing *o, const struct sfu_address *to, const uint8_t *bytes, size_t n)
{
    if (n > OUTGOING_DATAGRAM_MAX)
        return;
    memcpy(outgoing_reserve(o), bytes, n);
    outgoing_commit(o, to, n);
}
