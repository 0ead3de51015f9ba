/* signaling_tell: what others hear of signaling: channel "signaling_events", keyed by the meeting,
 * at most once. Who offers, answers, is connected; no descriptions, no candidates. */
#include "services/signaling/signaling_internal.h"

#include "events.pb-c.h"

void signaling_tell(const struct member *m, const char *type, const char *connection)
{
    uint8_t bytes[512];
    Events__SignalingEvent e = EVENTS__SIGNALING_EVENT__INIT;
    e.version = 1;
    e.type = (char *)(uintptr_t)type;
    e.meeting_id = m->room->id;
    e.participant_id = m->participant_id;
    e.session_id = (char *)(uintptr_t)m->session_id;
    e.connection = (char *)(uintptr_t)connection;
    e.at_ms = clock_wall_ms();
    size_t n = events__signaling_event__get_packed_size(&e);
    if (n > sizeof(bytes))
        return; /* ids are short */
    events__signaling_event__pack(&e, bytes);
    bus_publish(m->room->hub->bus, &(struct bus_event){.channel = "signaling_events",
                                                       .type = type,
                                                       .key = m->room->id,
                                                       .payload = {(const char *)bytes, n}});
}
