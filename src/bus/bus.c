/* bus: the room's front. Opens the driver named in the options and, with a store, the outbox and
 * the tasks, which are the same whoever carries the events. */
#include "bus/bus_internal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"

static const struct bus_driver *const drivers[] = {
    &bus_memory,
};

/* An id is the row's; with AUTOINCREMENT none comes twice, and order is the order of commits. */
static const struct store_migration migrations[] = {
    {"bus", 1,
     "CREATE TABLE bus_outbox ("
     " id INTEGER PRIMARY KEY AUTOINCREMENT,"
     " event_id TEXT NOT NULL,"
     " channel TEXT NOT NULL,"
     " type TEXT NOT NULL,"
     " event_key TEXT NOT NULL,"
     " payload BLOB NOT NULL);"
     "CREATE TABLE bus_tasks ("
     " id INTEGER PRIMARY KEY AUTOINCREMENT,"
     " queue TEXT NOT NULL,"
     " type TEXT NOT NULL,"
     " payload BLOB NOT NULL,"
     " idempotency_key TEXT,"
     " turn INTEGER NOT NULL," /* minus the priority: lower goes first */
     " state INTEGER NOT NULL,"
     " attempts INTEGER NOT NULL,"
     " attempts_max INTEGER NOT NULL,"
     " due_ms INTEGER NOT NULL," /* its meaning is the state's */
     " last_error TEXT,"
     " created_ms INTEGER NOT NULL);"
     "CREATE UNIQUE INDEX bus_tasks_by_key ON bus_tasks (queue, idempotency_key);"
     "CREATE INDEX bus_tasks_by_turn ON bus_tasks (queue, state, turn, id);"
     "CREATE INDEX bus_tasks_by_due ON bus_tasks (state, due_ms);"},
    {"bus", 2,
     "ALTER TABLE bus_tasks ADD COLUMN lane TEXT NOT NULL DEFAULT '';"
     "CREATE INDEX bus_tasks_by_lane ON bus_tasks (queue, lane, state, id);"},
};

static struct bus_options with_defaults(const struct bus_options *opt)
{
    struct bus_options o = *opt;
    o.thread_count = o.thread_count ? o.thread_count : 2;
    o.queue_max = o.queue_max ? o.queue_max : 8192;
    o.task_threads = o.task_threads ? o.task_threads : 4;
    o.lease_ms = o.lease_ms ? o.lease_ms : 30000;
    o.retry_ms = o.retry_ms ? o.retry_ms : 1000;
    o.retry_max_ms = o.retry_max_ms ? o.retry_max_ms : 3600000;
    o.task_keep_ms = o.task_keep_ms ? o.task_keep_ms : 30ll * 24 * 3600 * 1000;
    return o;
}

enum err bus_open(struct bus **out, const struct bus_options *opt)
{
    *out = NULL;
    const char *name = opt->driver ? opt->driver : "memory";
    const struct bus_driver *driver = NULL;
    for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
        if (strcmp(drivers[i]->name, name) == 0)
            driver = drivers[i];
    if (!driver) {
        log_error(NULL, "bus: no driver is called \"%s\"", name);
        return ERR_INVALID_ARGUMENT;
    }
    enum err err = ERR_OK;
    if (opt->store)
        err = store_migrate(opt->store, migrations, ARRAY_LEN(migrations));
    if (err)
        return err;
    struct bus *bus = mem_new(struct bus);
    bus->driver = driver;
    bus->opt = with_defaults(opt);
    err = driver->open(&bus->opt, &bus->impl);
    if (err) {
        free(bus);
        return err;
    }
    if (opt->store) {
        bus->outbox = bus_outbox_create(bus);
        bus->tasks = bus_tasks_create(bus);
    }
    *out = bus;
    return ERR_OK;
}

void bus_start(struct bus *bus)
{
    if (!bus->opt.store)
        return;
    bus_outbox_start(bus->outbox);
    bus_tasks_start(bus->tasks);
}

/* Handlers of events enqueue tasks, tasks publish events: first all of them end, then their writes,
 * and only then is anything freed. */
void bus_stop_tasks(struct bus *bus)
{
    if (bus->tasks)
        bus_tasks_stop(bus->tasks);
}

void bus_stop_events(struct bus *bus)
{
    if (bus->outbox)
        bus_outbox_settle(bus->outbox);
}

void bus_close(struct bus **busp)
{
    struct bus *bus = *busp;
    *busp = NULL;
    if (!bus)
        return;
    if (bus->opt.store) {
        bus_tasks_stop(bus->tasks);
        bus_outbox_stop(bus->outbox);
    }
    bus->driver->stop(bus->impl);
    if (bus->opt.store) {
        store_flush(bus->opt.store);
        bus_tasks_destroy(&bus->tasks);
        bus_outbox_destroy(&bus->outbox);
    }
    bus->driver->close(&bus->impl);
    free(bus);
}

int bus_subscribe(struct bus *bus, const char *channel, const char *name, bus_event_fn *fn,
                  void *arg)
{
    return bus->driver->subscribe(bus->impl, channel, name, fn, arg);
}

void bus_unsubscribe(struct bus *bus, int id)
{
    bus->driver->unsubscribe(bus->impl, id);
}

void bus_publish(struct bus *bus, const struct bus_event *event)
{
    struct bus_event own = *event;
    own.id = "";
    bus->driver->publish(bus->impl, &own);
}

/* ---- for the room's threads ---- */

void bus_thread_start(pthread_t *thread, const char *name, void *(*fn)(void *), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(thread, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure) {
        log_error(NULL, "bus: cannot start a thread: %s", strerror(failure));
        abort();
    }
    pthread_setname_np(*thread, name);
}

void bus_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void bus_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t timeout_ms)
{
    int64_t until_us = clock_mono_us() + timeout_ms * 1000;
    struct timespec until = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
    pthread_cond_timedwait(cond, lock, &until);
}
