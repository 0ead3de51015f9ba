/*
 * track: finding, making and ending tracks, what is known of them, and their slow clockwork. The
 * packets themselves only pass through track_note_packet.
 */
#include "sfu/track.h"

#include <stdlib.h>

#include "core/mem.h"
#include "sfu/peer.h"
#include "sfu/consumer.h"

#define LEVEL_INTERVAL_US 200000
#define LEVEL_HEARD 0.10f

/* ---- finding and making ---- */

struct track_key {
    uint8_t bytes[sizeof(sfu_peer_id) + sizeof(uint32_t)];
};

static struct track_key key_of(sfu_peer_id peer, uint32_t number)
{
    struct track_key k;
    memcpy(k.bytes, &peer, sizeof(peer));
    memcpy(k.bytes + sizeof(peer), &number, sizeof(number));
    return k;
}

static struct str key_str(const struct track_key *k)
{
    return (struct str){(const char *)k->bytes, sizeof(k->bytes)};
}

struct track *track_find(struct sfu_worker *w, sfu_peer_id peer, uint32_t number)
{
    struct track_key k = key_of(peer, number);
    return map_get(w->tracks, key_str(&k));
}

static uint32_t take_handle(struct sfu_worker *w, struct track *t)
{
    size_t i = 1;
    while (i < w->mirrors_capacity && w->mirrors[i])
        i++;
    if (i >= w->mirrors_capacity) {
        size_t capacity = w->mirrors_capacity + 64;
        w->mirrors = mem_realloc_array(w->mirrors, capacity, sizeof(struct track *));
        memset(w->mirrors + w->mirrors_capacity, 0, 64 * sizeof(struct track *));
        w->mirrors_capacity = capacity;
        i = MAX(i, (size_t)1);
    }
    w->mirrors[i] = t;
    return (uint32_t)i;
}

static void give_back_handle(struct track *t)
{
    if (t->handle)
        t->worker->mirrors[t->handle] = NULL;
    t->handle = 0;
}

static void remove_track(struct track *t)
{
    struct track_key k = key_of(t->peer_id, t->number);
    map_remove(t->worker->tracks, key_str(&k));
    list_remove(&t->in_worker);
    list_remove(&t->dirty);
    give_back_handle(t);
    for (unsigned i = 0; i < SFU_MAX_LAYERS; i++)
        layer_destroy(&t->layers[i]);
    for (unsigned i = 0; i < t->mirror_count; i++)
        free(t->mirrors[i].missed);
    free(t->mirrors);
    free(t);
}

static enum err send_to_publisher(struct track *t, enum mail_type type, uint8_t layers)
{
    struct mail *m = mail_create(type, t->peer_id, t->number);
    m->from = t->worker->index;
    m->mirror = t->handle;
    m->layers = layers;
    return sfu_mail_peer(t->worker->sfu, m);
}

struct track *track_get(struct sfu_worker *w, sfu_peer_id peer, uint32_t number)
{
    struct track *t = track_find(w, peer, number);
    if (t)
        return t;
    t = mem_new(struct track);
    t->worker = w;
    t->peer_id = peer;
    t->number = number;
    list_init(&t->consumers);
    list_add_tail(&w->track_list, &t->in_worker);
    struct track_key k = key_of(peer, number);
    map_set(w->tracks, key_str(&k), t);
    const struct peer *local = sfu_find_peer_at(w, peer);
    if (local && local->id == peer)
        return t;
    t->handle = take_handle(w, t);
    if (send_to_publisher(t, MAIL_MIRROR_OPEN, 0)) {
        remove_track(t);
        return NULL;
    }
    return t;
}

/* ---- ending ---- */

static void tell_mirror(struct track *t, const struct mirror *m, struct mail *mail)
{
    mail->mirror = m->handle;
    mail->from = t->worker->index;
    sfu_mail_worker(t->worker->sfu, m->worker, mail);
}

void track_destroy(struct track **track)
{
    struct track *t = *track;
    *track = NULL;
    if (!t)
        return;
    LIST_FOREACH(&t->consumers, node)
    consumer_lose_track(LIST_ENTRY(node, struct consumer, in_track));
    for (unsigned i = 0; i < t->mirror_count; i++)
        tell_mirror(t, &t->mirrors[i], mail_create(MAIL_TRACK_GONE, t->peer_id, t->number));
    remove_track(t);
}

void track_drop_if_idle(struct track **track)
{
    struct track *t = *track;
    if (t->peer || t->mirror_count || !list_is_empty(&t->consumers))
        return;
    if (t->handle)
        (void)send_to_publisher(t, MAIL_MIRROR_CLOSE, 0); /* gone already: just as well */
    track_destroy(track);
}

/* ---- what is known ---- */

static void send_info(struct track *t, const struct mirror *m)
{
    struct mail *info = mail_create(MAIL_TRACK_INFO, t->peer_id, t->number);
    info->info = t->info;
    tell_mirror(t, m, info);
}

