/* metric: sums over threads, the bound on series, and the exposition format. Run under TSan too. */
#include "test.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/metric.h"

/* The page, until the next call. */
static const char *page(void)
{
    static struct strbuf out;
    strbuf_clear(&out);
    metric_write_prometheus(&out);
    return strbuf_str(&out).p;
}

static void assert_line(const char *line)
{
    struct strbuf whole = {0};
    strbuf_printf(&whole, "\n%s\n", line);
    if (!strstr(page(), whole.p))
        fail_msg("no line %s in:\n%s", line, page());
    strbuf_deinit(&whole);
}

static struct metric first = METRIC_COUNTER("a_first_total", "Keeps the page from starting bare.");
static struct metric plain = METRIC_COUNTER("test_plain_total", "Help with \\ and \n in it.");
static struct metric labelled = METRIC_COUNTER("test_labelled_total", "L.", "route", "status");
static struct metric gauge = METRIC_GAUGE("test_gauge_bytes", "G.");
static struct metric seconds = METRIC_HISTOGRAM("test_wait_seconds", "S.", "route");
static struct metric sizes = METRIC_HISTOGRAM("test_batch_size", "B.");
static struct metric many = METRIC_COUNTER("test_many_total", "M.", "name");
static struct metric shared = METRIC_COUNTER("test_shared_total", "T.", "name");
static struct metric asked = METRIC_GAUGE("test_asked", "A.");

static void counters(void **state)
{
    metric_add(&first, 1);
    metric_add(&plain, 1);
    metric_add(&plain, 2.5);
    assert_line("# HELP test_plain_total Help with \\\\ and \\n in it.");
    assert_line("# TYPE test_plain_total counter");
    assert_line("test_plain_total 3.5");
    struct metric_cell *cell = metric_cell(&labelled, "/a\"b\\c\nd", "200", NULL);
    metric_cell_add(cell, 7);
    assert_ptr_equal(metric_cell(&labelled, "/a\"b\\c\nd", "200", NULL), cell);
    assert_ptr_not_equal(metric_cell(&labelled, "/a\"b\\c\nd", "404", NULL), cell);
    assert_ptr_not_equal(metric_cell(&labelled, "200", "/a\"b\\c\nd", NULL), cell);
    assert_line("test_labelled_total{route=\"/a\\\"b\\\\c\\nd\",status=\"200\"} 7");
    assert_line("test_labelled_total{route=\"/a\\\"b\\\\c\\nd\",status=\"404\"} 0");
}

static void gauges(void **state)
{
    metric_set(&gauge, 100);
    metric_add(&gauge, -130);
    assert_line("# TYPE test_gauge_bytes gauge");
    assert_line("test_gauge_bytes -30");
    metric_set(&gauge, 1e15);
    assert_line("test_gauge_bytes 1e+15");
    metric_set(&gauge, INFINITY);
    assert_line("test_gauge_bytes +Inf");
    metric_set(&gauge, NAN);
    assert_line("test_gauge_bytes NaN");
}

static void histograms(void **state)
{
    struct metric_cell *cell = metric_cell(&seconds, "/x", NULL, NULL);
    metric_cell_observe(cell, 0);
    metric_cell_observe(cell, 0.0005); /* le: the bound belongs to the bucket */
    metric_cell_observe(cell, 0.0006);
    metric_cell_observe(cell, 16.384);
    metric_cell_observe(cell, 17);
    assert_line("# TYPE test_wait_seconds histogram");
    assert_line("test_wait_seconds_bucket{route=\"/x\",le=\"0.0005\"} 2");
    assert_line("test_wait_seconds_bucket{route=\"/x\",le=\"0.001\"} 3");
    assert_line("test_wait_seconds_bucket{route=\"/x\",le=\"8.192\"} 3");
    assert_line("test_wait_seconds_bucket{route=\"/x\",le=\"16.384\"} 4");
    assert_line("test_wait_seconds_bucket{route=\"/x\",le=\"+Inf\"} 5");
    assert_line("test_wait_seconds_sum{route=\"/x\"} 33.3851");
    assert_line("test_wait_seconds_count{route=\"/x\"} 5");
    metric_observe(&sizes, 1);
    metric_observe(&sizes, 3);
    metric_observe(&sizes, 1048577);
    assert_line("test_batch_size_bucket{le=\"1\"} 1");
    assert_line("test_batch_size_bucket{le=\"2\"} 1");
    assert_line("test_batch_size_bucket{le=\"4\"} 2");
    assert_line("test_batch_size_bucket{le=\"1048576\"} 2");
    assert_line("test_batch_size_bucket{le=\"+Inf\"} 3");
    assert_line("test_batch_size_count 3");
}

static void series_are_bounded(void **state)
{
    char name[32];
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        metric_cell_add(metric_cell(&many, name, NULL, NULL), 1);
    }
    assert_line("test_many_total{name=\"n999\"} 1");
    assert_line("test_many_total{name=\"other\"} 4000");
    assert_null(strstr(page(), "\"n1000\""));
}

static void *count_many(void *arg)
{
    char name[8];
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "%d", i % 50);
        metric_cell_add(metric_cell(&shared, name, NULL, NULL), 1);
        metric_add(&plain, 1);
        if (i % 1000 == 0) {
            struct strbuf out = {0};
            metric_write_prometheus(&out); /* a scrape in the middle of it */
            strbuf_deinit(&out);
        }
    }
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    pthread_t threads[12]; /* more than shards */
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_many, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_line("test_shared_total{name=\"0\"} 1200");
    assert_line("test_shared_total{name=\"49\"} 1200");
    assert_line("test_plain_total 60003.5");
}

static double read_number(void *arg)
{
    return *(int *)arg;
}

static void reads(void **state)
{
    int one = 3, two = 4;
    metric_register_read(&asked, read_number, &one);
    metric_register_read(&asked, read_number, &two);
    assert_line("test_asked 7");
    one = 30;
    assert_line("test_asked 34");
    metric_unregister_read(&asked, &one);
    assert_line("test_asked 4");
    metric_unregister_read(&asked, &two);
    assert_null(strstr(page(), "\ntest_asked "));
}

static void page_is_sorted_and_whole(void **state)
{
    const char *at = page(), *was = NULL;
    size_t was_n = 0;
    assert_int_equal(at[strlen(at) - 1], '\n');
    while ((at = strstr(at, "# TYPE "))) {
        at += 7;
        size_t n = strcspn(at, " ");
        if (was)
            assert_true(strncmp(was, at, MIN(was_n, n) + 1) < 0);
        was = at;
        was_n = n;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters),
        cmocka_unit_test(gauges),
        cmocka_unit_test(histograms),
        cmocka_unit_test(series_are_bounded),
        cmocka_unit_test(threads_lose_nothing),
        cmocka_unit_test(reads),
        cmocka_unit_test(page_is_sorted_and_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
