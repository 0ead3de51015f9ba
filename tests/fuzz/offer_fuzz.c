/*
 * offer_fuzz: descriptions of hostile clients through the whole media service (real store, bus,
 * engine; no packets). The input is up to three texts with NULs between: what the publisher offers
 * first, what it offers then, what the subscriber answers.
 *
 * What the service says must be right whatever it was told: an answer has the offer's m-lines, one
 * by one, takes nothing that was not offered, and every description of ours can be read.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus/bus.h"
#include "core/arena.h"
#include "core/id.h"
#include "core/log.h"
#include "rpc/rpc.h"
#include "services/media/media.h"
#include "sfu/wire/sdp.h"
#include "store/store.h"

#include "media.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static struct {
    struct store *store;
    struct bus *bus;
    struct media_service *service;
    ProtobufCService *media;
    pthread_mutex_t lock;
    int64_t revision; /* of the newest offer to `subscriber` */
    char subscriber[ID_SIZE];
} f;

/* Every offer of ours is one that we could read ourselves. */
static void on_event(void *arg UNUSED, const struct bus_event *event)
{
    struct arena *arena = arena_create();
    struct sdp_session offer;
    Media__MediaEvent *e =
        media__media_event__unpack(NULL, event->payload.n, (const uint8_t *)event->payload.p);
    check(e);
    if (strcmp(e->type, "subscriber.offer") == 0) {
        check(sdp_parse(&offer, arena, str_from(e->sdp), NULL) == ERR_OK);
        check(offer.media_count >= e->n_places && offer.has_bundle);
        pthread_mutex_lock(&f.lock);
        if (strcmp(e->session_id, f.subscriber) == 0)
            f.revision = e->revision;
        pthread_mutex_unlock(&f.lock);
    }
    media__media_event__free_unpacked(e, NULL);
    arena_destroy(&arena);
}

/* Once; what an input leaves behind goes with its sessions. */
static void start(void)
{
    if (f.service)
        return;
    log_set_level(LOG_ERROR);
    pthread_mutex_init(&f.lock, NULL);
    check(!store_open(&f.store, &(struct store_options){.driver = "sqlite", .url = ":memory:"}) &&
          !store_migrate(f.store, media_migrations, media_migration_count) &&
          !bus_open(&f.bus, &(struct bus_options){.driver = "memory"}));
    bus_subscribe(f.bus, "media_events", "fuzz", on_event, NULL);
    check(!media_create(&f.service,
                        &(struct media_deps){.store = f.store,
                                             .bus = f.bus,
                                             .options = {.host = "127.0.0.1", .worker_count = 1}}));
    f.media = rpc_local_create(media_rpc(f.service), &(struct rpc_local_options){0});
}

static void open_session(const char *meeting_id, char session_id[ID_SIZE])
{
    char participant_id[ID_SIZE];
    id_make(participant_id);
    struct rpc_call *c = rpc_call_create(NULL);
    Media__OpenSessionRequest request = MEDIA__OPEN_SESSION_REQUEST__INIT;
    request.meeting_id = (char *)meeting_id;
    request.session_id = session_id;
    request.participant_id = request.user_id = participant_id;
    check(rpc_sync(f.media, "OpenSession", &request.base, c));
    rpc_call_unref(&c);
}

static void close_session(char *session_id)
{
    struct rpc_call *c = rpc_call_create(NULL);
    Media__CloseSessionRequest request = MEDIA__CLOSE_SESSION_REQUEST__INIT;
    request.session_id = session_id;
    check(rpc_sync(f.media, "CloseSession", &request.base, c));
    rpc_call_unref(&c);
}

static bool has_extmap(const struct sdp_media *m, const struct sdp_extmap *wanted)
{
    for (size_t i = 0; i < m->extmap_count; i++)
        if (m->extmaps[i].id == wanted->id && str_eq(m->extmaps[i].uri, wanted->uri))
            return true;
    return false;
}

