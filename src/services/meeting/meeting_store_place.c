/* Rows of places: which processes a meeting lives in, under which fence. */
#include "services/meeting/meeting_internal.h"

enum err meeting_store_find_place(struct store_tx *tx, struct arena *arena, const char *meeting_id,
                                  struct meeting_place *out)
{
    *out = (struct meeting_place){.signaling_id = "", .media_id = ""};
    struct store_stmt *st = store_query(tx,
                                        "SELECT signaling_id, media_id, fence, placed_at_ms FROM "
                                        "meeting_places WHERE meeting_id = ?",
                                        "s", meeting_id);
    if (store_step(st)) {
        out->signaling_id = store_text(st, 0, arena);
        out->media_id = store_text(st, 1, arena);
        out->fence = store_int(st, 2);
        out->placed_at_ms = store_int(st, 3);
    }
    return store_finish(st);
}

/* The fence is what is compared: whoever changed the row since has another one. */
enum err meeting_store_move_place(struct store_tx *tx, const char *meeting_id,
                                  int64_t expected_fence, const struct meeting_place *to)
{
    enum err err =
        expected_fence
            ? store_run(tx,
                        "UPDATE meeting_places SET signaling_id = ?, media_id = ?, fence = ?,"
                        " placed_at_ms = ? WHERE meeting_id = ? AND fence = ?",
                        "ssiisi", to->signaling_id, to->media_id, to->fence, clock_wall_ms(),
                        meeting_id, expected_fence)
            : store_run(tx,
                        "INSERT INTO meeting_places (meeting_id, signaling_id, media_id, fence,"
                        " placed_at_ms) VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING",
                        "sssii", meeting_id, to->signaling_id, to->media_id, to->fence,
                        clock_wall_ms());
    if (err)
        return err;
    return store_changes(tx) ? ERR_OK : ERR_ABORTED;
}

enum err meeting_store_drop_place(struct store_tx *tx, const char *meeting_id)
{
    return store_run(tx, "DELETE FROM meeting_places WHERE meeting_id = ?", "s", meeting_id);
}
