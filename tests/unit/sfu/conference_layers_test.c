/*
 * Simulcast: a subscriber gets the layer it asks for, and never sees the seam: numbers go on, time
 * goes on, every change begins with a keyframe.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conference/conference.h"

static const struct person_options SPEAKER = {.has_audio = true, .video_layers = 3};
static const struct person_options LISTENER = {0};

struct pair {
    struct conference f;
    struct person *speaker;
    struct person *other;
    struct client_receiver *video;
};

static void pair_init(struct pair *p, const struct conference_options *opt,
                      const struct person_options *speaker)
{
    conference_init(&p->f, opt);
    p->speaker = conference_join(&p->f, speaker);
    p->other = conference_join(&p->f, &LISTENER);
    p->video = conference_subscribe(&p->f, p->other, p->speaker, p->speaker->track_count - 1);
}

static void choose(struct pair *p, uint8_t layer, bool is_paused)
{
    struct sfu_consumer_choice choice = {.layer = layer, .is_paused = is_paused};
    assert_int_equal(
        sfu_consumer_set_choice(p->f.sfu, p->other->subscriber_id, p->other->next_consumer, choice),
        ERR_OK);
}

static struct client_layer *layer_of(struct pair *p, unsigned i)
{
    return &p->speaker->publisher->tracks[p->speaker->track_count - 1].layers[i];
}

static void finish(struct pair *p)
{
    conference_settle(&p->f);
    conference_assert_faultless(&p->f);
    assert_true(client_is_complete(p->video));
    assert_int_equal(conference_counter(&p->f, SFU_COUNTER_DROP_PROTECT), 0);
    conference_deinit(&p->f);
}

/* The time that the subscriber sees keeps pace with the time that passes. */
static void check_pace(struct pair *p, uint32_t from_timestamp, int64_t from_us, double tolerance)
{
    double seen = (double)(p->video->last_timestamp - from_timestamp) / 90000;
    double passed = (double)(p->video->last_frame_us - from_us) / 1e6;
    if (seen - passed > tolerance || passed - seen > tolerance)
        fail_msg("%f s passed, %f s were seen", passed, seen);
}

static void run_switching(const struct conference_options *opt, double tolerance)
{
    struct pair p;
    pair_init(&p, opt, &SPEAKER);
    conference_run_ms(&p.f, 2500);
    assert_int_equal(p.video->last.layer, 2);
    uint32_t timestamp = p.video->last_timestamp;
    int64_t at_us = p.video->last_frame_us;
    static const uint8_t WISHES[] = {0, 1, SFU_LAYER_BEST, 0, 2, 1, 0, 7};
    for (unsigned i = 0; i < ARRAY_LEN(WISHES); i++) {
        uint64_t frames = p.video->frames;
        choose(&p, WISHES[i], false);
        conference_run_ms(&p.f, 700);
        assert_int_equal(p.video->last.layer, MIN(WISHES[i], 2));
        assert_true(p.video->frames - frames >= 14);
    }
    assert_int_equal(p.f.last[SFU_EVENT_CONSUMER_LAYER].layer, 2);
    check_pace(&p, timestamp, at_us, tolerance);
    finish(&p);
}

static void test_switching(void **state)
{
    run_switching(&(struct conference_options){0}, 0.04);
}

static void test_switching_under_loss(void **state)
{
    for (uint64_t seed = 1; seed <= 6; seed++)
        run_switching(
            &(struct conference_options){
                .seed = seed,
                .link = {.loss = 0.03, .duplicate = 0.01, .delay_us = 15000, .jitter_us = 8000}},
            0.15); /* a frame may have waited for a retransmission */
}

