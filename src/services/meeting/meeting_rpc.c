/*
 * meeting_rpc: the handlers. Each checks who may ask at all, lets a domain file do the work, and
 * ends with the one closure. What one may do in a meeting depends on one's place in it:
 * meeting_op.c judges that.
 */
#include "services/meeting/meeting_internal.h"
#include "core/live.h"

static struct meeting_service *service_of(Meeting__Meeting_Service *rpc)
{
    return CONTAINER_OF(rpc, struct meeting_service, rpc);
}

static void on_create_meeting(Meeting__Meeting_Service *rpc,
                              const Meeting__CreateMeetingRequest *in,
                              Meeting__MeetingInfo_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER) &&
                      (LIVE_GET(service_of(rpc)->deps.may_bots_create) || who_require_person(data));
    closure(is_allowed ? meeting_do_create(service_of(rpc), data, in) : NULL, data);
}

static void on_list_meetings(Meeting__Meeting_Service *rpc, const Meeting__ListMeetingsRequest *in,
                             Meeting__MeetingList_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER);
    closure(is_allowed ? meeting_do_list(service_of(rpc), data, in) : NULL, data);
}

static void on_get_meeting(Meeting__Meeting_Service *rpc, const Meeting__GetMeetingRequest *in,
                           Meeting__MeetingInfo_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_GUEST);
    closure(is_allowed ? meeting_do_get(service_of(rpc), data, in) : NULL, data);
}

static void on_preview_meeting(Meeting__Meeting_Service *rpc, const Meeting__GetMeetingRequest *in,
                               Meeting__MeetingPreview_Closure closure, void *data)
{
    closure(meeting_do_preview(service_of(rpc), data, in), data);
}

static void on_update_meeting(Meeting__Meeting_Service *rpc,
                              const Meeting__UpdateMeetingRequest *in,
                              Meeting__MeetingInfo_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER);
    closure(is_allowed ? meeting_do_update(service_of(rpc), data, in) : NULL, data);
}

static void on_delete_meeting(Meeting__Meeting_Service *rpc,
                              const Meeting__DeleteMeetingRequest *in,
                              Meeting__DeleteMeetingReply_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER);
    closure(is_allowed ? meeting_do_delete(service_of(rpc), data, in) : NULL, data);
}

static void on_join_meeting(Meeting__Meeting_Service *rpc, const Meeting__JoinMeetingRequest *in,
                            Meeting__JoinMeetingReply_Closure closure, void *data)
{
    closure(meeting_do_join(service_of(rpc), data, in), data);
}

static void on_leave_meeting(Meeting__Meeting_Service *rpc, const Meeting__LeaveMeetingRequest *in,
                             Meeting__LeaveMeetingReply_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_GUEST);
    closure(is_allowed ? meeting_do_leave(service_of(rpc), data, in) : NULL, data);
}

static void on_end_meeting(Meeting__Meeting_Service *rpc, const Meeting__EndMeetingRequest *in,
                           Meeting__MeetingInfo_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER);
    closure(is_allowed ? meeting_do_end(service_of(rpc), data, in) : NULL, data);
}

static void on_list_participants(Meeting__Meeting_Service *rpc,
                                 const Meeting__ListParticipantsRequest *in,
                                 Meeting__ParticipantList_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_GUEST);
    closure(is_allowed ? meeting_do_people(service_of(rpc), data, in) : NULL, data);
}

static void on_list_results(Meeting__Meeting_Service *rpc, const Meeting__ListResultsRequest *in,
                            Meeting__MeetingResultList_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_GUEST);
    closure(is_allowed ? meeting_do_results(service_of(rpc), data, in) : NULL, data);
}

static void on_set_participant_role(Meeting__Meeting_Service *rpc,
                                    const Meeting__SetParticipantRoleRequest *in,
                                    Meeting__Participant_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER);
    closure(is_allowed ? meeting_do_set_role(service_of(rpc), data, in) : NULL, data);
}

static void on_remove_participant(Meeting__Meeting_Service *rpc,
                                  const Meeting__RemoveParticipantRequest *in,
                                  Meeting__RemoveParticipantReply_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_GUEST);
    closure(is_allowed ? meeting_do_remove(service_of(rpc), data, in) : NULL, data);
}

static void on_mute_participant(Meeting__Meeting_Service *rpc,
                                const Meeting__MuteParticipantRequest *in,
                                Meeting__MuteParticipantReply_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_GUEST);
    closure(is_allowed ? meeting_do_mute(service_of(rpc), data, in) : NULL, data);
}

static void on_admit_participant(Meeting__Meeting_Service *rpc,
                                 const Meeting__AdmitParticipantRequest *in,
                                 Meeting__AdmitParticipantReply_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_GUEST);
    closure(is_allowed ? meeting_do_admit(service_of(rpc), data, in) : NULL, data);
}

static void on_refuse_participant(Meeting__Meeting_Service *rpc,
                                  const Meeting__RefuseParticipantRequest *in,
                                  Meeting__RefuseParticipantReply_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_GUEST);
    closure(is_allowed ? meeting_do_refuse(service_of(rpc), data, in) : NULL, data);
}

static void on_invite(Meeting__Meeting_Service *rpc, const Meeting__InviteRequest *in,
                      Meeting__Invitation_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER);
    closure(is_allowed ? meeting_do_invite(service_of(rpc), data, in) : NULL, data);
}

static void on_list_invitations(Meeting__Meeting_Service *rpc,
                                const Meeting__ListInvitationsRequest *in,
                                Meeting__InvitationList_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER);
    closure(is_allowed ? meeting_do_list_invitations(service_of(rpc), data, in) : NULL, data);
}

static void on_revoke_invitation(Meeting__Meeting_Service *rpc,
                                 const Meeting__RevokeInvitationRequest *in,
                                 Meeting__RevokeInvitationReply_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER);
    closure(is_allowed ? meeting_do_revoke_invitation(service_of(rpc), data, in) : NULL, data);
}

static void on_get_calendar(Meeting__Meeting_Service *rpc, const Meeting__GetCalendarRequest *in,
                            Meeting__Calendar_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_GUEST);
    closure(is_allowed ? meeting_do_calendar(service_of(rpc), data, in) : NULL, data);
}

static void on_authorize_participant(Meeting__Meeting_Service *rpc,
                                     const Meeting__AuthorizeParticipantRequest *in,
                                     Meeting__AuthorizeParticipantReply_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_GUEST);
    closure(is_allowed ? meeting_do_authorize(service_of(rpc), data, in) : NULL, data);
}

static void on_report_presence(Meeting__Meeting_Service *rpc,
                               const Meeting__ReportPresenceRequest *in,
                               Meeting__ReportPresenceReply_Closure closure, void *data)
{
    bool is_allowed = who_require_system(data);
    closure(is_allowed ? meeting_do_report(service_of(rpc), data, in) : NULL, data);
}

static void on_place_meeting(Meeting__Meeting_Service *rpc, const Meeting__PlaceMeetingRequest *in,
                             Meeting__PlaceMeetingReply_Closure closure, void *data)
{
    bool is_allowed = who_require_system(data);
    closure(is_allowed ? meeting_do_place(service_of(rpc), data, in) : NULL, data);
}

const Meeting__Meeting_Service meeting_rpc_table = MEETING__MEETING__INIT(on_);
