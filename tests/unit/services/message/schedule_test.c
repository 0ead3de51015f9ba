/* Messages for later: sent when they are due, once, by the rules of that moment. */
#include "scene.h"

#include "core/clock.h"

static const Message__SendMessageReply *later(const struct identity *who, const char *id,
                                              int64_t at_ms, const char *key)
{
    Message__SendMessageRequest in = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    in.conversation_id = (char *)id;
    in.send_at_ms = at_ms;
    in.client_msg_id = (char *)key;
    return send_it(w, who, in);
}

static const Message__ScheduledList *kept(const struct identity *who, const char *id)
{
    Message__ListScheduledRequest in = MESSAGE__LIST_SCHEDULED_REQUEST__INIT;
    in.id = (char *)id;
    return ask(w, w->message, "ListScheduled", &in, who);
}

static enum err make_due(struct store_tx *tx, void *arg UNUSED)
{
    return store_run(tx, "UPDATE bus_tasks SET due_ms = 1", "");
}

/* As if the hour had come. */
static void let_time_pass(void)
{
    assert_int_equal(store_write_sync(w->store, 0, make_due, NULL), ERR_OK);
    Message__SendMessageRequest in = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    in.to_user_id = admin.user_id; /* wakes the tasks */
    in.send_at_ms = clock_wall_ms() + 3600000;
    send_it(w, &cleo, in);
}

static bool is_empty(void *arg)
{
    return kept(&ann, arg)->n_messages == 0;
}

static bool has_error(void *arg)
{
    const Message__ScheduledList *list = kept(&ann, arg);
    return list && list->n_messages == 1 && list->messages[0]->error[0];
}

static bool has_error_row(void *arg UNUSED)
{
    return world_count(w, "SELECT COUNT(*) FROM message_scheduled WHERE error <> ?", "") == 1;
}

static void test_sent_when_due(void **state UNUSED)
{
    char out[100];
    const char *id = tell(w, &ann, &bob, "first", NULL)->conversation_id;
    int64_t at_ms = clock_wall_ms() + 3600000;
    const Message__SendMessageReply *r = later(&ann, id, at_ms, "k1");
    assert_int_equal(r->seq, 0);
    assert_true(r->scheduled_id[0] != 0);
    assert_string_equal(later(&ann, id, at_ms, "k1")->scheduled_id, r->scheduled_id);
    assert_int_equal(kept(&ann, id)->n_messages, 1);
    assert_int_equal(kept(&ann, id)->messages[0]->send_at_ms, at_ms);
    assert_int_equal(kept(&bob, id)->n_messages, 0); /* the author's alone */
    let_time_pass();
    eventually(is_empty, (void *)id);
    assert_string_equal(texts_of(history(w, &bob, id), out, sizeof(out)), "first|hello");
    assert_string_equal(history(w, &bob, id)->messages[1]->client_msg_id, "k1");
}

static void test_cancelled(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "first", NULL)->conversation_id;
    Message__CancelScheduledRequest in = MESSAGE__CANCEL_SCHEDULED_REQUEST__INIT;
    in.id = (char *)id;
    in.scheduled_id = later(&ann, id, clock_wall_ms() + 3600000, "")->scheduled_id;
    assert_null(ask(w, w->message, "CancelScheduled", &in, &bob));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    assert_non_null(ask(w, w->message, "CancelScheduled", &in, &ann));
    let_time_pass();
    assert_int_equal(kept(&ann, id)->n_messages, 0);
    assert_int_equal(history(w, &bob, id)->n_messages, 1);
}

static void test_refused_when_due(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "first", NULL)->conversation_id;
    later(&ann, id, clock_wall_ms() + 3600000, "");
    block(w, &bob, &ann, true);
    let_time_pass();
    eventually(has_error, (void *)id);
    assert_string_equal(kept(&ann, id)->messages[0]->error,
                        "This person takes no messages from you.");
    assert_int_equal(history(w, &bob, id)->n_messages, 1);
}

static void test_times(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "first", NULL)->conversation_id;
    const int64_t wrong[] = {1, -1, clock_wall_ms() - 1000, 4102444800000, INT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_null(later(&ann, id, wrong[i], ""));
        assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    }
}

static _Atomic int concerned;

static void on_told(void *arg UNUSED, const struct bus_event *e)
{
    Message__MessageEvent *m =
        message__message_event__unpack(NULL, e->payload.n, (const uint8_t *)e->payload.p);
    if (m->change && m->n_user_ids == 2 && strcmp(m->change->actor_id, ann.user_id) == 0)
        concerned++;
    message__message_event__free_unpacked(m, NULL);
}

static bool is_concerned(void *arg UNUSED)
{
    return concerned == 1;
}

/* The conversation is there before its first message: who is online learns of it by this one. */
static void test_the_first_message_is_for_later(void **state UNUSED)
{
    concerned = 0;
    int subscription = bus_subscribe(w->bus, "message_events", "test", on_told, NULL);
    Message__SendMessageRequest in = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    in.to_user_id = bob.user_id;
    in.send_at_ms = clock_wall_ms() + 3600000;
    assert_non_null(send_it(w, &ann, in));
    Message__GetConversationsRequest list = MESSAGE__GET_CONVERSATIONS_REQUEST__INIT;
    const Message__ConversationList *mine = ask(w, w->message, "GetConversations", &list, &bob);
    assert_int_equal(mine->n_conversations, 0); /* nothing was said yet */
    let_time_pass();
    eventually(is_concerned, NULL);
    bus_unsubscribe(w->bus, subscription);
}

