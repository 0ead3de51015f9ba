/*
 * ws_multicast: one frame to many sockets on whatever loops. What crosses to a loop is one post
 * with the list of its sockets, not one post for each of them: at five thousand receivers the posts
 * would cost more than the sending. Posts keep their order, so a socket sees what one thread sends
 * it, singly or to many, in that order.
 */
#include <assert.h>
#include <stdlib.h>

#include "core/mem.h"
#include "net/ws_internal.h"

/* Beyond (many loops, several servers) it takes another round over the tickets. */
#define SHARDS_AT_ONCE 16
#define LOOK_AHEAD 4 /* sockets */

struct delivery {
    struct ws_frame *frame;
    unsigned flags;
    size_t count;
    struct net_ticket tickets[]; /* all of one shard */
};

/* Thousands of sockets are more than a cache holds: what is needed soon is asked for early. */
static void look_ahead(const struct shard *shard, const struct delivery *d, size_t i)
{
    uint32_t slot =
        i + 2 * LOOK_AHEAD < d->count ? d->tickets[i + 2 * LOOK_AHEAD].slot : UINT32_MAX;
    const struct conn *later = slot < shard->slot_count ? shard->slots[slot] : NULL;
    if (later) {
        __builtin_prefetch(&later->stream.out_head);
        __builtin_prefetch(&later->generation);
    }
    struct conn *next =
        i + LOOK_AHEAD < d->count ? shard_conn(shard, d->tickets[i + LOOK_AHEAD]) : NULL;
    if (next)
        __builtin_prefetch(next->ws);
}

static void deliver(void *arg)
{
    struct delivery *d = arg;
    struct shard *shard = shard_find(d->tickets[0].shard);
    if (shard)
        LOOP_ASSERT(shard->loop);
    for (size_t i = 0; shard && i < d->count; i++) {
        look_ahead(shard, d, i);
        struct conn *conn = shard_conn(shard, d->tickets[i]);
        if (conn && conn->ws && !conn->stream.is_closing)
            (void)!ws_send_frame(conn->ws, d->frame, d->flags);
    }
    ws_frame_unref(&d->frame);
    free(d);
}

struct share {
    uint32_t shard;
    size_t count;
    struct delivery *delivery;
};

/* NULL: this round takes no more shards. */
static struct share *share_of(struct share *shares, size_t *share_count, uint32_t shard)
{
    for (size_t i = 0; i < *share_count; i++)
        if (shares[i].shard == shard)
            return &shares[i];
    if (*share_count == SHARDS_AT_ONCE)
        return NULL;
    shares[*share_count] = (struct share){.shard = shard};
    return &shares[(*share_count)++];
}

/* Sends to the first shards that it meets; what is for others moves to the front of `tickets`.
 * Returns how many those are. */
static size_t send_round(struct ws_frame *frame, struct net_ticket *tickets, size_t count,
                         unsigned flags)
{
    struct share shares[SHARDS_AT_ONCE];
    size_t share_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct share *share = share_of(shares, &share_count, tickets[i].shard);
        if (share)
            share->count++;
    }
    for (size_t i = 0; i < share_count; i++) {
        struct delivery *d = mem_alloc(sizeof(*d) + shares[i].count * sizeof(struct net_ticket));
        *d = (struct delivery){.frame = ws_frame_ref(frame), .flags = flags};
        shares[i].delivery = d;
    }
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        struct share *share = share_of(shares, &share_count, tickets[i].shard);
        if (share)
            share->delivery->tickets[share->delivery->count++] = tickets[i];
        else
            tickets[left++] = tickets[i];
    }
    for (size_t i = 0; i < share_count; i++)
        net_ticket_post(shares[i].delivery->tickets[0], deliver, shares[i].delivery);
    return left;
}

void ws_multicast(struct ws_frame *frame, struct net_ticket *tickets, size_t count, unsigned flags)
{
    while (count > 0)
        count = send_round(frame, tickets, count, flags);
}
