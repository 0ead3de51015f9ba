/* engine_world: the people, the time, and the checks of all that goes out. */
#include "engine_world.h"

#include <stdio.h>
#include <string.h>

#include "sfu/peer.h"
#include "sfu/wire/rtcp.h"
#include "sfu/wire/stun.h"

static const struct sfu_codec_pt AUDIO[] = {
    {.codec = SFU_CODEC_OPUS, .clock_rate = 48000, .pt = 111}};
#define VIDEO_CODEC(c, n)                                                            \
    {                                                                                \
        .codec = c, .clock_rate = 90000, .pt = n, .rtx_pt = n + 1, .has_nack = true, \
        .has_pli = true                                                              \
    }
static const struct sfu_codec_pt VIDEO[] = {
    VIDEO_CODEC(SFU_CODEC_VP8, 96), VIDEO_CODEC(SFU_CODEC_VP9, 98),
    VIDEO_CODEC(SFU_CODEC_H264, 102), VIDEO_CODEC(SFU_CODEC_AV1, 106)};
static const struct sfu_codec_pt TAKEN[] = {{.codec = SFU_CODEC_OPUS, .clock_rate = 48000, .pt = 9},
                                            VIDEO_CODEC(SFU_CODEC_VP8, 20),
                                            VIDEO_CODEC(SFU_CODEC_VP9, 22),
                                            VIDEO_CODEC(SFU_CODEC_H264, 24),
                                            VIDEO_CODEC(SFU_CODEC_AV1, 26)};

uint32_t world_consumer_ssrc(unsigned end, uint32_t track)
{
    return 1000 * end + 10 * track;
}

/* ---- what goes out ---- */

static void check_rtp(struct end *e, unsigned index, const uint8_t *bytes, size_t n)
{
    struct rtp_packet p;
    check(index != PUBLISHER && rtp_parse(&p, bytes, n));
    uint32_t track = (p.ssrc - world_consumer_ssrc(index, 0)) / 10;
    bool is_rtx = p.ssrc % 10 == 1;
    check(track >= MICROPHONE && track <= TRACKS_MAX && p.ssrc % 10 <= 1);
    check(!is_rtx || (e->has_rtx && track != MICROPHONE));
    if (!is_rtx)
        e->last_seq[track] = p.seq;
    if (track == MICROPHONE)
        check(p.pt == 9);
    else
        check(p.pt >= 20 && p.pt <= 27 && (p.pt & 1) == is_rtx);
    unsigned known =
        1u << ID_SUB_MID | 1u << ID_SUB_TCC | 1u << ID_SUB_LEVEL | 1u << ID_SUB_DESCRIPTOR;
    check(!(p.ext_present & ~known) && p.csrc_count == 0);
}

static void check_datagram(struct world *w, const struct sfu_address *to, const uint8_t *bytes,
                           size_t n)
{
    uint8_t copy[OUTGOING_DATAGRAM_MAX];
    struct rtcp_packet packet;
    unsigned i = 0;
    if (sfu_address_eq(to, &w->spare))
        i = PUBLISHER;
    else
        while (i < ENDS && !sfu_address_eq(to, &w->ends[i].address))
            i++;
    check(i < ENDS && n <= sizeof(copy));
    struct end *e = &w->ends[i];
    memcpy(copy, bytes, n);
    switch (sfu_demux(bytes, n)) {
    case SFU_DATAGRAM_RTP: {
        enum err err = sfu_srtp_unprotect(e->rx, copy, &n);
        check(!err || (err == ERR_ALREADY_EXISTS && !e->has_rtx)); /* sent again as it was */
        if (!err)
            check_rtp(e, i, copy, n);
        return;
    }
    case SFU_DATAGRAM_RTCP:
        check(sfu_srtcp_unprotect(e->rx, copy, &n) == ERR_OK);
        struct cursor c = cursor_of(copy, n);
        while (rtcp_next(&c, &packet))
            ;
        check(!c.bad);
        return;
    case SFU_DATAGRAM_STUN:
    case SFU_DATAGRAM_DTLS:
        return;
    default:
        abort();
    }
}

static void on_send(void *arg, const struct sfu_send *batch, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (uint32_t at = 0; at < batch[i].n; at += batch[i].segment_bytes)
            check_datagram(arg, &batch[i].to, batch[i].bytes + at,
                           MIN((uint32_t)batch[i].segment_bytes, batch[i].n - at));
}

