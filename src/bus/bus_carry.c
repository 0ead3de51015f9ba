/*
 * bus_carry: tasks over a broker. A task that is due leaves the sender's table for the topic
 * tasks.SERVICE; whoever works there writes it into the own table before the broker may forget it,
 * and runs it from there. Delay, priority, attempts, lanes and dead letters stay matters of SQL.
 *
 *   sender:   READY -> RUNNING (leased: on its way) -> confirmed: gone | not: READY
 *   receiver: insert, marked as arrived -> COMMIT -> settled -> runs as any other
 *
 * Only what has arrived is run. With one database for all the two tables are the same; a task with
 * an idempotency key is then marked as arrived where it stands. Without a key it may come twice
 * when the sender dies at the wrong moment: at least once, as ever.
 *
 * Tasks that outside systems put there look the same, or are JSON (docs/events.md); what is no
 * task, or of a queue that nobody here works on, goes to the broker's dead letters.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus_internal.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/list.h"
#include "core/log.h"
#include "core/mem.h"

#define GROUP "work"
#define SERVICES_MAX 32
#define ON_WAY_MAX 256
#define AT_ONCE 64
#define LOOK_MS 500 /* how often others' tasks are looked for, and refused writes tried again */

/* A task on its way in. */
struct arrival {
    struct list node;
    struct bus_carry *carry;
    uint64_t receipt;
    struct arena *arena;
    struct bus_task task;
};

/* One on its way out. */
struct departure {
    struct list node;
    int64_t id;
    enum err result;
    char *queue, *lane;
};

struct bus_carry {
    struct bus *bus;
    pthread_t thread;
    bool is_started;
    char *expected[SERVICES_MAX]; /* the thread's: topics that exist */
    unsigned expected_count;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* guarded by lock: */
    bool is_stopping, is_woken;
    struct list on_way;  /* departures sent */
    struct list ended;   /* departures answered */
    struct list refused; /* arrivals that the store had no room for */
    unsigned on_way_count, arriving;
};

static const char *channel_of(const struct bus *bus, const char *queue, char out[BUS_TEXT_MAX])
{
    const char *service = bus->opt.service_of ? bus->opt.service_of(queue) : queue;
    snprintf(out, BUS_TEXT_MAX, "tasks.%s", service ? service : queue);
    return out;
}

