/* Sending: who may, what may be said, and that the same message sent twice is one message. */
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>

static void test_the_first_message_makes_the_conversation(void **state UNUSED)
{
    const Message__SendMessageReply *a = tell(w, &ann, &bob, "hello", NULL);
    assert_non_null(a);
    assert_int_equal(a->seq, 1);
    const Message__SendMessageReply *b = tell(w, &bob, &ann, "hi", NULL);
    assert_non_null(b);
    assert_string_equal(a->conversation_id, b->conversation_id);
    assert_int_equal(b->seq, 2);
    const Message__Conversation *c = look(w, &ann, a->conversation_id);
    assert_string_equal(c->peer_id, bob.user_id);
    assert_string_equal(c->last_message->content->text, "hi");
    assert_int_equal(c->own->unread_count, 1); /* bob's; her own she has read */
    assert_int_equal(look(w, &bob, a->conversation_id)->own->unread_count, 0);
}

static void test_twice_is_once(void **state UNUSED)
{
    const Message__SendMessageReply *first = tell(w, &ann, &bob, "hello", "k1");
    const Message__SendMessageReply *again = tell(w, &ann, &bob, "hello", "k1");
    assert_non_null(again);
    assert_true(again->is_duplicate && !first->is_duplicate);
    assert_int_equal(again->seq, first->seq);
    assert_string_equal(again->id, first->id);
    assert_int_equal(again->created_at_ms, first->created_at_ms);
    assert_null(tell(w, &ann, &bob, "something else", "k1"));
    assert_int_equal(answer.err, ERR_ALREADY_EXISTS);
    assert_non_null(tell(w, &bob, &ann, "hello", "k1")); /* bob's own k1 */
    char out[100];
    assert_string_equal(texts_of(history(w, &bob, first->conversation_id), out, sizeof(out)),
                        "hello|hello");
}

static void test_twice_is_once_after_a_restart_too(void **state UNUSED)
{
    const Message__SendMessageReply *first = tell(w, &ann, &bob, "hello", "k1");
    int64_t rev = first->rev;
    world_restart_message(w);
    const Message__SendMessageReply *again = tell(w, &ann, &bob, "hello", "k1");
    assert_true(again->is_duplicate);
    assert_int_equal(again->rev, rev);
    assert_int_equal(tell(w, &ann, &bob, "next", NULL)->rev, rev + 1);
}

static void test_a_stranger_finds_nothing(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "hello", NULL)->conversation_id;
    assert_null(say(w, &cleo, id, "me too", NULL));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    assert_null(history(w, &cleo, id));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    assert_null(look(w, &admin, id)); /* being administrator opens no letters */
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    assert_null(say(w, &nobody, id, "me too", NULL));
    assert_int_equal(answer.err, ERR_UNAUTHENTICATED);
    assert_null(say(w, &ann, "01ARZ3NDEKTSV4RRFFQ69G5FAV", "hello", NULL));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
}

static void test_to_whom(void **state UNUSED)
{
    assert_null(tell(w, &ann, &ann, "hello me", NULL));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    struct identity unknown = person("01ARZ3NDEKTSV4RRFFQ69G5FAV", ROLE_USER);
    assert_null(tell(w, &ann, &unknown, "hello?", NULL));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    struct identity nonsense = person("'; DROP TABLE x; --", ROLE_USER);
    assert_null(tell(w, &ann, &nonsense, "hello?", NULL));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    Message__SendMessageRequest both = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    both.to_user_id = bob.user_id;
    both.conversation_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    assert_null(send_it(w, &ann, both));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    struct identity guest = person("01ARZ3NDEKTSV4RRFFQ69G5FAV", ROLE_GUEST);
    assert_null(tell(w, &guest, &bob, "hello", NULL));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
}

static void test_the_blocked_are_not_heard(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "hello", NULL)->conversation_id;
    assert_non_null(block(w, &bob, &ann, true));
    assert_null(say(w, &ann, id, "are you there?", NULL));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_null(say(w, &bob, id, "no", NULL));
    assert_int_equal(answer.err, ERR_FAILED_PRECONDITION);
    assert_non_null(block(w, &bob, &ann, false));
    assert_non_null(say(w, &ann, id, "now?", NULL));
}

/* ---- what may be said ---- */

static enum err say_content(const Message__Content *content)
{
    Message__SendMessageRequest in = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    in.to_user_id = bob.user_id;
    in.content = (Message__Content *)content;
    return send_it(w, &ann, in) ? ERR_OK : answer.err;
}

static enum err say_text(const char *text)
{
    Message__Content content = MESSAGE__CONTENT__INIT;
    content.text = (char *)text;
    return say_content(&content);
}

