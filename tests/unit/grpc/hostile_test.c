/* hostile: peers that break the rules. The client here is bytes of our own making: HTTP/2 frames
 * with literal headers, no library between. */
#include "grpc_fixture.h"

#include <poll.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include "core/clock.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static int dial(const struct grpc_fixture *f)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(h2_server_port(f->server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void add_frame(struct strbuf *out, uint8_t type, uint8_t flags, uint32_t stream,
                      const void *payload, size_t n)
{
    const uint8_t head[9] = {(uint8_t)(n >> 16),
                             (uint8_t)(n >> 8),
                             (uint8_t)n,
                             type,
                             flags,
                             (uint8_t)(stream >> 24),
                             (uint8_t)(stream >> 16),
                             (uint8_t)(stream >> 8),
                             (uint8_t)stream};
    strbuf_add(out, head, sizeof(head));
    strbuf_add(out, payload, n);
}

/* HPACK: literal, never indexed, both as they are. */
static void add_header(struct strbuf *out, const char *name, const char *value)
{
    strbuf_addc(out, 0x10);
    strbuf_addc(out, (char)strlen(name));
    strbuf_adds(out, name);
    size_t n = strlen(value);
    if (n < 127) {
        strbuf_addc(out, (char)n);
    } else { /* RFC 7541, 5.1 */
        strbuf_addc(out, 127);
        for (n -= 127; n >= 128; n >>= 7)
            strbuf_addc(out, (char)(n % 128 + 128));
        strbuf_addc(out, (char)n);
    }
    strbuf_adds(out, value);
}

static void add_request(struct strbuf *out, uint32_t stream, uint8_t flags, const char *path,
                        const char *more_name, const char *more_value)
{
    struct strbuf block = {0};
    add_header(&block, ":method", "POST");
    add_header(&block, ":scheme", "http");
    add_header(&block, ":path", path);
    add_header(&block, ":authority", "test"); /* or nghttp2 takes none of it */
    add_header(&block, "te", "trailers");
    if (!more_name || strcmp(more_name, "content-type") != 0)
        add_header(&block, "content-type", "application/grpc");
    if (more_name)
        add_header(&block, more_name, more_value);
    add_frame(out, 1, flags | 4, stream, block.p, block.n);
    strbuf_deinit(&block);
}

static struct strbuf begin(void)
{
    struct strbuf out = {0};
    strbuf_adds(&out, PREFACE);
    add_frame(&out, 4, 0, 0, "", 0);
    return out;
}

static void send_all(int fd, struct strbuf *out)
{
    size_t at = 0;
    while (at < out->n) {
        ssize_t n = send(fd, out->p + at, out->n - at, MSG_NOSIGNAL);
        if (n <= 0)
            break; /* it had enough of us */
        at += (size_t)n;
    }
    strbuf_deinit(out);
}

/* Reads until the server closes, at most that long. True: it closed. */
static bool read_to_end(int fd, int64_t ms, struct strbuf *in)
{
    int64_t until_ms = clock_mono_ms() + ms;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left_ms = until_ms - clock_mono_ms();
        if (left_ms <= 0 || poll(&p, 1, (int)left_ms) <= 0)
            return false;
        ssize_t n = recv(fd, strbuf_reserve(in, 4096), 4096, 0);
        if (n <= 0)
            return true;
        in->n += (size_t)n;
    }
}

/* Whether a frame of this type with these last 4 bytes of payload came (GOAWAY's code). */
static bool has_goaway(const struct strbuf *in, uint32_t code)
{
    const uint8_t *p = (const uint8_t *)in->p;
    for (size_t at = 0; at + 9 <= in->n;) {
        size_t n = (size_t)p[at] << 16 | (size_t)p[at + 1] << 8 | p[at + 2];
        if (p[at + 3] == 7 && n >= 8 && at + 9 + n <= in->n && p[at + 16] == code)
            return true;
        at += 9 + n;
    }
    return false;
}

static void must_still_serve(struct grpc_fixture *f)
{
    struct outcome out;
    ask_wait(f, &(struct ask){.method = "Echo", .body = "x", .timeout_ms = 5000}, &out);
    assert_int_equal(out.err, ERR_OK);
}

static void test_rapid_reset(void **state)
{
    struct grpc_fixture f = {.server_options.resets_max = 50};
    struct strbuf in = {0};
    fixture_start(&f);
    int fd = dial(&f);
    struct strbuf out = begin();
    for (uint32_t i = 0; i < 500; i++) {
        add_request(&out, 2 * i + 1, 0, "/test.Echo/Hang", NULL, NULL);
        add_frame(&out, 3, 0, 2 * i + 1, "\0\0\0\x8", 4);
    }
    send_all(fd, &out);
    assert_true(read_to_end(fd, 8000, &in));
    assert_true(has_goaway(&in, 11)); /* ENHANCE_YOUR_CALM */
    close(fd);
    must_still_serve(&f);
    fixture_stop(&f);
    assert_true(f.opened <= 60);
    strbuf_deinit(&in);
}

/* HEADERS of stream 1, which end it: an answer, or words of refusal. */
static bool has_answer(const struct strbuf *in)
{
    const uint8_t *p = (const uint8_t *)in->p;
    for (size_t at = 0; at + 9 <= in->n;) {
        size_t n = (size_t)p[at] << 16 | (size_t)p[at + 1] << 8 | p[at + 2];
        if (p[at + 3] == 1 && (p[at + 4] & 1) && p[at + 8] == 1 && at + 9 + n <= in->n)
            return true;
        at += 9 + n;
    }
    return false;
}

static bool is_answered(int fd, struct strbuf *in)
{
    for (int tries = 0; tries < 100 && !has_answer(in); tries++)
        read_to_end(fd, 50, in);
    return has_answer(in);
}

