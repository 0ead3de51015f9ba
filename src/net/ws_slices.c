/*
 * ws_slices: a multicast to very many sockets of one loop. Sending to 200,000 at once would hold
 * the loop for half a second; so they are served in slices, a slice a turn, and everything else has
 * its turn between. What is sent to a socket meanwhile, singly or with few others, comes after the
 * frame that it waits for: that socket is served at once then (ws_slices_serve), found by its slot.
 */
#include <stdlib.h>

#include "core/mem.h"
#include "net/ws_internal.h"

size_t ws_slice_sockets = 8192;

struct ws_slices {
    struct ws_slices *next;
    struct ws_frame *frames[WS_FRAMES_AT_ONCE]; /* several to the very same sockets go together */
    int frame_count;
    unsigned flags;
    bool is_begun; /* somebody has been served: no frame can join any more */
    size_t at, count;
    uint32_t *places; /* by slot: number of its ticket, from 1; 0: not meant, or served */
    uint32_t slot_count;
    struct net_ticket tickets[];
};

static void slices_free(struct ws_slices **sp)
{
    struct ws_slices *s = *sp;
    *sp = NULL;
    for (int i = 0; i < s->frame_count; i++)
        ws_frame_unref(&s->frames[i]);
    free(s->places);
    free(s);
}

static bool can_join(const struct ws_slices *s, const struct net_ticket *tickets, size_t count,
                     unsigned flags)
{
    return s && !s->is_begun && s->frame_count < WS_FRAMES_AT_ONCE && s->count == count &&
           s->flags == flags && memcmp(s->tickets, tickets, count * sizeof(tickets[0])) == 0;
}

void ws_slices_add(struct shard *shard, struct ws_frame *frame, const struct net_ticket *tickets,
                   size_t count, unsigned flags)
{
    struct ws_slices *s = shard->slices_last;
    if (can_join(s, tickets, count, flags)) {
        s->frames[s->frame_count++] = ws_frame_ref(frame);
        return;
    }
    s = mem_alloc(sizeof(*s) + count * sizeof(s->tickets[0]));
    *s = (struct ws_slices){.frames = {ws_frame_ref(frame)},
                            .frame_count = 1,
                            .flags = flags,
                            .count = count,
                            .slot_count = shard->slot_count};
    s->places = mem_calloc(MAX(shard->slot_count, 1), sizeof(s->places[0]));
    memcpy(s->tickets, tickets, count * sizeof(tickets[0]));
    for (size_t i = 0; i < count; i++) {
        uint32_t *place = tickets[i].slot < s->slot_count ? &s->places[tickets[i].slot] : NULL;
        if (place && (!*place || shard_conn(shard, tickets[i]))) /* of two one is stale */
            *place = (uint32_t)i + 1;
    }
    if (shard->slices_last)
        shard->slices_last->next = s;
    else
        shard->slices = s;
    shard->slices_last = s;
}

static void serve(const struct shard *shard, struct ws_slices *s, struct net_ticket ticket)
{
    struct conn *conn = shard_conn(shard, ticket);
    s->is_begun = true;
    s->places[ticket.slot] = 0;
    if (conn && conn->ws && !conn->stream.is_closing)
        ws_send_frames(conn->ws, s->frames, s->frame_count, s->flags);
}

void ws_slices_serve(const struct ws *ws)
{
    const struct conn *conn = ws->conn;
    for (struct ws_slices *s = conn->shard->slices; s; s = s->next) {
        uint32_t place = conn->slot < s->slot_count ? s->places[conn->slot] : 0;
        if (place)
            serve(conn->shard, s, s->tickets[place - 1]);
    }
}

bool ws_slices_turn(struct shard *shard)
{
    struct ws_slices *s = shard->slices;
    size_t end = s ? MIN(s->count, s->at + ws_slice_sockets) : 0;
    for (; s && s->at < end; s->at++) {
        struct net_ticket ticket = s->tickets[s->at];
        if (ticket.slot < s->slot_count && s->places[ticket.slot] == s->at + 1)
            serve(shard, s, ticket);
    }
    if (s && s->at == s->count) {
        shard->slices = s->next;
        if (!shard->slices)
            shard->slices_last = NULL;
        slices_free(&s);
    }
    return shard->slices != NULL;
}

void ws_slices_drop(struct shard *shard)
{
    while (shard->slices) {
        struct ws_slices *s = shard->slices;
        shard->slices = s->next;
        slices_free(&s);
    }
    shard->slices_last = NULL;
}
