/*
 * task_over: what is over: meetings that ended, streams that stopped. A task about one of them is
 * not begun: its answer says so. Kept in memory, the youngest of them; what is not known here is
 * left to whoever does the task.
 */
#include <stdlib.h>
#include <string.h>

#include "core/id.h"
#include "core/map.h"
#include "core/mem.h"
#include "services/common/event_read.h"
#include "services/task/task_internal.h"

#include "media.pb-c.h"

#define OVER_MAX 8192

struct task_over {
    struct bus *bus;
    int subscriptions[2];
    pthread_mutex_t lock;
    struct map *ids;
    char ring[OVER_MAX][ID_SIZE];
    size_t count; /* ever noted */
};

static void note(struct task_over *o, const char *id)
{
    if (!id_is_valid(id))
        return;
    pthread_mutex_lock(&o->lock);
    if (!map_get(o->ids, str_from(id))) {
        char *slot = o->ring[o->count++ % OVER_MAX];
        if (slot[0])
            map_remove(o->ids, str_from(slot));
        memcpy(slot, id, ID_SIZE);
        map_set(o->ids, str_from(slot), slot);
    }
    pthread_mutex_unlock(&o->lock);
}

bool task_over_has(struct task_over *o, const char *id)
{
    if (!id[0])
        return false;
    pthread_mutex_lock(&o->lock);
    bool is = map_get(o->ids, str_from(id)) != NULL;
    pthread_mutex_unlock(&o->lock);
    return is;
}

static void on_meeting(void *arg, const struct bus_event *event)
{
    if (strcmp(event->type, "meeting.ended") == 0 || strcmp(event->type, "meeting.deleted") == 0)
        note(arg, event->key);
}

static void on_stopped(void *arg, const struct bus_event *event UNUSED, const void *message)
{
    const Media__MediaEvent *e = message;
    if (e->track)
        note(arg, e->track->id);
}

static void on_media(void *arg, const struct bus_event *event)
{
    static const struct event_case stopped = {"stream.stopped", on_stopped};
    event_dispatch(event, &media__media_event__descriptor, &stopped, 1, arg);
}

struct task_over *task_over_create(struct bus *bus)
{
    struct task_over *o = mem_new(struct task_over);
    o->bus = bus;
    o->ids = map_create();
    pthread_mutex_init(&o->lock, NULL);
    o->subscriptions[0] = bus_subscribe(bus, "meeting_events", "ai", on_meeting, o);
    o->subscriptions[1] = bus_subscribe(bus, "media_events", "ai", on_media, o);
    return o;
}

void task_over_stop(struct task_over *o)
{
    for (size_t i = 0; o && i < ARRAY_LEN(o->subscriptions); i++) {
        if (o->subscriptions[i])
            bus_unsubscribe(o->bus, o->subscriptions[i]);
        o->subscriptions[i] = 0;
    }
}

void task_over_destroy(struct task_over **op)
{
    struct task_over *o = *op;
    *op = NULL;
    if (!o)
        return;
    task_over_stop(o);
    map_destroy(&o->ids);
    pthread_mutex_destroy(&o->lock);
    free(o);
}
