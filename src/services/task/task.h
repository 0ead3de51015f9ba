/*
 * task: work in the background that is nobody else's: deliveries of webhooks, offline push, and
 * the catalogue of tasks that anybody may ask for. Other
 * services enqueue it in the transaction of what it follows from (bus.h); here are the handlers,
 * and what operators see of all queues. Keeps no tables: the tasks are the bus's.
 */
#pragma once

#include "bus/bus.h"
#include "edge/edge.h"
#include "net/guard.h"
#include "rpc/rpc.h"

struct task_service;

struct task_deps {
    struct bus *bus;
    ProtobufCService *webhook;                     /* what to deliver, and how it went */
    ProtobufCService *message, *presence, *user;   /* whom a message is for, who is here, names */
    ProtobufCService *meeting, *media, *signaling; /* whom the tasks of the catalogue are for; NULL:
                                                      they are answered so */
    const char *push_url; /* told of people who should hear of a message; NULL or "": nobody is */
    const char *push_secret;           /* signs that */
    bool has_push_text;                /* and says how the message begins */
    const struct guard_range *allowed; /* addresses of our own network that webhooks may reach;
                                          copied */
    size_t allowed_count;
};

MUST_USE enum err task_create(struct task_service **out, const struct task_deps *deps);
/* The implementation, for rpc_local_create. */
ProtobufCService *task_rpc(struct task_service *svc);
/* Deliveries in flight end, none begins: before bus_stop_tasks, which would wait for them. Accepts
 * NULL. */
void task_stop(struct task_service *svc);
/* After bus_stop_tasks. Accepts NULL. */
void task_destroy(struct task_service **svc);

extern const struct edge_route_table task_routes;
