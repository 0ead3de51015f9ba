/*
 * Entering, waiting, coming back, leaving. The order of a join: the meeting service says that this
 * person may be here, media opens a session under a name chosen here (so its first event finds its
 * member), then everybody is told.
 */
#include "services/signaling/signaling_apart_internal.h"

static void detach(struct member *m)
{
    if (m->socket)
        m->socket->member = NULL;
    m->socket = NULL;
}

static void tell_waiting(struct member *m)
{
    Signaling__Member shape = member_shape(m);
    Signaling__MemberFrame frame = SIGNALING__MEMBER_FRAME__INIT;
    frame.type = (char *)"participant_waiting";
    frame.participant = &shape;
    room_tell_hosts(m->room, &frame.base);
}

static void send_waiting(struct member *m, int64_t request_id)
{
    Signaling__MeetingFrame frame = SIGNALING__MEETING_FRAME__INIT;
    frame.type = (char *)"waiting";
    if (request_id != SIGNALING_NO_ID) {
        frame._id_case = SIGNALING__MEETING_FRAME___ID_ID;
        frame.id = request_id;
    }
    frame.meeting = m->room->meeting;
    signaling_socket_send(m->socket, &frame.base);
}

/* ---- media session ---- */

/* Of the node that has the room's tracks; NULL: there is but one. */
static const char *media_instance(struct signaling_hub *hub, const char *media_id)
{
    struct signaling_cluster *c = hub->cluster;
    if (!c || !c->is_media_apart)
        return NULL;
    struct signaling_node *n = signaling_node_find(&c->media, media_id);
    return n ? n->instance : "gone";
}

const char *signaling_media_instance(const struct room *room)
{
    return media_instance(room->hub, room->media_id);
}

void signaling_session_close(struct signaling_hub *hub, const char *session_id,
                             const char *instance)
{
    Media__CloseSessionRequest request = MEDIA__CLOSE_SESSION_REQUEST__INIT;
    request.session_id = (char *)session_id;
    signaling_call(hub, &(struct signaling_call_options){
                            .service = hub->media,
                            .method = "CloseSession",
                            .request = &request.base,
                            .is_idempotent = true,
                            .instance = instance,
                        });
}

struct member *signaling_member_of_session(struct signaling_hub *hub, const char *session_id)
{
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(hub->rooms, &at, &key, &value)) {
        struct member *m = room_find_session(value, session_id);
        if (m)
            return m;
    }
    return NULL;
}

/* The member went while its session was being opened; the closing may have come first. */
static void close_if_orphan(struct signaling_hub *hub, const struct member *m,
                            const Media__Session *session, const char *instance)
{
    bool is_its = m && strcmp(m->session_id, session->id) == 0;
    if (!is_its && !signaling_member_of_session(hub, session->id))
        signaling_session_close(hub, session->id, instance);
}

static void open_session(struct member *m, int64_t request_id);

static void open_failed(struct member *m, int64_t request_id, struct rpc_call *call)
{
    struct signaling_socket *s = m->socket;
    struct room *room = m->room;
    /* Of services apart the node may have died, or the room be another's: the person stays. */
    bool is_ours = !room->hub->cluster;
    bool is_fenced = !is_ours && call->err == ERR_FAILED_PRECONDITION;
    signaling_reply_error(s, request_id, is_fenced ? ERR_UNAVAILABLE : call->err, call->message);
    if (is_fenced)
        signaling_place_lost(room);
    else
        signaling_member_remove(m, "failed", is_ours);
    signaling_socket_done(s);
}

static void on_opened(struct signaling_hub *hub, struct signaling_socket *s, int64_t request_id,
                      const ProtobufCMessage *reply, struct rpc_call *call)
{
    struct member *m = s ? s->member : NULL;
    if (reply)
        close_if_orphan(hub, m, (const Media__Session *)reply, call->instance);
    if (!s)
        return; /* a member that is away runs out by its timer */
    if (!m || m->state != MEMBER_OPENING) {
        signaling_socket_done(s);
        return;
    }
    if (m->fence != m->room->fence) { /* the room's media went elsewhere meanwhile */
        if (reply)
            signaling_session_close(hub, m->session_id, call->instance);
        id_make(m->session_id);
        open_session(m, request_id);
        return;
    }
    if (!reply) {
        open_failed(m, request_id, call);
        return;
    }
    m->session = signaling_copy(reply);
    m->state = MEMBER_JOINED;
    m->joined_at_ms = clock_wall_ms();
    m->opened_ms = clock_mono_ms();
    signaling_tell(m, "session.created", "");

    Signaling__Member shape = member_shape(m);
    Signaling__MemberFrame frame = SIGNALING__MEMBER_FRAME__INIT;
    frame.type = (char *)"participant_joined";
    frame.participant = &shape;
    room_broadcast(m->room, m, &frame.base);
    room_send_joined(m, request_id, false);
    signaling_socket_done(s);
}

