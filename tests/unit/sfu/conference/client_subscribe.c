/*
 * client_subscribe: what a receiver does and checks. Packets are put in order by sequence number;
 * what is missing is asked for until it comes; only what is in order reaches the "decoder", which
 * looks at the mark that the publisher put into each payload.
 */
#include "client.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "sfu/wire/rtp.h"

#define NACK_AFTER_US 10000
#define NACK_AGAIN_US 60000
#define PLI_AGAIN_US 200000
#define AUDIO_WAIT_US 50000 /* for a packet that may only be late */
#define REPORT_US 1000000
#define SKIP_AFTER_US 400000

struct client_receiver *client_add_receiver(struct client *c, uint32_t ssrc, uint32_t rtx_ssrc,
                                            bool is_audio)
{
    struct client_receiver *r = &c->receivers[c->receiver_count++];
    *r = (struct client_receiver){.ssrc = ssrc,
                                  .rtx_ssrc = rtx_ssrc,
                                  .is_audio = is_audio,
                                  .codec = is_audio ? SFU_CODEC_OPUS : SFU_CODEC_VP8,
                                  .is_switching_allowed = true,
                                  .slots = mem_calloc(CLIENT_HISTORY, sizeof(struct client_sent))};
    return r;
}

/* ---- the decoder ---- */

static bool read_mark(struct client_mark *out, const uint8_t *bytes, size_t n)
{
    struct cursor c = cursor_of(bytes, n);
    out->source = cursor_u32(&c);
    out->frame = cursor_u32(&c);
    out->layer = cursor_u8(&c);
    out->index = cursor_u8(&c);
    out->count = cursor_u8(&c);
    out->is_key = cursor_u8(&c);
    return !c.bad;
}

static void decode_audio(struct client *c, struct client_receiver *r, const struct client_sent *s)
{
    struct client_mark m;
    if (!read_mark(&m, s->payload, s->n)) {
        client_fault(c, "audio payload cut short");
        return;
    }
    if (r->has_frame && m.source != r->last.source)
        client_fault(c, "audio of another source");
    if (r->has_frame && m.frame != r->last.frame + 1 && !r->is_gap_allowed)
        client_fault(c, "audio frame %u after %u", m.frame, r->last.frame);
    if (r->has_frame && timestamp_is_behind(s->timestamp, r->last_timestamp))
        client_fault(c, "audio time runs back");
    r->has_frame = true;
    r->last = m;
    r->last_timestamp = s->timestamp;
    r->frames++;
    if (!r->first_frame_us)
        r->first_frame_us = c->now_us;
    r->last_frame_us = c->now_us;
}

/* A frame begins: does it follow the last one? */
static void check_frame_start(struct client *c, struct client_receiver *r,
                              const struct client_mark *m, const struct client_sent *s,
                              const struct client_picture *picture)
{
    bool is_same_layer = r->has_frame && m->layer == r->last.layer;
    if (!r->has_frame) {
        if (!m->is_key)
            client_fault(c, "stream begins without a keyframe (frame %u)", m->frame);
        return;
    }
    if (m->source != r->last.source)
        client_fault(c, "video of another source");
    if (!is_same_layer && (!m->is_key || !r->is_switching_allowed))
        client_fault(c, "layer %u after %u without a keyframe", m->layer, r->last.layer);
    if (is_same_layer && m->frame != r->last.frame + 1 && !m->is_key)
        client_fault(c, "frame %u after %u of layer %u", m->frame, r->last.frame, m->layer);
    if (is_same_layer && m->frame != r->last.frame + 1 && !r->is_gap_allowed)
        client_fault(c, "frames %u..%u are left out", r->last.frame + 1, m->frame);
    if (timestamp_is_behind(s->timestamp, r->last_timestamp))
        client_fault(c, "video time runs back by %d", (int)(r->last_timestamp - s->timestamp));
    if (picture->is_numbered && picture->number != ((r->last_picture + 1) & picture->mask))
        client_fault(c, "picture %u after %u", picture->number, r->last_picture);
    if (r->last.index + 1 != r->last.count) {
        r->broken_frames++;
        if (is_same_layer && !r->is_gap_allowed)
            client_fault(c, "frame %u is not whole", r->last.frame);
    }
}

