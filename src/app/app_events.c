/*
 * app_events: see the header. A ring of the last events, filled by plain subscriptions on the
 * channels of the catalogue. The local events of docs/events.md are what this very process did,
 * under their own names on the channel "local": they are made here, of the others, so that they
 * cost nothing while nobody looks.
 *
 * Payloads become JSON by their descriptors. Those of messages are not shown: what people write to
 * one another is theirs.
 */
#include "app/app_events.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "rpc/rpc.h"

#include "auth.pb-c.h"
#include "events.pb-c.h"
#include "file.pb-c.h"
#include "media.pb-c.h"
#include "meeting.pb-c.h"
#include "presence.pb-c.h"
#include "user.pb-c.h"

#define RING 1024
#define PAYLOAD_MAX_BYTES (16 << 10) /* of JSON */
#define IDLE_MS 15000                /* nobody asks: the ears go */
#define LOCAL "local"

static const struct ear {
    const char *channel;
    const ProtobufCMessageDescriptor *payload; /* NULL: not shown */
} ears[] = {
    {"meeting_events", &meeting__meeting_event__descriptor},
    {"media_events", &media__media_event__descriptor},
    {"ai_events", &events__ai_event__descriptor},
    {"signaling_events", &events__signaling_event__descriptor},
    {"user_events", &user__user_event__descriptor},
    {"auth_events", NULL},
    {"presence_events", NULL},
    {"message_events", NULL},
    {BUS_UPSTREAM, NULL},
};

static const struct {
    const char *type, *local;
} locals[] = {
    {"meeting.created", "meeting_created"},
    {"meeting.ended", "meeting_ended"},
    {"stream.started", "stream_started"},
    {"stream.stopped", "stream_stopped"},
    {"recording.started", "recording_started"},
    {"recording.stopped", "recording_stopped"},
    {"session.created", "session_created"},
    {"session.closed", "session_closed"},
    {"webrtc.ice_candidate", "ice_candidate_added"},
    {"model.loaded", "model_loaded"},
    {"model.unloaded", "model_unloaded"},
};

struct heard {
    const struct ear *ear;
    const char *local; /* its local name; NULL: it is what it is */
    char *type, *key, *id, *source;
    int64_t at_ms;
    struct str payload;
};

struct app_events {
    struct bus *bus;
    pthread_mutex_t asking; /* one caller at a time; guards the next two */
    int subscriptions[ARRAY_LEN(ears)];
    bool is_listening;
    pthread_mutex_t lock;
    struct heard ring[RING]; /* guarded by lock, as the next two */
    int64_t count;           /* ever heard */
    int64_t asked_at_ms;
};

struct app_events *app_events_create(struct bus *bus)
{
    struct app_events *e = mem_new(struct app_events);
    e->bus = bus;
    pthread_mutex_init(&e->asking, NULL);
    pthread_mutex_init(&e->lock, NULL);
    return e;
}

/* ---- hearing ---- */

static void heard_clear(struct heard *h)
{
    free(h->type);
    free(h->key);
    free(h->id);
    free(h->source);
    free((char *)(uintptr_t)h->payload.p);
    *h = (struct heard){0};
}

/* Lock held. */
static void note(struct app_events *e, const struct ear *ear, const struct bus_event *event,
                 const char *local)
{
    struct heard *h = &e->ring[e->count++ % RING];
    heard_clear(h);
    char *bytes = mem_alloc(event->payload.n + 1);
    if (event->payload.n)
        memcpy(bytes, event->payload.p, event->payload.n);
    *h = (struct heard){.ear = ear,
                        .local = local,
                        .type = mem_strdup(event->type),
                        .key = mem_strdup(event->key),
                        .id = mem_strdup(event->id),
                        .source = mem_strdup(event->source),
                        .at_ms = event->at_ms ? event->at_ms : clock_wall_ms(),
                        .payload = {bytes, event->payload.n}};
}

