/* stage: see stage.h. */
#include "stage.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"

struct stage stage;

static void on_request(void *arg UNUSED, struct http_request *req)
{
    signaling_accept(stage.signaling, req, NULL, NULL, NULL);
}

static int set_up(int64_t away_ms)
{
    const struct rpc_local_options packing = {.is_packing = true};
    fake_notes = (struct fake_notes){0};
    assert_int_equal(loop_create(&stage.loop, "test"), ERR_OK);
    assert_int_equal(bus_open(&stage.bus, &(struct bus_options){.driver = "memory"}), ERR_OK);
    stage.auth = rpc_local_create(fake_auth, &packing);
    stage.meeting = rpc_local_create(fake_meeting, &packing);
    stage.media = rpc_local_create(fake_media, &packing);
    assert_int_equal(
        signaling_create(&stage.signaling, &(struct signaling_deps){.auth = stage.auth,
                                                                    .meeting = stage.meeting,
                                                                    .media = stage.media,
                                                                    .bus = stage.bus,
                                                                    .resume_ms = away_ms,
                                                                    .auth_timeout_ms = away_ms,
                                                                    .presence_every_ms = 200}),
        ERR_OK);
    assert_int_equal(
        net_server_create(&stage.server,
                          &(struct net_server_options){.name = "http",
                                                       .loops = &stage.loop,
                                                       .loop_count = 1,
                                                       .host = "127.0.0.1",
                                                       .http = {.on_request = on_request}}),
        ERR_OK);
    return 0;
}

int stage_setup(void **state UNUSED)
{
    return set_up(60 * 1000);
}

int stage_setup_hasty(void **state UNUSED)
{
    return set_up(500);
}

int stage_teardown(void **state UNUSED)
{
    net_server_destroy(&stage.server);
    signaling_destroy(&stage.signaling);
    rpc_local_destroy(&stage.auth);
    rpc_local_destroy(&stage.meeting);
    rpc_local_destroy(&stage.media);
    bus_close(&stage.bus);
    loop_destroy(&stage.loop);
    return 0;
}

/* ---- reading ---- */

const char *text_of(json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "";
}

json_t *expect(struct ws_client *c, const char *type)
{
    for (int i = 0; i < 50; i++) {
        json_t *json = ws_client_next(c);
        if (!json)
            fail_msg("no %s; closed with %u", type, c->close_code);
        if (strcmp(text_of(json, "type"), type) == 0)
            return json;
        json_decref(json);
    }
    fail_msg("no %s among 50 frames", type);
    return NULL;
}

void expect_only(struct ws_client *c, const char *type)
{
    json_decref(expect(c, type));
}

void expect_error(struct ws_client *c, const char *code)
{
    json_t *json = expect(c, "error");
    assert_string_equal(text_of(json, "code"), code);
    assert_true(strlen(text_of(json, "message")) > 0);
    assert_true(strlen(text_of(json, "request_id")) > 0);
    json_decref(json);
}

void expect_close(struct ws_client *c, unsigned code)
{
    json_t *json;
    while ((json = ws_client_next(c)))
        json_decref(json);
    assert_int_equal(c->close_code, code);
}

void sign_in(struct ws_client *c, const char *name)
{
    char frame[200];
    ws_client_open(c, net_server_port(stage.server), "/ws/signaling", "");
    snprintf(frame, sizeof(frame), "{\"type\":\"auth\",\"id\":1,\"token\":\"%s\"}", name);
    ws_client_send(c, frame);
}

char *enter(struct ws_client *c, const char *name)
{
    sign_in(c, name);
    ws_client_send(c, JOIN);
    json_t *json = expect(c, "room_joined");
    assert_int_equal(json_integer_value(json_object_get(json, "id")), 2);
    char *token = strdup(text_of(json, "resume_token"));
    assert_int_equal(strlen(token), 43);
    json_decref(json);
    return token;
}

void wait_for(_Atomic int *note, int wanted)
{
    int64_t until_ms = clock_mono_ms() + 20000;
    while (*note < wanted && clock_mono_ms() < until_ms)
        usleep(2000);
    assert_int_equal(*note, wanted);
}

void expect_away(struct ws_client *c)
{
    bool is_connected = true;
    while (is_connected) {
        json_t *json = expect(c, "participant_changed");
        is_connected =
            json_is_true(json_object_get(json_object_get(json, "participant"), "is_connected"));
        json_decref(json);
    }
}

void wait_for_least(_Atomic int *note, int least)
{
    int64_t until_ms = clock_mono_ms() + 20000;
    while (*note < least && clock_mono_ms() < until_ms)
        usleep(2000);
    assert_true(*note >= least);
}
