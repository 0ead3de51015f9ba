/*
 * peer_report: what we say to a peer about media: to a publisher, arrivals (transport-cc), losses
 * (NACK), keyframe requests and receiver reports; to a subscriber, sender reports.
 */
#include "sfu/peer.h"
#include "sfu/consumer.h"
#include "sfu/wire/rtcp.h"

#define NACKS_PER_PACKET 256
#define SR_BYTES_MAX (28 + 12 + SFU_CNAME_MAX + 4) /* of one consumer: SR and SDES */

static void begin(struct peer *p, struct writer *w)
{
    *w = writer_of(outgoing_reserve(&p->worker->out), PEER_RTCP_BYTES);
}

/* Encrypts what was written and sends it. */
static void finish(struct peer *p, struct writer *w)
{
    size_t n = writer_size(w);
    if (n == 0 || !p->can_send)
        return;
    if (sfu_srtcp_protect(p->tx, w->start, PEER_RTCP_BYTES + SRTCP_MAX_TRAILER, &n)) {
        sfu_count(p->worker, SFU_COUNTER_DROP_PROTECT, 1);
        return;
    }
    outgoing_commit(&p->worker->out, &p->to, n);
    peer_note_sent(p, n);
}

/* ---- to a publisher ---- */

static uint32_t any_media_ssrc(const struct peer *p)
{
    return p->streams && p->streams->count ? p->streams->ssrcs[0] : 0;
}

void peer_send_twcc(struct peer *p)
{
    struct writer w;
    /* A window of arrivals takes few packets; the bound is for a sender that makes it worst. */
    for (int i = 0; i < 16; i++) {
        begin(p, &w);
        if (!twcc_receiver_write(p->twcc, &w, p->rtcp_ssrc, any_media_ssrc(p)))
            return;
        finish(p, &w);
    }
}

int64_t peer_nack_due_us(const struct peer *p)
{
    int64_t due_us = INT64_MAX;
    for (unsigned i = 0; i < p->track_count; i++)
        for (unsigned k = 0; k < p->tracks[i]->info.layer_count; k++)
            due_us = MIN(due_us, nack_list_deadline_us(&p->tracks[i]->layers[k]->nacks));
    return due_us;
}

static void send_layer_nacks(struct peer *p, struct layer *l)
{
    uint16_t seqs[NACKS_PER_PACKET] __attribute__((uninitialized));
    size_t count =
        nack_list_due(&l->nacks, p->worker->now_us, peer_rtt_us(p), seqs, NACKS_PER_PACKET);
    if (count == 0 || !l->ssrc)
        return;
    struct writer w;
    begin(p, &w);
    rtcp_write_nack(&w, p->rtcp_ssrc, l->ssrc, seqs, count);
    finish(p, &w);
    sfu_count(p->worker, SFU_COUNTER_NACKS_SENT, count);
}

void peer_send_nacks(struct peer *p)
{
    for (unsigned i = 0; i < p->track_count; i++)
        for (unsigned k = 0; k < p->tracks[i]->info.layer_count; k++)
            if (p->tracks[i]->layers[k]->nacks.count)
                send_layer_nacks(p, p->tracks[i]->layers[k]);
}

void peer_send_keyframe_request(struct peer *p, struct track *t, struct layer *l)
{
    const struct sfu_codec_pt *codec = &t->info.codecs[l->codec];
    struct writer w;
    if (!p->can_send)
        return;
    begin(p, &w);
    if (codec->has_fir && !codec->has_pli)
        rtcp_write_fir(&w, p->rtcp_ssrc, l->ssrc, l->keyframe.fir_seq);
    else
        rtcp_write_pli(&w, p->rtcp_ssrc, l->ssrc);
    finish(p, &w);
    sfu_count(p->worker, SFU_COUNTER_KEYFRAMES_ASKED, 1);
}

static void add_block(struct peer *p, struct layer *l, struct rtcp_reports *out)
{
    struct rtcp_report *r = &out->reports[out->count++];
    *r = (struct rtcp_report){.ssrc = l->ssrc};
    receive_stats_report(&l->stats, r);
    if (l->timeline.ntp) {
        r->last_sr = rtcp_ntp_middle(l->timeline.ntp);
        r->delay_since_sr = (uint32_t)(((p->worker->now_us - l->timeline.at_us) << 16) / 1000000);
    }
}

/* SDES of our own, and our time for the round trip (RFC 3611). */
static void end_receiver_report(struct peer *p, struct writer *w)
{
    rtcp_write_sdes(w, p->rtcp_ssrc, STR("parlance"));
    rtcp_write_rrtr(w, p->rtcp_ssrc,
                    rtcp_ntp_from_us(p->worker->now_us + p->worker->sfu->opt.wall_offset_us));
    finish(p, w);
}

static void send_receiver_reports(struct peer *p)
{
    struct rtcp_reports r __attribute__((uninitialized));
    struct writer w;
    r.ssrc = p->rtcp_ssrc;
    r.is_sender = false;
    r.count = 0;
    for (unsigned i = 0; i < p->track_count; i++) {
        for (unsigned k = 0; k < p->tracks[i]->info.layer_count; k++) {
            struct layer *l = p->tracks[i]->layers[k];
            if (l->ssrc && l->stats.has_begun)
                add_block(p, l, &r);
            if (r.count < RTCP_MAX_REPORTS)
                continue;
            begin(p, &w);
            rtcp_write_reports(&w, &r);
            end_receiver_report(p, &w);
            r.count = 0;
        }
    }
    if (r.count == 0)
        return;
    begin(p, &w);
    rtcp_write_reports(&w, &r);
    end_receiver_report(p, &w);
}

/* ---- to a subscriber ---- */

static void add_dlrr(struct peer *p, struct writer *w)
{
    if (!p->rrtr_middle)
        return;
    struct rtcp_dlrr item = {
        .ssrc = p->rrtr_ssrc,
        .last_rr = p->rrtr_middle,
        .delay_since_rr = (uint32_t)(((p->worker->now_us - p->rrtr_at_us) << 16) / 1000000),
    };
    rtcp_write_dlrr(w, p->rtcp_ssrc, &item, 1);
    p->rrtr_middle = 0;
}

static void send_sender_reports(struct peer *p)
{
    struct writer w;
    begin(p, &w);
    LIST_FOREACH(&p->consumers, node)
    {
        struct consumer *c = LIST_ENTRY(node, struct consumer, in_peer);
        rate_sample(&c->rate, c->bytes, p->worker->now_us);
        if (writer_size(&w) + SR_BYTES_MAX > PEER_RTCP_BYTES - 64) {
            finish(p, &w);
            begin(p, &w);
        }
        (void)consumer_write_report(c, &w);
    }
    if (writer_size(&w))
        add_dlrr(p, &w);
    finish(p, &w);
}

void peer_send_reports(struct peer *p)
{
    send_receiver_reports(p);
    send_sender_reports(p);
}

void peer_send_byes(struct peer *p)
{
    struct writer w;
    begin(p, &w);
    rtcp_write_reports(&w, &(struct rtcp_reports){.ssrc = p->rtcp_ssrc});
    LIST_FOREACH(&p->consumers, node)
    {
        const struct consumer *c = LIST_ENTRY(node, struct consumer, in_peer);
        if (c->has_started && writer_size(&w) + 8 <= PEER_RTCP_BYTES)
            rtcp_write_bye(&w, c->ssrc);
    }
    finish(p, &w);
}
