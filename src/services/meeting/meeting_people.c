/* The host's hand: who takes part, roles, removing, muting. */
#include "services/meeting/meeting_internal.h"

static int state_of(const char *name)
{
    static const char *const names[] = {"invited", "waiting", "admitted",
                                        "left",    "refused", "removed"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], name) == 0)
            return (int)i;
    }
    return name[0] ? -2 : -1;
}

static bool is_hosting(const struct meeting_op *op)
{
    return who_is_admin(op->call) || op->me.role != MEETING__PARTICIPANT_ROLE__PARTICIPANT;
}

/* Who waits, was refused or put out is the hosts' affair; who waits sees nobody but itself. */
static bool may_see(const struct meeting_op *op, const struct meeting_person *p)
{
    if (is_hosting(op) || (op->me.id && strcmp(op->me.id, p->id) == 0))
        return true;
    return meeting_sees_people(op) && p->state != MEETING__PARTICIPANT_STATE__WAITING &&
           p->state != MEETING__PARTICIPANT_STATE__REFUSED &&
           p->state != MEETING__PARTICIPANT_STATE__REMOVED;
}

static enum err people_job(struct store_tx *tx, struct meeting_op *op)
{
    const Meeting__ListParticipantsRequest *in = op->in;
    struct arena *arena = op->call->arena;
    struct meeting_person *people;
    size_t count;
    int state = state_of(in->state);
    if (!meeting_sees_people(op))
        return meeting_refuse(op, ERR_PERMISSION_DENIED, "You have not been let in yet.");
    if (state == -2)
        return meeting_refuse(op, ERR_INVALID_ARGUMENT, "state: no such state of a participant");
    enum err err = meeting_store_people(tx, arena, op->m.id, state, &people, &count);
    if (err)
        return err;
    Meeting__ParticipantList *list = arena_new(arena, Meeting__ParticipantList);
    meeting__participant_list__init(list);
    list->participants = arena_array(arena, Meeting__Participant *, count);
    for (size_t i = 0; i < count; i++) {
        if (may_see(op, &people[i]))
            list->participants[list->n_participants++] = meeting_participant(arena, &people[i]);
    }
    op->reply = list;
    return ERR_OK;
}

void *meeting_do_people(struct meeting_service *svc, struct rpc_call *call,
                        const Meeting__ListParticipantsRequest *in)
{
    struct meeting_op op = {.svc = svc,
                            .call = call,
                            .in = in,
                            .fn = people_job,
                            .meeting_id = in->id,
                            .needs = MEETING_NEEDS_PLACE};
    return meeting_look(&op);
}

enum err meeting_get_person(struct store_tx *tx, struct meeting_op *op, const char *id,
                            struct meeting_person *out)
{
    enum err err = meeting_store_get_person(tx, op->call->arena, op->m.id, id, out);
    return err == ERR_NOT_FOUND
               ? meeting_refuse(op, err, "There is no such participant in this meeting.")
               : err;
}

/* ---- roles ---- */

enum err meeting_transfer_tx(struct meeting_op *op, struct store_tx *tx, struct meeting_person *to)
{
    struct meeting_person from = {0};
    if (to->is_guest)
        return meeting_refuse(op, ERR_FAILED_PRECONDITION, "A guest cannot be the host.");
    enum err err = meeting_store_find_person(tx, op->call->arena, op->m.id, op->m.host_id, &from);
    if (err && err != ERR_NOT_FOUND)
        return err;
    bool has_former = !err && strcmp(from.id, to->id) != 0;
    if (has_former) {
        from.role = MEETING__PARTICIPANT_ROLE__CO_HOST;
        if ((err = meeting_store_put_person(tx, &from)))
            return err;
    }
    to->role = MEETING__PARTICIPANT_ROLE__HOST;
    op->m.host_id = to->user_id;
    op->m.host_name = to->name;
    if ((err = meeting_store_put_person(tx, to)) || (err = meeting_store_update(tx, &op->m)))
        return err;
    if (has_former && (err = meeting_publish_tx(op, tx, "role_changed", &from, NULL)))
        return err;
    return meeting_publish_tx(op, tx, "role_changed", to, NULL);
}

static enum err check_role(struct meeting_op *op, const struct meeting_person *p,
                           Meeting__ParticipantRole role)
{
    bool is_host = strcmp(p->user_id, op->m.host_id) == 0;
    if (op->m.state == MEETING__STATE__ENDED)
        return meeting_refuse(op, ERR_FAILED_PRECONDITION, "The meeting has ended.");
    if (p->state != MEETING__PARTICIPANT_STATE__INVITED &&
        p->state != MEETING__PARTICIPANT_STATE__ADMITTED &&
        p->state != MEETING__PARTICIPANT_STATE__LEFT)
        return meeting_refuse(op, ERR_FAILED_PRECONDITION,
                              "Only who belongs to the meeting can have a role in it.");
    if (is_host && role != MEETING__PARTICIPANT_ROLE__HOST)
        return meeting_refuse(op, ERR_FAILED_PRECONDITION,
                              "A meeting needs a host: make somebody else host first.");
    return ERR_OK;
}

static const char *const role_names[] = {"participant", "co-host", "host"};

