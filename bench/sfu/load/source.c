/*
 * source: a camera and a microphone that were never there. Opus: 50 packets a second of 80 to 120
 * bytes. VP8: frames around a mean size, cut into packets that are as equal as can be, as libwebrtc
 * does; five times as large when a keyframe was asked for. A frame goes out at once, or paced as a
 * browser does it: a few packets every 5 ms.
 */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/clock.h"

#define AUDIO_US 20000
#define AUDIO_BYTES_MIN 80
#define AUDIO_BYTES_MAX 120
#define PAYLOAD_MAX 1100
#define FRAME_PACKETS_MAX 64
#define PACE_US 5000
#define REPORT_US 1000000
#define KEYFRAME_FACTOR 5
#define DESCRIPTOR_BYTES 5
#define KEY_TAG_BYTES 10
#define WIDTH 1280
#define HEIGHT 720

static uint32_t next_random(struct source *s)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 17;
    s->random ^= s->random << 5;
    return s->random;
}

void source_start(struct source *s, int64_t now_us)
{
    s->is_running = true;
    s->wants_key = true;
    s->frame.sent = s->frame.packets = 0;
    s->audio.next_us = now_us;
    /* Sources do not beat in time: each has its own place within a frame. */
    s->video.next_us = now_us + (int64_t)(next_random(s) % (1000000 / s->fps));
    s->next_report_us = now_us + REPORT_US / 10;
}

/* ---- packets ---- */

struct datagrams {
    struct mmsghdr messages[FRAME_PACKETS_MAX];
    struct iovec iov[FRAME_PACKETS_MAX];
    uint8_t bytes[FRAME_PACKETS_MAX][PACKET_MAX];
    unsigned count;
};

static size_t write_header(struct source *s, struct source_stream *t, bool marker,
                           uint8_t out[RTP_HEADER_MAX])
{
    const uint8_t *ids = s->endpoint->ext_ids;
    bool is_video = t == &s->video;
    uint16_t seq = s->transport_seq++;
    uint32_t time = rtp_abs_send_time_from_us(clock_mono_us());
    uint8_t seq_bytes[2] = {(uint8_t)(seq >> 8), (uint8_t)seq};
    uint8_t time_bytes[3] = {(uint8_t)(time >> 16), (uint8_t)(time >> 8), (uint8_t)time};
    uint8_t level = 0x80 | 30;
    struct rtp_ext_value ext[] = {
        {ids[RTP_EXT_MID], (uint8_t)strlen(t->mid), (const uint8_t *)t->mid},
        {ids[RTP_EXT_TRANSPORT_SEQ], 2, seq_bytes},
        {ids[RTP_EXT_ABS_SEND_TIME], 3, time_bytes},
        {is_video ? 0 : ids[RTP_EXT_AUDIO_LEVEL], 1, &level},
    };
    return rtp_rewrite_header(out, RTP_HEADER_MAX, NULL, NULL,
                              &(struct rtp_rewrite){.ssrc = t->ssrc,
                                                    .timestamp = t->timestamp,
                                                    .seq = t->seq++,
                                                    .pt = t->pt,
                                                    .marker = marker,
                                                    .extra = ext,
                                                    .extra_count = ARRAY_LEN(ext)});
}

static void add_packet(struct source *s, struct source_stream *t, bool marker, uint8_t *payload,
                       size_t payload_bytes, bool is_key, struct datagrams *out)
{
    uint8_t header[RTP_HEADER_MAX];
    size_t n = 0;
    mark_write(payload + payload_bytes - MARK_BYTES, &(struct mark){.source = s->index,
                                                                    .is_video = t == &s->video,
                                                                    .is_key = is_key,
                                                                    .number = t->number,
                                                                    .sent_ns = load_realtime_ns()});
    struct sfu_srtp_parts parts = {.header = header,
                                   .header_bytes = write_header(s, t, marker, header),
                                   .payload = payload,
                                   .payload_bytes = payload_bytes};
    uint8_t *at = out->bytes[out->count];
    if (sfu_srtp_protect(s->endpoint->tx, &parts, at, PACKET_MAX, &n)) {
        fprintf(stderr, "load: source %u: cannot protect\n", s->index);
        return;
    }
    t->number++;
    t->packets++;
    t->octets += (uint32_t)payload_bytes;
    out->iov[out->count] = (struct iovec){at, n};
    out->messages[out->count].msg_hdr =
        (struct msghdr){.msg_iov = &out->iov[out->count], .msg_iovlen = 1};
    out->count++;
}

static void fill(uint8_t *payload, size_t n, uint32_t number)
{
    for (size_t i = 0; i < n; i++)
        payload[i] = mark_filling(number, i);
}

static void send_all(struct source *s, struct datagrams *d)
{
    for (unsigned at = 0; at < d->count;) {
        int sent = sendmmsg(s->endpoint->fd, d->messages + at, d->count - at, 0);
        if (sent > 0)
            at += (unsigned)sent;
        else if (errno != EINTR && errno != ECONNREFUSED)
            at++; /* lost here; the ledger shows it */
    }
    d->count = 0;
}

static struct datagrams datagrams;

static void send_audio(struct source *s, int64_t now_us)
{
    uint8_t payload[AUDIO_BYTES_MAX];
    size_t n = AUDIO_BYTES_MIN + next_random(s) % (AUDIO_BYTES_MAX - AUDIO_BYTES_MIN + 1);
    fill(payload, n, s->audio.number);
    s->audio.capture_us = now_us;
    add_packet(s, &s->audio, false, payload, n, false, &datagrams);
    send_all(s, &datagrams);
    s->audio.timestamp += 960;
    s->audio.next_us += AUDIO_US;
}

