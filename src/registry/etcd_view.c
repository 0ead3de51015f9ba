/*
 * etcd_view: see the header. Its phases follow one another: LISTING (pages of one revision),
 * WATCHING, and RESTING before the next try, which lists or goes on watching where it was.
 */
#include "registry/etcd_view.h"

#include <stdlib.h>

#include "core/arena.h"
#include "core/log.h"
#include "core/map.h"
#include "core/mem.h"

#include "etcd.pb-c.h"

#define PAGE_KEYS 500
#define KEYS_MAX 100000
#define NAME_MAX_BYTES 256
#define VALUE_MAX_BYTES 16384
#define UNPACK_MAX_BYTES (64 << 20)

enum view_phase { VIEW_RESTING, VIEW_LISTING, VIEW_WATCHING };

struct known {
    unsigned listing; /* when it was last seen */
    bool is_gone;     /* and will be told so when the grace is over */
};

struct etcd_view {
    struct etcd_view_options opt;
    struct strbuf prefix, end; /* keys from prefix to end, exclusive */
    enum view_phase phase;
    struct loop_timer timer; /* the next try */
    struct loop_timer grace;
    int64_t grace_us; /* until then; 0: none */
    bool is_blind;    /* the watch is broken, and had worked */
    struct etcd_call *call;
    struct map *known; /* name -> struct known */
    unsigned listing;
    bool is_listed;        /* `revision` is where to watch on from */
    int64_t list_revision; /* of the listing under way; 0: its first page will say */
    int64_t revision;      /* the next one that we have not seen */
    uint64_t cluster;
    struct strbuf next_key; /* of the next page */
    bool has_more;
};

static void try_again(void *arg);

static void rest(struct etcd_view *v, bool is_list_wanted)
{
    v->phase = VIEW_RESTING;
    if (v->is_listed)
        v->is_blind = true;
    if (is_list_wanted)
        v->is_listed = false;
    loop_timer_start(v->opt.loop, &v->timer, etcd_client_pause_ms(v->opt.client), try_again, v);
}

/* ---- what is known ---- */

static void tell_gone(struct etcd_view *v, struct str name)
{
    free(map_remove(v->known, name));
    v->opt.on_gone(v->opt.arg, name);
}

/* Those that did not come back within the grace. */
static void on_grace_over(void *arg)
{
    struct etcd_view *v = arg;
    struct str name;
    void *known;
    v->grace_us = 0;
    for (size_t at = 0; map_next(v->known, &at, &name, &known);) {
        if (!((struct known *)known)->is_gone)
            continue;
        char *copy = str_dup(name);
        tell_gone(v, str_from(copy));
        free(copy);
    }
}

static void gone(struct etcd_view *v, struct str name)
{
    struct known *known = map_get(v->known, name);
    if (!known)
        return;
    if (v->grace_us)
        known->is_gone = true;
    else
        tell_gone(v, name);
}

/* We see again: from now on the grace counts. */
static void see(struct etcd_view *v)
{
    if (!v->is_blind)
        return;
    v->is_blind = false;
    v->grace_us = loop_now_us(v->opt.loop) + v->opt.grace_ms * 1000;
    loop_timer_start(v->opt.loop, &v->grace, v->opt.grace_ms, on_grace_over, v);
}

/* The name of a key of ours, NUL-terminated in `to`; false: it is none of ours, or odd. */
static bool name_of(const struct etcd_view *v, const ProtobufCBinaryData *key,
                    char to[NAME_MAX_BYTES + 1], struct str *name)
{
    if (key->len <= v->prefix.n || key->len - v->prefix.n > NAME_MAX_BYTES ||
        memcmp(key->data, v->prefix.p, v->prefix.n) != 0)
        return false;
    size_t n = key->len - v->prefix.n;
    memcpy(to, key->data + v->prefix.n, n);
    to[n] = '\0';
    *name = (struct str){to, n};
    return memchr(to, '\0', n) == NULL;
}

