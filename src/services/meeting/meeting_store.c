/* Rows of meetings, the people in them, and invitations. All of this service's SQL stands here. */
#include "services/meeting/meeting_internal.h"

const struct store_migration meeting_migrations[] = {
    {.room = "meeting",
     .version = 1,
     .sql = "CREATE TABLE meetings ("
            " id TEXT PRIMARY KEY, code TEXT NOT NULL UNIQUE, title TEXT NOT NULL, description "
            "TEXT NOT NULL,"
            " host_id TEXT NOT NULL, host_name TEXT NOT NULL, time_zone TEXT NOT NULL,"
            " password_hash TEXT NOT NULL, state INTEGER NOT NULL,"
            " scheduled_start_ms BIGINT NOT NULL, scheduled_end_ms BIGINT NOT NULL,"
            " created_at_ms BIGINT NOT NULL, started_at_ms BIGINT NOT NULL, ended_at_ms BIGINT NOT "
            "NULL,"
            " capacity INTEGER NOT NULL, revision INTEGER NOT NULL,"
            " has_waiting_room INTEGER NOT NULL, is_locked INTEGER NOT NULL,"
            " are_guests_allowed INTEGER NOT NULL, is_muted_on_entry INTEGER NOT NULL,"
            " can_participants_share INTEGER NOT NULL);"
            "CREATE TABLE meeting_participants ("
            " id TEXT PRIMARY KEY, meeting_id TEXT NOT NULL REFERENCES meetings (id) ON DELETE "
            "CASCADE,"
            " user_id TEXT NOT NULL, name TEXT NOT NULL, avatar_url TEXT NOT NULL, role INTEGER "
            "NOT NULL,"
            " state INTEGER NOT NULL, is_guest INTEGER NOT NULL, joined_at_ms BIGINT NOT NULL,"
            " left_at_ms BIGINT NOT NULL, UNIQUE (meeting_id, user_id));"
            "CREATE INDEX meeting_participants_by_user ON meeting_participants (user_id);"
            "CREATE TABLE meeting_invitations ("
            " id TEXT PRIMARY KEY, meeting_id TEXT NOT NULL REFERENCES meetings (id) ON DELETE "
            "CASCADE,"
            " user_id TEXT NOT NULL, user_name TEXT NOT NULL, token_hash TEXT NOT NULL, created_by "
            "TEXT NOT NULL,"
            " created_at_ms BIGINT NOT NULL, expires_at_ms BIGINT NOT NULL,"
            " uses_max INTEGER NOT NULL, uses_count INTEGER NOT NULL);"
            "CREATE INDEX meeting_invitations_by_meeting ON meeting_invitations (meeting_id);"},
    {.room = "meeting",
     .version = 2,
     .sql = "ALTER TABLE meetings ADD COLUMN updated_at_ms BIGINT NOT NULL DEFAULT 0;"
            "ALTER TABLE meeting_participants ADD COLUMN seen_at_ms BIGINT NOT NULL DEFAULT 0;"
            "CREATE INDEX meetings_by_state ON meetings (state);"
            "CREATE INDEX meetings_by_host ON meetings (host_id);"},
    {.room = "meeting",
     .version = 3,
     .sql = "CREATE TABLE meeting_places ("
            " meeting_id TEXT PRIMARY KEY REFERENCES meetings (id) ON DELETE CASCADE,"
            " signaling_id TEXT NOT NULL, media_id TEXT NOT NULL, fence BIGINT NOT NULL,"
            " placed_at_ms BIGINT NOT NULL);"},
    {.room = "meeting",
     .version = 4,
     .sql = "ALTER TABLE meeting_participants ADD COLUMN session_id TEXT NOT NULL DEFAULT '';"
            "ALTER TABLE meeting_participants ADD COLUMN connected_at_ms BIGINT NOT NULL DEFAULT 0;"
            "ALTER TABLE meeting_participants ADD COLUMN attended_ms BIGINT NOT NULL DEFAULT 0;"
            "ALTER TABLE meeting_participants ADD COLUMN streams BIGINT NOT NULL DEFAULT 0;"
            "CREATE TABLE meeting_results ("
            " id TEXT PRIMARY KEY, meeting_id TEXT NOT NULL REFERENCES meetings (id) ON DELETE "
            "CASCADE,"
            " task TEXT NOT NULL, task_id TEXT NOT NULL, stream_id TEXT NOT NULL,"
            " status TEXT NOT NULL, message TEXT NOT NULL, reply TEXT NOT NULL,"
            " at_ms BIGINT NOT NULL);"
            "CREATE INDEX meeting_results_by_meeting ON meeting_results (meeting_id, at_ms);"},
};
const size_t meeting_migration_count = ARRAY_LEN(meeting_migrations);

