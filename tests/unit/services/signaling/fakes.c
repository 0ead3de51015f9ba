/* fakes: see fakes.h. */
#include "fakes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"

#include "auth.pb-c.h"
#include "media.pb-c.h"
#include "meeting.pb-c.h"

struct fake_notes fake_notes;
char fake_last_session[27];
int64_t fake_event_at_ms;

/* ---- auth ---- */

static void on_validate(Auth__Auth_Service *s UNUSED, const Auth__ValidateTokenRequest *in,
                        Auth__ValidateTokenReply_Closure closure, void *data)
{
    struct rpc_call *call = data;
    if (strcmp(in->token, "bad") == 0) {
        rpc_fail(call, ERR_UNAUTHENTICATED, "a bad token");
        closure(NULL, call);
        return;
    }
    Auth__ValidateTokenReply reply = AUTH__VALIDATE_TOKEN_REPLY__INIT;
    reply.user_id = in->token;
    reply.session_id = in->token;
    reply.role = USER__ROLE__USER;
    reply.name = in->token;
    reply.expires_at_ms = clock_wall_ms() + 60000;
    closure(&reply, call);
}

static void on_check(Auth__Auth_Service *s UNUSED, const Auth__CheckSessionsRequest *in,
                     Auth__CheckSessionsReply_Closure closure, void *data)
{
    User__Role roles[500];
    Auth__CheckSessionsReply reply = AUTH__CHECK_SESSIONS_REPLY__INIT;
    fake_notes.most_checked = MAX((int)in->n_ids, fake_notes.most_checked);
    fake_notes.least_checked = MIN((int)in->n_ids, fake_notes.least_checked);
    fake_notes.checks++;
    if (in->n_ids > ARRAY_LEN(roles) || fake_notes.failing_checks > 0) {
        rpc_fail(data, ERR_UNAVAILABLE, "auth is away");
        closure(NULL, data);
        return;
    }
    for (size_t i = 0; i < in->n_ids; i++)
        roles[i] = strcmp(in->ids[i], "over") == 0    ? USER__ROLE__NONE
                   : strcmp(in->ids[i], "chief") == 0 ? USER__ROLE__ADMIN
                                                      : USER__ROLE__USER;
    reply.roles = roles;
    reply.n_roles = in->n_ids;
    closure(&reply, data);
}

static Auth__Auth_Service auth = {
    .base = {.descriptor = &auth__auth__descriptor, .invoke = protobuf_c_service_invoke_internal},
    .check_sessions = on_check,
    .validate_token = on_validate,
};

/* ---- meeting ---- */

static Meeting__MeetingInfo info_shape(void)
{
    Meeting__MeetingInfo info = MEETING__MEETING_INFO__INIT;
    info.id = (char *)FAKE_MEETING;
    info.title = (char *)"A meeting";
    info.state = MEETING__STATE__ACTIVE;
    info.can_participants_share = false;
    return info;
}

static void participant_shape(Meeting__Participant *p, const char *name, char id[40])
{
    snprintf(id, 40, "p-%s", name);
    meeting__participant__init(p);
    p->id = id;
    p->meeting_id = (char *)FAKE_MEETING;
    p->user_id = (char *)name;
    p->name = (char *)name;
    p->role = strcmp(name, "host") == 0 ? MEETING__PARTICIPANT_ROLE__HOST
                                        : MEETING__PARTICIPANT_ROLE__PARTICIPANT;
    p->state = strcmp(name, "waiter") == 0 ? MEETING__PARTICIPANT_STATE__WAITING
                                           : MEETING__PARTICIPANT_STATE__ADMITTED;
}

static void on_authorize(Meeting__Meeting_Service *s UNUSED,
                         const Meeting__AuthorizeParticipantRequest *in,
                         Meeting__AuthorizeParticipantReply_Closure closure, void *data)
{
    struct rpc_call *call = data;
    if (strcmp(call->who->user_id, "pending") == 0) {
        fake_notes.asked++;
        usleep(200 * 1000);
    }
    if (strcmp(call->who->user_id, "stranger") == 0 || strcmp(in->meeting_id, FAKE_MEETING) != 0) {
        rpc_fail(call, ERR_NOT_FOUND, "no such meeting");
        closure(NULL, call);
        return;
    }
    char id[40];
    Meeting__Participant p;
    participant_shape(&p, call->who->user_id, id);
    Meeting__MeetingInfo info = info_shape();
    Meeting__AuthorizeParticipantReply reply = MEETING__AUTHORIZE_PARTICIPANT_REPLY__INIT;
    reply.meeting = &info;
    reply.participant = &p;
    closure(&reply, call);
}

