/*
 * nack: a sorted array of missing packets. First asked for after a short wait for reordered ones,
 * then again each round trip and a half, not sooner than 40 ms, until it came, was asked for ten
 * times, or would be of no use any more.
 */
#include "sfu/route/nack.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

void nack_list_deinit(struct nack_list *n)
{
    free(n->missing);
    *n = (struct nack_list){0};
}

void nack_list_clear(struct nack_list *n)
{
    n->given_up += n->count;
    n->count = 0;
}

bool nack_list_gap(struct nack_list *n, int64_t from, int64_t to, int64_t now_us)
{
    if (to - from > NACK_MAX_MISSING - (int64_t)n->count) {
        nack_list_clear(n);
        n->given_up += (uint64_t)MAX(to - from, 0);
        return false;
    }
    if (!n->missing)
        n->missing = mem_calloc(NACK_MAX_MISSING, sizeof(struct nack_missing));
    unsigned gap = (unsigned)MAX(to - from, 0);
    unsigned at = n->count && from < n->missing[0].seq ? 0 : n->count;
    memmove(&n->missing[at + gap], &n->missing[at], (n->count - at) * sizeof(n->missing[0]));
    for (unsigned i = 0; i < gap; i++)
        n->missing[at + i] = (struct nack_missing){
            .seq = from + i, .since_us = now_us, .due_us = now_us + NACK_REORDER_US};
    n->count += gap;
    return true;
}

static void remove_at(struct nack_list *n, unsigned i)
{
    n->count--;
    memmove(&n->missing[i], &n->missing[i + 1], (n->count - i) * sizeof(n->missing[0]));
}

bool nack_list_got(struct nack_list *n, int64_t seq, int64_t now_us, int64_t *round_trip_us)
{
    *round_trip_us = 0;
    if (n->count == 0 || seq < n->missing[0].seq || seq > n->missing[n->count - 1].seq)
        return false;
    for (unsigned i = 0; i < n->count; i++) {
        if (n->missing[i].seq != seq)
            continue;
        if (n->missing[i].tries == 1)
            *round_trip_us = now_us - n->missing[i].sent_us;
        remove_at(n, i);
        return true;
    }
    return false;
}

size_t nack_list_due(struct nack_list *n, int64_t now_us, int64_t round_trip_us, uint16_t *seqs,
                     size_t max)
{
    size_t count = 0;
    int64_t interval_us = MAX(round_trip_us * 3 / 2, NACK_INTERVAL_US);
    unsigned kept = 0;
    for (unsigned i = 0; i < n->count; i++) {
        struct nack_missing m = n->missing[i];
        bool is_due = m.due_us <= now_us;
        if (is_due && (m.tries >= NACK_MAX_TRIES || now_us - m.since_us > NACK_MAX_AGE_US)) {
            n->given_up++;
            continue;
        }
        if (is_due && count < max) {
            seqs[count++] = (uint16_t)m.seq;
            m.tries++;
            m.sent_us = now_us;
            m.due_us = now_us + interval_us;
        }
        n->missing[kept++] = m;
    }
    n->count = kept;
    n->asked += count;
    return count;
}

int64_t nack_list_deadline_us(const struct nack_list *n)
{
    int64_t due_us = INT64_MAX;
    for (unsigned i = 0; i < n->count; i++)
        due_us = MIN(due_us, n->missing[i].due_us);
    return due_us;
}
