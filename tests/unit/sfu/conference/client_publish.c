/*
 * client_publish: synthetic Opus (50 packets a second) and video (30 frames a second, layers of
 * different sizes), with everything that a browser does for it: mid and rid while they are needed,
 * transport-wide numbers, audio levels, sender reports, RTX, keyframes on request.
 */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "sfu/wire/rtp.h"

#define AUDIO_US 20000
#define VIDEO_US 33333
#define REPORT_US 1000000
#define MARK 12
#define NTP_EPOCH_US 1700000000000000ll

static struct client_track *add_track(struct client *c, uint32_t number, const char *mid)
{
    struct client_track *t = &c->tracks[c->track_count++];
    *t = (struct client_track){.number = number, .level = 30};
    snprintf(t->mid, sizeof(t->mid), "%s", mid);
    return t;
}

static void init_layer(struct client *c, struct client_track *t, unsigned i)
{
    struct client_layer *l = &t->layers[i];
    l->ssrc = net_random(c->net) | 1;
    l->rtx_ssrc = net_random(c->net) | 1;
    l->seq = (uint16_t)net_random(c->net);
    l->rtx_seq = (uint16_t)net_random(c->net);
    l->timestamp_base = net_random(c->net);
    l->picture_id = net_random(c->net) & 0x7fff;
    l->tl0 = (uint8_t)net_random(c->net);
    l->wants_key = true;
    l->packets_per_frame = t->is_audio ? 1 : 1 + 3 * i;
    l->sent = mem_calloc(CLIENT_HISTORY, sizeof(struct client_sent));
    if (t->layer_count > 1)
        snprintf(l->rid, sizeof(l->rid), "%c", "qhf"[i]);
}

struct client_track *client_add_audio(struct client *c, uint32_t number, const char *mid)
{
    struct client_track *t = add_track(c, number, mid);
    t->is_audio = true;
    t->layer_count = 1;
    init_layer(c, t, 0);
    return t;
}

struct client_track *client_add_video(struct client *c, uint32_t number, const char *mid,
                                      enum sfu_codec codec, unsigned layer_count)
{
    struct client_track *t = add_track(c, number, mid);
    t->codec = codec;
    t->layer_count = layer_count;
    for (unsigned i = 0; i < layer_count; i++)
        init_layer(c, t, i);
    return t;
}

/* ---- packets ---- */

bool client_send_rtp(struct client *c, const uint8_t *header, size_t header_bytes,
                     const uint8_t *payload, size_t n)
{
    uint8_t out[CLIENT_PACKET + 256];
    size_t size;
    if (!c->is_ready || sfu_srtp_protect(c->tx,
                                         &(struct sfu_srtp_parts){.header = header,
                                                                  .header_bytes = header_bytes,
                                                                  .payload = payload,
                                                                  .payload_bytes = n},
                                         out, sizeof(out), &size))
        return false;
    return net_send(c->net, &c->up, c->now_us, &c->address, &c->server, out, size);
}

void client_send_rtcp(struct client *c, uint8_t *bytes, size_t n, size_t capacity)
{
    if (!c->is_ready || sfu_srtcp_protect(c->tx, bytes, capacity, &n))
        return;
    (void)net_send(c->net, &c->up, c->now_us, &c->address, &c->server, bytes, n);
}

struct shape {
    uint32_t ssrc;
    uint32_t timestamp;
    uint16_t seq;
    uint8_t pt;
    bool marker;
    bool is_rtx;
    uint8_t descriptor_bytes;
    const uint8_t *descriptor;
};

static void send_packet(struct client *c, const struct client_track *t,
                        const struct client_layer *l, const struct shape *s, const uint8_t *payload,
                        size_t n)
{
    uint8_t header[RTP_HEADER_MAX], level = t->level | 0x80, orientation = 1;
    uint8_t seq[2] = {(uint8_t)(c->transport_seq >> 8), (uint8_t)c->transport_seq};
    uint8_t rid_id = l->rid[0] ? (s->is_rtx ? PUB_REPAIRED_RID : PUB_RID) : 0;
    struct rtp_ext_value ext[] = {
        {PUB_MID, (uint8_t)strlen(t->mid), (const uint8_t *)t->mid},
        {rid_id, (uint8_t)strlen(l->rid), (const uint8_t *)l->rid},
        {PUB_TCC, 2, seq},
        {t->is_audio ? PUB_LEVEL : 0, 1, &level},
        {!t->is_audio && s->marker ? PUB_ORIENTATION : 0, 1, &orientation},
        {s->descriptor_bytes ? PUB_DESCRIPTOR : 0, s->descriptor_bytes, s->descriptor},
    };
    size_t header_bytes = rtp_rewrite_header(header, sizeof(header), NULL, NULL,
                                             &(struct rtp_rewrite){.ssrc = s->ssrc,
                                                                   .timestamp = s->timestamp,
                                                                   .seq = s->seq,
                                                                   .pt = s->pt,
                                                                   .marker = s->marker,
                                                                   .extra = ext,
                                                                   .extra_count = ARRAY_LEN(ext)});
    bool is_there = client_send_rtp(c, header, header_bytes, payload, n);
    c->transport_state[c->transport_seq++] = is_there ? 1 : 2;
}

