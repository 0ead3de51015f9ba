/*
 * After a gap: the link to the bus was lost, and what others told meanwhile may never come. So what
 * is kept here by events is asked for anew: what is published in the rooms, who has a place in
 * them, and whose sign-in is over. As long as auth does not answer, the last gap's question is put
 * again; those of gaps before it end, since it asks about everybody.
 */
#include "services/common/session_news.h"
#include "services/signaling/signaling_internal.h"

#define CHECKED_MAX 500 /* sign-ins in one question */
#define CHECK_AGAIN_MS 1000

/* ---- rooms ---- */

static void on_synced(struct signaling_hub *hub, struct signaling_socket *s UNUSED,
                      int64_t request_id UNUSED, const ProtobufCMessage *reply,
                      struct rpc_call *call UNUSED)
{
    const Media__SyncRoomReply *r = (const Media__SyncRoomReply *)reply;
    for (size_t i = 0; r && i < r->n_tracks; i++) {
        struct member *m = signaling_member_of_session(hub, r->tracks[i]->session_id);
        if (m)
            room_set_track(m->room, r->tracks[i]);
    }
    struct room *room = r ? room_find(hub, r->meeting_id) : NULL;
    if (!room)
        return;
    LIST_FOREACH(&room->tracks, node)
    {
        const char *id = LIST_ENTRY(node, struct room_track, in_room)->track->id;
        size_t i = 0;
        while (i < r->n_tracks && strcmp(r->tracks[i]->id, id) != 0)
            i++;
        if (i == r->n_tracks)
            room_remove_track(room, id);
    }
}

static void sync_room(struct room *room)
{
    Media__SyncRoomRequest request = MEDIA__SYNC_ROOM_REQUEST__INIT;
    request.meeting_id = room->id;
    signaling_call(room->hub,
                   &(struct signaling_call_options){.service = room->hub->media,
                                                    .method = "SyncRoom",
                                                    .request = &request.base,
                                                    .instance = signaling_media_instance(room),
                                                    .done = on_synced});
}

/* ---- sign-ins ---- */

/* One question about some of them. */
struct check {
    struct list in_hub;
    struct signaling_hub *hub;
    int64_t number;
    int64_t gap_number;
    size_t count;
    struct session_news news[CHECKED_MAX];
    struct loop_timer timer; /* it was not answered */
};

static void check_free(struct check *c)
{
    list_remove(&c->in_hub);
    loop_timer_stop(&c->timer);
    free(c);
}

static void check_ask(struct check *c);

static void on_again(void *arg)
{
    check_ask(arg);
}

/* The roles are the answer. */
static void check_answered(struct check *c, const Auth__CheckSessionsReply *reply)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct session_news *news = &c->news[i];
        if (reply->roles[i] == USER__ROLE__NONE)
            signaling_socket_revoke(c->hub, news->user_id, news->session_id);
        else
            signaling_socket_set_role(c->hub, news->user_id, (enum identity_role)reply->roles[i]);
    }
    check_free(c);
}

static void on_checked(struct signaling_hub *hub, struct signaling_socket *s UNUSED, int64_t number,
                       const ProtobufCMessage *reply, struct rpc_call *call UNUSED)
{
    const Auth__CheckSessionsReply *r = (const Auth__CheckSessionsReply *)reply;
    LIST_FOREACH(&hub->checks, node)
    {
        struct check *c = LIST_ENTRY(node, struct check, in_hub);
        if (c->number != number)
            continue;
        if (r && r->n_roles == c->count)
            check_answered(c, r);
        else if (c->gap_number == hub->gap_number)
            loop_timer_start(hub->loop, &c->timer, CHECK_AGAIN_MS, on_again, c);
        else
            check_free(c);
        return;
    }
}

static void check_ask(struct check *c)
{
    Auth__CheckSessionsRequest request = AUTH__CHECK_SESSIONS_REQUEST__INIT;
    char *ids[CHECKED_MAX];
    for (size_t i = 0; i < c->count; i++)
        ids[i] = c->news[i].session_id;
    request.ids = ids;
    request.n_ids = c->count;
    signaling_call(c->hub, &(struct signaling_call_options){.service = c->hub->auth,
                                                            .method = "CheckSessions",
                                                            .request = &request.base,
                                                            .request_id = c->number,
                                                            .is_idempotent = true,
                                                            .done = on_checked});
}

static struct check *check_create(struct signaling_hub *hub)
{
    struct check *c = mem_zalloc(sizeof(*c));
    c->hub = hub;
    c->number = ++hub->check_last_number;
    c->gap_number = hub->gap_number;
    list_add_tail(&hub->checks, &c->in_hub);
    return c;
}

/* Returns the question that has room for the next one. */
static struct check *check_add(struct signaling_hub *hub, struct check *c,
                               const struct identity *who)
{
    if (!who->session_id[0])
        return c;
    if (!c)
        c = check_create(hub);
    struct session_news *news = &c->news[c->count++];
    snprintf(news->session_id, sizeof(news->session_id), "%s", who->session_id);
    snprintf(news->user_id, sizeof(news->user_id), "%s", who->user_id);
    if (c->count < CHECKED_MAX)
        return c;
    check_ask(c);
    return NULL;
}

/* Those with a socket, and those who are away for a moment. */
static void check_all(struct signaling_hub *hub)
{
    struct check *c = NULL;
    size_t at = 0;
    uint64_t id;
    struct str token;
    void *value;
    while (map64_next(hub->sockets, &at, &id, &value)) {
        const struct signaling_socket *s = value;
        if (s->is_authenticated)
            c = check_add(hub, c, &s->who);
    }
    at = 0;
    while (map_next(hub->resumes, &at, &token, &value)) {
        const struct member *m = value;
        if (!m->socket)
            c = check_add(hub, c, &m->who);
    }
    if (c)
        check_ask(c);
}

/* ---- all of it ---- */

/* Those that wait for their next attempt ask about nobody that the new gap does not ask about. */
static void forget_waiting(struct signaling_hub *hub)
{
    LIST_FOREACH(&hub->checks, node)
    {
        struct check *c = LIST_ENTRY(node, struct check, in_hub);
        if (loop_timer_is_armed(&c->timer))
            check_free(c);
    }
}

void signaling_gap(void *arg)
{
    struct signaling_hub *hub = arg;
    size_t at = 0;
    struct str key;
    void *value;
    hub->gap_number++;
    forget_waiting(hub);
    check_all(hub);
    while (map_next(hub->rooms, &at, &key, &value))
        sync_room(value);
    signaling_presence_report(hub);
}

void signaling_gap_free(struct signaling_hub *hub)
{
    LIST_FOREACH(&hub->checks, node)
    check_free(LIST_ENTRY(node, struct check, in_hub));
}
