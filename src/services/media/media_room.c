/*
 * Rooms, sessions and tracks: what is published by whom. A room exists while it has a session; a
 * session is one participant's pair of peer connections and goes when signaling says so.
 */
#include "services/media/media_internal.h"

static struct metric rooms_gauge =
    METRIC_GAUGE("parlance_media_rooms", "Rooms with media sessions.");
static struct metric sessions_gauge = METRIC_GAUGE("parlance_media_sessions", "Media sessions.");
static struct metric tracks_gauge =
    METRIC_GAUGE("parlance_media_tracks", "Published tracks.", "source");

static const char *const source_names[] = {"microphone", "camera", "screen", "screen_audio"};

static void count_track(const struct media_track *t, double delta)
{
    metric_cell_add(metric_cell(&tracks_gauge, source_names[t->source], NULL, NULL), delta);
}

/* Seen from the start, not from the first meeting on. */
void media_room_metrics_start(void)
{
    metric_set(&rooms_gauge, 0);
    metric_set(&sessions_gauge, 0);
    for (size_t i = 0; i < ARRAY_LEN(source_names); i++)
        metric_cell_set(metric_cell(&tracks_gauge, source_names[i], NULL, NULL), 0);
}

/* ---- rooms ---- */

static struct media_room *room_get_or_create(struct media_hub *hub, const char *meeting_id)
{
    struct media_room *room = map_get(hub->rooms, str_from(meeting_id));
    if (room)
        return room;
    room = mem_zalloc(sizeof(*room));
    room->hub = hub;
    room->number = ++hub->room_last_number;
    snprintf(room->meeting_id, sizeof(room->meeting_id), "%s", meeting_id);
    list_init(&room->sessions);
    map_set(hub->rooms, str_from(room->meeting_id), room);
    map64_set(hub->numbers, room->number, room);
    metric_add(&rooms_gauge, 1);
    return room;
}

static void room_release(struct media_room *room)
{
    if (!list_is_empty(&room->sessions))
        return;
    map_remove(room->hub->rooms, str_from(room->meeting_id));
    map64_remove(room->hub->numbers, room->number);
    free(room);
    metric_add(&rooms_gauge, -1);
}

void media_room_refresh(struct media_room *room, const struct media_session *except)
{
    LIST_FOREACH(&room->sessions, node)
    {
        struct media_session *s = LIST_ENTRY(node, struct media_session, in_room);
        if (s != except)
            media_subscribe_refresh(s);
    }
}

struct media_track *media_room_find_track(struct media_room *room, const char *track_id)
{
    LIST_FOREACH(&room->sessions, node)
    {
        struct media_session *s = LIST_ENTRY(node, struct media_session, in_room);
        struct media_track *t = media_track_find(s, track_id);
        if (t)
            return t;
    }
    return NULL;
}

/* ---- sessions ---- */

struct media_session *media_session_find(struct media_hub *hub, const char *id)
{
    return map_get(hub->sessions, str_from(id));
}

static enum err peer_open(struct media_session *s, struct media_peer *peer, bool is_subscriber)
{
    struct media_hub *hub = s->room->hub;
    peer->session = s;
    peer->is_subscriber = is_subscriber;
    struct sfu_peer_options opt = {.room = s->room->number};
    enum err err = sfu_peer_add(hub->sfu, &opt, &peer->id, &peer->credentials);
    if (!err)
        map64_set(hub->peers, peer->id, peer);
    return err;
}

static void peer_close(struct media_hub *hub, struct media_peer *peer)
{
    if (!peer->id)
        return;
    map64_remove(hub->peers, peer->id);
    if (sfu_peer_remove(hub->sfu, peer->id))
        log_debug(NULL, "media: a peer was gone already");
    media_stats_free(&peer->stats);
    peer->id = 0;
}

/* Whoever opened what is here under an older fence is not the owner any more. */
static enum err check_fence(struct media_hub *hub, const Media__OpenSessionRequest *req)
{
    struct media_room *room = map_get(hub->rooms, str_from(req->meeting_id));
    if (!room)
        return hub->is_draining ? ERR_UNAVAILABLE : ERR_OK;
    if (req->fence == room->fence)
        return ERR_OK;
    if (req->fence < room->fence)
        return ERR_FAILED_PRECONDITION;
    if (hub->is_draining)
        return ERR_UNAVAILABLE; /* not once more to where it is leaving from */
    media_room_clear(room);
    return ERR_OK;
}

