/*
 * sink: the ledger of one subscriber. A packet is known by its mark; inside the measured window
 * each number counts once. Beside that it does what a browser does for its own sake: receiver
 * reports every second, transport-cc feedback where it was negotiated, and picture loss until a
 * keyframe is there. Lost packets are not asked for again, so loss shows as it is.
 */
#include "load.h"

#include <stdlib.h>

#include "core/mem.h"

#define REPORT_US 1000000
#define TWCC_US 100000 /* libwebrtc: 50 to 250 ms by bitrate */
#define PLI_AGAIN_US 500000
#define VERIFY_EVERY 16 /* every 16th packet is compared byte by byte */
#define RTP_MAX_DELAYS ((size_t)4 << 20)

void sink_deinit(struct sink *s)
{
    for (unsigned i = 0; i < s->count; i++)
        free(s->streams[i].seen);
    free(s->streams);
}

void sink_reset(struct sink *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        s->streams[i].unique = 0;
        memset(s->streams[i].seen, 0, SINK_WINDOW / 8);
    }
}

static struct sink_stream *find_stream(struct sink *s, uint32_t ssrc)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->streams[i].ssrc == ssrc)
            return &s->streams[i];
    return NULL;
}

static struct sink_stream *add_stream(struct sink *s, const struct rtp_packet *p,
                                      const struct mark *m)
{
    if (s->count >= SINK_STREAMS_MAX)
        return NULL;
    s->streams = mem_realloc_array(s->streams, s->count + 1, sizeof(*s->streams));
    struct sink_stream *t = &s->streams[s->count++];
    *t = (struct sink_stream){.ssrc = p->ssrc,
                              .source = m->source,
                              .is_video = m->is_video,
                              .base_seq = p->seq,
                              .highest_seq = p->seq,
                              .seen = mem_calloc(SINK_WINDOW / 64, sizeof(uint64_t))};
    return t;
}

unsigned sink_missing(const struct endpoint *e)
{
    unsigned missing = 0;
    for (unsigned i = 0; i < e->load->source_count; i++) {
        bool has_audio = false, has_video = false;
        if (!e->sink.expects[i])
            continue;
        for (unsigned k = 0; k < e->sink.count; k++) {
            const struct sink_stream *t = &e->sink.streams[k];
            has_audio |= t->source == i && !t->is_video;
            has_video |= t->source == i && t->is_video && t->has_key;
        }
        missing += !has_audio + !has_video;
    }
    return missing;
}

/* ---- one packet ---- */

static bool is_intact(const uint8_t *payload, size_t n, const struct mark *m)
{
    size_t from = m->is_video ? 16 : 0; /* behind the descriptor and the frame's tag */
    for (size_t i = from; i + MARK_BYTES < n; i++)
        if (payload[i] != mark_filling(m->number, i))
            return false;
    return true;
}

static void note_delay(struct load *load, int64_t delay_ns)
{
    if (load->delay_count >= RTP_MAX_DELAYS)
        return;
    if (load->delay_count == load->delay_capacity) {
        load->delay_capacity = MAX((size_t)4096, load->delay_capacity * 2);
        load->delays_ns = mem_realloc_array(load->delays_ns, load->delay_capacity, sizeof(int32_t));
    }
    load->delays_ns[load->delay_count++] = (int32_t)CLAMP(delay_ns, 0, INT32_MAX);
}

static void count_in_window(struct load *load, struct sink_stream *t, const struct mark *m,
                            size_t bytes, int64_t at_ns)
{
    const struct source *s = m->source < load->source_count ? load->sources[m->source] : NULL;
    if (!load->is_measuring || !s)
        return;
    const struct source_stream *sent = m->is_video ? &s->video : &s->audio;
    uint32_t place = m->number - sent->begin;
    if (place >= SINK_WINDOW ||
        (load->is_ended && m->number - sent->begin >= sent->end - sent->begin))
        return;
    uint64_t bit = 1ull << (place % 64);
    if (t->seen[place / 64] & bit) {
        load->duplicates++;
        return;
    }
    t->seen[place / 64] |= bit;
    t->unique++;
    load->received++;
    load->bytes += bytes;
    if (at_ns)
        note_delay(load, at_ns - m->sent_ns);
}

static void note_arrival(struct endpoint *e, const struct rtp_packet *p, const uint8_t *bytes,
                         int64_t now_us)
{
    struct sink *s = &e->sink;
    uint16_t seq;
    if (!rtp_transport_seq(p, bytes, e->ext_ids[RTP_EXT_TRANSPORT_SEQ], &seq))
        return;
    if (!s->has_twcc_base) {
        s->has_twcc_base = true;
        s->twcc_base = seq;
        s->next_twcc_us = now_us + TWCC_US;
    }
    uint16_t at = (uint16_t)(seq - s->twcc_base);
    if (at >= RTCP_TWCC_MAX_PACKETS)
        return; /* late, or more than one feedback can say: as if lost */
    for (; s->twcc_count <= at; s->twcc_count++)
        s->arrivals_us[s->twcc_count] = RTCP_TWCC_LOST;
    s->arrivals_us[at] = now_us;
}

static void note_sequence(struct sink_stream *t, uint16_t seq)
{
    uint16_t step = (uint16_t)(seq - (uint16_t)t->highest_seq);
    if (step < 0x8000)
        t->highest_seq += step;
    t->packets++;
}

