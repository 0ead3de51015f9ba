/* span: trace contexts in and out (W3C), and the sink. */
#include "test.h"

#include <string.h>

#include "core/span.h"

#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

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

static struct seen seen;

static int listen(void **state)
{
    seen = (struct seen){0};
    span_set_sink(on_span, &seen);
    return 0;
}

static int unlisten(void **state)
{
    span_set_ratio(1000000);
    span_set_sink(NULL, NULL);
    return 0;
}

static struct span start(const char *traceparent)
{
    struct span s;
    span_start(&s, "call", SPAN_SERVER, traceparent);
    return s;
}

static void continues_a_trace(void **state)
{
    char out[SPAN_TRACEPARENT_SIZE];
    struct span s = start(PARENT);
    assert_true(s.is_sampled);
    assert_memory_equal(s.parent_id, "\xb7\xad\x6b\x71\x69\x20\x33\x31", 8);
    span_traceparent(&s, out);
    assert_int_equal(strlen(out), 55);
    assert_memory_equal(out, PARENT, 36); /* the same trace */
    assert_memory_not_equal(out + 36, PARENT + 36, 16);
    assert_string_equal(out + 52, "-01");
    struct span child = start(out);
    assert_memory_equal(child.parent_id, s.span_id, 8);
    assert_memory_equal(child.trace_id, s.trace_id, 16);
    s = start("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
    assert_false(s.is_sampled);
    /* A later version may carry more; what we know of it is used. */
    s = start("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more");
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
        struct span s = start(cases[i]);
        if (memcmp(s.parent_id, zeros, 8) != 0 || !s.is_sampled)
            fail_msg("%s", cases[i]);
        assert_memory_not_equal(s.trace_id, zeros, 16);
        assert_memory_not_equal(s.trace_id, last, 16);
        assert_memory_not_equal(s.span_id, zeros, 8);
        memcpy(last, s.trace_id, 16);
    }
}

static void nobody_listens(void **state)
{
    char out[SPAN_TRACEPARENT_SIZE];
    struct span s = start(PARENT);
    assert_false(s.is_known);
    assert_false(s.is_sampled);
    span_traceparent(&s, out);
    assert_string_equal(out, "");
    const struct span *before = span_enter(&s);
    assert_null(span_current()); /* nothing to hand on */
    span_leave(before);
    span_set_sink(on_span, &seen);
    span_end(&s, 0); /* began unrecorded, stays so */
    assert_int_equal(seen.count, 0);
    span_set_sink(NULL, NULL);
}

static void sink(void **state)
{
    struct span s = start(NULL);
    assert_true(s.is_sampled);
    s.start_us -= 5000;
    span_end(&s, 5);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.err, 5);
    assert_true(seen.duration_us >= 5000);
    assert_string_equal(seen.name, "call");
    span_end(&s, 0); /* once */
    assert_int_equal(seen.count, 1);
    s = start(NULL);
    span_set_sink(NULL, NULL);
    span_end(&s, 0);
    assert_int_equal(seen.count, 1);
}

static void children(void **state)
{
    struct span s = start(PARENT), child, orphan;
    s.service = "user";
    span_start_child(&orphan, "nobody's", SPAN_CLIENT);
    assert_false(orphan.is_sampled);
    const struct span *before = span_enter(&s);
    assert_null(before);
    assert_ptr_equal(span_current(), &s);
    span_start_child(&child, "child", SPAN_CLIENT);
    span_leave(before);
    assert_null(span_current());
    assert_true(child.is_sampled);
    assert_memory_equal(child.trace_id, s.trace_id, 16);
    assert_memory_equal(child.parent_id, s.span_id, 8);
    assert_memory_not_equal(child.span_id, s.span_id, 8);
    assert_string_equal(child.service, "user");
    for (int i = 0; i < SPAN_ATTRIBUTES_MAX + 2; i++)
        span_add_number(&child, "n", i);
    assert_int_equal(child.attribute_count, SPAN_ATTRIBUTES_MAX);

    s = start("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
    before = span_enter(&s);
    span_start_child(&child, "child", SPAN_CLIENT);
    assert_false(child.is_sampled); /* the parent has decided */
    span_leave(before);
}

static void ratio(void **state)
{
    enum { TRACES = 4000 };
    int count = 0;
    span_set_ratio(250000);
    for (int i = 0; i < TRACES; i++)
        count += start(NULL).is_sampled;
    /* 1,000 expected; the bounds are more than ten standard deviations away. */
    assert_in_range(count, 700, 1300);
    assert_true(start(PARENT).is_sampled); /* decided elsewhere */
    span_set_ratio(0);
    for (int i = 0; i < 100; i++)
        assert_false(start(NULL).is_sampled);
    assert_true(start(NULL).is_known); /* so that those who are called do not decide anew */
}

#define heard(f) cmocka_unit_test_setup_teardown(f, listen, unlisten)

int main(void)
{
    const struct CMUnitTest tests[] = {
        heard(continues_a_trace),
        heard(starts_anew_on_nonsense),
        cmocka_unit_test(nobody_listens),
        heard(sink),
        heard(children),
        heard(ratio),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
