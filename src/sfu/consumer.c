/*
 * consumer: which layer a subscriber gets, and when. Audio begins with any packet; video begins,
 * and changes its layer, with a keyframe. Nothing is sent from here but through consumer_forward,
 * which runs at the end of a batch: whoever changes a consumer's mind marks it dirty.
 */
#include "sfu/consumer.h"

#include <stdlib.h>

#include "core/mem.h"
#include "sfu/peer.h"
#include "sfu/consumer_send.h"

#define ALIGN_MAX_US 1000000 /* reports that put time further off than that are not believed */
#define BEHIND_MAX_MS 50     /* a keyframe older than that is not switched to: time would jump */

static void emit(struct consumer *c, enum sfu_event_type type, enum sfu_codec codec)
{
    sfu_emit(c->peer->worker, &(struct sfu_event){.type = type,
                                                  .room = c->peer->room,
                                                  .peer = c->peer->id,
                                                  .consumer = c->number,
                                                  .codec = codec,
                                                  .layer = c->current});
}

/* ---- life ---- */

static bool claim_ssrcs(struct consumer *c)
{
    struct map64 *taken = c->peer->consumers_by_ssrc;
    if (map64_get(taken, c->ssrc) || (c->rtx_ssrc && map64_get(taken, c->rtx_ssrc)) ||
        c->ssrc == c->rtx_ssrc)
        return false;
    map64_set(taken, c->ssrc, c);
    if (c->rtx_ssrc)
        map64_set(taken, c->rtx_ssrc, c);
    return true;
}

struct consumer *consumer_create(struct peer *peer, uint32_t number,
                                 const struct mail_consumer *opt)
{
    struct sfu_worker *w = peer->worker;
    struct consumer *c = mem_new(struct consumer);
    c->peer = peer;
    c->number = number;
    c->ssrc = opt->ssrc;
    c->rtx_ssrc = opt->rtx_ssrc;
    c->rtx_seq = sfu_random_u32(w) & 0x7fff;
    memcpy(c->mid, opt->mid, sizeof(c->mid));
    memcpy(c->cname, opt->cname, sizeof(c->cname));
    c->codec_count = opt->codec_count;
    c->codecs = mem_dup(opt->codecs, opt->codec_count * sizeof(c->codecs[0]));
    c->asked = opt->layer;
    c->is_paused = opt->is_paused;
    c->refused = CONSUMER_NO_CODEC;
    c->report_due_us = w->now_us + PEER_REPORT_US;
    memset(c->codec_map, CONSUMER_NO_CODEC, sizeof(c->codec_map));
    rewriter_init(&c->rewriter, (uint16_t)sfu_random_u32(w));
    list_add_tail(&peer->consumers, &c->in_peer);
    c->is_clashing = !claim_ssrcs(c);
    if (c->is_clashing)
        emit(c, SFU_EVENT_CONSUMER_REFUSED, SFU_CODEC_NONE);
    c->track = track_get(w, opt->producer_peer, opt->producer_track);
    if (!c->track) {
        emit(c, SFU_EVENT_CONSUMER_CLOSED, SFU_CODEC_NONE);
        return c;
    }
    list_add_tail(&c->track->consumers, &c->in_track);
    consumer_adapt(c);
    track_update_wanted(c->track);
    return c;
}

void consumer_lose_track(struct consumer *c)
{
    list_remove(&c->in_track);
    list_remove(&c->dirty);
    c->track = NULL;
    c->is_flowing = false;
    emit(c, SFU_EVENT_CONSUMER_CLOSED, SFU_CODEC_NONE);
}

static void free_buffers(struct consumer *c)
{
    for (unsigned i = 0; c->sent && i < CONSUMER_SENT; i++)
        buf_unref(&c->sent[i]);
    free(c->sent);
    free(c->resends);
    free(c->codecs);
}

void consumer_destroy(struct consumer **consumer)
{
    struct consumer *c = *consumer;
    *consumer = NULL;
    if (!c)
        return;
    if (!c->is_clashing) {
        map64_set(c->peer->consumers_by_ssrc, c->ssrc, &peer_used_ssrc);
        if (c->rtx_ssrc)
            map64_set(c->peer->consumers_by_ssrc, c->rtx_ssrc, &peer_used_ssrc);
    }
    list_remove(&c->in_peer);
    list_remove(&c->in_track);
    list_remove(&c->dirty);
    if (c->track) {
        track_update_wanted(c->track);
        track_drop_if_idle(&c->track);
    }
    free_buffers(c);
    free(c);
}

/* ---- what was negotiated ---- */

/* Extensions that are passed on as they are; the others are ours to write, or end here. */
static bool is_passed_on(enum rtp_ext_kind kind)
{
    switch (kind) {
    case RTP_EXT_AUDIO_LEVEL:
    case RTP_EXT_VIDEO_ORIENTATION:
    case RTP_EXT_DEPENDENCY_DESCRIPTOR:
    case RTP_EXT_ABS_CAPTURE_TIME:
    case RTP_EXT_PLAYOUT_DELAY:
    case RTP_EXT_CONTENT_TYPE:
    case RTP_EXT_COLOR_SPACE:
        return true;
    default:
        return false;
    }
}

