/* Reactions and pins where there are many of them, and where they are not for everybody. */
#include "scene.h"

#include <stdio.h>

#define UP "\xf0\x9f\x91\x8d"

static const Message__MessageInfo *react(const struct identity *who, const char *id, int64_t seq,
                                         bool is_removed)
{
    Message__ReactRequest in = MESSAGE__REACT_REQUEST__INIT;
    in.id = (char *)id;
    in.seq = seq;
    in.emoji = UP;
    in.is_removed = is_removed;
    return ask(w, w->message, "React", &in, who);
}

static enum err run_sql(struct store_tx *tx, void *arg)
{
    return store_run(tx, arg, "");
}

static void sql(const char *text)
{
    assert_int_equal(store_write_sync(w->store, 0, run_sql, (void *)text), ERR_OK);
}

static const char *group_of_three(void)
{
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    const char *id = make_group(w, &ann, make, MEMBERS(&bob, &cleo))->id;
    assert_non_null(say(w, &ann, id, "lunch?", NULL));
    return id;
}

/* Thousands have reacted: their rows are not read for the next one, whose cost is that of the
 * first. What is read is the count; so a count that was forged shows. */
static void test_a_reaction_reads_no_others(void **state UNUSED)
{
    const char *id = group_of_three();
    react(&bob, id, 1, false);
    sql("UPDATE message_reaction_counts SET count = 5000");
    const Message__MessageInfo *m = react(&cleo, id, 1, false);
    assert_int_equal(m->reactions[0]->count, 5001);
    assert_int_equal(history(w, &ann, id)->messages[0]->reactions[0]->count, 5001);
}

static void test_some_are_named(void **state UNUSED)
{
    const char *id = group_of_three();
    react(&bob, id, 1, false);
    sql("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)"
        " INSERT INTO message_reactions (conversation_num, seq, emoji, user_id, at_ms)"
        " SELECT r.conversation_num, 1, r.emoji, 'somebody' || i, i FROM n"
        " JOIN message_reactions r ON r.seq = 1");
    sql("UPDATE message_reaction_counts SET count = 21");
    const Message__Reaction *r = react(&cleo, id, 1, false)->reactions[0];
    assert_int_equal(r->count, 22);
    assert_int_equal(r->n_user_ids, 2);
    assert_string_equal(r->user_ids[0], bob.user_id);
    assert_string_equal(r->user_ids[1], cleo.user_id);
    r = react(&cleo, id, 1, true)->reactions[0]; /* others come up */
    assert_int_equal(r->count, 21);
    assert_int_equal(r->n_user_ids, 8);
    assert_false(r->is_mine);
    assert_true(react(&bob, id, 1, false)->reactions[0]->is_mine); /* the same again */
    struct message_verdict verdict;
    assert_int_equal(message_verify(w->store, &verdict), ERR_OK);
    assert_int_equal(verdict.problems, 0);
    strbuf_deinit(&verdict.text);
}

static void test_the_last_one_takes_the_emoji_along(void **state UNUSED)
{
    const char *id = group_of_three();
    react(&bob, id, 1, false);
    assert_int_equal(react(&bob, id, 1, true)->n_reactions, 0);
    assert_int_equal(react(&bob, id, 1, true)->n_reactions, 0);
    assert_int_equal(
        world_count(w, "SELECT COUNT(*) FROM message_reaction_counts WHERE emoji <> ?", ""), 0);
}

/* What an earlier version wrote is counted when the tables are brought up to date. */
static void test_counts_of_before(void **state UNUSED)
{
    struct store *store = NULL;
    assert_int_equal(
        store_open(&store, &(struct store_options){.driver = "sqlite", .url = ":memory:"}), ERR_OK);
    assert_int_equal(store_migrate(store, message_migrations, 1), ERR_OK);
    assert_int_equal(
        store_write_sync(store, 0, run_sql,
                         "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
                         " WHERE i < 30) INSERT INTO message_reactions (conversation_num, seq,"
                         " emoji, user_id, at_ms) SELECT 7, 1 + i % 2, 'e', 'u' || i, i FROM n"),
        ERR_OK);
    assert_int_equal(store_migrate(store, message_migrations, message_migration_count), ERR_OK);
    struct world reading = {.store = store};
    assert_int_equal(world_count(&reading,
                                 "SELECT SUM(count) FROM message_reaction_counts WHERE emoji = ?",
                                 "e"),
                     30);
    assert_int_equal(
        world_count(&reading,
                    "SELECT SUM(length(user_ids) - length(replace(user_ids, ' ', '')) + 1)"
                    " FROM message_reaction_counts WHERE emoji = ?",
                    "e"),
        16);
    store_close(&store);
}

