/*
 * message_export: a person's conversations, places in them, contacts, and every message that the
 * person sent, as the person would read it. What others said is theirs.
 */
#include "services/common/export.h"
#include "services/message/message_internal.h"

#define BATCH 200

static const struct export_query queries[] = {
    {"conversations",
     "id kind# title owner_id meeting_id created_at_ms# role# state# nickname joined_at_ms#"
     " visible_from_seq# read_seq# delivered_seq# is_pinned? quiet_until_ms# draft",
     "SELECT c.id, c.kind, c.title, c.owner_id, c.meeting_id, c.created_at_ms, m.role, m.state,"
     " m.nickname, m.joined_at_ms, m.visible_from_seq, m.read_seq, m.delivered_seq, m.is_pinned,"
     " m.quiet_until_ms, m.draft FROM message_members m"
     " JOIN message_conversations c ON c.num = m.conversation_num WHERE m.user_id = ?1"},
    {"contacts", "user_id state# note alias since_ms#",
     "SELECT user_id, state, note, alias, since_ms FROM message_contacts WHERE owner_id = ?1"},
    {"group_invitations",
     "conversation_id user_id inviter_id state# note created_at_ms# expires_at_ms#",
     "SELECT c.id, i.user_id, i.inviter_id, i.state, i.note, i.created_at_ms, i.expires_at_ms"
     " FROM message_invitations i JOIN message_conversations c ON c.num = i.conversation_num"
     " WHERE i.user_id = ?1 OR i.inviter_id = ?1"},
    {"group_links", "id conversation_id created_at_ms# expires_at_ms# max_uses# use_count#",
     "SELECT l.id, c.id, l.created_at_ms, l.expires_at_ms, l.max_uses, l.use_count"
     " FROM message_invite_links l JOIN message_conversations c ON c.num = l.conversation_num"
     " WHERE l.created_by = ?1"},
    {"scheduled", "id conversation_id client_msg_id send_at_ms# error",
     "SELECT s.id, c.id, s.client_msg_id, s.send_at_ms, s.error FROM message_scheduled s"
     " JOIN message_conversations c ON c.num = s.conversation_num WHERE s.sender_id = ?1"},
    {"reactions", "conversation_id seq# emoji at_ms#",
     "SELECT c.id, r.seq, r.emoji, r.at_ms FROM message_members m"
     " JOIN message_reactions r ON r.conversation_num = m.conversation_num AND r.user_id = "
     "m.user_id"
     " JOIN message_conversations c ON c.num = m.conversation_num WHERE m.user_id = ?1"},
    {"hidden", "conversation_id seq#",
     "SELECT c.id, h.seq FROM message_hidden h"
     " JOIN message_conversations c ON c.num = h.conversation_num WHERE h.user_id = ?1"},
};

struct sent {
    const char *user_id;
    const struct export_sink *sink;
    int64_t num; /* of the conversation at hand */
    char above[256];
    bool has_more;
};

static enum err write_message(struct store_tx *tx, struct arena *arena, const struct sent *s,
                              const struct message_conversation *c, const struct message_row *m)
{
    Message__MessageInfo *info;
    struct strbuf line = {0};
    struct message_reader reader = {.id = s->user_id, .to_seq = c->last_seq};
    enum err err = message_shape(tx, arena, c, m, &reader, &info);
    if (!err) {
        rpc_json_write(&line, &info->base);
        err = s->sink->line(s->sink->arg, "messages", strbuf_str(&line));
    }
    strbuf_deinit(&line);
    return err;
}

static enum err sent_rows(struct store_tx *tx, struct arena *arena, struct sent *s)
{
    struct message_row *rows = arena_array(arena, struct message_row, BATCH);
    struct message_conversation c;
    char id[ID_SIZE] = "";
    size_t count = 0;
    struct store_stmt *st =
        store_query(tx, "SELECT id FROM message_conversations WHERE num = ?", "i", s->num);
    if (store_step(st))
        id_read(id, store_str(st, 0));
    enum err err = store_finish(st);
    if (!err)
        err = message_store_find(tx, arena, id, &c);
    if (err)
        return err;
    st = store_query(tx,
                     "SELECT " MESSAGE_COLUMNS " FROM message_messages m"
                     " WHERE m.conversation_num = ? AND m.sender_id = ? AND m.client_msg_id > ?"
                     " ORDER BY m.client_msg_id LIMIT ?",
                     "issi", s->num, s->user_id, s->above, (int64_t)BATCH);
    while (count < BATCH && store_step(st))
        message_log_read(st, arena, &rows[count++]);
    err = store_finish(st);
    for (size_t i = 0; i < count && !err; i++)
        err = write_message(tx, arena, s, &c, &rows[i]);
    if (count)
        snprintf(s->above, sizeof(s->above), "%s", rows[count - 1].client_msg_id);
    s->has_more = count == BATCH;
    return err;
}

static enum err sent_job(struct store_tx *tx, void *arg)
{
    struct arena *arena = arena_create();
    enum err err = sent_rows(tx, arena, arg);
    arena_destroy(&arena);
    return err;
}

static enum err next_job(struct store_tx *tx, void *arg)
{
    struct sent *s = arg;
    struct store_stmt *st = store_query(
        tx,
        "SELECT conversation_num FROM message_members WHERE user_id = ? AND conversation_num > ?"
        " ORDER BY conversation_num LIMIT 1",
        "si", s->user_id, s->num);
    s->num = store_step(st) ? store_int(st, 0) : 0;
    return store_finish(st);
}

enum err message_export(struct store *store, const char *user_id, const struct export_sink *sink)
{
    struct sent s = {.user_id = user_id, .sink = sink};
    enum err err = export_run(store, queries, ARRAY_LEN(queries), user_id, sink);
    while (!err && !(err = store_read(store, next_job, &s)) && s.num) {
        s.above[0] = '\0';
        do {
            err = store_read(store, sent_job, &s);
        } while (!err && s.has_more);
    }
    return err;
}
