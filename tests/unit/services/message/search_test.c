/* Search: what is found, by whom, and that edits and recalls are seen by it. */
#include "scene.h"

#include <stdlib.h>
#include <unistd.h>

static const Message__SearchReply *search(const struct identity *who, const char *query,
                                          Message__SearchRequest in)
{
    in.query = (char *)query;
    const Message__SearchReply *reply = ask(w, w->message, "Search", &in, who);
    for (int i = 0; reply && reply->is_indexing && i < 300; i++) {
        usleep(20000);
        reply = ask(w, w->message, "Search", &in, who);
    }
    return reply;
}

static size_t found(const struct identity *who, const char *query)
{
    Message__SearchRequest in = MESSAGE__SEARCH_REQUEST__INIT;
    const Message__SearchReply *reply = search(who, query, in);
    assert_non_null(reply);
    return reply->n_messages;
}

struct sought {
    const struct identity *who;
    const char *query;
    size_t count;
};

static bool is_found(void *arg)
{
    const struct sought *s = arg;
    return found(s->who, s->query) == s->count;
}

static void expect_found(const struct identity *who, const char *query, size_t count)
{
    struct sought sought = {who, query, count};
    eventually(is_found, &sought);
}

static void test_words_and_characters(void **state UNUSED)
{
    tell(w, &ann, &bob, "The Quick brown fox, naïvely", NULL);
    tell(w, &ann, &bob, "明天下午开会讨论预算", NULL);
    tell(w, &bob, &ann, "quick answer", NULL);
    expect_found(&ann, "quick", 2);
    expect_found(&ann, "QUI", 2); /* as one types */
    expect_found(&ann, "fox quick", 1);
    expect_found(&ann, "naively", 1);
    expect_found(&ann, "fox dog", 0);
    expect_found(&ann, "开会", 1); /* two characters, in the midst */
    expect_found(&ann, "预算", 1);
    expect_found(&ann, "算", 1); /* one, at the end */
    expect_found(&ann, "明", 1);
    expect_found(&ann, "会开", 0);
}

static void test_only_ones_own(void **state UNUSED)
{
    tell(w, &ann, &bob, "treasure", NULL);
    expect_found(&bob, "treasure", 1);
    expect_found(&cleo, "treasure", 0);
    Message__SearchRequest in = MESSAGE__SEARCH_REQUEST__INIT;
    in.id = tell(w, &ann, &bob, "more", NULL)->conversation_id;
    assert_null(search(&cleo, "treasure", in));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
}

static void test_what_was_there_before_one_came(void **state UNUSED)
{
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    const char *id = make_group(w, &ann, make, MEMBERS(&bob))->id;
    say(w, &ann, id, "treasure one", NULL);
    add_member(w, &ann, id, &cleo);
    say(w, &ann, id, "treasure two", NULL);
    expect_found(&bob, "treasure", 2);
    expect_found(&cleo, "treasure", 1);
    assert_true(leave_group(w, &bob, id));
    say(w, &ann, id, "treasure three", NULL);
    expect_found(&cleo, "treasure", 2);
    expect_found(&bob, "treasure", 2);
}

static void test_edits_and_recalls(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "apples", NULL)->conversation_id;
    expect_found(&bob, "apples", 1);
    Message__EditMessageRequest edit = MESSAGE__EDIT_MESSAGE_REQUEST__INIT;
    Message__Content content = MESSAGE__CONTENT__INIT;
    content.text = "pears";
    edit.id = (char *)id;
    edit.seq = 1;
    edit.content = &content;
    assert_non_null(ask(w, w->message, "EditMessage", &edit, &ann));
    assert_int_equal(found(&bob, "apples"), 0);
    assert_int_equal(found(&bob, "pears"), 1);
    Message__RecallMessageRequest recall = MESSAGE__RECALL_MESSAGE_REQUEST__INIT;
    recall.id = (char *)id;
    recall.seq = 1;
    assert_non_null(ask(w, w->message, "RecallMessage", &recall, &ann));
    assert_int_equal(found(&bob, "pears"), 0);
    assert_int_equal(world_count(w, "SELECT COUNT(*) FROM message_terms WHERE t LIKE ?", "%pears%"),
                     0);
}

