/*
 * autobahn 12 and 13: permessage-deflate, with five kinds of content and seven kinds of offers at
 * 18 sizes. The client is a zlib of the test's own; where a smaller window was agreed on it
 * inflates with no more than that, so a server that looks back further is caught.
 */
#include <zlib.h>

#include "autobahn.h"

#define CONTENT_MAX 131072
#define MESSAGES 2

/* Bytes of a message; of a frame (0: one frame). */
static const struct {
    size_t n;
    size_t fragment;
} sizes[18] = {
    {16, 0},      {64, 0},      {256, 0},      {1024, 0},      {4096, 0},      {8192, 0},
    {16384, 0},   {32768, 0},   {65536, 0},    {131072, 0},    {8192, 256},    {16384, 256},
    {32768, 256}, {65536, 256}, {131072, 256}, {131072, 1024}, {131072, 4096}, {131072, 32768},
};

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* Text made of pieces, in an order that does not repeat. */
static void write_pieces(struct strbuf *out, const char *const *pieces, size_t count)
{
    uint32_t seed = 7;
    while (out->n < CONTENT_MAX + 64) {
        strbuf_adds(out, pieces[next_random(&seed) % count]);
        if (next_random(&seed) % 4 == 0)
            strbuf_printf(out, "%u", next_random(&seed));
    }
}

static void write_json(struct strbuf *out)
{
    static const char *const pieces[] = {"{\"id\":",
                                         ",\"name\":\"",
                                         "\",\"tags\":[",
                                         "],\"size\":",
                                         "true},",
                                         "null,",
                                         "\"\xc3\xa4\xe4\xb8\xad\","};
    write_pieces(out, pieces, ARRAY_LEN(pieces));
}

/* A picture: soft ramps with a little noise in the low bits. */
static void write_picture(struct strbuf *out)
{
    uint32_t seed = 3;
    for (size_t i = 0; i < CONTENT_MAX + 64; i++)
        strbuf_addc(out, (char)((i % 512 + i / 512 + next_random(&seed) % 4) / 3));
}

static void write_prose(struct strbuf *out)
{
    static const char *const pieces[] = {"the ",     "house ",      "of ",    "many ",
                                         "rooms, ",  "whose ",      "doors ", "stood ",
                                         "open\r\n", "all night. ", "And "};
    write_pieces(out, pieces, ARRAY_LEN(pieces));
}

static void write_html(struct strbuf *out)
{
    static const char *const pieces[] = {
        "<div class=\"row\">", "</div>\n", "<a href=\"/", "\">", "</a>", "<p>",
        "\xc2\xa0 more </p>"};
    write_pieces(out, pieces, ARRAY_LEN(pieces));
}

/* Already compressed: deflate gains nothing. */
static void write_packed(struct strbuf *out)
{
    uint32_t seed = 11;
    for (size_t i = 0; i < CONTENT_MAX + 64; i++)
        strbuf_addc(out, (char)next_random(&seed));
}

static const struct {
    void (*write)(struct strbuf *out);
    unsigned opcode;
} contents[] = {{write_json, WS_TEXT},
                {write_picture, WS_BINARY},
                {write_prose, WS_BINARY},
                {write_html, WS_TEXT},
                {write_packed, WS_BINARY}};

/* Without the halves of characters at its ends. */
static struct str whole_characters(struct str text)
{
    while (text.n > 0 && ((uint8_t)text.p[0] & 0xc0) == 0x80)
        text = str_sub(text, 1, SIZE_MAX);
    while (text.n > 0 && !str_is_utf8(text)) /* three times at most */
        text.n--;
    return text;
}

/* Inflates a message that looks back no further than the window. */
static void inflate_within(struct str in, int window_bits, struct strbuf *out, size_t most)
{
    z_stream z = {0};
    struct strbuf whole = {0};
    strbuf_add(&whole, in.p, in.n);
    strbuf_add(&whole, "\x00\x00\xff\xff", 4);
    assert_int_equal(inflateInit2(&z, -window_bits), Z_OK);
    z.next_in = (Bytef *)whole.p;
    z.avail_in = (uInt)whole.n;
    /* Small steps: with all the output in one buffer zlib would look back into that instead. */
    const size_t step = window_bits < 15 ? 100 : 65536;
    while (z.avail_in > 0 || out->n < most) {
        z.next_out = (Bytef *)strbuf_reserve(out, step);
        z.avail_out = (uInt)step;
        int rc = inflate(&z, Z_SYNC_FLUSH);
        size_t got = step - z.avail_out;
        out->n += got;
        if ((rc != Z_OK && rc != Z_BUF_ERROR) || got == 0)
            break;
    }
    inflateEnd(&z);
    strbuf_deinit(&whole);
}

static void send_deflated(struct run *r, struct ws_shard *zlib, unsigned opcode, struct str message,
                          size_t fragment)
{
    struct strbuf packed = {0};
    ws_deflate(zlib, 15, message, &packed);
    size_t step = fragment ? fragment : packed.n;
    for (size_t at = 0; at < packed.n; at += step)
        autobahn_add(r, at ? WS_WIRE_CONTINUE : opcode, str_sub(strbuf_str(&packed), at, step),
                     (at ? 0 : CLIENT_WS_RSV1) | (at + step < packed.n ? CLIENT_WS_NOT_FINAL : 0));
    autobahn_flush(r);
    strbuf_deinit(&packed);
}

