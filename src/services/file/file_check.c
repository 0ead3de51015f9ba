/*
 * A whole upload becomes a file: its bytes become a blob, are digested, and room convert looks what
 * they are (in a process that has nothing but them). Then it is decided: what it is, or that it is
 * not what it was said to be. Each step may be done twice, so after a crash it is begun anew.
 */
#include <unistd.h>

#include "convert/convert.h"
#include "services/file/file_internal.h"

#define HOLDER "check"
#define READ_BYTES (64 * 1024)
#define THUMBNAIL_PX 640
#define BUSY_MAX 16 /* files waiting to be looked at before nobody waits for an answer */

struct checking {
    struct file_service *svc;
    struct rpc_call *call; /* NULL: nobody waits */
    File__Upload_Closure closure;
    struct arena *arena;
    struct file_row row;
    char id[ID_SIZE];
};

void file_blob_name(char out[FILE_BLOB_NAME_SIZE], const char *id)
{
    /* The last characters are random: directories fill evenly. */
    snprintf(out, FILE_BLOB_NAME_SIZE, "files/%.2s/%s", id + strlen(id) - 2, id);
}

void file_thumbnail_name(char out[FILE_BLOB_NAME_SIZE], const char *id)
{
    snprintf(out, FILE_BLOB_NAME_SIZE, "files/%.2s/%s.webp", id + strlen(id) - 2, id);
}

/* ---- what it is ---- */

static enum err digest(int fd, uint64_t size, struct checking *c, struct convert_sniffed *sniffed)
{
    struct file_hash *hash = file_hash_create("sha256");
    char *bytes = mem_alloc(READ_BYTES);
    enum err err = ERR_OK;
    uint64_t at = 0;
    *sniffed = convert_sniff("", 0);
    while (at < size && !err) {
        ssize_t n = pread(fd, bytes, READ_BYTES, (off_t)at);
        if (n <= 0) {
            err = n ? ERR_UNAVAILABLE : ERR_DATA_LOSS;
            break;
        }
        if (at == 0)
            *sniffed = convert_sniff(bytes, MIN((size_t)n, CONVERT_SNIFF_BYTES));
        file_hash_add(hash, bytes, (size_t)n);
        at += (uint64_t)n;
    }
    uint8_t *sum = arena_alloc(c->arena, FILE_SHA256_BYTES);
    c->row.sha256_n = file_hash_end(hash, sum);
    c->row.sha256 = sum;
    file_hash_destroy(&hash);
    free(bytes);
    return err;
}

static File__Kind kind_of(enum convert_kind kind)
{
    return kind == CONVERT_IMAGE   ? FILE__KIND__IMAGE
           : kind == CONVERT_AUDIO ? FILE__KIND__AUDIO
           : kind == CONVERT_VIDEO ? FILE__KIND__VIDEO
                                   : FILE__KIND__DATA;
}

/* What somebody promised who named one of the types that are looked into; DATA: nothing. */
static File__Kind claimed_kind(const char *type)
{
    static const struct {
        const char *type;
        File__Kind kind;
    } types[] = {
        {"image/png", FILE__KIND__IMAGE},   {"image/jpeg", FILE__KIND__IMAGE},
        {"image/gif", FILE__KIND__IMAGE},   {"image/webp", FILE__KIND__IMAGE},
        {"image/jpg", FILE__KIND__IMAGE},   {"image/apng", FILE__KIND__IMAGE},
        {"audio/mpeg", FILE__KIND__AUDIO},  {"audio/mp3", FILE__KIND__AUDIO},
        {"audio/mp4", FILE__KIND__AUDIO},   {"audio/aac", FILE__KIND__AUDIO},
        {"audio/ogg", FILE__KIND__AUDIO},   {"audio/opus", FILE__KIND__AUDIO},
        {"audio/wav", FILE__KIND__AUDIO},   {"audio/x-wav", FILE__KIND__AUDIO},
        {"audio/webm", FILE__KIND__AUDIO},  {"audio/flac", FILE__KIND__AUDIO},
        {"audio/x-m4a", FILE__KIND__AUDIO}, {"audio/x-flac", FILE__KIND__AUDIO},
        {"video/mp4", FILE__KIND__VIDEO},   {"video/webm", FILE__KIND__VIDEO},
        {"video/ogg", FILE__KIND__VIDEO},   {"video/quicktime", FILE__KIND__VIDEO},
        {"video/x-m4v", FILE__KIND__VIDEO},
    };
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (strcmp(types[i].type, type) == 0)
            return types[i].kind;
    }
    return FILE__KIND__DATA;
}

