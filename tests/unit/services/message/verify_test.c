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

/* Says which; how many have failed. */
static int expect_problem(const char *sql, const char *problem)
{
    assert_int_equal(store_write_sync(w->store, 0, alter, (void *)sql), ERR_OK);
    if (problems() >= 1 && strstr(verdict.text.p, problem))
        return 0;
    print_error("%s: %s\n", sql, verdict.text.n ? verdict.text.p : "nothing was found");
    return 1;
}

static bool is_indexed(void)
{
    return world_count(w,
                       "SELECT CASE WHEN EXISTS (SELECT 1 FROM message_messages m"
                       " JOIN message_conversations c ON c.num = m.conversation_num"
                       " WHERE m.lsn > COALESCE((SELECT i.lsn FROM message_indexed i"
                       " WHERE i.shard = c.shard), 0)) THEN 0 ELSE 1 END WHERE ? = ''",
                       "") == 1;
}

/* In a thread, calling somebody by name, forwarded, with a file, pinned. */
static void say_more(const char *id)
{
    Message__Content content = MESSAGE__CONTENT__INIT;
    char *mentions[] = {bob.user_id, bob.user_id};
    content.text = "a word to you \xe4\xb8\xad\xe6\x96\x87";
    content.mentions = mentions;
    content.n_mentions = 2;
    content.is_mentioning_all = true;
    Message__SendMessageRequest send = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    send.conversation_id = (char *)id;
    send.content = &content;
    send.thread_seq = 4;
    send.reply_to_seq = 4;
    assert_non_null(send_it(w, &ann, send)); /* 6 */
    Message__SendMessageRequest forward = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    forward.conversation_id = forward.forward_conversation_id = (char *)id;
    forward.forward_seq = 2;
    assert_non_null(send_it(w, &ann, forward)); /* 7 */
    Message__PinRequest pin = MESSAGE__PIN_REQUEST__INIT;
    pin.id = (char *)id;
    pin.seq = 1;
    assert_non_null(ask(w, w->message, "Pin", &pin, &ann));
    assert_non_null(mark_read(w, &bob, id, 7));
}

/* A direct conversation and a group with something of everything in it. */
static void talk(void)
{
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    const char *id = make_group(w, &ann, make, MEMBERS(&bob, &cleo))->id;
    for (int i = 0; i < 5; i++)
        say(w, i % 2 ? &ann : &bob, id, "a word or two", NULL);
    say_more(id);
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

static void await_index(void)
{
    for (int i = 0; i < 3000 && !is_indexed(); i++)
        usleep(10000);
    assert_true(is_indexed());
}

static void test_whole(void **state UNUSED)
{
    talk();
    assert_int_equal(problems(), 0);
    await_index();
    assert_int_equal(problems(), 0);
    assert_int_equal(verdict.conversations, 2);
    assert_int_equal(verdict.messages, 8);
    assert_int_equal(verdict.revisions, 13);
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
    {"DELETE FROM message_messages WHERE seq = 7", "stands between other messages"},
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
    /* what must stand beside */
    {"DELETE FROM message_terms WHERE rowid = (SELECT MAX(lsn) FROM message_messages)",
     "its words are missing"},
    {"UPDATE message_terms SET t = 'another' WHERE rowid IN"
     " (SELECT lsn FROM message_messages WHERE seq = 2)",
     "has other words"},
    {"UPDATE message_terms SET c = c + 1", "has other words"},
    {"UPDATE message_terms SET s = 'another'", "has other words"},
    {"UPDATE message_terms SET k = 'k9'", "has other words"},
    {"INSERT INTO message_terms (rowid, t, c) VALUES (5, 'word', 1)", "finds more or less"},
    {"INSERT INTO message_terms (rowid, t, c) VALUES (5, 'word', 99)", "of no message"},
    {"INSERT INTO message_terms (rowid, t, c) SELECT lsn, 'word', conversation_num"
     " FROM message_messages WHERE seq = 3",
     "has other words"},
    {"DELETE FROM message_mentions WHERE user_id = '*'", "a mention is missing"},
    {"DELETE FROM message_mentions WHERE user_id <> '*'", "a mention is missing"},
    {"UPDATE message_mentions SET user_id = 'x' WHERE user_id = '*'", "whom no message names"},
    {"INSERT INTO message_mentions SELECT conversation_num, 'x', seq FROM message_mentions"
     " WHERE user_id = '*'",
     "whom no message names"},
    {"DELETE FROM message_threads", "missing in its thread"},
    {"UPDATE message_threads SET thread_seq = 2", "missing in its thread"},
    {"INSERT INTO message_threads SELECT conversation_num, 4, 5 FROM message_threads",
     "places in threads"},
    {"UPDATE message_messages SET has_extras = 0 WHERE seq = 4", "do not show their thread"},
    {"UPDATE message_messages SET has_extras = 0 WHERE seq = 2", "show none of their reactions"},
    {"INSERT INTO message_files SELECT num, 2, 'x' FROM message_conversations",
     "files that no message names"},
    {"DELETE FROM message_pins", "not among the pins"},
    {"UPDATE message_messages SET is_pinned = 0", "not pinned"},
    {"INSERT INTO message_pins SELECT conversation_num, 2 FROM message_pins", "not pinned"},
    {"UPDATE message_reactions SET user_id = 'nobody'", "reactions by others"},
    {"UPDATE message_reaction_counts SET user_ids = user_ids || ' x'", "reactions by others"},
    {"UPDATE message_reaction_counts SET user_ids = ''", "reactions by others"},
    {"UPDATE message_members SET read_seq = 8 WHERE read_seq = 7", "read what is not there"},
    {"UPDATE message_members SET delivered_seq = 99", "read what is not there"},
    {"UPDATE message_members SET visible_to_seq = 99", "read what is not there"},
    {"INSERT INTO message_hidden SELECT 'x', num, 99 FROM message_conversations",
     "deleted for somebody"},
    {"UPDATE message_messages SET forwarded = forwarded || X'00' WHERE seq = 7",
     "not what was written"},
    {"UPDATE message_messages SET forwarded = X'' WHERE seq = 7", "not what was written"},
    {"UPDATE message_messages SET reply_to_seq = 3 WHERE seq = 6", "its sender asked for"},
    {"UPDATE message_messages SET thread_seq = 0 WHERE seq = 6", "its sender asked for"},
    {"UPDATE message_messages SET kind = 1 WHERE seq = 2", "another kind"},
    {"UPDATE message_members SET conversation_num = conversation_num + 50 WHERE role = 0",
     "members of a"},
    {"UPDATE message_messages SET conversation_num = conversation_num + 50",
     "messages of a conversation"},
};

static void test_damages(void **state UNUSED)
{
    int failures = 0;
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        if (i) {
            scene_close(NULL);
            scene_open(NULL);
        }
        talk();
        if (strstr(damages[i].sql, "message_terms"))
            await_index();
        failures += expect_problem(damages[i].sql, damages[i].problem);
    }
    assert_int_equal(failures, 0);
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
