/* Catching up: cursors, revisions, history; and that nobody sees through it what is not theirs. */
#include "scene.h"

#include <stdio.h>

#include "core/clock.h"

static const Message__SyncReply *sync_from(const struct identity *who, const char *cursor)
{
    Message__SyncRequest in = MESSAGE__SYNC_REQUEST__INIT;
    in.cursor = (char *)cursor;
    return ask(w, w->message, "Sync", &in, who);
}

/* What is said in one millisecond in two shards has no order that a reader knows of. */
static void next_millisecond(void)
{
    for (int64_t now_ms = clock_wall_ms(); clock_wall_ms() == now_ms;)
        ;
}

static void test_only_what_has_moved(void **state UNUSED)
{
    const char *one = tell(w, &ann, &bob, "one", NULL)->conversation_id;
    next_millisecond();
    const char *two = tell(w, &ann, &cleo, "two", NULL)->conversation_id;
    const Message__SyncReply *s = sync_from(&ann, "");
    assert_true(s->is_reset);
    assert_int_equal(s->n_conversations, 2);
    assert_string_equal(s->conversations[0]->id, two); /* the latest first */
    s = sync_from(&ann, s->cursor);
    assert_false(s->is_reset);
    assert_int_equal(s->n_conversations, 0);
    say(w, &bob, one, "more", NULL);
    s = sync_from(&ann, s->cursor);
    assert_int_equal(s->n_conversations, 1);
    assert_string_equal(s->conversations[0]->id, one);
    assert_int_equal(s->unread_count, 1);
    const char *cursor = s->cursor;
    mark_read(w, &ann, one, 0); /* on another device */
    s = sync_from(&ann, cursor);
    assert_int_equal(s->n_conversations, 1);
    assert_int_equal(s->conversations[0]->own->unread_count, 0);
}

static void test_cursors_of_other_lives(void **state UNUSED)
{
    tell(w, &ann, &bob, "one", NULL);
    const char *cursor = sync_from(&ann, "")->cursor;
    char wrong[200];
    const char *lsn = strrchr(cursor, '.') + 1;
    snprintf(wrong, sizeof(wrong), "0.01ARZ3NDEKTSV4RRFFQ69G5FAV.%s", lsn);
    assert_true(sync_from(&ann, wrong)->is_reset);
    snprintf(wrong, sizeof(wrong), "%.*s.9%s", (int)(lsn - 1 - cursor), cursor, lsn);
    assert_true(sync_from(&ann, wrong)->is_reset); /* from the future */
    const char *const nonsense[] = {"x", "0", "0.", "0..1", "-1.a.b", "....", "0.\xff.1"};
    for (size_t i = 0; i < ARRAY_LEN(nonsense) - 1; i++)
        assert_true(sync_from(&ann, nonsense[i])->is_reset);
    world_restart_message(w);
    assert_false(sync_from(&ann, cursor)->is_reset); /* a restart is no other life */
    tell(w, &ann, &bob, "two", NULL);
    assert_int_equal(sync_from(&ann, cursor)->n_conversations, 1);
}

static void test_too_much_is_a_reset(void **state UNUSED)
{
    const char *cursor = sync_from(&ann, "")->cursor;
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    for (int i = 0; i < 5; i++)
        say(w, &ann, make_group(w, &ann, make, NULL)->id, "hello", NULL);
    Message__SyncRequest in = MESSAGE__SYNC_REQUEST__INIT;
    in.cursor = (char *)cursor;
    in.limit = 3;
    const Message__SyncReply *s = ask(w, w->message, "Sync", &in, &ann);
    assert_true(s->is_reset);
    assert_int_equal(s->n_conversations, 3);
    assert_true(s->has_more);
}

