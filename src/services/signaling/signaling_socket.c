/*
 * Sockets. The WebSocket belongs to a loop of the edge; the signaling loop knows it by ticket and
 * by a number of its own. Frames travel by posts in both directions, in order. A socket's requests
 * are worked on one at a time, so an offer is answered before the mute that follows it.
 */
#include "services/signaling/signaling_apart_internal.h"
#include "services/signaling/signaling_socket.h"

#include "net/ws.h"

#define FRAMES_PER_S 200 /* more than any client needs; beyond it the socket is closed */

static struct metric sockets_gauge =
    METRIC_GAUGE("parlance_signaling_sockets", "Open signaling sockets.");
static struct metric frames_total =
    METRIC_COUNTER("parlance_signaling_frames_total", "Frames on signaling sockets.", "direction");

/* ---- on the edge's loop ---- */

/* What the edge's side keeps for a socket. */
struct wire {
    struct signaling_hub *hub;
    uint64_t id;
    int64_t window_start_ms;
    unsigned window_count;
};

enum inbound_kind { INBOUND_OPEN, INBOUND_FRAME, INBOUND_CLOSE };

struct inbound {
    struct list in_queue; /* while another request of the socket is in work */
    struct signaling_hub *hub;
    enum inbound_kind kind;
    uint64_t id;
    struct net_ticket ticket;
    struct identity who;
    bool is_authenticated;
    char remote_addr[64];
    char request_id[ID_SIZE];
    size_t n;
    char text[];
};

static void on_inbound(void *arg);

static struct inbound *inbound_create(struct wire *w, enum inbound_kind kind, struct str text)
{
    struct inbound *in = mem_zalloc(sizeof(*in) + text.n + 1);
    in->hub = w->hub;
    in->kind = kind;
    in->id = w->id;
    in->n = text.n;
    if (text.n)
        memcpy(in->text, text.p, text.n);
    return in;
}

static bool is_flooding(struct wire *w)
{
    int64_t now_ms = clock_mono_ms();
    if (now_ms - w->window_start_ms >= 1000) {
        w->window_start_ms = now_ms;
        w->window_count = 0;
    }
    return ++w->window_count > FRAMES_PER_S;
}

static void on_message(void *arg, struct ws *ws, enum ws_opcode opcode, struct str payload)
{
    struct wire *w = arg;
    if (opcode != WS_TEXT) {
        ws_close(ws, WS_CLOSE_UNSUPPORTED, "text frames only");
        return;
    }
    if (is_flooding(w)) {
        ws_close(ws, WS_CLOSE_POLICY, "too many frames");
        return;
    }
    struct inbound *in = inbound_create(w, INBOUND_FRAME, payload);
    loop_post(w->hub->loop, on_inbound, in);
}

static void on_close(void *arg, struct ws *ws UNUSED, unsigned code UNUSED,
                     struct str reason UNUSED)
{
    struct wire *w = arg;
    loop_post(w->hub->loop, on_inbound, inbound_create(w, INBOUND_CLOSE, STR("")));
    free(w);
}

static const struct ws_handler handler = {.on_message = on_message, .on_close = on_close};
/* Who does not sign in is closed by our own timer, which says so (4408), before net's. */
static const struct ws_limits limits = {.message_max_bytes = SIGNALING_FRAME_MAX,
                                        .unauthenticated_max_bytes = 16 * 1024,
                                        .queue_hard_bytes = 2 * SIGNALING_FRAME_MAX,
                                        .authenticate_ms = 20 * 1000,
                                        /* Others should soon see that somebody's line is dead. */
                                        .ping_ms = 10 * 1000,
                                        .pong_ms = 5 * 1000};
static const char *const subprotocols[] = {"parlance.signaling.v1", NULL};

static uint64_t next_id(void)
{
    static _Atomic uint64_t last_id;
    return ++last_id;
}

