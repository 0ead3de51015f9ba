/* meeting_internal: what the files of this service share. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/mem.h"
#include "services/common/audit.h"
#include "services/common/page.h"
#include "services/common/text.h"
#include "services/common/who.h"
#include "services/meeting/meeting.h"

#include "meeting.pb-c.h"

struct meeting_service {
    Meeting__Meeting_Service rpc; /* first: handlers get it back by CONTAINER_OF */
    struct meeting_deps deps;
    struct password_hasher *hasher;
    /* of the sweep */
    int64_t grace_from_ms;   /* the start, or when the wall clock was last set */
    int64_t clock_offset_ms; /* wall minus monotonic */
    struct loop_timer sweep_timer;
    int user_subscription;
    int live_subscriptions[4];
};

/* ---- rows; texts live in the arena of the call that read them ---- */

struct meeting_row {
    const char *id, *code, *title, *description, *host_id, *host_name, *time_zone;
    const char *password_hash; /* "": none */
    Meeting__State state;
    int64_t scheduled_start_ms, scheduled_end_ms;
    int64_t created_at_ms, started_at_ms, ended_at_ms, updated_at_ms;
    int64_t capacity, present_count, revision;
    bool has_waiting_room, is_locked, are_guests_allowed, is_muted_on_entry, can_participants_share;
};

struct meeting_person {
    const char *id, *meeting_id, *user_id, *name, *avatar_url;
    Meeting__ParticipantRole role;
    Meeting__ParticipantState state;
    bool is_guest;
    int64_t joined_at_ms, left_at_ms;
    /* read only: */
    int64_t connected_at_ms, attended_ms; /* connected 0: not now; attended: before that */
    unsigned streams;                     /* bits: media's sources */
};

/* What was heard of somebody's connection. */
#define MEETING_STREAMS 15u
struct meeting_connection {
    char meeting_id[ID_SIZE], participant_id[ID_SIZE], session_id[ID_SIZE];
    int64_t at_ms;
    unsigned streams_on, streams_off;
};

/* What came of a task about a meeting. */
struct meeting_result {
    const char *id, *meeting_id, *task, *task_id, *stream_id, *status, *message, *reply;
    int64_t at_ms;
};

struct meeting_invitation {
    const char *id, *meeting_id, *user_id, *user_name;
    int64_t created_at_ms, expires_at_ms, uses_max, uses_count;
};

struct meeting_place {
    const char *signaling_id, *media_id; /* node ids; "": nobody */
    int64_t fence;                       /* 0: never placed */
    int64_t placed_at_ms;
};

/* ---- meeting_store_place.c ---- */
/* Never placed is a place, too. */
enum err meeting_store_find_place(struct store_tx *tx, struct arena *arena, const char *meeting_id,
                                  struct meeting_place *out);
/* ERR_ABORTED: the fence is another one. */
enum err meeting_store_move_place(struct store_tx *tx, const char *meeting_id,
                                  int64_t expected_fence, const struct meeting_place *to);
enum err meeting_store_drop_place(struct store_tx *tx, const char *meeting_id);

/* ---- meeting_store_live.c ---- */
/* Not connected any more; session_id "": whichever it was. */
enum err meeting_store_part(struct store_tx *tx, const char *participant_id, const char *session_id,
                            int64_t at_ms);
/* By a new session; told again it changes nothing. */
enum err meeting_store_come(struct store_tx *tx, const struct meeting_connection *c);
enum err meeting_store_set_streams(struct store_tx *tx, const struct meeting_connection *c);
/* Once; the oldest go. ERR_NOT_FOUND: no such meeting. */
enum err meeting_store_add_result(struct store_tx *tx, const struct meeting_result *r);
/* Newest first. */
enum err meeting_store_results(struct store_tx *tx, struct arena *arena, const char *meeting_id,
                               struct meeting_result **rows, size_t *count);

/* ---- meeting_store.c: all the other SQL ---- */
/* By id or code. ERR_NOT_FOUND. */
enum err meeting_store_find(struct store_tx *tx, struct arena *arena, const char *id,
                            struct meeting_row *out);
