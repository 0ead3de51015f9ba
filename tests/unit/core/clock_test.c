/* clock: RFC 3339 both ways, the calendar against the C library's. */
#include "test.h"

#include <string.h>
#include <time.h>

#include "core/clock.h"

static void parses(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.001Z", 1},
        {"1969-12-31T23:59:59.999Z", -1},
        {"2026-11-21T01:02:03.004Z", 1795222923004},
        {"2026-11-21t01:02:03.004z", 1795222923004},
        {"2026-11-21T02:32:03.004+01:30", 1795222923004},
        {"2026-11-20T17:02:03.004-08:00", 1795222923004},
        {"2026-11-21T01:02:03.0049999999Z", 1795222923004},
        {"2026-11-21T01:02:03.5Z", 1795222923500},
        {"2026-11-21T01:02:03-00:00", 1795222923000},
        {"2000-02-29T00:00:00Z", 951782400000},
        {"2024-02-29T12:00:00Z", 1709208000000},
        {"2016-12-31T23:59:60Z", 1483228800000}, /* a leap second that was */
        {"2017-01-01T00:59:60+01:00", 1483228800000},
        {"0000-01-01T00:00:00Z", -62167219200000},
        {"9999-12-31T23:59:59.999Z", 253402300799999},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ms = 0;
        if (!clock_parse(cases[i].text, &ms) || ms != cases[i].ms)
            fail_msg("%s -> %lld", cases[i].text, (long long)ms);
    }
}

static void refuses(void **state)
{
    static const char *const cases[] = {
        "",
        "2026",
        "2026-11-21",
        "2026-11-21T01:02:03",
        "2026-11-21 01:02:03Z",
        "2026-11-21T01:02Z",
        "2026-11-21T01:02:03.Z",
        "2026-11-21T01:02:03,5Z",
        "2026-11-21T01:02:03Zx",
        "2026-11-21T01:02:03Z ",
        " 2026-11-21T01:02:03Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-11-00T00:00:00Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T23:60:00Z",
        "2026-11-21T23:59:61Z",
        "2026-11-21T12:00:60Z",      /* leap seconds end a UTC day */
        "2026-11-21T23:59:60+01:00", /* not that one either */
        "2026-11-21T01:02:03+24:00",
        "2026-11-21T01:02:03+01:60",
        "2026-11-21T01:02:03+0100",
        "2026-11-21T01:02:03+1:00",
        "0000-01-01T00:00:00+00:01", /* before the year 0 */
        "9999-12-31T23:59:59-00:01", /* after the year 9999 */
        "9999-12-31T23:59:60Z",
        "-001-01-01T00:00:00Z",
        "+2026-11-21T01:02:03Z",
        "20260-11-21T01:02:03Z",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ms;
        if (clock_parse(cases[i], &ms))
            fail_msg("accepted \"%s\"", cases[i]);
    }
}

static void calendar_agrees_with_libc(void **state)
{
    /* A prime number of days as step meets every month, leap day and century in time. */
    for (int64_t day = -719528; day < 2932897; day += 97) {
        char ours[CLOCK_TEXT_SIZE], libc[CLOCK_TEXT_SIZE];
        time_t t = (time_t)(day * 86400 + (day & 0xffff));
        int64_t back;
        struct tm tm;
        gmtime_r(&t, &tm);
        if (tm.tm_year + 1900 < 1000)
            continue; /* strftime pads years differently */
        strftime(libc, sizeof(libc), "%Y-%m-%dT%H:%M:%S.007Z", &tm);
        clock_format((int64_t)t * 1000 + 7, ours);
        assert_string_equal(ours, libc);
        assert_true(clock_parse(ours, &back));
        assert_int_equal(back, (int64_t)t * 1000 + 7);
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
        cmocka_unit_test(parses),
        cmocka_unit_test(refuses),
        cmocka_unit_test(calendar_agrees_with_libc),
        cmocka_unit_test(formats_at_the_bounds),
        cmocka_unit_test(clocks_tick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
