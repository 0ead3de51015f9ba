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
#include "services/message/group_internal.h"
#include "services/message/message.h"
#include "services/message/message_downstream.h"
#include "services/message/message_handlers.h"
#include "services/message/message_op.h"
#include "services/message/message_owner.h"
#include "services/message/message_rows.h"
#include "services/message/message_shard.h"

#include "contact.pb-c.h"
#include "group.pb-c.h"
#include "message.pb-c.h"
#include "webhook.pb-c.h"

struct Meeting__MeetingEvent; /* as protoc-c calls it */

#define MESSAGE_EMOJI_KINDS_MAX 20 /* on one message */
#define MESSAGE_REACTORS_SHOWN 8   /* of one emoji, by name */

#define MESSAGE_RECENT_PLACES 4096
#define MESSAGE_RECENT_MS 10000 /* a replica is expected to have come as far by then */

struct message_service {
    /* handlers get the service back by CONTAINER_OF */
    Message__Message_Service rpc;
    Group__Group_Service group_rpc;
    Contact__Contact_Service contact_rpc;
    Webhook__Webhook_Service webhook_rpc;
    struct message_deps deps;
    struct message_base bases[MESSAGE_BASES_MAX];
    size_t base_count;
    struct message_shard *shards;
    unsigned shard_count;
    bool is_sealing;               /* commits check the fence of their shard */
    struct message_owners *owners; /* NULL: all shards are this process's for ever */
    ProtobufCService *peers;       /* this service, wherever it runs; NULL: here alone */
    struct downstream *downstream; /* to gateways elsewhere; NULL: there are none */
    struct loop_timer index_timer; /* on deps.loop */
    _Atomic int64_t recent[MESSAGE_RECENT_PLACES]; /* when somebody changed something here */
    unsigned index_turn;
    _Atomic bool has_webhooks;         /* outgoing ones; or there were */
    struct seal_key seal_key;          /* of their secrets */
    struct loop_timer retention_timer; /* on deps.loop */
    _Atomic bool is_stopping;          /* long work ends after its batch */
    int meeting_subscription;
};

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
/* Of what stands there: its content, and where it was forwarded from. */
struct message_digest message_content_digest(const struct message_row *m);
bool message_content_is_whole(const struct message_row *m);
void message_digest_read(struct store_stmt *st, int column, struct message_digest *out);
/* What is stored of a message's content; NULL: the row is damaged. */
Message__Content *message_content_of(struct arena *arena, const struct message_row *m);

/* ---- message_shape.c: rows as messages ---- */
/* The operation answers with this message, with its conversation: as the caller sees it. */
enum err message_reply_message(struct store_tx *tx, struct message_op *op,
                               const struct message_row *m);
