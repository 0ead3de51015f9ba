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
    char user_id[27];      /* "" for nobody; a guest has an id of its own */
    char session_id[27];   /* the sign-in it comes from */
    char meeting_id[27];   /* guests only: the one meeting the guest may enter */
    char name[128];        /* display name, for guests and events */
    bool is_bot;           /* a program's account, which may do less than a person's */
    int64_t expires_at_ms; /* wall; of the token that said so; 0: not by a token */
};

#define RPC_INSTANCE_SIZE 128

struct rpc_call {
    /* in: set by the caller */
    int64_t timeout_ms; /* 0: 10,000 */
    const char *request_id;
    const char *traceparent;
    const struct identity
        *who; /* copied into the call's arena by rpc_call_create; may be NULL: the system itself */
    const char *instance;    /* pin to one instance: meeting -> its media node */
    const char *affinity;    /* NULL, or: what is called with the same text goes to the same
                                instance, as long as it lives; then to another, the same for all */
    const char *remote_addr; /* the client's address, for throttling and the audit log */
    const char *user_agent;
    bool is_idempotent;
    void *user; /* the asynchronous caller's own */
    /* out: set before the closure runs */
    enum err err;
    char message[200];
    int64_t retry_after_ms; /* with RESOURCE_EXHAUSTED or UNAVAILABLE: when to come back; 0: not
                               said. The edge makes it Retry-After. */
    int http_status; /* with an error: what HTTP has a more exact word for (423); 0: the error's */
    /* With UNAVAILABLE: it did not begin; another instance does it, "host:port" or an id; "":
     * nobody knows yet which. rpc_route calls again there. */
    bool is_moved;
    char moved_to[RPC_INSTANCE_SIZE];
    const char *peer;
    /* own */
    struct arena *arena; /* requests, replies and rows of this call live here */
    struct log_scope log;
    int64_t deadline_us; /* monotonic */
};

/*
 * A call on the heap with an arena. `like` (may be NULL), the call that this one is made for, hands
 * on request id, trace, identity, client, log scope and deadline, and stays alive as long.
 * A call serves one invocation at a time: a handler never reuses its own call to call others.
 */
struct rpc_call *rpc_call_create(const struct rpc_call *like);
/* Calls have two references, the caller's and (while running) the handler's. Sets *call to NULL. */
void rpc_call_unref(struct rpc_call **call);
struct rpc_call *rpc_call_ref(struct rpc_call *call);

/* In a handler: records the error for the closure(NULL, call) that must follow. */
void rpc_fail(struct rpc_call *call, enum err err, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same for a call that was not begun, since another instance ("": not known which) has what it
 * is about. */
void rpc_move(struct rpc_call *call, const char *instance);
/* What rpc_fail recorded so far in this invocation; ERR_OK: nothing. */
enum err rpc_failure(const struct rpc_call *call);
/* Its words; "" for none. As long as the call. */
const char *rpc_failure_text(const struct rpc_call *call);

/*
 * Calls and waits, within the deadline. Anywhere but on a loop (asserted). Returns the reply (in
 * call->arena, valid as long as the call), or NULL with call->err and call->message set.
 *
 *   const User__Profile *p = rpc_sync(user, "GetUser", &req.base, call);
 *
 * After ERR_DEADLINE_EXCEEDED the handler may still be at it: what came of it is *unknown* (a write
 * is retried by its key), its answer is dropped, and the call is good for nothing but reading err
 * and message and for rpc_call_unref.
 */
const void *rpc_sync(ProtobufCService *service, const char *method, const ProtobufCMessage *request,
                     struct rpc_call *call);

/*
 * Starts a call from any thread (a loop too). `done` runs once, on an arbitrary thread, perhaps
 * inside this call, with the reply (valid during done) or NULL; at the deadline (checked four times
 * a second) with NULL and ERR_DEADLINE_EXCEEDED, and then it must not allocate from call->arena.
 * The caller keeps its reference on `call` and may drop it inside `done`.
 */
typedef void rpc_done_fn(const ProtobufCMessage *reply, struct rpc_call *call);
enum rpc_async_flags {
    RPC_REQUEST_IN_ARENA = 1, /* the request lives as long as the call: it need not be copied */
};
void rpc_async(ProtobufCService *service, unsigned method_index, const ProtobufCMessage *request,
               struct rpc_call *call, rpc_done_fn *done, unsigned flags);

/* One of a few names, by the text: as affinity of calls about many things at once, and of those
 * about one of them. */
const char *rpc_share(const char *text);

/* Index of a method by its name in the contract ("GetUser"), -1 when there is none. */
int rpc_method_find(const ProtobufCServiceDescriptor *service, const char *method);

/* A deep copy in the arena; texts that are NULL become "". */
ProtobufCMessage *rpc_message_copy(struct arena *arena, const ProtobufCMessage *message);
/* Unpacks outside bytes: bounded memory, and every text must be UTF-8 without NUL. NULL if not. */
ProtobufCMessage *rpc_message_unpack(const ProtobufCMessageDescriptor *descriptor,
                                     struct arena *arena, const void *bytes, size_t n);

struct rpc_local_options {
    struct worker_options workers; /* this service's share; zero fields: its defaults */
    bool is_packing; /* pack and unpack requests and replies, so lifetime bugs show (tests) */
};

/*
 * Wraps a service implementation living in this process (opt may be NULL). On a loop handlers are
 * handed to the share, where a full queue means ERR_UNAVAILABLE at once; on any other thread they
 * run inline (straight-line C, no hand-over).
 */
ProtobufCService *rpc_local_create(ProtobufCService *implementation,
                                   const struct rpc_local_options *opt);
/* Waits for calls in flight. The implementation itself is not freed. Sets *service to NULL. */
void rpc_local_destroy(ProtobufCService **service);

/*
 * protobuf <-> JSON by descriptors. Names are those of the .proto (snake_case); 64-bit integers are
 * numbers up to 2^53 and strings beyond; bytes are base64; enums their names in lower case. Written
 * are all fields, absent scalars with their defaults; left out are absent messages and unset oneof
 * fields (`oneof _x { T x = 1; }` is how an optional field is spelled).
 */
struct strbuf;
struct str;
void rpc_json_write(struct strbuf *out, const ProtobufCMessage *message);
/*
 * JSON text (an object) into a new message in `arena`. Strict: unknown and duplicate keys, null,
 * wrong types, numbers out of range, invalid UTF-8, embedded NUL, nesting beyond 32 are refused:
 * NULL, with the reason in `problem` ("tracks[1].mid: expected text").
 */
ProtobufCMessage *rpc_json_parse(const ProtobufCMessageDescriptor *descriptor, struct str json,
                                 struct arena *arena, struct strbuf *problem);
/*
 * One field from plain text, as it stands in a path or a query: scalars and enums; a repeated field
 * gets one more element. False with the reason in `problem`: unknown field, or not its type.
 */
bool rpc_field_set(ProtobufCMessage *message, struct str field, struct str text,
                   struct arena *arena, struct strbuf *problem);
/* An empty message of this type. */
ProtobufCMessage *rpc_message_create(const ProtobufCMessageDescriptor *descriptor,
                                     struct arena *arena);
/* The field's descriptor or NULL; binary search, no copying of the name. */
const ProtobufCFieldDescriptor *rpc_field_find(const ProtobufCMessageDescriptor *descriptor,
                                               struct str name);
