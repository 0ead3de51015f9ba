/*
 * peer_rtp: an incoming media packet: decrypted, parsed once, noted for transport-wide feedback
 * before anything else is asked, then placed in its layer and kept.
 */
#include "sfu/peer.h"

#include "core/mem.h"

static void count_refusal(struct peer *p, enum err err)
{
    enum sfu_counter which = SFU_COUNTER_DROP_MALFORMED;
    if (err == ERR_UNAUTHENTICATED)
        which = SFU_COUNTER_DROP_SRTP_FORGED;
    else if (err == ERR_ALREADY_EXISTS)
        which = SFU_COUNTER_DROP_SRTP_REPLAYED;
    else if (err == ERR_RESOURCE_EXHAUSTED)
        which = SFU_COUNTER_DROP_SSRC_LIMIT;
    sfu_count(p->worker, which, 1);
}

static void note_for_feedback(struct peer *p, const struct media *m)
{
    uint16_t seq;
    if (!rtp_transport_seq(&m->rtp, media_bytes(m), p->ext_ids[RTP_EXT_TRANSPORT_SEQ], &seq))
        return;
    if (!p->twcc) {
        p->twcc = mem_new(struct twcc_receiver);
        twcc_receiver_init(p->twcc);
    }
    bool was_idle = p->twcc->due_us == INT64_MAX;
    twcc_receiver_packet(p->twcc, seq, p->worker->now_us);
    if (was_idle)
        deadline_by(&p->worker->deadlines, &p->deadline, p->twcc->due_us);
}

/* RFC 4588: takes the retransmission out of its wrapping. False: there is none in it (a probe). */
static bool unwrap_rtx(struct media *m, const struct track *t, const struct layer *l)
{
    uint8_t codec = t->codec_of_rtx[m->rtp.pt];
    if (codec == TRACK_NO_CODEC || m->rtp.payload_bytes < 2)
        return false;
    struct cursor c = cursor_of(media_payload(m), 2);
    m->rtp.seq = cursor_u16(&c);
    m->rtp.payload_offset += 2;
    m->rtp.payload_bytes -= 2;
    m->rtp.pt = t->info.codecs[codec].pt;
    m->rtp.ssrc = l->ssrc;
    m->is_recovered = true;
    return true;
}

static void note_level(struct peer *p, struct track *t, const struct media *m)
{
    uint8_t dbov;
    bool is_voice;
    if (rtp_audio_level(&m->rtp, media_bytes(m), p->ext_ids[RTP_EXT_AUDIO_LEVEL], &dbov, &is_voice))
        loudness_packet(&t->loudness, dbov, m->arrival_us);
}

static bool place(struct peer *p, struct layer *l, struct media *m, bool can_nack, size_t bytes)
{
    struct sfu_worker *w = p->worker;
    struct track *t = l->track;
    int64_t round_trip_us;
    bool had_missing = l->nacks.count > 0;
    struct layer_arrival arrival = {
        .seq = m->rtp.seq,
        .is_retransmission = m->is_recovered,
        .can_nack = can_nack && !track_is_silenced(t),
        .now_us = w->now_us,
    };
    enum layer_verdict verdict = layer_place(l, &arrival, &m->seq, &round_trip_us);
    if (verdict == LAYER_TOO_OLD) {
        sfu_count(w, SFU_COUNTER_DROP_DUPLICATE, 1);
        return false;
    }
    if (m->is_recovered) {
        l->stats.recovered++;
        if (round_trip_us)
            peer_note_rtt(p, round_trip_us);
        sfu_count(w, SFU_COUNTER_RECOVERED, 1);
    } else {
        receive_stats_packet(&l->stats, m->seq, m->rtp.timestamp,
                             t->info.codecs[m->codec].clock_rate, bytes, w->now_us);
    }
    if (verdict == LAYER_LOST_TOO_MUCH)
        track_want_keyframe(t, l->index);
    if (!had_missing && l->nacks.count)
        deadline_by(&w->deadlines, &p->deadline, nack_list_deadline_us(&l->nacks));
    return true;
}

static void keep(struct peer *p, struct layer *l, struct buf *b)
{
    struct sfu_worker *w = p->worker;
    struct track *t = l->track;
    struct media *m = media_of(b);
    struct inspected found;
    if (track_is_silenced(t)) {
        sfu_count(w, SFU_COUNTER_DROP_HELD, 1);
        return;
    }
    media_inspect(m, t->info.codecs[m->codec].codec, p->ext_ids[RTP_EXT_DEPENDENCY_DESCRIPTOR],
                  &found);
    if (t->info.is_audio)
        note_level(p, t, m);
    if (layer_batch_is_full(l))
        sfu_worker_forward(w);
    if (!layer_keep(l, b)) {
        sfu_count(w, SFU_COUNTER_DROP_DUPLICATE, 1);
        return;
    }
    if (found.width) {
        l->width = found.width;
        l->height = found.height;
    }
    track_note_packet(t, l);
}

static void on_rtp(struct peer *p, struct buf *b)
{
    struct sfu_worker *w = p->worker;
    struct media *m = media_of(b);
    if (!rtp_parse(&m->rtp, buf_bytes(b), b->n)) {
        sfu_count(w, SFU_COUNTER_DROP_MALFORMED, 1);
        return;
    }
    m->arrival_us = w->now_us;
    m->is_recovered = false;
    note_for_feedback(p, m);
    const struct peer_stream *stream = peer_find_stream(p, &m->rtp, buf_bytes(b));
    if (!stream)
        return;
    struct layer *l = stream->layer;
    struct track *t = l->track;
    if (stream->is_rtx && !unwrap_rtx(m, t, l))
        return; /* a probe: noted above, and that was its purpose */
    m->codec = t->codec_of_pt[m->rtp.pt];
    if (m->codec == TRACK_NO_CODEC) {
        sfu_count(w, SFU_COUNTER_DROP_PT_UNKNOWN, 1);
        return;
    }
    if (place(p, l, m, t->info.codecs[m->codec].has_nack, b->n))
        keep(p, l, b);
}

HOT void peer_on_media(struct peer *p, struct buf *b)
{
    size_t n = b->n;
    bool is_rtcp = rtp_is_rtcp(buf_bytes(b), n);
    enum err err = ERR_OK;
    if (unlikely(!p->is_connected)) {
        sfu_count(p->worker, SFU_COUNTER_DROP_NOT_READY, 1);
        goto done;
    }
    err = is_rtcp ? sfu_srtcp_unprotect(p->rx, buf_bytes(b), &n)
                  : sfu_srtp_unprotect(p->rx, buf_bytes(b), &n);
    if (unlikely(err)) {
        count_refusal(p, err);
        goto done;
    }
    b->n = (uint16_t)n;
    /* Only what is authentic counts: nobody else can use the peer's allowance up. */
    if (unlikely(!allowance_take(&p->packets, PEER_PACKETS_BURST, 1000000 / PEER_PACKETS_PER_SECOND,
                                 p->worker->now_us))) {
        sfu_count(p->worker, SFU_COUNTER_DROP_RATE, 1);
        goto done;
    }
    if (is_rtcp)
        peer_on_rtcp(p, buf_bytes(b), n);
    else
        on_rtp(p, b);
done:
    buf_unref(&b);
}