static char *repeat(const char *unit, size_t count)
{
    size_t n = strlen(unit);
    char *text = calloc(count, n + 1);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * n, unit, n);
    return text;
}

static void test_texts(void **state UNUSED)
{
    char *longest = repeat("x", 16384), *longer = repeat("x", 16385);
    char *piled = repeat("\xcc\x81", 524288), *few = repeat("e\xcc\x81", 100);
    assert_int_equal(say_text(longest), ERR_OK);
    assert_int_equal(say_text(longer), ERR_INVALID_ARGUMENT);
    assert_int_equal(say_text(piled), ERR_INVALID_ARGUMENT); /* a MiB of marks */
    piled[40] = 0;
    assert_int_equal(say_text(piled), ERR_INVALID_ARGUMENT);
    assert_int_equal(say_text(few), ERR_OK);
    assert_int_equal(say_text(""), ERR_INVALID_ARGUMENT);
    assert_int_equal(say_text("   "), ERR_INVALID_ARGUMENT);
    assert_int_equal(say_text("a\x07z"), ERR_INVALID_ARGUMENT);
    assert_int_equal(say_text("two\nlines\tand a tab"), ERR_OK);
    assert_int_equal(say_text("<script>alert(1)</script> ' OR 1=1; --"), ERR_OK);
    free(longest);
    free(longer);
    free(piled);
    free(few);
}

static void test_kinds(void **state UNUSED)
{
    Message__Content content = MESSAGE__CONTENT__INIT;
    Message__Location at = MESSAGE__LOCATION__INIT;
    content.kind = MESSAGE__CONTENT_KIND__LOCATION;
    assert_int_equal(say_content(&content), ERR_INVALID_ARGUMENT);
    content.location = &at;
    at.latitude = 52.5;
    at.longitude = 13.4;
    assert_int_equal(say_content(&content), ERR_OK);
    at.latitude = 91;
    assert_int_equal(say_content(&content), ERR_INVALID_ARGUMENT);
    content = (Message__Content)MESSAGE__CONTENT__INIT;
    content.kind = MESSAGE__CONTENT_KIND__CARD;
    assert_int_equal(say_content(&content), ERR_INVALID_ARGUMENT);
    content.card_user_id = cleo.user_id;
    assert_int_equal(say_content(&content), ERR_OK);
    content = (Message__Content)MESSAGE__CONTENT__INIT;
    content.kind = MESSAGE__CONTENT_KIND__SYSTEM;
    Message__SystemNote note = MESSAGE__SYSTEM_NOTE__INIT;
    content.note = &note;
    assert_int_equal(say_content(&content), ERR_INVALID_ARGUMENT);
    content.kind = MESSAGE__CONTENT_KIND__TEXT;
    content.text = "as if the server had said it";
    assert_int_equal(say_content(&content), ERR_INVALID_ARGUMENT);
}

/* ---- what it refers to ---- */

static void test_replies_and_threads(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "one", NULL)->conversation_id;
    Message__SendMessageRequest in = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    in.conversation_id = (char *)id;
    in.reply_to_seq = 2; /* that is itself */
    assert_null(send_it(w, &bob, in));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    in.reply_to_seq = 1;
    assert_non_null(send_it(w, &bob, in));
    in.reply_to_seq = 0;
    in.thread_seq = 1;
    assert_int_equal(send_it(w, &bob, in)->seq, 3);
    in.thread_seq = 3; /* within a thread: no thread begins there */
    assert_null(send_it(w, &bob, in));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    const Message__MessageHistory *h = history(w, &ann, id);
    assert_int_equal(h->n_messages, 3);
    assert_int_equal(h->messages[0]->thread_count, 1);
    assert_int_equal(h->messages[1]->reply_to_seq, 1);
    assert_int_equal(h->messages[2]->thread_seq, 1);
}

static void test_forwarding(void **state UNUSED)
{
    const char *here = tell(w, &ann, &bob, "a secret", NULL)->conversation_id;
    Message__SendMessageRequest in = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    in.to_user_id = cleo.user_id;
    in.forward_conversation_id = (char *)here;
    in.forward_seq = 1;
    const Message__SendMessageReply *sent = send_it(w, &bob, in);
    assert_non_null(sent);
    const Message__MessageInfo *m = history(w, &cleo, sent->conversation_id)->messages[0];
    assert_string_equal(m->content->text, "a secret");
    assert_string_equal(m->forwarded_from->sender_id, ann.user_id);
    assert_string_equal(m->forwarded_from->conversation_id, ""); /* cleo has no place there */
    assert_string_equal(
        history(w, &bob, sent->conversation_id)->messages[0]->forwarded_from->conversation_id,
        here);
    in.to_user_id = bob.user_id;
    assert_null(send_it(w, &cleo, in)); /* she cannot read what she would forward */
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    in.to_user_id = cleo.user_id;
    in.forward_seq = 2;
    assert_null(send_it(w, &bob, in));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
}

