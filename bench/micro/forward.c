/*
 * forward: what the engine itself spends per forwarded packet, without sockets and kernel: one
 * publisher's VP8, in frames of 8 packets, to 1, 10, 50 ... subscribers on the same worker. Packets
 * are encrypted beforehand and come in frame by frame; what goes out is dropped. ICE is spoken, the
 * DTLS handshake is left out: the keys are put in place.
 *
 *   ninja -C build bench/micro/forward && build/bench/micro/forward [gcm256 | sha1_80]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/log.h"
#include "core/mem.h"
#include "sfu/peer.h"
#include "sfu/wire/stun.h"

#define PACKETS 2048 /* prepared; fewer than the numbers of one SRTP cycle */
#define PER_FRAME 8
#define PAYLOAD_BYTES 1100
#define ROUNDS 5
#define FRAME_US 10000 /* all rounds end before the handshakes are given up, after 30 s */
#define SUBSCRIBERS_MAX 1000

enum { PT_IN = 96, PT_OUT = 100, ID_MID = 1, ID_TCC = 3, SSRC_IN = 7 };

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "forward: %s\n", what);
    exit(1);
}

struct bench {
    enum srtp_profile profile;
    struct sfu *sfu;
    struct sfu_worker *worker;
    int64_t now_us;
    uint64_t messages;
    uint64_t datagrams;
    struct sfu_srtp_tx *tx; /* the publisher's */
    uint16_t seq;
    size_t sizes[PACKETS];
    uint8_t packets[PACKETS][PAYLOAD_BYTES + 100];
};

static void on_send(void *arg, const struct sfu_send *batch, size_t count)
{
    struct bench *b = arg;
    b->messages += count;
    for (size_t i = 0; i < count; i++)
        b->datagrams += (batch[i].n + batch[i].segment_bytes - 1) / batch[i].segment_bytes;
}

static void inject(struct bench *b, const struct sfu_address *from, const uint8_t *bytes, size_t n)
{
    struct sfu_received r = {.from = *from, .bytes = bytes, .n = (uint32_t)n};
    sfu_worker_receive(b->worker, &r, 1, b->now_us);
    (void)sfu_worker_poll(b->worker, b->now_us);
}

/* ---- people ---- */

static void send_check(struct bench *b, const struct sfu_credentials *c,
                       const struct sfu_address *from)
{
    static const uint8_t TRANSACTION[STUN_TRANSACTION_SIZE] = {1};
    uint8_t out[256];
    char username[64];
    snprintf(username, sizeof(username), "%s:remote", c->ufrag);
    size_t n = stun_write_request(out, sizeof(out),
                                  &(struct stun_request_options){
                                      .transaction = TRANSACTION,
                                      .username = str_from(username),
                                      .password = str_from(c->pwd),
                                      .priority = 1,
                                      .has_use_candidate = true,
                                  });
    inject(b, from, out, n);
}

static sfu_peer_id join(struct bench *b, unsigned index)
{
    static const struct srtp_key UP = {.key = {1}, .salt = {2}}, DOWN = {.key = {3}, .salt = {4}};
    struct sfu_srtp_options up = {.profile = b->profile, .key = &UP};
    struct sfu_srtp_options down = {.profile = b->profile, .key = &DOWN};
    struct sfu_peer_options opt = {
        .room = 1,
        .ext_ids = {[RTP_EXT_MID] = ID_MID, [RTP_EXT_TRANSPORT_SEQ] = index ? 0 : ID_TCC}};
    struct sfu_address from = sfu_address_v4(0x0a000001 + index, 1000);
    struct sfu_credentials credentials;
    sfu_peer_id id;
    must(!sfu_peer_add(b->sfu, &opt, &id, &credentials), "no peer");
    send_check(b, &credentials, &from);
    struct peer *p = sfu_find_peer_at(b->worker, id);
    must(p && !sfu_srtp_tx_create(&p->tx, &down) && !sfu_srtp_rx_create(&p->rx, &up), "no keys");
    p->is_connected = true;
    if (index == 0)
        must(!sfu_srtp_tx_create(&b->tx, &up), "no keys");
    send_check(b, &credentials, &from);
    return id;
}

static void publish(struct bench *b, sfu_peer_id id)
{
    struct sfu_codec_pt codec = {.codec = SFU_CODEC_VP8, .clock_rate = 90000, .pt = PT_IN};
    struct sfu_layer_id layer = {.ssrc = SSRC_IN};
    must(!sfu_producer_add(b->sfu, id,
                           &(struct sfu_producer_options){.track = 1,
                                                          .codecs = &codec,
                                                          .codec_count = 1,
                                                          .layers = &layer,
                                                          .layer_count = 1}),
         "no producer");
}

static void subscribe(struct bench *b, sfu_peer_id id, sfu_peer_id publisher, unsigned index)
{
    struct sfu_codec_pt codec = {
        .codec = SFU_CODEC_VP8, .clock_rate = 90000, .pt = PT_OUT, .rtx_pt = PT_OUT + 1};
    must(!sfu_consumer_add(b->sfu, id,
                           &(struct sfu_consumer_options){.consumer = 1,
                                                          .producer_peer = publisher,
                                                          .producer_track = 1,
                                                          .mid = STR("0"),
                                                          .ssrc = 100 + 2 * index,
                                                          .rtx_ssrc = 101 + 2 * index,
                                                          .codecs = &codec,
                                                          .codec_count = 1,
                                                          .layer = SFU_LAYER_BEST}),
         "no consumer");
}

