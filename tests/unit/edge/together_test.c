/* Limits that two processes count together, here over one cache in memory. */
#include "test.h"

#include <unistd.h>

#include "edge/edge_internal.h"

enum { MOST = 60 };

static const struct edge_route route = {.method = "GET", .path = "/api/v1/things"};
static struct edge_target target = {.route = &route};

struct process {
    struct edge_limits *limits;
    struct edge_together *together;
};

static struct process open_one(struct cache *cache)
{
    struct process p = {.limits = edge_limits_create()};
    p.together = cache ? edge_together_create(cache, p.limits) : NULL;
    return p;
}

static void close_one(struct process *p)
{
    edge_together_destroy(&p->together);
    edge_limits_destroy(&p->limits);
}

/* How many of `tries` pass. */
static int ask(struct process *p, const char *user, const char *address, int tries)
{
    struct identity who = {0};
    struct net_address from;
    int passed = 0;
    assert_true(net_address_parse(str_from(address), &from));
    snprintf(who.user_id, sizeof(who.user_id), "%s", user ? user : "");
    struct edge_use use = {
        .target = &target, .who = user ? &who : NULL, .address = &from, .per_minute = MOST};
    use.key = edge_limits_key(&target, use.who, &from);
    for (int i = 0; i < tries; i++) {
        if (edge_limits_take(p->limits, use.key, MOST, clock_mono_us()))
            continue;
        edge_together_note(p->together, &use);
        passed++;
    }
    return passed;
}

/* The counters are of a minute of the clock, which each notices within a quarter of a second: away
 * from where two meet. */
static void avoid_where_minutes_meet(void)
{
    while (clock_wall_ms() % 60000 > 56000 || clock_wall_ms() % 60000 < 600)
        usleep(100000);
}

static void test_what_passed_elsewhere_counts(void **state)
{
    struct cache *cache;
    assert_int_equal(cache_open(&cache, &(struct cache_options){.driver = "memory"}), ERR_OK);
    struct process a = open_one(cache), b = open_one(cache);
    avoid_where_minutes_meet();
    assert_int_equal(ask(&b, "ann", "192.0.2.1", 1), 1); /* known at b */
    assert_int_equal(ask(&a, "ann", "192.0.2.1", 100), MOST);
    usleep(400000);
    assert_in_range(ask(&b, "ann", "192.0.2.1", 1), 0, 1); /* b asks, and hears of a */
    usleep(400000);
    assert_int_equal(ask(&b, "ann", "192.0.2.1", 100), 0);
    assert_int_equal(ask(&b, "bob", "192.0.2.1", 5), 5); /* somebody else */
    assert_int_equal(ask(&b, NULL, "192.0.2.1", 5), 5);
    assert_int_equal(ask(&b, NULL, "2001:db8::1", 5), 5);
    close_one(&a);
    close_one(&b);
    cache_close(&cache);
}

static void test_without_the_cache_each_counts_alone(void **state)
{
    struct cache *cache;
    struct cache_options opt = {.driver = "redis", .url = "redis://127.0.0.1:1"};
    log_set_level(LOG_OFF);
    assert_int_equal(cache_open(&cache, &opt), ERR_OK);
    struct process a = open_one(cache), b = open_one(NULL);
    assert_int_equal(ask(&a, "ann", "192.0.2.1", 100), MOST);
    usleep(400000);
    assert_in_range(ask(&a, "ann", "192.0.2.1", 100), 0, 2);
    assert_int_equal(ask(&b, "ann", "192.0.2.1", 100), MOST);
    close_one(&a);
    close_one(&b);
    cache_close(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_passed_elsewhere_counts),
        cmocka_unit_test(test_without_the_cache_each_counts_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
