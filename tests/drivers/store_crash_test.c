/*
 * store_crash_test: a process that writes is killed at random moments, again and again on the same
 * database: every row it acknowledged is there, whole, and no transaction is there by half. Then
 * the same for the bus: every event whose commit was acknowledged reaches a handler, every task is
 * done, in that life or in the next.
 *
 * The store's crash is one of the process, not of the machine: see store_powerloss_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus/bus.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "crash.h"
#include "store/store.h"
#include "test_dir.h"

enum { ROUNDS = 30, NUMBERS_MAX = 2000000, PENDING_MAX = 300 };

/* Both sides of the pipe have one; the parent's is the record. */
struct world {
    struct test_dir dir;
    char url[128];
    int pipe_fd;
    uint64_t first; /* number of the life's first write */
    uint64_t last;  /* highest number acknowledged */
    uint64_t acked_count;
    uint8_t *acked;   /* per number: committed and acknowledged */
    uint8_t *arrived; /* per number: an event reached a handler (1), a task was done (2) */
    struct store *store;
    struct bus *bus;
    atomic_uint pending;
};

static void world_open(struct world *w)
{
    static const struct store_migration schema[] = {
        {"crash", 1,
         "CREATE TABLE a (id INTEGER PRIMARY KEY, text TEXT NOT NULL);"
         "CREATE TABLE b (id INTEGER PRIMARY KEY)"},
    };
    struct store_options opt = {.url = w->url, .ballast_bytes = -1, .reserve_percent = -1};
    if (store_open(&w->store, &opt) != ERR_OK || store_migrate(w->store, schema, 1) != ERR_OK)
        _exit(1);
}

static struct world *world_create(void)
{
    struct world *w = calloc(1, sizeof(*w));
    test_dir_make(&w->dir);
    snprintf(w->url, sizeof(w->url), "%s/store.db", w->dir.path);
    w->first = 1;
    w->acked = calloc(NUMBERS_MAX, 1);
    w->arrived = calloc(NUMBERS_MAX, 1);
    return w;
}

static void world_destroy(struct world *w)
{
    test_dir_remove(&w->dir);
    free(w->acked);
    free(w->arrived);
    free(w);
}

static void note_ack(struct world *w, uint64_t number)
{
    assert_true(number < NUMBERS_MAX);
    assert_int_equal(w->acked[number], 0);
    w->acked[number] = 1;
    w->acked_count++;
    w->last = MAX(w->last, number);
}

/* ---- writing ---- */

struct write {
    struct world *world;
    uint64_t number;
};

static void write_text(uint64_t number, char out[64])
{
    snprintf(out, 64, "row %llu and %llu", (unsigned long long)number,
             (unsigned long long)(number * 2654435761u));
}

/* Two tables in one job: by half would be seen. */
static enum err write_run(struct store_tx *tx, void *arg)
{
    const struct write *w = arg;
    char text[64];
    write_text(w->number, text);
    enum err err = store_run(tx, "INSERT INTO a VALUES (?, ?)", "is", (int64_t)w->number, text);
    return err ? err : store_run(tx, "INSERT INTO b VALUES (?)", "i", (int64_t)w->number);
}

static void write_done(enum err err, void *arg)
{
    struct write *w = arg;
    if (!err)
        crash_ack(w->world->pipe_fd, w->number);
    atomic_fetch_sub(&w->world->pending, 1);
    free(w);
}

/* Keeps many writes on their way, for ever. */
static void keep_writing(struct world *w, store_fn *fn)
{
    for (uint64_t number = w->first;;) {
        if (atomic_load(&w->pending) >= PENDING_MAX) {
            usleep(100);
            continue;
        }
        struct write *write = malloc(sizeof(*write));
        *write = (struct write){w, number++};
        atomic_fetch_add(&w->pending, 1);
        store_write(w->store, 0, fn, write, write_done);
    }
}

static void write_child(void *arg, int pipe_fd)
{
    struct world *w = arg;
    w->pipe_fd = pipe_fd;
    world_open(w);
    crash_ack(pipe_fd, 0);
    keep_writing(w, write_run);
}

static void on_write_ack(void *arg, uint64_t number)
{
    note_ack(arg, number);
}

struct census {
    struct world *world;
    uint64_t found, wrong;
};

static enum err census_run(struct store_tx *tx, void *arg)
{
    struct census *c = arg;
    char expected[64];
    struct store_stmt *st = store_query(
        tx, "SELECT a.id, a.text, b.id FROM a LEFT JOIN b ON b.id = a.id ORDER BY a.id", "");
    while (store_step(st)) {
        uint64_t number = (uint64_t)store_int(st, 0);
        write_text(number, expected);
        c->wrong += !str_eq(store_str(st, 1), str_from(expected)) || store_is_null(st, 2);
        c->found += c->world->acked[number];
    }
    enum err err = store_finish(st);
    st = store_query(tx, "SELECT COUNT(*) FROM b WHERE id NOT IN (SELECT id FROM a)", "");
    c->wrong += store_step(st) ? (uint64_t)store_int(st, 0) : 1;
    return err ? err : store_finish(st);
}

static int64_t random_life_us(void)
{
    return 1000 + id_random_u32() % 60000;
}