enum err media_session_open(struct media_hub *hub, const Media__OpenSessionRequest *req,
                            struct media_session **out)
{
    enum err err = check_fence(hub, req);
    if (err)
        return err;
    if (media_session_find(hub, req->session_id))
        return ERR_ALREADY_EXISTS;
    if (map_count(hub->sessions) >= hub->session_max)
        return ERR_RESOURCE_EXHAUSTED;
    struct media_session *s = mem_zalloc(sizeof(*s));
    s->room = room_get_or_create(hub, req->meeting_id);
    s->room->fence = req->fence;
    s->room->kept_at_ms = clock_mono_ms();
    snprintf(s->id, sizeof(s->id), "%s", req->session_id);
    snprintf(s->participant_id, sizeof(s->participant_id), "%s", req->participant_id);
    snprintf(s->user_id, sizeof(s->user_id), "%s", req->user_id);
    id_random(&s->sdp_id, sizeof(s->sdp_id));
    s->sdp_id >>= 2; /* RFC 8829, 5.2.1: 62 bits suit everybody */
    s->quality_score = 3;
    s->opened_at_ms = clock_wall_ms();
    list_init(&s->tracks);
    list_add_tail(&s->room->sessions, &s->in_room);
    map_set(hub->sessions, str_from(s->id), s);
    metric_add(&sessions_gauge, 1);
    err = peer_open(s, &s->publisher, false);
    if (!err)
        err = peer_open(s, &s->subscriber, true);
    if (err) {
        media_session_close(s);
        return err;
    }
    *out = s;
    return ERR_OK;
}

void media_session_close(struct media_session *s)
{
    struct media_room *room = s->room;
    struct media_hub *hub = room->hub;
    LIST_FOREACH(&s->tracks, node)
    media_track_remove(LIST_ENTRY(node, struct media_track, in_session));
    peer_close(hub, &s->publisher);
    peer_close(hub, &s->subscriber);
    list_remove(&s->in_room);
    map_remove(hub->sessions, str_from(s->id));
    metric_add(&sessions_gauge, -1);
    media_room_refresh(room, NULL);
    room_release(room);
    free(s->slots);
    free(s);
}

/* ---- tracks ---- */

struct media_track *media_track_find(struct media_session *s, const char *track_id)
{
    LIST_FOREACH(&s->tracks, node)
    {
        struct media_track *t = LIST_ENTRY(node, struct media_track, in_session);
        if (strcmp(t->id, track_id) == 0)
            return t;
    }
    return NULL;
}

void media_track_remove(struct media_track *t)
{
    struct media_session *s = t->session;
    if (sfu_producer_remove(s->room->hub->sfu, s->publisher.id, t->number))
        log_debug(NULL, "media: a producer was gone already");
    list_remove(&t->in_session);
    s->track_count--;
    if (t->is_started) {
        media_store_stopped(t);
        media_events_track(t, "stream.stopped");
        count_track(t, -1);
    }
    LIST_FOREACH(&s->room->sessions, node)
    media_subscribe_forget(LIST_ENTRY(node, struct media_session, in_room), t);
    free(t);
}

void media_track_started(struct media_track *t)
{
    t->is_started = true;
    media_store_started(t);
    media_events_track(t, "stream.started");
    count_track(t, 1);
}

void media_track_shape(const struct media_track *t, Media__Track *shape, struct arena *arena)
{
    media__track__init(shape);
    shape->id = (char *)t->id;
    shape->session_id = t->session->id;
    shape->participant_id = t->session->participant_id;
    shape->user_id = t->session->user_id;
    shape->mid = (char *)t->mid;
    shape->source = t->source;
    shape->kind = (char *)(t->is_audio ? "audio" : "video");
    shape->codec = (char *)sfu_codec_name(t->codec);
    shape->is_muted = t->is_muted;
    shape->processed = arena_array(arena, char *, MEDIA_PROCESSINGS);
    for (unsigned i = 0; i < MEDIA_PROCESSINGS; i++)
        if (t->processed & 1u << i)
            shape->processed[shape->n_processed++] = (char *)media_processings[i];
    shape->n_rids = t->rid_count;
    shape->rids = arena_array(arena, char *, t->rid_count);
    for (size_t i = 0; i < t->rid_count; i++)
        shape->rids[i] = (char *)t->rids[i];
}

void media_track_set_muted(struct media_track *t, bool is_muted)
{
    if (t->is_muted == is_muted)
        return;
    t->is_muted = is_muted;
    struct sfu_producer_flags flags = {.is_muted = is_muted};
    if (sfu_producer_set_flags(t->session->room->hub->sfu, t->session->publisher.id, t->number,
                               flags))
        log_debug(NULL, "media: muting a producer that is gone");
    media_events_track(t, is_muted ? "stream.muted" : "stream.unmuted");
}
