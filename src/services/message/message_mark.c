/* Marks that members put upon messages for all to see: reactions and pins. Doing the same again
 * changes nothing and takes no revision. */
#include "services/message/message_internal.h"

#define PINS_MAX 100

/* A message that may be marked: it stands, and so does the conversation, for both sides. */
static enum err find_standing(struct store_tx *tx, struct message_op *op, int64_t seq,
                              struct message_row *m)
{
    enum err err = message_find_readable(tx, op, seq, m);
    if (!err && m->recalled_at_ms)
        return message_refuse(op, ERR_FAILED_PRECONDITION, "The message was recalled.");
    if (!err && op->c.is_dissolved)
        return message_refuse(op, ERR_FAILED_PRECONDITION, "This group has been dissolved.");
    return err ? err : message_check_block(tx, op);
}

/* ---- reactions ---- */

/* How many have put this emoji there, and some of them by name: so that whoever shows the message
 * need not read what thousands did. */
struct tally {
    int64_t count;
    const char *user_ids; /* at most MESSAGE_REACTORS_SHOWN, by spaces */
};

static enum err load_tally(struct store_tx *tx, struct arena *arena, const struct message_row *m,
                           const char *emoji, struct tally *out)
{
    *out = (struct tally){.user_ids = ""};
    struct store_stmt *st = store_query(tx,
                                        "SELECT count, user_ids FROM message_reaction_counts"
                                        " WHERE conversation_num = ? AND seq = ? AND emoji = ?",
                                        "iis", m->conversation_num, m->seq, emoji);
    if (store_step(st)) {
        out->count = store_int(st, 0);
        out->user_ids = store_text(st, 1, arena);
    }
    return store_finish(st);
}

static enum err save_tally(struct store_tx *tx, const struct message_row *m, const char *emoji,
                           const struct tally *t)
{
    if (t->count <= 0)
        return store_run(tx,
                         "DELETE FROM message_reaction_counts WHERE conversation_num = ?"
                         " AND seq = ? AND emoji = ?",
                         "iis", m->conversation_num, m->seq, emoji);
    return store_run(tx,
                     "INSERT INTO message_reaction_counts (conversation_num, seq, emoji, count,"
                     " user_ids) VALUES (?,?,?,?,?) ON CONFLICT (conversation_num, seq, emoji)"
                     " DO UPDATE SET count = excluded.count, user_ids = excluded.user_ids",
                     "iisis", m->conversation_num, m->seq, emoji, t->count, t->user_ids);
}

static size_t names_in(const char *user_ids)
{
    size_t count = user_ids[0] != '\0';
    for (; *user_ids; user_ids++)
        count += *user_ids == ' ';
    return count;
}

static enum err check_kinds(struct store_tx *tx, struct message_op *op, const struct message_row *m)
{
    int64_t kinds;
    enum err err = message_take_number(store_query(tx,
                                                   "SELECT COUNT(*) FROM message_reaction_counts"
                                                   " WHERE conversation_num = ? AND seq = ?",
                                                   "ii", op->c.num, m->seq),
                                       &kinds);
    if (!err && kinds >= MESSAGE_EMOJI_KINDS_MAX)
        return message_refuse(op, ERR_RESOURCE_EXHAUSTED,
                              "A message bears at most 20 different reactions.");
    return err;
}

static enum err add_reaction(struct store_tx *tx, struct message_op *op,
                             const struct message_row *m, const char *emoji, bool *is_new)
{
    struct arena *arena = op->call->arena;
    struct tally t;
    enum err err = load_tally(tx, arena, m, emoji, &t);
    if (!err && !t.count)
        err = check_kinds(tx, op, m);
    if (!err)
        err = store_run(tx,
                        "INSERT INTO message_reactions (conversation_num, seq, emoji, user_id,"
                        " at_ms) VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING",
                        "iissi", op->c.num, m->seq, emoji, op->me.user_id, clock_wall_ms());
    *is_new = !err && store_changes(tx) > 0;
    if (!*is_new)
        return err;
    t.count++;
    if (names_in(t.user_ids) < MESSAGE_REACTORS_SHOWN)
        t.user_ids =
            arena_printf(arena, "%s%s%s", t.user_ids, t.user_ids[0] ? " " : "", op->me.user_id);
    return save_tally(tx, m, emoji, &t);
}

