/*
 * Where a meeting lives when services run apart: one signaling instance owns its room, one media
 * node its tracks. The row's fence decides: whoever wants to change it says which one it saw, so of
 * two that take a meeting at once one is told who was first, and an owner that was frozen meanwhile
 * finds that it is none.
 */
#include "services/meeting/meeting_internal.h"

Meeting__Place *meeting_place_shape(struct arena *arena, const struct meeting_place *p)
{
    Meeting__Place *shape = arena_new(arena, Meeting__Place);
    meeting__place__init(shape);
    shape->signaling_id = (char *)p->signaling_id;
    shape->media_id = (char *)p->media_id;
    shape->fence = p->fence;
    shape->age_ms = MAX(clock_wall_ms() - p->placed_at_ms, (int64_t)0);
    return shape;
}

static Meeting__PlaceMeetingReply *reply_create(struct meeting_op *op)
{
    struct arena *arena = op->call->arena;
    Meeting__PlaceMeetingReply *reply = arena_new(arena, Meeting__PlaceMeetingReply);
    meeting__place_meeting_reply__init(reply);
    reply->meeting_id = (char *)op->m.id;
    op->reply = reply;
    return reply;
}

static enum err place_job(struct store_tx *tx, struct meeting_op *op)
{
    const Meeting__PlaceMeetingRequest *in = op->in;
    struct arena *arena = op->call->arena;
    Meeting__PlaceMeetingReply *reply = reply_create(op);
    struct meeting_place now, next = {.signaling_id = in->signaling_id,
                                      .media_id = in->media_id,
                                      .fence = in->expected_fence + 1};
    if (op->m.state == MEETING__STATE__ENDED && in->signaling_id[0])
        return meeting_refuse(op, ERR_FAILED_PRECONDITION, "The meeting has ended.");
    enum err err = meeting_store_find_place(tx, arena, op->m.id, &now);
    if (err)
        return err;
    reply->place = meeting_place_shape(arena, &now);
    if (now.fence != in->expected_fence || op->m.state == MEETING__STATE__ENDED)
        return ERR_OK;
    err = meeting_store_move_place(tx, op->m.id, now.fence, &next);
    if (err == ERR_ABORTED)
        return ERR_OK; /* somebody was faster: they look again */
    if (err)
        return err;
    reply->is_placed = true;
    reply->place = meeting_place_shape(arena, &next);
    return meeting_publish_place_tx(op, tx, reply->place);
}

void *meeting_do_place(struct meeting_service *svc, struct rpc_call *call,
                       const Meeting__PlaceMeetingRequest *in)
{
    if (strlen(in->signaling_id) >= ID_SIZE || strlen(in->media_id) >= ID_SIZE ||
        in->expected_fence < 0) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "signaling_id, media_id, expected_fence: no such");
        return NULL;
    }
    struct meeting_op op = {.svc = svc,
                            .call = call,
                            .in = in,
                            .fn = place_job,
                            .meeting_id = in->meeting_id,
                            .needs = MEETING_NEEDS_NOTHING};
    return meeting_change(&op);
}
