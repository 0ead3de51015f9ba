/*
 * file: what people upload. Bytes come in pieces by tus 1.0 and are acknowledged when they are
 * durable; a whole file is looked at, becomes a blob under a name of ours, and stays as long as
 * somebody refers to it. Who may read a file because of a message is the message service's
 * judgement; here it is the owner.
 */
#pragma once

#include "blob/blob.h"
#include "bus/bus.h"
#include "core/loop.h"
#include "edge/edge.h"
#include "store/store.h"

struct file_service;
struct convert;

struct file_deps {
    struct store *store;
    struct bus *bus; /* "file_refs": who refers to what */
    struct blob_store *blob;
    struct convert *convert; /* NULL: nothing is looked into; every file is data */
    struct loop *loop;       /* for what is done by the clock: what nobody wants any more goes */
    int64_t file_max_bytes;  /* 0: 100 MiB */
    int64_t quota_bytes;     /* of one person; 0: 5 GiB */
    int64_t upload_ms;       /* an unfinished upload that gets nothing so long goes; 0: a day */
    int64_t orphan_ms;       /* a file that nothing refers to so long goes; 0: a day */
};

/* Goes on with files whose bytes were all here when the process ended. */
MUST_USE enum err file_create(struct file_service **out, const struct file_deps *deps);
/* The implementation, for rpc_local_create. */
/* Other limits, for uploads to come, while it runs. */
void file_set_limits(struct file_service *svc, int64_t file_max_bytes, int64_t quota_bytes);
ProtobufCService *file_rpc(struct file_service *svc);
/* No call may be in flight. Accepts NULL. */
void file_destroy(struct file_service **svc);
/* Now what the clock would do: what expired goes. For tests. */
void file_sweep(struct file_service *svc);

/* Everything kept of a person: `parlance export`. */
struct export_sink;
MUST_USE enum err file_export(struct store *store, const char *user_id,
                              const struct export_sink *sink);

extern const struct store_migration file_migrations[];
extern const size_t file_migration_count;
extern const struct edge_route_table file_routes;
