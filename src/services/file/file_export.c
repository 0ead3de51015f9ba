/* file_export: a person's files, and what is known of them. */
#include "services/common/export.h"
#include "services/file/file_internal.h"

static const struct export_query queries[] = {
    {"files", "id state# name content_type size# width# height# duration_ms# created_at_ms#",
     "SELECT id, state, name, content_type, length, width, height, duration_ms, created_at_ms"
     " FROM file_files WHERE owner_id = ?1"},
};

struct copying {
    const char *user_id;
    struct arena *arena;
    char **ids;
    size_t count;
    char above[ID_SIZE];
};

#define BATCH 100

static enum err list_job(struct store_tx *tx, void *arg)
{
    struct copying *c = arg;
    return file_store_ids_of(tx, c->arena, c->user_id, c->above, BATCH, &c->ids, &c->count);
}

/* Uploads that are not whole have no bytes to show. */
static enum err copy_one(const char *id, const struct export_sink *sink)
{
    char blob[FILE_BLOB_NAME_SIZE], path[64];
    file_blob_name(blob, id);
    snprintf(path, sizeof(path), "files/%s", id);
    enum err err = sink->blob(sink->arg, blob, path);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err file_export(struct store *store, const char *user_id, const struct export_sink *sink)
{
    struct copying c = {.user_id = user_id};
    enum err err = export_run(store, queries, ARRAY_LEN(queries), user_id, sink);
    do {
        c.arena = arena_create();
        c.count = 0;
        if (!err)
            err = store_read(store, list_job, &c);
        for (size_t i = 0; i < c.count && !err; i++)
            err = copy_one(c.ids[i], sink);
        if (c.count)
            snprintf(c.above, sizeof(c.above), "%s", c.ids[c.count - 1]);
        arena_destroy(&c.arena);
    } while (!err && c.count == BATCH);
    return err;
}