static void test_acknowledged_rows_survive_the_kill(void **state)
{
    struct world *w = world_create();
    for (int round = 0; round < ROUNDS; round++) {
        assert_true(crash_run(write_child, on_write_ack, w, random_life_us()));
        w->first = w->last + PENDING_MAX + 1; /* beyond what was committed and not acknowledged */
        if (round % 3 == 1)
            continue; /* the next life finds the log as the kill left it */
        world_open(w);
        struct census c = {.world = w};
        assert_int_equal(store_read(w->store, census_run, &c), ERR_OK);
        assert_int_equal(c.wrong, 0);
        assert_int_equal(c.found, w->acked_count);
        store_close(&w->store);
    }
    print_message("%d kills, %llu rows acknowledged, all there\n", ROUNDS,
                  (unsigned long long)w->acked_count);
    assert_true(w->acked_count > ROUNDS);
    world_destroy(w);
}

/* ---- the bus ---- */

#define EVENT_BIT (1ull << 40)
#define TASK_BIT (1ull << 41)

static enum err announce_run(struct store_tx *tx, void *arg)
{
    const struct write *w = arg;
    char text[32];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)w->number);
    struct bus_event event = {.channel = "c", .type = "t", .key = "k", .payload = str_from(text)};
    struct bus_task task = {.queue = "q", .type = "t", .payload = str_from(text)};
    enum err err = bus_publish_tx(w->world->bus, tx, &event);
    /* Tasks cost two commits each: now and then is enough. */
    return err || w->number % 16 ? err : bus_enqueue_tx(w->world->bus, tx, &task);
}

static uint64_t number_of(struct str payload)
{
    uint64_t number = 0;
    return str_to_u64(payload, &number) ? number : NUMBERS_MAX;
}

static void on_event(void *arg, const struct bus_event *event)
{
    struct world *w = arg;
    crash_ack(w->pipe_fd, number_of(event->payload) | EVENT_BIT);
}

static enum err on_task(void *arg, const struct bus_task *task, int attempt)
{
    struct world *w = arg;
    crash_ack(w->pipe_fd, number_of(task->payload) | TASK_BIT);
    return ERR_OK;
}

static void bus_open_all(struct world *w, bus_event_fn *event_fn, bus_task_fn *task_fn)
{
    world_open(w);
    struct bus_options opt = {.store = w->store};
    if (bus_open(&w->bus, &opt) != ERR_OK)
        _exit(1);
    bus_subscribe(w->bus, "c", "crash", event_fn, w);
    bus_work(w->bus, "q", task_fn, w);
    bus_start(w->bus);
}

static void bus_child(void *arg, int pipe_fd)
{
    struct world *w = arg;
    w->pipe_fd = pipe_fd;
    bus_open_all(w, on_event, on_task);
    crash_ack(pipe_fd, 0);
    keep_writing(w, announce_run);
}

static void on_bus_ack(void *arg, uint64_t number)
{
    struct world *w = arg;
    uint64_t plain = number & ~(EVENT_BIT | TASK_BIT);
    assert_true(plain < NUMBERS_MAX);
    if (number & EVENT_BIT)
        w->arrived[plain] |= 1;
    else if (number & TASK_BIT)
        w->arrived[plain] |= 2;
    else
        note_ack(w, number);
    w->last = MAX(w->last, plain);
}

/* In the parent the handlers note directly. */
static pthread_mutex_t note_lock = PTHREAD_MUTEX_INITIALIZER;

static void note_event(void *arg, const struct bus_event *event)
{
    pthread_mutex_lock(&note_lock);
    on_bus_ack(arg, number_of(event->payload) | EVENT_BIT);
    pthread_mutex_unlock(&note_lock);
}

static enum err note_task(void *arg, const struct bus_task *task, int attempt)
{
    pthread_mutex_lock(&note_lock);
    on_bus_ack(arg, number_of(task->payload) | TASK_BIT);
    pthread_mutex_unlock(&note_lock);
    return ERR_OK;
}

static enum err count_left(struct store_tx *tx, void *arg)
{
    struct store_stmt *st = store_query(
        tx, "SELECT (SELECT COUNT(*) FROM bus_outbox) + (SELECT COUNT(*) FROM bus_tasks)", "");
    *(int64_t *)arg = store_step(st) ? store_int(st, 0) : -1;
    return store_finish(st);
}

static void finish_the_rest(struct world *w)
{
    int64_t left = -1, until_ms = clock_mono_ms() + 20000;
    bus_open_all(w, note_event, note_task);
    while (left != 0 && clock_mono_ms() < until_ms) {
        usleep(2000);
        assert_int_equal(store_read(w->store, count_left, &left), ERR_OK);
    }
    assert_int_equal(left, 0);
    bus_close(&w->bus);
    store_close(&w->store);
}

static void test_announced_events_and_tasks_survive_the_kill(void **state)
{
    struct world *w = world_create();
    for (int round = 0; round < ROUNDS / 3; round++) {
        assert_true(crash_run(bus_child, on_bus_ack, w, random_life_us()));
        w->first = w->last + PENDING_MAX + 1;
    }
    finish_the_rest(w);
    for (uint64_t n = 0; n < NUMBERS_MAX; n++) {
        int expected = w->acked[n] ? n % 16 ? 1 : 3 : 0;
        if ((w->arrived[n] & expected) != expected)
            fail_msg("%llu was acknowledged, arrived: %d", (unsigned long long)n, w->arrived[n]);
    }
    print_message("%d kills, %llu events acknowledged, all arrived\n", ROUNDS / 3,
                  (unsigned long long)w->acked_count);
    assert_true(w->acked_count > ROUNDS);
    world_destroy(w);
}

int main(void)
{
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acknowledged_rows_survive_the_kill),
        cmocka_unit_test(test_announced_events_and_tasks_survive_the_kill),
    };
    return cmocka_run_group_tests_name("store crash", tests, NULL, NULL);
}
