/* Services that signaling calls, as the tests need them: people and meetings by the letters of
 * their names. */
#pragma once

#include "bus/bus.h"
#include "rpc/rpc.h"

#include "user.pb-c.h"

/*
 * auth: a token is a person's name; "bad" is refused; asked what became of sign-ins, that of "over"
 * is over, "chief" is administrator. meeting: everybody is admitted, but "ghost" has no place when
 * it is reported, "waiter" waits and "stranger" is refused; "host" is host. The meeting's id is
 * FAKE_MEETING, a participant's id "p-" and the name. media: opens the session of "slow" slowly;
 * answers offers with "answer to " and the offer; notes what it was told.
 */
#define FAKE_MEETING "01J0000000000000000000000M"

extern ProtobufCService *const fake_auth;
extern ProtobufCService *const fake_meeting;
extern ProtobufCService *const fake_media;

struct fake_notes {
    _Atomic int opened, closed, left, muted, answered;
    _Atomic int asked;              /* for "pending", which the meeting service answers late */
    _Atomic int left_role;          /* of who left last */
    _Atomic int is_waiter_admitted; /* set by the test: nobody has told "waiter" yet */
    _Atomic int failing_checks;     /* set by the test: so many questions to auth fail */
    _Atomic int checks;             /* questions, and how many sign-ins were in one */
    _Atomic int most_checked, least_checked;
    _Atomic int reported; /* participants, in all reports */
};
extern struct fake_notes fake_notes;
/* The media session of the last OpenSession. */
extern char fake_last_session[27];

/* When what fake_meeting_event tells happened; 0: just now. */
extern int64_t fake_event_at_ms;

/* meeting_events about one person: type without "meeting.". */
void fake_meeting_event(struct bus *bus, const char *type, const char *name, const char *kind);
void fake_media_offer(struct bus *bus, const char *session_id, int64_t revision);
void fake_media_track(struct bus *bus, const char *type, const char *session_id, const char *name,
                      const char *track_id);
void fake_role(struct bus *bus, const char *user_id, User__Role role);
/* One sign-in; the fake's are called like the person. */
void fake_revoke_session(struct bus *bus, const char *session_id);
void fake_revoke(struct bus *bus, const char *user_id);
/* The link to the bus was lost, and is there again. */
void fake_gap(struct bus *bus);
