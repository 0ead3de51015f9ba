/* session_news: see session_news.h. */
#include "services/common/session_news.h"

#include <stdio.h>
#include <string.h>

#include "auth.pb-c.h"

bool session_news_read(const struct bus_event *event, struct session_news *out)
{
    bool is_role = strcmp(event->type, "session.changed") == 0;
    if (!is_role && strcmp(event->type, "session.revoked") != 0)
        return false;
    Auth__SessionEvent *m =
        auth__session_event__unpack(NULL, event->payload.n, (const uint8_t *)event->payload.p);
    if (!m)
        return false;
    *out = (struct session_news){.role = is_role ? (enum identity_role)m->role : ROLE_NONE};
    snprintf(out->session_id, sizeof(out->session_id), "%s", m->session_id);
    snprintf(out->user_id, sizeof(out->user_id), "%s", m->user_id);
    auth__session_event__free_unpacked(m, NULL);
    return (out->session_id[0] || out->user_id[0]) && is_role == (out->role != ROLE_NONE);
}
