/*
 * One socket, on its loop. Its requests are worked on one at a time, so two messages sent one after
 * the other stand so in the log; those that come meanwhile wait, up to a limit.
 */
#include "services/gateway/gateway_socket.h"
#include "core/live.h"

#define FRAMES_PER_S 200
#define MESSAGE_MAX (256 * 1024)
#define WAITING_MAX 64
#define WAITING_BYTES_MAX (8 * MESSAGE_MAX)

static struct metric sockets_gauge =
    METRIC_GAUGE("parlance_gateway_sockets", "Open /ws/im sockets.");
struct metric gateway_frames_total =
    METRIC_COUNTER("parlance_gateway_frames_total", "Frames on /ws/im.", "direction");

const char *const gateway_subprotocols[] = {"parlance.v1.json", "parlance.v1.proto", NULL};

struct waiting {
    struct list in_socket;
    enum ws_opcode opcode;
    size_t n;
    char payload[];
};

/* ---- out ---- */

static void send_frame(struct ws *ws, const struct gateway_socket *s, Gateway__ServerFrame *frame,
                       const Gateway__ClientFrame *to)
{
    if (to && to->_id_case) {
        frame->_id_case = GATEWAY__SERVER_FRAME___ID_ID;
        frame->id = to->id;
    }
    struct ws_frame *f = gateway_encode(frame, s->is_packed);
    metric_cell_add(metric_cell(&gateway_frames_total, "out", NULL, NULL), 1);
    ws_send_frame(ws, f, 0);
    ws_frame_unref(&f);
}

static void send_error(struct ws *ws, const struct gateway_socket *s,
                       const Gateway__ClientFrame *to, enum err err, const char *message)
{
    Gateway__ServerFrame frame;
    Gateway__ErrorInfo error;
    char request_id[ID_SIZE];
    id_make(request_id);
    gateway_fill_error(&frame, &error, err, message, request_id);
    send_frame(ws, s, &frame, to);
}

/* ---- what the gateway answers itself ---- */

static struct hub_post hub_post_of(const struct gateway_socket *s, enum hub_post_kind kind)
{
    return (struct hub_post){.gw = s->gw, .kind = kind, .socket = s->id, .ticket = s->ticket};
}

static void on_ping(struct ws *ws, struct gateway_socket *s, const Gateway__ClientFrame *in)
{
    Gateway__PingReply reply = GATEWAY__PING_REPLY__INIT;
    reply.server_time_ms = clock_wall_ms();
    Gateway__ServerFrame frame = gateway_answer(in->request_case, &reply.base);
    send_frame(ws, s, &frame, in);
}

static void send_done(struct ws *ws, struct gateway_socket *s, const Gateway__ClientFrame *in)
{
    Gateway__EmptyReply reply = GATEWAY__EMPTY_REPLY__INIT;
    Gateway__ServerFrame frame = gateway_answer(in->request_case, &reply.base);
    send_frame(ws, s, &frame, in);
}

/* open and typing: what the hub does with them needs no answer but this. */
static void on_told(struct ws *ws, struct gateway_socket *s, const Gateway__ClientFrame *in,
                    enum hub_post_kind kind, const char *conversation_id)
{
    if (!id_is_valid(conversation_id)) {
        send_error(ws, s, in, ERR_INVALID_ARGUMENT, "id: expected the id of a conversation");
        return;
    }
    struct hub_post post = hub_post_of(s, kind);
    snprintf(post.conversation_id, sizeof(post.conversation_id), "%s", conversation_id);
    gateway_hub_post(&post);
    send_done(ws, s, in);
}

static void on_device(struct ws *ws, struct gateway_socket *s, const Gateway__ClientFrame *in)
{
    if (in->device->_kind_case && in->device->kind > PRESENCE__DEVICE_KIND__BOT) {
        send_error(ws, s, in, ERR_INVALID_ARGUMENT, "kind: expected web, desktop, phone or bot");
        return;
    }
    if (in->device->_kind_case)
        s->device_kind = (uint8_t)in->device->kind;
    struct hub_post post = hub_post_of(s, HUB_DEVICE);
    post.device_kind = s->device_kind;
    post.is_idle = in->device->is_idle;
    gateway_hub_post(&post);
    send_done(ws, s, in);
}

