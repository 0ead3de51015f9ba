/* span: trace contexts in and out (W3C), and the sink. */
#include "test.h"

#include <string.h>

#include "core/span.h"

#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static void continues_a_trace(void **state)
{
    char out[SPAN_TRACEPARENT_SIZE];
    struct span s = span_start("call", PARENT);
    assert_true(s.is_sampled);
    assert_memory_equal(s.parent_id, "\xb7\xad\x6b\x71\x69\x20\x33\x31", 8);
    span_traceparent(&s, out);
    assert_int_equal(strlen(out), 55);
    assert_memory_equal(out, PARENT, 36); /* the same trace */
    assert_memory_not_equal(out + 36, PARENT + 36, 16);
    assert_string_equal(out + 52, "-01");
    struct span child = span_start("inner", out);
    assert_memory_equal(child.parent_id, s.span_id, 8);
    assert_memory_equal(child.trace_id, s.trace_id, 16);
    s = span_start("call", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
    assert_false(s.is_sampled);
    /* A later version may carry more; what we know of it is used. */
    s = span_start("call", "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more");
    assert_memory_equal(s.parent_id, "\xb7\xad\x6b\x71\x69\x20\x33\x31", 8);
}

static void starts_anew_on_nonsense(void **state)
{
    static const char *const cases[] = {
        NULL,
        "",
        "00",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333x-01",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more",
    };
    static const uint8_t zeros[16];
    uint8_t last[16] = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct span s = span_start("call", cases[i]);
        if (memcmp(s.parent_id, zeros, 8) != 0 || s.is_sampled)
            fail_msg("%s", cases[i]);
        assert_memory_not_equal(s.trace_id, zeros, 16);
        assert_memory_not_equal(s.trace_id, last, 16);
        assert_memory_not_equal(s.span_id, zeros, 8);
        memcpy(last, s.trace_id, 16);
    }
}

struct seen {
    int count;
    int err;
    int64_t duration_us;
    const char *name;
};

static void on_span(void *arg, const struct span *s, int64_t duration_us, int err)
{
    struct seen *seen = arg;
    *seen = (struct seen){seen->count + 1, err, duration_us, s->name};
}

static void sink(void **state)
{
    struct seen seen = {0};
    struct span unheard = span_start("unheard", NULL);
    span_set_sink(on_span, &seen);
    span_end(&unheard, 0); /* began unsampled, stays so */
    assert_int_equal(seen.count, 0);
    struct span s = span_start("heard", NULL);
    assert_true(s.is_sampled);
    s.start_us -= 5000;
    span_end(&s, 5);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.err, 5);
    assert_true(seen.duration_us >= 5000);
    assert_string_equal(seen.name, "heard");
    span_set_sink(NULL, NULL);
    span_end(&s, 0);
    assert_int_equal(seen.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(continues_a_trace),
        cmocka_unit_test(starts_anew_on_nonsense),
        cmocka_unit_test(sink),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
