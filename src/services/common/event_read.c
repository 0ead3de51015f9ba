/* event_read: see event_read.h. */
#include "services/common/event_read.h"

#include "core/log.h"

const void *event_read(const struct bus_event *event, const ProtobufCMessageDescriptor *d,
                       struct arena *arena)
{
    struct str payload = event->payload;
    if (!payload.n || payload.p[0] != '{') /* a packed message never begins so */
        return rpc_message_unpack(d, arena, payload.p, payload.n);
    struct strbuf problem = {0};
    const void *m = rpc_json_parse(d, payload, arena, &problem);
    if (!m)
        log_warn(NULL, "an event %s of %s cannot be read: %s", event->type, event->channel,
                 problem.n ? problem.p : "it is no JSON");
    strbuf_deinit(&problem);
    return m;
}
