/*
 * Uploads by tus 1.0. A part of a body is written beneath the upload's name, synced, and then the
 * store says that it is there: only what the store says is acknowledged, so a crash in between
 * costs a part, never a promise. A body with a checksum counts when its last part has come and
 * matches.
 */
#include "services/file/file_internal.h"
#include "core/live.h"

#define EXTENSIONS "creation,creation-with-upload,termination,checksum,expiration"
#define BODY_TYPE "application/offset+octet-stream"

static void *refuse(struct rpc_call *call, enum err err, int http_status, const char *why)
{
    call->http_status = http_status;
    rpc_fail(call, err, "%s", why);
    return NULL;
}

static bool check_version(struct rpc_call *call, const char *version)
{
    if (strcmp(version, FILE_TUS_VERSION) == 0)
        return true;
    refuse(call, ERR_FAILED_PRECONDITION, 412, "Tus-Resumable: expected 1.0.0");
    return false;
}

static bool check_body_type(struct rpc_call *call, const char *content_type)
{
    if (strcmp(content_type, BODY_TYPE) == 0)
        return true;
    refuse(call, ERR_INVALID_ARGUMENT, 415, "Content-Type: expected " BODY_TYPE);
    return false;
}

static void *locked(struct rpc_call *call)
{
    call->retry_after_ms = 1000;
    return refuse(call, ERR_UNAVAILABLE, 423, "Another request is writing this upload.");
}

File__Upload *file_shape_upload(struct file_service *svc, struct rpc_call *call,
                                const struct file_row *row)
{
    File__Upload *out = arena_new(call->arena, File__Upload);
    file__upload__init(out);
    out->id = (char *)row->id;
    out->location = arena_printf(call->arena, "/api/v1/files/uploads/%s", row->id);
    out->_offset_case = FILE__UPLOAD___OFFSET_OFFSET;
    out->offset = row->received;
    out->_length_case = FILE__UPLOAD___LENGTH_LENGTH;
    out->length = row->length;
    out->metadata = (char *)row->metadata;
    out->state = row->state;
    if (row->state == FILE__STATE__UPLOADING) {
        out->expires = arena_alloc(call->arena, FILE_DATE_SIZE);
        file_http_date(row->idle_since_ms + svc->deps.upload_ms, out->expires);
    }
    return out;
}

FILE_HANDLER(file_on_capabilities, GetCapabilitiesRequest, Capabilities)
{
    struct file_service *svc = FILE_OF(rpc);
    File__Capabilities reply = FILE__CAPABILITIES__INIT;
    reply.version = (char *)FILE_TUS_VERSION;
    reply.extensions = (char *)EXTENSIONS;
    reply.max_size = LIVE_GET(svc->deps.file_max_bytes);
    reply.checksum_algorithms = (char *)"sha1,sha256";
    closure(&reply, data);
}

/* An upload of the caller's that can still be asked about; NULL after rpc_fail. */
static struct file_row *find_upload(struct file_service *svc, struct rpc_call *call, const char *id)
{
    struct file_row *row = file_load_own(svc, call, id);
    if (!row)
        return NULL;
    bool is_late = row->state == FILE__STATE__UPLOADING &&
                   clock_wall_ms() - row->idle_since_ms > svc->deps.upload_ms;
    if (row->state == FILE__STATE__REFUSED || is_late)
        return refuse(call, ERR_NOT_FOUND, 410, "This upload is gone.");
    return row;
}

FILE_HANDLER(file_on_get_upload, GetUploadRequest, Upload)
{
    struct file_service *svc = FILE_OF(rpc);
    struct rpc_call *call = data;
    bool is_allowed = who_require(call, ROLE_USER) && check_version(call, in->tus_version);
    struct file_row *row = is_allowed ? find_upload(svc, call, in->id) : NULL;
    closure(row ? file_shape_upload(svc, call, row) : NULL, call);
}

/* ---- writing ---- */

