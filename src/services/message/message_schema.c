/*
 * The tables of the log. Messages and changes are clustered by lsn, so a commit appends at the end
 * of both; numbers stand for conversations in the indexes, since every message pays for their
 * width.
 */
#include "services/message/message_internal.h"

/* The index of words: FTS5's, or a table of the same columns with an index of the engine's. There
 * is no database of these engines from before version 9. `v` is made of the words in `t`, of which
 * those that no search can ask for are cut (PostgreSQL's own limit is 2,047 bytes). For MySQL
 * see message_index_mysql.c. */
static const struct store_variant before_index[] = {
    {.begins = "CREATE VIRTUAL TABLE message_terms", .postgres = "", .mysql = ""},
    {0},
};
/* An index over some of the rows is one over all of them for MySQL: so it begins with which. */
static const struct store_variant before_counts[] = {
    {.begins = "INSERT INTO message_reaction_counts", .postgres = "", .mysql = ""},
    {.begins = "CREATE INDEX message_members_ranked",
     .mysql = "CREATE INDEX message_members_ranked ON message_members (conversation_num, role)"},
    {0},
};
static const struct store_variant webhook_variants[] = {
    {.begins = "CREATE INDEX message_members_bots",
     .mysql = "CREATE INDEX message_members_bots ON message_members (conversation_num, is_bot)"},
    {0},
};
static const struct store_variant index_variants[] = {
    {.begins = "DROP TABLE message_terms", .postgres = "", .mysql = ""},
    {.begins = "CREATE VIRTUAL TABLE message_terms",
     .postgres = "CREATE TABLE message_terms (rowid INTEGER PRIMARY KEY, t TEXT NOT NULL,"
                 " c BIGINT NOT NULL, s TEXT NOT NULL, k TEXT NOT NULL, v tsvector NOT NULL"
                 " GENERATED ALWAYS AS (array_to_tsvector(array_remove(string_to_array("
                 "regexp_replace(t, '([^ ]{255})[^ ]+', '\\1', 'g'), ' '), ''))) STORED);"
                 "CREATE INDEX message_terms_by_word ON message_terms USING gin (v);"
                 "CREATE INDEX message_terms_by_conversation ON message_terms (c, rowid)",
     .mysql = "CREATE TABLE message_terms (rowid INTEGER PRIMARY KEY, t TEXT NOT NULL,"
              " c BIGINT NOT NULL, s VARCHAR(255) NOT NULL, k VARCHAR(255) NOT NULL);"
              "CREATE INDEX message_terms_by_conversation ON message_terms (c, rowid);"
              "CREATE TABLE message_words (word TEXT NOT NULL, lsn BIGINT NOT NULL REFERENCES"
              " message_terms (rowid) ON DELETE CASCADE, PRIMARY KEY (word, lsn))"},
    {0},
};

