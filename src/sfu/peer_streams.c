/*
 * peer_streams: whose an incoming SSRC is. Signaling may have declared it; else its first packets
 * say so, by mid and rid (or repaired rid: retransmissions may come before media), or by a payload
 * type that only one track has. Each layer has one SSRC and one for retransmissions, so a publisher
 * that cycles through SSRCs only replaces its own, and not faster than an allowance refills.
 */
#include "sfu/peer.h"

static void replace_ssrc(struct peer_streams *s, unsigned at, uint32_t ssrc)
{
    struct peer_stream *stream = &s->streams[at];
    s->ssrcs[at] = ssrc;
    if (stream->is_rtx) {
        stream->layer->rtx_ssrc = ssrc;
        return;
    }
    stream->layer->ssrc = ssrc;
    layer_restart(stream->layer);
}

void peer_declare_stream(struct peer *p, uint32_t ssrc, struct layer *layer, bool is_rtx)
{
    struct peer_streams *s = p->streams;
    unsigned found = s->count;
    for (unsigned i = 0; i < s->count; i++) {
        bool is_same_role = s->streams[i].layer == layer && s->streams[i].is_rtx == is_rtx;
        if (s->ssrcs[i] == ssrc && !is_same_role)
            return; /* two tracks claim it: the first keeps it */
        if (is_same_role)
            found = i;
    }
    if (found == PEER_MAX_STREAMS)
        return;
    if (found == s->count) {
        s->streams[s->count++] = (struct peer_stream){layer, is_rtx};
        replace_ssrc(s, found, ssrc);
    } else if (s->ssrcs[found] != ssrc) {
        replace_ssrc(s, found, ssrc);
    }
}

void peer_forget_layer(struct peer *p, const struct layer *layer)
{
    struct peer_streams *s = p->streams;
    for (unsigned i = 0; s && i < s->count; i++) {
        if (s->streams[i].layer != layer)
            continue;
        s->count--;
        s->streams[i] = s->streams[s->count];
        s->ssrcs[i] = s->ssrcs[s->count];
        i--;
    }
    if (s)
        s->last = 0;
}

/* ---- learning ---- */

static struct layer *layer_by_rid(const struct track *t, struct str rid)
{
    for (unsigned i = 0; i < t->info.layer_count; i++)
        if (str_eq(rid, str_from(t->info.layers[i].rid)))
            return t->layers[i];
    return NULL;
}

static bool has_pt(const struct track *t, uint8_t pt, bool *is_rtx)
{
    *is_rtx = t->codec_of_rtx[pt] != TRACK_NO_CODEC;
    return *is_rtx || t->codec_of_pt[pt] != TRACK_NO_CODEC;
}

/* The one track of the peer with this payload type and a single layer; NULL: none, or several. */
static struct track *track_by_pt(const struct peer *p, uint8_t pt)
{
    struct track *found = NULL;
    bool is_rtx;
    for (unsigned i = 0; i < p->track_count; i++) {
        struct track *t = p->tracks[i];
        if (!has_pt(t, pt, &is_rtx))
            continue;
        if (found || t->info.layer_count != 1)
            return NULL;
        found = t;
    }
    return found;
}

static struct track *track_by_mid(const struct peer *p, struct str mid)
{
    for (unsigned i = 0; i < p->track_count; i++)
        if (str_eq(mid, str_from(p->tracks[i]->info.mid)))
            return p->tracks[i];
    return NULL;
}

struct claim {
    struct layer *layer;
    bool is_rtx;
};

/* What the packet says of itself. */
static struct claim read_claim(const struct peer *p, const struct rtp_packet *rtp,
                               const uint8_t *bytes)
{
    struct str mid = STR_NULL, rid = STR_NULL;
    struct claim c = {0};
    struct track *t = NULL;
    if (rtp_text_ext(rtp, bytes, p->ext_ids[RTP_EXT_MID], &mid))
        t = track_by_mid(p, mid);
    else
        t = track_by_pt(p, rtp->pt);
    bool is_repaired = rtp_text_ext(rtp, bytes, p->ext_ids[RTP_EXT_REPAIRED_RID], &rid);
    bool has_rid = is_repaired || rtp_text_ext(rtp, bytes, p->ext_ids[RTP_EXT_RID], &rid);
    if (!t && !mid.n && has_rid)
        for (unsigned i = 0; i < p->track_count && !t; i++)
            if (layer_by_rid(p->tracks[i], rid))
                t = p->tracks[i];
    if (!t || !has_pt(t, rtp->pt, &c.is_rtx) || (is_repaired && !c.is_rtx))
        return c;
    if (has_rid)
        c.layer = layer_by_rid(t, rid);
    else if (t->info.layer_count == 1)
        c.layer = t->layers[0];
    return c;
}

static const struct peer_stream *learn(struct peer *p, const struct rtp_packet *rtp,
                                       const uint8_t *bytes)
{
    struct sfu_worker *w = p->worker;
    struct claim c = read_claim(p, rtp, bytes);
    if (!c.layer) {
        sfu_count(w, SFU_COUNTER_DROP_SSRC_UNKNOWN, 1);
        return NULL;
    }
    if (!allowance_take(&p->streams->latches, PEER_LATCH_BURST, PEER_LATCH_INTERVAL_US,
                        w->now_us)) {
        sfu_count(w, SFU_COUNTER_DROP_SSRC_LIMIT, 1);
        return NULL;
    }
    peer_declare_stream(p, rtp->ssrc, c.layer, c.is_rtx);
    for (unsigned i = 0; i < p->streams->count; i++)
        if (p->streams->ssrcs[i] == rtp->ssrc)
            return &p->streams->streams[p->streams->last = i];
    return NULL;
}

HOT const struct peer_stream *peer_find_stream(struct peer *p, const struct rtp_packet *rtp,
                                               const uint8_t *bytes)
{
    struct peer_streams *s = p->streams;
    if (unlikely(!s)) {
        sfu_count(p->worker, SFU_COUNTER_DROP_SSRC_UNKNOWN, 1);
        return NULL;
    }
    if (likely(s->last < s->count && s->ssrcs[s->last] == rtp->ssrc))
        return &s->streams[s->last];
    for (unsigned i = 0; i < s->count; i++)
        if (s->ssrcs[i] == rtp->ssrc)
            return &s->streams[s->last = i];
    return learn(p, rtp, bytes);
}