/* The hub answers. */
static void ask_watch(struct gateway_socket *s, const Gateway__ClientFrame *in,
                      struct rpc_call *call)
{
    struct hub_post post = hub_post_of(s, HUB_WATCH);
    post.asking = gateway_asking_create(s, in, call);
    gateway_hub_post(&post);
}

/* true: the call was handed on. */
static bool dispatch(struct ws *ws, struct gateway_socket *s, const Gateway__ClientFrame *in,
                     struct rpc_call *call)
{
    uint32_t field = in->request_case;
    if (field == GATEWAY__CLIENT_FRAME__REQUEST__NOT_SET) {
        send_error(ws, s, in, ERR_UNIMPLEMENTED, "There is no such request.");
    } else if (field == GATEWAY__CLIENT_FRAME__REQUEST_PING && !(s->who && in->ping->cursor[0])) {
        on_ping(ws, s, in);
    } else if (field == GATEWAY__CLIENT_FRAME__REQUEST_AUTHENTICATE) {
        gateway_ask_auth(s, in, call);
        return true;
    } else if (!s->who) {
        send_error(ws, s, in, ERR_UNAUTHENTICATED, "Send an authenticate frame first.");
    } else if (field == GATEWAY__CLIENT_FRAME__REQUEST_OPEN) {
        on_told(ws, s, in, in->open->is_closed ? HUB_CLOSE : HUB_OPEN, in->open->id);
    } else if (field == GATEWAY__CLIENT_FRAME__REQUEST_TYPING) {
        on_told(ws, s, in, HUB_TYPING, in->typing->id);
    } else if (field == GATEWAY__CLIENT_FRAME__REQUEST_DEVICE) {
        on_device(ws, s, in);
    } else if (field == GATEWAY__CLIENT_FRAME__REQUEST_WATCH) {
        ask_watch(s, in, call);
        return true;
    } else if (field == GATEWAY__CLIENT_FRAME__REQUEST_PING) {
        gateway_ask_heads(s, in, call);
        return true;
    } else {
        gateway_ask_service(s, in, call);
        return true;
    }
    return false;
}

/* ---- in ---- */

static void handle(struct ws *ws, struct gateway_socket *s, enum ws_opcode opcode,
                   struct str payload)
{
    metric_cell_add(metric_cell(&gateway_frames_total, "in", NULL, NULL), 1);
    struct rpc_call *call = rpc_call_create(NULL);
    struct strbuf problem = {0};
    const Gateway__ClientFrame *in = gateway_decode(call->arena, opcode, payload, &problem);
    if (!in)
        send_error(ws, s, NULL, ERR_INVALID_ARGUMENT, problem.p);
    if (!in || !dispatch(ws, s, in, call))
        rpc_call_unref(&call);
    strbuf_deinit(&problem);
}

void gateway_socket_take_next(struct ws *ws, struct gateway_socket *s)
{
    while (!s->is_busy && !list_is_empty(&s->waiting)) {
        struct waiting *next = LIST_ENTRY(s->waiting.next, struct waiting, in_socket);
        list_remove(&next->in_socket);
        s->waiting_count--;
        s->waiting_bytes -= (uint32_t)next->n;
        handle(ws, s, next->opcode, (struct str){next->payload, next->n});
        free(next);
    }
}

static bool is_flooding(struct gateway_socket *s)
{
    int64_t now_ms = clock_mono_ms();
    if (now_ms - s->second_since_ms >= 1000) {
        s->second_since_ms = now_ms;
        s->frame_count = 0;
    }
    return ++s->frame_count > FRAMES_PER_S && !LIVE_GET(s->gw->deps.is_unlimited);
}

