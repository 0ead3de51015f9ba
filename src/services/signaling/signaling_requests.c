/*
 * The requests of the socket: a table from type to handler. A handler answers at once and returns
 * true, or starts a call whose answer replies later and returns false; meanwhile the socket's next
 * frames wait.
 */
#include "services/signaling/signaling_apart_internal.h"

typedef bool request_fn(struct signaling_socket *s, const Signaling__ClientFrame *f);

enum request_needs { NEEDS_NOTHING, NEEDS_SIGN_IN, NEEDS_ROOM };

/* ---- answers ---- */

void signaling_reply_ok(struct signaling_socket *s, int64_t id)
{
    if (id == SIGNALING_NO_ID)
        return;
    Signaling__OkFrame frame = SIGNALING__OK_FRAME__INIT;
    frame.type = (char *)"ok";
    frame._id_case = SIGNALING__OK_FRAME___ID_ID;
    frame.id = id;
    signaling_socket_send(s, &frame.base);
}

void signaling_reply_error(struct signaling_socket *s, int64_t id, enum err err,
                           const char *message)
{
    s->span_err = err;
    Signaling__ErrorFrame frame = SIGNALING__ERROR_FRAME__INIT;
    frame.type = (char *)"error";
    if (id != SIGNALING_NO_ID) {
        frame._id_case = SIGNALING__ERROR_FRAME___ID_ID;
        frame.id = id;
    }
    frame.code = (char *)err_name(err);
    frame.message = (char *)(message && message[0] ? message : err_text(err));
    frame.request_id = s->request_id;
    signaling_socket_send(s, &frame.base);
}

int64_t signaling_frame_id(const Signaling__ClientFrame *f)
{
    return f->_id_case == SIGNALING__CLIENT_FRAME___ID_ID ? f->id : SIGNALING_NO_ID;
}

/* The common end of calls whose reply carries nothing. */
static void on_ok(struct signaling_hub *hub UNUSED, struct signaling_socket *s, int64_t id,
                  const ProtobufCMessage *reply, struct rpc_call *call)
{
    if (!s)
        return;
    if (reply)
        signaling_reply_ok(s, id);
    else
        signaling_reply_error(s, id, call->err, call->message);
    signaling_socket_done(s);
}

static bool call_media(struct signaling_socket *s, const Signaling__ClientFrame *f,
                       const char *method, const ProtobufCMessage *request,
                       signaling_reply_fn *done)
{
    signaling_call(s->hub, &(struct signaling_call_options){
                               .service = s->hub->media,
                               .method = method,
                               .request = request,
                               .socket = s,
                               .request_id = signaling_frame_id(f),
                               .instance = signaling_media_instance(s->member->room),
                               .timeout_ms = s->hub->cluster ? MEDIA_CALL_MS : 0,
                               .done = done,
                           });
    return false;
}

/* ---- signing in ---- */

static void on_validated(struct signaling_hub *hub, struct signaling_socket *s, int64_t id,
                         const ProtobufCMessage *reply, struct rpc_call *call)
{
    if (!s)
        return;
    const Auth__ValidateTokenReply *r = (const Auth__ValidateTokenReply *)reply;
    if (r && signaling_socket_is_revoked(hub, r->session_id)) {
        signaling_reply_error(s, id, ERR_UNAUTHENTICATED, "");
        signaling_socket_close(s, CLOSE_UNAUTHENTICATED, "signed out");
        signaling_socket_done(s);
        return;
    }
    bool is_other = r && s->is_authenticated && strcmp(r->user_id, s->who.user_id) != 0;
    if (!r || is_other) {
        signaling_reply_error(s, id, r ? ERR_PERMISSION_DENIED : call->err,
                              r ? "This socket belongs to somebody else." : call->message);
        bool is_refused =
            r || call->err == ERR_UNAUTHENTICATED || call->err == ERR_INVALID_ARGUMENT;
        signaling_socket_close(s, is_refused ? CLOSE_UNAUTHENTICATED : CLOSE_TOO_SLOW,
                               "sign in first");
        signaling_socket_done(s);
        return;
    }
    signaling_socket_authenticated(s, r);
    signaling_socket_set_authenticated(s);
    signaling_relay_who(s);
    Signaling__OkFrame frame = SIGNALING__OK_FRAME__INIT;
    frame.type = (char *)"ok";
    if (id != SIGNALING_NO_ID) {
        frame._id_case = SIGNALING__OK_FRAME___ID_ID;
        frame.id = id;
    }
    frame._user_id_case = SIGNALING__OK_FRAME___USER_ID_USER_ID;
    frame.user_id = s->who.user_id;
    signaling_socket_send(s, &frame.base);
    signaling_socket_done(s);
}