/* Each switch costs one keyframe of the layer that is wanted, soon, and none of the others. */
static void test_switch_is_quick(void **state)
{
    struct pair p;
    pair_init(&p, &(struct conference_options){0}, &SPEAKER);
    choose(&p, 0, false);
    conference_run_ms(&p.f, 3000);
    assert_int_equal(p.video->last.layer, 0);
    uint64_t plis[] = {layer_of(&p, 0)->plis, layer_of(&p, 1)->plis, layer_of(&p, 2)->plis};
    choose(&p, 2, false);
    conference_run_ms(&p.f, 110); /* two ways, a frame's wait, one way */
    assert_int_equal(p.video->last.layer, 2);
    assert_int_equal(layer_of(&p, 0)->plis, plis[0]);
    assert_int_equal(layer_of(&p, 1)->plis, plis[1]);
    assert_int_equal(layer_of(&p, 2)->plis, plis[2] + 1);
    finish(&p);
}

/* A browser short of bandwidth stops its upper layers: the next lower one takes over, and when they
 * come back, so does the picture. */
static void test_silent_layer(void **state)
{
    struct pair p;
    pair_init(&p, &(struct conference_options){0}, &SPEAKER);
    conference_run_ms(&p.f, 2500);
    assert_int_equal(p.video->last.layer, 2);
    uint32_t timestamp = p.video->last_timestamp;
    int64_t at_us = p.video->last_frame_us;
    layer_of(&p, 2)->is_off = true;
    conference_run_ms(&p.f, 1500);
    assert_int_equal(p.video->last.layer, 1);
    assert_int_equal(p.f.last[SFU_EVENT_PRODUCER_LAYERS].layers, 3);
    layer_of(&p, 1)->is_off = true;
    conference_run_ms(&p.f, 1500);
    assert_int_equal(p.video->last.layer, 0);
    layer_of(&p, 2)->is_off = layer_of(&p, 1)->is_off = false;
    layer_of(&p, 2)->wants_key = true; /* as browsers begin a layer */
    conference_run_ms(&p.f, 500);
    assert_int_equal(p.video->last.layer, 2);
    check_pace(&p, timestamp, at_us, 0.04);
    finish(&p);
}

static void test_pause(void **state)
{
    struct pair p;
    pair_init(&p, &(struct conference_options){0}, &SPEAKER);
    conference_run_ms(&p.f, 2500);
    uint32_t timestamp = p.video->last_timestamp;
    int64_t at_us = p.video->last_frame_us;
    choose(&p, SFU_LAYER_BEST, true);
    conference_run_ms(&p.f, 100);
    uint64_t packets = p.video->packets;
    conference_run_ms(&p.f, 3000);
    assert_int_equal(p.video->packets, packets);
    p.video->is_gap_allowed = true;
    uint64_t keyframes = p.video->keyframes;
    choose(&p, SFU_LAYER_BEST, false);
    conference_run_ms(&p.f, 150);
    assert_true(p.video->packets > packets && p.video->keyframes == keyframes + 1);
    conference_run_ms(&p.f, 500);
    check_pace(&p, timestamp, at_us, 0.04);
    finish(&p);
}

/* The publisher goes on under another SSRC, counting anew (a new encoder): a seam like any other.
 */
static void test_new_ssrc(void **state)
{
    struct pair p;
    pair_init(&p, &(struct conference_options){0}, &SPEAKER);
    conference_run_ms(&p.f, 2500);
    p.video->is_gap_allowed = true;
    for (unsigned i = 0; i < 3; i++) {
        struct client_layer *l = layer_of(&p, i);
        l->ssrc += 1000;
        l->rtx_ssrc += 1000;
        l->seq = (uint16_t)(l->seq + 20000);
        l->timestamp_base += 123456789;
        l->picture_id = 77;
        l->packets = 0;
        l->next_report_us = p.f.now_us + 1000000; /* no report yet: time goes by arrival */
        memset(l->sent, 0, CLIENT_HISTORY * sizeof(*l->sent));
    }
    uint64_t frames = p.video->frames;
    conference_run_ms(&p.f, 1500);
    assert_true(p.video->frames > frames + 35);
    finish(&p);
}

/* The same SSRC counts anew: believed once two numbers in a row say so. */
static void test_numbers_restart(void **state)
{
    struct pair p;
    pair_init(&p, &(struct conference_options){0}, &SPEAKER);
    conference_run_ms(&p.f, 2500);
    p.video->is_gap_allowed = true;
    for (unsigned i = 0; i < 3; i++)
        layer_of(&p, i)->seq = (uint16_t)(layer_of(&p, i)->seq + 20000);
    uint64_t frames = p.video->frames;
    conference_run_ms(&p.f, 1500);
    assert_true(p.video->frames > frames + 30);
    finish(&p);
}