#define MEETING_COLUMNS                                                                            \
    "m.id, m.code, m.title, m.description, m.host_id, m.host_name, m.time_zone, m.password_hash, " \
    "m.state,"                                                                                     \
    " m.scheduled_start_ms, m.scheduled_end_ms, m.created_at_ms, m.started_at_ms, m.ended_at_ms, " \
    "m.capacity,"                                                                                  \
    " m.revision, m.has_waiting_room, m.is_locked, m.are_guests_allowed, m.is_muted_on_entry,"     \
    " m.can_participants_share, m.updated_at_ms, (SELECT COUNT(*) FROM meeting_participants c"     \
    " WHERE c.meeting_id = m.id AND c.state = 2)"
#define PERSON_COLUMNS \
    "id, meeting_id, user_id, name, avatar_url, role, state, is_guest, joined_at_ms, left_at_ms"
#define LIVE_COLUMNS ", connected_at_ms, attended_ms, streams"

/* ---- meetings ---- */

static void read_meeting(struct store_stmt *st, struct arena *arena, struct meeting_row *m)
{
    m->id = store_text(st, 0, arena);
    m->code = store_text(st, 1, arena);
    m->title = store_text(st, 2, arena);
    m->description = store_text(st, 3, arena);
    m->host_id = store_text(st, 4, arena);
    m->host_name = store_text(st, 5, arena);
    m->time_zone = store_text(st, 6, arena);
    m->password_hash = store_text(st, 7, arena);
    m->state = (Meeting__State)store_int(st, 8);
    m->scheduled_start_ms = store_int(st, 9);
    m->scheduled_end_ms = store_int(st, 10);
    m->created_at_ms = store_int(st, 11);
    m->started_at_ms = store_int(st, 12);
    m->ended_at_ms = store_int(st, 13);
    m->capacity = store_int(st, 14);
    m->revision = store_int(st, 15);
    m->has_waiting_room = store_int(st, 16) != 0;
    m->is_locked = store_int(st, 17) != 0;
    m->are_guests_allowed = store_int(st, 18) != 0;
    m->is_muted_on_entry = store_int(st, 19) != 0;
    m->can_participants_share = store_int(st, 20) != 0;
    m->updated_at_ms = store_int(st, 21);
    m->present_count = store_int(st, 22);
}

static enum err finish_found(struct store_stmt *st, bool is_found)
{
    enum err err = store_finish(st);
    return err ? err : is_found ? ERR_OK : ERR_NOT_FOUND;
}

enum err meeting_store_find(struct store_tx *tx, struct arena *arena, const char *id,
                            struct meeting_row *out)
{
    struct store_stmt *st =
        store_query(tx, "SELECT " MEETING_COLUMNS " FROM meetings m WHERE m.id = ? OR m.code = ?",
                    "ss", id, id);
    bool is_found = store_step(st);
    if (is_found)
        read_meeting(st, arena, out);
    return finish_found(st, is_found);
}

