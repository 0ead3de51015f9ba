/* bus_tasks_suite: tasks: done at least once and, while nothing breaks, once; retried, postponed,
 * ordered, remembered by key, given up and revived; and whole after a restart. */
#include "bus_fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/worker.h"

#define COUNT_ROWS "SELECT COUNT(*) FROM bus_tasks"

struct doer {
    struct journal journal;
    int fail_until;   /* attempts up to this one fail */
    int64_t takes_ms; /* each attempt */
    bool was_on_worker;
    int64_t at_ms[8]; /* when the attempts began */
};

static void doer_init(struct doer *d)
{
    memset(d, 0, sizeof(*d));
    d->journal = (struct journal)JOURNAL_INIT;
}

static enum err on_task(void *arg, const struct bus_task *t, int attempt)
{
    struct doer *d = arg;
    pthread_mutex_lock(&d->journal.lock);
    d->was_on_worker = worker_is_current();
    if (attempt >= 1 && attempt <= 8)
        d->at_ms[attempt - 1] = clock_mono_ms();
    pthread_mutex_unlock(&d->journal.lock);
    if (d->takes_ms)
        usleep((useconds_t)d->takes_ms * 1000);
    journal_note(&d->journal, "%s %s %.*s %s %d #%d", t->queue, t->type, STR_FMT(t->payload),
                 t->idempotency_key ? t->idempotency_key : "-", t->priority, attempt);
    return attempt <= d->fail_until ? ERR_UNAVAILABLE : ERR_OK;
}

static void enqueue(struct bus_fixture *f, struct bus_task task)
{
    task.queue = task.queue ? task.queue : "mail";
    task.type = task.type ? task.type : "send";
    assert_int_equal(bus_fixture_enqueue(f, &task, ERR_OK), ERR_OK);
}

static struct bus_task_stats stats(struct bus_fixture *f)
{
    struct bus_task_stats s;
    assert_int_equal(bus_task_stats(f->bus, "mail", &s), ERR_OK);
    return s;
}

static void test_a_task_is_done_once(void **state)
{
    struct bus_fixture *f = *state;
    static struct doer doer;
    doer_init(&doer);
    bus_work(f->bus, "mail", on_task, &doer);
    bus_start(f->bus);
    enqueue(f, (struct bus_task){.payload = {"to ann", 6}, .priority = 3});
    journal_wait(&doer.journal, 1);
    bus_fixture_wait_int(f, COUNT_ROWS, 0);
    journal_stays(&doer.journal, 1);
    assert_string_equal(doer.journal.text, "mail send to ann - 3 #1\n");
    assert_true(doer.was_on_worker);
}

static void test_a_rolled_back_task_is_never_done(void **state)
{
    struct bus_fixture *f = *state;
    static struct doer doer;
    doer_init(&doer);
    bus_work(f->bus, "mail", on_task, &doer);
    bus_start(f->bus);
    struct bus_task task = {.queue = "mail", .type = "send"};
    assert_int_equal(bus_fixture_enqueue(f, &task, ERR_ABORTED), ERR_ABORTED);
    journal_stays(&doer.journal, 0);
}

