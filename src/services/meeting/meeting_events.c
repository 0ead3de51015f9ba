/* What others hear of meetings: channel "meeting_events", keyed by the meeting, in the transaction
 * that causes it. */
#include "services/meeting/meeting_internal.h"

enum err meeting_publish_tx(struct meeting_op *op, struct store_tx *tx, const char *type,
                            const struct meeting_person *person, const char *kind)
{
    struct arena *arena = op->call->arena;
    Meeting__MeetingEvent event = MEETING__MEETING_EVENT__INIT;
    event.type = arena_printf(arena, "meeting.%s", type);
    event.meeting_id = (char *)op->m.id;
    event.meeting = meeting_info(arena, &op->m, NULL);
    if (person)
        event.participant = meeting_participant(arena, person);
    event.actor_id = (char *)who_id(op->call);
    event.kind = (char *)(kind ? kind : "");
    event.at_ms = clock_wall_ms();
    size_t n = meeting__meeting_event__get_packed_size(&event);
    uint8_t *bytes = arena_alloc(arena, n + 1);
    meeting__meeting_event__pack(&event, bytes);
    return bus_publish_tx(op->svc->deps.bus, tx,
                          &(struct bus_event){.channel = "meeting_events",
                                              .type = event.type,
                                              .key = op->m.id,
                                              .payload = {(const char *)bytes, n}});
}
