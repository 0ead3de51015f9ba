/*
 * registry_etcd_test: what only the etcd driver can get wrong, over a real etcd: two processes
 * (here two registries) that find each other, leases that are lost, an etcd that freezes, is cut
 * off, forgets (compaction), dies and comes back. Run by tests/services/run.mjs etcd.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "registry_fixture.h"
#include "tcp_proxy.h"

#define LEASE_MS 2000
#define GRACE_MS 9000 /* ETCD_CLIENT_BACK_MS: longer than this lease */

static const char *url;
static char prefix[40];

static uint16_t etcd_port(void)
{
    return (uint16_t)atoi(strrchr(url, ':') + 1);
}

static struct registry *open_at(const char *endpoint)
{
    static const char *const spaces[] = {"rooms"};
    struct registry *r = NULL;
    struct registry_options opt = {.driver = "etcd",
                                   .endpoints = &endpoint,
                                   .endpoint_count = 1,
                                   .prefix = prefix,
                                   .spaces = spaces,
                                   .space_count = 1,
                                   .lease_ms = LEASE_MS};
    assert_int_equal(registry_open(&r, &opt), ERR_OK);
    return r;
}

static struct registry *open_by(const struct tcp_proxy *proxy)
{
    char endpoint[64];
    snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u", tcp_proxy_port(proxy));
    return open_at(endpoint);
}

