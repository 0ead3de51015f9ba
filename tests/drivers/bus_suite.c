/*
 * bus_suite: what every bus promises. Run as `bus_suite DRIVER`. Here: events published outside
 * transactions; the outbox is in bus_outbox_suite.c, tasks in bus_tasks_suite.c, their lanes in
 * bus_lanes_suite.c.
 */
#include "bus_fixture.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"

static void on_event(void *arg, const struct bus_event *e)
{
    journal_note(arg, "%s %s %s %.*s [%s]", e->channel, e->type, e->key, STR_FMT(e->payload),
                 e->id);
}

static void test_everyone_who_listens_hears(void **state)
{
    struct bus_fixture *f = *state;
    struct journal a = JOURNAL_INIT, b = JOURNAL_INIT, other = JOURNAL_INIT;
    bus_subscribe(f->bus, "meetings", "a", on_event, &a);
    bus_subscribe(f->bus, "meetings", "b", on_event, &b);
    bus_subscribe(f->bus, "users", "c", on_event, &other);
    char payload[] = "hello";
    bus_publish(f->bus, &(struct bus_event){.channel = "meetings",
                                            .type = "meeting.started",
                                            .key = "m1",
                                            .payload = {payload, 5}});
    memset(payload, 'x', 5); /* the bus took a copy */
    bus_publish(f->bus, &(struct bus_event){.channel = "meetings", .type = "meeting.ended"});
    bus_publish(f->bus, &(struct bus_event){.channel = "nobody", .type = "t"});
    journal_wait(&a, 2);
    journal_wait(&b, 2);
    journal_stays(&other, 0);
    assert_non_null(strstr(a.text, "meetings meeting.started m1 hello []\n"));
    assert_non_null(strstr(a.text, "meetings meeting.ended   []\n"));
}

/* ---- order ---- */

enum { KEYS = ORDER_KEYS, EVENTS = 200, PUBLISHERS = 4 };

struct publisher {
    struct bus *bus;
    int index;
};

/* Each publisher has keys of its own: the order of one key is its publisher's. */
static void *publish_main(void *arg)
{
    struct publisher *p = arg;
    for (int i = 0; i < EVENTS; i++) {
        for (int k = p->index; k < KEYS; k += PUBLISHERS) {
            char key[16], payload[16];
            snprintf(key, sizeof(key), "%d", k);
            snprintf(payload, sizeof(payload), "%d ", i);
            bus_publish(p->bus,
                        &(struct bus_event){
                            .channel = "c", .type = "t", .key = key, .payload = str_from(payload)});
        }
    }
    return NULL;
}

static void test_order_is_kept_per_key(void **state)
{
    struct bus_fixture *f = *state;
    static struct order order;
    memset(&order, 0, sizeof(order));
    struct bus_options opt = {.thread_count = 3, .queue_max = KEYS * EVENTS};
    bus_fixture_reopen(f, &opt);
    bus_subscribe(f->bus, "c", "order", order_on_event, &order);
    pthread_t threads[PUBLISHERS];
    struct publisher publishers[PUBLISHERS];
    for (int i = 0; i < PUBLISHERS; i++) {
        publishers[i] = (struct publisher){f->bus, i};
        pthread_create(&threads[i], NULL, publish_main, &publishers[i]);
    }
    for (int i = 0; i < PUBLISHERS; i++)
        pthread_join(threads[i], NULL);
    order_wait(&order, KEYS * EVENTS);
}

/* ---- a handler that waits ---- */

struct gate {
    struct journal journal;
    sem_t is_entered, may_leave;
};

static void gate_init(struct gate *g)
{
    memset(g, 0, sizeof(*g));
    g->journal = (struct journal)JOURNAL_INIT;
    sem_init(&g->is_entered, 0, 0);
    sem_init(&g->may_leave, 0, 0);
}

static void on_gate(void *arg, const struct bus_event *e)
{
    struct gate *g = arg;
    sem_post(&g->is_entered);
    sem_wait(&g->may_leave);
    journal_note(&g->journal, "%s", e->key);
}

