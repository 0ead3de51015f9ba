/*
 * What media hears: what is over by an event is closed, though nobody called; who came back
 * meanwhile stays; what AI did to a stream is told to the room.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "events.pb-c.h"
#include "meeting.pb-c.h"
#include "node.h"

static char meeting[ID_SIZE], other[ID_SIZE];

/* ---- what is told ---- */

static void tell(const char *channel, const char *type, const ProtobufCMessage *m)
{
    uint8_t bytes[1000];
    size_t n = protobuf_c_message_get_packed_size(m);
    assert_true(n <= sizeof(bytes));
    protobuf_c_message_pack(m, bytes);
    bus_publish(node.bus, &(struct bus_event){.channel = channel,
                                              .type = type,
                                              .key = meeting,
                                              .payload = {(const char *)bytes, n}});
}

static void tell_meeting(const char *type, const struct person *p, int64_t at_ms)
{
    Meeting__MeetingEvent e = MEETING__MEETING_EVENT__INIT;
    Meeting__Participant shape = MEETING__PARTICIPANT__INIT;
    e.type = (char *)type;
    e.meeting_id = meeting;
    e.at_ms = at_ms;
    if (p) {
        shape.id = (char *)p->participant_id;
        e.participant = &shape;
    }
    tell("meeting_events", type, &e.base);
}

static void tell_closed(const char *session_id)
{
    Events__SignalingEvent e = EVENTS__SIGNALING_EVENT__INIT;
    e.type = (char *)"session.closed";
    e.meeting_id = meeting;
    e.session_id = (char *)session_id;
    tell("signaling_events", e.type, &e.base);
}

static void tell_ai(const char *task, const char *stream_id, const char *status)
{
    char type[60];
    Events__AiEvent e = EVENTS__AI_EVENT__INIT;
    Events__TaskResult r = EVENTS__TASK_RESULT__INIT;
    snprintf(type, sizeof(type), "%s.completed", task);
    e.type = type;
    e.meeting_id = meeting;
    e.stream_id = (char *)stream_id;
    r.task = (char *)task;
    r.status = (char *)status;
    e.result = &r;
    tell("ai_events", type, &e.base);
}

/* ---- what is there ---- */

static int64_t now_and(int64_t ms)
{
    return clock_wall_ms() + ms;
}

/* How many sessions the meeting has. */
static size_t session_count(const char *meeting_id)
{
    struct rpc_call *c = rpc_call_create(NULL);
    Media__GetStatsRequest request = MEDIA__GET_STATS_REQUEST__INIT;
    request.meeting_id = (char *)meeting_id;
    const Media__Stats *s = rpc_sync(node.media, "GetStats", &request.base, c);
    assert_non_null(s);
    size_t count = s->n_rooms ? s->rooms[0]->n_peers : 0;
    rpc_call_unref(&c);
    return count;
}

static void wait_sessions(size_t count)
{
    for (int i = 0; i < 4000 && session_count(meeting) != count; i++)
        usleep(5000);
    assert_int_equal(session_count(meeting), count);
}

/* ---- what the room hears ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char track_id[ID_SIZE];
    char processed[100];
    int processed_count;
} heard;

static void on_media(void *arg UNUSED, const struct bus_event *event)
{
    Media__MediaEvent *e =
        media__media_event__unpack(NULL, event->payload.n, (const uint8_t *)event->payload.p);
    pthread_mutex_lock(&lock);
    if (e && e->track)
        snprintf(heard.track_id, sizeof(heard.track_id), "%s", e->track->id);
    if (e && strcmp(e->type, "stream.processed") == 0) {
        heard.processed_count++;
        heard.processed[0] = '\0';
        for (size_t i = 0; i < e->track->n_processed; i++) {
            size_t n = strlen(heard.processed);
            snprintf(heard.processed + n, sizeof(heard.processed) - n, "%s ",
                     e->track->processed[i]);
        }
    }
    pthread_mutex_unlock(&lock);
    if (e)
        media__media_event__free_unpacked(e, NULL);
}

static bool has_heard(const char *track_id_or_processed)
{
    pthread_mutex_lock(&lock);
    bool is = track_id_or_processed ? strcmp(heard.processed, track_id_or_processed) == 0
                                    : heard.track_id[0] != '\0';
    pthread_mutex_unlock(&lock);
    return is;
}

static void wait_heard(const char *processed)
{
    for (int i = 0; i < 4000 && !has_heard(processed); i++)
        usleep(5000);
    assert_true(has_heard(processed));
}

/* ---- tests ---- */

static int setup(void **state)
{
    int result = node_setup(state);
    memset(&heard, 0, sizeof(heard));
    bus_subscribe(node.bus, "media_events", "test", on_media, NULL);
    node_start();
    id_make(meeting);
    id_make(other);
    return result;
}

static void test_an_ended_meeting_leaves_nothing(void **state UNUSED)
{
    struct person ann, bob, cec;
    open_session(meeting, &ann);
    open_session(meeting, &bob);
    open_session(other, &cec);
    tell_meeting("meeting.started", NULL, now_and(0));
    tell_meeting("meeting.ended", NULL, now_and(0));
    wait_sessions(0);
    assert_int_equal(session_count(other), 1);
}

static void test_who_left_sends_no_more(void **state UNUSED)
{
    struct person ann, bob;
    open_session(meeting, &ann);
    open_session(meeting, &bob);
    publish(&bob);
    wait_heard(NULL);
    /* Before it came (back): of a former presence, heard late. Then one that marks its turn. */
    tell_meeting("meeting.user_left", &bob, now_and(-60 * 1000));
    struct person marker;
    open_session(meeting, &marker);
    tell_meeting("meeting.user_refused", &marker, now_and(60 * 1000));
    wait_sessions(2);
    tell_meeting("meeting.user_removed", &bob, now_and(60 * 1000));
    wait_sessions(1);
    close_session(&ann); /* so bob's was the one that went */
    wait_sessions(0);
}

static void test_a_closed_session_goes(void **state UNUSED)
{
    struct person ann, bob;
    open_session(meeting, &ann);
    open_session(meeting, &bob);
    tell_closed("no id");
    tell_closed("01J0000000000000000000000X"); /* nobody's */
    tell_closed(bob.session_id);
    wait_sessions(1);
    close_session(&ann);
    wait_sessions(0);
}

static void test_what_ai_did_is_told(void **state UNUSED)
{
    struct person ann;
    open_session(meeting, &ann);
    publish(&ann);
    wait_heard(NULL);
    tell_ai("audio_denoising", heard.track_id, "no_engine");
    tell_ai("audio_denoising", "nothing", "done");
    tell_ai("a surprise", heard.track_id, "done");
    tell_ai("audio_denoising", heard.track_id, "done");
    wait_heard("audio_denoising ");
    tell_ai("audio_denoising", heard.track_id, "done"); /* again: nothing new */
    tell_ai("speech_recognition", heard.track_id, "done");
    wait_heard("speech_recognition audio_denoising ");
    assert_int_equal(heard.processed_count, 2);
}

/* What waits when the service ends is forgotten with it. */
static void test_the_end_while_something_waits(void **state UNUSED)
{
    struct person ann;
    open_session(meeting, &ann);
    for (int i = 0; i < 1000; i++)
        tell_closed(ann.session_id);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, node_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_an_ended_meeting_leaves_nothing), TEST(test_who_left_sends_no_more),
        TEST(test_a_closed_session_goes),           TEST(test_what_ai_did_is_told),
        TEST(test_the_end_while_something_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
