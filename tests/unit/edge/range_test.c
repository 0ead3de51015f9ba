/* Ranges and conditions of downloads: which part of a file a request means. */
#include "test.h"

#include "edge/edge_internal.h"

#define TAG "\"abc\""

static void test_ranges(void **state UNUSED)
{
    static const struct {
        const char *range;
        uint64_t size;
        int status;
        uint64_t offset, count;
    } cases[] = {
        {"bytes=0-0", 10, 206, 0, 1},
        {"bytes=0-9", 10, 206, 0, 10},
        {"bytes=2-", 10, 206, 2, 8},
        {"bytes=2-99", 10, 206, 2, 8},
        {"bytes=-3", 10, 206, 7, 3},
        {"bytes=-30", 10, 206, 0, 10},
        {"Bytes = 4 - 5 ", 10, 206, 4, 2},
        {"bytes=0-18446744073709551615", 10, 206, 0, 10},
        {"bytes=0-99999999999999999999999", 10, 206, 0, 10},
        {"bytes=-99999999999999999999999", 10, 206, 0, 10},
        /* beyond the end */
        {"bytes=10-", 10, 416, 0, 0},
        {"bytes=18446744073709551615-", 10, 416, 0, 0},
        {"bytes=99999999999999999999999-", 10, 416, 0, 0},
        {"bytes=-0", 10, 416, 0, 0},
        {"bytes=0-0", 0, 416, 0, 0},
        {"bytes=-1", 0, 416, 0, 0},
        /* not understood: all of it */
        {"bytes=", 10, 200, 0, 10},
        {"bytes=-", 10, 200, 0, 10},
        {"bytes=5-2", 10, 200, 0, 10},
        {"bytes=0-1,3-4", 10, 200, 0, 10},
        {"bytes=a-b", 10, 200, 0, 10},
        {"bytes=+1-2", 10, 200, 0, 10},
        {"bytes=--1", 10, 200, 0, 10},
        {"pages=1-2", 10, 200, 0, 10},
        {"bytes", 10, 200, 0, 10},
        {"", 10, 200, 0, 10},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct edge_wish wish = {.range = str_from(cases[i].range)};
        struct edge_span span = edge_range_find(&wish, STR(TAG), cases[i].size);
        if (span.status != cases[i].status || span.offset != cases[i].offset ||
            span.count != cases[i].count)
            fail_msg("\"%s\" of %d: %d %d+%d", cases[i].range, (int)cases[i].size, span.status,
                     (int)span.offset, (int)span.count);
    }
}

static void test_conditions(void **state UNUSED)
{
    static const struct {
        const char *if_none_match, *if_range;
        int status;
    } cases[] = {
        {NULL, NULL, 206},
        {NULL, TAG, 206},
        {NULL, "\"other\"", 200},
        {NULL, "W/" TAG, 200}, /* a weak tag promises nothing about bytes */
        {NULL, "Sat, 21 Nov 2026 10:00:00 GMT", 200},
        {TAG, NULL, 304},
        {"W/" TAG, NULL, 304},
        {"\"x\", " TAG, NULL, 304},
        {"*", NULL, 304},
        {"\"x\", \"y\"", NULL, 206},
        {"abc", NULL, 206},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct edge_wish wish = {.range = STR("bytes=1-2"),
                                 .if_none_match = str_from(cases[i].if_none_match),
                                 .if_range = str_from(cases[i].if_range)};
        struct edge_span span = edge_range_find(&wish, STR(TAG), 10);
        if (span.status != cases[i].status)
            fail_msg("case %zu: %d", i, span.status);
    }
}

static void test_disposition(void **state UNUSED)
{
    static const struct {
        const char *name;
        bool is_inline;
        const char *expected;
    } cases[] = {
        {"a b-1.txt", false, "attachment; filename=\"a b-1.txt\""},
        {"", true, "inline"},
        {"x.png", true, "inline; filename=\"x.png\""},
        {"a\"\r\n;b", false, "attachment; filename=\"a____b\"; filename*=UTF-8''a%22%0D%0A%3Bb"},
        {"文.md", false, "attachment; filename=\"___.md\"; filename*=UTF-8''%E6%96%87.md"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct strbuf out = {0};
        struct str text = edge_disposition(cases[i].name, cases[i].is_inline, &out);
        assert_string_equal(text.p, cases[i].expected);
        strbuf_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_disposition),
    };
    return cmocka_run_group_tests_name("range", tests, NULL, NULL);
}