static void on_event(void *arg, const struct sfu_event *e)
{
    const struct world *w = arg;
    check(e->type != SFU_EVENT_PEER_CONNECTED && w);
}

/* ---- time and datagrams ---- */

int64_t world_poll(struct world *w)
{
    int64_t next_us = INT64_MAX;
    for (int round = 0; round < 3; round++) { /* mail answers mail */
        next_us = INT64_MAX;
        for (unsigned i = 0; i < WORLD_WORKERS; i++)
            next_us = MIN(next_us, sfu_worker_poll(sfu_worker(w->sfu, i), w->now_us));
    }
    return next_us;
}

void world_pass_time(struct world *w, int64_t us)
{
    int64_t until_us = MIN(w->now_us + us, w->end_us);
    while (w->now_us < until_us) {
        int64_t next_us = world_poll(w);
        w->now_us = CLAMP(next_us, w->now_us + 1000, until_us);
    }
    world_poll(w);
}

void world_inject(struct world *w, unsigned worker, const struct sfu_address *from,
                  const uint8_t *bytes, size_t n)
{
    struct sfu_received r = {.from = *from, .bytes = bytes, .n = (uint32_t)n};
    sfu_worker_receive(sfu_worker(w->sfu, worker), &r, 1, w->now_us);
}

void world_send_check(struct world *w, struct end *e, const struct sfu_address *from,
                      unsigned worker)
{
    static const uint8_t TRANSACTION[STUN_TRANSACTION_SIZE] = {1};
    uint8_t out[256];
    char username[64];
    snprintf(username, sizeof(username), "%s:remote", e->credentials.ufrag);
    size_t n = stun_write_request(out, sizeof(out),
                                  &(struct stun_request_options){
                                      .transaction = TRANSACTION,
                                      .username = str_from(username),
                                      .password = str_from(e->credentials.pwd),
                                      .priority = 1,
                                      .has_use_candidate = true,
                                  });
    world_inject(w, worker, from, out, n);
    world_poll(w);
}

/* ---- the people ---- */

static void put_keys(struct world *w, struct end *e)
{
    static const struct srtp_key UP = {.key = {1}, .salt = {2}}, DOWN = {.key = {3}, .salt = {4}};
    struct peer *p = sfu_find_peer_at(sfu_worker(w->sfu, e->worker), e->id);
    struct sfu_srtp_options up = {.profile = SRTP_PROFILE_GCM_128, .key = &UP};
    struct sfu_srtp_options down = {.profile = SRTP_PROFILE_GCM_128, .key = &DOWN};
    check(p && p->id == e->id);
    check(!sfu_srtp_tx_create(&e->tx, &up) && !sfu_srtp_rx_create(&e->rx, &down) &&
          !sfu_srtp_tx_create(&p->tx, &down) && !sfu_srtp_rx_create(&p->rx, &up));
    p->is_connected = true;
}

static void join(struct world *w, unsigned index, const struct sfu_peer_options *opt)
{
    struct end *e = &w->ends[index];
    e->address = sfu_address_v4(0x0a000001 + index, 1000);
    e->worker = index == SUBSCRIBER_ELSEWHERE;
    e->has_rtx = index == SUBSCRIBER;
    check(sfu_peer_add(w->sfu, opt, &e->id, &e->credentials) == ERR_OK);
    world_send_check(w, e, &e->address, e->worker);
    put_keys(w, e);
    world_send_check(w, e, &e->address, e->worker);
}

static void publish(struct world *w, uint32_t track)
{
    static const struct sfu_layer_id RIDS[] = {
        {.rid = {"q", 1}}, {.rid = {"h", 1}}, {.rid = {"f", 1}}};
    static const struct sfu_layer_id AUDIO_SSRC = {.ssrc = 11};
    static const struct sfu_layer_id SCREEN_SSRC = {.ssrc = 31, .rtx_ssrc = 32};
    static const struct str MIDS[] = {{"", 0}, {"0", 1}, {"1", 1}, {"2", 1}};
    bool is_audio = track == MICROPHONE;
    struct sfu_producer_options opt = {
        .track = track,
        .mid = MIDS[MIN(track, (uint32_t)SCREEN)],
        .is_audio = is_audio,
        .codecs = is_audio ? AUDIO : VIDEO,
        .codec_count = is_audio ? ARRAY_LEN(AUDIO) : ARRAY_LEN(VIDEO),
        .layers = is_audio          ? &AUDIO_SSRC
                  : track == CAMERA ? RIDS
                                    : &SCREEN_SSRC,
        .layer_count = track == CAMERA ? ARRAY_LEN(RIDS) : 1,
    };
    (void)!sfu_producer_add(w->sfu, w->ends[PUBLISHER].id, &opt);
}