static void on_leave(Meeting__Meeting_Service *s UNUSED,
                     const Meeting__LeaveMeetingRequest *in UNUSED,
                     Meeting__LeaveMeetingReply_Closure closure, void *data)
{
    Meeting__LeaveMeetingReply reply = MEETING__LEAVE_MEETING_REPLY__INIT;
    fake_notes.left_role = (int)((struct rpc_call *)data)->who->role;
    fake_notes.left++;
    closure(&reply, data);
}

static void on_report(Meeting__Meeting_Service *s UNUSED, const Meeting__ReportPresenceRequest *in,
                      Meeting__ReportPresenceReply_Closure closure, void *data)
{
    Meeting__ReportPresenceReply reply = MEETING__REPORT_PRESENCE_REPLY__INIT;
    char *gone[] = {(char *)"p-ghost"}, *admitted[] = {(char *)"p-waiter"};
    for (size_t i = 0; i < in->n_rooms; i++) {
        fake_notes.reported += (int)in->rooms[i]->n_participant_ids;
        if (in->rooms[i]->n_waiting_participant_ids && fake_notes.is_waiter_admitted)
            reply.n_admitted_participant_ids = 1;
        for (size_t j = 0; j < in->rooms[i]->n_participant_ids; j++) {
            if (strcmp(in->rooms[i]->participant_ids[j], gone[0]) == 0)
                reply.n_gone_participant_ids = 1;
        }
    }
    reply.gone_participant_ids = gone;
    reply.admitted_participant_ids = admitted;
    closure(&reply, data);
}

static Meeting__Meeting_Service meeting = {
    .base = {.descriptor = &meeting__meeting__descriptor,
             .invoke = protobuf_c_service_invoke_internal},
    .authorize_participant = on_authorize,
    .leave_meeting = on_leave,
    .report_presence = on_report,
};

/* ---- media ---- */

static void on_open(Media__Media_Service *s UNUSED, const Media__OpenSessionRequest *in,
                    Media__Session_Closure closure, void *data)
{
    Media__Session reply = MEDIA__SESSION__INIT;
    reply.id = in->session_id;
    snprintf(fake_last_session, sizeof(fake_last_session), "%s", in->session_id);
    fake_notes.opened++;
    if (strcmp(in->user_id, "slow") == 0)
        usleep(200 * 1000);
    closure(&reply, data);
}

static void on_close(Media__Media_Service *s UNUSED, const Media__CloseSessionRequest *in UNUSED,
                     Media__CloseSessionReply_Closure closure, void *data)
{
    Media__CloseSessionReply reply = MEDIA__CLOSE_SESSION_REPLY__INIT;
    fake_notes.closed++;
    closure(&reply, data);
}

static void on_publish(Media__Media_Service *s UNUSED, const Media__PublishRequest *in,
                       Media__PublishReply_Closure closure, void *data)
{
    char sdp[200];
    Media__PublishReply reply = MEDIA__PUBLISH_REPLY__INIT;
    snprintf(sdp, sizeof(sdp), "answer to %s", in->sdp);
    reply.sdp = sdp;
    closure(&reply, data);
}

static void on_answer(Media__Media_Service *s UNUSED, const Media__AnswerRequest *in UNUSED,
                      Media__AnswerReply_Closure closure, void *data)
{
    Media__AnswerReply reply = MEDIA__ANSWER_REPLY__INIT;
    fake_notes.answered++;
    closure(&reply, data);
}

static void on_set_muted(Media__Media_Service *s UNUSED,
                         const Media__SetTrackMutedRequest *in UNUSED,
                         Media__SetTrackMutedReply_Closure closure, void *data)
{
    Media__SetTrackMutedReply reply = MEDIA__SET_TRACK_MUTED_REPLY__INIT;
    fake_notes.muted++;
    closure(&reply, data);
}