static void begin_frame(struct source *s, int64_t now_us)
{
    uint32_t spread = s->frame_bytes * 2 / 5 + 1; /* +- 20 % */
    uint32_t bytes = s->frame_bytes - spread / 2 + next_random(s) % spread;
    s->frame.is_key = s->wants_key;
    s->keys_sent += s->wants_key;
    s->wants_key = false;
    s->frame.bytes = s->frame.is_key ? bytes * KEYFRAME_FACTOR : bytes;
    s->frame.packets = MIN((s->frame.bytes + PAYLOAD_MAX - 1) / PAYLOAD_MAX, FRAME_PACKETS_MAX);
    s->frame.bytes = MIN(s->frame.bytes, s->frame.packets * PAYLOAD_MAX);
    s->frame.sent = 0;
    s->frame.next_us = now_us;
    s->picture_id = (s->picture_id + 1) & 0x7fff;
    s->tl0++;
    s->video.timestamp += 90000 / s->fps;
    s->video.capture_us = now_us;
    s->video.next_us += 1000000 / s->fps;
}

/* RFC 7741: X and S; I and L; picture id of 15 bits, TL0PICIDX; then the frame's own tag. */
static void write_vp8(const struct source *s, uint8_t *payload)
{
    static const uint8_t KEY_TAG[KEY_TAG_BYTES] = {
        0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, WIDTH & 255, WIDTH >> 8, HEIGHT & 255, HEIGHT >> 8};
    bool is_first = s->frame.sent == 0;
    payload[0] = (uint8_t)(0x80 | (is_first ? 0x10 : 0));
    payload[1] = 0xc0;
    payload[2] = (uint8_t)(0x80 | s->picture_id >> 8);
    payload[3] = (uint8_t)s->picture_id;
    payload[4] = s->tl0;
    if (is_first && s->frame.is_key)
        memcpy(payload + DESCRIPTOR_BYTES, KEY_TAG, sizeof(KEY_TAG));
    else if (is_first)
        payload[DESCRIPTOR_BYTES] = 0x11; /* the low bit: not a keyframe */
}

static void send_video(struct source *s, uint32_t max)
{
    uint8_t payload[PAYLOAD_MAX];
    uint32_t each = s->frame.bytes / s->frame.packets, larger = s->frame.bytes % s->frame.packets;
    for (; max && s->frame.sent < s->frame.packets; max--) {
        size_t n = each + (s->frame.sent < larger);
        fill(payload, n, s->video.number);
        write_vp8(s, payload);
        bool is_last = s->frame.sent + 1 == s->frame.packets;
        add_packet(s, &s->video, is_last, payload, n, s->frame.is_key, &datagrams);
        s->frame.sent++;
    }
    send_all(s, &datagrams);
}

/* ---- sender reports ---- */

static void write_sr(struct source_stream *t, struct writer *w, uint32_t clock_rate, int64_t now_us)
{
    int64_t wall_us = load_realtime_ns() / 1000;
    int64_t since_us = t->capture_us ? now_us - t->capture_us : 0;
    struct rtcp_reports r = {
        .ssrc = t->ssrc,
        .is_sender = true,
        .sender = {.ntp = rtcp_ntp_from_us(wall_us),
                   .rtp_timestamp = t->timestamp + (uint32_t)(since_us * clock_rate / 1000000),
                   .packet_count = t->packets,
                   .octet_count = t->octets},
    };
    rtcp_write_reports(w, &r);
    rtcp_write_sdes(w, t->ssrc, STR("load"));
}

static void send_reports(struct source *s, int64_t now_us)
{
    uint8_t out[256];
    struct writer w = writer_of(out, sizeof(out) - SRTCP_MAX_TRAILER);
    write_sr(&s->audio, &w, 48000, now_us);
    write_sr(&s->video, &w, 90000, now_us);
    endpoint_send_rtcp(s->endpoint, out, writer_size(&w), sizeof(out));
    s->next_report_us = now_us + REPORT_US;
}

void source_on_rtcp(struct source *s, const uint8_t *bytes, size_t n)
{
    struct cursor c = cursor_of(bytes, n);
    struct rtcp_packet p;
    struct rtcp_feedback f;
    uint16_t seqs[256];
    while (rtcp_next(&c, &p)) {
        bool is_picture =
            p.type == RTCP_PSFB && (p.count == RTCP_FMT_PLI || p.count == RTCP_FMT_FIR);
        if (is_picture) {
            s->keys_asked++;
            s->wants_key = true;
        } else if (p.type == RTCP_RTPFB && p.count == RTCP_FMT_NACK &&
                   rtcp_parse_feedback(&f, &p)) {
            s->nacked += (uint32_t)rtcp_parse_nack(&f, seqs, ARRAY_LEN(seqs));
        }
    }
}

/* ---- the clock ---- */

int64_t source_run(struct source *s, int64_t now_us)
{
    if (!s->is_running || s->endpoint->state != ENDPOINT_CONNECTED)
        return INT64_MAX;
    if (now_us >= s->audio.next_us)
        send_audio(s, now_us);
    bool is_between = s->frame.sent >= s->frame.packets;
    if (is_between && now_us >= s->video.next_us) {
        begin_frame(s, now_us);
        is_between = false;
    }
    if (!is_between && now_us >= s->frame.next_us) {
        send_video(s, s->paced_packets ? s->paced_packets : UINT32_MAX);
        s->frame.next_us = now_us + PACE_US;
        is_between = s->frame.sent >= s->frame.packets;
    }
    if (now_us >= s->next_report_us)
        send_reports(s, now_us);
    int64_t video_us = is_between ? s->video.next_us : s->frame.next_us;
    return MIN(MIN(s->audio.next_us, video_us), s->next_report_us);
}
