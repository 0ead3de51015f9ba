/*
 * Rows of published tracks: who sent what, with which codec, from when to when. Written behind;
 * media does not wait for them. Now and then all open rows are marked as seen, so the next start
 * can say when those ended that a crash left open.
 */
#include "services/media/media_internal.h"

const struct store_migration media_migrations[] = {
    {.room = "media",
     .version = 1,
     .sql = "CREATE TABLE media_streams ("
            " id TEXT PRIMARY KEY,"
            " meeting_id TEXT NOT NULL,"
            " session_id TEXT NOT NULL,"
            " participant_id TEXT NOT NULL,"
            " user_id TEXT NOT NULL,"
            " kind TEXT NOT NULL,"
            " source TEXT NOT NULL,"
            " codec TEXT NOT NULL,"
            " started_at_ms BIGINT NOT NULL,"
            " ended_at_ms BIGINT);"
            "CREATE INDEX media_streams_by_meeting ON media_streams (meeting_id, started_at_ms);"},
    {.room = "media",
     .version = 2,
     .sql = "ALTER TABLE media_streams ADD COLUMN seen_at_ms BIGINT NOT NULL DEFAULT 0;"
            "CREATE INDEX media_streams_by_end ON media_streams (ended_at_ms);"},
    {.room = "media",
     .version = 3,
     .sql = "ALTER TABLE media_streams ADD COLUMN node_id TEXT NOT NULL DEFAULT '';"},
};
const size_t media_migration_count = ARRAY_LEN(media_migrations);

static const char *const source_names[] = {"microphone", "camera", "screen", "screen_audio"};

struct row {
    char id[ID_SIZE];
    char meeting_id[ID_SIZE];
    char session_id[ID_SIZE];
    char participant_id[ID_SIZE];
    char user_id[ID_SIZE];
    char node_id[ID_SIZE];
    const char *kind;
    const char *source;
    const char *codec;
    int64_t at_ms;
};

static struct row *row_create(const struct media_track *t)
{
    struct row *row = mem_zalloc(sizeof(*row));
    const struct media_session *s = t->session;
    memcpy(row->id, t->id, sizeof(row->id));
    memcpy(row->meeting_id, s->room->meeting_id, sizeof(row->meeting_id));
    memcpy(row->session_id, s->id, sizeof(row->session_id));
    memcpy(row->participant_id, s->participant_id, sizeof(row->participant_id));
    memcpy(row->user_id, s->user_id, sizeof(row->user_id));
    memcpy(row->node_id, s->room->hub->node_id, sizeof(row->node_id));
    row->kind = t->is_audio ? "audio" : "video";
    row->source = source_names[t->source];
    row->codec = sfu_codec_name(t->codec);
    row->at_ms = clock_wall_ms();
    return row;
}

static enum err insert_row(struct store_tx *tx, void *arg)
{
    const struct row *r = arg;
    return store_run(
        tx,
        "INSERT INTO media_streams (id, meeting_id, session_id, participant_id, user_id, kind,"
        " source, codec, started_at_ms, seen_at_ms, node_id) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        "ssssssssiis", r->id, r->meeting_id, r->session_id, r->participant_id, r->user_id, r->kind,
        r->source, r->codec, r->at_ms, r->at_ms, r->node_id);
}

static enum err end_row(struct store_tx *tx, void *arg)
{
    const struct row *r = arg;
    return store_run(tx, "UPDATE media_streams SET ended_at_ms = ?, codec = ? WHERE id = ?", "iss",
                     r->at_ms, r->codec, r->id);
}

static void on_written(enum err err, void *arg)
{
    if (err)
        log_warn(NULL, "media: a stream's row was not written: %s", err_text(err));
    free(arg);
}

void media_store_started(const struct media_track *t)
{
    store_write(t->session->room->hub->store, 0, insert_row, row_create(t), on_written);
}

void media_store_stopped(const struct media_track *t)
{
    store_write(t->session->room->hub->store, 0, end_row, row_create(t), on_written);
}

/* ---- rows that go on, and rows that a crash left open ---- */

struct sweep {
    char node_id[ID_SIZE];
    int64_t stale_ms;
};

static struct sweep sweep_of(const struct media_hub *hub)
{
    struct sweep s = {.stale_ms = 4 * hub->seen_every_ms};
    memcpy(s.node_id, hub->node_id, sizeof(s.node_id));
    return s;
}

/* Alone, whatever is open at the start was left so; of several nodes the others may be at it. */
static enum err close_open_rows(struct store_tx *tx, void *arg)
{
    const struct sweep *s = arg;
    int64_t before_ms = s->node_id[0] ? clock_wall_ms() - s->stale_ms : INT64_MAX;
    return store_run(tx,
                     "UPDATE media_streams SET ended_at_ms = CASE WHEN seen_at_ms > started_at_ms"
                     " THEN seen_at_ms ELSE started_at_ms END"
                     " WHERE ended_at_ms IS NULL AND seen_at_ms < ?",
                     "i", before_ms);
}

static enum err mark_seen(struct store_tx *tx, void *arg)
{
    const struct sweep *s = arg;
    enum err err = store_run(tx,
                             "UPDATE media_streams SET seen_at_ms = ? WHERE ended_at_ms IS NULL AND"
                             " node_id = ?",
                             "is", clock_wall_ms(), s->node_id);
    return err || !s->node_id[0] ? err : close_open_rows(tx, arg);
}

static void on_marked(enum err err, void *arg)
{
    if (err)
        log_warn(NULL, "media: open streams could not be marked: %s", err_text(err));
    free(arg);
}

void media_store_seen(struct media_hub *hub)
{
    struct sweep s = sweep_of(hub);
    store_write(hub->store, 0, mark_seen, mem_dup(&s, sizeof(s)), on_marked);
}

enum err media_store_close_open(struct media_hub *hub)
{
    struct sweep s = sweep_of(hub);
    return store_write_sync(hub->store, 0, close_open_rows, &s);
}
