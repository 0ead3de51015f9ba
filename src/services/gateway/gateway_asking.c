/*
 * Requests that others answer: a service, auth, the hub. The answer is encoded on the thread that
 * has it and posted back by ticket: if the socket is gone it finds nobody.
 */
#include "services/gateway/gateway_socket.h"

#include "core/span.h"

struct asking {
    struct net_ticket ticket;
    bool is_packed, has_id;
    int64_t id;
    uint32_t field;
    struct rpc_call *call;
    struct span span;
    const Gateway__ClientFrame *request; /* in the call's arena */
    struct ws_frame *frame;              /* the answer */
    struct identity who;                 /* authenticate: what the token says; role none: refused */
    bool is_refused;
    enum err err;
};

void gateway_fill_error(Gateway__ServerFrame *frame, Gateway__ErrorInfo *error, enum err err,
                        const char *message, const char *request_id)
{
    gateway__error_info__init(error);
    error->code = (char *)err_name(err);
    error->message = (char *)message;
    error->request_id = (char *)(request_id ? request_id : "");
    gateway__server_frame__init(frame);
    frame->body_case = GATEWAY__SERVER_FRAME__BODY_ERROR;
    frame->error = error;
}

static void on_answered(void *arg)
{
    struct asking *a = arg;
    struct ws *ws = ws_ticket_find(a->ticket);
    struct gateway_socket *s = ws ? ws_arg(ws) : NULL;
    if (s && a->is_refused) {
        ws_send_frame(ws, a->frame, 0);
        ws_close(ws, GATEWAY_CLOSE_SIGNED_OUT, "sign in first");
    } else if (s) {
        if (a->who.role != ROLE_NONE)
            gateway_socket_sign_in(ws, s, &a->who);
        metric_cell_add(metric_cell(&gateway_frames_total, "out", NULL, NULL), 1);
        ws_send_frame(ws, a->frame, 0);
        s->is_busy = false;
        gateway_socket_take_next(ws, s);
    }
    ws_frame_unref(&a->frame);
    free(a);
}

static void answer(struct asking *a, Gateway__ServerFrame *frame)
{
    if (a->has_id) {
        frame->_id_case = GATEWAY__SERVER_FRAME___ID_ID;
        frame->id = a->id;
    }
    a->frame = gateway_encode(frame, a->is_packed);
    span_end(&a->span, a->err);
    rpc_call_unref(&a->call);
    net_ticket_post(a->ticket, on_answered, a);
}

static void answer_error(struct asking *a, enum err err, const char *message)
{
    Gateway__ServerFrame frame;
    Gateway__ErrorInfo error;
    char text[sizeof(a->call->message)];
    snprintf(text, sizeof(text), "%s", message);
    a->err = err;
    gateway_fill_error(&frame, &error, err, text, a->call->request_id);
    error.retry_after_ms = a->call->retry_after_ms;
    answer(a, &frame);
}

void gateway_answer_asking(struct asking *asking, const ProtobufCMessage *reply)
{
    Gateway__ServerFrame frame = gateway_answer(asking->field, reply);
    answer(asking, &frame);
}

void gateway_refuse_asking(struct asking *asking, enum err err, const char *message)
{
    answer_error(asking, err, message);
}

const Gateway__WatchRequest *gateway_asking_watch(const struct asking *asking)
{
    return asking->request->watch;
}

static void on_reply(const ProtobufCMessage *reply, struct rpc_call *call)
{
    struct asking *a = call->user;
    if (reply)
        gateway_answer_asking(a, reply);
    else
        answer_error(a, call->err, call->message);
}

static void on_heads(const ProtobufCMessage *reply, struct rpc_call *call)
{
    struct asking *a = call->user;
    const Message__HeadList *list = (const Message__HeadList *)reply;
    if (!list) {
        answer_error(a, call->err, call->message);
        return;
    }
    Gateway__PingReply ping = GATEWAY__PING_REPLY__INIT;
    ping.server_time_ms = clock_wall_ms();
    ping.heads = list->heads;
    ping.n_heads = list->n_heads;
    ping.is_behind = list->is_behind;
    gateway_answer_asking(a, &ping.base);
}

