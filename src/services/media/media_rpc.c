/*
 * media's RPCs. A handler runs on a worker thread and has its work done on the control loop. All
 * but the three read-only ones are for the system alone (signaling, which knows who is who): a call
 * with an identity is refused.
 */
#include "services/common/who.h"
#include "services/media/media_internal.h"

struct media_rpc {
    Media__Media_Service base; /* first: a service pointer is a pointer to this */
    struct media_hub *hub;
};

/* One request on its way to the loop and back. */
struct work {
    struct media_hub *hub;
    const void *input;
    struct rpc_call *call;
    void *reply;
    enum err err;
    const char *problem;
};

static void run(Media__Media_Service *service, loop_fn *fn, struct work *w)
{
    w->hub = ((struct media_rpc *)service)->hub;
    if (!who_is_system(w->call)) {
        w->err = ERR_PERMISSION_DENIED;
        w->problem = "Media is steered through signaling.";
        return;
    }
    loop_call(w->hub->loop, fn, w);
}

/* The reply of a finished work, or NULL with the call's error set. */
static void *finish(struct work *w)
{
    if (!w->err)
        return w->reply;
    rpc_fail(w->call, w->err, "%s", w->problem ? w->problem : err_text(w->err));
    return NULL;
}

static struct media_session *session_of(struct work *w, const char *id)
{
    struct media_session *s = media_session_find(w->hub, id);
    if (!s) {
        w->err = ERR_NOT_FOUND;
        w->problem = "No such media session; join again.";
    }
    return s;
}

/* ---- sessions ---- */

static void fill_ice_servers(const struct media_hub *hub, struct arena *arena,
                             Media__IceServer ***list, size_t *count)
{
    if (!hub->stun_count)
        return;
    Media__IceServer *server = arena_new(arena, Media__IceServer);
    media__ice_server__init(server);
    server->urls = arena_array(arena, char *, hub->stun_count);
    for (size_t i = 0; i < hub->stun_count; i++)
        server->urls[server->n_urls++] = (char *)hub->stun_urls[i];
    *list = arena_new(arena, Media__IceServer *);
    (*list)[0] = server;
    *count = 1;
}

static Media__Track **room_tracks(struct media_room *room, struct arena *arena, size_t *count)
{
    size_t most = 0;
    LIST_FOREACH(&room->sessions, node)
    most += LIST_ENTRY(node, struct media_session, in_room)->track_count;
    Media__Track **tracks = arena_array(arena, Media__Track *, most);
    *count = 0;
    LIST_FOREACH(&room->sessions, session_node)
    {
        struct media_session *s = LIST_ENTRY(session_node, struct media_session, in_room);
        LIST_FOREACH(&s->tracks, track_node)
        {
            Media__Track *shape = arena_new(arena, Media__Track);
            media_track_shape(LIST_ENTRY(track_node, struct media_track, in_session), shape, arena);
            tracks[(*count)++] = shape;
        }
    }
    return tracks;
}

static void do_open(void *arg)
{
    struct work *w = arg;
    const Media__OpenSessionRequest *in = w->input;
    if (!id_is_valid(in->meeting_id) || !id_is_valid(in->session_id) ||
        !id_is_valid(in->participant_id)) {
        w->err = ERR_INVALID_ARGUMENT;
        return;
    }
    struct media_session *s;
    if ((w->err = media_session_open(w->hub, in, &s)))
        return;
    Media__Session *reply = w->reply;
    struct arena *arena = w->call->arena;
    reply->id = arena_strdup(arena, s->id);
    fill_ice_servers(w->hub, arena, &reply->ice_servers, &reply->n_ice_servers);
    reply->tracks = room_tracks(s->room, arena, &reply->n_tracks);
    /* The shapes borrow from tracks that may go once the loop is free: keep the reply whole by a
     * copy. */
    size_t n = media__session__get_packed_size(reply);
    uint8_t *bytes = arena_alloc(arena, n + 1);
    media__session__pack(reply, bytes);
    w->reply = media__session__unpack(arena_protobuf(arena, 0), n, bytes);
    if (!w->reply)
        w->err = ERR_RESOURCE_EXHAUSTED;
    media_subscribe_refresh(s);
}

static void handle_open_session(Media__Media_Service *service,
                                const Media__OpenSessionRequest *input,
                                Media__Session_Closure closure, void *closure_data)
{
    Media__Session reply = MEDIA__SESSION__INIT;
    struct work w = {.input = input, .call = closure_data, .reply = &reply};
    run(service, do_open, &w);
    closure(finish(&w), closure_data);
}

