/*
 * outgoing: one arena that everything a worker sends is written into, and the list of messages over
 * it. Datagrams of equal size that follow one another to the same place become one message (UDP
 * GSO). When the arena or the list is full, and at the end of each batch, the list goes out.
 */
#pragma once

#include "sfu/counters.h"
#include "sfu/sfu.h"

#define OUTGOING_MESSAGES 64
#define OUTGOING_SEGMENTS 64   /* in one message: what UDP_SEGMENT takes */
#define OUTGOING_GSO_MAX 65000 /* bytes of one message */
#define OUTGOING_ARENA_BYTES (192 * 1024)
#define OUTGOING_DATAGRAM_MAX 2048

struct outgoing {
    sfu_send_fn *on_send;
    void *arg;
    struct counters *counters;
    uint8_t *arena;
    size_t used;
    size_t count;
    unsigned segments; /* of the last message */
    bool is_open;      /* the last message may take one more */
    struct sfu_send messages[OUTGOING_MESSAGES];
};

void outgoing_init(struct outgoing *o, sfu_send_fn *on_send, void *arg, struct counters *counters);
void outgoing_deinit(struct outgoing *o);
void outgoing_flush(struct outgoing *o);

/* Where the next datagram may be written, with OUTGOING_DATAGRAM_MAX bytes of room. */
static inline uint8_t *outgoing_reserve(struct outgoing *o)
{
    if (unlikely(o->used + OUTGOING_DATAGRAM_MAX > OUTGOING_ARENA_BYTES))
        outgoing_flush(o);
    return o->arena + o->used;
}
/* n bytes were written there. */
void outgoing_commit(struct outgoing *o, const struct sfu_address *to, size_t n);
/* A copy of a datagram from elsewhere. */
void outgoing_copy(struct outgoing *o, const struct sfu_address *to, const uint8_t *bytes,
                   size_t n);
