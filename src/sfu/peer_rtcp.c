/*
 * peer_rtcp: what a peer says about media, ours and its own. Each packet of a compound goes to its
 * reader; what names an SSRC that is none of the peer's is passed over.
 */
#include "sfu/peer.h"
#include "sfu/consumer.h"
#include "sfu/wire/rtcp.h"

#define NACKS_MAX 512   /* sequence numbers read from one packet */
#define COMPOUND_MAX 64 /* packets read from one compound */

static struct layer *layer_of(const struct peer *p, uint32_t ssrc)
{
    const struct peer_streams *s = p->streams;
    for (unsigned i = 0; s && i < s->count; i++)
        if (s->ssrcs[i] == ssrc && !s->streams[i].is_rtx)
            return s->streams[i].layer;
    return NULL;
}

static void on_reports(struct peer *p, const struct rtcp_packet *packet)
{
    struct rtcp_reports r __attribute__((uninitialized));
    if (!rtcp_parse_reports(&r, packet))
        return;
    struct layer *l = r.is_sender ? layer_of(p, r.ssrc) : NULL;
    if (l && r.sender.ntp)
        track_set_timeline(l->track, l->index,
                           &(struct timeline){.ntp = r.sender.ntp,
                                              .rtp = r.sender.rtp_timestamp,
                                              .at_us = p->worker->now_us});
    for (unsigned i = 0; i < r.count; i++) {
        struct consumer *c = peer_consumer_of(p, r.reports[i].ssrc);
        if (c)
            consumer_on_report(c, &r.reports[i]);
    }
}

/* The stream ends: its layer is silent from now on, not only after the wait. */
static void on_bye(struct peer *p, const struct rtcp_packet *packet)
{
    uint32_t ssrcs[RTCP_MAX_REPORTS];
    size_t count = rtcp_parse_bye(packet, ssrcs);
    for (size_t i = 0; i < count; i++) {
        struct layer *l = layer_of(p, ssrcs[i]);
        if (!l || !l->is_active)
            continue;
        l->is_active = false;
        track_set_active(l->track, (uint8_t)(l->track->active_layers & ~(1u << l->index)));
    }
}

static void on_nack(struct peer *p, const struct rtcp_feedback *f)
{
    uint16_t seqs[NACKS_MAX] __attribute__((uninitialized));
    struct consumer *c = peer_consumer_of(p, f->media_ssrc);
    if (c && f->media_ssrc == c->ssrc)
        consumer_on_nack(c, seqs, rtcp_parse_nack(f, seqs, NACKS_MAX));
}

static void on_keyframe_request(struct peer *p, uint32_t ssrc)
{
    struct consumer *c = peer_consumer_of(p, ssrc);
    if (c)
        consumer_on_keyframe_request(c);
}

static void on_feedback(struct peer *p, const struct rtcp_packet *packet)
{
    struct rtcp_feedback f;
    if (!rtcp_parse_feedback(&f, packet))
        return;
    if (packet->type == RTCP_RTPFB && packet->count == RTCP_FMT_NACK)
        on_nack(p, &f);
    else if (packet->type == RTCP_PSFB && packet->count == RTCP_FMT_PLI)
        on_keyframe_request(p, f.media_ssrc);
    else if (packet->type == RTCP_PSFB && packet->count == RTCP_FMT_FIR) {
        uint32_t ssrc;
        uint8_t command_seq;
        while (rtcp_next_fir(&f, &ssrc, &command_seq))
            on_keyframe_request(p, ssrc);
    }
    /* Transport-cc feedback and REMB are for the bandwidth estimator, which is not here yet. */
}

static void on_xr(struct peer *p, const struct rtcp_packet *packet)
{
    struct rtcp_xr x __attribute__((uninitialized));
    int64_t now_us = p->worker->now_us;
    if (!rtcp_parse_xr(&x, packet))
        return;
    if (x.has_rrtr) {
        p->rrtr_middle = rtcp_ntp_middle(x.rrtr_ntp);
        p->rrtr_ssrc = x.ssrc;
        p->rrtr_at_us = now_us;
    }
    for (unsigned i = 0; i < x.dlrr_count; i++) {
        if (x.dlrr[i].ssrc != p->rtcp_ssrc || !x.dlrr[i].last_rr)
            continue;
        uint64_t ntp = rtcp_ntp_from_us(now_us + p->worker->sfu->opt.wall_offset_us);
        int32_t elapsed =
            (int32_t)(rtcp_ntp_middle(ntp) - x.dlrr[i].last_rr - x.dlrr[i].delay_since_rr);
        peer_note_rtt(p, ((int64_t)elapsed * 1000000) >> 16);
    }
}

void peer_on_rtcp(struct peer *p, const uint8_t *bytes, size_t n)
{
    struct cursor c = cursor_of(bytes, n);
    struct rtcp_packet packet;
    for (int i = 0; i < COMPOUND_MAX && rtcp_next(&c, &packet); i++) {
        if (packet.type == RTCP_SR || packet.type == RTCP_RR)
            on_reports(p, &packet);
        else if (packet.type == RTCP_RTPFB || packet.type == RTCP_PSFB)
            on_feedback(p, &packet);
        else if (packet.type == RTCP_BYE)
            on_bye(p, &packet);
        else if (packet.type == RTCP_XR)
            on_xr(p, &packet);
    }
    if (c.bad)
        sfu_count(p->worker, SFU_COUNTER_DROP_MALFORMED, 1);
}
