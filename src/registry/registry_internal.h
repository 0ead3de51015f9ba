/* registry_internal: what the front keeps; instances in registry.c, records in registry_record.c.
 */
#pragma once

#include <pthread.h>

#include "core/list.h"
#include "core/map.h"
#include "registry/registry_driver.h"

struct registry {
    const struct registry_driver *driver;
    struct registry_impl *impl;
    pthread_mutex_t lock; /* of all below; held while watchers hear of a change */
    struct list entries;
    struct list watches;
    struct arena *arena; /* of the aliases */
    const struct registry_alias *aliases;
    size_t alias_count;
    struct map *records; /* "space/name" -> struct record */
    struct list record_watches;
    bool has_left;
};

void registry_records_init(struct registry *r);
void registry_records_deinit(struct registry *r);
