/* file_internal: what the files of this service share. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "core/map.h"
#include "core/mem.h"
#include "core/worker.h"
#include "services/common/who.h"
#include "services/file/file.h"

#include "file.pb-c.h"

#define FILE_TUS_VERSION "1.0.0"
#define FILE_PART_BYTES (1 << 20) /* of an upload, acknowledged together */
#define FILE_SHA256_BYTES 32
#define FILE_BLOB_NAME_SIZE 48
#define FILE_UPLOADS_MAX 64 /* unfinished ones of a person */
#define FILE_METADATA_MAX_BYTES 4096

struct file_service {
    File__File_Service rpc; /* handlers get it back by CONTAINER_OF */
    struct file_deps deps;
    struct file_locks *locks;
    struct worker_pool *checkers; /* looks at whole files, and sweeps */
    struct loop_timer timer;      /* on deps.loop */
    _Atomic bool is_sweeping;
    unsigned rounds; /* of the timer; touched by who is sweeping alone */
    _Atomic bool is_stopping;
    int subscription;
    pthread_mutex_t hold_lock;
    struct map *holds; /* id -> struct file_hold */
};

/* ---- file_store.c: rows; texts live in the arena of the call that read them ---- */
struct file_row {
    const char *id, *owner_id;
    File__State state;
    int64_t length, received;
    const char *metadata, *name, *claimed_type, *content_type, *problem;
    File__Kind kind;
    int64_t width, height, duration_ms;
    const void *waveform;
    size_t waveform_n;
    const void *sha256;
    size_t sha256_n;
    bool has_thumbnail;
    int64_t created_at_ms;
    int64_t idle_since_ms; /* nothing refers to it, or came for it, since then; 0: in use */
};

struct file_limits {
    int64_t quota_bytes;
    int64_t uploads_max;
};

/* ERR_NOT_FOUND. */
enum err file_store_find(struct store_tx *tx, struct arena *arena, const char *id,
                         struct file_row *out);
/* Counts it in. *problem says which limit refuses it (ERR_RESOURCE_EXHAUSTED). */
enum err file_store_insert(struct store_tx *tx, const struct file_row *row,
                           const struct file_limits *limits, const char **problem);
/* More of an upload is here; all of it: it is to be looked at. ERR_ABORTED: it stands elsewhere. */
enum err file_store_advance(struct store_tx *tx, const struct file_row *row, int64_t received);
/* What was found out; from CHECKING to READY or REFUSED. ERR_ABORTED: it is not in CHECKING. */
enum err file_store_decide(struct store_tx *tx, const struct file_row *row);
/* Takes it out of everything but the table: its bytes may go. ERR_FAILED_PRECONDITION: something
 * refers to it. */
enum err file_store_mark_deleted(struct store_tx *tx, const char *id);
enum err file_store_delete(struct store_tx *tx, const char *id);
/* Somebody is about to refer to it: it stays for another while. ERR_NOT_FOUND: it is going. */
enum err file_store_touch(struct store_tx *tx, const char *id);
/* Of a file that is going there are no references any more. */
enum err file_store_add_ref(struct store_tx *tx, const char *id, const char *ref);
enum err file_store_release(struct store_tx *tx, const char *id, const char *ref);
/* The newest first, of ids below `below`. */
enum err file_store_list(struct store_tx *tx, struct arena *arena, const char *owner_id,
                         const char *below, int64_t limit, struct file_row **rows, size_t *count);
enum err file_store_used(struct store_tx *tx, const char *owner_id, int64_t *bytes);
/* Ids of a person's files beyond one, in their order; and their names taken away. */
enum err file_store_ids_of(struct store_tx *tx, struct arena *arena, const char *owner_id,
                           const char *above, size_t max, char ***ids, size_t *count);
enum err file_store_unname(struct store_tx *tx, const char *owner_id);
/* Ids in a state, idle since before `until_ms`. */
enum err file_store_idle(struct store_tx *tx, struct arena *arena, File__State state,
                         int64_t until_ms, int64_t limit, char ***ids, size_t *count);

/* Reads one on this thread. */
enum err file_load(struct file_service *svc, struct arena *arena, const char *id,
                   struct file_row *out);
/* The caller's own, in whatever state but DELETED; NULL after rpc_fail. */
struct file_row *file_load_own(struct file_service *svc, struct rpc_call *call, const char *id);

/* ---- file_lock.c: who writes which upload ---- */
struct file_locks;
struct file_hash;
struct file_lock {
    char id[ID_SIZE];
    char holder[64];
    int64_t used_ms;
    bool is_busy, is_cut;
    /* of a body that counts as a whole */
    struct file_hash *hash;
    int64_t end; /* how far it has come */
};
struct file_locks *file_locks_create(void);
void file_locks_destroy(struct file_locks **locks);
/* The holder's lock, made if nobody has it; NULL: somebody else does. Until file_lock_leave nobody
 * touches it. */