static void test_a_dissolved_group_takes_no_marks(void **state UNUSED)
{
    const char *id = group_of_three();
    react(&cleo, id, 1, false);
    Group__DissolveGroupRequest in = GROUP__DISSOLVE_GROUP_REQUEST__INIT;
    in.id = (char *)id;
    assert_non_null(ask(w, w->group, "DissolveGroup", &in, &ann));
    assert_null(react(&bob, id, 1, false));
    assert_int_equal(answer.err, ERR_FAILED_PRECONDITION);
    assert_null(react(&cleo, id, 1, true));
    assert_null(pin_it(w, &ann, id, 1, false));
    assert_int_equal(answer.err, ERR_FAILED_PRECONDITION);
}

static void test_the_blocked_leave_no_marks(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "hello", NULL)->conversation_id;
    say(w, &bob, id, "hi", NULL);
    block(w, &bob, &ann, true);
    assert_null(react(&ann, id, 2, false));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
    assert_null(pin_it(w, &ann, id, 2, false));
    assert_int_equal(answer.err, ERR_PERMISSION_DENIED);
}

static const Message__MessageInfo *first_of(const struct identity *who, const char *id)
{
    return history(w, who, id)->messages[0];
}

static void test_a_thread_ends_where_its_reader_left(void **state UNUSED)
{
    const char *id = group_of_three();
    Message__SendMessageRequest in = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    in.conversation_id = (char *)id;
    in.thread_seq = 1;
    send_it(w, &ann, in);
    assert_true(leave_group(w, &bob, id));
    send_it(w, &ann, in);
    assert_int_equal(first_of(&ann, id)->thread_count, 2);
    assert_int_equal(first_of(&bob, id)->thread_count, 1);
}

static _Atomic int told_of_mine, told_of_source, told;

static void on_told(void *arg UNUSED, const struct bus_event *e)
{
    Message__MessageEvent *m =
        message__message_event__unpack(NULL, e->payload.n, (const uint8_t *)e->payload.p);
    if (m->change && strcmp(m->change->type, "reaction") == 0) {
        const Message__MessageInfo *info = m->change->message;
        told_of_mine += info->n_reactions && info->reactions[0]->is_mine;
        told_of_source += info->forwarded_from && info->forwarded_from->conversation_id[0];
        told++;
    }
    message__message_event__free_unpacked(m, NULL);
}

static bool is_told(void *arg UNUSED)
{
    return told == 1;
}

/* The one who reacts is answered with what is theirs; the others hear without it. */
static void test_what_is_mine_is_told_to_me(void **state UNUSED)
{
    told_of_mine = told_of_source = told = 0;
    const char *from = tell(w, &ann, &cleo, "secret plans", NULL)->conversation_id;
    const char *id = group_of_three();
    Message__SendMessageRequest in = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    in.conversation_id = (char *)id;
    in.forward_conversation_id = (char *)from;
    in.forward_seq = 1;
    assert_int_equal(send_it(w, &ann, in)->seq, 2);
    int subscription = bus_subscribe(w->bus, "message_events", "test", on_told, NULL);
    const Message__MessageInfo *mine = react(&ann, id, 2, false);
    assert_true(mine->reactions[0]->is_mine);
    assert_string_equal(mine->forwarded_from->conversation_id, from);
    eventually(is_told, NULL);
    bus_unsubscribe(w->bus, subscription);
    assert_int_equal(told_of_mine, 0);
    assert_int_equal(told_of_source, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_reaction_reads_no_others, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_some_are_named, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_the_last_one_takes_the_emoji_along, scene_open,
                                        scene_close),
        cmocka_unit_test(test_counts_of_before),
        cmocka_unit_test_setup_teardown(test_a_dissolved_group_takes_no_marks, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(test_the_blocked_leave_no_marks, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_a_thread_ends_where_its_reader_left, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(test_what_is_mine_is_told_to_me, scene_open, scene_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