enum err meeting_store_insert(struct store_tx *tx, const struct meeting_row *m);
enum err meeting_store_update(struct store_tx *tx, const struct meeting_row *m);
enum err meeting_store_delete(struct store_tx *tx, const char *id);
/* One's own (hosted, joined, invited), newest first; one more than page->limit if there is a
 * further page. state "": all. */
enum err meeting_store_list(struct store_tx *tx, struct arena *arena, const char *user_id,
                            const char *state, const struct page *page, struct meeting_row **rows,
                            size_t *count);
enum err meeting_store_find_person(struct store_tx *tx, struct arena *arena, const char *meeting_id,
                                   const char *user_id, struct meeting_person *out);
enum err meeting_store_get_person(struct store_tx *tx, struct arena *arena, const char *meeting_id,
                                  const char *id, struct meeting_person *out);
/* Inserts or replaces by id. */
enum err meeting_store_put_person(struct store_tx *tx, const struct meeting_person *p);
enum err meeting_store_delete_person(struct store_tx *tx, const char *id);
/* Is on the wire now. ERR_NOT_FOUND: neither admitted nor waiting. */
enum err meeting_store_seen(struct store_tx *tx, const char *meeting_id, const char *id,
                            int64_t now_ms);
/* Admitted or waiting before then, and not seen since; times beyond `after_ms` are of a clock that
 * was set back, and count as old. At most 500. */
enum err meeting_store_unseen(struct store_tx *tx, struct arena *arena, int64_t before_ms,
                              int64_t after_ms, struct meeting_person **rows, size_t *count);
/* state -1: all. */
enum err meeting_store_people(struct store_tx *tx, struct arena *arena, const char *meeting_id,
                              int state, struct meeting_person **rows, size_t *count);
enum err meeting_store_add_invitation(struct store_tx *tx, const struct meeting_invitation *i,
                                      const char *token_hash, const char *created_by);
enum err meeting_store_invitations(struct store_tx *tx, struct arena *arena, const char *meeting_id,
                                   struct meeting_invitation **rows, size_t *count);
/* With the place of an account that has not come yet. ERR_NOT_FOUND. */
enum err meeting_store_delete_invitation(struct store_tx *tx, const char *meeting_id,
                                         const char *id);
/* Uses a link once; ERR_NOT_FOUND: unknown, used up or expired. */
enum err meeting_store_use_link(struct store_tx *tx, const char *meeting_id, const char *token_hash,
                                int64_t now_ms);
/* The link is good but for its number of uses. */
bool meeting_store_has_link(struct store_tx *tx, const char *meeting_id, const char *token_hash,
                            int64_t now_ms);
enum err meeting_store_forget_invited(struct store_tx *tx, const char *meeting_id,
                                      const char *user_id);
/* An account's invitation is there and has not expired. */
bool meeting_store_is_invited(struct store_tx *tx, const char *meeting_id, const char *user_id,
                              int64_t now_ms);
/* Active, unscheduled (or past their end), and empty since before. */
enum err meeting_store_abandoned(struct store_tx *tx, struct arena *arena, int64_t before_ms,
                                 const char ***ids, size_t *count);

/* Scheduled for a time that is over since before, and never begun. */
enum err meeting_store_missed(struct store_tx *tx, struct arena *arena, int64_t before_ms,
                              const char ***ids, size_t *count);
/* The account's name in what it hosts, its picture wherever it takes part. */
enum err meeting_store_rename_host(struct store_tx *tx, const char *user_id, const char *name,
                                   const char *avatar_url);

/* ---- meeting_shape.c: rows as messages ---- */
/* me may be NULL. */
Meeting__MeetingInfo *meeting_info(struct arena *arena, const struct meeting_row *m,
                                   const struct meeting_person *me);
Meeting__Participant *meeting_participant(struct arena *arena, const struct meeting_person *p);

