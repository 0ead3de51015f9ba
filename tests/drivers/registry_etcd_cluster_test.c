/*
 * registry_etcd_cluster_test: three members. One after the other freezes, so that at some time it
 * is the one that each registry talks to, and the leader; then the leader is killed. Leases are
 * kept (nobody is taken for dead), lookups and watches go on, what lasts is heard. Run by
 * tests/services/run.mjs etcd-cluster.
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
#include <unistd.h>

#include "core/base.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "registry_fixture.h"

#define MEMBERS 3
/* Long enough for a process that gets no time; a member is left after a third of it. */
#define LEASE_MS 12000
#define WAIT_MS 30000 /* generous: the machine may be busy */

static struct {
    char urls[256], pids[64], prefix[40];
    const char *url[MEMBERS];
    pid_t pid[MEMBERS];
} cluster;

static size_t split(char *text, char *out[MEMBERS])
{
    size_t count = 0;
    for (char *at = strtok(text, ","); at && count < MEMBERS; at = strtok(NULL, ","))
        out[count++] = at;
    return count;
}

static bool read_cluster(void)
{
    char *urls[MEMBERS], *pids[MEMBERS];
    const char *url = getenv("PARLANCE_TEST_ETCD_URLS"), *pid = getenv("PARLANCE_TEST_ETCD_PIDS");
    snprintf(cluster.urls, sizeof(cluster.urls), "%s", url ? url : "");
    snprintf(cluster.pids, sizeof(cluster.pids), "%s", pid ? pid : "");
    if (split(cluster.urls, urls) != MEMBERS || split(cluster.pids, pids) != MEMBERS)
        return false;
    for (size_t i = 0; i < MEMBERS; i++) {
        cluster.url[i] = urls[i];
        cluster.pid[i] = (pid_t)atoi(pids[i]);
    }
    snprintf(cluster.prefix, sizeof(cluster.prefix), "/t%08x", id_random_u32());
    return true;
}

static struct registry *open_registry(void)
{
    static const char *const spaces[] = {"rooms"};
    struct registry *r = NULL;
    assert_int_equal(registry_open(&r, &(struct registry_options){.driver = "etcd",
                                                                  .endpoints = cluster.url,
                                                                  .endpoint_count = MEMBERS,
                                                                  .prefix = cluster.prefix,
                                                                  .spaces = spaces,
                                                                  .space_count = 1,
                                                                  .lease_ms = LEASE_MS,
                                                                  .patience_ms = WAIT_MS}),
                     ERR_OK);
    return r;
}

/* The member that says of itself that it leads; it may have changed a moment ago. */
static int find_leader(void)
{
    char command[200], line[400];
    for (int i = 0; i < MEMBERS; i++) {
        bool is_leader = false;
        snprintf(command, sizeof(command),
                 "ETCDCTL_API=3 etcdctl --endpoints=%s endpoint status 2>/dev/null",
                 cluster.url[i]);
        FILE *out = popen(command, "r");
        while (out && fgets(line, sizeof(line), out))
            is_leader |= strstr(line, ", true, ") != NULL; /* the only one that may be said */
        if (out)
            pclose(out);
        if (is_leader)
            return i;
    }
    return -1;
}

/* What lasts, as the configuration that changes while it runs. */
static void write_until_taken(struct registry *r, const char *name, const char *value)
{
    enum err err = ERR_UNAVAILABLE;
    for (int64_t until_ms = clock_mono_ms() + WAIT_MS; err && clock_mono_ms() < until_ms;)
        err = registry_record_write(r, "rooms", name, value);
    assert_int_equal(err, ERR_OK);
}

static atomic_int heard_count;

static void on_record(void *arg, const char *name, const char *value)
{
    if (strcmp(name, "setting") == 0 && value)
        atomic_fetch_add(&heard_count, 1);
}

struct pair {
    struct registry *a, *b;
};

static int setup(void **state)
{
    static struct pair pair;
    pair = (struct pair){open_registry(), open_registry()};
    announce(pair.a, "a");
    announce(pair.b, "b");
    assert_int_equal(registry_record_put(pair.a, "rooms", "held", "by a"), ERR_OK);
    wait_for(pair.a, "a b", WAIT_MS);
    wait_for(pair.b, "a b", WAIT_MS);
    wait_record(pair.b, "held", "by a", WAIT_MS);
    *state = &pair;
    return 0;
}

static int teardown(void **state)
{
    struct pair *pair = *state;
    registry_close(&pair->a);
    registry_close(&pair->b);
    return 0;
}

/* One is away: everybody stays known to everybody, and what is new is heard both ways. */
static void check_goes_on(struct pair *pair, const char *what, int64_t ms)
{
    int heard = atomic_load(&heard_count);
    must_stay(pair->b, "a b", ms);
    must_stay(pair->a, "a b", 100);
    write_until_taken(pair->a, "setting", what);
    wait_record(pair->b, "setting", what, WAIT_MS);
    assert_true(atomic_load(&heard_count) > heard);
    announce(pair->b, "z");
    wait_for(pair->a, "a b z", WAIT_MS);
    registry_withdraw(pair->b, "User", "z");
    wait_for(pair->a, "a b", WAIT_MS);
    wait_record(pair->b, "held", "by a", 1);
}

static void test_frozen_in_turn(void **state)
{
    struct pair *pair = *state;
    char what[16];
    registry_record_watch(pair->b, "rooms", on_record, NULL);
    for (int i = 0; i < MEMBERS; i++) {
        snprintf(what, sizeof(what), "%d froze", i);
        kill(cluster.pid[i], SIGSTOP);
        check_goes_on(pair, what, LEASE_MS / 3 + 1000); /* all three: longer than a lease */
        kill(cluster.pid[i], SIGCONT);
    }
    must_stay(pair->b, "a b", 1000);
    registry_record_unwatch(pair->b, on_record, NULL);
}

/* The last: it stays dead. Two of three are a cluster still. */
static void test_leader_killed(void **state)
{
    struct pair *pair = *state;
    int leader = -1;
    for (int64_t until_ms = clock_mono_ms() + WAIT_MS; leader < 0 && clock_mono_ms() < until_ms;)
        leader = find_leader();
    assert_true(leader >= 0);
    registry_record_watch(pair->b, "rooms", on_record, NULL);
    kill(cluster.pid[leader], SIGKILL);
    check_goes_on(pair, "killed", LEASE_MS / 3 + 1000);
    struct registry *late = open_registry(); /* who comes now finds the others, too */
    wait_for(late, "a b", 1);
    registry_close(&late);
    registry_record_unwatch(pair->b, on_record, NULL);
}

int main(void)
{
    if (!read_cluster()) {
        fprintf(stderr, "no servers: run this by node tests/services/run.mjs etcd-cluster ...\n");
        return 2;
    }
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_frozen_in_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_leader_killed, setup, teardown),
    };
    return cmocka_run_group_tests_name("registry over three members", tests, NULL, NULL);
}
