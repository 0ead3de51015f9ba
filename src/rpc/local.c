/*
 * local: a service living in this process, behind the same face as a remote one. On a loop a call
 * is handed to the service's share of threads; elsewhere the handler runs right here. Counts and
 * times every call, and in tests packs and unpacks what passes, so that a handler that keeps its
 * input or a caller that keeps a reply is found by ASan.
 */
#include <stdlib.h>
#include <semaphore.h>

#include "core/clock.h"
#include "core/loop.h"
#include "core/mem.h"
#include "core/metric.h"
#include "rpc/rpc_internal.h"

static struct metric call_seconds =
    METRIC_HISTOGRAM("parlance_rpc_seconds", "Time from call to reply.", "service", "method");
static struct metric call_errors = METRIC_COUNTER(
    "parlance_rpc_errors_total", "Calls that ended in an error.", "service", "method", "code");

struct rpc_local {
    ProtobufCService base; /* first: what callers hold */
    ProtobufCService *implementation;
    struct worker_pool *share;
    bool is_packing;
    struct metric_cell **seconds; /* by method index */
    /* Calls, and one for the service itself: whoever takes it to zero posts `drained`. */
    atomic_uint in_flight;
    sem_t drained;
};

static void local_release(struct rpc_local *service)
{
    if (atomic_fetch_sub(&service->in_flight, 1) == 1)
        sem_post(&service->drained); /* the last touch */
}

static ProtobufCMessage *repack(const ProtobufCMessage *message, struct arena *arena)
{
    size_t n = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = arena_alloc(arena, n ? n : 1);
    protobuf_c_message_pack(message, bytes);
    return rpc_message_unpack(message->descriptor, arena, bytes, n);
}

static void count_call(const struct rpc_local *service, const struct rpc_call_state *state,
                       bool is_ok)
{
    double seconds = (double)(clock_mono_us() - state->start_us) / 1e6;
    metric_cell_observe(service->seconds[state->method], seconds);
    if (!is_ok) {
        const ProtobufCServiceDescriptor *d = service->base.descriptor;
        metric_cell_add(metric_cell(&call_errors, d->short_name, d->methods[state->method].name,
                                    err_name(state->fail_err)),
                        1);
    }
}

static void local_closed(const ProtobufCMessage *reply, void *data)
{
    struct rpc_call *call = data;
    struct rpc_call_state *state = data;
    struct rpc_local *service = state->service;
    ProtobufCClosure closure = state->closure;
    struct arena *packed = NULL;
    count_call(service, state, reply != NULL);
    rpc_span_end(state, reply ? ERR_OK : state->fail_err);
    if (reply && service->is_packing) {
        packed = arena_create();
        reply = repack(reply, packed);
        if (!reply)
            rpc_fail(call, ERR_INTERNAL, "the reply does not survive packing");
    }
    if (!state->is_managed)
        rpc_call_settle(state, reply);
    closure(reply, call);
    arena_destroy(&packed);
    local_release(service);
    rpc_call_unref(&call);
}

static void invoke_handler(struct rpc_call_state *state)
{
    struct rpc_local *service = state->service;
    ProtobufCService *implementation = service->implementation;
    if (!service->is_packing) {
        implementation->invoke(implementation, state->method, state->input, local_closed, state);
        return;
    }
    /* Gone when the handler returns, whether it has answered or not. */
    struct arena *arena = arena_create();
    const ProtobufCMessage *input = repack(state->input, arena);
    if (input) {
        implementation->invoke(implementation, state->method, input, local_closed, state);
    } else {
        rpc_fail(&state->call, ERR_INVALID_ARGUMENT, "the request does not survive packing");
        local_closed(NULL, state);
    }
    arena_destroy(&arena);
}

static void run_handler(struct rpc_call_state *state)
{
    rpc_span_run(state, invoke_handler);
}

/* On a thread of the share: what waited too long is not begun any more. */
static void run_queued(void *arg)
{
    struct rpc_call_state *state = arg;
    if (clock_mono_us() < state->call.deadline_us) {
        run_handler(state);
        return;
    }
    rpc_fail(&state->call, ERR_DEADLINE_EXCEEDED, "waited too long for a free thread");
    local_closed(NULL, state);
}

static void local_invoke(ProtobufCService *base, unsigned method, const ProtobufCMessage *input,
                         ProtobufCClosure closure, void *data)
{
    struct rpc_local *service = CONTAINER_OF(base, struct rpc_local, base);
    struct rpc_call *call = data;
    struct rpc_call_state *state = data;
    rpc_call_ref(call);
    atomic_fetch_add(&service->in_flight, 1);
    if (!state->is_managed)
        rpc_call_start_clock(call);
    state->service = service;
    state->method = method;
    state->closure = closure;
    state->input = input;
    rpc_span_start(state, base->descriptor, method,
                   state->is_from_outside ? SPAN_SERVER : SPAN_INTERNAL);
    if (!loop_current()) {
        run_handler(state);
        return;
    }
    if (!state->is_managed || !state->is_request_kept)
        state->input = rpc_message_copy(call->arena, input);
    enum err err = worker_run(service->share, run_queued, state);
    if (err != ERR_OK) {
        rpc_fail(call, err, "the server is busy, try again");
        local_closed(NULL, state);
    }
}

static void local_destroy(ProtobufCService *base)
{
    rpc_local_destroy(&base);
}

ProtobufCService *rpc_local_create(ProtobufCService *implementation,
                                   const struct rpc_local_options *opt)
{
    const ProtobufCServiceDescriptor *descriptor = implementation->descriptor;
    struct rpc_local *service = mem_zalloc(sizeof(*service));
    service->base = (ProtobufCService){descriptor, local_invoke, local_destroy};
    service->implementation = implementation;
    service->is_packing = opt && opt->is_packing;
    atomic_init(&service->in_flight, 1);
    sem_init(&service->drained, 0, 0);
    struct worker_options share = opt ? opt->workers : (struct worker_options){0};
    if (!share.name)
        share.name = descriptor->short_name;
    if (worker_pool_create(&service->share, &share) != ERR_OK) {
        log_error(NULL, "cannot start the threads of service %s", descriptor->short_name);
        abort();
    }
    service->seconds = mem_zalloc(descriptor->n_methods * sizeof(service->seconds[0]));
    for (unsigned i = 0; i < descriptor->n_methods; i++)
        service->seconds[i] =
            metric_cell(&call_seconds, descriptor->short_name, descriptor->methods[i].name, NULL);
    return &service->base;
}

void rpc_local_destroy(ProtobufCService **base)
{
    if (!*base)
        return;
    struct rpc_local *service = CONTAINER_OF(*base, struct rpc_local, base);
    *base = NULL;
    worker_pool_destroy(&service->share); /* runs what is queued */
    local_release(service);
    while (sem_wait(&service->drained) != 0)
        ;
    sem_destroy(&service->drained);
    free(service->seconds);
    free(service);
}
