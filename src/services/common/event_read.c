/* event_read: see event_read.h. */
#include "services/common/event_read.h"

#include <string.h>

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

void event_dispatch(const struct bus_event *event, const ProtobufCMessageDescriptor *d,
                    const struct event_case *cases, size_t count, void *arg)
{
    const struct event_case *found = NULL;
    for (size_t i = 0; i < count && !found; i++)
        if (!cases[i].type || strcmp(cases[i].type, event->type) == 0)
            found = &cases[i];
    if (!found)
        return;
    struct arena *arena = arena_create();
    const void *m = event_read(event, d, arena);
    if (m)
        found->fn(arg, event, m);
    arena_destroy(&arena);
}
