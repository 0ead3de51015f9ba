/* Contacts: asked, accepted, refused, ended, blocked; and what the blocked one is not told. */
#include "talk.h"

static struct world *w;
static struct identity admin, ann, bob, cleo;

static int setup(void **state UNUSED)
{
    w = world_open(&(struct world_options){0});
    admin = world_register(w, "admin");
    ann = world_register(w, "ann");
    bob = world_register(w, "bob");
    cleo = world_register(w, "cleo");
    return 0;
}

static int teardown(void **state UNUSED)
{
    world_close(&w);
    return 0;
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_asked_and_accepted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_both_ask, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ended_on_both_sides, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_block_is_not_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_aliases, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
