/*
 * registry: the room's front. Checks names, keeps the list of instances that a driver fills, and
 * tells watchers. The list is short (services times processes) and seldom changes: it is walked.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/list.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metric.h"
#include "registry/registry_driver.h"

#define NAME_MAX_CHARS 64
#define ADDRESS_MAX_CHARS 255

static struct metric instances =
    METRIC_GAUGE("parlance_registry_instances", "Instances known, by service.", "service");

struct entry {
    struct list link; /* ordered by service, then id */
    struct registry_instance instance;
};

struct watch {
    struct list link;
    char *service;
    registry_changed_fn *changed;
    void *arg;
};

struct registry {
    const struct registry_driver *driver;
    struct registry_impl *impl;
    pthread_mutex_t lock; /* of the lists; held while watchers hear of a change */
    struct list entries;
    struct list watches;
};

static const struct registry_driver *const drivers[] = {
    &registry_static,
};

/* ---- names ---- */

static bool is_name(const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789._-";
    return text && *text && strlen(text) <= NAME_MAX_CHARS && !text[strspn(text, allowed)];
}

static bool is_instance(const struct registry_instance *i)
{
    bool is_here = i->address && !i->address[0] && !i->port;
    bool is_there = i->address && i->address[0] && i->port &&
                    strlen(i->address) <= ADDRESS_MAX_CHARS && !strpbrk(i->address, " \t\r\n/");
    return is_name(i->service) && is_name(i->id) && (is_here || is_there);
}

/* ---- the list, under the lock ---- */

static int compare(const struct registry_instance *a, const char *service, const char *id)
{
    int order = strcmp(a->service, service);
    return order ? order : strcmp(a->id, id);
}

/* The entry, or NULL; *before is the node in front of which it stands or would stand. */
static struct entry *find(struct registry *r, const char *service, const char *id,
                          struct list **before)
{
    LIST_FOREACH(&r->entries, node)
    {
        struct entry *e = LIST_ENTRY(node, struct entry, link);
        int order = compare(&e->instance, service, id);
        *before = node;
        if (order >= 0)
            return order == 0 ? e : NULL;
    }
    *before = &r->entries;
    return NULL;
}

static size_t collect(struct registry *r, const char *service, struct arena *arena,
                      struct registry_instance **out)
{
    size_t count = 0, at = 0;
    LIST_FOREACH(&r->entries, node)
    count += strcmp(LIST_ENTRY(node, struct entry, link)->instance.service, service) == 0;
    *out = arena_array(arena, struct registry_instance, count);
    LIST_FOREACH(&r->entries, node)
    {
        const struct registry_instance *i = &LIST_ENTRY(node, struct entry, link)->instance;
        if (strcmp(i->service, service) == 0)
            (*out)[at++] = (struct registry_instance){
                .service = arena_strdup(arena, i->service),
                .id = arena_strdup(arena, i->id),
                .address = arena_strdup(arena, i->address),
                .port = i->port,
            };
    }
    return count;
}

static void tell(struct registry *r, const char *service)
{
    struct arena *arena = arena_create();
    struct registry_instance *list;
    size_t count = collect(r, service, arena, &list);
    metric_cell_set(metric_cell(&instances, service, NULL, NULL), (double)count);
    LIST_FOREACH(&r->watches, node)
    {
        const struct watch *w = LIST_ENTRY(node, struct watch, link);
        if (strcmp(w->service, service) == 0)
            w->changed(w->arg, list, count);
    }
    arena_destroy(&arena);
}

static void entry_free(struct entry *e)
{
    list_remove(&e->link);
    free((char *)(uintptr_t)e->instance.service);
    free((char *)(uintptr_t)e->instance.id);
    free((char *)(uintptr_t)e->instance.address);
    free(e);
}

static void watch_free(struct watch *w)
{
    list_remove(&w->link);
    free(w->service);
    free(w);
}

/* ---- for drivers ---- */

