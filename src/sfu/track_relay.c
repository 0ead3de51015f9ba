/*
 * track_relay: packets of a track to the workers that mirror it: one copy per worker, however many
 * subscribers it has. What the ring does not take is noted and tried again from the history.
 */
#include "core/mem.h"
#include "sfu/track.h"

#define RELAY_RECENT_US 100000

static bool write_media(struct track *t, const struct mirror *m, const struct layer *l,
                        struct buf *b)
{
    struct ring_media *out = sfu_ring_write(t->worker, m->worker, (uint32_t)(sizeof(*out) + b->n));
    if (!out)
        return false;
    out->type = RING_MEDIA;
    out->mirror = m->handle;
    out->peer = t->peer_id;
    out->number = t->number;
    out->generation = l->generation;
    out->n = b->n;
    out->layer = l->index;
    out->media = *media_of(b);
    memcpy(out->bytes, buf_bytes(b), b->n);
    sfu_count(t->worker, SFU_COUNTER_RELAYED, 1);
    return true;
}

static void send_or_note(struct track *t, struct mirror *m, const struct layer *l, struct buf *b)
{
    if (write_media(t, m, l, b))
        return;
    sfu_count(t->worker, SFU_COUNTER_DROP_RING, 1);
    if (!m->missed)
        m->missed = mem_calloc(MIRROR_MISSED_MAX, sizeof(*m->missed));
    if (m->missed_count < MIRROR_MISSED_MAX)
        m->missed[m->missed_count++] = (struct mirror_missed){media_of(b)->seq, l->index};
}

void track_relay(struct track *t, struct layer *l)
{
    for (unsigned i = 0; i < t->mirror_count; i++) {
        struct mirror *m = &t->mirrors[i];
        if (!(m->wanted >> l->index & 1))
            continue;
        if (m->missed_count)
            track_resend_missed(t, m);
        for (unsigned k = 0; k < l->batch_count; k++)
            send_or_note(t, m, l, l->batch[k]);
    }
}

void track_relay_start(struct track *t, struct mirror *m, struct layer *l)
{
    if (t->info.is_audio || l->history.is_empty)
        return;
    /* Without a keyframe to start from, one may be coming just now, its first packet not first:
     * what came of late belongs to it. */
    bool can_start = layer_can_start(l, t->worker->now_us);
    int64_t since_us = can_start ? 0 : t->worker->now_us - RELAY_RECENT_US;
    int64_t seq = can_start ? l->keyframe_seq : l->history.newest - LAYER_START_PACKETS;
    for (; seq <= l->history.newest; seq++) {
        struct buf *b = history_find(&l->history, seq);
        if (b && media_of(b)->arrival_us >= since_us)
            send_or_note(t, m, l, b);
    }
}

void track_resend_missed(struct track *t, struct mirror *m)
{
    unsigned done = 0;
    if (!m->missed_count)
        return;
    for (; done < m->missed_count; done++) {
        struct layer *l = t->layers[m->missed[done].layer];
        struct buf *b = history_find(&l->history, m->missed[done].seq);
        if (b && !write_media(t, m, l, b))
            break;
    }
    m->missed_count -= done;
    memmove(m->missed, m->missed + done, m->missed_count * sizeof(m->missed[0]));
}