static void test_changes_replay_the_log(void **state UNUSED)
{
    char out[300];
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    const char *id = make_group(w, &ann, make, MEMBERS(&bob))->id;
    say(w, &ann, id, "one", NULL);
    Message__ReactRequest r = MESSAGE__REACT_REQUEST__INIT;
    r.id = (char *)id;
    r.seq = 1;
    r.emoji = "\xf0\x9f\x91\x8d";
    ask(w, w->message, "React", &r, &bob);
    say(w, &bob, id, "two", NULL);
    const Message__ChangeList *list = changes(w, &ann, id, 0);
    assert_string_equal(types_of(list, out, sizeof(out)),
                        "conversation:1 message:2 reaction:3 message:4");
    for (size_t i = 0; i < list->n_changes; i++)
        assert_int_equal(list->changes[i]->prev_rev, i);
    assert_int_equal(list->rev, 4);
    assert_false(list->has_more);
    assert_string_equal(types_of(changes(w, &ann, id, 2), out, sizeof(out)),
                        "reaction:3 message:4");
    assert_string_equal(types_of(changes(w, &ann, id, 4), out, sizeof(out)), "");
    assert_null(changes(w, &ann, id, 5));
    assert_int_equal(answer.err, ERR_OUT_OF_RANGE);
    assert_null(changes(w, &cleo, id, 0));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    Message__GetChangesRequest in = MESSAGE__GET_CHANGES_REQUEST__INIT;
    in.id = (char *)id;
    in.limit = 2;
    list = ask(w, w->message, "GetChanges", &in, &bob);
    assert_string_equal(types_of(list, out, sizeof(out)), "conversation:1 message:2");
    assert_true(list->has_more);
    in.after_rev = list->rev;
    list = ask(w, w->message, "GetChanges", &in, &bob);
    assert_string_equal(types_of(list, out, sizeof(out)), "reaction:3 message:4");
    assert_false(list->has_more);
}

static void test_what_is_left_out_is_no_hole(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "one", NULL)->conversation_id;
    say(w, &ann, id, "two", NULL);
    say(w, &ann, id, "three", NULL);
    Message__DeleteForMeRequest in = MESSAGE__DELETE_FOR_ME_REQUEST__INIT;
    int64_t seqs[] = {2};
    in.id = (char *)id;
    in.seqs = seqs;
    in.n_seqs = 1;
    ask(w, w->message, "DeleteForMe", &in, &bob);
    const Message__ChangeList *list = changes(w, &bob, id, 0);
    assert_int_equal(list->n_changes, 2);
    assert_int_equal(list->changes[1]->rev, 3);
    assert_int_equal(list->changes[1]->prev_rev, 1);
    /* Nor does it come back by what happens to it afterwards. */
    Message__EditMessageRequest edit = MESSAGE__EDIT_MESSAGE_REQUEST__INIT;
    Message__Content content = MESSAGE__CONTENT__INIT;
    content.text = "two, again";
    edit.id = (char *)id;
    edit.seq = 2;
    edit.content = &content;
    assert_non_null(ask(w, w->message, "EditMessage", &edit, &ann));
    assert_int_equal(changes(w, &bob, id, 3)->n_changes, 0);
    assert_int_equal(changes(w, &bob, id, 3)->rev, 4);
    assert_int_equal(changes(w, &ann, id, 3)->n_changes, 1);
}

static void test_a_newcomer_sees_what_came_after(void **state UNUSED)
{
    char out[300];
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    const char *id = make_group(w, &ann, make, MEMBERS(&bob))->id;
    say(w, &ann, id, "between us", NULL);
    Group__AddMembersRequest add = GROUP__ADD_MEMBERS_REQUEST__INIT;
    char *ids[] = {cleo.user_id};
    add.id = (char *)id;
    add.user_ids = ids;
    add.n_user_ids = 1;
    assert_non_null(ask(w, w->group, "AddMembers", &add, &ann));
    say(w, &ann, id, "welcome", NULL);
    assert_string_equal(texts_of(history(w, &cleo, id), out, sizeof(out)), "welcome");
    assert_string_equal(types_of(changes(w, &cleo, id, 0), out, sizeof(out)), "member:3 message:4");
    Message__ReactRequest r = MESSAGE__REACT_REQUEST__INIT;
    r.id = (char *)id;
    r.seq = 1;
    r.emoji = "\xf0\x9f\x91\x8d";
    assert_null(ask(w, w->message, "React", &r, &cleo));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    ask(w, w->message, "React", &r, &bob);
    assert_string_equal(types_of(changes(w, &cleo, id, 4), out, sizeof(out)), "");
    assert_int_equal(look(w, &cleo, id)->own->unread_count, 1);
}

