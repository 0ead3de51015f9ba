/*
 * A WebSocket (RFC 6455) as a client: libcurl makes the connection (names, TLS, who signed the
 * certificate), the few frames are ours, since Debian's libcurl has none. No extension is offered,
 * so frames come plain.
 */
#include <curl/curl.h>
#include <endian.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/random.h>

#include "cli/cli_chat.h"
#include "core/clock.h"
#include "core/mem.h"

#define CONNECT_MS 10000
#define SILENCE_MS 75000 /* the server pings after 30 s of silence */
#define MESSAGE_MAX_BYTES (4 * 1024 * 1024)
#define HEAD_MAX_BYTES 16384

enum opcode { CONTINUED = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

struct chat_socket {
    CURL *curl;
    curl_socket_t fd;
    struct strbuf in;      /* bytes that came and are no whole frame yet */
    size_t taken;          /* of them: the frame that was given out last */
    struct strbuf message; /* what has come of one in several frames */
    bool is_in_message;
    int64_t heard_ms;
};

/* ---- bytes ---- */

static bool wait_until(const struct chat_socket *s, short events, int64_t until_ms)
{
    struct pollfd p = {.fd = s->fd, .events = events};
    int64_t left = until_ms - clock_mono_ms();
    return left > 0 && poll(&p, 1, (int)left) > 0;
}

static enum err send_all(struct chat_socket *s, const char *bytes, size_t n)
{
    int64_t until_ms = clock_mono_ms() + CONNECT_MS;
    while (n) {
        size_t sent = 0;
        CURLcode code = curl_easy_send(s->curl, bytes, n, &sent);
        bytes += sent;
        n -= sent;
        bool may_go_on =
            code == CURLE_OK || (code == CURLE_AGAIN && wait_until(s, POLLOUT, until_ms));
        if (!may_go_on)
            return ERR_UNAVAILABLE;
    }
    return ERR_OK;
}

/* Takes what is there. ERR_UNAVAILABLE: the end. */
static enum err receive(struct chat_socket *s)
{
    for (;;) {
        size_t n = 0;
        CURLcode code = curl_easy_recv(s->curl, strbuf_reserve(&s->in, 65536), 65536, &n);
        if (code == CURLE_AGAIN)
            return ERR_OK;
        if (code != CURLE_OK || n == 0)
            return ERR_UNAVAILABLE;
        s->in.n += n;
        s->heard_ms = clock_mono_ms();
        if (s->in.n > MESSAGE_MAX_BYTES)
            return ERR_UNAVAILABLE;
    }
}

static void drop(struct strbuf *b, size_t n)
{
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

/* ---- the handshake ---- */

static void make_accept(const char *key, char out[32])
{
    struct strbuf both = {0};
    unsigned char digest[20];
    strbuf_printf(&both, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    EVP_Digest(both.p, both.n, digest, NULL, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)out, digest, sizeof(digest));
    strbuf_deinit(&both);
}

/* The value of a header of the answer. */
static struct str header_of(struct str head, struct str name)
{
    struct str line;
    for (bool is_more = true; is_more;) {
        struct str key;
        is_more = str_cut(&head, '\n', &line);
        if (str_cut(&line, ':', &key) && str_eq_nocase(str_trim(key), name))
            return str_trim(line);
    }
    return STR_NULL;
}

/* What comes before the empty line; takes it from the bytes that came. */
static enum err read_head(struct chat_socket *s, char **head)
{
    int64_t until_ms = clock_mono_ms() + CONNECT_MS;
    for (;;) {
        char *end = s->in.n ? memmem(s->in.p, s->in.n, "\r\n\r\n", 4) : NULL;
        if (end) {
            size_t n = (size_t)(end - s->in.p) + 4;
            *head = str_dup((struct str){s->in.p, n});
            drop(&s->in, n);
            return ERR_OK;
        }
        if (s->in.n > HEAD_MAX_BYTES || !wait_until(s, POLLIN, until_ms) || receive(s) != ERR_OK)
            return ERR_UNAVAILABLE;
    }
}

static enum err check_head(const char *head, const char *key)
{
    char accept[32];
    int status = 0;
    make_accept(key, accept);
    (void)!sscanf(head, "HTTP/1.1 %d", &status);
    if (status == 401)
        return ERR_UNAUTHENTICATED;
    struct str text = str_from(head);
    bool is_ours = status == 101 &&
                   str_eq(header_of(text, STR("Sec-WebSocket-Accept")), str_from(accept)) &&
                   str_eq(header_of(text, STR("Sec-WebSocket-Protocol")), STR("parlance.v1.json"));
    if (!is_ours)
        chat_say("the server does not speak parlance.v1.json (status %d)", status);
    return is_ours ? ERR_OK : ERR_UNAVAILABLE;
}

static enum err shake_hands(struct chat_socket *s, const struct chat_session *session)
{
    unsigned char random[16];
    char key[32];
    char *head = NULL;
    struct strbuf request = {0};
    const char *host = strstr(session->server, "://") + 3;
    if (getentropy(random, sizeof(random)) != 0)
        abort();
    EVP_EncodeBlock((unsigned char *)key, random, sizeof(random));
    strbuf_printf(&request,
                  "GET /ws/im HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: parlance.v1.json\r\n"
                  "Authorization: Bearer %s\r\n\r\n",
                  host, key, session->access_token);
    enum err err = send_all(s, request.p, request.n);
    if (!err)
        err = read_head(s, &head);
    if (!err)
        err = check_head(head, key);
    strbuf_deinit(&request);
    free(head);
    return err;
}

enum err chat_socket_open(struct chat_socket **out, const struct chat_session *session)
{
    struct chat_socket *s = mem_new(struct chat_socket);
    s->curl = curl_easy_init();
    curl_easy_setopt(s->curl, CURLOPT_URL, session->server);
    curl_easy_setopt(s->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(s->curl, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(s->curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(s->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    if (session->ca_file)
        curl_easy_setopt(s->curl, CURLOPT_CAINFO, session->ca_file);
    CURLcode code = curl_easy_perform(s->curl);
    enum err err = ERR_UNAVAILABLE;
    if (code == CURLE_OK && curl_easy_getinfo(s->curl, CURLINFO_ACTIVESOCKET, &s->fd) == CURLE_OK) {
        s->heard_ms = clock_mono_ms();
        err = shake_hands(s, session);
    }
    if (err)
        chat_socket_close(&s);
    *out = s;
    return err;
}

void chat_socket_close(struct chat_socket **socket)
{
    struct chat_socket *s = *socket;
    *socket = NULL;
    if (!s)
        return;
    curl_easy_cleanup(s->curl);
    strbuf_deinit(&s->in);
    strbuf_deinit(&s->message);
    free(s);
}

/* ---- frames ---- */

static enum err send_frame(struct chat_socket *s, enum opcode opcode, struct str payload)
{
    struct strbuf frame = {0};
    uint8_t mask[4];
    if (getentropy(mask, sizeof(mask)) != 0)
        abort();
    strbuf_addc(&frame, (char)(0x80 | opcode));
    uint16_t n16 = htobe16((uint16_t)payload.n);
    uint64_t n64 = htobe64(payload.n);
    strbuf_addc(&frame, (char)(0x80 | (payload.n < 126      ? payload.n
                                       : payload.n <= 65535 ? 126
                                                            : 127)));
    if (payload.n > 65535)
        strbuf_add(&frame, &n64, sizeof(n64));
    else if (payload.n > 125)
        strbuf_add(&frame, &n16, sizeof(n16));
    strbuf_add(&frame, mask, sizeof(mask));
    char *bytes = strbuf_reserve(&frame, payload.n + 1);
    for (size_t i = 0; i < payload.n; i++)
        bytes[i] = (char)(payload.p[i] ^ mask[i & 3]);
    frame.n += payload.n;
    enum err err = send_all(s, frame.p, frame.n);
    strbuf_deinit(&frame);
    return err;
}

enum err chat_socket_send(struct chat_socket *s, struct str text)
{
    return send_frame(s, TEXT, text);
}

struct frame {
    bool is_final;
    unsigned opcode;
    struct str payload;
    size_t size; /* header and payload; 0: not all of it is here */
};

/* False: that is no frame of a server that keeps to the protocol. */
static bool parse_frame(const struct strbuf *in, struct frame *f)
{
    const uint8_t *b = (const uint8_t *)in->p;
    *f = (struct frame){0};
    if (in->n < 2)
        return true;
    size_t header = 2;
    uint64_t n = b[1];
    if ((b[0] & 0x70) || (n & 0x80))
        return false;
    size_t wide = n == 126 ? 2 : n == 127 ? 8 : 0;
    if (in->n < header + wide)
        return true;
    if (wide)
        n = 0;
    for (size_t i = 0; i < wide; i++)
        n = n << 8 | b[header + i];
    header += wide;
    if (n > MESSAGE_MAX_BYTES || ((b[0] & 0x08) && (n > 125 || !(b[0] & 0x80))))
        return false;
    f->is_final = b[0] & 0x80;
    f->opcode = b[0] & 0x0f;
    if (in->n >= header + n) {
        f->payload = (struct str){in->p + header, (size_t)n};
        f->size = header + (size_t)n;
    }
    return true;
}

/* A data frame; true: a message is whole. */
static bool take_data(struct chat_socket *s, const struct frame *f, struct str *text)
{
    if (!s->is_in_message && f->is_final) {
        *text = f->payload;
        return true;
    }
    if (!s->is_in_message)
        strbuf_clear(&s->message);
    strbuf_add(&s->message, f->payload.p, f->payload.n);
    s->is_in_message = !f->is_final;
    *text = strbuf_str(&s->message);
    return f->is_final;
}

/* What the bytes that came amount to. */
static enum chat_heard next_frame(struct chat_socket *s, struct str *text, unsigned *close_code)
{
    struct frame f;
    drop(&s->in, s->taken);
    s->taken = 0;
    for (; parse_frame(&s->in, &f) && f.size; drop(&s->in, s->taken), s->taken = 0) {
        s->taken = f.size;
        bool is_data = f.opcode <= BINARY && (f.opcode == CONTINUED) == s->is_in_message;
        if (is_data && s->message.n + f.payload.n <= MESSAGE_MAX_BYTES) {
            if (take_data(s, &f, text))
                return CHAT_HEARD_MESSAGE;
        } else if (f.opcode == CLOSE) {
            const uint8_t *b = (const uint8_t *)f.payload.p;
            *close_code = f.payload.n >= 2 ? (unsigned)b[0] << 8 | b[1] : 1005;
            (void)!send_frame(s, CLOSE, str_sub(f.payload, 0, 2));
            return CHAT_HEARD_CLOSE;
        } else if (f.opcode == PING) {
            if (send_frame(s, PONG, f.payload) != ERR_OK)
                return CHAT_HEARD_CLOSE;
        } else if (f.opcode != PONG) {
            return CHAT_HEARD_CLOSE;
        }
    }
    return parse_frame(&s->in, &f) ? CHAT_HEARD_NOTHING : CHAT_HEARD_CLOSE;
}

enum chat_heard chat_socket_hear(struct chat_socket *s, int timeout_ms, int other_fd,
                                 struct str *text, unsigned *close_code)
{
    int64_t until_ms = clock_mono_ms() + timeout_ms;
    *close_code = 1006;
    for (;;) {
        /* TLS may hold what poll does not see: look first. */
        enum err err = receive(s);
        enum chat_heard heard = next_frame(s, text, close_code);
        if (heard != CHAT_HEARD_NOTHING)
            return heard;
        int64_t now_ms = clock_mono_ms();
        if (err || now_ms - s->heard_ms > SILENCE_MS)
            return CHAT_HEARD_CLOSE;
        if (now_ms >= until_ms)
            return CHAT_HEARD_NOTHING;
        struct pollfd p[2] = {{.fd = s->fd, .events = POLLIN}, {.fd = other_fd, .events = POLLIN}};
        poll(p, 2, (int)(until_ms - now_ms));
        if (p[1].revents)
            return CHAT_HEARD_NOTHING;
    }
}
