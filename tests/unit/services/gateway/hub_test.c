/* The hub: who hears what; lists that come late, in pages, or at the second try; large
 * conversations; typing; sign-ins that end at the wrong moment. */
#include "hub_fixture.h"

#include <unistd.h>

static void come(uint64_t socket, const char *user_id)
{
    join(socket, user_id, "s");
    wait_frames(socket, "ready", 1);
}

static void small(const char *id, int64_t seq)
{
    say(&(struct said){.conversation_id = id, .sender_id = "ann", .seq = seq, .member_count = 3});
}

static void lists(size_t count)
{
    fake_lists[0] = (struct fake_list){"ann", count, 0, 10};
    fake_lists[1] = (struct fake_list){"bob", count, 0, 10};
}

static void test_members_hear(void **state UNUSED)
{
    lists(2);
    come(1, "ann");
    come(2, "bob");
    come(3, "bob"); /* a second device */
    come(4, "cleo");
    small("c-2", 1);
    for (uint64_t socket = 1; socket <= 3; socket++)
        wait_frames(socket, "change", 1);
    leave(2);
    small("c-2", 2);
    wait_frames(3, "change", 2);
    settle();
    assert_int_equal(frames_of(2, "change"), 1);
    assert_int_equal(frames_of(4, "change"), 0);
}

static void test_membership_follows_the_log(void **state UNUSED)
{
    lists(1);
    come(1, "ann");
    change_member("c-9", "ann", MESSAGE__MEMBER_STATE__ACTIVE, 11);
    small("c-9", 1);
    wait_frames(1, "change", 2);
    change_member("c-9", "ann", MESSAGE__MEMBER_STATE__GONE, 12);
    wait_frames(1, "change", 3); /* of the leaving itself one is told */
    small("c-9", 2);
    small("c-1", 1);
    wait_frames(1, "change", 4);
    assert_non_null(strstr(last_of(1, "change"), "c-1"));
}

/* What happens while the list is on its way: the newer lsn counts. */
static void test_news_and_the_list(void **state UNUSED)
{
    lists(2); /* as of lsn 10 */
    fake_hold_lists = 1;
    join(1, "ann", "s");
    settle();
    change_member("c-1", "ann", MESSAGE__MEMBER_STATE__GONE, 9);  /* the list knows better */
    change_member("c-2", "ann", MESSAGE__MEMBER_STATE__GONE, 11); /* it does not know yet */
    change_member("c-7", "ann", MESSAGE__MEMBER_STATE__ACTIVE, 12);
    change_member("c-8", "ann", MESSAGE__MEMBER_STATE__ACTIVE, 8); /* over since */
    wait_frames(1, "change", 4);
    assert_int_equal(frames_of(1, "ready"), 0);
    fake_hold_lists = 0;
    wait_frames(1, "ready", 1);
    forget_frames();
    const char *const ids[] = {"c-2", "c-8", "c-1", "c-7"};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        small(ids[i], 1);
    wait_frames(1, "change", 2);
    usleep(20000);
    settle();
    assert_int_equal(frames_of(1, "change"), 2);
}

/* Somebody else's asking to come in is no news about who hears of it. */
static void test_others_membership(void **state UNUSED)
{
    lists(1);
    fake_hold_lists = 1;
    join(1, "ann", "s");
    Message__MessageEvent event = MESSAGE__MESSAGE_EVENT__INIT;
    Message__Change change = MESSAGE__CHANGE__INIT;
    Message__Member asker = MESSAGE__MEMBER__INIT;
    char *admins[] = {"ann"};
    asker.user_id = "zoe";
    asker.state = MESSAGE__MEMBER_STATE__ASKING;
    change.conversation_id = "c-1";
    change.type = "member";
    change.member = &asker;
    event.change = &change;
    event.lsn = 11;
    event.user_ids = admins;
    event.n_user_ids = 1;
    event.is_for_named = true;
    uint8_t bytes[256];
    size_t n = message__message_event__pack(&event, bytes);
    settle();
    bus_publish(hub.bus, &(struct bus_event){.channel = "message_events",
                                             .type = "member",
                                             .key = "c-1",
                                             .payload = {(const char *)bytes, n},
                                             .id = ""});
    wait_frames(1, "change", 1);
    fake_hold_lists = 0;
    wait_frames(1, "ready", 1);
    small("c-1", 1);
    wait_frames(1, "change", 2);
}

