/* peer_tracks: tracks and consumers of a peer come, change and go. */
#include <stdlib.h>

#include "core/mem.h"
#include "sfu/peer.h"
#include "sfu/consumer.h"

static struct track *find_track(const struct peer *p, uint32_t number)
{
    for (unsigned i = 0; i < p->track_count; i++)
        if (p->tracks[i]->number == number)
            return p->tracks[i];
    return NULL;
}

static struct track *add_track(struct peer *p, uint32_t number)
{
    if (p->track_count >= SFU_MAX_PRODUCERS) {
        sfu_count(p->worker, SFU_COUNTER_DROP_LIMIT, 1);
        return NULL;
    }
    struct track *t = track_get(p->worker, p->id, number);
    if (!p->streams)
        p->streams = mem_new(struct peer_streams);
    t->peer = p;
    p->tracks[p->track_count++] = t;
    return t;
}

void peer_set_producer(struct peer *p, uint32_t number, const struct track_info *info)
{
    struct track *t = find_track(p, number);
    struct track_info full = *info;
    if (t)
        full.flags = t->info.flags;
    else
        t = add_track(p, number);
    if (!t)
        return;
    full.room = p->room;
    memcpy(full.ext_ids, p->ext_ids, sizeof(full.ext_ids));
    for (unsigned i = full.layer_count; i < SFU_MAX_LAYERS; i++)
        if (t->layers[i])
            peer_forget_layer(p,
                              t->layers[i]); /* it stays, silent: packets of it may be asked for */
    if (t->is_known && full.layer_count < t->info.layer_count)
        full.layer_count = t->info.layer_count;
    track_set_info(t, &full);
    for (unsigned i = 0; i < info->layer_count; i++) {
        if (info->layers[i].ssrc)
            peer_declare_stream(p, info->layers[i].ssrc, t->layers[i], false);
        if (info->layers[i].rtx_ssrc)
            peer_declare_stream(p, info->layers[i].rtx_ssrc, t->layers[i], true);
    }
}

void peer_set_producer_flags(struct peer *p, uint32_t number, struct sfu_producer_flags flags)
{
    struct track *t = find_track(p, number);
    if (t)
        track_set_flags(t, flags);
}

void peer_remove_producer(struct peer *p, uint32_t number)
{
    struct track *t = find_track(p, number);
    if (!t)
        return;
    for (unsigned i = 0; i < SFU_MAX_LAYERS; i++)
        if (t->layers[i])
            peer_forget_layer(p, t->layers[i]);
    for (unsigned i = 0; i < p->track_count; i++)
        if (p->tracks[i] == t)
            p->tracks[i--] = p->tracks[--p->track_count];
    track_destroy(&t);
    peer_reschedule(p);
}

void peer_update_track_extensions(struct peer *p)
{
    for (unsigned i = 0; i < p->track_count; i++) {
        struct track_info info = p->tracks[i]->info;
        memcpy(info.ext_ids, p->ext_ids, sizeof(info.ext_ids));
        track_set_info(p->tracks[i], &info);
    }
}

/* ---- consumers ---- */

struct consumer *peer_find_consumer(const struct peer *p, uint32_t number)
{
    return map64_get(p->consumers_by_number, number);
}

char peer_used_ssrc;

struct consumer *peer_consumer_of(const struct peer *p, uint32_t ssrc)
{
    void *found = map64_get(p->consumers_by_ssrc, ssrc);
    return found == &peer_used_ssrc ? NULL : found;
}

void peer_add_consumer(struct peer *p, uint32_t number, const struct mail_consumer *opt)
{
    if (peer_find_consumer(p, number))
        return;
    if (p->consumer_count >= SFU_MAX_CONSUMERS) {
        sfu_count(p->worker, SFU_COUNTER_DROP_LIMIT, 1);
        sfu_emit(p->worker, &(struct sfu_event){.type = SFU_EVENT_CONSUMER_REFUSED,
                                                .room = p->room,
                                                .peer = p->id,
                                                .consumer = number});
        return;
    }
    p->consumer_count++;
    map64_set(p->consumers_by_number, number, consumer_create(p, number, opt));
}

void peer_remove_consumer(struct peer *p, uint32_t number)
{
    struct consumer *c = map64_remove(p->consumers_by_number, number);
    if (!c)
        return;
    p->consumer_count--;
    if (p->tx && !c->is_clashing) {
        sfu_srtp_tx_retire(p->tx, c->ssrc);
        if (c->rtx_ssrc)
            sfu_srtp_tx_retire(p->tx, c->rtx_ssrc);
    }
    consumer_destroy(&c);
}