void signaling_socket_accept(struct signaling_hub *hub, struct http_request *req,
                             const struct identity *who, ws_origin_fn *is_origin_allowed,
                             void *origin_arg)
{
    struct wire *w = mem_zalloc(sizeof(*w));
    w->hub = hub;
    w->id = next_id();
    struct inbound *in = inbound_create(w, INBOUND_OPEN, STR(""));
    in->is_authenticated = who && who->role != ROLE_NONE;
    if (in->is_authenticated)
        in->who = *who;
    snprintf(in->remote_addr, sizeof(in->remote_addr), "%s", http_request_remote(req));
    id_make(in->request_id);

    struct ws *ws;
    enum err err = ws_accept(req,
                             &(struct ws_options){
                                 .handler = &handler,
                                 .arg = w,
                                 .limits = &limits,
                                 .is_origin_allowed = is_origin_allowed,
                                 .origin_arg = origin_arg,
                                 .subprotocols = subprotocols,
                                 .flags = in->is_authenticated ? 0 : WS_ACCEPT_UNAUTHENTICATED,
                             },
                             &ws);
    if (err) {
        free(in);
        free(w);
        return;
    }
    in->ticket = ws_ticket(ws);
    loop_post(hub->loop, on_inbound, in);
}

/* ---- from the signaling loop to the edge's ---- */

struct outbound {
    struct net_ticket ticket;
    struct ws_frame *frame; /* or, without one, a close */
    unsigned code;
    bool is_authenticated;
    char reason[100];
};

static void on_outbound(void *arg)
{
    struct outbound *out = arg;
    struct ws *ws = ws_ticket_find(out->ticket);
    if (ws && out->is_authenticated)
        ws_set_authenticated(ws);
    else if (ws && out->frame)
        ws_send_frame(ws, out->frame, 0);
    else if (ws)
        ws_close(ws, out->code, out->reason);
    ws_frame_unref(&out->frame);
    free(out);
}

static void post_out(struct signaling_socket *s, struct outbound out)
{
    out.ticket = s->ticket;
    struct outbound *copy = mem_alloc(sizeof(*copy));
    *copy = out;
    net_ticket_post(s->ticket, on_outbound, copy);
}

void signaling_socket_send_json(struct signaling_socket *s, struct str json)
{
    metric_cell_add(metric_cell(&frames_total, "out", NULL, NULL), 1);
    if (s->front)
        signaling_relay_send(s->front, &s->front_id, 1, json);
    else
        post_out(s, (struct outbound){.frame = ws_frame_create(WS_TEXT, json)});
}

/* One frame to each front for all its sockets: takes them out of the list. */
static size_t send_remote(struct signaling_socket **sockets, size_t count, struct str json)
{
    uint64_t *ids = mem_calloc(count, sizeof(*ids));
    size_t left = 0, id_count;
    do {
        struct relay_link *front = NULL;
        left = id_count = 0;
        for (size_t i = 0; i < count; i++) {
            if (sockets[i]->front && !front)
                front = sockets[i]->front;
            if (front && sockets[i]->front == front)
                ids[id_count++] = sockets[i]->front_id;
            else
                sockets[left++] = sockets[i];
        }
        if (front)
            signaling_relay_send(front, ids, id_count, json);
        count = left;
    } while (id_count);
    free(ids);
    return count;
}

void signaling_sockets_send_json(struct signaling_socket **sockets, size_t count, struct str json)
{
    if (!count)
        return;
    metric_cell_add(metric_cell(&frames_total, "out", NULL, NULL), (double)count);
    if (sockets[0]->hub->cluster)
        count = send_remote(sockets, count, json);
    struct net_ticket *tickets = mem_calloc(count + 1, sizeof(*tickets));
    for (size_t i = 0; i < count; i++)
        tickets[i] = sockets[i]->ticket;
    struct ws_frame *frame = ws_frame_create(WS_TEXT, json);
    if (count)
        ws_multicast(frame, tickets, count, 0);
    ws_frame_unref(&frame);
    free(tickets);
}

void signaling_socket_send(struct signaling_socket *s, const ProtobufCMessage *frame)
{
    struct strbuf json = {0};
    rpc_json_write(&json, frame);
    signaling_socket_send_json(s, strbuf_str(&json));
    strbuf_deinit(&json);
}

void signaling_socket_close(struct signaling_socket *s, enum signaling_close code,
                            const char *reason)
{
    struct outbound out = {.code = code};
    if (s->front) {
        signaling_relay_shut(s, code, reason);
        return;
    }
    snprintf(out.reason, sizeof(out.reason), "%s", reason);
    post_out(s, out);
}

/* ---- on the signaling loop ---- */