static void test_a_full_queue_drops_and_never_blocks(void **state)
{
    struct bus_fixture *f = *state;
    static struct gate gate;
    gate_init(&gate);
    struct bus_options opt = {.thread_count = 1, .queue_max = 10};
    bus_fixture_reopen(f, &opt);
    bus_subscribe(f->bus, "c", "gate", on_gate, &gate);
    struct bus_event event = {.channel = "c", .type = "t", .key = "k"};
    bus_publish(f->bus, &event);
    sem_wait(&gate.is_entered); /* one is being handled, ten fit */
    int64_t start_ms = clock_mono_ms();
    for (int i = 0; i < 1000; i++)
        bus_publish(f->bus, &event);
    assert_in_range(clock_mono_ms() - start_ms, 0, 20000);
    for (int i = 0; i < 1000; i++)
        sem_post(&gate.may_leave);
    journal_wait(&gate.journal, 11);
    journal_stays(&gate.journal, 11);
    bus_publish(f->bus, &event); /* and goes on */
    journal_wait(&gate.journal, 12);
}

struct leaver {
    struct bus *bus;
    int id;
    atomic_bool is_gone;
};

static void *leave_main(void *arg)
{
    struct leaver *l = arg;
    bus_unsubscribe(l->bus, l->id);
    atomic_store(&l->is_gone, true);
    return NULL;
}

static void test_unsubscribe_waits_for_the_handler(void **state)
{
    struct bus_fixture *f = *state;
    static struct gate gate;
    gate_init(&gate);
    struct leaver leaver = {.bus = f->bus};
    leaver.id = bus_subscribe(f->bus, "c", "gate", on_gate, &gate);
    struct bus_event event = {.channel = "c", .type = "t", .key = "k"};
    bus_publish(f->bus, &event);
    bus_publish(f->bus, &event);
    sem_wait(&gate.is_entered);
    pthread_t thread;
    pthread_create(&thread, NULL, leave_main, &leaver);
    usleep(30000);
    assert_false(atomic_load(&leaver.is_gone));
    sem_post(&gate.may_leave);
    sem_post(&gate.may_leave);
    pthread_join(thread, NULL);
    journal_stays(&gate.journal, 1);    /* the second event found nobody */
    bus_unsubscribe(f->bus, leaver.id); /* again, and unknown ones: nothing */
    bus_unsubscribe(f->bus, 4711);
}

struct suicidal {
    struct bus *bus;
    int id;
    struct journal journal;
};

static void on_last(void *arg, const struct bus_event *e)
{
    struct suicidal *s = arg;
    bus_unsubscribe(s->bus, s->id);
    bus_publish(s->bus, &(struct bus_event){.channel = "c2", .type = "t", .key = "from within"});
    journal_note(&s->journal, "%s", e->key);
}

static void test_a_handler_may_unsubscribe_itself(void **state)
{
    struct bus_fixture *f = *state;
    struct suicidal s = {.bus = f->bus, .journal = JOURNAL_INIT};
    struct journal after = JOURNAL_INIT;
    bus_subscribe(f->bus, "c2", "after", on_event, &after);
    s.id = bus_subscribe(f->bus, "c", "suicidal", on_last, &s);
    for (int i = 0; i < 20; i++)
        bus_publish(f->bus, &(struct bus_event){.channel = "c", .type = "t", .key = "k"});
    journal_wait(&s.journal, 1);
    journal_stays(&s.journal, 1);
    journal_wait(&after, 1);
}

/* ---- closing while each sets off the other ---- */

struct ping_pong {
    struct bus_fixture *f;
    atomic_int events, tasks;
};

static enum err ping_pong_run(struct store_tx *tx, void *arg)
{
    struct ping_pong *p = arg;
    enum err err = bus_publish_tx(p->f->bus, tx, &(struct bus_event){.channel = "p", .type = "t"});
    return err ? err : bus_enqueue_tx(p->f->bus, tx, &(struct bus_task){.queue = "p", .type = "t"});
}

static void on_ping(void *arg, const struct bus_event *e)
{
    struct ping_pong *p = arg;
    if (atomic_fetch_add(&p->events, 1) < 2000)
        store_write(p->f->store, 0, ping_pong_run, p, NULL);
}

static enum err on_pong(void *arg, const struct bus_task *task, int attempt)
{
    struct ping_pong *p = arg;
    atomic_fetch_add(&p->tasks, 1);
    bus_publish(p->f->bus, &(struct bus_event){.channel = "p", .type = "t"});
    return ERR_OK;
}

static void test_close_in_the_midst(void **state)
{
    struct bus_fixture *f = *state;
    for (int round = 0; round < 10; round++) {
        struct ping_pong p = {.f = f};
        bus_subscribe(f->bus, "p", "ping", on_ping, &p);
        bus_work(f->bus, "p", on_pong, &p);
        bus_start(f->bus);
        store_write(f->store, 0, ping_pong_run, &p, NULL);
        usleep((useconds_t)(round * 3000));
        struct bus *closing = f->bus; /* handlers go on using it until it is closed */
        bus_close(&closing);
        f->bus = NULL;
        bus_fixture_reopen(f, NULL);
    }
}

