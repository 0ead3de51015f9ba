/*
 * Whole conferences in virtual time: everyone gets everything, whatever the network does to it; who
 * comes late sees a picture at once; what is muted is not heard.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conference/conference.h"

static const struct person_options SPEAKER = {.has_audio = true, .video_layers = 3};
static const struct person_options LISTENER = {0};

static void join_three(struct conference *f)
{
    for (int i = 0; i < 3; i++)
        (void)conference_join(f, &SPEAKER);
    conference_subscribe_all(f);
}

static void test_three_people(void **state)
{
    struct conference f;
    conference_init(&f, &(struct conference_options){0});
    join_three(&f);
    conference_run_ms(&f, 5000);
    conference_settle(&f);
    conference_assert_faultless(&f);
    assert_int_equal(f.events[SFU_EVENT_PEER_CONNECTED], 6);
    assert_int_equal(f.events[SFU_EVENT_PRODUCER_STARTED], 6);
    assert_int_equal(f.events[SFU_EVENT_CONSUMER_STARTED], 12);
    assert_int_equal(f.last[SFU_EVENT_PEER_CONNECTED].srtp_profile, SRTP_PROFILE_GCM_128);
    for (unsigned i = 0; i < 3; i++) {
        struct client *c = f.people[i].subscriber;
        assert_int_equal(c->receiver_count, 4);
        for (unsigned k = 0; k < 4; k++) {
            struct client_receiver *r = &c->receivers[k];
            assert_true(client_is_complete(r));
            assert_true(r->frames > (r->is_audio ? 200 : 120));
            assert_true(r->is_audio || r->frames_of_layer[2] > 100);
            assert_true(r->is_audio ? r->has_level : r->has_orientation);
            assert_true(r->has_mid);
            assert_true(r->is_audio || r->sender_reports >= 3);
        }
        assert_int_equal(c->undecryptable, 0);
        assert_int_equal(client_unreported(f.people[i].publisher), 0);
        assert_true(f.people[i].publisher->feedbacks > 50);
    }
    assert_int_equal(conference_counter(&f, SFU_COUNTER_DROP_SSRC_UNKNOWN), 0);
    assert_int_equal(conference_counter(&f, SFU_COUNTER_DROP_PROTECT), 0);
    conference_deinit(&f);
}

/* Loss, copies and disorder on both legs: NACK and RTX mend all of the video. */
static void run_bad_network(uint64_t seed, double loss)
{
    struct conference f;
    struct net_link link = {.loss = loss, .duplicate = 0.02, .delay_us = 20000, .jitter_us = 15000};
    conference_init(&f, &(struct conference_options){.seed = seed, .link = link});
    join_three(&f);
    conference_run_ms(&f, 6000);
    conference_settle(&f);
    conference_assert_faultless(&f);
    for (unsigned i = 0; i < 3; i++)
        for (unsigned k = 0; k < 4; k++) {
            struct client_receiver *r = &f.people[i].subscriber->receivers[k];
            /* Audio is not asked for again: all that came in went out, and what the way out left
             * of it, within chance. */
            conference_ask_stats(&f, f.people[i].subscriber_id);
            double out = (double)f.rows[k].packets;
            if (r->is_audio &&
                (out < 200 || (double)r->frames < out * (1 - loss) - 4.5 * sqrt(out * loss) - 1))
                fail_msg("seed %d: %d frames of audio of %d", (int)seed, (int)r->frames, (int)out);
            if (r->is_audio)
                continue;
            if (!client_is_complete(r) || r->frames < 120)
                fail_msg("seed %d: person %u track %u: %d frames, waits for %d of %d", (int)seed, i,
                         k, (int)r->frames, (int)r->next, (int)r->highest);
        }
    assert_true(conference_counter(&f, SFU_COUNTER_RECOVERED) > 0);
    assert_true(conference_counter(&f, SFU_COUNTER_RETRANSMITTED) > 0);
    assert_int_equal(conference_counter(&f, SFU_COUNTER_DROP_PROTECT), 0);
    conference_deinit(&f);
}

static void test_loss_and_disorder(void **state)
{
    for (uint64_t seed = 1; seed <= 8; seed++)
        run_bad_network(seed, 0.01 * (double)seed);
}

/* The same seed is the same conference. */
static void test_seed_repeats(void **state)
{
    uint64_t bytes[2];
    for (int i = 0; i < 2; i++) {
        struct conference f;
        struct net_link link = {.loss = 0.05, .delay_us = 20000, .jitter_us = 5000};
        conference_init(&f, &(struct conference_options){.seed = 42, .link = link});
        join_three(&f);
        conference_run_ms(&f, 1500);
        bytes[i] = conference_counter(&f, SFU_COUNTER_FORWARDED);
        conference_deinit(&f);
    }
    /* DTLS draws its own randomness (certificates' sizes vary), so only nearly. */
    assert_true(bytes[0] > 1000 && bytes[1] > 1000);
    assert_true(llabs((long long)(bytes[0] - bytes[1])) < (long long)bytes[0] / 20);
}