enum err meeting_store_insert(struct store_tx *tx, const struct meeting_row *m)
{
    return store_run(
        tx,
        "INSERT INTO meetings (id, code, title, description, host_id, host_name, time_zone,"
        " password_hash, state, scheduled_start_ms, scheduled_end_ms, created_at_ms, started_at_ms,"
        " ended_at_ms, capacity, revision, has_waiting_room, is_locked, are_guests_allowed,"
        " is_muted_on_entry, can_participants_share, updated_at_ms)"
        " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        "ssssssssiiiiiiiiiiiiii", m->id, m->code, m->title, m->description, m->host_id,
        m->host_name, m->time_zone, m->password_hash, (int64_t)m->state, m->scheduled_start_ms,
        m->scheduled_end_ms, m->created_at_ms, m->started_at_ms, m->ended_at_ms, m->capacity,
        m->revision, (int64_t)m->has_waiting_room, (int64_t)m->is_locked,
        (int64_t)m->are_guests_allowed, (int64_t)m->is_muted_on_entry,
        (int64_t)m->can_participants_share, m->created_at_ms);
}

enum err meeting_store_update(struct store_tx *tx, const struct meeting_row *m)
{
    return store_run(
        tx,
        "UPDATE meetings SET title = ?, description = ?, host_id = ?, host_name = ?, time_zone = ?,"
        " password_hash = ?, state = ?, scheduled_start_ms = ?, scheduled_end_ms = ?, "
        "started_at_ms = ?,"
        " ended_at_ms = ?, capacity = ?, revision = revision + 1, has_waiting_room = ?, is_locked "
        "= ?,"
        " are_guests_allowed = ?, is_muted_on_entry = ?, can_participants_share = ?,"
        " updated_at_ms = ? WHERE id = ?",
        "ssssssiiiiiiiiiiiis", m->title, m->description, m->host_id, m->host_name, m->time_zone,
        m->password_hash, (int64_t)m->state, m->scheduled_start_ms, m->scheduled_end_ms,
        m->started_at_ms, m->ended_at_ms, m->capacity, (int64_t)m->has_waiting_room,
        (int64_t)m->is_locked, (int64_t)m->are_guests_allowed, (int64_t)m->is_muted_on_entry,
        (int64_t)m->can_participants_share, clock_wall_ms(), m->id);
}

enum err meeting_store_delete(struct store_tx *tx, const char *id)
{
    return store_run(tx, "DELETE FROM meetings WHERE id = ?", "s", id);
}

enum err meeting_store_list(struct store_tx *tx, struct arena *arena, const char *user_id,
                            const char *state, const struct page *page, struct meeting_row **rows,
                            size_t *count)
{
    int64_t before_ms = page->is_first ? INT64_MAX : page->sort;
    struct store_stmt *st = store_query(
        tx,
        "SELECT " MEETING_COLUMNS
        " FROM meetings m JOIN meeting_participants p ON p.meeting_id = m.id"
        " WHERE p.user_id = ? AND p.state NOT IN (4, 5)"
        " AND (? = '' OR (? = 'scheduled' AND m.state = 0) OR (? = 'active' AND m.state = 1)"
        "  OR (? = 'ended' AND m.state = 2) OR (? = 'upcoming' AND m.state < 2))"
        " AND (m.created_at_ms < ? OR (m.created_at_ms = ? AND m.id < ?))"
        " ORDER BY m.created_at_ms DESC, m.id DESC LIMIT ?",
        "ssssssiisi", user_id, state, state, state, state, state, before_ms, before_ms,
        page->is_first ? "" : page->id, (int64_t)page->limit + 1);
    *rows = arena_array(arena, struct meeting_row, (size_t)page->limit + 1);
    *count = 0;
    while (store_step(st))
        read_meeting(st, arena, &(*rows)[(*count)++]);
    return store_finish(st);
}

enum err meeting_store_abandoned(struct store_tx *tx, struct arena *arena, int64_t before_ms,
                                 const char ***ids, size_t *count)
{
    struct store_stmt *st = store_query(
        tx,
        "SELECT m.id FROM meetings m WHERE m.state = 1 AND m.started_at_ms < ?"
        " AND (m.scheduled_end_ms = 0 OR m.scheduled_end_ms < ?)"
        " AND NOT EXISTS (SELECT 1 FROM meeting_participants p WHERE p.meeting_id = m.id"
        "  AND (p.state IN (1, 2) OR p.left_at_ms >= ?)) LIMIT 100",
        "iii", before_ms, before_ms, before_ms);
    *ids = arena_array(arena, const char *, 100);
    *count = 0;
    while (store_step(st))
        (*ids)[(*count)++] = store_text(st, 0, arena);
    return store_finish(st);
}

