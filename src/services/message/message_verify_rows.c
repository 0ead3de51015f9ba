/*
 * Verify, beside the log: each message has the mentions, files, place in a thread, pin and words in
 * the search index that its content asks for, and there are no others. What a message must have is
 * looked for row by row; what nobody asked for shows in the counts, so neither takes more than a
 * window of memory.
 */
#include "services/message/message_verify_internal.h"

/* ---- what one message must have ---- */

static enum err expect_row(struct message_walk *w, struct store_stmt *st, const char *what,
                           int64_t *found, int64_t rev)
{
    int64_t count = 0;
    enum err err = message_take_number(st, &count);
    *found += count;
    if (!err && !count)
        message_walk_complain(w, what, rev);
    return err;
}

static enum err expect_mention(struct message_walk *w, const struct message_row *m,
                               const char *user_id)
{
    return expect_row(w,
                      store_query(w->tx,
                                  "SELECT COUNT(*) FROM message_mentions"
                                  " WHERE conversation_num = ? AND user_id = ? AND seq = ?",
                                  "isi", w->c.num, user_id, m->seq),
                      "a mention is missing", &w->mentions, m->rev);
}

static bool is_named_before(char *const *names, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (strcmp(names[i], names[at]) == 0)
            return true;
    }
    return false;
}

static enum err check_mentions(struct message_walk *w, const struct message_row *m,
                               const Message__Content *content)
{
    enum err err = content->is_mentioning_all ? expect_mention(w, m, "*") : ERR_OK;
    for (size_t i = 0; i < content->n_mentions && !err; i++) {
        if (!is_named_before(content->mentions, i))
            err = expect_mention(w, m, content->mentions[i]);
    }
    return err;
}

static enum err check_files(struct message_walk *w, const struct message_row *m,
                            const Message__Content *content)
{
    char **ids = arena_array(w->arena, char *, content->n_attachments + 1);
    enum err err = ERR_OK;
    for (size_t i = 0; i < content->n_attachments && !err; i++) {
        ids[i] = content->attachments[i]->file_id;
        if (!is_named_before(ids, i))
            err = expect_row(w,
                             store_query(w->tx,
                                         "SELECT COUNT(*) FROM message_files"
                                         " WHERE conversation_num = ? AND seq = ? AND file_id = ?",
                                         "iis", w->c.num, m->seq, ids[i]),
                             "a file it names is not referred to", &w->files, m->rev);
    }
    return err;
}

static enum err check_thread(struct message_walk *w, const struct message_row *m)
{
    return expect_row(w,
                      store_query(w->tx,
                                  "SELECT COUNT(*) FROM message_threads WHERE"
                                  " conversation_num = ? AND thread_seq = ? AND seq = ?",
                                  "iii", w->c.num, m->thread_seq, m->seq),
                      "it is missing in its thread", &w->threads, m->rev);
}

static enum err check_pin(struct message_walk *w, const struct message_row *m)
{
    return expect_row(w,
                      store_query(w->tx,
                                  "SELECT COUNT(*) FROM message_pins"
                                  " WHERE conversation_num = ? AND seq = ?",
                                  "ii", w->c.num, m->seq),
                      "it is pinned, but not among the pins", &w->pins, m->rev);
}

static enum err check_terms(struct message_walk *w, const struct message_row *m)
{
    const char *expected = message_index_terms(w->arena, m);
    struct store_stmt *st =
        store_query(w->tx, "SELECT t, c, s, k FROM message_terms WHERE rowid = ?", "i", m->lsn);
    bool is_found = store_step(st);
    bool is_same = is_found && expected && str_eq(store_str(st, 0), str_from(expected)) &&
                   store_int(st, 1) == w->c.num &&
                   str_eq(store_str(st, 2), str_from(m->sender_id)) &&
                   str_eq(store_str(st, 3), str_from(message_index_kind(w->arena, m)));
    enum err err = store_finish(st);
    w->terms += is_found;
    if (!err && !is_found && expected)
        message_walk_complain(w, "its words are missing in the search index", m->rev);
    else if (!err && is_found && !is_same)
        message_walk_complain(w, "the search index has other words for it", m->rev);
    return err;
}

