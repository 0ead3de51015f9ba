/*
 * rewriter: shifts. Within an epoch every number is the source's plus a constant modulo its width,
 * so packets may come in any order and be asked for again without anything being stored per packet.
 */
#include "sfu/route/rewriter.h"

#define PICTURE_MASK 0x7fff
#define NTP_SECOND_BITS 32

void rewriter_init(struct rewriter *r, uint16_t first_seq)
{
    /* Counted from the second cycle on, so that nothing goes below zero. */
    *r = (struct rewriter){.highest = 0x10000 + (first_seq & 0x7fff) - 1};
}

static void note_sent(struct rewriter *r, const struct rewriter_epoch *e, const struct media *m)
{
    int64_t seq = m->seq + e->seq_shift;
    if (r->highest >= seq)
        return;
    r->highest = seq;
    r->timestamp = m->rtp.timestamp + e->timestamp_shift;
    r->arrival_us = m->arrival_us;
    if (m->picture.prefix_bytes) {
        r->picture_id = (m->picture.id + e->picture_shift) & PICTURE_MASK;
        r->tl0 = (uint8_t)(m->picture.tl0 + e->tl0_shift);
        r->has_picture = true;
    }
    if (m->dd_id)
        r->frame_number = (uint16_t)(m->frame_number + e->frame_shift);
}

void rewriter_begin(struct rewriter *r, const struct media *first, struct rewriter_source source,
                    uint32_t timestamp, int64_t now_us)
{
    struct rewriter_epoch e = {.source = source, .first = first->seq, .last = first->seq - 1};
    e.seq_shift = r->highest + 1 - first->seq;
    if (r->count) {
        if (timestamp_diff(timestamp, r->timestamp) <= 0)
            timestamp = r->timestamp + 1;
        e.timestamp_shift = timestamp - first->rtp.timestamp;
        if (r->has_picture && first->picture.prefix_bytes) {
            e.picture_shift = (uint16_t)(r->picture_id + 1 - first->picture.id) & PICTURE_MASK;
            e.tl0_shift = (uint8_t)(r->tl0 + 1 - first->picture.tl0);
        }
        if (first->dd_id)
            e.frame_shift = (uint16_t)(r->frame_number + 1 - first->frame_number);
        r->epochs[0].ended_us = now_us;
    }
    for (unsigned i = MIN(r->count, REWRITER_EPOCHS - 1u); i > 0; i--)
        r->epochs[i] = r->epochs[i - 1];
    r->count = MIN(r->count + 1, (unsigned)REWRITER_EPOCHS);
    r->epochs[0] = e;
}

static void write_picture(struct rewritten *out, const struct rewriter_epoch *e,
                          const struct media *m)
{
    const struct media_picture *p = &m->picture;
    const uint8_t *payload = media_payload(m);
    uint16_t id = (uint16_t)(p->id + e->picture_shift);
    for (uint8_t i = 0; i < p->prefix_bytes && i < REWRITER_PREFIX_MAX; i++)
        out->prefix[i] = payload[i];
    if (p->id_offset && p->has_long_id) {
        out->prefix[p->id_offset] = (uint8_t)(0x80 | (id >> 8 & 0x7f));
        out->prefix[p->id_offset + 1] = (uint8_t)id;
    } else if (p->id_offset) {
        out->prefix[p->id_offset] = id & 0x7f;
    }
    if (p->tl0_offset)
        out->prefix[p->tl0_offset] = (uint8_t)(p->tl0 + e->tl0_shift);
    out->prefix_bytes = p->prefix_bytes;
}

void rewriter_apply(const struct rewriter_epoch *e, const struct media *m, struct rewritten *out)
{
    out->seq = (uint16_t)(m->seq + e->seq_shift);
    out->timestamp = m->rtp.timestamp + e->timestamp_shift;
    out->has_frame_shift = m->dd_id && e->frame_shift;
    out->frame_number = (uint16_t)(m->frame_number + e->frame_shift);
    out->prefix_bytes = 0;
    if (m->picture.prefix_bytes && (e->picture_shift || e->tl0_shift))
        write_picture(out, e, m);
}

HOT bool rewriter_map(struct rewriter *r, const struct media *m, struct rewriter_source source,
                      int64_t now_us, struct rewritten *out)
{
    struct rewriter_epoch *e = &r->epochs[0];
    if (likely(r->count && rewriter_is_from(e, source) && m->seq >= e->first)) {
        e->last = MAX(e->last, m->seq);
        note_sent(r, e, m);
        rewriter_apply(e, m, out);
        return true;
    }
    for (unsigned i = 1; i < r->count; i++) {
        e = &r->epochs[i];
        if (rewriter_is_from(e, source) && m->seq >= e->first && m->seq <= e->last &&
            now_us - e->ended_us <= REWRITER_LATE_US) {
            rewriter_apply(e, m, out);
            return true;
        }
    }
    return false;
}

bool rewriter_find(const struct rewriter *r, uint16_t seq, const struct rewriter_epoch **epoch,
                   int64_t *source_seq)
{
    uint16_t back = (uint16_t)((uint16_t)r->highest - seq);
    int64_t wide = r->highest - back;
    if (back >= 0x8000)
        return false;
    for (unsigned i = 0; i < r->count; i++) {
        const struct rewriter_epoch *e = &r->epochs[i];
        if (wide >= e->first + e->seq_shift && wide <= e->last + e->seq_shift) {
            *epoch = e;
            *source_seq = wide - e->seq_shift;
            return true;
        }
    }
    return false;
}

bool timeline_align(const struct timeline *old_line, const struct timeline *new_line, uint32_t ts,
                    uint32_t clock_rate, uint32_t *out)
{
    if (!old_line->ntp || !new_line->ntp)
        return false;
    /* The sender's clock at ts, as seen from the old layer's report: 32.32 seconds. */
    __int128 since_report = (__int128)timestamp_diff(ts, new_line->rtp)
                            << NTP_SECOND_BITS; /* ticks, fixed point */
    __int128 ntp_ticks = (__int128)(int64_t)(new_line->ntp - old_line->ntp) * clock_rate;
    *out = old_line->rtp + (uint32_t)(int64_t)((since_report + ntp_ticks + (1ll << 31)) >> 32);
    return true;
}
