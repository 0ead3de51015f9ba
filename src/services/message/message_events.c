/*
 * What happened, for gateways and other listeners: channel "message_events", keyed by the
 * conversation, after the commit. It is sent at most once; the log is what keeps it, and rev is how
 * a client notices that it missed one.
 */
#include "services/message/message_internal.h"

static Message__MessageEvent *event_new(struct message_op *op, int64_t lsn)
{
    struct message_told *told = arena_new(op->call->arena, struct message_told);
    message__message_event__init(&told->event);
    told->event.lsn = lsn;
    told->event.shard = (int32_t)op->c.shard;
    *op->told_end = told;
    op->told_end = &told->next;
    return &told->event;
}

Message__MessageEvent *message_tell(struct message_op *op, Message__Change *change, int64_t lsn,
                                    const struct message_member *member)
{
    Message__MessageEvent *event = event_new(op, lsn);
    event->change = change;
    event->member_count = op->c.member_count;
    event->user_ids = op->concerned;
    event->n_user_ids = op->concerned_count;
    if (member) {
        event->user_ids = arena_array(op->call->arena, char *, 1);
        event->user_ids[0] = (char *)member->user_id;
        event->n_user_ids = 1;
        event->visible_from_seq = member->visible_from_seq;
    }
    return event;
}

void message_tell_own(struct message_op *op, Message__Conversation *conversation, int64_t lsn)
{
    Message__MessageEvent *event = event_new(op, lsn);
    event->own_user_id = (char *)op->me.user_id;
    event->own_conversation = conversation;
}

void message_tell_contact(struct message_op *op, const char *user_id, bool is_theirs)
{
    struct arena *arena = op->call->arena;
    Message__MessageEvent *event = event_new(op, 0);
    op->c.id = user_id; /* the key of the event */
    event->contact_user_ids = arena_array(arena, char *, 2);
    event->contact_user_ids[0] = arena_strdup(arena, who_id(op->call));
    event->contact_user_ids[1] = (char *)user_id;
    event->n_contact_user_ids = is_theirs ? 2 : 1;
    event->contact_other_id = (char *)user_id;
}

void message_tell_invitation(struct message_op *op, Message__Invitation *invitation)
{
    Message__MessageEvent *event = event_new(op, 0);
    event->invitation = invitation;
    event->user_ids = arena_array(op->call->arena, char *, 2);
    event->user_ids[0] = invitation->user_id;
    event->user_ids[1] = invitation->inviter_id;
    event->n_user_ids = 2;
}

static void publish(struct message_service *svc, const char *channel, const char *type,
                    const char *key, const ProtobufCMessage *event)
{
    size_t n = protobuf_c_message_get_packed_size(event);
    uint8_t *bytes = mem_alloc(n + 1);
    protobuf_c_message_pack(event, bytes);
    bytes[n] = 0;
    bus_publish(svc->deps.bus, &(struct bus_event){.channel = channel,
                                                   .type = type,
                                                   .key = key,
                                                   .payload = {(const char *)bytes, n},
                                                   .id = ""});
    free(bytes);
}

void message_publish_told(struct message_op *op)
{
    for (const struct message_told *told = op->told; told; told = told->next)
        publish(op->svc, "message_events",
                told->event.change             ? told->event.change->type
                : told->event.own_conversation ? "own"
                : told->event.invitation       ? "invitation"
                                               : "contact",
                op->c.id, &told->event.base);
    if (op->receipt) /* ephemeral: pointers are read anew when a conversation is opened */
        publish(op->svc, "message_ephemeral", "receipt", op->c.id, &op->receipt->base);
}

void message_publish_typing(struct message_op *op)
{
    Message__ReceiptEvent event = MESSAGE__RECEIPT_EVENT__INIT;
    event.conversation_id = (char *)op->c.id;
    event.user_id = (char *)op->me.user_id;
    publish(op->svc, "message_ephemeral", "typing", op->c.id, &event.base);
}
