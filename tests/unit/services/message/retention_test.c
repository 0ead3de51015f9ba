/* retention: what is too old goes from the front of its log, with all that spoke of it, and the
 * rest stays whole for readers, for search and for `parlance verify`. */
#include "scene.h"

#include "services/message/message_internal.h"

static enum err alter(struct store_tx *tx, void *arg)
{
    return store_run(tx, arg, "");
}

static void sql(const char *text)
{
    assert_int_equal(store_write_sync(w->store, 0, alter, (void *)text), ERR_OK);
}

static void check_whole(void)
{
    struct message_verdict verdict;
    assert_int_equal(message_verify(w->store, &verdict), ERR_OK);
    if (verdict.problems)
        fail_msg("%s", verdict.text.p);
    strbuf_deinit(&verdict.text);
}

static void trim(const char *id)
{
    assert_int_equal(message_retention_trim(w->message_service, id), ERR_OK);
}

static int64_t rows(const char *table)
{
    char text[200];
    snprintf(text, sizeof(text), "SELECT COUNT(*) FROM %s WHERE ? = ''", table);
    return world_count(w, text, "");
}

/* Ten messages with something of everything; the first six are three days old. */
static const char *old_and_new(void)
{
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    const char *id = make_group(w, &ann, make, MEMBERS(&bob, &cleo))->id;
    for (int i = 1; i <= 10; i++) {
        char text[40];
        snprintf(text, sizeof(text), "word%d", i);
        Message__Content content = MESSAGE__CONTENT__INIT;
        Message__SendMessageRequest send = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
        content.text = text;
        content.is_mentioning_all = i == 3; /* the owner may */
        send.conversation_id = (char *)id;
        send.client_msg_id = text;
        send.content = &content;
        send.thread_seq = i == 5 || i == 8 ? 4 : 0;
        assert_non_null(send_it(w, i % 2 ? &ann : &bob, send));
        Message__ReactRequest react = MESSAGE__REACT_REQUEST__INIT;
        react.id = (char *)id;
        react.seq = i;
        react.emoji = "\xf0\x9f\x91\x8d";
        assert_non_null(ask(w, w->message, "React", &react, &bob));
    }
    Message__RecallMessageRequest recall = MESSAGE__RECALL_MESSAGE_REQUEST__INIT;
    recall.id = (char *)id;
    recall.seq = 3;
    assert_non_null(ask(w, w->message, "RecallMessage", &recall, &ann));
    Message__PinRequest pin = MESSAGE__PIN_REQUEST__INIT;
    pin.id = (char *)id;
    pin.seq = 1;
    assert_non_null(ask(w, w->message, "Pin", &pin, &ann));
    int64_t hidden[] = {2, 9};
    Message__DeleteForMeRequest hide = MESSAGE__DELETE_FOR_ME_REQUEST__INIT;
    hide.id = (char *)id;
    hide.seqs = hidden;
    hide.n_seqs = 2;
    assert_non_null(ask(w, w->message, "DeleteForMe", &hide, &bob));
    sql("UPDATE message_messages SET created_at_ms = created_at_ms - 3 * 86400000 WHERE seq <= 6");
    return id;
}

static void keep_days(const char *id, int days)
{
    Group__UpdateGroupRequest update = GROUP__UPDATE_GROUP_REQUEST__INIT;
    update.id = (char *)id;
    update._retention_days_case = GROUP__UPDATE_GROUP_REQUEST___RETENTION_DAYS_RETENTION_DAYS;
    update.retention_days = days;
    assert_non_null(ask(w, w->group, "UpdateGroup", &update, &ann));
}

static void test_the_old_goes(void **state UNUSED)
{
    char text[400];
    const char *id = old_and_new();
    keep_days(id, 4);
    trim(id);
    assert_int_equal(rows("message_messages"), 10); /* not old enough */
    keep_days(id, 2);
    int64_t before = look(w, &cleo, id)->rev;
    trim(id);
    assert_string_equal(texts_of(history(w, &cleo, id), text, sizeof(text)),
                        "word7|word8|word9|word10");
    const Message__Conversation *c = look(w, &cleo, id);
    assert_int_equal(c->first_seq, 7);
    assert_int_equal(c->last_seq, 10);
    assert_int_equal(c->own->unread_count, 4);
    assert_int_equal(c->own->mention_count, 0);
    assert_int_equal(c->rev, before + 1); /* one change tells of it */
    assert_int_equal(rows("message_mentions"), 0);
    assert_int_equal(rows("message_pins"), 0);
    assert_int_equal(rows("message_hidden"), 1);
    assert_int_equal(rows("message_threads"), 1);
    assert_int_equal(rows("message_reactions"), 4);
    check_whole();
    trim(id);
    assert_int_equal(look(w, &cleo, id)->rev, before + 1); /* nothing to tell */
    assert_int_equal(say(w, &ann, id, "word11", NULL)->seq, 11);
    check_whole();
    world_restart_message(w);
    check_whole();
}

/* Who was away goes on where the log begins now, from wherever it stood. */
static void test_clients_catch_up(void **state UNUSED)
{
    const char *id = old_and_new();
    keep_days(id, 2);
    trim(id);
    int64_t rev = look(w, &cleo, id)->rev;
    for (int64_t after = 0; after <= rev; after++) {
        const Message__ChangeList *list = changes(w, &cleo, id, after);
        int64_t expected_seq = 7, last = after;
        assert_int_equal(list->rev, rev);
        assert_false(list->has_more);
        for (size_t i = 0; i < list->n_changes; i++) {
            const Message__Change *change = list->changes[i];
            assert_true(change->rev > last);
            assert_true(i == 0 || change->prev_rev == last);
            last = change->rev;
            if (strcmp(change->type, "message") != 0)
                continue;
            assert_true(change->message->seq >= expected_seq);
            expected_seq = change->message->seq + 1;
        }
        if (after < rev) {
            assert_string_equal(list->changes[list->n_changes - 1]->type, "conversation");
            assert_int_equal(list->changes[list->n_changes - 1]->conversation->first_seq, 7);
        }
    }
}

static void test_many_batches(void **state UNUSED)
{
    const char *id = tell(w, &ann, &bob, "0", NULL)->conversation_id;
    for (int i = 1; i < 450; i++)
        say(w, &ann, id, "x", NULL);
    sql("UPDATE message_conversations SET retention_days = 1");
    sql("UPDATE message_messages SET created_at_ms = 1000");
    trim(id);
    assert_int_equal(rows("message_messages"), 0);
    assert_int_equal(look(w, &bob, id)->first_seq, 451);
    assert_int_equal(look(w, &bob, id)->own->unread_count, 0);
    check_whole();
    assert_int_equal(say(w, &bob, id, "anew", NULL)->seq, 451);
    check_whole();
    assert_int_equal(changes(w, &ann, id, 5)->n_changes, 2);
}

static bool is_found(void *query)
{
    Message__SearchRequest search = MESSAGE__SEARCH_REQUEST__INIT;
    search.query = query;
    const Message__SearchReply *found = ask(w, w->message, "Search", &search, &cleo);
    return found->n_messages == 1;
}

static void test_search_forgets(void **state UNUSED)
{
    const char *id = old_and_new();
    eventually(is_found, "word10");
    assert_true(is_found("word4"));
    int64_t words = rows("message_terms");
    keep_days(id, 2);
    trim(id);
    assert_false(is_found("word4"));
    assert_true(is_found("word10"));
    assert_true(rows("message_terms") < words);
    check_whole();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_old_goes, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_clients_catch_up, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_many_batches, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_search_forgets, scene_open, scene_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
