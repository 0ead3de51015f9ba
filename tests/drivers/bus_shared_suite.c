/* Several processes on one database, as several buses on one store: whose rows are whose, and what
 * becomes of those of the dead. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus_fixture.h"
#include "core/clock.h"

#define COUNT_ROWS "SELECT COUNT(*) FROM bus_outbox"
#define COUNT_TASKS "SELECT COUNT(*) FROM bus_tasks"
#define OWNER_MS 400
#define LEASE_MS 900

static int64_t lease_ms; /* of those that are opened next; 0: as usual */

static const struct bus_event event = {.channel = "c", .type = "t", .key = "k"};

struct pair {
    struct bus_fixture *f;
    struct bus *a, *b;
    struct journal heard_a, heard_b;
};

static void on_event(void *arg, const struct bus_event *e)
{
    journal_note(arg, "%s %s %.*s", e->type, e->key, STR_FMT(e->payload));
}

static struct bus *open_one(struct bus_fixture *f, const char *process, int64_t owner_ms)
{
    struct bus *bus;
    assert_int_equal(bus_open(&bus, &(struct bus_options){.driver = "memory",
                                                          .process = process,
                                                          .store = f->store,
                                                          .is_shared = true,
                                                          .owner_ms = owner_ms,
                                                          .lease_ms = lease_ms,
                                                          .retry_ms = 20}),
                     ERR_OK);
    return bus;
}

static struct pair pair;

static struct pair *open_pair_for(void **state, int64_t owner_ms)
{
    struct pair *p = &pair;
    *p = (struct pair){.f = *state, .heard_a = JOURNAL_INIT, .heard_b = JOURNAL_INIT};
    bus_close(&p->f->bus);
    p->a = open_one(p->f, "a", owner_ms);
    p->b = open_one(p->f, "b", owner_ms);
    bus_subscribe(p->a, "c", "a", on_event, &p->heard_a);
    bus_subscribe(p->b, "c", "b", on_event, &p->heard_b);
    return p;
}

static struct pair *open_pair(void **state)
{
    return open_pair_for(state, OWNER_MS);
}

static void close_pair(struct pair *p)
{
    bus_close(&p->a);
    bus_close(&p->b);
}

/* Also after a test that failed half way: their threads note in what is given back next. */
static int teardown(void **state)
{
    close_pair(&pair);
    return bus_fixture_teardown(state);
}

static enum err publish_by(struct pair *p, struct bus *bus, const struct bus_event *e)
{
    struct bus_fixture f = {.store = p->f->store, .bus = bus};
    return bus_fixture_publish(&f, e, ERR_OK);
}

static enum err enqueue_by(struct pair *p, struct bus *bus, const struct bus_task *t)
{
    struct bus_fixture f = {.store = p->f->store, .bus = bus};
    return bus_fixture_enqueue(&f, t, ERR_OK);
}

static void test_each_relays_its_own(void **state)
{
    /* Nobody is silent for so long that it is succeeded, however busy the machine is; and who has
     * not signed up yet is nobody. */
    struct pair *p = open_pair_for(state, 60000);
    bus_start(p->a);
    bus_start(p->b);
    bus_fixture_wait_int(p->f, "SELECT COUNT(*) FROM bus_processes", 2);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(publish_by(p, p->a, &event), ERR_OK);
        assert_int_equal(publish_by(p, p->b, &event), ERR_OK);
    }
    journal_wait(&p->heard_a, 50);
    journal_wait(&p->heard_b, 50);
    bus_fixture_wait_int(p->f, COUNT_ROWS, 0);
    journal_stays(&p->heard_a, 50);
    journal_stays(&p->heard_b, 50);
    close_pair(p);
}

#define DEAD_EVENT                                                                           \
    "INSERT INTO bus_outbox (id, event_id, channel, type, event_key, payload, owner) VALUES" \
    " (7000, 'e', 'c', 't', 'k', 'x', 'dead')"
#define DEAD_TASK                                                                               \
    "INSERT INTO bus_tasks (queue, type, payload, turn, state, attempts, attempts_max, due_ms," \
    " created_ms, owner) VALUES ('mail', 'send', 'x', 0, 2, 1, 10, 4000000000000, 0, 'dead')"

static enum err on_task(void *arg, const struct bus_task *t, int attempt)
{
    journal_note(arg, "%s %d", t->type, attempt);
    return ERR_OK;
}

