/* cache_suite: what every cache promises. Run as `cache_suite DRIVER`; redis at the address in
 * PARLANCE_TEST_REDIS_URL. The memory driver's byte bound is tested here too, for it is the
 * option's promise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/cache.h"
#include "core/id.h"
#include "core/log.h"

static const char *driver = "memory";

struct fixture {
    struct cache *cache;
    struct arena *arena;
};

static void reopen(struct fixture *f, size_t max_bytes)
{
    cache_close(&f->cache);
    /* each test under a prefix of its own: what an earlier one left is not there */
    char prefix[ID_SIZE + 8];
    char id[ID_SIZE];
    id_make(id);
    snprintf(prefix, sizeof(prefix), "test:%s:", id);
    struct cache_options opt = {.driver = driver,
                                .max_bytes = max_bytes,
                                .url = getenv("PARLANCE_TEST_REDIS_URL"),
                                .prefix = prefix};
    assert_int_equal(cache_open(&f->cache, &opt), ERR_OK);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->arena = arena_create();
    reopen(f, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    cache_close(&f->cache);
    arena_destroy(&f->arena);
    free(f);
    return 0;
}

/* The value as text, or NULL when it is not there. */
static const char *get(struct fixture *f, const char *key)
{
    struct str value;
    enum err err = cache_get(f->cache, str_from(key), f->arena, &value);
    if (err == ERR_NOT_FOUND)
        return NULL;
    assert_int_equal(err, ERR_OK);
    assert_int_equal(value.p[value.n], '\0');
    return value.p;
}

static void set(struct fixture *f, const char *key, const char *value, int64_t ttl_ms)
{
    assert_int_equal(cache_set(f->cache, str_from(key), str_from(value), ttl_ms), ERR_OK);
}

static void test_set_get_delete(void **state)
{
    struct fixture *f = *state;
    assert_null(get(f, "a"));
    set(f, "a", "1", 0);
    set(f, "b", "", 1000);
    assert_string_equal(get(f, "a"), "1");
    assert_string_equal(get(f, "b"), "");
    set(f, "a", "longer than before", 0);
    assert_string_equal(get(f, "a"), "longer than before");
    assert_int_equal(cache_delete(f->cache, STR("a")), ERR_OK);
    assert_null(get(f, "a"));
    assert_int_equal(cache_delete(f->cache, STR("a")), ERR_OK);
    assert_string_equal(get(f, "b"), "");
}

static void test_any_bytes(void **state)
{
    struct fixture *f = *state;
    static const char key[] = {'k', 0, (char)0xff};
    static const char other[] = {'k', 0, (char)0xfe};
    struct str value;
    assert_int_equal(cache_set(f->cache, (struct str){key, 3}, (struct str){"\0x\0", 3}, 0),
                     ERR_OK);
    assert_int_equal(cache_get(f->cache, (struct str){other, 3}, f->arena, &value), ERR_NOT_FOUND);
    assert_int_equal(cache_get(f->cache, (struct str){key, 2}, f->arena, &value), ERR_NOT_FOUND);
    assert_int_equal(cache_get(f->cache, (struct str){key, 3}, f->arena, &value), ERR_OK);
    assert_int_equal(value.n, 3);
    assert_memory_equal(value.p, "\0x\0", 3);
}

static void test_expiry(void **state)
{
    struct fixture *f = *state;
    int64_t n;
    set(f, "short", "1", 30);
    set(f, "long", "2", 60000);
    set(f, "far", "3", INT64_MAX);
    set(f, "extended", "4", 30);
    set(f, "extended", "5", 60000);
    assert_int_equal(cache_increment(f->cache, STR("counter"), 5, 30, &n), ERR_OK);
    assert_string_equal(get(f, "short"), "1");
    usleep(60000);
    assert_null(get(f, "short"));
    assert_string_equal(get(f, "long"), "2");
    assert_string_equal(get(f, "far"), "3");
    assert_string_equal(get(f, "extended"), "5");
    assert_int_equal(cache_add(f->cache, STR("short"), STR("again"), 0), ERR_OK);
    assert_int_equal(cache_increment(f->cache, STR("counter"), 1, 30, &n), ERR_OK);
    assert_int_equal(n, 1); /* it had expired */
}

static void test_add_only_when_absent(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(cache_add(f->cache, STR("k"), STR("1"), 0), ERR_OK);
    assert_int_equal(cache_add(f->cache, STR("k"), STR("2"), 0), ERR_ALREADY_EXISTS);
    assert_string_equal(get(f, "k"), "1");
}

static void test_counters(void **state)
{
    struct fixture *f = *state;
    int64_t n;
    assert_int_equal(cache_increment(f->cache, STR("n"), 5, 80, &n), ERR_OK);
    assert_int_equal(n, 5);
    usleep(50000);
    assert_int_equal(cache_increment(f->cache, STR("n"), -7, 60000, &n), ERR_OK);
    assert_int_equal(n, -2);
    assert_string_equal(get(f, "n"), "-2");
    usleep(50000); /* the time to live is the first one's */
    assert_null(get(f, "n"));

    set(f, "text", "many", 0);
    assert_int_equal(cache_increment(f->cache, STR("text"), 1, 0, &n), ERR_FAILED_PRECONDITION);
    assert_string_equal(get(f, "text"), "many");
    set(f, "edge", "9223372036854775807", 0);
    assert_int_equal(cache_increment(f->cache, STR("edge"), 1, 0, &n), ERR_OUT_OF_RANGE);
    assert_string_equal(get(f, "edge"), "9223372036854775807");
    assert_int_equal(cache_increment(f->cache, STR("edge"), -1, 0, &n), ERR_OK);
    assert_int_equal(n, INT64_MAX - 1);
}