/* Files of sound alone are often called video, by their container. */
static bool is_as_claimed(File__Kind claimed, File__Kind kind)
{
    return claimed == FILE__KIND__DATA || claimed == kind ||
           (claimed == FILE__KIND__VIDEO && kind == FILE__KIND__AUDIO);
}

static void refuse(struct checking *c, const char *why)
{
    c->row.state = FILE__STATE__REFUSED;
    c->row.problem =
        arena_printf(c->arena, "It is not the %s it was said to be: %s.", c->row.claimed_type, why);
}

static enum err keep_thumbnail(struct checking *c, const struct convert_result *r)
{
    char name[FILE_BLOB_NAME_SIZE];
    if (!r->thumbnail)
        return ERR_OK;
    file_thumbnail_name(name, c->row.id);
    enum err err = blob_put(c->svc->deps.blob, name, r->thumbnail, r->thumbnail_bytes);
    if (err == ERR_ALREADY_EXISTS) /* before a crash */
        err = ERR_OK;
    c->row.has_thumbnail = !err;
    return err;
}

static void take_facts(struct checking *c, const struct convert_result *r)
{
    c->row.kind = kind_of(r->kind);
    c->row.content_type = r->mime;
    c->row.width = r->width;
    c->row.height = r->height;
    c->row.duration_ms = r->duration_ms;
    c->row.waveform_n = r->waveform_count;
    c->row.waveform = arena_memdup(c->arena, r->waveform, r->waveform_count);
}

/* ERR_UNAVAILABLE: not now. */
static enum err look_into(struct checking *c, int fd, const struct convert_sniffed *sniffed)
{
    File__Kind claimed = claimed_kind(c->row.claimed_type);
    c->row.state = FILE__STATE__READY;
    c->row.content_type = sniffed->mime;
    if (!c->svc->deps.convert)
        return ERR_OK;
    if (sniffed->kind == CONVERT_OTHER) {
        if (claimed != FILE__KIND__DATA)
            refuse(c, "its bytes are something else");
        return ERR_OK;
    }
    struct convert_result r = {0};
    enum err err = convert_run(c->svc->deps.convert, fd,
                               &(struct convert_wish){.thumbnail_px = THUMBNAIL_PX}, &r);
    if (!err && r.refusal == CONVERT_FINE && is_as_claimed(claimed, kind_of(r.kind))) {
        take_facts(c, &r);
        err = keep_thumbnail(c, &r);
    } else if (!err && claimed != FILE__KIND__DATA) {
        refuse(c, r.refusal == CONVERT_FINE ? "it is of another kind"
                                            : convert_refusal_text(r.refusal));
    } else if (!err) {
        c->row.content_type = "application/octet-stream";
    } else if (err != ERR_UNAVAILABLE) { /* our fault, not the file's */
        log_error(NULL, "file: %s cannot be looked into: %s", c->row.id, err_text(err));
        err = ERR_OK;
    }
    convert_result_deinit(&r);
    return err;
}

/* ---- the steps ---- */