static void test_a_list_of_many_pages(void **state UNUSED)
{
    fake_lists[0] = (struct fake_list){"ann", 12000, 5000, 10};
    fake_failing_lists = 1; /* and the first try fails */
    join(1, "ann", "s");
    wait_frames(1, "ready", 1);
    small("c-1", 1);
    small("c-5001", 1);
    small("c-12000", 1);
    wait_frames(1, "change", 3);
    small("c-12001", 1);
    settle();
    assert_int_equal(frames_of(1, "change"), 3);
}

static void say_by(const char *sender_id, const char *conversation_id, int64_t seq)
{
    say(&(struct said){
        .conversation_id = conversation_id, .sender_id = sender_id, .seq = seq, .member_count = 3});
}

static void wait_for_one_by(uint64_t socket, const char *sender_id)
{
    for (int i = 0; i < 6000 && !frames_with(socket, sender_id); i++)
        usleep(5000);
    assert_int_equal(frames_with(socket, sender_id), 1);
}

/* Who was put out while the list was asked for is told nothing between its pages either. */
static void test_put_out_between_pages(void **state UNUSED)
{
    fake_lists[0] = (struct fake_list){"ann", 10, 5, 10};
    fake_hold_lists = fake_hold_pages = 1;
    join(1, "ann", "s");
    settle();
    change_member("c-1", "ann", MESSAGE__MEMBER_STATE__GONE, 11);
    wait_frames(1, "change", 1);
    fake_hold_lists = 0;
    int64_t seq = 0;
    while (seq < 6000 && frames_of(1, "change") < 2) { /* until the first page is here */
        small("c-2", ++seq);
        usleep(5000);
    }
    say_by("eve", "c-1", 1);
    say_by("zoe", "c-2", ++seq);
    wait_for_one_by(1, "zoe");
    settle();
    size_t ready = frames_of(1, "ready");
    fake_hold_pages = 0;
    assert_int_equal(ready, 0);
    wait_frames(1, "ready", 1);
    say_by("eve", "c-1", 2);
    say_by("kim", "c-10", 1);
    wait_for_one_by(1, "kim");
    settle();
    assert_int_equal(frames_with(1, "eve"), 0);
}

/* The owner of a conversation was killed before it told who is out: the next change shows the hole,
 * and is not for whom it may not concern any more. */
static void test_put_out_unheard(void **state UNUSED)
{
    lists(2);
    come(1, "ann");
    come(2, "bob");
    come(3, "cleo");
    small("c-2", 4);
    small("c-2", 5);
    wait_frames(1, "change", 2);
    wait_frames(2, "change", 2);
    fake_lists[0].count = 1;
    fake_hold_lists = 1;
    say_by("eve", "c-2", 7);
    say_by("eve", "c-2", 8);
    settle();
    assert_int_equal(frames_with(1, "eve") + frames_with(2, "eve"), 0);
    fake_hold_lists = 0;
    wait_frames(1, "missed", 1);
    wait_frames(2, "missed", 1);
    say_by("zoe", "c-2", 9); /* again one after the other */
    say_by("zoe", "c-1", 20);
    wait_for_one_by(1, "zoe");
    wait_frames(2, "change", 4);
    settle();
    assert_int_equal(frames_with(2, "zoe"), 2);
    assert_int_equal(frames_with(1, "eve"), 0);
    assert_int_equal(frames_of(2, "missed") + frames_of(3, "missed"), 1);
}

/* ---- owners of the log ---- */

static void late_in_and_out(uint64_t socket)
{
    fake_fence = 6;
    change_member("c-9", "ann", MESSAGE__MEMBER_STATE__ACTIVE, 8);
    wait_frames(socket, "missed", 1);
    change_member("c-1", "ann", MESSAGE__MEMBER_STATE__GONE, 9);
    wait_frames(socket, "missed", 2);
    fake_fence = 7;
    say_by("eve", "c-9", 1);
    say_by("zoe", "c-1", 1);
    wait_for_one_by(socket, "zoe");
    assert_int_equal(frames_with(socket, "eve"), 0);
}

/* An owner of the log was frozen before it told, and is heard after the next one, whom a list
 * names, or an event: whom it lets in or puts out may be out or in since. */
static void test_former_owner_by_list(void **state UNUSED)
{
    lists(2);
    fake_lists[0].fence = 7;
    come(1, "ann");
    late_in_and_out(1);
}

static void test_former_owner_by_event(void **state UNUSED)
{
    lists(2);
    come(1, "ann");
    fake_fence = 7;
    small("c-2", 1);
    wait_frames(1, "change", 1);
    late_in_and_out(1);
}