/* ---- meeting_op.c: one change, or one look, in a transaction ---- */
struct meeting_op;
typedef enum err meeting_op_fn(struct store_tx *tx, struct meeting_op *op);
struct meeting_op {
    struct meeting_service *svc;
    struct rpc_call *call;
    const void *in;
    meeting_op_fn *fn;
    const char *meeting_id; /* asked for: id or code */
    enum meeting_needs {
        MEETING_NEEDS_NOTHING,
        MEETING_NEEDS_PLACE,  /* one has, or had, a place in it, or is administrator */
        MEETING_NEEDS_COHOST, /* host, co-host or administrator */
        MEETING_NEEDS_HOST,
    } needs;
    /* found before fn runs */
    struct meeting_row m;
    struct meeting_person me; /* me.id NULL: no place */
    void *reply;              /* set by fn; in the call's arena */
};
/* The reply, or NULL after rpc_fail. */
void *meeting_change(struct meeting_op *op);
void *meeting_look(struct meeting_op *op);
/* The caller has a guest's token of this meeting. */
bool meeting_is_guest(const struct rpc_call *call, const char *meeting_id);
/* Those who wait, and those who were put out, do not see who is inside. */
bool meeting_sees_people(const struct meeting_op *op);
/* rpc_fail and the error, in one. */
enum err meeting_refuse(struct meeting_op *op, enum err err, const char *why);
/* Only legal moves: scheduled -> active -> ended, scheduled -> ended. */
enum err meeting_move(struct meeting_op *op, Meeting__State to);

/* ---- meeting_events.c ---- */
/* "meeting.<type>"; person may be NULL. */
enum err meeting_publish_tx(struct meeting_op *op, struct store_tx *tx, const char *type,
                            const struct meeting_person *person, const char *kind);

/* "meeting.placed" */
enum err meeting_publish_place_tx(struct meeting_op *op, struct store_tx *tx,
                                  Meeting__Place *place);

/* ---- meeting_place.c ---- */
Meeting__Place *meeting_place_shape(struct arena *arena, const struct meeting_place *p);
void *meeting_do_place(struct meeting_service *svc, struct rpc_call *call,
                       const Meeting__PlaceMeetingRequest *in);

/* meeting_erase.c */
void meeting_erase_start(struct meeting_service *svc);
/* meeting_store.c: names and pictures of a person, not the places. */
enum err meeting_store_forget(struct store_tx *tx, const char *user_id);
void meeting_events_start(struct meeting_service *svc);
void meeting_events_stop(struct meeting_service *svc);

/* ---- meeting_live.c ---- */
void meeting_live_start(struct meeting_service *svc);
void meeting_live_stop(struct meeting_service *svc);
void *meeting_do_results(struct meeting_service *svc, struct rpc_call *call,
                         const Meeting__ListResultsRequest *in);

/* ---- meeting_presence.c ---- */
void *meeting_do_report(struct meeting_service *svc, struct rpc_call *call,
                        const Meeting__ReportPresenceRequest *in);
void meeting_sweep_start(struct meeting_service *svc);
void meeting_sweep_stop(struct meeting_service *svc);

/* ---- meeting_names.c: people's names, from the user service ---- */
struct meeting_account {
    const char *user_id, *name, *avatar_url;
};
/* One account ("me": the caller). false after rpc_fail. */
bool meeting_find_account(struct meeting_service *svc, struct rpc_call *call, const char *user_id,
                          struct meeting_account *out);

/* ---- parts of operations, inside a transaction ---- */
/* p (in op->m) goes, if it is there: a host hands over to a co-host who is there; who only waited
 * leaves no trace. kind: "" or "timeout". */
enum err meeting_leave_tx(struct meeting_op *op, struct store_tx *tx, struct meeting_person *p,
                          const char *kind);
/* kind: "", "empty" or "missed". */
enum err meeting_end_tx(struct meeting_op *op, struct store_tx *tx, const char *kind);
/* The first who comes starts it. */
enum err meeting_start_tx(struct meeting_op *op, struct store_tx *tx);
/* This one who waits, or all (NULL), as far as there is room; *waiting: for whom there is none. */
enum err meeting_admit_tx(struct meeting_op *op, struct store_tx *tx, const char *participant_id,
                          int *admitted, int *waiting);