static enum err role_job(struct store_tx *tx, struct meeting_op *op)
{
    const Meeting__SetParticipantRoleRequest *in = op->in;
    struct meeting_person p;
    enum err err = meeting_get_person(tx, op, in->participant_id, &p);
    if (!err)
        err = check_role(op, &p, in->role);
    if (err)
        return err;
    if (in->role == MEETING__PARTICIPANT_ROLE__HOST) {
        err = meeting_transfer_tx(op, tx, &p);
    } else {
        p.role = in->role;
        err = meeting_store_put_person(tx, &p);
        if (!err)
            err = meeting_publish_tx(op, tx, "role_changed", &p, NULL);
    }
    if (err)
        return err;
    op->reply = meeting_participant(op->call->arena, &p);
    return audit_publish_tx(
        op->svc->deps.bus, tx, op->call,
        &(struct audit_note){.action = "meeting_role_changed",
                             .target = p.user_id,
                             .detail = arena_printf(op->call->arena, "%s in meeting %s",
                                                    role_names[p.role], op->m.id)});
}

void *meeting_do_set_role(struct meeting_service *svc, struct rpc_call *call,
                          const Meeting__SetParticipantRoleRequest *in)
{
    if ((unsigned)in->role > MEETING__PARTICIPANT_ROLE__HOST) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "role: expected participant, co_host or host");
        return NULL;
    }
    struct meeting_op op = {.svc = svc,
                            .call = call,
                            .in = in,
                            .fn = role_job,
                            .meeting_id = in->id,
                            .needs = MEETING_NEEDS_HOST};
    return meeting_change(&op);
}

/* ---- removing ---- */

static bool is_above_cohosts(const struct meeting_op *op)
{
    return who_is_admin(op->call) || op->me.role == MEETING__PARTICIPANT_ROLE__HOST;
}

static enum err remove_job(struct store_tx *tx, struct meeting_op *op)
{
    const Meeting__RemoveParticipantRequest *in = op->in;
    struct meeting_person p;
    enum err err = meeting_get_person(tx, op, in->participant_id, &p);
    if (err)
        return err;
    if (p.role == MEETING__PARTICIPANT_ROLE__HOST)
        return meeting_refuse(op, ERR_PERMISSION_DENIED, "The host cannot be removed.");
    if (p.role == MEETING__PARTICIPANT_ROLE__CO_HOST && !is_above_cohosts(op))
        return meeting_refuse(op, ERR_PERMISSION_DENIED, "Only the host can remove a co-host.");
    if (p.state == MEETING__PARTICIPANT_STATE__ADMITTED)
        op->m.present_count--;
    p.state = MEETING__PARTICIPANT_STATE__REMOVED;
    p.role = MEETING__PARTICIPANT_ROLE__PARTICIPANT;
    p.left_at_ms = clock_wall_ms();
    if ((err = meeting_store_put_person(tx, &p)) ||
        (err = meeting_store_forget_invited(tx, op->m.id, p.user_id)))
        return err;
    Meeting__RemoveParticipantReply *reply =
        arena_new(op->call->arena, Meeting__RemoveParticipantReply);
    meeting__remove_participant_reply__init(reply);
    op->reply = reply;
    return meeting_publish_tx(op, tx, "user_removed", &p, NULL);
}

void *meeting_do_remove(struct meeting_service *svc, struct rpc_call *call,
                        const Meeting__RemoveParticipantRequest *in)
{
    struct meeting_op op = {.svc = svc,
                            .call = call,
                            .in = in,
                            .fn = remove_job,
                            .meeting_id = in->id,
                            .needs = MEETING_NEEDS_COHOST};
    return meeting_change(&op);
}

/* ---- muting ---- */

static enum err mute_job(struct store_tx *tx, struct meeting_op *op)
{
    const Meeting__MuteParticipantRequest *in = op->in;
    const char *kind = in->kind[0] ? in->kind : "audio";
    struct meeting_person *people;
    size_t count;
    bool is_all = strcmp(in->participant_id, "all") == 0;
    enum err err = meeting_store_people(tx, op->call->arena, op->m.id,
                                        MEETING__PARTICIPANT_STATE__ADMITTED, &people, &count);
    bool is_found = is_all;
    for (size_t i = 0; i < count && !err; i++) {
        bool is_meant = is_all ? people[i].role == MEETING__PARTICIPANT_ROLE__PARTICIPANT
                               : strcmp(people[i].id, in->participant_id) == 0;
        is_found = is_found || is_meant;
        if (is_meant)
            err = meeting_publish_tx(op, tx, "mute_requested", &people[i], kind);
    }
    if (!err && !is_found)
        err = meeting_refuse(op, ERR_NOT_FOUND, "There is no such participant in this meeting.");
    Meeting__MuteParticipantReply *reply =
        arena_new(op->call->arena, Meeting__MuteParticipantReply);
    meeting__mute_participant_reply__init(reply);
    op->reply = reply;
    return err;
}

void *meeting_do_mute(struct meeting_service *svc, struct rpc_call *call,
                      const Meeting__MuteParticipantRequest *in)
{
    bool is_known = !in->kind[0] || strcmp(in->kind, "audio") == 0 ||
                    strcmp(in->kind, "video") == 0 || strcmp(in->kind, "screen") == 0;
    if (!is_known) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "kind: expected audio, video or screen");
        return NULL;
    }
    struct meeting_op op = {.svc = svc,
                            .call = call,
                            .in = in,
                            .fn = mute_job,
                            .meeting_id = in->id,
                            .needs = MEETING_NEEDS_COHOST};
    return meeting_change(&op);
}
