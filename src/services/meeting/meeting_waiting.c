/* The waiting room: who waits is admitted, by name or all, as far as there is room, or refused. */
#include "services/meeting/meeting_internal.h"

static enum err admit(struct meeting_op *op, struct store_tx *tx, struct meeting_person *p)
{
    op->m.present_count++;
    p->state = MEETING__PARTICIPANT_STATE__ADMITTED;
    p->joined_at_ms = clock_wall_ms();
    enum err err = meeting_store_put_person(tx, p);
    if (!err)
        err = meeting_start_tx(op, tx);
    return err ? err : meeting_publish_tx(op, tx, "user_joined", p, NULL);
}

enum err meeting_admit_tx(struct meeting_op *op, struct store_tx *tx, const char *participant_id,
                          int *admitted, int *waiting)
{
    struct meeting_person *people;
    size_t count;
    *admitted = *waiting = 0;
    enum err err = meeting_store_people(tx, op->call->arena, op->m.id,
                                        MEETING__PARTICIPANT_STATE__WAITING, &people, &count);
    for (size_t i = 0; i < count && !err; i++) {
        if (participant_id && strcmp(people[i].id, participant_id) != 0)
            continue;
        if (op->m.present_count >= op->m.capacity) {
            ++*waiting;
            continue;
        }
        err = admit(op, tx, &people[i]);
        ++*admitted;
    }
    return err;
}

static enum err admit_job(struct store_tx *tx, struct meeting_op *op)
{
    const Meeting__AdmitParticipantRequest *in = op->in;
    bool is_all = strcmp(in->participant_id, "all") == 0;
    int waiting;
    Meeting__AdmitParticipantReply *reply =
        arena_new(op->call->arena, Meeting__AdmitParticipantReply);
    meeting__admit_participant_reply__init(reply);
    op->reply = reply;
    enum err err = meeting_admit_tx(op, tx, is_all ? NULL : in->participant_id,
                                    &reply->admitted_count, &waiting);
    if (err || reply->admitted_count)
        return err;
    if (waiting)
        return meeting_refuse(op, ERR_RESOURCE_EXHAUSTED, "The meeting is full.");
    return is_all ? ERR_OK : meeting_refuse(op, ERR_NOT_FOUND, "Nobody of that name waits.");
}

void *meeting_do_admit(struct meeting_service *svc, struct rpc_call *call,
                       const Meeting__AdmitParticipantRequest *in)
{
    struct meeting_op op = {.svc = svc,
                            .call = call,
                            .in = in,
                            .fn = admit_job,
                            .meeting_id = in->id,
                            .needs = MEETING_NEEDS_COHOST};
    return meeting_change(&op);
}

static enum err refuse_job(struct store_tx *tx, struct meeting_op *op)
{
    const Meeting__RefuseParticipantRequest *in = op->in;
    struct meeting_person p;
    enum err err = meeting_get_person(tx, op, in->participant_id, &p);
    if (err)
        return err;
    if (p.state != MEETING__PARTICIPANT_STATE__WAITING)
        return meeting_refuse(op, ERR_FAILED_PRECONDITION, "That participant does not wait.");
    p.state = MEETING__PARTICIPANT_STATE__REFUSED;
    if ((err = meeting_store_put_person(tx, &p)))
        return err;
    Meeting__RefuseParticipantReply *reply =
        arena_new(op->call->arena, Meeting__RefuseParticipantReply);
    meeting__refuse_participant_reply__init(reply);
    op->reply = reply;
    return meeting_publish_tx(op, tx, "user_refused", &p, NULL);
}

void *meeting_do_refuse(struct meeting_service *svc, struct rpc_call *call,
                        const Meeting__RefuseParticipantRequest *in)
{
    struct meeting_op op = {.svc = svc,
                            .call = call,
                            .in = in,
                            .fn = refuse_job,
                            .meeting_id = in->id,
                            .needs = MEETING_NEEDS_COHOST};
    return meeting_change(&op);
}
