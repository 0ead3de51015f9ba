/*
 * The hub: users who are here, with their sockets and the conversations they are in. It learns a
 * person's conversations when the first socket comes and follows membership by the events of the
 * log, so an event finds its receivers without asking anybody. An event that came while the list
 * was on its way is held against the list's lsn: the newer one counts.
 */
#include "core/log.h"
#include "services/gateway/gateway_hub.h"

#define LOAD_AGAIN_MS 1000
#define TYPING_TOLD_MAX 500 /* members here: beyond, typing is nobody's news */

static void tell_ready(const struct member *m)
{
    Gateway__Ready ready = GATEWAY__READY__INIT;
    ready.user_id = m->user->id;
    Gateway__ServerFrame frame = gateway_answer(GATEWAY__SERVER_FRAME__BODY_READY, &ready.base);
    struct fan fan = {0};
    fan_add(&fan, m);
    fan_send(&fan, &frame, 0);
}

/* ---- a person's conversations ---- */

struct load {
    struct gateway *gw;
    char user_id[ID_SIZE];
    uint64_t serial;
    struct rpc_call *call;
    Message__Memberships *list; /* NULL: not now */
};

static void user_load(struct user *u);

static void on_load_timer(void *arg)
{
    user_load(arg);
}

static void apply_news(struct gateway *gw, struct user *u, int64_t lsn)
{
    for (size_t i = 0; i < u->news_count; i++) {
        const struct news *n = &u->news[i];
        if (n->lsn <= lsn)
            continue; /* the list knows */
        if (n->is_in)
            topic_add(gw, u, n->conversation_id, n->visible_from_seq);
        else
            topic_remove(gw, u, n->conversation_id);
    }
    free(u->news);
    u->news = NULL;
    u->news_count = 0;
}

static void on_list(void *arg)
{
    struct load *l = arg;
    struct gateway *gw = l->gw;
    struct user *u = map_get(gw->users, str_from(l->user_id));
    if (u && u->serial != l->serial)
        u = NULL;
    gw->call_count--;
    if (u && !l->list) {
        loop_timer_start(gw->loop, &u->load_timer, LOAD_AGAIN_MS, on_load_timer, u);
    } else if (u) {
        for (size_t i = 0; i < l->list->n_conversation_ids; i++)
            topic_add(gw, u, l->list->conversation_ids[i], l->list->visible_from_seqs[i]);
        if (!u->load_after) /* what is newer than the first page may be missing on any */
            u->load_lsn = l->list->lsn;
        u->load_after = l->list->next;
    }
    if (u && l->list && u->load_after) {
        user_load(u);
    } else if (u && l->list) {
        u->is_loaded = true;
        apply_news(gw, u, u->load_lsn);
        LIST_FOREACH(&u->members, node)
        {
            tell_ready(LIST_ENTRY(node, struct member, in_user));
        }
    }
    if (l->list)
        message__memberships__free_unpacked(l->list, NULL);
    rpc_call_unref(&l->call);
    free(l);
}

static void on_memberships(const ProtobufCMessage *reply, struct rpc_call *call)
{
    struct load *l = call->user;
    if (reply) {
        size_t n = protobuf_c_message_get_packed_size(reply);
        uint8_t *bytes = mem_alloc(n + 1);
        protobuf_c_message_pack(reply, bytes);
        l->list = message__memberships__unpack(NULL, n, bytes);
        free(bytes);
    }
    loop_post(l->gw->loop, on_list, l);
}

static void user_load(struct user *u)
{
    struct load *l = mem_zalloc(sizeof(*l));
    ProtobufCService *message = u->gw->deps.message;
    l->gw = u->gw;
    l->call = rpc_call_create(NULL); /* the system asks */
    l->call->user = l;
    snprintf(l->user_id, sizeof(l->user_id), "%s", u->id);
    Message__GetMembershipsRequest request = MESSAGE__GET_MEMBERSHIPS_REQUEST__INIT;
    request.user_id = l->user_id;
    request.after = u->load_after;
    l->serial = u->serial;
    u->gw->call_count++;
    rpc_async(message, (unsigned)rpc_method_find(message->descriptor, "GetMemberships"),
              &request.base, l->call, on_memberships, 0);
}

static struct user *user_get(struct gateway *gw, const char *id, bool is_guest)
{
    struct user *u = map_get(gw->users, str_from(id));
    if (u)
        return u;
    u = mem_zalloc(sizeof(*u));
    u->gw = gw;
    u->serial = ++gw->last_serial;
    snprintf(u->id, sizeof(u->id), "%s", id);
    u->is_guest = is_guest;
    list_init(&u->members);
    list_add_tail(&gw->round, &u->in_round);
    map_set(gw->users, str_from(id), u);
    user_load(u);
    return u;
}