static void test_filters_and_pages(void **state UNUSED)
{
    for (int i = 0; i < 7; i++)
        tell(w, i % 2 ? &ann : &bob, i % 2 ? &bob : &ann, "same words", NULL);
    expect_found(&ann, "same", 7);
    Message__SearchRequest in = MESSAGE__SEARCH_REQUEST__INIT;
    in.sender_id = ann.user_id;
    assert_int_equal(search(&ann, "same", in)->n_messages, 3);
    in.sender_id = "";
    in.to_ms = 1;
    assert_int_equal(search(&ann, "same", in)->n_messages, 0);
    in.to_ms = 0;
    in._kind_case = MESSAGE__SEARCH_REQUEST___KIND_KIND;
    in.kind = MESSAGE__CONTENT_KIND__IMAGE;
    assert_int_equal(search(&ann, "same", in)->n_messages, 0);
    in.kind = MESSAGE__CONTENT_KIND__TEXT;
    in.limit = 3;
    size_t total = 0;
    int64_t last = 100;
    for (int page = 0; page < 5; page++) {
        const Message__SearchReply *reply = search(&ann, "same", in);
        for (size_t i = 0; i < reply->n_messages; i++, total++) {
            assert_true(reply->messages[i]->seq < last); /* the newest first, none twice */
            last = reply->messages[i]->seq;
        }
        if (!reply->next_cursor[0])
            break;
        in.cursor = reply->next_cursor;
    }
    assert_int_equal(total, 7);
}

/* ---- without a word ---- */

static Message__SearchRequest filter(const char *id, const char *sender_id)
{
    Message__SearchRequest in = MESSAGE__SEARCH_REQUEST__INIT;
    in.id = (char *)id;
    in.sender_id = (char *)sender_id;
    return in;
}

static Message__SearchRequest of_kind(Message__SearchRequest in, Message__ContentKind kind)
{
    in._kind_case = MESSAGE__SEARCH_REQUEST___KIND_KIND;
    in.kind = kind;
    return in;
}

static const char *send_place(const struct identity *from, const char *id)
{
    Message__SendMessageRequest in = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    Message__Content content = MESSAGE__CONTENT__INIT;
    Message__Location location = MESSAGE__LOCATION__INIT;
    static int count;
    char key[32];
    snprintf(key, sizeof(key), "place-%d", count++);
    content.kind = MESSAGE__CONTENT_KIND__LOCATION;
    content.location = &location;
    in.conversation_id = (char *)id;
    in.client_msg_id = key;
    in.content = &content;
    const Message__SendMessageReply *sent = ask(w, w->message, "SendMessage", &in, from);
    assert_non_null(sent);
    return sent->id;
}

struct filtered {
    const struct identity *who;
    Message__SearchRequest in;
    size_t count;
};

static bool is_filtered(void *arg)
{
    const struct filtered *f = arg;
    const Message__SearchReply *reply = search(f->who, "", f->in);
    return reply && reply->n_messages == f->count;
}

static void expect_filtered(const struct identity *who, Message__SearchRequest in, size_t count)
{
    struct filtered f = {who, in, count};
    eventually(is_filtered, &f);
}

static void test_by_filters_alone(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "one", NULL)->conversation_id;
    tell(w, &bob, &ann, "two", NULL);
    const char *place = send_place(&ann, id); /* no word in it */
    tell(w, &ann, &cleo, "elsewhere", NULL);
    expect_filtered(&ann, filter("", ann.user_id), 3);
    expect_filtered(&bob, filter("", ann.user_id), 2); /* not what Ann says to Cleo */
    expect_filtered(&cleo, filter("", bob.user_id), 0);
    expect_filtered(&ann, filter(id, ""), 3);
    expect_filtered(&ann, filter(id, bob.user_id), 1);
    Message__SearchRequest places = of_kind(filter("", ""), MESSAGE__CONTENT_KIND__LOCATION);
    expect_filtered(&ann, places, 1);
    expect_filtered(&bob, places, 1);
    expect_filtered(&cleo, places, 0);
    assert_string_equal(search(&bob, "", places)->messages[0]->id, place);
    expect_filtered(&ann, of_kind(filter(id, ann.user_id), MESSAGE__CONTENT_KIND__TEXT), 1);
    assert_null(search(&cleo, "", filter(id, "")));
    assert_int_equal(answer.err, ERR_NOT_FOUND);
}

