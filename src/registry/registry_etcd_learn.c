/*
 * registry_etcd_learn: what etcd says, told to the front: instances of the space "services",
 * records of any other. What this process said itself is known by its lease; what of it vanishes is
 * put again.
 */
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "registry/etcd_value.h"
#include "registry/registry_etcd_internal.h"

/* ---- keys ---- */

void registry_etcd_key(struct registry_impl *impl, struct strbuf *key, const char *space,
                       const char *name, const char *rest)
{
    strbuf_printf(key, "%s/%s/%s%s%s", impl->prefix, space, name, rest ? "/" : "",
                  rest ? rest : "");
}

static bool is_our_lease(const struct registry_impl *impl, int64_t lease)
{
    for (size_t i = 0; lease && i < MIN(impl->lease_count, (size_t)REGISTRY_ETCD_LEASES); i++)
        if (impl->leases[i] == lease)
            return true;
    return false;
}

void registry_etcd_on_lease(void *arg, int64_t id)
{
    struct registry_impl *impl = arg;
    impl->leases[impl->lease_count++ % REGISTRY_ETCD_LEASES] = id;
    etcd_keys_renew(impl->keys);
}

/* ---- what etcd says ---- */

static void on_instance(struct follow *f, const struct etcd_entry *entry)
{
    struct arena *arena = arena_create();
    struct registry_instance instance;
    if (is_our_lease(f->impl, entry->lease))
        ; /* what we said ourselves */
    else if (etcd_value_parse(entry->name, entry->value, arena, &instance))
        registry_learn(f->impl->front, &instance);
    else
        log_warn(NULL, "registry: %s/services/%.*s is no instance of a service", f->impl->prefix,
                 STR_FMT(entry->name));
    arena_destroy(&arena);
}

static void on_record(struct follow *f, const struct etcd_entry *entry)
{
    struct strbuf key = {0};
    char *value = str_dup(entry->value);
    bool is_sound = registry_is_name(entry->name.p, REGISTRY_RECORD_NAME_MAX_CHARS) &&
                    entry->value.n <= REGISTRY_VALUE_MAX_BYTES && str_is_utf8(entry->value);
    registry_etcd_key(f->impl, &key, f->space, entry->name.p, NULL);
    if (!is_sound) {
        log_warn(NULL, "registry: %s is no record", key.p);
    } else if (!is_our_lease(f->impl, entry->lease)) {
        etcd_keys_cede(f->impl->keys, strbuf_str(&key));
        registry_record_learn(f->impl->front, f->space, entry->name.p, value);
    }
    strbuf_deinit(&key);
    free(value);
}

static bool is_of_services(const struct follow *f)
{
    return strcmp(f->space, "services") == 0;
}

static void on_put(void *arg, const struct etcd_entry *entry)
{
    struct follow *f = arg;
    if (is_of_services(f))
        on_instance(f, entry);
    else
        on_record(f, entry);
}

static void on_gone(void *arg, struct str name)
{
    struct follow *f = arg;
    struct strbuf key = {0};
    struct str service, id = name;
    registry_etcd_key(f->impl, &key, f->space, name.p, NULL);
    if (etcd_keys_has(f->impl->keys, strbuf_str(&key))) {
        etcd_keys_missing(f->impl->keys, strbuf_str(&key));
    } else if (!is_of_services(f)) {
        if (registry_is_name(name.p, REGISTRY_RECORD_NAME_MAX_CHARS)) /* else never learned */
            registry_record_forget(f->impl->front, f->space, name.p);
    } else if (str_cut(&id, '/', &service)) {
        char *of = str_dup(service);
        registry_forget(f->impl->front, of, id.p);
        free(of);
    }
    strbuf_deinit(&key);
}

static void on_snapshot(void *arg)
{
    struct follow *f = arg;
    f->is_listed = true;
    if (f->impl->is_listed)
        return;
    LIST_FOREACH(&f->impl->follows, node)
    if (!LIST_ENTRY(node, struct follow, node)->is_listed)
        return;
    f->impl->is_listed = true;
    sem_post(&f->impl->listed);
}

void registry_etcd_follow(struct registry_impl *impl, const char *space)
{
    struct strbuf prefix = {0};
    LIST_FOREACH(&impl->follows, node)
    if (strcmp(LIST_ENTRY(node, struct follow, node)->space, space) == 0)
        return;
    struct follow *f = mem_new(struct follow);
    f->impl = impl;
    f->space = mem_strdup(space);
    list_add_tail(&impl->follows, &f->node);
    registry_etcd_key(impl, &prefix, space, "", NULL);
    /* Whose lease ended with etcd away says so anew in its turn, however short the lease. */
    int64_t grace_ms = MAX(impl->lease_ms, (int64_t)ETCD_CLIENT_BACK_MS);
    f->view = etcd_view_create(&(struct etcd_view_options){.loop = impl->loop,
                                                           .client = impl->client,
                                                           .prefix = prefix.p,
                                                           .grace_ms = grace_ms,
                                                           .on_put = on_put,
                                                           .on_gone = on_gone,
                                                           .on_snapshot = on_snapshot,
                                                           .arg = f});
    strbuf_deinit(&prefix);
}