static void remember_and_send(struct client *c, struct client_track *t, struct client_layer *l,
                              const struct shape *s, const uint8_t *payload, size_t n)
{
    struct client_sent *sent = &l->sent[s->seq % CLIENT_HISTORY];
    *sent = (struct client_sent){
        .seq = s->seq, .timestamp = s->timestamp, .marker = s->marker, .is_used = true, .n = n};
    memcpy(sent->payload, payload, n);
    sent->descriptor_bytes = s->descriptor_bytes;
    if (s->descriptor_bytes)
        memcpy(sent->descriptor, s->descriptor, s->descriptor_bytes);
    l->packets++;
    send_packet(c, t, l, s, payload, n);
}

static size_t write_mark(uint8_t *out, const struct client_mark *m)
{
    struct writer w = writer_of(out, MARK);
    writer_u32(&w, m->source);
    writer_u32(&w, m->frame);
    writer_u8(&w, m->layer);
    writer_u8(&w, m->index);
    writer_u8(&w, m->count);
    writer_u8(&w, m->is_key);
    return MARK;
}

static void send_audio(struct client *c, struct client_track *t)
{
    struct client_layer *l = &t->layers[0];
    uint8_t payload[80] = {0};
    struct client_mark m = {.source = c->id << 8 | t->number, .frame = l->frame++, .count = 1};
    write_mark(payload, &m);
    struct shape s = {.ssrc = l->ssrc,
                      .timestamp = l->timestamp_base + (uint32_t)(c->now_us * 48 / 1000),
                      .seq = l->seq++,
                      .pt = PUB_OPUS};
    remember_and_send(c, t, l, &s, payload, sizeof(payload));
}

static void send_frame(struct client *c, struct client_track *t, unsigned layer)
{
    struct client_layer *l = &t->layers[layer];
    bool is_key = l->wants_key;
    unsigned count = l->packets_per_frame * (is_key ? 3 : 1);
    uint32_t timestamp = l->timestamp_base + (uint32_t)(t->next_frame_us * 90 / 1000);
    l->wants_key = false;
    l->keyframes += is_key;
    l->picture_id = (uint16_t)(l->picture_id + 1) & (t->codec == SFU_CODEC_AV1 ? 0xffff : 0x7fff);
    l->tl0++;
    size_t size = 400 + 200 * layer + net_random(c->net) % 3; /* nearly even split */
    for (unsigned i = 0; i < count; i++) {
        uint8_t payload[CLIENT_PACKET] = {0};
        struct client_mark m = {.source = c->id << 8 | t->number,
                                .frame = l->frame,
                                .layer = (uint8_t)layer,
                                .index = (uint8_t)i,
                                .count = (uint8_t)count,
                                .is_key = is_key};
        bool is_whole = false;
        uint8_t descriptor[CLIENT_DESCRIPTOR_MAX];
        size_t at = client_write_payload(payload, t->codec, l, &m, &is_whole);
        at += write_mark(payload + at, &m);
        struct shape s = {.ssrc = l->ssrc,
                          .timestamp = timestamp,
                          .seq = l->seq++,
                          .pt = client_video_pt(PUB_VIDEO, t->codec),
                          .marker = i + 1 == count,
                          .descriptor = descriptor};
        if (t->codec == SFU_CODEC_AV1)
            s.descriptor_bytes = client_write_descriptor(descriptor, l, &m);
        remember_and_send(c, t, l, &s, payload, is_whole ? at : size + i % 2);
    }
    l->frame++;
}

static void send_report(struct client *c, const struct client_track *t, struct client_layer *l)
{
    uint8_t out[256];
    struct writer w = writer_of(out, sizeof(out) - SRTCP_MAX_TRAILER);
    uint32_t rate = t->is_audio ? 48 : 90;
    struct rtcp_reports r = {
        .ssrc = l->ssrc,
        .is_sender = true,
        .sender = {.ntp = rtcp_ntp_from_us(NTP_EPOCH_US + c->now_us),
                   .rtp_timestamp = l->timestamp_base + (uint32_t)(c->now_us * rate / 1000),
                   .packet_count = l->packets,
                   .octet_count = l->packets * 500},
    };
    rtcp_write_reports(&w, &r);
    rtcp_write_sdes(&w, l->ssrc, STR("client"));
    client_send_rtcp(c, out, writer_size(&w), sizeof(out));
    l->next_report_us = c->now_us + REPORT_US;
}

