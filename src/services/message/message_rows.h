/* message_rows: what is kept of conversations, members and the log, and the SQL that reads and
 * writes it (message_store.c, message_log.c). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "services/common/page.h"
#include "store/store.h"

#include "message.pb-c.h"

#define MESSAGE_DIGEST_BYTES 16

struct message_service;

/* ---- rows; texts live in the arena of the call that read them ---- */

struct message_digest {
    uint8_t bytes[MESSAGE_DIGEST_BYTES];
};

struct message_conversation {
    int64_t num;    /* 0: none */
    unsigned shard; /* where its id and its key say (services/common/shards.h) */
    const char *id, *natural_key, *title, *avatar_url, *announcement, *owner_id, *meeting_id;
    Message__ConversationKind kind;
    Message__JoinRule join_rule;
    bool is_muted, is_dissolved;
    bool members_may_add, is_consent_needed, members_may_mention_all;
    int64_t retention_days, member_count;
    int64_t first_seq; /* the oldest that is kept; 1 at first */
    int64_t last_seq, rev, head_lsn;
    struct message_digest chain;
    int64_t created_at_ms, active_at_ms;
};

struct message_member {
    int64_t conversation_num;
    const char *user_id; /* NULL: no member, and never was */
    const char *nickname, *draft;
    Message__MemberRole role;
    Message__MemberState state;
    int64_t joined_at_ms, muted_until_ms;
    int64_t visible_from_seq; /* reads what is newer than this */
    int64_t visible_to_seq, visible_to_rev;
    int64_t read_seq, delivered_seq, quiet_until_ms, draft_at_ms, own_lsn;
    int64_t archived_seq; /* put away until something newer comes; 0: not */
    bool is_marked_unread, is_pinned;
    bool is_bot; /* a program's account; as it was when it came in */
};

struct message_row {
    int64_t lsn, conversation_num, seq, rev;
    const char *id, *sender_id, *client_msg_id, *recalled_by;
    Message__ContentKind kind;
    const void *content; /* packed message.Content */
    size_t content_n;
    const void *forwarded; /* packed message.ForwardedFrom; empty: not forwarded */
    size_t forwarded_n;
    struct message_digest digest, content_digest, chain;
    int64_t reply_to_seq, thread_seq;
    int64_t created_at_ms, edited_at_ms, recalled_at_ms;
    bool has_extras; /* reactions or a thread: rows elsewhere to look for */
    bool is_pinned;
};

enum message_change_type {
    MESSAGE_CHANGE_MESSAGE, /* not kept as a change: the message itself is the row */
    MESSAGE_CHANGE_EDITED,
    MESSAGE_CHANGE_RECALLED,
    MESSAGE_CHANGE_REACTION,
    MESSAGE_CHANGE_PINNED,
    MESSAGE_CHANGE_UNPINNED,
    MESSAGE_CHANGE_MEMBER,
    MESSAGE_CHANGE_CONVERSATION,
};

struct message_change_row {
    int64_t lsn, conversation_num, rev, seq, last_seq, at_ms;
    enum message_change_type type;
    const char *actor_id, *user_id;
    struct message_digest digest, chain;
};

/* ---- message_store.c: conversations and members ---- */
/* By id, or "m:<meeting>": the chat of a meeting. ERR_NOT_FOUND. */
enum err message_store_find(struct store_tx *tx, struct arena *arena, const char *id,
                            struct message_conversation *out);
enum err message_store_find_natural(struct store_tx *tx, struct arena *arena, const char *key,
                                    struct message_conversation *out);
/* Sets c->num. */
enum err message_store_insert(struct store_tx *tx, struct message_service *svc,
                              struct message_conversation *c);
/* Title, picture, rules, owner, counts: what is not the log's head. */
enum err message_store_update(struct store_tx *tx, const struct message_conversation *c);
/* Finishes a query of one number; 0 without a row. */
enum err message_take_number(struct store_stmt *st, int64_t *number);
/* ERR_NOT_FOUND. */
enum err message_store_member(struct store_tx *tx, struct arena *arena, int64_t num,
                              const char *user_id, struct message_member *out);
/* Inserts or replaces. */
enum err message_store_put_member(struct store_tx *tx, const struct message_member *m);
struct message_member_range {
    int64_t num;
    Message__MemberState state;
    const char *above; /* ids beyond this one */
    int limit;
};
/* By id; one more than limit if there are more. */
enum err message_store_members(struct store_tx *tx, struct arena *arena,
                               const struct message_member_range *range,
                               struct message_member **rows, size_t *count);
/* How `owner_id` has `user_id` among its contacts, as contact.ContactState says; wherever the
 * transaction is. */
