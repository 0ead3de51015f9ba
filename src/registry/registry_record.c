/*
 * registry_record: the front's copy of the records, by "space/name", and who watches a space. What
 * was put here is this process's until somebody else's is learned in its place.
 */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "registry/registry_internal.h"

#define KEY_SIZE (REGISTRY_NAME_MAX_CHARS + REGISTRY_RECORD_NAME_MAX_CHARS + 2)

struct record {
    char *value;
    bool is_own;
};

struct record_watch {
    struct list link;
    char *space;
    registry_record_fn *fn;
    void *arg;
};

void registry_records_init(struct registry *r)
{
    r->records = map_create();
    list_init(&r->record_watches);
}

static void record_free(struct record *record)
{
    if (record)
        free(record->value);
    free(record);
}

static void watch_free(struct record_watch *w)
{
    list_remove(&w->link);
    free(w->space);
    free(w);
}

void registry_records_deinit(struct registry *r)
{
    struct str key;
    void *record;
    for (size_t at = 0; map_next(r->records, &at, &key, &record);)
        record_free(record);
    map_destroy(&r->records);
    LIST_FOREACH(&r->record_watches, node)
    watch_free(LIST_ENTRY(node, struct record_watch, link));
}

/* ---- under the lock ---- */

static struct str key_of(char key[KEY_SIZE], const char *space, const char *name)
{
    size_t space_n = strlen(space), name_n = strlen(name);
    memcpy(key, space, space_n);
    key[space_n] = '/';
    memcpy(key + space_n + 1, name, name_n);
    return (struct str){key, space_n + 1 + name_n};
}

static void tell(struct registry *r, const char *space, const char *name, const char *value)
{
    LIST_FOREACH(&r->record_watches, node)
    {
        const struct record_watch *w = LIST_ENTRY(node, struct record_watch, link);
        if (strcmp(w->space, space) == 0)
            w->fn(w->arg, name, value);
    }
}

static void set(struct registry *r, const char *space, const char *name, const char *value,
                bool is_own)
{
    char key[KEY_SIZE];
    struct str at = key_of(key, space, name);
    struct record *record = map_get(r->records, at);
    bool is_news = !record || strcmp(record->value, value) != 0;
    if (!record) {
        record = mem_new(struct record);
        map_set(r->records, at, record);
    }
    record->is_own = is_own;
    if (!is_news)
        return;
    free(record->value);
    record->value = mem_strdup(value);
    tell(r, space, name, value);
}

static void unset(struct registry *r, const char *space, const char *name)
{
    char key[KEY_SIZE];
    struct record *record = map_remove(r->records, key_of(key, space, name));
    record_free(record);
    if (record)
        tell(r, space, name, NULL);
}

static bool is_own(struct registry *r, const char *space, const char *name)
{
    char key[KEY_SIZE];
    const struct record *record = map_get(r->records, key_of(key, space, name));
    return record && record->is_own;
}

/* ---- for drivers ---- */

bool registry_record_learn(struct registry *r, const char *space, const char *name,
                           const char *value)
{
    pthread_mutex_lock(&r->lock);
    set(r, space, name, value, false);
    pthread_mutex_unlock(&r->lock);
    return true;
}

bool registry_record_forget(struct registry *r, const char *space, const char *name)
{
    pthread_mutex_lock(&r->lock);
    bool is_ours = is_own(r, space, name);
    if (!is_ours)
        unset(r, space, name);
    pthread_mutex_unlock(&r->lock);
    return !is_ours;
}

/* ---- for everybody ---- */

static bool is_record(const char *space, const char *name, const char *value)
{
    return registry_is_name(space, REGISTRY_NAME_MAX_CHARS) &&
           registry_is_name(name, REGISTRY_RECORD_NAME_MAX_CHARS) &&
           (!value || (strlen(value) <= REGISTRY_VALUE_MAX_BYTES && str_is_utf8(str_from(value))));
}

enum err registry_record_put(struct registry *r, const char *space, const char *name,
                             const char *value)
{
    if (!value || !is_record(space, name, value))
        return ERR_INVALID_ARGUMENT;
    pthread_mutex_lock(&r->lock);
    bool has_left = r->has_left;
    if (!has_left) {
        set(r, space, name, value, true);
        r->driver->put(r->impl, space, name, value);
    }
    pthread_mutex_unlock(&r->lock);
    return has_left ? ERR_FAILED_PRECONDITION : ERR_OK;
}

enum err registry_record_drop(struct registry *r, const char *space, const char *name)
{
    if (!is_record(space, name, NULL))
        return ERR_INVALID_ARGUMENT;
    pthread_mutex_lock(&r->lock);
    bool is_ours = is_own(r, space, name);
    if (is_ours) {
        unset(r, space, name);
        r->driver->drop(r->impl, space, name);
    }
    pthread_mutex_unlock(&r->lock);
    return is_ours ? ERR_OK : ERR_NOT_FOUND;
}

char *registry_record_get(struct registry *r, const char *space, const char *name,
                          struct arena *arena)
{
    char key[KEY_SIZE];
    if (!is_record(space, name, NULL))
        return NULL;
    pthread_mutex_lock(&r->lock);
    const struct record *record = map_get(r->records, key_of(key, space, name));
    char *value = record ? arena_strdup(arena, record->value) : NULL;
    pthread_mutex_unlock(&r->lock);
    return value;
}

enum err registry_record_write(struct registry *r, const char *space, const char *name,
                               const char *value)
{
    return is_record(space, name, value) ? r->driver->write(r->impl, space, name, value)
                                         : ERR_INVALID_ARGUMENT;
}

void registry_record_watch(struct registry *r, const char *space, registry_record_fn *fn, void *arg)
{
    struct record_watch *w = mem_new(struct record_watch);
    size_t space_n = strlen(space);
    struct str key;
    void *value;
    *w = (struct record_watch){.space = mem_strdup(space), .fn = fn, .arg = arg};
    pthread_mutex_lock(&r->lock);
    list_add_tail(&r->record_watches, &w->link);
    for (size_t at = 0; map_next(r->records, &at, &key, &value);) {
        if (key.n <= space_n || key.p[space_n] != '/' || memcmp(key.p, space, space_n) != 0)
            continue;
        char *name = str_dup(str_sub(key, space_n + 1, key.n));
        fn(arg, name, ((struct record *)value)->value);
        free(name);
    }
    r->driver->follow(r->impl, space);
    pthread_mutex_unlock(&r->lock);
}

void registry_record_unwatch(struct registry *r, registry_record_fn *fn, void *arg)
{
    pthread_mutex_lock(&r->lock);
    LIST_FOREACH(&r->record_watches, node)
    {
        struct record_watch *w = LIST_ENTRY(node, struct record_watch, link);
        if (w->fn == fn && w->arg == arg)
            watch_free(w);
    }
    pthread_mutex_unlock(&r->lock);
}