/* One part of a body, wherever it came from. */
struct part {
    struct file_service *svc;
    struct rpc_call *call;
    struct file_row *row;
    struct file_lock *lock;
    ProtobufCBinaryData bytes;
    const char *holder, *checksum;
    int64_t at; /* where in the file it belongs */
    bool is_first, has_more, is_cut;
};

static enum err advance_job(struct store_tx *tx, void *arg)
{
    const struct part *p = arg;
    return file_store_advance(tx, p->row, p->at);
}

/* All bytes below p->at are written: make that true for ever. */
static bool accept_part(struct part *p)
{
    struct file_row *row = p->row;
    char name[FILE_BLOB_NAME_SIZE];
    file_blob_name(name, row->id);
    if (p->at == row->received && row->received < row->length)
        return true;
    enum err err = ERR_OK;
    if (row->length == 0)
        err = blob_part_write(p->svc->deps.blob, name, 0, "", 0);
    if (!err)
        err = blob_part_sync(p->svc->deps.blob, name);
    if (!err)
        err = store_write_sync(p->svc->deps.store, 0, advance_job, p);
    if (err) {
        who_fail(p->call, err);
        return false;
    }
    row->received = p->at;
    row->idle_since_ms = clock_wall_ms();
    if (row->received == row->length)
        row->state = FILE__STATE__CHECKING;
    return true;
}

static bool begin_checksum(struct part *p)
{
    struct file_checksum sum;
    if (!p->is_first || !p->checksum[0])
        return true;
    const char *algorithm = "";
    if (file_checksum_parse(str_from(p->checksum), &sum))
        algorithm = str_arena(p->call->arena, sum.algorithm);
    p->lock->hash = file_hash_create(algorithm);
    if (!p->lock->hash)
        refuse(p->call, ERR_INVALID_ARGUMENT, 400,
               "Upload-Checksum: expected sha1 or sha256 and the digest in base64");
    return p->lock->hash != NULL;
}

static bool is_matching(struct part *p)
{
    struct file_checksum sum;
    uint8_t digest[FILE_SHA256_BYTES];
    size_t n = file_hash_end(p->lock->hash, digest);
    if (file_checksum_parse(str_from(p->checksum), &sum) && sum.n == n &&
        memcmp(sum.bytes, digest, n) == 0)
        return true;
    refuse(p->call, ERR_DATA_LOSS, 460, "The body does not match Upload-Checksum.");
    return false;
}

static bool check_place(struct part *p)
{
    int64_t expected = p->lock->hash && !p->is_first ? p->lock->end : p->row->received;
    if (p->at != expected) {
        rpc_fail(p->call, ERR_ABORTED, "Upload-Offset: the upload stands at %lld",
                 (long long)p->row->received);
        return false;
    }
    if ((uint64_t)p->bytes.len > (uint64_t)(p->row->length - p->at)) {
        refuse(p->call, ERR_OUT_OF_RANGE, 413, "This is more than Upload-Length said.");
        return false;
    }
    return true;
}

static bool put(struct part *p)
{
    char name[FILE_BLOB_NAME_SIZE];
    file_blob_name(name, p->row->id);
    if (!p->bytes.len)
        return true;
    enum err err =
        blob_part_write(p->svc->deps.blob, name, (uint64_t)p->at, p->bytes.data, p->bytes.len);
    if (err == ERR_OUT_OF_RANGE) /* restored from a backup, say */
        refuse(p->call, ERR_NOT_FOUND, 410, "The bytes of this upload were lost: begin anew.");
    else if (err)
        who_fail(p->call, err);
    if (err)
        return false;
    if (p->lock->hash)
        file_hash_add(p->lock->hash, p->bytes.data, p->bytes.len);
    p->at += (int64_t)p->bytes.len;
    return true;
}