static bool on_auth(struct signaling_socket *s, const Signaling__ClientFrame *f)
{
    Auth__ValidateTokenRequest request = AUTH__VALIDATE_TOKEN_REQUEST__INIT;
    request.token = f->token;
    request.scope = (char *)"sockets";
    signaling_call(s->hub, &(struct signaling_call_options){
                               .service = s->hub->auth,
                               .method = "ValidateToken",
                               .request = &request.base,
                               .socket = s,
                               .request_id = signaling_frame_id(f),
                               .is_idempotent = true,
                               .done = on_validated,
                           });
    return false;
}

static bool on_ping(struct signaling_socket *s, const Signaling__ClientFrame *f)
{
    Signaling__OkFrame frame = SIGNALING__OK_FRAME__INIT;
    frame.type = (char *)"pong";
    if (signaling_frame_id(f) != SIGNALING_NO_ID) {
        frame._id_case = SIGNALING__OK_FRAME___ID_ID;
        frame.id = f->id;
    }
    frame._server_time_ms_case = SIGNALING__OK_FRAME___SERVER_TIME_MS_SERVER_TIME_MS;
    frame.server_time_ms = clock_wall_ms();
    signaling_socket_send(s, &frame.base);
    return true;
}

/* ---- media ---- */

static void on_published(struct signaling_hub *hub UNUSED, struct signaling_socket *s, int64_t id,
                         const ProtobufCMessage *reply, struct rpc_call *call)
{
    if (!s)
        return;
    const Media__PublishReply *r = (const Media__PublishReply *)reply;
    if (!r) {
        signaling_reply_error(s, id, call->err, call->message);
        signaling_socket_done(s);
        return;
    }
    if (s->member)
        s->member->has_offered = true;
    Signaling__AnswerFrame frame = SIGNALING__ANSWER_FRAME__INIT;
    frame.type = (char *)"answer";
    if (id != SIGNALING_NO_ID) {
        frame._id_case = SIGNALING__ANSWER_FRAME___ID_ID;
        frame.id = id;
    }
    frame.sdp = r->sdp;
    frame.tracks = r->tracks;
    frame.n_tracks = r->n_tracks;
    signaling_socket_send(s, &frame.base);
    signaling_socket_done(s);
}

static bool may_share(const struct member *m)
{
    return m->room->meeting->can_participants_share || member_is_host(m);
}

static bool on_offer(struct signaling_socket *s, const Signaling__ClientFrame *f)
{
    struct member *m = s->member;
    bool is_muted_on_entry =
        !m->has_offered && m->room->meeting->is_muted_on_entry && !member_is_host(m);
    for (size_t i = 0; i < f->n_tracks; i++) {
        Media__TrackIntent *t = f->tracks[i];
        bool is_screen =
            t->source == MEDIA__SOURCE__SCREEN || t->source == MEDIA__SOURCE__SCREEN_AUDIO;
        if (is_screen && !may_share(m)) {
            signaling_reply_error(s, signaling_frame_id(f), ERR_PERMISSION_DENIED,
                                  "Only hosts may share their screen in this meeting.");
            return true;
        }
        if (t->source == MEDIA__SOURCE__MICROPHONE && is_muted_on_entry)
            t->is_muted = true;
    }
    Media__PublishRequest request = MEDIA__PUBLISH_REQUEST__INIT;
    request.session_id = m->session_id;
    request.sdp = f->sdp;
    request.tracks = f->tracks;
    request.n_tracks = f->n_tracks;
    signaling_tell(m, "webrtc.offer", "publish");
    return call_media(s, f, "Publish", &request.base, on_published);
}

