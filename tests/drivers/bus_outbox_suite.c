/* bus_outbox_suite: events that leave with a transaction: never without it, never lost, in order,
 * and again after a stop if nobody can know that they arrived. */
#include "bus_fixture.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"

#define COUNT_ROWS "SELECT COUNT(*) FROM bus_outbox"

static void on_event(void *arg, const struct bus_event *e)
{
    journal_note(arg, "%s %s %s %.*s [%s]", e->channel, e->type, e->key, STR_FMT(e->payload),
                 e->id);
}

static const struct bus_event event = {
    .channel = "c", .type = "t", .key = "k", .payload = {"pay\0load", 8}};

static void test_events_follow_their_commit(void **state)
{
    struct bus_fixture *f = *state;
    struct journal j = JOURNAL_INIT;
    bus_subscribe(f->bus, "c", "j", on_event, &j);
    bus_start(f->bus);
    int64_t start_ms = clock_mono_ms();
    for (int i = 1; i <= 5; i++) {
        assert_int_equal(bus_fixture_publish(f, &event, ERR_OK), ERR_OK);
        journal_wait(&j, i);
    }
    assert_in_range(clock_mono_ms() - start_ms, 0, 3000); /* the commit wakes the relay */
    assert_int_equal(bus_fixture_publish(f, &event, ERR_ABORTED), ERR_ABORTED);
    assert_int_equal(bus_fixture_publish(f, &event, ERR_OK), ERR_OK);
    journal_wait(&j, 6);
    journal_stays(&j, 6); /* the one rolled back never left */
    bus_fixture_wait_int(f, COUNT_ROWS, 0);
}

static void test_nothing_leaves_before_start(void **state)
{
    struct bus_fixture *f = *state;
    struct journal j = JOURNAL_INIT;
    bus_subscribe(f->bus, "c", "j", on_event, &j);
    assert_int_equal(bus_fixture_publish(f, &event, ERR_OK), ERR_OK);
    journal_stays(&j, 0);
    bus_start(f->bus);
    journal_wait(&j, 1);
}

static void test_what_was_left_comes_at_the_next_start(void **state)
{
    struct bus_fixture *f = *state;
    struct journal j = JOURNAL_INIT;
    assert_int_equal(bus_fixture_publish(f, &event, ERR_OK), ERR_OK);
    assert_int_equal(bus_fixture_publish(f, &event, ERR_OK), ERR_OK);
    bus_fixture_reopen(f, NULL);
    bus_subscribe(f->bus, "c", "j", on_event, &j);
    bus_start(f->bus);
    journal_wait(&j, 2);
    bus_fixture_wait_int(f, COUNT_ROWS, 0);
    bus_fixture_reopen(f, NULL);
    bus_subscribe(f->bus, "c", "j", on_event, &j);
    bus_start(f->bus);
    journal_stays(&j, 2); /* delivered is delivered */
}

/* ---- stopped in the middle ---- */

struct gate {
    struct journal journal;
    sem_t is_entered, may_leave;
};

static void on_gate(void *arg, const struct bus_event *e)
{
    struct gate *g = arg;
    sem_post(&g->is_entered);
    sem_wait(&g->may_leave);
    journal_note(&g->journal, "%s %s", e->key, e->id);
}

static void *open_gate_later(void *arg)
{
    struct gate *g = arg;
    usleep(30000);
    for (int i = 0; i < 5; i++) /* for all: on a busy machine the stop may come after some */
        sem_post(&g->may_leave);
    return NULL;
}

static void gate_init(struct gate *g)
{
    memset(g, 0, sizeof(*g));
    g->journal = (struct journal)JOURNAL_INIT;
    sem_init(&g->is_entered, 0, 0);
    sem_init(&g->may_leave, 0, 0);
}

static void test_a_stop_loses_nothing(void **state)
{
    struct bus_fixture *f = *state;
    static struct gate gate;
    gate_init(&gate);
    struct bus_options opt = {.thread_count = 1};
    bus_fixture_reopen(f, &opt);
    bus_subscribe(f->bus, "c", "gate", on_gate, &gate);
    bus_start(f->bus);
    for (int i = 0; i < 5; i++)
        assert_int_equal(bus_fixture_publish(f, &event, ERR_OK), ERR_OK);
    sem_wait(&gate.is_entered);
    pthread_t thread;
    pthread_create(&thread, NULL, open_gate_later, &gate);
    bus_close(&f->bus); /* who is in the handler ends, the others wait for the next start */
    pthread_join(thread, NULL);
    int left = 5 - gate.journal.count;
    assert_true(left < 5);
    assert_int_equal(fixture_int(f->store, COUNT_ROWS), left);

    struct journal j = JOURNAL_INIT;
    bus_fixture_reopen(f, NULL);
    bus_subscribe(f->bus, "c", "j", on_event, &j);
    bus_start(f->bus);
    journal_wait(&j, left);
    journal_stays(&j, left);
}

static char first_id[64], second_id[64];

static void on_id(void *arg, const struct bus_event *e)
{
    snprintf(*first_id ? second_id : first_id, sizeof(first_id), "%s", e->id);
    journal_note(arg, "%s", e->id);
}

/* A crash between the handler and the mark: the row is still there. The same id tells. */
static void on_slow_event(void *arg, const struct bus_event *e)
{
    usleep(50000);
    on_event(arg, e);
}

/* A subscriber that goes away before the bus does misses nothing: what it has not had comes at the
 * next start. */
