/*
 * store_server_test: what only a driver whose database is a server can get wrong: a connection that
 * is cut, in each place where it hurts, two processes that write at once, types of other names. Run
 * as `store_server_test DRIVER`.
 */
#include "store_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/thread.h"
#include "store_server.h"
#include "tcp_proxy.h"

static void cut_connections(void)
{
    store_server_cut(fixture_driver);
}

static void make_table(struct fixture *f)
{
    assert_int_equal(
        fixture_exec(f->store, "CREATE TABLE r (id INTEGER PRIMARY KEY AUTOINCREMENT, n INTEGER)"),
        ERR_OK);
}

/* An idle connection that died is nobody's trouble. */
static void test_an_idle_connection_is_made_anew(void **state)
{
    struct fixture *f = *state;
    make_table(f);
    for (int64_t i = 1; i <= 3; i++) {
        assert_int_equal(fixture_exec(f->store, "INSERT INTO r (n) VALUES (1)"), ERR_OK);
        assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM r"), i);
        cut_connections();
    }
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM r"), 3);
    assert_true(store_is_writable(f->store));
}

static enum err cut_in_the_middle(struct store_tx *tx, void *arg)
{
    enum err err = store_run(tx, "INSERT INTO r (n) VALUES (2)", "");
    if (err)
        return err;
    cut_connections();
    return *(bool *)arg ? store_run(tx, "INSERT INTO r (n) VALUES (3)", "") : ERR_OK;
}

/* What had begun fails wholly, whether a statement finds out or the commit, and the next goes on.
 */
static void test_a_job_that_is_cut_fails(void **state)
{
    struct fixture *f = *state;
    make_table(f);
    for (int i = 0; i < 2; i++) {
        bool has_more = i == 0;
        assert_int_equal(store_write_sync(f->store, 0, cut_in_the_middle, &has_more),
                         ERR_UNAVAILABLE);
        assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM r"), i);
        assert_int_equal(fixture_exec(f->store, "INSERT INTO r (n) VALUES (1)"), ERR_OK);
    }
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM r WHERE n > 1"), 0);
}

static enum err cut_a_read(struct store_tx *tx, void *arg)
{
    struct store_stmt *st = store_query(tx, "SELECT COUNT(*) FROM r", "");
    store_step(st);
    enum err err = store_finish(st);
    if (err)
        return err;
    cut_connections();
    return store_run(tx, "SELECT COUNT(*) FROM r", "");
}

static void test_a_read_that_is_cut_fails(void **state)
{
    struct fixture *f = *state;
    make_table(f);
    /* Half of its snapshot is gone: it must not go on in another. */
    assert_int_equal(store_read(f->store, cut_a_read, NULL), ERR_UNAVAILABLE);
    assert_int_equal(fixture_int(f->store, "SELECT COUNT(*) FROM r"), 0);
}

/* ---- two processes ---- */

static enum err add_one(struct store_tx *tx, void *arg)
{
    struct store_stmt *st = store_query(tx, "SELECT n FROM r WHERE id = 1", "");
    int64_t n = store_step(st) ? store_int(st, 0) : -1;
    enum err err = store_finish(st);
    return err ? err : store_run(tx, "UPDATE r SET n = ? WHERE id = 1", "i", n + 1);
}

enum { ADDITIONS = 200 };

static void *add_many(void *arg)
{
    int failures = 0;
    for (int i = 0; i < ADDITIONS; i++)
        failures += store_write_sync(arg, 0, add_one, NULL) != ERR_OK;
    return (void *)(intptr_t)failures;
}

/* Read, think, write: two stores over one database may not lose an addition. */
static void test_two_stores_write_one_after_the_other(void **state)
{
    struct fixture *f = *state;
    struct store *second = NULL;
    struct store_options opt = fixture_options(f);
    pthread_t threads[2];
    make_table(f);
    assert_int_equal(fixture_exec(f->store, "INSERT INTO r (id, n) VALUES (1, 0)"), ERR_OK);
    assert_int_equal(store_open(&second, &opt), ERR_OK);
    assert_false(store_is_exclusive(second));
    assert_int_equal(pthread_create(&threads[0], NULL, add_many, f->store), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, add_many, second), 0);
    for (int i = 0; i < 2; i++) {
        void *failures;
        pthread_join(threads[i], &failures);
        assert_int_equal((intptr_t)failures, 0);
    }
    store_close(&second);
    assert_int_equal(fixture_int(f->store, "SELECT n FROM r WHERE id = 1"), 2 * ADDITIONS);
}

/* ---- types ---- */