static void map_extensions(struct consumer *c)
{
    memset(c->ext_map, 0, sizeof(c->ext_map));
    for (int kind = 1; kind < RTP_EXT_KIND_COUNT; kind++) {
        uint8_t theirs = c->track->info.ext_ids[kind];
        if (theirs && theirs < RTP_EXT_SLOTS && is_passed_on((enum rtp_ext_kind)kind))
            c->ext_map[theirs] = c->peer->ext_ids[kind];
    }
}

static void map_codecs(struct consumer *c)
{
    const struct track_info *info = &c->track->info;
    memset(c->codec_map, CONSUMER_NO_CODEC, sizeof(c->codec_map));
    for (uint8_t i = 0; i < info->codec_count; i++)
        for (uint8_t k = 0; k < c->codec_count; k++)
            if (c->codecs[k].codec == info->codecs[i].codec &&
                c->codecs[k].format == info->codecs[i].format &&
                c->codecs[k].clock_rate == info->codecs[i].clock_rate) {
                c->codec_map[i] = k;
                break;
            }
}

static bool has_any_codec(const struct consumer *c)
{
    for (unsigned i = 0; i < c->track->info.codec_count; i++)
        if (c->codec_map[i] != CONSUMER_NO_CODEC)
            return true;
    return false;
}

void consumer_adapt(struct consumer *c)
{
    if (!c->track || !c->track->is_known)
        return;
    map_extensions(c);
    map_codecs(c);
    c->refused = CONSUMER_NO_CODEC;
    if (!c->is_clashing && !has_any_codec(c))
        consumer_refuse(c, 0);
    consumer_retarget(c);
}

void consumer_refuse(struct consumer *c, uint8_t codec)
{
    if (c->refused == codec)
        return;
    c->refused = codec;
    emit(c, SFU_EVENT_CONSUMER_REFUSED, c->track->info.codecs[codec].codec);
}

/* ---- which layer ---- */

static bool can_flow(const struct consumer *c)
{
    return c->track && c->track->is_known && !c->is_paused && !c->is_clashing &&
           c->peer->can_send && !track_is_silenced(c->track);
}

static bool is_current(const struct consumer *c, const struct layer *l)
{
    return c->is_flowing && c->current == l->index &&
           c->rewriter.epochs[0].source.generation == l->generation;
}

bool consumer_awaits_keyframe(const struct consumer *c)
{
    return can_flow(c) && !c->track->info.is_audio && !is_current(c, c->track->layers[c->target]);
}

uint8_t consumer_needs(const struct consumer *c)
{
    if (!can_flow(c))
        return 0;
    uint8_t needs = (uint8_t)(1u << c->target);
    if (c->is_flowing)
        needs |= (uint8_t)(1u << c->current);
    /* Of a layer that was left just now something may still be missing. */
    for (unsigned i = 1; i < c->rewriter.count; i++)
        if (c->peer->worker->now_us - c->rewriter.epochs[i].ended_us <= REWRITER_LATE_US)
            needs |= (uint8_t)(1u << c->rewriter.epochs[i].source.layer);
    return needs;
}

/* The best layer that flows and is not above the one asked for; failing that the lowest above it;
 * failing that the one asked for, which may yet come. */
static uint8_t choose_layer(const struct consumer *c)
{
    uint8_t active = c->track->active_layers;
    uint8_t asked = MIN(c->asked, (uint8_t)(c->track->info.layer_count - 1));
    for (int i = asked; i >= 0; i--)
        if (active >> i & 1)
            return (uint8_t)i;
    for (uint8_t i = asked; i < c->track->info.layer_count; i++)
        if (active >> i & 1)
            return i;
    return c->is_flowing ? c->current : asked;
}

static void mark_dirty(struct consumer *c)
{
    struct peer *p = c->peer;
    if (!list_is_linked(&c->dirty))
        list_add_tail(&p->dirty_consumers, &c->dirty);
    if (!list_is_linked(&p->dirty))
        list_add_tail(&p->worker->dirty_peers, &p->dirty);
}

void consumer_retarget(struct consumer *c)
{
    if (!can_flow(c)) {
        consumer_stop(c);
        return;
    }
    c->target = choose_layer(c);
    if (!consumer_awaits_keyframe(c))
        return;
    if (layer_can_start(c->track->layers[c->target], c->peer->worker->now_us))
        mark_dirty(c);
    else if (c->track->active_layers >> c->target & 1)
        track_want_keyframe(c->track, c->target);
}

void consumer_stop(struct consumer *c)
{
    c->is_flowing = false;
}

void consumer_set_choice(struct consumer *c, struct sfu_consumer_choice choice)
{
    c->asked = choice.layer;
    c->is_paused = choice.is_paused;
    if (!c->track)
        return;
    consumer_retarget(c);
    track_update_wanted(c->track);
}

/* ---- beginning ---- */

