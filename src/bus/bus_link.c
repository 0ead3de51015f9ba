/*
 * bus_link: our side of a broker, the same for every driver. It keeps what is to be heard (and has
 * it joined again after each loss), packs what goes and checks what comes, gives it to the handlers
 * of this process, remembers what was sent durably and not answered, and tells of gaps.
 *
 * Locks: `joining` orders calls of the driver's join and leave, and is never held together with
 * `lock` while the driver is called back.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus_internal.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/list.h"
#include "core/log.h"
#include "core/map.h"
#include "core/mem.h"
#include "core/metric.h"

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 5000

static struct metric metric_up = METRIC_GAUGE(
    "parlance_bus_linked", "Whether the broker is linked (1) or away (0).", "driver", "carries");
static struct metric metric_lost = METRIC_COUNTER("parlance_bus_link_lost_total",
                                                  "Lost links to the broker.", "driver", "carries");
static struct metric metric_sent =
    METRIC_COUNTER("parlance_bus_sent_total", "Parcels given to the broker.", "channel", "result");
static struct metric metric_received =
    METRIC_COUNTER("parlance_bus_received_total", "Parcels from the broker.", "channel");
static struct metric metric_lag = METRIC_GAUGE(
    "parlance_bus_lag", "Parcels that wait at the broker for a group.", "channel", "group");
static struct metric metric_dead = METRIC_COUNTER(
    "parlance_bus_dead_letters_total", "Parcels moved to the broker's dead letters.", "channel");
static struct metric metric_behind = METRIC_HISTOGRAM(
    "parlance_bus_behind_seconds", "From publishing to arrival in another process.", "channel");

/* A channel that is wanted, or a group that must exist. */
struct want {
    struct list node;
    char *channel, *group;
};

struct bus_link {
    const struct bus_driver *driver;
    struct bus_impl *impl;
    struct bus *bus;
    struct bus_link_hooks hooks;
    const char *carries; /* "events", "tasks" */
    char *prefix, *url;
    atomic_bool is_quiet; /* nothing is taken any more */
    pthread_mutex_t joining;
    struct list wants, expected; /* guarded by joining, as the next */
    bool is_started;
    pthread_mutex_t lock;
    bool is_up, was_up; /* guarded by lock, as all below */
    unsigned losses;    /* calls of bus_link_down */
    int64_t down_since_ms;
    unsigned failures; /* attempts since it was linked */
    char told[200];    /* why it is not, as the log last said */
    struct map64 *unanswered;
};

/* ---- what is heard ---- */

static bool is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static struct want *find_want(struct list *list, const char *channel, const char *group)
{
    LIST_FOREACH(list, node)
    {
        struct want *w = LIST_ENTRY(node, struct want, node);
        if (strcmp(w->channel, channel) == 0 && is_same(w->group, group))
            return w;
    }
    return NULL;
}

/* NULL: it was there. */
static struct want *add_want(struct list *list, const char *channel, const char *group)
{
    if (find_want(list, channel, group))
        return NULL;
    struct want *w = mem_new(struct want);
    w->channel = mem_strdup(channel);
    w->group = group ? mem_strdup(group) : NULL;
    list_add_tail(list, &w->node);
    return w;
}

static void drop_want(struct want *w)
{
    list_remove(&w->node);
    free(w->channel);
    free(w->group);
    free(w);
}

static bool is_linked(struct bus_link *link)
{
    pthread_mutex_lock(&link->lock);
    bool is_up = link->is_up;
    pthread_mutex_unlock(&link->lock);
    return is_up;
}

void bus_link_want(struct bus_link *link, const char *channel, const char *group)
{
    if (!link)
        return;
    pthread_mutex_lock(&link->joining);
    if (add_want(&link->wants, channel, group) && link->is_started && is_linked(link))
        link->driver->join(link->impl, channel, group);
    pthread_mutex_unlock(&link->joining);
}

void bus_link_expect(struct bus_link *link, const char *channel, const char *group)
{
    if (!link)
        return;
    pthread_mutex_lock(&link->joining);
    if (add_want(&link->expected, channel, group) && is_linked(link))
        link->driver->expect(link->impl, channel, group);
    pthread_mutex_unlock(&link->joining);
}

