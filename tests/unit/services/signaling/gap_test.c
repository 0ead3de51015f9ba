/*
 * After the link to the bus was lost: signaling asks auth whose sign-in is over, of those with a
 * socket and of those who are away for a moment, some hundred at a time, until it is answered; and
 * media what is published.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "stage.h"

static void expect_left(struct ws_client *c, const char *participant_id, const char *reason)
{
    json_t *json = expect(c, "participant_left");
    assert_string_equal(text_of(json, "participant_id"), participant_id);
    assert_string_equal(text_of(json, "reason"), reason);
    json_decref(json);
}

static void expect_here(struct ws_client *c)
{
    ws_client_send(c, "{\"type\":\"ping\",\"id\":9}");
    expect_only(c, "pong");
}

static void test_ended_meanwhile(void **state UNUSED)
{
    struct ws_client ann, over, new;
    free(enter(&ann, "ann"));
    free(enter(&over, "over"));
    ws_client_open(&new, net_server_port(stage.server), "/ws/signaling", "");
    fake_gap(stage.bus);
    expect_close(&over, 4401);
    expect_left(&ann, "p-over", "removed");
    wait_for(&fake_notes.closed, 1); /* its media, too */
    expect_here(&ann);
    assert_int_equal(fake_notes.checks, 1);
    assert_int_equal(fake_notes.most_checked, 2); /* not of who has not signed in yet */
    ws_client_cut(&ann);
    ws_client_cut(&over);
    ws_client_cut(&new);
}

static void test_ended_while_away(void **state UNUSED)
{
    struct ws_client ann, over;
    free(enter(&ann, "ann"));
    free(enter(&over, "over"));
    ws_client_cut(&over);
    expect_away(&ann);
    fake_gap(stage.bus);
    expect_left(&ann, "p-over", "removed");
    wait_for(&fake_notes.closed, 1);
    ws_client_cut(&ann);
}

/* Roles are read anew as well. */
static void test_role_of_meanwhile(void **state UNUSED)
{
    struct ws_client chief, over;
    free(enter(&chief, "chief"));
    free(enter(&over, "over"));
    fake_gap(stage.bus);
    expect_close(&over, 4401); /* the answer is here */
    ws_client_send(&chief, "{\"type\":\"leave_room\",\"id\":5}");
    expect_close(&chief, 1000);
    wait_for(&fake_notes.left, 2);
    assert_int_equal(fake_notes.left_role, ROLE_ADMIN);
    ws_client_cut(&chief);
    ws_client_cut(&over);
}

/* Auth does not answer at first; of several gaps the last one's question is put again, alone. */
static void test_auth_is_away(void **state UNUSED)
{
    struct ws_client ann, over;
    free(enter(&over, "over"));
    fake_notes.failing_checks = 1000;
    for (int i = 1; i <= 4; i++) {
        if (i == 4)
            free(enter(&ann, "ann"));
        int before = fake_notes.checks;
        fake_gap(stage.bus);
        wait_for_least(&fake_notes.checks, before + 1);
    }
    wait_for_least(&fake_notes.checks, fake_notes.checks + 1);
    fake_notes.least_checked = 1000;
    wait_for_least(&fake_notes.checks, fake_notes.checks + 2);
    assert_int_equal(fake_notes.least_checked, 2); /* nobody asks about one alone any more */
    expect_here(&over);
    fake_notes.failing_checks = 0;
    expect_close(&over, 4401);
    expect_here(&ann);
    ws_client_cut(&ann);
    ws_client_cut(&over);
}

/* More than one question holds: nobody is left out. */
static void test_many(void **state UNUSED)
{
    enum { COUNT = 520 };
    static struct ws_client all[COUNT];
    for (int i = 0; i < COUNT; i++) {
        sign_in(&all[i], i == COUNT / 2 || i == COUNT - 1 ? "over" : "ann");
        expect_only(&all[i], "ok");
    }
    fake_gap(stage.bus);
    expect_close(&all[COUNT / 2], 4401);
    expect_close(&all[COUNT - 1], 4401);
    wait_for(&fake_notes.checks, 2);
    assert_int_equal(fake_notes.most_checked, 500);
    expect_here(&all[0]);
    for (int i = 0; i < COUNT; i++)
        ws_client_cut(&all[i]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_ended_meanwhile),
        TEST(test_ended_while_away),
        TEST(test_role_of_meanwhile),
        TEST(test_auth_is_away),
        TEST(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