/* ---- packets ---- */

static void prepare(struct bench *b, unsigned i)
{
    static const uint8_t KEY[] = {0x90, 0xe0, 0x80, 1,    1,  0, 0x10, 0,
                                  0,    0x9d, 1,    0x2a, 64, 1, 180,  0};
    uint8_t header[RTP_HEADER_MAX], payload[PAYLOAD_BYTES] = {0x80, 0xe0, 0x80, 1, 1, 0};
    uint8_t transport[2] = {(uint8_t)(b->seq >> 8), (uint8_t)b->seq};
    struct rtp_ext_value ext[] = {{ID_MID, 1, (const uint8_t *)"0"}, {ID_TCC, 2, transport}};
    size_t n =
        rtp_rewrite_header(header, sizeof(header), NULL, NULL,
                           &(struct rtp_rewrite){.ssrc = SSRC_IN,
                                                 .timestamp = b->seq / PER_FRAME * 3000u,
                                                 .seq = b->seq,
                                                 .pt = PT_IN,
                                                 .marker = b->seq % PER_FRAME == PER_FRAME - 1,
                                                 .extra = ext,
                                                 .extra_count = ARRAY_LEN(ext)});
    if (b->seq == 0)
        memcpy(payload, KEY, sizeof(KEY));
    payload[3] = (uint8_t)(b->seq / PER_FRAME);
    struct sfu_srtp_parts parts = {
        .header = header, .header_bytes = n, .payload = payload, .payload_bytes = PAYLOAD_BYTES};
    must(!sfu_srtp_protect(b->tx, &parts, b->packets[i], sizeof(b->packets[i]), &b->sizes[i]),
         "cannot encrypt");
    b->seq++;
}

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* All prepared packets, a frame a batch; returns the CPU's time. */
static double run(struct bench *b)
{
    struct sfu_address from = sfu_address_v4(0x0a000001, 1000);
    struct sfu_received batch[PER_FRAME];
    for (unsigned i = 0; i < PACKETS; i++)
        prepare(b, i);
    double begun = cpu_ns();
    for (unsigned at = 0; at < PACKETS; at += PER_FRAME) {
        for (unsigned i = 0; i < PER_FRAME; i++)
            batch[i] = (struct sfu_received){
                .from = from, .bytes = b->packets[at + i], .n = (uint32_t)b->sizes[at + i]};
        b->now_us += FRAME_US;
        sfu_worker_receive(b->worker, batch, PER_FRAME, b->now_us);
        (void)sfu_worker_poll(b->worker, b->now_us);
    }
    return cpu_ns() - begun;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(enum srtp_profile profile, unsigned subscribers)
{
    struct bench *b = mem_new(struct bench);
    double ns[ROUNDS];
    b->profile = profile;
    b->now_us = 1000000;
    struct sfu_worker_io io = {.on_send = on_send, .arg = b};
    must(!sfu_create(&b->sfu, &(struct sfu_options){.io = &io,
                                                    .max_peers = SUBSCRIBERS_MAX + 1,
                                                    .consent_timeout_us = 3600000000ll}),
         "no engine");
    b->worker = sfu_worker(b->sfu, 0);
    sfu_peer_id publisher = join(b, 0);
    publish(b, publisher);
    for (unsigned i = 1; i <= subscribers; i++)
        subscribe(b, join(b, i), publisher, i);
    (void)sfu_worker_poll(b->worker, b->now_us);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t before = sfu_worker_counter(b->worker, SFU_COUNTER_FORWARDED);
        double spent = run(b);
        uint64_t count = sfu_worker_counter(b->worker, SFU_COUNTER_FORWARDED) - before;
        must(count == (uint64_t)PACKETS * subscribers, "not everything was forwarded");
        ns[i] = spent / (double)count;
    }
    qsort(ns, ROUNDS, sizeof(ns[0]), compare);
    printf("| 1 to %-4u | %6.0f | %6.0f | %5.1f |\n", subscribers, ns[ROUNDS / 2], ns[0],
           (double)b->datagrams / (double)b->messages);
    sfu_srtp_tx_destroy(&b->tx);
    sfu_destroy(&b->sfu);
    free(b);
}

int main(int argc, char **argv)
{
    static const unsigned COUNTS[] = {1, 10, 50, 100, 200, SUBSCRIBERS_MAX};
    enum srtp_profile profile = SRTP_PROFILE_GCM_128;
    if (argc > 1 && strcmp(argv[1], "sha1_80") == 0)
        profile = SRTP_PROFILE_SHA1_80;
    else if (argc > 1 && strcmp(argv[1], "gcm256") == 0)
        profile = SRTP_PROFILE_GCM_256;
    log_set_level(LOG_ERROR);
    printf("%s by %s, %d bytes of payload, ns of CPU per forwarded packet\n",
           srtp_profile_name(profile), srtp_engine_name(srtp_engine_best(profile)), PAYLOAD_BYTES);
    printf("| case      | median |   best | datagrams a message |\n|---|---|---|---|\n");
    for (size_t i = 0; i < ARRAY_LEN(COUNTS); i++)
        measure(profile, COUNTS[i]);
    return 0;
}
