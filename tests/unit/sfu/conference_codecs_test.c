/*
 * Every codec through the same meeting: three layers, lost packets, changes of layer only at
 * keyframes and with numbers that go on; and a screen beside the camera.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conference/conference.h"

static const struct person_options LISTENER = {0};

static void choose(struct conference *f, struct person *who, uint8_t layer)
{
    assert_int_equal(sfu_consumer_set_choice(f->sfu, who->subscriber_id, 1,
                                             (struct sfu_consumer_choice){.layer = layer}),
                     ERR_OK);
}

/* One listener on the speaker's worker, one on the other. */
static void run_codec(enum sfu_codec codec, const struct net_link *link, uint64_t seed)
{
    static const uint8_t WISHES[] = {0, 2, 1, SFU_LAYER_BEST, 0};
    struct conference f;
    struct person *listeners[2];
    struct client_receiver *video[2];
    conference_init(&f,
                    &(struct conference_options){.worker_count = 2, .link = *link, .seed = seed});
    struct person *speaker =
        conference_join(&f, &(struct person_options){.video_layers = 3, .codec = codec});
    for (unsigned i = 0; i < 2; i++) {
        listeners[i] = conference_join(&f, &(struct person_options){.subscriber_worker = i});
        video[i] = conference_subscribe(&f, listeners[i], speaker, 0);
    }
    conference_run_ms(&f, 2500);
    assert_int_equal(f.last[SFU_EVENT_CONSUMER_STARTED].codec, codec);
    for (unsigned k = 0; k < ARRAY_LEN(WISHES); k++) {
        choose(&f, listeners[0], WISHES[k]);
        choose(&f, listeners[1], WISHES[ARRAY_LEN(WISHES) - 1 - k]);
        conference_run_ms(&f, 800);
        assert_int_equal(video[0]->last.layer, MIN(WISHES[k], 2));
        assert_int_equal(video[1]->last.layer, MIN(WISHES[ARRAY_LEN(WISHES) - 1 - k], 2));
    }
    conference_settle(&f);
    conference_assert_faultless(&f);
    for (unsigned i = 0; i < 2; i++)
        if (!client_is_complete(video[i]) || video[i]->frames < 150)
            fail_msg("codec %d, listener %u: %d frames, waits for %d of %d", codec, i,
                     (int)video[i]->frames, (int)video[i]->next, (int)video[i]->highest);
    assert_int_equal(conference_counter(&f, SFU_COUNTER_DROP_PROTECT), 0);
    assert_int_equal(f.events[SFU_EVENT_CONSUMER_REFUSED], 0);
    conference_deinit(&f);
}

static void test_codecs(void **state)
{
    for (enum sfu_codec codec = SFU_CODEC_VP8; codec <= SFU_CODEC_AV1; codec++)
        run_codec(codec, &(struct net_link){0}, 1);
}

static void test_codecs_under_loss(void **state)
{
    struct net_link link = {.loss = 0.03, .duplicate = 0.01, .delay_us = 15000, .jitter_us = 8000};
    for (enum sfu_codec codec = SFU_CODEC_VP8; codec <= SFU_CODEC_AV1; codec++)
        for (uint64_t seed = 1; seed <= 2; seed++)
            run_codec(codec, &link, seed);
}

/* Keyframes are known for what they are: whoever joins right after one is started from it. */
static void test_late_joiners(void **state)
{
    for (enum sfu_codec codec = SFU_CODEC_VP8; codec <= SFU_CODEC_AV1; codec++) {
        struct conference f;
        conference_init(&f, &(struct conference_options){0});
        struct person *speaker =
            conference_join(&f, &(struct person_options){.video_layers = 1, .codec = codec});
        struct person *early = conference_join(&f, &LISTENER);
        struct person *late = conference_join(&f, &LISTENER);
        (void)conference_subscribe(&f, early, speaker, 0);
        conference_run_ms(&f, 3000);
        struct client_layer *layer = &speaker->publisher->tracks[0].layers[0];
        layer->wants_key = true;
        conference_run_ms(&f, 200);
        uint64_t plis = layer->plis;
        struct client_receiver *r = conference_subscribe(&f, late, speaker, 0);
        conference_run_ms(&f, 30);
        if (r->keyframes != 1 || r->frames < 4)
            fail_msg("codec %d: %d keyframes, %d frames", codec, (int)r->keyframes, (int)r->frames);
        conference_run_ms(&f, 500);
        assert_int_equal(layer->plis, plis);
        conference_settle(&f);
        conference_assert_faultless(&f);
        conference_deinit(&f);
    }
}

/* Camera and screen of one person are two tracks: each with its own layers, mutes and end. */
static void test_screen_beside_camera(void **state)
{
    struct conference f;
    conference_init(
        &f, &(struct conference_options){
                .worker_count = 2, .link = {.loss = 0.02, .delay_us = 15000, .jitter_us = 5000}});
    struct person *speaker = conference_join(
        &f, &(struct person_options){.has_audio = true, .video_layers = 3, .has_screen = true});
    struct person *other = conference_join(&f, &(struct person_options){.subscriber_worker = 1});
    struct client_receiver *r[3];
    for (unsigned i = 0; i < 3; i++)
        r[i] = conference_subscribe(&f, other, speaker, i);
    conference_run_ms(&f, 3000);
    assert_true(r[1]->frames > 60 && r[2]->frames > 60);
    assert_int_equal(r[1]->last.layer, 2);
    assert_int_equal(r[2]->last.layer, 0);
    assert_int_not_equal(r[1]->last.source, r[2]->last.source);
    /* The camera is turned off: the screen goes on. */
    struct sfu_producer_flags muted = {.is_muted = true};
    assert_int_equal(sfu_producer_set_flags(f.sfu, speaker->publisher_id, 2, muted), ERR_OK);
    conference_run_ms(&f, 100);
    uint64_t camera = r[1]->packets, screen = r[2]->frames;
    r[1]->is_gap_allowed = true;
    conference_run_ms(&f, 1000);
    assert_int_equal(r[1]->packets, camera);
    assert_true(r[2]->frames > screen + 20);
    assert_int_equal(
        sfu_producer_set_flags(f.sfu, speaker->publisher_id, 2, (struct sfu_producer_flags){0}),
        ERR_OK);
    /* The sharing ends: the camera goes on. */
    assert_int_equal(sfu_producer_remove(f.sfu, speaker->publisher_id, 3), ERR_OK);
    conference_run_ms(&f, 200);
    assert_int_equal(f.events[SFU_EVENT_CONSUMER_CLOSED], 1);
    camera = r[1]->frames;
    conference_run_ms(&f, 1000);
    assert_true(r[1]->frames > camera + 20);
    conference_settle(&f);
    conference_assert_faultless(&f);
    assert_true(client_is_complete(r[1]));
    conference_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codecs),
        cmocka_unit_test(test_codecs_under_loss),
        cmocka_unit_test(test_late_joiners),
        cmocka_unit_test(test_screen_beside_camera),
    };
    return cmocka_run_group_tests_name("sfu_conference_codecs", tests, NULL, NULL);
}