static void on_validated(const ProtobufCMessage *message, struct rpc_call *call)
{
    struct asking *a = call->user;
    const Auth__ValidateTokenReply *reply = (const Auth__ValidateTokenReply *)message;
    if (!reply) {
        a->is_refused = true;
        answer_error(a, call->err, call->message);
        return;
    }
    a->who.role = (enum identity_role)reply->role;
    a->who.expires_at_ms = reply->expires_at_ms;
    a->who.is_bot = reply->is_bot;
    snprintf(a->who.user_id, sizeof(a->who.user_id), "%s", reply->user_id);
    snprintf(a->who.session_id, sizeof(a->who.session_id), "%s", reply->session_id);
    snprintf(a->who.meeting_id, sizeof(a->who.meeting_id), "%s", reply->meeting_id);
    snprintf(a->who.name, sizeof(a->who.name), "%s", reply->name);
    Gateway__AuthenticateReply own = GATEWAY__AUTHENTICATE_REPLY__INIT;
    own.user_id = a->who.user_id;
    Gateway__ServerFrame frame = gateway_answer(a->field, &own.base);
    answer(a, &frame);
}

/* Each request is the beginning of a trace: sockets live for hours. */
static void start_span(struct asking *a)
{
    char text[SPAN_TRACEPARENT_SIZE];
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(a->request->base.descriptor, a->field);
    span_start(&a->span, field ? field->name : "request", SPAN_SERVER, NULL);
    if (!a->span.is_known)
        return;
    a->span.service = "gateway";
    span_add_text(&a->span, "parlance.socket", "im");
    span_add_text(&a->span, "parlance.request_id", a->call->request_id);
    span_traceparent(&a->span, text);
    a->call->traceparent = arena_strdup(a->call->arena, text);
}

struct asking *gateway_asking_create(struct gateway_socket *s, const Gateway__ClientFrame *frame,
                                     struct rpc_call *call)
{
    struct asking *a = mem_zalloc(sizeof(*a));
    char request_id[ID_SIZE];
    id_make(request_id);
    a->ticket = s->ticket;
    a->is_packed = s->is_packed;
    a->has_id = frame->_id_case != 0;
    a->id = frame->id;
    a->field = frame->request_case;
    a->request = frame;
    a->call = call;
    call->user = a;
    call->request_id = arena_strdup(call->arena, request_id);
    start_span(a);
    call->remote_addr = arena_strdup(call->arena, s->remote_addr);
    if (s->who)
        call->who = gateway_socket_who(s, call->arena);
    s->is_busy = true;
    return a;
}

void gateway_ask_service(struct gateway_socket *s, const Gateway__ClientFrame *frame,
                         struct rpc_call *call)
{
    const struct gateway_method *m = &s->gw->methods[frame->request_case];
    gateway_asking_create(s, frame, call);
    /* All requests of the oneof lie in the same place. */
    const ProtobufCMessage *request = (const ProtobufCMessage *)frame->send_message;
    if (m->service == s->gw->deps.presence)
        call->affinity = rpc_share(s->who->user_id); /* where its devices are reported */
    rpc_async(m->service, m->index, request, call, on_reply, RPC_REQUEST_IN_ARENA);
}

void gateway_ask_auth(struct gateway_socket *s, const Gateway__ClientFrame *frame,
                      struct rpc_call *call)
{
    gateway_asking_create(s, frame, call);
    call->is_idempotent = true;
    Auth__ValidateTokenRequest *request = arena_new(call->arena, Auth__ValidateTokenRequest);
    auth__validate_token_request__init(request);
    request->token = frame->authenticate->token;
    request->scope = (char *)"sockets";
    int method = rpc_method_find(s->gw->deps.auth->descriptor, "ValidateToken");
    rpc_async(s->gw->deps.auth, (unsigned)method, &request->base, call, on_validated,
              RPC_REQUEST_IN_ARENA);
}

void gateway_ask_heads(struct gateway_socket *s, const Gateway__ClientFrame *frame,
                       struct rpc_call *call)
{
    ProtobufCService *message = s->gw->deps.message;
    Message__GetHeadsRequest *request = arena_new(call->arena, Message__GetHeadsRequest);
    message__get_heads_request__init(request);
    request->cursor = frame->ping->cursor;
    gateway_asking_create(s, frame, call);
    rpc_async(message, (unsigned)rpc_method_find(message->descriptor, "GetHeads"), &request->base,
              call, on_heads, RPC_REQUEST_IN_ARENA);
}
