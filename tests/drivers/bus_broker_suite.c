/*
 * bus_broker_suite: what every bus over a broker promises, with several processes played by several
 * buses (and by real ones where they must die). Run as `bus_broker_suite DRIVER` beside a server:
 * PARLANCE_TEST_DRIVER_URL says where it is, PARLANCE_TEST_DRIVER_PID who, to be frozen.
 */
#include <ctype.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus_broker.h"
#include "bus_fixture.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"

#define OWNER_MS 2000
#define LINK_MS 10000

const char *bus_broker_url;
static pid_t server;
static char prefix[ID_SIZE + 8]; /* each test has topics of its own */

struct world {
    struct bus_fixture *f;
    struct bus *a, *b; /* a has the store: what it publishes in transactions leaves */
    struct journal heard_a, heard_b, group_a, group_b, gaps;
};

static void on_event(void *arg, const struct bus_event *e)
{
    journal_note(arg, "%s %s %.*s [%s]", e->type, e->key, STR_FMT(e->payload),
                 e->id[0] ? "fact" : "");
}

static struct bus *open_bus(struct store *store, const char *process)
{
    struct bus *bus;
    struct bus_options opt = {.driver = bus_fixture_driver,
                              .url = bus_broker_url,
                              .process = process,
                              .prefix = prefix,
                              .store = store,
                              .owner_ms = OWNER_MS,
                              .retry_ms = 20};
    assert_int_equal(bus_open(&bus, &opt), ERR_OK);
    return bus;
}

static void wait_linked(struct bus *bus, bool is_linked)
{
    struct bus_health health;
    int64_t until_ms = clock_mono_ms() + LINK_MS;
    do {
        bus_health(bus, &health);
        if (health.has_events == is_linked)
            return;
        usleep(5000);
    } while (clock_mono_ms() < until_ms);
    fail_msg("the link did not become %d", is_linked);
}

static int setup(void **state)
{
    static struct world w;
    void *fixture;
    char id[ID_SIZE];
    id_make(id);
    snprintf(prefix, sizeof(prefix), "t%s.", id);
    const char *driver = bus_fixture_driver;
    bus_fixture_driver = "memory";
    bus_fixture_setup(&fixture);
    bus_fixture_driver = driver;
    w = (struct world){.f = fixture};
    w.heard_a = w.heard_b = w.group_a = w.group_b = w.gaps = (struct journal)JOURNAL_INIT;
    bus_close(&w.f->bus);
    w.a = w.f->bus = open_bus(w.f->store, "a");
    w.b = open_bus(NULL, "b");
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    void *fixture = w->f;
    bus_close(&w->b);
    return bus_fixture_teardown(&fixture);
}

static void start(struct world *w)
{
    bus_start(w->a);
    bus_start(w->b);
    wait_linked(w->a, true);
    wait_linked(w->b, true);
    usleep(50000); /* both have joined */
}

static void publish(struct bus *bus, const char *key, const char *text)
{
    bus_publish(bus, &(struct bus_event){
                         .channel = "c", .type = "said", .key = key, .payload = str_from(text)});
}

static void commit(struct world *w, const char *key, const char *text)
{
    struct bus_event event = {
        .channel = "c", .type = "done", .key = key, .payload = str_from(text)};
    assert_int_equal(bus_fixture_publish(w->f, &event, ERR_OK), ERR_OK);
}

static void wait_sent(struct world *w)
{
    bus_fixture_wait_int(w->f, "SELECT COUNT(*) FROM bus_outbox", 0);
}

static int count_of(struct journal *j)
{
    pthread_mutex_lock(&j->lock);
    int count = j->count;
    pthread_mutex_unlock(&j->lock);
    return count;
}

static void wait_for_text(struct journal *j, const char *text)
{
    bool has = false;
    for (int64_t until_ms = clock_mono_ms() + 10000; !has && clock_mono_ms() < until_ms;) {
        usleep(5000);
        pthread_mutex_lock(&j->lock);
        has = strstr(j->text, text) != NULL;
        pthread_mutex_unlock(&j->lock);
    }
    assert_true(has);
}

/* ---- who hears ---- */

