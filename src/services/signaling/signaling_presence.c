/*
 * Every half minute the meeting service is told who is on the wire (or away for a moment): who is
 * not told of for a while has left there too, so nobody stays in a meeting because a process died.
 * It answers with those who have no place any more; they are put out here.
 */
#include "services/signaling/signaling_internal.h"

#define PRESENCE_CHUNK 1000 /* participants in one call */

/* The report's time comes back as request id: who came since is not meant by it. */
static void on_reported(struct signaling_hub *hub, struct signaling_socket *s UNUSED,
                        int64_t reported_ms, const ProtobufCMessage *reply, struct rpc_call *call)
{
    const Meeting__ReportPresenceReply *r = (const Meeting__ReportPresenceReply *)reply;
    if (!r) {
        log_warn(NULL, "signaling: presence could not be reported: %s", call->message);
        return;
    }
    for (size_t i = 0; i < r->n_gone_participant_ids; i++) {
        struct member *m = signaling_member_find(hub, r->gone_participant_ids[i]);
        if (m && m->entered_at_ms < reported_ms)
            signaling_member_put_out(m, "removed", "removed");
    }
    /* The event came before they were here to hear it. */
    for (size_t i = 0; i < r->n_admitted_participant_ids; i++) {
        struct member *m = signaling_member_find(hub, r->admitted_participant_ids[i]);
        if (m)
            signaling_member_admitted(m);
    }
}

static void send_report(struct signaling_hub *hub, Meeting__RoomPresence *room)
{
    Meeting__ReportPresenceRequest request = MEETING__REPORT_PRESENCE_REQUEST__INIT;
    request.rooms = &room;
    request.n_rooms = 1;
    signaling_call(hub, &(struct signaling_call_options){.service = hub->meeting,
                                                         .method = "ReportPresence",
                                                         .request = &request.base,
                                                         .request_id = clock_wall_ms(),
                                                         .is_idempotent = true,
                                                         .done = on_reported});
    room->n_participant_ids = room->n_waiting_participant_ids = 0;
}

static void report_room(struct room *room)
{
    char *ids[PRESENCE_CHUNK], *waiting[PRESENCE_CHUNK];
    Meeting__RoomPresence shape = MEETING__ROOM_PRESENCE__INIT;
    shape.meeting_id = room->id;
    shape.participant_ids = ids;
    shape.waiting_participant_ids = waiting;
    LIST_FOREACH(&room->members, node)
    {
        struct member *m = LIST_ENTRY(node, struct member, in_room);
        ids[shape.n_participant_ids++] = m->participant_id;
        if (m->state == MEMBER_WAITING)
            waiting[shape.n_waiting_participant_ids++] = m->participant_id;
        if (shape.n_participant_ids == PRESENCE_CHUNK)
            send_report(room->hub, &shape);
    }
    if (shape.n_participant_ids)
        send_report(room->hub, &shape);
}

void signaling_presence_report(struct signaling_hub *hub)
{
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(hub->rooms, &at, &key, &value))
        report_room(value);
}

static void on_tick(void *arg)
{
    struct signaling_hub *hub = arg;
    signaling_presence_report(hub);
    loop_timer_start(hub->loop, &hub->presence_timer, hub->presence_every_ms, on_tick, hub);
}

void signaling_presence_start(struct signaling_hub *hub)
{
    loop_timer_start(hub->loop, &hub->presence_timer, hub->presence_every_ms, on_tick, hub);
}

void signaling_presence_stop(struct signaling_hub *hub)
{
    loop_timer_stop(&hub->presence_timer);
}