static void do_close(void *arg)
{
    struct work *w = arg;
    const Media__CloseSessionRequest *in = w->input;
    struct media_session *s = media_session_find(w->hub, in->session_id);
    if (s)
        media_session_close(s); /* closing twice is fine */
}

static void handle_close_session(Media__Media_Service *service,
                                 const Media__CloseSessionRequest *input,
                                 Media__CloseSessionReply_Closure closure, void *closure_data)
{
    Media__CloseSessionReply reply = MEDIA__CLOSE_SESSION_REPLY__INIT;
    struct work w = {.input = input, .call = closure_data, .reply = &reply};
    run(service, do_close, &w);
    closure(finish(&w), closure_data);
}

/* ---- the node ---- */

static void do_node(void *arg)
{
    struct work *w = arg;
    media_node_write(w->hub, w->reply);
}

static void handle_get_node(Media__Media_Service *service, const Node__GetNodeRequest *input UNUSED,
                            Node__Node_Closure closure, void *closure_data)
{
    Node__Node reply = NODE__NODE__INIT;
    struct work w = {.call = closure_data, .reply = &reply};
    run(service, do_node, &w);
    closure(finish(&w), closure_data);
}

static void do_keep(void *arg)
{
    struct work *w = arg;
    const Media__KeepRoomsRequest *in = w->input;
    Media__KeepRoomsReply *reply = w->reply;
    reply->unknown_meeting_ids = arena_array(w->call->arena, char *, in->n_rooms);
    for (size_t i = 0; i < in->n_rooms; i++) {
        if (!media_node_keep(w->hub, in->rooms[i]))
            reply->unknown_meeting_ids[reply->n_unknown_meeting_ids++] = in->rooms[i]->meeting_id;
    }
}

static void handle_keep_rooms(Media__Media_Service *service, const Media__KeepRoomsRequest *input,
                              Media__KeepRoomsReply_Closure closure, void *closure_data)
{
    Media__KeepRoomsReply reply = MEDIA__KEEP_ROOMS_REPLY__INIT;
    struct work w = {.input = input, .call = closure_data, .reply = &reply};
    run(service, do_keep, &w);
    closure(finish(&w), closure_data);
}

static void do_sync(void *arg)
{
    struct work *w = arg;
    const Media__SyncRoomRequest *in = w->input;
    struct arena *arena = w->call->arena;
    struct media_room *room = map_get(w->hub->rooms, str_from(in->meeting_id));
    if (!room) {
        w->err = ERR_NOT_FOUND;
        return;
    }
    Media__SyncRoomReply reply = MEDIA__SYNC_ROOM_REPLY__INIT;
    reply.meeting_id = in->meeting_id;
    reply.tracks = room_tracks(room, arena, &reply.n_tracks);
    w->reply = rpc_message_copy(arena, &reply.base); /* tracks may go once the loop is free */
    LIST_FOREACH(&room->sessions, node)
    media_subscribe_repeat(LIST_ENTRY(node, struct media_session, in_room));
}

static void handle_sync_room(Media__Media_Service *service, const Media__SyncRoomRequest *input,
                             Media__SyncRoomReply_Closure closure, void *closure_data)
{
    struct work w = {.input = input, .call = closure_data};
    run(service, do_sync, &w);
    closure(finish(&w), closure_data);
}

/* ---- descriptions ---- */

static void do_publish(void *arg)
{
    struct work *w = arg;
    const Media__PublishRequest *in = w->input;
    struct arena *arena = w->call->arena;
    struct media_session *s = session_of(w, in->session_id);
    if (!s)
        return;
    Media__PublishReply *reply = w->reply;
    if ((w->err = media_publish(s, in, arena, reply, &w->problem)))
        return;
    size_t n = media__publish_reply__get_packed_size(reply);
    uint8_t *bytes = arena_alloc(arena, n + 1);
    media__publish_reply__pack(reply, bytes);
    w->reply = media__publish_reply__unpack(arena_protobuf(arena, 0), n, bytes);
    if (!w->reply)
        w->err = ERR_RESOURCE_EXHAUSTED;
}

static void handle_publish(Media__Media_Service *service, const Media__PublishRequest *input,
                           Media__PublishReply_Closure closure, void *closure_data)
{
    Media__PublishReply reply = MEDIA__PUBLISH_REPLY__INIT;
    struct work w = {.input = input, .call = closure_data, .reply = &reply};
    run(service, do_publish, &w);
    closure(finish(&w), closure_data);
}

static void do_answer(void *arg)
{
    struct work *w = arg;
    const Media__AnswerRequest *in = w->input;
    struct media_session *s = session_of(w, in->session_id);
    if (s)
        w->err = media_subscribe_answer(s, in, w->call->arena, &w->problem);
}

