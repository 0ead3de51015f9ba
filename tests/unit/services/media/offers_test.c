/*
 * Offers and answers of the media service over its real engine and sockets (no packets): what a
 * client's offer becomes, what the others are then offered, how m-lines are used again, what is
 * refused, and what the store keeps of a track.
 */
#include "test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus/bus.h"
#include "core/arena.h"
#include "core/clock.h"
#include "core/id.h"
#include "rpc/rpc.h"
#include "services/media/media.h"
#include "store/store.h"

#include "media.pb-c.h"

#define FINGERPRINT                                                                               \
    "a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:" \
    "77:88:99:AA:BB:CC:DD:EE:FF\r\n"
#define SESSION(mids) \
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE " mids "\r\n"
#define TRANSPORT                                                            \
    "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n" FINGERPRINT \
    "a=setup:actpass\r\na=rtcp-mux\r\n"
#define AUDIO                                                                                      \
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\n" TRANSPORT \
    "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n"                                   \
    "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n"                                           \
    "a=rtpmap:111 opus/48000/2\r\na=rtpmap:0 PCMU/8000\r\na=ssrc:1001 cname:c\r\n"
#define VIDEO(direction)                                                                       \
    "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=" direction         \
    "\r\n" TRANSPORT "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n"                      \
    "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n"                            \
    "a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n" \
    "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n"                  \
    "a=rtcp-fb:96 transport-cc\r\na=rtcp-fb:96 goog-remb\r\n"                                  \
    "a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"                                            \
    "a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\na=simulcast:send q;h;f\r\n"

/* ---- fixture ---- */

struct offer {
    char session_id[ID_SIZE];
    int64_t revision;
    size_t place_count;
    char *sdp;
};

static struct {
    struct store *store;
    struct bus *bus;
    struct media_service *service;
    ProtobufCService *media;
    pthread_mutex_t lock;
    struct offer offers[64];
    size_t offer_count;
} t;

static void on_event(void *arg UNUSED, const struct bus_event *event)
{
    Media__MediaEvent *e =
        media__media_event__unpack(NULL, event->payload.n, (const uint8_t *)event->payload.p);
    pthread_mutex_lock(&t.lock);
    if (strcmp(e->type, "subscriber.offer") == 0 && t.offer_count < ARRAY_LEN(t.offers)) {
        struct offer *o = &t.offers[t.offer_count++];
        snprintf(o->session_id, sizeof(o->session_id), "%s", e->session_id);
        o->revision = e->revision;
        o->place_count = e->n_places;
        o->sdp = strdup(e->sdp);
    }
    pthread_mutex_unlock(&t.lock);
    media__media_event__free_unpacked(e, NULL);
}

static int setup(void **state UNUSED)
{
    static const char *const addresses[] = {"192.0.2.10"};
    pthread_mutex_init(&t.lock, NULL);
    assert_int_equal(
        store_open(&t.store, &(struct store_options){.driver = "sqlite", .url = ":memory:"}),
        ERR_OK);
    assert_int_equal(store_migrate(t.store, media_migrations, media_migration_count), ERR_OK);
    assert_int_equal(bus_open(&t.bus, &(struct bus_options){.driver = "memory"}), ERR_OK);
    bus_subscribe(t.bus, "media_events", "test", on_event, NULL);
    assert_int_equal(
        media_create(&t.service, &(struct media_deps){.store = t.store,
                                                      .bus = t.bus,
                                                      .options = {.host = "127.0.0.1",
                                                                  .announced_addresses = addresses,
                                                                  .announced_count = 1,
                                                                  .worker_count = 2}}),
        ERR_OK);
    t.media =
        rpc_local_create(media_rpc(t.service), &(struct rpc_local_options){.is_packing = true});
    return 0;
}

static int teardown(void **state UNUSED)
{
    rpc_local_destroy(&t.media);
    media_destroy(&t.service);
    bus_close(&t.bus);
    store_close(&t.store);
    for (size_t i = 0; i < t.offer_count; i++)
        free(t.offers[i].sdp);
    t.offer_count = 0;
    return 0;
}

static const void *call(struct rpc_call *c, const char *method, const ProtobufCMessage *request)
{
    return rpc_sync(t.media, method, request, c);
}

/* Opens a session of its own participant in the meeting. */
static void open_session(const char *meeting_id, char session_id[ID_SIZE])
{
    char participant_id[ID_SIZE];
    id_make(session_id);
    id_make(participant_id);
    struct rpc_call *c = rpc_call_create(NULL);
    Media__OpenSessionRequest request = MEDIA__OPEN_SESSION_REQUEST__INIT;
    request.meeting_id = (char *)meeting_id;
    request.session_id = session_id;
    request.participant_id = participant_id;
    request.user_id = participant_id;
    assert_non_null(call(c, "OpenSession", &request.base));
    rpc_call_unref(&c);
}