static void take(struct etcd_view *v, const Etcd__KeyValue *kv)
{
    char buffer[NAME_MAX_BYTES + 1];
    struct str name;
    if (!kv || !name_of(v, &kv->key, buffer, &name))
        return;
    if (kv->value.len > VALUE_MAX_BYTES || map_count(v->known) >= KEYS_MAX) {
        log_warn(NULL, "registry: %s%s is passed over: too long, or too many", v->prefix.p, buffer);
        return;
    }
    struct known *known = map_get(v->known, name);
    if (!known) {
        known = mem_new(struct known);
        map_set(v->known, name, known);
    }
    *known = (struct known){.listing = v->listing};
    v->opt.on_put(v->opt.arg,
                  &(struct etcd_entry){.name = name,
                                       .value = {(const char *)kv->value.data, kv->value.len},
                                       .lease = kv->lease});
}

/* What the listing did not show is gone. */
static void sweep(struct etcd_view *v)
{
    struct str name;
    void *known;
    for (size_t at = 0; map_next(v->known, &at, &name, &known);) {
        if (((struct known *)known)->listing == v->listing)
            continue;
        char *copy = str_dup(name);
        gone(v, str_from(copy));
        free(copy);
    }
}

/* ---- listing ---- */

static void list(struct etcd_view *v);
static void watch(struct etcd_view *v);

static void take_page(struct etcd_view *v, const Etcd__RangeResponse *page)
{
    if (!v->list_revision) {
        v->list_revision = page->header->revision;
        v->cluster = page->header->cluster_id;
    }
    for (size_t i = 0; i < page->n_kvs; i++)
        take(v, page->kvs[i]);
    v->has_more = page->more && page->n_kvs > 0;
    strbuf_clear(&v->next_key);
    if (v->has_more) {
        const ProtobufCBinaryData *last = &page->kvs[page->n_kvs - 1]->key;
        strbuf_add(&v->next_key, last->data, last->len);
        strbuf_add(&v->next_key, "", 1); /* the first key behind it */
    }
}

static void on_page(void *arg, const uint8_t *bytes, size_t n)
{
    struct etcd_view *v = arg;
    struct arena *arena = arena_create();
    const Etcd__RangeResponse *page =
        etcd__range_response__unpack(arena_protobuf(arena, UNPACK_MAX_BYTES), n, bytes);
    if (page && page->header)
        take_page(v, page);
    else
        v->list_revision = -1;
    arena_destroy(&arena);
}

static void on_page_end(void *arg, enum err err, const char *why)
{
    struct etcd_view *v = arg;
    v->call = NULL;
    if (err == ERR_CANCELLED)
        return;
    if (err || v->list_revision <= 0) {
        if (err && err != ERR_UNAVAILABLE && etcd_client_is_welcome(v->opt.client))
            log_error(NULL, "registry: etcd does not list %s: %s", v->prefix.p, why);
        rest(v, true);
        return;
    }
    if (v->has_more) {
        list(v);
        return;
    }
    see(v);
    sweep(v);
    v->revision = v->list_revision + 1;
    v->is_listed = true;
    v->opt.on_snapshot(v->opt.arg);
    watch(v);
}

static const struct etcd_call_handler page_handler = {.on_message = on_page, .on_end = on_page_end};

static ProtobufCBinaryData bytes_of(const struct strbuf *b)
{
    return (ProtobufCBinaryData){b->n, (uint8_t *)b->p};
}

/* A page; the first of a new listing when there is no next_key. */
static void list(struct etcd_view *v)
{
    Etcd__RangeRequest request = ETCD__RANGE_REQUEST__INIT;
    v->phase = VIEW_LISTING;
    if (!v->has_more) {
        v->listing++;
        v->list_revision = 0;
    }
    request.key = bytes_of(v->has_more ? &v->next_key : &v->prefix);
    request.range_end = bytes_of(&v->end);
    request.limit = PAGE_KEYS;
    request.revision = v->list_revision;
    v->call =
        etcd_call_start(v->opt.client, &(struct etcd_call_options){.path = "/etcdserverpb.KV/Range",
                                                                   .request = &request.base,
                                                                   .handler = &page_handler,
                                                                   .arg = v});
}

/* ---- watching ---- */

