/* The brake on guessing: what is free, what waits, what is forgiven; and that it holds when the
 * shared cache is away. */
#include "test.h"

#include <stdlib.h>

#include "core/log.h"
#include "services/common/throttle.h"

static const struct throttle_rule rule = {.scope = "test",
                                          .free_count = 3,
                                          .first_delay_ms = 1000,
                                          .delay_max_ms = 8000,
                                          .window_ms = 60000};

static enum err try_once(struct cache *cache, const char *key)
{
    int64_t wait_ms;
    enum err err = throttle_try(cache, &rule, key, &wait_ms);
    assert_true((err == ERR_RESOURCE_EXHAUSTED) == (wait_ms > 0));
    assert_in_range(wait_ms, 0, 8000);
    return err;
}

static void check(struct cache *cache)
{
    for (int i = 0; i < 4; i++) /* three are free, the fourth shuts the gate behind it */
        assert_int_equal(try_once(cache, "ann"), ERR_OK);
    assert_int_equal(try_once(cache, "ann"), ERR_RESOURCE_EXHAUSTED);
    assert_int_equal(try_once(cache, "bob"), ERR_OK);
    throttle_forget(cache, &rule, "ann");
    assert_int_equal(try_once(cache, "ann"), ERR_OK);
    throttle_give_back(cache, &rule, "ann");
    for (int i = 0; i < 4; i++)
        assert_int_equal(try_once(cache, "ann"), ERR_OK);
    assert_int_equal(try_once(cache, "ann"), ERR_RESOURCE_EXHAUSTED);
    cache_close(&cache);
}

static void test_in_this_process(void **state)
{
    struct cache *cache;
    assert_int_equal(cache_open(&cache, &(struct cache_options){.driver = "memory"}), ERR_OK);
    check(cache);
}

static void test_while_redis_is_away(void **state)
{
    struct cache *cache;
    struct cache_options opt = {.driver = "redis", .url = "redis://127.0.0.1:1"};
    assert_int_equal(cache_open(&cache, &opt), ERR_OK);
    assert_false(cache_is_up(cache));
    check(cache);
}

int main(void)
{
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_this_process),
        cmocka_unit_test(test_while_redis_is_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