static void test_the_dead_are_succeeded(void **state)
{
    enum { SILENT_MS = 2000 };
    struct pair *p = open_pair_for(state, SILENT_MS);
    struct journal done = JOURNAL_INIT;
    assert_int_equal(fixture_exec(p->f->store, "INSERT INTO bus_processes VALUES ('dead', 7)"),
                     ERR_OK);
    assert_int_equal(fixture_exec(p->f->store, DEAD_EVENT), ERR_OK);
    assert_int_equal(fixture_exec(p->f->store, DEAD_TASK), ERR_OK);
    bus_work(p->b, "mail", on_task, &done);
    int64_t start_ms = clock_mono_ms();
    bus_start(p->b);
    usleep(SILENT_MS * 1000 / 4);
    journal_stays(&p->heard_b, 0); /* it may live, for all we know */
    journal_stays(&done, 0);
    journal_wait(&p->heard_b, 1);
    journal_wait(&done, 1);
    assert_in_range(clock_mono_ms() - start_ms, SILENT_MS, SILENT_MS * 8);
    assert_string_equal(done.text, "send 2\n");
    bus_fixture_wait_int(p->f, COUNT_ROWS, 0);
    assert_int_equal(fixture_int(p->f->store, "SELECT COUNT(*) FROM bus_processes"), 1);
    close_pair(p);
    assert_int_equal(fixture_int(p->f->store, "SELECT COUNT(*) FROM bus_processes"), 0);
}

/* One that signed off, and left something: at once, nobody waits for it to be silent. */
static void test_who_left_is_succeeded(void **state)
{
    struct pair *p = open_pair(state);
    bus_start(p->a);
    bus_start(p->b);
    bus_fixture_wait_int(p->f, "SELECT COUNT(*) FROM bus_processes", 2);
    usleep(OWNER_MS * 1000); /* each has seen the other */
    bus_stop_events(p->a);
    assert_int_equal(publish_by(p, p->a, &event), ERR_OK);
    bus_close(&p->a);
    journal_wait(&p->heard_b, 1);
    close_pair(p);
}

#define EARLIER_EVENT                                                                    \
    "INSERT INTO bus_outbox (event_id, channel, type, event_key, payload, owner) VALUES" \
    " ('e', 'c', 't', 'k', 'x', 'dead')"
/* What one process wrote before another is heard before it, if that is wanted; by whoever has it.
 */
static void test_a_key_keeps_its_order(void **state)
{
    struct pair *p = open_pair(state);
    bus_close(&p->b);
    assert_int_equal(bus_open(&p->b, &(struct bus_options){.process = "b",
                                                           .store = p->f->store,
                                                           .is_shared = true,
                                                           .is_in_order = true,
                                                           .owner_ms = OWNER_MS}),
                     ERR_OK);
    bus_subscribe(p->b, "c", "b", on_event, &p->heard_b);
    assert_int_equal(fixture_exec(p->f->store, "INSERT INTO bus_processes VALUES ('dead', 7)"),
                     ERR_OK);
    assert_int_equal(fixture_exec(p->f->store, EARLIER_EVENT), ERR_OK);
    struct bus_event later = event, other = event;
    later.payload = STR("later");
    other.key = "other";
    assert_int_equal(publish_by(p, p->b, &later), ERR_OK);
    assert_int_equal(publish_by(p, p->b, &other), ERR_OK);
    bus_start(p->b);
    journal_wait(&p->heard_b, 3);
    assert_string_equal(p->heard_b.text, "t other \nt k x\nt k later\n");
    bus_fixture_wait_int(p->f, COUNT_ROWS, 0);
    close_pair(p);
}

static void test_the_living_are_left_alone(void **state)
{
    struct pair *p = open_pair(state);
    bus_start(p->a);
    bus_start(p->b);
    usleep(OWNER_MS * 1000 * 3);
    bus_fixture_wait_int(p->f, "SELECT COUNT(*) FROM bus_processes", 2);
    /* Struck off by mistake (it was frozen): it signs up again, and what it publishes leaves. */
    assert_int_equal(fixture_exec(p->f->store, "DELETE FROM bus_processes WHERE id = 'a'"), ERR_OK);
    assert_int_equal(publish_by(p, p->a, &event), ERR_OK);
    bus_fixture_wait_int(p->f, "SELECT COUNT(*) FROM bus_processes", 2);
    bus_fixture_wait_int(p->f, COUNT_ROWS, 0);
    close_pair(p);
}

static void test_tasks_go_where_they_are_worked_on(void **state)
{
    struct pair *p = open_pair(state);
    struct journal done = JOURNAL_INIT;
    struct bus_task task = {.queue = "mail", .type = "send"};
    bus_work(p->b, "mail", on_task, &done);
    bus_start(p->a);
    bus_start(p->b);
    usleep(200000); /* it waits for its next look round */
    int64_t start_ms = clock_mono_ms();
    assert_int_equal(enqueue_by(p, p->a, &task), ERR_OK);
    journal_wait(&done, 1);
    assert_in_range(clock_mono_ms() - start_ms, 0, 2000);
    close_pair(p);
}

