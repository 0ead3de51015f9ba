/* message_op: one operation on a conversation, and the changes and news that several of them make
 * (message_op.c, message_change.c, message_events.c). */
#pragma once

#include "rpc/rpc.h"
#include "services/common/who.h"
#include "services/message/message_rows.h"

struct message_op;

/* ---- message_op.c: one change, or one look, in a transaction ---- */
typedef enum err message_op_fn(struct store_tx *tx, struct message_op *op);
struct message_op {
    struct message_service *svc;
    struct rpc_call *call;
    ProtobufCClosure closure;
    message_op_fn *fn;
    const char *conversation_id; /* NULL: fn finds it itself */
    /* What says in which shard it changes something; NULL: conversation_id. Without either it
     * changes what belongs to people: in the store's shard 0, where all processes' writes follow
     * one another, and where no log can be written to. */
    const char *key;
    enum message_needs {
        MESSAGE_NEEDS_NOTHING,
        MESSAGE_NEEDS_READ,  /* is, or was, a member: reads what it may */
        MESSAGE_NEEDS_PLACE, /* is a member */
        MESSAGE_NEEDS_WRITE, /* may send now */
        MESSAGE_NEEDS_ADMIN, /* owner or admin of it */
        MESSAGE_NEEDS_OWNER,
    } needs;
    bool is_silent;              /* a refusal is not the call's: it asks about several */
    bool may_be_stale;           /* what it reads may be of a moment ago (store_read_stale) */
    void *in;                    /* the request's copy in the call's arena */
    struct message_shard *shard; /* of a change; NULL: none */
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
/* The database that it is done in. */
const struct message_base *message_op_base(const struct message_op *op);
/* Before work that another process would do again: may the change be made here? False after
 * rpc_move. */
bool message_op_is_here(struct message_op *op);
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
/* Tells who is invited, and who invites. */
void message_tell_invitation(struct message_op *op, Message__Invitation *invitation);
/* What the operation told, and its receipt; by the hook of the commit. */
void message_publish_told(struct message_op *op);
/* The changes among them for systems beside this one, by the outbox. */
enum err message_publish_facts(struct store_tx *tx, struct message_op *op);
/* That the caller types in op->c; at once, and to whoever is there. */
void message_publish_typing(struct message_op *op);

/* ---- message_change.c: changes that several operations make ---- */
/* Appends a change about message m, and tells of it. emoji NULL: not a reaction. */
enum err message_change_message(struct store_tx *tx, struct message_op *op,
                                enum message_change_type type, const struct message_row *m,
                                const char *emoji, bool is_removed);
/* May the caller call everybody, if the content does? ERR_PERMISSION_DENIED after message_refuse.
 */
enum err message_check_mentions(struct message_op *op, const Message__Content *content);
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