static void check_answer(const char *offer_text, const char *answer_text)
{
    struct arena *arena = arena_create();
    struct sdp_session offer, answer;
    check(sdp_parse(&offer, arena, str_from(offer_text), NULL) == ERR_OK);
    check(sdp_parse(&answer, arena, str_from(answer_text), NULL) == ERR_OK);
    check(answer.is_ice_lite && answer.media_count == offer.media_count);
    for (size_t i = 0; i < offer.media_count; i++) {
        const struct sdp_media *o = &offer.media[i], *a = &answer.media[i];
        check(str_eq(o->kind_text, a->kind_text) && str_eq(o->mid, a->mid));
        if (sdp_media_is_rejected(a))
            continue;
        check(!sdp_media_is_rejected(o));
        check(a->direction == SDP_RECVONLY || a->direction == SDP_INACTIVE);
        check(a->ice_ufrag.n && a->ice_pwd.n && a->fingerprint.hash != FINGERPRINT_NONE);
        for (size_t k = 0; k < a->codec_count; k++)
            check(sdp_find_codec(o, a->codecs[k].pt));
        for (size_t k = 0; k < a->extmap_count; k++)
            check(has_extmap(o, &a->extmaps[k]));
    }
    arena_destroy(&arena);
}

/* How many tracks came of it. */
static size_t publish(char *session_id, char *offer)
{
    struct rpc_call *c = rpc_call_create(NULL);
    Media__PublishRequest request = MEDIA__PUBLISH_REQUEST__INIT;
    request.session_id = session_id;
    request.sdp = offer;
    const Media__PublishReply *reply = rpc_sync(f.media, "Publish", &request.base, c);
    check(reply || c->err == ERR_INVALID_ARGUMENT || c->err == ERR_RESOURCE_EXHAUSTED);
    size_t tracks = reply ? reply->n_tracks : 0;
    if (reply)
        check_answer(offer, reply->sdp);
    rpc_call_unref(&c);
    return tracks;
}

/* Events come on a thread of their own: a little patience. */
static void wait_offer(void)
{
    int64_t revision = 0;
    for (int i = 0; i < 100 && !revision; i++) {
        if (i)
            usleep(200);
        pthread_mutex_lock(&f.lock);
        revision = f.revision;
        pthread_mutex_unlock(&f.lock);
    }
}

static void answer(char *session_id, char *text)
{
    struct rpc_call *c = rpc_call_create(NULL);
    Media__AnswerRequest request = MEDIA__ANSWER_REQUEST__INIT;
    pthread_mutex_lock(&f.lock);
    request.revision = f.revision;
    pthread_mutex_unlock(&f.lock);
    request.session_id = session_id;
    request.sdp = text;
    (void)rpc_sync(f.media, "Answer", &request.base, c);
    rpc_call_unref(&c);
}

/* The n-th text of the input, in memory of its own. */
static char *text_at(const uint8_t *data, size_t size, unsigned n)
{
    struct str rest = {(const char *)data, size}, part = STR_NULL;
    for (unsigned i = 0; i <= n; i++)
        if (!str_cut(&rest, '\0', &part) && i < n)
            part = STR_NULL;
    char *text = malloc(part.n + 1);
    check(text);
    if (part.n)
        memcpy(text, part.p, part.n);
    text[part.n] = 0;
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char meeting[ID_SIZE], publisher[ID_SIZE], subscriber[ID_SIZE];
    char *texts[3];
    start();
    for (unsigned i = 0; i < 3; i++)
        texts[i] = text_at(data, size, i);
    id_make(meeting);
    id_make(publisher);
    id_make(subscriber);
    pthread_mutex_lock(&f.lock);
    memcpy(f.subscriber, subscriber, sizeof(subscriber));
    f.revision = 0;
    pthread_mutex_unlock(&f.lock);
    open_session(meeting, publisher);
    open_session(meeting, subscriber);
    if (publish(publisher, texts[0]) > 0)
        wait_offer();
    answer(subscriber, texts[2]);
    (void)publish(publisher, texts[1]);
    answer(subscriber, texts[2]);
    close_session(publisher);
    close_session(subscriber);
    for (unsigned i = 0; i < 3; i++)
        free(texts[i]);
    return 0;
}
