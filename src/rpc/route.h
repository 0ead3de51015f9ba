/*
 * route: a service whose instances each own a part of what there is ("slots"), some of them perhaps
 * in this process. A call goes to the owner of its slot, as far as that is known; an instance that
 * is not the owner answers who is (rpc_move), and the call is made again there, which is safe since
 * it did not begin. While nobody owns a slot, or the owner cannot be reached, the call waits, until
 * its deadline: a slot that changes hands costs time, and no failure.
 */
#pragma once

#include "rpc/rpc.h"

struct loop;

/* The slot of a call; -1: any instance will do. */
typedef int rpc_slot_fn(const ProtobufCMessage *request, const struct rpc_call *call,
                        unsigned slot_count);

struct rpc_route_options {
    ProtobufCService *here;  /* NULL: not in this process */
    ProtobufCService *there; /* its other instances */
    const char *self;        /* what these call the one that is here; NULL: none is */
    struct loop *loop;       /* outlives it */
    rpc_slot_fn *slot;
    unsigned slot_count;
    /* Whether the one here owns it; any thread. NULL without one. */
    bool (*is_here)(void *arg, unsigned slot);
    void *arg;
};

/* The services given are destroyed with it. */
ProtobufCService *rpc_route_create(const struct rpc_route_options *opt);
/* Waits for calls in flight. */
void rpc_route_destroy(ProtobufCService **service);
/* News of who owns a slot; from any thread. */
void rpc_route_learn(ProtobufCService *service, unsigned slot, const char *instance);