static void test_who_is_gone_reads_until_then(void **state UNUSED)
{
    char out[300];
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    const char *id = make_group(w, &ann, make, MEMBERS(&bob))->id;
    say(w, &ann, id, "before", NULL);
    const char *cursor = sync_from(&bob, "")->cursor;
    assert_true(leave_group(w, &bob, id));
    say(w, &ann, id, "after", NULL);
    assert_string_equal(texts_of(history(w, &bob, id), out, sizeof(out)), "before");
    assert_string_equal(types_of(changes(w, &bob, id, 2), out, sizeof(out)), "member:3");
    const Message__SyncReply *s = sync_from(&bob, cursor);
    assert_int_equal(s->n_conversations, 1); /* his devices learn that he left */
    assert_int_equal(s->conversations[0]->own->state, MESSAGE__MEMBER_STATE__GONE);
    cursor = s->cursor;
    say(w, &ann, id, "much later", NULL);
    assert_int_equal(sync_from(&bob, cursor)->n_conversations, 0);
    assert_null(say(w, &bob, id, "still here", NULL));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_string_equal(look(w, &bob, id)->last_message->content->text, "before");
}

/* The revision that stands now is not to be found by guessing. */
static void test_who_is_gone_learns_no_revision(void **state UNUSED)
{
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    const char *id = make_group(w, &ann, make, MEMBERS(&bob))->id;
    assert_true(leave_group(w, &bob, id)); /* revision 2 */
    say(w, &ann, id, "after", NULL);
    say(w, &ann, id, "that", NULL);
    assert_non_null(changes(w, &bob, id, 2));
    for (int64_t rev = 3; rev < 6; rev++) {
        assert_null(changes(w, &bob, id, rev));
        assert_int_equal(answer.err, ERR_OUT_OF_RANGE);
    }
}

static const char *asked_and_banned(void)
{
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    make.join_rule = MESSAGE__JOIN_RULE__ASK;
    const char *id = make_group(w, &ann, make, MEMBERS(&bob, &admin))->id;
    join_group(w, &cleo, id); /* 2 */
    say(w, &ann, id, "shall we?", NULL);
    Group__RemoveMemberRequest ban = GROUP__REMOVE_MEMBER_REQUEST__INIT;
    ban.id = (char *)id;
    ban.user_id = admin.user_id;
    ban.is_banned = true;
    ask(w, w->group, "RemoveMember", &ban, &ann); /* 4 */
    return id;
}

static void test_who_asks_is_for_admins_to_know(void **state UNUSED)
{
    char out[300];
    const char *id = asked_and_banned();
    assert_string_equal(types_of(changes(w, &ann, id, 1), out, sizeof(out)),
                        "member:2 message:3 member:4");
    const Message__ChangeList *list = changes(w, &bob, id, 1);
    assert_string_equal(types_of(list, out, sizeof(out)), "message:3 member:4");
    assert_int_equal(list->changes[0]->prev_rev, 1);
    assert_int_equal(list->changes[1]->member->state, MESSAGE__MEMBER_STATE__GONE);
    assert_int_equal(changes(w, &ann, id, 3)->changes[0]->member->state,
                     MESSAGE__MEMBER_STATE__BANNED);
}

static _Atomic int told_to_all, told_of_ban, told_last;

static void on_told(void *arg UNUSED, const struct bus_event *e)
{
    Message__MessageEvent *m =
        message__message_event__unpack(NULL, e->payload.n, (const uint8_t *)e->payload.p);
    const Message__Member *who = m->change ? m->change->member : NULL;
    if (who && !m->is_for_named) {
        told_to_all += who->state == MESSAGE__MEMBER_STATE__ASKING;
        told_of_ban += who->state == MESSAGE__MEMBER_STATE__BANNED;
        told_last += who->state == MESSAGE__MEMBER_STATE__GONE;
    } else if (who) { /* the owner and whom it is about, and nobody else */
        bool has_both = m->n_user_ids == 2 && strcmp(m->user_ids[0], who->user_id) == 0 &&
                        strcmp(m->user_ids[1], ann.user_id) == 0;
        told_to_all += !has_both;
    }
    message__message_event__free_unpacked(m, NULL);
}

static bool is_last_told(void *arg UNUSED)
{
    return told_last == 1;
}

