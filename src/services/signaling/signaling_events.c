/*
 * What signaling hears: the meeting service says who was admitted, removed, made host; media says
 * which tracks come and go, what to offer to whom, who speaks; auth says which sign-ins ended.
 * Events are copied from the bus's threads to the loop.
 */
#include "services/common/session_news.h"
#include "services/signaling/signaling_apart_internal.h"

struct heard {
    struct signaling_hub *hub;
    Meeting__MeetingEvent *meeting;
    Media__MediaEvent *media;
    struct session_news news;
};

/* ---- meeting ---- */

/* Who has just become a host hears who waits already. */
static void send_all_waiting(struct member *host)
{
    LIST_FOREACH(&host->room->members, node)
    {
        const struct member *m = LIST_ENTRY(node, struct member, in_room);
        if (m->state != MEMBER_WAITING || !host->socket)
            continue;
        Signaling__Member shape = member_shape(m);
        Signaling__MemberFrame frame = SIGNALING__MEMBER_FRAME__INIT;
        frame.type = (char *)"participant_waiting";
        frame.participant = &shape;
        signaling_socket_send(host->socket, &frame.base);
    }
}

static void update_member(struct room *room, const Meeting__Participant *p)
{
    struct member *m = p ? room_find_member(room, p->id) : NULL;
    if (!m)
        return;
    bool was_host = member_is_host(m);
    m->role = p->role;
    free(m->name);
    m->name = mem_strdup(p->name);
    room_tell_changed(m);
    if (!was_host && member_is_host(m) && m->state == MEMBER_JOINED)
        send_all_waiting(m);
}

/* A screen's sound goes with its picture. */
static bool is_of_kind(Media__Source source, const char *kind)
{
    if (strcmp(kind, "video") == 0)
        return source == MEDIA__SOURCE__CAMERA;
    if (strcmp(kind, "screen") == 0)
        return source == MEDIA__SOURCE__SCREEN || source == MEDIA__SOURCE__SCREEN_AUDIO;
    return source == MEDIA__SOURCE__MICROPHONE;
}

/* The server holds the track back at once; the person's client is told so that its button shows it.
 */
static void mute_member(struct room *room, const Meeting__MeetingEvent *e)
{
    struct member *m = e->participant ? room_find_member(room, e->participant->id) : NULL;
    if (!m || m->state != MEMBER_JOINED)
        return;
    LIST_FOREACH(&room->tracks, node)
    {
        const Media__Track *t = LIST_ENTRY(node, struct room_track, in_room)->track;
        if (!is_of_kind(t->source, e->kind) || strcmp(t->session_id, m->session_id) != 0)
            continue;
        Media__SetTrackMutedRequest request = MEDIA__SET_TRACK_MUTED_REQUEST__INIT;
        request.session_id = m->session_id;
        request.track_id = t->id;
        request.is_muted = true;
        signaling_call(room->hub, &(struct signaling_call_options){
                                      .service = room->hub->media,
                                      .method = "SetTrackMuted",
                                      .request = &request.base,
                                      .instance = signaling_media_instance(room)});
    }
    if (!m->socket)
        return;
    Signaling__MuteRequestedFrame frame = SIGNALING__MUTE_REQUESTED_FRAME__INIT;
    frame.type = (char *)"mute_requested";
    frame.kind = e->kind;
    frame.actor_id = e->actor_id;
    signaling_socket_send(m->socket, &frame.base);
}

static void end_room(struct room *room, const char *actor_id)
{
    struct signaling_hub *hub = room->hub;
    char id[ID_SIZE];
    snprintf(id, sizeof(id), "%s", room->id);
    Signaling__MeetingFrame frame = SIGNALING__MEETING_FRAME__INIT;
    frame.type = (char *)"meeting_ended";
    frame.actor_id = (char *)actor_id;
    frame.meeting = signaling_copy(&room->meeting->base);
    while ((room = room_find(hub, id))) { /* the last removal frees the room */
        struct member *m = LIST_ENTRY(room->members.next, struct member, in_room);
        struct signaling_socket *s = m->socket;
        if (s)
            signaling_socket_send(s, &frame.base);
        signaling_member_remove(m, "ended", false);
        if (s)
            signaling_socket_close(s, CLOSE_NORMAL, "the meeting has ended");
    }
    signaling_free(frame.meeting);
}

