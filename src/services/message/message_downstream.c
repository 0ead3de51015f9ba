/* message_downstream: see the header. */
#include "services/message/message_downstream.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/list.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metric.h"
#include "services/common/places.h"

#include "message.pb-c.h"

#define GATEWAYS "im_gateways"
#define NAME_MAX_BYTES 80
#define BEAT_MS 1000
#define ASK_MS 100     /* until there is a link */
#define LEASE_MS 15000 /* a gateway that is silent for so long is told nothing */
#define OWN_MS 30000   /* by then a gateway has said itself what it learnt by an event */

static struct metric metric_told =
    METRIC_COUNTER("parlance_message_downstream_total",
                   "Events for gateways elsewhere: told, or spared since nobody is there.", "what");

struct known {
    struct list node;
    char channel[sizeof(BUS_DOWNSTREAM) + NAME_MAX_BYTES];
    int64_t version; /* of places; -1: not known, all is told */
    int64_t heard_ms;
    int64_t series, number;
    bool is_late;
    uint8_t places[PLACES_BYTES];
    /* Conversations that somebody there was let into by what we told: the older half is forgotten
     * every OWN_MS. */
    uint8_t own[2][PLACES_BYTES];
};

struct downstream {
    struct bus *bus;
    struct loop *loop;
    struct loop_timer timer; /* the loop's, as the next two */
    int64_t turned_ms;
    bool was_linked;
    int subscription;
    pthread_mutex_t lock; /* held while parcels are given to the bus: their order is their number */
    struct list gateways;
    int64_t told; /* to anybody */
};

static const char *name_of(const struct known *g)
{
    return g->channel + strlen(BUS_DOWNSTREAM);
}

/* ---- to one gateway; lock held ---- */

static void send_to(struct downstream *d, struct known *g, const char *type, struct str body,
                    bool is_leaving)
{
    Message__Downstream m = MESSAGE__DOWNSTREAM__INIT;
    m.sender = (char *)bus_process(d->bus);
    m.series = g->series;
    m.number = ++g->number;
    m.known_version = g->version;
    m.is_late = g->is_late;
    m.is_leaving = is_leaving;
    m.body = (ProtobufCBinaryData){body.n, (uint8_t *)(uintptr_t)body.p};
    size_t n = message__downstream__get_packed_size(&m);
    uint8_t *bytes = mem_alloc(n + 1);
    message__downstream__pack(&m, bytes);
    bytes[n] = 0;
    bus_publish(d->bus, &(struct bus_event){.channel = g->channel,
                                            .type = type,
                                            .key = name_of(g),
                                            .payload = {(const char *)bytes, n},
                                            .id = ""});
    free(bytes);
}

static void say_known(struct downstream *d, struct known *g, bool is_leaving)
{
    send_to(d, g, "known", STR_NULL, is_leaving);
}

/* ---- what is told ---- */

static bool has_place(const struct known *g, const char *id)
{
    uint32_t place = place_of_id(id);
    return g->version < 0 || place_is_set(g->places, place) || place_is_set(g->own[0], place) ||
           place_is_set(g->own[1], place);
}

/* Whom an event names it may let in: the gateway is told of the conversation from now on, also
 * before it can say so. */
static bool is_for(struct known *g, const struct downstream_parcel *p)
{
    bool has_conversation = p->conversation_id && p->conversation_id[0];
    bool is_named = false;
    for (size_t i = 0; i < p->user_count && !is_named; i++)
        is_named = has_place(g, p->user_ids[i]);
    if (is_named && has_conversation)
        place_set(g->own[0], place_of_id(p->conversation_id));
    return is_named || (has_conversation && has_place(g, p->conversation_id));
}

void downstream_tell(struct downstream *d, const struct downstream_parcel *p)
{
    unsigned told = 0, spared = 0;
    pthread_mutex_lock(&d->lock);
    d->told++;
    LIST_FOREACH(&d->gateways, node)
    {
        struct known *g = LIST_ENTRY(node, struct known, node);
        bool is_meant = is_for(g, p);
        if (is_meant)
            send_to(d, g, p->type, p->body, false);
        told += is_meant;
        spared += !is_meant;
    }
    pthread_mutex_unlock(&d->lock);
    metric_cell_add(metric_cell(&metric_told, "told", NULL, NULL), told);
    metric_cell_add(metric_cell(&metric_told, "spared", NULL, NULL), spared);
}

/* ---- what gateways say ---- */

static struct known *find(struct downstream *d, const char *name)
{
    LIST_FOREACH(&d->gateways, node)
    {
        struct known *g = LIST_ENTRY(node, struct known, node);
        if (strcmp(name_of(g), name) == 0)
            return g;
    }
    return NULL;
}

