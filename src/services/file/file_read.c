/*
 * Files as their owners and other services see them: what they are, where their bytes lie. Only
 * what room convert has understood is shown by browsers; all else is a download without a type.
 */
#include "services/common/text.h"
#include "services/file/file_internal.h"
#include "core/live.h"

#define LIST_NORMAL 50
#define LIST_MAX 200
#define CLAIM_MAX 20
#define ID_LAST "~" /* above every id */

static File__FileInfo *shape(struct arena *arena, const struct file_row *row)
{
    File__FileInfo *out = arena_new(arena, File__FileInfo);
    file__file_info__init(out);
    out->id = (char *)row->id;
    out->state = row->state;
    out->name = (char *)row->name;
    out->content_type = (char *)row->content_type;
    out->kind = row->kind;
    out->size = row->length;
    out->width = (int32_t)row->width;
    out->height = (int32_t)row->height;
    out->duration_ms = row->duration_ms;
    out->waveform.data = (uint8_t *)(uintptr_t)row->waveform;
    out->waveform.len = row->waveform_n;
    out->has_thumbnail = row->has_thumbnail;
    out->sha256 = arena_alloc(arena, 2 * FILE_SHA256_BYTES + 1);
    str_hex(out->sha256, row->sha256, MIN(row->sha256_n, (size_t)FILE_SHA256_BYTES));
    out->problem = (char *)row->problem;
    out->created_at_ms = row->created_at_ms;
    out->offset = row->received;
    return out;
}

/* NULL after rpc_fail. */
static File__FileBody *shape_body(struct rpc_call *call, const struct file_row *row,
                                  bool is_thumbnail)
{
    if (row->state != FILE__STATE__READY || (is_thumbnail && !row->has_thumbnail)) {
        rpc_fail(call, ERR_NOT_FOUND,
                 is_thumbnail ? "There is no small picture of this file."
                              : "There is no such file (yet).");
        return NULL;
    }
    File__FileBody *out = arena_new(call->arena, File__FileBody);
    char hex[2 * FILE_SHA256_BYTES + 1];
    file__file_body__init(out);
    out->blob = arena_alloc(call->arena, FILE_BLOB_NAME_SIZE);
    if (is_thumbnail)
        file_thumbnail_name(out->blob, row->id);
    else
        file_blob_name(out->blob, row->id);
    str_hex(hex, row->sha256, MIN(row->sha256_n, (size_t)FILE_SHA256_BYTES));
    out->etag = arena_printf(call->arena, "\"%.32s%s\"", hex, is_thumbnail ? "-t" : "");
    out->is_inline = is_thumbnail || row->kind != FILE__KIND__DATA;
    out->content_type = is_thumbnail     ? (char *)"image/webp"
                        : out->is_inline ? (char *)row->content_type
                                         : (char *)"application/octet-stream";
    out->file_name = is_thumbnail ? (char *)"" : (char *)row->name;
    return out;
}

FILE_HANDLER(file_on_info, GetFileRequest, FileInfo)
{
    struct rpc_call *call = data;
    bool is_allowed = who_require(call, ROLE_USER);
    struct file_row *row = is_allowed ? file_load_own(FILE_OF(rpc), call, in->id) : NULL;
    closure(row ? shape(call->arena, row) : NULL, call);
}

FILE_HANDLER(file_on_content, GetFileRequest, FileBody)
{
    struct rpc_call *call = data;
    bool is_allowed = who_require(call, ROLE_USER);
    struct file_row *row = is_allowed ? file_load_own(FILE_OF(rpc), call, in->id) : NULL;
    closure(row ? shape_body(call, row, false) : NULL, call);
}

FILE_HANDLER(file_on_thumbnail, GetFileRequest, FileBody)
{
    struct rpc_call *call = data;
    bool is_allowed = who_require(call, ROLE_USER);
    struct file_row *row = is_allowed ? file_load_own(FILE_OF(rpc), call, in->id) : NULL;
    closure(row ? shape_body(call, row, true) : NULL, call);
}

FILE_HANDLER(file_on_locate, LocateRequest, FileBody)
{
    struct rpc_call *call = data;
    struct file_row row;
    File__FileBody *reply = NULL;
    if (who_require_system(call)) {
        enum err err = file_load(FILE_OF(rpc), call->arena, in->id, &row);
        reply = err ? who_fail(call, err) : shape_body(call, &row, in->is_thumbnail);
    }
    closure(reply, call);
}

/* ---- lists ---- */

struct listing {
    struct arena *arena;
    const char *owner_id, *below;
    int64_t limit;
    struct file_row *rows;
    size_t count;
    int64_t used_bytes;
};

static enum err list_job(struct store_tx *tx, void *arg)
{
    struct listing *l = arg;
    enum err err = file_store_used(tx, l->owner_id, &l->used_bytes);
    return err ? err
               : file_store_list(tx, l->arena, l->owner_id, l->below, l->limit + 1, &l->rows,
                                 &l->count);
}

