/* worker_mail: each kind of message, to the function that does it. */
#include "sfu/peer.h"
#include "sfu/consumer.h"
#include "sfu/worker.h"

/* A mirror asks for a track of a peer that is gone: its mail crossed ours. */
static void answer_gone(struct sfu_worker *w, const struct mail *m)
{
    if (m->type != MAIL_MIRROR_OPEN)
        return;
    struct mail *gone = mail_create(MAIL_TRACK_GONE, m->peer, m->number);
    gone->mirror = m->mirror;
    sfu_mail_worker(w->sfu, m->from, gone);
}

/* From a worker that has consumers of a track of ours. */
static void on_mirror_mail(struct sfu_worker *w, struct mail *m)
{
    if (m->from == w->index)
        return; /* the track was wanted here before its publisher came here */
    struct track *t = m->type == MAIL_MIRROR_OPEN ? track_get(w, m->peer, m->number)
                                                  : track_find(w, m->peer, m->number);
    if (!t)
        return;
    if (m->type == MAIL_MIRROR_OPEN)
        track_add_mirror(t, m->from, m->mirror, m->layers);
    else if (m->type == MAIL_MIRROR_WANT)
        track_set_mirror_wanted(t, m->from, m->layers);
    else if (m->type == MAIL_MIRROR_KEYFRAME)
        track_want_keyframe(t, m->layers);
    else
        track_remove_mirror(t, m->from);
    track_drop_if_idle(&t);
}

static void on_consumer_choice(struct peer *p, const struct mail *m)
{
    struct consumer *c = peer_find_consumer(p, m->number);
    if (c)
        consumer_set_choice(c, m->choice);
}

static void on_peer_mail(struct sfu_worker *w, struct mail *m)
{
    struct peer *p = sfu_find_peer_at(w, m->peer);
    if (!p || p->id != m->peer) {
        answer_gone(w, m);
        return;
    }
    switch (m->type) {
    case MAIL_PEER_REMOTE:
        peer_set_remote(p, &m->remote);
        break;
    case MAIL_PEER_RESTART:
        peer_restart(p, &m->credentials);
        break;
    case MAIL_PEER_REMOVE:
        peer_destroy(&p);
        break;
    case MAIL_PEER_STATS:
        peer_emit_stats(p, m->token);
        break;
    case MAIL_PRODUCER_ADD:
    case MAIL_PRODUCER_UPDATE:
        peer_set_producer(p, m->number, &m->info);
        break;
    case MAIL_PRODUCER_FLAGS:
        peer_set_producer_flags(p, m->number, m->flags);
        break;
    case MAIL_PRODUCER_REMOVE:
        peer_remove_producer(p, m->number);
        break;
    case MAIL_CONSUMER_ADD:
        peer_add_consumer(p, m->number, &m->consumer);
        break;
    case MAIL_CONSUMER_CHOICE:
        on_consumer_choice(p, m);
        break;
    case MAIL_CONSUMER_REMOVE:
        peer_remove_consumer(p, m->number);
        break;
    default:
        on_mirror_mail(w, m);
    }
}

/* From the worker that has a track's publisher. */
static void on_track_mail(struct sfu_worker *w, struct mail *m)
{
    struct track *t = track_find(w, m->peer, m->number);
    if (!t || t->peer || t->handle != m->mirror)
        return;
    if (m->type == MAIL_TRACK_INFO) {
        track_set_info(t, &m->info);
    } else if (m->type == MAIL_TRACK_TIMELINE) {
        track_set_timeline(t, m->timeline.layer, &m->timeline.timeline);
    } else if (m->type == MAIL_TRACK_GONE) {
        track_destroy(&t);
    } else if (t->is_known) {
        struct sfu_producer_flags f = m->state.flags, now = t->info.flags;
        if (f.is_muted != now.is_muted || f.is_held != now.is_held)
            track_set_flags(t, f);
        track_set_active(t, m->state.active_layers);
    }
}

void sfu_worker_read_mail(struct sfu_worker *w)
{
    for (struct mail *m = inbox_take(&w->inbox), *next; m; m = next) {
        next = m->next;
        if (m->type < MAIL_TRACK_INFO)
            on_peer_mail(w, m);
        else if (m->type <= MAIL_TRACK_GONE)
            on_track_mail(w, m);
        else if (m->type == MAIL_TUPLE_ADD)
            tuples_set(&w->tuples, &m->address, m->peer, m->from);
        else if (m->type == MAIL_TUPLE_REMOVE)
            tuples_remove(&w->tuples, &m->address, m->peer);
        else
            sfu_worker_heard(w, m);
        mail_destroy(&m);
    }
}
