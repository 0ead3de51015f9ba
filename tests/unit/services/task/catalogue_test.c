/* The catalogue of tasks: each runs its RPC on behalf of the account it names, and tells how it
 * went; what no engine is built in for says so; what cannot be read is a dead letter. */
#include "../world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "events.pb-c.h"
#include "media.pb-c.h"
#include "services/task/task.h"

static struct world *w;
static struct task_service *tasks;
static struct identity ann;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char type[64], task[64], id[64], status[64], reply[2048];
} told; /* the last result */
static atomic_int told_count, created_count;
static int subscriptions[3];

static void note(const char *type, const Events__TaskResult *r)
{
    pthread_mutex_lock(&lock);
    snprintf(told.type, sizeof(told.type), "%s", type);
    snprintf(told.task, sizeof(told.task), "%s", r->task);
    snprintf(told.id, sizeof(told.id), "%s", r->id);
    snprintf(told.status, sizeof(told.status), "%s", r->status);
    snprintf(told.reply, sizeof(told.reply), "%s", r->reply);
    told_count++;
    pthread_mutex_unlock(&lock);
}

static void on_meeting(void *arg UNUSED, const struct bus_event *e)
{
    Meeting__MeetingEvent *m =
        meeting__meeting_event__unpack(NULL, e->payload.n, (const uint8_t *)e->payload.p);
    assert_non_null(m);
    assert_int_equal(m->version, 1);
    if (m->result)
        note(e->type, m->result);
    else if (strcmp(e->type, "meeting.created") == 0)
        atomic_fetch_add(&created_count, 1);
    meeting__meeting_event__free_unpacked(m, NULL);
}

static void on_media(void *arg UNUSED, const struct bus_event *e)
{
    Media__MediaEvent *m =
        media__media_event__unpack(NULL, e->payload.n, (const uint8_t *)e->payload.p);
    assert_non_null(m->result);
    note(e->type, m->result);
    media__media_event__free_unpacked(m, NULL);
}

static void on_ai(void *arg UNUSED, const struct bus_event *e)
{
    Events__AiEvent *m =
        events__ai_event__unpack(NULL, e->payload.n, (const uint8_t *)e->payload.p);
    assert_non_null(m->result);
    note(e->type, m->result);
    events__ai_event__free_unpacked(m, NULL);
}

static int setup(void **state UNUSED)
{
    w = world_open(&(struct world_options){0});
    struct task_deps deps = {.bus = w->bus, .user = w->user, .meeting = w->meeting};
    assert_int_equal(task_create(&tasks, &deps), ERR_OK);
    told_count = created_count = 0;
    subscriptions[0] = bus_subscribe(w->bus, "meeting_events", "test", on_meeting, NULL);
    subscriptions[1] = bus_subscribe(w->bus, "media_events", "test", on_media, NULL);
    subscriptions[2] = bus_subscribe(w->bus, "ai_events", "test", on_ai, NULL);
    world_register(w, "admin");
    ann = world_register(w, "ann");
    return 0;
}

static int teardown(void **state UNUSED)
{
    task_stop(tasks);
    bus_stop_tasks(w->bus);
    for (int i = 0; i < 3; i++)
        bus_unsubscribe(w->bus, subscriptions[i]);
    task_destroy(&tasks);
    world_close(&w);
    return 0;
}

static enum err enqueue_run(struct store_tx *tx, void *arg)
{
    return bus_enqueue_tx(w->bus, tx, arg);
}

static void put(const char *queue, const char *type, const char *json)
{
    struct bus_task task = {.queue = queue, .type = type, .payload = str_from(json)};
    assert_int_equal(store_write_sync(w->store, 0, enqueue_run, &task), ERR_OK);
}

/* Events of different keys come in any order. */
static void wait_count(atomic_int *counter, int count)
{
    int64_t until_ms = clock_mono_ms() + 20000;
    while (atomic_load(counter) < count && clock_mono_ms() < until_ms)
        usleep(5000);
    assert_int_equal(atomic_load(counter), count);
}

static void wait_told(int count)
{
    wait_count(&told_count, count);
}

static void test_a_meeting_is_made_and_ended(void **state UNUSED)
{
    char json[512], id[64] = "";
    snprintf(json, sizeof(json),
             "{\"version\":1,\"id\":\"one\",\"actor_id\":\"%s\","
             "\"meeting_create\":{\"title\":\"by a task\"}}",
             ann.user_id);
    put("meeting", "meeting_create", json);
    wait_told(1);
    assert_string_equal(told.type, "task.finished");
    assert_string_equal(told.task, "meeting_create");
    assert_string_equal(told.id, "one");
    assert_string_equal(told.status, "done");
    wait_count(&created_count, 1);
    assert_int_equal(sscanf(told.reply, "{\"id\":\"%26s", id), 1);
    assert_non_null(strstr(told.reply, ann.user_id)); /* hers */

    snprintf(json, sizeof(json), "{\"actor_id\":\"%s\",\"meeting_user_join\":{\"id\":\"%s\"}}",
             ann.user_id, id);
    put("meeting", "meeting_user_join", json);
    wait_told(2);
    assert_string_equal(told.status, "done");
    assert_null(strstr(told.reply, "eyJ")); /* no token */

    snprintf(json, sizeof(json), "{\"meeting_id\":\"%s\",\"meeting_end\":{\"id\":\"%s\"}}", id, id);
    put("meeting", "meeting_end", json);
    wait_told(3);
    assert_string_equal(told.status, "done");
}