/* By id in this meeting. ERR_NOT_FOUND, said. */
enum err meeting_get_person(struct store_tx *tx, struct meeting_op *op, const char *id,
                            struct meeting_person *out);
/* One host at a time: who was it becomes co-host. Publishes both. */
enum err meeting_transfer_tx(struct meeting_op *op, struct store_tx *tx, struct meeting_person *to);

/* ---- domain ---- */
void *meeting_do_create(struct meeting_service *svc, struct rpc_call *call,
                        const Meeting__CreateMeetingRequest *in);
void *meeting_do_list(struct meeting_service *svc, struct rpc_call *call,
                      const Meeting__ListMeetingsRequest *in);
void *meeting_do_get(struct meeting_service *svc, struct rpc_call *call,
                     const Meeting__GetMeetingRequest *in);
void *meeting_do_preview(struct meeting_service *svc, struct rpc_call *call,
                         const Meeting__GetMeetingRequest *in);
void *meeting_do_update(struct meeting_service *svc, struct rpc_call *call,
                        const Meeting__UpdateMeetingRequest *in);
void *meeting_do_delete(struct meeting_service *svc, struct rpc_call *call,
                        const Meeting__DeleteMeetingRequest *in);
void *meeting_do_end(struct meeting_service *svc, struct rpc_call *call,
                     const Meeting__EndMeetingRequest *in);
void *meeting_do_join(struct meeting_service *svc, struct rpc_call *call,
                      const Meeting__JoinMeetingRequest *in);
void *meeting_do_leave(struct meeting_service *svc, struct rpc_call *call,
                       const Meeting__LeaveMeetingRequest *in);
void *meeting_do_authorize(struct meeting_service *svc, struct rpc_call *call,
                           const Meeting__AuthorizeParticipantRequest *in);
void *meeting_do_people(struct meeting_service *svc, struct rpc_call *call,
                        const Meeting__ListParticipantsRequest *in);
void *meeting_do_set_role(struct meeting_service *svc, struct rpc_call *call,
                          const Meeting__SetParticipantRoleRequest *in);
void *meeting_do_remove(struct meeting_service *svc, struct rpc_call *call,
                        const Meeting__RemoveParticipantRequest *in);
void *meeting_do_mute(struct meeting_service *svc, struct rpc_call *call,
                      const Meeting__MuteParticipantRequest *in);
void *meeting_do_admit(struct meeting_service *svc, struct rpc_call *call,
                       const Meeting__AdmitParticipantRequest *in);
void *meeting_do_refuse(struct meeting_service *svc, struct rpc_call *call,
                        const Meeting__RefuseParticipantRequest *in);

/* Accounts to invite, each once, the caller left out. False after rpc_fail. */
bool meeting_take_invitees(struct meeting_service *svc, struct rpc_call *call,
                           char *const *user_ids, size_t n, struct meeting_invitation **rows,
                           size_t *count);
/* Of an account (op->m must be known): the row, and the meeting on the account's list. */
enum err meeting_invite_account(struct store_tx *tx, struct meeting_op *op,
                                struct meeting_invitation *row);
void *meeting_do_invite(struct meeting_service *svc, struct rpc_call *call,
                        const Meeting__InviteRequest *in);
void *meeting_do_list_invitations(struct meeting_service *svc, struct rpc_call *call,
                                  const Meeting__ListInvitationsRequest *in);
void *meeting_do_revoke_invitation(struct meeting_service *svc, struct rpc_call *call,
                                   const Meeting__RevokeInvitationRequest *in);
void *meeting_do_calendar(struct meeting_service *svc, struct rpc_call *call,
                          const Meeting__GetCalendarRequest *in);
extern const Meeting__Meeting_Service meeting_rpc_table;
/* What is kept of an invitation link's token; "" of "". */
const char *meeting_token_hash(struct arena *arena, const char *token);

/* A field of a request, checked; NULL after rpc_fail. */
char *meeting_take_name(struct rpc_call *call, const char *value, bool is_needed);
