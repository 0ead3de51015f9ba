/* signaling's RPCs: who is connected, and putting somebody out. Asked on a worker thread, answered
 * by the loop that owns the state. */
#include "services/common/who.h"
#include "services/signaling/signaling_apart_internal.h"

struct signaling_rpc {
    Signaling__Signaling_Service base; /* first: a service pointer is a pointer to this */
    struct signaling_hub *hub;
};

static struct signaling_hub *hub_of(Signaling__Signaling_Service *service)
{
    return ((struct signaling_rpc *)service)->hub;
}

/* ---- other instances ---- */

#define OTHERS_MAX 64
#define OTHERS_MS 3000

struct others {
    struct signaling_hub *hub;
    size_t count;
    char instances[OTHERS_MAX][NODE_INSTANCE_SIZE];
};

static void others_on_loop(void *arg)
{
    struct others *o = arg;
    LIST_FOREACH(&o->hub->cluster->signaling.nodes, node)
    {
        const struct signaling_node *n = LIST_ENTRY(node, struct signaling_node, in_set);
        if (n->is_alive && o->count < OTHERS_MAX)
            memcpy(o->instances[o->count++], n->instance, NODE_INSTANCE_SIZE);
    }
}

/* What a person asks of us is asked of all; the system (who asks here) means one. */
typedef void other_answer_fn(void *arg, const void *reply);
static void ask_others(struct signaling_hub *hub, struct rpc_call *call, const char *method,
                       const ProtobufCMessage *request, other_answer_fn *take, void *arg)
{
    if (!hub->cluster || who_is_system(call))
        return;
    struct others *o = arena_new(call->arena, struct others);
    o->hub = hub;
    loop_call(hub->loop, others_on_loop, o);
    for (size_t i = 0; i < o->count; i++) {
        struct rpc_call *other = rpc_call_create(NULL);
        other->instance = o->instances[i];
        other->timeout_ms = OTHERS_MS;
        const void *reply = rpc_sync(hub->cluster->peers, method, request, other);
        if (reply)
            take(arg, reply);
        else
            log_warn(&call->log, "signaling: instance %s says nothing to %s: %s", o->instances[i],
                     method, other->message);
        rpc_call_unref(&other);
    }
}

/* ---- ListConnections ---- */

struct listing {
    struct signaling_hub *hub;
    const char *meeting_id;
    struct arena *arena;
    Signaling__ConnectionList reply;
    size_t capacity;
};

static void add_member(struct listing *l, const struct member *m)
{
    if (l->reply.n_connections == l->capacity)
        return;
    Signaling__Connection *c = arena_new(l->arena, Signaling__Connection);
    signaling__connection__init(c);
    c->meeting_id = arena_strdup(l->arena, m->room->id);
    c->participant_id = arena_strdup(l->arena, m->participant_id);
    c->user_id = arena_strdup(l->arena, m->who.user_id);
    c->session_id = arena_strdup(l->arena, m->session_id);
    c->is_connected = m->socket != NULL;
    c->since_ms = m->joined_at_ms;
    c->remote_addr = arena_strdup(l->arena, m->socket ? m->socket->remote_addr : "");
    l->reply.connections[l->reply.n_connections++] = c;
}

static void list_on_loop(void *arg)
{
    struct listing *l = arg;
    l->capacity = map_count(l->hub->resumes);
    l->reply.connections = arena_array(l->arena, Signaling__Connection *, l->capacity);
    size_t at = 0;
    struct str token;
    void *value;
    while (map_next(l->hub->resumes, &at, &token, &value)) {
        const struct member *m = value;
        if (!l->meeting_id[0] || strcmp(m->room->id, l->meeting_id) == 0)
            add_member(l, m);
    }
}

static void add_others(void *arg, const void *reply)
{
    struct listing *l = arg;
    const Signaling__ConnectionList *more = reply;
    size_t count = l->reply.n_connections + more->n_connections;
    Signaling__Connection **all = arena_array(l->arena, Signaling__Connection *, count);
    for (size_t i = 0; i < l->reply.n_connections; i++)
        all[i] = l->reply.connections[i];
    for (size_t i = 0; i < more->n_connections; i++)
        all[l->reply.n_connections + i] =
            (Signaling__Connection *)rpc_message_copy(l->arena, &more->connections[i]->base);
    l->reply.connections = all;
    l->reply.n_connections = count;
}