enum err meeting_store_missed(struct store_tx *tx, struct arena *arena, int64_t before_ms,
                              const char ***ids, size_t *count)
{
    struct store_stmt *st =
        store_query(tx,
                    "SELECT id FROM meetings WHERE state = 0 AND scheduled_start_ms > 0"
                    " AND scheduled_start_ms < ? AND scheduled_end_ms < ? LIMIT 100",
                    "ii", before_ms, before_ms);
    *ids = arena_array(arena, const char *, 100);
    *count = 0;
    while (store_step(st))
        (*ids)[(*count)++] = store_text(st, 0, arena);
    return store_finish(st);
}

enum err meeting_store_rename_host(struct store_tx *tx, const char *user_id, const char *name,
                                   const char *avatar_url)
{
    enum err err = store_run(tx,
                             "UPDATE meetings SET host_name = ? WHERE host_id = ? AND state < 2"
                             " AND host_name <> ?",
                             "sss", name, user_id, name);
    if (err)
        return err;
    return store_run(tx,
                     "UPDATE meeting_participants SET avatar_url = ? WHERE user_id = ?"
                     " AND avatar_url <> ?",
                     "sss", avatar_url, user_id, avatar_url);
}

/* ---- people ---- */

static void read_person(struct store_stmt *st, struct arena *arena, struct meeting_person *p)
{
    p->id = store_text(st, 0, arena);
    p->meeting_id = store_text(st, 1, arena);
    p->user_id = store_text(st, 2, arena);
    p->name = store_text(st, 3, arena);
    p->avatar_url = store_text(st, 4, arena);
    p->role = (Meeting__ParticipantRole)store_int(st, 5);
    p->state = (Meeting__ParticipantState)store_int(st, 6);
    p->is_guest = store_int(st, 7) != 0;
    p->joined_at_ms = store_int(st, 8);
    p->left_at_ms = store_int(st, 9);
    p->connected_at_ms = store_int(st, 10);
    p->attended_ms = store_int(st, 11);
    p->streams = (unsigned)store_int(st, 12);
}

enum err meeting_store_find_person(struct store_tx *tx, struct arena *arena, const char *meeting_id,
                                   const char *user_id, struct meeting_person *out)
{
    struct store_stmt *st =
        store_query(tx,
                    "SELECT " PERSON_COLUMNS LIVE_COLUMNS
                    " FROM meeting_participants WHERE meeting_id = ? AND user_id = ?",
                    "ss", meeting_id, user_id);
    bool is_found = store_step(st);
    if (is_found)
        read_person(st, arena, out);
    return finish_found(st, is_found);
}

enum err meeting_store_get_person(struct store_tx *tx, struct arena *arena, const char *meeting_id,
                                  const char *id, struct meeting_person *out)
{
    struct store_stmt *st =
        store_query(tx,
                    "SELECT " PERSON_COLUMNS LIVE_COLUMNS
                    " FROM meeting_participants WHERE meeting_id = ? AND id = ?",
                    "ss", meeting_id, id);
    bool is_found = store_step(st);
    if (is_found)
        read_person(st, arena, out);
    return finish_found(st, is_found);
}

enum err meeting_store_put_person(struct store_tx *tx, const struct meeting_person *p)
{
    enum err err = store_run(tx,
                             "UPDATE meeting_participants SET name = ?, avatar_url = ?, role = ?, "
                             "state = ?, joined_at_ms = ?,"
                             " left_at_ms = ? WHERE id = ?",
                             "ssiiiis", p->name, p->avatar_url, (int64_t)p->role, (int64_t)p->state,
                             p->joined_at_ms, p->left_at_ms, p->id);
    bool is_there = !err && store_changes(tx) > 0;
    if (is_there && p->state != MEETING__PARTICIPANT_STATE__ADMITTED)
        err = meeting_store_part(tx, p->id, "", clock_wall_ms());
    if (err || is_there)
        return err;
    return store_run(
        tx, "INSERT INTO meeting_participants (" PERSON_COLUMNS ") VALUES (?,?,?,?,?,?,?,?,?,?)",
        "sssssiiiii", p->id, p->meeting_id, p->user_id, p->name, p->avatar_url, (int64_t)p->role,
        (int64_t)p->state, (int64_t)p->is_guest, p->joined_at_ms, p->left_at_ms);
}

