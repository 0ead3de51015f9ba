/* bus_fixture: what the bus's tests share: a store on disk and a bus over it. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "bus/bus.h"
#include "store_fixture.h"

struct bus_fixture {
    struct fixture *db; /* store_fixture's */
    struct store *store;
    struct bus *bus;
};

/* The driver under test; "memory" until set. */
extern const char *bus_fixture_driver;

int bus_fixture_setup(void **state);
int bus_fixture_teardown(void **state);
/* Closes bus and store, as a stop of the process would, and opens them again, not started. The
 * options' driver and store are filled in; NULL: defaults of tests (quick retries). */
void bus_fixture_reopen(struct bus_fixture *f, const struct bus_options *opt);

/* In jobs of their own, which fail with `err` after the publishing. */
enum err bus_fixture_publish(struct bus_fixture *f, const struct bus_event *event, enum err err);
enum err bus_fixture_enqueue(struct bus_fixture *f, const struct bus_task *task, enum err err);

/* What handlers note, for the tests to wait for. Its lock is theirs too. */
struct journal {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int count;
    char text[65536]; /* one line per note */
};
#define JOURNAL_INIT                                                                       \
    {                                                                                      \
        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .count = 0 \
    }
void journal_note(struct journal *j, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Waits up to 10 s for that many notes, fails if they do not come. */
void journal_wait(struct journal *j, int count);
/* Waits a little and fails if there are other than `count` notes then. */
void journal_stays(struct journal *j, int count);

/* Whether the events of each key come in their order: the key is a number below ORDER_KEYS, the
 * payload says which of that key's it is, from 0. */
enum { ORDER_KEYS = 16 };
struct order {
    atomic_int next[ORDER_KEYS];
    atomic_int wrong, total;
};
void order_on_event(void *arg, const struct bus_event *event);
/* Waits up to 10 s for that many, fails if they do not come or one came out of turn. */
void order_wait(struct order *o, int count);

/* Waits up to 10 s until the query yields the value. */
void bus_fixture_wait_int(struct bus_fixture *f, const char *sql, int64_t value);

int bus_outbox_suite(void);
int bus_tasks_suite(void);
int bus_lanes_suite(void);
int bus_shared_suite(void);