void signaling_member_open(struct member *m, struct signaling_socket *s, int64_t request_id,
                           signaling_reply_fn *done)
{
    Media__OpenSessionRequest request = MEDIA__OPEN_SESSION_REQUEST__INIT;
    m->fence = m->room->fence;
    request.meeting_id = m->room->id;
    request.participant_id = m->participant_id;
    request.user_id = m->who.user_id;
    request.name = m->name;
    request.session_id = m->session_id;
    request.fence = m->room->fence;
    signaling_call(m->room->hub, &(struct signaling_call_options){
                                     .service = m->room->hub->media,
                                     .method = "OpenSession",
                                     .request = &request.base,
                                     .socket = s,
                                     .request_id = request_id,
                                     .instance = signaling_media_instance(m->room),
                                     .timeout_ms = m->room->hub->cluster ? MEDIA_CALL_MS : 0,
                                     .done = done,
                                 });
}

static void open_session(struct member *m, int64_t request_id)
{
    m->state = MEMBER_OPENING;
    signaling_member_open(m, m->socket, request_id, on_opened);
}

/* ---- joining ---- */

/* The same person from elsewhere: the older presence gives way. */
static void replace_former(struct room *room, const char *participant_id)
{
    struct member *former = room_find_member(room, participant_id);
    if (!former)
        return;
    struct signaling_socket *old = former->socket;
    signaling_member_remove(former, "replaced", false);
    if (old)
        signaling_socket_close(old, CLOSE_REPLACED, "you joined from elsewhere");
}

void signaling_enter(struct signaling_socket *s, int64_t request_id, struct room *room,
                     const Meeting__Participant *p)
{
    room->is_held = true; /* the former may be its last member */
    replace_former(room, p->id);
    room->is_held = false;
    struct member *m = member_create(room, s, p);
    if (p->state == MEETING__PARTICIPANT_STATE__WAITING) {
        m->state = MEMBER_WAITING;
        send_waiting(m, request_id);
        tell_waiting(m);
        signaling_socket_done(s);
    } else {
        open_session(m, request_id);
    }
}

static void on_authorized(struct signaling_hub *hub, struct signaling_socket *s, int64_t request_id,
                          const ProtobufCMessage *reply, struct rpc_call *call)
{
    if (!s)
        return;
    bool is_signed_in = s->is_authenticated; /* the sign-in may have ended meanwhile */
    if (!reply || !is_signed_in) {
        signaling_reply_error(s, request_id, is_signed_in ? call->err : ERR_UNAUTHENTICATED,
                              is_signed_in ? call->message : "");
        signaling_socket_done(s);
        return;
    }
    const Meeting__AuthorizeParticipantReply *r = (const Meeting__AuthorizeParticipantReply *)reply;
    const Meeting__Participant *p = r->participant;
    bool is_waiting = p && p->state == MEETING__PARTICIPANT_STATE__WAITING;
    if (!p || !r->meeting || (!is_waiting && p->state != MEETING__PARTICIPANT_STATE__ADMITTED)) {
        signaling_reply_error(s, request_id, ERR_PERMISSION_DENIED,
                              "Join the meeting first (POST /api/v1/meetings/:id/join).");
        signaling_socket_done(s);
        return;
    }
    if (hub->cluster)
        signaling_place_enter(s, request_id, r);
    else
        signaling_enter(s, request_id, room_get_or_create(hub, r->meeting), p);
}

static bool try_resume(struct signaling_socket *s, const Signaling__ClientFrame *frame)
{
    struct member *m =
        frame->resume_token[0] ? map_get(s->hub->resumes, str_from(frame->resume_token)) : NULL;
    if (!m || strcmp(m->who.user_id, s->who.user_id) != 0 || m->state == MEMBER_OPENING ||
        m->is_moving)
        return false;
    struct signaling_socket *old = m->socket;
    bool was_away = !old;
    detach(m);
    if (old)
        signaling_socket_close(old, CLOSE_REPLACED, "resumed on another socket");
    member_attach(m, s);
    m->who = s->who; /* another sign-in, perhaps */
    if (m->state == MEMBER_WAITING)
        send_waiting(m, signaling_frame_id(frame));
    else
        room_send_joined(m, signaling_frame_id(frame), !m->was_moved);
    m->was_moved = false;
    if (was_away)
        room_tell_changed(m);
    return true;
}

bool signaling_join(struct signaling_socket *s, const Signaling__ClientFrame *frame)
{
    if (s->member) {
        signaling_reply_error(s, signaling_frame_id(frame), ERR_FAILED_PRECONDITION,
                              "This socket is in a meeting already; leave it first.");
        return true;
    }
    if (try_resume(s, frame))
        return true;
    snprintf(s->resume_token, sizeof(s->resume_token), "%s", frame->resume_token);
    Meeting__AuthorizeParticipantRequest request = MEETING__AUTHORIZE_PARTICIPANT_REQUEST__INIT;
    request.meeting_id = frame->meeting_id;
    signaling_call(s->hub, &(struct signaling_call_options){
                               .service = s->hub->meeting,
                               .method = "AuthorizeParticipant",
                               .request = &request.base,
                               .who = &s->who,
                               .socket = s,
                               .request_id = signaling_frame_id(frame),
                               .is_idempotent = true,
                               .done = on_authorized,
                           });
    return false;
}