static void tick_track(struct client *c, struct client_track *t)
{
    if (!t->next_frame_us)
        t->next_frame_us = c->now_us;
    for (unsigned i = 0; i < t->layer_count; i++)
        if (c->now_us >= t->layers[i].next_report_us && t->layers[i].packets &&
            !t->layers[i].is_off)
            send_report(c, t, &t->layers[i]);
    if (c->now_us < t->next_frame_us)
        return;
    for (unsigned i = 0; i < t->layer_count && !t->is_muted; i++) {
        if (t->is_audio)
            send_audio(c, t);
        else if (!t->layers[i].is_off)
            send_frame(c, t, i);
    }
    t->next_frame_us += t->is_audio ? AUDIO_US : VIDEO_US;
}

void client_publish_tick(struct client *c)
{
    for (unsigned i = 0; i < c->track_count; i++)
        tick_track(c, &c->tracks[i]);
}

/* ---- the server's feedback ---- */

static bool is_ssrc_of(const struct client_layer *l, uint32_t ssrc)
{
    for (unsigned i = 0; i <= l->renewals; i++)
        if (l->ssrc - i * CLIENT_RENEWAL == ssrc)
            return true;
    return false;
}

static struct client_layer *find_layer(struct client *c, uint32_t ssrc, struct client_track **track)
{
    for (unsigned i = 0; i < c->track_count; i++)
        for (unsigned k = 0; k < c->tracks[i].layer_count; k++)
            if (is_ssrc_of(&c->tracks[i].layers[k], ssrc)) {
                *track = &c->tracks[i];
                return &c->tracks[i].layers[k];
            }
    return NULL;
}

static void on_nack(struct client *c, const struct rtcp_feedback *f)
{
    uint16_t seqs[512];
    struct client_track *t = NULL;
    struct client_layer *l = find_layer(c, f->media_ssrc, &t);
    size_t count = rtcp_parse_nack(f, seqs, ARRAY_LEN(seqs));
    if (!l || t->is_audio) {
        client_fault(c, "NACK for a stream that takes none");
        return;
    }
    c->nacks_received += count;
    for (size_t i = 0; i < count; i++) {
        const struct client_sent *sent = &l->sent[seqs[i] % CLIENT_HISTORY];
        if (!sent->is_used || sent->seq != seqs[i])
            continue;
        uint8_t payload[CLIENT_PACKET + 2] = {(uint8_t)(seqs[i] >> 8), (uint8_t)seqs[i]};
        memcpy(payload + 2, sent->payload, sent->n);
        struct shape s = {.ssrc = l->rtx_ssrc,
                          .timestamp = sent->timestamp,
                          .seq = l->rtx_seq++,
                          .pt = client_video_pt(PUB_VIDEO, t->codec) + 1,
                          .marker = sent->marker,
                          .is_rtx = true,
                          .descriptor_bytes = sent->descriptor_bytes,
                          .descriptor = sent->descriptor};
        send_packet(c, t, l, &s, payload, sent->n + 2);
    }
}

static void on_twcc(struct client *c, const struct rtcp_feedback *f)
{
    int64_t arrival[RTCP_TWCC_MAX_PACKETS];
    struct rtcp_twcc t = {.arrival_us = arrival};
    if (!rtcp_parse_twcc(&t, ARRAY_LEN(arrival), f)) {
        client_fault(c, "malformed transport-cc feedback");
        return;
    }
    c->feedbacks++;
    for (size_t i = 0; i < t.packet_count; i++) {
        uint8_t *state = &c->transport_state[(uint16_t)(t.base_seq + i)];
        if (arrival[i] == RTCP_TWCC_LOST)
            continue;
        if (*state == 2)
            client_fault(c, "a lost packet was reported as arrived");
        *state = 3;
    }
}

void client_publish_rtcp(struct client *c, const struct rtcp_packet *p)
{
    struct rtcp_feedback f;
    struct client_track *t = NULL;
    if ((p->type != RTCP_RTPFB && p->type != RTCP_PSFB) || !rtcp_parse_feedback(&f, p))
        return;
    if (p->type == RTCP_RTPFB && p->count == RTCP_FMT_NACK) {
        on_nack(c, &f);
    } else if (p->type == RTCP_RTPFB && p->count == RTCP_FMT_TWCC) {
        on_twcc(c, &f);
    } else if (p->type == RTCP_PSFB && p->count == RTCP_FMT_PLI) {
        struct client_layer *l = find_layer(c, f.media_ssrc, &t);
        if (!l) {
            client_fault(c, "PLI for no stream of ours");
            return;
        }
        l->plis++;
        l->wants_key = true;
    }
}

unsigned client_unreported(const struct client *c)
{
    unsigned count = 0;
    for (unsigned i = 0; i < 65536; i++)
        count += c->transport_state[i] == 1;
    return count;
}
