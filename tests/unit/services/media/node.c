/* node: see node.h. */
#include "node.h"

#include <stdio.h>
#include <string.h>

#define OFFER                                                                                  \
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"                  \
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\n"         \
    "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"                               \
    "a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:" \
    "66:77:88:99:AA:BB:CC:DD:EE:FF\r\na=setup:actpass\r\na=rtcp-mux\r\n"                       \
    "a=rtpmap:111 opus/48000/2\r\na=ssrc:1001 cname:c\r\n"

struct node node;

void node_start(void)
{
    assert_int_equal(
        media_create(&node.service, &(struct media_deps){.store = node.store,
                                                         .bus = node.bus,
                                                         .options = {.host = "127.0.0.1",
                                                                     .worker_count = 1,
                                                                     .seen_every_ms = 20,
                                                                     .linger_ms = 1}}),
        ERR_OK);
    node.media =
        rpc_local_create(media_rpc(node.service), &(struct rpc_local_options){.is_packing = true});
}

int node_setup(void **state UNUSED)
{
    assert_int_equal(
        store_open(&node.store, &(struct store_options){.driver = "sqlite", .url = ":memory:"}),
        ERR_OK);
    assert_int_equal(store_migrate(node.store, media_migrations, media_migration_count), ERR_OK);
    assert_int_equal(bus_open(&node.bus, &(struct bus_options){.driver = "memory"}), ERR_OK);
    return 0;
}

int node_teardown(void **state UNUSED)
{
    rpc_local_destroy(&node.media);
    media_destroy(&node.service);
    bus_close(&node.bus);
    store_close(&node.store);
    return 0;
}

/* ---- people ---- */

void open_session(const char *meeting_id, struct person *p)
{
    id_make(p->user_id);
    id_make(p->session_id);
    id_make(p->participant_id);
    struct rpc_call *c = rpc_call_create(NULL);
    Media__OpenSessionRequest request = MEDIA__OPEN_SESSION_REQUEST__INIT;
    request.meeting_id = (char *)meeting_id;
    request.session_id = p->session_id;
    request.participant_id = p->participant_id;
    request.user_id = p->user_id;
    assert_non_null(rpc_sync(node.media, "OpenSession", &request.base, c));
    rpc_call_unref(&c);
}

void publish(const struct person *p)
{
    struct rpc_call *c = rpc_call_create(NULL);
    Media__PublishRequest request = MEDIA__PUBLISH_REQUEST__INIT;
    request.session_id = (char *)p->session_id;
    request.sdp = (char *)OFFER;
    if (!rpc_sync(node.media, "Publish", &request.base, c))
        fail_msg("%s", c->message);
    rpc_call_unref(&c);
}

void close_session(const struct person *p)
{
    struct rpc_call *c = rpc_call_create(NULL);
    Media__CloseSessionRequest request = MEDIA__CLOSE_SESSION_REQUEST__INIT;
    request.session_id = (char *)p->session_id;
    assert_non_null(rpc_sync(node.media, "CloseSession", &request.base, c));
    rpc_call_unref(&c);
}
