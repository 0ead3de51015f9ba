/*
 * registry: the room's front. Checks names, keeps the list of instances that this process announces
 * and a driver learns, and tells watchers. The list is short (services times processes) and seldom
 * changes: it is walked.
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/metric.h"
#include "registry/registry_internal.h"

#define ADDRESS_MAX_CHARS 255

static struct metric instances =
    METRIC_GAUGE("parlance_registry_instances", "Instances known, by service.", "service");

struct entry {
    struct list link; /* ordered by service, then id */
    struct registry_instance instance;
    bool is_own;   /* announced here */
    bool is_fixed; /* by the configuration */
};

struct watch {
    struct list link;
    char *service;
    registry_changed_fn *changed;
    void *arg;
};

static const struct registry_driver *const drivers[] = {
    &registry_static,
    &registry_etcd,
};

/* ---- what is one ---- */

bool registry_is_name(const char *text, size_t max_chars)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789._-";
    return text && *text && strlen(text) <= max_chars && !text[strspn(text, allowed)];
}

static bool is_object(const char *metadata)
{
    if (!metadata)
        return true;
    size_t n = strlen(metadata);
    json_t *json = n <= REGISTRY_VALUE_MAX_BYTES
                       ? json_loadb(metadata, n, JSON_REJECT_DUPLICATES, NULL)
                       : NULL;
    bool is = json_is_object(json);
    json_decref(json);
    return is;
}

bool registry_is_instance(const struct registry_instance *i)
{
    bool is_here = i->address && !i->address[0] && !i->port;
    bool is_there = i->address && i->address[0] && i->port &&
                    strlen(i->address) <= ADDRESS_MAX_CHARS && !strpbrk(i->address, " \t\r\n/");
    return registry_is_name(i->service, REGISTRY_NAME_MAX_CHARS) &&
           registry_is_name(i->id, REGISTRY_NAME_MAX_CHARS) && (is_here || is_there) &&
           is_object(i->metadata);
}

/* ---- the list, under the lock ---- */

/* Whether who asks for `service` means this instance. */
static bool is_meant(const struct registry *r, const char *service,
                     const struct registry_instance *i)
{
    if (strcmp(i->service, service) == 0)
        return true;
    for (size_t at = 0; at < r->alias_count; at++)
        if (strcmp(r->aliases[at].name, service) == 0 &&
            strcmp(r->aliases[at].target, i->service) == 0)
            return true;
    return false;
}

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

/* The next of a service; what this process has itself is listed once, as being here. */
static bool is_listed(struct registry *r, const char *service, const struct registry_instance *i)
{
    struct list *before;
    return is_meant(r, service, i) &&
           (strcmp(i->service, service) == 0 || !find(r, service, i->id, &before));
}

static size_t collect(struct registry *r, const char *service, struct arena *arena,
                      struct registry_instance **out)
{
    size_t count = 0, at = 0;
    LIST_FOREACH(&r->entries, node)
    count += is_listed(r, service, &LIST_ENTRY(node, struct entry, link)->instance);
    *out = arena_array(arena, struct registry_instance, count);
    LIST_FOREACH(&r->entries, node)
    {
        const struct registry_instance *i = &LIST_ENTRY(node, struct entry, link)->instance;
        if (is_listed(r, service, i))
            (*out)[at++] = (struct registry_instance){
                .service = arena_strdup(arena, service),
                .id = arena_strdup(arena, i->id),
                .address = arena_strdup(arena, i->address),
                .port = i->port,
                .metadata = arena_strdup(arena, i->metadata),
            };
    }
    return count;
}

static void count_instances(struct registry *r, const char *service)
{
    size_t count = 0;
    LIST_FOREACH(&r->entries, node)
    count += strcmp(LIST_ENTRY(node, struct entry, link)->instance.service, service) == 0;
    metric_cell_set(metric_cell(&instances, service, NULL, NULL), (double)count);
}

