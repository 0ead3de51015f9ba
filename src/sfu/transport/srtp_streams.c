/*
 * srtp_streams: roll-over counter and replay window of each SSRC (RFC 3711 sections 3.3.1, 3.3.2),
 * in a table that outsiders cannot aim at: the hash is multiplied by a random odd number per table.
 */
#include "sfu/transport/srtp_internal.h"

#include <stdlib.h>
#include <string.h>

#include "core/id.h"
#include "core/mem.h"

#define HALF 0x8000

uint64_t srtp_stream_index(const struct srtp_stream *s, uint16_t seq)
{
    if (!s->has_rtp)
        return seq;
    uint64_t cycles = s->highest & ~(uint64_t)0xffff;
    int distance = (int)seq - (int)(s->highest & 0xffff);
    if (distance < -HALF)
        return (cycles + 0x10000) | seq;
    if (distance > HALF && cycles)
        return (cycles - 0x10000) | seq;
    return cycles | seq;
}

static inline bool test_bit(const uint64_t *words, size_t bits, uint64_t i)
{
    return words[i % bits / 64] >> (i % 64) & 1;
}

/* Moves a window of `bits` up from `highest` to `index`, forgetting what falls out, or marks
 * `index` inside it. */
static inline void mark(uint64_t *words, size_t bits, uint64_t highest, uint64_t index)
{
    if (index > highest && index - highest >= bits)
        memset(words, 0, bits / 8);
    else
        for (uint64_t i = highest + 1; i <= index; i++)
            words[i % bits / 64] &= ~(1ull << (i % 64));
    words[index % bits / 64] |= 1ull << (index % 64);
}

bool srtp_stream_is_new(const struct srtp_stream *s, uint64_t index)
{
    if (!s->has_rtp || index > s->highest)
        return true;
    return s->highest - index < SRTP_WINDOW && !test_bit(s->window, SRTP_WINDOW, index);
}

void srtp_stream_accept(struct srtp_stream *s, uint64_t index)
{
    mark(s->window, SRTP_WINDOW, s->has_rtp ? s->highest : index, index);
    if (!s->has_rtp || index > s->highest)
        s->highest = index;
    s->has_rtp = true;
}

bool srtp_stream_is_new_rtcp(const struct srtp_stream *s, uint32_t index)
{
    if (!s->has_rtcp || index > s->rtcp_highest)
        return true;
    return s->rtcp_highest - index < SRTCP_WINDOW && !test_bit(s->rtcp_window, SRTCP_WINDOW, index);
}

void srtp_stream_accept_rtcp(struct srtp_stream *s, uint32_t index)
{
    mark(s->rtcp_window, SRTCP_WINDOW, s->has_rtcp ? s->rtcp_highest : index, index);
    if (!s->has_rtcp || index > s->rtcp_highest)
        s->rtcp_highest = index;
    s->has_rtcp = true;
}

/* ---- the table ---- */

void srtp_streams_init(struct srtp_streams *t, size_t max)
{
    *t = (struct srtp_streams){.max = max};
    id_random(&t->multiplier, sizeof(t->multiplier));
    t->multiplier |= 1;
}

void srtp_streams_deinit(struct srtp_streams *t)
{
    for (size_t i = 0; t->bits && i < (size_t)1 << t->bits; i++)
        free(t->slots[i]);
    free(t->slots);
    *t = (struct srtp_streams){0};
}

static inline size_t home_of(const struct srtp_streams *t, uint32_t ssrc)
{
    return (size_t)((ssrc * t->multiplier) >> (64 - t->bits));
}

struct srtp_stream *srtp_streams_find(struct srtp_streams *t, uint32_t ssrc)
{
    if (likely(t->last && t->last->ssrc == ssrc))
        return t->last;
    if (!t->bits)
        return NULL;
    size_t mask = ((size_t)1 << t->bits) - 1;
    for (size_t i = home_of(t, ssrc); t->slots[i]; i = (i + 1) & mask)
        if (t->slots[i]->ssrc == ssrc)
            return t->last = t->slots[i];
    return NULL;
}

static void place(struct srtp_streams *t, struct srtp_stream *stream)
{
    size_t mask = ((size_t)1 << t->bits) - 1;
    size_t i = home_of(t, stream->ssrc);
    while (t->slots[i])
        i = (i + 1) & mask;
    t->slots[i] = stream;
}

static void grow(struct srtp_streams *t)
{
    struct srtp_stream **old = t->slots;
    size_t old_count = t->bits ? (size_t)1 << t->bits : 0;
    t->bits = t->bits ? t->bits + 1 : 3;
    t->slots = mem_calloc((size_t)1 << t->bits, sizeof(struct srtp_stream *));
    for (size_t i = 0; i < old_count; i++)
        if (old[i])
            place(t, old[i]);
    free(old);
}

struct srtp_stream *srtp_streams_add(struct srtp_streams *t, const struct srtp_stream *stream)
{
    if (!t->bits || (t->count + 1) * 4 > ((size_t)3 << t->bits))
        grow(t);
    struct srtp_stream *copy = mem_dup(stream, sizeof(*stream));
    place(t, copy);
    t->count++;
    return t->last = copy;
}

void srtp_streams_remove(struct srtp_streams *t, uint32_t ssrc)
{
    struct srtp_stream *gone = srtp_streams_find(t, ssrc);
    if (!gone)
        return;
    size_t mask = ((size_t)1 << t->bits) - 1;
    size_t hole = home_of(t, ssrc);
    while (t->slots[hole] != gone)
        hole = (hole + 1) & mask;
    /* Close the gap: move up whoever would no longer be found across it. */
    for (size_t i = (hole + 1) & mask; t->slots[i]; i = (i + 1) & mask) {
        size_t from_home = (i - home_of(t, t->slots[i]->ssrc)) & mask;
        if (from_home >= ((i - hole) & mask)) {
            t->slots[hole] = t->slots[i];
            hole = i;
        }
    }
    t->slots[hole] = NULL;
    t->count--;
    t->last = NULL;
    free(gone);
}
