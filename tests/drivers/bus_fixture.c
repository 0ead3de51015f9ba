/* bus_fixture: see the header. */
#include "bus_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"

const char *bus_fixture_driver = "memory";

int bus_fixture_setup(void **state)
{
    struct bus_fixture *f = calloc(1, sizeof(*f));
    void *db;
    fixture_setup(&db);
    f->db = db;
    f->store = f->db->store;
    bus_fixture_reopen(f, NULL);
    *state = f;
    return 0;
}

int bus_fixture_teardown(void **state)
{
    struct bus_fixture *f = *state;
    void *db = f->db;
    bus_close(&f->bus);
    fixture_teardown(&db);
    free(f);
    return 0;
}

void bus_fixture_reopen(struct bus_fixture *f, const struct bus_options *opt)
{
    struct bus_options own = opt ? *opt : (struct bus_options){.retry_ms = 20};
    bus_close(&f->bus);
    fixture_reopen(f->db, NULL);
    f->store = f->db->store;
    own.driver = bus_fixture_driver;
    own.store = f->store;
    assert_int_equal(bus_open(&f->bus, &own), ERR_OK);
}

struct job {
    struct bus *bus;
    const struct bus_event *event;
    const struct bus_task *task;
    enum err err;
};

static enum err job_run(struct store_tx *tx, void *arg)
{
    struct job *j = arg;
    enum err err =
        j->event ? bus_publish_tx(j->bus, tx, j->event) : bus_enqueue_tx(j->bus, tx, j->task);
    return err ? err : j->err;
}

enum err bus_fixture_publish(struct bus_fixture *f, const struct bus_event *event, enum err err)
{
    struct job job = {.bus = f->bus, .event = event, .err = err};
    return store_write_sync(f->store, 0, job_run, &job);
}

enum err bus_fixture_enqueue(struct bus_fixture *f, const struct bus_task *task, enum err err)
{
    struct job job = {.bus = f->bus, .task = task, .err = err};
    return store_write_sync(f->store, 0, job_run, &job);
}

void journal_note(struct journal *j, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    pthread_mutex_lock(&j->lock);
    size_t n = strlen(j->text);
    vsnprintf(j->text + n, sizeof(j->text) - n, fmt, args);
    n = strlen(j->text);
    snprintf(j->text + n, sizeof(j->text) - n, "\n");
    j->count++;
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
    va_end(args);
}

void journal_wait(struct journal *j, int count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    pthread_mutex_lock(&j->lock);
    while (j->count < count)
        if (pthread_cond_timedwait(&j->changed, &j->lock, &until) != 0)
            break;
    int found = j->count;
    pthread_mutex_unlock(&j->lock);
    if (found < count)
        print_error("journal:\n%s", j->text);
    assert_true(found >= count);
}

void journal_stays(struct journal *j, int count)
{
    usleep(60000);
    pthread_mutex_lock(&j->lock);
    int found = j->count;
    pthread_mutex_unlock(&j->lock);
    assert_int_equal(found, count);
}

void order_on_event(void *arg, const struct bus_event *event)
{
    struct order *o = arg;
    int expected = atomic_fetch_add(&o->next[atoi(event->key)], 1);
    atomic_fetch_add(&o->wrong, atoi(event->payload.p) != expected);
    atomic_fetch_add(&o->total, 1);
}

void order_wait(struct order *o, int count)
{
    int64_t until_ms = clock_mono_ms() + 10000;
    while (atomic_load(&o->total) < count && clock_mono_ms() < until_ms)
        usleep(1000);
    assert_int_equal(atomic_load(&o->total), count);
    assert_int_equal(atomic_load(&o->wrong), 0);
}

void bus_fixture_wait_int(struct bus_fixture *f, const char *sql, int64_t value)
{
    int64_t until_ms = clock_mono_ms() + 10000;
    while (fixture_int(f->store, sql) != value && clock_mono_ms() < until_ms)
        usleep(2000);
    assert_int_equal(fixture_int(f->store, sql), value);
}