/* What it said is told all the same, if nothing younger of that conversation was. */
static void test_former_owner_is_heard(void **state UNUSED)
{
    lists(2);
    fake_lists[0].fence = 7;
    come(1, "ann");
    fake_fence = 6;
    say_by("eve", "c-2", 1);
    wait_for_one_by(1, "eve");
    assert_int_equal(frames_of(1, "missed"), 0);
}

/* ---- looking ---- */

static void test_receipts_for_who_looks(void **state UNUSED)
{
    lists(12);
    fake_hold_lists = 1;
    join(1, "ann", "s");
    look(1, "c-3"); /* before ready: counts all the same */
    fake_hold_lists = 0;
    wait_frames(1, "ready", 1);
    read_up_to("c-3", "bob", 1);
    wait_frames(1, "receipt", 1);
    for (int i = 4; i <= 11; i++) { /* eight others: the oldest is looked at no more */
        char id[8];
        snprintf(id, sizeof(id), "c-%d", i);
        look(1, id);
    }
    settle();
    read_up_to("c-3", "bob", 2);
    read_up_to("c-4", "bob", 2);
    wait_frames(1, "receipt", 2);
    struct hub_post close = post_of(1, HUB_CLOSE);
    snprintf(close.conversation_id, sizeof(close.conversation_id), "c-4");
    gateway_hub_post(&close);
    settle();
    read_up_to("c-4", "bob", 3);
    read_up_to("c-11", "bob", 3);
    wait_frames(1, "receipt", 3);
    assert_non_null(strstr(last_of(1, "receipt"), "c-11"));
    read_up_to("c-99", "bob", 1); /* nobody here is in it */
}

static void test_a_look_before_the_event_that_lets_in(void **state UNUSED)
{
    come(1, "ann");
    look(1, "c-5"); /* the answer to making it came before the event */
    settle();
    change_member("c-5", "ann", MESSAGE__MEMBER_STATE__ACTIVE, 11);
    wait_frames(1, "change", 1);
    read_up_to("c-5", "bob", 1);
    wait_frames(1, "receipt", 1);
    change_member("c-5", "ann", MESSAGE__MEMBER_STATE__GONE, 12);
    wait_frames(1, "change", 2);
    read_up_to("c-5", "bob", 2);
    settle();
    usleep(20000);
    assert_int_equal(frames_of(1, "receipt"), 1);
}

/* ---- large conversations ---- */

static void test_heads(void **state UNUSED)
{
    lists(1);
    fake_lists[2] = (struct fake_list){"cleo", 1, 0, 10};
    come(1, "ann");
    come(2, "bob");
    come(3, "bob");
    come(4, "cleo");
    look(2, "c-1");
    settle();
    int64_t from_ms = clock_mono_ms();
    for (int64_t seq = 1; seq <= 300; seq++) {
        say(&(struct said){.conversation_id = "c-1",
                           .sender_id = "ann",
                           .seq = seq,
                           .member_count = 501,
                           .mention = seq == 7 ? "cleo" : NULL});
        usleep(3000);
    }
    size_t most = (size_t)(clock_mono_ms() - from_ms) / 500 + 2;
    wait_frames(2, "change", 300); /* looks at it */
    wait_frames(1, "change", 300); /* said it */
    wait_frames(4, "change", 1);   /* was named */
    usleep(600 * 1000);
    assert_int_equal(frames_of(4, "change"), 1);
    assert_int_equal(frames_of(3, "change"), 0);
    assert_int_equal(frames_of(2, "heads"), 0);
    assert_in_range(frames_of(3, "heads"), 2, most);
    assert_non_null(strstr(last_of(3, "heads"), "\"rev\":300,\"last_seq\":300"));
}

/* ---- typing ---- */

static void test_typing(void **state UNUSED)
{
    lists(3);
    come(1, "ann");
    come(2, "bob");
    for (int i = 0; i < 20; i++)
        type(1, "c-1");
    type(1, "c-2"); /* another conversation is another matter */
    type(1, "c-9"); /* none of hers */
    wait_frames(2, "is_typing", 2);
    settle();
    assert_int_equal(frames_of(2, "is_typing"), 2);
    assert_int_equal(frames_of(1, "is_typing"), 0);
    usleep(1100 * 1000);
    type(1, "c-1");
    wait_frames(2, "is_typing", 3);
}

static void test_many_type(void **state UNUSED)
{
    char ids[40][8];
    come(1, "ann");
    change_member("c-1", "ann", MESSAGE__MEMBER_STATE__ACTIVE, 1);
    for (uint64_t i = 0; i < 40; i++) {
        snprintf(ids[i], sizeof(ids[i]), "u%d", (int)i);
        come(i + 2, ids[i]);
        change_member("c-1", ids[i], MESSAGE__MEMBER_STATE__ACTIVE, 1);
    }
    wait_frames(41, "change", 1);
    for (uint64_t i = 0; i < 40; i++)
        type(i + 2, "c-1");
    settle();
    assert_in_range(frames_of(1, "is_typing"), 5, 10);
}

