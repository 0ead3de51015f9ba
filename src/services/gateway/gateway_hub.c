/*
 * The hub: who is here, with which sockets; sockets come, look, type and go. Everything of it is
 * told by posts, in order, and named by the socket's number.
 */
#include "core/log.h"
#include "services/gateway/gateway_hub.h"

#define TYPING_EVERY_DS 9    /* of one person in one conversation */
#define TYPING_PER_S 5       /* people in one conversation */
#define TYPING_ALL_MAX 100   /* members here: beyond, only who looks at it hears of it */
#define TYPING_TOLD_MAX 2000 /* beyond, it is nobody's news */

static void member_close(const struct member *m, unsigned code, const char *reason);

/* ---- sockets come, look, type, go ---- */

static void take_session(struct member *m, const struct hub_post *p)
{
    memcpy(m->session_id, p->session_id, sizeof(m->session_id));
    if (revoked_has(p->gw, m->session_id)) /* since its token was checked */
        member_close(m, GATEWAY_CLOSE_SIGNED_OUT, "signed out");
}

static void join(const struct hub_post *p)
{
    struct gateway *gw = p->gw;
    struct member *m = mem_zalloc(sizeof(*m));
    m->socket = p->socket;
    m->ticket = p->ticket;
    m->is_packed = p->is_packed;
    m->kind = p->device_kind;
    m->user = hub_user_get(gw, p->user_id, p->is_guest);
    list_add_tail(&m->user->members, &m->in_user);
    map64_set(gw->members, m->socket, m);
    take_session(m, p);
    device_report(m, false);
    if (gw->is_draining)
        member_close(m, WS_CLOSE_GOING_AWAY, "the server is going away");
    else if (m->user->is_loaded)
        hub_user_ready(m);
}

static void leave(struct gateway *gw, struct member *m)
{
    struct user *u = m->user;
    device_report(m, true);
    watch_clear(m);
    topic_close_all(m);
    list_remove(&m->in_user);
    map64_remove(gw->members, m->socket);
    free(m);
    if (list_is_empty(&u->members))
        hub_user_destroy(u);
}

/* Where they typed just now, or the longest ago of what is known. */
static struct typed *typed_find(struct user *u, const struct topic *t)
{
    struct typed *oldest = &u->typed[0];
    for (size_t i = 0; i < TYPED_MAX; i++) {
        if (u->typed[i].topic == t)
            return &u->typed[i];
        if (u->typed[i].at_ds < oldest->at_ds)
            oldest = &u->typed[i];
    }
    return oldest;
}

/* May this be told? One person now and then, and in one conversation not too many. u NULL: not
 * here, but over REST, which has its own limit. */
static bool take_typing(struct topic *t, struct user *u)
{
    uint32_t now_ds = (uint32_t)(clock_mono_ms() / 100);
    struct typed *typed = u ? typed_find(u, t) : NULL;
    bool is_again = typed && typed->topic == t && now_ds - typed->at_ds < TYPING_EVERY_DS;
    if (t->reader_count > TYPING_TOLD_MAX || is_again)
        return false;
    if (now_ds - t->typing_since_ds >= 10) {
        t->typing_since_ds = now_ds;
        t->typing_count = 0;
    }
    if (t->typing_count == TYPING_PER_S)
        return false;
    t->typing_count++;
    if (typed)
        *typed = (struct typed){t, now_ds};
    return true;
}

static bool tell_typing(struct topic *t, struct user *u, const char *user_id)
{
    if (!take_typing(t, u))
        return false;
    Gateway__Typing typing = GATEWAY__TYPING__INIT;
    typing.conversation_id = t->id;
    typing.user_id = (char *)user_id;
    Gateway__ServerFrame frame =
        gateway_answer(GATEWAY__SERVER_FRAME__BODY_IS_TYPING, &typing.base);
    struct fan fan = {0};
    if (t->reader_count <= TYPING_ALL_MAX) {
        for (size_t i = 0; i < t->reader_count; i++) {
            if (t->readers[i].user != u)
                fan_add_user(&fan, t->readers[i].user, NULL);
        }
    } else {
        for (size_t i = 0; i < t->looker_count; i++) {
            if (t->lookers[i].member->user != u)
                fan_add(&fan, t->lookers[i].member);
        }
    }
    fan_send(&fan, &frame, WS_SEND_EPHEMERAL);
    return true;
}

static void on_typing(struct member *m, const char *conversation_id)
{
    struct topic *t = topic_find(m->user->gw, conversation_id);
    if (t && topic_reader(t, m->user) && tell_typing(t, m->user, m->user->id))
        gateway_events_typing(m->user->gw, conversation_id, m->user->id);
}

/* Over REST, or at another gateway, which knows that they belong to it. */
void gateway_hub_typing(struct gateway *gw, const Message__ReceiptEvent *event)
{
    struct topic *t = topic_find(gw, event->conversation_id);
    if (t)
        tell_typing(t, map_get(gw->users, str_from(event->user_id)), event->user_id);
}

