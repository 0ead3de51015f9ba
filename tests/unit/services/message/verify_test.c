/* verify: finds nothing in whole logs and each of many ways to damage one. */
#include "scene.h"

static struct message_verdict verdict;

static int64_t problems(void)
{
    strbuf_deinit(&verdict.text);
    assert_int_equal(message_verify(w->store, &verdict), ERR_OK);
    return verdict.problems;
}

static enum err alter(struct store_tx *tx, void *arg)
{
    return store_run(tx, arg, "");
}

static void expect_problem(const char *sql, const char *problem)
{
    assert_int_equal(store_write_sync(w->store, 0, alter, (void *)sql), ERR_OK);
    if (problems() < 1 || !strstr(verdict.text.p, problem))
        fail_msg("%s: %s", sql, verdict.text.n ? verdict.text.p : "nothing was found");
}

/* A direct conversation and a group with something of everything in it. */
static void talk(void)
{
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    const char *id = make_group(w, &ann, make, MEMBERS(&bob, &cleo))->id;
    for (int i = 0; i < 5; i++)
        say(w, i % 2 ? &ann : &bob, id, "a word or two", NULL);
    Message__ReactRequest react = MESSAGE__REACT_REQUEST__INIT;
    react.id = (char *)id;
    react.seq = 2;
    react.emoji = "\xf0\x9f\x91\x8d";
    assert_non_null(ask(w, w->message, "React", &react, &bob));
    Message__RecallMessageRequest recall = MESSAGE__RECALL_MESSAGE_REQUEST__INIT;
    recall.id = (char *)id;
    recall.seq = 3;
    assert_non_null(ask(w, w->message, "RecallMessage", &recall, &ann));
    assert_true(leave_group(w, &cleo, id));
    tell(w, &ann, &bob, "hello", NULL);
}

static void test_whole(void **state UNUSED)
{
    talk();
    assert_int_equal(problems(), 0);
    assert_int_equal(verdict.conversations, 2);
    assert_int_equal(verdict.messages, 6);
    assert_int_equal(verdict.revisions, 10);
    world_restart_message(w);
    tell(w, &ann, &bob, "after a restart", NULL);
    assert_int_equal(problems(), 0);
}

static void test_longer_than_a_window(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "0", NULL)->conversation_id;
    Message__ReactRequest react = MESSAGE__REACT_REQUEST__INIT;
    react.id = (char *)id;
    react.emoji = "\xf0\x9f\x91\x8d";
    for (int i = 1; i < 1100; i++) {
        react.seq = say(w, &ann, id, "x", NULL)->seq;
        if (i % 2)
            ask(w, w->message, "React", &react, &bob);
    }
    assert_int_equal(problems(), 0);
    assert_int_equal(verdict.messages, 1100);
    assert_int_equal(verdict.revisions, 1650);
}

static const struct {
    const char *sql, *problem;
} damages[] = {
    {"DELETE FROM message_messages WHERE seq = 4", "messages before it are missing"},
    {"DELETE FROM message_messages WHERE seq = 5", "stands between other messages"},
    {"DELETE FROM message_changes WHERE type = 3", "revisions before it are missing"},
    {"UPDATE message_messages SET content = X'0801' WHERE seq = 2", "not what was written"},
    {"UPDATE message_messages SET sender_id = recalled_by || 'x' WHERE seq = 2", "was altered"},
    {"UPDATE message_messages SET created_at_ms = 1 WHERE seq = 2", "was altered"},
    {"UPDATE message_messages SET digest = chain WHERE seq = 2", "was altered"},
    {"UPDATE message_changes SET actor_id = 'x' WHERE type = 3", "was altered"},
    {"UPDATE message_conversations SET last_seq = last_seq + 1", "the head stands elsewhere"},
    {"UPDATE message_conversations SET rev = rev - 1", "the head stands elsewhere"},
    {"UPDATE message_conversations SET head_lsn = head_lsn + 1", "the head's chain"},
    {"UPDATE message_conversations SET member_count = 7", "members are not as many"},
    {"INSERT INTO message_pins SELECT num, 99 FROM message_conversations", "pins on messages"},
    {"INSERT INTO message_mentions SELECT num, 'x', 99 FROM message_conversations", "mentions of"},
    {"UPDATE message_reaction_counts SET count = 2", "reactions that are not as many"},
    {"DELETE FROM message_reaction_counts", "reactions that are not counted"},
    {"DELETE FROM message_messages", "there are no lines"},
};

static void test_damages(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        if (i) {
            scene_close(NULL);
            scene_open(NULL);
        }
        talk();
        expect_problem(damages[i].sql, damages[i].problem);
    }
    strbuf_deinit(&verdict.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_longer_than_a_window, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_damages, scene_open, scene_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
