/* bus: the room's front. Handlers of this process (bus_local) and, with a store, the outbox and the
 * tasks are the same whoever carries events; the link to a broker is there when one is named. */
#include "bus/bus_internal.h"
#include "bus/bus_schema.h"
#include "bus/bus_trace.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "core/mem.h"

/* Redis, Kafka and RabbitMQ add theirs. */
const struct bus_driver *const bus_drivers[] = {
    &bus_redis,
    &bus_rabbitmq,
    &bus_kafka,
    NULL,
};

/* An id is the row's; with AUTOINCREMENT none comes twice, and order is the order of commits. */
const struct store_migration bus_migrations[] = {
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
    {"bus", 3,
     "ALTER TABLE bus_outbox ADD COLUMN at_ms INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE bus_outbox ADD COLUMN traceparent TEXT NOT NULL DEFAULT '';"},
    /* Who has it: empty, and then not in the indexes, where one process has the store alone. */
    {"bus", 4,
     "ALTER TABLE bus_outbox ADD COLUMN owner TEXT NOT NULL DEFAULT '';"
     "ALTER TABLE bus_tasks ADD COLUMN owner TEXT NOT NULL DEFAULT '';"
     "CREATE TABLE bus_processes (id TEXT PRIMARY KEY, beat INTEGER NOT NULL);"
     "CREATE INDEX bus_outbox_by_owner ON bus_outbox (owner, id) WHERE owner <> '';"
     "CREATE INDEX bus_outbox_by_key ON bus_outbox (channel, event_key, id) WHERE owner <> '';"},
    {"bus", 5, "ALTER TABLE bus_tasks ADD COLUMN is_here INTEGER NOT NULL DEFAULT 0;"},
};
const size_t bus_migration_count = ARRAY_LEN(bus_migrations);

static struct bus_options with_defaults(const struct bus_options *opt)
{
    struct bus_options o = *opt;
    o.thread_count = o.thread_count ? o.thread_count : 2;
    o.queue_max = o.queue_max ? o.queue_max : 8192;
    o.task_threads = o.task_threads ? o.task_threads : 4;
    o.lease_ms = o.lease_ms ? o.lease_ms : 30000;
    o.owner_ms = o.owner_ms ? o.owner_ms : 8000;
    o.prefix = o.prefix ? o.prefix : "meeting.";
    o.retry_ms = o.retry_ms ? o.retry_ms : 1000;
    o.retry_max_ms = o.retry_max_ms ? o.retry_max_ms : 3600000;
    o.task_keep_ms = o.task_keep_ms ? o.task_keep_ms : 30ll * 24 * 3600 * 1000;
    return o;
}

static bool is_memory(const char *driver)
{
    return !driver || strcmp(driver, "memory") == 0;
}

/* Unless the process has a name, it gets one. */
static void name_process(struct bus *bus)
{
    char made[ID_SIZE];
    id_make(made);
    snprintf(bus->process, sizeof(bus->process), "%s",
             bus->opt.process && bus->opt.process[0] ? bus->opt.process : made);
    bus->opt.process = bus->process;
}

/* ---- the link for events ---- */

static void on_handled(void *arg, int64_t receipt)
{
    struct bus *bus = arg;
    bus_link_settle(bus->link, (uint64_t)receipt);
}

/* Durable ones wait for room: that is how a broker learns that we are slow. */
static enum err on_parcel(struct bus *bus, const struct bus_envelope *e, const char *group,
                          uint64_t receipt)
{
    struct bus_handing how = {.audience = group ? BUS_TO_GROUP : BUS_TO_PLAIN,
                              .group = group,
                              .ack = receipt ? on_handled : NULL,
                              .arg = bus,
                              .token = (int64_t)receipt,
                              .is_patient = group || e->event.id[0]};
    bool is_ours = !group && strcmp(e->event.source, bus->process) == 0; /* heard before it went */
    if (!is_ours && bus_local_give(bus->local, &e->event, &how))
        return ERR_OK;
    if (!is_ours && how.is_patient)
        return ERR_CANCELLED;
    if (receipt)
        bus_link_settle(bus->link, receipt);
    return ERR_OK;
}