static void set_device(struct member *m, const struct hub_post *p)
{
    bool is_same = m->kind == p->device_kind && m->is_idle == p->is_idle;
    m->kind = p->device_kind;
    m->is_idle = p->is_idle;
    if (!is_same)
        device_report(m, false);
}

static void on_member_post(struct member *m, const struct hub_post *p)
{
    switch (p->kind) {
    case HUB_SESSION:
        take_session(m, p);
        break;
    case HUB_LEAVE:
        leave(p->gw, m);
        break;
    case HUB_OPEN:
        topic_open(m, p->conversation_id);
        break;
    case HUB_CLOSE:
        topic_close(m, p->conversation_id);
        break;
    case HUB_TYPING:
        on_typing(m, p->conversation_id);
        break;
    case HUB_DEVICE:
        set_device(m, p);
        break;
    case HUB_WATCH:
        watch_set(m, p->asking);
        break;
    case HUB_MISSED:
        watch_forget(m);
        break;
    case HUB_JOIN:
        break;
    }
}

static void on_post(void *arg)
{
    struct hub_post *p = arg;
    struct member *m = map64_get(p->gw->members, p->socket);
    if (p->kind == HUB_JOIN)
        join(p);
    else if (m)
        on_member_post(m, p);
    else if (p->asking)
        gateway_refuse_asking(p->asking, ERR_UNAVAILABLE, "The socket is closing.");
    free(p);
}

void gateway_hub_post(const struct hub_post *post)
{
    struct hub_post *copy = mem_alloc(sizeof(*copy));
    *copy = *post;
    loop_post(post->gw->loop, on_post, copy);
}

/* ---- closing from here ---- */

struct closing {
    struct net_ticket ticket;
    unsigned code;
    char reason[64];
};

static void on_closing(void *arg)
{
    struct closing *c = arg;
    struct ws *ws = ws_ticket_find(c->ticket);
    if (ws)
        ws_close(ws, c->code, c->reason);
    free(c);
}

static void member_close(const struct member *m, unsigned code, const char *reason)
{
    struct closing *c = mem_zalloc(sizeof(*c));
    c->ticket = m->ticket;
    c->code = code;
    snprintf(c->reason, sizeof(c->reason), "%s", reason);
    net_ticket_post(m->ticket, on_closing, c);
}

void gateway_hub_session(struct gateway *gw, const struct session_news *news)
{
    if (!news->role)
        revoked_note(gw, news->session_id);
    const struct user *u = map_get(gw->users, str_from(news->user_id));
    if (!u)
        return;
    LIST_FOREACH(&u->members, node)
    {
        const struct member *m = LIST_ENTRY(node, struct member, in_user);
        bool is_meant = !news->session_id[0] || strcmp(m->session_id, news->session_id) == 0;
        if (is_meant && news->role)
            gateway_socket_set_role(m->ticket, news->role);
        else if (is_meant)
            member_close(m, GATEWAY_CLOSE_SIGNED_OUT, "signed out");
    }
}

/* ---- beginning and end ---- */

void gateway_hub_start(struct gateway *gw)
{
    gw->users = map_create();
    gw->topics = map_create();
    gw->members = map64_create();
    gw->watched = map_create();
    gw->revoked = map_create();
    list_init(&gw->dirty);
    list_init(&gw->telling);
    list_init(&gw->moved);
    list_init(&gw->revoked_order);
    list_init(&gw->stale);
    device_start(gw);
    interest_start(gw);
}

void gateway_hub_drain(struct gateway *gw)
{
    gw->is_draining = true;
    size_t at = 0;
    uint64_t socket;
    void *value;
    while (map64_next(gw->members, &at, &socket, &value)) {
        Gateway__Closing closing = GATEWAY__CLOSING__INIT;
        closing.retry_after_ms = 500 + id_random_u32() % 2500; /* not all at once */
        Gateway__ServerFrame frame =
            gateway_answer(GATEWAY__SERVER_FRAME__BODY_CLOSING, &closing.base);
        struct fan fan = {0};
        fan_add(&fan, value);
        fan_send(&fan, &frame, 0);
        member_close(value, WS_CLOSE_GOING_AWAY, "the server is going away");
    }
}

void gateway_hub_clear(struct gateway *gw)
{
    size_t at = 0;
    uint64_t socket;
    void *value;
    while (map64_next(gw->members, &at, &socket, &value))
        leave(gw, value);
    interest_stop(gw);
    device_stop(gw);
    revoked_clear(gw);
    loop_timer_stop(&gw->dirty_timer);
    loop_timer_stop(&gw->moved_timer);
}

void gateway_hub_end(struct gateway *gw)
{
    map_destroy(&gw->users);
    map_destroy(&gw->topics);
    free(gw->numbered);
    free(gw->unused);
    map64_destroy(&gw->members);
    map_destroy(&gw->watched);
    map_destroy(&gw->revoked);
}
