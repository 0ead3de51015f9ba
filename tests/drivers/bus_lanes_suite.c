/* bus_lanes_suite: tasks of one lane run one at a time and in order, hold up no other lane, are
 * bounded, and go on whatever becomes of their head: done, dead, put off, or its process ended. */
#include "bus_fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"

#define COUNT_ROWS "SELECT COUNT(*) FROM bus_tasks"

struct lane_doer {
    struct journal journal;
    atomic_bool is_stuck, is_failing; /* what lane "slow" does */
    atomic_int put_off;               /* attempts that are not the time yet */
    atomic_int now, most;             /* of lane "slow", at a time */
};

static enum err on_task(void *arg, const struct bus_task *t, int attempt UNUSED)
{
    struct lane_doer *d = arg;
    bool is_slow = t->lane && strcmp(t->lane, "slow") == 0;
    enum err err = ERR_OK;
    if (is_slow) {
        int now = atomic_fetch_add(&d->now, 1) + 1;
        d->most = MAX(d->most, now);
        while (d->is_stuck)
            usleep(1000);
        err = d->is_failing ? ERR_UNAVAILABLE : ERR_OK;
        atomic_fetch_sub(&d->now, 1);
    }
    if (d->put_off > 0) {
        atomic_fetch_sub(&d->put_off, 1);
        bus_put_off(t, 1);
        err = ERR_UNAVAILABLE;
    } else {
        journal_note(&d->journal, "%s %.*s", t->lane ? t->lane : "-", STR_FMT(t->payload));
    }
    return err;
}

static void start(struct bus_fixture *f, struct lane_doer *d)
{
    memset(d, 0, sizeof(*d));
    d->journal = (struct journal)JOURNAL_INIT;
    bus_fixture_reopen(f, &(struct bus_options){.retry_ms = 1, .lease_ms = 200});
    bus_work_bounded(f->bus, "hooks", on_task, d, 3);
    bus_start(f->bus);
}

static void enqueue(struct bus_fixture *f, const char *lane, const char *what, int attempts,
                    int lane_max)
{
    struct bus_task task = {.queue = "hooks",
                            .type = "t",
                            .payload = str_from(what),
                            .lane = lane,
                            .attempts_max = attempts,
                            .lane_max = lane_max};
    assert_int_equal(bus_fixture_enqueue(f, &task, ERR_OK), ERR_OK);
}

static void test_a_stuck_lane_holds_up_no_other(void **state)
{
    struct bus_fixture *f = *state;
    static struct lane_doer d;
    start(f, &d);
    d.is_stuck = true;
    for (int i = 0; i < 6; i++)
        enqueue(f, "slow", (const char *[]){"a", "b", "c", "d", "e", "f"}[i], 0, 0);
    enqueue(f, "quick", "x", 0, 0);
    enqueue(f, NULL, "y", 0, 0);
    enqueue(f, "quick", "z", 0, 0);
    journal_wait(&d.journal, 3);
    bus_fixture_wait_int(f, COUNT_ROWS, 6);
    assert_int_equal(d.most, 1);
    struct bus_task_stats s;
    assert_int_equal(bus_task_stats(f->bus, "hooks", &s), ERR_OK);
    assert_int_equal(s.running, 1);
    assert_int_equal(s.waiting, 5);
    d.is_stuck = false;
    bus_fixture_wait_int(f, COUNT_ROWS, 0);
    assert_int_equal(d.most, 1);
    assert_non_null(strstr(d.journal.text, "slow a\nslow b\nslow c\nslow d\nslow e\nslow f\n"));
}

static void test_a_failing_head_keeps_its_lane(void **state)
{
    struct bus_fixture *f = *state;
    static struct lane_doer d;
    start(f, &d);
    d.is_failing = true;
    enqueue(f, "slow", "a", 3, 0);
    enqueue(f, "slow", "b", 2, 0);
    bus_fixture_wait_int(f, COUNT_ROWS " WHERE state = 4", 2); /* dead: the next had its turn */
    assert_string_equal(d.journal.text, "slow a\nslow a\nslow a\nslow b\nslow b\n");
    d.is_failing = false;
    int64_t count;
    assert_int_equal(bus_revive_dead(f->bus, "hooks", &count), ERR_OK);
    assert_int_equal(count, 2);
    bus_fixture_wait_int(f, COUNT_ROWS, 0);
    assert_int_equal(d.most, 1);
}