static enum err read_types(struct store_tx *tx, void *arg)
{
    static const char sql[] = "SELECT SUM(n), AVG(n), COUNT(*) > 1, 'x' || ?, MAX(n), 2.5"
                              " FROM r WHERE (? = '' OR n < ?) AND n > ?";
    struct arena *arena = arg;
    struct store_stmt *st = store_query(tx, sql, "ssii", "y", "", (int64_t)0, -10000000000001);
    if (!store_step(st))
        return store_finish(st);
    bool is_right = store_int(st, 0) == -9999999999989 && store_int(st, 2) == 1 &&
                    str_eq(store_str(st, 3), STR("xy")) && store_int(st, 4) == 11 &&
                    store_real(st, 5) == 2.5 && store_real(st, 1) == -4999999999994.5 &&
                    str_eq(str_from(store_text(st, 0, arena)), STR("-9999999999989"));
    enum err err = store_finish(st);
    return err ? err : is_right ? ERR_OK : ERR_DATA_LOSS;
}

/* A parameter that was a number and is a text now is prepared anew. */
static enum err change_types(struct store_tx *tx, void *arg)
{
    static const char sql[] = "SELECT ?";
    for (int i = 0; i < 6; i++) {
        struct store_stmt *st = store_prepare(tx, sql);
        if (i % 3 == 0)
            store_bind_int(st, 1, 1ll << 40);
        else if (i % 3 == 1)
            store_bind_text(st, 1, "1099511627776");
        bool is_right = store_step(st) && store_is_null(st, 0) == (i % 3 == 2) &&
                        (i % 3 == 2 || store_int(st, 0) == 1ll << 40);
        enum err err = store_finish(st);
        if (err || !is_right)
            return err ? err : ERR_DATA_LOSS;
    }
    return ERR_OK;
}

static void test_types_of_other_names(void **state)
{
    struct fixture *f = *state;
    struct arena *arena = arena_create();
    make_table(f);
    assert_int_equal(fixture_exec(f->store, "INSERT INTO r (n) VALUES (11), (-10000000000000)"),
                     ERR_OK);
    assert_int_equal(store_read(f->store, read_types, arena), ERR_OK);
    assert_int_equal(store_read(f->store, change_types, NULL), ERR_OK);
    assert_int_equal(store_write_sync(f->store, 0, change_types, NULL), ERR_OK);
    arena_destroy(&arena);
}

static void test_a_wrong_address_is_refused(void **state)
{
    static const char *const urls[] = {
        "://nobody:wrong@127.0.0.1:1/none",
        "://user@host:notaport:x/",
        "://u:p@host/db?no_such_option=1",
        "nonsense",
    };
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        char url[128];
        struct store *store = NULL;
        struct store_options opt = {.driver = fixture_driver, .url = url};
        snprintf(url, sizeof(url), "%s%s", fixture_driver, urls[i]);
        assert_int_not_equal(store_open(&store, &opt), ERR_OK);
        assert_null(store);
    }
}

/* Each shard has a lock and a connection of its own; over two processes too. */
struct other_shard {
    struct store *same, *other;
    enum err in_same, in_other;
};

static enum err insert_run(struct store_tx *tx, void *arg)
{
    return store_run(tx, "INSERT INTO r (n) VALUES (?)", "i", *(int64_t *)arg);
}

static enum err write_there(struct store *store, uint32_t shard)
{
    int64_t n = shard;
    return store_write_sync(store, shard, insert_run, &n);
}

static void *write_others(void *arg)
{
    struct other_shard *o = arg;
    o->in_same = write_there(o->same, 1);
    o->in_other = write_there(o->other, 3);
    return NULL;
}

/* Holds shard 0's lock while another thread writes to others. */
static enum err hold_run(struct store_tx *tx, void *arg)
{
    pthread_t thread;
    enum err err = store_run(tx, "INSERT INTO r (n) VALUES (100)", "");
    if (pthread_create(&thread, NULL, write_others, arg))
        return ERR_INTERNAL;
    pthread_join(thread, NULL);
    return err;
}

static void test_shards_do_not_wait_for_one_another(void **state)
{
    struct fixture *f = *state;
    struct store_options opt = fixture_options(f);
    struct other_shard o = {.same = f->store};
    make_table(f);
    assert_int_equal(store_open(&o.other, &opt), ERR_OK);
    assert_int_equal(store_write_sync(f->store, 0, hold_run, &o), ERR_OK);
    assert_int_equal(o.in_same, ERR_OK);
    assert_int_equal(o.in_other, ERR_OK);
    assert_int_equal(fixture_int(f->store, "SELECT SUM(n) FROM r"), 104);
    store_close(&o.other);
}

