/*
 * hub_fixture: a gateway's hub with fakes around it. The message and presence services are played
 * here; sockets are numbers; what the hub sends to a socket is kept as the JSON that it would get.
 */
#pragma once

#include "test.h"

#include "services/gateway/gateway_hub.h"

/* ---- what the fake services say ---- */
struct fake_list {
    const char *user_id;
    size_t count;    /* conversations "c-1" to "c-N" */
    size_t per_page; /* 0: all in one */
    int64_t lsn, fence;
};
extern struct fake_list fake_lists[8];
extern _Atomic int fake_hold_lists;    /* lists wait as long as this is set */
extern _Atomic int fake_hold_pages;    /* the same for all pages but the first */
extern _Atomic int fake_failing_lists; /* so many are refused first */
extern _Atomic int fake_views_asked, fake_reports;
extern _Atomic int fake_tie;        /* Presence__Tie of every view */
extern _Atomic int fake_hold_views; /* views, already made, wait as long as this is set */

struct hub {
    struct gateway *gw;
    struct bus *bus;
};
extern struct hub hub;
int hub_open(void **state);
int hub_close(void **state);

extern _Atomic int fake_failing_checks; /* of sign-ins: so many are refused first; "over" is over */
extern _Atomic int fake_checks, fake_least_checked; /* questions, and sign-ins in the smallest */

/* ---- sockets; numbers from 1 to SOCKETS_MAX - 1 ---- */
#define SOCKETS_MAX 4096
struct hub_post post_of(uint64_t socket, enum hub_post_kind kind);
void join(uint64_t socket, const char *user_id, const char *session_id);
void leave(uint64_t socket);
void look(uint64_t socket, const char *conversation_id);
void type(uint64_t socket, const char *conversation_id);
void watch(uint64_t socket, char **user_ids, size_t count);

/* After everything that was posted so far. */
void settle(void);
/* The link to the bus was lost, and is there again. */
void lose_events(void);
/* How many frames of this kind ("change") the socket got, and the last one as JSON ("" for none).
 */
size_t frames_of(uint64_t socket, const char *kind);
const char *last_of(uint64_t socket, const char *kind);
/* How many frames the socket got that have this text in them. */
size_t frames_with(uint64_t socket, const char *text);
/* Waits up to 30 s for so many. */
void wait_frames(uint64_t socket, const char *kind, size_t count);
void forget_frames(void);
/* The code it was closed with; 0: open. */
unsigned closed_with(uint64_t socket);
size_t answers_of(void); /* of watch */

/* ---- events ---- */
extern int64_t fake_fence; /* of the owner who tells */
struct said {
    const char *conversation_id, *sender_id;
    int64_t seq, lsn, member_count;
    const char *mention;
};
void say(const struct said *said);
/* state: of the person in the conversation, from this lsn on. */
void change_member(const char *conversation_id, const char *user_id, Message__MemberState state,
                   int64_t lsn);
void read_up_to(const char *conversation_id, const char *user_id, int64_t seq);
void end_session(const char *user_id, const char *session_id);
void appear(const char *user_id, Presence__Status status, int64_t version);
