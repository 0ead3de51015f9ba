/* conference: stepping, joining, subscribing, and what tests ask. */
#include "conference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"

#define STEP_US 1000
#define BATCH 64
#define PUBLISHER_EXT                                                                     \
    {                                                                                     \
        [RTP_EXT_MID] = PUB_MID, [RTP_EXT_RID] = PUB_RID,                                 \
        [RTP_EXT_REPAIRED_RID] = PUB_REPAIRED_RID, [RTP_EXT_TRANSPORT_SEQ] = PUB_TCC,     \
        [RTP_EXT_AUDIO_LEVEL] = PUB_LEVEL, [RTP_EXT_VIDEO_ORIENTATION] = PUB_ORIENTATION, \
        [RTP_EXT_DEPENDENCY_DESCRIPTOR] = PUB_DESCRIPTOR,                                 \
    }
#define SUBSCRIBER_EXT                                                                    \
    {                                                                                     \
        [RTP_EXT_MID] = SUB_MID, [RTP_EXT_TRANSPORT_SEQ] = SUB_TCC,                       \
        [RTP_EXT_AUDIO_LEVEL] = SUB_LEVEL, [RTP_EXT_VIDEO_ORIENTATION] = SUB_ORIENTATION, \
        [RTP_EXT_DEPENDENCY_DESCRIPTOR] = SUB_DESCRIPTOR,                                 \
    }

static const struct sfu_codec_pt PUBLISHED_AUDIO = {
    .codec = SFU_CODEC_OPUS, .clock_rate = 48000, .pt = PUB_OPUS};
#define VIDEO(name, base)                                                                       \
    {                                                                                           \
        .codec = name, .clock_rate = 90000, .has_nack = true, .has_pli = true, .has_fir = true, \
        .pt = (base) + 2 * (name - SFU_CODEC_VP8),                                              \
        .rtx_pt = (base) + 2 * (name - SFU_CODEC_VP8) + 1                                       \
    }
#define VIDEOS(base)                                                                     \
    VIDEO(SFU_CODEC_VP8, base), VIDEO(SFU_CODEC_VP9, base), VIDEO(SFU_CODEC_H264, base), \
        VIDEO(SFU_CODEC_AV1, base)
static const struct sfu_codec_pt PUBLISHED_VIDEO[] = {VIDEOS(PUB_VIDEO)};
static const struct sfu_codec_pt SUBSCRIBED[] = {
    {.codec = SFU_CODEC_OPUS, .clock_rate = 48000, .pt = SUB_OPUS}, VIDEOS(SUB_VIDEO)};

static struct sfu_address server_address(void)
{
    return sfu_address_v4(0xc0000201, 8810);
}

/* ---- what the engine sends and says ---- */

static struct client *client_at(struct conference *f, const struct sfu_address *a)
{
    for (unsigned i = 0; i < f->client_count; i++)
        if (sfu_address_eq(&f->clients[i]->address, a))
            return f->clients[i];
    return NULL;
}

static void on_send(void *arg, const struct sfu_send *batch, size_t count)
{
    struct conference *f = ((struct conference_worker *)arg)->conference;
    struct sfu_address from = server_address();
    assert_true(count > 0 && count <= 64);
    conference_lock(f);
    for (size_t i = 0; i < count; i++) {
        const struct sfu_send *s = &batch[i];
        assert_true(s->n > 0 && s->n <= 65000 && s->segment_bytes > 0);
        assert_true((s->n + s->segment_bytes - 1) / s->segment_bytes <= 64);
        f->messages_sent++;
        f->bytes_sent += s->n;
        if (!client_at(f, &s->to))
            f->bytes_to_strangers += s->n;
        for (size_t at = 0; at < s->n; at += s->segment_bytes) {
            f->datagrams_sent++;
            (void)net_send(&f->net, &f->down, f->now_us, &from, &s->to, s->bytes + at,
                           MIN((size_t)s->segment_bytes, s->n - at));
        }
    }
    conference_unlock(f);
}

