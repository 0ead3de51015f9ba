/*
 * worker: one thread's packets. A datagram is looked up by its source: ours goes to its peer,
 * another worker's goes over the ring, a stranger's is heard only if it is a STUN check for a peer
 * that is expected. At the end of a batch everything that came is forwarded, subscriber by
 * subscriber, and sent.
 */
#include "sfu/worker.h"

#include <stdlib.h>

#include "core/id.h"
#include "core/mem.h"
#include "sfu/peer.h"
#include "sfu/consumer.h"

/* ---- life ---- */

struct sfu_worker *sfu_worker_create(struct sfu *sfu, unsigned index,
                                     const struct sfu_worker_io *io)
{
    struct sfu_worker *w = mem_new(struct sfu_worker);
    w->sfu = sfu;
    w->index = index;
    w->io = *io;
    w->random = sfu->opt.seed + 0x9e3779b97f4a7c15ull * (index + 1);
    outgoing_init(&w->out, io->on_send, io->arg, &w->counters);
    w->pool = buf_pool_create(sfu->opt.max_bufs_per_worker);
    w->peers = mem_calloc(sfu->opt.max_peers + 1, sizeof(struct peer *));
    w->tracks = map_create();
    w->rooms = map64_create();
    w->scratch = consumer_scratch_create();
    list_init(&w->track_list);
    list_init(&w->dirty_tracks);
    list_init(&w->dirty_peers);
    atomic_store(&w->is_armed, true);
    return w;
}

/* Nobody is told anything any more: first what sends, then what is left. */
void sfu_worker_destroy(struct sfu_worker **worker)
{
    struct sfu_worker *w = *worker;
    *worker = NULL;
    if (!w)
        return;
    for (size_t i = 0; i <= w->sfu->opt.max_peers; i++)
        peer_destroy(&w->peers[i]);
    LIST_FOREACH(&w->track_list, node)
    {
        struct track *t = LIST_ENTRY(node, struct track, in_worker);
        track_destroy(&t);
    }
    for (struct mail *m = inbox_take(&w->inbox), *next; m; m = next) {
        next = m->next;
        mail_destroy(&m);
    }
    size_t at = 0;
    void *room;
    uint64_t key;
    while (map64_next(w->rooms, &at, &key, &room))
        speakers_destroy((struct speakers **)&room);
    map64_destroy(&w->rooms);
    map_destroy(&w->tracks);
    tuples_deinit(&w->tuples);
    deadlines_deinit(&w->deadlines);
    outgoing_deinit(&w->out);
    buf_pool_destroy(&w->pool);
    free(w->scratch);
    free(w->mirrors);
    free(w->peers);
    free(w);
}

/* ---- small services ---- */

void sfu_emit(struct sfu_worker *w, const struct sfu_event *event)
{
    if (w->io.on_event && !w->sfu->is_closing)
        w->io.on_event(w->io.arg, event);
}

