/* bus_envelope: what travels over a broker, packed (proto/bus.proto) or as JSON. */
#pragma once

#include "bus/bus.h"
#include "core/str.h"

#define BUS_ENVELOPE_VERSION 1
#define BUS_ENVELOPE_MAX_BYTES (1 << 20)
#define BUS_PAYLOAD_MAX_BYTES (BUS_ENVELOPE_MAX_BYTES - 4096)

struct bus_envelope {
    struct bus_event event;
    bool is_task;         /* then these count, beside the event's type, payload and id */
    struct bus_task task; /* queue is the event's key, type and payload the event's */
};

/* Appends it, packed. */
void bus_envelope_write(struct strbuf *out, const struct bus_envelope *e);
/* Bounds and forms are checked: ERR_INVALID_ARGUMENT otherwise. In the arena; the payload of an
 * envelope in JSON is JSON text. */
MUST_USE enum err bus_envelope_read(struct str bytes, struct arena *arena,
                                    struct bus_envelope *out);
