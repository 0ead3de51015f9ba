/* A media service with a store and a bus of its own, and people who open sessions there. */
#pragma once

#include "test.h"

#include "bus/bus.h"
#include "core/arena.h"
#include "core/clock.h"
#include "core/id.h"
#include "rpc/rpc.h"
#include "services/media/media.h"
#include "store/store.h"

#include "media.pb-c.h"

extern struct node {
    struct store *store;
    struct bus *bus;
    struct media_service *service;
    ProtobufCService *media;
} node;

/* Store and bus; the service by node_start. */
int node_setup(void **state);
int node_teardown(void **state);
void node_start(void);

struct person {
    char user_id[ID_SIZE], session_id[ID_SIZE], participant_id[ID_SIZE];
};
void open_session(const char *meeting_id, struct person *p);
/* One microphone. */
void publish(const struct person *p);
void close_session(const struct person *p);