static void handle_list_connections(Signaling__Signaling_Service *service,
                                    const Signaling__ListConnectionsRequest *input,
                                    Signaling__ConnectionList_Closure closure, void *closure_data)
{
    struct rpc_call *call = closure_data;
    if (!who_require(call, ROLE_ADMIN)) {
        closure(NULL, call);
        return;
    }
    struct listing l = {.hub = hub_of(service),
                        .meeting_id = input->meeting_id,
                        .arena = call->arena,
                        .reply = SIGNALING__CONNECTION_LIST__INIT};
    loop_call(l.hub->loop, list_on_loop, &l);
    ask_others(l.hub, call, "ListConnections", &input->base, add_others, &l);
    closure(&l.reply, call);
}

/* ---- Disconnect ---- */

struct disconnecting {
    struct signaling_hub *hub;
    const char *participant_id;
    int32_t count;
};

static void disconnect_on_loop(void *arg)
{
    struct disconnecting *d = arg;
    size_t at = 0;
    struct str token;
    void *value;
    while (map_next(d->hub->resumes, &at, &token, &value)) {
        struct member *m = value;
        if (strcmp(m->participant_id, d->participant_id) != 0)
            continue;
        struct signaling_socket *s = m->socket;
        signaling_member_remove(m, "removed", true);
        if (s)
            signaling_socket_close(s, CLOSE_FORBIDDEN, "disconnected by an administrator");
        d->count++;
    }
}

static void count_others(void *arg, const void *reply)
{
    struct disconnecting *d = arg;
    d->count += ((const Signaling__DisconnectReply *)reply)->disconnected_count;
}

static void handle_disconnect(Signaling__Signaling_Service *service,
                              const Signaling__DisconnectRequest *input,
                              Signaling__DisconnectReply_Closure closure, void *closure_data)
{
    struct rpc_call *call = closure_data;
    if (!who_require(call, ROLE_ADMIN)) {
        closure(NULL, call);
        return;
    }
    struct disconnecting d = {.hub = hub_of(service), .participant_id = input->participant_id};
    loop_call(d.hub->loop, disconnect_on_loop, &d);
    ask_others(d.hub, call, "Disconnect", &input->base, count_others, &d);
    Signaling__DisconnectReply reply = SIGNALING__DISCONNECT_REPLY__INIT;
    reply.disconnected_count = d.count;
    closure(&reply, call);
}

/* ---- between instances ---- */

struct asked {
    struct signaling_hub *hub;
    const Signaling__RelayRequest *relayed;
    enum err err;
    Node__Node *node;
};

static void node_on_loop(void *arg)
{
    struct asked *a = arg;
    struct signaling_hub *hub = a->hub;
    a->node->id = hub->cluster ? hub->cluster->self_id : (char *)"";
    a->node->is_draining = hub->is_draining;
    a->node->rooms = (int32_t)map_count(hub->rooms);
    a->node->people = (int32_t)map64_count(hub->sockets);
}

static void handle_get_node(Signaling__Signaling_Service *service,
                            const Node__GetNodeRequest *input UNUSED, Node__Node_Closure closure,
                            void *closure_data)
{
    Node__Node reply = NODE__NODE__INIT;
    struct asked a = {.hub = hub_of(service), .node = &reply};
    bool is_allowed = who_require_system(closure_data);
    if (is_allowed)
        loop_call(a.hub->loop, node_on_loop, &a);
    closure(is_allowed ? &reply : NULL, closure_data);
}

static void relay_on_loop(void *arg)
{
    struct asked *a = arg;
    a->err = signaling_relay_take(a->hub, a->relayed);
}

static void handle_relay(Signaling__Signaling_Service *service,
                         const Signaling__RelayRequest *input,
                         Signaling__RelayReply_Closure closure, void *closure_data)
{
    Signaling__RelayReply reply = SIGNALING__RELAY_REPLY__INIT;
    struct asked a = {.hub = hub_of(service), .relayed = input};
    bool is_allowed = who_require_system(closure_data);
    if (is_allowed)
        loop_call(a.hub->loop, relay_on_loop, &a);
    if (a.err)
        rpc_fail(closure_data, a.err, "no instance of that name is known here");
    closure(is_allowed && !a.err ? &reply : NULL, closure_data);
}

struct signaling_rpc *signaling_rpc_create(struct signaling_hub *hub)
{
    struct signaling_rpc *rpc = mem_zalloc(sizeof(*rpc));
    rpc->base = (Signaling__Signaling_Service)SIGNALING__SIGNALING__INIT(handle_);
    rpc->hub = hub;
    return rpc;
}

void signaling_rpc_destroy(struct signaling_rpc **rpc)
{
    free(*rpc);
    *rpc = NULL;
}

ProtobufCService *signaling_rpc_service(struct signaling_rpc *rpc)
{
    return &rpc->base.base;
}
