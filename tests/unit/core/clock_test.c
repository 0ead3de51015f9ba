/* clock: RFC 3339, the calendar against the C library's. */
#include "test.h"

#include <string.h>
#include <time.h>

#include "core/clock.h"

static void calendar_agrees_with_libc(void **state)
{
    /* A prime number of days as step meets every month, leap day and century in time. */
    for (int64_t day = -719528; day < 2932897; day += 97) {
        char ours[CLOCK_TEXT_SIZE], libc[CLOCK_TEXT_SIZE];
        time_t t = (time_t)(day * 86400 + (day & 0xffff));
        struct tm tm;
        gmtime_r(&t, &tm);
        if (tm.tm_year + 1900 < 1000)
            continue; /* strftime pads years differently */
        strftime(libc, sizeof(libc), "%Y-%m-%dT%H:%M:%S.007Z", &tm);
        clock_format((int64_t)t * 1000 + 7, ours);
        assert_string_equal(ours, libc);
    }
}

static void formats_at_the_bounds(void **state)
{
    char text[CLOCK_TEXT_SIZE];
    clock_format(INT64_MIN, text);
    assert_string_equal(text, "0000-01-01T00:00:00.000Z");
    clock_format(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    clock_format(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    clock_format(951782399999, text);
    assert_string_equal(text, "2000-02-28T23:59:59.999Z");
}

static void clocks_tick(void **state)
{
    int64_t before = clock_mono_us(), wall = clock_wall_ms();
    struct timespec pause = {0, 2000000};
    nanosleep(&pause, NULL);
    assert_true(clock_mono_us() - before >= 2000);
    assert_true(wall > INT64_C(1600000000000)); /* some time after 2020 */
    assert_in_range(clock_wall_ms() - wall, 0, 60000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calendar_agrees_with_libc),
        cmocka_unit_test(formats_at_the_bounds),
        cmocka_unit_test(clocks_tick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
