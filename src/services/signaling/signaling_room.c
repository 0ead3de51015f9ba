/*
 * A room as its members see it: members, tracks, and what the meeting service said of the meeting.
 * Rooms exist while somebody is in them (or waits, or is away for a moment); the meeting itself
 * lives in the meeting service.
 */
#include "services/signaling/signaling_apart_internal.h"

static struct metric rooms_gauge =
    METRIC_GAUGE("parlance_signaling_rooms", "Rooms with somebody in them.");

struct room *room_find(struct signaling_hub *hub, const char *meeting_id)
{
    return map_get(hub->rooms, str_from(meeting_id));
}

struct room *room_get_or_create(struct signaling_hub *hub, const Meeting__MeetingInfo *meeting)
{
    struct room *room = room_find(hub, meeting->id);
    if (!room) {
        room = mem_zalloc(sizeof(*room));
        room->hub = hub;
        snprintf(room->id, sizeof(room->id), "%s", meeting->id);
        list_init(&room->members);
        list_init(&room->tracks);
        map_set(hub->rooms, str_from(room->id), room);
        metric_add(&rooms_gauge, 1);
    }
    room_set_meeting(room, meeting);
    return room;
}

/* What differs from person to person (my_role, ...) is nobody's in the shared copy. */
void room_set_meeting(struct room *room, const Meeting__MeetingInfo *meeting)
{
    const Meeting__MeetingInfo nobody = MEETING__MEETING_INFO__INIT;
    Meeting__MeetingInfo shared = *meeting;
    shared.my_role = nobody.my_role;
    shared.my_state = nobody.my_state;
    shared.my_participant_id = nobody.my_participant_id;
    signaling_free(room->meeting);
    room->meeting = signaling_copy(&shared.base);
}

static void track_destroy(struct room_track *t)
{
    list_remove(&t->in_room);
    signaling_free(t->track);
    free(t);
}

void room_forget_tracks(struct room *room)
{
    LIST_FOREACH(&room->tracks, node)
    track_destroy(LIST_ENTRY(node, struct room_track, in_room));
}

void room_release(struct room *room)
{
    if (!list_is_empty(&room->members) || room->is_held)
        return;
    if (room->hub->cluster && room->fence > 0)
        signaling_place_release(room);
    room_forget_tracks(room);
    map_remove(room->hub->rooms, str_from(room->id));
    signaling_free(room->meeting);
    free(room);
    metric_add(&rooms_gauge, -1);
}

struct member *room_find_member(struct room *room, const char *participant_id)
{
    LIST_FOREACH(&room->members, node)
    {
        struct member *m = LIST_ENTRY(node, struct member, in_room);
        if (strcmp(m->participant_id, participant_id) == 0)
            return m;
    }
    return NULL;
}

struct member *room_find_session(struct room *room, const char *session_id)
{
    LIST_FOREACH(&room->members, node)
    {
        struct member *m = LIST_ENTRY(node, struct member, in_room);
        if (strcmp(m->session_id, session_id) == 0)
            return m;
    }
    return NULL;
}

static struct room_track *find_track(struct room *room, const char *track_id)
{
    LIST_FOREACH(&room->tracks, node)
    {
        struct room_track *t = LIST_ENTRY(node, struct room_track, in_room);
        if (strcmp(t->track->id, track_id) == 0)
            return t;
    }
    return NULL;
}

void room_set_track(struct room *room, const Media__Track *track)
{
    struct room_track *t = find_track(room, track->id);
    bool is_new = !t;
    if (is_new) {
        t = mem_zalloc(sizeof(*t));
        list_add_tail(&room->tracks, &t->in_room);
    }
    signaling_free(t->track);
    t->track = signaling_copy(&track->base);

    Signaling__TrackFrame frame = SIGNALING__TRACK_FRAME__INIT;
    frame.type = (char *)(is_new ? "track_published" : "track_changed");
    frame.track = t->track;
    room_broadcast(room, NULL, &frame.base);
}

void room_remove_track(struct room *room, const char *track_id)
{
    struct room_track *t = find_track(room, track_id);
    if (!t)
        return;
    Signaling__TrackGoneFrame frame = SIGNALING__TRACK_GONE_FRAME__INIT;
    frame.type = (char *)"track_unpublished";
    frame.track_id = t->track->id;
    frame.participant_id = t->track->participant_id;
    room_broadcast(room, NULL, &frame.base);
    track_destroy(t);
}