/* Subscribing and leaving while events fly: for the sanitizers. */
static void *churn_main(void *arg)
{
    struct bus_fixture *f = arg;
    static struct journal ignored = JOURNAL_INIT;
    for (int i = 0; i < 150; i++) {
        int id = bus_subscribe(f->bus, "c", "churn", on_event, &ignored);
        bus_publish(f->bus, &(struct bus_event){.channel = "c", .type = "t", .key = "k"});
        bus_unsubscribe(f->bus, id);
    }
    return NULL;
}

static void test_coming_and_going(void **state)
{
    struct bus_fixture *f = *state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, churn_main, f);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

static void test_without_a_store(void **state)
{
    struct bus_fixture *f = *state;
    struct bus *bus;
    struct bus_options opt = {.driver = bus_fixture_driver};
    struct journal j = JOURNAL_INIT;
    assert_int_equal(bus_open(&bus, &opt), ERR_OK);
    bus_start(bus);
    bus_subscribe(bus, "c", "j", on_event, &j);
    bus_publish(bus, &(struct bus_event){.channel = "c", .type = "t", .key = "k"});
    journal_wait(&j, 1);
    struct bus *with_store = f->bus;
    f->bus = bus;
    struct bus_event event = {.channel = "c", .type = "t"};
    struct bus_task task = {.queue = "q", .type = "t"};
    assert_int_equal(bus_fixture_publish(f, &event, ERR_OK), ERR_FAILED_PRECONDITION);
    assert_int_equal(bus_fixture_enqueue(f, &task, ERR_OK), ERR_FAILED_PRECONDITION);
    f->bus = with_store;
    bus_close(&bus);
    assert_null(bus);
    bus_close(&bus); /* accepts NULL */
    struct bus_options unknown = {.driver = "pigeon"};
    assert_int_equal(bus_open(&bus, &unknown), ERR_INVALID_ARGUMENT);
}

/* It would only take room from what is heard here. */
static void test_what_is_for_another_process(void **state)
{
    struct bus_fixture *f = *state;
    struct journal j = JOURNAL_INIT;
    char own[128];
    snprintf(own, sizeof(own), BUS_DOWNSTREAM "%s", bus_process(f->bus));
    bus_subscribe(f->bus, own, "own", on_event, &j);
    bus_subscribe(f->bus, BUS_DOWNSTREAM "another", "another", on_event, &j);
    bus_publish(f->bus, &(struct bus_event){
                            .channel = BUS_DOWNSTREAM "another", .type = "lost", .key = "k"});
    bus_publish(f->bus, &(struct bus_event){.channel = own, .type = "told", .key = "k"});
    journal_wait(&j, 1);
    assert_null(strstr(j.text, "lost"));
}

static void test_the_broker_of_tasks_is_not_that_of_events(void **state)
{
    struct bus_fixture *f = *state;
    struct bus *bus;
    struct bus_options opt = {.driver = "memory",
                              .task_driver = "redis",
                              .task_url = "redis://127.0.0.1:1/", /* nobody is there */
                              .store = f->store};
    bus_close(&f->bus);
    assert_int_equal(bus_open(&bus, &opt), ERR_OK);
    assert_true(bus_is_heard(bus));
    assert_false(bus_is_linked(bus));
    bus_close(&bus);
    bus_fixture_reopen(f, NULL);
}

int main(int argc, char **argv)
{
    bus_fixture_driver = argc > 1 ? argv[1] : bus_fixture_driver;
    fixture_driver = argc > 2 ? argv[2] : fixture_driver;
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_OFF);
#define T(test) cmocka_unit_test_setup_teardown(test, bus_fixture_setup, bus_fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_everyone_who_listens_hears),
        T(test_order_is_kept_per_key),
        T(test_a_full_queue_drops_and_never_blocks),
        T(test_unsubscribe_waits_for_the_handler),
        T(test_a_handler_may_unsubscribe_itself),
        T(test_coming_and_going),
        T(test_close_in_the_midst),
        T(test_without_a_store),
        T(test_what_is_for_another_process),
        T(test_the_broker_of_tasks_is_not_that_of_events),
    };
    int failed = 0;
    if (argc < 3) { /* what a server's store has no part in */
        failed += cmocka_run_group_tests_name("bus events", tests, NULL, NULL);
        failed += bus_tasks_suite();
        failed += bus_lanes_suite();
    }
    failed += bus_outbox_suite();
    failed += bus_shared_suite();
    return failed;
}
