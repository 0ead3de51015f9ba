/*
 * rpc: how services call services. Every service is a protobuf-c ProtobufCService; a caller holds a
 * `ProtobufCService *` and uses the generated stub with a `struct rpc_call *` as closure_data. In
 * the same process that is the service itself behind a thin local wrapper (span, deadline,
 * identity, its share of threads); elsewhere (a later driver) a proxy that speaks gRPC.
 *
 * A handler ends with exactly one closure: `closure(&reply, call)`, or `rpc_fail(call,
 * ERR_NOT_FOUND, "no meeting %s", id)` then `closure(NULL, call)`. It may do so later, from another
 * thread. Input is valid until the handler returns, output during the closure; keep by copying into
 * call->arena.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/log.h"
#include "core/worker.h"

enum identity_role { ROLE_NONE, ROLE_GUEST, ROLE_USER, ROLE_ADMIN };

/* Who asks. Proven by the edge (token), trusted between services. */
struct identity {
    enum identity_role role;
    char user_id[27];    /* "" for nobody; a guest has an id of its own */
    char session_id[27]; /* the sign-in it comes from */
    char meeting_id[27]; /* guests only: the one meeting the guest may enter */
    char name[128];      /* display name, for guests and events */
};

struct rpc_call {
    /* in: set by the caller */
    int64_t timeout_ms; /* 0: 10,000 */
    const char *request_id;
    const char *traceparent;
    const struct identity
        *who; /* copied into the call's arena by rpc_call_create; may be NULL: the system itself */
    const char *instance;    /* pin to one instance: meeting -> its media node */
    const char *remote_addr; /* the client's address, for throttling and the audit log */
    const char *user_agent;
    bool is_idempotent;
    void *user; /* the asynchronous caller's own */
    /* out: set before the closure runs */
    enum err err;
    char message[200];
    int64_t retry_after_ms; /* with RESOURCE_EXHAUSTED or UNAVAILABLE: when to come back; 0: not
                               said. The edge makes it Retry-After. */
    const char *peer;
    /* own */
    struct arena *arena; /* requests, replies and rows of this call live here */
    struct log_scope log;
    int64_t deadline_us; /* monotonic */
};

/* A call on the heap with an arena; `like` (may be NULL) hands on request id, trace, identity,
 * deadline. */
struct rpc_call *rpc_call_create(const struct rpc_call *like);
/* Calls have two references, the caller's and (while running) the handler's. Sets *call to NULL. */
void rpc_call_unref(struct rpc_call **call);
struct rpc_call *rpc_call_ref(struct rpc_call *call);

/* Records the error for the closure(NULL, call) that must follow. */
void rpc_fail(struct rpc_call *call, enum err err, const char *fmt, ...) PRINTF_LIKE(3, 4);

/*
 * Calls and waits, within the deadline. On a worker thread only (asserted). Returns the reply (in
 * call->arena, valid as long as the call), or NULL with call->err and call->message set. A write
 * that timed out is *unknown* and is retried by its key.
 *
 *   User__GetUserRequest req = USER__GET_USER_REQUEST__INIT;
 *   const User__User *u = rpc_sync(svc, user__user_service__descriptor_index..., &req, call)
 *
 * `method` is the method's name in the contract ("GetUser").
 */
const void *rpc_sync(ProtobufCService *service, const char *method, const ProtobufCMessage *request,
                     struct rpc_call *call);

/* Starts a call from any thread (a loop too). `done` runs once, on an arbitrary thread, with the
 * reply or NULL. The request is copied. The caller keeps its reference on `call` and may drop it
 * inside `done`. */
typedef void rpc_done_fn(const ProtobufCMessage *reply, struct rpc_call *call);
void rpc_async(ProtobufCService *service, unsigned method_index, const ProtobufCMessage *request,
               struct rpc_call *call, rpc_done_fn *done);

struct rpc_local_options {
    struct worker_options workers; /* this service's share */
    bool is_packing; /* pack and unpack requests and replies, so lifetime bugs show (tests) */
};

/* Wraps a service implementation living in this process. On a worker thread handlers run inline
 * (straight-line C, no hand-over); from a loop they run on the share; a full queue fails with
 * ERR_UNAVAILABLE. */
ProtobufCService *rpc_local_create(ProtobufCService *implementation,
                                   const struct rpc_local_options *opt);
/* Waits for calls in flight. The implementation itself is not freed. Sets *service to NULL. */
void rpc_local_destroy(ProtobufCService **service);

/* protobuf <-> JSON by descriptors: snake_case names; int64 as a string beyond 2^53; bytes base64;
 * enums by lower-case name; fields named *_at_ms stay numbers. Unknown JSON keys and wrong types
 * are refused. */
struct strbuf;
struct str;
void rpc_json_write(struct strbuf *out, const ProtobufCMessage *message);
/* Unpacks JSON into a message in `arena`, NULL on failure with the reason in `problem` ("title:
 * expected text"). */
ProtobufCMessage *rpc_json_parse(const ProtobufCMessageDescriptor *descriptor, struct str json,
                                 struct arena *arena, struct strbuf *problem);
