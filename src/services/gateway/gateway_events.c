/* From the bus to the hub: what is heard on the bus's threads is unpacked there and posted. */
#include "services/gateway/gateway_hub.h"

#define GATEWAY_TYPING "typing_here" /* at a gateway, which has told its own sockets */

struct heard {
    struct gateway *gw;
    struct arena *arena; /* of event */
    const Message__MessageEvent *event;
    Message__ReceiptEvent *receipt;
    bool is_typing; /* that, and no receipt */
    Presence__PresenceEvent *presence;
    struct session_news news;
    bool is_gap, is_asked;
    const Message__Downstream *downstream; /* it came from elsewhere, for us */
};

static void tell(struct heard *h)
{
    if (h->event)
        gateway_hub_event(h->gw, h->event);
    else if (h->receipt && h->is_typing)
        gateway_hub_typing(h->gw, h->receipt);
    else if (h->receipt)
        gateway_hub_receipt(h->gw, h->receipt);
    else if (h->presence)
        gateway_hub_presence(h->gw, h->presence);
    else if (!h->downstream)
        gateway_hub_session(h->gw, &h->news);
}

static void on_loop(void *arg)
{
    struct heard *h = arg;
    if (h->is_asked) {
        interest_asked(h->gw);
    } else if (h->is_gap) {
        interest_gap(h->gw);
        gateway_hub_gap(h->gw);
    } else if (!h->downstream || interest_heard(h->gw, h->downstream)) {
        tell(h);
    }
    if (h->receipt)
        message__receipt_event__free_unpacked(h->receipt, NULL);
    arena_destroy(&h->arena);
    free(h);
}

static void hear(const struct heard *h)
{
    struct heard *copy = mem_alloc(sizeof(*copy));
    *copy = *h;
    loop_post(h->gw->loop, on_loop, copy);
}

static void on_message_event(void *arg, const struct bus_event *e)
{
    struct arena *arena = arena_create(); /* dozens of small pieces that go at once, elsewhere */
    const ProtobufCMessage *m =
        rpc_message_unpack(&message__message_event__descriptor, arena, e->payload.p, e->payload.n);
    if (m)
        hear(&(struct heard){.gw = arg, .arena = arena, .event = (const Message__MessageEvent *)m});
    else
        arena_destroy(&arena);
}

static void on_ephemeral_event(void *arg, const struct bus_event *e)
{
    const struct gateway *gw = arg;
    bool is_own = e->source && strcmp(e->source, bus_process(gw->deps.bus)) == 0;
    if (is_own && strcmp(e->type, GATEWAY_TYPING) == 0)
        return; /* told when it was published */
    Message__ReceiptEvent *m =
        message__receipt_event__unpack(NULL, e->payload.n, (const uint8_t *)e->payload.p);
    if (m)
        hear(
            &(struct heard){.gw = arg, .receipt = m, .is_typing = strcmp(e->type, "receipt") != 0});
}

void gateway_events_typing(struct gateway *gw, const char *conversation_id, const char *user_id)
{
    Message__ReceiptEvent event = MESSAGE__RECEIPT_EVENT__INIT;
    uint8_t bytes[128];
    event.conversation_id = (char *)conversation_id;
    event.user_id = (char *)user_id;
    size_t n = message__receipt_event__get_packed_size(&event);
    if (gw->is_alone || n > sizeof(bytes)) /* ids are 26 characters */
        return;
    message__receipt_event__pack(&event, bytes);
    bus_publish(gw->deps.bus, &(struct bus_event){.channel = "message_ephemeral",
                                                  .type = GATEWAY_TYPING,
                                                  .key = conversation_id,
                                                  .payload = {(const char *)bytes, n},
                                                  .id = ""});
}

/* From a sender elsewhere. */
static void on_downstream(void *arg, const struct bus_event *e)
{
    struct heard h = {.gw = arg, .arena = arena_create()};
    h.downstream = (const Message__Downstream *)rpc_message_unpack(
        &message__downstream__descriptor, h.arena, e->payload.p, e->payload.n);
    struct str body =
        h.downstream ? (struct str){(const char *)h.downstream->body.data, h.downstream->body.len}
                     : STR_NULL;
    bool is_event = strcmp(e->type, "event") == 0, is_known = strcmp(e->type, "known") == 0;
    if (h.downstream && is_event)
        h.event = (const Message__MessageEvent *)rpc_message_unpack(
            &message__message_event__descriptor, h.arena, body.p, body.n);
    else if (h.downstream && !is_known)
        h.receipt = message__receipt_event__unpack(NULL, body.n, (const uint8_t *)body.p);
    h.is_typing = strcmp(e->type, "receipt") != 0;
    if (h.event || h.receipt || (h.downstream && is_known))
        hear(&h);
    else
        arena_destroy(&h.arena);
}

static void on_ask(void *arg, const struct bus_event *e)
{
    if (strcmp(e->type, "ask") == 0)
        hear(&(struct heard){.gw = arg, .is_asked = true});
}

static void on_presence_event(void *arg, const struct bus_event *e)
{
    Presence__PresenceEvent *m =
        presence__presence_event__unpack(NULL, e->payload.n, (const uint8_t *)e->payload.p);
    if (m && m->presence)
        hear(&(struct heard){.gw = arg, .presence = m});
    else if (m)
        presence__presence_event__free_unpacked(m, NULL);
}

static void on_auth_event(void *arg, const struct bus_event *e)
{
    struct heard h = {.gw = arg};
    if (session_news_read(e, &h.news))
        hear(&h);
}

static void on_gap(void *arg, const struct bus_event *e UNUSED)
{
    hear(&(struct heard){.gw = arg, .is_gap = true});
}

void gateway_events_start(struct gateway *gw)
{
    struct bus *bus = gw->deps.bus;
    gw->is_alone = !bus_is_apart(bus);
    gw->subscriptions[0] =
        bus_subscribe_here(bus, "message_events", "gateway", on_message_event, gw);
    gw->subscriptions[1] =
        bus_subscribe(bus, "message_ephemeral", "gateway", on_ephemeral_event, gw);
    gw->subscriptions[2] = bus_subscribe(bus, "auth_events", "gateway", on_auth_event, gw);
    gw->subscriptions[3] = bus_subscribe(bus, "presence_events", "gateway", on_presence_event, gw);
    gw->subscriptions[4] = bus_on_gap(bus, "gateway", on_gap, gw);
    if (gw->is_alone)
        return;
    snprintf(gw->downstream, sizeof(gw->downstream), BUS_DOWNSTREAM "%s", bus_process(bus));
    gw->subscriptions[5] = bus_subscribe(bus, gw->downstream, "gateway", on_downstream, gw);
    gw->subscriptions[6] = bus_subscribe(bus, "im_gateways", "gateway", on_ask, gw);
}

void gateway_events_stop(struct gateway *gw)
{
    for (size_t i = 0; i < ARRAY_LEN(gw->subscriptions); i++)
        bus_unsubscribe(gw->deps.bus, gw->subscriptions[i]);
}