uint32_t sfu_random_u32(struct sfu_worker *w)
{
    /* splitmix64 */
    uint64_t z = (w->random += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return (uint32_t)(z >> 32);
}

static void wake(struct sfu_worker *w)
{
    if (atomic_exchange(&w->is_armed, false) && w->io.on_wake)
        w->io.on_wake(w->io.arg);
}

void sfu_mail_worker(struct sfu *sfu, unsigned to, struct mail *mail)
{
    if (sfu->is_closing) {
        mail_destroy(&mail);
        return;
    }
    inbox_push(&sfu->workers[to]->inbox, mail);
    wake(sfu->workers[to]);
}

enum err sfu_mail_peer(struct sfu *sfu, struct mail *mail)
{
    return directory_post(sfu->directory, &mail);
}

void sfu_mail_others(struct sfu_worker *w, enum mail_type type, sfu_peer_id peer,
                     const struct sfu_address *address)
{
    for (unsigned i = 0; i < w->sfu->opt.worker_count; i++) {
        if (i == w->index)
            continue;
        struct mail *m = mail_create(type, peer, 0);
        m->from = w->index;
        m->address = *address;
        sfu_mail_worker(w->sfu, i, m);
    }
}

/* ---- rings ---- */

static _Atomic(struct ring *) *ring_between(struct sfu *sfu, unsigned from, unsigned to)
{
    return &sfu->rings[(size_t)from * sfu->opt.worker_count + to];
}

void *sfu_ring_write(struct sfu_worker *w, unsigned to, uint32_t n)
{
    _Atomic(struct ring *) *place = ring_between(w->sfu, w->index, to);
    struct ring *r = atomic_load_explicit(place, memory_order_relaxed);
    if (unlikely(!r)) {
        r = ring_create(w->sfu->opt.ring_bytes);
        atomic_store_explicit(place, r, memory_order_release);
    }
    w->rings_written |= 1ull << to;
    return ring_write(r, n);
}

static void publish_rings(struct sfu_worker *w)
{
    for (; w->rings_written; w->rings_written &= w->rings_written - 1) {
        unsigned to = (unsigned)__builtin_ctzll(w->rings_written);
        if (ring_publish(
                atomic_load_explicit(ring_between(w->sfu, w->index, to), memory_order_relaxed)))
            wake(w->sfu->workers[to]);
    }
}

/* ---- one datagram ---- */

static void to_peer(struct sfu_worker *w, struct peer *p, const uint8_t *bytes, size_t n,
                    const struct sfu_address *from, unsigned from_worker)
{
    struct stun_message stun;
    p->packets_in++;
    p->bytes_in += n;
    switch (sfu_demux(bytes, n)) {
    case SFU_DATAGRAM_STUN:
        if (stun_parse(&stun, bytes, n))
            sfu_count(w, SFU_COUNTER_DROP_STUN_MALFORMED, 1);
        else
            peer_on_stun(p, &stun, from, from_worker);
        return;
    case SFU_DATAGRAM_DTLS:
        peer_on_dtls(p, bytes, n);
        return;
    case SFU_DATAGRAM_RTP:
    case SFU_DATAGRAM_RTCP: {
        struct buf *b = buf_get(w->pool);
        if (unlikely(!b)) {
            sfu_count(w, SFU_COUNTER_DROP_POOL, 1);
            return;
        }
        b->offset = MEDIA_HEADROOM;
        b->n = (uint16_t)n;
        memcpy(buf_bytes(b), bytes, n);
        peer_on_media(p, b);
        return;
    }
    case SFU_DATAGRAM_UNKNOWN:
        sfu_count(w, SFU_COUNTER_DROP_UNKNOWN, 1);
    }
}

static void hand_over(struct sfu_worker *w, unsigned to, sfu_peer_id peer, const uint8_t *bytes,
                      size_t n, const struct sfu_address *from)
{
    struct ring_datagram *out = sfu_ring_write(w, to, (uint32_t)(sizeof(*out) + n));
    if (!out) {
        sfu_count(w, SFU_COUNTER_DROP_RING, 1);
        return;
    }
    out->type = RING_DATAGRAM;
    out->n = (uint32_t)n;
    out->peer = peer;
    out->from = *from;
    out->from_worker = w->index;
    memcpy(out->bytes, bytes, n);
    sfu_count(w, SFU_COUNTER_HANDED_OVER, 1);
}

/* A first check with the right password: the peer becomes ours. */
static void claim(struct sfu_worker *w, sfu_peer_id id, struct str ufrag,
                  const struct stun_message *m, const struct sfu_address *from)
{
    char pwd[SFU_PWD_SIZE];
    struct announcement a;
    struct peer *p = NULL;
    bool is_authentic = directory_password(w->sfu->directory, id, ufrag, pwd) &&
                        m->class == STUN_REQUEST && stun_is_authentic(m, str_from(pwd));
    explicit_bzero(pwd, sizeof(pwd));
    if (!is_authentic) {
        sfu_count(w, SFU_COUNTER_DROP_STUN_REFUSED, 1);
        return;
    }
    if (atomic_load(&w->peer_count) >= w->sfu->opt.max_peers_per_worker) {
        sfu_count(w, SFU_COUNTER_DROP_LIMIT, 1);
        return;
    }
    if (!directory_claim(w->sfu->directory, id, w->index, &a))
        return; /* another worker was faster: the next check finds it there */
    w->has_claimed = true;
    if (peer_create(&p, w, id, &a)) {
        sfu_count(w, SFU_COUNTER_DROP_LIMIT, 1);
        directory_release(w->sfu->directory, id);
    } else {
        p->packets_in++;
        p->bytes_in += m->n;
        peer_on_stun(p, m, from, w->index);
    }
    explicit_bzero(&a, sizeof(a));
}

/* From an address that nobody vouched for: a STUN check for one of our ufrags, or silence. */
static void from_stranger(struct sfu_worker *w, const uint8_t *bytes, size_t n,
                          const struct sfu_address *from)
{
    struct stun_message m;
    struct str local, remote;
    sfu_peer_id id;
    unsigned owner;
    if (sfu_demux(bytes, n) != SFU_DATAGRAM_STUN) {
        sfu_count(w, SFU_COUNTER_DROP_UNKNOWN, 1);
        return;
    }
    if (stun_parse(&m, bytes, n)) {
        sfu_count(w, SFU_COUNTER_DROP_STUN_MALFORMED, 1);
        return;
    }
    if (!stun_split_username(&m, &local, &remote) ||
        !directory_find(w->sfu->directory, local, &id, &owner)) {
        sfu_count(w, SFU_COUNTER_DROP_STUN_STRANGER, 1);
        return;
    }
    if (owner == DIRECTORY_NOBODY) {
        claim(w, id, local, &m, from);
    } else if (owner != w->index) {
        hand_over(w, owner, id, bytes, n, from);
    } else {
        struct peer *p = sfu_find_peer_at(w, id);
        if (p && p->id == id)
            to_peer(w, p, bytes, n, from, w->index);
    }
}

static void take_datagram(struct sfu_worker *w, const uint8_t *bytes, size_t n,
                          const struct sfu_address *from)
{
    sfu_count(w, SFU_COUNTER_RECEIVED, 1);
    sfu_count(w, SFU_COUNTER_RECEIVED_BYTES, n);
    if (unlikely(n > MEDIA_MAX_BYTES || n < 2)) {
        sfu_count(w, SFU_COUNTER_DROP_SIZE, 1);
        return;
    }
    const struct tuple *t = tuples_find(&w->tuples, from);
    if (unlikely(!t)) {
        from_stranger(w, bytes, n, from);
    } else if (unlikely(t->worker != w->index)) {
        hand_over(w, t->worker, t->peer, bytes, n, from);
    } else {
        struct peer *p = sfu_find_peer_at(w, t->peer);
        if (likely(p && p->id == t->peer))
            to_peer(w, p, bytes, n, from, w->index);
    }
}

/* ---- batches ---- */

static void finish(struct sfu_worker *w)
{
    sfu_worker_forward(w);
    outgoing_flush(&w->out);
    publish_rings(w);
    atomic_store_explicit(&w->pool_used, buf_pool_used(w->pool), memory_order_relaxed);
}

HOT void sfu_worker_receive(struct sfu_worker *w, const struct sfu_received *batch, size_t count,
                            int64_t now_us)
{
    w->now_us = now_us;
    for (size_t i = 0; i < count; i++) {
        const struct sfu_received *r = &batch[i];
        size_t segment = r->segment_bytes ? r->segment_bytes : r->n;
        for (size_t at = 0; at < r->n; at += segment)
            take_datagram(w, r->bytes + at, MIN(segment, r->n - at), &r->from);
    }
    if (unlikely(w->has_claimed)) {
        w->has_claimed = false;
        sfu_worker_forward(w); /* mail must find no batch in the air */
        sfu_worker_read_mail(w);
    }
    finish(w);
}

static void read_ring(struct sfu_worker *w, struct ring *r, uint64_t head)
{
    const void *message;
    uint32_t n;
    while ((message = ring_read(r, head, &n))) {
        const struct ring_datagram *d = message;
        if (d->type == RING_MEDIA) {
            sfu_worker_take_media(w, message, n);
            continue;
        }
        struct peer *p = sfu_find_peer_at(w, d->peer);
        if (p && p->id == d->peer)
            to_peer(w, p, d->bytes, d->n, &d->from, d->from_worker);
    }
    ring_release(r);
}

static void tick_tracks(struct sfu_worker *w)
{
    if (w->now_us < w->next_track_tick_us)
        return;
    w->next_track_tick_us = w->now_us + TRACK_TICK_US;
    LIST_FOREACH(&w->track_list, node)
    track_tick(LIST_ENTRY(node, struct track, in_worker));
}

static int64_t next_deadline_us(const struct sfu_worker *w)
{
    int64_t due_us = INT64_MAX;
    const struct deadline *first = deadlines_first(&w->deadlines);
    if (first)
        due_us = first->due_us;
    if (!list_is_empty(&w->track_list))
        due_us = MIN(due_us, w->next_track_tick_us);
    if (map64_count(w->rooms))
        due_us = MIN(due_us, w->next_speakers_us);
    return due_us;
}

int64_t sfu_worker_poll(struct sfu_worker *w, int64_t now_us)
{
    unsigned count = w->sfu->opt.worker_count;
    uint64_t heads[SFU_MAX_WORKERS];
    struct ring *rings[SFU_MAX_WORKERS];
    w->now_us = now_us;
    /* Before looking: whatever is posted from here on wakes us again. */
    atomic_store(&w->is_armed, true);
    /* Heads before mail: what a packet in the ring relies on was posted before it. */
    for (unsigned i = 0; i < count; i++) {
        rings[i] = atomic_load_explicit(ring_between(w->sfu, i, w->index), memory_order_acquire);
        heads[i] = rings[i] ? ring_head(rings[i]) : 0;
    }
    sfu_worker_read_mail(w);
    for (unsigned i = 0; i < count; i++)
        if (rings[i])
            read_ring(w, rings[i], heads[i]);
    sfu_worker_forward(w);
    for (struct deadline *d; (d = deadlines_first(&w->deadlines)) && d->due_us <= now_us;)
        peer_tick(CONTAINER_OF(d, struct peer, deadline));
    tick_tracks(w);
    if (now_us >= w->next_speakers_us)
        sfu_worker_rank_speakers(w);
    finish(w);
    return next_deadline_us(w);
}

uint64_t sfu_worker_counter(const struct sfu_worker *w, enum sfu_counter counter)
{
    return atomic_load_explicit(&w->counters.values[counter], memory_order_relaxed);
}

size_t sfu_worker_peer_count(const struct sfu_worker *w)
{
    return atomic_load_explicit(&w->peer_count, memory_order_relaxed);
}

size_t sfu_worker_buf_count(const struct sfu_worker *w)
{
    return atomic_load_explicit(&w->pool_used, memory_order_relaxed);
}