/* ERR_NOT_FOUND of the parts: they are the blob already. */
static enum err become_blob(struct checking *c, int *fd, uint64_t *size)
{
    char name[FILE_BLOB_NAME_SIZE];
    file_blob_name(name, c->row.id);
    enum err err = blob_part_finish(c->svc->deps.blob, name, (uint64_t)c->row.length);
    if (err && err != ERR_NOT_FOUND && err != ERR_ALREADY_EXISTS)
        return err;
    err = blob_open_file(c->svc->deps.blob, name, fd, size);
    if (!err && *size != (uint64_t)c->row.length) {
        close(*fd);
        err = ERR_DATA_LOSS;
    }
    return err == ERR_NOT_FOUND ? ERR_DATA_LOSS : err;
}

static enum err decide_job(struct store_tx *tx, void *arg)
{
    struct checking *c = arg;
    return file_store_decide(tx, &c->row);
}

static enum err decide(struct checking *c)
{
    char name[FILE_BLOB_NAME_SIZE];
    enum err err = store_write_sync(c->svc->deps.store, 0, decide_job, c);
    if (err || c->row.state != FILE__STATE__REFUSED)
        return err;
    file_blob_name(name, c->row.id);
    enum err gone = blob_delete(c->svc->deps.blob, name);
    if (gone && gone != ERR_NOT_FOUND)
        log_warn(NULL, "file: the bytes of %s stay for now: %s", c->row.id, err_text(gone));
    return ERR_OK;
}

static enum err examine(struct checking *c)
{
    int fd;
    uint64_t size;
    struct convert_sniffed sniffed;
    enum err err = become_blob(c, &fd, &size);
    if (err == ERR_DATA_LOSS) {
        log_error(NULL, "file: the bytes of %s are not there", c->row.id);
        c->row.state = FILE__STATE__REFUSED;
        c->row.problem = "Its bytes were lost: send it again.";
        return decide(c);
    }
    if (err)
        return err;
    err = digest(fd, size, c, &sniffed);
    if (!err)
        err = look_into(c, fd, &sniffed);
    close(fd);
    return err ? err : decide(c);
}

static void answer(struct checking *c)
{
    struct rpc_call *call = c->call;
    if (!call)
        return;
    if (c->row.state == FILE__STATE__REFUSED) {
        call->http_status = 415;
        rpc_fail(call, ERR_INVALID_ARGUMENT, "%s", c->row.problem);
        c->closure(NULL, call);
    } else {
        c->closure(file_shape_upload(c->svc, call, &c->row), call);
    }
}

static void run(void *arg)
{
    struct checking *c = arg;
    struct file_service *svc = c->svc;
    struct file_lock *lock = file_lock_enter(svc->locks, c->id, HOLDER);
    enum err err = file_load(svc, c->arena, c->id, &c->row);
    if (lock && !err && c->row.state == FILE__STATE__CHECKING) {
        err = examine(c);
        if (err) { /* the timer tries again */
            log_warn(NULL, "file: %s is not looked at yet: %s", c->id, err_text(err));
            err = file_load(svc, c->arena, c->id, &c->row);
        }
    }
    if (lock)
        file_lock_leave(svc->locks, lock, FILE_LOCK_FREE);
    if (err && c->call)
        c->closure(who_fail(c->call, err), c->call);
    else if (!err)
        answer(c);
    arena_destroy(&c->arena);
    free(c);
}

void file_check_start(struct file_service *svc, const char *id, struct rpc_call *call,
                      File__Upload_Closure closure)
{
    struct checking *c = mem_new(struct checking);
    c->svc = svc;
    c->arena = arena_create();
    snprintf(c->id, sizeof(c->id), "%s", id);
    bool is_busy = worker_queued(svc->checkers) > BUSY_MAX;
    if (!is_busy) {
        c->call = call;
        c->closure = closure;
    }
    enum err err = worker_run(svc->checkers, run, c);
    if (!err && !is_busy)
        return;
    /* The bytes are safe; what they are will be known later. */
    if (err) {
        c->call = NULL;
        arena_destroy(&c->arena);
        free(c);
    }
    if (!call)
        return;
    struct file_row row;
    err = file_load(svc, call->arena, id, &row);
    closure(err ? who_fail(call, err) : file_shape_upload(svc, call, &row), call);
}