static void test_a_lane_is_bounded(void **state)
{
    struct bus_fixture *f = *state;
    static struct lane_doer d;
    start(f, &d);
    d.is_stuck = true;
    enqueue(f, "slow", "head", 0, 2);
    bus_fixture_wait_int(f, COUNT_ROWS " WHERE state = 2", 1);
    for (int i = 0; i < 9; i++)
        enqueue(f, "slow", (const char *[]){"1", "2", "3", "4", "5", "6", "7", "8", "9"}[i], 0, 2);
    bus_fixture_wait_int(f, COUNT_ROWS " WHERE state = 5", 2);
    bus_fixture_wait_int(f, COUNT_ROWS " WHERE state = 4 AND last_error LIKE 'too many%'", 2);
    assert_int_equal(fixture_int(f->store, COUNT_ROWS), 5);
    d.is_stuck = false;
    bus_fixture_wait_int(f, COUNT_ROWS " WHERE state <> 4", 0);
    assert_string_equal(d.journal.text, "slow head\nslow 8\nslow 9\n");
    int64_t id = fixture_int(f->store, "SELECT MIN(id) FROM bus_tasks");
    assert_int_equal(bus_revive_one(f->bus, id), ERR_OK);
    journal_wait(&d.journal, 4);
    assert_non_null(strstr(d.journal.text, "slow 6\n"));
}

static void test_what_is_put_off_costs_no_attempt(void **state)
{
    struct bus_fixture *f = *state;
    static struct lane_doer d;
    start(f, &d);
    d.put_off = 5;
    enqueue(f, "quick", "a", 1, 0);
    enqueue(f, "quick", "b", 1, 0);
    bus_fixture_wait_int(f, COUNT_ROWS, 0);
    assert_string_equal(d.journal.text, "quick a\nquick b\n");
}

static void test_a_lane_survives_its_process(void **state)
{
    struct bus_fixture *f = *state;
    static struct lane_doer d;
    enqueue(f, "quick", "killer", 1, 0);
    enqueue(f, "quick", "next", 1, 0);
    assert_int_equal(fixture_exec(f->store, "UPDATE bus_tasks SET state = 2, attempts = 1,"
                                            " due_ms = 1 WHERE state = 1"),
                     ERR_OK);
    start(f, &d);
    journal_wait(&d.journal, 1);
    bus_fixture_wait_int(f, COUNT_ROWS, 1);
    assert_string_equal(d.journal.text, "quick next\n");
    assert_int_equal(fixture_int(f->store, "SELECT state FROM bus_tasks"), 4);
}

static void test_bad_lanes_are_refused(void **state)
{
    struct bus_fixture *f = *state;
    const struct bus_task bad[] = {
        {.queue = "q", .type = "t", .lane = ""},
        {.queue = "q", .type = "t", .lane = "l", .delay_ms = 1},
        {.queue = "q", .type = "t", .lane = "l", .lane_max = -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(bus_fixture_enqueue(f, &bad[i], ERR_OK), ERR_INVALID_ARGUMENT);
    assert_int_equal(fixture_int(f->store, COUNT_ROWS), 0);
}

int bus_lanes_suite(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, bus_fixture_setup, bus_fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_stuck_lane_holds_up_no_other),
        T(test_a_failing_head_keeps_its_lane),
        T(test_a_lane_is_bounded),
        T(test_what_is_put_off_costs_no_attempt),
        T(test_a_lane_survives_its_process),
        T(test_bad_lanes_are_refused),
    };
    return cmocka_run_group_tests_name("bus lanes", tests, NULL, NULL);
}