/* What was sent is what was asked to be sent, while nobody has edited it: the digest of the request
 * is a link of the chain, and covers kind and references. */
static void check_request(struct message_walk *w, const struct message_row *m,
                          Message__Content *content)
{
    if (m->edited_at_ms || m->forwarded_n)
        return;
    struct message_digest as_sent =
        message_send_digest(w->arena,
                            &(Message__SendMessageRequest){.reply_to_seq = m->reply_to_seq,
                                                           .thread_seq = m->thread_seq,
                                                           .forward_conversation_id = (char *)""},
                            content);
    struct message_digest as_said = message_digest(m->content, m->content_n); /* notes, webhooks */
    bool is_said =
        !m->reply_to_seq && !m->thread_seq && memcmp(&as_said, &m->digest, sizeof(m->digest)) == 0;
    if (!is_said && memcmp(&as_sent, &m->digest, sizeof(m->digest)) != 0)
        message_walk_complain(w, "it is not what its sender asked for", m->rev);
}

enum err message_walk_beside(struct message_walk *w, const struct message_row *m)
{
    Message__Content *content = m->recalled_at_ms ? NULL : message_content_of(w->arena, m);
    enum err err = ERR_OK;
    if (!m->recalled_at_ms && !content)
        message_walk_complain(w, "its content cannot be read", m->rev);
    if (content && content->kind != m->kind)
        message_walk_complain(w, "it is of another kind than its content", m->rev);
    if (content)
        check_request(w, m, content);
    if (content)
        err = check_mentions(w, m, content);
    if (!err && content && message_is_file_kind(m->kind))
        err = check_files(w, m, content);
    if (!err && m->thread_seq)
        err = check_thread(w, m);
    if (!err && m->is_pinned)
        err = check_pin(w, m);
    return err || m->lsn > w->indexed_lsn ? err : check_terms(w, m);
}

/* ---- a conversation's others ---- */

/* Each counts rows that should not be. */
static const struct {
    const char *sql, *what;
} stray[] = {
#define OF_NO_MESSAGE(table)                                                           \
    "SELECT COUNT(*) FROM " table " t WHERE t.conversation_num = ? AND NOT EXISTS"     \
    " (SELECT 1 FROM message_messages m WHERE m.conversation_num = t.conversation_num" \
    " AND m.seq = t.seq)"
#define REACTIONS_OF                                                       \
    "(SELECT COUNT(*) FROM message_reactions r WHERE r.conversation_num =" \
    " t.conversation_num AND r.seq = t.seq AND r.emoji = t.emoji"
    {OF_NO_MESSAGE("message_reactions"), "reactions to messages that are not there"},
    {OF_NO_MESSAGE("message_reaction_counts"),
     "counts of reactions to messages that are not there"},
    {OF_NO_MESSAGE("message_hidden"), "messages deleted for somebody that are not there"},
    {"SELECT COUNT(*) FROM message_reaction_counts t WHERE t.conversation_num = ?"
     " AND t.count <> " REACTIONS_OF ")",
     "reactions that are not as many as it says"},
    {"SELECT COUNT(*) FROM message_reaction_counts t WHERE t.conversation_num = ?"
     " AND (" REACTIONS_OF " AND t.user_ids LIKE '%' || r.user_id || '%')"
     " <> CASE WHEN t.count < 8 THEN t.count ELSE 8 END" /* MESSAGE_REACTORS_SHOWN */
     " OR LENGTH(t.user_ids) - LENGTH(REPLACE(t.user_ids, ' ', '')) + 1"
     " <> CASE WHEN t.count < 8 THEN t.count ELSE 8 END)",
     "reactions by others than it says"},
    {"SELECT COUNT(*) FROM message_reactions t WHERE t.conversation_num = ? AND NOT EXISTS"
     " (SELECT 1 FROM message_reaction_counts r WHERE r.conversation_num = t.conversation_num"
     " AND r.seq = t.seq AND r.emoji = t.emoji)",
     "reactions that are not counted"},
    {"SELECT COUNT(*) FROM message_reaction_counts t JOIN message_messages m"
     " ON m.conversation_num = t.conversation_num AND m.seq = t.seq"
     " WHERE t.conversation_num = ? AND m.has_extras = 0",
     "messages that show none of their reactions"},
    {"SELECT COUNT(*) FROM message_threads t JOIN message_messages m"
     " ON m.conversation_num = t.conversation_num AND m.seq = t.thread_seq"
     " WHERE t.conversation_num = ? AND m.has_extras = 0",
     "messages that do not show their thread"},
    {"SELECT COUNT(*) FROM message_members t JOIN message_conversations c"
     " ON c.num = t.conversation_num WHERE c.num = ? AND (t.read_seq > c.last_seq"
     " OR t.delivered_seq > c.last_seq OR t.visible_from_seq > c.last_seq"
     " OR t.visible_to_seq > c.last_seq OR t.visible_to_rev > c.rev"
     " OR t.archived_seq > c.last_seq + 1)",
     "members who have read what is not there"},
};
#undef OF_NO_MESSAGE
#undef REACTIONS_OF