void signaling_member_admitted(struct member *m)
{
    if (m->state != MEMBER_WAITING)
        return;
    Signaling__GoneFrame frame = SIGNALING__GONE_FRAME__INIT;
    frame.type = (char *)"participant_not_waiting";
    frame.participant_id = m->participant_id;
    frame.reason = (char *)"admitted";
    room_tell_hosts(m->room, &frame.base);
    if (!m->socket) {
        /* Away while admitted: it joins anew when it comes back. */
        signaling_member_remove(m, "timeout", false);
        return;
    }
    m->socket->is_busy = true;
    open_session(m, SIGNALING_NO_ID);
}

/* ---- leaving ---- */

static void leave_meeting(struct signaling_hub *hub, const char *meeting_id,
                          const struct identity *who, struct signaling_socket *s,
                          int64_t request_id, signaling_reply_fn *done)
{
    Meeting__LeaveMeetingRequest request = MEETING__LEAVE_MEETING_REQUEST__INIT;
    request.id = (char *)meeting_id;
    signaling_call(hub, &(struct signaling_call_options){
                            .service = hub->meeting,
                            .method = "LeaveMeeting",
                            .request = &request.base,
                            .who = who,
                            .socket = s,
                            .request_id = request_id,
                            .is_idempotent = true,
                            .done = done,
                        });
}

void signaling_member_remove(struct member *m, const char *reason, bool should_tell_meeting)
{
    struct room *room = m->room;
    bool was_waiting = m->state == MEMBER_WAITING;
    bool was_joined = m->state == MEMBER_JOINED;
    if (!was_waiting)
        signaling_session_close(room->hub, m->session_id, signaling_media_instance(room));
    if (should_tell_meeting)
        leave_meeting(room->hub, room->id, &m->who, NULL, SIGNALING_NO_ID, NULL);

    Signaling__GoneFrame frame = SIGNALING__GONE_FRAME__INIT;
    char participant_id[ID_SIZE];
    snprintf(participant_id, sizeof(participant_id), "%s", m->participant_id);
    if (was_joined)
        signaling_tell(m, "session.closed", "");
    frame.participant_id = participant_id;
    frame.reason = (char *)reason;
    LIST_FOREACH(&room->tracks, node)
    {
        struct room_track *t = LIST_ENTRY(node, struct room_track, in_room);
        if (strcmp(t->track->session_id, m->session_id) == 0)
            room_remove_track(room, t->track->id);
    }
    member_destroy(&m);
    if (was_waiting) {
        frame.type = (char *)"participant_not_waiting";
        room_tell_hosts(room, &frame.base);
    } else if (was_joined) {
        frame.type = (char *)"participant_left";
        room_broadcast(room, NULL, &frame.base);
    }
    room_release(room);
}

void signaling_member_put_out(struct member *m, const char *type, const char *reason)
{
    struct signaling_socket *s = m->socket;
    if (s) {
        Signaling__GoneFrame frame = SIGNALING__GONE_FRAME__INIT;
        frame.type = (char *)type;
        frame.participant_id = m->participant_id;
        frame.reason = (char *)reason;
        signaling_socket_send(s, &frame.base);
    }
    signaling_member_remove(m, reason, false);
    if (s)
        signaling_socket_close(s, CLOSE_FORBIDDEN, reason);
}

static void on_away_too_long(void *arg)
{
    signaling_member_remove(arg, "timeout", true);
}

void signaling_member_away(struct member *m)
{
    m->socket = NULL;
    loop_timer_start(m->room->hub->loop, &m->away_timer, m->room->hub->resume_ms, on_away_too_long,
                     m);
    room_tell_changed(m);
}

static void on_left(struct signaling_hub *hub UNUSED, struct signaling_socket *s,
                    int64_t request_id, const ProtobufCMessage *reply, struct rpc_call *call)
{
    if (!s)
        return;
    if (reply)
        signaling_reply_ok(s, request_id);
    else
        signaling_reply_error(s, request_id, call->err, call->message);
    signaling_socket_close(s, CLOSE_NORMAL, "left");
    signaling_socket_done(s);
}

/* Answered when the meeting knows, so whoever joins again at once is not overtaken by the leaving.
 */
bool signaling_leave(struct signaling_socket *s, const Signaling__ClientFrame *frame)
{
    struct member *m = s->member;
    if (!m) {
        signaling_reply_ok(s, signaling_frame_id(frame));
        signaling_socket_close(s, CLOSE_NORMAL, "left");
        return true;
    }
    char meeting_id[ID_SIZE];
    struct identity who = m->who;
    snprintf(meeting_id, sizeof(meeting_id), "%s", m->room->id);
    signaling_member_remove(m, "left", false);
    leave_meeting(s->hub, meeting_id, &who, s, signaling_frame_id(frame), on_left);
    return false;
}