enum err registry_put(struct registry *r, const struct registry_instance *i)
{
    struct list *before;
    enum err err = ERR_ALREADY_EXISTS;
    pthread_mutex_lock(&r->lock);
    if (!find(r, i->service, i->id, &before)) {
        struct entry *e = mem_new(struct entry);
        e->instance = (struct registry_instance){.service = mem_strdup(i->service),
                                                 .id = mem_strdup(i->id),
                                                 .address = mem_strdup(i->address),
                                                 .port = i->port};
        list_add_tail(before, &e->link);
        tell(r, i->service);
        err = ERR_OK;
    }
    pthread_mutex_unlock(&r->lock);
    return err;
}

enum err registry_drop(struct registry *r, const char *service, const char *id)
{
    struct list *before;
    pthread_mutex_lock(&r->lock);
    struct entry *e = find(r, service, id, &before);
    if (e) {
        entry_free(e);
        tell(r, service);
    }
    pthread_mutex_unlock(&r->lock);
    return e ? ERR_OK : ERR_NOT_FOUND;
}

/* ---- for everybody ---- */

static const struct registry_driver *find_driver(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
        if (strcmp(drivers[i]->name, name) == 0)
            return drivers[i];
    log_error(NULL, "registry: no driver is called \"%s\"", name);
    return NULL;
}

static bool are_instances(const struct registry_instance *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_instance(&list[i]))
            continue;
        log_error(NULL, "registry: instance %zu is no name, id, address and port", i + 1);
        return false;
    }
    return true;
}

enum err registry_open(struct registry **out, const struct registry_options *opt)
{
    const struct registry_driver *driver = find_driver(opt->driver ? opt->driver : "static");
    *out = NULL;
    if (!driver || !are_instances(opt->fixed, opt->fixed_count))
        return ERR_INVALID_ARGUMENT;
    struct registry *r = mem_new(struct registry);
    r->driver = driver;
    pthread_mutex_init(&r->lock, NULL);
    list_init(&r->entries);
    list_init(&r->watches);
    enum err err = driver->open(r, opt, &r->impl);
    if (err)
        registry_close(&r);
    *out = r;
    return err;
}

void registry_close(struct registry **registry)
{
    struct registry *r = *registry;
    *registry = NULL;
    if (!r)
        return;
    LIST_FOREACH(&r->watches, node)
    watch_free(LIST_ENTRY(node, struct watch, link));
    if (r->impl)
        r->driver->close(&r->impl);
    LIST_FOREACH(&r->entries, node)
    entry_free(LIST_ENTRY(node, struct entry, link));
    pthread_mutex_destroy(&r->lock);
    free(r);
}

enum err registry_announce(struct registry *r, const struct registry_instance *instance)
{
    return is_instance(instance) ? r->driver->announce(r->impl, instance) : ERR_INVALID_ARGUMENT;
}

enum err registry_withdraw(struct registry *r, const char *service, const char *id)
{
    return r->driver->withdraw(r->impl, service, id);
}

size_t registry_find(struct registry *r, const char *service, struct arena *arena,
                     struct registry_instance **out)
{
    pthread_mutex_lock(&r->lock);
    size_t count = collect(r, service, arena, out);
    pthread_mutex_unlock(&r->lock);
    return count;
}

void registry_watch(struct registry *r, const char *service, registry_changed_fn *changed,
                    void *arg)
{
    struct watch *w = mem_new(struct watch);
    struct arena *arena = arena_create();
    struct registry_instance *list;
    *w = (struct watch){.service = mem_strdup(service), .changed = changed, .arg = arg};
    pthread_mutex_lock(&r->lock);
    list_add_tail(&r->watches, &w->link);
    size_t count = collect(r, service, arena, &list);
    changed(arg, list, count);
    pthread_mutex_unlock(&r->lock);
    arena_destroy(&arena);
}

void registry_unwatch(struct registry *r, registry_changed_fn *changed, void *arg)
{
    pthread_mutex_lock(&r->lock);
    LIST_FOREACH(&r->watches, node)
    {
        struct watch *w = LIST_ENTRY(node, struct watch, link);
        if (w->changed == changed && w->arg == arg)
            watch_free(w);
    }
    pthread_mutex_unlock(&r->lock);
}
