/*
 * Workers on threads of their own, and a control plane that never rests meanwhile: nobody sees a
 * packet that is wrong. (Under ThreadSanitizer: and no two touch the same thing.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conference/conference.h"

static const struct person_options SPEAKER = {.has_audio = true, .video_layers = 3};

static void join_across(struct conference *f, unsigned people)
{
    for (unsigned i = 0; i < people; i++) {
        struct person_options o = SPEAKER;
        o.publisher_worker = i % f->worker_count;
        o.subscriber_worker = (i + 1) % f->worker_count;
        (void)conference_join(f, &o);
    }
    conference_subscribe_all(f);
}

static void test_threads(void **state)
{
    struct conference f;
    conference_init(&f, &(struct conference_options){.worker_count = 3, .is_threaded = true});
    join_across(&f, 4);
    conference_run_ms(&f, 2000);
    assert_true(conference_counter(&f, SFU_COUNTER_RELAYED) > 500);
    conference_settle(&f);
    conference_assert_faultless(&f);
    for (unsigned i = 0; i < f.person_count; i++)
        for (unsigned k = 0; k < f.people[i].subscriber->receiver_count; k++) {
            struct client_receiver *r = &f.people[i].subscriber->receivers[k];
            assert_true(client_is_complete(r) && r->frames >= 45);
        }
    conference_deinit(&f);
}

/* One wish after another, of everybody, while packets flow. */
static void wish(struct conference *f)
{
    static unsigned turn;
    static uint32_t ghosts;
    struct person *who = &f->people[turn % f->person_count];
    struct sfu_consumer_choice choice = {.layer = (uint8_t)(turn / 7 % 4),
                                         .is_paused = turn % 5 == 0};
    struct sfu_producer_flags flags = {.is_held = turn % 3 == 0};
    sfu_peer_id ghost;
    struct sfu_credentials credentials;
    enum err err = ERR_OK;
    switch (turn++ % 8) {
    case 0:
    case 1:
    case 2:
        err = sfu_consumer_set_choice(f->sfu, who->subscriber_id, 1 + turn / 8 % 6, choice);
        break;
    case 3:
        err = sfu_producer_set_flags(f->sfu, who->publisher_id, 1 + turn / 8 % 2, flags);
        break;
    case 4:
        err = sfu_peer_request_stats(f->sfu, who->publisher_id, turn);
        break;
    case 5:
        err = sfu_peer_add(f->sfu, &(struct sfu_peer_options){.room = 5}, &ghost, &credentials);
        if (!err)
            err = sfu_peer_remove(f->sfu, ghost);
        break;
    case 6: /* of a peer that is not there, and back */
        err = sfu_consumer_add(
            f->sfu, who->subscriber_id,
            &(struct sfu_consumer_options){
                .consumer = 1000 + ++ghosts,
                .producer_peer = f->people[0].publisher_id,
                .producer_track = 77,
                .ssrc = 0x70000000 + ghosts,
                .codecs =
                    &(struct sfu_codec_pt){.codec = SFU_CODEC_OPUS, .clock_rate = 48000, .pt = 1},
                .codec_count = 1,
            });
        break;
    default:
        for (enum sfu_counter c = 0; c < SFU_COUNTER_COUNT; c++)
            (void)conference_counter(f, c);
        err = sfu_consumer_remove(f->sfu, who->subscriber_id, 1000 + ghosts);
    }
    assert_int_equal(err, ERR_OK);
}

static void test_wishes_meanwhile(void **state)
{
    struct conference f;
    conference_init(&f, &(struct conference_options){
                            .seed = 3,
                            .worker_count = 3,
                            .is_threaded = true,
                            .meanwhile = wish,
                            .link = {.loss = 0.01, .delay_us = 5000, .jitter_us = 3000}});
    join_across(&f, 3);
    for (unsigned i = 0; i < f.person_count; i++)
        for (unsigned k = 0; k < f.people[i].subscriber->receiver_count; k++)
            f.people[i].subscriber->receivers[k].is_gap_allowed = true;
    conference_run_ms(&f, 2500);
    conference_assert_faultless(&f);
    assert_true(conference_counter(&f, SFU_COUNTER_FORWARDED) > 1000);
    /* All leave at once. */
    f.threads->meanwhile = NULL;
    for (unsigned i = 0; i < f.person_count; i++) {
        assert_int_equal(sfu_peer_remove(f.sfu, f.people[i].publisher_id), ERR_OK);
        assert_int_equal(sfu_peer_remove(f.sfu, f.people[i].subscriber_id), ERR_OK);
    }
    conference_run_ms(&f, 100);
    for (unsigned w = 0; w < f.worker_count; w++) {
        assert_int_equal(sfu_worker_peer_count(sfu_worker(f.sfu, w)), 0);
        assert_int_equal(sfu_worker_buf_count(sfu_worker(f.sfu, w)), 0);
    }
    conference_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_wishes_meanwhile),
    };
    return cmocka_run_group_tests_name("sfu_conference_threads", tests, NULL, NULL);
}