static bool on_answer(struct signaling_socket *s, const Signaling__ClientFrame *f)
{
    struct member *m = s->member;
    if (f->revision == m->offer_revision)
        strbuf_deinit(&m->offer); /* 4 kB that most members never need again */
    Media__AnswerRequest request = MEDIA__ANSWER_REQUEST__INIT;
    request.session_id = m->session_id;
    request.revision = f->revision;
    request.sdp = f->sdp;
    signaling_tell(m, "webrtc.answer", "subscribe");
    return call_media(s, f, "Answer", &request.base, on_ok);
}

static bool on_ice_candidate(struct signaling_socket *s, const Signaling__ClientFrame *f)
{
    if (strcmp(f->connection, "publish") != 0 && strcmp(f->connection, "subscribe") != 0) {
        signaling_reply_error(s, signaling_frame_id(f), ERR_INVALID_ARGUMENT,
                              "connection: expected \"publish\" or \"subscribe\"");
        return true;
    }
    Media__AddCandidateRequest request = MEDIA__ADD_CANDIDATE_REQUEST__INIT;
    request.session_id = s->member->session_id;
    request.candidate = f->candidate;
    signaling_tell(s->member, "webrtc.ice_candidate", f->connection);
    return call_media(s, f, "AddCandidate", &request.base, on_ok);
}

static bool on_restart_subscriber(struct signaling_socket *s, const Signaling__ClientFrame *f)
{
    Media__RestartSubscriberRequest request = MEDIA__RESTART_SUBSCRIBER_REQUEST__INIT;
    request.session_id = s->member->session_id;
    return call_media(s, f, "RestartSubscriber", &request.base, on_ok);
}

static bool on_set_muted(struct signaling_socket *s, const Signaling__ClientFrame *f)
{
    Media__SetTrackMutedRequest request = MEDIA__SET_TRACK_MUTED_REQUEST__INIT;
    request.session_id = s->member->session_id;
    request.track_id = f->track_id;
    request.is_muted = f->is_muted;
    return call_media(s, f, "SetTrackMuted", &request.base, on_ok);
}

static bool on_unpublish(struct signaling_socket *s, const Signaling__ClientFrame *f)
{
    Media__UnpublishRequest request = MEDIA__UNPUBLISH_REQUEST__INIT;
    request.session_id = s->member->session_id;
    request.track_id = f->track_id;
    return call_media(s, f, "Unpublish", &request.base, on_ok);
}

static bool on_set_subscription(struct signaling_socket *s, const Signaling__ClientFrame *f)
{
    Media__SetSubscriptionRequest request = MEDIA__SET_SUBSCRIPTION_REQUEST__INIT;
    request.session_id = s->member->session_id;
    request.track_id = f->track_id;
    if (f->_is_paused_case == SIGNALING__CLIENT_FRAME___IS_PAUSED_IS_PAUSED) {
        request._is_paused_case = MEDIA__SET_SUBSCRIPTION_REQUEST___IS_PAUSED_IS_PAUSED;
        request.is_paused = f->is_paused;
    }
    if (f->_rid_case == SIGNALING__CLIENT_FRAME___RID_RID) {
        request._rid_case = MEDIA__SET_SUBSCRIPTION_REQUEST___RID_RID;
        request.rid = f->rid;
    }
    return call_media(s, f, "SetSubscription", &request.base, on_ok);
}

/* ---- gestures ---- */

static void set_hand(struct member *m, bool is_raised)
{
    if (m->is_hand_raised == is_raised)
        return;
    m->is_hand_raised = is_raised;
    m->hand_raised_at_ms = is_raised ? clock_wall_ms() : 0;
    room_tell_changed(m);
}

static bool on_raise_hand(struct signaling_socket *s, const Signaling__ClientFrame *f)
{
    set_hand(s->member, f->is_raised);
    signaling_reply_ok(s, signaling_frame_id(f));
    return true;
}

static bool on_lower_hand(struct signaling_socket *s, const Signaling__ClientFrame *f)
{
    struct member *m = room_find_member(s->member->room, f->participant_id);
    if (!member_is_host(s->member)) {
        signaling_reply_error(s, signaling_frame_id(f), ERR_PERMISSION_DENIED,
                              "Only a host can do that.");
    } else if (!m) {
        signaling_reply_error(s, signaling_frame_id(f), ERR_NOT_FOUND,
                              "No such participant in this meeting.");
    } else {
        set_hand(m, false);
        signaling_reply_ok(s, signaling_frame_id(f));
    }
    return true;
}

