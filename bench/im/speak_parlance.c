/* parlance.v1.json on /ws/im: fields are the access token and the conversation to write into. And
 * servers that only push what is posted to them (nchan, the bare loop): /sub and /pub. */
#include "load.h"

#include <sys/socket.h>

enum stage { UPGRADING, WAITING_READY, LOOKING, OPEN };

static void begin(struct client *c)
{
    struct strbuf b = {0};
    strbuf_printf(&b,
                  "GET /ws/im HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Protocol: parlance.v1.json\r\n"
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                  "Authorization: Bearer %s\r\n\r\n",
                  opt.port, c->fields[0]);
    wire_send(c, b.p, b.n);
    strbuf_deinit(&b);
}

static void send_message(struct client *c)
{
    static struct strbuf b;
    strbuf_clear(&b);
    strbuf_printf(&b,
                  "{\"id\":1,\"send_message\":{\"conversation_id\":\"%s\",\"client_msg_id\":"
                  "\"%s-%d-%llu\",\"content\":{\"text\":\"",
                  c->fields[1], opt.run_id, c->number, (unsigned long long)++c->sends);
    for (int i = 0; i < opt.bytes; i++)
        strbuf_addc(&b, i % 8 == 7 ? ' ' : (char)('a' + (i / 8 + (int)c->sends) % 26));
    strbuf_adds(&b, "\"}}}");
    c->sent_us = clock_mono_us();
    wire_send_text(c, strbuf_str(&b));
}

static void publish(void)
{
    send_message(&clients[0]);
}

static void resume(struct client *c)
{
    static struct strbuf b;
    strbuf_clear(&b);
    strbuf_printf(&b,
                  "{\"id\":1,\"sync\":{\"cursor\":\"%s\",\"open\":[{\"conversation_id\":\"%s\","
                  "\"rev\":%d}]}}",
                  c->cursor, c->fields[1], 1);
    wire_send_text(c, strbuf_str(&b));
}

static bool begins(struct str text, const char *with)
{
    size_t n = strlen(with);
    return text.n >= n && memcmp(text.p, with, n) == 0;
}

static void keep_cursor(struct client *c, struct str text)
{
    const char *key = memmem(text.p, text.n, "\"cursor\":\"", 10);
    if (!key)
        return;
    const char *from = key + 10, *to = memchr(from, '"', (size_t)(text.p + text.n - from));
    if (to)
        snprintf(c->cursor, sizeof(c->cursor), "%.*s", (int)(to - from), from);
}

/* In large conversations only who looks at it is told each message. */
static void look(struct client *c)
{
    struct strbuf b = {0};
    strbuf_printf(&b, "{\"id\":1,\"open\":{\"id\":\"%s\"}}", c->fields[1]);
    c->stage = LOOKING;
    wire_send_text(c, strbuf_str(&b));
    strbuf_deinit(&b);
}

static void on_text(struct client *c, struct str text)
{
    if (c->stage == LOOKING && begins(text, "{\"id\":")) {
        c->stage = OPEN;
        load_ready(c);
    } else if (begins(text, "{\"id\":")) { /* an answer */
        bool is_refused = memmem(text.p, MIN(text.n, 40), "\"error\"", 7) != NULL;
        if (is_refused)
            fprintf(stderr, "im_load: %.*s\n", (int)MIN(text.n, 300), text.p);
        keep_cursor(c, text);
        load_acked(c, is_refused);
    } else if (c->stage == WAITING_READY && begins(text, "{\"ready\"")) {
        c->stage = OPEN;
        if (strcmp(opt.mode, "fanout") == 0)
            look(c);
        else
            load_ready(c);
    } else if (begins(text, "{\"change\"")) {
        load_delivered(c, text.n);
    }
}

static size_t take(struct client *c, const char *p, size_t n)
{
    struct str payload;
    if (c->stage == UPGRADING) {
        size_t used = wire_take_upgrade(p, n);
        if (used)
            c->stage = WAITING_READY;
        return used;
    }
    size_t used = wire_take_frame(c, p, n, &payload);
    if (used && payload.n)
        on_text(c, payload);
    return used;
}

const struct protocol protocol_parlance = {.name = "parlance",
                                           .begin = begin,
                                           .take = take,
                                           .send = send_message,
                                           .publish = publish,
                                           .resume = resume};

/* ---- who only pushes ---- */

static int publish_fd = -1;

static void begin_plain(struct client *c)
{
    struct strbuf b = {0};
    strbuf_printf(&b,
                  "GET /sub HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                  opt.port);
    wire_send(c, b.p, b.n);
    strbuf_deinit(&b);
}

static size_t take_plain(struct client *c, const char *p, size_t n)
{
    struct str payload;
    if (c->stage == UPGRADING) {
        size_t used = wire_take_upgrade(p, n);
        c->stage = used ? OPEN : UPGRADING;
        if (used)
            load_ready(c);
        return used;
    }
    size_t used = wire_take_frame(c, p, n, &payload);
    if (used && payload.n)
        load_delivered(c, payload.n);
    return used;
}

static void publish_plain(void)
{
    struct strbuf b = {0};
    char answer[4096];
    if (publish_fd < 0)
        publish_fd = client_connect(opt.port);
    strbuf_printf(&b,
                  "POST /pub HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: text/plain\r\n"
                  "Content-Length: %d\r\n\r\n",
                  opt.port, opt.bytes);
    memset(strbuf_reserve(&b, (size_t)opt.bytes), 'x', (size_t)opt.bytes);
    b.n += (size_t)opt.bytes;
    clients[0].sent_us = clock_mono_us();
    client_send(publish_fd, b.p, b.n);
    strbuf_deinit(&b);
    if (recv(publish_fd, answer, sizeof(answer), 0) <= 0)
        fprintf(stderr, "im_load: nobody answers what is published\n");
    load_acked(&clients[0], false);
}

const struct protocol protocol_plain = {
    .name = "plain", .begin = begin_plain, .take = take_plain, .publish = publish_plain};
