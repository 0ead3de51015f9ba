/*
 * file_store: the tables of files, of what refers to them and of what people use, and all SQL on
 * them. A row is there before the first byte and goes after the last, so bytes without a row do not
 * stay behind.
 */
#include "services/file/file_internal.h"

const struct store_migration file_migrations[] = {
    {"file", 1,
     "CREATE TABLE file_files ("
     " id TEXT NOT NULL PRIMARY KEY, owner_id TEXT NOT NULL, state INTEGER NOT NULL,"
     " length BIGINT NOT NULL, received BIGINT NOT NULL, metadata TEXT NOT NULL,"
     " name TEXT NOT NULL, claimed_type TEXT NOT NULL, content_type TEXT NOT NULL,"
     " problem TEXT NOT NULL, kind INTEGER NOT NULL, width INTEGER NOT NULL,"
     " height INTEGER NOT NULL, duration_ms BIGINT NOT NULL, waveform BLOB NOT NULL,"
     " sha256 BLOB NOT NULL, has_thumbnail INTEGER NOT NULL, created_at_ms BIGINT NOT NULL,"
     " idle_since_ms BIGINT NOT NULL);"
     "CREATE INDEX file_files_by_owner ON file_files (owner_id, id);"
     "CREATE INDEX file_files_idle ON file_files (state, idle_since_ms);"
     "CREATE TABLE file_refs ("
     " file_id TEXT NOT NULL, ref TEXT NOT NULL, PRIMARY KEY (file_id, ref));"
     /* what counts: all but refused and deleted files */
     "CREATE TABLE file_owners ("
     " owner_id TEXT NOT NULL PRIMARY KEY, bytes BIGINT NOT NULL, upload_count BIGINT NOT NULL)"},
};
const size_t file_migration_count = ARRAY_LEN(file_migrations);

/* In the order of read_row. */
#define COLUMNS                                                                                   \
    "id, owner_id, state, length, received, metadata, name, claimed_type, content_type, problem," \
    " kind, width, height, duration_ms, waveform, sha256, has_thumbnail, created_at_ms,"          \
    " idle_since_ms"

static void read_row(struct store_stmt *st, struct arena *arena, struct file_row *out)
{
    *out = (struct file_row){
        .id = store_text(st, 0, arena),
        .owner_id = store_text(st, 1, arena),
        .state = (File__State)store_int(st, 2),
        .length = store_int(st, 3),
        .received = store_int(st, 4),
        .metadata = store_text(st, 5, arena),
        .name = store_text(st, 6, arena),
        .claimed_type = store_text(st, 7, arena),
        .content_type = store_text(st, 8, arena),
        .problem = store_text(st, 9, arena),
        .kind = (File__Kind)store_int(st, 10),
        .width = store_int(st, 11),
        .height = store_int(st, 12),
        .duration_ms = store_int(st, 13),
        .has_thumbnail = store_int(st, 16) != 0,
        .created_at_ms = store_int(st, 17),
        .idle_since_ms = store_int(st, 18),
    };
    out->waveform = store_blob(st, 14, arena, &out->waveform_n);
    out->sha256 = store_blob(st, 15, arena, &out->sha256_n);
}

static enum err read_number(struct store_stmt *st, int64_t *out)
{
    *out = store_step(st) ? store_int(st, 0) : 0;
    return store_finish(st);
}

enum err file_store_find(struct store_tx *tx, struct arena *arena, const char *id,
                         struct file_row *out)
{
    struct store_stmt *st =
        store_query(tx, "SELECT " COLUMNS " FROM file_files WHERE id = ?", "s", id);
    bool is_found = store_step(st);
    if (is_found)
        read_row(st, arena, out);
    enum err err = store_finish(st);
    return err ? err : is_found ? ERR_OK : ERR_NOT_FOUND;
}

enum err file_store_used(struct store_tx *tx, const char *owner_id, int64_t *bytes)
{
    return read_number(
        store_query(tx, "SELECT bytes FROM file_owners WHERE owner_id = ?", "s", owner_id), bytes);
}

static enum err count_in(struct store_tx *tx, const char *owner_id, int64_t bytes, int64_t uploads)
{
    return store_run(tx,
                     "INSERT INTO file_owners (owner_id, bytes, upload_count) VALUES (?,?,?)"
                     " ON CONFLICT (owner_id) DO UPDATE SET bytes = file_owners.bytes + ?,"
                     " upload_count = file_owners.upload_count + ?",
                     "siiii", owner_id, bytes, uploads, bytes, uploads);
}