/* ERR_OK with the answer in *sdp (to be freed) and the number of tracks. */
static enum err publish(const char *session_id, const char *offer, char **sdp, size_t *track_count)
{
    struct rpc_call *c = rpc_call_create(NULL);
    Media__PublishRequest request = MEDIA__PUBLISH_REQUEST__INIT;
    request.session_id = (char *)session_id;
    request.sdp = (char *)offer;
    const Media__PublishReply *reply = call(c, "Publish", &request.base);
    enum err err = reply ? ERR_OK : c->err;
    *sdp = reply ? strdup(reply->sdp) : NULL;
    *track_count = reply ? reply->n_tracks : 0;
    rpc_call_unref(&c);
    return err;
}

/* The newest offer to the session from this revision on; its text stays with the fixture. */
static struct offer wait_offer(const char *session_id, int64_t revision)
{
    int64_t until_ms = clock_mono_ms() + 20000;
    while (clock_mono_ms() < until_ms) {
        pthread_mutex_lock(&t.lock);
        for (size_t i = t.offer_count; i-- > 0;) {
            struct offer o = t.offers[i];
            if (strcmp(o.session_id, session_id) == 0 && o.revision >= revision) {
                pthread_mutex_unlock(&t.lock);
                return o;
            }
        }
        pthread_mutex_unlock(&t.lock);
        usleep(2000);
    }
    fail_msg("no offer");
    return (struct offer){0};
}

struct counting {
    const char *sql;
    int64_t count;
};

static enum err count_in_tx(struct store_tx *tx, void *arg)
{
    struct counting *c = arg;
    struct store_stmt *st = store_prepare(tx, c->sql);
    if (store_step(st))
        c->count = store_int(st, 0);
    return store_finish(st);
}

static void wait_count(const char *sql, int64_t wanted)
{
    struct counting c = {.sql = sql, .count = -1};
    int64_t until_ms = clock_mono_ms() + 20000;
    while (c.count != wanted && clock_mono_ms() < until_ms) {
        assert_int_equal(store_read(t.store, count_in_tx, &c), ERR_OK);
        usleep(2000);
    }
    assert_int_equal(c.count, wanted);
}

/* ---- tests ---- */

static void test_answer(void **state UNUSED)
{
    char meeting[ID_SIZE], session[ID_SIZE];
    char *sdp;
    size_t tracks;
    id_make(meeting);
    open_session(meeting, session);
    assert_int_equal(publish(session, SESSION("0 1") AUDIO VIDEO("sendonly"), &sdp, &tracks),
                     ERR_OK);
    assert_int_equal(tracks, 2);
    static const char *const wanted[] = {
        "a=ice-lite\r\n",
        "a=group:BUNDLE 0 1\r\n",
        "a=setup:passive\r\n",
        "a=recvonly\r\n",
        "a=rtpmap:111 opus/48000/2\r\n",
        "a=rid:q recv\r\n",
        "a=simulcast:recv q;h;f\r\n",
        "a=rtcp-fb:96 nack pli\r\n",
        "a=rtcp-fb:96 transport-cc\r\n", /* publishers are told what arrived when */
        "a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n",
        "192.0.2.10",
        "a=end-of-candidates\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        if (!strstr(sdp, wanted[i]))
            fail_msg("no %s in\n%s", wanted[i], sdp);
    }
    assert_null(strstr(sdp, "PCMU")); /* not ours */
    assert_null(strstr(sdp, "goog-remb"));
    free(sdp);
    wait_count("SELECT COUNT(*) FROM media_streams WHERE ended_at_ms IS NULL", 2);
}

static void test_others_are_offered_what_is_published(void **state UNUSED)
{
    char meeting[ID_SIZE], ann[ID_SIZE], bob[ID_SIZE];
    char *sdp;
    size_t tracks;
    id_make(meeting);
    open_session(meeting, ann);
    open_session(meeting, bob);
    assert_int_equal(publish(ann, SESSION("0 1") AUDIO VIDEO("sendonly"), &sdp, &tracks), ERR_OK);
    free(sdp);
    struct offer o = wait_offer(bob, 1);
    assert_int_equal(o.place_count, 2);
    assert_non_null(strstr(o.sdp, "a=setup:actpass\r\n"));
    assert_non_null(strstr(o.sdp, "a=sendonly\r\n"));
    assert_non_null(strstr(o.sdp, "a=ssrc-group:FID "));
    /* Nobody here would use a subscriber's feedback on arrivals yet. */
    assert_null(strstr(o.sdp, "transport-cc"));
    assert_null(strstr(o.sdp, "transport-wide-cc"));

    /* Late: it is offered at once. */
    char cec[ID_SIZE];
    open_session(meeting, cec);
    assert_int_equal(wait_offer(cec, 1).place_count, 2);

    /* The camera is turned off for good: an offer waits until the last one is answered. */
    assert_int_equal(publish(ann, SESSION("0 1") AUDIO VIDEO("inactive"), &sdp, &tracks), ERR_OK);
    assert_int_equal(tracks, 1);
    free(sdp);
    wait_count("SELECT COUNT(*) FROM media_streams WHERE ended_at_ms IS NOT NULL", 1);

    struct rpc_call *c = rpc_call_create(NULL);
    Media__AnswerRequest answer = MEDIA__ANSWER_REQUEST__INIT;
    answer.session_id = bob;
    answer.revision = o.revision + 7;
    answer.sdp = (char *)SESSION("0 1");
    assert_null(call(c, "Answer", &answer.base));
    assert_int_equal(c->err, ERR_FAILED_PRECONDITION); /* of an offer that never was */
    answer.revision = o.revision;
    answer.sdp =
        (char *)SESSION("0") "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n"
                             "a=recvonly\r\n" TRANSPORT "a=rtpmap:111 opus/48000/2\r\n";
    assert_non_null(call(c, "Answer", &answer.base));
    rpc_call_unref(&c);
    o = wait_offer(bob, o.revision + 1);
    assert_int_equal(o.place_count, 1);
    assert_non_null(strstr(o.sdp, "a=inactive\r\n"));
}

