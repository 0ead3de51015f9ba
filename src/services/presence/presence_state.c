/*
 * Who is here: a record of devices and settings in the cache. A device counts until it is not
 * reported any more, or for some seconds after it went. Records change under the lock, one at a
 * time, and whoever looks different afterwards is told of once, in the order of the changes.
 */
#include "services/presence/presence_internal.h"

static struct metric here_gauge = METRIC_GAUGE("parlance_presence_people", "People who are here.");
static struct metric told_total =
    METRIC_COUNTER("parlance_presence_changes_total", "Changes of presence that were told.");

/* ---- how a record looks ---- */

static Presence__Status chosen_status(const Presence__Settings *s, int64_t wall_ms)
{
    bool is_over = s->status_until_ms && s->status_until_ms <= wall_ms;
    return is_over ? PRESENCE__STATUS__ONLINE : s->status;
}

static bool is_invisible(const Presence__Settings *s)
{
    return chosen_status(s, clock_wall_ms()) == PRESENCE__STATUS__INVISIBLE;
}

static void shape_devices(struct arena *arena, const Presence__Record *record,
                          Presence__PresenceInfo *out)
{
    unsigned kinds = 0;
    bool is_used = false;
    int64_t now_ms = clock_mono_ms();
    for (size_t i = 0; i < record->n_devices; i++) {
        const Presence__Device *d = record->devices[i];
        if (d->until_ms <= now_ms)
            continue;
        kinds |= 1u << d->kind;
        is_used |= !d->is_idle;
    }
    out->devices = arena_array(arena, Presence__DeviceKind, PRESENCE__DEVICE_KIND__BOT + 1);
    for (unsigned kind = 0; kind <= PRESENCE__DEVICE_KIND__BOT; kind++) {
        if (kinds & 1u << kind)
            out->devices[out->n_devices++] = (Presence__DeviceKind)kind;
    }
    if (kinds)
        out->status = is_used ? PRESENCE__STATUS__ONLINE : PRESENCE__STATUS__AWAY;
}

Presence__PresenceInfo *presence_shape(struct arena *arena, const char *user_id,
                                       const Presence__Record *record,
                                       const Presence__Settings *settings)
{
    int64_t wall_ms = clock_wall_ms();
    Presence__Status chosen = chosen_status(settings, wall_ms);
    Presence__PresenceInfo *out = arena_new(arena, Presence__PresenceInfo);
    presence__presence_info__init(out);
    out->user_id = (char *)user_id;
    if (record && chosen != PRESENCE__STATUS__INVISIBLE)
        shape_devices(arena, record, out);
    if (out->status == PRESENCE__STATUS__OFFLINE)
        out->last_seen_ms = settings->last_seen_ms;
    else if (chosen != PRESENCE__STATUS__ONLINE)
        out->status = chosen;
    if (!settings->text_until_ms || settings->text_until_ms > wall_ms) {
        out->text = settings->text;
        out->emoji = settings->emoji;
        out->text_until_ms = settings->text_until_ms;
    }
    return out;
}

Presence__OwnPresence *presence_own_shape(struct arena *arena, const char *user_id,
                                          const Presence__Record *record,
                                          const Presence__Settings *s)
{
    Presence__OwnPresence *own = arena_new(arena, Presence__OwnPresence);
    presence__own_presence__init(own);
    own->shown = presence_shape(arena, user_id, record, s);
    own->status = chosen_status(s, clock_wall_ms());
    own->status_until_ms = own->status == s->status ? s->status_until_ms : 0;
    own->text = own->shown->text;
    own->emoji = own->shown->emoji;
    own->text_until_ms = own->shown->text_until_ms;
    own->shown_to = s->shown_to;
    own->last_seen_to = s->last_seen_to;
    return own;
}

static bool is_alike(struct arena *arena, const Presence__PresenceInfo *a,
                     const Presence__PresenceInfo *b)
{
    size_t n = presence__presence_info__get_packed_size(a);
    if (n != presence__presence_info__get_packed_size(b))
        return false;
    uint8_t *bytes = arena_alloc(arena, 2 * n + 1);
    presence__presence_info__pack(a, bytes);
    presence__presence_info__pack(b, bytes + n);
    return memcmp(bytes, bytes + n, n) == 0;
}

/* ---- the record in the cache ---- */

static struct str key_of(struct arena *arena, const char *user_id)
{
    return str_from(arena_printf(arena, "presence.%s", user_id));
}