void bus_link_prune(struct bus_link *link)
{
    if (!link)
        return;
    pthread_mutex_lock(&link->joining);
    LIST_FOREACH(&link->wants, node)
    {
        struct want *w = LIST_ENTRY(node, struct want, node);
        if (bus_local_has(link->bus->local, w->channel, w->group))
            continue;
        if (link->is_started && is_linked(link))
            link->driver->leave(link->impl, w->channel, w->group);
        drop_want(w);
    }
    pthread_mutex_unlock(&link->joining);
}

/* joining held, linked. */
static void join_all(struct bus_link *link)
{
    LIST_FOREACH(&link->expected, node)
    {
        struct want *w = LIST_ENTRY(node, struct want, node);
        link->driver->expect(link->impl, w->channel, w->group);
    }
    LIST_FOREACH(&link->wants, node)
    {
        struct want *w = LIST_ENTRY(node, struct want, node);
        if (link->is_started)
            link->driver->join(link->impl, w->channel, w->group);
    }
}

void bus_link_start(struct bus_link *link)
{
    if (!link)
        return;
    pthread_mutex_lock(&link->joining);
    link->is_started = true;
    if (is_linked(link))
        join_all(link);
    pthread_mutex_unlock(&link->joining);
}

/* ---- up and down ---- */

void bus_link_up(struct bus_link *link)
{
    pthread_mutex_lock(&link->joining);
    pthread_mutex_lock(&link->lock);
    unsigned losses = link->losses;
    pthread_mutex_unlock(&link->lock);
    join_all(link); /* who sees it linked may count on being heard */
    pthread_mutex_lock(&link->lock);
    bool is_back = link->was_up, is_lost = link->losses != losses;
    if (!is_lost) {
        link->is_up = link->was_up = true;
        link->failures = 0;
    }
    pthread_mutex_unlock(&link->lock);
    pthread_mutex_unlock(&link->joining);
    if (is_lost)
        return;
    metric_cell_set(metric_cell(&metric_up, link->driver->name, link->carries, NULL), 1);
    log_info(NULL, "bus: %s: linked, for %s", link->driver->name, link->carries);
    if (link->hooks.up)
        link->hooks.up(link->bus, is_back);
}

/* Lock held. Their order does not matter: the outbox sends again by rows. */
static int64_t *take_unanswered(struct bus_link *link, size_t *count)
{
    *count = 0;
    int64_t *tokens = mem_zalloc((map64_count(link->unanswered) + 1) * sizeof(*tokens));
    size_t at = 0;
    uint64_t token;
    void *value;
    while (map64_next(link->unanswered, &at, &token, &value))
        tokens[(*count)++] = (int64_t)token;
    map64_destroy(&link->unanswered);
    link->unanswered = map64_create();
    return tokens;
}

/* Whether the log is to say why: at the loss, and when it is another reason than it last said; of
 * reasons that change for ever the more rarely the longer it takes. Lock held. */
static bool must_tell(struct bus_link *link, const char *why)
{
    char text[sizeof(link->told)];
    unsigned attempts = link->failures;
    snprintf(text, sizeof(text), "%s", why);
    bool is_turn = (attempts & (attempts - 1)) == 0; /* 0, 1, 2, 4, 8 ... */
    bool must = link->is_up || (is_turn && strcmp(text, link->told) != 0);
    if (must)
        memcpy(link->told, text, sizeof(text));
    return must;
}

void bus_link_down(struct bus_link *link, const char *why)
{
    size_t count;
    pthread_mutex_lock(&link->lock);
    bool was_up = link->is_up, is_told = must_tell(link, why);
    link->is_up = false;
    link->losses++;
    if (was_up)
        link->down_since_ms = clock_mono_ms();
    int64_t *tokens = take_unanswered(link, &count);
    pthread_mutex_unlock(&link->lock);
    if (is_told)
        log_warn(NULL, "bus: %s: no link, for %s: %s", link->driver->name, link->carries, why);
    metric_cell_set(metric_cell(&metric_up, link->driver->name, link->carries, NULL), 0);
    if (was_up)
        metric_cell_add(metric_cell(&metric_lost, link->driver->name, link->carries, NULL), 1);
    for (size_t i = 0; i < count; i++)
        link->hooks.sent(link->bus, tokens[i], ERR_UNAVAILABLE);
    free(tokens);
}