static void test_refusals(void **state UNUSED)
{
    char meeting[ID_SIZE], session[ID_SIZE];
    char *sdp;
    size_t tracks;
    id_make(meeting);
    open_session(meeting, session);
    assert_int_equal(publish(session, "", &sdp, &tracks), ERR_INVALID_ARGUMENT);
    assert_int_equal(publish(session, "v=0\r\n", &sdp, &tracks), ERR_INVALID_ARGUMENT);
    assert_int_equal(publish("nobody", SESSION("0") AUDIO, &sdp, &tracks), ERR_NOT_FOUND);

    /* With somebody's identity the steering calls are closed. */
    struct identity who = {.role = ROLE_ADMIN, .user_id = "someone"};
    struct rpc_call *c = rpc_call_create(NULL);
    c->who = &who;
    Media__CloseSessionRequest request = MEDIA__CLOSE_SESSION_REQUEST__INIT;
    request.session_id = session;
    assert_null(call(c, "CloseSession", &request.base));
    assert_int_equal(c->err, ERR_PERMISSION_DENIED);
    rpc_call_unref(&c);

    c = rpc_call_create(NULL);
    Media__SetTrackMutedRequest mute = MEDIA__SET_TRACK_MUTED_REQUEST__INIT;
    mute.session_id = session;
    mute.track_id = (char *)"no such track";
    assert_null(call(c, "SetTrackMuted", &mute.base));
    assert_int_equal(c->err, ERR_NOT_FOUND);
    assert_non_null(call(c, "CloseSession", &request.base));
    assert_non_null(call(c, "CloseSession", &request.base)); /* twice is fine */
    rpc_call_unref(&c);
}

/* Everything offered is taken: the offer itself, seen from the other side. */
static void answer_all(const char *session_id, const struct offer *o)
{
    struct strbuf text = {0};
    struct str rest = str_from(o->sdp), line;
    while (str_cut(&rest, '\n', &line)) {
        if (str_starts(line, STR("a=ssrc")) || str_starts(line, STR("a=msid:")) ||
            str_starts(line, STR("a=candidate:")) || str_starts(line, STR("a=ice-lite")))
            continue;
        if (str_starts(line, STR("a=sendonly")))
            line = STR("a=recvonly\r");
        else if (str_starts(line, STR("a=setup:")))
            line = STR("a=setup:active\r");
        strbuf_printf(&text, "%.*s\n", STR_FMT(line));
    }
    struct rpc_call *c = rpc_call_create(NULL);
    Media__AnswerRequest answer = MEDIA__ANSWER_REQUEST__INIT;
    answer.session_id = (char *)session_id;
    answer.revision = o->revision;
    answer.sdp = text.p;
    if (!call(c, "Answer", &answer.base))
        fail_msg("an answer of %zu bytes: %s", text.n, err_text(c->err));
    rpc_call_unref(&c);
    strbuf_deinit(&text);
}

/* Sixteen times as many tracks as one may send: more than one may get. What fits is offered in one
 * description that a signaling frame can carry, can be answered, and nothing goes round in circles
 * for what does not fit. */
static void test_more_tracks_than_m_lines(void **state UNUSED)
{
    char meeting[ID_SIZE], session[ID_SIZE], all[ID_SIZE];
    struct strbuf offer = {0};
    id_make(meeting);
    strbuf_adds(&offer, "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n");
    for (unsigned i = 0; i < 16; i++)
        strbuf_printf(&offer,
                      "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:v%u\r\na=sendonly\r\n" TRANSPORT
                      "a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n",
                      i);
    for (unsigned i = 0; i < 16; i++) {
        char *sdp;
        size_t tracks;
        open_session(meeting, session);
        assert_int_equal(publish(session, offer.p, &sdp, &tracks), ERR_OK);
        assert_int_equal(tracks, 16);
        free(sdp);
    }
    strbuf_deinit(&offer);
    open_session(meeting, all);
    struct offer o = wait_offer(all, 1);
    assert_int_equal(o.place_count, 250);
    assert_true(strlen(o.sdp) < 480 * 1024);
    answer_all(all, &o);
    usleep(50000);
    assert_int_equal(wait_offer(all, 1).revision, o.revision);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_others_are_offered_what_is_published, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_tracks_than_m_lines, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
