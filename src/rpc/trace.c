/*
 * trace: the spans of calls. One for each invocation, on the side that serves it (and, between two
 * processes, one on the side that asks). A trace begins where somebody comes in: at the edge, with
 * a frame, an event, a task, or here when another program calls without having one. Calls that
 * belong to nothing (housekeeping) are not recorded.
 */
#include "rpc/rpc_internal.h"

#include <string.h>

static const char *keep_text(const struct span *span, struct arena *arena)
{
    char text[SPAN_TRACEPARENT_SIZE];
    span_traceparent(span, text);
    return arena_strdup(arena, text);
}

/* Whose work a call to another process is. */
static const char *find_asker(const struct rpc_call_state *state)
{
    const struct span *current = span_current();
    if (current)
        return current->service;
    const struct rpc_call_state *parent = state->parent ? rpc_state(state->parent) : NULL;
    return parent && parent->span ? parent->span->service : "edge";
}

void rpc_span_start(struct rpc_call_state *state, const ProtobufCServiceDescriptor *service,
                    unsigned method, enum span_kind kind)
{
    struct rpc_call *call = &state->call;
    struct span span;
    state->span = NULL;
    state->traceparent = NULL;
    if (!span_is_on() || !(call->traceparent || state->is_from_outside || kind == SPAN_CLIENT))
        return;
    span_start(&span, NULL, kind, call->traceparent);
    if (!call->traceparent && kind == SPAN_CLIENT)
        span.is_sampled = false; /* housekeeping: the other process must not take it for a start */
    if (!span.is_sampled) {
        if (!call->traceparent) /* decided here, for all that follows */
            state->traceparent = keep_text(&span, call->arena);
        return;
    }
    const char *method_name = service->methods[method].name;
    span.name = arena_printf(call->arena, "%s/%s", service->name, method_name);
    span.service = kind == SPAN_CLIENT ? find_asker(state) : service->package;
    span_add_text(&span, "rpc.system", "grpc");
    span_add_text(&span, "rpc.service", service->name);
    span_add_text(&span, "rpc.method", method_name);
    state->traceparent = keep_text(&span, call->arena);
    state->span = arena_memdup(call->arena, &span, sizeof(span));
}

void rpc_span_end(struct rpc_call_state *state, enum err err)
{
    if (!state->span)
        return;
    const struct span *current = span_current();
    bool is_here = current && memcmp(current->span_id, state->span->span_id, 8) == 0;
    if (is_here) /* what the caller goes on with is not our work */
        span_leave(state->outer_span);
    span_end(state->span, err);
}

const char *rpc_span_traceparent(const struct rpc_call_state *state)
{
    return state->traceparent ? state->traceparent : state->call.traceparent;
}

const char *rpc_span_here(struct arena *arena)
{
    const struct span *current = span_current();
    return current && span_is_on() ? keep_text(current, arena) : NULL;
}

void rpc_span_run(struct rpc_call_state *state, void (*run)(struct rpc_call_state *))
{
    if (!state->span) {
        run(state);
        return;
    }
    /* The call may be answered, and its span ended, by another thread while this one still runs:
     * what is current here is a copy, and the texts of it live in the call. */
    struct rpc_call *call = rpc_call_ref(&state->call);
    const struct span span = *state->span;
    const struct span *before = span_enter(&span);
    state->outer_span = before;
    run(state);
    span_leave(before);
    rpc_call_unref(&call);
}