static void tell_meeting_changed(struct room *room)
{
    Signaling__MeetingFrame frame = SIGNALING__MEETING_FRAME__INIT;
    frame.type = (char *)"meeting_changed";
    frame.meeting = room->meeting;
    room_broadcast(room, NULL, &frame.base);
}

static bool is_departure(const char *type)
{
    return strcmp(type, "meeting.user_left") == 0 || strcmp(type, "meeting.user_removed") == 0 ||
           strcmp(type, "meeting.user_refused") == 0;
}

/* By REST, while the socket is open. */
static void left_elsewhere(struct member *m, const char *kind)
{
    struct signaling_socket *s = m->socket;
    signaling_member_remove(m, strcmp(kind, "timeout") == 0 ? "timeout" : "left", false);
    if (s)
        signaling_socket_close(s, CLOSE_NORMAL, "left");
}

static void on_meeting(struct signaling_hub *hub, const Meeting__MeetingEvent *e)
{
    struct room *room = room_find(hub, e->meeting_id);
    if (!room)
        return;
    if (e->place && e->place->fence > room->fence &&
        strcmp(e->place->signaling_id, hub->cluster ? hub->cluster->self_id : "") != 0) {
        signaling_place_lost(room);
        return;
    }
    if (e->meeting)
        room_set_meeting(room, e->meeting);
    struct member *m = e->participant ? room_find_member(room, e->participant->id) : NULL;
    if (m && is_departure(e->type) && e->at_ms < m->entered_at_ms)
        return; /* of a former presence: it has come back since */

    if (strcmp(e->type, "meeting.ended") == 0 || strcmp(e->type, "meeting.deleted") == 0) {
        end_room(room, e->actor_id);
    } else if (strcmp(e->type, "meeting.updated") == 0 || strcmp(e->type, "meeting.started") == 0) {
        tell_meeting_changed(room);
    } else if (strcmp(e->type, "meeting.user_joined") == 0 && m) {
        if (m->state != MEMBER_JOINED)
            signaling_member_admitted(m);
        else if (strcmp(m->name, e->participant->name) != 0)
            update_member(room, e->participant); /* joined again under another name */
    } else if (strcmp(e->type, "meeting.user_refused") == 0 && m) {
        signaling_member_put_out(m, "refused", "refused");
    } else if (strcmp(e->type, "meeting.user_removed") == 0 && m) {
        signaling_member_put_out(m, "removed", "removed");
    } else if (strcmp(e->type, "meeting.user_left") == 0 && m) {
        left_elsewhere(m, e->kind);
    } else if (strcmp(e->type, "meeting.role_changed") == 0) {
        update_member(room, e->participant);
        if (e->meeting)
            tell_meeting_changed(room);
    } else if (strcmp(e->type, "meeting.mute_requested") == 0) {
        mute_member(room, e);
    }
}

/* ---- media ---- */

static void on_offer(struct room *room, const Media__MediaEvent *e)
{
    struct member *m = room_find_session(room, e->session_id);
    if (!m)
        return;
    Signaling__OfferFrame frame = SIGNALING__OFFER_FRAME__INIT;
    frame.type = (char *)"offer";
    frame.revision = e->revision;
    frame.sdp = e->sdp;
    frame.places = e->places;
    frame.n_places = e->n_places;
    /* Kept until it is answered: a socket that comes back gets it again. */
    strbuf_clear(&m->offer);
    m->offer_revision = e->revision;
    rpc_json_write(&m->offer, &frame.base);
    if (m->state == MEMBER_JOINED && m->socket)
        signaling_socket_send_json(m->socket, strbuf_str(&m->offer));
}

static void on_speakers(struct room *room, const Media__MediaEvent *e)
{
    Signaling__SpeakersFrame frame = SIGNALING__SPEAKERS_FRAME__INIT;
    frame.type = (char *)"speakers";
    frame.speakers = e->speakers;
    frame.n_speakers = e->n_speakers;
    room_broadcast(room, NULL, &frame.base);
}

static void on_connection(struct room *room, const Media__MediaEvent *e, bool is_connected)
{
    struct member *m = room_find_session(room, e->session_id);
    if (m)
        signaling_tell(m, e->type, e->connection);
    if (!m || !m->socket || m->state != MEMBER_JOINED)
        return;
    Signaling__ConnectionFrame frame = SIGNALING__CONNECTION_FRAME__INIT;
    frame.type = (char *)"connection";
    frame.connection = e->connection;
    frame.state = (char *)(is_connected ? "connected" : "disconnected");
    signaling_socket_send(m->socket, &frame.base);
}

