/* event_read: the payload of an event, packed or (from other systems) as JSON, and who takes it. */
#pragma once

#include "bus/bus.h"
#include "rpc/rpc.h"

/* In the arena; NULL: it is neither. */
const void *event_read(const struct bus_event *event, const ProtobufCMessageDescriptor *d,
                       struct arena *arena);

/* Those who take one kind of event. The message lives until fn returns. */
struct event_case {
    const char *type; /* "meeting.ended"; NULL: any */
    void (*fn)(void *arg, const struct bus_event *event, const void *message);
};

/* Reads the event for the first case of its type, and hands it to that one; what is for nobody is
 * not even read, and what cannot be read is let go. */
void event_dispatch(const struct bus_event *event, const ProtobufCMessageDescriptor *d,
                    const struct event_case *cases, size_t count, void *arg);