/* Two seconds after the last keyframe: the publisher is asked, and the picture is there soon. */
static void test_late_joiner(void **state)
{
    struct conference f;
    conference_init(&f, &(struct conference_options){0});
    struct person *speaker = conference_join(&f, &SPEAKER);
    struct person *early = conference_join(&f, &LISTENER);
    (void)conference_subscribe(&f, early, speaker, 1);
    conference_run_ms(&f, 4000);
    uint64_t plis = speaker->publisher->tracks[1].layers[2].plis;
    struct person *late = conference_join(&f, &LISTENER);
    struct client_receiver *r = conference_subscribe(&f, late, speaker, 1);
    int64_t ready_us = 0;
    for (int i = 0; i < 1000 && !r->first_frame_us; i++) {
        conference_run_ms(&f, 1);
        if (late->subscriber->is_ready && !ready_us)
            ready_us = f.now_us;
    }
    /* One way to the subscriber, a round trip to the publisher, a frame's wait. */
    assert_true(r->first_frame_us && r->first_frame_us - ready_us < 90000);
    assert_true(r->last.is_key || r->keyframes == 1);
    conference_run_ms(&f, 1000);
    assert_int_equal(speaker->publisher->tracks[1].layers[2].plis, plis + 1);
    conference_settle(&f);
    conference_assert_faultless(&f);
    assert_true(client_is_complete(r));
    conference_deinit(&f);
}

/* A keyframe was just sent: whoever comes now is started from the ring, and nobody is asked. */
static void test_joiner_right_after_keyframe(void **state)
{
    struct conference f;
    conference_init(&f, &(struct conference_options){0});
    struct person *speaker = conference_join(&f, &SPEAKER);
    struct person *early = conference_join(&f, &LISTENER);
    struct person *late = conference_join(&f, &LISTENER);
    (void)conference_subscribe(&f, early, speaker, 1);
    conference_run_ms(&f, 3000);
    speaker->publisher->tracks[1].layers[2].wants_key = true;
    conference_run_ms(&f, 200);
    uint64_t plis = speaker->publisher->tracks[1].layers[2].plis;
    struct client_receiver *r = conference_subscribe(&f, late, speaker, 1);
    int64_t joined_us = f.now_us;
    conference_run_ms(&f, 30);
    assert_true(r->first_frame_us && r->first_frame_us - joined_us <= 15000);
    assert_true(r->keyframes == 1 && r->frames >= 4); /* the keyframe and what followed */
    conference_run_ms(&f, 500);
    assert_int_equal(speaker->publisher->tracks[1].layers[2].plis, plis);
    conference_settle(&f);
    conference_assert_faultless(&f);
    assert_true(client_is_complete(r));
    conference_deinit(&f);
}

/* Ten subscribers join within a moment: one request, not ten. */
static void test_keyframe_requests_are_shared(void **state)
{
    struct conference f;
    conference_init(&f, &(struct conference_options){0});
    struct person *speaker = conference_join(&f, &SPEAKER);
    struct person *others[10];
    for (unsigned i = 0; i < ARRAY_LEN(others); i++)
        others[i] = conference_join(&f, &LISTENER);
    conference_run_ms(&f, 4000);
    uint64_t plis = speaker->publisher->tracks[1].layers[2].plis;
    for (unsigned i = 0; i < ARRAY_LEN(others); i++) {
        (void)conference_subscribe(&f, others[i], speaker, 1);
        conference_run_ms(&f, 2);
    }
    conference_run_ms(&f, 1000);
    assert_int_equal(speaker->publisher->tracks[1].layers[2].plis, plis + 1);
    /* And a subscriber that asks without end is heard three times a second at most. */
    for (int i = 0; i < 200; i++) {
        client_send_pli(others[0]->subscriber, others[0]->subscriber->receivers[0].ssrc);
        conference_run_ms(&f, 10);
    }
    assert_in_range(speaker->publisher->tracks[1].layers[2].plis - plis, 4, 9);
    conference_assert_faultless(&f);
    conference_deinit(&f);
}

static void set_flags(struct conference *f, struct person *who, unsigned track,
                      struct sfu_producer_flags flags)
{
    assert_int_equal(
        sfu_producer_set_flags(f->sfu, who->publisher_id, who->tracks[track].number, flags),
        ERR_OK);
}