static void decode_video(struct client *c, struct client_receiver *r, const struct client_sent *s)
{
    struct client_picture v;
    struct client_mark m;
    if (!client_read_payload(&v, r->codec, s)) {
        client_fault(c, "a payload that is none of its codec");
        return;
    }
    if (s->n < v.mark_at || !read_mark(&m, s->payload + v.mark_at, s->n - v.mark_at)) {
        client_fault(c, "video payload cut short");
        return;
    }
    if (!r->has_frame && (m.index != 0 || !m.is_key)) {
        r->awaits_keyframe = true; /* what began before our keys were there is lost to us */
        return;
    }
    r->awaits_keyframe = false;
    if (m.index == 0) {
        check_frame_start(c, r, &m, s, &v);
        if (v.is_keyframe != m.is_key)
            client_fault(c, "keyframe mark differs");
        r->keyframes += m.is_key;
    } else if (!r->has_frame || m.frame != r->last.frame || m.index != r->last.index + 1 ||
               m.layer != r->last.layer) {
        client_fault(c, "packet %u of frame %u (layer %u) after %u of %u (layer %u)", m.index,
                     m.frame, m.layer, r->last.index, r->last.frame, r->last.layer);
    } else if (s->timestamp != r->last_timestamp || v.number != r->last_picture) {
        client_fault(c, "two times or pictures within one frame");
    }
    if (s->marker != (m.index + 1 == m.count))
        client_fault(c, "marker bit is wrong");
    if (m.index + 1 == m.count) {
        r->frames++;
        r->frames_of_layer[m.layer % CLIENT_LAYERS]++;
        if (!r->first_frame_us)
            r->first_frame_us = c->now_us;
        r->last_frame_us = c->now_us;
    }
    r->has_frame = true;
    r->last = m;
    r->last_timestamp = s->timestamp;
    r->last_picture = v.number;
}

static void deliver(struct client *c, struct client_receiver *r)
{
    for (;;) {
        struct client_sent *s = &r->slots[r->next % CLIENT_HISTORY];
        if (!s->is_used)
            break;
        s->is_used = false;
        r->missing_since_us = 0;
        if (s->n == 0)
            client_fault(c, "empty payload");
        else if (r->is_audio)
            decode_audio(c, r, s);
        else
            decode_video(c, r, s);
        r->next++;
    }
    if (r->next <= r->highest && !r->missing_since_us)
        r->missing_since_us = c->now_us;
}

/* ---- packets ---- */

static void note_descriptor(struct client *c, struct client_sent *s, const struct rtp_packet *p,
                            const uint8_t *bytes)
{
    size_t n = 0;
    const uint8_t *found = rtp_ext_find(p, bytes, SUB_DESCRIPTOR, &n);
    if (!found)
        return;
    if (n > sizeof(s->descriptor))
        client_fault(c, "a descriptor of %zu bytes", n);
    s->descriptor_bytes = (uint8_t)MIN(n, sizeof(s->descriptor));
    memcpy(s->descriptor, found, s->descriptor_bytes);
}

/* One packet; skip: what RTX has in front of the payload. */
static void accept(struct client *c, struct client_receiver *r, const struct rtp_packet *p,
                   const uint8_t *bytes, size_t skip, uint16_t seq)
{
    const uint8_t *payload = bytes + p->payload_offset + skip;
    size_t n = p->payload_bytes - skip;
    if (!r->has_begun) {
        r->has_begun = true;
        r->next = r->highest = 0x10000 + seq;
    }
    int64_t wide = r->highest + (int16_t)(seq - (uint16_t)r->highest);
    struct client_sent *s = &r->slots[wide % CLIENT_HISTORY];
    if (wide < r->next || (s->is_used && s->seq == seq)) {
        r->duplicates++;
        return;
    }
    if (wide >= r->next + CLIENT_HISTORY) {
        client_fault(c, "sequence numbers jump by %d", (int)(wide - r->next));
        return;
    }
    r->highest = MAX(r->highest, wide);
    *s = (struct client_sent){
        .seq = seq, .timestamp = p->timestamp, .marker = p->marker, .is_used = true, .n = n};
    memcpy(s->payload, payload, MIN(n, sizeof(s->payload)));
    note_descriptor(c, s, p, bytes);
    deliver(c, r);
}

