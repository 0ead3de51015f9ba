/*
 * Large conversations. A change there is told in full to the sockets that look at it, to whom it
 * names and to whose doing it is; all others hear twice a second at most that the conversation has
 * moved, and fetch when they look. So a busy channel costs each of its 200,000 members two small
 * frames a second, however much is said.
 */
#include "services/gateway/gateway_hub.h"

#define EVERY_MS 500

static void tell(struct topic *t)
{
    Message__Head head = MESSAGE__HEAD__INIT, *list[] = {&head};
    Gateway__Heads heads = GATEWAY__HEADS__INIT;
    head.conversation_id = t->id;
    head.rev = t->rev;
    head.last_seq = t->last_seq;
    heads.heads = list;
    heads.n_heads = 1;
    Gateway__ServerFrame frame = gateway_answer(GATEWAY__SERVER_FRAME__BODY_HEADS, &heads.base);
    struct fan fan = {0};
    for (size_t i = 0; i < t->reader_count; i++)
        fan_add_user(&fan, t->readers[i].user, t);
    fan_send(&fan, &frame, WS_SEND_SKIPPABLE);
}

static void on_timer(void *arg)
{
    struct gateway *gw = arg;
    gw->moved_at_ms = clock_mono_ms();
    while (!list_is_empty(&gw->moved)) {
        struct topic *t = LIST_ENTRY(gw->moved.next, struct topic, in_moved);
        list_remove(&t->in_moved);
        tell(t);
    }
}

void heads_note(struct gateway *gw, struct topic *t, const Message__Change *change)
{
    t->rev = MAX(t->rev, change->rev);
    if (change->message)
        t->last_seq = MAX(t->last_seq, change->message->seq);
    if (!list_is_linked(&t->in_moved))
        list_add_tail(&gw->moved, &t->in_moved);
    if (!loop_timer_is_armed(&gw->moved_timer)) {
        int64_t rest_ms = gw->moved_at_ms + EVERY_MS - clock_mono_ms();
        loop_timer_start(gw->loop, &gw->moved_timer, MAX(rest_ms, 1), on_timer, gw);
    }
}

void heads_forget(struct topic *t)
{
    list_remove(&t->in_moved);
}