/* With the lock. False after rpc_fail. */
static bool write_locked(struct part *p)
{
    bool is_finished = p->row->state != FILE__STATE__UPLOADING;
    if (!check_place(p) || !begin_checksum(p))
        return false;
    if (is_finished) /* the last answer was lost, perhaps */
        return true;
    if (!put(p))
        return false;
    if (!p->lock->hash)
        return accept_part(p);
    p->lock->end = p->at;
    if (p->has_more)
        return true;
    if (p->is_cut) {
        rpc_fail(p->call, ERR_CANCELLED, "The client is gone; half a body does not count.");
        return false;
    }
    return is_matching(p) && accept_part(p);
}

/* Finds, locks, writes; answers. */
static void write_part(struct part *p, const char *id, File__Upload_Closure closure)
{
    struct file_service *svc = p->svc;
    struct rpc_call *call = p->call;
    p->lock = file_lock_enter(svc->locks, id, p->holder);
    if (!p->lock) {
        if (p->is_cut)
            file_lock_cut(svc->locks, id, p->holder);
        closure(locked(call), call);
        return;
    }
    /* What the store says counts only while nobody else can change it. */
    p->row = find_upload(svc, call, id);
    bool was_open = p->row && p->row->state == FILE__STATE__UPLOADING;
    bool is_done = p->row && write_locked(p);
    file_lock_leave(svc->locks, p->lock, is_done && p->has_more ? FILE_LOCK_KEEP : FILE_LOCK_FREE);
    if (is_done && was_open && p->row->state == FILE__STATE__CHECKING)
        file_check_start(svc, p->row->id, call, closure);
    else
        closure(is_done ? file_shape_upload(svc, call, p->row) : NULL, call);
}

FILE_HANDLER(file_on_write, WriteUploadRequest, Upload)
{
    struct rpc_call *call = data;
    struct part p = {.svc = FILE_OF(rpc),
                     .call = call,
                     .bytes = in->bytes,
                     .holder = in->body_id,
                     .checksum = in->checksum,
                     .is_first = in->body_offset == 0,
                     .has_more = in->has_more,
                     .is_cut = in->is_cut};
    bool is_sound = who_require(call, ROLE_USER) && check_version(call, in->tus_version) &&
                    check_body_type(call, in->content_type);
    bool has_offset = in->_offset_case == FILE__WRITE_UPLOAD_REQUEST___OFFSET_OFFSET;
    if (is_sound && (!has_offset || in->offset < 0 || in->offset > INT64_MAX - in->body_offset)) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "Upload-Offset: expected a number of bytes");
        is_sound = false;
    }
    if (!is_sound) {
        closure(NULL, call);
        return;
    }
    p.at = in->offset + in->body_offset;
    write_part(&p, in->id, closure);
}

/* ---- creation ---- */

struct creating {
    struct file_service *svc;
    struct file_row row;
    const char *problem;
};

static enum err create_job(struct store_tx *tx, void *arg)
{
    struct creating *c = arg;
    struct file_limits limits = {LIVE_GET(c->svc->deps.quota_bytes), FILE_UPLOADS_MAX};
    return file_store_insert(tx, &c->row, &limits, &c->problem);
}

static bool check_length(struct file_service *svc, struct rpc_call *call,
                         const File__CreateUploadRequest *in)
{
    bool has_length = in->_length_case == FILE__CREATE_UPLOAD_REQUEST___LENGTH_LENGTH;
    if (!has_length || in->length < 0) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "Upload-Length: expected a number of bytes");
        return false;
    }
    if (in->length > LIVE_GET(svc->deps.file_max_bytes)) {
        call->http_status = 413;
        rpc_fail(call, ERR_OUT_OF_RANGE, "Upload-Length: a file has at most %lld bytes",
                 (long long)LIVE_GET(svc->deps.file_max_bytes));
        return false;
    }
    return true;
}

