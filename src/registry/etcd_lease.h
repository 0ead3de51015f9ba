/*
 * etcd_lease: a lease that is kept alive as long as the process, and had anew when etcd says that
 * it is over. While etcd cannot be reached it is kept: only etcd knows whether it has ended.
 */
#pragma once

#include "registry/etcd_client.h"

struct etcd_lease;

struct etcd_lease_options {
    struct loop *loop;
    struct etcd_client *client;
    int64_t ttl_ms;
    void (*on_held)(void *arg,
                    int64_t id); /* each new one; what was put under the former is gone */
    void *arg;
};

struct etcd_lease *etcd_lease_create(const struct etcd_lease_options *opt);
/* After its client (calls under way have ended). It runs out by itself unless it was revoked. */
void etcd_lease_destroy(struct etcd_lease **lease);
/* 0: there is none now. */
int64_t etcd_lease_id(const struct etcd_lease *lease);
/* Somebody heard that it is over. */
void etcd_lease_lost(struct etcd_lease *lease, int64_t id);
/* Ends it, and all that is under it; no other is had. `done` once, when etcd has answered or
 * cannot.
 */
void etcd_lease_revoke(struct etcd_lease *lease, void (*done)(void *arg), void *arg);