static void test_who_asks_is_told_to_admins(void **state UNUSED)
{
    told_to_all = told_of_ban = told_last = 0;
    int subscription = bus_subscribe(w->bus, "message_events", "test", on_told, NULL);
    asked_and_banned();
    eventually(is_last_told, NULL);
    bus_unsubscribe(w->bus, subscription);
    assert_int_equal(told_to_all, 0);
    assert_int_equal(told_of_ban, 0);
}

static void test_open_conversations_come_along(void **state UNUSED)
{
    const char *mine = tell(w, &ann, &bob, "one", NULL)->conversation_id;
    const char *theirs = tell(w, &bob, &cleo, "two", NULL)->conversation_id;
    Message__SyncRequest in = MESSAGE__SYNC_REQUEST__INIT;
    Message__KnownRevision known[] = {MESSAGE__KNOWN_REVISION__INIT, MESSAGE__KNOWN_REVISION__INIT};
    Message__KnownRevision *open[] = {&known[0], &known[1]};
    known[0].conversation_id = (char *)theirs;
    known[1].conversation_id = (char *)mine;
    in.open = open;
    in.n_open = 2;
    const Message__SyncReply *s = ask(w, w->message, "Sync", &in, &ann);
    assert_non_null(s);
    assert_int_equal(s->n_open_changes, 2);
    assert_int_equal(s->open_changes[0]->n_changes, 0);
    assert_int_equal(s->open_changes[0]->rev, 0);
    assert_int_equal(s->open_changes[1]->n_changes, 1);
}

/* ---- history ---- */

static const Message__MessageHistory *range(const char *id, int64_t before, int64_t after,
                                            int64_t around, int limit)
{
    Message__GetMessageHistoryRequest in = MESSAGE__GET_MESSAGE_HISTORY_REQUEST__INIT;
    in.id = (char *)id;
    in.before_seq = before;
    in.after_seq = after;
    in.around_seq = around;
    in.limit = limit;
    return ask(w, w->message, "GetMessageHistory", &in, &bob);
}

static void expect_range(const Message__MessageHistory *h, int64_t first, int64_t last,
                         bool has_older, bool has_newer)
{
    assert_non_null(h);
    assert_int_equal(h->n_messages, last - first + 1);
    for (size_t i = 0; i < h->n_messages; i++)
        assert_int_equal(h->messages[i]->seq, first + (int64_t)i);
    assert_int_equal(h->has_older, has_older);
    assert_int_equal(h->has_newer, has_newer);
}

static void test_history_by_range(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "1", NULL)->conversation_id;
    for (int i = 2; i <= 20; i++)
        say(w, &ann, id, "x", NULL);
    expect_range(range(id, 0, 0, 0, 5), 16, 20, true, false);
    expect_range(range(id, 16, 0, 0, 5), 11, 15, true, true);
    expect_range(range(id, 3, 0, 0, 5), 1, 2, false, true);
    expect_range(range(id, 0, 5, 0, 5), 6, 10, true, true);
    expect_range(range(id, 0, 18, 0, 5), 19, 20, true, false);
    expect_range(range(id, 0, 0, 10, 6), 7, 12, true, true);
    expect_range(range(id, 0, 0, 1, 6), 1, 3, false, true);
    expect_range(range(id, 0, 0, 1000, 6), 18, 20, true, false);
    assert_null(range(id, 1, 1, 0, 5));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    assert_null(range(id, -1, 0, 0, 5));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
}

static void test_history_at_the_end_of_numbers(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "one", NULL)->conversation_id;
    Message__GetMessageHistoryRequest in = MESSAGE__GET_MESSAGE_HISTORY_REQUEST__INIT;
    in.id = (char *)id;
    in.after_seq = INT64_MAX;
    const Message__MessageHistory *h = ask(w, w->message, "GetMessageHistory", &in, &ann);
    assert_int_equal(h->n_messages, 0);
    assert_true(h->has_older);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_only_what_has_moved, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_cursors_of_other_lives, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_too_much_is_a_reset, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_changes_replay_the_log, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_what_is_left_out_is_no_hole, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_a_newcomer_sees_what_came_after, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(test_who_is_gone_reads_until_then, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_who_is_gone_learns_no_revision, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(test_who_asks_is_for_admins_to_know, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(test_who_asks_is_told_to_admins, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_open_conversations_come_along, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(test_history_by_range, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_history_at_the_end_of_numbers, scene_open,
                                        scene_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
