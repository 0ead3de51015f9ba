/*
 * consumer_send: from shared plaintext to a subscriber's datagram: a header of its own, the codec's
 * numbers where they changed, encryption straight into the send arena. Two passes: first all
 * headers, so that sizes are known; then packets that differ in size by a byte or two are padded to
 * be equal, and go out as one message (UDP GSO).
 *
 * This is the hot path of the engine: no allocation, nothing but these two loops.
 */
#include "sfu/consumer_send.h"

#include <stdlib.h>

#include "core/mem.h"
#include "sfu/peer.h"
#include "sfu/wire/payload.h"

#define PAD_MAX 2
#define RTP_PADDING_BIT 0x20
#define RESENDS_MIN_US 10000 /* a packet is not sent again sooner, however short the round trip */
#define OSN_BYTES 2          /* RFC 4588: original sequence number */

struct prepared {
    const struct media *media;
    struct rewritten numbers;
    uint16_t header_bytes;
    uint16_t size; /* of the plain packet, without padding */
    uint8_t pad;
    bool has_nack;
    uint8_t header[RTP_HEADER_MAX];
};

struct consumer_scratch {
    struct prepared items[LAYER_BATCH_MAX];
};

struct consumer_scratch *consumer_scratch_create(void)
{
    return mem_new(struct consumer_scratch);
}

/* ---- headers ---- */

struct header {
    const struct media *media;
    const struct rewritten *numbers;
    uint32_t ssrc;
    uint16_t seq;
    uint8_t pt;
    bool is_rtx;
};

/* The extensions that are ours to write; `values` keeps the bytes. */
struct own_extensions {
    struct rtp_ext_value list[4];
    size_t count;
    uint8_t transport_seq[2];
    uint8_t send_time[3];
    uint8_t descriptor[256];
    uint8_t map[RTP_EXT_SLOTS];
};

static inline void add_extension(struct own_extensions *e, uint8_t id, const void *bytes, size_t n)
{
    e->list[e->count++] = (struct rtp_ext_value){id, (uint8_t)n, bytes};
}

/* The dependency descriptor with another frame number, which stands in its second and third byte.
 */
static void renumber_descriptor(struct own_extensions *e, const struct consumer *c,
                                const struct header *h)
{
    size_t n = 0;
    const uint8_t *bytes = rtp_ext_find(&h->media->rtp, media_bytes(h->media), h->media->dd_id, &n);
    uint8_t id = c->ext_map[h->media->dd_id];
    if (!bytes || !id || n < 3 || n > sizeof(e->descriptor))
        return;
    memcpy(e->map, c->ext_map, sizeof(e->map));
    e->map[h->media->dd_id] = 0;
    memcpy(e->descriptor, bytes, n);
    e->descriptor[1] = (uint8_t)(h->numbers->frame_number >> 8);
    e->descriptor[2] = (uint8_t)h->numbers->frame_number;
    add_extension(e, id, e->descriptor, n);
}

static inline size_t write_header(struct consumer *c, const struct header *h,
                                  uint8_t out[RTP_HEADER_MAX])
{
    struct peer *p = c->peer;
    struct own_extensions own __attribute__((uninitialized));
    const uint8_t *map = c->ext_map;
    uint8_t id;
    own.count = 0;
    if (likely((id = p->ext_ids[RTP_EXT_TRANSPORT_SEQ]))) {
        own.transport_seq[0] = (uint8_t)(p->transport_seq >> 8);
        own.transport_seq[1] = (uint8_t)p->transport_seq;
        p->transport_seq++;
        add_extension(&own, id, own.transport_seq, 2);
    }
    if ((id = p->ext_ids[RTP_EXT_ABS_SEND_TIME])) {
        uint32_t t = rtp_abs_send_time_from_us(p->worker->now_us);
        own.send_time[0] = (uint8_t)(t >> 16);
        own.send_time[1] = (uint8_t)(t >> 8);
        own.send_time[2] = (uint8_t)t;
        add_extension(&own, id, own.send_time, 3);
    }
    if (unlikely((!c->is_confirmed || h->is_rtx) && (id = p->ext_ids[RTP_EXT_MID])))
        add_extension(&own, c->mid[0] ? id : 0, c->mid, strlen(c->mid));
    if (unlikely(h->numbers->has_frame_shift)) {
        size_t before = own.count;
        renumber_descriptor(&own, c, h);
        if (own.count > before)
            map = own.map;
    }
    return rtp_rewrite_header(out, RTP_HEADER_MAX, &h->media->rtp, media_bytes(h->media),
                              &(struct rtp_rewrite){
                                  .ssrc = h->ssrc,
                                  .timestamp = h->numbers->timestamp,
                                  .seq = h->seq,
                                  .pt = h->pt,
                                  .marker = h->media->rtp.marker,
                                  .ext_map = map,
                                  .extra = own.list,
                                  .extra_count = own.count,
                              });
}

