/* The chat of a meeting follows the meeting: who is in it, in which rank, and who no more. */
#include "../meeting/people.h"
#include "scene.h"

#include <pthread.h>
#include <stdio.h>

static char chat[ID_SIZE + 2];

static bool is_member(void *arg)
{
    return look(w, arg, chat) != NULL;
}

static bool is_gone(void *arg)
{
    const Message__Conversation *c = look(w, arg, chat);
    return c && c->own->state == MESSAGE__MEMBER_STATE__GONE;
}

static bool is_deputy(void *arg)
{
    return look(w, arg, chat)->own->role == MESSAGE__MEMBER_ROLE__ADMIN;
}

static const char *meeting_of_two(void)
{
    const char *id = make_meeting(w, &ann, NULL)->id;
    snprintf(chat, sizeof(chat), "m:%s", id);
    assert_non_null(join_meeting(w, &ann, id));
    assert_non_null(join_meeting(w, &bob, id));
    eventually(is_member, &ann);
    eventually(is_member, &bob);
    return id;
}

static size_t conversations_of(const struct identity *who)
{
    Message__GetConversationsRequest in = MESSAGE__GET_CONVERSATIONS_REQUEST__INIT;
    const Message__ConversationList *list = ask(w, w->message, "GetConversations", &in, who);
    return list->n_conversations;
}

/* So many writes of other threads than the test's are refused: what the bus hears. */
static _Atomic int refused_writes;
static pthread_t test_thread;

enum err __real_store_write_sync(struct store *store, uint32_t shard, store_fn *fn, void *arg);
enum err __wrap_store_write_sync(struct store *store, uint32_t shard, store_fn *fn, void *arg);
enum err __wrap_store_write_sync(struct store *store, uint32_t shard, store_fn *fn, void *arg)
{
    if (refused_writes > 0 && !pthread_equal(test_thread, pthread_self())) {
        refused_writes--;
        return ERR_UNAVAILABLE;
    }
    return __real_store_write_sync(store, shard, fn, arg);
}

static void test_who_is_removed_while_the_store_is_busy(void **state UNUSED)
{
    const char *id = meeting_of_two();
    const char *bobs = find_person(w, id, bob.user_id)->id;
    test_thread = pthread_self();
    refused_writes = 5;
    assert_true(remove_person(w, &ann, id, bobs));
    eventually(is_gone, &bob);
}

static void test_who_is_in_the_meeting_is_in_its_chat(void **state UNUSED)
{
    char out[100];
    const char *id = meeting_of_two();
    const Message__Conversation *c = look(w, &ann, chat);
    assert_int_equal(c->kind, MESSAGE__CONVERSATION_KIND__MEETING);
    assert_string_equal(c->meeting_id, id);
    assert_int_equal(c->own->role, MESSAGE__MEMBER_ROLE__OWNER);
    assert_int_equal(conversations_of(&ann), 0); /* nothing was said yet */
    assert_non_null(say(w, &ann, chat, "welcome", NULL));
    assert_int_equal(conversations_of(&bob), 1);
    assert_null(say(w, &cleo, chat, "me too", NULL));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    join_meeting(w, &cleo, id);
    eventually(is_member, &cleo);
    assert_string_equal(texts_of(history(w, &cleo, chat), out, sizeof(out)), "welcome");
    assert_non_null(end_meeting(w, &ann, id));
    assert_non_null(say(w, &bob, chat, "one thing more", NULL)); /* it stays */
}

static void test_guests_have_this_chat_alone(void **state UNUSED)
{
    char out[100];
    struct identity guest;
    const char *id = meeting_of_two();
    const char *other = tell(w, &ann, &bob, "between us", NULL)->conversation_id;
    assert_non_null(join_as_guest(w, id, "Gil", &guest));
    eventually(is_member, &guest);
    assert_non_null(say(w, &guest, chat, "hello all", NULL));
    assert_string_equal(texts_of(history(w, &ann, chat), out, sizeof(out)), "hello all");
    assert_null(history(w, &guest, other));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
    struct identity elsewhere = guest;
    id_make(elsewhere.meeting_id);
    assert_null(history(w, &elsewhere, chat));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
}

static void test_ranks_and_removal_follow(void **state UNUSED)
{
    char out[100];
    const char *id = meeting_of_two();
    const char *bobs = find_person(w, id, bob.user_id)->id;
    assert_non_null(set_role(w, &ann, id, bobs, MEETING__PARTICIPANT_ROLE__CO_HOST));
    eventually(is_deputy, &bob);
    say(w, &ann, chat, "before", NULL);
    assert_true(remove_person(w, &ann, id, bobs));
    eventually(is_gone, &bob);
    say(w, &ann, chat, "after", NULL);
    assert_string_equal(texts_of(history(w, &bob, chat), out, sizeof(out)), "before");
    assert_null(say(w, &bob, chat, "why?", NULL));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    struct message_verdict verdict;
    assert_int_equal(message_verify(w->store, &verdict), ERR_OK);
    assert_int_equal(verdict.problems, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who_is_in_the_meeting_is_in_its_chat, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(test_guests_have_this_chat_alone, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_ranks_and_removal_follow, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_who_is_removed_while_the_store_is_busy, scene_open,
                                        scene_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
