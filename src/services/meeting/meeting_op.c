/*
 * One operation on a meeting: find it, find the caller's place in it, check what the operation
 * needs, then do it, all in one transaction. A stranger learns nothing: what one has no relation to
 * is "not found".
 */
#include "services/meeting/meeting_internal.h"

enum err meeting_refuse(struct meeting_op *op, enum err err, const char *why)
{
    rpc_fail(op->call, err, "%s", why);
    return err;
}

static enum err not_found(struct meeting_op *op)
{
    return meeting_refuse(op, ERR_NOT_FOUND, "There is no such meeting.");
}

bool meeting_is_guest(const struct rpc_call *call, const char *meeting_id)
{
    return who_role(call) == ROLE_GUEST && strcmp(call->who->meeting_id, meeting_id) == 0;
}

static bool has_place(const struct meeting_op *op)
{
    return op->me.id || who_is_admin(op->call);
}

bool meeting_sees_people(const struct meeting_op *op)
{
    return who_is_admin(op->call) ||
           (op->me.id && op->me.state != MEETING__PARTICIPANT_STATE__WAITING &&
            op->me.state != MEETING__PARTICIPANT_STATE__REFUSED &&
            op->me.state != MEETING__PARTICIPANT_STATE__REMOVED);
}

static enum err check_needs(struct meeting_op *op)
{
    if (op->needs == MEETING_NEEDS_NOTHING || who_is_admin(op->call))
        return ERR_OK;
    if (!has_place(op))
        return not_found(op);
    bool is_inside = op->me.state != MEETING__PARTICIPANT_STATE__REMOVED &&
                     op->me.state != MEETING__PARTICIPANT_STATE__REFUSED;
    if (!is_inside)
        return not_found(op);
    if (op->needs == MEETING_NEEDS_COHOST && op->me.role == MEETING__PARTICIPANT_ROLE__PARTICIPANT)
        return meeting_refuse(op, ERR_PERMISSION_DENIED, "Only a host can do that.");
    if (op->needs == MEETING_NEEDS_HOST && op->me.role != MEETING__PARTICIPANT_ROLE__HOST)
        return meeting_refuse(op, ERR_PERMISSION_DENIED, "Only the host can do that.");
    return ERR_OK;
}

static enum err run(struct store_tx *tx, void *arg)
{
    struct meeting_op *op = arg;
    struct arena *arena = op->call->arena;
    if (op->meeting_id) {
        enum err err = meeting_store_find(tx, arena, op->meeting_id, &op->m);
        if (err)
            return err == ERR_NOT_FOUND ? not_found(op) : err;
        /* A guest's token is good for one meeting; in others its bearer is nobody. */
        bool is_foreign = who_role(op->call) == ROLE_GUEST && !meeting_is_guest(op->call, op->m.id);
        if (is_foreign && op->needs != MEETING_NEEDS_NOTHING)
            return not_found(op);
        const char *user_id = is_foreign ? "" : who_id(op->call);
        op->me = (struct meeting_person){0};
        err =
            user_id[0] ? meeting_store_find_person(tx, arena, op->m.id, user_id, &op->me) : ERR_OK;
        if (err && err != ERR_NOT_FOUND)
            return err;
        if ((err = check_needs(op)))
            return err;
    }
    return op->fn(tx, op);
}

static void *finish(struct meeting_op *op, enum err err)
{
    return err ? who_fail(op->call, err) : op->reply;
}

void *meeting_change(struct meeting_op *op)
{
    return finish(op, store_write_essential_sync(op->svc->deps.store, 0, run, op));
}

void *meeting_look(struct meeting_op *op)
{
    return finish(op, store_read(op->svc->deps.store, run, op));
}

enum err meeting_move(struct meeting_op *op, Meeting__State to)
{
    struct meeting_row *m = &op->m;
    bool is_legal = (m->state == MEETING__STATE__SCHEDULED && to != MEETING__STATE__SCHEDULED) ||
                    (m->state == MEETING__STATE__ACTIVE && to == MEETING__STATE__ENDED);
    if (!is_legal)
        return meeting_refuse(op, ERR_FAILED_PRECONDITION, "The meeting has ended.");
    m->state = to;
    if (to == MEETING__STATE__ACTIVE)
        m->started_at_ms = clock_wall_ms();
    else
        m->ended_at_ms = clock_wall_ms();
    return ERR_OK;
}