static enum err add_one_after_shard_0(struct store_tx *tx, void *arg)
{
    enum err err = store_follow(tx, 0);
    return err ? err : add_one(tx, arg);
}

static void *add_many_elsewhere(void *arg)
{
    int failures = 0;
    for (int i = 0; i < ADDITIONS; i++)
        failures += store_write_sync(arg, 5, add_one_after_shard_0, NULL) != ERR_OK;
    return (void *)(intptr_t)failures;
}

/* Read, think, write, from another shard that follows this one: no addition is lost. */
static void test_a_shard_that_follows_another(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[2];
    make_table(f);
    assert_int_equal(fixture_exec(f->store, "INSERT INTO r (id, n) VALUES (1, 0)"), ERR_OK);
    assert_int_equal(pthread_create(&threads[0], NULL, add_many, f->store), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, add_many_elsewhere, f->store), 0);
    for (int i = 0; i < 2; i++) {
        void *failures;
        pthread_join(threads[i], &failures);
        assert_int_equal((intptr_t)failures, 0);
    }
    assert_int_equal(fixture_int(f->store, "SELECT n FROM r WHERE id = 1"), 2 * ADDITIONS);
}

/* ---- a server that is silent ---- */

enum { READERS = 8, SLOW_MS = 3000 };

static enum err look_run(struct store_tx *tx, void *arg)
{
    struct store_stmt *st = store_query(tx, "SELECT 1", "");
    store_step(st);
    return store_finish(st);
}

struct asking {
    struct store *store;
    enum err err;
    int64_t took_ms;
};

static void *ask(void *arg)
{
    struct asking *a = arg;
    int64_t start_ms = clock_mono_ms();
    a->err = store_read(a->store, look_run, NULL);
    a->took_ms = clock_mono_ms() - start_ms;
    return NULL;
}

/* The fixture's address by another port of this machine. */
static void write_url(const struct fixture *f, uint16_t port, char *url, size_t size)
{
    const char *at = strchr(strchr(f->url, '@'), ':'),
               *rest = at + 1 + strspn(at + 1, "0123456789");
    snprintf(url, size, "%.*s:%u%s", (int)(at - f->url), f->url, port, rest);
}

/* Each attempt takes seconds, until it is given up: one reader makes it, and not all that there
 * are. */
static void test_a_silent_server_holds_up_one(void **state)
{
    struct fixture *f = *state;
    char url[300];
    struct asking asking[READERS] = {0};
    pthread_t threads[READERS];
    unsigned slow = 0;
    const char *port = strchr(strchr(f->url, '@'), ':') + 1;
    struct tcp_proxy *proxy = tcp_proxy_start((uint16_t)atoi(port));
    struct store *store;
    write_url(f, tcp_proxy_port(proxy), url, sizeof(url));
    assert_int_equal(
        store_open(&store, &(struct store_options){.driver = fixture_driver, .url = url}), ERR_OK);
    tcp_proxy_set(proxy, TCP_PROXY_CUT);
    while (store_is_writable(store))
        (void)!store_write_sync(store, 0, look_run, NULL);
    tcp_proxy_set(proxy, TCP_PROXY_HELD);
    usleep(600000); /* then it may be asked again */
    for (int i = 0; i < READERS; i++) {
        asking[i].store = store;
        thread_must_start(&threads[i], "reader", ask, &asking[i]);
    }
    for (int i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
        slow += asking[i].took_ms >= SLOW_MS;
    }
    tcp_proxy_set(proxy, TCP_PROXY_OPEN);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(asking[i].err, ERR_UNAVAILABLE);
    assert_in_range(slow, 0, 2);
    while (store_read(store, look_run, NULL) != ERR_OK || !store_is_writable(store))
        usleep(50000);
    store_close(&store);
    tcp_proxy_stop(&proxy);
}

int main(int argc, char **argv)
{
    fixture_driver = argc > 1 ? argv[1] : "postgres";
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_OFF);
#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_an_idle_connection_is_made_anew),
        T(test_a_job_that_is_cut_fails),
        T(test_a_read_that_is_cut_fails),
        T(test_two_stores_write_one_after_the_other),
        T(test_shards_do_not_wait_for_one_another),
        T(test_a_shard_that_follows_another),
        T(test_types_of_other_names),
        T(test_a_silent_server_holds_up_one),
        cmocka_unit_test(test_a_wrong_address_is_refused),
    };
    return cmocka_run_group_tests_name("store server", tests, NULL, NULL);
}