/* Held by a host: nothing comes through although it is sent; then it goes on without a seam. */
static void test_hold(void **state)
{
    struct conference f;
    conference_init(&f, &(struct conference_options){0});
    struct person *speaker = conference_join(&f, &SPEAKER);
    struct person *other = conference_join(&f, &LISTENER);
    struct client_receiver *audio = conference_subscribe(&f, other, speaker, 0);
    struct client_receiver *video = conference_subscribe(&f, other, speaker, 1);
    conference_run_ms(&f, 2000);
    set_flags(&f, speaker, 0, (struct sfu_producer_flags){.is_held = true});
    set_flags(&f, speaker, 1, (struct sfu_producer_flags){.is_held = true});
    conference_run_ms(&f, 100);
    uint64_t audio_before = audio->packets, video_before = video->packets;
    audio->is_gap_allowed = video->is_gap_allowed = true;
    conference_run_ms(&f, 2000);
    assert_int_equal(audio->packets, audio_before);
    assert_int_equal(video->packets, video_before);
    assert_true(conference_counter(&f, SFU_COUNTER_DROP_HELD) > 500);
    set_flags(&f, speaker, 0, (struct sfu_producer_flags){0});
    set_flags(&f, speaker, 1, (struct sfu_producer_flags){0});
    conference_run_ms(&f, 150);
    assert_true(audio->packets > audio_before);
    assert_true(video->packets > video_before && video->keyframes >= 2);
    conference_run_ms(&f, 1000);
    conference_settle(&f);
    conference_assert_faultless(&f);
    assert_true(client_is_complete(audio) && client_is_complete(video));
    assert_int_equal(client_unreported(speaker->publisher), 0); /* held ones, too */
    conference_deinit(&f);
}

static void test_leaving(void **state)
{
    struct conference f;
    conference_init(&f, &(struct conference_options){0});
    join_three(&f);
    conference_run_ms(&f, 1500);
    assert_int_equal(sfu_peer_remove(f.sfu, f.people[0].publisher_id), ERR_OK);
    assert_int_equal(sfu_peer_remove(f.sfu, f.people[0].subscriber_id), ERR_OK);
    conference_run_ms(&f, 50);
    assert_int_equal(f.events[SFU_EVENT_CONSUMER_CLOSED], 4); /* two tracks at two people */
    assert_int_equal(sfu_worker_peer_count(sfu_worker(f.sfu, 0)), 4);
    assert_true(f.people[0].subscriber->receivers[0].byes);
    assert_int_equal(sfu_peer_remove(f.sfu, f.people[0].publisher_id), ERR_NOT_FOUND);
    assert_int_equal(sfu_producer_remove(f.sfu, f.people[0].publisher_id, 1), ERR_NOT_FOUND);
    /* What is left goes on. */
    struct client_receiver *r = &f.people[1].subscriber->receivers[3];
    uint64_t before = r->frames;
    conference_run_ms(&f, 1000);
    assert_true(r->frames > before + 25);
    /* A track ends, and one that never was cannot be had. */
    assert_int_equal(sfu_producer_remove(f.sfu, f.people[1].publisher_id, 2), ERR_OK);
    conference_run_ms(&f, 50);
    assert_int_equal(f.events[SFU_EVENT_CONSUMER_CLOSED], 5);
    (void)conference_subscribe(&f, &f.people[2], &f.people[0], 0);
    conference_run_ms(&f, 50);
    assert_int_equal(f.events[SFU_EVENT_CONSUMER_CLOSED], 6);
    for (unsigned i = 1; i < 3; i++) {
        assert_int_equal(sfu_peer_remove(f.sfu, f.people[i].publisher_id), ERR_OK);
        assert_int_equal(sfu_peer_remove(f.sfu, f.people[i].subscriber_id), ERR_OK);
    }
    conference_run_ms(&f, 50);
    assert_int_equal(sfu_worker_peer_count(sfu_worker(f.sfu, 0)), 0);
    assert_int_equal(sfu_worker_buf_count(sfu_worker(f.sfu, 0)), 0);
    conference_deinit(&f);
}

