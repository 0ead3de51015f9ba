/* Frames to many sockets: each encoding is made once, when the first receiver needs it, and goes
 * out by one post to each loop. */
#include "services/gateway/gateway_hub.h"

void fan_add(struct fan *fan, const struct member *m)
{
    int kind = m->is_packed;
    fan->tickets[kind] =
        array_grown(fan->tickets[kind], fan->counts[kind], sizeof(fan->tickets[kind][0]));
    fan->tickets[kind][fan->counts[kind]++] = m->ticket;
}

void fan_add_user(struct fan *fan, const struct user *u, const struct topic *but_lookers)
{
    LIST_FOREACH(&u->members, node)
    {
        const struct member *m = LIST_ENTRY(node, struct member, in_user);
        if (!but_lookers || !topic_is_open(m, but_lookers))
            fan_add(fan, m);
    }
}

void fan_send(struct fan *fan, const Gateway__ServerFrame *frame, unsigned flags)
{
    for (int kind = 0; kind < 2; kind++) {
        if (fan->counts[kind]) {
            struct ws_frame *f = gateway_encode(frame, kind == 1);
            ws_multicast(f, fan->tickets[kind], fan->counts[kind], flags);
            ws_frame_unref(&f);
        }
        free(fan->tickets[kind]);
    }
}