static void test_by_time_alone(void **state UNUSED)
{
    const Message__SendMessageReply *first = tell(w, &ann, &bob, "one", NULL);
    char *id = strdup(first->conversation_id);
    usleep(20000);
    int64_t second_ms = tell(w, &ann, &bob, "two", NULL)->created_at_ms;
    usleep(20000);
    int64_t third_ms = tell(w, &ann, &bob, "three", NULL)->created_at_ms;
    Message__SearchRequest in = filter(id, "");
    expect_filtered(&ann, in, 3);
    in.from_ms = second_ms;
    expect_filtered(&ann, in, 2);
    in.to_ms = third_ms;
    expect_filtered(&ann, in, 1);
    assert_string_equal(search(&ann, "", in)->messages[0]->content->text, "two");
    in.id = (char *)"";
    in.from_ms = third_ms + 3600 * 1000;
    in.to_ms = 0;
    expect_filtered(&ann, in, 0);
    in.from_ms = -1;
    assert_null(search(&ann, "", in));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    free(id);
}

static void test_filters_pass_by_what_is_gone(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "one", NULL)->conversation_id;
    tell(w, &ann, &bob, "two", NULL);
    tell(w, &ann, &bob, "three", NULL);
    expect_filtered(&bob, filter(id, ""), 3);
    Message__RecallMessageRequest recall = MESSAGE__RECALL_MESSAGE_REQUEST__INIT;
    recall.id = (char *)id;
    recall.seq = 1;
    assert_non_null(ask(w, w->message, "RecallMessage", &recall, &ann));
    Message__DeleteForMeRequest hide = MESSAGE__DELETE_FOR_ME_REQUEST__INIT;
    int64_t seqs[] = {2};
    hide.id = (char *)id;
    hide.seqs = seqs;
    hide.n_seqs = 1;
    assert_non_null(ask(w, w->message, "DeleteForMe", &hide, &bob));
    expect_filtered(&bob, filter(id, ""), 1);
    expect_filtered(&ann, filter(id, ""), 2);
}

/* So much was said before that it is passed by in one step. */
static void test_filters_know_where_one_came_in(void **state UNUSED)
{
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    const char *id = make_group(w, &ann, make, MEMBERS(&bob))->id;
    for (int i = 0; i < 1100; i++)
        say(w, &ann, id, "before", NULL);
    add_member(w, &ann, id, &cleo);
    say(w, &ann, id, "after", NULL);
    expect_filtered(&cleo, filter("", ann.user_id), 1);
    assert_string_equal(search(&cleo, "", filter("", ann.user_id))->next_cursor, "");
    assert_true(leave_group(w, &bob, id));
    say(w, &ann, id, "without bob", NULL);
    expect_filtered(&cleo, filter("", ann.user_id), 2);
    const Message__SearchReply *left = search(&bob, "", filter(id, ""));
    assert_string_equal(left->messages[0]->content->text, "after");
}

static void test_pages_without_words(void **state UNUSED)
{
    for (int i = 0; i < 25; i++)
        tell(w, i % 2 ? &ann : &bob, i % 2 ? &bob : &ann, i % 3 ? "x" : "?!", NULL);
    Message__SearchRequest in = filter("", bob.user_id);
    expect_filtered(&ann, in, 13);
    in.limit = 4;
    size_t total = 0;
    int64_t last = 100;
    for (int page = 0; page < 10; page++) {
        const Message__SearchReply *reply = search(&ann, "", in);
        for (size_t i = 0; i < reply->n_messages; i++, total++) {
            assert_true(reply->messages[i]->seq < last);
            last = reply->messages[i]->seq;
        }
        tell(w, &bob, &ann, "what comes meanwhile", NULL);
        if (!reply->next_cursor[0])
            break;
        in.cursor = reply->next_cursor;
    }
    assert_int_equal(total, 13);
}

