/* people: short forms of the meeting service's RPCs for tests over a world. */
#pragma once

#include "../world.h"

/* All of them as `who`; what failed is in `answer`. */
const Meeting__MeetingInfo *make_meeting(struct world *w, const struct identity *who,
                                         const Meeting__CreateMeetingRequest *in);
const Meeting__JoinMeetingReply *join_meeting(struct world *w, const struct identity *who,
                                              const char *id);
/* Somebody without an account: joins and becomes *who. */
const Meeting__JoinMeetingReply *join_as_guest(struct world *w, const char *id, const char *name,
                                               struct identity *who);
bool leave_meeting(struct world *w, const struct identity *who, const char *id);
const Meeting__MeetingInfo *get_meeting(struct world *w, const struct identity *who,
                                        const char *id);
const Meeting__MeetingInfo *end_meeting(struct world *w, const struct identity *who,
                                        const char *id);
const Meeting__Participant *set_role(struct world *w, const struct identity *who, const char *id,
                                     const char *participant_id, Meeting__ParticipantRole role);
bool remove_person(struct world *w, const struct identity *who, const char *id,
                   const char *participant_id);
const Meeting__Invitation *invite(struct world *w, const struct identity *who,
                                  const Meeting__InviteRequest *in);
/* The person of this user as an administrator sees it; NULL: no such. */
const Meeting__Participant *find_person(struct world *w, const char *id, const char *user_id);

/* Reports these participants (ends with NULL) of one meeting; how many of them are gone. */
size_t report(struct world *w, const char *id, const char *const *participant_ids);