/* While the shared cache is away this process remembers those whom it hears of itself. */
Presence__Record *presence_record_find(struct presence_service *svc, struct arena *arena,
                                       const char *user_id, bool *is_unknown)
{
    struct str value, key = key_of(arena, user_id);
    enum err err = cache_get(svc->deps.cache, key, arena, &value);
    bool is_away = err == ERR_UNAVAILABLE;
    if (is_away)
        err = cache_get(cache_local(svc->deps.cache), key, arena, &value);
    if (is_unknown)
        *is_unknown = is_away && err;
    if (err)
        return NULL;
    Presence__Record *r = (Presence__Record *)rpc_message_unpack(&presence__record__descriptor,
                                                                 arena, value.p, value.n);
    if (!r || !r->settings)
        return NULL;
    int64_t to_mono_ms = clock_mono_ms() - clock_wall_ms();
    bool is_ours = strcmp(r->writer, svc->id) == 0; /* then a clock that was set changes nothing */
    for (size_t i = 0; i < r->n_devices && !is_ours; i++)
        r->devices[i]->until_ms = r->devices[i]->until_wall_ms + to_mono_ms;
    return r;
}

Presence__Record *presence_record(struct presence_service *svc, struct arena *arena,
                                  const char *user_id)
{
    return presence_record_find(svc, arena, user_id, NULL);
}

static void drop_expired(Presence__Record *r)
{
    int64_t now_ms = clock_mono_ms(), wall_ms = clock_wall_ms();
    size_t kept = 0;
    for (size_t i = 0; i < r->n_devices; i++) {
        if (r->devices[i]->until_ms > now_ms)
            r->devices[kept++] = r->devices[i];
    }
    r->n_devices = kept;
    Presence__Settings *s = r->settings;
    if (s->status_until_ms && s->status_until_ms <= wall_ms) {
        s->status = PRESENCE__STATUS__ONLINE;
        s->status_until_ms = 0;
    }
    if (s->text_until_ms && s->text_until_ms <= wall_ms) {
        s->text = s->emoji = (char *)"";
        s->text_until_ms = 0;
    }
}

/* When something of it runs out. */
static int64_t due_of(const Presence__Record *r)
{
    int64_t to_mono_ms = clock_mono_ms() - clock_wall_ms(), due_ms = INT64_MAX;
    for (size_t i = 0; i < r->n_devices; i++)
        due_ms = MIN(due_ms, r->devices[i]->until_ms);
    if (r->settings->status_until_ms)
        due_ms = MIN(due_ms, r->settings->status_until_ms + to_mono_ms);
    if (r->settings->text_until_ms)
        due_ms = MIN(due_ms, r->settings->text_until_ms + to_mono_ms);
    return due_ms;
}

static struct presence_person *person_get(struct presence_service *svc, const char *user_id)
{
    struct presence_person *p = map_get(svc->people, str_from(user_id));
    if (p)
        return p;
    p = mem_zalloc(sizeof(*p));
    memcpy(p->id, user_id, strnlen(user_id, sizeof(p->id) - 1));
    map_set(svc->people, str_from(user_id), p);
    metric_add(&here_gauge, 1);
    return p;
}

static void forget(struct presence_service *svc, struct presence_person *p)
{
    if (!p)
        return;
    list_remove(&p->in_slot);
    map_remove(svc->people, str_from(p->id));
    metric_add(&here_gauge, -1);
    free(p);
}

/* value STR_NULL: nobody is here any more. */
static void keep(struct presence_service *svc, const char *user_id, struct str key,
                 struct str value)
{
    struct cache *cache = svc->deps.cache;
    int64_t keep_ms = svc->deps.ttl_ms + 60000;
    enum err err = value.p ? cache_set(cache, key, value, keep_ms) : cache_delete(cache, key);
    if (err == ERR_UNAVAILABLE) {
        cache = cache_local(cache);
        err = value.p ? cache_set(cache, key, value, keep_ms) : cache_delete(cache, key);
    }
    if (err)
        log_warn(NULL, "presence of %s is not kept: %s", user_id, err_name(err));
}

/* Stores what is left of the record after a change; a lost write is found by the next report. */
static void save(struct presence_service *svc, struct arena *arena, const char *user_id,
                 Presence__Record *r)
{
    struct str key = key_of(arena, user_id);
    drop_expired(r);
    if (!r->n_devices) {
        keep(svc, user_id, key, STR_NULL);
        forget(svc, map_get(svc->people, str_from(user_id)));
        return;
    }
    r->writer = svc->id;
    for (size_t i = 0; i < r->n_devices; i++)
        r->devices[i]->until_wall_ms = r->devices[i]->until_ms + clock_wall_ms() - clock_mono_ms();
    size_t n = presence__record__get_packed_size(r);
    uint8_t *bytes = arena_alloc(arena, n + 1);
    presence__record__pack(r, bytes);
    keep(svc, user_id, key, (struct str){(const char *)bytes, n});
    presence_agenda_set(svc, person_get(svc, user_id), due_of(r));
}