/* ---- first pass ---- */

/* False: this packet does not go to this subscriber. */
static inline bool prepare(struct consumer *c, const struct layer *l, const struct media *m,
                           struct prepared *out)
{
    const struct sfu_codec_pt *codec = consumer_codec(c, m->codec);
    struct rewriter_source source = {l->index, l->generation};
    if (unlikely(!codec)) {
        consumer_refuse(c, m->codec);
        return false;
    }
    if (!rewriter_map(&c->rewriter, m, source, c->peer->worker->now_us, &out->numbers))
        return false;
    struct header h = {.media = m,
                       .numbers = &out->numbers,
                       .ssrc = c->ssrc,
                       .seq = out->numbers.seq,
                       .pt = codec->pt};
    size_t header_bytes = write_header(c, &h, out->header);
    if (unlikely(!header_bytes))
        return false;
    out->media = m;
    out->header_bytes = (uint16_t)header_bytes;
    out->size = (uint16_t)(header_bytes + m->rtp.payload_bytes);
    out->pad = m->rtp.payload_bytes ? 0 : 1; /* an empty packet must be padding to be RTP at all */
    out->has_nack = codec->has_nack;
    return true;
}

/* Runs of packets whose sizes differ by at most PAD_MAX are made equal. */
static void equalise(struct prepared *items, unsigned count)
{
    for (unsigned from = 0; from < count;) {
        uint16_t low = items[from].size, high = low;
        unsigned to = from + 1;
        for (; to < count; to++) {
            uint16_t l = MIN(low, items[to].size), h = MAX(high, items[to].size);
            if (h - l > PAD_MAX)
                break;
            low = l;
            high = h;
        }
        for (unsigned i = from; i < to; i++)
            if (!items[i].pad)
                items[i].pad = (uint8_t)(high - items[i].size);
        from = to;
    }
}

/* ---- second pass ---- */

static void keep_sent(struct consumer *c, uint16_t seq, const uint8_t *bytes, size_t n)
{
    if (!c->sent)
        c->sent = mem_calloc(CONSUMER_SENT, sizeof(struct buf *));
    struct buf **slot = &c->sent[seq % CONSUMER_SENT];
    buf_unref(slot);
    *slot = n <= BUF_CAPACITY ? buf_get(c->peer->worker->pool) : NULL;
    if (!*slot)
        return;
    memcpy((*slot)->data, bytes, n);
    (*slot)->n = (uint16_t)n;
}

static inline void send_prepared(struct consumer *c, struct prepared *item)
{
    struct peer *p = c->peer;
    struct outgoing *o = &p->worker->out;
    const struct media *m = item->media;
    size_t n = 0;
    uint8_t *at = outgoing_reserve(o);
    if (item->pad)
        item->header[0] |= RTP_PADDING_BIT;
    struct sfu_srtp_parts parts = {
        .header = item->header,
        .header_bytes = item->header_bytes,
        .prefix = item->numbers.prefix,
        .prefix_bytes = item->numbers.prefix_bytes,
        .payload = media_payload(m) + item->numbers.prefix_bytes,
        .payload_bytes = (size_t)(m->rtp.payload_bytes - item->numbers.prefix_bytes),
        .pad_bytes = item->pad,
    };
    if (unlikely(sfu_srtp_protect(p->tx, &parts, at, OUTGOING_DATAGRAM_MAX, &n))) {
        sfu_count(p->worker, SFU_COUNTER_DROP_PROTECT, 1);
        return;
    }
    if (unlikely(!c->rtx_ssrc && item->has_nack && !c->track->info.is_audio))
        keep_sent(c, item->numbers.seq, at, n);
    outgoing_commit(o, &p->to, n);
    peer_note_sent(p, n);
    c->packets++;
    c->bytes += n;
    c->payload_bytes += m->rtp.payload_bytes;
    if (unlikely(m->is_keyframe)) {
        c->keyframes++;
        c->keyframe_us = p->worker->now_us;
    }
}

HOT void consumer_send(struct consumer *c, const struct layer *l, struct buf *const *packets,
                       unsigned count)
{
    struct prepared *items = c->peer->worker->scratch->items;
    unsigned ready = 0;
    for (unsigned i = 0; i < count; i++)
        if (likely(prepare(c, l, media_of(packets[i]), &items[ready])))
            ready++;
    if (ready > 1 && !c->track->info.is_audio)
        equalise(items, ready);
    for (unsigned i = 0; i < ready; i++)
        send_prepared(c, &items[i]);
    sfu_count(c->peer->worker, SFU_COUNTER_FORWARDED, ready);
}

