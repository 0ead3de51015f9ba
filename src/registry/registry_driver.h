/*
 * registry_driver: what a keeper of instances must offer, and by which calls it tells the front
 * what it learns. Texts were checked before. The front keeps the lists, so a driver that loses its
 * network says nothing, and what was known stays known.
 */
#pragma once

#include "registry/registry.h"

struct registry_impl; /* the driver's own */

struct registry_driver {
    const char *name;
    enum err (*open)(struct registry *front, const struct registry_options *opt,
                     struct registry_impl **out);
    void (*close)(struct registry_impl **impl);
    /* Makes it known to everybody, this process too (by registry_put). ALREADY_EXISTS as above. */
    enum err (*announce)(struct registry_impl *impl, const struct registry_instance *instance);
    enum err (*withdraw)(struct registry_impl *impl, const char *service, const char *id);
};

/* For drivers, from any thread but not inside a watcher: an instance is there. ALREADY_EXISTS. */
MUST_USE enum err registry_put(struct registry *front, const struct registry_instance *instance);
/* One is gone. NOT_FOUND. */
enum err registry_drop(struct registry *front, const char *service, const char *id);

extern const struct registry_driver registry_static;
