/* What only the shared cache can get wrong: a server that freezes, dies, comes back. Beside one,
 * see tests/services/run.mjs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/cache.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "core/metric.h"
#include "tcp_proxy.h"

#define QUICK_MS 1200 /* what a call may take when the server is known to be away */

struct fixture {
    struct cache *cache, *other; /* two processes */
    struct arena *arena;
    struct tcp_proxy *proxy;
};

static const char *url;
static pid_t server;

static struct cache *open_one(const char *address, const char *prefix)
{
    struct cache *cache;
    struct cache_options opt = {.driver = "redis", .url = address, .prefix = prefix};
    assert_int_equal(cache_open(&cache, &opt), ERR_OK);
    return cache;
}

/* The first one goes through the proxy. */
static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    char id[ID_SIZE], prefix[ID_SIZE + 8], address[256];
    id_make(id);
    snprintf(prefix, sizeof(prefix), "test:%s:", id);
    const char *colon = strrchr(url, ':');
    f->proxy = tcp_proxy_start((uint16_t)atoi(colon + 1));
    snprintf(address, sizeof(address), "%.*s:%u", (int)(colon - url), url,
             tcp_proxy_port(f->proxy));
    f->cache = open_one(address, prefix);
    f->other = open_one(url, prefix);
    f->arena = arena_create();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    kill(server, SIGCONT);
    cache_close(&f->cache);
    cache_close(&f->other);
    tcp_proxy_stop(&f->proxy);
    arena_destroy(&f->arena);
    free(f);
    return 0;
}

static void wait_up(struct cache *cache, bool is_up)
{
    int64_t until_ms = clock_mono_ms() + 10000;
    while (cache_is_up(cache) != is_up && clock_mono_ms() < until_ms)
        usleep(5000);
    assert_int_equal(cache_is_up(cache), is_up);
}

static void test_processes_share(void **state)
{
    struct fixture *f = *state;
    struct str value;
    int64_t n;
    assert_int_equal(cache_set(f->cache, STR("k"), STR("v"), 60000), ERR_OK);
    assert_int_equal(cache_get(f->other, STR("k"), f->arena, &value), ERR_OK);
    assert_string_equal(value.p, "v");
    assert_int_equal(cache_add(f->other, STR("k"), STR("w"), 0), ERR_ALREADY_EXISTS);
    assert_int_equal(cache_increment(f->cache, STR("n"), 1, 60000, &n), ERR_OK);
    assert_int_equal(cache_increment(f->other, STR("n"), 1, 60000, &n), ERR_OK);
    assert_int_equal(n, 2);
}

static void expect_quick_failure(struct cache *cache, struct arena *arena)
{
    struct str value;
    int64_t n, start_ms = clock_mono_ms();
    assert_int_equal(cache_get(cache, STR("k"), arena, &value), ERR_UNAVAILABLE);
    assert_int_equal(cache_set(cache, STR("k"), STR("v"), 0), ERR_UNAVAILABLE);
    assert_int_equal(cache_add(cache, STR("k"), STR("v"), 0), ERR_UNAVAILABLE);
    assert_int_equal(cache_delete(cache, STR("k")), ERR_UNAVAILABLE);
    assert_int_equal(cache_increment(cache, STR("n"), 1, 0, &n), ERR_UNAVAILABLE);
    assert_in_range(clock_mono_ms() - start_ms, 0, QUICK_MS);
}

static void test_a_frozen_server(void **state)
{
    struct fixture *f = *state;
    struct str value;
    assert_int_equal(cache_set(f->cache, STR("k"), STR("v"), 60000), ERR_OK);
    kill(server, SIGSTOP);
    int64_t start_ms = clock_mono_ms();
    assert_int_equal(cache_get(f->cache, STR("k"), f->arena, &value), ERR_UNAVAILABLE);
    assert_in_range(clock_mono_ms() - start_ms, 0, 2500); /* once, and not for seconds */
    expect_quick_failure(f->cache, f->arena);
    wait_up(f->other, false); /* which nobody has called */
    kill(server, SIGCONT);
    wait_up(f->cache, true);
    assert_int_equal(cache_get(f->cache, STR("k"), f->arena, &value), ERR_OK);
    assert_string_equal(value.p, "v");
}

