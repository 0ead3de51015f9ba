/* Tasks over a broker: from a sender's table into a receiver's, and what strangers put there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus/bus_internal.h"
#include "bus_broker.h"
#include "bus_fixture.h"
#include "core/clock.h"
#include "core/id.h"

struct pair {
    void *from, *to; /* fixtures of stores: two databases */
    struct bus *sender, *receiver;
    char prefix[ID_SIZE + 8];
    struct journal done;
};

static struct store *store_of(void *fixture)
{
    return ((struct fixture *)fixture)->store;
}

static struct bus *open_with(struct pair *p, struct store *store, const char *process)
{
    struct bus *bus;
    struct bus_options opt = {.driver = "memory",
                              .task_driver = bus_fixture_driver,
                              .task_url = bus_broker_url,
                              .process = process,
                              .prefix = p->prefix,
                              .store = store,
                              .is_shared = true,
                              .owner_ms = 2000,
                              .retry_ms = 20};
    assert_int_equal(bus_open(&bus, &opt), ERR_OK);
    return bus;
}

static enum err on_task(void *arg, const struct bus_task *t, int attempt)
{
    struct pair *p = arg;
    journal_note(&p->done, "%s %.*s %d", t->type, STR_FMT(t->payload), attempt);
    return strcmp(t->type, "poison") == 0 ? ERR_INVALID_ARGUMENT : ERR_OK;
}

static int setup_with(void **state, bool is_one_store)
{
    static struct pair p;
    char id[ID_SIZE];
    p = (struct pair){.done = JOURNAL_INIT};
    id_make(id);
    snprintf(p.prefix, sizeof(p.prefix), "t%s.", id);
    fixture_setup(&p.from);
    if (!is_one_store)
        fixture_setup(&p.to);
    p.sender = open_with(&p, store_of(p.from), "sender");
    p.receiver = open_with(&p, store_of(p.to ? p.to : p.from), "receiver");
    bus_work(p.receiver, "mail", on_task, &p);
    *state = &p;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, false);
}

static int setup_one(void **state)
{
    return setup_with(state, true);
}

static int teardown(void **state)
{
    struct pair *p = *state;
    bus_close(&p->sender);
    bus_close(&p->receiver);
    if (p->to)
        fixture_teardown(&p->to);
    fixture_teardown(&p->from);
    return 0;
}

static void start(struct pair *p)
{
    bus_start(p->sender);
    bus_start(p->receiver);
}

static void enqueue(struct pair *p, const struct bus_task *t)
{
    struct bus_fixture f = {.store = store_of(p->from), .bus = p->sender};
    assert_int_equal(bus_fixture_enqueue(&f, t, ERR_OK), ERR_OK);
}

static void wait_int(void *fixture, const char *sql, int64_t value)
{
    struct bus_fixture f = {.store = store_of(fixture)};
    bus_fixture_wait_int(&f, sql, value);
}

enum { MANY = 60 };

static void enqueue_many(struct pair *p)
{
    for (int i = 0; i < MANY; i++) {
        char n[16];
        snprintf(n, sizeof(n), "%d", i);
        enqueue(p, &(struct bus_task){.queue = "mail",
                                      .type = "send",
                                      .payload = str_from(n),
                                      .idempotency_key = i % 2 ? n : NULL,
                                      .priority = i % 3});
    }
}

static void test_tasks_travel(void **state)
{
    struct pair *p = *state;
    enqueue_many(p);
    start(p);
    journal_wait(&p->done, MANY);
    for (int i = 0; i < MANY; i++) {
        char line[32];
        snprintf(line, sizeof(line), "send %d 1\n", i);
        assert_non_null(strstr(p->done.text, line));
    }
    wait_int(p->from, "SELECT COUNT(*) FROM bus_tasks WHERE state <> 3", 0);
    wait_int(p->to ? p->to : p->from, "SELECT COUNT(*) FROM bus_tasks WHERE state <> 3", 0);
    enqueue(p, &(struct bus_task){.queue = "mail", .type = "send", .idempotency_key = "1"});
    journal_stays(&p->done, MANY); /* its key is known */
}