static void check_extensions(struct client *c, struct client_receiver *r,
                             const struct rtp_packet *p, const uint8_t *bytes)
{
    uint16_t seq;
    uint8_t level, cvo;
    bool is_voice;
    struct str mid;
    if (!rtp_transport_seq(p, bytes, SUB_TCC, &seq))
        client_fault(c, "no transport-wide number");
    r->has_mid |= rtp_text_ext(p, bytes, SUB_MID, &mid);
    r->has_orientation |= rtp_video_orientation(p, bytes, SUB_ORIENTATION, &cvo);
    r->has_level |= rtp_audio_level(p, bytes, SUB_LEVEL, &level, &is_voice);
    unsigned known = 1u << SUB_TCC | 1u << SUB_MID | 1u << SUB_ORIENTATION | 1u << SUB_LEVEL |
                     1u << SUB_DESCRIPTOR;
    if (p->ext_present & ~known)
        client_fault(c, "extension that was not negotiated");
}

void client_subscribe_rtp(struct client *c, uint8_t *bytes, size_t n)
{
    struct rtp_packet p;
    if (!rtp_parse(&p, bytes, n)) {
        client_fault(c, "malformed RTP from the server");
        return;
    }
    for (unsigned i = 0; i < c->receiver_count; i++) {
        struct client_receiver *r = &c->receivers[i];
        const uint8_t *payload = bytes + p.payload_offset;
        uint8_t pt = r->is_audio ? SUB_OPUS : client_video_pt(SUB_VIDEO, r->codec);
        if (p.ssrc == r->ssrc) {
            if (p.pt != pt)
                client_fault(c, "payload type %u", p.pt);
            check_extensions(c, r, &p, bytes);
            r->packets++;
            accept(c, r, &p, bytes, 0, p.seq);
            return;
        }
        if (p.ssrc == r->rtx_ssrc && r->rtx_ssrc) {
            if (p.pt != pt + 1 || p.payload_bytes < 2) {
                client_fault(c, "bad rtx");
                return;
            }
            if (!r->has_begun)
                return;
            r->recovered++;
            accept(c, r, &p, bytes, 2, (uint16_t)(payload[0] << 8 | payload[1]));
            return;
        }
    }
    client_fault(c, "RTP under SSRC %08x, which was not announced", p.ssrc);
}

/* ---- feedback ---- */

void client_send_pli(struct client *c, uint32_t ssrc)
{
    uint8_t out[64];
    struct writer w = writer_of(out, sizeof(out) - SRTCP_MAX_TRAILER);
    rtcp_write_pli(&w, c->id, ssrc);
    client_send_rtcp(c, out, writer_size(&w), sizeof(out));
}

static void send_nack(struct client *c, struct client_receiver *r)
{
    uint8_t out[1200];
    uint16_t seqs[256];
    size_t count = 0;
    for (int64_t s = r->next; s <= r->highest && count < ARRAY_LEN(seqs); s++)
        if (!r->slots[s % CLIENT_HISTORY].is_used)
            seqs[count++] = (uint16_t)s;
    struct writer w = writer_of(out, sizeof(out) - SRTCP_MAX_TRAILER);
    rtcp_write_nack(&w, c->id, r->ssrc, seqs, count);
    client_send_rtcp(c, out, writer_size(&w), sizeof(out));
    r->nacked_us = c->now_us;
}