static void on_event(void *arg, const struct sfu_event *e)
{
    struct conference *f = ((struct conference_worker *)arg)->conference;
    conference_lock(f);
    f->events[e->type]++;
    f->last[e->type] = *e;
    if (e->type == SFU_EVENT_SPEAKERS) {
        f->speaker_count = e->speaker_count;
        memcpy(f->speakers, e->speakers, e->speaker_count * sizeof(e->speakers[0]));
    }
    if (e->type == SFU_EVENT_STATS) {
        f->stats = *e->stats;
        assert_true(e->stats->track_count <= ARRAY_LEN(f->rows));
        memcpy(f->rows, e->stats->tracks, e->stats->track_count * sizeof(f->rows[0]));
    }
    conference_unlock(f);
}

static void on_wake(void *arg)
{
    atomic_store(&((struct conference_worker *)arg)->is_woken, true);
}

/* ---- life ---- */

void conference_init(struct conference *f, const struct conference_options *opt)
{
    *f = (struct conference){.worker_count = opt->worker_count ? opt->worker_count : 1,
                             .now_us = 5000000};
    uint64_t seed = opt->seed ? opt->seed : 1;
    net_init(&f->net, seed);
    f->up = f->down = opt->link;
    if (!opt->link.delay_us)
        f->up.delay_us = f->down.delay_us = 10000;
    for (unsigned i = 0; i < f->worker_count; i++) {
        f->workers[i] = (struct conference_worker){f, i, false};
        f->io[i] = (struct sfu_worker_io){on_send, on_event, on_wake, &f->workers[i]};
    }
    struct sfu_options options = {.worker_count = f->worker_count,
                                  .io = f->io,
                                  .max_peers = opt->max_peers ? opt->max_peers : 256,
                                  .max_bufs_per_worker = 16384,
                                  .ring_bytes = opt->ring_bytes,
                                  .consent_timeout_us = opt->consent_timeout_us,
                                  .wall_offset_us = 1700000000000000ll,
                                  .seed = seed};
    assert_int_equal(sfu_create(&f->sfu, &options), ERR_OK);
    assert_int_equal(dtls_context_create(&f->context), ERR_OK);
    if (opt->is_threaded)
        conference_threads_start(f, opt->meanwhile);
}

void conference_deinit(struct conference *f)
{
    conference_threads_stop(f);
    sfu_destroy(&f->sfu);
    for (unsigned i = 0; i < f->client_count; i++) {
        client_deinit(f->clients[i]);
        free(f->clients[i]);
    }
    dtls_context_destroy(&f->context);
    net_deinit(&f->net);
}

/* ---- time ---- */

static unsigned worker_of(const struct conference *f, const struct sfu_address *from)
{
    for (unsigned i = 0; i < f->client_count; i++)
        if (sfu_address_eq(&f->clients[i]->address, from))
            return f->lands_on[i];
    return from->port % f->worker_count;
}

/* What arrives at the server within a step goes to each worker as batches. */
void conference_step_worker(struct conference *f, unsigned w, struct net_packet **packets,
                            size_t count)
{
    struct sfu_worker *worker = sfu_worker(f->sfu, w);
    struct sfu_received batch[BATCH];
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (worker_of(f, &packets[i]->from) != w)
            continue;
        batch[n++] = (struct sfu_received){
            .from = packets[i]->from, .bytes = packets[i]->bytes, .n = (uint32_t)packets[i]->n};
        if (n == BATCH) {
            sfu_worker_receive(worker, batch, n, f->now_us);
            n = 0;
        }
    }
    if (n)
        sfu_worker_receive(worker, batch, n, f->now_us);
    (void)sfu_worker_poll(worker, f->now_us);
}

static void step_all(struct conference *f, struct net_packet **arrived, size_t count)
{
    for (unsigned w = 0; w < f->worker_count; w++)
        conference_step_worker(f, w, arrived, count);
    for (unsigned w = 0; w < f->worker_count; w++)
        if (atomic_exchange(&f->workers[w].is_woken, false))
            (void)sfu_worker_poll(sfu_worker(f->sfu, w), f->now_us);
}