static void expect_message(struct run *r, unsigned opcode, struct str message, int window_bits,
                           bool *was_deflated)
{
    struct client_ws_frame frame = client_ws_read(&r->c);
    struct strbuf plain = {0};
    assert_true(frame.is_there && frame.opcode == opcode);
    if (frame.is_deflated) {
        inflate_within(frame.payload, window_bits, &plain, message.n);
        frame.payload = strbuf_str(&plain);
        *was_deflated = true;
    }
    if (!str_eq(frame.payload, message))
        fail_msg("%s: a message of %zu bytes came back otherwise", r->number, message.n);
    strbuf_deinit(&plain);
}

struct offer {
    const char *group;
    const char *headers;
    int window_bits; /* that must be agreed on */
};

static void run_sizes(const struct offer *offer, size_t kind)
{
    struct strbuf content = {0};
    struct ws_shard *zlib = ws_shard_create();
    unsigned opcode = contents[kind].opcode;
    contents[kind].write(&content);
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        struct run r = autobahn_start_with(offer->group, i + 1, 0, offer->headers);
        bool was_deflated = false;
        for (size_t k = 0; k < MESSAGES; k++) {
            struct str message = str_sub(strbuf_str(&content), k * 17, sizes[i].n);
            if (opcode == WS_TEXT)
                message = whole_characters(message);
            send_deflated(&r, zlib, opcode, message, sizes[i].fragment);
            expect_message(&r, opcode, message, offer->window_bits, &was_deflated);
        }
        /* What can be made smaller is; the rest comes as it is. */
        if (was_deflated != (sizes[i].n >= 256 && contents[kind].write != write_packed))
            fail_msg("%s: deflated %d", r.number, was_deflated);
        autobahn_finish(&r);
    }
    ws_shard_destroy(&zlib);
    strbuf_deinit(&content);
}

#define DEFLATE "Sec-WebSocket-Extensions: permessage-deflate"
#define CLIENT_CAN "; client_no_context_takeover; client_max_window_bits"

void autobahn_12_compression(void **state)
{
    static const char *const groups[] = {"12.1", "12.2", "12.3", "12.4", "12.5"};
    for (size_t kind = 0; kind < ARRAY_LEN(contents); kind++)
        run_sizes(&(struct offer){groups[kind], DEFLATE CLIENT_CAN "\r\n", 15}, kind);
}

void autobahn_13_parameters(void **state)
{
    static const struct offer offers[] = {
        {"13.1", DEFLATE CLIENT_CAN "\r\n", 15},
        {"13.2", DEFLATE CLIENT_CAN "; server_no_context_takeover\r\n", 15},
        {"13.3", DEFLATE CLIENT_CAN "; server_max_window_bits=9\r\n", 9},
        {"13.4", DEFLATE CLIENT_CAN "; server_max_window_bits=15\r\n", 15},
        {"13.5", DEFLATE CLIENT_CAN "; server_no_context_takeover; server_max_window_bits=9\r\n",
         9},
        {"13.6", DEFLATE CLIENT_CAN "; server_no_context_takeover; server_max_window_bits=15\r\n",
         15},
        {"13.7",
         DEFLATE CLIENT_CAN "; server_no_context_takeover; server_max_window_bits=9, "
                            "permessage-deflate" CLIENT_CAN "; server_no_context_takeover, "
                            "permessage-deflate" CLIENT_CAN "\r\n",
         9},
    };
    for (size_t i = 0; i < ARRAY_LEN(offers); i++)
        run_sizes(&offers[i], 0);
}

/* Not in the list: what is no deflated data, or no text, or too much of it. */
void autobahn_compressed_nonsense(void **state)
{
    static const struct {
        struct str payload;
        unsigned code;
    } rows[] = {
        {STR("\xff\xff\xff\xff"), 1007},                          /* not deflate */
        {STR("\x00\x05\x00\xfa\xff\xc3\x28\xc3\x28x\x00"), 1007}, /* inflates to no UTF-8 */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct run r = autobahn_start_with("12.1", 1, 0, DEFLATE "\r\n");
        autobahn_add(&r, WS_TEXT, rows[i].payload, CLIENT_WS_RSV1);
        autobahn_flush(&r);
        autobahn_expect_close(&r, rows[i].code);
    }
    /* A bomb: beyond the limit of a message, in a few kB. */
    struct run r = autobahn_start_with("12.1", 1, 0, DEFLATE "\r\n");
    struct ws_shard *zlib = ws_shard_create();
    struct strbuf packed = {0};
    char *zeros = calloc(1, 2 * AUTOBAHN_MESSAGE_MAX);
    ws_deflate(zlib, 15, (struct str){zeros, 2 * AUTOBAHN_MESSAGE_MAX}, &packed);
    autobahn_add(&r, WS_BINARY, strbuf_str(&packed), CLIENT_WS_RSV1);
    autobahn_flush(&r);
    autobahn_expect_close(&r, 1009);
    free(zeros);
    strbuf_deinit(&packed);
    ws_shard_destroy(&zlib);
}