static void handle_answer(Media__Media_Service *service, const Media__AnswerRequest *input,
                          Media__AnswerReply_Closure closure, void *closure_data)
{
    Media__AnswerReply reply = MEDIA__ANSWER_REPLY__INIT;
    struct work w = {.input = input, .call = closure_data, .reply = &reply};
    run(service, do_answer, &w);
    closure(finish(&w), closure_data);
}

static void do_restart(void *arg)
{
    struct work *w = arg;
    const Media__RestartSubscriberRequest *in = w->input;
    struct media_session *s = session_of(w, in->session_id);
    if (s)
        w->err = media_subscribe_restart(s);
}

static void handle_restart_subscriber(Media__Media_Service *service,
                                      const Media__RestartSubscriberRequest *input,
                                      Media__RestartSubscriberReply_Closure closure,
                                      void *closure_data)
{
    Media__RestartSubscriberReply reply = MEDIA__RESTART_SUBSCRIBER_REPLY__INIT;
    struct work w = {.input = input, .call = closure_data, .reply = &reply};
    run(service, do_restart, &w);
    closure(finish(&w), closure_data);
}

/* ICE-lite: the client's checks tell where it is, its candidates need not. */
static void do_candidate(void *arg)
{
    struct work *w = arg;
    const Media__AddCandidateRequest *in = w->input;
    session_of(w, in->session_id);
}

static void handle_add_candidate(Media__Media_Service *service,
                                 const Media__AddCandidateRequest *input,
                                 Media__AddCandidateReply_Closure closure, void *closure_data)
{
    Media__AddCandidateReply reply = MEDIA__ADD_CANDIDATE_REPLY__INIT;
    struct work w = {.input = input, .call = closure_data, .reply = &reply};
    run(service, do_candidate, &w);
    closure(finish(&w), closure_data);
}

/* ---- tracks ---- */

static struct media_track *track_of(struct work *w, const char *session_id, const char *track_id)
{
    struct media_session *s = session_of(w, session_id);
    struct media_track *t = s ? media_track_find(s, track_id) : NULL;
    if (s && !t) {
        w->err = ERR_NOT_FOUND;
        w->problem = "No such track of yours.";
    }
    return t;
}

static void do_set_muted(void *arg)
{
    struct work *w = arg;
    const Media__SetTrackMutedRequest *in = w->input;
    struct media_track *t = track_of(w, in->session_id, in->track_id);
    if (t)
        media_track_set_muted(t, in->is_muted);
}

static void handle_set_track_muted(Media__Media_Service *service,
                                   const Media__SetTrackMutedRequest *input,
                                   Media__SetTrackMutedReply_Closure closure, void *closure_data)
{
    Media__SetTrackMutedReply reply = MEDIA__SET_TRACK_MUTED_REPLY__INIT;
    struct work w = {.input = input, .call = closure_data, .reply = &reply};
    run(service, do_set_muted, &w);
    closure(finish(&w), closure_data);
}

static void do_choose(void *arg)
{
    struct work *w = arg;
    const Media__SetSubscriptionRequest *in = w->input;
    struct media_session *s = session_of(w, in->session_id);
    if (!s)
        return;
    w->err = media_subscribe_choose(s, in);
    if (w->err == ERR_NOT_FOUND)
        w->problem = "You do not get such a track.";
    else if (w->err == ERR_INVALID_ARGUMENT)
        w->problem = "rid: the track has no such layer";
}

static void handle_set_subscription(Media__Media_Service *service,
                                    const Media__SetSubscriptionRequest *input,
                                    Media__SetSubscriptionReply_Closure closure, void *closure_data)
{
    Media__SetSubscriptionReply reply = MEDIA__SET_SUBSCRIPTION_REPLY__INIT;
    struct work w = {.input = input, .call = closure_data, .reply = &reply};
    run(service, do_choose, &w);
    closure(finish(&w), closure_data);
}

static void do_unpublish(void *arg)
{
    struct work *w = arg;
    const Media__UnpublishRequest *in = w->input;
    struct media_track *t = track_of(w, in->session_id, in->track_id);
    if (!t)
        return;
    struct media_room *room = t->session->room;
    media_track_remove(t);
    media_room_refresh(room, NULL);
}

static void handle_unpublish(Media__Media_Service *service, const Media__UnpublishRequest *input,
                             Media__UnpublishReply_Closure closure, void *closure_data)
{
    Media__UnpublishReply reply = MEDIA__UNPUBLISH_REPLY__INIT;
    struct work w = {.input = input, .call = closure_data, .reply = &reply};
    run(service, do_unpublish, &w);
    closure(finish(&w), closure_data);
}

