/*
 * rpc_internal: what a call keeps behind its public face. Caller and handler share a call without a
 * lock: each field below has one writer at a time, and `phase` decides whose turn it is.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "core/list.h"
#include "core/span.h"
#include "rpc/rpc.h"

struct rpc_local;

/* Of the invocation, as its caller sees it. RUNNING -> DONE is the handler's closure, RUNNING ->
 * ABANDONED the deadline; whoever makes the move owns call->err and call->message afterwards. */
enum rpc_phase { RPC_IDLE, RPC_RUNNING, RPC_DONE, RPC_ABANDONED };

struct rpc_call_state {
    struct rpc_call call; /* first: a call is its state */
    atomic_uint refs;
    _Atomic enum rpc_phase phase;
    struct rpc_call *parent;

    /* The handler's: moved into call->err and call->message by the closure that wins. */
    enum err fail_err;
    char fail_message[sizeof(((struct rpc_call *)0)->message)];

    /* The caller's, of rpc_sync. */
    pthread_mutex_t lock;
    pthread_cond_t closed;
    bool is_closed; /* under lock */
    const ProtobufCMessage *reply;

    /* The caller's, of rpc_async. */
    rpc_done_fn *done;
    bool is_request_kept;
    struct list in_flight; /* under the deadline sweeper's lock */

    /* The local service's. */
    struct rpc_local *service;
    unsigned method;
    const ProtobufCMessage *input;
    ProtobufCClosure closure;
    int64_t start_us;
    bool is_managed; /* started by rpc_sync or rpc_async, not by a bare stub */
    bool was_unsent; /* the remote one's: it failed, and nothing was begun */

    struct rpc_routing *routing; /* rpc_route's */

    /* Of the invocation in work; trace.c. */
    bool is_from_outside;          /* another process asks: may begin a trace */
    const char *traceparent;       /* NULL: the caller's */
    struct span *span;             /* NULL: not recorded */
    const struct span *outer_span; /* current where the handler runs, before it */
};

static inline struct rpc_call_state *rpc_state(struct rpc_call *call)
{
    return (struct rpc_call_state *)call;
}

/* ---- trace.c ---- */

/* An invocation begins, on the thread that asks. */
void rpc_span_start(struct rpc_call_state *state, const ProtobufCServiceDescriptor *service,
                    unsigned method, enum span_kind kind);
void rpc_span_end(struct rpc_call_state *state, enum err err);
/* What is handed on to those who are called for this call; NULL: nothing is known. */
const char *rpc_span_traceparent(const struct rpc_call_state *state);
/* A new call that is made for nobody: what this thread is at, if anything. */
const char *rpc_span_here(struct arena *arena);
/* Runs the handler with the call's span as the current one. */
void rpc_span_run(struct rpc_call_state *state, void (*run)(struct rpc_call_state *));

/* Hands the handler's error over to the caller. */
void rpc_call_settle(struct rpc_call_state *state, const ProtobufCMessage *reply);
void rpc_call_start_clock(struct rpc_call *call);
/* Ends a running call in this way; false when the other side was first. */
bool rpc_call_claim(struct rpc_call_state *state, enum rpc_phase to);
/* Says that the deadline has passed; after the claim. */
void rpc_call_abandon(struct rpc_call_state *state);

/* Calls started by rpc_async, watched for their deadline. The watch holds a reference. */
void rpc_deadline_add(struct rpc_call_state *state);
/* After a successful claim. */
void rpc_deadline_remove(struct rpc_call_state *state);

static inline void *rpc_member(const ProtobufCMessage *m, size_t offset)
{
    return (uint8_t *)(uintptr_t)m + offset;
}
/* sizeof one element of a field's type in the C struct. */
size_t rpc_field_size(ProtobufCType type);
/* Whether the field, if it is in a oneof, is the one that is set; true for others. */
static inline bool rpc_field_is_chosen(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    if (!(f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
        return true;
    return *(const uint32_t *)rpc_member(m, f->quantifier_offset) == f->id;
}
