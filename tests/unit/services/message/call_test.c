/* Calls: meetings begun from a conversation, and what its log keeps of them. */
#include "../meeting/people.h"
#include "scene.h"

#include <stdio.h>

static const Message__StartCallReply *call(const struct identity *who, const char *id)
{
    Message__StartCallRequest in = MESSAGE__START_CALL_REQUEST__INIT;
    in.id = (char *)id;
    return ask(w, w->message, "StartCall", &in, who);
}

/* The newest line of the log as ann sees it; NULL: not a line of the server. */
static const Message__SystemNote *last_note(const char *id)
{
    const Message__MessageHistory *h = history(w, &ann, id);
    const Message__MessageInfo *m = h->n_messages ? h->messages[h->n_messages - 1] : NULL;
    return m && m->content ? m->content->note : NULL;
}

static const char *group_of(char *title, Message__ConversationKind kind,
                            const struct identity *const *members)
{
    Group__CreateGroupRequest in = GROUP__CREATE_GROUP_REQUEST__INIT;
    in.title = title;
    in.kind = kind;
    return make_group(w, &ann, in, members)->id;
}

static const char *is_waited_for;

static bool has_come(void *id)
{
    const Message__SystemNote *note = last_note(id);
    return note && strcmp(note->event, is_waited_for) == 0;
}

static const Message__SystemNote *wait_for_note(const char *id, const char *event)
{
    is_waited_for = event;
    eventually(has_come, (void *)id);
    return last_note(id);
}

static void test_one_call_at_a_time_and_its_end(void **state UNUSED)
{
    const char *id = group_of("tea", MESSAGE__CONVERSATION_KIND__GROUP, MEMBERS(&bob, &cleo));
    const Message__StartCallReply *first = call(&ann, id), *second = call(&bob, id);
    assert_true(first->is_new);
    assert_false(second->is_new);
    assert_string_equal(first->meeting_id, second->meeting_id);
    assert_string_equal(first->meeting_code, second->meeting_code);
    const Message__SystemNote *note = last_note(id);
    assert_string_equal(note->event, "call_started");
    assert_string_equal(note->actor_id, ann.user_id);
    assert_string_equal(note->meeting_id, first->meeting_id);
    assert_string_equal(note->meeting_code, first->meeting_code);
    assert_int_equal(world_count(w, "SELECT COUNT(*) FROM meetings WHERE title = ?", "tea"), 1);

    assert_non_null(join_meeting(w, &bob, first->meeting_code));
    assert_non_null(end_meeting(w, &ann, first->meeting_id));
    note = wait_for_note(id, "call_ended");
    assert_int_equal(note->n_user_ids, 2);
    assert_string_equal(note->user_ids[0], ann.user_id);
    assert_string_equal(note->user_ids[1], bob.user_id);
    assert_true(call(&cleo, id)->is_new); /* the next one */
}

static void test_a_call_nobody_takes_is_missed(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "there?", NULL)->conversation_id;
    const Message__StartCallReply *c = call(&ann, id);
    assert_int_equal(world_count(w, "SELECT COUNT(*) FROM meetings WHERE title = ?", "ann, bob"),
                     1);
    assert_non_null(end_meeting(w, &ann, c->meeting_id));
    const Message__SystemNote *note = wait_for_note(id, "call_missed");
    assert_string_equal(note->actor_id, ann.user_id);
    assert_int_equal(note->duration_ms, 0);
    assert_int_equal(look(w, &bob, id)->own->unread_count, 3); /* hello, the call, the end of it */
}

static void test_who_may_write_may_call(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "hello", NULL)->conversation_id;
    assert_null(call(&cleo, id));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    block(w, &bob, &ann, true);
    assert_null(call(&ann, id));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);

    const char *channel = group_of("news", MESSAGE__CONVERSATION_KIND__CHANNEL, MEMBERS(&cleo));
    assert_null(call(&cleo, channel));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_int_equal(world_count(w, "SELECT COUNT(*) FROM meetings WHERE title <> ?", ""), 0);

    assert_null(call(&ann, "m:none"));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
}

static bool is_there(void *id)
{
    return look(w, &ann, id) != NULL;
}

static void test_no_call_within_a_meeting(void **state UNUSED)
{
    char chat[ID_SIZE + 2];
    const char *meeting = make_meeting(w, &ann, NULL)->id;
    snprintf(chat, sizeof(chat), "m:%s", meeting);
    join_meeting(w, &ann, meeting);
    eventually(is_there, chat);
    assert_null(call(&ann, chat));
    assert_int_equal(answer.err, ERR_FAILED_PRECONDITION);
}

#define CALLERS 4

static void call_once(void *arg)
{
    const struct identity *who = *(const struct identity **)arg;
    const Message__Conversation *c = look(w, who, is_waited_for);
    assert_non_null(call(who, c->id));
}

static void test_all_at_once_is_one_call(void **state UNUSED)
{
    const char *id =
        group_of("rush", MESSAGE__CONVERSATION_KIND__GROUP, MEMBERS(&bob, &cleo, &admin));
    const struct identity *callers[CALLERS] = {&ann, &bob, &cleo, &admin};
    is_waited_for = id;
    in_parallel(call_once, callers, CALLERS, sizeof(callers[0]));
    assert_int_equal(world_count(w, "SELECT COUNT(*) FROM meetings WHERE title = ?", "rush"), 1);
    assert_int_equal(history(w, &ann, id)->n_messages, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_call_at_a_time_and_its_end, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(test_a_call_nobody_takes_is_missed, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(test_who_may_write_may_call, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_no_call_within_a_meeting, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_all_at_once_is_one_call, scene_open, scene_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
