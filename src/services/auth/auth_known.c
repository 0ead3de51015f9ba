/*
 * auth_known: sign-ins, kept in the shared cache for when the store is away. The truth is the
 * store's: as long as it answers nothing here is asked. What it said of a sign-in is noted (at most
 * once a minute for each), for half an hour; a sign-in that is over is noted as such for as long as
 * a token of it could live, by every process that hears of it and by each that is told so by the
 * store, so it does not come to life again while nobody can look. Both have keys of their own: what
 * was judged good a moment before its end never takes the place of the end. An end that the cache
 * did not take, being away, is kept here and noted as soon as it does.
 */
#include <pthread.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/map.h"
#include "core/mem.h"
#include "core/metric.h"
#include "services/auth/auth_internal.h"
#include "services/common/session_news.h"

#define KEEP_MS (30 * 60 * 1000)
#define NOTE_EVERY_US 60000000ll
#define SLOTS 4096
#define OVER "-"
#define WAITING_MAX 1024 /* ends that the cache did not take; the oldest make room */

static struct metric metric_known =
    METRIC_COUNTER("parlance_auth_known_total",
                   "Sign-ins judged by what is remembered, the store being away.", "result");

struct auth_known {
    struct cache *cache;
    struct bus *bus;
    int64_t access_ms;
    int subscription;
    pthread_mutex_t lock; /* of the rest */
    /* When a sign-in was noted; a collision costs a note. */
    struct slot {
        uint64_t hash;
        int64_t until_us;
    } slots[SLOTS];
    char waiting[WAITING_MAX][ID_SIZE]; /* a ring of ends, "" where there is none */
    size_t waiting_last, waiting_count;
};

static struct str key_of(struct arena *arena, const char *session_id)
{
    return str_from(arena_printf(arena, "auth-session:%s", session_id));
}

static struct str over_key_of(struct arena *arena, const char *session_id)
{
    return str_from(arena_printf(arena, "auth-over:%s", session_id));
}

/* Claims the note of this minute: of what it is, or that it is over. */
static bool is_due(struct auth_known *k, const char *session_id, bool is_over)
{
    uint64_t hash = map_hash(session_id, strlen(session_id)) ^ is_over;
    int64_t now_us = clock_mono_us();
    pthread_mutex_lock(&k->lock);
    struct slot *slot = &k->slots[hash % SLOTS];
    bool is = slot->hash != hash || slot->until_us <= now_us;
    if (is)
        *slot = (struct slot){hash, now_us + NOTE_EVERY_US};
    pthread_mutex_unlock(&k->lock);
    return is;
}

/* ---- ends that wait for the cache ---- */

static void wait_to_end(struct auth_known *k, const char *session_id)
{
    pthread_mutex_lock(&k->lock);
    char *slot = k->waiting[k->waiting_last++ % WAITING_MAX];
    k->waiting_count += !slot[0];
    snprintf(slot, ID_SIZE, "%s", session_id);
    pthread_mutex_unlock(&k->lock);
}

static bool waits_to_end(struct auth_known *k, const char *session_id)
{
    bool is = false;
    pthread_mutex_lock(&k->lock);
    for (size_t i = 0; k->waiting_count && i < WAITING_MAX && !is; i++)
        is = strcmp(k->waiting[i], session_id) == 0;
    pthread_mutex_unlock(&k->lock);
    return is;
}

/* Takes one of them out; false: there is none. */
static bool take_waiting(struct auth_known *k, char out[ID_SIZE])
{
    pthread_mutex_lock(&k->lock);
    bool is_any = k->waiting_count > 0;
    for (size_t i = 0; is_any && i < WAITING_MAX; i++) {
        if (!k->waiting[i][0])
            continue;
        memcpy(out, k->waiting[i], ID_SIZE);
        k->waiting[i][0] = '\0';
        k->waiting_count--;
        break;
    }
    pthread_mutex_unlock(&k->lock);
    return is_any;
}