static void take_event(struct etcd_view *v, const Etcd__Event *event)
{
    char buffer[NAME_MAX_BYTES + 1];
    struct str name;
    if (!event->kv)
        return;
    if (event->type == ETCD__EVENT__TYPE__DELETE) {
        if (name_of(v, &event->kv->key, buffer, &name))
            gone(v, name);
    } else {
        take(v, event->kv);
    }
    v->revision = MAX(v->revision, event->kv->mod_revision + 1);
}

/* False: this watch is of no use. */
static bool take_watched(struct etcd_view *v, const Etcd__WatchResponse *said)
{
    const Etcd__Header *header = said->header;
    if (said->canceled || !header || header->cluster_id != v->cluster)
        return false;
    /* A revision of the past: this is not the etcd that we knew, but one restored. */
    if (said->created && header->revision < v->revision - 1)
        return false;
    see(v);
    for (size_t i = 0; i < said->n_events; i++)
        take_event(v, said->events[i]);
    if (!said->created && said->n_events == 0) /* how far it is, when nothing of ours happens */
        v->revision = MAX(v->revision, header->revision + 1);
    return true;
}

static void on_watched(void *arg, const uint8_t *bytes, size_t n)
{
    struct etcd_view *v = arg;
    struct arena *arena = arena_create();
    const Etcd__WatchResponse *said =
        etcd__watch_response__unpack(arena_protobuf(arena, UNPACK_MAX_BYTES), n, bytes);
    if (!said || !take_watched(v, said)) {
        if (said && said->canceled)
            log_info(NULL, "registry: the watch of %s ended (%s); listing anew", v->prefix.p,
                     said->compact_revision ? "compacted" : said->cancel_reason);
        etcd_call_cancel(&v->call);
        rest(v, true);
    }
    arena_destroy(&arena);
}

static void on_watch_end(void *arg, enum err err, const char *why)
{
    struct etcd_view *v = arg;
    v->call = NULL;
    if (err != ERR_CANCELLED)
        rest(v, err != ERR_UNAVAILABLE);
}

static const struct etcd_call_handler watch_handler = {.on_message = on_watched,
                                                       .on_end = on_watch_end};

static void watch(struct etcd_view *v)
{
    Etcd__WatchCreateRequest create = ETCD__WATCH_CREATE_REQUEST__INIT;
    Etcd__WatchRequest request = ETCD__WATCH_REQUEST__INIT;
    v->phase = VIEW_WATCHING;
    create.key = bytes_of(&v->prefix);
    create.range_end = bytes_of(&v->end);
    create.start_revision = v->revision;
    create.progress_notify = true;
    request.request_case = ETCD__WATCH_REQUEST__REQUEST_CREATE_REQUEST;
    request.create_request = &create;
    v->call = etcd_call_start(v->opt.client,
                              &(struct etcd_call_options){.path = "/etcdserverpb.Watch/Watch",
                                                          .request = &request.base,
                                                          .is_stream = true,
                                                          .handler = &watch_handler,
                                                          .arg = v});
}

/* ---- life ---- */

static void try_again(void *arg)
{
    struct etcd_view *v = arg;
    v->has_more = false;
    if (v->is_listed)
        watch(v);
    else
        list(v);
}

struct etcd_view *etcd_view_create(const struct etcd_view_options *opt)
{
    struct etcd_view *v = mem_new(struct etcd_view);
    v->opt = *opt;
    v->known = map_create();
    strbuf_adds(&v->prefix, opt->prefix);
    strbuf_add(&v->end, v->prefix.p, v->prefix.n);
    v->end.p[v->end.n - 1]++; /* it ends with '/': the key behind all of its keys */
    list(v);
    return v;
}

void etcd_view_destroy(struct etcd_view **view)
{
    struct etcd_view *v = *view;
    struct str name;
    void *known;
    *view = NULL;
    if (!v)
        return;
    loop_timer_stop(&v->timer);
    loop_timer_stop(&v->grace);
    for (size_t at = 0; map_next(v->known, &at, &name, &known);)
        free(known);
    map_destroy(&v->known);
    strbuf_deinit(&v->prefix);
    strbuf_deinit(&v->end);
    strbuf_deinit(&v->next_key);
    free(v);
}
