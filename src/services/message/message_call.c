/*
 * Calls: meetings that are begun from a conversation. At most one goes on in each; who calls while
 * there is one joins it. That it began, and that it ended or that nobody came, are lines of the
 * log, so who was away finds the missed call there. The meeting service knows nothing of it: what
 * happens in the meeting is heard as an event (at least once, in order).
 */
#include "core/log.h"
#include "services/message/message_internal.h"

#include "meeting.pb-c.h"
#include "user.pb-c.h"

#define NAMED_MAX 50 /* of those who took part, in the line of the end */

struct running_call {
    const char *conversation_id, *meeting_id, *meeting_code, *starter_id;
};

#define CALL_COLUMNS "conversation_id, meeting_id, meeting_code, starter_id FROM message_calls"

static enum err read_call(struct store_stmt *st, struct arena *arena, struct running_call *out)
{
    bool is_found = store_step(st);
    if (is_found) {
        out->conversation_id = store_text(st, 0, arena);
        out->meeting_id = store_text(st, 1, arena);
        out->meeting_code = store_text(st, 2, arena);
        out->starter_id = store_text(st, 3, arena);
    }
    enum err err = store_finish(st);
    return err ? err : is_found ? ERR_OK : ERR_NOT_FOUND;
}

/* ---- begin ---- */

struct calling {
    struct message_op op; /* first */
    struct running_call call;
};

static void *reply_of(struct message_op *op, const struct running_call *call, bool is_new)
{
    Message__StartCallReply *reply = arena_new(op->call->arena, Message__StartCallReply);
    message__start_call_reply__init(reply);
    reply->meeting_id = (char *)call->meeting_id;
    reply->meeting_code = (char *)call->meeting_code;
    reply->is_new = is_new;
    return reply;
}