static enum err check_limits(struct store_tx *tx, const struct file_row *row,
                             const struct file_limits *limits, const char **problem)
{
    int64_t used, uploads;
    enum err err = file_store_used(tx, row->owner_id, &used);
    if (!err)
        err = read_number(store_query(tx, "SELECT upload_count FROM file_owners WHERE owner_id = ?",
                                      "s", row->owner_id),
                          &uploads);
    if (err)
        return err;
    *problem = row->length > limits->quota_bytes - used ? "quota"
               : uploads >= limits->uploads_max         ? "uploads"
                                                        : NULL;
    return *problem ? ERR_RESOURCE_EXHAUSTED : ERR_OK;
}

enum err file_store_insert(struct store_tx *tx, const struct file_row *r,
                           const struct file_limits *limits, const char **problem)
{
    enum err err = check_limits(tx, r, limits, problem);
    if (!err)
        err = count_in(tx, r->owner_id, r->length, 1);
    if (err)
        return err;
    return store_run(tx,
                     "INSERT INTO file_files (" COLUMNS ")"
                     " VALUES (?,?,?,?,0,?,?,?,'','',0,0,0,0,'','',0,?,?)",
                     "ssiisssii", r->id, r->owner_id, (int64_t)r->state, r->length, r->metadata,
                     r->name, r->claimed_type, r->created_at_ms, r->idle_since_ms);
}

static enum err expect_one(struct store_tx *tx, enum err err)
{
    return err ? err : store_changes(tx) == 1 ? ERR_OK : ERR_ABORTED;
}

enum err file_store_advance(struct store_tx *tx, const struct file_row *r, int64_t received)
{
    bool is_whole = received == r->length;
    File__State state = is_whole ? FILE__STATE__CHECKING : FILE__STATE__UPLOADING;
    enum err err = store_run(tx,
                             "UPDATE file_files SET received = ?, state = ?, idle_since_ms = ?"
                             " WHERE id = ? AND received = ? AND state = ?",
                             "iiisii", received, (int64_t)state, clock_wall_ms(), r->id,
                             r->received, (int64_t)FILE__STATE__UPLOADING);
    err = expect_one(tx, err);
    return err || !is_whole ? err : count_in(tx, r->owner_id, 0, -1);
}

enum err file_store_decide(struct store_tx *tx, const struct file_row *r)
{
    enum err err = store_run(
        tx,
        "UPDATE file_files SET state = ?, content_type = ?, problem = ?, kind = ?, width = ?,"
        " height = ?, duration_ms = ?, waveform = ?, sha256 = ?, has_thumbnail = ?,"
        " idle_since_ms = ? WHERE id = ? AND state = ?",
        "issiiiibbiisi", (int64_t)r->state, r->content_type, r->problem, (int64_t)r->kind, r->width,
        r->height, r->duration_ms, r->waveform, r->waveform_n, r->sha256, r->sha256_n,
        (int64_t)r->has_thumbnail, clock_wall_ms(), r->id, (int64_t)FILE__STATE__CHECKING);
    err = expect_one(tx, err);
    bool is_refused = r->state == FILE__STATE__REFUSED;
    return err || !is_refused ? err : count_in(tx, r->owner_id, -r->length, 0);
}

enum err file_store_mark_deleted(struct store_tx *tx, const char *id)
{
    struct arena *arena = arena_create();
    struct file_row row;
    int64_t refs = 0;
    enum err err = file_store_find(tx, arena, id, &row);
    if (!err && row.state != FILE__STATE__DELETED)
        err = read_number(
            store_query(tx, "SELECT COUNT(*) FROM file_refs WHERE file_id = ?", "s", id), &refs);
    if (!err && refs)
        err = ERR_FAILED_PRECONDITION;
    if (!err && row.state != FILE__STATE__DELETED)
        err = store_run(tx, "UPDATE file_files SET state = ?, idle_since_ms = 1 WHERE id = ?", "is",
                        (int64_t)FILE__STATE__DELETED, id);
    bool is_counted =
        !err && row.state != FILE__STATE__DELETED && row.state != FILE__STATE__REFUSED;
    if (is_counted)
        err = count_in(tx, row.owner_id, -row.length, row.state == FILE__STATE__UPLOADING ? -1 : 0);
    arena_destroy(&arena);
    return err;
}

enum err file_store_delete(struct store_tx *tx, const char *id)
{
    enum err err = store_run(tx, "DELETE FROM file_files WHERE id = ? AND state = ?", "si", id,
                             (int64_t)FILE__STATE__DELETED);
    if (err || !store_changes(tx))
        return err;
    return store_run(tx, "DELETE FROM file_refs WHERE file_id = ?", "s", id);
}

enum err file_store_touch(struct store_tx *tx, const char *id)
{
    enum err err = store_run(tx,
                             "UPDATE file_files SET idle_since_ms ="
                             " CASE WHEN idle_since_ms = 0 THEN 0 ELSE ? END"
                             " WHERE id = ? AND state = ?",
                             "isi", clock_wall_ms(), id, (int64_t)FILE__STATE__READY);
    return err ? err : store_changes(tx) == 1 ? ERR_OK : ERR_NOT_FOUND;
}