static void test_a_question_is_needed(void **state UNUSED)
{
    assert_null(search(&ann, "", filter("", "")));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    assert_null(search(&ann, "", filter("", "x\" OR \"k0")));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
}

static enum err many_conversations(struct store_tx *tx, void *arg UNUSED)
{
    enum err err = store_run(
        tx,
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)"
        " INSERT INTO message_conversations (num, id, natural_key, kind, title, avatar_url,"
        " announcement, owner_id, meeting_id, join_rule, is_muted, is_dissolved, retention_days,"
        " member_count, first_seq, last_seq, rev, head_lsn, chain, created_at_ms, active_at_ms)"
        " SELECT 10 + i, 'many' || i, 'many' || i, 1, '', '', '', '', '', 0, 0, 0, 0, 1, 1, 0, 0, "
        "1,"
        " x'', 0, 1 << 60 FROM n",
        "");
    if (err)
        return err;
    return store_run(
        tx,
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)"
        " INSERT INTO message_members (conversation_num, user_id, role, state, nickname,"
        " joined_at_ms, muted_until_ms, visible_from_seq, visible_to_seq, visible_to_rev,"
        " read_seq, delivered_seq, is_marked_unread, quiet_until_ms, is_pinned, archived_seq,"
        " draft, draft_at_ms, own_lsn)"
        " SELECT 10 + i, ?, 0, 0, '', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '', 0, 0 FROM n",
        "s", ann.user_id);
}

/* The oldest conversation is searched as the newest is, and hits of all come in one order. */
static void test_in_more_conversations_than_one_query_takes(void **state UNUSED)
{
    tell(w, &ann, &bob, "needle one", NULL);
    assert_int_equal(store_write_sync(w->store, 0, many_conversations, NULL), ERR_OK);
    tell(w, &ann, &cleo, "needle two", NULL);
    usleep(2000); /* within a millisecond shards have no order */
    tell(w, &ann, &bob, "needle three", NULL);
    expect_found(&ann, "needle", 3);
    Message__SearchRequest in = MESSAGE__SEARCH_REQUEST__INIT;
    const Message__SearchReply *reply = search(&ann, "needle", in);
    assert_string_equal(reply->messages[0]->content->text, "needle three");
    assert_string_equal(reply->messages[1]->content->text, "needle two");
    assert_string_equal(reply->messages[2]->content->text, "needle one");
    assert_int_equal(found(&cleo, "needle"), 1);
}

static void test_hostile_queries(void **state UNUSED)
{
    tell(w, &ann, &bob, "plain words", NULL);
    expect_found(&ann, "plain", 1);
    static const char *const queries[] = {"plain\" OR \"x", "plain*", "NEAR(plain words)",
                                          "{t}:plain", "plain) OR (1"};
    for (size_t i = 0; i < ARRAY_LEN(queries); i++)
        found(&ann, queries[i]); /* words, or nothing; never an error of the engine */
    Message__SearchRequest in = MESSAGE__SEARCH_REQUEST__INIT;
    assert_null(search(&ann, "?!", in));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    in.cursor = "x";
    assert_null(search(&ann, "plain", in));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_words_and_characters, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_only_ones_own, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_what_was_there_before_one_came, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(test_edits_and_recalls, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_filters_and_pages, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_in_more_conversations_than_one_query_takes, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(test_hostile_queries, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_by_filters_alone, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_by_time_alone, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_filters_pass_by_what_is_gone, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_filters_know_where_one_came_in, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(test_pages_without_words, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_a_question_is_needed, scene_open, scene_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