/* Who did not hear the answer asks again, perhaps when the hour has passed. */
static void test_asked_again_after_the_hour(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "first", NULL)->conversation_id;
    const char *kept_id = later(&ann, id, clock_wall_ms() + 3600000, "k1")->scheduled_id;
    assert_string_equal(later(&ann, id, clock_wall_ms() - 1000, "k1")->scheduled_id, kept_id);
    let_time_pass();
    eventually(is_empty, (void *)id);
    const Message__SendMessageReply *r = later(&ann, id, clock_wall_ms() - 1000, "k1");
    assert_non_null(r);
    assert_int_equal(r->seq, 2);
    assert_true(r->is_duplicate);
    assert_int_equal(later(&ann, id, clock_wall_ms() + 3600000, "k1")->seq, 2);
    assert_int_equal(kept(&ann, id)->n_messages, 0);
    assert_null(later(&ann, id, clock_wall_ms() - 1000, "k2"));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    Message__SendMessageRequest other = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    Message__Content content = MESSAGE__CONTENT__INIT;
    content.text = "something else";
    other.conversation_id = (char *)id;
    other.content = &content;
    other.client_msg_id = "k1";
    other.send_at_ms = clock_wall_ms() - 1000;
    assert_null(send_it(w, &ann, other));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    other.send_at_ms = clock_wall_ms() + 3600000;
    assert_null(send_it(w, &ann, other));
    assert_int_equal(answer.err, ERR_ALREADY_EXISTS);
    assert_null(later(&cleo, id, clock_wall_ms() - 1000, "k1")); /* a stranger learns nothing */
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
}

static void test_asked_again_when_there_is_no_room(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "first", NULL)->conversation_id;
    int64_t at_ms = clock_wall_ms() + 3600000;
    const char *kept_id = later(&ann, id, at_ms, "k1")->scheduled_id;
    for (int i = 1; i < 100; i++)
        assert_non_null(later(&ann, id, at_ms, ""));
    assert_null(later(&ann, id, at_ms, "k2"));
    assert_int_equal(answer.err, ERR_RESOURCE_EXHAUSTED);
    assert_string_equal(later(&ann, id, at_ms, "k1")->scheduled_id, kept_id);
}

static enum err break_row(struct store_tx *tx, void *arg UNUSED)
{
    return store_run(tx, "UPDATE message_scheduled SET request = ? WHERE client_msg_id = 'k1'", "b",
                     (const void *)"\xff\xff", (size_t)2);
}

/* What cannot be sent for a reason that is nobody's fault says so too. */
static void test_what_is_damaged_says_so(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "first", NULL)->conversation_id;
    later(&ann, id, clock_wall_ms() + 3600000, "k1");
    assert_int_equal(store_write_sync(w->store, 0, break_row, NULL), ERR_OK);
    let_time_pass();
    eventually(has_error_row, NULL);
}

static enum err last_attempt(struct store_tx *tx, void *arg UNUSED)
{
    enum err err = store_run(tx, "UPDATE bus_tasks SET attempts = attempts_max - 1", "");
    return err ? err
               : store_run(tx,
                           "CREATE TRIGGER broken BEFORE INSERT ON message_messages"
                           " BEGIN SELECT json('{'); END",
                           "");
}

static void test_the_last_attempt_says_so(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "first", NULL)->conversation_id;
    later(&ann, id, clock_wall_ms() + 3600000, "k1");
    assert_int_equal(store_write_sync(w->store, 0, last_attempt, NULL), ERR_OK);
    let_time_pass();
    eventually(has_error_row, NULL);
}

static void test_a_disabled_account_says_nothing(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "first", NULL)->conversation_id;
    assert_non_null(later(&ann, id, clock_wall_ms() + 3600000, "k1"));
    User__UpdateUserRequest in = USER__UPDATE_USER_REQUEST__INIT;
    in.id = ann.user_id;
    in._is_disabled_case = USER__UPDATE_USER_REQUEST___IS_DISABLED_IS_DISABLED;
    in.is_disabled = true;
    assert_non_null(ask(w, w->user, "UpdateUser", &in, &admin));
    let_time_pass();
    eventually(has_error_row, NULL);
    assert_int_equal(history(w, &bob, id)->n_messages, 1);
}

static void test_guests_do_not_send_later(void **state UNUSED)
{
    struct identity guest = ann;
    guest.role = ROLE_GUEST;
    const char *id = tell(w, &ann, &bob, "first", NULL)->conversation_id;
    assert_null(later(&guest, id, clock_wall_ms() + 3600000, "k1"));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sent_when_due, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_cancelled, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_a_disabled_account_says_nothing, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(test_guests_do_not_send_later, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_refused_when_due, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_times, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_asked_again_after_the_hour, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_asked_again_when_there_is_no_room, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(test_what_is_damaged_says_so, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_the_last_attempt_says_so, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_the_first_message_is_for_later, scene_open,
                                        scene_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