static bool is_full(const struct gateway_socket *s, size_t n)
{
    return s->waiting_count >= WAITING_MAX || s->waiting_bytes + n > WAITING_BYTES_MAX;
}

static void on_message(void *arg, struct ws *ws, enum ws_opcode opcode, struct str payload)
{
    struct gateway_socket *s = arg;
    if ((opcode == WS_BINARY) != s->is_packed) {
        ws_close(ws, WS_CLOSE_UNSUPPORTED, "frames as the subprotocol says");
    } else if (is_flooding(s) || is_full(s, payload.n)) {
        ws_close(ws, WS_CLOSE_TRY_LATER, "too many frames");
    } else if (s->is_busy) {
        struct waiting *w = mem_alloc(sizeof(*w) + payload.n + 1);
        w->opcode = opcode;
        w->n = payload.n;
        memcpy(w->payload, payload.p, payload.n);
        list_add_tail(&s->waiting, &w->in_socket);
        s->waiting_count++;
        s->waiting_bytes += (uint32_t)payload.n;
    } else {
        handle(ws, s, opcode, payload);
    }
}

static void on_close(void *arg, struct ws *ws UNUSED, unsigned code UNUSED,
                     struct str reason UNUSED)
{
    struct gateway_socket *s = arg;
    if (s->who) {
        struct hub_post post = hub_post_of(s, HUB_LEAVE);
        gateway_hub_post(&post);
    }
    loop_timer_stop(&s->expiry);
    LIST_FOREACH(&s->waiting, node)
    {
        list_remove(node);
        free(LIST_ENTRY(node, struct waiting, in_socket));
    }
    metric_add(&sockets_gauge, -1);
    free(s->who);
    free(s->remote_addr);
    free(s);
}

/* ---- life ---- */

static void on_expired(void *arg)
{
    struct gateway_socket *s = arg;
    struct ws *ws = ws_ticket_find(s->ticket);
    if (ws)
        ws_close(ws, GATEWAY_CLOSE_SIGNED_OUT, "the token has expired");
}

struct role_news {
    struct net_ticket ticket;
    enum identity_role role;
};

static void on_role(void *arg)
{
    struct role_news *news = arg;
    struct ws *ws = ws_ticket_find(news->ticket);
    struct gateway_socket *s = ws ? ws_arg(ws) : NULL;
    if (s && s->who)
        s->who->role = news->role;
    free(news);
}

void gateway_socket_set_role(struct net_ticket ticket, enum identity_role role)
{
    struct role_news *news = mem_zalloc(sizeof(*news));
    *news = (struct role_news){ticket, role};
    net_ticket_post(ticket, on_role, news);
}

static struct signed_in *signed_in_create(const struct identity *who)
{
    size_t n = strlen(who->name) + 1;
    struct signed_in *kept = mem_alloc(sizeof(*kept) + n);
    kept->expires_at_ms = who->expires_at_ms;
    kept->role = who->role;
    kept->is_bot = who->is_bot;
    memcpy(kept->user_id, who->user_id, sizeof(kept->user_id));
    memcpy(kept->session_id, who->session_id, sizeof(kept->session_id));
    memcpy(kept->meeting_id, who->meeting_id, sizeof(kept->meeting_id));
    memcpy(kept->name, who->name, n);
    return kept;
}

struct identity *gateway_socket_who(const struct gateway_socket *s, struct arena *arena)
{
    struct identity *who = arena_new(arena, struct identity);
    who->expires_at_ms = s->who->expires_at_ms;
    who->role = s->who->role;
    who->is_bot = s->who->is_bot;
    memcpy(who->user_id, s->who->user_id, sizeof(who->user_id));
    memcpy(who->session_id, s->who->session_id, sizeof(who->session_id));
    memcpy(who->meeting_id, s->who->meeting_id, sizeof(who->meeting_id));
    snprintf(who->name, sizeof(who->name), "%s", s->who->name);
    return who;
}