static void forget(struct known *g)
{
    list_remove(&g->node);
    free(g);
}

static struct known *get(struct downstream *d, const char *name)
{
    struct known *g = find(d, name);
    if (g)
        return g;
    g = mem_new(struct known);
    snprintf(g->channel, sizeof(g->channel), BUS_DOWNSTREAM "%s", name);
    g->version = -1;
    g->is_late = d->told > 0;
    g->series = (int64_t)id_random_u32() << 31 | id_random_u32() >> 1;
    list_add_tail(&d->gateways, &g->node);
    return g;
}

/* True: the gateway wants to know how we took it. */
static bool take(struct known *g, const Message__GatewayPlaces *m)
{
    if (m->places.len == PLACES_BYTES) {
        memcpy(g->places, m->places.data, PLACES_BYTES);
        g->version = m->version;
        return true;
    }
    if (m->version == g->version)
        return g->number == 0;
    bool is_next = g->version >= 0 && m->version == g->version + 1 && m->n_added > 0;
    for (size_t i = 0; is_next && i < m->n_added; i++)
        place_set(g->places, m->added[i] % PLACES_COUNT);
    g->version = is_next ? m->version : -1;
    return true;
}

static void on_gateway(void *arg, const struct bus_event *event)
{
    struct downstream *d = arg;
    if (strcmp(event->type, "places") != 0)
        return;
    Message__GatewayPlaces *m =
        message__gateway_places__unpack(NULL, event->payload.n, (const uint8_t *)event->payload.p);
    if (!m)
        return;
    bool is_ours = strcmp(m->gateway, bus_process(d->bus)) == 0;
    size_t n = strlen(m->gateway);
    pthread_mutex_lock(&d->lock);
    if (m->is_leaving) {
        struct known *g = find(d, m->gateway);
        if (g)
            forget(g);
    } else if (!is_ours && n > 0 && n <= NAME_MAX_BYTES) {
        struct known *g = get(d, m->gateway);
        g->heard_ms = clock_mono_ms();
        if (take(g, m))
            say_known(d, g, false);
    }
    pthread_mutex_unlock(&d->lock);
    message__gateway_places__free_unpacked(m, NULL);
}

/* ---- by the clock ---- */

static void turn(struct known *g)
{
    memcpy(g->own[1], g->own[0], PLACES_BYTES);
    memset(g->own[0], 0, PLACES_BYTES);
}

static void beat(struct downstream *d)
{
    int64_t now_ms = clock_mono_ms();
    bool is_turn = now_ms - d->turned_ms > OWN_MS;
    if (is_turn)
        d->turned_ms = now_ms;
    pthread_mutex_lock(&d->lock);
    LIST_FOREACH(&d->gateways, node)
    {
        struct known *g = LIST_ENTRY(node, struct known, node);
        if (is_turn)
            turn(g);
        if (now_ms - g->heard_ms < LEASE_MS) {
            say_known(d, g, false);
        } else {
            log_info(NULL, "the gateway %s is silent, and is told no more", name_of(g));
            forget(g);
        }
    }
    pthread_mutex_unlock(&d->lock);
}

static void on_timer(void *arg)
{
    struct downstream *d = arg;
    bool is_linked = bus_is_heard(d->bus);
    if (is_linked && !d->was_linked)
        bus_publish(d->bus, &(struct bus_event){
                                .channel = GATEWAYS, .type = "ask", .key = GATEWAYS, .id = ""});
    d->was_linked = is_linked;
    beat(d);
    loop_timer_start(d->loop, &d->timer, is_linked ? BEAT_MS : ASK_MS, on_timer, d);
}

/* ---- life ---- */

struct downstream *downstream_create(struct bus *bus, struct loop *loop)
{
    struct downstream *d = mem_new(struct downstream);
    d->bus = bus;
    d->loop = loop;
    list_init(&d->gateways);
    pthread_mutex_init(&d->lock, NULL);
    d->subscription = bus_subscribe(bus, GATEWAYS, "message", on_gateway, d);
    loop_post(loop, on_timer, d);
    return d;
}

static void stop_on_loop(void *arg)
{
    struct downstream *d = arg;
    loop_timer_stop(&d->timer);
}

void downstream_destroy(struct downstream **dp)
{
    struct downstream *d = *dp;
    *dp = NULL;
    if (!d)
        return;
    loop_call(d->loop, stop_on_loop, d);
    bus_unsubscribe(d->bus, d->subscription);
    pthread_mutex_lock(&d->lock);
    LIST_FOREACH(&d->gateways, node)
    {
        struct known *g = LIST_ENTRY(node, struct known, node);
        say_known(d, g, true);
        forget(g);
    }
    pthread_mutex_unlock(&d->lock);
    pthread_mutex_destroy(&d->lock);
    free(d);
}
