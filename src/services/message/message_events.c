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
    told->event.fence = lsn ? op->svc->shards[op->c.shard].batch_fence : 0;
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

/* Own gateways hear it here, those elsewhere by the way there is to each. */
static void publish(struct message_op *op, const struct bus_event *news,
                    struct downstream_parcel *parcel)
{
    struct bus *bus = op->svc->deps.bus;
    if (op->svc->downstream) {
        bus_publish_here(bus, news);
        parcel->body = news->payload;
        downstream_tell(op->svc->downstream, parcel);
    } else {
        bus_publish(bus, news);
    }
}

/* Everybody whom it names. */
static void name_users(struct arena *arena, const Message__MessageEvent *event,
                       struct downstream_parcel *parcel)
{
    char **ids = arena_array(arena, char *, event->n_user_ids + event->n_contact_user_ids + 3);
    size_t count = 0;
    for (size_t i = 0; i < event->n_user_ids; i++)
        ids[count++] = event->user_ids[i];
    for (size_t i = 0; i < event->n_contact_user_ids; i++)
        ids[count++] = event->contact_user_ids[i];
    if (event->contact_other_id[0]) /* told or not, how the two stand counts for who watches */
        ids[count++] = event->contact_other_id;
    if (event->own_user_id[0])
        ids[count++] = event->own_user_id;
    if (event->change && event->change->member)
        ids[count++] = event->change->member->user_id;
    parcel->user_ids = ids;
    parcel->user_count = count;
}

static void publish_event(struct message_op *op, const Message__MessageEvent *event)
{
    struct bus_event news = {.channel = "message_events",
                             .type = event->change             ? event->change->type
                                     : event->own_conversation ? "own"
                                     : event->invitation       ? "invitation"
                                                               : "contact",
                             .key = op->c.id,
                             .id = ""};
    struct downstream_parcel parcel = {
        .type = "event", .conversation_id = event->change ? event->change->conversation_id : NULL};
    news.payload.p = message_pack(op->call->arena, &event->base, &news.payload.n);
    if (op->svc->downstream)
        name_users(op->call->arena, event, &parcel);
    publish(op, &news, &parcel);
}

static void publish_ephemeral(struct message_op *op, const char *type,
                              const Message__ReceiptEvent *event)
{
    struct bus_event news = {
        .channel = "message_ephemeral", .type = type, .key = op->c.id, .id = ""};
    news.payload.p = message_pack(op->call->arena, &event->base, &news.payload.n);
    publish(op, &news,
            &(struct downstream_parcel){.type = type, .conversation_id = event->conversation_id});
}

void message_publish_told(struct message_op *op)
{
    for (const struct message_told *told = op->told; told; told = told->next)
        publish_event(op, &told->event);
    if (op->receipt) /* ephemeral: pointers are read anew when a conversation is opened */
        publish_ephemeral(op, "receipt", op->receipt);
}

enum err message_publish_facts(struct store_tx *tx, struct message_op *op)
{
    enum err err = ERR_OK;
    for (const struct message_told *told = op->told; told && !err; told = told->next) {
        const Message__MessageEvent *event = &told->event;
        size_t n = 0;
        if (!event->change)
            continue; /* one's own, or between two: no fact of a conversation */
        const char *bytes = message_pack(op->call->arena, &event->base, &n);
        err = bus_publish_tx(message_base_in(op->svc, tx)->bus, tx,
                             &(struct bus_event){.channel = BUS_UPSTREAM,
                                                 .type = event->change->type,
                                                 .key = event->change->conversation_id,
                                                 .payload = {bytes, n}});
    }
    return err;
}

void message_publish_typing(struct message_op *op)
{
    Message__ReceiptEvent event = MESSAGE__RECEIPT_EVENT__INIT;
    event.conversation_id = (char *)op->c.id;
    event.user_id = (char *)op->me.user_id;
    publish_ephemeral(op, "typing", &event);
}
