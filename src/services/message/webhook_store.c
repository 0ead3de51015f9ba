/*
 * webhook_store: the table of webhooks, and the SQL that several of their files use.
 */
#include "services/message/webhook.h"

static void read_webhook(struct store_stmt *st, struct arena *arena, struct webhook *w)
{
    w->id = store_text(st, 0, arena);
    w->kind = (Webhook__WebhookKind)store_int(st, 1);
    w->name = store_text(st, 2, arena);
    w->conversation_num = store_int(st, 3);
    w->conversation_id = store_text(st, 4, arena);
    w->bot_id = store_text(st, 5, arena);
    w->url = store_text(st, 6, arena);
    w->secret = store_blob(st, 7, arena, &w->secret_n);
    w->events = store_int(st, 8);
    w->created_by = store_text(st, 9, arena);
    w->created_at_ms = store_int(st, 10);
    w->is_disabled = store_int(st, 11) != 0;
    w->problem = store_text(st, 12, arena);
    w->fail_count = store_int(st, 13);
    w->failing_since_ms = store_int(st, 14);
    w->retry_at_ms = store_int(st, 15);
    w->full_at_ms = store_int(st, 16);
}

enum err webhook_find(struct store_tx *tx, struct arena *arena, const char *id, struct webhook *out)
{
    struct store_stmt *st =
        store_query(tx, "SELECT " WEBHOOK_COLUMNS " FROM message_webhooks WHERE id = ?", "s", id);
    bool is_found = store_step(st);
    if (is_found)
        read_webhook(st, arena, out);
    enum err err = store_finish(st);
    return err ? err : is_found ? ERR_OK : ERR_NOT_FOUND;
}

enum err webhook_insert(struct store_tx *tx, const struct webhook *w)
{
    return store_run(tx,
                     "INSERT INTO message_webhooks (" WEBHOOK_COLUMNS ")"
                     " VALUES (?,?,?,?,?,?,?,?,?,?,?,0,'',0,0,0,0)",
                     "sisisssbisi", w->id, (int64_t)w->kind, w->name, w->conversation_num,
                     w->conversation_id, w->bot_id, w->url, w->secret, w->secret_n, w->events,
                     w->created_by, w->created_at_ms);
}

enum err webhook_update(struct store_tx *tx, const struct webhook *w)
{
    return message_run_shared(
        tx,
        "UPDATE message_webhooks SET is_disabled = ?, problem = ?, fail_count = ?,"
        " failing_since_ms = ?, retry_at_ms = ?, full_at_ms = ? WHERE id = ?",
        "isiiiis", (int64_t)w->is_disabled, w->problem, w->fail_count, w->failing_since_ms,
        w->retry_at_ms, w->full_at_ms, w->id);
}

enum err webhook_list(struct store_tx *tx, struct arena *arena, int64_t num, const char *bot_id,
                      struct webhook **list, size_t *count)
{
    struct store_stmt *st =
        num ? store_query(tx,
                          "SELECT " WEBHOOK_COLUMNS " FROM message_webhooks"
                          " WHERE conversation_num = ? ORDER BY id LIMIT ?",
                          "ii", num, (int64_t)WEBHOOKS_MAX)
            : store_query(tx,
                          "SELECT " WEBHOOK_COLUMNS " FROM message_webhooks"
                          " WHERE bot_id = ? AND conversation_num = 0 ORDER BY id LIMIT ?",
                          "si", bot_id, (int64_t)WEBHOOKS_MAX);
    *list = arena_array(arena, struct webhook, WEBHOOKS_MAX);
    for (*count = 0; *count < WEBHOOKS_MAX && store_step(st);)
        read_webhook(st, arena, &(*list)[(*count)++]);
    return store_finish(st);
}

enum err webhook_check_maker(struct store_tx *tx, struct message_op *op, const struct webhook *w)
{
    struct message_member maker = {0};
    enum err err =
        message_store_member(tx, op->call->arena, w->conversation_num, w->created_by, &maker);
    bool is_admin = !err && maker.state == MESSAGE__MEMBER_STATE__ACTIVE &&
                    maker.role != MESSAGE__MEMBER_ROLE__MEMBER;
    return err && err != ERR_NOT_FOUND ? err : is_admin ? ERR_OK : ERR_NOT_FOUND;
}
