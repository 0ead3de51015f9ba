/*
 * ws_multicast: one frame to many sockets on whatever loops. What crosses to a loop is one post
 * with the list of its sockets, not one post for each of them: at five thousand receivers the posts
 * would cost more than the sending.
 *
 * A delivery waits on its loop until the turn in which it came is over. Deliveries to the same
 * sockets that came meanwhile (a busy room) leave together, in one system call a socket. A socket
 * still sees everything in the order in which one thread sent it: whatever is sent to a socket
 * singly lets the waiting deliveries go first (ws_keep_order). Those to very many sockets go in
 * slices (ws_slices.c).
 */
#include <assert.h>
#include <stdlib.h>

#include "core/mem.h"
#include "net/ws_internal.h"

/* Beyond (many loops, several servers) it takes another round over the tickets. */
#define SHARDS_AT_ONCE 16
#define LOOK_AHEAD 4 /* sockets */

struct ws_delivery {
    struct ws_delivery *next;
    struct ws_frame *frame;
    unsigned flags;
    size_t count;
    struct net_ticket tickets[]; /* all of one shard */
};

static void delivery_free(struct ws_delivery *d)
{
    ws_frame_unref(&d->frame);
    free(d);
}

/* ---- on the loop ---- */

/* Thousands of sockets are more than a cache holds: what is needed soon is asked for early. */
static void look_ahead(const struct shard *shard, const struct ws_delivery *d, size_t i)
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

static void send_together(const struct shard *shard, const struct ws_delivery *d,
                          struct ws_frame *const *frames, int count)
{
    for (size_t i = 0; i < d->count; i++) {
        look_ahead(shard, d, i);
        struct conn *conn = shard_conn(shard, d->tickets[i]);
        if (!conn || !conn->ws || conn->stream.is_closing)
            continue;
        if (unlikely(shard->slices != NULL))
            ws_slices_serve(conn->ws);
        ws_send_frames(conn->ws, frames, count, d->flags);
    }
}

static bool is_alike(const struct ws_delivery *a, const struct ws_delivery *b)
{
    return a->count == b->count && a->flags == b->flags &&
           memcmp(a->tickets, b->tickets, a->count * sizeof(a->tickets[0])) == 0;
}

void ws_multicast_flush(struct shard *shard)
{
    struct ws_delivery *d = shard->deliveries;
    shard->deliveries = shard->deliveries_last = NULL;
    while (d) {
        struct ws_frame *frames[WS_FRAMES_AT_ONCE] = {d->frame};
        const struct ws_delivery *first = d;
        struct ws_delivery *after = d->next;
        int count = 1;
        for (; after && count < WS_FRAMES_AT_ONCE && is_alike(first, after); after = after->next)
            frames[count++] = after->frame;
        send_together(shard, first, frames, count);
        while (d != after) {
            struct ws_delivery *done = d;
            d = d->next;
            delivery_free(done);
        }
    }
}

void ws_multicast_drop(struct shard *shard)
{
    while (shard->deliveries) {
        struct ws_delivery *d = shard->deliveries;
        shard->deliveries = d->next;
        delivery_free(d);
    }
    ws_slices_drop(shard);
}

static void on_turn(void *arg)
{
    struct shard *shard = arg;
    ws_multicast_flush(shard);
    if (ws_slices_turn(shard))
        stream_io_next_turn(shard->io, on_turn, shard);
}

static void on_delivery(void *arg)
{
    struct ws_delivery *d = arg;
    struct shard *shard = shard_find(d->tickets[0].shard);
    if (!shard) {
        delivery_free(d);
        return;
    }
    LOOP_ASSERT(shard->loop);
    if (unlikely(d->count > ws_slice_sockets)) {
        ws_multicast_flush(shard); /* that came before */
        ws_slices_add(shard, d->frame, d->tickets, d->count, d->flags);
        delivery_free(d);
    } else {
        if (shard->deliveries_last)
            shard->deliveries_last->next = d;
        else
            shard->deliveries = d;
        shard->deliveries_last = d;
    }
    stream_io_next_turn(shard->io, on_turn, shard);
}

/* ---- on any thread ---- */

struct share {
    uint32_t shard;
    size_t count;
    struct ws_delivery *delivery;
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
        struct ws_delivery *d = mem_alloc(sizeof(*d) + shares[i].count * sizeof(struct net_ticket));
        *d = (struct ws_delivery){.frame = ws_frame_ref(frame), .flags = flags};
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
        net_ticket_post(shares[i].delivery->tickets[0], on_delivery, shares[i].delivery);
    return left;
}

void ws_multicast(struct ws_frame *frame, struct net_ticket *tickets, size_t count, unsigned flags)
{
    while (count > 0)
        count = send_round(frame, tickets, count, flags);
}