static void on_sync(Media__Media_Service *s UNUSED, const Media__SyncRoomRequest *in,
                    Media__SyncRoomReply_Closure closure, void *data)
{
    Media__SyncRoomReply reply = MEDIA__SYNC_ROOM_REPLY__INIT;
    reply.meeting_id = in->meeting_id;
    closure(&reply, data);
}

static Media__Media_Service media = {
    .base = {.descriptor = &media__media__descriptor, .invoke = protobuf_c_service_invoke_internal},
    .open_session = on_open,
    .close_session = on_close,
    .publish = on_publish,
    .answer = on_answer,
    .set_track_muted = on_set_muted,
    .sync_room = on_sync,
};

ProtobufCService *const fake_auth = &auth.base;
ProtobufCService *const fake_meeting = &meeting.base;
ProtobufCService *const fake_media = &media.base;

/* ---- events ---- */

static void publish(struct bus *bus, const char *channel, const char *type,
                    const ProtobufCMessage *m)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    uint8_t *bytes = malloc(n + 1);
    protobuf_c_message_pack(m, bytes);
    bus_publish(bus, &(struct bus_event){.channel = channel,
                                         .type = type,
                                         .key = FAKE_MEETING,
                                         .payload = {(char *)bytes, n}});
    free(bytes);
}

void fake_meeting_event(struct bus *bus, const char *type, const char *name, const char *kind)
{
    char id[40];
    char full[60];
    Meeting__Participant p;
    participant_shape(&p, name, id);
    p.state = MEETING__PARTICIPANT_STATE__ADMITTED;
    Meeting__MeetingEvent e = MEETING__MEETING_EVENT__INIT;
    snprintf(full, sizeof(full), "meeting.%s", type);
    e.type = full;
    e.meeting_id = (char *)FAKE_MEETING;
    e.participant = &p;
    e.actor_id = (char *)"host";
    e.kind = (char *)kind;
    e.at_ms = fake_event_at_ms ? fake_event_at_ms : clock_wall_ms() + 1000;
    publish(bus, "meeting_events", full, &e.base);
}

void fake_media_offer(struct bus *bus, const char *session_id, int64_t revision)
{
    Media__MediaEvent e = MEDIA__MEDIA_EVENT__INIT;
    e.type = (char *)"subscriber.offer";
    e.meeting_id = (char *)FAKE_MEETING;
    e.session_id = (char *)session_id;
    e.revision = revision;
    e.sdp = (char *)"an offer";
    publish(bus, "media_events", e.type, &e.base);
}

void fake_media_track(struct bus *bus, const char *type, const char *session_id, const char *name,
                      const char *track_id)
{
    char id[40];
    snprintf(id, sizeof(id), "p-%s", name);
    Media__Track t = MEDIA__TRACK__INIT;
    t.id = (char *)track_id;
    t.session_id = (char *)session_id;
    t.participant_id = id;
    t.source = MEDIA__SOURCE__MICROPHONE;
    t.kind = (char *)"audio";
    Media__MediaEvent e = MEDIA__MEDIA_EVENT__INIT;
    e.type = (char *)type;
    e.meeting_id = (char *)FAKE_MEETING;
    e.session_id = (char *)session_id;
    e.track = &t;
    publish(bus, "media_events", e.type, &e.base);
}

void fake_role(struct bus *bus, const char *user_id, User__Role role)
{
    Auth__SessionEvent e = AUTH__SESSION_EVENT__INIT;
    e.user_id = (char *)user_id;
    e.role = role;
    publish(bus, "auth_events", "session.changed", &e.base);
}

void fake_revoke_session(struct bus *bus, const char *session_id)
{
    Auth__SessionEvent e = AUTH__SESSION_EVENT__INIT;
    e.user_id = e.session_id = (char *)session_id;
    publish(bus, "auth_events", "session.revoked", &e.base);
}

void fake_gap(struct bus *bus)
{
    bus_publish(bus, &(struct bus_event){.channel = "bus.gap", .type = "gap", .key = ""});
}

void fake_revoke(struct bus *bus, const char *user_id)
{
    Auth__SessionEvent e = AUTH__SESSION_EVENT__INIT;
    e.user_id = (char *)user_id;
    publish(bus, "auth_events", "session.revoked", &e.base);
}