enum err meeting_store_delete_person(struct store_tx *tx, const char *id)
{
    return store_run(tx, "DELETE FROM meeting_participants WHERE id = ?", "s", id);
}

enum err meeting_store_seen(struct store_tx *tx, const char *meeting_id, const char *id,
                            int64_t now_ms)
{
    enum err err = store_run(tx,
                             "UPDATE meeting_participants SET seen_at_ms = ? WHERE id = ?"
                             " AND meeting_id = ? AND state IN (1, 2)",
                             "iss", now_ms, id, meeting_id);
    return err ? err : store_changes(tx) > 0 ? ERR_OK : ERR_NOT_FOUND;
}

enum err meeting_store_unseen(struct store_tx *tx, struct arena *arena, int64_t before_ms,
                              int64_t after_ms, struct meeting_person **rows, size_t *count)
{
    struct store_stmt *st = store_query(
        tx,
        "SELECT " PERSON_COLUMNS LIVE_COLUMNS " FROM meeting_participants WHERE state IN (1, 2)"
        " AND (seen_at_ms < ? OR seen_at_ms > ?) AND (joined_at_ms < ? OR joined_at_ms > ?)"
        " AND meeting_id IN (SELECT m.id FROM meetings m WHERE m.state < 2) LIMIT 500",
        "iiii", before_ms, after_ms, before_ms, after_ms);
    *rows = arena_array(arena, struct meeting_person, 500);
    *count = 0;
    while (*count < 500 && store_step(st))
        read_person(st, arena, &(*rows)[(*count)++]);
    return store_finish(st);
}

enum err meeting_store_people(struct store_tx *tx, struct arena *arena, const char *meeting_id,
                              int state, struct meeting_person **rows, size_t *count)
{
    struct store_stmt *st = store_query(
        tx, "SELECT COUNT(*) FROM meeting_participants WHERE meeting_id = ?", "s", meeting_id);
    size_t most = store_step(st) ? (size_t)store_int(st, 0) : 0;
    enum err err = store_finish(st);
    if (err)
        return err;
    *rows = arena_array(arena, struct meeting_person, most + 1);
    *count = 0;
    st = store_query(tx,
                     "SELECT " PERSON_COLUMNS LIVE_COLUMNS
                     " FROM meeting_participants WHERE meeting_id = ?"
                     " AND (? < 0 OR state = ?) ORDER BY joined_at_ms, id",
                     "sii", meeting_id, (int64_t)state, (int64_t)state);
    while (*count < most && store_step(st))
        read_person(st, arena, &(*rows)[(*count)++]);
    return store_finish(st);
}

/* ---- invitations ---- */

enum err meeting_store_add_invitation(struct store_tx *tx, const struct meeting_invitation *i,
                                      const char *token_hash, const char *created_by)
{
    return store_run(
        tx,
        "INSERT INTO meeting_invitations (id, meeting_id, user_id, user_name, token_hash, "
        "created_by,"
        " created_at_ms, expires_at_ms, uses_max, uses_count) VALUES (?,?,?,?,?,?,?,?,?,0)",
        "ssssssiii", i->id, i->meeting_id, i->user_id, i->user_name, token_hash, created_by,
        i->created_at_ms, i->expires_at_ms, i->uses_max);
}