/* The row of a new upload; NULL after rpc_fail. */
static struct creating *create(struct file_service *svc, struct rpc_call *call,
                               const File__CreateUploadRequest *in)
{
    struct creating *c = arena_new(call->arena, struct creating);
    struct file_metadata meta;
    c->svc = svc;
    if (!check_length(svc, call, in))
        return NULL;
    if (!file_metadata_parse(str_from(in->metadata), call->arena, &meta))
        return refuse(call, ERR_INVALID_ARGUMENT, 400,
                      "Upload-Metadata: expected at most 4 kB of keys and values in base64, and a "
                      "name that can be shown");
    char *id = arena_alloc(call->arena, ID_SIZE);
    id_make(id);
    c->row = (struct file_row){.id = id,
                               .owner_id = arena_strdup(call->arena, who_id(call)),
                               .state = FILE__STATE__UPLOADING,
                               .length = in->length,
                               .metadata = arena_strdup(call->arena, in->metadata),
                               .name = meta.name,
                               .claimed_type = meta.type,
                               .created_at_ms = clock_wall_ms()};
    c->row.idle_since_ms = c->row.created_at_ms;
    enum err err = store_write_sync(svc->deps.store, 0, create_job, c);
    if (err && c->problem && strcmp(c->problem, "quota") == 0)
        return refuse(call, err, 413, "Your files would take more room than you have.");
    if (err && c->problem)
        return refuse(call, err, 0, "You have 64 unfinished uploads: end some of them.");
    return err ? who_fail(call, err) : c;
}

/* The first part makes the upload, the later ones go to the one it made. */
static void create_with_upload(struct part *p, const File__CreateUploadRequest *in,
                               File__Upload_Closure closure)
{
    char id[ID_SIZE];
    struct rpc_call *call = p->call;
    if (!check_body_type(call, in->content_type)) {
        closure(NULL, call);
        return;
    }
    if (!p->is_first) {
        if (file_lock_find(p->svc->locks, p->holder, id))
            write_part(p, id, closure);
        else
            closure(refuse(call, ERR_ABORTED, 0, "The upload that this began is gone."), call);
        return;
    }
    struct creating *c = create(p->svc, call, in);
    if (c)
        write_part(p, c->row.id, closure);
    else
        closure(NULL, call);
}

FILE_HANDLER(file_on_create, CreateUploadRequest, Upload)
{
    struct rpc_call *call = data;
    struct part p = {.svc = FILE_OF(rpc),
                     .call = call,
                     .bytes = in->bytes,
                     .holder = in->body_id,
                     .checksum = in->checksum,
                     .at = in->body_offset,
                     .is_first = in->body_offset == 0,
                     .has_more = in->has_more,
                     .is_cut = in->is_cut};
    if (!who_require(call, ROLE_USER) || !check_version(call, in->tus_version)) {
        closure(NULL, call);
        return;
    }
    if (p.is_first && p.is_cut) { /* nobody would know of it */
        rpc_fail(call, ERR_CANCELLED, "The client is gone.");
        closure(NULL, call);
        return;
    }
    if (p.bytes.len || !p.is_first) {
        create_with_upload(&p, in, closure);
        return;
    }
    struct creating *c = create(p.svc, call, in);
    if (c && c->row.length == 0) /* all of it is here */
        write_part(&p, c->row.id, closure);
    else
        closure(c ? file_shape_upload(p.svc, call, &c->row) : NULL, call);
}

/* ---- termination ---- */

FILE_HANDLER(file_on_delete_upload, DeleteUploadRequest, DeleteReply)
{
    struct file_service *svc = FILE_OF(rpc);
    struct rpc_call *call = data;
    File__DeleteReply reply = FILE__DELETE_REPLY__INIT;
    bool is_allowed = who_require(call, ROLE_USER) && check_version(call, in->tus_version);
    struct file_row *row = is_allowed ? find_upload(svc, call, in->id) : NULL;
    if (!row) {
        closure(NULL, call);
        return;
    }
    enum err err = file_remove(svc, row->id);
    if (err == ERR_UNAVAILABLE)
        locked(call);
    else if (err == ERR_FAILED_PRECONDITION)
        rpc_fail(call, err, "A message refers to this file: recall that first.");
    else if (err)
        who_fail(call, err);
    closure(err ? NULL : &reply, call);
}