/* One layer, its SSRCs declared by signaling, no rids. */
static void test_single_layer(void **state)
{
    struct pair p;
    pair_init(&p, &(struct conference_options){.link = {.loss = 0.05, .delay_us = 25000}},
              &(struct person_options){.video_layers = 1});
    choose(&p, 2, false); /* there is none: the best there is */
    conference_run_ms(&p.f, 5000);
    assert_true(p.video->frames > 120);
    finish(&p);
}

/* A subscriber that knows no rtx gets the same datagrams again. */
static void test_without_rtx(void **state)
{
    struct pair p;
    struct conference_options opt = {.seed = 5, .link = {.loss = 0.04, .delay_us = 20000}};
    conference_init(&p.f, &opt);
    p.speaker = conference_join(&p.f, &SPEAKER);
    p.other = conference_join(&p.f, &(struct person_options){.is_without_rtx = true});
    p.video = conference_subscribe(&p.f, p.other, p.speaker, 1);
    conference_run_ms(&p.f, 5000);
    assert_true(p.video->frames > 100);
    assert_int_equal(p.video->recovered, 0);
    assert_true(conference_counter(&p.f, SFU_COUNTER_RETRANSMITTED) > 20);
    finish(&p);
}

static void test_refused_codec(void **state)
{
    struct pair p;
    conference_init(&p.f, &(struct conference_options){0});
    p.speaker = conference_join(&p.f, &SPEAKER);
    p.other = conference_join(&p.f, &LISTENER);
    struct sfu_codec_pt h264 = {.codec = SFU_CODEC_H264, .clock_rate = 90000, .pt = 102};
    struct sfu_consumer_options opt = {.consumer = 5,
                                       .producer_peer = p.speaker->publisher_id,
                                       .producer_track = 2,
                                       .ssrc = 4711,
                                       .codecs = &h264,
                                       .codec_count = 1};
    assert_int_equal(sfu_consumer_add(p.f.sfu, p.other->subscriber_id, &opt), ERR_OK);
    conference_run_ms(&p.f, 2000);
    assert_int_equal(p.f.events[SFU_EVENT_CONSUMER_REFUSED], 1);
    assert_int_equal(p.f.last[SFU_EVENT_CONSUMER_REFUSED].codec, SFU_CODEC_VP8);
    assert_int_equal(p.f.last[SFU_EVENT_CONSUMER_REFUSED].consumer, 5);
    /* The same SSRC twice in one connection, even after its consumer went, is refused, too. */
    assert_int_equal(sfu_consumer_remove(p.f.sfu, p.other->subscriber_id, 5), ERR_OK);
    opt.consumer = 6;
    assert_int_equal(sfu_consumer_add(p.f.sfu, p.other->subscriber_id, &opt), ERR_OK);
    conference_run_ms(&p.f, 10);
    assert_int_equal(p.f.last[SFU_EVENT_CONSUMER_REFUSED].consumer, 6);
    assert_int_equal(p.f.last[SFU_EVENT_CONSUMER_REFUSED].codec, SFU_CODEC_NONE);
    assert_int_equal(conference_counter(&p.f, SFU_COUNTER_FORWARDED), 0);
    conference_assert_faultless(&p.f);
    conference_deinit(&p.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_switching),       cmocka_unit_test(test_switching_under_loss),
        cmocka_unit_test(test_switch_is_quick), cmocka_unit_test(test_silent_layer),
        cmocka_unit_test(test_pause),           cmocka_unit_test(test_new_ssrc),
        cmocka_unit_test(test_numbers_restart), cmocka_unit_test(test_single_layer),
        cmocka_unit_test(test_without_rtx),     cmocka_unit_test(test_refused_codec),
    };
    return cmocka_run_group_tests_name("sfu_conference_layers", tests, NULL, NULL);
}
