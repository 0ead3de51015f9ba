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

void fan_add_user(struct fan *fan, const struct user *u, const struct topic *open_only)
{
    LIST_FOREACH(&u->members, node)
    {
        const struct member *m = LIST_ENTRY(node, struct member, in_user);
        bool is_open = false;
        for (size_t i = 0; open_only && i < OPEN_MAX; i++)
            is_open |= m->open[i] == open_only;
        if (!open_only || is_open)
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