struct file_lock *file_lock_enter(struct file_locks *locks, const char *id, const char *holder);
/* is_kept: the holder will come again (within a minute). */
enum file_lock_end { FILE_LOCK_FREE, FILE_LOCK_KEEP };
void file_lock_leave(struct file_locks *locks, struct file_lock *lock, enum file_lock_end end);
/* The holder will not come again. */
void file_lock_cut(struct file_locks *locks, const char *id, const char *holder);
/* Which upload that holder has; false: none. */
bool file_lock_find(struct file_locks *locks, const char *holder, char id[ID_SIZE]);

/* ---- file_hold.c: what somebody is about to refer to is not removed ---- */
void file_hold_start(struct file_service *svc);
void file_hold_end(struct file_service *svc);
/* Before it is looked at whether the file is there. For a minute. False: it is barred. */
bool file_hold_take(struct file_service *svc, const char *id);
/* The reference is noted, or will not come. */
void file_hold_drop(struct file_service *svc, const char *id);
bool file_hold_has(struct file_service *svc, const char *id);
/* Nobody takes it until it is unbarred, after the commit of its end. False: somebody holds it. */
bool file_hold_bar(struct file_service *svc, const char *id);
void file_hold_unbar(struct file_service *svc, const char *id);
void file_hold_sweep(struct file_service *svc);

/* ---- file_hash.c ---- */
struct file_hash *file_hash_create(const char *algorithm); /* "sha1", "sha256"; NULL: unknown */
void file_hash_destroy(struct file_hash **hash);
void file_hash_add(struct file_hash *hash, const void *bytes, size_t n);
/* At most 32 bytes; returns how many. */
size_t file_hash_end(struct file_hash *hash, uint8_t out[FILE_SHA256_BYTES]);

/* ---- file_headers.c: what clients send in headers ---- */
struct file_metadata {
    const char *name; /* "" for none, as all */
    const char *type;
};
/* "filename BASE64,filetype BASE64"; other keys are kept but mean nothing. false: malformed. */
bool file_metadata_parse(struct str header, struct arena *arena, struct file_metadata *out);
struct file_checksum {
    struct str algorithm;
    uint8_t bytes[FILE_SHA256_BYTES];
    size_t n;
};
bool file_checksum_parse(struct str header, struct file_checksum *out);
/* Wall time as an HTTP date. */
#define FILE_DATE_SIZE 48
void file_http_date(int64_t wall_ms, char out[FILE_DATE_SIZE]);

/* ---- file_upload.c ---- */
File__Upload *file_shape_upload(struct file_service *svc, struct rpc_call *call,
                                const struct file_row *row);

/* ---- file_check.c ---- */
/* Looks at a whole file, then answers: with the upload, or with why it was refused. closure NULL:
 * nobody waits. Any thread. */
void file_check_start(struct file_service *svc, const char *id, struct rpc_call *call,
                      File__Upload_Closure closure);
void file_blob_name(char out[FILE_BLOB_NAME_SIZE], const char *id);
void file_thumbnail_name(char out[FILE_BLOB_NAME_SIZE], const char *id);

/* ---- file_remove.c: how files go ---- */
/* Bytes and row. ERR_FAILED_PRECONDITION: something refers to it. */
enum err file_remove(struct file_service *svc, const char *id);
void file_sweep_start(struct file_service *svc);
void file_sweep_stop(struct file_service *svc);
/* file_erase.c */
void file_erase_start(struct file_service *svc);
void file_refs_start(struct file_service *svc);
void file_refs_stop(struct file_service *svc);

extern const File__File_Service file_rpc_table;
#define FILE_HANDLER(name, Request, Reply)                                                         \
    void name(File__File_Service *rpc, const File__##Request *in, File__##Reply##_Closure closure, \
              void *data)
#define FILE_OF(rpc_) CONTAINER_OF(rpc_, struct file_service, rpc)
/* file_upload.c */
FILE_HANDLER(file_on_capabilities, GetCapabilitiesRequest, Capabilities);
FILE_HANDLER(file_on_create, CreateUploadRequest, Upload);
FILE_HANDLER(file_on_get_upload, GetUploadRequest, Upload);
FILE_HANDLER(file_on_write, WriteUploadRequest, Upload);
FILE_HANDLER(file_on_delete_upload, DeleteUploadRequest, DeleteReply);
/* file_read.c */
FILE_HANDLER(file_on_list, ListFilesRequest, FileList);
FILE_HANDLER(file_on_info, GetFileRequest, FileInfo);
FILE_HANDLER(file_on_content, GetFileRequest, FileBody);
FILE_HANDLER(file_on_thumbnail, GetFileRequest, FileBody);
FILE_HANDLER(file_on_delete, DeleteFileRequest, DeleteReply);
FILE_HANDLER(file_on_claim, ClaimRequest, ClaimReply);
FILE_HANDLER(file_on_locate, LocateRequest, FileBody);