static void broadcast_if(struct room *room, const ProtobufCMessage *frame,
                         bool (*is_wanted)(const struct member *m, const void *arg),
                         const void *arg)
{
    struct signaling_socket **sockets = NULL;
    size_t count = 0, capacity = 0;
    LIST_FOREACH(&room->members, node)
    {
        struct member *m = LIST_ENTRY(node, struct member, in_room);
        if (m->state != MEMBER_JOINED || !m->socket || !is_wanted(m, arg))
            continue;
        if (count == capacity) {
            capacity = MAX(2 * capacity, (size_t)16);
            sockets = mem_realloc_array(sockets, capacity, sizeof(*sockets));
        }
        sockets[count++] = m->socket;
    }
    struct strbuf json = {0};
    rpc_json_write(&json, frame);
    signaling_sockets_send_json(sockets, count, strbuf_str(&json));
    strbuf_deinit(&json);
    free(sockets);
}

static bool is_not(const struct member *m, const void *except)
{
    return m != except;
}

void room_broadcast(struct room *room, const struct member *except, const ProtobufCMessage *frame)
{
    broadcast_if(room, frame, is_not, except);
}

static bool is_host(const struct member *m, const void *arg UNUSED)
{
    return member_is_host(m);
}

void room_tell_hosts(struct room *room, const ProtobufCMessage *frame)
{
    broadcast_if(room, frame, is_host, NULL);
}

void room_tell_changed(struct member *m)
{
    if (m->state != MEMBER_JOINED)
        return;
    Signaling__Member shape = member_shape(m);
    Signaling__MemberFrame frame = SIGNALING__MEMBER_FRAME__INIT;
    frame.type = (char *)"participant_changed";
    frame.participant = &shape;
    room_broadcast(m->room, NULL, &frame.base);
}

/* Members of one state as an array of shapes in the arena. */
static Signaling__Member **shapes_of(const struct room *room, enum member_state state,
                                     struct arena *arena, size_t *count)
{
    *count = 0;
    size_t most = 0;
    LIST_FOREACH(&room->members, node)
    most++;
    Signaling__Member **list = arena_array(arena, Signaling__Member *, most);
    LIST_FOREACH(&room->members, member)
    {
        const struct member *m = LIST_ENTRY(member, struct member, in_room);
        if (m->state != state)
            continue;
        list[*count] = arena_new(arena, Signaling__Member);
        *list[(*count)++] = member_shape(m);
    }
    return list;
}

static Media__Track **tracks_of(const struct room *room, struct arena *arena, size_t *count)
{
    *count = 0;
    size_t most = 0;
    LIST_FOREACH(&room->tracks, node)
    most++;
    Media__Track **list = arena_array(arena, Media__Track *, most);
    LIST_FOREACH(&room->tracks, track)
    list[(*count)++] = LIST_ENTRY(track, struct room_track, in_room)->track;
    return list;
}

void room_send_joined(struct member *m, int64_t request_id, bool is_resumed)
{
    struct arena *arena = arena_create();
    Meeting__MeetingInfo meeting = *m->room->meeting;
    meeting.my_role = m->role;
    meeting.my_state = MEETING__PARTICIPANT_STATE__ADMITTED;
    meeting.my_participant_id = m->participant_id;

    Signaling__RoomJoinedFrame frame = SIGNALING__ROOM_JOINED_FRAME__INIT;
    frame.type = (char *)"room_joined";
    if (request_id != SIGNALING_NO_ID) {
        frame._id_case = SIGNALING__ROOM_JOINED_FRAME___ID_ID;
        frame.id = request_id;
    }
    frame.is_resumed = is_resumed;
    frame.resume_token = m->resume_token;
    frame.participant_id = m->participant_id;
    frame.session_id = m->session_id;
    frame.meeting = &meeting;
    frame.participants = shapes_of(m->room, MEMBER_JOINED, arena, &frame.n_participants);
    if (member_is_host(m))
        frame.waiting = shapes_of(m->room, MEMBER_WAITING, arena, &frame.n_waiting);
    frame.tracks = tracks_of(m->room, arena, &frame.n_tracks);
    if (m->session) {
        frame.n_ice_servers = m->session->n_ice_servers;
        frame.ice_servers = m->session->ice_servers;
    }
    frame.server_time_ms = clock_wall_ms();
    signaling_socket_send(m->socket, &frame.base);
    arena_destroy(&arena);
    if (m->offer.n)
        signaling_socket_send_json(m->socket, strbuf_str(&m->offer));
}