static void send_state(struct track *t, const struct mirror *m)
{
    struct mail *state = mail_create(MAIL_TRACK_STATE, t->peer_id, t->number);
    state->state = (struct mail_state){t->active_layers, t->info.flags};
    tell_mirror(t, m, state);
}

static void send_timeline(struct track *t, const struct mirror *m, uint8_t layer)
{
    struct mail *mail = mail_create(MAIL_TRACK_TIMELINE, t->peer_id, t->number);
    mail->timeline = (struct mail_timeline){layer, t->layers[layer]->timeline};
    tell_mirror(t, m, mail);
}

static void map_payload_types(struct track *t)
{
    memset(t->codec_of_pt, TRACK_NO_CODEC, sizeof(t->codec_of_pt));
    memset(t->codec_of_rtx, TRACK_NO_CODEC, sizeof(t->codec_of_rtx));
    for (uint8_t i = 0; i < t->info.codec_count; i++) {
        const struct sfu_codec_pt *c = &t->info.codecs[i];
        t->codec_of_pt[c->pt & 127] = i;
        if (c->rtx_pt)
            t->codec_of_rtx[c->rtx_pt & 127] = i;
    }
}

void track_set_info(struct track *t, const struct track_info *info)
{
    t->info = *info;
    t->is_known = true;
    if (t->peer)
        give_back_handle(t);
    map_payload_types(t);
    for (uint8_t i = 0; i < info->layer_count; i++)
        if (!t->layers[i])
            t->layers[i] = layer_create(t, i, info->is_audio);
    for (unsigned i = 0; i < t->mirror_count; i++)
        send_info(t, &t->mirrors[i]);
    LIST_FOREACH(&t->consumers, node)
    consumer_adapt(LIST_ENTRY(node, struct consumer, in_track));
    track_update_wanted(t);
}

static void retarget_all(struct track *t)
{
    LIST_FOREACH(&t->consumers, node)
    consumer_retarget(LIST_ENTRY(node, struct consumer, in_track));
    track_update_wanted(t);
}

void track_set_flags(struct track *t, struct sfu_producer_flags flags)
{
    t->info.flags = flags;
    if (track_is_silenced(t)) {
        for (unsigned i = 0; i < t->info.layer_count; i++) {
            nack_list_clear(&t->layers[i]->nacks);
            t->layers[i]->keyframe_us = 0;
            t->layers[i]->keyframe.is_wanted = false;
        }
    }
    for (unsigned i = 0; i < t->mirror_count; i++)
        send_state(t, &t->mirrors[i]);
    retarget_all(t);
}

void track_set_active(struct track *t, uint8_t active_layers)
{
    if (t->active_layers == active_layers)
        return;
    for (unsigned i = 0; i < t->info.layer_count; i++)
        if ((active_layers & ~t->active_layers) >> i & 1)
            keyframe_source_began(&t->layers[i]->keyframe);
    t->active_layers = active_layers;
    if (t->peer)
        sfu_emit(t->worker, &(struct sfu_event){.type = SFU_EVENT_PRODUCER_LAYERS,
                                                .room = t->peer->room,
                                                .peer = t->peer_id,
                                                .track = t->number,
                                                .layers = active_layers});
    for (unsigned i = 0; i < t->mirror_count; i++)
        send_state(t, &t->mirrors[i]);
    retarget_all(t);
}

void track_set_timeline(struct track *t, uint8_t layer, const struct timeline *timeline)
{
    if (layer >= t->info.layer_count || !t->layers[layer])
        return;
    t->layers[layer]->timeline = *timeline;
    for (unsigned i = 0; i < t->mirror_count; i++)
        send_timeline(t, &t->mirrors[i], layer);
}

/* ---- packets and keyframes ---- */

void track_note_packet(struct track *t, struct layer *l)
{
    if (!list_is_linked(&t->dirty))
        list_add_tail(&t->worker->dirty_tracks, &t->dirty);
    if (!t->peer)
        return; /* the publisher's worker judges what is active */
    if (!t->has_started) {
        t->has_started = true;
        sfu_emit(t->worker, &(struct sfu_event){.type = SFU_EVENT_PRODUCER_STARTED,
                                                .room = t->peer->room,
                                                .peer = t->peer_id,
                                                .track = t->number,
                                                .codec = t->info.codecs[l->codec].codec,
                                                .layer = l->index});
    }
    if (!l->is_active) {
        l->is_active = true;
        track_set_active(t, (uint8_t)(t->active_layers | 1u << l->index));
    }
}

