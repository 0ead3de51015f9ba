/*
 * Media elsewhere. A node that died, or that says it goes, is left: each of our meetings there gets
 * another node (a new fence, so the former one cannot be taken for the right one when it comes
 * back), each member a new media session, and its client is told as if it had just joined: it makes
 * new peer connections by itself. Rooms are kept by telling their node every few seconds.
 */
#include "services/signaling/signaling_apart_internal.h"

#define KEEP_EVERY_TICKS 5
#define KEEP_MAX 500        /* rooms in one call */
#define OPENING_MAX_MS 5000 /* then a session is opened anew */

static struct metric moves_total =
    METRIC_COUNTER("parlance_signaling_moves_total", "Meetings whose media went to another node.");

/* ---- sessions on the new node ---- */

static void reopen(struct member *m);

static void on_reopened(struct signaling_hub *hub, struct signaling_socket *s UNUSED,
                        int64_t id UNUSED, const ProtobufCMessage *reply, struct rpc_call *call)
{
    const Media__Session *session = (const Media__Session *)reply;
    if (!session)
        return; /* tried again by the clock */
    struct member *m = signaling_member_of_session(hub, session->id);
    if (!m) {
        signaling_session_close(hub, session->id, call->instance);
        return;
    }
    if (!m->is_moving)
        return;
    if (m->fence != m->room->fence) { /* and it moved again */
        signaling_session_close(hub, session->id, call->instance);
        reopen(m);
        return;
    }
    m->is_moving = false;
    m->opened_ms = clock_mono_ms();
    signaling_free(m->session);
    m->session = signaling_copy(reply);
    m->was_moved = m->socket == NULL;
    if (m->socket)
        room_send_joined(m, SIGNALING_NO_ID, false);
}

static void reopen(struct member *m)
{
    m->is_moving = true;
    m->opening_ms = clock_mono_ms();
    strbuf_deinit(&m->offer); /* of the former session */
    id_make(m->session_id);
    signaling_member_open(m, NULL, SIGNALING_NO_ID, on_reopened);
}

static void reopen_all(struct room *room)
{
    room_forget_tracks(room);
    LIST_FOREACH(&room->members, node)
    {
        struct member *m = LIST_ENTRY(node, struct member, in_room);
        if (m->state == MEMBER_JOINED)
            reopen(m);
    }
}

/* ---- another node ---- */

static struct room *find_move(struct signaling_hub *hub, int64_t number)
{
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(hub->rooms, &at, &key, &value))
        if (((struct room *)value)->move_number == number)
            return value;
    return NULL;
}

static void on_moved(struct signaling_hub *hub, struct signaling_socket *s UNUSED, int64_t number,
                     const ProtobufCMessage *reply, struct rpc_call *call)
{
    struct room *room = find_move(hub, number);
    const Meeting__PlaceMeetingReply *r = (const Meeting__PlaceMeetingReply *)reply;
    if (!room)
        return;
    room->move_number = 0;
    if (!r || !r->place) {
        log_warn(NULL, "signaling: meeting %s could not be placed anew: %s", room->id,
                 call->message);
        return; /* the clock tries again */
    }
    bool is_ours = strcmp(r->place->signaling_id, hub->cluster->self_id) == 0;
    if (!is_ours) {
        signaling_place_lost(room);
        return;
    }
    room->fence = r->place->fence;
    snprintf(room->media_id, sizeof(room->media_id), "%s", r->place->media_id);
    log_info(NULL, "signaling: the media of meeting %s goes to node %s", room->id, room->media_id);
    metric_add(&moves_total, 1);
    signaling_place_note(room);
    reopen_all(room);
}

static void move(struct room *room)
{
    struct signaling_hub *hub = room->hub;
    struct signaling_cluster *c = hub->cluster;
    struct signaling_node *n = room->move_number ? NULL : signaling_node_choose(&c->media);
    if (!n)
        return;
    room->move_number = ++c->last_number;
    signaling_place_ask(hub, &(struct place_wish){.meeting_id = room->id,
                                                  .signaling_id = c->self_id,
                                                  .media_id = n->id,
                                                  .expected_fence = room->fence,
                                                  .request_id = room->move_number,
                                                  .done = on_moved});
}