/* ---- sign-ins that end ---- */

static void test_one_device_is_signed_out(void **state UNUSED)
{
    join(1, "ann", "phone");
    join(2, "ann", "laptop");
    wait_frames(2, "ready", 1);
    end_session("bob", "phone"); /* nobody's */
    end_session("ann", "phone");
    for (int i = 0; i < 2000 && !closed_with(1); i++)
        usleep(5000);
    assert_int_equal(closed_with(1), GATEWAY_CLOSE_SIGNED_OUT);
    assert_int_equal(closed_with(2), 0);
}

/* Among thousands, while all of them are signed out, one after the other. */
static void test_signed_out_within_a_second(void **state UNUSED)
{
    enum { PEOPLE = SOCKETS_MAX / 2 - 1 };
    char name[16];
    for (int i = 1; i <= PEOPLE; i++) {
        snprintf(name, sizeof(name), "p%d", i);
        join((uint64_t)i, name, "phone");
        join((uint64_t)(i + PEOPLE), name, "laptop");
    }
    settle();
    int64_t start_ms = clock_mono_ms();
    for (int i = 1; i <= PEOPLE; i++) {
        snprintf(name, sizeof(name), "p%d", i);
        end_session(name, "phone");
    }
    while (!closed_with(PEOPLE) && clock_mono_ms() - start_ms < 20000)
        usleep(1000);
    assert_in_range(clock_mono_ms() - start_ms, 0, 10000);
    usleep(50000); /* the bus has several threads */
    settle();
    for (int i = 1; i <= PEOPLE; i++) {
        assert_int_equal(closed_with((uint64_t)i), GATEWAY_CLOSE_SIGNED_OUT);
        assert_int_equal(closed_with((uint64_t)(i + PEOPLE)), 0);
    }
}

/* The event comes between the check of the token and the socket. */
static void test_ended_before_it_began(void **state UNUSED)
{
    come(9, "zoe");
    end_session("ann", "late");
    end_session("ann", "fresh");
    end_session("zoe", "s");
    for (int i = 0; i < 2000 && !closed_with(9); i++)
        usleep(5000);
    usleep(50000); /* the hub has heard all three: they are of different people */
    settle();
    join(1, "ann", "late");
    join(2, "ann", "good");
    wait_frames(2, "ready", 1);
    assert_int_equal(closed_with(1), GATEWAY_CLOSE_SIGNED_OUT);
    assert_int_equal(closed_with(2), 0);
    struct hub_post post = post_of(2, HUB_SESSION); /* a fresher token of a sign-in that ended */
    snprintf(post.session_id, sizeof(post.session_id), "fresh");
    gateway_hub_post(&post);
    settle();
    assert_int_equal(closed_with(2), GATEWAY_CLOSE_SIGNED_OUT);
}

/* After a gap: sockets are told to look, memberships are those of today, looks stay, sign-ins that
 * ended meanwhile are over, and a list of before the gap counts no more. */
static void test_a_gap(void **state UNUSED)
{
    lists(2);
    come(1, "ann");
    come(2, "bob");
    join(3, "bob", "over");
    wait_frames(3, "ready", 1);
    look(1, "c-1");
    settle();
    lists(1); /* both were put out of c-2, and nobody here heard of it */
    fake_failing_checks = 1;
    lose_events();
    wait_frames(1, "missed", 1);
    wait_frames(2, "missed", 1);
    small("c-2", 7);
    small("c-1", 8);
    wait_frames(1, "change", 1);
    wait_frames(2, "change", 1);
    assert_non_null(strstr(last_of(1, "change"), "c-1"));
    read_up_to("c-1", "bob", 8);
    wait_frames(1, "receipt", 1);
    assert_int_equal(frames_of(2, "receipt"), 0);
    for (int i = 0; i < 6000 && !closed_with(3); i++)
        usleep(5000);
    assert_int_equal(closed_with(3), GATEWAY_CLOSE_SIGNED_OUT);
    assert_int_equal(closed_with(1) + closed_with(2), 0);
}

/* Of two owners of a log, one after the other, the first may be heard last: it is told no more, and
 * whom it puts out is asked about. */