static void test_too_many_streams(void **state)
{
    struct grpc_fixture f = {.server_options.streams_max = 10};
    struct strbuf in = {0};
    fixture_start(&f);
    int fd = dial(&f);
    struct strbuf out = begin();
    for (uint32_t i = 0; i < 30; i++)
        add_request(&out, 2 * i + 1, 0, "/test.Echo/Hang", NULL, NULL);
    send_all(fd, &out);
    read_to_end(fd, 200, &in);
    close(fd);
    must_still_serve(&f);
    fixture_stop(&f);
    assert_in_range(f.opened, 10, 11);
    strbuf_deinit(&in);
}

static void test_silence(void **state)
{
    struct grpc_fixture f = {.server_options = {.handshake_timeout_ms = 400,
                                                .keepalive_ms = 300,
                                                .ping_timeout_ms = 400}};
    struct strbuf in = {0};
    fixture_start(&f);
    int mute = dial(&f); /* says nothing at all */
    assert_true(read_to_end(mute, 5000, &in));
    close(mute);
    int dead = dial(&f); /* answers no PING */
    struct strbuf out = begin();
    send_all(dead, &out);
    assert_true(read_to_end(dead, 5000, &in));
    close(dead);
    must_still_serve(&f);
    fixture_stop(&f);
    strbuf_deinit(&in);
}

/* Requests that are refused with words, on connections that go on. */
static void test_requests(void **state)
{
    static char long_value[5000];
    static const struct {
        const char *path, *name, *value;
    } cases[] = {
        {"/test.Echo/Echo", "content-type", "text/html"},
        {"/test.Echo/Echo", "content-type", "application/grpcx"},
        {"/test.Echo/Echo", "grpc-encoding", "gzip"},
        {"/test.Echo/Echo", "grpc-timeout", "soon"},
        {"/test.Echo", NULL, NULL},
        {"//x", NULL, NULL},
        {"/a/b", NULL, NULL},
        {"/test.Echo/a/b", NULL, NULL},
    };
    struct grpc_fixture f = {0};
    memset(long_value, 'v', sizeof(long_value) - 1);
    fixture_start(&f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct strbuf in = {0};
        int fd = dial(&f);
        struct strbuf out = begin();
        add_request(&out, 1, 1, cases[i].path, cases[i].name, cases[i].value);
        send_all(fd, &out);
        /* nghttp2 writes our words with Huffman codes: that it is no OK shows in f.opened */
        assert_true(is_answered(fd, &in));
        close(fd);
        strbuf_deinit(&in);
    }
    assert_int_equal(f.opened, 0);
    must_still_serve(&f);
    fixture_stop(&f);
}

/* Announces four gigabytes and sends a few bytes; lies about lengths; stops within a message. */
static void test_messages(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        uint8_t flags;
    } cases[] = {
        {"\0\xff\xff\xff\xff"
         "abc",
         8, 0},
        {"\1\0\0\0\1a", 6, 1},
        {"\7\0\0\0\1a", 6, 1},
        {"\0\0\0\0\5abc", 8, 1},
        {"\0\0", 2, 1},
    };
    struct grpc_fixture f = {0};
    fixture_start(&f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct strbuf in = {0};
        int fd = dial(&f);
        struct strbuf out = begin();
        add_request(&out, 1, 0, "/test.Echo/Echo", NULL, NULL);
        add_frame(&out, 0, cases[i].flags, 1, cases[i].bytes, cases[i].n);
        send_all(fd, &out);
        assert_true(is_answered(fd, &in));
        close(fd);
        strbuf_deinit(&in);
    }
    must_still_serve(&f);
    fixture_stop(&f);
}

/* Messages that never become whole, on many streams: bounded together. */
static void test_unfinished(void **state)
{
    static char part[16000];
    struct grpc_fixture f = {.server_options.unfinished_max_bytes = 100000};
    struct strbuf in = {0};
    fixture_start(&f);
    int fd = dial(&f);
    struct strbuf out = begin();
    memcpy(part, "\0\0\x20\0\0", 5); /* 2 MiB to come */
    for (uint32_t i = 0; i < 50; i++) {
        add_request(&out, 2 * i + 1, 0, "/test.Echo/Echo", NULL, NULL);
        if (i < 4) /* the connection's first window has 64 KiB */
            add_frame(&out, 0, 0, 2 * i + 1, part, sizeof(part));
    }
    send_all(fd, &out);
    read_to_end(fd, 100, &in);
    close(fd);
    must_still_serve(&f);
    fixture_stop(&f);
    strbuf_deinit(&in);
}

static void test_noise(void **state)
{
    struct grpc_fixture f = {0};
    uint32_t seed = 1;
    fixture_start(&f);
    for (int i = 0; i < 60; i++) {
        struct strbuf out = i % 2 ? begin() : (struct strbuf){0};
        struct strbuf in = {0};
        int fd = dial(&f);
        if (i % 4 == 1)
            add_request(&out, 1, 0, "/test.Echo/Echo", NULL, NULL);
        for (int j = 0; j < 300; j++) {
            seed = seed * 1664525 + 1013904223;
            strbuf_addc(&out, (char)(seed >> 24));
        }
        send_all(fd, &out);
        shutdown(fd, SHUT_WR);
        assert_true(read_to_end(fd, 5000, &in));
        close(fd);
        strbuf_deinit(&in);
    }
    must_still_serve(&f);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rapid_reset), cmocka_unit_test(test_too_many_streams),
        cmocka_unit_test(test_silence),     cmocka_unit_test(test_requests),
        cmocka_unit_test(test_messages),    cmocka_unit_test(test_unfinished),
        cmocka_unit_test(test_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