static void subscribe(struct world *w, unsigned index, uint32_t track)
{
    const struct end *e = &w->ends[index];
    struct sfu_consumer_options opt = {
        .consumer = track,
        .producer_peer = w->ends[PUBLISHER].id,
        .producer_track = track,
        .mid = STR("m"),
        .ssrc = world_consumer_ssrc(index, track),
        .rtx_ssrc = e->has_rtx && track != MICROPHONE ? world_consumer_ssrc(index, track) + 1 : 0,
        .cname = STR("c"),
        .codecs = TAKEN,
        .codec_count = e->has_rtx ? ARRAY_LEN(TAKEN) : 2,
        .layer = SFU_LAYER_BEST,
    };
    (void)!sfu_consumer_add(w->sfu, e->id, &opt);
}

void world_publish(struct world *w, uint32_t track)
{
    publish(w, track);
    subscribe(w, SUBSCRIBER, track);
    subscribe(w, SUBSCRIBER_ELSEWHERE, track);
}

void world_init(struct world *w)
{
    static const struct sfu_peer_options PUBLISHES = {
        .room = 1,
        .ext_ids = {[RTP_EXT_MID] = ID_MID,
                    [RTP_EXT_RID] = ID_RID,
                    [RTP_EXT_REPAIRED_RID] = ID_REPAIRED,
                    [RTP_EXT_TRANSPORT_SEQ] = ID_TCC,
                    [RTP_EXT_AUDIO_LEVEL] = ID_LEVEL,
                    [RTP_EXT_VIDEO_ORIENTATION] = ID_ORIENTATION,
                    [RTP_EXT_DEPENDENCY_DESCRIPTOR] = ID_DESCRIPTOR}};
    static const struct sfu_peer_options SUBSCRIBES = {
        .room = 1,
        .ext_ids = {[RTP_EXT_MID] = ID_SUB_MID,
                    [RTP_EXT_TRANSPORT_SEQ] = ID_SUB_TCC,
                    [RTP_EXT_AUDIO_LEVEL] = ID_SUB_LEVEL,
                    [RTP_EXT_DEPENDENCY_DESCRIPTOR] = ID_SUB_DESCRIPTOR}};
    *w = (struct world){.now_us = 1000000, .end_us = 1000000 + WORLD_TIME_MAX_US};
    w->spare = sfu_address_v4(0x0a000063, 2000);
    for (unsigned i = 0; i < WORLD_WORKERS; i++)
        w->io[i] = (struct sfu_worker_io){.on_send = on_send, .on_event = on_event, .arg = w};
    check(sfu_create(&w->sfu, &(struct sfu_options){.worker_count = WORLD_WORKERS,
                                                    .io = w->io,
                                                    .max_peers = 4,
                                                    .max_bufs_per_worker = 192,
                                                    .ring_bytes = 16384,
                                                    .seed = 7}) == ERR_OK);
    join(w, PUBLISHER, &PUBLISHES);
    join(w, SUBSCRIBER, &SUBSCRIBES);
    join(w, SUBSCRIBER_ELSEWHERE, &SUBSCRIBES);
    for (w->last_track = MICROPHONE; w->last_track < SCREEN; w->last_track++)
        world_publish(w, w->last_track);
    world_publish(w, SCREEN);
    w->has_screen = true;
    world_poll(w);
}

void world_deinit(struct world *w)
{
    for (unsigned i = 0; i < ENDS; i++)
        (void)!sfu_peer_remove(w->sfu, w->ends[i].id);
    world_poll(w);
    for (unsigned i = 0; i < WORLD_WORKERS; i++) {
        check(sfu_worker_peer_count(sfu_worker(w->sfu, i)) == 0);
        check(sfu_worker_buf_count(sfu_worker(w->sfu, i)) == 0);
    }
    sfu_destroy(&w->sfu);
    for (unsigned i = 0; i < ENDS; i++) {
        sfu_srtp_tx_destroy(&w->ends[i].tx);
        sfu_srtp_rx_destroy(&w->ends[i].rx);
    }
}
