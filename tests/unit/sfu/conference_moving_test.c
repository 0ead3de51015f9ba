/*
 * What moves: rooms across workers, peers across addresses, credentials, consent. Two workers run
 * on one thread here, their rings drained in turn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conference/conference.h"

static const struct person_options SPEAKER = {.has_audio = true, .video_layers = 3};

static void check_everything(struct conference *f, unsigned video_frames)
{
    conference_settle(f);
    conference_assert_faultless(f);
    for (unsigned i = 0; i < f->person_count; i++)
        for (unsigned k = 0; k < f->people[i].subscriber->receiver_count; k++) {
            struct client_receiver *r = &f->people[i].subscriber->receivers[k];
            if (!r->is_audio && (!client_is_complete(r) || r->frames < video_frames))
                fail_msg("person %u track %u: %d frames, waits for %d of %d", i, k, (int)r->frames,
                         (int)r->next, (int)r->highest);
        }
    assert_int_equal(conference_counter(f, SFU_COUNTER_DROP_PROTECT), 0);
}

static void join_across(struct conference *f, unsigned people, unsigned workers)
{
    for (unsigned i = 0; i < people; i++) {
        struct person_options o = SPEAKER;
        o.publisher_worker = i % workers;
        o.subscriber_worker = (i + i / workers) % workers;
        (void)conference_join(f, &o);
    }
    conference_subscribe_all(f);
}

/* People of one room on two workers: nobody can tell. */
static void test_two_workers(void **state)
{
    struct conference f;
    conference_init(&f, &(struct conference_options){.worker_count = 2});
    join_across(&f, 4, 2);
    conference_run_ms(&f, 5000);
    assert_true(conference_counter(&f, SFU_COUNTER_RELAYED) > 1000);
    assert_int_equal(conference_counter(&f, SFU_COUNTER_DROP_RING), 0);
    assert_int_equal(sfu_worker_peer_count(sfu_worker(f.sfu, 0)), 4);
    assert_int_equal(sfu_worker_peer_count(sfu_worker(f.sfu, 1)), 4);
    assert_true(f.events[SFU_EVENT_SPEAKERS] > 0 && f.speaker_count == 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(f.people[i].subscriber->receivers[1].last.layer, 2);
    check_everything(&f, 120);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(sfu_peer_remove(f.sfu, f.people[i].publisher_id), ERR_OK);
        assert_int_equal(sfu_peer_remove(f.sfu, f.people[i].subscriber_id), ERR_OK);
    }
    conference_run_ms(&f, 100);
    for (unsigned w = 0; w < 2; w++) {
        assert_int_equal(sfu_worker_peer_count(sfu_worker(f.sfu, w)), 0);
        assert_int_equal(sfu_worker_buf_count(sfu_worker(f.sfu, w)), 0);
    }
    assert_int_equal(f.events[SFU_EVENT_CONSUMER_CLOSED] > 0, 1);
    conference_deinit(&f);
}

static void test_workers_under_loss(void **state)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct conference f;
        struct conference_options opt = {
            .seed = seed,
            .worker_count = 3,
            .link = {.loss = 0.03, .duplicate = 0.01, .delay_us = 15000, .jitter_us = 9000}};
        conference_init(&f, &opt);
        join_across(&f, 4, 3);
        conference_run_ms(&f, 4000);
        check_everything(&f, 75);
        conference_deinit(&f);
    }
}

