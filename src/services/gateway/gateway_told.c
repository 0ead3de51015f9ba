/* What happened, told to whom it concerns: members who may read it, a person's own devices, people
 * whose contacts changed. */
#include "services/gateway/gateway_hub.h"

#define LARGE_MEMBERS 500 /* beyond, who does not look hears only that it moved */

/* Who comes into a conversation hears of it from this event on. */
static void note_membership(const Message__MessageEvent *event, struct user *u)
{
    const Message__Member *m = event->change->member;
    const char *id = event->change->conversation_id;
    if (m && strcmp(m->user_id, u->id) != 0) /* it is about another one */
        return;
    struct news news = {.lsn = event->lsn,
                        .shard = (unsigned)event->shard,
                        .visible_from_seq = event->visible_from_seq,
                        .is_in = !m || m->state == MESSAGE__MEMBER_STATE__ACTIVE};
    memcpy(news.conversation_id, id, strnlen(id, sizeof(news.conversation_id) - 1));
    if (news.is_in || !u->is_loaded) /* who leaves is told of it first, and taken out then */
        hub_user_note(u, &news);
}

/* What happens to a message from before their time is no news to them: in `rev` they find a hole,
 * and that nothing of theirs is in it. */
static bool may_see(const Message__MessageEvent *event, const struct reader *reader)
{
    const Message__MessageInfo *about = event->change->message;
    return reader && (!about || about->seq > (int64_t)reader->visible_from_seq);
}

static void add_all(struct fan *fan, const struct topic *t, const Message__MessageEvent *event)
{
    for (size_t i = 0; i < t->reader_count; i++) {
        if (may_see(event, &t->readers[i]))
            fan_add_user(fan, t->readers[i].user, NULL);
    }
}

/* Somebody of a large conversation who is told although no socket may look at it. */
static void add_named(struct fan *fan, struct gateway *gw, const struct topic *t,
                      const Message__MessageEvent *event, const char *user_id)
{
    const struct user *u = user_id && user_id[0] ? map_get(gw->users, str_from(user_id)) : NULL;
    if (u && may_see(event, topic_reader(t, u)))
        fan_add_user(fan, u, t);
}

static void add_concerned(struct fan *fan, struct gateway *gw, const struct topic *t,
                          const Message__MessageEvent *event)
{
    const Message__Change *change = event->change;
    const Message__MessageInfo *m = change->message;
    for (size_t i = 0; i < t->looker_count; i++) {
        const struct member *looker = t->lookers[i].member;
        if (may_see(event, topic_reader(t, looker->user)))
            fan_add(fan, looker);
    }
    const char *actor_id = change->actor_id[0] ? change->actor_id : m ? m->sender_id : "";
    add_named(fan, gw, t, event, actor_id);
    if (change->member && strcmp(change->member->user_id, actor_id) != 0)
        add_named(fan, gw, t, event, change->member->user_id);
    for (size_t i = 0; m && m->content && i < m->content->n_mentions; i++) {
        if (strcmp(m->content->mentions[i], actor_id) != 0)
            add_named(fan, gw, t, event, m->content->mentions[i]);
    }
}

/* ---- two owners of one log, one after the other ----
 *
 * The first was frozen, say, before it told, and is heard after the second. Whom it lets in or puts
 * out is asked about, since younger news may be known: by events, or by a list. */

bool hub_fence_note(struct gateway *gw, size_t shard, int64_t fence)
{
    if (!fence || shard >= SHARDS_MAX)
        return true;
    bool is_latest = fence >= gw->fences[shard];
    gw->fences[shard] = MAX(gw->fences[shard], fence);
    return is_latest;
}

/* Not told: the younger one's prev_rev showed the hole, and who had it has asked. */
static bool is_late(const struct gateway *gw, const Message__MessageEvent *event)
{
    const Message__Change *change = event->change;
    const struct topic *t = topic_find((struct gateway *)gw, change->conversation_id);
    return t && !event->is_for_named && change->rev && change->rev <= t->rev;
}

static void ask_anew(struct gateway *gw, const char *user_id)
{
    struct user *u = map_get(gw->users, str_from(user_id));
    if (!u)
        return;
    hub_user_forget(u); /* with a list that is on its way: it may be of before, or of between */
    hub_user_load(u);
}

/* A change of it never came, which may have put somebody out: its owner was killed before it told.
 * Who is in it is asked about before anything more of it is told. */