static void test_what_may_not_be_is_said(void **state UNUSED)
{
    put("meeting", "meeting_end", "{\"id\":\"x\",\"meeting_end\":{\"id\":\"nowhere\"}}");
    wait_told(1);
    assert_string_equal(told.status, "not_found");
    put("meeting", "meeting_create",
        "{\"actor_id\":\"nobody\",\"meeting_create\":{\"title\":\"t\"}}");
    wait_told(2);
    assert_string_equal(told.status, "not_found");
    put("meeting", "meeting_create", "{\"id\":\"empty\"}");
    wait_told(3);
    assert_string_equal(told.status, "invalid_argument");
}

static void test_no_engine_is_said(void **state UNUSED)
{
    static const char *const types[][3] = {
        {"ai", "speech_recognition", "speech_recognition.completed"},
        {"ai", "video_enhancement", "video_enhancement.completed"},
        {"media", "media_transcode", "transcode.completed"},
        {"media", "media_stream_process", "stream.processed"},
    };
    for (int i = 0; i < 4; i++) {
        put(types[i][0], types[i][1], "{\"engine\":{\"stream_id\":\"s\"}}");
        wait_told(i + 1);
        assert_string_equal(told.type, types[i][2]);
        assert_string_equal(told.status, "no_engine");
    }
}

static void tell(const char *channel, const char *type, const char *key, const ProtobufCMessage *m)
{
    uint8_t bytes[200];
    size_t n = protobuf_c_message_get_packed_size(m);
    assert_true(n <= sizeof(bytes));
    protobuf_c_message_pack(m, bytes);
    bus_publish(w->bus, &(struct bus_event){.channel = channel,
                                            .type = type,
                                            .key = key,
                                            .payload = {(const char *)bytes, n}});
}

static bool is_over(void *arg)
{
    int before = told_count;
    put("ai", "speech_recognition", arg);
    wait_told(before + 1);
    return strcmp(told.status, "failed_precondition") == 0;
}

#define ENDED "01J00000000000000000000001"
#define STOPPED "01J00000000000000000000002"

/* AI hears meetings and media: nothing is begun for what is over. */
static void test_what_is_over_is_not_begun(void **state UNUSED)
{
    Meeting__MeetingEvent meeting = MEETING__MEETING_EVENT__INIT;
    Media__MediaEvent media = MEDIA__MEDIA_EVENT__INIT;
    Media__Track track = MEDIA__TRACK__INIT;
    bus_unsubscribe(w->bus, subscriptions[0]); /* these are no results */
    bus_unsubscribe(w->bus, subscriptions[1]);
    subscriptions[0] = subscriptions[1] = 0;
    assert_false(is_over("{\"meeting_id\":\"" ENDED "\",\"engine\":{\"stream_id\":\"s\"}}"));
    assert_false(is_over("{\"engine\":{\"stream_id\":\"" STOPPED "\"}}"));
    tell("meeting_events", "meeting.started", ENDED, &meeting.base);
    tell("meeting_events", "meeting.ended", ENDED, &meeting.base);
    track.id = STOPPED;
    media.track = &track;
    tell("media_events", "stream.stopped", ENDED, &media.base);
    eventually(is_over, "{\"meeting_id\":\"" ENDED "\",\"engine\":{\"stream_id\":\"s\"}}");
    eventually(is_over, "{\"meeting_id\":\"other\",\"engine\":{\"stream_id\":\"" STOPPED "\"}}");
    assert_false(is_over("{\"meeting_id\":\"other\",\"engine\":{\"stream_id\":\"s\"}}"));
    assert_false(is_over("{\"meeting_id\":\"" ENDED "\",\"engine\":{\"file_id\":\"f\"}}"));
}

static void test_garbage_is_a_dead_letter(void **state UNUSED)
{
    struct bus_task_stats stats = {0};
    put("ai", "speech_recognition", "\xff\xff");
    put("ai", "no_such_task", "{}");
    put("ai", "speech_recognition", "{\"unknown\":1}");
    int64_t until_ms = clock_mono_ms() + 20000;
    do
        assert_int_equal(bus_task_stats(w->bus, "ai", &stats), ERR_OK);
    while (stats.dead < 3 && clock_mono_ms() < until_ms && usleep(5000) == 0);
    assert_int_equal(stats.dead, 3); /* at once, not after ten attempts */
    assert_int_equal(told_count, 0);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_meeting_is_made_and_ended), T(test_what_may_not_be_is_said),
        T(test_no_engine_is_said),           T(test_what_is_over_is_not_begun),
        T(test_garbage_is_a_dead_letter),
    };
    return cmocka_run_group_tests_name("catalogue of tasks", tests, NULL, NULL);
}