static void step(struct conference *f)
{
    struct net_packet *arrived[1024], *p;
    size_t count = 0;
    struct sfu_address server = server_address();
    f->now_us += STEP_US;
    while (count < ARRAY_LEN(arrived) && (p = net_receive(&f->net, f->now_us))) {
        if (sfu_address_eq(&p->to, &server)) {
            arrived[count++] = p;
            continue;
        }
        struct client *c = client_at(f, &p->to);
        if (c)
            client_on_datagram(c, p->bytes, p->n, f->now_us);
        free(p);
    }
    if (f->threads)
        conference_threads_step(f, arrived, count);
    else
        step_all(f, arrived, count);
    for (size_t i = 0; i < count; i++)
        free(arrived[i]);
    for (unsigned i = 0; i < f->client_count; i++)
        client_tick(f->clients[i], f->now_us);
}

void conference_run_ms(struct conference *f, int64_t ms)
{
    for (; ms > 0; ms--)
        step(f);
}

void conference_inject(struct conference *f, unsigned worker, const struct sfu_address *from,
                       const uint8_t *bytes, size_t n)
{
    struct sfu_received r = {.from = *from, .bytes = bytes, .n = (uint32_t)n};
    sfu_worker_receive(sfu_worker(f->sfu, worker), &r, 1, f->now_us);
}

/* ---- people ---- */

struct client *conference_add_client(struct conference *f, const struct sfu_peer_options *opt,
                                     unsigned lands_on, sfu_peer_id *id)
{
    struct sfu_credentials credentials;
    struct sfu_peer_options full = *opt;
    unsigned i = f->client_count;
    full.remote_fingerprint = *dtls_context_fingerprint(f->context);
    assert_int_equal(sfu_peer_add(f->sfu, &full, id, &credentials), ERR_OK);
    struct client *c = mem_alloc(sizeof(*c));
    client_init(c, &(struct client_options){
                       .net = &f->net,
                       .id = i + 1,
                       .address = sfu_address_v4(0x0a000001 + i, (uint16_t)(40000 + i)),
                       .server = server_address(),
                       .up = f->up,
                       .context = f->context,
                       .server_fingerprint = sfu_fingerprint(f->sfu),
                       .credentials = credentials,
                       .now_us = f->now_us,
                   });
    f->clients[i] = c;
    f->lands_on[i] = lands_on;
    f->client_count++;
    return c;
}

static void publish(struct conference *f, struct person *who, const struct client_track *t)
{
    struct sfu_layer_id layers[CLIENT_LAYERS] = {0};
    for (unsigned i = 0; i < t->layer_count; i++) {
        layers[i].rid = str_from(t->layers[i].rid);
        if (t->layer_count == 1) { /* without rids signaling declares the SSRCs */
            layers[i].ssrc = t->layers[i].ssrc;
            layers[i].rtx_ssrc = t->is_audio ? 0 : t->layers[i].rtx_ssrc;
        }
    }
    struct sfu_producer_options opt = {
        .track = t->number,
        .mid = str_from(t->mid),
        .is_audio = t->is_audio,
        .codecs = t->is_audio ? &PUBLISHED_AUDIO : PUBLISHED_VIDEO,
        .codec_count = t->is_audio ? 1 : ARRAY_LEN(PUBLISHED_VIDEO),
        .layers = layers,
        .layer_count = t->layer_count,
    };
    assert_int_equal(sfu_producer_add(f->sfu, who->publisher_id, &opt), ERR_OK);
    who->tracks[who->track_count++] = (struct person_track){t->number, t->is_audio, t->codec};
}