static void on_quality(struct room *room, const Media__MediaEvent *e)
{
    if (!e->quality)
        return;
    Signaling__QualityFrame frame = SIGNALING__QUALITY_FRAME__INIT;
    frame.type = (char *)"quality";
    frame.participant_id = e->participant_id;
    frame.score = e->quality->score;
    frame.cause = e->quality->cause;
    frame.loss = e->quality->loss;
    frame.round_trip_ms = e->quality->round_trip_ms;
    room_broadcast(room, NULL, &frame.base);
}

static void on_media(struct signaling_hub *hub, const Media__MediaEvent *e)
{
    if (hub->cluster && strcmp(e->type, "node.draining") == 0)
        signaling_nodes_leave(hub, e->node_id);
    struct room *room = room_find(hub, e->meeting_id);
    if (!room || (hub->cluster && strcmp(e->node_id, room->media_id) != 0))
        return; /* or of a node where the meeting was */
    bool is_stream = strncmp(e->type, "stream.", 7) == 0;
    if (is_stream && e->track && strcmp(e->type, "stream.stopped") == 0)
        room_remove_track(room, e->track->id);
    else if (is_stream && e->track && room_find_session(room, e->track->session_id))
        room_set_track(room, e->track);
    else if (strcmp(e->type, "subscriber.offer") == 0)
        on_offer(room, e);
    else if (strcmp(e->type, "speakers.changed") == 0)
        on_speakers(room, e);
    else if (strcmp(e->type, "webrtc.connected") == 0)
        on_connection(room, e, true);
    else if (strcmp(e->type, "webrtc.disconnected") == 0)
        on_connection(room, e, false);
    else if (strcmp(e->type, "quality.changed") == 0)
        on_quality(room, e);
}

/* ---- from the bus's threads ---- */

static void on_loop(void *arg)
{
    struct heard *h = arg;
    if (h->meeting)
        on_meeting(h->hub, h->meeting);
    else if (h->media)
        on_media(h->hub, h->media);
    else if (h->news.role)
        signaling_socket_set_role(h->hub, h->news.user_id, h->news.role);
    else
        signaling_socket_revoke(h->hub, h->news.user_id, h->news.session_id);
    signaling_free(h->meeting);
    signaling_free(h->media);
    free(h);
}

static void hear(const struct heard *h)
{
    struct heard *copy = mem_alloc(sizeof(*copy));
    *copy = *h;
    loop_post(h->hub->loop, on_loop, copy);
}

static void on_meeting_event(void *arg, const struct bus_event *e)
{
    Meeting__MeetingEvent *m =
        meeting__meeting_event__unpack(NULL, e->payload.n, (const uint8_t *)e->payload.p);
    if (m)
        hear(&(struct heard){.hub = arg, .meeting = m});
}

static void on_media_event(void *arg, const struct bus_event *e)
{
    Media__MediaEvent *m =
        media__media_event__unpack(NULL, e->payload.n, (const uint8_t *)e->payload.p);
    if (m)
        hear(&(struct heard){.hub = arg, .media = m});
}

static void on_gap(void *arg, const struct bus_event *e UNUSED)
{
    struct signaling_hub *hub = arg;
    loop_post(hub->loop, signaling_gap, hub);
}

static void on_auth_event(void *arg, const struct bus_event *e)
{
    struct heard h = {.hub = arg};
    if (session_news_read(e, &h.news))
        hear(&h);
}

void signaling_events_start(struct signaling_hub *hub)
{
    hub->subscriptions[0] =
        bus_subscribe(hub->bus, "meeting_events", "signaling", on_meeting_event, hub);
    hub->subscriptions[1] =
        bus_subscribe(hub->bus, "media_events", "signaling", on_media_event, hub);
    hub->subscriptions[2] = bus_subscribe(hub->bus, "auth_events", "signaling", on_auth_event, hub);
    hub->subscriptions[3] = bus_on_gap(hub->bus, "signaling", on_gap, hub);
}

void signaling_events_stop(struct signaling_hub *hub)
{
    for (size_t i = 0; i < ARRAY_LEN(hub->subscriptions); i++)
        bus_unsubscribe(hub->bus, hub->subscriptions[i]);
}
