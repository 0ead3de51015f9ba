/* app_operate: the service Operate, for commands on the control socket: backups of the running
 * server, one at a time, on a thread of their own. */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "bus/bus.h"
#include "core/err.h"
#include "store/store.h"

struct app_operate;

struct app_operate_options {
    struct store *store;
    struct store *const *shard_stores; /* messages.shard_stores, for exports; NULL: not here */
    size_t shard_store_count, shard_stores_wanted;
    const char *data_dir, *blob_dir, *version;
    struct bus *bus;
    const char *const *erase_queues; /* whose tasks are counted by GetErasing */
    size_t erase_queue_count;
};

struct app_operate *app_operate_create(const struct app_operate_options *opt);
ProtobufCService *app_operate_rpc(struct app_operate *operate);
/* A backup in work is given up. Accepts NULL. */
void app_operate_destroy(struct app_operate **operate);