const struct store_migration message_migrations[] = {
    {.room = "message",
     .version = 1,
     .sql =
         /* fence: counts the owners of the shard; the upper part of every lsn */
     "CREATE TABLE message_shards (shard INTEGER PRIMARY KEY, epoch TEXT NOT NULL,"
     " fence BIGINT NOT NULL);"
     /* natural_key: "d:<user>:<user>", "m:<meeting>", "g:<owner>:<client id>", or the id */
     "CREATE TABLE message_conversations ("
     " num INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
     " natural_key TEXT NOT NULL UNIQUE, kind INTEGER NOT NULL, title TEXT NOT NULL,"
     " avatar_url TEXT NOT NULL, announcement TEXT NOT NULL, owner_id TEXT NOT NULL,"
     " meeting_id TEXT NOT NULL, join_rule INTEGER NOT NULL, is_muted INTEGER NOT NULL,"
     " is_dissolved INTEGER NOT NULL, retention_days INTEGER NOT NULL,"
     " member_count INTEGER NOT NULL, first_seq BIGINT NOT NULL, last_seq BIGINT NOT NULL,"
     " rev BIGINT NOT NULL, head_lsn BIGINT NOT NULL, chain BLOB NOT NULL,"
     " created_at_ms BIGINT NOT NULL, active_at_ms BIGINT NOT NULL);"
     /* visible_to_seq, visible_to_rev: where a member who is gone stops reading; archived_seq:
        put away until something newer than this comes; 0: not */
     "CREATE TABLE message_members ("
     " conversation_num BIGINT NOT NULL, user_id TEXT NOT NULL, role INTEGER NOT NULL,"
     " state INTEGER NOT NULL, nickname TEXT NOT NULL, joined_at_ms BIGINT NOT NULL,"
     " muted_until_ms BIGINT NOT NULL, visible_from_seq BIGINT NOT NULL,"
     " visible_to_seq BIGINT NOT NULL, visible_to_rev BIGINT NOT NULL,"
     " read_seq BIGINT NOT NULL, delivered_seq BIGINT NOT NULL,"
     " is_marked_unread INTEGER NOT NULL, quiet_until_ms BIGINT NOT NULL,"
     " is_pinned INTEGER NOT NULL, archived_seq BIGINT NOT NULL, draft TEXT NOT NULL,"
     " draft_at_ms BIGINT NOT NULL, own_lsn BIGINT NOT NULL,"
     " PRIMARY KEY (conversation_num, user_id));"
     "CREATE INDEX message_members_by_user ON message_members (user_id, own_lsn);"
     /* digest: of what was asked to be sent (idempotency, chain); content_digest: of what
        stands there now; chain: over all revisions up to this one */
     "CREATE TABLE message_messages ("
     " lsn INTEGER PRIMARY KEY, conversation_num BIGINT NOT NULL, seq BIGINT NOT NULL,"
     " rev BIGINT NOT NULL, id TEXT NOT NULL, sender_id TEXT NOT NULL,"
     " client_msg_id TEXT NOT NULL, kind INTEGER NOT NULL, content BLOB NOT NULL,"
     " digest BLOB NOT NULL, content_digest BLOB NOT NULL, chain BLOB NOT NULL,"
     " reply_to_seq BIGINT NOT NULL, thread_seq BIGINT NOT NULL, forwarded BLOB NOT NULL,"
     " created_at_ms BIGINT NOT NULL, edited_at_ms BIGINT NOT NULL,"
     " recalled_at_ms BIGINT NOT NULL, recalled_by TEXT NOT NULL, has_extras INTEGER NOT "
     "NULL,"
     " is_pinned INTEGER NOT NULL, UNIQUE (conversation_num, seq),"
     " UNIQUE (conversation_num, sender_id, client_msg_id));"
     /* seq: the message it is about, 0: none; last_seq: of the conversation at that moment */
     "CREATE TABLE message_changes ("
     " lsn INTEGER PRIMARY KEY, conversation_num BIGINT NOT NULL, rev BIGINT NOT NULL,"
     " type INTEGER NOT NULL, seq BIGINT NOT NULL, last_seq BIGINT NOT NULL,"
     " actor_id TEXT NOT NULL, user_id TEXT NOT NULL, at_ms BIGINT NOT NULL,"
     " digest BLOB NOT NULL, chain BLOB NOT NULL, UNIQUE (conversation_num, rev));"
     /* user_id "*": everybody */
     "CREATE TABLE message_mentions ("
     " conversation_num BIGINT NOT NULL, user_id TEXT NOT NULL, seq BIGINT NOT NULL,"
     " PRIMARY KEY (conversation_num, user_id, seq));"
     "CREATE TABLE message_threads ("
     " conversation_num BIGINT NOT NULL, thread_seq BIGINT NOT NULL, seq BIGINT NOT NULL,"
     " PRIMARY KEY (conversation_num, thread_seq, seq));"
     "CREATE TABLE message_reactions ("
     " conversation_num BIGINT NOT NULL, seq BIGINT NOT NULL, emoji TEXT NOT NULL,"
     " user_id TEXT NOT NULL, at_ms BIGINT NOT NULL,"
     " PRIMARY KEY (conversation_num, seq, emoji, user_id));"
     "CREATE TABLE message_pins ("
     " conversation_num BIGINT NOT NULL, seq BIGINT NOT NULL,"
     " PRIMARY KEY (conversation_num, seq));"
     /* request: packed message.SendMessageRequest; error: why it could not be sent */
     "CREATE TABLE message_scheduled ("
     " id TEXT PRIMARY KEY, conversation_num BIGINT NOT NULL, sender_id TEXT NOT NULL,"
     " client_msg_id TEXT NOT NULL, send_at_ms BIGINT NOT NULL, request BLOB NOT NULL,"
     " digest BLOB NOT NULL, error TEXT NOT NULL,"
     " UNIQUE (conversation_num, sender_id, client_msg_id));"
     "CREATE TABLE message_hidden ("
     " user_id TEXT NOT NULL, conversation_num BIGINT NOT NULL, seq BIGINT NOT NULL,"
     " PRIMARY KEY (user_id, conversation_num, seq));"
     /* t: the terms of a message, c: the number of its conversation; rowid: its lsn */
     "CREATE VIRTUAL TABLE message_terms USING fts5(t, c, detail = 'column',"
     " tokenize = \"unicode61 remove_diacritics 2 categories 'L* N* M* Co'\");"
     "CREATE TABLE message_indexed (shard INTEGER PRIMARY KEY, lsn BIGINT NOT NULL);"
     "CREATE TABLE message_contacts ("
     " owner_id TEXT NOT NULL, user_id TEXT NOT NULL, state INTEGER NOT NULL,"
     " note TEXT NOT NULL, alias TEXT NOT NULL, since_ms BIGINT NOT NULL,"
     " PRIMARY KEY (owner_id, user_id));",
     .variants = before_index},
    {.room = "message",
     .version = 2,
     .sql =
         /* user_ids: some of them, by spaces, so that showing a message reads one row an emoji */
     "CREATE TABLE message_reaction_counts ("
     " conversation_num BIGINT NOT NULL, seq BIGINT NOT NULL, emoji TEXT NOT NULL,"
     " count BIGINT NOT NULL, user_ids TEXT NOT NULL,"
     " PRIMARY KEY (conversation_num, seq, emoji));"
     "INSERT INTO message_reaction_counts (conversation_num, seq, emoji, count, user_ids)"
     " SELECT conversation_num, seq, emoji, MAX(total), group_concat(user_id, ' ') FROM"
     " (SELECT conversation_num, seq, emoji, user_id,"
     " COUNT(*) OVER (PARTITION BY conversation_num, seq, emoji) AS total,"
     " ROW_NUMBER() OVER (PARTITION BY conversation_num, seq, emoji ORDER BY at_ms) AS place"
     " FROM message_reactions) WHERE place <= 8 GROUP BY conversation_num, seq, emoji;"
     /* owners and admins: who hears of those that ask */
     "CREATE INDEX message_members_ranked ON message_members (conversation_num, user_id)"
     " WHERE role > 0;",
     .variants = before_counts},
    {.room = "message",
     .version = 3,
     .sql = /* meetings that go on, begun from a conversation, and who has been in them */
     "CREATE TABLE message_calls ("
     " conversation_id TEXT PRIMARY KEY, meeting_id TEXT NOT NULL UNIQUE,"
     " meeting_code TEXT NOT NULL, starter_id TEXT NOT NULL);"
     "CREATE TABLE message_call_people ("
     " meeting_id TEXT NOT NULL, user_id TEXT NOT NULL, PRIMARY KEY (meeting_id, user_id));"},
    {.room = "message",
     .version = 4,
     .sql = "ALTER TABLE message_members ADD COLUMN is_bot INTEGER NOT NULL DEFAULT 0"},
    /* for retention, which deletes by place */
    {.room = "message",
     .version = 5,
     .sql = "CREATE INDEX message_hidden_by_seq ON message_hidden (conversation_num, seq)"},
    {.room = "message",
     .version = 6,
     .sql = /* kind 0: incoming, 1: outgoing; conversation_num 0: wherever the bot is */
     "CREATE TABLE message_webhooks ("
     " id TEXT PRIMARY KEY, kind INTEGER NOT NULL, name TEXT NOT NULL,"
     " conversation_num BIGINT NOT NULL, conversation_id TEXT NOT NULL, bot_id TEXT NOT NULL,"
     " url TEXT NOT NULL, secret BLOB NOT NULL, events BIGINT NOT NULL,"
     " created_by TEXT NOT NULL, created_at_ms BIGINT NOT NULL, is_disabled INTEGER NOT NULL,"
     " problem TEXT NOT NULL, fail_count BIGINT NOT NULL, failing_since_ms BIGINT NOT NULL,"
     " retry_at_ms BIGINT NOT NULL, full_at_ms BIGINT NOT NULL);"
     "CREATE INDEX message_webhooks_by_conversation ON message_webhooks (conversation_num, kind);"
     "CREATE INDEX message_webhooks_by_bot ON message_webhooks (bot_id);"
     "CREATE INDEX message_members_bots ON message_members (conversation_num, user_id)"
     " WHERE is_bot = 1;",
     .variants = webhook_variants},
    /* who has this one among their contacts: for an account that is erased */
    {.room = "message",
     .version = 7,
     .sql = "CREATE INDEX message_contacts_by_user ON message_contacts (user_id)"},
    {.room = "message",
     .version = 8,
     .sql = /* which messages refer to a file: not those that were recalled */
     "CREATE TABLE message_files ("
     " conversation_num BIGINT NOT NULL, seq BIGINT NOT NULL, file_id TEXT NOT NULL,"
     " PRIMARY KEY (conversation_num, seq, file_id));"
     "CREATE INDEX message_files_by_file ON message_files (file_id, conversation_num, seq)"},
    /* c: the number of its conversation, s: its sender, k: "k" and its kind; the index is filled
       anew behind what else is done */
    {.room = "message",
     .version = 9,
     .sql = "DROP TABLE message_terms;"
            "CREATE VIRTUAL TABLE message_terms USING fts5(t, c, s, k, detail = 'column',"
            " tokenize = \"unicode61 remove_diacritics 2 categories 'L* N* M* Co'\");"
            "DELETE FROM message_indexed",
     .variants = index_variants},
    {.room = "message",
     .version = 10,
     .sql =
         /* state 0: offered, 1: declined, kept until its end so that it is not offered again */
     "ALTER TABLE message_conversations ADD COLUMN members_may_add INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE message_conversations ADD COLUMN is_consent_needed INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE message_conversations ADD COLUMN members_may_mention_all INTEGER NOT NULL"
     " DEFAULT 0;"
     "CREATE TABLE message_invitations ("
     " conversation_num BIGINT NOT NULL, user_id TEXT NOT NULL, inviter_id TEXT NOT NULL,"
     " state INTEGER NOT NULL, note TEXT NOT NULL, created_at_ms BIGINT NOT NULL,"
     " expires_at_ms BIGINT NOT NULL, PRIMARY KEY (conversation_num, user_id));"
     "CREATE INDEX message_invitations_by_user ON message_invitations (user_id, created_at_ms);"
     "CREATE INDEX message_invitations_by_inviter ON message_invitations (inviter_id);"
     "CREATE INDEX message_invitations_by_end ON message_invitations (expires_at_ms);"
     "CREATE TABLE message_invite_links ("
     " id TEXT PRIMARY KEY, conversation_num BIGINT NOT NULL, digest BLOB NOT NULL UNIQUE,"
     " created_by TEXT NOT NULL, created_at_ms BIGINT NOT NULL, expires_at_ms BIGINT NOT NULL,"
     " max_uses BIGINT NOT NULL, use_count BIGINT NOT NULL);"
     "CREATE INDEX message_invite_links_by_conversation ON message_invite_links"
     " (conversation_num);"
     "CREATE INDEX message_invite_links_by_maker ON message_invite_links (created_by);"
     "CREATE INDEX message_invite_links_by_end ON message_invite_links (expires_at_ms)"},
    {.room = "message",
     .version = 11,
     .sql =
         /* owner: the message instance that appends to the shard, as others reach it; lsn: the last
            one that was given, where it is kept (message_shard.c) */
     "ALTER TABLE message_shards ADD COLUMN owner TEXT NOT NULL DEFAULT '';"
     "ALTER TABLE message_shards ADD COLUMN lsn BIGINT NOT NULL DEFAULT 0;"
     "ALTER TABLE message_conversations ADD COLUMN shard INTEGER NOT NULL DEFAULT 0;"
     /* beat: counted up by who lives */
     "CREATE TABLE message_instances (id TEXT PRIMARY KEY, beat BIGINT NOT NULL)"},
    {.room = "message",
     .version = 12,
     .sql = /* of how many this is one; some may lie in other databases. 0: of as many as are here
             */
     "ALTER TABLE message_shards ADD COLUMN of_shards INTEGER NOT NULL DEFAULT 0"},
};
const size_t message_migration_count = ARRAY_LEN(message_migrations);