static void test_other_processes_hear_too(void **state)
{
    struct world *w = *state;
    bus_subscribe(w->a, "c", "a", on_event, &w->heard_a);
    bus_subscribe(w->b, "c", "b", on_event, &w->heard_b);
    start(w);
    publish(w->a, "k", "one");
    journal_wait(&w->heard_b, 1);
    publish(w->b, "k", "two");
    journal_wait(&w->heard_a, 2);
    commit(w, "k", "three");
    journal_wait(&w->heard_a, 3);
    journal_wait(&w->heard_b, 3);
    wait_sent(w);
    journal_stays(&w->heard_a, 3); /* what came back was heard before */
    journal_stays(&w->heard_b, 3);
    assert_string_equal(w->heard_b.text, "said k one []\nsaid k two []\ndone k three [fact]\n");
}

static void test_one_of_a_group_hears(void **state)
{
    struct world *w = *state;
    bus_subscribe_group(w->a, "c", "g", on_event, &w->group_a);
    bus_subscribe_group(w->b, "c", "g", on_event, &w->group_b);
    bus_subscribe_group(w->b, "c", "other", on_event, &w->heard_b);
    start(w);
    for (int i = 0; i < 20; i++)
        commit(w, "k", "x");
    journal_wait(&w->heard_b, 20);
    wait_sent(w);
    journal_stays(&w->heard_b, 20);
    int64_t until_ms = clock_mono_ms() + 20000;
    while (count_of(&w->group_a) + count_of(&w->group_b) < 20 && clock_mono_ms() < until_ms)
        usleep(5000);
    assert_int_equal(count_of(&w->group_a) + count_of(&w->group_b), 20);
}

static void test_joining_later_and_leaving(void **state)
{
    struct world *w = *state;
    start(w);
    int id = bus_subscribe(w->b, "c", "b", on_event, &w->heard_b);
    usleep(300000); /* the broker learns of it in a moment */
    publish(w->a, "k", "one");
    journal_wait(&w->heard_b, 1);
    commit(w, "k", "two");
    journal_wait(&w->heard_b, 2);
    bus_unsubscribe(w->b, id);
    publish(w->a, "k", "three");
    commit(w, "k", "four");
    wait_sent(w);
    journal_stays(&w->heard_b, 2);
}

/* ---- order ---- */

enum { KEYS = 8, ROUNDS = 50 };

static void *commit_main(void *arg)
{
    struct world *w = arg;
    for (int i = 0; i < ROUNDS; i++) {
        for (int k = 0; k < KEYS; k++) {
            char key[16], text[16];
            snprintf(key, sizeof(key), "%d", k);
            snprintf(text, sizeof(text), "%d ", i);
            commit(w, key, text);
        }
    }
    return NULL;
}

static void test_order_is_kept_per_key(void **state)
{
    struct world *w = *state;
    static struct order plain, group;
    memset(&plain, 0, sizeof(plain));
    memset(&group, 0, sizeof(group));
    bus_subscribe(w->b, "c", "plain", order_on_event, &plain);
    bus_subscribe_group(w->a, "c", "g", order_on_event, &group);
    bus_subscribe_group(w->b, "c", "g", order_on_event, &group);
    start(w);
    commit_main(w);
    order_wait(&plain, KEYS * ROUNDS);
    order_wait(&group, KEYS * ROUNDS);
}

/* ---- groups while somebody is not there ---- */

static void test_what_comes_while_nobody_lives_waits(void **state)
{
    struct world *w = *state;
    bus_expect_group(w->a, "c", "g");
    start(w);
    for (int i = 0; i < 10; i++)
        commit(w, "k", "x");
    wait_sent(w); /* it is the broker's */
    bus_subscribe_group(w->b, "c", "g", on_event, &w->group_b);
    journal_wait(&w->group_b, 10);
    journal_stays(&w->group_b, 10);
}

static void tell(struct bus *bus, const char *channel, const char *text)
{
    bus_publish(bus,
                &(struct bus_event){
                    .channel = channel, .type = "told", .key = "b", .payload = str_from(text)});
}