static void test_a_lane_keeps_its_order(void **state)
{
    struct pair *p = *state;
    char expected[1024] = "";
    start(p);
    for (int i = 0; i < 12; i++) {
        char n[16];
        snprintf(n, sizeof(n), "%d", i);
        enqueue(p, &(struct bus_task){
                       .queue = "mail", .type = "send", .payload = str_from(n), .lane = "one"});
        snprintf(expected + strlen(expected), sizeof(expected) - strlen(expected), "send %d 1\n",
                 i);
    }
    journal_wait(&p->done, 12);
    assert_string_equal(p->done.text, expected);
}

static void test_a_delayed_task_leaves_when_it_is_due(void **state)
{
    struct pair *p = *state;
    start(p);
    int64_t start_ms = clock_mono_ms();
    enqueue(p, &(struct bus_task){.queue = "mail", .type = "send", .delay_ms = 600});
    journal_wait(&p->done, 1);
    assert_true(clock_mono_ms() - start_ms >= 600);
}

static void test_poison_becomes_a_dead_letter(void **state)
{
    struct pair *p = *state;
    start(p);
    enqueue(p, &(struct bus_task){.queue = "mail", .type = "poison", .attempts_max = 2});
    journal_wait(&p->done, 2);
    wait_int(p->to, "SELECT COUNT(*) FROM bus_tasks WHERE state = 4", 1);
}

/* ---- strangers ---- */

static void put(struct pair *p, const char *channel, struct str bytes)
{
    struct bus_parcel parcel = {
        .channel = channel, .key = "k", .id = "", .bytes = bytes, .token = 7000};
    int64_t until_ms = clock_mono_ms() + 10000;
    while (bus_link_send_bytes(p->sender->task_link, &parcel) != ERR_OK &&
           clock_mono_ms() < until_ms)
        usleep(10000);
}

static void test_strangers_are_heard_and_checked(void **state)
{
    struct pair *p = *state;
    int64_t down_ms;
    start(p);
    enqueue(p, &(struct bus_task){.queue = "mail", .type = "first"});
    journal_wait(&p->done, 1);
    assert_true(bus_link_is_up(p->receiver->task_link, &down_ms));
    put(p, "tasks.mail", STR("\xff\xff garbage"));
    put(p, "tasks.mail", STR("{\"type\":"));
    put(p, "tasks.mail", STR("{\"type\":\"no such queue\",\"key\":\"nowhere\",\"task\":{}}"));
    put(p, "tasks.mail", STR("{\"version\":2,\"type\":\"later\",\"task\":{}}"));
    put(p, "tasks.mail", STR("{\"type\":\"x\",\"task\":{\"attempts_max\":100000}}"));
    put(p, "tasks.mail",
        STR("{\"type\":\"said\",\"payload\":{\"a\":1},\"task\":{\"priority\":5}}"));
    journal_wait(&p->done, 2);
    journal_stays(&p->done, 2);
    assert_string_equal(p->done.text, "first  1\nsaid {\"a\":1} 1\n");
}

int bus_broker_tasks_suite(void)
{
#define T(test, setup) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_tasks_travel, setup),
        {"test_tasks_travel in one database", test_tasks_travel, setup_one, teardown, NULL},
        T(test_a_lane_keeps_its_order, setup),
        {"test_a_lane in one database", test_a_lane_keeps_its_order, setup_one, teardown, NULL},
        T(test_a_delayed_task_leaves_when_it_is_due, setup),
        T(test_poison_becomes_a_dead_letter, setup),
        T(test_strangers_are_heard_and_checked, setup),
    };
    return cmocka_run_group_tests_name("tasks over a broker", tests, NULL, NULL);
}
