/*
 * etcd_keys: what this process wants to stand in etcd under its lease. Each key is put, and put
 * again when the lease was lost or somebody removed it; of values that change while one is under
 * way the last is put next.
 */
#pragma once

#include "core/str.h"
#include "registry/etcd_lease.h"

struct etcd_keys;

struct etcd_keys_options {
    struct loop *loop;
    struct etcd_client *client;
    struct etcd_lease **lease; /* where it will be */
};

struct etcd_keys *etcd_keys_create(const struct etcd_keys_options *opt);
/* After the client. Accepts NULL. */
void etcd_keys_destroy(struct etcd_keys **keys);
/* is_claim: after a lost lease it comes back only where nobody else has put it. */
void etcd_keys_set(struct etcd_keys *keys, struct str key, struct str value, bool is_claim);
/* Deletes it, if it is still ours there. */
void etcd_keys_drop(struct etcd_keys *keys, struct str key);
/* Whether it is wanted; what others say of it is then passed over. */
bool etcd_keys_has(const struct etcd_keys *keys, struct str key);
/* Somebody else has put it: it is theirs. */
void etcd_keys_cede(struct etcd_keys *keys, struct str key);
/* It is not there any more. */
void etcd_keys_missing(struct etcd_keys *keys, struct str key);
/* A new lease: everything is put again. */
void etcd_keys_renew(struct etcd_keys *keys);
/* Nothing is put any more. */
void etcd_keys_stop(struct etcd_keys *keys);