/* ---- telling ---- */

static void publish(struct presence_service *svc, struct arena *arena, Presence__PresenceEvent *e)
{
    /* What is read from now on knows of it; and it is newer than what another process told. */
    svc->version = MAX(svc->version + 1, clock_wall_ms() * 1000);
    e->presence->version = svc->version;
    if (e->own)
        e->own->shown->version = e->presence->version;
    size_t n = presence__presence_event__get_packed_size(e);
    uint8_t *bytes = arena_alloc(arena, n + 1);
    presence__presence_event__pack(e, bytes);
    metric_add(&told_total, 1);
    bus_publish(svc->deps.bus, &(struct bus_event){.channel = "presence_events",
                                                   .type = "presence.changed",
                                                   .key = e->presence->user_id,
                                                   .payload = {(const char *)bytes, n},
                                                   .id = ""});
}

static void tell_if_changed(struct presence_service *svc, struct arena *arena,
                            const Presence__Settings *settings,
                            const Presence__PresenceInfo *before, Presence__PresenceInfo *after)
{
    if (is_alike(arena, before, after))
        return;
    Presence__PresenceEvent event = PRESENCE__PRESENCE_EVENT__INIT;
    event.presence = after;
    event.shown_to = settings->shown_to;
    event.last_seen_to = settings->last_seen_to;
    publish(svc, arena, &event);
}

/* How it looked when it was told of last: what has run out since was there still. */
static Presence__PresenceInfo *last_told(struct arena *arena, const char *user_id,
                                         const Presence__Record *r)
{
    Presence__Record *then = (Presence__Record *)rpc_message_copy(arena, &r->base);
    for (size_t i = 0; i < then->n_devices; i++)
        then->devices[i]->until_ms = INT64_MAX;
    if (then->settings->status_until_ms <= clock_wall_ms())
        then->settings->status_until_ms = 0;
    if (then->settings->text_until_ms <= clock_wall_ms())
        then->settings->text_until_ms = 0;
    return presence_shape(arena, user_id, then, then->settings);
}

/* ---- devices come, stay, go ---- */

static Presence__Device *device_find(Presence__Record *r, const char *id)
{
    for (size_t i = 0; i < r->n_devices; i++) {
        if (strcmp(r->devices[i]->id, id) == 0)
            return r->devices[i];
    }
    return NULL;
}

/* Beyond the limit the one that would go first makes room. */
static Presence__Device *device_add(struct arena *arena, Presence__Record *r, const char *id)
{
    Presence__Device *d = arena_new(arena, Presence__Device);
    presence__device__init(d);
    d->id = (char *)id;
    size_t at = r->n_devices;
    if (at < PRESENCE_DEVICES_MAX) {
        Presence__Device **grown = arena_array(arena, Presence__Device *, at + 1);
        for (size_t i = 0; i < at; i++)
            grown[i] = r->devices[i];
        r->devices = grown;
        r->n_devices++;
    } else {
        at = 0;
        for (size_t i = 1; i < r->n_devices; i++)
            at = r->devices[i]->until_ms < r->devices[at]->until_ms ? i : at;
    }
    return r->devices[at] = d;
}

static void note_visit(struct presence_service *svc, struct presence_person *p,
                       Presence__Settings *s, bool is_going)
{
    int64_t wall_ms = clock_wall_ms();
    if (is_invisible(s))
        return;
    s->last_seen_ms = MAX(s->last_seen_ms, wall_ms);
    if (!is_going && wall_ms - p->seen_at_ms < svc->deps.ttl_ms)
        return; /* what is written is near enough, should there be a crash */
    p->seen_at_ms = wall_ms;
    presence_seen_note(svc, p->id, wall_ms);
}

/* settings: of who was not here; NULL: was. With the lock. false: was not here, and settings are
 * missing. */
