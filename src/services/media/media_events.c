/*
 * Events in both directions: what the sfu tells (on packet threads) is copied to the control loop;
 * what the room should know goes out on channel "media_events", at most once, keyed by the meeting.
 */
#include "services/media/media_internal.h"

/* ---- out ---- */

void media_events_publish_node(struct media_hub *hub, Media__MediaEvent *event)
{
    event->node_id = hub->node_id;
    event->version = 1;
    size_t n = media__media_event__get_packed_size(event);
    uint8_t *bytes = mem_alloc(n + 1);
    media__media_event__pack(event, bytes);
    bus_publish(hub->bus, &(struct bus_event){.channel = "media_events",
                                              .type = event->type,
                                              .key = event->meeting_id,
                                              .payload = {(const char *)bytes, n}});
    free(bytes);
}

void media_events_publish(struct media_room *room, Media__MediaEvent *event)
{
    event->meeting_id = room->meeting_id;
    media_events_publish_node(room->hub, event);
}

void media_events_track(const struct media_track *t, const char *type)
{
    struct arena *arena = arena_create();
    Media__Track shape;
    media_track_shape(t, &shape, arena);
    Media__MediaEvent event = MEDIA__MEDIA_EVENT__INIT;
    event.type = (char *)type;
    event.session_id = t->session->id;
    event.participant_id = t->session->participant_id;
    event.track = &shape;
    media_events_publish(t->session->room, &event);
    arena_destroy(&arena);
}

static void publish_connection(struct media_peer *peer, bool is_connected)
{
    if (peer->is_connected == is_connected)
        return;
    peer->is_connected = is_connected;
    Media__MediaEvent event = MEDIA__MEDIA_EVENT__INIT;
    event.type = (char *)(is_connected ? "webrtc.connected" : "webrtc.disconnected");
    event.session_id = peer->session->id;
    event.participant_id = peer->session->participant_id;
    event.connection = (char *)(peer->is_subscriber ? "subscribe" : "publish");
    media_events_publish(peer->session->room, &event);
}

/* ---- in ---- */

struct heard {
    struct media_hub *hub;
    struct sfu_event event;
    struct media_stats *stats;
    struct sfu_speaker speakers[SFU_MAX_SPEAKERS];
};

static void on_speakers(struct media_hub *hub, const struct heard *h)
{
    struct media_room *room = map64_get(hub->numbers, h->event.room);
    if (!room)
        return;
    Media__Speaker shapes[SFU_MAX_SPEAKERS];
    Media__Speaker *list[SFU_MAX_SPEAKERS];
    Media__MediaEvent event = MEDIA__MEDIA_EVENT__INIT;
    event.type = (char *)"speakers.changed";
    event.speakers = list;
    for (size_t i = 0; i < h->event.speaker_count; i++) {
        struct media_peer *peer = map64_get(hub->peers, h->speakers[i].peer);
        if (!peer)
            continue;
        Media__Speaker *shape = &shapes[event.n_speakers];
        media__speaker__init(shape);
        shape->participant_id = peer->session->participant_id;
        shape->level = h->speakers[i].level;
        list[event.n_speakers++] = shape;
    }
    media_events_publish(room, &event);
}

static void on_producer_started(struct media_peer *peer, const struct sfu_event *e)
{
    LIST_FOREACH(&peer->session->tracks, node)
    {
        struct media_track *t = LIST_ENTRY(node, struct media_track, in_session);
        if (t->number == e->track && e->codec != SFU_CODEC_NONE)
            t->codec = e->codec; /* what is really sent */
    }
}

static void on_loop(void *arg)
{
    struct heard *h = arg;
    struct media_peer *peer = h->event.peer ? map64_get(h->hub->peers, h->event.peer) : NULL;
    switch (h->event.type) {
    case SFU_EVENT_PEER_CONNECTED:
    case SFU_EVENT_PEER_RECONNECTED:
        if (peer)
            publish_connection(peer, true);
        break;
    case SFU_EVENT_PEER_DISCONNECTED:
    case SFU_EVENT_PEER_FAILED:
    case SFU_EVENT_PEER_CLOSED:
        if (peer)
            publish_connection(peer, false);
        break;
    case SFU_EVENT_PRODUCER_STARTED:
        if (peer)
            on_producer_started(peer, &h->event);
        break;
    case SFU_EVENT_SPEAKERS:
        on_speakers(h->hub, h);
        break;
    case SFU_EVENT_STATS:
        if (peer && h->stats) {
            media_stats_set(peer, h->stats);
            h->stats = NULL;
        }
        break;
    default:
        break;
    }
    media_stats_free(&h->stats);
    free(h);
}

void media_events_on_sfu(void *arg, const struct sfu_event *event)
{
    struct media_hub *hub = arg;
    struct heard *h = mem_zalloc(sizeof(*h));
    h->hub = hub;
    h->event = *event;
    h->event.stats = NULL;
    h->event.speakers = NULL;
    if (event->type == SFU_EVENT_STATS && event->stats)
        h->stats = media_stats_copy(event->stats);
    if (event->type == SFU_EVENT_SPEAKERS) {
        h->event.speaker_count = MIN(event->speaker_count, (size_t)SFU_MAX_SPEAKERS);
        memcpy(h->speakers, event->speakers, h->event.speaker_count * sizeof(h->speakers[0]));
    }
    loop_post(hub->loop, on_loop, h);
}