/* Everybody who watches what this instance is, was or will be of. */
static void tell(struct registry *r, const struct registry_instance *changed)
{
    struct arena *arena = arena_create();
    count_instances(r, changed->service);
    LIST_FOREACH(&r->watches, node)
    {
        const struct watch *w = LIST_ENTRY(node, struct watch, link);
        struct registry_instance *list;
        if (!is_meant(r, w->service, changed))
            continue;
        size_t count = collect(r, w->service, arena, &list);
        w->changed(w->arg, list, count);
    }
    arena_destroy(&arena);
}

static void instance_free(struct registry_instance *i)
{
    free((char *)(uintptr_t)i->service);
    free((char *)(uintptr_t)i->id);
    free((char *)(uintptr_t)i->address);
    free((char *)(uintptr_t)i->metadata);
}

static struct registry_instance instance_copy(const struct registry_instance *i)
{
    return (struct registry_instance){.service = mem_strdup(i->service),
                                      .id = mem_strdup(i->id),
                                      .address = mem_strdup(i->address),
                                      .port = i->port,
                                      .metadata = mem_strdup(i->metadata ? i->metadata : "{}")};
}

static void entry_free(struct entry *e)
{
    list_remove(&e->link);
    instance_free(&e->instance);
    free(e);
}

static void watch_free(struct watch *w)
{
    list_remove(&w->link);
    free(w->service);
    free(w);
}

/* Adds it in its place and tells. */
static struct entry *add(struct registry *r, const struct registry_instance *i, struct list *before)
{
    struct entry *e = mem_new(struct entry);
    e->instance = instance_copy(i);
    list_add_tail(before, &e->link);
    tell(r, i);
    return e;
}

static void drop(struct registry *r, struct entry *e)
{
    struct registry_instance gone = e->instance;
    list_remove(&e->link);
    free(e);
    tell(r, &gone);
    instance_free(&gone);
}

/* ---- for drivers ---- */

static bool is_same(const struct registry_instance *a, const struct registry_instance *b)
{
    return a->port == b->port && strcmp(a->address, b->address) == 0 &&
           strcmp(a->metadata, b->metadata ? b->metadata : "{}") == 0;
}

bool registry_learn(struct registry *r, const struct registry_instance *i)
{
    struct list *before;
    pthread_mutex_lock(&r->lock);
    struct entry *e = find(r, i->service, i->id, &before);
    bool is_ours = e && (e->is_own || e->is_fixed);
    if (!e) {
        add(r, i, before);
    } else if (!is_ours && !is_same(&e->instance, i)) {
        instance_free(&e->instance);
        e->instance = instance_copy(i);
        tell(r, i);
    }
    pthread_mutex_unlock(&r->lock);
    return !is_ours;
}

bool registry_forget(struct registry *r, const char *service, const char *id)
{
    struct list *before;
    pthread_mutex_lock(&r->lock);
    struct entry *e = find(r, service, id, &before);
    bool is_ours = e && (e->is_own || e->is_fixed);
    if (e && !is_ours)
        drop(r, e);
    pthread_mutex_unlock(&r->lock);
    return !is_ours;
}

/* ---- opening ---- */

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
        if (registry_is_instance(&list[i]))
            continue;
        log_error(NULL, "registry: instance %zu is no name, id, address and port", i + 1);
        return false;
    }
    return true;
}

static void copy_aliases(struct registry *r, const struct registry_options *opt)
{
    struct registry_alias *aliases = arena_array(r->arena, struct registry_alias, opt->alias_count);
    for (size_t i = 0; i < opt->alias_count; i++)
        aliases[i] =
            (struct registry_alias){.name = arena_strdup(r->arena, opt->aliases[i].name),
                                    .target = arena_strdup(r->arena, opt->aliases[i].target)};
    r->aliases = aliases;
    r->alias_count = opt->alias_count;
}

static enum err add_fixed(struct registry *r, const struct registry_options *opt)
{
    for (size_t i = 0; i < opt->fixed_count; i++) {
        struct list *before;
        if (find(r, opt->fixed[i].service, opt->fixed[i].id, &before))
            return ERR_ALREADY_EXISTS;
        add(r, &opt->fixed[i], before)->is_fixed = true;
    }
    return ERR_OK;
}

