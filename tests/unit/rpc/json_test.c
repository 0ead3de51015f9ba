/* JSON <-> protobuf: what is written reads back the same, and what is not ours is refused with its
 * name. */
#include "test.h"

#include <string.h>

#include "core/arena.h"
#include "core/str.h"
#include "rpc/rpc.h"

#include "meeting.pb-c.h"
#include "signaling.pb-c.h"

static char *to_json(const ProtobufCMessage *m, struct arena *arena)
{
    struct strbuf json = {0};
    rpc_json_write(&json, m);
    char *text = str_arena(arena, strbuf_str(&json));
    strbuf_deinit(&json);
    return text;
}

static void test_written_reads_back(void **state UNUSED)
{
    struct arena *arena = arena_create();
    Media__TrackIntent track = MEDIA__TRACK_INTENT__INIT;
    track.mid = (char *)"0";
    track.source = MEDIA__SOURCE__SCREEN_AUDIO;
    track.is_muted = true;
    Media__TrackIntent *tracks[] = {&track};
    Signaling__ClientFrame frame = SIGNALING__CLIENT_FRAME__INIT;
    frame.type = (char *)"offer \"\\ \xe4\xb8\xad\n";
    frame._id_case = SIGNALING__CLIENT_FRAME___ID_ID;
    frame.id = 7;
    frame.tracks = tracks;
    frame.n_tracks = 1;
    frame.revision = INT64_C(9007199254740993); /* beyond 2^53: goes as text */

    char *json = to_json(&frame.base, arena);
    struct strbuf problem = {0};
    Signaling__ClientFrame *back = (Signaling__ClientFrame *)rpc_json_parse(
        &signaling__client_frame__descriptor, str_from(json), arena, &problem);
    assert_non_null(back);
    assert_string_equal(back->type, frame.type);
    assert_int_equal(back->_id_case, SIGNALING__CLIENT_FRAME___ID_ID);
    assert_int_equal(back->id, 7);
    assert_int_equal(back->n_tracks, 1);
    assert_int_equal(back->tracks[0]->source, MEDIA__SOURCE__SCREEN_AUDIO);
    assert_true(back->revision == frame.revision);
    assert_non_null(strstr(json, "\"source\":\"screen_audio\""));
    assert_non_null(strstr(json, "\"revision\":\"9007199254740993\""));
    assert_string_equal(to_json(&back->base, arena), json);
    strbuf_deinit(&problem);
    arena_destroy(&arena);
}

static void test_unset_optional_is_left_out(void **state UNUSED)
{
    struct arena *arena = arena_create();
    Signaling__OkFrame frame = SIGNALING__OK_FRAME__INIT;
    frame.type = (char *)"ok";
    assert_string_equal(to_json(&frame.base, arena), "{\"type\":\"ok\"}");
    arena_destroy(&arena);
}

static void test_refuses(void **state UNUSED)
{
    static const struct {
        const char *json;
        const char *problem; /* a part of it */
    } cases[] = {
        {"", ""},
        {"[]", ""},
        {"{\"title\": 1}", "title"},
        {"{\"title\": null}", "title"},
        {"{\"titel\": \"x\"}", "titel"},
        {"{\"title\": \"a\", \"title\": \"b\"}", ""},
        {"{\"title\": \"a\\u0000b\"}", ""},
        {"{\"title\": \"\xff\"}", ""},
        {"{\"capacity\": 2147483648}", "capacity"},
        {"{\"capacity\": 1.5}", "capacity"},
        {"{\"capacity\": \"many\"}", "capacity"},
        {"{\"has_waiting_room\": \"true\"}", "has_waiting_room"},
        {"{\"invite_user_ids\": [\"a\", 2]}", "invite_user_ids[1]"},
        {"{\"title\": \"x\"} trailing", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = arena_create();
        struct strbuf problem = {0};
        ProtobufCMessage *m = rpc_json_parse(&meeting__create_meeting_request__descriptor,
                                             str_from(cases[i].json), arena, &problem);
        if (m)
            fail_msg("accepted %s", cases[i].json);
        assert_true(problem.n > 0);
        if (!strstr(problem.p, cases[i].problem))
            fail_msg("%s: says \"%s\"", cases[i].json, problem.p);
        strbuf_deinit(&problem);
        arena_destroy(&arena);
    }
}

static void test_field_from_text(void **state UNUSED)
{
    struct arena *arena = arena_create();
    struct strbuf problem = {0};
    ProtobufCMessage *m = rpc_message_create(&meeting__list_meetings_request__descriptor, arena);
    assert_true(rpc_field_set(m, STR("limit"), STR("20"), arena, &problem));
    assert_true(rpc_field_set(m, STR("state"), STR("active"), arena, &problem));
    assert_int_equal(((Meeting__ListMeetingsRequest *)m)->limit, 20);
    assert_string_equal(((Meeting__ListMeetingsRequest *)m)->state, "active");
    assert_false(rpc_field_set(m, STR("limit"), STR("20x"), arena, &problem));
    assert_false(rpc_field_set(m, STR("no_such"), STR("1"), arena, &problem));
    strbuf_deinit(&problem);
    arena_destroy(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_reads_back),
        cmocka_unit_test(test_unset_optional_is_left_out),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_field_from_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