/* The names without one; who else there is comes up in its place. */
static enum err rename_tally(struct store_tx *tx, struct arena *arena, const struct message_row *m,
                             const char *emoji, struct tally *t)
{
    struct strbuf ids = {0};
    struct store_stmt *st =
        store_query(tx,
                    "SELECT user_id FROM message_reactions"
                    " WHERE conversation_num = ? AND seq = ? AND emoji = ?"
                    " LIMIT ?",
                    "iisi", m->conversation_num, m->seq, emoji, (int64_t)MESSAGE_REACTORS_SHOWN);
    while (store_step(st)) {
        if (ids.n)
            strbuf_addc(&ids, ' ');
        strbuf_add(&ids, store_str(st, 0).p, store_str(st, 0).n);
    }
    t->user_ids = ids.n ? str_arena(arena, strbuf_str(&ids)) : "";
    strbuf_deinit(&ids);
    return store_finish(st);
}

static enum err remove_reaction(struct store_tx *tx, struct message_op *op,
                                const struct message_row *m, const char *emoji, bool *is_new)
{
    struct arena *arena = op->call->arena;
    struct tally t;
    enum err err = store_run(tx,
                             "DELETE FROM message_reactions WHERE conversation_num = ? AND seq = ?"
                             " AND emoji = ? AND user_id = ?",
                             "iiss", op->c.num, m->seq, emoji, op->me.user_id);
    *is_new = !err && store_changes(tx) > 0;
    if (!*is_new)
        return err;
    err = load_tally(tx, arena, m, emoji, &t);
    t.count--;
    if (!err && strstr(t.user_ids, op->me.user_id))
        err = rename_tally(tx, arena, m, emoji, &t);
    return err ? err : save_tally(tx, m, emoji, &t);
}

enum err message_drop_reactions(struct store_tx *tx, int64_t num, int64_t from_seq, int64_t to_seq)
{
    enum err err = store_run(
        tx, "DELETE FROM message_reactions WHERE conversation_num = ? AND seq BETWEEN ? AND ?",
        "iii", num, from_seq, to_seq);
    return err ? err
               : store_run(tx,
                           "DELETE FROM message_reaction_counts WHERE conversation_num = ?"
                           " AND seq BETWEEN ? AND ?",
                           "iii", num, from_seq, to_seq);
}

static enum err react_job(struct store_tx *tx, struct message_op *op)
{
    const Message__ReactRequest *in = op->in;
    struct message_row m;
    bool is_new;
    enum err err = find_standing(tx, op, in->seq, &m);
    if (!err)
        err = in->is_removed ? remove_reaction(tx, op, &m, in->emoji, &is_new)
                             : add_reaction(tx, op, &m, in->emoji, &is_new);
    if (err)
        return err;
    if (!is_new)
        return message_reply_message(tx, op, &m);
    m.has_extras = true;
    return message_change_message(tx, op, MESSAGE_CHANGE_REACTION, &m, in->emoji, in->is_removed);
}

MESSAGE_HANDLER(message_on_react, ReactRequest, MessageInfo)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Message__ReactRequest *own = op->in;
    op->fn = react_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_PLACE;
    message_take_emoji(op->call, own->emoji);
    message_run(op, ROLE_GUEST);
}

/* ---- pins ---- */

static enum err check_pin(struct store_tx *tx, struct message_op *op, bool is_removed)
{
    if (op->c.kind != MESSAGE__CONVERSATION_KIND__DIRECT &&
        op->me.role == MESSAGE__MEMBER_ROLE__MEMBER)
        return message_refuse(op, ERR_PERMISSION_DENIED, "Only owner and admins pin messages.");
    int64_t count = 0;
    enum err err = ERR_OK;
    if (!is_removed)
        err = message_take_number(
            store_query(tx, "SELECT COUNT(*) FROM message_pins WHERE conversation_num = ?", "i",
                        op->c.num),
            &count);
    if (!err && count >= PINS_MAX)
        return message_refuse(op, ERR_RESOURCE_EXHAUSTED, "At most 100 messages are pinned.");
    return err;
}

static enum err pin_job(struct store_tx *tx, struct message_op *op)
{
    const Message__PinRequest *in = op->in;
    struct message_row m;
    enum err err = find_standing(tx, op, in->seq, &m);
    if (err)
        return err;
    if (m.is_pinned == !in->is_removed)
        return message_reply_message(tx, op, &m);
    err = check_pin(tx, op, in->is_removed);
    if (!err)
        err = store_run(tx,
                        in->is_removed
                            ? "DELETE FROM message_pins WHERE conversation_num = ? AND seq = ?"
                            : "INSERT INTO message_pins (conversation_num, seq) VALUES (?,?)",
                        "ii", op->c.num, m.seq);
    if (err)
        return err;
    m.is_pinned = !in->is_removed;
    return message_change_message(
        tx, op, in->is_removed ? MESSAGE_CHANGE_UNPINNED : MESSAGE_CHANGE_PINNED, &m, NULL, false);
}

MESSAGE_HANDLER(message_on_pin, PinRequest, MessageInfo)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Message__PinRequest *own = op->in;
    op->fn = pin_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_PLACE;
    message_run(op, ROLE_USER);
}
