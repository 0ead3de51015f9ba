/* event_read: the payload of an event, packed or (from other systems) as JSON. */
#pragma once

#include "bus/bus.h"
#include "rpc/rpc.h"

/* In the arena; NULL: it is neither. */
const void *event_read(const struct bus_event *event, const ProtobufCMessageDescriptor *d,
                       struct arena *arena);
