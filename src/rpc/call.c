/*
 * call: the life of one call between services. The caller's side is here: creating it, starting it,
 * waiting for it, giving it up at its deadline. Caller and handler share the call by references;
 * `phase` decides which of the two ends it, so a closure that comes after the deadline finds the
 * call abandoned and is dropped.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/loop.h"
#include "core/thread.h"
#include "rpc/rpc_internal.h"

#define DEFAULT_TIMEOUT_MS 10000
#define MOVED_RETRY_MS 500

struct rpc_call *rpc_call_create(const struct rpc_call *like)
{
    struct arena *arena = arena_create();
    struct rpc_call_state *state = arena_new(arena, struct rpc_call_state);
    atomic_init(&state->refs, 1);
    atomic_init(&state->phase, RPC_IDLE);
    pthread_mutex_init(&state->lock, NULL);
    pthread_cond_init(&state->closed, NULL);
    struct rpc_call *call = &state->call;
    call->arena = arena;
    if (like) {
        /* The parent stays, so what belongs to it can be borrowed. */
        state->parent = rpc_call_ref((struct rpc_call *)(uintptr_t)like);
        call->request_id = like->request_id;
        call->traceparent = rpc_span_traceparent(rpc_state((struct rpc_call *)(uintptr_t)like));
        call->who = like->who;
        call->remote_addr = like->remote_addr;
        call->user_agent = like->user_agent;
        call->log = like->log;
    } else {
        call->traceparent = rpc_span_here(arena);
    }
    return call;
}

struct rpc_call *rpc_call_ref(struct rpc_call *call)
{
    atomic_fetch_add_explicit(&rpc_state(call)->refs, 1, memory_order_relaxed);
    return call;
}

void rpc_call_unref(struct rpc_call **call)
{
    struct rpc_call *c = *call;
    *call = NULL;
    while (c) {
        struct rpc_call_state *state = rpc_state(c);
        if (atomic_fetch_sub_explicit(&state->refs, 1, memory_order_acq_rel) != 1)
            return;
        struct rpc_call *parent = state->parent;
        struct arena *arena = c->arena;
        pthread_cond_destroy(&state->closed);
        pthread_mutex_destroy(&state->lock);
        arena_destroy(&arena); /* the call itself lives there */
        c = parent;
    }
}

void rpc_fail(struct rpc_call *call, enum err err, const char *fmt, ...)
{
    struct rpc_call_state *state = rpc_state(call);
    va_list args;
    va_start(args, fmt);
    vsnprintf(state->fail_message, sizeof(state->fail_message), fmt, args);
    va_end(args);
    state->fail_err = err == ERR_OK ? ERR_INTERNAL : err;
}

void rpc_move(struct rpc_call *call, const char *instance)
{
    rpc_fail(call, ERR_UNAVAILABLE, "Another instance does this now, try again.");
    call->retry_after_ms = MOVED_RETRY_MS;
    call->is_moved = true;
    snprintf(call->moved_to, sizeof(call->moved_to), "%s", instance);
}

enum err rpc_failure(const struct rpc_call *call)
{
    return rpc_state((struct rpc_call *)call)->fail_err;
}

const char *rpc_failure_text(const struct rpc_call *call)
{
    return rpc_state((struct rpc_call *)call)->fail_message;
}

void rpc_call_settle(struct rpc_call_state *state, const ProtobufCMessage *reply)
{
    struct rpc_call *call = &state->call;
    if (reply) {
        call->err = ERR_OK;
        call->message[0] = '\0';
        return;
    }
    if (state->fail_err == ERR_OK) {
        log_error(&call->log, "a handler ended without a reply and without a reason");
        state->fail_err = ERR_INTERNAL;
    }
    call->err = state->fail_err;
    const char *message = state->fail_message[0] ? state->fail_message : err_text(call->err);
    snprintf(call->message, sizeof(call->message), "%s", message);
}

void rpc_call_start_clock(struct rpc_call *call)
{
    struct rpc_call_state *state = rpc_state(call);
    state->start_us = clock_mono_us();
    int64_t timeout_ms = call->timeout_ms > 0 ? call->timeout_ms : DEFAULT_TIMEOUT_MS;
    call->deadline_us = state->start_us + timeout_ms * 1000;
    if (state->parent && state->parent->deadline_us)
        call->deadline_us = MIN(call->deadline_us, state->parent->deadline_us);
    if (!call->log.key && call->request_id)
        call->log = log_scope(NULL, "request_id", call->request_id);
    state->fail_err = ERR_OK;
    state->fail_message[0] = '\0';
    call->is_moved = false;
}

