/*
 * Remote calls of the signaling loop. The loop never blocks: a call is started, its answer is
 * copied where the service answers and posted back here. Sockets are named by id, so an answer to
 * somebody who has gone finds nobody.
 */
#include "services/signaling/signaling_internal.h"

struct pending {
    struct signaling_hub *hub;
    uint64_t socket_id;
    int64_t request_id;
    signaling_reply_fn *done;
    struct rpc_call *call;
    ProtobufCMessage *reply; /* heap copy */
};

void *signaling_copy(const ProtobufCMessage *message)
{
    size_t n = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = mem_alloc(n ? n : 1);
    protobuf_c_message_pack(message, bytes);
    void *copy = protobuf_c_message_unpack(message->descriptor, NULL, n, bytes);
    free(bytes);
    return copy;
}

void signaling_free(void *message)
{
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
}

static void on_loop(void *arg)
{
    struct pending *p = arg;
    struct signaling_hub *hub = p->hub;
    struct signaling_socket *s = p->socket_id ? signaling_socket_find(hub, p->socket_id) : NULL;
    if (p->done && !hub->is_ending) {
        const struct span span = s ? s->span : (struct span){0};
        const struct span *before = span_enter(&span);
        p->done(hub, s, p->request_id, p->reply, p->call);
        span_leave(before);
    }
    signaling_free(p->reply);
    rpc_call_unref(&p->call);
    free(p);
    if (--hub->call_count == 0 && hub->is_ending)
        sem_post(&hub->ended);
}

static void on_answer(const ProtobufCMessage *reply, struct rpc_call *call)
{
    struct pending *p = call->user;
    p->reply = reply ? signaling_copy(reply) : NULL;
    loop_post(p->hub->loop, on_loop, p);
}

void signaling_call(struct signaling_hub *hub, const struct signaling_call_options *opt)
{
    int method = rpc_method_find(opt->service->descriptor, opt->method);
    assert(method >= 0);
    LOOP_ASSERT(hub->loop);

    struct rpc_call *call = rpc_call_create(NULL);
    if (opt->who)
        call->who = arena_memdup(call->arena, opt->who, sizeof(*opt->who));
    char request_id[ID_SIZE];
    id_make(request_id);
    call->request_id =
        arena_strdup(call->arena, opt->socket ? opt->socket->request_id : request_id);
    if (opt->socket)
        call->remote_addr = arena_strdup(call->arena, opt->socket->remote_addr);
    call->is_idempotent = opt->is_idempotent;
    call->timeout_ms = opt->timeout_ms;
    if (opt->instance)
        call->instance = arena_strdup(call->arena, opt->instance);

    struct pending *p = mem_zalloc(sizeof(*p));
    p->hub = hub;
    p->socket_id = opt->socket ? opt->socket->id : 0;
    p->request_id = opt->request_id;
    p->done = opt->done;
    p->call = call;
    call->user = p;
    hub->call_count++;
    rpc_async(opt->service, (unsigned)method, opt->request, call, on_answer, 0);
}