static void test_nothing_is_delivered_to_nobody(void **state)
{
    struct bus_fixture *f = *state;
    struct journal j = JOURNAL_INIT;
    int id = bus_subscribe(f->bus, "c", "j", on_slow_event, &j);
    bus_start(f->bus);
    for (int i = 0; i < 4; i++)
        assert_int_equal(bus_fixture_publish(f, &event, ERR_OK), ERR_OK);
    journal_wait(&j, 1);
    bus_stop_events(f->bus);
    bus_unsubscribe(f->bus, id);
    assert_int_equal(bus_fixture_publish(f, &event, ERR_OK), ERR_OK);
    journal_stays(&j, j.count);
    bus_fixture_reopen(f, NULL);
    bus_subscribe(f->bus, "c", "j", on_event, &j);
    bus_start(f->bus);
    journal_wait(&j, 5);
    journal_stays(&j, 5);
}

static void test_a_redelivery_has_the_same_id(void **state)
{
    struct bus_fixture *f = *state;
    struct journal j = JOURNAL_INIT;
    first_id[0] = second_id[0] = '\0';
    assert_int_equal(bus_fixture_publish(f, &event, ERR_OK), ERR_OK);
    assert_int_equal(fixture_exec(f->store, "CREATE TABLE kept AS SELECT * FROM bus_outbox"),
                     ERR_OK);
    bus_subscribe(f->bus, "c", "j", on_id, &j);
    bus_start(f->bus);
    journal_wait(&j, 1);
    bus_fixture_wait_int(f, COUNT_ROWS, 0);
    bus_fixture_reopen(f, NULL);
    assert_int_equal(fixture_exec(f->store, "INSERT INTO bus_outbox SELECT * FROM kept"), ERR_OK);
    bus_subscribe(f->bus, "c", "j", on_id, &j);
    bus_start(f->bus);
    journal_wait(&j, 2);
    assert_int_equal(strlen(first_id), 26);
    assert_string_equal(first_id, second_id);
}

static void insert_row(struct bus_fixture *f, int id)
{
    char sql[256];
    bool is_shared = strcmp(fixture_driver, "sqlite") != 0;
    snprintf(sql, sizeof(sql),
             "INSERT INTO bus_outbox (id, event_id, channel, type, event_key, payload, owner)"
             " VALUES (%d, 'event %d', 'c', 't', 'k', 'x', '%s')",
             id, id, is_shared ? bus_process(f->bus) : "");
    assert_int_equal(fixture_exec(f->store, sql), ERR_OK);
}

/* Several writers may commit ids out of order; the relay looks back now and then, and what is in
 * flight meanwhile is not delivered again. */
static void test_a_late_id_is_found(void **state)
{
    struct bus_fixture *f = *state;
    static struct gate gate;
    gate_init(&gate);
    bus_subscribe(f->bus, "c", "gate", on_gate, &gate);
    insert_row(f, 100);
    bus_start(f->bus);
    sem_wait(&gate.is_entered);
    insert_row(f, 99);
    usleep(1300000); /* it has looked back by now: once the gate is open both come, each once */
    sem_post(&gate.may_leave);
    sem_post(&gate.may_leave);
    sem_post(&gate.may_leave);
    journal_wait(&gate.journal, 2);
    bus_fixture_wait_int(f, COUNT_ROWS, 0);
    journal_stays(&gate.journal, 2);
    assert_string_equal(gate.journal.text, "k event 100\nk event 99\n");
}

/* ---- many, and little room ---- */

enum { MANY = 6000, KEYS = 7 };

static enum err publish_many(struct store_tx *tx, void *arg)
{
    struct bus_fixture *f = arg;
    for (int i = 0; i < MANY; i++) {
        char key[16], payload[16];
        snprintf(key, sizeof(key), "%d", i % KEYS);
        snprintf(payload, sizeof(payload), "%d ", i / KEYS);
        struct bus_event e = {
            .channel = "c", .type = "t", .key = key, .payload = str_from(payload)};
        enum err err = bus_publish_tx(f->bus, tx, &e);
        if (err)
            return err;
    }
    return ERR_OK;
}

static void test_many_through_little_room(void **state)
{
    struct bus_fixture *f = *state;
    static struct order order;
    memset(&order, 0, sizeof(order));
    struct bus_options opt = {.thread_count = 2, .queue_max = 16};
    bus_fixture_reopen(f, &opt);
    bus_subscribe(f->bus, "c", "order", order_on_event, &order);
    bus_start(f->bus);
    assert_int_equal(store_write_sync(f->store, 0, publish_many, f), ERR_OK);
    bus_fixture_wait_int(f, COUNT_ROWS, 0);
    order_wait(&order, MANY);
}

static void test_more_than_may_be_in_flight(void **state)
{
    struct bus_fixture *f = *state;
    static struct order order;
    memset(&order, 0, sizeof(order));
    bus_subscribe(f->bus, "c", "order", order_on_event, &order);
    bus_start(f->bus);
    assert_int_equal(store_write_sync(f->store, 0, publish_many, f), ERR_OK);
    bus_fixture_wait_int(f, COUNT_ROWS, 0);
    order_wait(&order, MANY);
}

int bus_outbox_suite(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, bus_fixture_setup, bus_fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_events_follow_their_commit),
        T(test_nothing_leaves_before_start),
        T(test_what_was_left_comes_at_the_next_start),
        T(test_a_stop_loses_nothing),
        T(test_nothing_is_delivered_to_nobody),
        T(test_a_redelivery_has_the_same_id),
        T(test_a_late_id_is_found),
        T(test_many_through_little_room),
        T(test_more_than_may_be_in_flight),
    };
    return cmocka_run_group_tests_name("bus outbox", tests, NULL, NULL);
}