void signaling_move_from(struct signaling_hub *hub, const char *media_id)
{
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(hub->rooms, &at, &key, &value))
        if (strcmp(((struct room *)value)->media_id, media_id) == 0)
            move(value);
}

/* ---- by the clock ---- */

/* A room that was asked about before its node had heard of it is not lost: a meeting that has just
 * moved would move once more. */
static void on_kept(struct signaling_hub *hub, struct signaling_socket *s UNUSED, int64_t asked_ms,
                    const ProtobufCMessage *reply, struct rpc_call *call UNUSED)
{
    const Media__KeepRoomsReply *r = (const Media__KeepRoomsReply *)reply;
    for (size_t i = 0; r && i < r->n_unknown_meeting_ids; i++) {
        struct room *room = room_find(hub, r->unknown_meeting_ids[i]);
        bool has_opened = false;
        if (!room || room->move_number)
            continue;
        LIST_FOREACH(&room->members, node)
        {
            const struct member *m = LIST_ENTRY(node, struct member, in_room);
            has_opened |= m->state == MEMBER_JOINED && !m->is_moving && m->opened_ms < asked_ms;
        }
        if (has_opened)
            move(room); /* it lost what we know of it */
    }
}

static void send_keep(struct signaling_hub *hub, struct signaling_node *n,
                      Media__KeepRoomsRequest *request)
{
    if (request->n_rooms)
        signaling_call(hub, &(struct signaling_call_options){.service = hub->media,
                                                             .method = "KeepRooms",
                                                             .request = &request->base,
                                                             .request_id = clock_mono_ms(),
                                                             .instance = n->instance,
                                                             .timeout_ms = MEDIA_CALL_MS,
                                                             .done = on_kept});
    request->n_rooms = 0;
}

static void keep_of(struct signaling_hub *hub, struct signaling_node *n)
{
    Media__RoomLease leases[KEEP_MAX];
    Media__RoomLease *list[KEEP_MAX];
    Media__KeepRoomsRequest request = MEDIA__KEEP_ROOMS_REQUEST__INIT;
    request.rooms = list;
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(hub->rooms, &at, &key, &value)) {
        struct room *room = value;
        if (strcmp(room->media_id, n->id) != 0)
            continue;
        Media__RoomLease *lease = &leases[request.n_rooms];
        media__room_lease__init(lease);
        lease->meeting_id = room->id;
        lease->fence = room->fence;
        list[request.n_rooms++] = lease;
        if (request.n_rooms == KEEP_MAX)
            send_keep(hub, n, &request);
    }
    send_keep(hub, n, &request);
}

static void mend(struct room *room)
{
    struct signaling_cluster *c = room->hub->cluster;
    int64_t now_ms = clock_mono_ms();
    if (room->move_number)
        return;
    if (!signaling_node_find(&c->media, room->media_id)) {
        move(room);
        return;
    }
    LIST_FOREACH(&room->members, node)
    {
        struct member *m = LIST_ENTRY(node, struct member, in_room);
        if (m->is_moving && now_ms - m->opening_ms > OPENING_MAX_MS)
            reopen(m);
    }
}

void signaling_move_tick(struct signaling_hub *hub)
{
    struct signaling_cluster *c = hub->cluster;
    if (!c->is_media_apart)
        return;
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(hub->rooms, &at, &key, &value))
        mend(value);
    if (c->tick_count % KEEP_EVERY_TICKS != 0)
        return;
    LIST_FOREACH(&c->media.nodes, node)
    {
        struct signaling_node *n = LIST_ENTRY(node, struct signaling_node, in_set);
        if (n->is_alive)
            keep_of(hub, n);
    }
}