static void test_speakers(void **state)
{
    struct conference f;
    conference_init(&f, &(struct conference_options){0});
    struct person *loud = conference_join(&f, &SPEAKER);
    struct person *soft = conference_join(&f, &SPEAKER);
    struct person *quiet = conference_join(&f, &SPEAKER);
    loud->publisher->tracks[0].level = 20;
    soft->publisher->tracks[0].level = 40;
    quiet->publisher->tracks[0].level = 90;
    conference_run_ms(&f, 2000);
    assert_int_equal(f.speaker_count, 2);
    assert_int_equal(f.speakers[0].peer, loud->publisher_id);
    assert_int_equal(f.speakers[1].peer, soft->publisher_id);
    assert_true(f.speakers[0].level > 0.7f && f.speakers[1].level < 0.6f);
    assert_int_equal(f.last[SFU_EVENT_SPEAKERS].room, CONFERENCE_ROOM);
    unsigned told = f.events[SFU_EVENT_SPEAKERS];
    conference_run_ms(&f, 2000);
    assert_true(f.events[SFU_EVENT_SPEAKERS] - told <= 1); /* nothing changed */
    loud->publisher->tracks[0].level = 100;
    conference_run_ms(&f, 2000);
    assert_int_equal(f.speaker_count, 1);
    assert_int_equal(f.speakers[0].peer, soft->publisher_id);
    /* One who is held back does not speak. */
    set_flags(&f, soft, 0, (struct sfu_producer_flags){.is_held = true});
    conference_run_ms(&f, 1500);
    assert_int_equal(f.speaker_count, 0);
    assert_true(f.events[SFU_EVENT_SPEAKERS] <= 5 * 8);
    conference_deinit(&f);
}

static void test_statistics(void **state)
{
    struct conference f;
    struct net_link link = {.loss = 0.03, .delay_us = 30000};
    conference_init(&f, &(struct conference_options){.link = link});
    struct person *speaker = conference_join(&f, &SPEAKER);
    struct person *other = conference_join(&f, &LISTENER);
    struct client_receiver *video = conference_subscribe(&f, other, speaker, 1);
    conference_run_ms(&f, 8000);
    conference_ask_stats(&f, speaker->publisher_id);
    assert_int_equal(f.stats.track_count, 4); /* one audio row, three layers */
    assert_true(f.stats.is_connected);
    assert_true(sfu_address_eq(&f.stats.address, &speaker->publisher->address));
    assert_in_range((int)f.stats.round_trip_ms, 50, 90);
    const struct sfu_track_stats *top = &f.rows[3];
    assert_int_equal(top->layer, 2);
    assert_int_equal(top->codec, SFU_CODEC_VP8);
    assert_int_equal(top->ssrc, speaker->publisher->tracks[1].layers[2].ssrc);
    assert_int_equal(top->width, 1280);
    assert_true(top->packets > 1200 && top->packets_retransmitted > 10 && top->nacks > 10);
    assert_true(top->fraction_lost < 0.2f && top->packets_lost < 20);
    /* 30 frames of 7 packets of some 830 bytes. */
    assert_in_range(top->bitrate_bps, 1200000, 1700000);
    conference_ask_stats(&f, other->subscriber_id);
    assert_int_equal(f.stats.track_count, 1);
    assert_int_equal(f.rows[0].consumer, 1);
    assert_int_equal(f.rows[0].layer, 2);
    assert_true(f.rows[0].packets_retransmitted > 10 && f.rows[0].nacks > 10);
    assert_in_range(f.rows[0].bitrate_bps, 1200000, 1800000);
    assert_in_range((int)f.stats.round_trip_ms, 55, 70);
    assert_true(f.stats.packets_out >= video->packets);
    conference_deinit(&f);
}

/* Audio and video of one publisher are told on one clock. */
static void test_lip_sync(void **state)
{
    struct conference f;
    conference_init(&f, &(struct conference_options){0});
    struct person *speaker = conference_join(&f, &SPEAKER);
    struct person *other = conference_join(&f, &LISTENER);
    struct client_receiver *audio = conference_subscribe(&f, other, speaker, 0);
    struct client_receiver *video = conference_subscribe(&f, other, speaker, 1);
    conference_run_ms(&f, 7000);
    assert_true(audio->sender_reports && video->sender_reports);
    /* The publisher's clock when the last frame of each was made, by the reports. */
    double at[2];
    struct client_receiver *both[] = {audio, video};
    for (int i = 0; i < 2; i++) {
        double rate = both[i]->is_audio ? 48000 : 90000;
        double since = (double)(int32_t)(both[i]->last_timestamp - both[i]->last_report_rtp) / rate;
        double age = (double)(f.now_us - both[i]->last_frame_us) / 1e6;
        at[i] = (double)both[i]->last_report_ntp / 4294967296.0 + since + age;
    }
    assert_true(at[0] - at[1] < 0.035 && at[1] - at[0] < 0.035);
    conference_assert_faultless(&f);
    conference_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_people),
        cmocka_unit_test(test_loss_and_disorder),
        cmocka_unit_test(test_seed_repeats),
        cmocka_unit_test(test_late_joiner),
        cmocka_unit_test(test_joiner_right_after_keyframe),
        cmocka_unit_test(test_keyframe_requests_are_shared),
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_leaving),
        cmocka_unit_test(test_speakers),
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_lip_sync),
    };
    return cmocka_run_group_tests_name("sfu_conference_basic", tests, NULL, NULL);
}