/* ---- public ---- */

static void handle_get_capabilities(Media__Media_Service *service UNUSED,
                                    const Media__GetCapabilitiesRequest *input UNUSED,
                                    Media__Capabilities_Closure closure, void *closure_data)
{
    struct rpc_call *call = closure_data;
    Media__Capabilities reply = MEDIA__CAPABILITIES__INIT;
    struct sdp_media kinds[2] = {{0}, {0}};
    reply.codecs = arena_array(call->arena, Media__Codec *, 32);
    reply.header_extensions = arena_array(call->arena, char *, 32);
    for (int k = 0; k < 2; k++) {
        media_sdp_offer_media(k == 0, &kinds[k], call->arena);
        for (size_t i = 0; i < kinds[k].codec_count; i++) {
            const struct sdp_codec *c = &kinds[k].codecs[i];
            if (c->has_apt)
                continue;
            Media__Codec *shape = arena_new(call->arena, Media__Codec);
            media__codec__init(shape);
            shape->kind = (char *)(k == 0 ? "audio" : "video");
            shape->name = str_arena(call->arena, c->name);
            shape->clock_rate = (int32_t)c->clock_rate;
            shape->channels = c->channels;
            shape->fmtp = str_arena(call->arena, c->fmtp);
            reply.codecs[reply.n_codecs++] = shape;
        }
        for (size_t i = 0; i < kinds[k].extmap_count; i++)
            reply.header_extensions[reply.n_header_extensions++] =
                str_arena(call->arena, kinds[k].extmaps[i].uri);
    }
    static char *profiles[] = {(char *)"AEAD_AES_128_GCM", (char *)"AEAD_AES_256_GCM",
                               (char *)"AES_CM_128_HMAC_SHA1_80"};
    reply.has_simulcast = true;
    reply.srtp_profiles = profiles;
    reply.n_srtp_profiles = ARRAY_LEN(profiles);
    closure(&reply, call);
}

static void handle_get_ice_servers(Media__Media_Service *service,
                                   const Media__GetIceServersRequest *input UNUSED,
                                   Media__IceServerList_Closure closure, void *closure_data)
{
    struct rpc_call *call = closure_data;
    Media__IceServerList reply = MEDIA__ICE_SERVER_LIST__INIT;
    if (!who_require(call, ROLE_GUEST)) {
        closure(NULL, call);
        return;
    }
    fill_ice_servers(((struct media_rpc *)service)->hub, call->arena, &reply.ice_servers,
                     &reply.n_ice_servers);
    closure(&reply, call);
}

static void do_stats(void *arg)
{
    struct work *w = arg;
    const Media__GetStatsRequest *in = w->input;
    const char *own_id = who_is_admin(w->call) ? NULL : who_id(w->call);
    struct arena *arena = w->call->arena;
    Media__Stats *reply = w->reply;
    media_stats_write(w->hub, in->meeting_id, own_id, arena, reply);
    size_t n = media__stats__get_packed_size(reply);
    uint8_t *bytes = arena_alloc(arena, n + 1);
    media__stats__pack(reply, bytes);
    w->reply = media__stats__unpack(arena_protobuf(arena, 0), n, bytes);
    if (!w->reply)
        w->err = ERR_RESOURCE_EXHAUSTED;
}

static void handle_get_stats(Media__Media_Service *service, const Media__GetStatsRequest *input,
                             Media__Stats_Closure closure, void *closure_data)
{
    Media__Stats reply = MEDIA__STATS__INIT;
    struct work w = {.hub = ((struct media_rpc *)service)->hub,
                     .input = input,
                     .call = closure_data,
                     .reply = &reply};
    bool is_allowed = who_require(closure_data, ROLE_GUEST);
    if (is_allowed)
        loop_call(w.hub->loop, do_stats, &w);
    void *answer = is_allowed ? finish(&w) : NULL;
    if (answer && !who_is_system(w.call))
        media_stats_of_others(w.hub, w.call, input->meeting_id,
                              who_is_admin(w.call) ? NULL : who_id(w.call), answer);
    closure(answer, closure_data);
}

/* ---- the service ---- */

struct media_rpc *media_rpc_create(struct media_hub *hub)
{
    struct media_rpc *rpc = mem_zalloc(sizeof(*rpc));
    rpc->base = (Media__Media_Service)MEDIA__MEDIA__INIT(handle_);
    rpc->hub = hub;
    return rpc;
}

void media_rpc_destroy(struct media_rpc **rpc)
{
    free(*rpc);
    *rpc = NULL;
}

ProtobufCService *media_rpc_service(struct media_rpc *rpc)
{
    return &rpc->base.base;
}