struct signaling_socket *signaling_socket_find(struct signaling_hub *hub, uint64_t id)
{
    return map64_get(hub->sockets, id);
}

static void on_auth_timeout(void *arg)
{
    signaling_socket_close(arg, CLOSE_TIMEOUT, "no sign-in within the time");
}

static void on_token_expired(void *arg)
{
    signaling_socket_close(arg, CLOSE_UNAUTHENTICATED, "the token has expired");
}

static void arm_expiry(struct signaling_socket *s)
{
    if (s->token_expires_ms <= 0)
        return;
    int64_t left_ms = s->token_expires_ms - clock_wall_ms();
    loop_timer_start(s->hub->loop, &s->timer, MAX(left_ms, 0), on_token_expired, s);
}

void signaling_socket_authenticated(struct signaling_socket *s,
                                    const Auth__ValidateTokenReply *reply)
{
    s->is_authenticated = true;
    s->who.role = (enum identity_role)reply->role;
    snprintf(s->who.user_id, sizeof(s->who.user_id), "%s", reply->user_id);
    snprintf(s->who.session_id, sizeof(s->who.session_id), "%s", reply->session_id);
    snprintf(s->who.meeting_id, sizeof(s->who.meeting_id), "%s", reply->meeting_id);
    snprintf(s->who.name, sizeof(s->who.name), "%s", reply->name);
    s->who.is_bot = reply->is_bot;
    s->token_expires_ms = reply->expires_at_ms;
    if (s->member)
        s->member->who = s->who;
    loop_timer_stop(&s->timer);
    arm_expiry(s);
}

void signaling_socket_sign_out(struct signaling_socket *s)
{
    s->is_authenticated = false;
    signaling_socket_close(s, CLOSE_UNAUTHENTICATED, "signed out");
}

bool signaling_socket_is_revoked(const struct signaling_hub *hub, const char *session_id)
{
    for (size_t i = 0; session_id[0] && i < ARRAY_LEN(hub->revoked); i++) {
        if (strcmp(hub->revoked[i], session_id) == 0)
            return true;
    }
    return false;
}

static void socket_open(const struct inbound *in)
{
    struct signaling_hub *hub = in->hub;
    struct signaling_socket *s = mem_zalloc(sizeof(*s));
    s->hub = hub;
    s->id = in->id;
    s->ticket = in->ticket;
    s->who = in->who;
    s->is_authenticated = in->is_authenticated;
    s->token_expires_ms = in->who.expires_at_ms;
    memcpy(s->request_id, in->request_id, sizeof(s->request_id));
    memcpy(s->remote_addr, in->remote_addr, sizeof(s->remote_addr));
    list_init(&s->waiting_frames);
    map64_set(hub->sockets, s->id, s);
    metric_add(&sockets_gauge, 1);
    if (hub->is_draining)
        signaling_socket_close(s, CLOSE_GOING_AWAY, "the server is going away");
    else if (s->is_authenticated && signaling_socket_is_revoked(hub, s->who.session_id))
        signaling_socket_sign_out(s);
    else if (s->is_authenticated)
        arm_expiry(s);
    else
        loop_timer_start(hub->loop, &s->timer, hub->auth_timeout_ms, on_auth_timeout, s);
}

void signaling_socket_destroy(struct signaling_socket *s)
{
    loop_timer_stop(&s->timer);
    span_end(&s->span, ERR_CANCELLED);
    if (s->owner || s->front)
        signaling_relay_forget(s);
    map64_remove(s->hub->sockets, s->id);
    LIST_FOREACH(&s->waiting_frames, node)
    {
        list_remove(node);
        free(LIST_ENTRY(node, struct inbound, in_queue));
    }
    if (s->member)
        s->member->socket = NULL;
    free(s);
    metric_add(&sockets_gauge, -1);
}

void signaling_socket_gone(struct signaling_socket *s)
{
    struct member *m = s->member;
    signaling_socket_destroy(s);
    if (m)
        signaling_member_away(m);
}

/* What the instance answers on which the socket landed, wherever its room is. */
static bool is_the_fronts(const char *type)
{
    return strcmp(type, "auth") == 0 || strcmp(type, "ping") == 0;
}

