/*
 * layer: numbering and keeping. Sequence numbers are unwrapped against the highest seen. One that
 * is far off (the sender began anew without saying so) is believed when its successor comes next
 * (RFC 3550, appendix A.1); the numbering then continues above everything that was, so that
 * histories and subscribers never meet a number twice.
 */
#include "sfu/route/layer.h"

#include <stdlib.h>

#include "core/mem.h"

#define MAX_DROPOUT 3000 /* RFC 3550: a jump ahead by more is odd */
#define MAX_MISORDER 1000

struct layer *layer_create(struct track *track, uint8_t index, bool is_audio)
{
    struct layer *l = mem_new(struct layer);
    l->track = track;
    l->index = index;
    l->highest = 0x10000;
    history_init(&l->history, is_audio ? LAYER_HISTORY_AUDIO : LAYER_HISTORY_VIDEO);
    return l;
}

void layer_clear_batch(struct layer *l)
{
    for (unsigned i = 0; i < l->batch_count; i++)
        buf_unref(&l->batch[i]);
    l->batch_count = 0;
}

void layer_destroy(struct layer **layer)
{
    if (!*layer)
        return;
    layer_clear_batch(*layer);
    history_deinit(&(*layer)->history);
    nack_list_deinit(&(*layer)->nacks);
    free(*layer);
    *layer = NULL;
}

void layer_restart(struct layer *l)
{
    nack_list_clear(&l->nacks);
    receive_stats_restart(&l->stats);
    keyframe_source_began(&l->keyframe);
    l->generation++;
    l->has_packets = false;
    l->has_odd_seq = false;
    l->keyframe_us = 0;
    l->timeline = (struct timeline){0};
}

static void begin_numbering(struct layer *l, uint16_t seq)
{
    l->highest = ((l->highest >> 16) + 2) << 16 | seq;
    l->lowest = l->highest;
    l->has_packets = true;
}

/* Is this number so far off that it takes a second one to be believed? */
static bool is_odd(struct layer *l, const struct layer_arrival *a, int64_t distance)
{
    if (distance > -MAX_MISORDER && distance < MAX_DROPOUT)
        return false;
    bool is_confirmed = l->has_odd_seq && l->odd_seq == a->seq;
    l->has_odd_seq = true;
    l->odd_seq = (uint16_t)(a->seq + 1);
    if (is_confirmed) {
        layer_restart(l);
        begin_numbering(l, a->seq);
        /* The one that was not believed, maybe a keyframe's first, is wanted after all. */
        l->lowest--;
        if (a->can_nack)
            (void)!nack_list_gap(&l->nacks, l->lowest, l->highest, a->now_us);
    }
    return !is_confirmed;
}

/* Before the first that came: then what lies between is missing, too. */
static enum layer_verdict place_below(struct layer *l, const struct layer_arrival *a, int64_t seq)
{
    int64_t above = l->lowest;
    if (seq >= above)
        return LAYER_TAKEN;
    if (above - seq > LAYER_BATCH_MAX)
        return LAYER_TOO_OLD;
    l->lowest = seq;
    if (a->can_nack && !nack_list_gap(&l->nacks, seq + 1, above, a->now_us))
        return LAYER_LOST_TOO_MUCH;
    return LAYER_TAKEN;
}

enum layer_verdict layer_place(struct layer *l, const struct layer_arrival *a, int64_t *seq,
                               int64_t *round_trip_us)
{
    *round_trip_us = 0;
    if (!l->has_packets) {
        if (a->is_retransmission)
            return LAYER_TOO_OLD; /* of what was before the beginning */
        begin_numbering(l, a->seq);
        *seq = l->highest;
        return LAYER_TAKEN;
    }
    int64_t distance = (int16_t)(a->seq - (uint16_t)l->highest);
    if (a->is_retransmission && (distance <= -MAX_MISORDER || distance > LAYER_BATCH_MAX))
        return LAYER_TOO_OLD;
    if (is_odd(l, a, distance))
        return LAYER_TOO_OLD;
    if (!a->is_retransmission)
        l->has_odd_seq = false;
    distance = (int16_t)(a->seq - (uint16_t)l->highest);
    *seq = l->highest + distance;
    if (distance <= 0) {
        (void)nack_list_got(&l->nacks, *seq, a->now_us, round_trip_us);
        return place_below(l, a, *seq);
    }
    int64_t expected = l->highest + 1;
    l->highest = *seq;
    if (*seq > expected && a->can_nack && !nack_list_gap(&l->nacks, expected, *seq, a->now_us))
        return LAYER_LOST_TOO_MUCH;
    return LAYER_TAKEN;
}

static void note_keyframe(struct layer *l, const struct media *m)
{
    bool is_same_picture = l->keyframe_us && m->rtp.timestamp == l->keyframe_timestamp;
    if (is_same_picture && m->seq > l->keyframe_seq)
        return; /* SPS, PPS and slices each say so: the first counts */
    if (l->keyframe_us && m->seq < l->keyframe_seq && !is_same_picture)
        return; /* an older one, late */
    l->keyframes += !is_same_picture;
    l->keyframe_seq = m->seq;
    l->keyframe_us = m->arrival_us;
    l->keyframe_timestamp = m->rtp.timestamp;
    keyframe_came(&l->keyframe);
}

bool layer_keep(struct layer *l, struct buf *b)
{
    const struct media *m = media_of(b);
    if (!history_add(&l->history, b))
        return false;
    if (m->is_keyframe)
        note_keyframe(l, m);
    l->batch[l->batch_count++] = buf_ref(b);
    l->last_us = m->arrival_us;
    l->codec = m->codec;
    return true;
}

/* Or the packet before it, with the parameter sets, is still on its way. */
static bool is_first_of_picture(const struct layer *l, struct buf *b)
{
    struct buf *before = history_find(&l->history, media_of(b)->seq - 1);
    return !media_of(b)->is_unsure ||
           (before && media_of(before)->rtp.timestamp != media_of(b)->rtp.timestamp);
}

bool layer_can_start(const struct layer *l, int64_t now_us)
{
    if (!l->keyframe_us || now_us - l->keyframe_us > LAYER_START_US ||
        l->history.newest - l->keyframe_seq >= LAYER_START_PACKETS)
        return false;
    struct buf *b = history_find(&l->history, l->keyframe_seq);
    return b && is_first_of_picture(l, b);
}
