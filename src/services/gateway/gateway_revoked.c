/*
 * Sign-ins that ended a moment ago. Between the check of a token and the moment when its socket is
 * known to the hub the sign-in may end: the event finds no socket then, and the socket would live
 * on until its token expires. So what ended is remembered longer than a check can take.
 */
#include "services/gateway/gateway_hub.h"

#define REMEMBERED_MS 60000 /* a check ends by its deadline, 10 s */

struct revoked {
    struct list in_order;
    int64_t at_ms;
    char session_id[ID_SIZE];
};

static void forget(struct gateway *gw, struct revoked *r)
{
    list_remove(&r->in_order);
    map_remove(gw->revoked, str_from(r->session_id));
    free(r);
}

void revoked_note(struct gateway *gw, const char *session_id)
{
    int64_t now_ms = clock_mono_ms();
    LIST_FOREACH(&gw->revoked_order, node)
    {
        struct revoked *oldest = LIST_ENTRY(node, struct revoked, in_order);
        if (now_ms - oldest->at_ms < REMEMBERED_MS)
            break;
        forget(gw, oldest);
    }
    if (!session_id[0] || revoked_has(gw, session_id))
        return;
    struct revoked *r = mem_zalloc(sizeof(*r));
    r->at_ms = now_ms;
    memcpy(r->session_id, session_id, strnlen(session_id, sizeof(r->session_id) - 1));
    list_add_tail(&gw->revoked_order, &r->in_order);
    map_set(gw->revoked, str_from(r->session_id), r);
}

bool revoked_has(const struct gateway *gw, const char *session_id)
{
    return session_id[0] && map_get(gw->revoked, str_from(session_id));
}

void revoked_clear(struct gateway *gw)
{
    LIST_FOREACH(&gw->revoked_order, node)
    forget(gw, LIST_ENTRY(node, struct revoked, in_order));
}
