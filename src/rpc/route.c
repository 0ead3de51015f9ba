/* route: see route.h. What is known of owners is a hint, and every answer may correct it. */
#include "rpc/route.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/loop.h"
#include "core/mem.h"
#include "core/metric.h"
#include "rpc/rpc_internal.h"

#define WAIT_MS 100   /* nobody owns it, or two say the other does */
#define LAST_US 50000 /* before the deadline no further try is made */

static struct metric metric_moved = METRIC_COUNTER(
    "parlance_rpc_moved_total", "Calls made again at another instance.", "service", "why");

struct rpc_route {
    ProtobufCService base; /* first: what callers hold */
    struct rpc_route_options opt;
    char *self;
    pthread_mutex_t lock;
    char (*owners)[RPC_INSTANCE_SIZE]; /* by slot, under the lock; "": not known */
    atomic_uint in_flight;             /* and one for itself */
    sem_t drained;
};

struct rpc_routing {
    struct rpc_route *route;
    struct rpc_call *call;
    unsigned method;
    const ProtobufCMessage *request;
    ProtobufCClosure closure;
    int slot;
    unsigned hops;
    bool was_pinned;                /* by the caller: its own choice */
    char target[RPC_INSTANCE_SIZE]; /* "": any */
    int64_t until_us;
    struct loop_timer timer;
};

static void release(struct rpc_route *route)
{
    if (atomic_fetch_sub(&route->in_flight, 1) == 1)
        sem_post(&route->drained); /* the last touch */
}

/* ---- owners ---- */

static void owner_get(struct rpc_route *route, int slot, char out[RPC_INSTANCE_SIZE])
{
    pthread_mutex_lock(&route->lock);
    memcpy(out, slot >= 0 ? route->owners[slot] : "", slot >= 0 ? RPC_INSTANCE_SIZE : 1);
    pthread_mutex_unlock(&route->lock);
}

static void owner_set(struct rpc_route *route, int slot, const char *instance)
{
    if (slot < 0 || (unsigned)slot >= route->opt.slot_count)
        return;
    pthread_mutex_lock(&route->lock);
    snprintf(route->owners[slot], RPC_INSTANCE_SIZE, "%s", instance);
    pthread_mutex_unlock(&route->lock);
}

void rpc_route_learn(ProtobufCService *service, unsigned slot, const char *instance)
{
    owner_set(CONTAINER_OF(service, struct rpc_route, base), (int)slot, instance);
}

/* ---- one call ---- */

static void hop(struct rpc_routing *r);

static void hop_now(void *arg)
{
    hop(arg);
}

static void hop_after_wait(void *arg)
{
    struct rpc_routing *r = arg;
    loop_timer_start(r->route->opt.loop, &r->timer, WAIT_MS, hop_now, r);
}

static void finish(struct rpc_routing *r, const ProtobufCMessage *reply)
{
    struct rpc_route *route = r->route;
    struct rpc_call *call = r->call;
    rpc_state(call)->routing = NULL;
    r->closure(reply, call);
    free(r);
    rpc_call_unref(&call);
    release(route);
}

/* After an answer that nothing was begun: where to now; false: it has been tried long enough. */
static bool find_next(struct rpc_routing *r, bool *must_wait)
{
    const struct rpc_call *call = r->call;
    bool is_moved = call->is_moved;
    if (r->was_pinned || (!is_moved && !rpc_state(r->call)->was_unsent) ||
        clock_mono_us() + LAST_US > r->until_us)
        return false;
    /* Who points at nobody, or back, does not know better yet. */
    *must_wait = !is_moved || !call->moved_to[0] || r->hops > 1;
    snprintf(r->target, sizeof(r->target), "%s", is_moved ? call->moved_to : "");
    owner_set(r->route, r->slot, r->target);
    metric_cell_add(metric_cell(&metric_moved, r->route->base.descriptor->short_name,
                                is_moved ? "moved" : "unreachable", NULL),
                    1);
    return true;
}

