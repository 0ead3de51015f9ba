/* What happened, told to whom it concerns: members who may read it, a person's own devices, people
 * whose contacts changed. */
#include "services/gateway/gateway_hub.h"

/* Who comes into a conversation hears of it from this event on. */
static void note_membership(struct gateway *gw, const Message__MessageEvent *event, struct user *u)
{
    const Message__Member *m = event->change->member;
    const char *id = event->change->conversation_id;
    bool is_in = !m || m->state == MESSAGE__MEMBER_STATE__ACTIVE;
    if (m && strcmp(m->user_id, u->id) != 0) /* told of another */
        return;
    if (!u->is_loaded) {
        u->news = array_grown(u->news, u->news_count, sizeof(u->news[0]));
        struct news *n = &u->news[u->news_count++];
        n->lsn = event->lsn;
        n->visible_from_seq = event->visible_from_seq;
        n->is_in = is_in;
        memset(n->conversation_id, 0, sizeof(n->conversation_id));
        memcpy(n->conversation_id, id, strnlen(id, sizeof(n->conversation_id) - 1));
    } else if (is_in) {
        topic_add(gw, u, id, event->visible_from_seq);
    }
}

static void tell_change(struct gateway *gw, const Message__MessageEvent *event)
{
    Gateway__ServerFrame frame =
        gateway_answer(GATEWAY__SERVER_FRAME__BODY_CHANGE, &event->change->base);
    const Message__Member *changed = event->change->member;
    struct fan fan = {0};
    for (size_t i = 0; i < event->n_user_ids; i++) {
        struct user *u = map_get(gw->users, str_from(event->user_ids[i]));
        if (!u)
            continue;
        note_membership(gw, event, u);
        const struct topic *now = topic_find(gw, event->change->conversation_id);
        if (event->is_for_named || !now || !user_is_in(u, now)) /* refused, say: concerned too */
            fan_add_user(&fan, u, NULL);
    }
    /* What happens to a message from before their time is no news to them: in `rev` they find a
     * hole, and that nothing of theirs is in it. */
    const Message__MessageInfo *about = event->change->message;
    const struct topic *t = topic_find(gw, event->change->conversation_id);
    for (size_t i = 0; t && !event->is_for_named && i < t->reader_count; i++) {
        if (!about || about->seq > t->readers[i].visible_from_seq)
            fan_add_user(&fan, t->readers[i].user, NULL);
    }
    fan_send(&fan, &frame, 0);
    /* Who left is told once more, then no more. */
    if (changed && changed->state != MESSAGE__MEMBER_STATE__ACTIVE) {
        struct user *u = map_get(gw->users, str_from(changed->user_id));
        if (u)
            topic_remove(gw, u, event->change->conversation_id);
    }
}

static void tell_users(struct gateway *gw, char *const *user_ids, size_t count,
                       const Gateway__ServerFrame *frame)
{
    struct fan fan = {0};
    for (size_t i = 0; i < count; i++) {
        struct user *u = map_get(gw->users, str_from(user_ids[i]));
        if (u)
            fan_add_user(&fan, u, NULL);
    }
    fan_send(&fan, frame, 0);
}

void gateway_hub_event(struct gateway *gw, Message__MessageEvent *event)
{
    if (event->change) {
        tell_change(gw, event);
    } else if (event->own_conversation) {
        Gateway__ServerFrame frame =
            gateway_answer(GATEWAY__SERVER_FRAME__BODY_OWN, &event->own_conversation->base);
        tell_users(gw, &event->own_user_id, 1, &frame);
    } else if (event->n_contact_user_ids) {
        Gateway__ContactsChanged changed = GATEWAY__CONTACTS_CHANGED__INIT;
        changed.user_ids = event->contact_user_ids;
        changed.n_user_ids = event->n_contact_user_ids;
        Gateway__ServerFrame frame =
            gateway_answer(GATEWAY__SERVER_FRAME__BODY_CONTACTS, &changed.base);
        tell_users(gw, event->contact_user_ids, event->n_contact_user_ids, &frame);
        watch_doubt_pair(gw, event->contact_user_ids[0], event->contact_other_id);
    }
    message__message_event__free_unpacked(event, NULL);
}

void gateway_hub_receipt(struct gateway *gw, Message__ReceiptEvent *event)
{
    const struct topic *t = topic_find(gw, event->conversation_id);
    Gateway__ServerFrame frame = gateway_answer(GATEWAY__SERVER_FRAME__BODY_RECEIPT, &event->base);
    struct fan fan = {0};
    for (size_t i = 0; t && i < t->reader_count; i++)
        fan_add_user(&fan, t->readers[i].user, t);
    fan_send(&fan, &frame, WS_SEND_EPHEMERAL);
    message__receipt_event__free_unpacked(event, NULL);
}
