/* wire: messages in pieces, time limits, percent-encoding, headers. */
#include "test.h"

#include <stdio.h>

#include "grpc/h2_wire.h"

struct got {
    int count;
    struct strbuf all;
    bool is_gone;
    int leave_after;
};

static void on_message(void *arg, const uint8_t *bytes, size_t n)
{
    struct got *got = arg;
    strbuf_printf(&got->all, "[%.*s]", (int)n, (const char *)bytes);
    got->is_gone = ++got->count == got->leave_after;
}

static void test_pieces(void **state)
{
    static const uint8_t wire[] = "\0\0\0\0\3abc\0\0\0\0\0\0\0\0\0\1z";
    const size_t n = sizeof(wire) - 1;
    for (size_t piece = 1; piece <= n; piece++) {
        struct h2_deframer d = {.max_bytes = 3};
        struct got got = {0};
        for (size_t at = 0; at < n; at += piece)
            assert_int_equal(
                h2_deframe(&d, wire + at, MIN(piece, n - at), &got.is_gone, on_message, &got),
                ERR_OK);
        assert_string_equal(got.all.p, "[abc][][z]");
        assert_false(h2_deframer_is_inside(&d));
        assert_int_equal(h2_deframe(&d, wire, 7, &got.is_gone, on_message, &got), ERR_OK);
        assert_true(h2_deframer_is_inside(&d));
        h2_deframer_deinit(&d);
        strbuf_deinit(&got.all);
    }
}

static void test_refusals(void **state)
{
    static const struct {
        const char *bytes;
        enum err err;
    } cases[] = {
        {"\0\0\0\0\4", ERR_RESOURCE_EXHAUSTED},
        {"\0\xff\xff\xff\xff", ERR_RESOURCE_EXHAUSTED},
        {"\1\0\0\0\1", ERR_UNIMPLEMENTED},
        {"\2\0\0\0\1", ERR_INTERNAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct h2_deframer d = {.max_bytes = 3};
        struct got got = {0};
        const uint8_t *bytes = (const uint8_t *)cases[i].bytes;
        assert_int_equal(h2_deframe(&d, bytes, 5, &got.is_gone, on_message, &got), cases[i].err);
        assert_int_equal(
            h2_deframe(&d, (const uint8_t *)"\0\0\0\0\0", 5, &got.is_gone, on_message, &got),
            ERR_INTERNAL);
        assert_int_equal(got.count, 0);
        h2_deframer_deinit(&d);
    }
}

static void test_leaving(void **state)
{
    struct h2_deframer d = {.max_bytes = 3};
    struct got got = {.leave_after = 1};
    assert_int_equal(
        h2_deframe(&d, (const uint8_t *)"\0\0\0\0\0\0\0\0\0\0", 10, &got.is_gone, on_message, &got),
        ERR_OK);
    assert_int_equal(got.count, 1);
    h2_deframer_deinit(&d);
    strbuf_deinit(&got.all);
}

static void test_timeouts(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } cases[] = {
        {"100m", 100},      {"1S", 1000}, {"2M", 120000}, {"1H", 3600000},
        {"1u", 1},          {"1500u", 2}, {"1n", 1},      {"99999999H", 359999996400000},
        {"0m", 0},          {"", -1},     {"m", -1},      {"100", -1},
        {"123456789m", -1}, {"-1m", -1},  {"1 m", -1},    {"1x", -1},
        {"0x1m", -1},
    };
    char text[H2_TIMEOUT_SIZE];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ms = -1;
        bool is_good = h2_timeout_parse(str_from(cases[i].text), &ms);
        assert_int_equal(is_good, cases[i].ms >= 0);
        if (is_good)
            assert_int_equal(ms, cases[i].ms);
    }
    for (int64_t ms = -5; ms < INT64_MAX / 2; ms = ms <= 0 ? ms + 1 : ms * 3 + 1) {
        int64_t again = 0;
        h2_timeout_write(ms, text);
        assert_true(h2_timeout_parse(str_from(text), &again));
        if (ms < INT64_C(300000000000000))
            assert_true(again >= ms && again <= MAX(ms, (int64_t)1) + 3600000);
    }
}

static void test_percent(void **state)
{
    static const struct {
        const char *text, *wire;
    } cases[] = {
        {"plain words", "plain words"},
        {"100%", "100%25"},
        {"\xc3\xa4\n", "%C3%A4%0A"},
    };
    static const struct {
        const char *wire, *text;
    } odd[] = {{"%", "%"},    {"%4", "%4"}, {"%zz", "%zz"},
               {"a%00b", ""}, {"%ff", ""},  {"%e4%b8%ad", "\xe4\xb8\xad"}};
    char out[64];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct strbuf wire = {0};
        h2_percent_write(&wire, str_from(cases[i].text));
        assert_string_equal(wire.p, cases[i].wire);
        h2_percent_parse(strbuf_str(&wire), out, sizeof(out));
        assert_string_equal(out, cases[i].text);
        strbuf_deinit(&wire);
    }
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        h2_percent_parse(str_from(odd[i].wire), out, sizeof(out));
        assert_string_equal(out, odd[i].text);
    }
    h2_percent_parse(STR("ab%c3%a4cd"), out, 4); /* the cut falls into a character */
    assert_string_equal(out, "ab");
}

static void test_status(void **state)
{
    assert_int_equal(h2_status_parse(STR("0")), ERR_OK);
    assert_int_equal(h2_status_parse(STR("16")), ERR_UNAUTHENTICATED);
    assert_int_equal(h2_status_parse(STR("17")), ERR_UNKNOWN);
    assert_int_equal(h2_status_parse(STR("")), ERR_UNKNOWN);
    assert_int_equal(h2_status_parse(STR("-1")), ERR_UNKNOWN);
    assert_int_equal(h2_status_parse(STR("00")), ERR_OK);
    assert_int_equal(h2_status_from_http(503), ERR_UNAVAILABLE);
    assert_int_equal(h2_status_from_http(404), ERR_UNIMPLEMENTED);
    assert_int_equal(h2_status_from_http(0), ERR_UNKNOWN);
}

static void test_metadata(void **state)
{
    static char long_value[H2_METADATA_MAX_BYTES];
    struct h2_metadata m = {0};
    assert_null(h2_metadata_find(&m, "a"));
    assert_int_equal(h2_metadata_add(&m, STR("a"), STR("")), ERR_OK);
    assert_int_equal(h2_metadata_add(&m, STR("b"), STR("a")), ERR_OK);
    assert_int_equal(h2_metadata_add(&m, STR("b"), STR("second")), ERR_OK);
    assert_string_equal(h2_metadata_find(&m, "a"), "");
    assert_string_equal(h2_metadata_find(&m, "b"), "a");
    assert_null(h2_metadata_find(&m, "second"));
    assert_int_equal(h2_metadata_add(&m, STR("c"), (struct str){"x\0y", 3}), ERR_INVALID_ARGUMENT);
    memset(long_value, 'x', sizeof(long_value));
    assert_int_equal(h2_metadata_add(&m, STR("d"), (struct str){long_value, sizeof(long_value)}),
                     ERR_RESOURCE_EXHAUSTED);
    h2_metadata_deinit(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),   cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_leaving),  cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_percent),  cmocka_unit_test(test_status),
        cmocka_unit_test(test_metadata),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