static void test_a_lost_connection(void **state)
{
    struct fixture *f = *state;
    struct str value;
    tcp_proxy_set(f->proxy, TCP_PROXY_CUT);
    wait_up(f->cache, false);
    expect_quick_failure(f->cache, f->arena);
    tcp_proxy_set(f->proxy, TCP_PROXY_HELD);
    usleep(300000);
    expect_quick_failure(f->cache, f->arena);
    tcp_proxy_set(f->proxy, TCP_PROXY_OPEN);
    wait_up(f->cache, true);
    assert_int_equal(cache_get(f->cache, STR("k"), f->arena, &value), ERR_NOT_FOUND);
}

struct caller {
    struct cache *cache;
    atomic_bool *is_over;
    int64_t slowest_ms;
    int good, bad, wrong;
};

static void *caller_main(void *arg)
{
    struct caller *c = arg;
    while (!atomic_load(c->is_over)) {
        int64_t n, start_ms = clock_mono_ms();
        enum err err = cache_increment(c->cache, STR("all"), 1, 0, &n);
        c->slowest_ms = MAX(c->slowest_ms, clock_mono_ms() - start_ms);
        c->good += err == ERR_OK;
        c->bad += err == ERR_UNAVAILABLE;
        c->wrong += err && err != ERR_UNAVAILABLE;
        usleep(500);
    }
    return NULL;
}

/* Many callers while the way is cut and mended: each gets an answer, soon, and it is true. */
static void test_a_bad_network(void **state)
{
    enum { CALLERS = 6 };
    struct fixture *f = *state;
    atomic_bool is_over = false;
    pthread_t threads[CALLERS];
    struct caller callers[CALLERS];
    int64_t good = 0, n;
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.cache = f->cache, .is_over = &is_over};
        pthread_create(&threads[i], NULL, caller_main, &callers[i]);
    }
    for (int round = 0; round < 4; round++) {
        usleep(150000);
        tcp_proxy_set(f->proxy, round % 2 ? TCP_PROXY_HELD : TCP_PROXY_CUT);
        wait_up(f->cache, false);
        tcp_proxy_set(f->proxy, TCP_PROXY_OPEN);
        wait_up(f->cache, true);
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(callers[i].wrong, 0);
        assert_true(callers[i].bad > 0);
        assert_in_range(callers[i].slowest_ms, 0, 900);
        good += callers[i].good;
    }
    assert_int_equal(cache_increment(f->other, STR("all"), 0, 0, &n), ERR_OK);
    assert_true(n >= good); /* what was said to be done was done; of others nobody knows */
    assert_true(n <= good + 4 * CALLERS);
}

/* The last: it does not come back. */
static void test_a_dead_server(void **state)
{
    struct fixture *f = *state;
    struct strbuf text = {0};
    kill(server, SIGKILL);
    wait_up(f->cache, false);
    expect_quick_failure(f->cache, f->arena);
    metric_write_prometheus(&text);
    assert_non_null(strstr(text.p, "parlance_redis_up 0"));
    assert_non_null(strstr(text.p, "parlance_cache_lookups_total{result=\"error\"}"));
    strbuf_deinit(&text);
}

int main(void)
{
    url = getenv("PARLANCE_TEST_REDIS_URL");
    const char *pid = getenv("PARLANCE_TEST_REDIS_PID");
    if (!url || !pid) {
        print_error("no server: run this by node tests/services/run.mjs redis\n");
        return 77;
    }
    server = atoi(pid);
    signal(SIGPIPE, SIG_IGN);
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_OFF);
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_processes_share), T(test_a_frozen_server), T(test_a_lost_connection),
        T(test_a_bad_network),   T(test_a_dead_server),
    };
    return cmocka_run_group_tests_name("cache over redis", tests, NULL, NULL);
}