void bus_carry_wake(struct bus_carry *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->is_woken = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

/* Somebody here works on the queue. */
void bus_carry_want(struct bus_carry *c, const char *queue)
{
    char channel[BUS_TEXT_MAX];
    if (c)
        bus_link_want(c->bus->task_link, channel_of(c->bus, queue, channel), GROUP);
}

/* ---- in ---- */

static enum err arrive_run(struct store_tx *tx, void *arg)
{
    const struct arrival *a = arg;
    return bus_task_arrive(tx, &a->task, clock_wall_ms());
}

static void arrival_free(struct arrival *a)
{
    arena_destroy(&a->arena);
}

/* Whatever is not the task's own fault: what is settled is gone from the broker. */
static bool is_passing(enum err err)
{
    return err && err != ERR_INVALID_ARGUMENT && err != ERR_FAILED_PRECONDITION &&
           err != ERR_ALREADY_EXISTS;
}

/* On the writer's thread. Unsettled it comes again; settled it is ours. */
static void arrive_done(enum err err, void *arg)
{
    struct arrival *a = arg;
    struct bus_carry *c = a->carry;
    bool is_again = is_passing(err);
    if (!is_again)
        bus_link_settle(c->bus->task_link, a->receipt);
    if (err && !is_again)
        bus_link_count_dead(c->bus->task_link, a->task.queue, err_text(err));
    if (!is_again)
        arrival_free(a);
    if (!err)
        bus_tasks_wake(c->bus->tasks);
    pthread_mutex_lock(&c->lock);
    if (is_again)
        list_add_tail(&c->refused, &a->node);
    else
        c->arriving--;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

/* Not of each queue of a service is there a worker in each process that hears of its tasks; in the
 * one database they find him. */
static bool may_arrive(const struct bus *bus, const char *service, const char *queue)
{
    const char *known = bus->opt.service_of ? bus->opt.service_of(queue) : NULL;
    return bus_tasks_work_on(bus->tasks, queue) || (known && strcmp(known, service) == 0);
}

/* The driver's thread. */
static enum err hear(struct bus *bus, const struct bus_envelope *e, const char *group UNUSED,
                     uint64_t receipt)
{
    struct bus_carry *c = bus->carry;
    const char *service = strchr(e->event.channel, '.') + 1;
    const char *queue = e->event.key[0] ? e->event.key : service;
    struct bus_task task = e->task;
    task.queue = queue;
    task.type = e->event.type;
    if (!may_arrive(bus, service, queue) || !bus_task_is_sound(&task))
        return ERR_INVALID_ARGUMENT;
    struct arena *arena = arena_create();
    struct arrival *a = arena_new(arena, struct arrival);
    a->carry = c;
    a->receipt = receipt;
    a->arena = arena;
    a->task = task;
    a->task.queue = arena_strdup(arena, queue);
    a->task.type = arena_strdup(arena, e->event.type);
    a->task.payload.p =
        arena_memdup(arena, e->event.payload.p ? e->event.payload.p : "", e->event.payload.n + 1);
    a->task.payload.n = e->event.payload.n;
    a->task.idempotency_key =
        e->task.idempotency_key ? arena_strdup(arena, e->task.idempotency_key) : NULL;
    a->task.lane = e->task.lane ? arena_strdup(arena, e->task.lane) : NULL;
    pthread_mutex_lock(&c->lock);
    c->arriving++;
    pthread_mutex_unlock(&c->lock);
    store_write_essential(bus->opt.store, 0, arrive_run, a, arrive_done);
    return ERR_OK;
}

static struct arrival *take_refused(struct bus_carry *c)
{
    struct arrival *a = NULL;
    pthread_mutex_lock(&c->lock);
    if (!list_is_empty(&c->refused)) {
        a = LIST_ENTRY(c->refused.next, struct arrival, node);
        list_remove(&a->node);
    }
    pthread_mutex_unlock(&c->lock);
    return a;
}

/* Those that were refused before, each once. */
static void try_again(struct bus_carry *c)
{
    size_t count = 0;
    pthread_mutex_lock(&c->lock);
    LIST_FOREACH(&c->refused, node)
    count++;
    pthread_mutex_unlock(&c->lock);
    struct arrival *a;
    while (count-- && (a = take_refused(c)))
        store_write_essential(c->bus->opt.store, 0, arrive_run, a, arrive_done);
}

/* ---- out ---- */

static void departure_free(struct departure *d)
{
    free(d->queue);
    free(d->lane);
    free(d);
}

static void sent(struct bus *bus, int64_t id, enum err err)
{
    struct bus_carry *c = bus->carry;
    pthread_mutex_lock(&c->lock);
    LIST_FOREACH(&c->on_way, node)
    {
        struct departure *d = LIST_ENTRY(node, struct departure, node);
        if (d->id != id)
            continue;
        d->result = err;
        list_remove(&d->node);
        list_add_tail(&c->ended, &d->node);
        break;
    }
    c->is_woken = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static void up(struct bus *bus, bool is_back UNUSED)
{
    bus_carry_wake(bus->carry);
}

static void expect(struct bus_carry *c, const char *channel)
{
    for (unsigned i = 0; i < c->expected_count; i++)
        if (strcmp(c->expected[i], channel) == 0)
            return;
    if (c->expected_count < SERVICES_MAX)
        c->expected[c->expected_count++] = mem_strdup(channel);
    bus_link_expect(c->bus->task_link, channel, GROUP);
}

static void depart(struct bus_carry *c, const struct bus_claim *claim)
{
    char channel[BUS_TEXT_MAX], id[ID_SIZE];
    struct departure *d = mem_new(struct departure);
    id_make(id);
    struct bus_envelope e = {
        .event = {.channel = channel_of(c->bus, claim->task.queue, channel),
                  .type = claim->task.type,
                  .key = claim->task.queue,
                  .payload = claim->task.payload,
                  .id = id,
                  .source = c->bus->process,
                  .at_ms = clock_wall_ms()},
        .is_task = true,
        .task = claim->task,
    };
    d->id = claim->id;
    d->queue = mem_strdup(claim->task.queue);
    d->lane = claim->task.lane ? mem_strdup(claim->task.lane) : NULL;
    expect(c, e.event.channel);
    pthread_mutex_lock(&c->lock);
    list_add_tail(&c->on_way, &d->node);
    c->on_way_count++;
    pthread_mutex_unlock(&c->lock);
    enum err err = bus_link_send(c->bus->task_link, &e, d->id);
    if (err)
        sent(c->bus, claim->id, err);
}

struct leaving {
    struct bus_claim *claims;
    struct bus_claiming how;
};

static enum err leave_run(struct store_tx *tx, void *arg)
{
    struct leaving *l = arg;
    return bus_task_depart(tx, &l->how, &l->claims);
}

/* False: nothing (more) to send now. */
static bool send_some(struct bus_carry *c)
{
    int64_t down_ms;
    pthread_mutex_lock(&c->lock);
    unsigned room = c->on_way_count < ON_WAY_MAX ? ON_WAY_MAX - c->on_way_count : 0;
    pthread_mutex_unlock(&c->lock);
    bool has = false;
    if (!room || !bus_link_is_up(c->bus->task_link, &down_ms) ||
        bus_tasks_has_departing(c->bus->opt.store, &has) != ERR_OK || !has)
        return false;
    struct leaving l = {.how = {.owner = bus_owner_name(c->bus->owner),
                                .lease_until_ms = clock_wall_ms() + c->bus->opt.lease_ms,
                                .count = MIN(room, AT_ONCE)}};
    enum err err = store_write_essential_sync(c->bus->opt.store, 0, leave_run, &l);
    bool is_more = !err && l.claims;
    while (l.claims) {
        struct bus_claim *claim = l.claims;
        l.claims = claim->next;
        if (!err)
            depart(c, claim);
        free(claim);
    }
    return is_more;
}

struct ending {
    struct list list;
    int64_t forget_ms;
};

static enum err end_run(struct store_tx *tx, void *arg)
{
    struct ending *e = arg;
    enum err err = ERR_OK;
    LIST_FOREACH(&e->list, node)
    {
        const struct departure *d = LIST_ENTRY(node, struct departure, node);
        if (!err)
            err = bus_task_departed(tx, d->id, d->result == ERR_OK, e->forget_ms);
        if (!err && d->lane && d->result == ERR_OK)
            err = bus_lane_promote(tx, d->queue, d->lane);
    }
    return err;
}

/* What the broker has is deleted; a deletion that fails is made up for by the lease. */
static void store_ended(struct bus_carry *c)
{
    struct ending ended = {.forget_ms = clock_wall_ms() + c->bus->opt.task_keep_ms};
    unsigned count = 0;
    list_init(&ended.list);
    pthread_mutex_lock(&c->lock);
    while (!list_is_empty(&c->ended) && count < ON_WAY_MAX) {
        struct list *node = c->ended.next;
        list_remove(node);
        list_add_tail(&ended.list, node);
        count++;
    }
    c->on_way_count -= count;
    pthread_mutex_unlock(&c->lock);
    if (count && store_write_essential_sync(c->bus->opt.store, 0, end_run, &ended) != ERR_OK)
        log_warn(NULL, "bus: %u tasks that left may leave again", count);
    LIST_FOREACH(&ended.list, node)
    departure_free(LIST_ENTRY(node, struct departure, node));
}

static bool carry_wait(struct bus_carry *c)
{
    pthread_mutex_lock(&c->lock);
    if (!c->is_woken && !c->is_stopping)
        thread_wait(&c->changed, &c->lock, LOOK_MS);
    c->is_woken = false;
    bool is_going_on = !c->is_stopping;
    pthread_mutex_unlock(&c->lock);
    return is_going_on;
}

static void *carry_main(void *arg)
{
    struct bus_carry *c = arg;
    do {
        try_again(c);
        store_ended(c);
        while (send_some(c))
            store_ended(c);
    } while (carry_wait(c));
    store_ended(c);
    return NULL;
}

/* ---- life ---- */

enum err bus_carry_open(struct bus *bus)
{
    struct bus_carry *c = bus->carry = mem_new(struct bus_carry);
    c->bus = bus;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    list_init(&c->on_way);
    list_init(&c->ended);
    list_init(&c->refused);
    return bus_link_open(&bus->task_link, bus,
                         &(struct bus_link_hooks){.driver = bus->opt.task_driver,
                                                  .url = bus->opt.task_url,
                                                  .carries = "tasks",
                                                  .up = up,
                                                  .sent = sent,
                                                  .hear = hear});
}

void bus_carry_start(struct bus_carry *c)
{
    if (!c)
        return;
    c->is_started = true;
    thread_must_start(&c->thread, "bus-carry", carry_main, c);
}

/* Nothing leaves any more; what is on its way in is waited for. */
void bus_carry_stop(struct bus_carry *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->is_stopping = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    if (c->is_started)
        pthread_join(c->thread, NULL);
    c->is_started = false;
}

/* The link is closed. What was refused comes again from the broker. */
void bus_carry_destroy(struct bus_carry **cp)
{
    struct bus_carry *c = *cp;
    *cp = NULL;
    if (!c)
        return;
    store_flush(c->bus->opt.store);
    LIST_FOREACH(&c->refused, node)
    arrival_free(LIST_ENTRY(node, struct arrival, node));
    LIST_FOREACH(&c->on_way, node)
    departure_free(LIST_ENTRY(node, struct departure, node));
    LIST_FOREACH(&c->ended, node)
    departure_free(LIST_ENTRY(node, struct departure, node));
    for (unsigned i = 0; i < c->expected_count; i++)
        free(c->expected[i]);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