static void test_bad_tasks_are_refused(void **state)
{
    struct bus_fixture *f = *state;
    char long_text[300];
    memset(long_text, 'x', 299);
    long_text[299] = '\0';
    const struct bus_task bad[] = {
        {.queue = "", .type = "t"},
        {.queue = NULL, .type = "t"},
        {.queue = "q", .type = ""},
        {.queue = "q", .type = long_text},
        {.queue = "q", .type = "t", .idempotency_key = ""},
        {.queue = "q", .type = "t", .idempotency_key = long_text},
        {.queue = "q", .type = "t", .delay_ms = -1},
        {.queue = "q", .type = "t", .attempts_max = -1},
        {.queue = "q", .type = "t", .attempts_max = 1000000},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(bus_fixture_enqueue(f, &bad[i], ERR_OK), ERR_INVALID_ARGUMENT);
    assert_int_equal(fixture_int(f->store, COUNT_ROWS), 0);
}

static void test_a_key_is_queued_once(void **state)
{
    struct bus_fixture *f = *state;
    static struct doer doer, other;
    doer_init(&doer);
    doer_init(&other);
    for (int round = 0; round < 2; round++) {
        bus_work(f->bus, "mail", on_task, &doer);
        bus_work(f->bus, "sms", on_task, &other);
        enqueue(f, (struct bus_task){.payload = {"a", 1}, .idempotency_key = "welcome ann"});
        enqueue(f, (struct bus_task){.payload = {"b", 1}, .idempotency_key = "welcome ann"});
        enqueue(f, (struct bus_task){.queue = "sms", .idempotency_key = "welcome ann"});
        bus_start(f->bus);
        journal_wait(&doer.journal, 1);
        journal_wait(&other.journal, 1);
        bus_fixture_wait_int(f, "SELECT COUNT(*) FROM bus_tasks WHERE state = 3", 2);
        enqueue(f, (struct bus_task){.idempotency_key = "welcome ann"}); /* done is not forgotten */
        journal_stays(&doer.journal, 1);
        journal_stays(&other.journal, 1);
        bus_fixture_reopen(f, NULL); /* nor after a restart */
    }
    assert_string_equal(doer.journal.text, "mail send a welcome ann 0 #1\n");
}

static void test_old_keys_are_forgotten(void **state)
{
    struct bus_fixture *f = *state;
    static struct doer doer;
    struct bus_options opt = {.task_keep_ms = 1};
    doer_init(&doer);
    for (int round = 1; round <= 2; round++) {
        bus_fixture_reopen(f, &opt);
        bus_work(f->bus, "mail", on_task, &doer);
        bus_start(f->bus);
        bus_fixture_wait_int(f, COUNT_ROWS, 0);
        enqueue(f, (struct bus_task){.idempotency_key = "k"});
        journal_wait(&doer.journal, round);
        bus_fixture_wait_int(f, "SELECT COUNT(*) FROM bus_tasks WHERE state = 3", 1);
        usleep(5000);
    }
}

static void test_a_delay_is_kept(void **state)
{
    struct bus_fixture *f = *state;
    static struct doer doer;
    doer_init(&doer);
    bus_work(f->bus, "mail", on_task, &doer);
    bus_start(f->bus);
    int64_t start_ms = clock_mono_ms();
    enqueue(f, (struct bus_task){.type = "later", .delay_ms = 150});
    enqueue(f, (struct bus_task){.type = "never", .delay_ms = 365LL * 86400000});
    enqueue(f, (struct bus_task){.type = "now"});
    journal_wait(&doer.journal, 2);
    assert_in_range(clock_mono_ms() - start_ms, 145, 2000);
    assert_non_null(strstr(doer.journal.text, "mail now"));
    assert_true(strstr(doer.journal.text, "mail now") < strstr(doer.journal.text, "mail later"));
    assert_int_equal(stats(f).waiting, 1);
}

static void test_priority_goes_first(void **state)
{
    struct bus_fixture *f = *state;
    static struct doer doer;
    doer_init(&doer);
    struct bus_options opt = {.task_threads = 1};
    bus_fixture_reopen(f, &opt);
    static const int priorities[] = {0, -5, 7, 0, 7};
    for (size_t i = 0; i < ARRAY_LEN(priorities); i++) {
        char type[2] = {(char)('a' + i), 0};
        enqueue(f, (struct bus_task){.type = type, .priority = priorities[i]});
    }
    bus_work(f->bus, "mail", on_task, &doer);
    bus_start(f->bus);
    journal_wait(&doer.journal, 5);
    assert_string_equal(doer.journal.text, "mail c  - 7 #1\nmail e  - 7 #1\nmail a  - 0 #1\n"
                                           "mail d  - 0 #1\nmail b  - -5 #1\n");
}

static void test_failures_are_tried_again_later(void **state)
{
    struct bus_fixture *f = *state;
    static struct doer doer;
    doer_init(&doer);
    doer.fail_until = 3;
    struct bus_options opt = {.retry_ms = 40};
    bus_fixture_reopen(f, &opt);
    bus_work(f->bus, "mail", on_task, &doer);
    bus_start(f->bus);
    enqueue(f, (struct bus_task){.payload = {"x", 1}});
    journal_wait(&doer.journal, 4);
    bus_fixture_wait_int(f, COUNT_ROWS, 0);
    assert_string_equal(doer.journal.text, "mail send x - 0 #1\nmail send x - 0 #2\n"
                                           "mail send x - 0 #3\nmail send x - 0 #4\n");
    /* 40, 80, 160 ms, of each a random half less; the wall clock counts whole milliseconds. */
    for (int i = 1; i < 4; i++)
        assert_in_range(doer.at_ms[i] - doer.at_ms[i - 1], (20 << (i - 1)) - 2, 1500);
}

static void test_the_dead_letter(void **state)
{
    struct bus_fixture *f = *state;
    static struct doer doer;
    doer_init(&doer);
    doer.fail_until = 1000;
    struct bus_options opt = {.retry_ms = 1};
    bus_fixture_reopen(f, &opt);
    bus_work(f->bus, "mail", on_task, &doer);
    bus_start(f->bus);
    enqueue(f, (struct bus_task){.attempts_max = 3});
    journal_wait(&doer.journal, 3);
    bus_fixture_wait_int(f, "SELECT COUNT(*) FROM bus_tasks WHERE state = 4", 1);
    journal_stays(&doer.journal, 3);
    assert_int_equal(stats(f).dead, 1);
    assert_int_equal(fixture_int(f->store, "SELECT last_error = 'unavailable' FROM bus_tasks"), 1);

    int64_t count = 0;
    pthread_mutex_lock(&doer.journal.lock);
    doer.fail_until = 0;
    pthread_mutex_unlock(&doer.journal.lock);
    assert_int_equal(bus_revive_dead(f->bus, "sms", &count), ERR_OK);
    assert_int_equal(count, 0);
    assert_int_equal(bus_revive_dead(f->bus, "mail", &count), ERR_OK);
    assert_int_equal(count, 1);
    journal_wait(&doer.journal, 4);
    bus_fixture_wait_int(f, COUNT_ROWS, 0);
}

static void test_dead_tasks_one_by_one(void **state)
{
    struct bus_fixture *f = *state;
    static struct doer doer;
    struct arena *arena = arena_create();
    struct bus_dead_task *dead;
    struct bus_queue *queues;
    size_t count;
    doer_init(&doer);
    doer.fail_until = 1;
    for (int i = 0; i < 3; i++)
        enqueue(f, (struct bus_task){.payload = {"x", 1}, .attempts_max = 1});
    bus_work(f->bus, "mail", on_task, &doer);
    bus_start(f->bus);
    bus_fixture_wait_int(f, "SELECT COUNT(*) FROM bus_tasks WHERE state = 4", 3);
    assert_int_equal(bus_list_queues(f->bus, arena, &queues, &count), ERR_OK);
    assert_int_equal(count, 1);
    assert_string_equal(queues[0].name, "mail");
    assert_int_equal(queues[0].stats.dead, 3);
    assert_int_equal(bus_list_dead(f->bus, arena, "sms", 0, 10, &dead, &count), ERR_OK);
    assert_int_equal(count, 0);
    assert_int_equal(bus_list_dead(f->bus, arena, "", 0, 2, &dead, &count), ERR_OK);
    assert_int_equal(count, 2);
    assert_string_equal(dead[0].error, err_name(ERR_UNAVAILABLE));
    assert_int_equal(dead[0].attempts, 1);
    int64_t first = dead[0].id, second = dead[1].id;
    assert_int_equal(bus_list_dead(f->bus, arena, "mail", second, 2, &dead, &count), ERR_OK);
    assert_int_equal(count, 1);
    assert_int_equal(bus_drop_one(f->bus, first), ERR_OK);
    assert_int_equal(bus_drop_one(f->bus, first), ERR_NOT_FOUND);
    assert_int_equal(bus_revive_one(f->bus, first), ERR_NOT_FOUND);
    pthread_mutex_lock(&doer.journal.lock);
    doer.fail_until = 0;
    pthread_mutex_unlock(&doer.journal.lock);
    assert_int_equal(bus_revive_one(f->bus, second), ERR_OK);
    bus_fixture_wait_int(f, COUNT_ROWS, 1);
    int64_t dropped = 0;
    assert_int_equal(bus_drop_dead(f->bus, "mail", &dropped), ERR_OK);
    assert_int_equal(dropped, 1);
    bus_fixture_wait_int(f, COUNT_ROWS, 0);
    arena_destroy(&arena);
}

/* ---- bounds ---- */

static atomic_int running_now, running_most;

static enum err on_slow(void *arg, const struct bus_task *t, int attempt)
{
    int now = atomic_fetch_add(&running_now, 1) + 1, most = atomic_load(&running_most);
    while (now > most && !atomic_compare_exchange_weak(&running_most, &most, now))
        ;
    usleep(20000);
    atomic_fetch_sub(&running_now, 1);
    return ERR_OK;
}

static void test_a_bounded_queue_leaves_threads_free(void **state)
{
    struct bus_fixture *f = *state;
    static struct doer doer;
    doer_init(&doer);
    running_now = running_most = 0;
    for (int i = 0; i < 20; i++)
        enqueue(f, (struct bus_task){.queue = "slow", .priority = 5});
    enqueue(f, (struct bus_task){.payload = {"quick", 5}});
    bus_work_bounded(f->bus, "slow", on_slow, NULL, 2);
    bus_work(f->bus, "mail", on_task, &doer);
    bus_start(f->bus);
    journal_wait(&doer.journal, 1);
    bus_fixture_wait_int(f, COUNT_ROWS " WHERE queue = 'slow' AND state <> 1", 2);
    bus_fixture_wait_int(f, COUNT_ROWS, 0);
    assert_int_equal(atomic_load(&running_most), 2);
}

static void test_tasks_survive_a_restart(void **state)
{
    struct bus_fixture *f = *state;
    static struct doer doer;
    doer_init(&doer);
    enqueue(f, (struct bus_task){.payload = {"kept", 4}});
    enqueue(f, (struct bus_task){.payload = {"later", 5}, .delay_ms = 50});
    assert_int_equal(stats(f).ready, 1);
    assert_int_equal(stats(f).waiting, 1);
    bus_fixture_reopen(f, NULL);
    bus_work(f->bus, "mail", on_task, &doer);
    bus_start(f->bus);
    journal_wait(&doer.journal, 2);
    bus_fixture_wait_int(f, COUNT_ROWS, 0);
}

/* ---- leases ---- */

/* As a process leaves it that died while the handler ran. */
static void leave_leased(struct bus_fixture *f, int64_t lease_ms)
{
    char sql[160];
    snprintf(sql, sizeof(sql),
             "UPDATE bus_tasks SET state = 2, attempts = attempts + 1, due_ms = %lld",
             (long long)(clock_wall_ms() + lease_ms));
    assert_int_equal(fixture_exec(f->store, sql), ERR_OK);
}

static void test_what_died_with_its_process_runs_again(void **state)
{
    struct bus_fixture *f = *state;
    static struct doer doer;
    doer_init(&doer);
    enqueue(f, (struct bus_task){.attempts_max = 2});
    leave_leased(f, 3600000);
    if (store_is_exclusive(f->store)) { /* nobody else can hold the lease */
        bus_fixture_reopen(f, NULL);
        bus_work(f->bus, "mail", on_task, &doer);
        bus_start(f->bus);
        journal_wait(&doer.journal, 1);
        assert_string_equal(doer.journal.text, "mail send  - 0 #2\n");
        bus_fixture_wait_int(f, COUNT_ROWS, 0);
    }
}

static void test_a_lease_runs_out(void **state)
{
    struct bus_fixture *f = *state;
    static struct doer doer;
    doer_init(&doer);
    bus_work(f->bus, "other", on_task, &doer);
    bus_start(f->bus);
    enqueue(f, (struct bus_task){.queue = "other"});
    bus_fixture_wait_int(f, COUNT_ROWS, 0); /* the first look, which frees what runs, is over */
    doer_init(&doer);
    enqueue(f, (struct bus_task){.queue = "mail"});
    int64_t start_ms = clock_mono_ms(); /* before the lease is set: a slow disk only adds */
    leave_leased(f, 120);
    bus_work(f->bus, "mail", on_task, &doer);
    journal_wait(&doer.journal, 1);
    assert_true(clock_mono_ms() - start_ms >= 100);
    assert_string_equal(doer.journal.text, "mail send  - 0 #2\n");
}

/* One that kills its process each time comes to an end, though no handler ever returned. */
static void test_a_killer_dies_in_the_end(void **state)
{
    struct bus_fixture *f = *state;
    enqueue(f, (struct bus_task){.attempts_max = 2});
    leave_leased(f, 0);
    bus_start(f->bus);
    bus_fixture_wait_int(f, "SELECT state FROM bus_tasks", 1);
    leave_leased(f, 0); /* the bus may take it back before anybody could look */
    struct bus_task other = {.queue = "other", .type = "t"};
    assert_int_equal(bus_fixture_enqueue(f, &other, ERR_OK), ERR_OK); /* wakes */
    bus_fixture_wait_int(f, "SELECT state FROM bus_tasks WHERE queue = 'mail'", 4);
}

static void test_a_long_task_keeps_its_lease(void **state)
{
    struct bus_fixture *f = *state;
    static struct doer doer;
    doer_init(&doer);
    doer.takes_ms = 2500;
    struct bus_options opt = {.lease_ms = 1000};
    bus_fixture_reopen(f, &opt);
    bus_work(f->bus, "mail", on_task, &doer);
    bus_start(f->bus);
    enqueue(f, (struct bus_task){.type = "long"});
    journal_wait(&doer.journal, 1);
    bus_fixture_wait_int(f, COUNT_ROWS, 0);
    journal_stays(&doer.journal, 1);
}

/* Whoever lost the lease changes nothing any more. */
static void test_an_old_result_is_ignored(void **state)
{
    struct bus_fixture *f = *state;
    static struct doer doer;
    doer_init(&doer);
    doer.takes_ms = 1500;
    bus_work(f->bus, "mail", on_task, &doer);
    bus_start(f->bus);
    enqueue(f, (struct bus_task){.type = "slow"});
    bus_fixture_wait_int(f, "SELECT state FROM bus_tasks", 2);
    leave_leased(f, 3600000); /* somebody else has it now */
    journal_wait(&doer.journal, 1);
    usleep(50000);
    assert_int_equal(fixture_int(f->store, "SELECT state FROM bus_tasks"), 2);
    assert_int_equal(fixture_int(f->store, "SELECT attempts FROM bus_tasks"), 2);
}

static void test_close_waits_for_the_handler(void **state)
{
    struct bus_fixture *f = *state;
    static struct doer doer;
    doer_init(&doer);
    doer.takes_ms = 100;
    bus_work(f->bus, "mail", on_task, &doer);
    bus_start(f->bus);
    enqueue(f, (struct bus_task){.type = "slow"});
    bus_fixture_wait_int(f, "SELECT state FROM bus_tasks", 2);
    bus_close(&f->bus);
    assert_int_equal(doer.journal.count, 1);
    assert_int_equal(fixture_int(f->store, COUNT_ROWS), 0); /* and its result is stored */
}

/* ---- many ---- */

enum { MANY = 300 };

static atomic_int done_count[MANY];

static enum err count_task(void *arg, const struct bus_task *t, int attempt)
{
    atomic_fetch_add(&done_count[atoi(t->payload.p)], 1);
    return attempt == 1 && atoi(t->payload.p) % 50 == 0 ? ERR_INTERNAL : ERR_OK;
}

static enum err enqueue_many(struct store_tx *tx, void *arg)
{
    struct bus_fixture *f = arg;
    for (int i = 0; i < MANY; i++) {
        char payload[16];
        snprintf(payload, sizeof(payload), "%d ", i);
        struct bus_task t = {
            .queue = i % 2 ? "mail" : "sms", .type = "t", .payload = str_from(payload)};
        enum err err = bus_enqueue_tx(f->bus, tx, &t);
        if (err)
            return err;
    }
    return ERR_OK;
}

static void test_each_of_many_is_done_once(void **state)
{
    struct bus_fixture *f = *state;
    memset(done_count, 0, sizeof(done_count));
    bus_work(f->bus, "mail", count_task, NULL);
    bus_work(f->bus, "sms", count_task, NULL);
    bus_start(f->bus);
    assert_int_equal(store_write_sync(f->store, 0, enqueue_many, f), ERR_OK);
    bus_fixture_wait_int(f, COUNT_ROWS, 0);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(atomic_load(&done_count[i]), i % 50 == 0 ? 2 : 1);
}

int bus_tasks_suite(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, bus_fixture_setup, bus_fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_task_is_done_once),
        T(test_a_rolled_back_task_is_never_done),
        T(test_bad_tasks_are_refused),
        T(test_a_key_is_queued_once),
        T(test_old_keys_are_forgotten),
        T(test_a_delay_is_kept),
        T(test_priority_goes_first),
        T(test_failures_are_tried_again_later),
        T(test_the_dead_letter),
        T(test_dead_tasks_one_by_one),
        T(test_a_bounded_queue_leaves_threads_free),
        T(test_tasks_survive_a_restart),
        T(test_what_died_with_its_process_runs_again),
        T(test_a_lease_runs_out),
        T(test_a_killer_dies_in_the_end),
        T(test_a_long_task_keeps_its_lease),
        T(test_an_old_result_is_ignored),
        T(test_close_waits_for_the_handler),
        T(test_each_of_many_is_done_once),
    };
    return cmocka_run_group_tests_name("bus tasks", tests, NULL, NULL);
}