static bool report_one(struct presence_service *svc, struct arena *arena,
                       const Presence__DeviceReport *in, Presence__Settings *settings)
{
    Presence__Record *r = presence_record(svc, arena, in->user_id);
    int64_t now_ms = clock_mono_ms();
    Presence__PresenceInfo *before = NULL;
    if (r) {
        before = last_told(arena, in->user_id, r);
    } else if (in->is_gone) {
        return true;
    } else if (settings) {
        r = arena_new(arena, Presence__Record);
        presence__record__init(r);
        r->settings = settings;
        before = presence_shape(arena, in->user_id, NULL, settings);
    } else {
        return false;
    }
    Presence__Device *d = device_find(r, in->device_id);
    if (!d && in->is_gone)
        return true;
    if (!d)
        d = device_add(arena, r, in->device_id);
    if (in->is_gone) {
        d->until_ms = MIN(d->until_ms, now_ms + svc->deps.debounce_ms);
    } else {
        d->kind = in->kind;
        d->is_idle = in->is_idle;
        d->until_ms = now_ms + svc->deps.ttl_ms;
    }
    note_visit(svc, person_get(svc, in->user_id), r->settings, in->is_gone);
    save(svc, arena, in->user_id, r);
    tell_if_changed(svc, arena, r->settings, before,
                    presence_shape(arena, in->user_id, r, r->settings));
    return true;
}

/* Settings of those who are not here yet; by the reports' order, NULL for the others. */
static enum err load_missing(struct presence_service *svc, struct arena *arena,
                             Presence__DeviceReport **reports, size_t count,
                             Presence__Settings **out)
{
    struct presence_batch batch = {.arena = arena,
                                   .ids = arena_array(arena, char *, count),
                                   .settings = arena_array(arena, Presence__Settings *, count)};
    size_t *places = arena_array(arena, size_t, count);
    for (size_t i = 0; i < count; i++) {
        if (reports[i]->is_gone || presence_record(svc, arena, reports[i]->user_id))
            continue;
        places[batch.count] = i;
        batch.ids[batch.count++] = reports[i]->user_id;
    }
    enum err err = presence_load(svc, &batch);
    for (size_t i = 0; i < batch.count; i++)
        out[places[i]] = batch.settings[i];
    return err;
}

static uint64_t settings_serial(struct presence_service *svc)
{
    pthread_mutex_lock(&svc->lock);
    uint64_t serial = svc->settings_serial;
    pthread_mutex_unlock(&svc->lock);
    return serial;
}

enum err presence_report(struct presence_service *svc, struct arena *arena,
                         Presence__DeviceReport **reports, size_t count)
{
    Presence__Settings **settings = arena_array(arena, Presence__Settings *, count);
    for (size_t at = 0; at < count;) {
        uint64_t serial = settings_serial(svc);
        enum err err = load_missing(svc, arena, reports + at, count - at, settings + at);
        if (err)
            return err;
        bool is_fresh = true;
        while (at < count && is_fresh) {
            pthread_mutex_lock(&svc->lock); /* for each: others want it too */
            is_fresh =
                serial == svc->settings_serial && report_one(svc, arena, reports[at], settings[at]);
            pthread_mutex_unlock(&svc->lock);
            at += is_fresh;
        }
    }
    return ERR_OK;
}

/* ---- by the clock, and by settings ---- */

void presence_expire(struct presence_service *svc, struct presence_person *p)
{
    struct arena *arena = arena_create();
    char *user_id = arena_strdup(arena, p->id);
    Presence__Record *r = presence_record(svc, arena, user_id);
    if (!r) { /* the cache needed the room: whoever watches asks again within minutes */
        forget(svc, p);
        arena_destroy(&arena);
        return;
    }
    const Presence__PresenceInfo *before = last_told(arena, user_id, r);
    save(svc, arena, user_id, r);
    tell_if_changed(svc, arena, r->settings, before,
                    presence_shape(arena, user_id, r, r->settings));
    arena_destroy(&arena);
}

void presence_settings_changed(struct presence_service *svc, struct arena *arena,
                               const char *user_id, const Presence__Settings *settings)
{
    Presence__PresenceEvent event = PRESENCE__PRESENCE_EVENT__INIT;
    pthread_mutex_lock(&svc->lock);
    svc->settings_serial++;
    Presence__Record *r = presence_record(svc, arena, user_id);
    if (r) {
        r->settings = (Presence__Settings *)rpc_message_copy(arena, &settings->base);
        save(svc, arena, user_id, r);
    }
    event.presence = presence_shape(arena, user_id, r, settings);
    event.own = presence_own_shape(arena, user_id, r, settings);
    event.shown_to = settings->shown_to;
    event.last_seen_to = settings->last_seen_to;
    publish(svc, arena, &event);
    pthread_mutex_unlock(&svc->lock);
}

int64_t presence_seen_at(struct presence_service *svc, const char *user_id)
{
    pthread_mutex_lock(&svc->lock);
    const struct presence_seen *seen = map_get(svc->seen, str_from(user_id));
    int64_t at_ms = seen ? seen->at_ms : 0;
    pthread_mutex_unlock(&svc->lock);
    return at_ms;
}