static void send_receiver_report(struct client *c)
{
    uint8_t out[1200];
    struct writer w = writer_of(out, sizeof(out) - SRTCP_MAX_TRAILER);
    struct rtcp_reports reports = {.ssrc = c->id};
    for (unsigned i = 0; i < c->receiver_count && reports.count < RTCP_MAX_REPORTS; i++) {
        struct client_receiver *r = &c->receivers[i];
        if (!r->has_begun)
            continue;
        reports.reports[reports.count++] = (struct rtcp_report){.ssrc = r->ssrc,
                                                                .highest_seq = (uint32_t)r->highest,
                                                                .last_sr = rtcp_ntp_middle(r->ntp),
                                                                .delay_since_sr = 0};
    }
    rtcp_write_reports(&w, &reports);
    client_send_rtcp(c, out, writer_size(&w), sizeof(out));
}

/* As browsers do: a whole keyframe behind the hole is begun with; else one is asked for. */
static void skip_to_keyframe(struct client *c, struct client_receiver *r)
{
    for (int64_t at = r->next + 1; at <= r->highest; at++) {
        struct client_sent *s = &r->slots[at % CLIENT_HISTORY];
        struct client_picture v;
        struct client_mark m;
        if (!s->is_used || !client_read_payload(&v, r->codec, s) || s->n < v.mark_at ||
            !read_mark(&m, s->payload + v.mark_at, s->n - v.mark_at) || !m.is_key || m.index)
            continue;
        for (; r->next < at; r->next++)
            r->slots[r->next % CLIENT_HISTORY].is_used = false;
        r->missing_since_us = 0;
        r->has_frame = false;
        r->skips++;
        deliver(c, r);
        return;
    }
    r->awaits_keyframe = true;
}

void client_subscribe_tick(struct client *c)
{
    bool has_report = false;
    for (unsigned i = 0; i < c->receiver_count; i++) {
        struct client_receiver *r = &c->receivers[i];
        has_report |= r->ntp != 0;
        if (c->asks_for_missing && r->missing_since_us && !r->is_audio &&
            c->now_us - r->missing_since_us >= NACK_AFTER_US &&
            c->now_us - r->nacked_us >= NACK_AGAIN_US)
            send_nack(c, r);
        if (r->may_skip && !r->is_audio && r->missing_since_us &&
            c->now_us - r->missing_since_us > SKIP_AFTER_US)
            skip_to_keyframe(c, r);
        if (r->awaits_keyframe && c->now_us - r->pli_us > PLI_AGAIN_US) {
            r->pli_us = c->now_us;
            r->plis++;
            client_send_pli(c, r->ssrc);
        }
        if (r->is_audio && r->missing_since_us && c->now_us - r->missing_since_us > AUDIO_WAIT_US) {
            /* Audio is not asked for: it goes on without. */
            r->is_gap_allowed = true;
            r->next++;
            r->missing_since_us = 0;
            deliver(c, r);
        }
    }
    /* At once after a sender report, so that its echo was not held. */
    if (c->receiver_count && (has_report || c->now_us >= c->next_receiver_report_us)) {
        send_receiver_report(c);
        c->next_receiver_report_us = c->now_us + REPORT_US;
        for (unsigned i = 0; i < c->receiver_count; i++)
            c->receivers[i].ntp = 0;
    }
}

void client_subscribe_rtcp(struct client *c, const struct rtcp_packet *p)
{
    struct rtcp_reports reports;
    uint32_t byes[RTCP_MAX_REPORTS];
    size_t bye_count = p->type == RTCP_BYE ? rtcp_parse_bye(p, byes) : 0;
    for (unsigned i = 0; i < c->receiver_count; i++) {
        struct client_receiver *r = &c->receivers[i];
        for (size_t k = 0; k < bye_count; k++)
            r->byes += byes[k] == r->ssrc;
    }
    if (p->type != RTCP_SR || !rtcp_parse_reports(&reports, p))
        return;
    for (unsigned i = 0; i < c->receiver_count; i++) {
        struct client_receiver *r = &c->receivers[i];
        if (r->ssrc != reports.ssrc)
            continue;
        r->sender_reports++;
        r->ntp = reports.sender.ntp;
        r->last_report_ntp = reports.sender.ntp;
        r->last_report_rtp = reports.sender.rtp_timestamp;
        r->last_report_us = c->now_us;
    }
}

bool client_is_complete(const struct client_receiver *r)
{
    return r->has_begun && r->next == r->highest + 1;
}