static File__FileList *list(struct file_service *svc, struct rpc_call *call,
                            const File__ListFilesRequest *in)
{
    struct listing l = {.arena = call->arena,
                        .owner_id = who_id(call),
                        .below = in->cursor[0] ? in->cursor : ID_LAST,
                        .limit = in->limit > 0 ? MIN(in->limit, LIST_MAX) : LIST_NORMAL};
    if (in->cursor[0] && !id_is_valid(in->cursor)) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "cursor: expected one from an earlier page");
        return NULL;
    }
    enum err err = store_read(svc->deps.store, list_job, &l);
    if (err)
        return who_fail(call, err);
    File__FileList *out = arena_new(call->arena, File__FileList);
    file__file_list__init(out);
    out->n_files = MIN(l.count, (size_t)l.limit);
    out->files = arena_array(call->arena, File__FileInfo *, out->n_files + 1);
    for (size_t i = 0; i < out->n_files; i++)
        out->files[i] = shape(call->arena, &l.rows[i]);
    if (l.count > (size_t)l.limit)
        out->next_cursor = (char *)l.rows[l.limit - 1].id;
    out->used_bytes = l.used_bytes;
    out->quota_bytes = LIVE_GET(svc->deps.quota_bytes);
    out->max_bytes = LIVE_GET(svc->deps.file_max_bytes);
    return out;
}

FILE_HANDLER(file_on_list, ListFilesRequest, FileList)
{
    struct rpc_call *call = data;
    closure(who_require(call, ROLE_USER) ? list(FILE_OF(rpc), call, in) : NULL, call);
}

FILE_HANDLER(file_on_delete, DeleteFileRequest, DeleteReply)
{
    struct file_service *svc = FILE_OF(rpc);
    struct rpc_call *call = data;
    File__DeleteReply reply = FILE__DELETE_REPLY__INIT;
    bool is_allowed = who_require(call, ROLE_USER);
    struct file_row *row = is_allowed ? file_load_own(svc, call, in->id) : NULL;
    enum err err = row ? file_remove(svc, row->id) : ERR_OK;
    if (err == ERR_FAILED_PRECONDITION)
        rpc_fail(call, err,
                 "A message refers to this file, or is being sent with it: recall that first.");
    else if (err)
        who_fail(call, err);
    closure(row && !err ? &reply : NULL, call);
}

/* ---- claims ---- */

struct claiming {
    struct file_service *svc;
    struct rpc_call *call;
    const File__ClaimRequest *in;
    struct file_row rows[CLAIM_MAX];
    bool is_stale; /* one of them might go soon */
};

static enum err find_claimed(struct store_tx *tx, void *arg)
{
    struct claiming *c = arg;
    int64_t fresh_ms = clock_wall_ms() - c->svc->deps.orphan_ms / 2;
    for (size_t i = 0; i < c->in->n_ids; i++) {
        struct file_row *row = &c->rows[i];
        enum err err = file_store_find(tx, c->call->arena, c->in->ids[i], row);
        if (err)
            return err;
        c->is_stale |= row->idle_since_ms && row->idle_since_ms < fresh_ms;
    }
    return ERR_OK;
}

static enum err touch_claimed(struct store_tx *tx, void *arg)
{
    struct claiming *c = arg;
    enum err err = ERR_OK;
    for (size_t i = 0; i < c->in->n_ids && !err; i++)
        err = file_store_touch(tx, c->in->ids[i]);
    return err;
}

static enum err check_claimed(const struct claiming *c)
{
    for (size_t i = 0; i < c->in->n_ids; i++) {
        const struct file_row *row = &c->rows[i];
        if (strcmp(row->owner_id, c->in->user_id) != 0 || row->state == FILE__STATE__DELETED)
            return ERR_NOT_FOUND;
        if (row->state != FILE__STATE__READY)
            return ERR_FAILED_PRECONDITION;
    }
    return ERR_OK;
}

static void drop_claimed(const struct claiming *c, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (id_is_valid(c->in->ids[i]))
            file_hold_drop(c->svc, c->in->ids[i]);
    }
}

/* All of them, or none. A text that is no id is nobody's file. */
static bool hold_claimed(const struct claiming *c)
{
    for (size_t i = 0; i < c->in->n_ids; i++) {
        if (id_is_valid(c->in->ids[i]) && !file_hold_take(c->svc, c->in->ids[i])) {
            drop_claimed(c, i);
            return false;
        }
    }
    return true;
}

static File__ClaimReply *claim(struct file_service *svc, struct rpc_call *call,
                               const File__ClaimRequest *in)
{
    struct claiming c = {.svc = svc, .call = call, .in = in};
    if (in->n_ids > CLAIM_MAX) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "attachments: at most 20");
        return NULL;
    }
    bool is_held = hold_claimed(&c);
    enum err err = is_held ? store_read(svc->deps.store, find_claimed, &c) : ERR_UNAVAILABLE;
    if (!err)
        err = check_claimed(&c);
    if (!err && c.is_stale)
        err = store_write_sync(svc->deps.store, 0, touch_claimed, &c);
    if (err && is_held)
        drop_claimed(&c, in->n_ids);
    if (err == ERR_NOT_FOUND)
        rpc_fail(call, ERR_NOT_FOUND, "attachments: there is no such file of yours");
    else if (err == ERR_FAILED_PRECONDITION)
        rpc_fail(call, err, "attachments: a file is not ready yet, or was refused");
    if (err)
        return who_fail(call, err);
    File__ClaimReply *out = arena_new(call->arena, File__ClaimReply);
    file__claim_reply__init(out);
    out->n_files = in->n_ids;
    out->files = arena_array(call->arena, File__FileInfo *, in->n_ids + 1);
    for (size_t i = 0; i < in->n_ids; i++)
        out->files[i] = shape(call->arena, &c.rows[i]);
    return out;
}

FILE_HANDLER(file_on_claim, ClaimRequest, ClaimReply)
{
    bool is_allowed = who_require_system(data);
    closure(is_allowed ? claim(FILE_OF(rpc), data, in) : NULL, data);
}
