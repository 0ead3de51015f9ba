/*
 * Files in messages. The file service says what a file is and whose; here stands which messages
 * refer to it, so whoever may read one of them may read the file. Each reference, and its end, is
 * told to the file service by an event of the same transaction: what nothing refers to goes.
 */
#include "services/message/message_internal.h"

#include "file.pb-c.h"

/* ---- before the transaction: what the files are ---- */

static bool is_kind_right(Message__ContentKind kind, File__Kind file)
{
    switch (kind) {
    case MESSAGE__CONTENT_KIND__IMAGE:
        return file == FILE__KIND__IMAGE;
    case MESSAGE__CONTENT_KIND__VIDEO:
        return file == FILE__KIND__VIDEO;
    case MESSAGE__CONTENT_KIND__VOICE:
        return file == FILE__KIND__AUDIO;
    default:
        return true;
    }
}

static void fill(struct arena *arena, const File__FileInfo *file, Message__Attachment *out)
{
    message__attachment__init(out);
    out->file_id = arena_strdup(arena, file->id);
    out->name = arena_strdup(arena, file->name);
    out->content_type = arena_strdup(arena, file->content_type);
    out->size = file->size;
    out->width = file->width;
    out->height = file->height;
    out->duration_ms = file->duration_ms;
    out->waveform.data = arena_memdup(arena, file->waveform.data, file->waveform.len);
    out->waveform.len = file->waveform.len;
    out->has_thumbnail = file->has_thumbnail;
}

/* Calls of one service to another: the system asks, for the person named. */
static struct rpc_call *system_call(const struct rpc_call *like)
{
    struct rpc_call *call = rpc_call_create(like);
    call->who = NULL;
    return call;
}

static enum err take_files(struct rpc_call *call, const File__ClaimReply *reply,
                           Message__Content *content)
{
    for (size_t i = 0; i < reply->n_files; i++) {
        if (!is_kind_right(content->kind, reply->files[i]->kind)) {
            rpc_fail(call, ERR_INVALID_ARGUMENT,
                     "attachments: a file is of another kind than the message says");
            return ERR_INVALID_ARGUMENT;
        }
        fill(call->arena, reply->files[i], content->attachments[i]);
    }
    return ERR_OK;
}

enum err message_files_claim(struct message_op *op, Message__Content *content)
{
    struct rpc_call *call = op->call;
    if (!content->n_attachments)
        return ERR_OK;
    File__ClaimRequest request = FILE__CLAIM_REQUEST__INIT;
    request.user_id = (char *)who_id(call);
    request.n_ids = content->n_attachments;
    request.ids = arena_array(call->arena, char *, request.n_ids);
    for (size_t i = 0; i < request.n_ids; i++)
        request.ids[i] = content->attachments[i]->file_id;
    struct rpc_call *c = system_call(call);
    const File__ClaimReply *reply = rpc_sync(op->svc->deps.file, "Claim", &request.base, c);
    enum err err = ERR_OK;
    if (!reply || reply->n_files != request.n_ids) {
        err = reply ? ERR_INTERNAL : c->err;
        rpc_fail(call, err, "%s", reply ? err_text(err) : c->message);
    } else {
        err = take_files(call, reply, content);
    }
    rpc_call_unref(&c);
    return err;
}

Message__Content *message_files_named(struct arena *arena, const Message__Content *content)
{
    Message__Content *out = arena_memdup(arena, content, sizeof(*content));
    out->attachments = arena_array(arena, Message__Attachment *, content->n_attachments + 1);
    for (size_t i = 0; i < content->n_attachments; i++) {
        out->attachments[i] = arena_new(arena, Message__Attachment);
        message__attachment__init(out->attachments[i]);
        out->attachments[i]->file_id = content->attachments[i]->file_id;
    }
    return out;
}

/* ---- in it: who refers to what ---- */

static enum err tell(struct store_tx *tx, struct message_service *svc, const char *file_id,
                     const char *ref, bool is_released)
{
    File__RefEvent event = FILE__REF_EVENT__INIT;
    event.file_id = (char *)file_id;
    event.ref = (char *)ref;
    event.is_released = is_released;
    size_t n = file__ref_event__get_packed_size(&event);
    uint8_t *bytes = mem_alloc(n + 1);
    file__ref_event__pack(&event, bytes);
    enum err err = bus_publish_tx(message_base_in(svc, tx)->bus, tx,
                                  &(struct bus_event){.channel = "file_refs",
                                                      .type = is_released ? "released" : "referred",
                                                      .key = file_id,
                                                      .payload = {(const char *)bytes, n}});
    free(bytes);
    return err;
}

static void ref_of_message(char out[64], int64_t num, int64_t seq)
{
    snprintf(out, 64, "message:%lld:%lld", (long long)num, (long long)seq);
}

