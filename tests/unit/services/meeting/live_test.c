/* What meetings hear: of signaling who is connected and for how long, of media what they send, of
 * AI what came of tasks about them. What comes twice, late or is nobody's changes nothing. */
#include "people.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"

#include "events.pb-c.h"
#include "media.pb-c.h"

#define LONG_AGO_MS (3600 * 1000)

static struct world *w;
static struct identity ann, bob;
static const char *meeting;
static const char *place; /* ann's */

static int setup(void **state UNUSED)
{
    w = world_open(&(struct world_options){0});
    world_register(w, "admin");
    ann = world_register(w, "ann");
    bob = world_register(w, "bob");
    meeting = make_meeting(w, &ann, NULL)->id;
    place = join_meeting(w, &ann, meeting)->participant->id;
    return 0;
}

static int teardown(void **state UNUSED)
{
    world_close(&w);
    return 0;
}

/* ---- telling ---- */

static struct bus_event event_of(const char *channel, const char *type, const ProtobufCMessage *m)
{
    static uint8_t bytes[1 << 19];
    size_t n = protobuf_c_message_get_packed_size(m);
    assert_true(n <= sizeof(bytes));
    protobuf_c_message_pack(m, bytes);
    return (struct bus_event){
        .channel = channel, .type = type, .key = meeting, .payload = {(const char *)bytes, n}};
}

static void tell_connection(const char *type, const char *session_id, int64_t at_ms)
{
    Events__SignalingEvent e = EVENTS__SIGNALING_EVENT__INIT;
    e.meeting_id = (char *)meeting;
    e.participant_id = (char *)place;
    e.session_id = (char *)session_id;
    e.at_ms = at_ms;
    struct bus_event event = event_of("signaling_events", type, &e.base);
    bus_publish(w->bus, &event);
}

static void tell_stream(const char *type, Media__Source source)
{
    Media__MediaEvent e = MEDIA__MEDIA_EVENT__INIT;
    Media__Track t = MEDIA__TRACK__INIT;
    t.participant_id = (char *)place;
    t.source = source;
    e.meeting_id = (char *)meeting;
    e.track = &t;
    struct bus_event event = event_of("media_events", type, &e.base);
    bus_publish(w->bus, &event);
}

static void tell_result(const char *task_id, const char *status, const char *reply, int64_t at_ms)
{
    Events__AiEvent e = EVENTS__AI_EVENT__INIT;
    Events__TaskResult r = EVENTS__TASK_RESULT__INIT;
    r.task = (char *)"speech_recognition";
    r.id = (char *)task_id;
    r.status = (char *)status;
    r.reply = (char *)reply;
    e.meeting_id = (char *)meeting;
    e.stream_id = (char *)"a stream";
    e.result = &r;
    e.at_ms = at_ms;
    struct bus_event event = event_of("ai_events", "speech_recognition.completed", &e.base);
    assert_int_equal(bus_publish_sync(w->bus, &event), ERR_OK);
}

/* ---- looking ---- */

static const Meeting__Participant *look(void)
{
    return find_person(w, meeting, ann.user_id);
}

static bool is_connected(void *arg UNUSED)
{
    return look()->connected_at_ms != 0;
}

static bool is_not_connected(void *arg UNUSED)
{
    return look()->connected_at_ms == 0;
}