/* Sets op->reply when one goes on. */
static enum err look_for_call(struct store_tx *tx, struct message_op *op)
{
    if (op->c.kind == MESSAGE__CONVERSATION_KIND__MEETING)
        return message_refuse(op, ERR_FAILED_PRECONDITION, "This is the chat of a meeting.");
    enum err err = message_check_block(tx, op);
    if (err)
        return err;
    struct running_call running;
    err = read_call(
        store_query(tx, "SELECT " CALL_COLUMNS " WHERE conversation_id = ?", "s", op->c.id),
        op->call->arena, &running);
    if (!err)
        op->reply = reply_of(op, &running, false);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err begin_job(struct store_tx *tx, struct message_op *op)
{
    const struct running_call *call = &CONTAINER_OF(op, struct calling, op)->call;
    enum err err = look_for_call(tx, op); /* somebody else may have been faster */
    if (err || op->reply)
        return err;
    err = store_run(tx,
                    "INSERT INTO message_calls (conversation_id, meeting_id, meeting_code,"
                    " starter_id) VALUES (?,?,?,?)",
                    "ssss", op->c.id, call->meeting_id, call->meeting_code, op->me.user_id);
    Message__SystemNote note = MESSAGE__SYSTEM_NOTE__INIT;
    note.event = (char *)"call_started";
    note.actor_id = (char *)op->me.user_id;
    note.meeting_id = (char *)call->meeting_id;
    note.meeting_code = (char *)call->meeting_code;
    const char *key = arena_printf(op->call->arena, "call-started-%s", call->meeting_id);
    if (!err)
        err = message_append_note(tx, op, key, &note);
    op->reply = reply_of(op, call, true);
    return err;
}

static const char *name_of(struct message_service *svc, struct rpc_call *call, const char *user_id)
{
    struct rpc_call *c = rpc_call_create(call);
    User__GetUserRequest request = USER__GET_USER_REQUEST__INIT;
    request.id = (char *)user_id;
    const User__Profile *p = rpc_sync(svc->deps.user, "GetUser", &request.base, c);
    const char *name = !p                              ? ""
                       : p->nickname && p->nickname[0] ? arena_strdup(call->arena, p->nickname)
                                                       : arena_strdup(call->arena, p->username);
    rpc_call_unref(&c);
    return name;
}

/* Groups lend their title; two people their names. */
static char *title_of(struct message_op *op)
{
    if (op->c.title[0])
        return (char *)op->c.title;
    const char *peer = message_conversation_shape(op->call->arena, &op->c, &op->me)->peer_id;
    return arena_printf(op->call->arena, "%s, %s", name_of(op->svc, op->call, op->me.user_id),
                        name_of(op->svc, op->call, peer));
}

static bool make_meeting(struct calling *calling)
{
    struct rpc_call *call = calling->op.call, *c = rpc_call_create(call);
    Meeting__CreateMeetingRequest request = MEETING__CREATE_MEETING_REQUEST__INIT;
    request.title = title_of(&calling->op);
    request._are_guests_allowed_case =
        MEETING__CREATE_MEETING_REQUEST___ARE_GUESTS_ALLOWED_ARE_GUESTS_ALLOWED;
    request.are_guests_allowed = false; /* the host may open it */
    const Meeting__MeetingInfo *meeting =
        rpc_sync(calling->op.svc->deps.meeting, "CreateMeeting", &request.base, c);
    if (meeting) {
        calling->call.meeting_id = arena_strdup(call->arena, meeting->id);
        calling->call.meeting_code = arena_strdup(call->arena, meeting->code);
    } else {
        rpc_fail(call, c->err, "%s", c->message);
    }
    rpc_call_unref(&c);
    return meeting != NULL;
}

/* A meeting nobody will hear of, since the call goes on elsewhere or was refused after all. */
static void drop_meeting(struct calling *calling)
{
    struct rpc_call *c = rpc_call_create(calling->op.call);
    Meeting__DeleteMeetingRequest request = MEETING__DELETE_MEETING_REQUEST__INIT;
    request.id = (char *)calling->call.meeting_id;
    if (!rpc_sync(calling->op.svc->deps.meeting, "DeleteMeeting", &request.base, c))
        log_warn(&calling->op.call->log, "message: a meeting is left over: %s", err_name(c->err));
    rpc_call_unref(&c);
}

/* Who calls is in it: so it goes on, and ends like any other when the caller does not come. */
static void enter_meeting(struct calling *calling)
{
    struct rpc_call *c = rpc_call_create(calling->op.call);
    Meeting__JoinMeetingRequest request = MEETING__JOIN_MEETING_REQUEST__INIT;
    request.id = (char *)calling->call.meeting_id;
    if (!rpc_sync(calling->op.svc->deps.meeting, "JoinMeeting", &request.base, c))
        log_warn(&calling->op.call->log, "message: the caller could not enter a call: %s",
                 err_name(c->err));
    rpc_call_unref(&c);
}

/* NULL after rpc_fail. */
static void *start_call(struct calling *calling)
{
    struct message_op *op = &calling->op;
    op->fn = look_for_call;
    enum err err = message_look_sync(op);
    if (!err && !op->reply) {
        if (!make_meeting(calling))
            return NULL;
        op->fn = begin_job;
        err = message_change_sync(op);
        bool is_ours = !err && ((Message__StartCallReply *)op->reply)->is_new;
        if (is_ours)
            enter_meeting(calling);
        else
            drop_meeting(calling);
    }
    return err ? who_fail(op->call, err) : op->reply;
}

MESSAGE_HANDLER(message_on_start_call, StartCallRequest, StartCallReply)
{
    struct calling *calling = message_op_create(MESSAGE_OF(rpc), data, sizeof(*calling), &in->base,
                                                (ProtobufCClosure)closure);
    const Message__StartCallRequest *own = calling->op.in;
    calling->op.conversation_id = own->id;
    calling->op.needs = MESSAGE_NEEDS_WRITE;
    bool is_allowed = who_require(calling->op.call, ROLE_USER) && message_op_is_here(&calling->op);
    closure(is_allowed ? start_call(calling) : NULL, data);
}

/* ---- what happens in it ---- */

static enum err note_person(struct store_tx *tx, const struct running_call *call,
                            const char *user_id)
{
    return store_run(tx,
                     "INSERT INTO message_call_people (meeting_id, user_id) VALUES (?,?)"
                     " ON CONFLICT DO NOTHING",
                     "ss", call->meeting_id, user_id);
}

/* Those who were in it, the caller first. */
static enum err list_people(struct store_tx *tx, struct arena *arena,
                            const struct running_call *call, Message__SystemNote *note)
{
    note->user_ids = arena_array(arena, char *, NAMED_MAX);
    note->user_ids[note->n_user_ids++] = (char *)call->starter_id;
    struct store_stmt *st =
        store_query(tx,
                    "SELECT user_id FROM message_call_people WHERE meeting_id = ?"
                    " AND user_id <> ? ORDER BY user_id LIMIT ?",
                    "ssi", call->meeting_id, call->starter_id, (int64_t)NAMED_MAX - 1);
    while (store_step(st))
        note->user_ids[note->n_user_ids++] = store_text(st, 0, arena);
    return store_finish(st);
}

static enum err forget_call(struct store_tx *tx, const struct running_call *call)
{
    enum err err = store_run(tx, "DELETE FROM message_call_people WHERE meeting_id = ?", "s",
                             call->meeting_id);
    return err ? err
               : store_run(tx, "DELETE FROM message_calls WHERE meeting_id = ?", "s",
                           call->meeting_id);
}

/* meeting NULL: it was deleted before anybody came. */
static enum err end_call(struct store_tx *tx, struct message_op *op,
                         const struct running_call *call, const Meeting__MeetingInfo *meeting)
{
    struct arena *arena = op->call->arena;
    Message__SystemNote note = MESSAGE__SYSTEM_NOTE__INIT;
    enum err err = message_store_find(tx, arena, call->conversation_id, &op->c);
    if (!err)
        err = list_people(tx, arena, call, &note);
    if (err)
        return err;
    bool is_missed = note.n_user_ids == 1;
    note.event = (char *)(is_missed ? "call_missed" : "call_ended");
    note.actor_id = (char *)call->starter_id;
    note.meeting_id = (char *)call->meeting_id;
    note.meeting_code = (char *)call->meeting_code;
    if (!is_missed && meeting && meeting->started_at_ms)
        note.duration_ms = MAX(0, meeting->ended_at_ms - meeting->started_at_ms);
    err =
        message_append_note(tx, op, arena_printf(arena, "call-ended-%s", call->meeting_id), &note);
    return err ? err : forget_call(tx, call);
}

struct finding {
    struct arena *arena;
    const char *meeting_id, *conversation_id;
    bool is_found;
};

static enum err find_job(struct store_tx *tx, void *arg)
{
    struct finding *f = arg;
    struct running_call call;
    enum err err = read_call(
        store_query(tx, "SELECT " CALL_COLUMNS " WHERE meeting_id = ?", "s", f->meeting_id),
        f->arena, &call);
    f->is_found = !err;
    f->conversation_id = err ? NULL : call.conversation_id;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err message_call_find(struct message_op *op, const char *meeting_id,
                           const char **conversation_id)
{
    struct finding f = {.arena = op->call->arena, .meeting_id = meeting_id};
    enum err err = message_read_until(op->svc, NULL, find_job, &f, &f.is_found);
    *conversation_id = f.conversation_id;
    return err;
}

enum err message_call_follow(struct store_tx *tx, struct message_op *op,
                             const Meeting__MeetingEvent *event)
{
    const char *type = event->type;
    struct running_call call;
    enum err err = read_call(
        store_query(tx, "SELECT " CALL_COLUMNS " WHERE meeting_id = ?", "s", event->meeting_id),
        op->call->arena, &call);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    if (!err && event->participant && strcmp(type, "meeting.user_joined") == 0)
        err = note_person(tx, &call, event->participant->user_id);
    if (!err && (strcmp(type, "meeting.ended") == 0 || strcmp(type, "meeting.deleted") == 0))
        err = end_call(tx, op, &call, event->meeting);
    return err;
}
