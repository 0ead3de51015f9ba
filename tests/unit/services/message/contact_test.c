/* Contacts: asked, accepted, refused, ended, blocked; and what the blocked one is not told. */
#include "scene.h"

static const Contact__ContactInfo *request(const struct identity *who, const struct identity *to)
{
    Contact__RequestContactRequest in = CONTACT__REQUEST_CONTACT_REQUEST__INIT;
    in.user_id = (char *)to->user_id;
    in.note = "it is me";
    return ask(w, w->contact, "RequestContact", &in, who);
}

static const Contact__ContactInfo *reply_to(const struct identity *who, const struct identity *to,
                                            bool is_accepted)
{
    Contact__AnswerContactRequest in = CONTACT__ANSWER_CONTACT_REQUEST__INIT;
    in.user_id = (char *)to->user_id;
    in.is_accepted = is_accepted;
    return ask(w, w->contact, "AnswerContact", &in, who);
}

static size_t count(const struct identity *who, const char *list)
{
    Contact__ListContactsRequest in = CONTACT__LIST_CONTACTS_REQUEST__INIT;
    in.state = (char *)list;
    const Contact__ContactList *reply = ask(w, w->contact, "ListContacts", &in, who);
    return reply ? reply->n_contacts : 99;
}

static void test_asked_and_accepted(void **state UNUSED)
{
    assert_int_equal(request(&ann, &bob)->state, CONTACT__CONTACT_STATE__REQUESTED);
    assert_int_equal(count(&bob, "asked"), 1);
    assert_null(reply_to(&ann, &bob, true)); /* not her answer to give */
    assert_int_equal(answer.err, ERR_FAILED_PRECONDITION);
    assert_int_equal(reply_to(&bob, &ann, true)->state, CONTACT__CONTACT_STATE__FRIEND);
    assert_int_equal(count(&ann, ""), 1);
    assert_int_equal(count(&bob, "friend"), 1);
    assert_int_equal(count(&bob, "asked"), 0);
    assert_null(request(&ann, &ann));
    assert_int_equal(answer.err, ERR_INVALID_ARGUMENT);
    assert_int_equal(count(&ann, "enemies"), 99);
}

static void test_both_ask(void **state UNUSED)
{
    request(&ann, &bob);
    assert_int_equal(request(&bob, &ann)->state, CONTACT__CONTACT_STATE__FRIEND);
    assert_int_equal(count(&ann, ""), 1);
}

static void test_refused(void **state UNUSED)
{
    request(&ann, &bob);
    assert_int_equal(reply_to(&bob, &ann, false)->state, CONTACT__CONTACT_STATE__NONE);
    assert_int_equal(count(&ann, "requested") + count(&ann, "") + count(&bob, "asked"), 0);
}

static void test_ended_on_both_sides(void **state UNUSED)
{
    request(&ann, &bob);
    reply_to(&bob, &ann, true);
    Contact__RemoveContactRequest in = CONTACT__REMOVE_CONTACT_REQUEST__INIT;
    in.user_id = bob.user_id;
    assert_non_null(ask(w, w->contact, "RemoveContact", &in, &ann));
    assert_int_equal(count(&ann, "") + count(&bob, ""), 0);
}

static void test_a_block_is_not_told(void **state UNUSED)
{
    request(&ann, &bob);
    reply_to(&bob, &ann, true);
    assert_int_equal(block(w, &bob, &ann, true)->state, CONTACT__CONTACT_STATE__BLOCKED);
    assert_int_equal(count(&ann, ""), 0);
    assert_int_equal(count(&ann, "blocked"), 0);
    assert_int_equal(request(&ann, &bob)->state, CONTACT__CONTACT_STATE__REQUESTED);
    assert_int_equal(count(&bob, "asked"), 0);
    assert_int_equal(count(&bob, "blocked"), 1);
    Contact__RemoveContactRequest in = CONTACT__REMOVE_CONTACT_REQUEST__INIT;
    in.user_id = bob.user_id;
    ask(w, w->contact, "RemoveContact", &in, &ann); /* does not lift it */
    assert_int_equal(count(&bob, "blocked"), 1);
    assert_null(request(&bob, &ann));
    assert_int_equal(answer.err, ERR_FAILED_PRECONDITION);
    assert_int_equal(block(w, &bob, &ann, false)->state, CONTACT__CONTACT_STATE__NONE);
}