static void test_notes_are_the_servers(void **state UNUSED)
{
    Message__AppendNoteRequest in = MESSAGE__APPEND_NOTE_REQUEST__INIT;
    Message__SystemNote note = MESSAGE__SYSTEM_NOTE__INIT;
    in.id = tell(w, &ann, &bob, "hello", NULL)->conversation_id;
    in.client_msg_id = "call-1";
    note.event = "call_missed";
    in.note = &note;
    assert_null(ask(w, w->message, "AppendNote", &in, &admin));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    const Message__SendMessageReply *first = ask(w, w->message, "AppendNote", &in, NULL);
    const Message__SendMessageReply *again = ask(w, w->message, "AppendNote", &in, NULL);
    assert_int_equal(first->seq, 2);
    assert_int_equal(again->seq, 2);
    assert_string_equal(history(w, &bob, in.id)->messages[1]->content->note->event, "call_missed");
}

/* ---- many at once ---- */

struct chatter {
    const struct identity *who;
    const char *id;
    int64_t seqs[40];
};

static void chat(void *arg)
{
    struct chatter *c = arg;
    for (size_t i = 0; i < ARRAY_LEN(c->seqs); i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%zu", i / 2); /* each is sent twice */
        const Message__SendMessageReply *r = say(w, c->who, c->id, key, key);
        c->seqs[i] = r ? r->seq : 0;
    }
}

static void test_many_at_once(void **state UNUSED)
{
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    const char *id = make_group(w, &ann, make, MEMBERS(&bob, &cleo, &admin))->id;
    struct chatter chatters[] = {
        {&ann, id, {0}}, {&bob, id, {0}}, {&cleo, id, {0}}, {&admin, id, {0}}};
    in_parallel(chat, chatters, ARRAY_LEN(chatters), sizeof(chatters[0]));
    const Message__MessageHistory *h = history(w, &ann, id);
    assert_int_equal(h->n_messages, 4 * 20);
    for (size_t i = 0; i < h->n_messages; i++)
        assert_int_equal(h->messages[i]->seq, i + 1);
    for (size_t i = 0; i < ARRAY_LEN(chatters); i++) {
        for (size_t j = 0; j < ARRAY_LEN(chatters[i].seqs); j++) {
            const Message__MessageInfo *m = h->messages[chatters[i].seqs[j] - 1];
            assert_string_equal(m->sender_id, chatters[i].who->user_id);
            assert_int_equal(chatters[i].seqs[j], chatters[i].seqs[j & ~1u]);
        }
    }
}

/* The answer was lost on the way, and meanwhile the sender may write no more. */
static void test_twice_is_once_though_refused_by_now(void **state UNUSED)
{
    int64_t seq = tell(w, &ann, &bob, "hello", "k1")->seq;
    block(w, &bob, &ann, true);
    const Message__SendMessageReply *r = tell(w, &ann, &bob, "hello", "k1");
    assert_non_null(r);
    assert_true(r->is_duplicate);
    assert_int_equal(r->seq, seq);
    assert_null(tell(w, &ann, &bob, "other", "k1"));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_null(tell(w, &ann, &bob, "hello", "k2"));
    const char *id =
        make_group(w, &ann, (Group__CreateGroupRequest)GROUP__CREATE_GROUP_REQUEST__INIT,
                   MEMBERS(&cleo))
            ->id;
    seq = say(w, &cleo, id, "bye", "k1")->seq;
    assert_true(leave_group(w, &cleo, id));
    r = say(w, &cleo, id, "bye", "k1");
    assert_non_null(r);
    assert_int_equal(r->seq, seq);
    assert_null(say(w, &cleo, id, "bye", "k2"));
}

static void test_what_is_no_kind(void **state UNUSED)
{
    Message__SendMessageRequest in = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    Message__Content content = MESSAGE__CONTENT__INIT;
    in.to_user_id = bob.user_id;
    in.content = &content;
    content.text = "hello";
    content.kind = (Message__ContentKind)42;
    assert_null(send_it(w, &ann, in));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_first_message_makes_the_conversation, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(test_twice_is_once, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_twice_is_once_after_a_restart_too, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(test_a_stranger_finds_nothing, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_to_whom, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_the_blocked_are_not_heard, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_texts, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_kinds, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_replies_and_threads, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_forwarding, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_notes_are_the_servers, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_many_at_once, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_twice_is_once_though_refused_by_now, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(test_what_is_no_kind, scene_open, scene_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
