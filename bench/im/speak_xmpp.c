/*
 * XMPP in as little as it takes to write messages: SASL PLAIN, bind, and stream management whose
 * answer to <r/> follows the message's way through the server, archive included (`xmpp`); or a room
 * whose members write to it, each acknowledged by its own line coming back (`muc`). Fields: user,
 * password, and to whom, or the room.
 */
#include "load.h"

#include <sodium.h>

enum stage { GREETING, SIGNING_IN, GREETING_AGAIN, BINDING, ENABLING, OPEN };

static void say(struct client *c, const char *text)
{
    wire_send(c, text, strlen(text));
}

static void greet(struct client *c)
{
    say(c, "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client'"
           " xmlns:stream='http://etherx.jabber.org/streams'>");
}

static void sign_in(struct client *c)
{
    char secret[200], coded[300];
    struct strbuf b = {0};
    int n = snprintf(secret, sizeof(secret), "%c%s%c%s", 0, c->fields[0], 0, c->fields[1]);
    sodium_bin2base64(coded, sizeof(coded), (const uint8_t *)secret, (size_t)n,
                      sodium_base64_VARIANT_ORIGINAL);
    strbuf_printf(&b, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%s</auth>",
                  coded);
    wire_send(c, b.p, b.n);
    strbuf_deinit(&b);
}

static void enable(struct client *c)
{
    struct strbuf b = {0};
    if (opt.protocol == &protocol_xmpp)
        strbuf_adds(&b, "<presence/><enable xmlns='urn:xmpp:sm:3'/>");
    else
        strbuf_printf(&b,
                      "<presence to='%s/n%d'><x xmlns='http://jabber.org/protocol/muc'>"
                      "<history maxstanzas='0'/></x></presence>",
                      c->fields[2], c->number);
    wire_send(c, b.p, b.n);
    strbuf_deinit(&b);
}

static void send_message(struct client *c)
{
    static struct strbuf b;
    bool is_room = opt.protocol == &protocol_muc;
    strbuf_clear(&b);
    strbuf_printf(&b, "<message type='%s' id='%s-%llu' to='%s'><body>",
                  is_room ? "groupchat" : "chat", opt.run_id, (unsigned long long)++c->sends,
                  c->fields[2]);
    for (int i = 0; i < opt.bytes; i++)
        strbuf_addc(&b, i % 8 == 7 ? ' ' : (char)('a' + (i / 8 + (int)c->sends) % 26));
    strbuf_adds(&b, "</body></message>");
    if (!is_room)
        strbuf_adds(&b, "<r xmlns='urn:xmpp:sm:3'/>");
    c->sent_us = clock_mono_us();
    wire_send(c, b.p, b.n);
}

/* Where `end` ends in the bytes; 0: not there yet. */
static size_t after(const char *p, size_t n, const char *end)
{
    const char *at = memmem(p, n, end, strlen(end));
    return at ? (size_t)(at - p) + strlen(end) : 0;
}

static size_t step(struct client *c, size_t used, enum stage next, void (*then)(struct client *))
{
    if (used) {
        c->stage = next;
        then(c);
    }
    return used;
}

static bool holds(const char *p, size_t n, const char *text)
{
    return p && memmem(p, n, text, strlen(text)) != NULL;
}

static bool is_tag(const char *p, size_t n, const char *tag)
{
    return n >= strlen(tag) && memcmp(p, tag, strlen(tag)) == 0;
}

/* How many came, for the server to forget them. */
static void tell_stanzas(struct client *c)
{
    char text[80];
    int n = snprintf(text, sizeof(text), "<a xmlns='urn:xmpp:sm:3' h='%u'/>", c->stanzas);
    wire_send(c, text, (size_t)n);
}

/* One stanza: <a/>, <r/>, <message>, <presence>, whatever. */
static size_t take_stanza(struct client *c, const char *p, size_t n)
{
    char own[32];
    snprintf(own, sizeof(own), "/n%d'", c->number);
    size_t open = after(p, n, ">");
    if (!open)
        return 0;
    if (is_tag(p, n, "<a ")) {
        load_acked(c, false);
        return open;
    }
    size_t whole = is_tag(p, n, "<message ") ? after(p, n, "</message>") : open;
    if (!whole)
        return 0;
    c->stanzas += is_tag(p, n, "<iq ") || is_tag(p, n, "<presence ") || is_tag(p, n, "<message ");
    if (is_tag(p, n, "<r "))
        tell_stanzas(c);
    if (!is_tag(p, n, "<message "))
        return open; /* by its tags: nothing of it is counted */
    bool is_error = holds(p, open, "type='error'");
    if (is_error)
        fprintf(stderr, "im_load: %.*s\n", (int)MIN(whole, 400), p);
    if (is_error || (holds(p, open, own) && c->sent_us))
        load_acked(c, is_error);
    if (!is_error)
        load_delivered(c, whole);
    return whole;
}

static size_t take(struct client *c, const char *p, size_t n)
{
    switch ((enum stage)c->stage) {
    case GREETING:
        return step(c, after(p, n, "</stream:features>"), SIGNING_IN, sign_in);
    case SIGNING_IN:
        if (holds(p, n, "<failure")) {
            fprintf(stderr, "im_load: %.*s\n", (int)MIN(n, 300), p);
            exit(1);
        }
        return step(c, holds(p, n, "<success") ? after(p, n, ">") : 0, GREETING_AGAIN, greet);
    case GREETING_AGAIN:
        if (!after(p, n, "</stream:features>"))
            return 0;
        c->stage = BINDING;
        say(c, "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
        return after(p, n, "</stream:features>");
    case BINDING:
        return step(c, after(p, n, "</iq>"), ENABLING, enable);
    case ENABLING: {
        size_t used =
            opt.protocol == &protocol_xmpp ? after(p, n, "<enabled ") : after(p, n, "code='110'");
        used = used ? used + after(p + used, n - used, ">") : 0;
        if (used) {
            c->stage = OPEN;
            load_ready(c);
        }
        return used;
    }
    case OPEN:
        break;
    }
    return take_stanza(c, p, n);
}

const struct protocol protocol_xmpp = {
    .name = "xmpp", .begin = greet, .take = take, .send = send_message};
const struct protocol protocol_muc = {
    .name = "muc", .begin = greet, .take = take, .send = send_message};
