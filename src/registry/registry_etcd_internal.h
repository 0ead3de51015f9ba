/* registry_etcd_internal: the driver's state; registry_etcd.c is the driver, registry_etcd_learn.c
 * what it makes of what etcd says. */
#pragma once

#include <semaphore.h>

#include "core/list.h"
#include "registry/etcd_keys.h"
#include "registry/etcd_view.h"
#include "registry/registry_driver.h"

#define REGISTRY_ETCD_LEASES 8

struct follow {
    struct list node;
    struct registry_impl *impl;
    char *space;
    struct etcd_view *view;
    bool is_listed;
};

struct registry_impl {
    struct registry *front;
    struct loop *loop;
    struct h2_io *io;
    struct net_tls *tls;
    char *prefix;
    int64_t lease_ms;
    bool has_left;
    /* On the loop. */
    struct etcd_client_options client_options; /* until it is made */
    const struct registry_options *opt;        /* until open returns */
    struct etcd_client *client;
    struct etcd_lease *lease;
    int64_t leases[REGISTRY_ETCD_LEASES]; /* ours, of now and before */
    size_t lease_count;
    struct etcd_keys *keys;
    struct list follows; /* the first is of the services */
    sem_t listed;        /* once, when all that was followed from the start is known */
    bool is_listed;
};

/* "PREFIX/SPACE/NAME", and "/REST" unless it is NULL. */
void registry_etcd_key(struct registry_impl *impl, struct strbuf *key, const char *space,
                       const char *name, const char *rest);
/* On the loop: all that stands in this space, from now on. */
void registry_etcd_follow(struct registry_impl *impl, const char *space);
/* A new lease is ours. */
void registry_etcd_on_lease(void *impl, int64_t id);
