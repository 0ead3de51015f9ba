/*
 * Rows of what is going on: since when somebody is connected, and for how long all in all; what
 * they send; and what machines made of it. What is told twice, or by two processes, counts once: a
 * connection bears its session's id.
 */
#include "services/meeting/meeting_internal.h"

#define RESULTS_MAX 200 /* of one meeting; the oldest go */

enum err meeting_store_part(struct store_tx *tx, const char *participant_id, const char *session_id,
                            int64_t at_ms)
{
    return store_run(tx,
                     "UPDATE meeting_participants SET attended_ms = attended_ms +"
                     " CASE WHEN connected_at_ms > 0 AND connected_at_ms < ?"
                     "  THEN ? - connected_at_ms ELSE 0 END,"
                     " streams = 0, session_id = '', connected_at_ms = 0"
                     " WHERE id = ? AND session_id <> '' AND (? = '' OR session_id = ?)",
                     "iisss", at_ms, at_ms, participant_id, session_id, session_id);
}

enum err meeting_store_come(struct store_tx *tx, const struct meeting_connection *c)
{
    struct store_stmt *st = store_query(
        tx, "SELECT session_id FROM meeting_participants WHERE id = ?", "s", c->participant_id);
    bool is_known = store_step(st) && str_eq(store_str(st, 0), str_from(c->session_id));
    enum err err = store_finish(st);
    if (err || is_known)
        return err;
    err = meeting_store_part(tx, c->participant_id, "", c->at_ms);
    if (!err)
        err = store_run(tx,
                        "UPDATE meeting_participants SET session_id = ?, connected_at_ms = ?"
                        " WHERE id = ? AND meeting_id = ? AND state = 2",
                        "siss", c->session_id, c->at_ms, c->participant_id, c->meeting_id);
    return err;
}

enum err meeting_store_set_streams(struct store_tx *tx, const struct meeting_connection *c)
{
    return store_run(tx,
                     "UPDATE meeting_participants SET streams = (streams | ?) & ?"
                     " WHERE id = ? AND meeting_id = ? AND state = 2",
                     "iiss", (int64_t)c->streams_on, (int64_t)(MEETING_STREAMS & ~c->streams_off),
                     c->participant_id, c->meeting_id);
}

/* ---- results ---- */

static enum err count_results(struct store_tx *tx, const struct meeting_result *r, bool *is_meeting,
                              bool *is_known)
{
    struct store_stmt *st = store_query(tx,
                                        "SELECT (SELECT COUNT(*) FROM meetings WHERE id = ?),"
                                        " (SELECT COUNT(*) FROM meeting_results WHERE id = ?)",
                                        "ss", r->meeting_id, r->id);
    bool is_there = store_step(st);
    *is_meeting = is_there && store_int(st, 0) > 0;
    *is_known = is_there && store_int(st, 1) > 0;
    return store_finish(st);
}

static enum err forget_old(struct store_tx *tx, const char *meeting_id)
{
    char id[64] = "";
    int64_t at_ms = 0;
    struct store_stmt *st = store_query(tx,
                                        "SELECT id, at_ms FROM meeting_results WHERE meeting_id = ?"
                                        " ORDER BY at_ms DESC, id DESC LIMIT 1 OFFSET ?",
                                        "si", meeting_id, (int64_t)RESULTS_MAX);
    if (store_step(st)) {
        snprintf(id, sizeof(id), "%.*s", STR_FMT(store_str(st, 0)));
        at_ms = store_int(st, 1);
    }
    enum err err = store_finish(st);
    if (err || !id[0])
        return err;
    return store_run(tx,
                     "DELETE FROM meeting_results WHERE meeting_id = ?"
                     " AND (at_ms < ? OR (at_ms = ? AND id <= ?))",
                     "siis", meeting_id, at_ms, at_ms, id);
}

enum err meeting_store_add_result(struct store_tx *tx, const struct meeting_result *r)
{
    bool is_meeting, is_known;
    enum err err = count_results(tx, r, &is_meeting, &is_known);
    if (err || is_known)
        return err;
    if (!is_meeting)
        return ERR_NOT_FOUND;
    err = store_run(tx,
                    "INSERT INTO meeting_results (id, meeting_id, task, task_id, stream_id, status,"
                    " message, reply, at_ms) VALUES (?,?,?,?,?,?,?,?,?)",
                    "ssssssssi", r->id, r->meeting_id, r->task, r->task_id, r->stream_id, r->status,
                    r->message, r->reply, r->at_ms);
    return err ? err : forget_old(tx, r->meeting_id);
}

enum err meeting_store_results(struct store_tx *tx, struct arena *arena, const char *meeting_id,
                               struct meeting_result **rows, size_t *count)
{
    struct store_stmt *st = store_query(
        tx,
        "SELECT id, task, task_id, stream_id, status, message, reply, at_ms FROM meeting_results"
        " WHERE meeting_id = ? ORDER BY at_ms DESC, id DESC LIMIT ?",
        "si", meeting_id, (int64_t)RESULTS_MAX);
    *rows = arena_array(arena, struct meeting_result, RESULTS_MAX);
    *count = 0;
    while (*count < RESULTS_MAX && store_step(st)) {
        struct meeting_result *r = &(*rows)[(*count)++];
        r->id = store_text(st, 0, arena);
        r->meeting_id = meeting_id;
        r->task = store_text(st, 1, arena);
        r->task_id = store_text(st, 2, arena);
        r->stream_id = store_text(st, 3, arena);
        r->status = store_text(st, 4, arena);
        r->message = store_text(st, 5, arena);
        r->reply = store_text(st, 6, arena);
        r->at_ms = store_int(st, 7);
    }
    return store_finish(st);
}