struct person *conference_join(struct conference *f, const struct person_options *opt)
{
    struct person *who = &f->people[f->person_count++];
    *who = (struct person){0};
    struct sfu_peer_options pub = {.room = CONFERENCE_ROOM, .ext_ids = PUBLISHER_EXT};
    struct sfu_peer_options sub = {.room = CONFERENCE_ROOM, .ext_ids = SUBSCRIBER_EXT};
    enum sfu_codec codec = opt->codec ? opt->codec : SFU_CODEC_VP8;
    who->is_without_rtx = opt->is_without_rtx;
    who->publisher = conference_add_client(f, &pub, opt->publisher_worker, &who->publisher_id);
    who->subscriber = conference_add_client(f, &sub, opt->subscriber_worker, &who->subscriber_id);
    if (opt->has_audio)
        publish(f, who, client_add_audio(who->publisher, 1, "0"));
    if (opt->video_layers)
        publish(f, who, client_add_video(who->publisher, 2, "1", codec, opt->video_layers));
    if (opt->has_screen)
        publish(f, who, client_add_video(who->publisher, 3, "2", codec, 1));
    return who;
}

struct client_receiver *conference_subscribe(struct conference *f, struct person *who,
                                             const struct person *from, unsigned track)
{
    const struct person_track *t = &from->tracks[track];
    uint32_t number = ++who->next_consumer;
    uint32_t ssrc = 0x10000000u + who->subscriber->id * 0x10000u + number * 2;
    struct sfu_consumer_options opt = {
        .consumer = number,
        .producer_peer = from->publisher_id,
        .producer_track = t->number,
        .mid = STR("m7"),
        .ssrc = ssrc,
        .rtx_ssrc = t->is_audio || who->is_without_rtx ? 0 : ssrc + 1,
        .cname = STR("publisher"),
        .codecs = SUBSCRIBED,
        .codec_count = ARRAY_LEN(SUBSCRIBED),
        .layer = SFU_LAYER_BEST,
    };
    assert_int_equal(sfu_consumer_add(f->sfu, who->subscriber_id, &opt), ERR_OK);
    struct client_receiver *r =
        client_add_receiver(who->subscriber, ssrc, opt.rtx_ssrc, t->is_audio);
    if (!t->is_audio)
        r->codec = t->codec;
    return r;
}

void conference_subscribe_all(struct conference *f)
{
    for (unsigned i = 0; i < f->person_count; i++)
        for (unsigned k = 0; k < f->person_count; k++)
            for (unsigned t = 0; i != k && t < f->people[k].track_count; t++)
                (void)conference_subscribe(f, &f->people[i], &f->people[k], t);
}

/* ---- questions ---- */

uint64_t conference_counter(const struct conference *f, enum sfu_counter counter)
{
    uint64_t sum = 0;
    for (unsigned w = 0; w < f->worker_count; w++)
        sum += sfu_worker_counter(sfu_worker(f->sfu, w), counter);
    return sum;
}

void conference_ask_stats(struct conference *f, sfu_peer_id peer)
{
    unsigned before = f->events[SFU_EVENT_STATS];
    assert_int_equal(sfu_peer_request_stats(f->sfu, peer, 99), ERR_OK);
    conference_run_ms(f, 1);
    assert_int_equal(f->events[SFU_EVENT_STATS], before + 1);
    assert_int_equal(f->last[SFU_EVENT_STATS].token, 99);
}

void conference_assert_faultless(const struct conference *f)
{
    for (unsigned i = 0; i < f->client_count; i++)
        if (f->clients[i]->faults)
            fail_msg("client %u: %u faults, first: %s", f->clients[i]->id, f->clients[i]->faults,
                     f->clients[i]->fault);
}

void conference_settle(struct conference *f)
{
    f->down.loss = f->up.loss = 0;
    f->down.duplicate = f->up.duplicate = 0;
    for (unsigned i = 0; i < f->client_count; i++) {
        f->clients[i]->up.loss = 0;
        for (unsigned t = 0; t < f->clients[i]->track_count; t++)
            f->clients[i]->tracks[t].is_muted = true;
    }
    conference_run_ms(f, 1500);
}