void rpc_call_abandon(struct rpc_call_state *state)
{
    struct rpc_call *call = &state->call;
    call->err = ERR_DEADLINE_EXCEEDED;
    snprintf(call->message, sizeof(call->message), "%s", err_text(ERR_DEADLINE_EXCEEDED));
}

/* False: the call was given up earlier, or its time is over before it began. */
static bool call_begin(struct rpc_call *call)
{
    struct rpc_call_state *state = rpc_state(call);
    enum rpc_phase phase = atomic_load(&state->phase);
    assert(phase != RPC_RUNNING && "a call serves one invocation at a time");
    if (phase == RPC_ABANDONED)
        return false;
    rpc_call_start_clock(call);
    if (state->start_us >= call->deadline_us) {
        rpc_call_abandon(state);
        return false;
    }
    state->is_managed = true;
    state->is_request_kept = false;
    atomic_store(&state->phase, RPC_RUNNING);
    return true;
}

bool rpc_call_claim(struct rpc_call_state *state, enum rpc_phase to)
{
    enum rpc_phase from = RPC_RUNNING;
    return atomic_compare_exchange_strong(&state->phase, &from, to);
}

/* ---- waiting ---- */

static void on_sync_closed(const ProtobufCMessage *reply, void *data)
{
    struct rpc_call *call = data;
    struct rpc_call_state *state = data;
    if (rpc_call_claim(state, RPC_DONE)) {
        rpc_call_settle(state, reply);
        state->reply = reply ? rpc_message_copy(call->arena, reply) : NULL;
        state->is_managed = false;
        pthread_mutex_lock(&state->lock);
        state->is_closed = true;
        pthread_cond_signal(&state->closed);
        pthread_mutex_unlock(&state->lock);
    }
    rpc_call_unref(&call);
}

/* True when the closure came; false when the deadline did. */
static bool wait_closed(struct rpc_call_state *state)
{
    int64_t until_us = state->call.deadline_us;
    bool is_late = false;
    pthread_mutex_lock(&state->lock);
    while (!state->is_closed && !is_late) {
        bool is_over = !thread_wait_until(&state->closed, &state->lock, until_us);
        /* Losing the claim means that the closure is about to finish: wait for it. */
        is_late = is_over && rpc_call_claim(state, RPC_ABANDONED);
        if (is_over && !is_late)
            until_us += 3600000000;
    }
    pthread_mutex_unlock(&state->lock);
    return !is_late;
}

const void *rpc_sync(ProtobufCService *service, const char *method, const ProtobufCMessage *request,
                     struct rpc_call *call)
{
    assert(!loop_current() && "a loop must not wait");
    struct rpc_call_state *state = rpc_state(call);
    int index = rpc_method_find(service->descriptor, method);
    assert(index >= 0 && "no such method");
    if (!call_begin(call))
        return NULL;
    state->is_closed = false;
    state->reply = NULL;
    rpc_call_ref(call);
    service->invoke(service, (unsigned)index, request, on_sync_closed, call);
    if (!wait_closed(state)) {
        rpc_call_abandon(state);
        return NULL;
    }
    return state->reply;
}

/* ---- not waiting ---- */

static void on_async_closed(const ProtobufCMessage *reply, void *data)
{
    struct rpc_call *call = data;
    struct rpc_call_state *state = data;
    if (rpc_call_claim(state, RPC_DONE)) {
        rpc_deadline_remove(state);
        rpc_call_settle(state, reply);
        state->is_managed = false;
        state->done(reply, call);
    }
    rpc_call_unref(&call);
}

void rpc_async(ProtobufCService *service, unsigned method_index, const ProtobufCMessage *request,
               struct rpc_call *call, rpc_done_fn *done, unsigned flags)
{
    struct rpc_call_state *state = rpc_state(call);
    if (!call_begin(call)) {
        done(NULL, call);
        return;
    }
    state->done = done;
    state->is_request_kept = flags & RPC_REQUEST_IN_ARENA;
    rpc_call_ref(call);
    rpc_deadline_add(state);
    service->invoke(service, method_index, request, on_async_closed, call);
}

int rpc_method_find(const ProtobufCServiceDescriptor *service, const char *method)
{
    unsigned from = 0, to = service->n_methods;
    while (from < to) {
        unsigned mid = (from + to) / 2;
        unsigned index = service->method_indices_by_name[mid];
        int order = strcmp(method, service->methods[index].name);
        if (order == 0)
            return (int)index;
        if (order < 0)
            to = mid;
        else
            from = mid + 1;
    }
    return -1;
}