enum err message_store_contact(struct store_tx *tx, const struct message_service *svc,
                               const char *owner_id, const char *user_id, int64_t *state);
/* Whether `owner_id` has blocked `user_id`; also if it cannot be known. */
bool message_store_is_blocked(struct store_tx *tx, const struct message_service *svc,
                              const char *owner_id, const char *user_id);
/* Both ways at once. */
enum err message_store_blocks(struct store_tx *tx, const struct message_service *svc, const char *a,
                              const char *b, bool *by_a, bool *by_b);

struct message_pair {
    struct message_conversation c;
    struct message_member me;
};
/* Those of a person with something new since these lsns, one a shard (NULL: all), the latest first;
 * one more than limit if there are more. */
struct message_heads;
enum err message_store_list_since(struct store_tx *tx, struct arena *arena, const char *user_id,
                                  const struct message_heads *since, int limit,
                                  struct message_pair **rows, size_t *count);
/* " AND (it moved since)" of conversations c and members m: with so many shards, ... */
const char *message_store_moved_sql(struct arena *arena, const struct message_heads *since);
/* ... and its parameters, from this one on. Returns the next. */
int message_store_bind_moved(struct store_stmt *st, int at, const struct message_heads *since);
enum err message_store_list(struct store_tx *tx, struct arena *arena, const char *user_id,
                            bool is_archived, const struct page *page, struct message_pair **rows,
                            size_t *count);

/* ---- message_log.c: the log itself ---- */
/* What a revision adds to the chain beside actor and digest. */
struct message_link {
    int64_t conversation_num, rev, type, seq, at_ms;
};
void message_chain_on(struct message_digest *chain, const struct message_link *link,
                      const char *actor_id, const struct message_digest *digest);
/*
 * Appends a message: gives it seq, rev, lsn, time and chain, and moves the head of c.
 * ERR_ALREADY_EXISTS: the sender has used this client_msg_id; nothing is written.
 */
enum err message_log_append(struct store_tx *tx, struct message_service *svc,
                            struct message_conversation *c, struct message_row *m);
/* Appends a change of another kind; type, seq, actor_id, user_id and digest are given. */
enum err message_log_change(struct store_tx *tx, struct message_service *svc,
                            struct message_conversation *c, struct message_change_row *change);
enum err message_log_get(struct store_tx *tx, struct arena *arena, int64_t num, int64_t seq,
                         struct message_row *out);
#define MESSAGE_COLUMNS                                                                           \
    "m.lsn, m.conversation_num, m.seq, m.rev, m.id, m.sender_id, m.client_msg_id, m.kind,"        \
    " m.content, m.digest, m.content_digest, m.chain, m.reply_to_seq, m.thread_seq, m.forwarded," \
    " m.created_at_ms, m.edited_at_ms, m.recalled_at_ms, m.recalled_by, m.has_extras, m.is_pinned"
#define MESSAGE_COLUMN_COUNT 21
/* A row of these. */
void message_log_read(struct store_stmt *st, struct arena *arena, struct message_row *m);
enum err message_log_find_sent(struct store_tx *tx, struct arena *arena, int64_t num,
                               const char *sender_id, const char *client_msg_id,
                               struct message_row *out);
/* Whether the reader has deleted it for itself. */
enum err message_log_is_hidden(struct store_tx *tx, const char *reader_id, int64_t num, int64_t seq,
                               bool *is_hidden);
/* Writes what may change of a message: content, edit, recall, marks. */
enum err message_log_rewrite(struct store_tx *tx, const struct message_row *m);

struct message_range {
    int64_t num;
    int64_t above_seq, below_seq; /* both exclusive */
    int64_t thread_seq;           /* 0: whatever thread */
    const char *reader_id;        /* what this one has deleted for itself is left out */
    int limit;
    bool is_pinned; /* only what is pinned */
    bool is_newest_first;
};
enum err message_log_range(struct store_tx *tx, struct arena *arena,
                           const struct message_range *range, struct message_row **rows,
                           size_t *count);
/* Which seq was the last when the conversation stood at rev. */
enum err message_log_seq_at(struct store_tx *tx, const struct message_conversation *c, int64_t rev,
                            int64_t *seq);
/* The newest revision that retention took away; 0: none. */
enum err message_log_floor(struct store_tx *tx, const struct message_conversation *c, int64_t *rev);
/* Changes other than messages with above < rev <= to, in order. */
enum err message_log_changes(struct store_tx *tx, struct arena *arena, int64_t num, int64_t above,
                             int64_t to, int limit, struct message_change_row **rows,
                             size_t *count);
/* Unread messages over all of a person's conversations that are not quiet. */
enum err message_count_unread(struct store_tx *tx, const char *user_id, int64_t *count);
