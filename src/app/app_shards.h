/*
 * app_shards: the message service where it runs in several processes, each the owner of some shards
 * of the log: calls go to whoever owns the conversation's (rpc/route.h). Where one process has the
 * database to itself, nothing of this exists.
 */
#pragma once

#include "app/app_internal.h"

struct app_shards;

/* How other processes call the message service of this one: "host:port", or its id in the registry;
 * NULL: they do not. In the app's arena. */
/* Names the data directory among those of all machines. */
const char *app_shards_name(const struct app *app);
const char *app_shards_self(const struct app *app);
/* Before the services of the message unit are made. */
struct app_shards *app_shards_create(struct app *app);
/* The service behind a route to its owners. here NULL: not in this process. message_service: NULL
 * as well then. */
struct message_service;
ProtobufCService *app_shards_route(struct app_shards *shards, ProtobufCService *here,
                                   const ProtobufCServiceDescriptor *service,
                                   struct message_service *owner);
/* Before the routes. Accepts NULL. */
void app_shards_destroy(struct app_shards **shards);