static void user_destroy(struct user *u)
{
    struct gateway *gw = u->gw;
    for (size_t i = 0; i < u->topic_count; i++)
        topic_drop_user(gw, u->topics[i], u);
    loop_timer_stop(&u->load_timer);
    list_remove(&u->in_round);
    map_remove(gw->users, str_from(u->id));
    free(u->topics);
    free(u->news);
    free(u);
}

/* ---- sockets come, look, type, go ---- */

static void member_close(const struct member *m, unsigned code, const char *reason);

static void join(const struct hub_post *p)
{
    struct gateway *gw = p->gw;
    struct member *m = mem_zalloc(sizeof(*m));
    m->socket = p->socket;
    m->ticket = p->ticket;
    m->is_packed = p->is_packed;
    snprintf(m->session_id, sizeof(m->session_id), "%s", p->session_id);
    m->kind = p->device_kind;
    m->user = user_get(gw, p->user_id, p->is_guest);
    list_add_tail(&m->user->members, &m->in_user);
    map64_set(gw->members, m->socket, m);
    device_report(m, false);
    if (gw->is_draining)
        member_close(m, WS_CLOSE_GOING_AWAY, "the server is going away");
    else if (m->user->is_loaded)
        tell_ready(m);
}

static void leave(struct gateway *gw, struct member *m)
{
    struct user *u = m->user;
    device_report(m, true);
    watch_clear(m);
    list_remove(&m->in_user);
    map64_remove(gw->members, m->socket);
    free(m);
    if (list_is_empty(&u->members))
        user_destroy(u);
}

static void open_topic(struct member *m, struct topic *t)
{
    topic_close(m, t);
    if (m->open[OPEN_MAX - 1]) /* the oldest is looked at no more */
        memmove(m->open, m->open + 1, sizeof(m->open) - sizeof(m->open[0]));
    for (size_t i = 0; i < OPEN_MAX; i++) {
        if (!m->open[i] || i == OPEN_MAX - 1) {
            m->open[i] = t;
            return;
        }
    }
}

static void tell_typing(const struct member *m, const struct topic *t)
{
    if (t->reader_count > TYPING_TOLD_MAX)
        return;
    Gateway__Typing typing = GATEWAY__TYPING__INIT;
    typing.conversation_id = (char *)t->id;
    typing.user_id = m->user->id;
    Gateway__ServerFrame frame =
        gateway_answer(GATEWAY__SERVER_FRAME__BODY_IS_TYPING, &typing.base);
    struct fan fan = {0};
    for (size_t i = 0; i < t->reader_count; i++) {
        if (t->readers[i].user != m->user)
            fan_add_user(&fan, t->readers[i].user, NULL);
    }
    fan_send(&fan, &frame, WS_SEND_EPHEMERAL);
}

static void set_device(struct member *m, const struct hub_post *p)
{
    bool is_same = m->kind == p->device_kind && m->is_idle == p->is_idle;
    m->kind = p->device_kind;
    m->is_idle = p->is_idle;
    if (!is_same)
        device_report(m, false);
}

static void on_conversation(struct member *m, const struct hub_post *p)
{
    struct topic *t = topic_find(p->gw, p->conversation_id);
    if (!t || !user_is_in(m->user, t)) /* else it is none of theirs */
        return;
    if (p->kind == HUB_OPEN)
        open_topic(m, t);
    else if (p->kind == HUB_CLOSE)
        topic_close(m, t);
    else
        tell_typing(m, t);
}

static void on_post(void *arg)
{
    struct hub_post *p = arg;
    struct member *m = map64_get(p->gw->members, p->socket);
    if (p->kind == HUB_JOIN)
        join(p);
    else if (m && p->kind == HUB_SESSION)
        snprintf(m->session_id, sizeof(m->session_id), "%s", p->session_id);
    else if (m && p->kind == HUB_LEAVE)
        leave(p->gw, m);
    else if (m && p->kind == HUB_DEVICE)
        set_device(m, p);
    else if (m && p->kind == HUB_WATCH)
        watch_set(m, p->asking);
    else if (p->kind == HUB_WATCH)
        gateway_refuse_asking(p->asking, ERR_UNAVAILABLE, "The socket is closing.");
    else if (m)
        on_conversation(m, p);
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

void gateway_hub_revoke(struct gateway *gw, const char *user_id, const char *session_id)
{
    size_t at = 0;
    uint64_t socket;
    void *value;
    while (map64_next(gw->members, &at, &socket, &value)) {
        const struct member *m = value;
        bool is_meant = session_id[0] ? strcmp(m->session_id, session_id) == 0
                                      : strcmp(m->user->id, user_id) == 0;
        if (is_meant)
            member_close(m, GATEWAY_CLOSE_SIGNED_OUT, "signed out");
    }
}

void gateway_hub_start(struct gateway *gw)
{
    gw->users = map_create();
    gw->topics = map_create();
    gw->members = map64_create();
    gw->watched = map_create();
    list_init(&gw->dirty);
    list_init(&gw->telling);
    device_start(gw);
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
    device_stop(gw);
    loop_timer_stop(&gw->dirty_timer);
}