int64_t bus_link_backoff_ms(struct bus_link *link)
{
    pthread_mutex_lock(&link->lock);
    unsigned doublings = MIN(link->failures++, 10u);
    pthread_mutex_unlock(&link->lock);
    int64_t wait_ms = MIN((int64_t)BACKOFF_MIN_MS << doublings, (int64_t)BACKOFF_MAX_MS);
    return wait_ms / 2 + (int64_t)((uint64_t)id_random_u32() * (uint64_t)(wait_ms / 2) >> 32);
}

bool bus_link_is_up(struct bus_link *link, int64_t *down_ms)
{
    *down_ms = 0;
    if (!link)
        return true;
    pthread_mutex_lock(&link->lock);
    bool is_up = link->is_up;
    if (!is_up)
        *down_ms = clock_mono_ms() - link->down_since_ms;
    pthread_mutex_unlock(&link->lock);
    return is_up;
}

const char *bus_link_driver(const struct bus_link *link)
{
    return link ? link->driver->name : "memory";
}

/* ---- out ---- */

enum err bus_link_send_bytes(struct bus_link *link, const struct bus_parcel *parcel)
{
    return link->driver->send(link->impl, parcel);
}

static enum err send(struct bus_link *link, const struct bus_envelope *e, int64_t token)
{
    struct strbuf bytes = {0};
    const char *key = e->is_task && e->task.lane ? e->task.lane : e->event.key;
    if (!key || !*key)
        key = e->event.channel;
    bus_envelope_write(&bytes, e);
    struct bus_parcel parcel = {.channel = e->event.channel,
                                .key = key,
                                .id = e->event.id ? e->event.id : "",
                                .bytes = strbuf_str(&bytes),
                                .token = token};
    enum err err = bus_link_send_bytes(link, &parcel);
    strbuf_deinit(&bytes);
    return err;
}

void bus_link_publish(struct bus_link *link, const struct bus_event *event)
{
    enum err err =
        is_linked(link) ? send(link, &(struct bus_envelope){.event = *event}, 0) : ERR_UNAVAILABLE;
    metric_cell_add(metric_cell(&metric_sent, bus_channel_label(event->channel),
                                err ? "dropped" : "sent", NULL),
                    1);
}

static bool remember(struct bus_link *link, int64_t token)
{
    pthread_mutex_lock(&link->lock);
    bool is_up = link->is_up;
    if (is_up)
        map64_set(link->unanswered, (uint64_t)token, link);
    pthread_mutex_unlock(&link->lock);
    return is_up;
}

/* False: it was answered meanwhile, or never sent. */
static bool forget(struct bus_link *link, int64_t token)
{
    pthread_mutex_lock(&link->lock);
    bool was_there = map64_remove(link->unanswered, (uint64_t)token) != NULL;
    pthread_mutex_unlock(&link->lock);
    return was_there;
}

enum err bus_link_send(struct bus_link *link, const struct bus_envelope *e, int64_t token)
{
    if (!remember(link, token))
        return ERR_UNAVAILABLE;
    enum err err = send(link, e, token);
    if (err && !forget(link, token))
        err = ERR_OK; /* the link went down in between, and that was the answer */
    if (err)
        return err;
    metric_cell_add(metric_cell(&metric_sent, e->event.channel, "durable", NULL), 1);
    return ERR_OK;
}

void bus_link_sent(struct bus_link *link, int64_t token, enum err err)
{
    if (forget(link, token))
        link->hooks.sent(link->bus, token, err);
}

/* ---- in ---- */

void bus_link_settle(struct bus_link *link, uint64_t receipt)
{
    link->driver->settle(link->impl, receipt);
}