static void test_what_is_for_one_process(void **state)
{
    struct world *w = *state;
    bus_subscribe(w->a, BUS_DOWNSTREAM "a", "test", on_event, &w->heard_a);
    bus_subscribe(w->b, BUS_DOWNSTREAM "b", "test", on_event, &w->heard_b);
    start(w);
    for (int i = 0; i < 10; i++) {
        char text[8];
        snprintf(text, sizeof(text), "%d", i);
        tell(w->a, BUS_DOWNSTREAM "b", text);
        tell(w->a, BUS_DOWNSTREAM "gone", text); /* hurts nobody */
    }
    journal_wait(&w->heard_b, 10);
    for (int i = 0; i < 10; i++) {
        char line[32];
        snprintf(line, sizeof(line), "told b %d []\n", i);
        assert_memory_equal(w->heard_b.text + (size_t)i * strlen(line), line, strlen(line));
    }
    assert_int_equal(w->heard_a.count, 0);
    tell(w->b, BUS_DOWNSTREAM "a", "back");
    journal_wait(&w->heard_a, 1);
    assert_int_equal(w->heard_b.count, 10);
}

static void test_what_stays_here(void **state)
{
    struct world *w = *state;
    bus_subscribe_here(w->a, "c", "test", on_event, &w->heard_a);
    bus_subscribe(w->b, "c", "test", on_event, &w->heard_b);
    start(w);
    bus_publish_here(w->a, &(struct bus_event){.channel = "c", .type = "said", .key = "k"});
    journal_wait(&w->heard_a, 1);
    publish(w->b, "k", "elsewhere"); /* a does not ask for it */
    journal_wait(&w->heard_b, 1);
    publish(w->a, "k", "to all");
    journal_wait(&w->heard_a, 2);
    journal_wait(&w->heard_b, 2);
    assert_string_equal(w->heard_a.text, "said k  []\nsaid k to all []\n");
    assert_string_equal(w->heard_b.text, "said k elsewhere []\nsaid k to all []\n");
}

static void test_a_successor_goes_on(void **state)
{
    struct world *w = *state;
    bus_subscribe_group(w->b, "c", "g", on_event, &w->group_b);
    start(w);
    commit(w, "k", "first");
    journal_wait(&w->group_b, 1);
    bus_subscribe_group(w->a, "c", "g", on_event, &w->group_a);
    usleep(100000);
    bus_close(&w->b);
    commit(w, "k", "second");
    journal_wait(&w->group_a, 1);
    journal_stays(&w->group_a, 1);
    assert_string_equal(w->group_a.text, "done k second [fact]\n");
}

static void on_deadly(void *arg, const struct bus_event *e)
{
    _exit(9);
}

/* A process of its own, which ends in the midst of its handler: this program again. */
static pid_t spawn_reader(void)
{
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "bus_broker_suite", bus_fixture_driver, prefix, (char *)NULL);
        _exit(127);
    }
    return child;
}

static int be_reader(const char *topics)
{
    snprintf(prefix, sizeof(prefix), "%s", topics);
    struct bus *bus = open_bus(NULL, "child");
    bus_subscribe_group(bus, "c", "g", on_deadly, NULL);
    bus_start(bus);
    sleep(30);
    return 1;
}

static void test_what_was_not_handled_comes_again(void **state)
{
    struct world *w = *state;
    int status;
    bus_expect_group(w->a, "c", "g");
    start(w);
    commit(w, "k", "one");
    commit(w, "k", "two");
    wait_sent(w);
    pid_t child = spawn_reader();
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 9);
    bus_subscribe_group(w->b, "c", "g", on_event, &w->group_b);
    journal_wait(&w->group_b, 2);
    assert_string_equal(w->group_b.text, "done k one [fact]\ndone k two [fact]\n");
}

/* ---- a broker that is away ---- */