/* Parses and dispatches one frame; true when the socket is free for the next. */
static bool handle_frame(struct signaling_socket *s, const struct inbound *in)
{
    metric_cell_add(metric_cell(&frames_total, "in", NULL, NULL), 1);
    struct arena *arena = arena_create();
    struct strbuf problem = {0};
    ProtobufCMessage *frame = rpc_json_parse(&signaling__client_frame__descriptor,
                                             (struct str){in->text, in->n}, arena, &problem);
    bool is_done = true;
    if (frame && s->owner && !is_the_fronts(((const Signaling__ClientFrame *)frame)->type))
        signaling_relay_item(s, (struct str){in->text, in->n});
    else if (frame)
        is_done = signaling_request(s, (const Signaling__ClientFrame *)frame);
    else
        signaling_reply_error(s, SIGNALING_NO_ID, ERR_INVALID_ARGUMENT,
                              problem.n ? problem.p : "not a frame");
    strbuf_deinit(&problem);
    arena_destroy(&arena);
    if (is_done)
        span_end(&s->span, s->span_err);
    return is_done;
}

static void take_frame(struct signaling_socket *s, struct inbound *in)
{
    if (!s->is_busy) {
        s->is_busy = !handle_frame(s, in);
        free(in);
    } else if (s->waiting_count < SIGNALING_QUEUE_MAX) {
        list_add_tail(&s->waiting_frames, &in->in_queue);
        s->waiting_count++;
    } else {
        free(in);
        signaling_socket_close(s, CLOSE_TOO_SLOW, "too many requests in work");
    }
}

void signaling_socket_done(struct signaling_socket *s)
{
    s->is_busy = false;
    span_end(&s->span, s->span_err);
    while (!s->is_busy && !list_is_empty(&s->waiting_frames)) {
        struct inbound *in = LIST_ENTRY(s->waiting_frames.next, struct inbound, in_queue);
        list_remove(&in->in_queue);
        s->waiting_count--;
        s->is_busy = !handle_frame(s, in);
        free(in);
    }
}

static void on_inbound(void *arg)
{
    struct inbound *in = arg;
    struct signaling_socket *s = signaling_socket_find(in->hub, in->id);
    if (in->kind == INBOUND_FRAME && s) {
        take_frame(s, in);
        return;
    }
    if (in->kind == INBOUND_OPEN)
        socket_open(in);
    else if (in->kind == INBOUND_CLOSE && s)
        signaling_socket_gone(s);
    free(in);
}

/* ---- sockets of other instances ---- */

void signaling_socket_set_who(struct signaling_socket *s, const Signaling__RelayPerson *who)
{
    s->is_authenticated = true;
    s->who.role = (enum identity_role)who->role;
    snprintf(s->who.user_id, sizeof(s->who.user_id), "%s", who->user_id);
    snprintf(s->who.session_id, sizeof(s->who.session_id), "%s", who->session_id);
    snprintf(s->who.meeting_id, sizeof(s->who.meeting_id), "%s", who->meeting_id);
    snprintf(s->who.name, sizeof(s->who.name), "%s", who->name);
    s->who.is_bot = who->is_bot;
    if (s->member)
        s->member->who = s->who;
}

struct signaling_socket *signaling_socket_open_remote(struct signaling_hub *hub,
                                                      struct relay_link *front, uint64_t front_id,
                                                      const Signaling__RelayPerson *who)
{
    struct signaling_socket *s = mem_zalloc(sizeof(*s));
    s->hub = hub;
    s->id = next_id();
    s->front = front;
    s->front_id = front_id;
    signaling_socket_set_who(s, who);
    snprintf(s->remote_addr, sizeof(s->remote_addr), "%s", who->remote_addr);
    snprintf(s->request_id, sizeof(s->request_id), "%s", who->request_id);
    list_init(&s->waiting_frames);
    map64_set(hub->sockets, s->id, s);
    metric_add(&sockets_gauge, 1);
    return s;
}

void signaling_socket_take(struct signaling_socket *s, struct str text)
{
    struct wire w = {.hub = s->hub, .id = s->id};
    take_frame(s, inbound_create(&w, INBOUND_FRAME, text));
}

void signaling_socket_set_authenticated(struct signaling_socket *s)
{
    if (!s->front)
        post_out(s, (struct outbound){.is_authenticated = true});
}