enum err registry_open(struct registry **out, const struct registry_options *opt)
{
    const struct registry_driver *driver = find_driver(opt->driver ? opt->driver : "static");
    *out = NULL;
    if (!driver || !are_instances(opt->fixed, opt->fixed_count))
        return ERR_INVALID_ARGUMENT;
    struct registry *r = mem_new(struct registry);
    r->driver = driver;
    r->arena = arena_create();
    pthread_mutex_init(&r->lock, NULL);
    list_init(&r->entries);
    list_init(&r->watches);
    registry_records_init(r);
    copy_aliases(r, opt);
    enum err err = add_fixed(r, opt);
    if (!err)
        err = driver->open(r, opt, &r->impl);
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
    pthread_mutex_lock(&r->lock);
    LIST_FOREACH(&r->watches, node)
    watch_free(LIST_ENTRY(node, struct watch, link));
    pthread_mutex_unlock(&r->lock);
    if (r->impl)
        r->driver->close(&r->impl);
    LIST_FOREACH(&r->entries, node)
    entry_free(LIST_ENTRY(node, struct entry, link));
    registry_records_deinit(r);
    pthread_mutex_destroy(&r->lock);
    arena_destroy(&r->arena);
    free(r);
}

/* ---- for everybody ---- */

enum err registry_announce(struct registry *r, const struct registry_instance *instance)
{
    struct list *before;
    enum err err = ERR_OK;
    if (!registry_is_instance(instance))
        return ERR_INVALID_ARGUMENT;
    pthread_mutex_lock(&r->lock);
    if (r->has_left)
        err = ERR_FAILED_PRECONDITION;
    else if (find(r, instance->service, instance->id, &before))
        err = ERR_ALREADY_EXISTS;
    if (!err) {
        add(r, instance, before)->is_own = true;
        r->driver->announce(r->impl, instance);
    }
    pthread_mutex_unlock(&r->lock);
    return err;
}

static void set_metadata(struct registry *r, struct entry *e, const char *metadata)
{
    if (strcmp(e->instance.metadata, metadata) == 0)
        return;
    free((char *)(uintptr_t)e->instance.metadata);
    e->instance.metadata = mem_strdup(metadata);
    tell(r, &e->instance);
    r->driver->announce(r->impl, &e->instance);
}

enum err registry_update(struct registry *r, const char *service, const char *id,
                         const char *metadata)
{
    enum err err = ERR_NOT_FOUND;
    if (!metadata || !is_object(metadata))
        return ERR_INVALID_ARGUMENT;
    pthread_mutex_lock(&r->lock);
    LIST_FOREACH(&r->entries, node)
    {
        struct entry *e = LIST_ENTRY(node, struct entry, link);
        if (!e->is_own || strcmp(e->instance.id, id) != 0 || !is_meant(r, service, &e->instance))
            continue;
        set_metadata(r, e, metadata);
        err = ERR_OK;
    }
    pthread_mutex_unlock(&r->lock);
    return err;
}

enum err registry_withdraw(struct registry *r, const char *service, const char *id)
{
    struct list *before;
    pthread_mutex_lock(&r->lock);
    struct entry *e = find(r, service, id, &before);
    bool is_own = e && e->is_own;
    if (is_own) {
        drop(r, e);
        r->driver->withdraw(r->impl, service, id);
    }
    pthread_mutex_unlock(&r->lock);
    return is_own ? ERR_OK : ERR_NOT_FOUND;
}

void registry_leave(struct registry *r)
{
    pthread_mutex_lock(&r->lock);
    r->has_left = true;
    LIST_FOREACH(&r->entries, node)
    {
        struct entry *e = LIST_ENTRY(node, struct entry, link);
        if (e->is_own)
            drop(r, e);
    }
    pthread_mutex_unlock(&r->lock);
    r->driver->leave(r->impl);
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
