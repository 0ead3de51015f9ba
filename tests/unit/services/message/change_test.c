/* What happens to messages after they were sent, and what is a member's own. */
#include "scene.h"

#include <stdio.h>
#include <unistd.h>

static const Message__MessageInfo *edit(const struct identity *who, const char *id, int64_t seq,
                                        const char *text)
{
    Message__EditMessageRequest in = MESSAGE__EDIT_MESSAGE_REQUEST__INIT;
    Message__Content content = MESSAGE__CONTENT__INIT;
    content.text = (char *)text;
    in.id = (char *)id;
    in.seq = seq;
    in.content = &content;
    return ask(w, w->message, "EditMessage", &in, who);
}

static const Message__MessageInfo *recall(const struct identity *who, const char *id, int64_t seq)
{
    Message__RecallMessageRequest in = MESSAGE__RECALL_MESSAGE_REQUEST__INIT;
    in.id = (char *)id;
    in.seq = seq;
    return ask(w, w->message, "RecallMessage", &in, who);
}

static const Message__MessageInfo *react(const struct identity *who, const char *id, int64_t seq,
                                         const char *emoji, bool is_removed)
{
    Message__ReactRequest in = MESSAGE__REACT_REQUEST__INIT;
    in.id = (char *)id;
    in.seq = seq;
    in.emoji = (char *)emoji;
    in.is_removed = is_removed;
    return ask(w, w->message, "React", &in, who);
}

static const char *group_of_three(void)
{
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    return make_group(w, &ann, make, MEMBERS(&bob, &cleo))->id;
}

static void test_edit(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "helo", NULL)->conversation_id;
    const Message__MessageInfo *m = edit(&ann, id, 1, "hello");
    assert_non_null(m);
    assert_string_equal(m->content->text, "hello");
    assert_true(m->edited_at_ms > 0);
    assert_int_equal(m->seq, 1);
    assert_null(edit(&bob, id, 1, "I said that"));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_null(edit(&cleo, id, 1, "x"));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    assert_null(edit(&ann, id, 2, "x"));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    assert_null(edit(&ann, id, 1, ""));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    /* The retry of the send is still the same message, whatever it reads now. */
    char out[100];
    assert_string_equal(texts_of(history(w, &bob, id), out, sizeof(out)), "hello");
}

static void test_recall(void **state UNUSED)
{
    const char *id = group_of_three();
    say(w, &bob, id, "oops", "k1");
    say(w, &bob, id, "fine", NULL);
    react(&cleo, id, 1, "\xf0\x9f\x91\x8d", false);
    assert_null(recall(&cleo, id, 1));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    const Message__MessageInfo *m = recall(&bob, id, 1);
    assert_non_null(m);
    assert_null(m->content);
    assert_int_equal(m->n_reactions, 0);
    assert_string_equal(m->recalled_by, bob.user_id);
    assert_non_null(recall(&bob, id, 1)); /* twice is once */
    assert_non_null(recall(&ann, id, 2)); /* the owner may take back anybody's */
    assert_null(edit(&bob, id, 1, "but"));
    assert_int_equal(answer.err, ERR_FAILED_PRECONDITION);
    assert_null(react(&cleo, id, 1, "\xf0\x9f\x91\x8d", false));
    assert_int_equal(answer.err, ERR_FAILED_PRECONDITION);
    char out[100];
    assert_string_equal(texts_of(history(w, &ann, id), out, sizeof(out)), "(recalled)|(recalled)");
    assert_true(say(w, &bob, id, "oops", "k1")->is_duplicate);
    assert_int_equal(world_count(w,
                                 "SELECT COUNT(*) FROM message_messages WHERE length(content) = 0"
                                 " AND recalled_by <> ?",
                                 ""),
                     2);
}

static void test_too_late(void **state UNUSED)
{
    world_close(&w);
    w = world_open(&(struct world_options){.recall_ms = 1});
    ann = world_register(w, "ann");
    bob = world_register(w, "bob");
    const char *id = tell(w, &ann, &bob, "stands", NULL)->conversation_id;
    usleep(10000);
    assert_null(edit(&ann, id, 1, "different"));
    assert_int_equal(answer.err, ERR_FAILED_PRECONDITION);
    assert_null(recall(&ann, id, 1));
    assert_int_equal(answer.err, ERR_FAILED_PRECONDITION);
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    const char *group = make_group(w, &ann, make, MEMBERS(&bob))->id;
    say(w, &bob, group, "stands", NULL);
    usleep(10000);
    assert_non_null(recall(&ann, group, 1)); /* admins have no limit */
}

