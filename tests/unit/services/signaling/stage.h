/* A signaling service on loopback with fakes behind it, and what its clients hear. */
#pragma once

#include "test.h"

#include "net/server.h"
#include "services/signaling/signaling.h"

#include "fakes.h"
#include "ws_client.h"

extern struct stage {
    struct loop *loop;
    struct bus *bus;
    ProtobufCService *auth;
    ProtobufCService *meeting;
    ProtobufCService *media;
    struct signaling_service *signaling;
    struct net_server *server;
} stage;

int stage_setup(void **state);
/* Who does not sign in, or come back, has half a second. */
int stage_setup_hasty(void **state);
int stage_teardown(void **state);

const char *text_of(json_t *json, const char *key);
/* The next frame of this type; others are passed over. Fails when it does not come. */
json_t *expect(struct ws_client *c, const char *type);
void expect_only(struct ws_client *c, const char *type);
void expect_error(struct ws_client *c, const char *code);
void expect_close(struct ws_client *c, unsigned code);
/* Somebody's socket is gone, and the room knows. */
void expect_away(struct ws_client *c);
void wait_for(_Atomic int *note, int wanted);
void wait_for_least(_Atomic int *note, int least);

#define JOIN "{\"type\":\"join_room\",\"id\":2,\"meeting_id\":\"" FAKE_MEETING "\"}"

void sign_in(struct ws_client *c, const char *name);
/* Enters; returns the resume token (to be freed). */
char *enter(struct ws_client *c, const char *name);