static enum err expect_count(struct message_walk *w, struct store_stmt *st, int64_t expected,
                             const char *what)
{
    int64_t count = 0;
    enum err err = message_take_number(st, &count);
    if (!err && count != expected)
        message_walk_complain(w, what, w->c.rev);
    return err;
}

static enum err check_counts(struct message_walk *w)
{
    const struct {
        const char *sql;
        int64_t found;
        const char *what;
    } of[] = {
        {"SELECT COUNT(*) FROM message_mentions WHERE conversation_num = ?", w->mentions,
         "mentions of people whom no message names"},
        {"SELECT COUNT(*) FROM message_files WHERE conversation_num = ?", w->files,
         "files that no message names"},
        {"SELECT COUNT(*) FROM message_threads WHERE conversation_num = ?", w->threads,
         "places in threads that no message has"},
        {"SELECT COUNT(*) FROM message_pins WHERE conversation_num = ?", w->pins,
         "pins on messages that are not pinned"},
    };
    enum err err = ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(of) && !err; i++)
        err =
            expect_count(w, store_query(w->tx, of[i].sql, "i", w->c.num), of[i].found, of[i].what);
    *w->total_terms += w->terms;
    if (err || !w->is_index_sound)
        return err;
    return expect_count(w, message_index_of(w->tx)->count(w->tx, w->c.num), w->terms,
                        "the search index finds more or less than there is");
}

enum err message_walk_others(struct message_walk *w)
{
    enum err err = check_counts(w);
    for (size_t i = 0; i < ARRAY_LEN(stray) && !err; i++)
        err = expect_count(w, store_query(w->tx, stray[i].sql, "i", w->c.num), 0, stray[i].what);
    return err;
}

/* ---- of no conversation ---- */

static const struct {
    const char *sql, *what;
} orphans[] = {
#define OF_NONE(table, what)                                                         \
    {                                                                                \
        "SELECT COUNT(*) FROM " table " t WHERE NOT EXISTS"                          \
        " (SELECT 1 FROM message_conversations c WHERE c.num = t.conversation_num)", \
            what " of a conversation that is not there"                              \
    }
    OF_NONE("message_messages", "messages"),
    OF_NONE("message_changes", "changes"),
    OF_NONE("message_members", "members"),
    OF_NONE("message_mentions", "mentions"),
    OF_NONE("message_files", "files"),
    OF_NONE("message_threads", "threads"),
    OF_NONE("message_reactions", "reactions"),
    OF_NONE("message_reaction_counts", "counts of reactions"),
    OF_NONE("message_pins", "pins"),
    OF_NONE("message_hidden", "deleted messages"),
    OF_NONE("message_scheduled", "waiting messages"),
#undef OF_NONE
};

enum err message_walk_orphans(struct message_walk *w)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(orphans) && !err; i++)
        err = expect_count(w, store_query(w->tx, orphans[i].sql, ""), 0, orphans[i].what);
    return err ? err
               : expect_count(w, store_query(w->tx, "SELECT COUNT(*) FROM message_terms", ""),
                              *w->total_terms, "words in the search index of no message");
}