/* Only the layers that are wanted there go to another worker, and only once, however many want. */
static void test_relay_is_thrifty(void **state)
{
    struct conference f;
    conference_init(&f, &(struct conference_options){.worker_count = 2});
    struct person *speaker = conference_join(&f, &(struct person_options){.video_layers = 3});
    struct person *others[5];
    for (unsigned i = 0; i < ARRAY_LEN(others); i++) {
        others[i] = conference_join(&f, &(struct person_options){.subscriber_worker = 1});
        (void)conference_subscribe(&f, others[i], speaker, 0);
    }
    conference_run_ms(&f, 2500);
    uint64_t relayed = conference_counter(&f, SFU_COUNTER_RELAYED);
    uint64_t sent = speaker->publisher->tracks[0].layers[2].packets;
    conference_run_ms(&f, 1000);
    uint64_t top = speaker->publisher->tracks[0].layers[2].packets - sent;
    assert_in_range(conference_counter(&f, SFU_COUNTER_RELAYED) - relayed, top - 14, top + 14);
    /* A late joiner there, right after a keyframe, is started from the mirror's ring. */
    speaker->publisher->tracks[0].layers[2].wants_key = true;
    conference_run_ms(&f, 200);
    struct person *late = conference_join(&f, &(struct person_options){.subscriber_worker = 1});
    conference_run_ms(&f, 300);
    speaker->publisher->tracks[0].layers[2].wants_key = true;
    conference_run_ms(&f, 150);
    uint64_t plis = speaker->publisher->tracks[0].layers[2].plis;
    struct client_receiver *r = conference_subscribe(&f, late, speaker, 0);
    conference_run_ms(&f, 40);
    assert_true(r->frames >= 3 && r->keyframes == 1);
    conference_run_ms(&f, 400);
    assert_int_equal(speaker->publisher->tracks[0].layers[2].plis, plis);
    /* All pause: nothing is relayed. */
    for (unsigned i = 0; i < ARRAY_LEN(others); i++)
        assert_int_equal(sfu_consumer_set_choice(f.sfu, others[i]->subscriber_id, 1,
                                                 (struct sfu_consumer_choice){.is_paused = true}),
                         ERR_OK);
    assert_int_equal(sfu_consumer_remove(f.sfu, late->subscriber_id, 1), ERR_OK);
    conference_run_ms(&f, 50);
    relayed = conference_counter(&f, SFU_COUNTER_RELAYED);
    conference_run_ms(&f, 1000);
    assert_int_equal(conference_counter(&f, SFU_COUNTER_RELAYED), relayed);
    conference_assert_faultless(&f);
    conference_deinit(&f);
}

/* A ring far too small: what did not fit is passed on later, and nothing is lost. */
static void test_small_ring(void **state)
{
    struct conference f;
    conference_init(&f, &(struct conference_options){.worker_count = 2, .ring_bytes = 1});
    join_across(&f, 4, 2);
    for (unsigned i = 0; i < 4; i++)
        for (unsigned l = 0; l < 3; l++)
            f.people[i].publisher->tracks[1].layers[l].packets_per_frame = 1 + 10 * l;
    conference_run_ms(&f, 4000);
    assert_true(conference_counter(&f, SFU_COUNTER_DROP_RING) > 0);
    check_everything(&f, 90);
    conference_deinit(&f);
}

/* A new address (another network), its datagrams reaching another worker than the peer's own. */
static void test_address_changes(void **state)
{
    struct conference f;
    conference_init(&f, &(struct conference_options){.worker_count = 2});
    join_across(&f, 2, 2);
    conference_run_ms(&f, 2500);
    unsigned i = 0; /* clients[0] is the first publisher, [1] its subscriber */
    struct person *who = &f.people[0], *other = &f.people[1];
    uint64_t before = other->subscriber->receivers[1].frames;
    struct sfu_address moved = sfu_address_v4(0xc6336401, 5555);
    f.lands_on[i] = 1; /* it was 0 */
    client_move(who->publisher, &moved);
    conference_run_ms(&f, 1000);
    assert_int_equal(f.events[SFU_EVENT_PEER_MOVED], 1);
    assert_true(sfu_address_eq(&f.last[SFU_EVENT_PEER_MOVED].address, &moved));
    assert_true(other->subscriber->receivers[1].frames > before + 25);
    assert_true(conference_counter(&f, SFU_COUNTER_HANDED_OVER) > 100);
    /* And a subscriber, whose media must follow it. */
    moved.port++;
    f.lands_on[3] = (f.lands_on[3] + 1) % 2;
    before = other->subscriber->receivers[1].frames;
    client_move(other->subscriber, &moved);
    conference_run_ms(&f, 1500);
    assert_int_equal(f.events[SFU_EVENT_PEER_MOVED], 2);
    assert_true(other->subscriber->receivers[1].frames > before + 38);
    check_everything(&f, 120);
    conference_deinit(&f);
}