static void test_aliases(void **state UNUSED)
{
    Contact__SetContactRequest in = CONTACT__SET_CONTACT_REQUEST__INIT;
    in.user_id = bob.user_id;
    in._alias_case = CONTACT__SET_CONTACT_REQUEST___ALIAS_ALIAS;
    in.alias = "  Bobby ";
    assert_null(ask(w, w->contact, "SetContact", &in, &ann));
    assert_int_equal(answer.err, ERR_FAILED_PRECONDITION);
    request(&ann, &bob);
    const Contact__ContactInfo *c = ask(w, w->contact, "SetContact", &in, &ann);
    assert_string_equal(c->alias, "Bobby");
}

static _Atomic int told_both;

static void on_told(void *arg UNUSED, const struct bus_event *e)
{
    Message__MessageEvent *m =
        message__message_event__unpack(NULL, e->payload.n, (const uint8_t *)e->payload.p);
    if (m->n_contact_user_ids > 1)
        told_both++;
    message__message_event__free_unpacked(m, NULL);
}

static bool is_told(void *arg UNUSED)
{
    return told_both > 0;
}

/* What happens in one's own row alone is not told to the other. */
static void test_nobody_hears_of_the_rows_of_others(void **state UNUSED)
{
    told_both = 0;
    int subscription = bus_subscribe(w->bus, "message_events", "test", on_told, NULL);
    block(w, &ann, &bob, true);
    block(w, &ann, &bob, false);
    request(&ann, &bob); /* this one is; events about one person come in order */
    eventually(is_told, NULL);
    bus_unsubscribe(w->bus, subscription);
    assert_int_equal(told_both, 1);
}

static enum err fill_contacts(struct store_tx *tx, void *arg)
{
    return store_run(
        tx,
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
        " INSERT INTO message_contacts (owner_id, user_id, state, note, alias, since_ms)"
        " SELECT ?, 'stranger' || i, ?, '', '', 0 FROM n",
        "si", ann.user_id, *(const int64_t *)arg);
}

static void test_strangers_do_not_fill_the_list(void **state UNUSED)
{
    int64_t asked = CONTACT__CONTACT_STATE__ASKED;
    assert_int_equal(store_write_sync(w->store, 0, fill_contacts, &asked), ERR_OK);
    assert_non_null(block(w, &ann, &bob, true));
}

static void test_a_full_list_can_be_changed(void **state UNUSED)
{
    int64_t friend = CONTACT__CONTACT_STATE__FRIEND;
    block(w, &ann, &bob, true);
    assert_int_equal(store_write_sync(w->store, 0, fill_contacts, &friend), ERR_OK);
    assert_null(block(w, &ann, &cleo, true));
    assert_int_equal(answer.err, ERR_RESOURCE_EXHAUSTED);
    assert_non_null(block(w, &ann, &bob, false));
}

static void test_requests_to_one_person_have_an_end(void **state UNUSED)
{
    int64_t asked = CONTACT__CONTACT_STATE__ASKED;
    assert_int_equal(store_write_sync(w->store, 0, fill_contacts, &asked), ERR_OK);
    assert_null(request(&bob, &ann));
    assert_int_equal(answer.err, ERR_RESOURCE_EXHAUSTED);
    assert_int_equal(count(&bob, "requested"), 0);
    assert_non_null(request(&ann, &bob)); /* her own requests are another matter */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_asked_and_accepted, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_both_ask, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_refused, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_ended_on_both_sides, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_a_block_is_not_told, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_aliases, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_nobody_hears_of_the_rows_of_others, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(test_strangers_do_not_fill_the_list, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(test_a_full_list_can_be_changed, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(test_requests_to_one_person_have_an_end, scene_open,
                                        scene_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