/* Where the first packet of a new epoch falls in the time that the subscriber sees. */
static uint32_t first_timestamp(const struct consumer *c, const struct layer *l,
                                const struct media *first)
{
    const struct rewriter *r = &c->rewriter;
    const struct rewriter_epoch *last = &r->epochs[0];
    if (r->count == 0)
        return first->rtp.timestamp;
    if (last->source.layer == l->index && last->source.generation == l->generation)
        return first->rtp.timestamp + last->timestamp_shift;
    uint32_t clock_rate = c->track->info.codecs[first->codec].clock_rate;
    int64_t elapsed_us = first->arrival_us - r->arrival_us;
    uint32_t by_arrival = r->timestamp + (uint32_t)(int32_t)(elapsed_us * clock_rate / 1000000);
    const struct layer *old = c->track->layers[last->source.layer];
    uint32_t by_report;
    if (old->generation != last->source.generation ||
        !timeline_align(&old->timeline, &l->timeline, first->rtp.timestamp, clock_rate, &by_report))
        return by_arrival;
    by_report += last->timestamp_shift;
    int64_t off_us = (int64_t)timestamp_diff(by_report, by_arrival) * 1000000 / clock_rate;
    return off_us > ALIGN_MAX_US || off_us < -ALIGN_MAX_US ? by_arrival : by_report;
}

static void begin(struct consumer *c, const struct layer *l, const struct media *first,
                  uint32_t timestamp)
{
    bool is_other_layer = c->has_started && c->current != l->index;
    struct rewriter_source source = {l->index, l->generation};
    rewriter_begin(&c->rewriter, first, source, timestamp, c->peer->worker->now_us);
    c->is_flowing = true;
    c->current = l->index;
    if (!c->has_started) {
        c->has_started = true;
        emit(c, SFU_EVENT_CONSUMER_STARTED, c->track->info.codecs[first->codec].codec);
    } else if (is_other_layer) {
        emit(c, SFU_EVENT_CONSUMER_LAYER, c->track->info.codecs[first->codec].codec);
    }
}

static bool batch_has(const struct layer *l, int64_t seq)
{
    for (unsigned i = 0; i < l->batch_count; i++)
        if (media_of(l->batch[i])->seq == seq)
            return true;
    return false;
}

/* Everything kept from seq on, in order. */
static void send_from_history(struct consumer *c, struct layer *l, int64_t seq)
{
    struct buf *run[LAYER_BATCH_MAX];
    unsigned count = 0;
    for (; seq <= l->history.newest; seq++) {
        struct buf *b = history_find(&l->history, seq);
        if (b)
            run[count++] = b;
        if (count == LAYER_BATCH_MAX) {
            consumer_send(c, l, run, count);
            count = 0;
        }
    }
    if (count)
        consumer_send(c, l, run, count);
}

/* Begins with the layer's last keyframe, if it is here, recent, and not too far behind what was
 * sent already. */
static bool begin_with_keyframe(struct consumer *c, struct layer *l)
{
    if (!layer_can_start(l, c->peer->worker->now_us))
        return false;
    const struct media *first = media_of(history_find(&l->history, l->keyframe_seq));
    if (!consumer_codec(c, first->codec)) {
        consumer_refuse(c, first->codec);
        return false;
    }
    uint32_t timestamp = first_timestamp(c, l, first);
    uint32_t behind_max = c->track->info.codecs[first->codec].clock_rate / 1000 * BEHIND_MAX_MS;
    if (c->rewriter.count && !batch_has(l, l->keyframe_seq) &&
        timestamp_diff(c->rewriter.timestamp, timestamp) > (int32_t)behind_max)
        return false;
    begin(c, l, first, timestamp);
    send_from_history(c, l, l->keyframe_seq);
    track_update_wanted(c->track);
    return true;
}

/* ---- a batch ---- */

static void forward_audio(struct consumer *c, struct layer *l)
{
    if (l->batch_count == 0)
        return;
    const struct media *first = media_of(l->batch[0]);
    if (!consumer_codec(c, first->codec)) {
        consumer_refuse(c, first->codec);
        return;
    }
    if (!is_current(c, l))
        begin(c, l, first, first_timestamp(c, l, first));
    consumer_send(c, l, l->batch, l->batch_count);
}

HOT void consumer_forward(struct consumer *c)
{
    if (!can_flow(c))
        return;
    struct track *t = c->track;
    if (t->info.is_audio) {
        forward_audio(c, t->layers[0]);
        return;
    }
    struct layer *target = t->layers[c->target];
    /* What still belongs to another layer goes before a switch. */
    for (unsigned i = 0; i < t->info.layer_count && c->is_flowing; i++)
        if (i != c->target && t->layers[i]->batch_count)
            consumer_send(c, t->layers[i], t->layers[i]->batch, t->layers[i]->batch_count);
    if (!is_current(c, target) && begin_with_keyframe(c, target))
        return; /* the batch was among what was sent */
    if (target->batch_count && c->is_flowing)
        consumer_send(c, target, target->batch, target->batch_count);
}