static int ctl(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int ctl(const char *fmt, ...)
{
    char words[400], command[600];
    va_list args;
    va_start(args, fmt);
    vsnprintf(words, sizeof(words), fmt, args);
    va_end(args);
    snprintf(command, sizeof(command), "ETCDCTL_API=3 etcdctl --endpoints=%s %s >/dev/null 2>&1",
             url, words);
    return system(command);
}

static int setup(void **state)
{
    snprintf(prefix, sizeof(prefix), "/t%08x", id_random_u32());
    return 0;
}

/* ---- in peace ---- */

static void test_two_find_each_other(void **state)
{
    struct registry *a = open_at(url), *b = open_at(url), *c;
    struct arena *arena = arena_create();
    struct registry_instance *list;
    announce(a, "a");
    announce(b, "b");
    wait_for(a, "a b", 8000);
    wait_for(b, "a b", 8000);
    registry_find(b, "User", arena, &list);
    assert_string_equal(list[0].address, "10.0.0.1");
    assert_int_equal(list[0].port, 9);
    assert_string_equal(list[0].metadata, "{\"load\":1}");
    c = open_at(url);
    wait_for(c, "a b", 1); /* who comes later knows when it is open */
    for (int i = 2; i <= 500; i++)
        assert_int_equal(registry_update(a, "User", "a", arena_printf(arena, "{\"load\":%d}", i)),
                         ERR_OK);
    for (int i = 0; i < 200; i++) {
        registry_find(c, "User", arena, &list);
        if (strcmp(list[0].metadata, "{\"load\":500}") == 0)
            break;
        usleep(5000);
    }
    assert_string_equal(list[0].metadata, "{\"load\":500}");
    assert_int_equal(registry_withdraw(a, "User", "a"), ERR_OK);
    wait_for(c, "b", 8000);
    registry_leave(b);
    wait_for(c, "", 4000);
    registry_close(&a);
    registry_close(&b);
    registry_close(&c);
    arena_destroy(&arena);
}

static void test_records_cross(void **state)
{
    struct registry *a = open_at(url), *b = open_at(url);
    assert_int_equal(registry_record_put(a, "rooms", "m1", "on a"), ERR_OK);
    wait_record(b, "m1", "on a", 8000);
    assert_int_equal(registry_record_put(b, "rooms", "m1", "on b"), ERR_OK);
    wait_record(a, "m1", "on b", 8000);
    assert_int_equal(registry_record_drop(a, "rooms", "m1"), ERR_NOT_FOUND); /* it is b's now */
    assert_int_equal(registry_record_put(a, "rooms", "m2", "x"), ERR_OK);
    assert_int_equal(registry_record_write(a, "rooms", "m3", "kept"), ERR_OK);
    wait_record(b, "m2", "x", 8000);
    registry_close(&a);
    wait_record(b, "m2", "-", 8000); /* it went with a */
    wait_record(b, "m3", "kept", 8000);
    wait_record(b, "m1", "on b", 1);
    registry_close(&b);
}

static void test_what_is_no_instance(void **state)
{
    struct registry *a = open_at(url);
    static const char *const odd[] = {
        "User/x ''",
        "User/x '[]'",
        "User/x '{\"address\":\"h\",\"port\":0}'",
        "User/x '{\"address\":\"h\",\"port\":65536}'",
        "User/x '{\"address\":\"a b\",\"port\":1}'",
        "User/x '{\"address\":\"h\",\"port\":1,\"instance_id\":\"y\"}'",
        "User/x '{\"address\":\"h\",\"port\":1,\"service_name\":\"Auth\"}'",
        "User/x '{\"address\":\"h\",\"port\":1,\"metadata\":7}'",
        "User/x/y '{\"address\":\"h\",\"port\":1}'",
        "User '{\"address\":\"h\",\"port\":1}'",
    };
    for (size_t i = 0; i < ARRAY_LEN(odd); i++)
        assert_int_equal(ctl("put %s/services/%s", prefix, odd[i]), 0);
    assert_int_equal(ctl("put %s/services/User/good '{\"address\":\"h\",\"port\":1}'", prefix), 0);
    wait_for(a, "good", 8000);
    struct registry *b = open_at(url);
    wait_for(b, "good", 1);
    registry_close(&a);
    registry_close(&b);
}

static void test_many(void **state)
{
    struct registry *a = open_at(url);
    char name[16], last[16] = "";
    for (int i = 0; i < 1200; i++) { /* more than two pages */
        snprintf(name, sizeof(name), "m%d", i);
        assert_int_equal(registry_record_put(a, "rooms", name, name), ERR_OK);
        snprintf(last, sizeof(last), "%s", name);
    }
    struct registry *b = open_at(url);
    wait_record(b, last, last, 30000);
    struct registry *c = open_at(url);
    for (int i = 0; i < 1200; i++) {
        snprintf(name, sizeof(name), "m%d", i);
        wait_record(c, name, name, 1);
    }
    registry_close(&a);
    wait_record(c, last, "-", 8000);
    registry_close(&b);
    registry_close(&c);
}

/* ---- in trouble ---- */

static void test_lease_revoked(void **state)
{
    struct registry *a = open_at(url), *b = open_at(url);
    announce(a, "a");
    wait_for(b, "a", 8000);
    /* Somebody's hand: every lease goes, and a key by itself. */
    assert_int_equal(ctl("lease list | tail -n +2 | xargs -n1 env ETCDCTL_API=3 etcdctl "
                         "--endpoints=%s lease revoke",
                         url),
                     0);
    usleep(20000);
    wait_for(b, "a", LEASE_MS + 8000);
    must_stay(b, "a", 200);
    assert_int_equal(ctl("del %s/services/User/a", prefix), 0);
    usleep(20000);
    wait_for(b, "a", 8000);
    registry_close(&a);
    registry_close(&b);
}

static void test_cut_off(void **state)
{
    struct tcp_proxy *proxy = tcp_proxy_start(etcd_port());
    struct registry *a = open_by(proxy), *b = open_at(url);
    announce(a, "a");
    announce(b, "b");
    assert_int_equal(registry_record_put(a, "rooms", "m", "on a"), ERR_OK);
    wait_for(b, "a b", 8000);
    wait_for(a, "a b", 8000);
    for (int held = 0; held < 2; held++) {
        tcp_proxy_set(proxy, held ? TCP_PROXY_HELD : TCP_PROXY_CUT);
        wait_for(b, "b", LEASE_MS + 8000); /* as if a had died */
        wait_record(b, "m", "-", 4000);
        must_stay(a, "a b", 100); /* what a knows it knows */
        if (held)                 /* b has taken it over */
            assert_int_equal(registry_record_put(b, "rooms", "m", "on b"), ERR_OK);
        tcp_proxy_set(proxy, TCP_PROXY_OPEN);
        wait_for(b, "a b", 5000);
        wait_record(b, "m", held ? "on b" : "on a", 8000);
    }
    wait_record(a, "m", "on b", 8000);
    registry_close(&a);
    wait_for(b, "b", 4000);
    registry_close(&b);
    tcp_proxy_stop(&proxy);
}

static void test_compaction(void **state)
{
    struct tcp_proxy *proxy = tcp_proxy_start(etcd_port());
    struct registry *a = open_at(url), *b = open_by(proxy);
    announce(a, "gone");
    announce(a, "stays");
    wait_for(b, "gone stays", 8000);
    tcp_proxy_set(proxy, TCP_PROXY_CUT);
    registry_withdraw(a, "User", "gone");
    announce(a, "new");
    usleep(100000);
    for (int i = 0; i < 3; i++)
        ctl("put %s/else %d", prefix, i);
    assert_int_equal(ctl("compaction $(ETCDCTL_API=3 etcdctl --endpoints=%s get x -w json | "
                         "sed 's/.*revision\":\\([0-9]*\\).*/\\1/')",
                         url),
                     0);
    must_stay(b, "gone stays", 300);
    tcp_proxy_set(proxy, TCP_PROXY_OPEN);
    wait_for(b, "gone new stays", 5000); /* the grace after an outage */
    wait_for(b, "new stays", GRACE_MS + 4000);
    announce(a, "watched"); /* and the new watch works */
    wait_for(b, "new stays watched", 8000);
    registry_close(&a);
    registry_close(&b);
    tcp_proxy_stop(&proxy);
}

static void test_frozen(void **state)
{
    pid_t pid = (pid_t)atoi(getenv("PARLANCE_TEST_ETCD_PID"));
    struct registry *a = open_at(url), *b = open_at(url);
    const struct registry_instance other = {"Watcher", "b", "10.0.0.2", 9, NULL};
    assert_int_equal(registry_announce(b, &other), ERR_OK); /* by its lease it sees the silence */
    announce(a, "a");
    wait_for(b, "a", 8000);
    kill(pid, SIGSTOP);
    must_stay(b, "a", LEASE_MS + 1500); /* the lease ends meanwhile */
    int64_t from_ms = clock_mono_ms();
    assert_int_equal(registry_record_write(a, "rooms", "m", "x"), ERR_UNAVAILABLE);
    assert_true(clock_mono_ms() - from_ms < 12000);
    kill(pid, SIGCONT);
    must_stay(b, "a", LEASE_MS + 1500); /* and nobody is left for it */
    announce(a, "later");
    wait_for(b, "a later", 10000);
    registry_close(&a);
    registry_close(&b);
}

/* Frozen for long, who lives is back only after a pause: here four seconds after the other. */
static void test_frozen_and_back_late(void **state)
{
    pid_t pid = (pid_t)atoi(getenv("PARLANCE_TEST_ETCD_PID"));
    struct tcp_proxy *proxy = tcp_proxy_start(etcd_port());
    struct registry *a = open_by(proxy), *b = open_at(url);
    const struct registry_instance other = {"Watcher", "b", "10.0.0.2", 9, NULL};
    assert_int_equal(registry_announce(b, &other), ERR_OK);
    announce(a, "a");
    wait_for(b, "a", 8000);
    kill(pid, SIGSTOP);
    must_stay(b, "a", LEASE_MS + 500); /* b has seen the silence by then */
    tcp_proxy_set(proxy, TCP_PROXY_CUT);
    kill(pid, SIGCONT);
    must_stay(b, "a", 4000);
    tcp_proxy_set(proxy, TCP_PROXY_OPEN);
    must_stay(b, "a", GRACE_MS);
    registry_close(&a);
    wait_for(b, "", 4000); /* and leaves as ever */
    registry_close(&b);
    tcp_proxy_stop(&proxy);
}

/* ---- ways in ---- */

static void test_endpoints(void **state)
{
    struct registry *r = NULL, *a = open_at(url);
    const char *const endpoints[] = {"http://127.0.0.1:1", url, "http://[::1]:1"};
    struct registry_options opt = {
        .driver = "etcd", .endpoints = endpoints, .endpoint_count = 3, .prefix = prefix};
    announce(a, "a");
    usleep(100000);
    for (int i = 0; i < 5; i++) { /* wherever it begins */
        assert_int_equal(registry_open(&r, &opt), ERR_OK);
        wait_for(r, "a", 1);
        registry_close(&r);
    }
    registry_close(&a);
    const char *const bad[] = {"",           "http://",        "127.0.0.1",
                               "http://h:0", "http://h:65536", "http://h:1/x",
                               "::1:2379",   "http://a b:1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        opt.endpoints = &bad[i];
        opt.endpoint_count = 1;
        assert_int_equal(registry_open(&r, &opt), ERR_INVALID_ARGUMENT);
        assert_null(r);
    }
}

static void test_nobody_there(void **state)
{
    const char *endpoint = "http://127.0.0.1:1";
    struct registry *r = NULL;
    struct registry_options opt = {
        .driver = "etcd", .endpoints = &endpoint, .endpoint_count = 1, .patience_ms = 200};
    int64_t from_ms = clock_mono_ms();
    assert_int_equal(registry_open(&r, &opt), ERR_OK);
    announce(r, "a");
    wait_for(r, "a", 1);
    registry_leave(r);
    registry_close(&r);
    assert_true(clock_mono_ms() - from_ms < 8000);
}

static void test_tls(void **state)
{
    const char *endpoint = getenv("PARLANCE_TEST_ETCD_TLS_URL");
    struct registry *r = NULL, *a = open_at(url);
    struct registry_options opt = {.driver = "etcd",
                                   .endpoints = &endpoint,
                                   .endpoint_count = 1,
                                   .prefix = prefix,
                                   .patience_ms = 5000,
                                   .tls_ca = getenv("PARLANCE_TEST_ETCD_CA")};
    announce(a, "a");
    usleep(100000);
    assert_int_equal(registry_open(&r, &opt), ERR_OK);
    wait_for(r, "a", 1);
    registry_close(&r);
    opt.tls_ca = "/etc/ssl/certs/ca-certificates.crt"; /* who did not sign it */
    opt.patience_ms = 500;
    if (access(opt.tls_ca, R_OK) == 0) {
        assert_int_equal(registry_open(&r, &opt), ERR_OK);
        wait_for(r, "", 1);
        registry_close(&r);
    }
    opt.tls_ca = "/nowhere.pem";
    assert_int_not_equal(registry_open(&r, &opt), ERR_OK);
    registry_close(&a);
}

static void test_password(void **state)
{
    struct registry *r = NULL, *a;
    struct registry_options opt = {.driver = "etcd",
                                   .endpoints = &url,
                                   .endpoint_count = 1,
                                   .prefix = prefix,
                                   .patience_ms = 8000,
                                   .username = "root",
                                   .password = "a password"};
    assert_int_equal(ctl("user add root:'a password' && ETCDCTL_API=3 etcdctl --endpoints=%s user "
                         "grant-role root root && ETCDCTL_API=3 etcdctl --endpoints=%s auth enable",
                         url, url),
                     0);
    assert_int_equal(registry_open(&r, &opt), ERR_OK);
    announce(r, "r");
    assert_int_equal(registry_open(&a, &opt), ERR_OK);
    wait_for(a, "r", 8000);
    registry_close(&a);
    opt.password = "another";
    opt.patience_ms = 500;
    assert_int_equal(registry_open(&a, &opt), ERR_OK);
    wait_for(a, "", 1);
    assert_int_not_equal(registry_record_write(a, "rooms", "m", "x"), ERR_OK);
    registry_close(&a);
    ctl("--user=root:'a password' auth disable");
    assert_int_equal(registry_record_write(r, "rooms", "m", "x"), ERR_OK);
    registry_close(&r);
}

/* The last: its process is another one afterwards. */
static void test_killed_and_back(void **state)
{
    struct registry *a = open_at(url), *b = open_at(url);
    announce(a, "a");
    wait_for(b, "a", 8000);
    kill(getppid(), SIGUSR2);
    usleep(50000);
    announce(a, "meanwhile");
    must_stay(b, "a", 100);
    wait_for(b, "a meanwhile", 20000);
    must_stay(b, "a meanwhile", LEASE_MS + 500);
    registry_close(&a);
    wait_for(b, "", LEASE_MS + 8000);
    registry_close(&b);
}

int main(void)
{
    url = getenv("PARLANCE_TEST_ETCD_URL");
    if (!url) {
        fprintf(stderr, "no server: run this by node tests/services/run.mjs etcd ...\n");
        return 2;
    }
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_OFF);
#define T(test) cmocka_unit_test_setup(test, setup)
    const struct CMUnitTest tests[] = {
        T(test_two_find_each_other),
        T(test_records_cross),
        T(test_what_is_no_instance),
        T(test_many),
        T(test_lease_revoked),
        T(test_cut_off),
        T(test_compaction),
        T(test_frozen),
        T(test_frozen_and_back_late),
        T(test_endpoints),
        T(test_nobody_there),
        T(test_tls),
        T(test_password),
        T(test_killed_and_back),
    };
    return cmocka_run_group_tests_name("registry over etcd", tests, NULL, NULL);
}