static void test_limits(void **state)
{
    struct fixture *f = *state;
    static char big[(1 << 20) + 1];
    struct str value;
    int64_t n;
    memset(big, 'x', sizeof(big));
    struct str fits = {big, 1 << 20}, too_big = {big, (1 << 20) + 1}, long_key = {big, 513};
    assert_int_equal(cache_set(f->cache, STR("big"), fits, 0), ERR_OK);
    assert_int_equal(cache_get(f->cache, STR("big"), f->arena, &value), ERR_OK);
    assert_int_equal(value.n, 1 << 20);
    assert_int_equal(cache_set(f->cache, STR("big"), too_big, 0), ERR_INVALID_ARGUMENT);
    assert_int_equal(cache_set(f->cache, STR(""), STR("v"), 0), ERR_INVALID_ARGUMENT);
    assert_int_equal(cache_set(f->cache, long_key, STR("v"), 0), ERR_INVALID_ARGUMENT);
    assert_int_equal(cache_get(f->cache, long_key, f->arena, &value), ERR_INVALID_ARGUMENT);
    assert_int_equal(cache_delete(f->cache, long_key), ERR_INVALID_ARGUMENT);
    assert_int_equal(cache_increment(f->cache, STR(""), 1, 0, &n), ERR_INVALID_ARGUMENT);
    assert_int_equal(cache_set(f->cache, STR("k"), STR("v"), -1), ERR_INVALID_ARGUMENT);
    assert_null(get(f, "k"));
}

static void test_the_least_recently_used_go(void **state)
{
    struct fixture *f = *state;
    if (cache_is_shared(f->cache))
        skip(); /* the server's own matter */
    static char value[10000];
    char key[32];
    memset(value, 'v', sizeof(value) - 1);
    reopen(f, 1 << 20); /* about a hundred of them */
    set(f, "kept warm", "yes", 0);
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "key %d", i);
        set(f, key, value, 0);
        assert_non_null(get(f, "kept warm"));
    }
    int left = 0;
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "key %d", i);
        left += get(f, key) != NULL;
        assert_true(get(f, key) == NULL || i >= 850);
    }
    assert_in_range(left, 80, 105);
    assert_non_null(get(f, "key 999"));
}

static void test_many_keys(void **state)
{
    struct fixture *f = *state;
    char key[32], value[32];
    for (int i = 0; i < 10000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        snprintf(value, sizeof(value), "v%d", i);
        set(f, key, value, 0);
    }
    for (int i = 0; i < 10000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        snprintf(value, sizeof(value), "v%d", i);
        assert_string_equal(get(f, key), value);
        if (i % 2)
            assert_int_equal(cache_delete(f->cache, str_from(key)), ERR_OK);
    }
    for (int i = 0; i < 10000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_true((get(f, key) != NULL) == (i % 2 == 0));
    }
}

enum { THREADS = 6, ROUNDS = 1000 };

struct crowd {
    struct cache *cache;
    int added;
    int failures;
};

static void *crowd_main(void *arg)
{
    struct crowd *c = arg;
    struct arena *arena = arena_create();
    for (int i = 0; i < ROUNDS; i++) {
        char key[32];
        int64_t n;
        struct str value;
        snprintf(key, sizeof(key), "once %d", i);
        c->failures += cache_increment(c->cache, STR("shared"), 1, 0, &n) != ERR_OK;
        c->added += cache_add(c->cache, str_from(key), STR("x"), 0) == ERR_OK;
        enum err err = cache_get(c->cache, str_from(key), arena, &value);
        c->failures += err != ERR_OK || value.n != 1;
    }
    arena_destroy(&arena);
    return NULL;
}

static void test_threads_agree(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[THREADS];
    struct crowd crowd[THREADS];
    int added = 0;
    for (int i = 0; i < THREADS; i++) {
        crowd[i] = (struct crowd){.cache = f->cache};
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_main, &crowd[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(crowd[i].failures, 0);
        added += crowd[i].added;
    }
    assert_int_equal(added, ROUNDS); /* each key was added by exactly one */
    char expected[32];
    snprintf(expected, sizeof(expected), "%d", THREADS * ROUNDS);
    assert_string_equal(get(f, "shared"), expected);
}

static void test_the_local_one(void **state)
{
    struct fixture *f = *state;
    struct cache *local = cache_local(f->cache);
    assert_true(cache_is_up(f->cache));
    assert_false(cache_is_shared(local));
    assert_ptr_equal(cache_local(local), local);
    assert_true((local == f->cache) == !cache_is_shared(f->cache));
}

static void test_an_unknown_driver_is_refused(void **state)
{
    struct cache *cache = NULL;
    struct cache_options opt = {.driver = "slate"};
    assert_int_equal(cache_open(&cache, &opt), ERR_INVALID_ARGUMENT);
    cache_close(&cache);
}

int main(int argc, char **argv)
{
    driver = argc > 1 ? argv[1] : driver;
    signal(SIGPIPE, SIG_IGN);
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_OFF);
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_set_get_delete),
        T(test_any_bytes),
        T(test_expiry),
        T(test_add_only_when_absent),
        T(test_counters),
        T(test_limits),
        T(test_the_least_recently_used_go),
        T(test_many_keys),
        T(test_threads_agree),
        T(test_the_local_one),
        cmocka_unit_test(test_an_unknown_driver_is_refused),
    };
    return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