static void test_ice_restart(void **state)
{
    struct conference f;
    struct sfu_credentials fresh;
    conference_init(&f, &(struct conference_options){0});
    join_across(&f, 2, 1);
    conference_run_ms(&f, 2500);
    for (unsigned i = 0; i < 2; i++) {
        struct person *who = &f.people[i];
        assert_int_equal(sfu_peer_restart_ice(f.sfu, who->subscriber_id, &fresh), ERR_OK);
        conference_run_ms(&f, 500); /* media goes on meanwhile */
        client_restart(who->subscriber, &fresh);
        assert_int_equal(sfu_peer_restart_ice(f.sfu, who->publisher_id, &fresh), ERR_OK);
        client_restart(who->publisher, &fresh);
    }
    conference_run_ms(&f, 2000);
    for (unsigned i = 0; i < f.client_count; i++)
        assert_true(f.clients[i]->is_connected_ice);
    assert_int_equal(f.events[SFU_EVENT_PEER_DISCONNECTED], 0);
    check_everything(&f, 130);
    conference_deinit(&f);
}

/* No checks for 30 s: told so, sending stops; checks again: it goes on. */
static void test_consent(void **state)
{
    struct conference f;
    conference_init(&f, &(struct conference_options){.consent_timeout_us = 10000000});
    join_across(&f, 2, 1);
    conference_run_ms(&f, 2500);
    struct person *who = &f.people[0];
    who->subscriber->is_silent = true;
    conference_run_ms(&f, 8000);
    assert_int_equal(f.events[SFU_EVENT_PEER_DISCONNECTED], 0);
    conference_run_ms(&f, 2500);
    assert_int_equal(f.events[SFU_EVENT_PEER_DISCONNECTED], 1);
    assert_int_equal(f.last[SFU_EVENT_PEER_DISCONNECTED].peer, who->subscriber_id);
    conference_run_ms(&f, 100);
    uint64_t received = who->subscriber->received;
    conference_run_ms(&f, 1000);
    assert_int_equal(who->subscriber->received, received);
    who->subscriber->is_silent = false;
    for (unsigned k = 0; k < who->subscriber->receiver_count; k++)
        who->subscriber->receivers[k].is_gap_allowed = true;
    conference_run_ms(&f, 1000);
    assert_int_equal(f.events[SFU_EVENT_PEER_RECONNECTED], 1);
    assert_true(who->subscriber->received > received + 100);
    check_everything(&f, 200);
    conference_deinit(&f);
}

/* A peer that is removed before it ever came, and one that others waited for. */
static void test_never_came(void **state)
{
    struct conference f;
    struct sfu_credentials credentials;
    sfu_peer_id ghost;
    conference_init(&f, &(struct conference_options){.worker_count = 2, .max_peers = 8});
    struct person *who = conference_join(&f, &SPEAKER);
    struct sfu_peer_options opt = {.room = CONFERENCE_ROOM};
    assert_int_equal(sfu_peer_add(f.sfu, &opt, &ghost, &credentials), ERR_OK);
    struct person fake = {.publisher_id = ghost, .track_count = 1, .tracks = {{1, true}}};
    (void)conference_subscribe(&f, who, &fake, 0);
    conference_run_ms(&f, 500);
    assert_int_equal(f.events[SFU_EVENT_CONSUMER_CLOSED], 0);
    assert_int_equal(sfu_peer_remove(f.sfu, ghost), ERR_OK);
    conference_run_ms(&f, 10);
    assert_int_equal(f.events[SFU_EVENT_CONSUMER_CLOSED], 1);
    for (int i = 0; i < 6; i++)
        assert_int_equal(sfu_peer_add(f.sfu, &opt, &ghost, &credentials), ERR_OK);
    assert_int_equal(sfu_peer_add(f.sfu, &opt, &ghost, &credentials), ERR_RESOURCE_EXHAUSTED);
    conference_deinit(&f); /* with mail still waiting for peers that never came */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_workers),      cmocka_unit_test(test_workers_under_loss),
        cmocka_unit_test(test_relay_is_thrifty), cmocka_unit_test(test_small_ring),
        cmocka_unit_test(test_address_changes),  cmocka_unit_test(test_ice_restart),
        cmocka_unit_test(test_consent),          cmocka_unit_test(test_never_came),
    };
    return cmocka_run_group_tests_name("sfu_conference_moving", tests, NULL, NULL);
}
