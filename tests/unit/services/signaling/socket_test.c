/*
 * The signaling socket as a client meets it: a real server on loopback, real WebSockets, and fakes
 * of the services behind. Entering, waiting, coming back, media frames in order, gestures, being
 * muted, removed, replaced and signed out.
 */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stage.h"

static void test_sign_in(void **state UNUSED)
{
    struct ws_client c;
    ws_client_open(&c, net_server_port(stage.server), "/ws/signaling", "");
    ws_client_send(&c, JOIN);
    expect_error(&c, "unauthenticated");
    ws_client_send(&c, "{\"type\":\"auth\",\"token\":\"bad\"}");
    expect_error(&c, "unauthenticated");
    expect_close(&c, 4401);
    ws_client_cut(&c);
}

static void test_nobody_signs_in(void **state UNUSED)
{
    struct ws_client c;
    ws_client_open(&c, net_server_port(stage.server), "/ws/signaling", "");
    expect_close(&c, 4408);
    ws_client_cut(&c);
}

static void test_bad_frames(void **state UNUSED)
{
    struct ws_client c;
    sign_in(&c, "ann");
    expect_only(&c, "ok");
    static const struct {
        const char *frame;
        const char *code;
    } cases[] = {
        {"", "invalid_argument"},
        {"[]", "invalid_argument"},
        {"{\"type\":5}", "invalid_argument"},
        {"{\"type\":\"ping\",\"surprise\":1}", "invalid_argument"},
        {"{\"type\":\"dance\"}", "unimplemented"},
        {"{\"type\":\"offer\",\"id\":9,\"sdp\":\"x\"}", "failed_precondition"},
        {"{\"type\":\"join_room\",\"meeting_id\":\"elsewhere\"}", "not_found"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ws_client_send(&c, cases[i].frame);
        expect_error(&c, cases[i].code);
    }
    ws_client_send(&c, "{\"type\":\"ping\",\"id\":3}");
    expect_only(&c, "pong"); /* and it serves on */
    ws_client_cut(&c);
}

static void test_two_meet_and_part(void **state UNUSED)
{
    struct ws_client ann, bob;
    free(enter(&ann, "ann"));
    free(enter(&bob, "bob"));
    json_t *json = expect(&ann, "participant_joined");
    assert_string_equal(text_of(json_object_get(json, "participant"), "name"), "bob");
    json_decref(json);
    ws_client_send(&bob, "{\"type\":\"raise_hand\",\"is_raised\":true}");
    json = expect(&ann, "participant_changed");
    assert_true(
        json_is_true(json_object_get(json_object_get(json, "participant"), "is_hand_raised")));
    json_decref(json);
    ws_client_send(&bob, "{\"type\":\"leave_room\",\"id\":5}");
    expect_close(&bob, 1000);
    json = expect(&ann, "participant_left");
    assert_string_equal(text_of(json, "participant_id"), "p-bob");
    assert_string_equal(text_of(json, "reason"), "left");
    json_decref(json);
    wait_for(&fake_notes.closed, 1);
    wait_for(&fake_notes.left, 1);
    ws_client_cut(&ann);
    ws_client_cut(&bob);
}

static void test_media_frames(void **state UNUSED)
{
    struct ws_client ann, bob;
    free(enter(&ann, "ann"));
    free(enter(&bob, "bob"));
    ws_client_send(&bob, "{\"type\":\"offer\",\"id\":7,\"sdp\":\"one\",\"tracks\":[]}");
    ws_client_send(&bob, "{\"type\":\"offer\",\"id\":8,\"sdp\":\"two\",\"tracks\":[]}");
    static const char *const wanted[] = {"answer to one", "answer to two"};
    for (int i = 0; i < 2; i++) { /* in order */
        json_t *json = expect(&bob, "answer");
        assert_string_equal(text_of(json, "sdp"), wanted[i]);
        json_decref(json);
    }
    /* Only hosts share their screen in this meeting. */
    ws_client_send(
        &bob,
        "{\"type\":\"offer\",\"id\":9,\"sdp\":\"three\",\"tracks\":[{\"mid\":\"2\",\"source\":"
        "\"screen\"}]}");
    expect_error(&bob, "permission_denied");

    fake_media_track(stage.bus, "stream.started", fake_last_session, "bob", "track-1");
    json_t *json = expect(&ann, "track_published");
    assert_string_equal(text_of(json_object_get(json, "track"), "source"), "microphone");
    json_decref(json);
    fake_meeting_event(stage.bus, "mute_requested", "bob", "audio");
    json = expect(&bob, "mute_requested");
    assert_string_equal(text_of(json, "kind"), "audio");
    json_decref(json);
    wait_for(&fake_notes.muted, 1); /* held back by the server too */
    fake_media_track(stage.bus, "stream.stopped", fake_last_session, "bob", "track-1");
    expect_only(&ann, "track_unpublished");
    ws_client_cut(&ann);
    ws_client_cut(&bob);
}

static void test_resume(void **state UNUSED)
{
    struct ws_client ann, bob, again;
    free(enter(&ann, "ann"));
    char *token = enter(&bob, "bob");
    fake_media_offer(stage.bus, fake_last_session, 4);
    expect_only(&bob, "offer"); /* not answered */
    ws_client_cut(&bob);
    json_t *json = expect(&ann, "participant_changed");
    assert_true(
        json_is_false(json_object_get(json_object_get(json, "participant"), "is_connected")));
    json_decref(json);

    char frame[300];
    sign_in(&again, "bob");
    snprintf(frame, sizeof(frame),
             "{\"type\":\"join_room\",\"id\":2,\"meeting_id\":\"" FAKE_MEETING
             "\",\"resume_token\":\"%s\"}",
             token);
    ws_client_send(&again, frame);
    json = expect(&again, "room_joined");
    assert_true(json_is_true(json_object_get(json, "is_resumed")));
    assert_string_equal(text_of(json, "session_id"), fake_last_session);
    json_decref(json);
    json = expect(&again, "offer"); /* the one that was not answered, again */
    assert_int_equal(json_integer_value(json_object_get(json, "revision")), 4);
    json_decref(json);
    ws_client_send(&again, "{\"type\":\"answer\",\"id\":3,\"revision\":4,\"sdp\":\"yes\"}");
    wait_for(&fake_notes.answered, 1);
    assert_int_equal(fake_notes.opened, 2);
    assert_int_equal(fake_notes.closed, 0);

    /* Somebody else's token opens nothing. */
    struct ws_client eve;
    sign_in(&eve, "eve");
    ws_client_send(&eve, frame);
    json = expect(&eve, "room_joined");
    assert_true(json_is_false(json_object_get(json, "is_resumed")));
    assert_string_equal(text_of(json, "participant_id"), "p-eve");
    json_decref(json);
    free(token);
    ws_client_cut(&ann);
    ws_client_cut(&again);
    ws_client_cut(&eve);
}

static void test_away_too_long(void **state UNUSED)
{
    struct ws_client ann, bob;
    free(enter(&ann, "ann"));
    free(enter(&bob, "bob"));
    ws_client_cut(&bob);
    json_t *json = expect(&ann, "participant_left");
    assert_string_equal(text_of(json, "reason"), "timeout");
    json_decref(json);
    wait_for(&fake_notes.closed, 1);
    wait_for(&fake_notes.left, 1);
    ws_client_cut(&ann);
}

static void test_waiting_room(void **state UNUSED)
{
    struct ws_client host, waiter;
    free(enter(&host, "host"));
    sign_in(&waiter, "waiter");
    ws_client_send(&waiter, JOIN);
    expect_only(&waiter, "waiting");
    json_t *json = expect(&host, "participant_waiting");
    assert_string_equal(text_of(json_object_get(json, "participant"), "name"), "waiter");
    json_decref(json);
    fake_meeting_event(stage.bus, "user_joined", "waiter", "");
    expect_only(&waiter, "room_joined");
    expect_only(&host, "participant_not_waiting");
    expect_only(&host, "participant_joined");
    fake_meeting_event(stage.bus, "user_removed", "waiter", "");
    expect_only(&waiter, "removed");
    expect_close(&waiter, 4403);
    expect_only(&host, "participant_left");
    ws_client_cut(&host);
    ws_client_cut(&waiter);
}

static void test_replaced_and_signed_out(void **state UNUSED)
{
    struct ws_client first, second;
    free(enter(&first, "ann"));
    free(enter(&second, "ann"));
    expect_close(&first, 4409);
    fake_revoke(stage.bus, "ann");
    expect_close(&second, 4401);
    wait_for(&fake_notes.closed, 2);
    ws_client_cut(&first);
    ws_client_cut(&second);
}

static void test_end_and_drain(void **state UNUSED)
{
    struct ws_client ann, bob;
    free(enter(&ann, "ann"));
    fake_meeting_event(stage.bus, "ended", "host", "");
    expect_only(&ann, "meeting_ended");
    expect_close(&ann, 1000);
    free(enter(&bob, "bob"));
    signaling_drain(stage.signaling);
    expect_only(&bob, "server_closing");
    expect_close(&bob, 1001);
    ws_client_cut(&ann);
    ws_client_cut(&bob);
}

static void test_signed_out_while_away(void **state UNUSED)
{
    struct ws_client ann, bob;
    free(enter(&ann, "ann"));
    free(enter(&bob, "bob"));
    ws_client_cut(&bob);
    expect_away(&ann);
    fake_revoke(stage.bus, "bob");
    json_t *json = expect(&ann, "participant_left");
    assert_string_equal(text_of(json, "reason"), "removed"); /* not "timeout" */
    json_decref(json);
    wait_for(&fake_notes.closed, 1);
    ws_client_cut(&ann);
}

static void test_signed_out_while_entering(void **state UNUSED)
{
    struct ws_client slow, pending;
    sign_in(&pending, "pending");
    ws_client_send(&pending, JOIN);
    wait_for(&fake_notes.asked, 1);
    fake_revoke(stage.bus, "pending");
    expect_close(&pending, 4401);
    sign_in(&slow, "slow");
    ws_client_send(&slow, JOIN);
    wait_for(&fake_notes.opened, 1); /* slow alone: pending was not let in */
    fake_revoke(stage.bus, "slow");
    expect_close(&slow, 4401);
    /* Once when it was signed out, and again when the session was there after all. */
    wait_for(&fake_notes.closed, 2);
    assert_int_equal(fake_notes.opened, 1);
    ws_client_cut(&slow);
    ws_client_cut(&pending);
}

/* The token was judged before its sign-in ended, and the answer comes after the news. */
static void test_signed_out_while_signing_in(void **state UNUSED)
{
    struct ws_client ann, late, other;
    free(enter(&ann, "ann"));
    fake_revoke_session(stage.bus, "ann");
    expect_close(&ann, 4401); /* so the news is here */
    sign_in(&late, "ann");
    expect_error(&late, "unauthenticated");
    expect_close(&late, 4401);
    sign_in(&other, "bob");
    expect_only(&other, "ok");
    ws_client_cut(&ann);
    ws_client_cut(&late);
    ws_client_cut(&other);
}

static void test_role_follows(void **state UNUSED)
{
    struct ws_client ann;
    free(enter(&ann, "ann"));
    fake_role(stage.bus, "ann", USER__ROLE__ADMIN);
    usleep(50 * 1000);
    ws_client_send(&ann, "{\"type\":\"leave_room\",\"id\":5}");
    expect_close(&ann, 1000);
    wait_for(&fake_notes.left, 1);
    assert_int_equal(fake_notes.left_role, ROLE_ADMIN);
    ws_client_cut(&ann);
}

static void test_presence_is_reported(void **state UNUSED)
{
    struct ws_client ann, ghost;
    free(enter(&ann, "ann"));
    wait_for_least(&fake_notes.reported, 2);
    free(enter(&ghost, "ghost"));
    expect_only(&ghost, "removed"); /* the meeting service does not know it */
    expect_close(&ghost, 4403);
    expect_only(&ann, "participant_left");
    ws_client_send(&ann, "{\"type\":\"ping\",\"id\":3}");
    expect_only(&ann, "pong");
    ws_client_cut(&ann);
    ws_client_cut(&ghost);
}

static void test_admitted_unheard(void **state UNUSED)
{
    struct ws_client waiter;
    sign_in(&waiter, "waiter");
    ws_client_send(&waiter, JOIN);
    expect_only(&waiter, "waiting");
    fake_notes.is_waiter_admitted = 1; /* the event came too early for this socket */
    expect_only(&waiter, "room_joined");
    ws_client_cut(&waiter);
}

static void test_left_by_rest(void **state UNUSED)
{
    struct ws_client ann, bob;
    free(enter(&ann, "ann"));
    free(enter(&bob, "bob"));
    fake_event_at_ms = 1000; /* of a former presence: an event that comes late, or again */
    fake_meeting_event(stage.bus, "user_left", "bob", "");
    fake_event_at_ms = 0;
    fake_meeting_event(stage.bus, "mute_requested", "bob", "audio");
    expect_only(&bob, "mute_requested"); /* so it is still there */
    fake_meeting_event(stage.bus, "user_left", "bob", "");
    expect_close(&bob, 1000);
    json_t *json = expect(&ann, "participant_left");
    assert_string_equal(text_of(json, "reason"), "left");
    json_decref(json);
    assert_int_equal(fake_notes.left, 0); /* it is not told back */
    ws_client_cut(&ann);
    ws_client_cut(&bob);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)
#define HASTY(name) cmocka_unit_test_setup_teardown(name, stage_setup_hasty, stage_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_sign_in),
        HASTY(test_nobody_signs_in),
        TEST(test_bad_frames),
        TEST(test_two_meet_and_part),
        TEST(test_media_frames),
        TEST(test_resume),
        HASTY(test_away_too_long),
        TEST(test_waiting_room),
        TEST(test_replaced_and_signed_out),
        TEST(test_end_and_drain),
        TEST(test_signed_out_while_away),
        TEST(test_signed_out_while_entering),
        TEST(test_signed_out_while_signing_in),
        TEST(test_role_follows),
        TEST(test_presence_is_reported),
        TEST(test_admitted_unheard),
        TEST(test_left_by_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
