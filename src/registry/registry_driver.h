/*
 * registry_driver: what a keeper of instances and records must offer, and by which calls it tells
 * the front what it learns. Texts were checked before. The front keeps the lists, so a driver that
 * loses its network says nothing, and what was known stays known.
 */
#pragma once

#include "registry/registry.h"

struct registry_impl; /* the driver's own */

struct registry_driver {
    const char *name;
    enum err (*open)(struct registry *front, const struct registry_options *opt,
                     struct registry_impl **out);
    void (*close)(struct registry_impl **impl);
    /* Makes it known to everybody; the front has it already. */
    void (*announce)(struct registry_impl *impl, const struct registry_instance *instance);
    void (*withdraw)(struct registry_impl *impl, const char *service, const char *id);
    void (*leave)(struct registry_impl *impl);
    void (*put)(struct registry_impl *impl, const char *space, const char *name, const char *value);
    void (*drop)(struct registry_impl *impl, const char *space, const char *name);
    /* Lasting; value NULL deletes. The front hears of it by the driver. */
    enum err (*write)(struct registry_impl *impl, const char *space, const char *name,
                      const char *value);
    /* Somebody watches this space: it is to be followed. */
    void (*follow)(struct registry_impl *impl, const char *space);
};

/* For drivers, from any thread but not inside a watcher. What this process itself announced or put
 * is not touched: false. */
bool registry_learn(struct registry *front, const struct registry_instance *instance);
bool registry_forget(struct registry *front, const char *service, const char *id);
bool registry_record_learn(struct registry *front, const char *space, const char *name,
                           const char *value);
bool registry_record_forget(struct registry *front, const char *space, const char *name);
/* Whether it is an instance as the header says; what comes from outside is to be asked. */
bool registry_is_instance(const struct registry_instance *instance);
bool registry_is_name(const char *text, size_t max_chars);

#define REGISTRY_NAME_MAX_CHARS 64
#define REGISTRY_RECORD_NAME_MAX_CHARS 128

extern const struct registry_driver registry_static;
extern const struct registry_driver registry_etcd;
