/*
 * A member: one participant's presence in a room. It is born when the meeting service has said yes,
 * outlives its socket for a while, and carries what others may know of it.
 */
#include "services/signaling/signaling_internal.h"

static struct metric members_gauge =
    METRIC_GAUGE("parlance_signaling_members", "Participants on the wire or away for a moment.");

void member_attach(struct member *m, struct signaling_socket *s)
{
    loop_timer_stop(&m->away_timer);
    m->socket = s;
    s->member = m;
}

struct member *member_create(struct room *room, struct signaling_socket *s,
                             const Meeting__Participant *p)
{
    struct member *m = mem_zalloc(sizeof(*m));
    m->room = room;
    m->who = s->who;
    m->participant_id = mem_strdup(p->id);
    m->name = mem_strdup(p->name);
    m->avatar_url = mem_strdup(p->avatar_url);
    m->role = p->role;
    m->is_guest = p->is_guest;
    m->entered_at_ms = clock_wall_ms();
    id_make(m->session_id);
    id_token(m->resume_token, sizeof(m->resume_token) - 1);
    map_set(room->hub->resumes, str_from(m->resume_token), m);
    list_add_tail(&room->members, &m->in_room);
    metric_add(&members_gauge, 1);
    member_attach(m, s);
    return m;
}

struct member *signaling_member_find(struct signaling_hub *hub, const char *participant_id)
{
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(hub->rooms, &at, &key, &value)) {
        struct member *m = room_find_member(value, participant_id);
        if (m)
            return m;
    }
    return NULL;
}

bool member_is_host(const struct member *m)
{
    return m->role == MEETING__PARTICIPANT_ROLE__HOST ||
           m->role == MEETING__PARTICIPANT_ROLE__CO_HOST;
}

Signaling__Member member_shape(const struct member *m)
{
    Signaling__Member shape = SIGNALING__MEMBER__INIT;
    shape.id = m->participant_id;
    shape.user_id = (char *)m->who.user_id;
    shape.name = m->name;
    shape.avatar_url = m->avatar_url;
    shape.role = m->role;
    shape.is_guest = m->is_guest;
    shape.is_hand_raised = m->is_hand_raised;
    shape.hand_raised_at_ms = m->hand_raised_at_ms;
    shape.joined_at_ms = m->joined_at_ms;
    shape.is_connected = m->socket != NULL;
    return shape;
}

void member_destroy(struct member **member)
{
    struct member *m = *member;
    *member = NULL;
    if (!m)
        return;
    list_remove(&m->in_room);
    loop_timer_stop(&m->away_timer);
    map_remove(m->room->hub->resumes, str_from(m->resume_token));
    if (m->socket)
        m->socket->member = NULL;
    signaling_free(m->session);
    strbuf_deinit(&m->offer);
    free(m->participant_id);
    free(m->name);
    free(m->avatar_url);
    free(m);
    metric_add(&members_gauge, -1);
}