static void on_up(struct bus *bus, bool is_back)
{
    if (is_back)
        bus_local_give(bus->local, &(struct bus_event){.channel = BUS_GAP_CHANNEL, .type = "gap"},
                       &(struct bus_handing){.audience = BUS_TO_PLAIN, .is_patient = true});
    if (bus->outbox)
        bus_outbox_linked(bus->outbox);
}

static void on_sent(struct bus *bus, int64_t token, enum err err)
{
    bus_outbox_sent(bus->outbox, token, err);
}

static enum err open_links(struct bus *bus)
{
    const struct bus_options *opt = &bus->opt;
    struct bus_link_hooks events = {.driver = opt->driver,
                                    .url = opt->url,
                                    .carries = "events",
                                    .up = on_up,
                                    .sent = on_sent,
                                    .hear = on_parcel};
    enum err err = is_memory(opt->driver) ? ERR_OK : bus_link_open(&bus->link, bus, &events);
    bool has_carry = opt->store && !is_memory(opt->task_driver);
    return err || !has_carry ? err : bus_carry_open(bus);
}

/* ---- life ---- */

enum err bus_open(struct bus **out, const struct bus_options *opt)
{
    *out = NULL;
    enum err err = ERR_OK;
    if (opt->store)
        err = store_migrate(opt->store, bus_migrations, bus_migration_count);
    if (err)
        return err;
    struct bus *bus = mem_new(struct bus);
    bus->opt = with_defaults(opt);
    name_process(bus);
    bus->local = bus_local_create(&bus->opt);
    if (opt->store) {
        bus->owner = bus_owner_create(bus);
        bus->outbox = bus_outbox_create(bus);
        bus->tasks = bus_tasks_create(bus);
    }
    err = open_links(bus);
    if (err)
        bus_close(&bus);
    *out = bus;
    return err;
}

const char *bus_process(const struct bus *bus)
{
    return bus->process;
}

void bus_start(struct bus *bus)
{
    if (bus->opt.store) {
        bus_owner_beat(bus->owner); /* what it writes from now on is seen to be a living one's */
        bus_outbox_start(bus->outbox);
        bus_tasks_start(bus->tasks);
    }
    bus_link_start(bus->link);
    bus_link_start(bus->task_link);
    bus_carry_start(bus->carry);
}

/* Handlers of events enqueue tasks, tasks publish events: first all of them end, then their writes,
 * and only then is anything freed. */
void bus_stop_tasks(struct bus *bus)
{
    bus_link_quiesce(bus->task_link);
    if (bus->tasks)
        bus_tasks_stop(bus->tasks);
}

void bus_stop_events(struct bus *bus)
{
    bus_link_quiesce(bus->link);
    if (bus->outbox)
        bus_outbox_settle(bus->outbox);
}

void bus_close(struct bus **busp)
{
    struct bus *bus = *busp;
    *busp = NULL;
    if (!bus)
        return;
    bus_link_quiesce(bus->link);
    bus_link_quiesce(bus->task_link);
    if (bus->opt.store) {
        bus_tasks_stop(bus->tasks);
        bus_outbox_stop(bus->outbox);
        bus_carry_stop(bus->carry);
        store_flush(bus->opt.store); /* what is committed is settled while there is a link */
    }
    bus_local_stop(bus->local);
    bus_link_stop(bus->link);
    bus_link_stop(bus->task_link);
    if (bus->opt.store) {
        store_flush(bus->opt.store);
        bus_tasks_destroy(&bus->tasks);
        bus_outbox_destroy(&bus->outbox);
        bus_carry_destroy(&bus->carry);
        bus_owner_destroy(&bus->owner);
    }
    bus_link_close(&bus->link);
    bus_link_close(&bus->task_link);
    bus_local_destroy(&bus->local);
    free(bus);
}

/* ---- events ---- */

static int subscribe(struct bus *bus, const struct bus_listener *l)
{
    int id = bus_local_subscribe(bus->local, l);
    bus_link_want(bus->link, l->channel, l->group);
    return id;
}

int bus_subscribe(struct bus *bus, const char *channel, const char *name, bus_event_fn *fn,
                  void *arg)
{
    return subscribe(
        bus, &(struct bus_listener){.channel = channel, .name = name, .fn = fn, .arg = arg});
}

