/*
 * seeded: the server with one bug, for the harness to find (tests/flow/once/seeded.test.mjs). The
 * linker puts these functions before the real ones (-Wl,--wrap), so no line of the product knows of
 * them and no other program has them. SEEDED_BUG names the bug; without it the server is sound.
 */
#include <unistd.h>

#include "seeded.h"
#include "services/gateway/gateway_hub.h"
#include "services/message/message_internal.h"

bool has_bug(const char *name)
{
    const char *seeded = getenv("SEEDED_BUG");
    return seeded && strcmp(seeded, name) == 0;
}

/* ---- the answer comes before the commit ---- */

void __real_message_change(struct message_op *op);
void __wrap_message_change(struct message_op *op);

/* Waits where the reply will stand. */
struct hasty {
    message_op_fn *fn;
};

static void said_already(const ProtobufCMessage *reply, void *call)
{
    rpc_call_unref(&(struct rpc_call *){call});
}

static enum err answer_hastily(struct store_tx *tx, struct message_op *op)
{
    const struct hasty *hasty = op->reply;
    op->reply = NULL;
    enum err err = hasty->fn(tx, op);
    if (err)
        return err;
    rpc_call_ref(op->call);
    op->closure(op->reply, op->call);
    op->closure = said_already;
    usleep(5000); /* the disk is slow */
    return ERR_OK;
}

void __wrap_message_change(struct message_op *op)
{
    if (has_bug("acknowledged_before_commit") && op->needs == MESSAGE_NEEDS_WRITE) {
        struct hasty *hasty = arena_new(op->call->arena, struct hasty);
        hasty->fn = op->fn;
        op->reply = hasty;
        op->fn = answer_hastily;
    }
    __real_message_change(op);
}

/* ---- the log ---- */

enum err __real_message_log_append(struct store_tx *tx, struct message_service *svc,
                                   struct message_conversation *c, struct message_row *m);
enum err __wrap_message_log_append(struct store_tx *tx, struct message_service *svc,
                                   struct message_conversation *c, struct message_row *m);

/* As if the head had been written behind the rows: after a start it stands one too low. */
static void forget_last(struct store_tx *tx, struct message_conversation *c)
{
    static int64_t seen[1024];
    if (c->num >= 1024 || seen[c->num]++ || c->last_seq < 2)
        return;
    if (store_run(tx, "DELETE FROM message_messages WHERE conversation_num = ? AND seq = ?", "ii",
                  c->num, c->last_seq) == ERR_OK)
        c->last_seq--;
}

enum err __wrap_message_log_append(struct store_tx *tx, struct message_service *svc,
                                   struct message_conversation *c, struct message_row *m)
{
    if (has_bug("seq_reused_after_crash"))
        forget_last(tx, c);
    enum err err = __real_message_log_append(tx, svc, c, m);
    if (err == ERR_ALREADY_EXISTS && has_bug("dedup_forgotten")) {
        m->client_msg_id = m->id;
        err = __real_message_log_append(tx, svc, c, m);
    }
    return err;
}

enum err __real_message_log_rewrite(struct store_tx *tx, const struct message_row *m);
enum err __wrap_message_log_rewrite(struct store_tx *tx, const struct message_row *m);

enum err __wrap_message_log_rewrite(struct store_tx *tx, const struct message_row *m)
{
    return has_bug("recall_is_only_told") && m->recalled_at_ms ? ERR_OK
                                                               : __real_message_log_rewrite(tx, m);
}

/* ---- catching up ---- */

enum err __real_message_store_list_since(struct store_tx *tx, struct arena *arena,
                                         const char *user_id, const struct message_heads *since,
                                         int limit, struct message_pair **rows, size_t *count);
enum err __wrap_message_store_list_since(struct store_tx *tx, struct arena *arena,
                                         const char *user_id, const struct message_heads *since,
                                         int limit, struct message_pair **rows, size_t *count);

enum err __wrap_message_store_list_since(struct store_tx *tx, struct arena *arena,
                                         const char *user_id, const struct message_heads *since,
                                         int limit, struct message_pair **rows, size_t *count)
{
    struct message_heads wrong;
    if (since)
        wrong = *since;
    for (unsigned i = 0; since && has_bug("cursor_off_by_one") && i < since->count; i++)
        wrong.lsns[i] += wrong.count == 1 ? 1 : 1LL << 31; /* of several shards lsns are times */
    return __real_message_store_list_since(tx, arena, user_id, since ? &wrong : NULL, limit, rows,
                                           count);
}

enum err __real_message_log_seq_at(struct store_tx *tx, int64_t num, int64_t rev, int64_t *seq);
enum err __wrap_message_log_seq_at(struct store_tx *tx, int64_t num, int64_t rev, int64_t *seq);

enum err __wrap_message_log_seq_at(struct store_tx *tx, int64_t num, int64_t rev, int64_t *seq)
{
    enum err err = __real_message_log_seq_at(tx, num, rev, seq);
    *seq += has_bug("changes_off_by_one") && *seq > 1;
    return err;
}

/* ---- telling ---- */

void __real_topic_remove(struct gateway *gw, struct user *u, const char *id);
void __wrap_topic_remove(struct gateway *gw, struct user *u, const char *id);

void __wrap_topic_remove(struct gateway *gw, struct user *u, const char *id)
{
    if (!has_bug("told_after_removal"))
        __real_topic_remove(gw, u, id);
}
