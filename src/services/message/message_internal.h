/* message_internal: what the files of this service share. */
#pragma once

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/mem.h"
#include "services/common/audit.h"
#include "services/common/page.h"
#include "services/common/seal.h"
#include "services/common/text.h"
#include "services/common/who.h"
#include "services/message/message.h"

#include "contact.pb-c.h"
#include "group.pb-c.h"
#include "message.pb-c.h"
#include "webhook.pb-c.h"

struct Meeting__MeetingEvent; /* as protoc-c calls it */

#define MESSAGE_DIGEST_BYTES 16
#define MESSAGE_EMOJI_KINDS_MAX 20 /* on one message */
#define MESSAGE_REACTORS_SHOWN 8   /* of one emoji, by name */
#define MESSAGE_SHARD 0            /* of all there will be: one writer orders all for now */
#define MESSAGE_EPOCH_SIZE ID_SIZE

struct message_service {
    /* handlers get the service back by CONTAINER_OF */
    Message__Message_Service rpc;
    Group__Group_Service group_rpc;
    Contact__Contact_Service contact_rpc;
    Webhook__Webhook_Service webhook_rpc;
    struct message_deps deps;
    char epoch[MESSAGE_EPOCH_SIZE];    /* changes when the log was restored from a backup */
    int64_t lsn;                       /* last one given; the writer alone touches it */
    struct loop_timer index_timer;     /* on deps.loop */
    _Atomic bool is_index_behind;      /* something was sent since */
    _Atomic bool is_index_full;        /* the last batch was; the writer alone sets it */
    _Atomic bool has_webhooks;         /* outgoing ones; or there were */
    struct seal_key seal_key;          /* of their secrets */
    struct loop_timer retention_timer; /* on deps.loop */
    _Atomic bool is_stopping;          /* long work ends after its batch */
    int meeting_subscription;
};

struct message_op;

/* ---- rows; texts live in the arena of the call that read them ---- */

struct message_digest {
    uint8_t bytes[MESSAGE_DIGEST_BYTES];
};