enum err message_reply_conversation(struct store_tx *tx, struct message_op *op);
struct message_reader {
    const char *id;                    /* "": nobody in particular */
    const struct message_service *svc; /* NULL: what lies in other databases is not looked at */
    int64_t to_seq;                    /* the newest that this one may read */
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

/* ---- message_gather.c: over all databases ---- */
struct message_gathered {
    struct message_pair pair;
    Message__Conversation *shown;
};
struct message_gathering {
    const struct message_op *op; /* who asks */
    const struct page *page;     /* a page of them; NULL: what moved ... */
    bool is_archived;
    const struct message_heads *since; /* ... since; NULL: all */
    size_t limit;
    uint64_t missing; /* shards that are not looked at; out: nor could be */
    struct message_gathered *list;
    size_t count;
    bool has_more;
};
/* The latest first. */
enum err message_gather(struct store_tx *tx, struct message_gathering *g);
/* As readers see them. */
Message__Conversation **message_gathered(const struct message_gathering *g);
/* Unread messages of the caller over all conversations that are not quiet. */
enum err message_gather_unread(struct store_tx *tx, const struct message_op *op, uint64_t *missing,
                               int64_t *count);

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
/* What makes two sends the same one: everything the sender chose. content NULL: forwarded. */
struct message_digest message_send_digest(struct arena *arena,
                                          const Message__SendMessageRequest *in,
                                          Message__Content *content);
Message__SendMessageReply *message_send_reply(struct message_op *op, const struct message_row *m,
                                              bool is_duplicate);
/* Sends within a transaction what was kept for later (message_schedule.c). */
enum err message_send_kept(struct store_tx *tx, struct message_op *op,
                           const Message__SendMessageRequest *request);

/* ---- message_forward.c ---- */
/* Takes into m the content of another message, and where it stands. */
enum err message_forward(struct store_tx *tx, struct message_op *op, const char *conversation_id,
                         int64_t seq, struct message_row *m);

/* ---- message_note.c ---- */
/* Appends a line of the server to op->c. The same client_msg_id again: the line that is there. */
enum err message_append_note(struct store_tx *tx, struct message_op *op, const char *client_msg_id,
                             Message__SystemNote *note);

/* ---- message_call.c: meetings begun from a conversation ---- */
/* The conversation whose call this meeting is, in op's arena; NULL: it is none. */
enum err message_call_find(struct message_op *op, const char *meeting_id,
                           const char **conversation_id);
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

/* ---- message_index.c and _*.c: the index of words, in each engine's own way ---- */
/* The table message_terms is the same everywhere: rowid (the message's lsn), t (its words), c (the
 * number of its conversation), s (its sender), k (its kind). How one asks it is not. */
struct message_looking {
    const int64_t *nums; /* in one of these conversations */
    size_t count;
    const char *terms;            /* of message_terms_query; NULL: whatever words */
    const char *sender_id, *kind; /* "": whoever, whatever */
    int64_t above_lsn, below_lsn, from_ms, to_ms;
    const char *asker_id; /* not what these have deleted for themselves */
    int64_t limit;
};
struct message_index {
    const char *driver;
    /* Beside the row that was just inserted; NULL: the engine does it by itself. */
    enum err (*add)(struct store_tx *tx, int64_t lsn, const char *terms);
    /* The newest first: MESSAGE_COLUMNS and the conversation's id. */
    struct store_stmt *(*find)(struct store_tx *tx, const struct message_looking *l);
    /* How many of the conversation the index finds. */
    struct store_stmt *(*count)(struct store_tx *tx, int64_t num);
    /* Whether the index is what its own copy of the words makes; runs as a write. */
    enum err (*check)(struct store_tx *tx, void *arg);
};
extern const struct message_index message_index_sqlite, message_index_postgres, message_index_mysql;
const struct message_index *message_index_of(const struct store_tx *tx);
/* What follows "SELECT ... FROM message_terms f WHERE (the words)" on every engine. */
#define MESSAGE_INDEX_HITS                        \
    " JOIN message_messages m ON m.lsn = f.rowid" \
    " JOIN message_conversations c ON c.num = m.conversation_num"
#define MESSAGE_INDEX_LIMITS                                                     \
    " AND f.rowid < ? AND f.rowid > ?"                                           \
    " AND m.created_at_ms >= ? AND m.created_at_ms < ? AND m.recalled_at_ms = 0" \
    " AND NOT EXISTS (SELECT 1 FROM message_hidden h WHERE h.user_id = ?"        \
    " AND h.conversation_num = m.conversation_num AND h.seq = m.seq)"            \
    " ORDER BY f.rowid DESC LIMIT ?"

/* ---- message_index.c: it follows the log ---- */
/* Begins to keep the index; the stop waits for what is in work. */
void message_index_start(struct message_service *svc);
void message_index_stop(struct message_service *svc);
/* In the transaction of an edit or a recall: as the message reads now. */
enum err message_index_again(struct store_tx *tx, unsigned shard, const struct message_row *m);
/* The words that the index has of a message, perhaps ""; NULL: it is not in the index. */
const char *message_index_terms(struct arena *arena, const struct message_row *m);
/* Its kind, as the index has it. */
const char *message_index_kind(struct arena *arena, const struct message_row *m);
/* Up to where the index reaches, in this shard. */
enum err message_index_reach(struct store_tx *tx, unsigned shard, int64_t *lsn);
/* Whether the index is what its own copy of the words makes. Holds the writer, some seconds for a
 * million messages. */
bool message_index_is_sound(struct store *store);

/* ---- message_meeting.c: the chats of meetings follow what happens in them ---- */
void message_meeting_start(struct message_service *svc);
void message_meeting_stop(struct message_service *svc);

/* ---- message_work.c: what is done in a conversation without anybody asking ---- */
enum message_work_kind {
    MESSAGE_WORK_DUE,   /* payload: attempt and id of what is to be sent */
    MESSAGE_WORK_TRIM,  /* no payload */
    MESSAGE_WORK_ERASE, /* whom */
    MESSAGE_WORK_CHAT,  /* a meeting's event, for its chat */
    MESSAGE_WORK_CALL,  /* the same, for the conversation that called */
};
struct message_work {
    enum message_work_kind kind;
    const char *key; /* of the conversation, or its id */
    struct str payload;
};
/* Done by the owner of the conversation's shard, here or elsewhere; waits. */
MUST_USE enum err message_work(struct message_service *svc, const struct message_work *work);
/* The same, here. */
enum err message_due_here(struct message_service *svc, const struct message_work *work);
enum err message_erase_here(struct message_service *svc, const struct message_work *work);
enum err message_follow_here(struct message_service *svc, const struct message_work *work);

/* ---- message_retention.c ---- */
void message_retention_start(struct message_service *svc);
void message_retention_stop(struct message_service *svc);
/* Deletes what one conversation need not keep any more. */
MUST_USE enum err message_retention_trim(struct message_service *svc, const char *conversation_id);

/* ---- message_sweep.c ---- */
struct message_sweep {
    /* The next ones, as num and id, by num. */
    struct store_stmt *(*query)(struct store_tx *tx, void *arg, int64_t above_num, int64_t limit);
    enum err (*each)(struct message_service *svc, const char *conversation_id, void *arg);
    void *arg;
};
/* In each database, also when one fails. ERR_CANCELLED: the service is stopping. */
MUST_USE enum err message_sweep(struct message_service *svc, const struct message_sweep *sweep);

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