static const struct ear *ear_of(const char *channel)
{
    const struct ear *ear = ears;
    while (strcmp(ear->channel, channel) != 0)
        ear++;
    return ear;
}

static const char *local_name(const struct bus *bus, const struct bus_event *event)
{
    for (size_t i = 0; strcmp(event->source, bus_process(bus)) == 0 && i < ARRAY_LEN(locals); i++)
        if (strcmp(locals[i].type, event->type) == 0)
            return locals[i].local;
    return NULL;
}

static void on_event(void *arg, const struct bus_event *event)
{
    struct app_events *e = arg;
    const struct ear *ear = ear_of(event->channel);
    const char *local = local_name(e->bus, event);
    pthread_mutex_lock(&e->lock);
    if (clock_mono_ms() - e->asked_at_ms < IDLE_MS) {
        note(e, ear, event, NULL);
        if (local)
            note(e, ear, event, local);
    }
    pthread_mutex_unlock(&e->lock);
}

static void listen(struct app_events *e)
{
    for (size_t i = 0; i < ARRAY_LEN(ears) && !e->is_listening; i++)
        e->subscriptions[i] = bus_subscribe(e->bus, ears[i].channel, "watch", on_event, e);
    e->is_listening = true;
}

/* ---- telling ---- */

static char *payload_json(const struct heard *h, struct arena *arena)
{
    struct strbuf text = {0};
    const ProtobufCMessage *m =
        h->ear->payload ? rpc_message_unpack(h->ear->payload, arena, h->payload.p, h->payload.n)
                        : NULL;
    if (m)
        rpc_json_write(&text, m);
    char *json =
        m && text.n <= PAYLOAD_MAX_BYTES ? arena_strdup(arena, text.p) : arena_strdup(arena, "");
    strbuf_deinit(&text);
    return json;
}

static Operate__WatchedEvent *shape(const struct heard *h, struct arena *arena)
{
    Operate__WatchedEvent *out = arena_new(arena, Operate__WatchedEvent);
    operate__watched_event__init(out);
    out->channel = arena_strdup(arena, h->local ? LOCAL : h->ear->channel);
    out->type = arena_strdup(arena, h->local ? h->local : h->type);
    out->key = arena_strdup(arena, h->key);
    out->id = arena_strdup(arena, h->id);
    out->source = arena_strdup(arena, h->source);
    out->at_ms = h->at_ms;
    out->payload = payload_json(h, arena);
    return out;
}

void app_events_watch(struct app_events *e, const Operate__WatchEventsRequest *in,
                      struct arena *arena, Operate__WatchedEvents *out)
{
    pthread_mutex_lock(&e->asking);
    listen(e);
    pthread_mutex_unlock(&e->asking);
    pthread_mutex_lock(&e->lock);
    e->asked_at_ms = clock_mono_ms();
    int64_t oldest = e->count > RING ? e->count - RING : 0;
    int64_t from = in->after < 0 || in->after > e->count ? e->count : in->after;
    out->lost_count = from < oldest ? oldest - from : 0;
    from = MAX(from, oldest);
    out->events = arena_array(arena, Operate__WatchedEvent *, (size_t)(e->count - from) + 1);
    for (; from < e->count; from++) {
        const struct heard *h = &e->ring[from % RING];
        const char *channel = h->local ? LOCAL : h->ear->channel;
        if (!in->channel[0] || strcmp(in->channel, channel) == 0)
            out->events[out->n_events++] = shape(h, arena);
    }
    out->next = e->count;
    pthread_mutex_unlock(&e->lock);
}

void app_events_destroy(struct app_events **ep)
{
    struct app_events *e = *ep;
    *ep = NULL;
    if (!e)
        return;
    for (size_t i = 0; i < ARRAY_LEN(ears) && e->is_listening; i++)
        bus_unsubscribe(e->bus, e->subscriptions[i]);
    for (size_t i = 0; i < RING; i++)
        heard_clear(&e->ring[i]);
    pthread_mutex_destroy(&e->asking);
    pthread_mutex_destroy(&e->lock);
    free(e);
}