struct message_conversation {
    int64_t num; /* 0: none */
    const char *id, *natural_key, *title, *avatar_url, *announcement, *owner_id, *meeting_id;
    Message__ConversationKind kind;
    Message__JoinRule join_rule;
    bool is_muted, is_dissolved;
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
enum err message_store_insert(struct store_tx *tx, struct message_conversation *c);
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
/* Whether `owner_id` has blocked `user_id`. */
bool message_store_is_blocked(struct store_tx *tx, const char *owner_id, const char *user_id);
/* Both ways at once. */
enum err message_store_blocks(struct store_tx *tx, const char *a, const char *b, bool *by_a,
                              bool *by_b);

struct message_pair {
    struct message_conversation c;
    struct message_member me;
};
/* Those of a person with something new since the lsn (0: all), the latest first; one more than
 * limit if there are more. */
enum err message_store_list_since(struct store_tx *tx, struct arena *arena, const char *user_id,
                                  int64_t since_lsn, int limit, struct message_pair **rows,
                                  size_t *count);
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
int64_t message_next_lsn(struct message_service *svc);
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
/* The newest lsn that a reader of this snapshot can see. */
enum err message_log_head(struct store_tx *tx, const char *user_id, int64_t *lsn);

/* ---- message_content.c ---- */
/* Checks what somebody wants to send and copies it into the call's arena; NULL after rpc_fail. */
Message__Content *message_take_content(struct rpc_call *call, const Message__Content *content);
/* Kinds that carry files. */
bool message_is_file_kind(Message__ContentKind kind);
/* A client_msg_id, checked; NULL after rpc_fail. */
const char *message_take_client_id(struct rpc_call *call, const char *id);
/* 1 to 32 bytes of emoji; NULL after rpc_fail. */
const char *message_take_emoji(struct rpc_call *call, const char *emoji);
void *message_pack(struct arena *arena, const ProtobufCMessage *message, size_t *n);
struct message_digest message_digest(const void *bytes, size_t n);
void message_digest_read(struct store_stmt *st, int column, struct message_digest *out);
/* What is stored of a message's content; NULL: the row is damaged. */
Message__Content *message_content_of(struct arena *arena, const struct message_row *m);

/* ---- message_shape.c: rows as messages ---- */
/* The operation answers with this message, with its conversation: as the caller sees it. */
enum err message_reply_message(struct store_tx *tx, struct message_op *op,
                               const struct message_row *m);
enum err message_reply_conversation(struct store_tx *tx, struct message_op *op);
struct message_reader {
    const char *id; /* "": nobody in particular */
    int64_t to_seq; /* the newest that this one may read */
};
#define MESSAGE_ANY_READER (&(struct message_reader){.id = "", .to_seq = INT64_MAX})
/* The caller, as a reader. */
struct message_reader message_reader(const struct message_op *op);
/* A message as the reader sees it, reactions and thread included. */
enum err message_shape(struct store_tx *tx, struct arena *arena,
                       const struct message_conversation *c, const struct message_row *m,
                       const struct message_reader *reader, Message__MessageInfo **out);
/* The other one of a direct conversation. */
char *message_peer(struct arena *arena, const struct message_conversation *c, const char *me);
/* me NULL: without `own`. */
Message__Conversation *message_conversation_shape(struct arena *arena,
                                                  const struct message_conversation *c,
                                                  const struct message_member *me);
/* The same with own counts and the last message. */
enum err message_conversation_full(struct store_tx *tx, struct arena *arena,
                                   const struct message_pair *pair, Message__Conversation **out);
Message__Member *message_member_shape(struct arena *arena, const struct message_conversation *c,
                                      const struct message_member *m);
/* A change as readers see it. */
enum err message_change_shape(struct store_tx *tx, struct arena *arena,
                              const struct message_conversation *c,
                              const struct message_change_row *row,
                              const struct message_reader *reader, Message__Change **out);
/* "message", "edited", ... */
const char *message_change_name(enum message_change_type type);
/* The same without what it is about. */
Message__Change *message_change_new(struct arena *arena, const struct message_conversation *c,
                                    const struct message_change_row *row);
Message__Change *message_change_of_message(struct arena *arena,
                                           const struct message_conversation *c,
                                           Message__MessageInfo *m);

/* ---- message_op.c: one change, or one look, in a transaction ---- */
typedef enum err message_op_fn(struct store_tx *tx, struct message_op *op);
struct message_op {
    struct message_service *svc;
    struct rpc_call *call;
    ProtobufCClosure closure;
    message_op_fn *fn;
    const char *conversation_id; /* NULL: fn finds it itself */
    enum message_needs {
        MESSAGE_NEEDS_NOTHING,
        MESSAGE_NEEDS_READ,  /* is, or was, a member: reads what it may */
        MESSAGE_NEEDS_PLACE, /* is a member */
        MESSAGE_NEEDS_WRITE, /* may send now */
        MESSAGE_NEEDS_ADMIN, /* owner or admin of it */
        MESSAGE_NEEDS_OWNER,
    } needs;
    bool is_silent; /* a refusal is not the call's: it asks about several */
    void *in;       /* the request's copy in the call's arena */
    /* found before fn runs */
    struct message_conversation c;
    struct message_member me;
    /* set by fn */
    void *reply;
    char **concerned; /* who hears of it though a gateway may not know yet that they belong */
    size_t concerned_count;
    char **bots; /* of the accounts asked about before, those that are bots */
    size_t bot_count;
    struct message_told *told; /* published after the commit, in order */
    struct message_told **told_end;
    Message__ReceiptEvent *receipt; /* the same, for who looks on; NULL: none */
};
/* An operation of this call in its arena, with a copy of the request. */
void *message_op_create(struct message_service *svc, struct rpc_call *call, size_t size,
                        const ProtobufCMessage *in, ProtobufCClosure closure);
/* Queues it if the caller is at least this much and nothing was refused so far. */
void message_run(struct message_op *op, enum identity_role least);
/* The same for reading. */
void message_view(struct message_op *op, enum identity_role least);
/* Queues it; the closure runs when it is committed, or refused. */
void message_change(struct message_op *op);
/* Reads and answers. */
void message_look(struct message_op *op);
/* Asks the user service, and notes it if it is a bot; false after rpc_fail. Before the
 * transaction. */
bool message_is_account(struct message_op *op, const char *user_id);
/* Is it a bot, by what was asked before, or the caller? */
bool message_is_bot(const struct message_op *op, const char *user_id);
/* For what is done in somebody's name though nobody signed in: ERR_PERMISSION_DENIED when the
 * account is disabled or gone. Before the transaction. */
enum err message_check_account(struct message_service *svc, const char *user_id);
/* Answers without a transaction: after rpc_fail. */
void message_refuse_now(struct message_op *op);
/* rpc_fail and the error, in one. */
enum err message_refuse(struct message_op *op, enum err err, const char *why);
/* Finds c and me and checks needs; message_change and message_look do it when conversation_id is
 * set. */
enum err message_op_enter(struct store_tx *tx, struct message_op *op);
enum err message_op_check(struct message_op *op);
/* The same, waiting: for tasks, and for handlers with more to do before they answer. They do not
 * answer. */
enum err message_change_sync(struct message_op *op);
/* The same also when the disk is nearly full: for what frees space. */
enum err message_change_essential_sync(struct message_op *op);
enum err message_look_sync(struct message_op *op);

/* ---- message_events.c ---- */
struct message_told {
    struct message_told *next;
    Message__MessageEvent event;
};
/* Tells of a change to whoever may read the conversation, after the commit. member: whom it is
 * about, who may be none any more; NULL: op->concerned. */
Message__MessageEvent *message_tell(struct message_op *op, Message__Change *change, int64_t lsn,
                                    const struct message_member *member);
/* Tells a person's own devices. */
void message_tell_own(struct message_op *op, Message__Conversation *conversation, int64_t lsn);
/* Tells a person that a contact changed; is_theirs: the other one too, whose own row did. */
void message_tell_contact(struct message_op *op, const char *user_id, bool is_theirs);
/* What the operation told, and its receipt; by the hook of the commit. */
void message_publish_told(struct message_op *op);

/* ---- message_change.c: changes that several operations make ---- */
/* Appends a change about message m, and tells of it. emoji NULL: not a reaction. */
enum err message_change_message(struct store_tx *tx, struct message_op *op,
                                enum message_change_type type, const struct message_row *m,
                                const char *emoji, bool is_removed);
/* Direct conversations: has one of the two blocked the other? */
enum err message_check_block(struct store_tx *tx, struct message_op *op);
/* Whom the content calls by name, and the opposite when it is edited away. */
enum err message_add_mentions(struct store_tx *tx, const struct message_row *m,
                              const Message__Content *content);
enum err message_drop_mentions(struct store_tx *tx, const struct message_row *m,
                               const Message__Content *content);
/* Stores the member, appends the change and tells of it. */
enum err message_change_member(struct store_tx *tx, struct message_op *op,
                               const struct message_member *m);
/* Stores the conversation's settings, appends the change and tells of it. */
enum err message_change_settings(struct store_tx *tx, struct message_op *op);
/* Stores what is the caller's own (op->me), tells the caller's devices, and answers with it. */
enum err message_change_own(struct store_tx *tx, struct message_op *op);
/* A message the caller may read; ERR_NOT_FOUND after message_refuse. */
enum err message_find_readable(struct store_tx *tx, struct message_op *op, int64_t seq,
                               struct message_row *out);
/* The newest seq the caller may read, and the oldest minus one. */
int64_t message_visible_to(const struct message_op *op);
int64_t message_visible_from(const struct message_op *op);

/* Whether the caller may know where this member stands; a ban shows to members as having gone. */
bool message_may_hear_of(const struct message_op *op, Message__Member *m);

/* ---- message_sync.c ---- */
/* The change of this revision, as op->me may see it; NULL: nothing to see. */
enum err message_find_change(struct store_tx *tx, struct message_op *op, int64_t rev,
                             Message__Change **out);

/* ---- message_push.c ---- */
/* In the transaction of a message: who is not here will be told, if that is wanted. */
enum err message_push(struct store_tx *tx, struct message_service *svc,
                      const struct message_conversation *c, const struct message_row *m);

/* ---- webhook_deliver.c ---- */
/* Are there any? */
void webhook_start(struct message_service *svc);
/* In the transaction of a change: whoever listens to it will be told. */
enum err webhook_changed(struct store_tx *tx, struct message_service *svc,
                         const struct message_conversation *c, enum message_change_type type,
                         int64_t rev, const char *actor_id);

/* ---- message_mark.c ---- */
/* Of the messages from_seq to to_seq. */
enum err message_drop_reactions(struct store_tx *tx, int64_t num, int64_t from_seq, int64_t to_seq);

/* ---- message_send.c ---- */
/* Appends a message to op->c and tells of it; content NULL: forwarded. ERR_ALREADY_EXISTS: the
 * sender has used this client_msg_id; nothing was written. */
enum err message_append(struct store_tx *tx, struct message_op *op, struct message_row *m,
                        const Message__Content *content);
Message__SendMessageReply *message_send_reply(struct message_op *op, const struct message_row *m,
                                              bool is_duplicate);
/* Sends within a transaction what was kept for later (message_schedule.c). */
enum err message_send_kept(struct store_tx *tx, struct message_op *op,
                           const Message__SendMessageRequest *request);

/* ---- message_note.c ---- */
/* Appends a line of the server to op->c. The same client_msg_id again: the line that is there. */
enum err message_append_note(struct store_tx *tx, struct message_op *op, const char *client_msg_id,
                             Message__SystemNote *note);

/* ---- message_call.c: meetings begun from a conversation ---- */
/* What happened in a meeting, if it is one of them. */
enum err message_call_follow(struct store_tx *tx, struct message_op *op,
                             const struct Meeting__MeetingEvent *event);

/* ---- message_files.c ---- */
/* Before the transaction: the files that somebody attaches are theirs, and what is known of them is
 * written into the content. After rpc_fail otherwise. */
enum err message_files_claim(struct message_op *op, Message__Content *content);
/* The content as its sender chose it: attachments named, no more. */
Message__Content *message_files_named(struct arena *arena, const Message__Content *content);
/* The message refers to its files from now on. */
enum err message_files_add(struct store_tx *tx, struct message_op *op, const struct message_row *m);
/* Messages from_seq to to_seq do not any more: recalled, erased, past their retention. */
enum err message_files_release(struct store_tx *tx, struct message_service *svc, int64_t num,
                               int64_t from_seq, int64_t to_seq);
/* A message that waits to be sent keeps its files; is_released: it waits no more. */
enum err message_files_keep(struct store_tx *tx, struct message_service *svc,
                            const Message__Content *content, const char *scheduled_id,
                            bool is_released);
void message_on_file(Message__Message_Service *rpc, const Message__GetFileRequest *in,
                     File__FileBody_Closure closure, void *data);
void message_on_file_thumbnail(Message__Message_Service *rpc, const Message__GetFileRequest *in,
                               File__FileBody_Closure closure, void *data);

/* ---- message_terms.c: what search looks for in a text ---- */
/* The words of a text as the index keeps them, divided by spaces; in the arena. */
char *message_terms(struct arena *arena, const char *text);
/* The same words as a query: each must be there, Latin ones may go on. NULL: no word in it. */
char *message_terms_query(struct arena *arena, const char *text);

/* ---- message_search.c ---- */
/* Begins to keep the index; the stop waits for what is in work. */
void message_search_start(struct message_service *svc);
void message_search_stop(struct message_service *svc);
/* In the transaction of an edit or a recall: as the message reads now. */
enum err message_search_again(struct store_tx *tx, const struct message_row *m);

/* ---- group.c ---- */
/* What only groups and channels have; ERR_FAILED_PRECONDITION after message_refuse for others. */
enum err group_check(struct message_op *op);
/* A member as it comes in: what it may read of what was there before. In op's arena. */
struct message_member group_newcomer(const struct message_op *op, const char *user_id);
/* Is there room for one more? */
enum err group_check_room(struct message_op *op);

/* Out, by oneself or by another. Only of who is a member, or asks to be. */
enum err group_let_go(struct store_tx *tx, struct message_op *op, struct message_member *m,
                      Message__MemberState state);

/* op->me leaves whatever its place: who owned the group hands it to the highest, longest member. */
enum err group_leave_for_good(struct store_tx *tx, struct message_op *op);

/* ---- message_meeting.c: the chats of meetings follow what happens in them ---- */
void message_meeting_start(struct message_service *svc);
void message_meeting_stop(struct message_service *svc);

/* ---- message_retention.c ---- */
void message_retention_start(struct message_service *svc);
void message_retention_stop(struct message_service *svc);
/* Deletes what one conversation need not keep any more. */
MUST_USE enum err message_retention_trim(struct message_service *svc, const char *conversation_id);

/* ---- message_erase.c ---- */
void message_erase_start(struct message_service *svc);

/* ---- message_edit.c ---- */
/* Recalls a message, whoever asks: its content and what spoke of it go, and clients hear of it. */
enum err message_take_back(struct store_tx *tx, struct message_op *op, struct message_row *m);

/* ---- message_schedule.c ---- */
/* Sends what is due, now and as it comes. */
void message_schedule_start(struct message_service *svc);
/* What the caller had kept for later in op->c by this id; answers with it if it is the same.
 * ERR_NOT_FOUND. */
enum err message_find_kept(struct store_tx *tx, struct message_op *op, const char *client_msg_id,
                           const struct message_digest *digest, bool *is_same);
/* Nothing of this person waits any more. */
enum err message_schedule_drop(struct store_tx *tx, struct message_service *svc,
                               const char *sender_id);
/* In a send's transaction: keeps it for later, instead. */
enum err message_schedule(struct store_tx *tx, struct message_op *op,
                          const Message__SendMessageRequest *request,
                          const struct message_digest *digest);

/* ---- tables ---- */
extern const Message__Message_Service message_rpc_table;
extern const Group__Group_Service group_rpc_table;
extern const Contact__Contact_Service contact_rpc_table;
extern const Webhook__Webhook_Service webhook_rpc_table;

/* ---- handlers, by file; they begin and end in an operation ---- */
#define MESSAGE_HANDLER(name, Request, Reply)                              \
    void name(Message__Message_Service *rpc, const Message__##Request *in, \
              Message__##Reply##_Closure closure, void *data)
#define GROUP_HANDLER(name, Request, Reply)                                                   \
    void name(Group__Group_Service *rpc, const Group__##Request *in, Reply##_Closure closure, \
              void *data)
#define CONTACT_HANDLER(name, Request, Reply)                              \
    void name(Contact__Contact_Service *rpc, const Contact__##Request *in, \
              Contact__##Reply##_Closure closure, void *data)
#define MESSAGE_OF(rpc_) CONTAINER_OF(rpc_, struct message_service, rpc)
#define GROUP_OF(rpc_) CONTAINER_OF(rpc_, struct message_service, group_rpc)
#define CONTACT_OF(rpc_) CONTAINER_OF(rpc_, struct message_service, contact_rpc)

/* message_send.c */
MESSAGE_HANDLER(message_on_send, SendMessageRequest, SendMessageReply);
MESSAGE_HANDLER(message_on_send_group, SendGroupMessageRequest, SendMessageReply);
/* message_note.c */
MESSAGE_HANDLER(message_on_note, AppendNoteRequest, SendMessageReply);
/* message_push.c */
MESSAGE_HANDLER(message_on_push_targets, GetPushTargetsRequest, PushTargets);
/* message_call.c */
MESSAGE_HANDLER(message_on_start_call, StartCallRequest, StartCallReply);
/* message_edit.c */
MESSAGE_HANDLER(message_on_edit, EditMessageRequest, MessageInfo);
MESSAGE_HANDLER(message_on_recall, RecallMessageRequest, MessageInfo);
MESSAGE_HANDLER(message_on_delete_for_me, DeleteForMeRequest, DeleteForMeReply);
/* message_mark.c */
MESSAGE_HANDLER(message_on_react, ReactRequest, MessageInfo);
MESSAGE_HANDLER(message_on_pin, PinRequest, MessageInfo);
/* message_own.c */
MESSAGE_HANDLER(message_on_mark_read, MarkAsReadRequest, MarkReply);
MESSAGE_HANDLER(message_on_mark_delivered, MarkDeliveredRequest, MarkReply);
MESSAGE_HANDLER(message_on_receipts, GetReceiptsRequest, Receipts);
MESSAGE_HANDLER(message_on_set_own, SetOwnRequest, Conversation);
/* message_read.c */
MESSAGE_HANDLER(message_on_conversations, GetConversationsRequest, ConversationList);
MESSAGE_HANDLER(message_on_conversation, GetConversationRequest, Conversation);
MESSAGE_HANDLER(message_on_history, GetMessageHistoryRequest, MessageHistory);
MESSAGE_HANDLER(message_on_unread, GetUnreadMessagesRequest, UnreadMessages);
/* message_audience.c */
MESSAGE_HANDLER(message_on_memberships, GetMembershipsRequest, Memberships);
MESSAGE_HANDLER(message_on_relations, GetRelationsRequest, Relations);
/* message_sync.c */
MESSAGE_HANDLER(message_on_changes, GetChangesRequest, ChangeList);
MESSAGE_HANDLER(message_on_sync, SyncRequest, SyncReply);
MESSAGE_HANDLER(message_on_heads, GetHeadsRequest, HeadList);
/* message_schedule.c */
MESSAGE_HANDLER(message_on_scheduled, ListScheduledRequest, ScheduledList);
MESSAGE_HANDLER(message_on_cancel_scheduled, CancelScheduledRequest, CancelScheduledReply);
/* message_search.c */
MESSAGE_HANDLER(message_on_search, SearchRequest, SearchReply);
/* group.c, group_members.c */
GROUP_HANDLER(group_on_create, CreateGroupRequest, Message__Conversation);
GROUP_HANDLER(group_on_update, UpdateGroupRequest, Message__Conversation);
GROUP_HANDLER(group_on_dissolve, DissolveGroupRequest, Group__GroupReply);
GROUP_HANDLER(group_on_list_members, ListMembersRequest, Group__MemberList);
GROUP_HANDLER(group_on_add, AddMembersRequest, Group__AddMembersReply);
GROUP_HANDLER(group_on_join, JoinGroupRequest, Message__Conversation);
GROUP_HANDLER(group_on_leave, LeaveGroupRequest, Group__GroupReply);
GROUP_HANDLER(group_on_set_member, SetMemberRequest, Message__Member);
GROUP_HANDLER(group_on_remove, RemoveMemberRequest, Group__GroupReply);
GROUP_HANDLER(group_on_unban, UnbanMemberRequest, Group__GroupReply);
/* contact.c */
CONTACT_HANDLER(contact_on_list, ListContactsRequest, ContactList);
CONTACT_HANDLER(contact_on_request, RequestContactRequest, ContactInfo);
CONTACT_HANDLER(contact_on_answer, AnswerContactRequest, ContactInfo);
CONTACT_HANDLER(contact_on_set, SetContactRequest, ContactInfo);
CONTACT_HANDLER(contact_on_remove, RemoveContactRequest, RemoveContactReply);