enum err meeting_store_invitations(struct store_tx *tx, struct arena *arena, const char *meeting_id,
                                   struct meeting_invitation **rows, size_t *count)
{
    struct store_stmt *st = store_query(
        tx,
        "SELECT id, meeting_id, user_id, user_name, created_at_ms, expires_at_ms, uses_max, "
        "uses_count"
        " FROM meeting_invitations WHERE meeting_id = ? ORDER BY created_at_ms, id LIMIT 1000",
        "s", meeting_id);
    *rows = arena_array(arena, struct meeting_invitation, 1000);
    *count = 0;
    while (*count < 1000 && store_step(st)) {
        struct meeting_invitation *i = &(*rows)[(*count)++];
        i->id = store_text(st, 0, arena);
        i->meeting_id = store_text(st, 1, arena);
        i->user_id = store_text(st, 2, arena);
        i->user_name = store_text(st, 3, arena);
        i->created_at_ms = store_int(st, 4);
        i->expires_at_ms = store_int(st, 5);
        i->uses_max = store_int(st, 6);
        i->uses_count = store_int(st, 7);
    }
    return store_finish(st);
}

enum err meeting_store_delete_invitation(struct store_tx *tx, const char *meeting_id,
                                         const char *id)
{
    enum err err = store_run(tx,
                             "DELETE FROM meeting_participants WHERE meeting_id = ? AND state = 0"
                             " AND role = 0 AND user_id = (SELECT i.user_id FROM"
                             " meeting_invitations i WHERE i.meeting_id = ? AND i.id = ?)",
                             "sss", meeting_id, meeting_id, id);
    if (!err)
        err = store_run(tx, "DELETE FROM meeting_invitations WHERE meeting_id = ? AND id = ?", "ss",
                        meeting_id, id);
    return err ? err : store_changes(tx) > 0 ? ERR_OK : ERR_NOT_FOUND;
}

enum err meeting_store_use_link(struct store_tx *tx, const char *meeting_id, const char *token_hash,
                                int64_t now_ms)
{
    enum err err = store_run(tx,
                             "UPDATE meeting_invitations SET uses_count = uses_count + 1"
                             " WHERE meeting_id = ? AND token_hash = ? AND user_id = ''"
                             " AND (expires_at_ms = 0 OR expires_at_ms > ?)"
                             " AND (uses_max = 0 OR uses_count < uses_max)",
                             "ssi", meeting_id, token_hash, now_ms);
    return err ? err : store_changes(tx) > 0 ? ERR_OK : ERR_NOT_FOUND;
}

enum err meeting_store_forget_invited(struct store_tx *tx, const char *meeting_id,
                                      const char *user_id)
{
    return store_run(tx,
                     "DELETE FROM meeting_invitations WHERE meeting_id = ? AND user_id = ?"
                     " AND user_id <> ''",
                     "ss", meeting_id, user_id);
}

bool meeting_store_has_link(struct store_tx *tx, const char *meeting_id, const char *token_hash,
                            int64_t now_ms)
{
    struct store_stmt *st =
        store_query(tx,
                    "SELECT 1 FROM meeting_invitations WHERE meeting_id = ? AND token_hash = ?"
                    " AND user_id = '' AND (expires_at_ms = 0 OR expires_at_ms > ?)",
                    "ssi", meeting_id, token_hash, now_ms);
    bool is_found = store_step(st);
    return store_finish(st) == ERR_OK && is_found;
}

bool meeting_store_is_invited(struct store_tx *tx, const char *meeting_id, const char *user_id,
                              int64_t now_ms)
{
    struct store_stmt *st =
        store_query(tx,
                    "SELECT 1 FROM meeting_invitations WHERE meeting_id = ? AND user_id = ?"
                    " AND user_id <> '' AND (expires_at_ms = 0 OR expires_at_ms > ?)",
                    "ssi", meeting_id, user_id, now_ms);
    bool is_found = store_step(st);
    return store_finish(st) == ERR_OK && is_found;
}

enum err meeting_store_forget(struct store_tx *tx, const char *user_id)
{
    static const char *const sql[] = {
        "UPDATE meeting_participants SET name = '(erased)', avatar_url = '' WHERE user_id = ?",
        "UPDATE meetings SET host_name = '(erased)' WHERE host_id = ?",
        "UPDATE meeting_invitations SET user_name = '(erased)' WHERE user_id = ?",
    };
    enum err err = ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(sql) && !err; i++)
        err = store_run(tx, sql[i], "s", user_id);
    return err;
}
