/*
 * worker_forward: the end of a batch. What tracks received goes to the mirrors on other workers,
 * then to the subscribers here: gathered per subscriber first, so that everything for one address
 * stands together and can be sent together.
 */
#include <assert.h>

#include "sfu/peer.h"
#include "sfu/consumer.h"
#include "sfu/worker.h"

/* ---- the cache ---- */

static inline const struct consumer *after(const struct list *head, const struct consumer *c)
{
    const struct list *next = c ? c->in_track.next : head;
    return next == head ? NULL : LIST_ENTRY(next, const struct consumer, in_track);
}

static inline void fetch(const void *p, size_t n)
{
    for (size_t at = 0; at < n; at += 64)
        __builtin_prefetch((const char *)p + at, 1);
}

/*
 * A subscriber's memory is cold: all others were served since. So while one is served, the next
 * ones' is fetched, a pointer further down at each turn: consumer, peer, SRTP context, keys. Only
 * what the turn before has fetched is read here.
 */
static inline void look_ahead(const struct list *head, const struct consumer *c)
{
    const struct consumer *next[4];
    for (unsigned i = 0; i < ARRAY_LEN(next); i++)
        next[i] = c = after(head, c);
    if (next[0] && next[0]->peer->tx)
        sfu_srtp_tx_fetch_keys(next[0]->peer->tx);
    if (next[1] && next[1]->peer->tx)
        sfu_srtp_tx_fetch(next[1]->peer->tx);
    if (next[2])
        fetch(next[2]->peer, sizeof(*next[2]->peer));
    if (next[3])
        fetch(next[3], offsetof(struct consumer, rate));
}

/* ---- a batch ---- */

static void gather(struct sfu_worker *w, struct track *t)
{
    LIST_FOREACH(&t->consumers, node)
    {
        struct consumer *c = LIST_ENTRY(node, struct consumer, in_track);
        if (!list_is_linked(&c->dirty))
            list_add_tail(&c->peer->dirty_consumers, &c->dirty);
        if (!list_is_linked(&c->peer->dirty))
            list_add_tail(&w->dirty_peers, &c->peer->dirty);
    }
}

static void forward_peer(struct peer *p)
{
    LIST_FOREACH(&p->dirty_consumers, node)
    {
        list_remove(node);
        consumer_forward(LIST_ENTRY(node, struct consumer, dirty));
    }
}

static void relay(struct track *t)
{
    for (unsigned i = 0; t->mirror_count && i < t->info.layer_count; i++)
        track_relay(t, t->layers[i]);
}

static void clear(struct track *t)
{
    for (unsigned i = 0; i < t->info.layer_count; i++)
        layer_clear_batch(t->layers[i]);
}

HOT void sfu_worker_forward(struct sfu_worker *w)
{
    struct list *tracks = &w->dirty_tracks;
    if (list_is_empty(tracks) && list_is_empty(&w->dirty_peers))
        return;
    /* One track, nothing else pending: its consumers are the order already. */
    bool is_single =
        !list_is_empty(tracks) && tracks->next->next == tracks && list_is_empty(&w->dirty_peers);
    LIST_FOREACH(tracks, node)
    {
        struct track *t = LIST_ENTRY(node, struct track, dirty);
        relay(t);
        if (!is_single)
            gather(w, t);
    }
    if (is_single) {
        struct track *t = LIST_ENTRY(tracks->next, struct track, dirty);
        LIST_FOREACH(&t->consumers, node)
        {
            struct consumer *c = LIST_ENTRY(node, struct consumer, in_track);
            look_ahead(&t->consumers, c);
            consumer_forward(c);
        }
    }
    LIST_FOREACH(&w->dirty_peers, node)
    {
        list_remove(node);
        forward_peer(LIST_ENTRY(node, struct peer, dirty));
    }
    LIST_FOREACH(tracks, node)
    {
        list_remove(node);
        clear(LIST_ENTRY(node, struct track, dirty));
    }
}

void sfu_worker_take_media(struct sfu_worker *w, const struct ring_media *m, uint32_t n)
{
    struct track *t = m->mirror && m->mirror < w->mirrors_capacity ? w->mirrors[m->mirror] : NULL;
    assert(n >= sizeof(*m) + m->n && m->n <= MEDIA_MAX_BYTES);
    if (!t || t->peer_id != m->peer || t->number != m->number || !t->is_known ||
        m->layer >= t->info.layer_count || track_is_silenced(t))
        return; /* what it was meant for has ended */
    struct layer *l = t->layers[m->layer];
    if (layer_batch_is_full(l))
        sfu_worker_forward(w);
    struct buf *b = buf_get(w->pool);
    if (!b) {
        sfu_count(w, SFU_COUNTER_DROP_POOL, 1);
        return;
    }
    b->offset = MEDIA_HEADROOM;
    b->n = m->n;
    *media_of(b) = m->media;
    memcpy(buf_bytes(b), m->bytes, m->n);
    if (l->generation != m->generation) {
        l->generation = m->generation;
        l->keyframe_us = 0;
        keyframe_source_began(&l->keyframe);
    }
    l->highest = MAX(l->highest, m->media.seq);
    if (layer_keep(l, b)) {
        l->stats.packets++;
        l->stats.bytes += m->n;
        track_note_packet(t, l);
    }
    buf_unref(&b);
}
