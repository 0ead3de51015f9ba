/*
 * This node among others: how much it has to do (whoever places meetings asks every second), which
 * rooms are still wanted (their owners keep them; what nobody keeps is closed, for an owner may
 * have died), and leaving in order: it says that it goes, and waits until its rooms are elsewhere.
 */
#include <sys/resource.h>
#include <unistd.h>

#include "services/media/media_internal.h"

#define KEPT_MS (60 * 1000)
#define SWEEP_MS (5 * 1000)

/* ---- load ---- */

static double packets_of(const struct media_hub *hub)
{
    uint64_t sum = 0;
    for (unsigned w = 0; w < hub->worker_count; w++) {
        const struct sfu_worker *worker = sfu_worker(hub->sfu, w);
        sum += sfu_worker_counter(worker, SFU_COUNTER_RECEIVED) +
               sfu_worker_counter(worker, SFU_COUNTER_SENT);
    }
    return (double)sum;
}

static double cpu_seconds(void)
{
    struct rusage use;
    if (getrusage(RUSAGE_SELF, &use) != 0)
        return 0;
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

/* Over the time since the last look, of at least half a second. */
static void measure(struct media_hub *hub)
{
    struct media_load *load = &hub->load;
    int64_t now_us = clock_mono_us();
    double seconds = (double)(now_us - load->at_us) / 1e6;
    if (load->at_us && seconds < 0.5)
        return;
    double packets = packets_of(hub), cpu = cpu_seconds();
    if (load->at_us) {
        load->packets_per_s = (packets - load->packets) / seconds;
        load->cpu_share =
            (cpu - load->cpu_seconds) / seconds / (double)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L);
    }
    load->at_us = now_us;
    load->packets = packets;
    load->cpu_seconds = cpu;
}

void media_node_write(struct media_hub *hub, Node__Node *out)
{
    measure(hub);
    out->id = (char *)hub->node_id;
    out->is_draining = hub->is_draining;
    out->rooms = (int32_t)map_count(hub->rooms);
    out->people = (int32_t)map_count(hub->sessions);
    out->packets_per_s = hub->load.packets_per_s;
    out->cpu_share = CLAMP(hub->load.cpu_share, 0.0, 1.0);
}

/* ---- rooms that somebody keeps ---- */

bool media_node_keep(struct media_hub *hub, const Media__RoomLease *lease)
{
    struct media_room *room = map_get(hub->rooms, str_from(lease->meeting_id));
    if (!room || room->fence != lease->fence)
        return false;
    room->kept_at_ms = clock_mono_ms();
    return true;
}

void media_room_clear(struct media_room *room)
{
    struct media_hub *hub = room->hub;
    char id[ID_SIZE];
    snprintf(id, sizeof(id), "%s", room->meeting_id);
    while ((room = map_get(hub->rooms, str_from(id)))) /* the last session frees the room */
        media_session_close(LIST_ENTRY(room->sessions.next, struct media_session, in_room));
}

static void on_sweep(void *arg)
{
    struct media_hub *hub = arg;
    int64_t now_ms = clock_mono_ms();
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(hub->rooms, &at, &key, &value)) {
        struct media_room *room = value;
        if (room->fence == 0 || now_ms - room->kept_at_ms < KEPT_MS)
            continue;
        log_warn(NULL, "media: nobody keeps the room of meeting %s: closed", room->meeting_id);
        media_room_clear(room);
    }
    loop_timer_start(hub->loop, &hub->sweep_timer, SWEEP_MS, on_sweep, hub);
}

void media_node_start(struct media_hub *hub)
{
    if (hub->node_id[0])
        on_sweep(hub);
}

void media_node_stop(struct media_hub *hub)
{
    loop_timer_stop(&hub->sweep_timer);
}

/* ---- leaving ---- */

struct leaving {
    struct media_hub *hub;
    size_t rooms;
};

static void start_leaving(void *arg)
{
    struct leaving *l = arg;
    l->hub->is_draining = true;
    l->rooms = map_count(l->hub->rooms);
    if (!l->rooms)
        return;
    Media__MediaEvent event = MEDIA__MEDIA_EVENT__INIT;
    event.type = (char *)"node.draining";
    media_events_publish_node(l->hub, &event);
}

static void count_rooms(void *arg)
{
    struct leaving *l = arg;
    l->rooms = map_count(l->hub->rooms);
}

void media_node_drain(struct media_hub *hub, int64_t timeout_ms)
{
    int64_t until_ms = clock_mono_ms() + timeout_ms;
    struct leaving l = {.hub = hub};
    loop_call(hub->loop, start_leaving, &l);
    while (l.rooms && clock_mono_ms() < until_ms) {
        usleep(50 * 1000);
        loop_call(hub->loop, count_rooms, &l);
    }
    if (l.rooms)
        log_warn(NULL, "media: %zu rooms were not placed elsewhere in time", l.rooms);
}