void sink_on_rtp(struct endpoint *e, const uint8_t *bytes, size_t n, int64_t now_us, int64_t at_ns)
{
    struct load *load = e->load;
    struct rtp_packet p;
    struct mark m;
    if (!rtp_parse(&p, bytes, n)) {
        load->corrupt++;
        return;
    }
    note_arrival(e, &p, bytes, now_us);
    if (p.payload_bytes == 0)
        return; /* a probe */
    const uint8_t *payload = bytes + p.payload_offset;
    if (!mark_read(&m, payload, p.payload_bytes)) {
        load->unmarked++;
        return;
    }
    if (p.pt >= 96 && p.pt < 112 && (e->rtx_pts >> (p.pt - 96) & 1)) {
        load->retransmitted++;
        return;
    }
    struct sink_stream *t = find_stream(&e->sink, p.ssrc);
    if (!t && !(t = add_stream(&e->sink, &p, &m)))
        return;
    note_sequence(t, p.seq);
    t->has_key |= m.is_key;
    if (m.number % VERIFY_EVERY == 0) {
        load->verified++;
        load->corrupt += !is_intact(payload, p.payload_bytes, &m);
    }
    count_in_window(load, t, &m, n, at_ns);
}

void sink_on_rtcp(struct endpoint *e, const uint8_t *bytes, size_t n, int64_t now_us)
{
    struct cursor c = cursor_of(bytes, n);
    struct rtcp_packet p;
    struct rtcp_reports r;
    while (rtcp_next(&c, &p)) {
        if (p.type != RTCP_SR || !rtcp_parse_reports(&r, &p))
            continue;
        struct sink_stream *t = find_stream(&e->sink, r.ssrc);
        if (t) {
            t->last_sr = rtcp_ntp_middle(r.sender.ntp);
            t->last_sr_us = now_us;
        }
    }
    if (c.bad)
        e->load->corrupt++;
}

/* ---- what goes back ---- */

static struct rtcp_report report_of(struct sink_stream *t, int64_t now_us)
{
    uint32_t expected = t->highest_seq - t->base_seq + 1;
    uint32_t lately = expected - t->reported_expected, got = t->packets - t->reported_packets;
    t->reported_expected = expected;
    t->reported_packets = t->packets;
    return (struct rtcp_report){
        .ssrc = t->ssrc,
        .fraction_lost = lately > got ? (uint8_t)MIN((lately - got) * 256 / lately, 255u) : 0,
        .cumulative_lost = (int32_t)(expected - t->packets),
        .highest_seq = t->highest_seq,
        .last_sr = t->last_sr,
        .delay_since_sr = t->last_sr ? (uint32_t)(((now_us - t->last_sr_us) << 16) / 1000000) : 0,
    };
}

static void send_reports(struct endpoint *e, int64_t now_us)
{
    struct sink *s = &e->sink;
    uint8_t out[1200];
    for (unsigned at = 0; at < s->count;) {
        struct writer w = writer_of(out, sizeof(out) - SRTCP_MAX_TRAILER);
        struct rtcp_reports r = {.ssrc = e->rtcp_ssrc};
        for (; at < s->count && r.count < RTCP_MAX_REPORTS; at++)
            r.reports[r.count++] = report_of(&s->streams[at], now_us);
        rtcp_write_reports(&w, &r);
        rtcp_write_sdes(&w, e->rtcp_ssrc, STR("load"));
        endpoint_send_rtcp(e, out, writer_size(&w), sizeof(out));
    }
    s->next_report_us = now_us + REPORT_US;
}

static void send_twcc(struct endpoint *e, int64_t now_us)
{
    struct sink *s = &e->sink;
    uint8_t out[1200];
    uint16_t done = 0;
    while (done < s->twcc_count) {
        struct writer w = writer_of(out, sizeof(out) - SRTCP_MAX_TRAILER);
        size_t covered = rtcp_write_twcc(
            &w, &(struct rtcp_twcc){.sender_ssrc = e->rtcp_ssrc,
                                    .media_ssrc = s->count ? s->streams[0].ssrc : 0,
                                    .base_seq = (uint16_t)(s->twcc_base + done),
                                    .feedback_count = s->twcc_feedbacks++,
                                    .packet_count = (uint16_t)(s->twcc_count - done),
                                    .arrival_us = s->arrivals_us + done});
        if (covered == 0)
            break;
        endpoint_send_rtcp(e, out, writer_size(&w), sizeof(out));
        done = (uint16_t)(done + covered);
    }
    s->twcc_base = (uint16_t)(s->twcc_base + s->twcc_count);
    s->twcc_count = 0;
    s->next_twcc_us = now_us + TWCC_US;
}

static void ask_pictures(struct endpoint *e, int64_t now_us)
{
    for (unsigned i = 0; i < e->sink.count; i++) {
        struct sink_stream *t = &e->sink.streams[i];
        uint8_t out[64];
        if (!t->is_video || t->has_key || now_us < t->next_pli_us)
            continue;
        struct writer w = writer_of(out, sizeof(out) - SRTCP_MAX_TRAILER);
        rtcp_write_pli(&w, e->rtcp_ssrc, t->ssrc);
        endpoint_send_rtcp(e, out, writer_size(&w), sizeof(out));
        t->next_pli_us = now_us + PLI_AGAIN_US;
    }
}

void sink_tick(struct endpoint *e, int64_t now_us)
{
    struct sink *s = &e->sink;
    if (s->count == 0)
        return;
    if (s->next_report_us == 0) /* not all in the same millisecond */
        s->next_report_us = now_us + (int64_t)(e->rtcp_ssrc % REPORT_US);
    if (now_us >= s->next_report_us)
        send_reports(e, now_us);
    if (s->has_twcc_base && now_us >= s->next_twcc_us)
        send_twcc(e, now_us);
    ask_pictures(e, now_us);
}