enum err bus_link_receive(struct bus_link *link, const char *channel, const char *group,
                          struct str bytes, uint64_t receipt)
{
    if (atomic_load(&link->is_quiet))
        return ERR_CANCELLED;
    struct arena *arena = arena_create();
    struct bus_envelope e;
    enum err err = bus_envelope_read(bytes, arena, &e);
    if (!err && !e.event.channel[0])
        e.event.channel = channel; /* JSON may leave it out */
    if (!err && strcmp(e.event.channel, channel) != 0)
        err = ERR_INVALID_ARGUMENT;
    if (!err) {
        const char *label = bus_channel_label(channel);
        metric_cell_add(metric_cell(&metric_received, label, NULL, NULL), 1);
        if (e.event.at_ms)
            metric_cell_observe(metric_cell(&metric_behind, label, NULL, NULL),
                                (double)MAX(clock_wall_ms() - e.event.at_ms, (int64_t)0) / 1e3);
        err = link->hooks.hear(link->bus, &e, group, receipt);
    }
    arena_destroy(&arena);
    return err;
}

void bus_link_set_lag(struct bus_link *link UNUSED, const char *channel, const char *group,
                      int64_t count)
{
    metric_cell_set(metric_cell(&metric_lag, channel, group, NULL), (double)count);
}

void bus_link_count_dead(struct bus_link *link, const char *channel, const char *why)
{
    metric_cell_add(metric_cell(&metric_dead, channel, NULL, NULL), 1);
    log_warn(NULL, "bus: %s: a parcel of %s is a dead letter: %s", link->driver->name, channel,
             why);
}

const char *bus_channel_process(const char *channel)
{
    size_t n = strlen(BUS_DOWNSTREAM);
    return strncmp(channel, BUS_DOWNSTREAM, n) == 0 ? channel + n : NULL;
}

const char *bus_channel_label(const char *channel)
{
    return bus_channel_process(channel) ? "im_downstream" : channel;
}

bool bus_link_topic(const struct bus_link *link, const char *channel, const char *group,
                    char out[BUS_TOPIC_MAX])
{
    int n = snprintf(out, BUS_TOPIC_MAX, "%s%s%s%s", link->prefix, channel, group ? "." : "",
                     group ? group : "");
    return n > 0 && n < BUS_TOPIC_MAX;
}

/* ---- life ---- */

static const struct bus_driver *driver_named(const char *name)
{
    for (const struct bus_driver *const *d = bus_drivers; *d; d++)
        if (strcmp((*d)->name, name) == 0)
            return *d;
    return NULL;
}

enum err bus_link_open(struct bus_link **out, struct bus *bus, const struct bus_link_hooks *hooks)
{
    const struct bus_driver *driver = driver_named(hooks->driver);
    if (!driver) {
        log_error(NULL, "bus: no driver is called \"%s\"", hooks->driver);
        return ERR_INVALID_ARGUMENT;
    }
    struct bus_link *link = mem_new(struct bus_link);
    link->driver = driver;
    link->bus = bus;
    link->hooks = *hooks;
    link->carries = hooks->carries;
    link->prefix = mem_strdup(bus->opt.prefix);
    link->url = mem_strdup(hooks->url ? hooks->url : "");
    link->down_since_ms = clock_mono_ms();
    link->unanswered = map64_create();
    list_init(&link->wants);
    list_init(&link->expected);
    pthread_mutex_init(&link->joining, NULL);
    pthread_mutex_init(&link->lock, NULL);
    *out = link;
    enum err err = driver->open(link,
                                &(struct bus_link_options){.url = link->url,
                                                           .process = bus->process,
                                                           .prefix = link->prefix,
                                                           .owner_ms = bus->opt.owner_ms},
                                &link->impl);
    if (err)
        bus_link_close(out);
    else
        driver->start(link->impl);
    return err;
}

void bus_link_quiesce(struct bus_link *link)
{
    if (link)
        atomic_store(&link->is_quiet, true);
}

void bus_link_stop(struct bus_link *link)
{
    if (link)
        link->driver->stop(link->impl);
}

void bus_link_close(struct bus_link **linkp)
{
    struct bus_link *link = *linkp;
    *linkp = NULL;
    if (!link)
        return;
    if (link->impl)
        link->driver->close(&link->impl);
    LIST_FOREACH(&link->wants, node)
    drop_want(LIST_ENTRY(node, struct want, node));
    LIST_FOREACH(&link->expected, node)
    drop_want(LIST_ENTRY(node, struct want, node));
    map64_destroy(&link->unanswered);
    pthread_mutex_destroy(&link->joining);
    pthread_mutex_destroy(&link->lock);
    free(link->prefix);
    free(link->url);
    free(link);
}