enum { MANY = 200 };
/* What it claimed then another would see as a dead one's, and do once more. */
static void test_who_is_not_listed_claims_nothing(void **state)
{
    struct pair *p = open_pair_for(state, 60000); /* its next beat is far */
    struct journal done = JOURNAL_INIT;
    struct bus_task task = {.queue = "mail", .type = "send"};
    bus_work(p->a, "mail", on_task, &done);
    bus_start(p->a);
    assert_int_equal(fixture_exec(p->f->store, "DELETE FROM bus_processes"), ERR_OK);
    assert_int_equal(enqueue_by(p, p->a, &task), ERR_OK);
    usleep(300000);
    journal_stays(&done, 0);
    assert_int_equal(fixture_exec(p->f->store, "INSERT INTO bus_processes VALUES ('a', 7)"),
                     ERR_OK);
    journal_wait(&done, 1);
    close_pair(p);
}

static atomic_int runs[MANY];

static enum err on_counted(void *arg, const struct bus_task *t, int attempt)
{
    atomic_fetch_add(&runs[atoi(t->payload.p)], 1);
    journal_note(arg, "%d", attempt);
    return ERR_OK;
}

static void test_each_task_is_done_once(void **state)
{
    struct pair *p = open_pair_for(state, 60000);
    struct journal done = JOURNAL_INIT;
    memset(runs, 0, sizeof(runs));
    bus_work(p->a, "mail", on_counted, &done);
    bus_work(p->b, "mail", on_counted, &done);
    bus_start(p->a);
    bus_start(p->b);
    for (int i = 0; i < MANY; i++) {
        char n[16];
        snprintf(n, sizeof(n), "%d", i);
        struct bus_task task = {.queue = "mail", .type = "send", .payload = str_from(n)};
        assert_int_equal(enqueue_by(p, i % 2 ? p->a : p->b, &task), ERR_OK);
    }
    journal_wait(&done, MANY);
    bus_fixture_wait_int(p->f, COUNT_TASKS, 0);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(atomic_load(&runs[i]), 1);
    close_pair(p);
}

/* ---- a task that takes longer to end than its lease ---- */

static atomic_bool is_begun, may_end;

static enum err on_long(void *arg, const struct bus_task *t, int attempt)
{
    atomic_store(&is_begun, true);
    while (!atomic_load(&may_end))
        usleep(1000);
    return ERR_OK;
}

static void *stop_tasks(void *arg)
{
    bus_stop_tasks(arg);
    return NULL;
}

/* Waits up to 10 s until it is later than this. */
static bool wait_lease(struct bus_fixture *f, int64_t than_ms)
{
    int64_t until_ms = clock_mono_ms() + 10000, due_ms = 0;
    while (due_ms <= than_ms && clock_mono_ms() < until_ms) {
        usleep(5000);
        due_ms = fixture_int(f->store, "SELECT MAX(due_ms) FROM bus_tasks");
    }
    return due_ms > than_ms;
}

static void test_who_stops_keeps_what_it_has_begun(void **state)
{
    lease_ms = LEASE_MS;
    struct pair *p = open_pair_for(state, 8000);
    lease_ms = 0;
    pthread_t stopper;
    atomic_store(&is_begun, false);
    atomic_store(&may_end, false);
    bus_work(p->a, "mail", on_long, NULL);
    bus_start(p->a);
    assert_int_equal(enqueue_by(p, p->a, &(struct bus_task){.queue = "mail", .type = "long"}),
                     ERR_OK);
    for (int i = 0; i < 2000 && !atomic_load(&is_begun); i++)
        usleep(5000);
    pthread_create(&stopper, NULL, stop_tasks, p->a);
    /* Twice beyond what was set before it stopped: one renewal may have been on its way. */
    int64_t due_ms = clock_wall_ms() + LEASE_MS;
    bool is_kept = wait_lease(p->f, due_ms) && wait_lease(p->f, due_ms + LEASE_MS);
    atomic_store(&may_end, true);
    pthread_join(stopper, NULL);
    assert_true(atomic_load(&is_begun));
    assert_true(is_kept);
    bus_fixture_wait_int(p->f, COUNT_TASKS, 0);
}

int bus_shared_suite(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, bus_fixture_setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_each_relays_its_own),
        T(test_the_dead_are_succeeded),
        T(test_who_left_is_succeeded),
        T(test_a_key_keeps_its_order),
        T(test_the_living_are_left_alone),
        T(test_tasks_go_where_they_are_worked_on),
        T(test_who_is_not_listed_claims_nothing),
        T(test_each_task_is_done_once),
        T(test_who_stops_keeps_what_it_has_begun),
    };
    return cmocka_run_group_tests_name("bus on a shared store", tests, NULL, NULL);
}