static void note_heard(struct gateway *gw, const Message__Change *change)
{
    struct topic *t = topic_find(gw, change->conversation_id);
    if (!t || !change->rev)
        return;
    bool is_after_hole = t->heard_rev && change->rev > t->heard_rev + 1;
    t->heard_rev = MAX(t->heard_rev, change->rev);
    if (is_after_hole)
        gateway_hub_doubt_topic(gw, t);
}

static void take_late(struct gateway *gw, const Message__MessageEvent *event)
{
    const Message__Member *m = event->change->member;
    if (m)
        ask_anew(gw, m->user_id);
    for (size_t i = 0; i < event->n_user_ids; i++)
        if (!m || strcmp(event->user_ids[i], m->user_id) != 0) /* once is enough */
            ask_anew(gw, event->user_ids[i]);
}

static void tell_change(struct gateway *gw, const Message__MessageEvent *event, bool is_former)
{
    const Message__Change *change = event->change;
    Gateway__ServerFrame frame = gateway_answer(GATEWAY__SERVER_FRAME__BODY_CHANGE, &change->base);
    struct fan fan = {0};
    for (size_t i = 0; i < event->n_user_ids; i++) {
        struct user *u = map_get(gw->users, str_from(event->user_ids[i]));
        if (!u)
            continue;
        if (!is_former)
            note_membership(event, u);
        const struct topic *now = topic_find(gw, change->conversation_id);
        if (event->is_for_named || !now || !topic_reader(now, u)) /* refused, say: concerned too */
            fan_add_user(&fan, u, NULL);
    }
    struct topic *t = event->is_for_named ? NULL : topic_find(gw, change->conversation_id);
    if (t && event->member_count > LARGE_MEMBERS) {
        add_concerned(&fan, gw, t, event);
        heads_note(gw, t, change);
    } else if (t) {
        add_all(&fan, t, event);
        t->rev = MAX(t->rev, change->rev);
    }
    fan_send(&fan, &frame, WS_SEND_SKIPPABLE);
    if (is_former)
        take_late(gw, event);
    /* Who left is told once more, then no more. */
    else if (change->member && change->member->state != MESSAGE__MEMBER_STATE__ACTIVE) {
        struct user *u = map_get(gw->users, str_from(change->member->user_id));
        if (u)
            topic_remove(gw, u, change->conversation_id);
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
    fan_send(&fan, frame, WS_SEND_SKIPPABLE);
}

static void tell_contacts(struct gateway *gw, const Message__MessageEvent *event)
{
    Gateway__ContactsChanged changed = GATEWAY__CONTACTS_CHANGED__INIT;
    changed.user_ids = event->contact_user_ids;
    changed.n_user_ids = event->n_contact_user_ids;
    Gateway__ServerFrame frame =
        gateway_answer(GATEWAY__SERVER_FRAME__BODY_CONTACTS, &changed.base);
    tell_users(gw, event->contact_user_ids, event->n_contact_user_ids, &frame);
    watch_doubt_pair(gw, event->contact_user_ids[0], event->contact_other_id);
}

void gateway_hub_event(struct gateway *gw, const Message__MessageEvent *event)
{
    bool is_former = !hub_fence_note(gw, (size_t)event->shard, event->fence);
    if (event->change && is_late(gw, event)) {
        take_late(gw, event);
    } else if (event->change) {
        note_heard(gw, event->change);
        tell_change(gw, event, is_former);
    } else if (event->own_conversation) {
        Gateway__ServerFrame frame =
            gateway_answer(GATEWAY__SERVER_FRAME__BODY_OWN, &event->own_conversation->base);
        tell_users(gw, &event->own_user_id, 1, &frame);
    } else if (event->invitation) {
        Gateway__ServerFrame frame =
            gateway_answer(GATEWAY__SERVER_FRAME__BODY_INVITATION, &event->invitation->base);
        tell_users(gw, event->user_ids, event->n_user_ids, &frame);
    } else if (event->n_contact_user_ids) {
        tell_contacts(gw, event);
    }
}

void gateway_hub_receipt(struct gateway *gw, const Message__ReceiptEvent *event)
{
    const struct topic *t = topic_find(gw, event->conversation_id);
    Gateway__ServerFrame frame = gateway_answer(GATEWAY__SERVER_FRAME__BODY_RECEIPT, &event->base);
    struct fan fan = {0};
    for (size_t i = 0; t && i < t->looker_count; i++)
        fan_add(&fan, t->lookers[i].member);
    fan_send(&fan, &frame, WS_SEND_EPHEMERAL);
}