int bus_subscribe_here(struct bus *bus, const char *channel, const char *name, bus_event_fn *fn,
                       void *arg)
{
    return bus_local_subscribe(
        bus->local, &(struct bus_listener){.channel = channel, .name = name, .fn = fn, .arg = arg});
}

int bus_subscribe_group(struct bus *bus, const char *channel, const char *group, bus_event_fn *fn,
                        void *arg)
{
    return subscribe(bus,
                     &(struct bus_listener){
                         .channel = channel, .group = group, .name = group, .fn = fn, .arg = arg});
}

int bus_on_gap(struct bus *bus, const char *name, bus_event_fn *fn, void *arg)
{
    return bus_local_subscribe(
        bus->local,
        &(struct bus_listener){.channel = BUS_GAP_CHANNEL, .name = name, .fn = fn, .arg = arg});
}

void bus_expect_group(struct bus *bus, const char *channel, const char *group)
{
    bus_link_expect(bus->link, channel, group);
}

/* The broker is told when the last of a channel or group goes. */
void bus_unsubscribe(struct bus *bus, int id)
{
    bus_local_unsubscribe(bus->local, id);
    bus_link_prune(bus->link);
}

/* It would only take room from what is heard here. */
static bool is_for_another(const struct bus *bus, const char *channel)
{
    const char *process = bus_channel_process(channel);
    return process && strcmp(process, bus->process) != 0;
}

static void publish(struct bus *bus, const struct bus_event *event, struct bus_link *link,
                    enum bus_audience audience)
{
    struct bus_event own = *event;
    own.id = "";
    own.source = bus->process;
    own.at_ms = clock_wall_ms();
    struct bus_span span;
    bus_span_publish(&span, &own);
    if (!is_for_another(bus, event->channel))
        bus_local_give(bus->local, &own, &(struct bus_handing){.audience = audience});
    if (link)
        bus_link_publish(link, &own);
    span_end(&span.span, ERR_OK);
}

void bus_publish(struct bus *bus, const struct bus_event *event)
{
    publish(bus, event, bus->link, bus->link ? BUS_TO_PLAIN : BUS_TO_ALL);
}

void bus_publish_here(struct bus *bus, const struct bus_event *event)
{
    publish(bus, event, NULL, BUS_TO_PLAIN);
}

struct own_job {
    struct bus *bus;
    const struct bus_event *event;
};

static enum err publish_run(struct store_tx *tx, void *arg)
{
    const struct own_job *j = arg;
    return bus_publish_tx(j->bus, tx, j->event);
}

enum err bus_publish_sync(struct bus *bus, const struct bus_event *event)
{
    struct own_job j = {bus, event};
    return bus->opt.store ? store_write_sync(bus->opt.store, 0, publish_run, &j)
                          : ERR_FAILED_PRECONDITION;
}

/* ---- how it stands ---- */

static enum err waiting_run(struct store_tx *tx, void *arg)
{
    struct bus_health *h = arg;
    struct store_stmt *st = store_query(tx, "SELECT COUNT(*), MIN(at_ms) FROM bus_outbox", "");
    if (store_step(st)) {
        h->outbox_count = store_int(st, 0);
        h->outbox_oldest_ms =
            h->outbox_count ? MAX(clock_wall_ms() - store_int(st, 1), (int64_t)0) : 0;
    }
    return store_finish(st);
}

void bus_health(struct bus *bus, struct bus_health *out)
{
    *out = (struct bus_health){.events = bus_link_driver(bus->link),
                               .tasks = bus_link_driver(bus->task_link)};
    out->has_events = bus_link_is_up(bus->link, &out->events_down_ms);
    out->has_tasks = bus_link_is_up(bus->task_link, &out->tasks_down_ms);
    if (bus->opt.store && store_read_one(bus->opt.store, waiting_run, out) != ERR_OK)
        out->outbox_count = -1;
}

bool bus_is_apart(const struct bus *bus)
{
    return bus && bus->link;
}

bool bus_is_heard(struct bus *bus)
{
    int64_t ignored;
    return bus_link_is_up(bus->link, &ignored);
}

bool bus_is_linked(struct bus *bus)
{
    int64_t ignored;
    return bus_is_heard(bus) && bus_link_is_up(bus->task_link, &ignored);
}