/* arg: the streams, with a space after each. */
static bool sends(void *arg)
{
    char text[100] = "";
    const Meeting__Participant *p = look();
    for (size_t i = 0; i < p->n_streams; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", p->streams[i]);
    return strcmp(text, arg) == 0;
}

static const Meeting__MeetingResultList *results_of(const struct identity *who)
{
    Meeting__ListResultsRequest in = MEETING__LIST_RESULTS_REQUEST__INIT;
    in.id = (char *)meeting;
    return ask(w, w->meeting, "ListResults", &in, who);
}

/* arg: the id of the task whose result is the newest. */
static bool is_newest(void *arg)
{
    const Meeting__MeetingResultList *list = results_of(&ann);
    return list && list->n_results && strcmp(list->results[0]->task_id, arg) == 0;
}

/* ---- tests ---- */

#define FIRST "01J00000000000000000000001"
#define SECOND "01J00000000000000000000002"

static void test_attendance(void **state UNUSED)
{
    int64_t now_ms = clock_wall_ms();
    assert_int_equal(look()->connected_at_ms + look()->attended_ms, 0);
    tell_connection("session.created", FIRST, now_ms - LONG_AGO_MS);
    eventually(is_connected, NULL);
    assert_int_equal(look()->connected_at_ms, now_ms - LONG_AGO_MS);
    assert_true(look()->attended_ms >= LONG_AGO_MS); /* up to now */
    tell_connection("session.created", FIRST, now_ms);
    tell_connection("session.closed", SECOND, now_ms); /* not this one */
    tell_connection("session.closed", FIRST, now_ms - LONG_AGO_MS + 5000);
    eventually(is_not_connected, NULL);
    assert_int_equal(look()->attended_ms, 5000);
    tell_connection("session.closed", FIRST, now_ms); /* told by another process, too */
    /* By another session at once: the end of the first comes late. */
    tell_connection("session.created", FIRST, now_ms - 3000);
    tell_connection("session.created", SECOND, now_ms - 1000);
    tell_connection("session.closed", FIRST, now_ms);
    tell_stream("stream.started", MEDIA__SOURCE__CAMERA);
    eventually(sends, "camera ");
    eventually(is_connected, NULL);
    tell_connection("session.closed", SECOND, now_ms);
    eventually(is_not_connected, NULL);
    assert_int_equal(look()->attended_ms, 8000);
    assert_true(sends("")); /* with its session */
}

static void test_streams(void **state UNUSED)
{
    tell_stream("stream.started", MEDIA__SOURCE__MICROPHONE);
    tell_stream("stream.started", MEDIA__SOURCE__SCREEN);
    tell_stream("stream.started", MEDIA__SOURCE__SCREEN);
    eventually(sends, "microphone screen ");
    tell_stream("stream.stopped", MEDIA__SOURCE__SCREEN);
    tell_stream("stream.started", (Media__Source)31);
    tell_stream("stream.started", (Media__Source)33);
    tell_stream("stream.started", (Media__Source)-1);
    tell_stream("stream.started", MEDIA__SOURCE__SCREEN_AUDIO);
    eventually(sends, "microphone screen_audio ");
}

/* Whoever leaves is not connected any more, though nobody says so; and nobody comes after that. */
static void test_leaving_ends_it(void **state UNUSED)
{
    int64_t now_ms = clock_wall_ms();
    tell_connection("session.created", FIRST, now_ms - LONG_AGO_MS);
    eventually(is_connected, NULL);
    assert_true(leave_meeting(w, &ann, meeting));
    assert_int_equal(look()->connected_at_ms, 0);
    assert_true(look()->attended_ms >= LONG_AGO_MS);
    tell_connection("session.created", SECOND, now_ms);
    assert_non_null(join_meeting(w, &ann, meeting));
    tell_stream("stream.started", MEDIA__SOURCE__CAMERA);
    /* Of another channel, but each write is waited for in turn by the store. */
    eventually(sends, "camera ");
}

static void test_the_end_ends_it(void **state UNUSED)
{
    tell_connection("session.created", FIRST, clock_wall_ms() - LONG_AGO_MS);
    eventually(is_connected, NULL);
    assert_non_null(end_meeting(w, &ann, meeting));
    assert_int_equal(look()->connected_at_ms, 0);
    assert_true(look()->attended_ms >= LONG_AGO_MS);
}

static void test_results_are_kept(void **state UNUSED)
{
    tell_result("nothing", "no_engine", "", 1000);
    tell_result("one", "done", "{\"text\":\"hello\"}", 1000);
    eventually(is_newest, "one");
    tell_result("two", "not_found", "", 3000);
    eventually(is_newest, "two");
    char *huge = malloc(300 * 1024);
    memset(huge, 'x', 300 * 1024 - 1);
    huge[300 * 1024 - 1] = '\0';
    tell_result("three", "done", huge, 4000);
    free(huge);
    eventually(is_newest, "three");
    const Meeting__MeetingResultList *list = results_of(&ann);
    assert_int_equal(list->n_results, 3);
    assert_string_equal(list->results[0]->reply, "");
    assert_true(strlen(list->results[0]->message) > 0);
    assert_string_equal(list->results[1]->status, "not_found");
    assert_string_equal(list->results[2]->task, "speech_recognition");
    assert_string_equal(list->results[2]->stream_id, "a stream");
    assert_string_equal(list->results[2]->reply, "{\"text\":\"hello\"}");
    assert_int_equal(list->results[2]->at_ms, 1000);
    assert_null(results_of(&bob));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
}

static void test_results_are_bounded(void **state UNUSED)
{
    char id[20];
    for (int i = 0; i < 210; i++) {
        snprintf(id, sizeof(id), "%d", i);
        tell_result(id, "done", "{}", 1000 + i);
    }
    eventually(is_newest, "209");
    const Meeting__MeetingResultList *list = results_of(&ann);
    assert_int_equal(list->n_results, 200);
    assert_string_equal(list->results[199]->task_id, "10");
}

/* Of a meeting that is not there: nothing is kept, and the next comes. */
static void test_nobodys(void **state UNUSED)
{
    const char *real = meeting;
    meeting = "01J0000000000000000000000X";
    tell_result("lost", "done", "{}", 1000);
    tell_connection("session.created", FIRST, 1000);
    meeting = "no id";
    tell_result("lost", "done", "{}", 1000);
    tell_connection("session.created", FIRST, 1000);
    meeting = real;
    tell_result("kept", "done", "{}", 2000);
    eventually(is_newest, "kept");
    assert_int_equal(results_of(&ann)->n_results, 1);
    assert_int_equal(look()->connected_at_ms, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_attendance),      TEST(test_streams),          TEST(test_leaving_ends_it),
        TEST(test_the_end_ends_it), TEST(test_results_are_kept), TEST(test_results_are_bounded),
        TEST(test_nobodys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