static void on_closed(const ProtobufCMessage *reply, void *data)
{
    struct rpc_call *call = data;
    struct rpc_routing *r = rpc_state(call)->routing;
    bool must_wait;
    if (!r->was_pinned)
        call->instance = NULL;
    if (reply || !find_next(r, &must_wait))
        finish(r, reply);
    else
        loop_post(r->route->opt.loop, must_wait ? hop_after_wait : hop_now, r);
}

static bool is_for_here(const struct rpc_routing *r)
{
    const struct rpc_route *route = r->route;
    const struct rpc_route_options *opt = &route->opt;
    if (!opt->here || r->was_pinned)
        return false;
    if (r->target[0])
        return route->self && strcmp(r->target, route->self) == 0;
    return r->slot < 0 ? r->hops % 2 == 1 : opt->is_here(opt->arg, (unsigned)r->slot);
}

static void hop(struct rpc_routing *r)
{
    struct rpc_call_state *state = rpc_state(r->call);
    r->hops++;
    state->fail_err = ERR_OK;
    state->fail_message[0] = '\0';
    state->was_unsent = r->call->is_moved = false;
    r->call->retry_after_ms = 0;
    bool is_here = is_for_here(r);
    ProtobufCService *to =
        is_here || !r->route->opt.there ? r->route->opt.here : r->route->opt.there;
    if (to == r->route->opt.there && !r->was_pinned)
        r->call->instance = r->target[0] ? r->target : NULL;
    to->invoke(to, r->method, r->request, on_closed, r->call);
}

static void route_invoke(ProtobufCService *base, unsigned method, const ProtobufCMessage *input,
                         ProtobufCClosure closure, void *data)
{
    struct rpc_route *route = CONTAINER_OF(base, struct rpc_route, base);
    struct rpc_call *call = data;
    struct rpc_call_state *state = data;
    bool is_kept = state->is_managed && state->is_request_kept;
    if (!state->is_managed)
        rpc_call_start_clock(call);
    struct rpc_routing *r = mem_zalloc(sizeof(*r));
    r->route = route;
    r->call = rpc_call_ref(call);
    r->method = method;
    r->request = is_kept ? input : rpc_message_copy(call->arena, input);
    r->closure = closure;
    r->slot = route->opt.slot(input, call, route->opt.slot_count);
    r->was_pinned = call->instance != NULL;
    r->until_us = call->deadline_us;
    state->routing = r;
    if (!r->was_pinned &&
        !(route->opt.here && r->slot >= 0 && route->opt.is_here(route->opt.arg, (unsigned)r->slot)))
        owner_get(route, r->slot, r->target);
    atomic_fetch_add(&route->in_flight, 1);
    hop(r);
}

/* ---- life ---- */

static void route_destroy(ProtobufCService *base)
{
    rpc_route_destroy(&base);
}

ProtobufCService *rpc_route_create(const struct rpc_route_options *opt)
{
    const ProtobufCService *any = opt->here ? opt->here : opt->there;
    struct rpc_route *route = mem_new(struct rpc_route);
    route->base = (ProtobufCService){any->descriptor, route_invoke, route_destroy};
    route->opt = *opt;
    route->self = opt->self ? mem_strdup(opt->self) : NULL;
    route->owners = mem_calloc(opt->slot_count, sizeof(route->owners[0]));
    pthread_mutex_init(&route->lock, NULL);
    atomic_init(&route->in_flight, 1);
    sem_init(&route->drained, 0, 0);
    return &route->base;
}

void rpc_route_destroy(ProtobufCService **base)
{
    if (!*base)
        return;
    struct rpc_route *route = CONTAINER_OF(*base, struct rpc_route, base);
    *base = NULL;
    release(route);
    while (sem_wait(&route->drained) != 0)
        ;
    if (route->opt.here)
        protobuf_c_service_destroy(route->opt.here);
    if (route->opt.there)
        protobuf_c_service_destroy(route->opt.there);
    sem_destroy(&route->drained);
    pthread_mutex_destroy(&route->lock);
    free(route->owners);
    free(route->self);
    free(route);
}
