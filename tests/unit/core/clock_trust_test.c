/* clock_trust: leaps are doubted, and believed again for a reason; a restart remembers. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/clock_trust.h"
#include "core/log.h"

#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)
#define NOW_2026 INT64_C(1795000000000)
#define NOW_2100 INT64_C(4102444800000)

static int64_t wall_ms, mono_ms;
static char path[64];

int64_t __wrap_clock_wall_ms(void);
int64_t __wrap_clock_mono_us(void);
int64_t __wrap_clock_wall_ms(void)
{
    return wall_ms;
}

int64_t __wrap_clock_mono_us(void)
{
    return mono_ms * 1000;
}

static void pass(int64_t ms)
{
    wall_ms += ms;
    mono_ms += ms;
}

/* Another life of the program: its monotonic clock is another, too. */
static void restart(void)
{
    clock_trust_reset();
    mono_ms = 5000;
    clock_trust_load(path);
}

static int set_up(void **state)
{
    snprintf(path, sizeof(path), "/tmp/parlance-clock-%d", (int)getpid());
    unlink(path);
    wall_ms = NOW_2026;
    restart();
    return 0;
}

static int tear_down(void **state)
{
    clock_trust_reset();
    return unlink(path) && access(path, F_OK) == 0;
}

static void test_goes_on(void **state)
{
    assert_true(clock_is_trusted());
    for (int i = 0; i < 100; i++, pass(3 * DAY))
        assert_true(clock_is_trusted());
    wall_ms += 6 * DAY; /* corrected; asleep for some days */
    assert_true(clock_is_trusted());
    wall_ms -= 6 * DAY;
    assert_true(clock_is_trusted());
}

static void test_leaps_and_comes_back(void **state)
{
    const int64_t leaps[] = {NOW_2100 - NOW_2026, 8 * DAY, -8 * DAY, -NOW_2026};
    for (size_t i = 0; i < ARRAY_LEN(leaps); i++) {
        assert_true(clock_is_trusted());
        wall_ms += leaps[i];
        assert_false(clock_is_trusted());
        pass(20 * HOUR);
        assert_false(clock_is_trusted());
        wall_ms -= leaps[i];
        assert_true(clock_is_trusted());
    }
}

static void test_a_steady_day_convinces(void **state)
{
    wall_ms += 40 * DAY; /* the machine was off */
    assert_false(clock_is_trusted());
    pass(23 * HOUR);
    assert_false(clock_is_trusted());
    pass(HOUR);
    assert_true(clock_is_trusted());
    pass(HOUR);
    assert_true(clock_is_trusted());
}

static void test_another_leap_begins_anew(void **state)
{
    wall_ms += 40 * DAY;
    assert_false(clock_is_trusted());
    pass(20 * HOUR);
    wall_ms += 40 * DAY;
    assert_false(clock_is_trusted());
    pass(20 * HOUR);
    assert_false(clock_is_trusted());
    pass(4 * HOUR);
    assert_true(clock_is_trusted());
}

static void test_a_restart_remembers(void **state)
{
    clock_trust_keep();
    pass(HOUR);
    restart();
    assert_true(clock_is_trusted());
    wall_ms = NOW_2100;
    restart();
    assert_false(clock_is_trusted());
    clock_trust_keep(); /* that it is doubted */
    restart();
    assert_false(clock_is_trusted());
    wall_ms = NOW_2026 + DAY;
    restart();
    assert_true(clock_is_trusted());
}

/* Off for a month, then on for some hours each day: steady all the same. */
static void test_short_days_convince(void **state)
{
    clock_trust_keep();
    wall_ms += 30 * DAY;
    restart();
    assert_false(clock_is_trusted());
    clock_trust_keep();
    pass(8 * HOUR);
    assert_false(clock_is_trusted());
    wall_ms += 15 * HOUR;
    restart();
    assert_false(clock_is_trusted());
    clock_trust_keep();
    pass(2 * HOUR);
    assert_true(clock_is_trusted());
    clock_trust_keep();
    restart();
    assert_true(clock_is_trusted());
}

/* Each start at the same wrong time: no life gets older by the one before. */
static void test_the_same_wrong_start_convinces_nobody(void **state)
{
    clock_trust_keep();
    for (int i = 0; i < 10; i++) {
        wall_ms = NOW_2100;
        restart();
        assert_false(clock_is_trusted());
        clock_trust_keep();
        pass(8 * HOUR);
        assert_false(clock_is_trusted());
        clock_trust_keep();
    }
}

static void test_a_clock_never_set(void **state)
{
    wall_ms = 0;
    restart();
    assert_false(clock_is_trusted());
    pass(48 * HOUR);
    assert_false(clock_is_trusted());
    clock_trust_keep();
    assert_int_not_equal(access(path, F_OK), 0);
    wall_ms = NOW_2026;
    assert_true(clock_is_trusted());
}

static void test_a_damaged_file(void **state)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("soon\n", f);
    fclose(f);
    restart();
    assert_true(clock_is_trusted());
    clock_trust_keep();
    wall_ms = NOW_2100;
    restart();
    assert_false(clock_is_trusted());
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leaps_and_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_steady_day_convinces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_leap_begins_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_restart_remembers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_clock_never_set, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_damaged_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_short_days_convince, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_same_wrong_start_convinces_nobody, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