static void test_heard_too_late(void **state UNUSED)
{
    lists(2);
    come(1, "ann");
    come(2, "bob");
    small("c-1", 3);
    wait_frames(1, "change", 1);
    small("c-1", 2);
    small("c-2", 2); /* another conversation counts for itself */
    wait_frames(1, "change", 2);
    settle();
    assert_int_equal(frames_of(1, "change"), 2);
    lists(1);
    small("c-2", 3);
    wait_frames(1, "change", 3);
    change_member("c-2", "ann", MESSAGE__MEMBER_STATE__GONE, 12); /* as rev 0: never late */
    wait_frames(1, "change", 4);
    small("c-2", 4);
    wait_frames(2, "change", 5);
    settle();
    assert_int_equal(frames_of(1, "change"), 4);
}

/* Nothing is told to who may not be in it any more; who comes while lists are awaited is ready
 * then; a second gap asks anew; who leaves meanwhile holds nobody up. */
static void test_gaps_that_last(void **state UNUSED)
{
    char ids[200][8];
    for (int i = 0; i < 200; i++) { /* more than are asked for at a time */
        snprintf(ids[i], sizeof(ids[i]), "u%d", i);
        come((uint64_t)i + 10, ids[i]);
    }
    lists(1);
    come(1, "ann");
    fake_hold_lists = true;
    lose_events();
    small("c-1", 5);
    join(2, "ann", "s");
    lose_events();
    for (uint64_t i = 10; i < 60; i++)
        leave(i);
    settle();
    assert_int_equal(frames_of(1, "change") + frames_of(2, "ready") + frames_of(1, "missed"), 0);
    fake_hold_lists = false;
    wait_frames(1, "missed", 1);
    wait_frames(2, "ready", 1);
    for (uint64_t i = 60; i < 210; i++)
        wait_frames(i, "missed", 1);
    assert_int_equal(frames_of(2, "missed"), 0);
    small("c-1", 6);
    wait_frames(1, "change", 1);
    wait_frames(2, "change", 1);
}

static void wait_checks(int more)
{
    int before = fake_checks;
    for (int i = 0; i < 4000 && fake_checks < before + more; i++)
        usleep(5000);
    assert_true(fake_checks >= before + more);
}

/* As long as auth is away the last gap's question is put again, and no other. */
static void test_gaps_while_auth_is_away(void **state UNUSED)
{
    come(1, "ann");
    fake_failing_checks = 1000;
    for (int i = 1; i <= 4; i++) {
        int before = fake_checks;
        if (i == 4)
            join(2, "bob", "over");
        settle();
        lose_events();
        while (fake_checks == before)
            usleep(2000);
    }
    wait_checks(2); /* those of before have had their turn, and ended */
    fake_least_checked = 1000;
    wait_checks(3);
    assert_int_equal(fake_least_checked, 2);
    fake_failing_checks = 0;
    for (int i = 0; i < 40000 && !closed_with(2); i++)
        usleep(5000);
    assert_int_equal(closed_with(2), GATEWAY_CLOSE_SIGNED_OUT);
    assert_int_equal(closed_with(1), 0);
}

static void test_drain(void **state UNUSED)
{
    come(1, "ann");
    gateway_drain(hub.gw);
    assert_int_equal(frames_of(1, "closing"), 1);
    assert_int_equal(closed_with(1), WS_CLOSE_GOING_AWAY);
    join(2, "bob", "s");
    settle();
    assert_int_equal(closed_with(2), WS_CLOSE_GOING_AWAY);
}

int main(void)
{
#define HUB_TEST(fn) cmocka_unit_test_setup_teardown(fn, hub_open, hub_close)
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_members_hear),
        HUB_TEST(test_membership_follows_the_log),
        HUB_TEST(test_news_and_the_list),
        HUB_TEST(test_others_membership),
        HUB_TEST(test_a_list_of_many_pages),
        HUB_TEST(test_put_out_between_pages),
        HUB_TEST(test_put_out_unheard),
        HUB_TEST(test_receipts_for_who_looks),
        HUB_TEST(test_a_look_before_the_event_that_lets_in),
        HUB_TEST(test_heads),
        HUB_TEST(test_typing),
        HUB_TEST(test_many_type),
        HUB_TEST(test_one_device_is_signed_out),
        HUB_TEST(test_signed_out_within_a_second),
        HUB_TEST(test_ended_before_it_began),
        HUB_TEST(test_a_gap),
        HUB_TEST(test_gaps_that_last),
        HUB_TEST(test_gaps_while_auth_is_away),
        HUB_TEST(test_heard_too_late),
        HUB_TEST(test_former_owner_by_list),
        HUB_TEST(test_former_owner_by_event),
        HUB_TEST(test_former_owner_is_heard),
        HUB_TEST(test_drain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
