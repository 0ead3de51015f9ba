/*
 * etcd_view: all keys under a prefix, as they are and as they change: a snapshot, then a watch from
 * the revision after it; a new snapshot when the watch was compacted away or etcd is another. While
 * etcd cannot be reached nothing changes.
 *
 * What vanished while we could not see, and for `grace_ms` after, is told late: after an outage
 * leases end for want of a chance to keep them, and their holders come back at once.
 */
#pragma once

#include "core/str.h"
#include "registry/etcd_client.h"

struct etcd_view;

struct etcd_entry {
    struct str name; /* the key after the prefix; NUL-terminated, without NUL inside */
    struct str value;
    int64_t lease;
};

struct etcd_view_options {
    struct loop *loop;
    struct etcd_client *client;
    const char *prefix; /* copied */
    int64_t grace_ms;
    void (*on_put)(void *arg, const struct etcd_entry *entry);
    void (*on_gone)(void *arg, struct str name);
    void (*on_snapshot)(void *arg); /* after each */
    void *arg;
};

struct etcd_view *etcd_view_create(const struct etcd_view_options *opt);
/* After its client (calls under way have ended). Accepts NULL. */
void etcd_view_destroy(struct etcd_view **view);
