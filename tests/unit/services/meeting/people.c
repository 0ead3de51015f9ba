/* people: see people.h. */
#include "people.h"

#include <stdio.h>

const Meeting__MeetingInfo *make_meeting(struct world *w, const struct identity *who,
                                         const Meeting__CreateMeetingRequest *in)
{
    Meeting__CreateMeetingRequest request = MEETING__CREATE_MEETING_REQUEST__INIT;
    if (in)
        request = *in;
    if (!request.title[0])
        request.title = "A meeting";
    return ask(w, w->meeting, "CreateMeeting", &request, who);
}

const Meeting__JoinMeetingReply *join_meeting(struct world *w, const struct identity *who,
                                              const char *id)
{
    Meeting__JoinMeetingRequest in = MEETING__JOIN_MEETING_REQUEST__INIT;
    in.id = (char *)id;
    return ask(w, w->meeting, "JoinMeeting", &in, who);
}

const Meeting__JoinMeetingReply *join_as_guest(struct world *w, const char *id, const char *name,
                                               struct identity *who)
{
    Meeting__JoinMeetingRequest in = MEETING__JOIN_MEETING_REQUEST__INIT;
    in.id = (char *)id;
    in.name = (char *)name;
    const Meeting__JoinMeetingReply *r = ask(w, w->meeting, "JoinMeeting", &in, &nobody);
    if (r) {
        *who = person(r->participant->user_id, ROLE_GUEST);
        snprintf(who->meeting_id, sizeof(who->meeting_id), "%s", r->meeting->id);
        snprintf(who->name, sizeof(who->name), "%s", name);
    }
    return r;
}

bool leave_meeting(struct world *w, const struct identity *who, const char *id)
{
    Meeting__LeaveMeetingRequest in = MEETING__LEAVE_MEETING_REQUEST__INIT;
    in.id = (char *)id;
    return ask(w, w->meeting, "LeaveMeeting", &in, who) != NULL;
}

const Meeting__MeetingInfo *get_meeting(struct world *w, const struct identity *who, const char *id)
{
    Meeting__GetMeetingRequest in = MEETING__GET_MEETING_REQUEST__INIT;
    in.id = (char *)id;
    return ask(w, w->meeting, "GetMeeting", &in, who);
}

const Meeting__MeetingInfo *end_meeting(struct world *w, const struct identity *who, const char *id)
{
    Meeting__EndMeetingRequest in = MEETING__END_MEETING_REQUEST__INIT;
    in.id = (char *)id;
    return ask(w, w->meeting, "EndMeeting", &in, who);
}

const Meeting__Participant *set_role(struct world *w, const struct identity *who, const char *id,
                                     const char *participant_id, Meeting__ParticipantRole role)
{
    Meeting__SetParticipantRoleRequest in = MEETING__SET_PARTICIPANT_ROLE_REQUEST__INIT;
    in.id = (char *)id;
    in.participant_id = (char *)participant_id;
    in.role = role;
    return ask(w, w->meeting, "SetParticipantRole", &in, who);
}

bool remove_person(struct world *w, const struct identity *who, const char *id,
                   const char *participant_id)
{
    Meeting__RemoveParticipantRequest in = MEETING__REMOVE_PARTICIPANT_REQUEST__INIT;
    in.id = (char *)id;
    in.participant_id = (char *)participant_id;
    return ask(w, w->meeting, "RemoveParticipant", &in, who) != NULL;
}

const Meeting__Invitation *invite(struct world *w, const struct identity *who,
                                  const Meeting__InviteRequest *in)
{
    return ask(w, w->meeting, "Invite", in, who);
}

const Meeting__Participant *find_person(struct world *w, const char *id, const char *user_id)
{
    Meeting__ListParticipantsRequest in = MEETING__LIST_PARTICIPANTS_REQUEST__INIT;
    in.id = (char *)id;
    const Meeting__ParticipantList *list = ask(w, w->meeting, "ListParticipants", &in, NULL);
    assert_non_null(list);
    for (size_t i = 0; i < list->n_participants; i++) {
        if (strcmp(list->participants[i]->user_id, user_id) == 0)
            return list->participants[i];
    }
    return NULL;
}

size_t report(struct world *w, const char *id, const char *const *participant_ids)
{
    Meeting__RoomPresence room = MEETING__ROOM_PRESENCE__INIT;
    Meeting__RoomPresence *rooms[] = {&room};
    Meeting__ReportPresenceRequest in = MEETING__REPORT_PRESENCE_REQUEST__INIT;
    room.meeting_id = (char *)id;
    room.participant_ids = (char **)participant_ids;
    while (participant_ids[room.n_participant_ids])
        room.n_participant_ids++;
    in.rooms = rooms;
    in.n_rooms = 1;
    const Meeting__ReportPresenceReply *r = ask(w, w->meeting, "ReportPresence", &in, NULL);
    assert_non_null(r);
    return r->n_gone_participant_ids;
}