/* ---- again, on request ---- */

struct consumer_resend {
    int64_t at_us;
    uint16_t seq;
    bool is_used;
};

/* May this packet be sent again now? Not twice within a round trip, and not without end. */
static bool may_resend(struct consumer *c, uint16_t seq)
{
    struct peer *p = c->peer;
    int64_t now_us = p->worker->now_us;
    if (!c->resends)
        c->resends = mem_calloc(CONSUMER_RESENDS, sizeof(struct consumer_resend));
    struct consumer_resend *last = &c->resends[seq % CONSUMER_RESENDS];
    if (last->is_used && last->seq == seq &&
        now_us - last->at_us < MAX(peer_rtt_us(p), RESENDS_MIN_US))
        return false;
    if (!allowance_take(&p->resends, PEER_RESEND_BURST, 1000000 / PEER_RESEND_PER_SECOND, now_us))
        return false;
    *last = (struct consumer_resend){.at_us = now_us, .seq = seq, .is_used = true};
    return true;
}

static void note_resent(struct consumer *c, size_t n)
{
    outgoing_commit(&c->peer->worker->out, &c->peer->to, n);
    peer_note_sent(c->peer, n);
    c->retransmitted++;
    sfu_count(c->peer->worker, SFU_COUNTER_RETRANSMITTED, 1);
}

/* RFC 4588: the packet under the rtx SSRC and numbering, its own number before the payload. */
static bool resend_rtx(struct consumer *c, uint16_t seq)
{
    const struct rewriter_epoch *epoch;
    struct rewritten numbers;
    int64_t source_seq;
    if (!rewriter_find(&c->rewriter, seq, &epoch, &source_seq))
        return false;
    struct buf *b = history_find(&c->track->layers[epoch->source.layer]->history, source_seq);
    const struct media *m = b ? media_of(b) : NULL;
    const struct sfu_codec_pt *codec = m ? consumer_codec(c, m->codec) : NULL;
    if (!codec || !codec->rtx_pt || m->rtp.payload_bytes == 0 || !may_resend(c, seq))
        return false;
    rewriter_apply(epoch, m, &numbers);
    uint8_t header[RTP_HEADER_MAX];
    uint8_t prefix[OSN_BYTES + REWRITER_PREFIX_MAX] = {(uint8_t)(seq >> 8), (uint8_t)seq};
    memcpy(prefix + OSN_BYTES, numbers.prefix, numbers.prefix_bytes);
    struct header h = {.media = m,
                       .numbers = &numbers,
                       .ssrc = c->rtx_ssrc,
                       .seq = c->rtx_seq++,
                       .pt = codec->rtx_pt,
                       .is_rtx = true};
    struct sfu_srtp_parts parts = {
        .header = header,
        .header_bytes = write_header(c, &h, header),
        .prefix = prefix,
        .prefix_bytes = OSN_BYTES + numbers.prefix_bytes,
        .payload = media_payload(m) + numbers.prefix_bytes,
        .payload_bytes = (size_t)(m->rtp.payload_bytes - numbers.prefix_bytes),
    };
    size_t n = 0;
    uint8_t *at = outgoing_reserve(&c->peer->worker->out);
    if (!parts.header_bytes ||
        sfu_srtp_protect(c->peer->tx, &parts, at, OUTGOING_DATAGRAM_MAX, &n)) {
        sfu_count(c->peer->worker, SFU_COUNTER_DROP_PROTECT, 1);
        return false;
    }
    note_resent(c, n);
    return true;
}

/* The very datagram that went out the first time; a fresh one would use its nonce twice. */
static bool resend_plain(struct consumer *c, uint16_t seq)
{
    struct buf *b = c->sent ? c->sent[seq % CONSUMER_SENT] : NULL;
    if (!b || b->n < RTP_HEADER_BYTES || (uint16_t)(b->data[2] << 8 | b->data[3]) != seq ||
        !may_resend(c, seq))
        return false;
    memcpy(outgoing_reserve(&c->peer->worker->out), b->data, b->n);
    note_resent(c, b->n);
    return true;
}

void consumer_on_nack(struct consumer *c, const uint16_t *seqs, size_t count)
{
    c->nacks += count;
    sfu_count(c->peer->worker, SFU_COUNTER_NACKS_RECEIVED, count);
    if (!c->track || !c->peer->can_send || c->track->info.is_audio)
        return;
    for (size_t i = 0; i < count; i++)
        if (c->rtx_ssrc)
            (void)resend_rtx(c, seqs[i]);
        else
            (void)resend_plain(c, seqs[i]);
}