static void test_a_frozen_broker_delays(void **state)
{
    struct world *w = *state;
    if (!server)
        skip();
    bus_subscribe(w->a, "c", "a", on_event, &w->heard_a);
    bus_subscribe(w->b, "c", "b", on_event, &w->heard_b);
    bus_subscribe_group(w->b, "c", "g", on_event, &w->group_b);
    bus_on_gap(w->b, "gap", on_event, &w->gaps);
    start(w);
    commit(w, "k", "before");
    journal_wait(&w->group_b, 1);
    kill(server, SIGSTOP);
    int64_t start_ms = clock_mono_ms();
    for (int i = 0; i < 20; i++)
        commit(w, "k", "meanwhile");
    journal_wait(&w->heard_a, 21); /* here it is heard all the same */
    assert_in_range(clock_mono_ms() - start_ms, 0, 2000);
    wait_linked(w->a, false);
    wait_linked(w->b, false);
    kill(server, SIGCONT);
    journal_wait(&w->gaps, 1);
    commit(w, "k", "after");
    wait_for_text(&w->group_b, "after"); /* some may have come twice */
    assert_true(count_of(&w->group_b) >= 22);
    wait_sent(w);
}

/* ---- back-pressure ---- */

static atomic_bool is_slow;

static void on_slow(void *arg, const struct bus_event *e)
{
    while (atomic_load(&is_slow))
        usleep(1000);
    journal_note(arg, "%.*s", STR_FMT(e->payload));
}

static void test_slow_handlers_lose_no_facts(void **state)
{
    struct world *w = *state;
    bus_close(&w->b);
    struct bus_options opt = {.driver = bus_fixture_driver,
                              .url = bus_broker_url,
                              .process = "b",
                              .prefix = prefix,
                              .owner_ms = OWNER_MS,
                              .queue_max = 4};
    assert_int_equal(bus_open(&w->b, &opt), ERR_OK);
    atomic_store(&is_slow, true);
    bus_subscribe_group(w->b, "c", "g", on_slow, &w->group_b);
    start(w);
    char expected[4096] = "", text[16];
    for (int i = 0; i < 300; i++) {
        snprintf(text, sizeof(text), "%d", i);
        commit(w, "k", text);
        snprintf(expected + strlen(expected), sizeof(expected) - strlen(expected), "%d\n", i);
    }
    wait_sent(w);
    usleep(OWNER_MS * 1500); /* it is still the owner, however slow */
    atomic_store(&is_slow, false);
    journal_wait(&w->group_b, 300);
    journal_stays(&w->group_b, 300);
    assert_string_equal(w->group_b.text, expected);
}

static void test_a_wrong_address_is_refused(void **state)
{
    struct bus *bus;
    struct bus_options opt = {.driver = bus_fixture_driver, .url = "gopher://nowhere"};
    assert_int_equal(bus_open(&bus, &opt), ERR_INVALID_ARGUMENT);
    assert_null(bus);
}

static const char *from_environment(const char *what)
{
    char name[64];
    snprintf(name, sizeof(name), "PARLANCE_TEST_%s_%s", bus_fixture_driver, what);
    for (char *at = name; *at; at++)
        *at = (char)toupper(*at);
    return getenv(name);
}

int main(int argc, char **argv)
{
    bus_fixture_driver = argc > 1 ? argv[1] : "redis";
    bus_broker_url = from_environment("URL");
    const char *pid = from_environment("PID");
    server = pid ? atoi(pid) : 0;
    if (!bus_broker_url) {
        print_error("no server: run this by node tests/services/run.mjs\n");
        return 77;
    }
    signal(SIGPIPE, SIG_IGN);
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_OFF);
    if (argc > 2)
        return be_reader(argv[2]);
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    if (getenv("TEST_ONE"))
        cmocka_set_test_filter(getenv("TEST_ONE"));
    const struct CMUnitTest tests[] = {
        T(test_other_processes_hear_too),
        T(test_one_of_a_group_hears),
        T(test_joining_later_and_leaving),
        T(test_order_is_kept_per_key),
        T(test_what_comes_while_nobody_lives_waits),
        T(test_what_is_for_one_process),
        T(test_what_stays_here),
        T(test_a_successor_goes_on),
        T(test_what_was_not_handled_comes_again),
        T(test_a_frozen_broker_delays),
        T(test_slow_handlers_lose_no_facts),
        cmocka_unit_test(test_a_wrong_address_is_refused),
    };
    if (argc > 2) /* one of them */
        cmocka_set_test_filter(argv[2]);
    return cmocka_run_group_tests_name("bus over a broker", tests, NULL, NULL) +
           bus_broker_tasks_suite();
}