enum err file_store_add_ref(struct store_tx *tx, const char *id, const char *ref)
{
    enum err err =
        store_run(tx,
                  "INSERT INTO file_refs (file_id, ref) SELECT id, ? FROM file_files WHERE id = ?"
                  " AND state <> ? ON CONFLICT DO NOTHING",
                  "ssi", ref, id, (int64_t)FILE__STATE__DELETED);
    return err ? err
               : store_run(tx, "UPDATE file_files SET idle_since_ms = 0 WHERE id = ? AND state = ?",
                           "si", id, (int64_t)FILE__STATE__READY);
}

enum err file_store_release(struct store_tx *tx, const char *id, const char *ref)
{
    enum err err =
        store_run(tx, "DELETE FROM file_refs WHERE file_id = ? AND ref = ?", "ss", id, ref);
    if (err || store_changes(tx) == 0)
        return err;
    return store_run(tx,
                     "UPDATE file_files SET idle_since_ms = ? WHERE id = ? AND NOT EXISTS"
                     " (SELECT 1 FROM file_refs WHERE file_id = file_files.id)",
                     "is", clock_wall_ms(), id);
}

enum err file_store_list(struct store_tx *tx, struct arena *arena, const char *owner_id,
                         const char *below, int64_t limit, struct file_row **rows, size_t *count)
{
    struct store_stmt *st =
        store_query(tx,
                    "SELECT " COLUMNS " FROM file_files WHERE owner_id = ?"
                    " AND id < ? AND state <> ? ORDER BY id DESC LIMIT ?",
                    "ssii", owner_id, below, (int64_t)FILE__STATE__DELETED, limit);
    *rows = arena_array(arena, struct file_row, (size_t)limit);
    *count = 0;
    while (*count < (size_t)limit && store_step(st))
        read_row(st, arena, &(*rows)[(*count)++]);
    return store_finish(st);
}

enum err file_store_idle(struct store_tx *tx, struct arena *arena, File__State state,
                         int64_t until_ms, int64_t limit, char ***ids, size_t *count)
{
    struct store_stmt *st = store_query(tx,
                                        "SELECT id FROM file_files WHERE state = ? AND"
                                        " idle_since_ms > 0 AND idle_since_ms <= ?"
                                        " ORDER BY idle_since_ms LIMIT ?",
                                        "iii", (int64_t)state, until_ms, limit);
    *ids = arena_array(arena, char *, (size_t)limit);
    *count = 0;
    while (*count < (size_t)limit && store_step(st))
        (*ids)[(*count)++] = store_text(st, 0, arena);
    return store_finish(st);
}

/* ---- one, on the calling thread ---- */

struct finding {
    struct arena *arena;
    const char *id;
    struct file_row *out;
};

static enum err find_job(struct store_tx *tx, void *arg)
{
    struct finding *f = arg;
    return file_store_find(tx, f->arena, f->id, f->out);
}

enum err file_load(struct file_service *svc, struct arena *arena, const char *id,
                   struct file_row *out)
{
    struct finding f = {arena, id, out};
    return store_read_one(svc->deps.store, find_job, &f);
}

struct file_row *file_load_own(struct file_service *svc, struct rpc_call *call, const char *id)
{
    struct file_row *row = arena_new(call->arena, struct file_row);
    enum err err = id_is_valid(id) ? file_load(svc, call->arena, id, row) : ERR_NOT_FOUND;
    if (!err && (!who_is(call, row->owner_id) || row->state == FILE__STATE__DELETED))
        err = ERR_NOT_FOUND;
    if (err == ERR_NOT_FOUND)
        rpc_fail(call, err, "There is no such file.");
    return err ? who_fail(call, err) : row;
}

enum err file_store_ids_of(struct store_tx *tx, struct arena *arena, const char *owner_id,
                           const char *above, size_t max, char ***ids, size_t *count)
{
    struct store_stmt *st = store_query(
        tx, "SELECT id FROM file_files WHERE owner_id = ? AND id > ? ORDER BY id LIMIT ?", "ssi",
        owner_id, above, (int64_t)max);
    *ids = arena_array(arena, char *, max);
    for (*count = 0; *count < max && store_step(st); ++*count)
        (*ids)[*count] = store_text(st, 0, arena);
    return store_finish(st);
}

enum err file_store_unname(struct store_tx *tx, const char *owner_id)
{
    return store_run(tx, "UPDATE file_files SET name = '', metadata = '' WHERE owner_id = ?", "s",
                     owner_id);
}