static enum err note_end(struct auth_known *k, const char *session_id)
{
    struct arena *arena = arena_create();
    enum err err = cache_set(k->cache, over_key_of(arena, session_id), STR(OVER), k->access_ms);
    if (err)
        wait_to_end(k, session_id);
    if (err && err != ERR_UNAVAILABLE) /* which has a metric of its own */
        log_warn(NULL, "the end of a sign-in is not remembered: %s", err_name(err));
    arena_destroy(&arena);
    return err;
}

static void end_waiting(struct auth_known *k)
{
    char session_id[ID_SIZE];
    while (take_waiting(k, session_id) && note_end(k, session_id) == ERR_OK)
        ;
}

/* ---- noting ---- */

void auth_known_note(struct auth_known *k, struct arena *arena,
                     const Auth__ValidateTokenReply *reply)
{
    if (!k || !is_due(k, reply->session_id, false))
        return;
    end_waiting(k);
    size_t n = auth__validate_token_reply__get_packed_size(reply);
    uint8_t *bytes = arena_alloc(arena, n + 1);
    auth__validate_token_reply__pack(reply, bytes);
    struct str value = {(const char *)bytes, n};
    enum err err = cache_set(k->cache, key_of(arena, reply->session_id), value, KEEP_MS);
    if (err && err != ERR_UNAVAILABLE)
        log_warn(NULL, "a sign-in is not remembered: %s", err_name(err));
}

void auth_known_end(struct auth_known *k, const char *session_id)
{
    if (!k)
        return;
    end_waiting(k);
    if (note_end(k, session_id) != ERR_OK)
        log_debug(NULL, "the end of a sign-in is noted later");
}

void auth_known_seen_over(struct auth_known *k, const char *session_id)
{
    if (k && is_due(k, session_id, true))
        auth_known_end(k, session_id);
}

/* NOT_FOUND: no; any other but OK: nobody knows. */
static enum err is_over(struct auth_known *k, struct arena *arena, const char *session_id)
{
    struct str value;
    return waits_to_end(k, session_id)
               ? ERR_OK
               : cache_get(k->cache, over_key_of(arena, session_id), arena, &value);
}

Auth__ValidateTokenReply *auth_known_find(struct auth_known *k, struct arena *arena,
                                          const struct auth_claims *claims)
{
    struct str value;
    Auth__ValidateTokenReply *reply = NULL;
    if (!k || cache_get(k->cache, key_of(arena, claims->session_id), arena, &value) != ERR_OK)
        return NULL;
    enum err over = is_over(k, arena, claims->session_id);
    if (over && over != ERR_NOT_FOUND)
        return NULL;
    if (over == ERR_NOT_FOUND)
        reply = (Auth__ValidateTokenReply *)rpc_message_unpack(
            &auth__validate_token_reply__descriptor, arena, value.p, value.n);
    bool is_good = reply && strcmp(reply->user_id, claims->user_id) == 0 &&
                   strcmp(reply->session_id, claims->session_id) == 0;
    metric_cell_add(metric_cell(&metric_known, is_good ? "good" : "over", NULL, NULL), 1);
    if (is_good)
        reply->expires_at_ms = claims->expires_at_ms;
    return is_good ? reply : NULL;
}

/* ---- life ---- */

static void on_auth_event(void *arg, const struct bus_event *event)
{
    struct session_news news;
    if (session_news_read(event, &news) && news.session_id[0] && news.role == ROLE_NONE)
        auth_known_end(arg, news.session_id);
}

struct auth_known *auth_known_create(struct bus *bus, struct cache *cache, int64_t access_ms)
{
    struct auth_known *k = mem_new(struct auth_known);
    k->cache = cache;
    k->bus = bus;
    k->access_ms = access_ms;
    pthread_mutex_init(&k->lock, NULL);
    k->subscription = bus_subscribe(bus, "auth_events", "auth-known", on_auth_event, k);
    return k;
}

void auth_known_destroy(struct auth_known **kp)
{
    struct auth_known *k = *kp;
    *kp = NULL;
    if (!k)
        return;
    bus_unsubscribe(k->bus, k->subscription);
    pthread_mutex_destroy(&k->lock);
    free(k);
}