void gateway_socket_sign_in(struct ws *ws, struct gateway_socket *s, const struct identity *who)
{
    bool is_first = !s->who;
    if (!is_first && strcmp(s->who->user_id, who->user_id) != 0) {
        ws_close(ws, GATEWAY_CLOSE_SIGNED_OUT, "this socket belongs to somebody else");
        return;
    }
    free(s->who);
    s->who = signed_in_create(who);
    if (who->expires_at_ms > 0)
        loop_timer_start(ws_loop(ws), &s->expiry, MAX(0, who->expires_at_ms - clock_wall_ms()),
                         on_expired, s);
    if (is_first)
        ws_set_authenticated(ws);
    struct hub_post post = hub_post_of(s, is_first ? HUB_JOIN : HUB_SESSION);
    post.is_packed = s->is_packed;
    post.is_guest = who->role < ROLE_USER;
    post.device_kind = s->device_kind;
    snprintf(post.user_id, sizeof(post.user_id), "%s", who->user_id);
    snprintf(post.session_id, sizeof(post.session_id), "%s", who->session_id);
    gateway_hub_post(&post);
}

static bool has(struct str text, const char *part)
{
    return text.p && memmem(text.p, text.n, part, strlen(part));
}

/* What the client's name tells of the device, until it says so itself. */
static Presence__DeviceKind guess_kind(struct str agent)
{
    if (has(agent, "Electron/"))
        return PRESENCE__DEVICE_KIND__DESKTOP;
    if (!has(agent, "Mozilla/"))
        return PRESENCE__DEVICE_KIND__UNKNOWN;
    return has(agent, "Mobi") ? PRESENCE__DEVICE_KIND__PHONE : PRESENCE__DEVICE_KIND__WEB;
}

/* It did not take its events fast enough, and some were left out: now it can fetch them. */
static void on_caught_up(void *arg, struct ws *ws)
{
    Gateway__Missed missed = GATEWAY__MISSED__INIT;
    Gateway__ServerFrame frame = gateway_answer(GATEWAY__SERVER_FRAME__BODY_MISSED, &missed.base);
    send_frame(ws, arg, &frame, NULL);
    struct hub_post post = hub_post_of(arg, HUB_MISSED);
    gateway_hub_post(&post);
}

static const struct ws_handler handler = {
    .on_message = on_message, .on_close = on_close, .on_caught_up = on_caught_up};
static const struct ws_limits limits = {.message_max_bytes = MESSAGE_MAX,
                                        .unauthenticated_max_bytes = 16 * 1024};

void gateway_accept(struct gateway *gw, struct http_request *req, const struct identity *who,
                    ws_origin_fn *is_origin_allowed, void *origin_arg)
{
    static _Atomic uint64_t last_id;
    struct gateway_socket *s = mem_zalloc(sizeof(*s));
    bool is_known = who && who->role != ROLE_NONE;
    struct identity identity = {0};
    if (is_known)
        identity = *who;
    s->gw = gw;
    s->id = ++last_id;
    s->remote_addr = mem_strdup(http_request_remote(req));
    s->device_kind = (uint8_t)guess_kind(http_request_header(req, "user-agent"));
    list_init(&s->waiting);
    struct ws *ws;
    enum err err = ws_accept(req,
                             &(struct ws_options){.handler = &handler,
                                                  .arg = s,
                                                  .limits = &limits,
                                                  .is_origin_allowed = is_origin_allowed,
                                                  .origin_arg = origin_arg,
                                                  .subprotocols = gateway_subprotocols,
                                                  .flags = WS_ACCEPT_UNAUTHENTICATED},
                             &ws);
    if (err) {
        free(s->remote_addr);
        free(s);
        return;
    }
    metric_add(&sockets_gauge, 1);
    s->ticket = ws_ticket(ws);
    s->is_packed = strcmp(ws_subprotocol(ws), gateway_subprotocols[1]) == 0;
    if (is_known)
        gateway_socket_sign_in(ws, s, &identity);
}