static void test_reactions(void **state UNUSED)
{
    const char *up = "\xf0\x9f\x91\x8d", *heart = "\xe2\x9d\xa4\xef\xb8\x8f";
    const char *id = group_of_three();
    say(w, &ann, id, "lunch?", NULL);
    int64_t rev = look(w, &ann, id)->rev;
    react(&bob, id, 1, up, false);
    react(&bob, id, 1, up, false); /* no second one, no revision */
    const Message__MessageInfo *m = react(&cleo, id, 1, up, false);
    assert_int_equal(m->n_reactions, 1);
    assert_int_equal(m->reactions[0]->count, 2);
    assert_true(m->reactions[0]->is_mine);
    assert_int_equal(look(w, &ann, id)->rev, rev + 2);
    m = react(&bob, id, 1, heart, false);
    assert_int_equal(m->n_reactions, 2);
    m = react(&bob, id, 1, up, true);
    assert_int_equal(m->n_reactions, 2);
    assert_false(history(w, &ann, id)->messages[0]->reactions[0]->is_mine);
    const char *const wrong[] = {"", "hello", "<b>", "1",
                                 "\xf0\x9f\x91\x8d is what I think of that, my friend"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_null(react(&bob, id, 1, wrong[i], false));
        assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    }
    for (int i = 0; i < 30; i++) {
        char emoji[8];
        snprintf(emoji, sizeof(emoji), "\xf0\x9f\x98%c", 0x80 + i);
        react(&bob, id, 1, emoji, false);
    }
    assert_int_equal(answer.err, ERR_RESOURCE_EXHAUSTED);
    assert_int_equal(history(w, &ann, id)->messages[0]->n_reactions, 20);
}

static void test_pins(void **state UNUSED)
{
    const char *id = group_of_three();
    say(w, &bob, id, "the plan", NULL);
    say(w, &bob, id, "the rest", NULL);
    assert_null(pin_it(w, &bob, id, 1, false));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_true(pin_it(w, &ann, id, 1, false)->is_pinned);
    Message__GetMessageHistoryRequest in = MESSAGE__GET_MESSAGE_HISTORY_REQUEST__INIT;
    in.id = (char *)id;
    in.is_pinned = true;
    char out[100];
    assert_string_equal(
        texts_of(ask(w, w->message, "GetMessageHistory", &in, &cleo), out, sizeof(out)),
        "the plan");
    assert_false(pin_it(w, &ann, id, 1, true)->is_pinned);
    assert_string_equal(
        texts_of(ask(w, w->message, "GetMessageHistory", &in, &cleo), out, sizeof(out)), "");
}

static void test_deleted_for_me_alone(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "one", NULL)->conversation_id;
    say(w, &bob, id, "two", NULL);
    Message__DeleteForMeRequest in = MESSAGE__DELETE_FOR_ME_REQUEST__INIT;
    int64_t seqs[] = {2};
    in.id = (char *)id;
    in.seqs = seqs;
    in.n_seqs = 1;
    assert_non_null(ask(w, w->message, "DeleteForMe", &in, &ann));
    char out[100];
    assert_string_equal(texts_of(history(w, &ann, id), out, sizeof(out)), "one");
    assert_string_equal(texts_of(history(w, &bob, id), out, sizeof(out)), "one|two");
    assert_string_equal(look(w, &ann, id)->last_message->content->text, "one");
    seqs[0] = 3;
    assert_null(ask(w, w->message, "DeleteForMe", &in, &ann));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
}

/* ---- read, unread, mentions ---- */

static void test_read_pointers_only_move_on(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "one", NULL)->conversation_id;
    for (int i = 0; i < 4; i++)
        say(w, &ann, id, "more", NULL);
    assert_int_equal(look(w, &bob, id)->own->unread_count, 5);
    assert_int_equal(mark_read(w, &bob, id, 3)->unread_count, 2);
    assert_int_equal(mark_read(w, &bob, id, 1)->read_seq, 3);
    assert_int_equal(mark_read(w, &bob, id, 1000)->read_seq, 5);
    assert_null(mark_read(w, &bob, id, -1));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    Message__MarkAsReadRequest in = MESSAGE__MARK_AS_READ_REQUEST__INIT;
    in.id = (char *)id;
    in.is_unread = true;
    assert_non_null(ask(w, w->message, "MarkAsRead", &in, &bob));
    assert_true(look(w, &bob, id)->own->is_marked_unread);
    say(w, &bob, id, "answer", NULL); /* who writes has read */
    assert_false(look(w, &bob, id)->own->is_marked_unread);
}

static void test_receipts(void **state UNUSED)
{
    const char *id = group_of_three();
    say(w, &ann, id, "read this", NULL);
    mark_read(w, &bob, id, 1);
    Message__MarkDeliveredRequest d = MESSAGE__MARK_DELIVERED_REQUEST__INIT;
    d.id = (char *)id;
    d.seq = 1;
    assert_non_null(ask(w, w->message, "MarkDelivered", &d, &cleo));
    Message__GetReceiptsRequest in = MESSAGE__GET_RECEIPTS_REQUEST__INIT;
    in.id = (char *)id;
    in.seq = 1;
    const Message__Receipts *r = ask(w, w->message, "GetReceipts", &in, &ann);
    assert_int_equal(r->read_count, 1);
    assert_int_equal(r->delivered_count, 2);
    assert_int_equal(r->n_members, 2);
    assert_null(ask(w, w->message, "GetReceipts", &in, &bob));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
}