enum err message_files_add(struct store_tx *tx, struct message_op *op, const struct message_row *m)
{
    char ref[64];
    enum err err = ERR_OK;
    if (!message_is_file_kind(m->kind))
        return ERR_OK;
    Message__Content *content = message_content_of(op->call->arena, m);
    if (!content)
        return ERR_DATA_LOSS;
    ref_of_message(ref, m->conversation_num, m->seq);
    for (size_t i = 0; i < content->n_attachments && !err; i++) {
        const char *id = content->attachments[i]->file_id;
        err = store_run(tx,
                        "INSERT INTO message_files (conversation_num, seq, file_id)"
                        " VALUES (?,?,?) ON CONFLICT DO NOTHING",
                        "iis", m->conversation_num, m->seq, id);
        if (!err)
            err = tell(tx, op->svc, id, ref, false);
    }
    return err;
}

enum err message_files_release(struct store_tx *tx, struct message_service *svc, int64_t num,
                               int64_t from_seq, int64_t to_seq)
{
    struct arena *arena = arena_create();
    struct store_stmt *st = store_query(tx,
                                        "SELECT seq, file_id FROM message_files WHERE"
                                        " conversation_num = ? AND seq >= ? AND seq <= ?",
                                        "iii", num, from_seq, to_seq);
    struct released {
        struct released *next;
        int64_t seq;
        char *file_id;
    } *list = NULL;
    while (store_step(st)) {
        struct released *r = arena_new(arena, struct released);
        *r = (struct released){list, store_int(st, 0), store_text(st, 1, arena)};
        list = r;
    }
    enum err err = store_finish(st);
    for (struct released *r = list; r && !err; r = r->next) {
        char ref[64];
        ref_of_message(ref, num, r->seq);
        err = tell(tx, svc, r->file_id, ref, true);
    }
    arena_destroy(&arena);
    if (err || !list)
        return err;
    return store_run(tx,
                     "DELETE FROM message_files WHERE conversation_num = ? AND seq >= ? AND"
                     " seq <= ?",
                     "iii", num, from_seq, to_seq);
}

enum err message_files_keep(struct store_tx *tx, struct message_service *svc,
                            const Message__Content *content, const char *scheduled_id,
                            bool is_released)
{
    char ref[64];
    enum err err = ERR_OK;
    snprintf(ref, sizeof(ref), "scheduled:%s", scheduled_id);
    for (size_t i = 0; content && i < content->n_attachments && !err; i++)
        err = tell(tx, svc, content->attachments[i]->file_id, ref, is_released);
    return err;
}

/* ---- reading ---- */

struct reading {
    struct message_op op; /* first */
    const char *file_id;
};

static enum err find_job(struct store_tx *tx, struct message_op *op)
{
    struct reading *r = CONTAINER_OF(op, struct reading, op);
    int64_t found = 0;
    enum err err = message_take_number(
        store_query(tx,
                    "SELECT COUNT(*) FROM message_files f WHERE f.file_id = ?"
                    " AND f.conversation_num = ? AND f.seq > ? AND f.seq <= ? AND NOT EXISTS"
                    " (SELECT 1 FROM message_hidden h WHERE h.user_id = ?"
                    " AND h.conversation_num = f.conversation_num AND h.seq = f.seq)",
                    "siiis", r->file_id, op->c.num, message_visible_from(op),
                    message_visible_to(op), op->me.user_id),
        &found);
    return err ? err : found ? ERR_OK : message_refuse(op, ERR_NOT_FOUND, "There is no such file.");
}

static void read_file(struct message_service *svc, struct rpc_call *call,
                      const Message__GetFileRequest *in, ProtobufCClosure closure,
                      bool is_thumbnail)
{
    struct reading *r = message_op_create(svc, call, sizeof(*r), &in->base, closure);
    const Message__GetFileRequest *own = r->op.in;
    r->op.fn = find_job;
    r->op.conversation_id = own->id;
    r->op.needs = MESSAGE_NEEDS_READ;
    r->file_id = own->file_id;
    enum err err = who_require(call, ROLE_GUEST) ? message_look_sync(&r->op) : rpc_failure(call);
    if (err) {
        closure(who_fail(call, err), call);
        return;
    }
    File__LocateRequest request = FILE__LOCATE_REQUEST__INIT;
    request.id = (char *)r->file_id;
    request.is_thumbnail = is_thumbnail;
    struct rpc_call *c = system_call(call);
    const void *reply = rpc_sync(svc->deps.file, "Locate", &request.base, c);
    if (!reply)
        rpc_fail(call, c->err, "%s", c->message);
    closure(reply, call);
    rpc_call_unref(&c);
}

void message_on_file(Message__Message_Service *rpc, const Message__GetFileRequest *in,
                     File__FileBody_Closure closure, void *data)
{
    read_file(MESSAGE_OF(rpc), data, in, (ProtobufCClosure)closure, false);
}

void message_on_file_thumbnail(Message__Message_Service *rpc, const Message__GetFileRequest *in,
                               File__FileBody_Closure closure, void *data)
{
    read_file(MESSAGE_OF(rpc), data, in, (ProtobufCClosure)closure, true);
}