static void ask_if_due(struct track *t, struct layer *l)
{
    if (keyframe_due_us(&l->keyframe) > t->worker->now_us || track_is_silenced(t))
        return;
    if (t->peer && l->ssrc)
        peer_send_keyframe_request(t->peer, t, l);
    else if (t->handle)
        (void)send_to_publisher(t, MAIL_MIRROR_KEYFRAME, l->index); /* gone: its mail is coming */
    else
        return;
    keyframe_asked(&l->keyframe, t->worker->now_us);
}

void track_want_keyframe(struct track *t, uint8_t layer)
{
    if (layer >= t->info.layer_count || t->info.is_audio)
        return;
    keyframe_want(&t->layers[layer]->keyframe);
    ask_if_due(t, t->layers[layer]);
}

/* ---- the slow clockwork ---- */

static void tick_layer(struct track *t, struct layer *l)
{
    int64_t now_us = t->worker->now_us;
    int64_t kept_us = t->info.is_audio ? LAYER_HISTORY_AUDIO_US : LAYER_HISTORY_VIDEO_US;
    history_expire(&l->history, now_us - kept_us);
    rate_sample(&l->rate, l->stats.bytes, now_us);
    if (t->peer && l->is_active && now_us - l->last_us > LAYER_SILENT_US) {
        l->is_active = false;
        track_set_active(t, (uint8_t)(t->active_layers & ~(1u << l->index)));
    }
    ask_if_due(t, l);
}

static void tick_level(struct track *t)
{
    struct sfu_worker *w = t->worker;
    float level = track_is_silenced(t) ? 0 : loudness_now(&t->loudness, w->now_us);
    bool is_heard = level >= LEVEL_HEARD;
    if (w->now_us - t->level_told_us < LEVEL_INTERVAL_US || (!is_heard && !t->is_heard))
        return;
    t->level_told_us = w->now_us;
    t->is_heard = is_heard;
    sfu_worker_level(w, t->peer->room, t->peer_id, t->number, is_heard ? level : 0);
}

void track_tick(struct track *t)
{
    if (!t->is_known)
        return;
    for (unsigned i = 0; i < t->info.layer_count; i++)
        tick_layer(t, t->layers[i]);
    if (t->info.is_audio) {
        if (t->peer)
            tick_level(t);
        return;
    }
    LIST_FOREACH(&t->consumers, node)
    {
        struct consumer *c = LIST_ENTRY(node, struct consumer, in_track);
        if (consumer_awaits_keyframe(c))
            track_want_keyframe(t, c->target);
    }
    for (unsigned i = 0; i < t->mirror_count; i++)
        track_resend_missed(t, &t->mirrors[i]);
    track_update_wanted(t); /* what is left of former layers has had its time */
}

void track_update_wanted(struct track *t)
{
    uint8_t wanted = 0;
    if (!t->handle)
        return;
    LIST_FOREACH(&t->consumers, node)
    wanted |= consumer_needs(LIST_ENTRY(node, struct consumer, in_track));
    if (wanted == t->wanted)
        return;
    for (unsigned i = 0; i < t->info.layer_count; i++)
        if (!(wanted >> i & 1))
            t->layers[i]->keyframe_us = 0; /* what follows it here will have holes */
    t->wanted = wanted;
    (void)send_to_publisher(t, MAIL_MIRROR_WANT, wanted); /* gone: its mail is coming */
}

/* ---- mirrors of this track ---- */

static struct mirror *find_mirror(struct track *t, unsigned worker)
{
    for (unsigned i = 0; i < t->mirror_count; i++)
        if (t->mirrors[i].worker == worker)
            return &t->mirrors[i];
    return NULL;
}

void track_add_mirror(struct track *t, unsigned worker, uint32_t handle, uint8_t wanted)
{
    struct mirror *m = find_mirror(t, worker);
    if (!m) {
        t->mirrors = mem_realloc_array(t->mirrors, t->mirror_count + 1, sizeof(struct mirror));
        m = &t->mirrors[t->mirror_count++];
    } else {
        free(m->missed);
    }
    *m = (struct mirror){.worker = worker, .handle = handle};
    if (!t->is_known)
        return;
    send_info(t, m);
    for (uint8_t i = 0; i < t->info.layer_count; i++)
        if (t->layers[i]->timeline.ntp)
            send_timeline(t, m, i);
    send_state(t, m);
    track_set_mirror_wanted(t, worker, wanted);
}

void track_set_mirror_wanted(struct track *t, unsigned worker, uint8_t wanted)
{
    struct mirror *m = find_mirror(t, worker);
    if (!m)
        return;
    uint8_t fresh = wanted & (uint8_t)~m->wanted;
    m->wanted = wanted;
    for (uint8_t i = 0; t->is_known && i < t->info.layer_count; i++)
        if (fresh >> i & 1)
            track_relay_start(t, m, t->layers[i]);
}

void track_remove_mirror(struct track *t, unsigned worker)
{
    struct mirror *m = find_mirror(t, worker);
    if (!m)
        return;
    free(m->missed);
    *m = t->mirrors[--t->mirror_count];
}
