/*
 * consumer_report: the subscriber's word on what it gets (keyframe requests, report blocks), and
 * our sender reports to it. Reports keep the publisher's clock: both times are moved on from its
 * last report by the time since, so audio and video of one publisher stay on one clock.
 */
#include "sfu/peer.h"
#include "sfu/consumer.h"

void consumer_on_keyframe_request(struct consumer *c)
{
    int64_t now_us = c->peer->worker->now_us;
    c->keyframe_requests++;
    if (!c->track || !c->track->is_known || c->is_paused)
        return;
    /* One that is on its way answers what was asked before it could arrive. */
    if (c->is_flowing && c->keyframe_us && now_us - c->keyframe_us < peer_rtt_us(c->peer))
        return;
    track_want_keyframe(c->track, c->is_flowing ? c->current : c->target);
}

void consumer_on_report(struct consumer *c, const struct rtcp_report *r)
{
    if (r->ssrc != c->ssrc)
        return;
    c->is_confirmed = true;
    c->fraction_lost = r->fraction_lost;
    c->lost = r->cumulative_lost;
    c->jitter = r->jitter;
    for (unsigned i = 0; r->last_sr && i < CONSUMER_REPORTS; i++) {
        if (c->reports[i].ntp_middle != r->last_sr)
            continue;
        int64_t held_us = ((int64_t)r->delay_since_sr * 1000000) >> 16;
        peer_note_rtt(c->peer, c->peer->worker->now_us - c->reports[i].sent_us - held_us);
    }
}

bool consumer_write_report(struct consumer *c, struct writer *w)
{
    int64_t now_us = c->peer->worker->now_us;
    if (now_us < c->report_due_us || !c->track || !c->track->is_known || !c->is_flowing)
        return false;
    const struct layer *l = c->track->layers[c->current];
    const struct timeline *line = &l->timeline;
    if (!line->ntp || c->rewriter.epochs[0].source.generation != l->generation)
        return false;
    int64_t elapsed_us = now_us - line->at_us;
    uint32_t clock_rate = c->track->info.codecs[l->codec].clock_rate;
    uint64_t ntp = line->ntp + (uint64_t)(((__int128)elapsed_us << 32) / 1000000);
    struct rtcp_reports report = {
        .ssrc = c->ssrc,
        .is_sender = true,
        .sender = {.ntp = ntp,
                   .rtp_timestamp = line->rtp + (uint32_t)(elapsed_us * clock_rate / 1000000) +
                                    c->rewriter.epochs[0].timestamp_shift,
                   .packet_count = (uint32_t)c->packets,
                   .octet_count = (uint32_t)c->payload_bytes},
    };
    rtcp_write_reports(w, &report);
    rtcp_write_sdes(w, c->ssrc, str_from(c->cname));
    if (w->bad)
        return false;
    c->reports[c->report_at].ntp_middle = rtcp_ntp_middle(ntp);
    c->reports[c->report_at].sent_us = now_us;
    c->report_at = (c->report_at + 1) % CONSUMER_REPORTS;
    c->report_due_us =
        now_us + (c->track->info.is_audio ? PEER_REPORT_AUDIO_US : PEER_REPORT_US) - 50000;
    return true;
}