static void test_mentions(void **state UNUSED)
{
    const char *id = group_of_three();
    Message__SendMessageRequest in = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    Message__Content content = MESSAGE__CONTENT__INIT;
    char *mentioned[] = {bob.user_id};
    content.text = "@bob look";
    content.mentions = mentioned;
    content.n_mentions = 1;
    in.conversation_id = (char *)id;
    in.content = &content;
    send_it(w, &ann, in);
    assert_int_equal(look(w, &bob, id)->own->mention_count, 1);
    assert_int_equal(look(w, &cleo, id)->own->mention_count, 0);
    content = (Message__Content)MESSAGE__CONTENT__INIT;
    content.text = "@all look";
    content.is_mentioning_all = true;
    send_it(w, &ann, in);
    assert_int_equal(look(w, &bob, id)->own->mention_count, 2);
    assert_int_equal(look(w, &cleo, id)->own->mention_count, 1);
    edit(&ann, id, 1, "never mind");
    assert_int_equal(look(w, &bob, id)->own->mention_count, 1);
    Message__GetUnreadMessagesRequest unread = MESSAGE__GET_UNREAD_MESSAGES_REQUEST__INIT;
    const Message__UnreadMessages *u = ask(w, w->message, "GetUnreadMessages", &unread, &bob);
    assert_int_equal(u->unread_count, 2);
    assert_int_equal(u->mention_count, 1);
    assert_int_equal(u->n_messages, 2);
    mark_read(w, &bob, id, 0);
    assert_int_equal(look(w, &bob, id)->own->mention_count, 0);
}

static void test_own_settings(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "one", NULL)->conversation_id;
    Message__SetOwnRequest in = MESSAGE__SET_OWN_REQUEST__INIT;
    in.id = (char *)id;
    in._is_archived_case = MESSAGE__SET_OWN_REQUEST___IS_ARCHIVED_IS_ARCHIVED;
    in.is_archived = true;
    in._draft_case = MESSAGE__SET_OWN_REQUEST___DRAFT_DRAFT;
    in.draft = "I was about to";
    const Message__Conversation *c = ask(w, w->message, "SetOwn", &in, &bob);
    assert_true(c->own->is_archived);
    assert_string_equal(c->own->draft, "I was about to");
    assert_false(look(w, &ann, id)->own->is_archived);
    Message__GetConversationsRequest list = MESSAGE__GET_CONVERSATIONS_REQUEST__INIT;
    assert_int_equal(
        ((const Message__ConversationList *)ask(w, w->message, "GetConversations", &list, &bob))
            ->n_conversations,
        0);
    list.is_archived = true;
    assert_int_equal(
        ((const Message__ConversationList *)ask(w, w->message, "GetConversations", &list, &bob))
            ->n_conversations,
        1);
    say(w, &ann, id, "two", NULL); /* news bring it back */
    assert_false(look(w, &bob, id)->own->is_archived);
}

static _Atomic int64_t told_of_read;

static void on_receipt(void *arg UNUSED, const struct bus_event *e)
{
    Message__ReceiptEvent *m =
        message__receipt_event__unpack(NULL, e->payload.n, (const uint8_t *)e->payload.p);
    told_of_read = told_of_read * 10 + m->read_seq;
    message__receipt_event__free_unpacked(m, NULL);
}

static bool is_third_told(void *arg UNUSED)
{
    return told_of_read % 10 == 3;
}

static enum err set_count(struct store_tx *tx, void *arg)
{
    return store_run(tx, "UPDATE message_conversations SET member_count = ?", "i",
                     *(const int64_t *)arg);
}

/* Where nobody is named, nobody is told either. */
static void test_receipts_of_many(void **state UNUSED)
{
    int64_t many = 101, few = 2;
    const char *id = tell(w, &ann, &bob, "1", NULL)->conversation_id;
    say(w, &ann, id, "2", NULL);
    say(w, &ann, id, "3", NULL);
    told_of_read = 0;
    int subscription = bus_subscribe(w->bus, "message_ephemeral", "test", on_receipt, NULL);
    mark_read(w, &bob, id, 1);
    assert_int_equal(store_write_sync(w->store, 0, set_count, &many), ERR_OK);
    mark_read(w, &bob, id, 2);
    assert_int_equal(store_write_sync(w->store, 0, set_count, &few), ERR_OK);
    mark_read(w, &bob, id, 3);
    eventually(is_third_told, NULL);
    bus_unsubscribe(w->bus, subscription);
    assert_int_equal(told_of_read, 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_edit, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_recall, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_too_late, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_reactions, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_pins, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_deleted_for_me_alone, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_read_pointers_only_move_on, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_receipts, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_mentions, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_own_settings, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_receipts_of_many, scene_open, scene_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