static bool is_reacting_too_often(struct member *m)
{
    int64_t now_ms = clock_mono_ms();
    if (now_ms - m->reactions_since_ms >= 1000) {
        m->reactions_since_ms = now_ms;
        m->reactions_count = 0;
    }
    return ++m->reactions_count > SIGNALING_REACTIONS_PER_S;
}

static bool on_reaction(struct signaling_socket *s, const Signaling__ClientFrame *f)
{
    size_t n = strlen(f->emoji);
    if (n == 0 || n > SIGNALING_EMOJI_MAX) {
        signaling_reply_error(s, signaling_frame_id(f), ERR_INVALID_ARGUMENT,
                              "emoji: expected 1 to 32 bytes");
        return true;
    }
    if (is_reacting_too_often(s->member)) {
        signaling_reply_error(s, signaling_frame_id(f), ERR_RESOURCE_EXHAUSTED,
                              "At most 5 reactions a second.");
        return true;
    }
    Signaling__ReactionFrame frame = SIGNALING__REACTION_FRAME__INIT;
    frame.type = (char *)"reaction";
    frame.participant_id = s->member->participant_id;
    frame.emoji = f->emoji;
    room_broadcast(s->member->room, NULL, &frame.base);
    signaling_reply_ok(s, signaling_frame_id(f));
    return true;
}

/* ---- dispatch ---- */

static const struct {
    const char *type;
    enum request_needs needs;
    request_fn *fn;
} requests[] = {
    {"auth", NEEDS_NOTHING, on_auth},
    {"ping", NEEDS_SIGN_IN, on_ping},
    {"join_room", NEEDS_SIGN_IN, signaling_join},
    {"leave_room", NEEDS_SIGN_IN, signaling_leave},
    {"offer", NEEDS_ROOM, on_offer},
    {"answer", NEEDS_ROOM, on_answer},
    {"ice_candidate", NEEDS_ROOM, on_ice_candidate},
    {"restart_subscriber", NEEDS_ROOM, on_restart_subscriber},
    {"set_muted", NEEDS_ROOM, on_set_muted},
    {"unpublish", NEEDS_ROOM, on_unpublish},
    {"set_subscription", NEEDS_ROOM, on_set_subscription},
    {"raise_hand", NEEDS_ROOM, on_raise_hand},
    {"lower_hand", NEEDS_ROOM, on_lower_hand},
    {"reaction", NEEDS_ROOM, on_reaction},
};

/* Each request is the beginning of a trace: sockets live for hours. */
static void start_span(struct signaling_socket *s, const char *type)
{
    span_start(&s->span, type, SPAN_SERVER, NULL);
    s->span.service = "signaling";
    s->span_err = ERR_OK;
    span_add_text(&s->span, "parlance.socket", "signaling");
    span_add_text(&s->span, "parlance.request_id", s->request_id);
}

/* The copy lives as long as it is current, whatever becomes of the socket. */
static bool run_request(struct signaling_socket *s, request_fn *fn, const Signaling__ClientFrame *f)
{
    const struct span span = s->span;
    const struct span *before = span_enter(&span);
    bool is_done = fn(s, f);
    span_leave(before);
    return is_done;
}

bool signaling_request(struct signaling_socket *s, const Signaling__ClientFrame *f)
{
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        if (strcmp(requests[i].type, f->type) != 0)
            continue;
        if (requests[i].needs >= NEEDS_SIGN_IN && !s->is_authenticated) {
            signaling_reply_error(s, signaling_frame_id(f), ERR_UNAUTHENTICATED,
                                  "Send an auth frame first.");
            return true;
        }
        if (requests[i].needs == NEEDS_ROOM && (!s->member || s->member->state != MEMBER_JOINED)) {
            signaling_reply_error(s, signaling_frame_id(f), ERR_FAILED_PRECONDITION,
                                  "Join a room first.");
            return true;
        }
        if (requests[i].needs == NEEDS_ROOM && s->member->is_moving) {
            signaling_reply_error(s, signaling_frame_id(f), ERR_UNAVAILABLE,
                                  "The meeting's media is moving to another server.");
            return true;
        }
        start_span(s, requests[i].type);
        return run_request(s, requests[i].fn, f);
    }
    signaling_reply_error(s, signaling_frame_id(f), ERR_UNIMPLEMENTED, "Unknown type of frame.");
    return true;
}
