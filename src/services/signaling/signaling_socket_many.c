/* What concerns many sockets: all of them at the end, those of a sign-in or an account that was
 * revoked, those of an account whose role changed. */
#include "services/signaling/signaling_internal.h"

void signaling_socket_drain(struct signaling_hub *hub)
{
    hub->is_draining = true;
    Signaling__ClosingFrame frame = SIGNALING__CLOSING_FRAME__INIT;
    frame.type = (char *)"server_closing";
    size_t at = 0;
    uint64_t id;
    void *value;
    while (map64_next(hub->sockets, &at, &id, &value)) {
        frame.retry_after_ms =
            500 + id_random_u32() % 2500; /* so that they do not all return at once */
        signaling_socket_send(value, &frame.base);
        signaling_socket_close(value, CLOSE_GOING_AWAY, "the server is going away");
    }
}

static bool is_meant(const struct identity *who, const char *user_id, const char *session_id)
{
    return session_id[0] ? strcmp(who->session_id, session_id) == 0
                         : strcmp(who->user_id, user_id) == 0;
}

/* Presences whose socket is away just now: their media must not go on either. */
static void remove_away(struct signaling_hub *hub, const char *user_id, const char *session_id)
{
    size_t at = 0;
    struct str token;
    void *value;
    while (map_next(hub->resumes, &at, &token, &value)) {
        struct member *m = value;
        if (!m->socket && is_meant(&m->who, user_id, session_id))
            signaling_member_remove(m, "removed", true);
    }
}

void signaling_socket_revoke(struct signaling_hub *hub, const char *user_id, const char *session_id)
{
    if (session_id[0])
        snprintf(hub->revoked[hub->revoked_count++ % ARRAY_LEN(hub->revoked)], ID_SIZE, "%s",
                 session_id);
    size_t at = 0;
    uint64_t id;
    void *value;
    while (map64_next(hub->sockets, &at, &id, &value)) {
        struct signaling_socket *s = value;
        if (!s->is_authenticated || !is_meant(&s->who, user_id, session_id))
            continue;
        if (s->member)
            signaling_member_remove(s->member, "removed", true);
        signaling_socket_sign_out(s);
    }
    remove_away(hub, user_id, session_id);
}

void signaling_socket_set_role(struct signaling_hub *hub, const char *user_id,
                               enum identity_role role)
{
    size_t at = 0;
    uint64_t id;
    struct str token;
    void *value;
    while (map64_next(hub->sockets, &at, &id, &value)) {
        struct signaling_socket *s = value;
        if (s->is_authenticated && strcmp(s->who.user_id, user_id) == 0)
            s->who.role = role;
    }
    at = 0;
    while (map_next(hub->resumes, &at, &token, &value)) {
        struct member *m = value;
        if (strcmp(m->who.user_id, user_id) == 0)
            m->who.role = role;
    }
}
