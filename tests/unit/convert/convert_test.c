/* convert: real media through the real helper (this program again, as the server does it), files
 * made to hurt, and helpers that hang, crash, lie and break out. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <webp/decode.h>
#include <zlib.h>

#include "convert/convert_internal.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/mem.h"
#include "test.h"

#define SAMPLES_DIR CONVERT_SAMPLES "/"

/* ---- helpers of another mind: what this program does when it is started by one of these words */

static void forbidden_socket(void)
{
    (void)socket(AF_INET, SOCK_STREAM, 0);
}
static void forbidden_open(void)
{
    (void)open("/etc/passwd", O_RDONLY);
}
static void forbidden_fork(void)
{
    (void)fork();
}
static void forbidden_exec(void)
{
    (void)execl("/bin/sh", "sh", NULL);
}
static void forbidden_kill(void)
{
    (void)kill(getppid(), 0);
}
static void forbidden_trace(void)
{
    (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}
static void forbidden_code(void)
{
    (void)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static void forbidden_unlink(void)
{
    (void)unlink("/tmp/none");
}

static const struct {
    const char *word;
    void (*run)(void);
} forbidden[] = {
    {"socket", forbidden_socket}, {"open", forbidden_open},     {"fork", forbidden_fork},
    {"exec", forbidden_exec},     {"kill", forbidden_kill},     {"trace", forbidden_trace},
    {"code", forbidden_code},     {"unlink", forbidden_unlink},
};

static int say_fine(void)
{
    struct convert_report report = {.kind = CONVERT_AUDIO, .duration_ms = 7};
    uint8_t head[CONVERT_REPORT_HEAD_BYTES];
    convert_report_write(&report, head);
    return write(STDOUT_FILENO, head, sizeof(head)) == sizeof(head) ? 0 : 3;
}

/* What the helper was given: 0 when it is only what it should be. */
static int look_at_gifts(void)
{
    extern char **environ;
    if (environ && environ[0])
        return 1;
    for (int fd = 3; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            return 2;
    return say_fine();
}

static void chatter(void)
{
    static const uint8_t words[65536];
    for (;;)
        if (write(STDOUT_FILENO, words, sizeof(words)) < 0)
            _exit(0);
}

static int play(const char *word, int argc, char **argv)
{
    if (strcmp(word, "convert-helper") == 0)
        return convert_helper_main(argc - 1, argv + 1);
    if (strcmp(word, "gifts") == 0)
        return look_at_gifts();
    if (strcmp(word, "sleep") == 0)
        return (int)sleep(600);
    if (strcmp(word, "mute") == 0)
        return close(STDOUT_FILENO) + (int)sleep(600);
    if (strcmp(word, "chatter") == 0)
        chatter();
    if (strcmp(word, "liar") == 0)
        return write(STDOUT_FILENO, "nonsense", 8) == 8 ? 0 : 1;
    if (strcmp(word, "fail") == 0)
        return 3;
    convert_sandbox_limit();
    if (strcmp(word, "crash") == 0)
        raise(SIGSEGV);
    convert_sandbox_lock();
    if (strcmp(word, "spin") == 0)
        for (;;)
            ;
    for (size_t i = 0; i < ARRAY_LEN(forbidden); i++)
        if (strcmp(word, forbidden[i].word) == 0)
            forbidden[i].run();
    _exit(say_fine()); /* it was let through */
}

/* ---- help ---- */

static int fd_of(const void *bytes, size_t n)
{
    int fd = memfd_create("input", MFD_CLOEXEC);
    assert_true(fd >= 0);
    for (size_t at = 0; at < n;) {
        ssize_t sent = write(fd, (const uint8_t *)bytes + at, n - at);
        assert_true(sent > 0);
        at += (size_t)sent;
    }
    return fd;
}

static struct convert_result run_with(const struct convert_options *opt, int fd, unsigned px)
{
    struct convert *c;
    struct convert_result r;
    assert_int_equal(convert_create(&c, opt), ERR_OK);
    assert_int_equal(convert_run(c, fd, &(struct convert_wish){px}, &r), ERR_OK);
    convert_destroy(&c);
    assert_null(c);
    return r;
}

static struct convert_result run_bytes(const void *bytes, size_t n, unsigned px)
{
    int fd = fd_of(bytes, n);
    struct convert_result r = run_with(&(struct convert_options){0}, fd, px);
    close(fd);
    return r;
}

static char *read_sample(const char *name, size_t *n)
{
    char path[512];
    char *bytes;
    snprintf(path, sizeof(path), SAMPLES_DIR "%s", name);
    assert_int_equal(file_read(path, 1 << 20, &bytes, n), ERR_OK);
    return bytes;
}

/* ---- real media ---- */

static const struct {
    const char *name;
    enum convert_kind kind;
    const char *mime;
    unsigned width, height;
    int64_t from_ms, to_ms;
    bool is_animated;
} samples[] = {
    {"plain.png", CONVERT_IMAGE, "image/png", 160, 120, 0, 0, false},
    {"plain.jpg", CONVERT_IMAGE, "image/jpeg", 160, 120, 0, 0, false},
    {"plain.webp", CONVERT_IMAGE, "image/webp", 160, 120, 0, 0, false},
    {"moving.gif", CONVERT_IMAGE, "image/gif", 64, 48, 0, 0, true},
    {"moving.webp", CONVERT_IMAGE, "image/webp", 64, 48, 0, 0, true},
    {"film.mp4", CONVERT_VIDEO, "video/mp4", 160, 120, 950, 1100, false},
    {"film.mov", CONVERT_VIDEO, "video/quicktime", 160, 120, 950, 1100, false},
    {"film.webm", CONVERT_VIDEO, "video/webm", 160, 120, 950, 1100, false},
    {"film-vp9.webm", CONVERT_VIDEO, "video/webm", 160, 120, 950, 1100, false},
    {"film-hevc.mp4", CONVERT_VIDEO, "video/mp4", 160, 120, 950, 1100, false},
    {"film-av1.mp4", CONVERT_VIDEO, "video/mp4", 160, 120, 950, 1100, false},
    {"voice.ogg", CONVERT_AUDIO, "audio/ogg", 0, 0, 950, 1100, false},
    {"voice-live.webm", CONVERT_AUDIO, "audio/webm", 0, 0, 950, 1100, false},
    {"voice.mp3", CONVERT_AUDIO, "audio/mpeg", 0, 0, 950, 1100, false},
    {"voice.m4a", CONVERT_AUDIO, "audio/mp4", 0, 0, 950, 1100, false},
    {"voice.aac", CONVERT_AUDIO, "audio/aac", 0, 0, 950, 1100, false},
    {"voice.wav", CONVERT_AUDIO, "audio/wav", 0, 0, 950, 1100, false},
    {"voice.flac", CONVERT_AUDIO, "audio/flac", 0, 0, 950, 1100, false},
};

static void check_sample(size_t i, const struct convert_result *r)
{
    assert_int_equal(r->refusal, CONVERT_FINE);
    assert_int_equal(r->kind, samples[i].kind);
    assert_string_equal(r->mime, samples[i].mime);
    assert_int_equal(r->width, samples[i].width);
    assert_int_equal(r->height, samples[i].height);
    assert_in_range(r->duration_ms, samples[i].from_ms, samples[i].to_ms);
    assert_int_equal(r->is_animated, samples[i].is_animated);
}

/* A sine of -18 dBFS is as loud in the middle as anywhere. */
static void check_wave(const struct convert_result *r)
{
    assert_int_equal(r->waveform_count, CONVERT_WAVEFORM_PEAKS);
    for (unsigned i = 5; i < CONVERT_WAVEFORM_PEAKS - 8; i++)
        assert_in_range(r->waveform[i], 16, 60);
}

static void tells_of_real_media(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        size_t n;
        char *bytes = read_sample(samples[i].name, &n);
        struct convert_result r = run_bytes(bytes, n, 64);
        print_message("%s\n", samples[i].name);
        check_sample(i, &r);
        if (r.kind == CONVERT_AUDIO) {
            assert_null(r.thumbnail);
            check_wave(&r);
        } else {
            int width, height;
            assert_non_null(r.thumbnail);
            assert_true(WebPGetInfo(r.thumbnail, r.thumbnail_bytes, &width, &height));
            assert_int_equal(width, 64);
            assert_int_equal(height, 48);
            assert_int_equal(r.thumbnail_width, 64);
            assert_int_equal(r.thumbnail_height, 48);
        }
        convert_result_deinit(&r);
        free(bytes);
    }
}

static void makes_no_picture_unasked(void **state)
{
    size_t n;
    char *bytes = read_sample("plain.png", &n);
    struct convert_result r = run_bytes(bytes, n, 0);
    assert_int_equal(r.refusal, CONVERT_FINE);
    assert_null(r.thumbnail);
    assert_int_equal(r.width, 160);
    free(bytes);
    convert_result_deinit(&r);
}

static void no_picture_grows(void **state)
{
    size_t n;
    char *bytes = read_sample("plain.jpg", &n);
    struct convert_result r = run_bytes(bytes, n, 1280);
    assert_int_equal(r.thumbnail_width, 160);
    assert_int_equal(r.thumbnail_height, 120);
    free(bytes);
    convert_result_deinit(&r);
}

/* The sample with an APP1 of EXIF behind its first marker: orientation and a secret. */
static char *with_exif(const char *jpeg, size_t n, unsigned orientation, size_t *total)
{
    static const uint8_t exif[] = {0xff, 0xe1, 0,  42,  'E', 'x', 'i', 'f', 0,   0,   'M',
                                   'M',  0,    42, 0,   0,   0,   8,   0,   1,   1,   0x12,
                                   0,    3,    0,  0,   0,   1,   0,   0,   0,   0,   0,
                                   0,    0,    0,  'S', 'e', 'c', 'r', 'e', 't', '!', '!'};
    char *out = mem_alloc(n + sizeof(exif));
    memcpy(out, jpeg, 2);
    memcpy(out + 2, exif, sizeof(exif));
    out[2 + 29] = (char)orientation;
    memcpy(out + 2 + sizeof(exif), jpeg + 2, n - 2);
    *total = n + sizeof(exif);
    return out;
}

static unsigned difference(const uint8_t *a, const uint8_t *b)
{
    return (unsigned)(abs(a[0] - b[0]) + abs(a[1] - b[1]) + abs(a[2] - b[2]));
}

/* Where the upper left pixel goes: x and y as parts of the turned picture's sides. */
static const struct {
    bool is_right, is_down, is_swapped;
} corners[9] = {[1] = {false, false, false}, [2] = {true, false, false}, [3] = {true, true, false},
                [4] = {false, true, false},  [5] = {false, false, true}, [6] = {true, false, true},
                [7] = {true, true, true},    [8] = {false, true, true}};

static void stands_upright_and_strips(void **state)
{
    size_t n;
    char *jpeg = read_sample("plain.jpg", &n);
    struct convert_result upright = run_bytes(jpeg, n, 160);
    int w, h;
    uint8_t *before = WebPDecodeRGB(upright.thumbnail, upright.thumbnail_bytes, &w, &h);
    for (unsigned orientation = 1; orientation <= 8; orientation++) {
        size_t total;
        char *bytes = with_exif(jpeg, n, orientation, &total);
        struct convert_result r = run_bytes(bytes, total, 160);
        assert_int_equal(r.refusal, CONVERT_FINE);
        assert_int_equal(r.width, corners[orientation].is_swapped ? 120 : 160);
        assert_int_equal(r.height, corners[orientation].is_swapped ? 160 : 120);
        assert_null(memmem(r.thumbnail, r.thumbnail_bytes, "Secret", 6));
        assert_null(memmem(r.thumbnail, r.thumbnail_bytes, "EXIF", 4));
        uint8_t *after = WebPDecodeRGB(r.thumbnail, r.thumbnail_bytes, &w, &h);
        int x = corners[orientation].is_right ? w - 1 - 4 : 4;
        int y = corners[orientation].is_down ? h - 1 - 4 : 4;
        assert_in_range(difference(before + (4 * 160 + 4) * 3, after + (y * w + x) * 3), 0, 40);
        WebPFree(after);
        free(bytes);
        convert_result_deinit(&r);
    }
    WebPFree(before);
    free(jpeg);
    convert_result_deinit(&upright);
}

/* ---- files made to hurt ---- */

static void add_chunk(struct strbuf *b, const char *type, const void *data, size_t n)
{
    uint8_t word[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    strbuf_add(b, word, 4);
    size_t at = b->n;
    strbuf_add(b, type, 4);
    strbuf_add(b, data, n);
    uLong crc = crc32(0, (const Bytef *)b->p + at, (uInt)(n + 4));
    uint8_t sum[4] = {(uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8),
                      (uint8_t)crc};
    strbuf_add(b, sum, 4);
}

/* `zeros` bytes, packed. */
static uint8_t *pack_zeros(size_t zeros, const char *before, size_t before_n, size_t *n)
{
    uLong bound = compressBound(zeros);
    uint8_t *out = mem_alloc(before_n + bound), *raw = mem_zalloc(zeros);
    memcpy(out, before, before_n);
    assert_int_equal(compress2(out + before_n, &bound, raw, zeros, 1), Z_OK);
    free(raw);
    *n = before_n + bound;
    return out;
}

static void make_png(struct strbuf *b, uint32_t side, const char *extra, const void *data, size_t n)
{
    uint8_t head[13] = {(uint8_t)(side >> 24),
                        (uint8_t)(side >> 16),
                        (uint8_t)(side >> 8),
                        (uint8_t)side,
                        (uint8_t)(side >> 24),
                        (uint8_t)(side >> 16),
                        (uint8_t)(side >> 8),
                        (uint8_t)side,
                        8,
                        2,
                        0,
                        0,
                        0};
    size_t packed;
    uint8_t *pixels = pack_zeros(4 << 20, "", 0, &packed);
    strbuf_add(b, "\x89PNG\r\n\x1a\n", 8);
    add_chunk(b, "IHDR", head, sizeof(head));
    if (extra)
        add_chunk(b, extra, data, n);
    add_chunk(b, "IDAT", pixels, packed);
    add_chunk(b, "IEND", "", 0);
    free(pixels);
}

static void refuses_a_bomb_of_pixels(void **state)
{
    static const uint32_t sides[] = {50000, 8000, 0x7fffffff, 0xffffffff};
    for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
        struct strbuf b = {0};
        make_png(&b, sides[i], NULL, NULL, 0);
        int64_t start_ms = clock_mono_ms();
        struct convert_result r = run_bytes(b.p, b.n, 64);
        assert_int_equal(r.refusal, CONVERT_TOO_LARGE);
        assert_null(r.thumbnail);
        assert_true(clock_mono_ms() - start_ms < 5000);
        strbuf_deinit(&b);
        convert_result_deinit(&r);
    }
}

/* 128 MB of a colour profile or a text in a small picture. */
static void survives_a_bomb_of_text(void **state)
{
    static const char *const chunks[] = {"iCCP", "zTXt"};
    size_t n;
    uint8_t *packed = pack_zeros(128 << 20, "a\0\0", 3, &n);
    for (size_t i = 0; i < ARRAY_LEN(chunks); i++) {
        struct strbuf b = {0};
        make_png(&b, 64, chunks[i], packed, n);
        struct convert_result r = run_bytes(b.p, b.n, 64);
        assert_true(r.refusal == CONVERT_FINE || r.refusal == CONVERT_TOO_LARGE ||
                    r.refusal == CONVERT_BROKEN);
        strbuf_deinit(&b);
        convert_result_deinit(&r);
    }
    free(packed);
}

static void a_million_pictures_cost_no_more(void **state)
{
    static const uint8_t head[] = {'G',  'I', 'F', '8', '9', 'a', 1,   0,   1,  0,
                                   0x80, 0,   0,   0,   0,   0,   255, 255, 255};
    static const uint8_t picture[] = {0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0};
    struct strbuf b = {0};
    strbuf_add(&b, head, sizeof(head));
    for (int i = 0; i < 1000000; i++)
        strbuf_add(&b, picture, sizeof(picture));
    strbuf_addc(&b, 0x3b);
    int64_t start_ms = clock_mono_ms();
    struct convert_result r = run_bytes(b.p, b.n, 64);
    assert_int_equal(r.refusal, CONVERT_FINE);
    assert_true(r.is_animated);
    assert_int_equal(r.thumbnail_width, 1);
    assert_true(clock_mono_ms() - start_ms < 5000);
    strbuf_deinit(&b);
    convert_result_deinit(&r);
}

static void cut_files_get_a_verdict(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        size_t n;
        char *bytes = read_sample(samples[i].name, &n);
        static const unsigned parts[] = {3, 7};
        for (size_t part = 0; part < ARRAY_LEN(parts); part++) {
            struct convert_result r = run_bytes(bytes, n * parts[part] / 8, 64);
            assert_true(r.refusal <= CONVERT_BROKEN);
            assert_int_equal(r.refusal == CONVERT_FINE && r.kind != CONVERT_AUDIO,
                             r.thumbnail != NULL);
            convert_result_deinit(&r);
        }
        free(bytes);
    }
}

/* What would make FFmpeg open other files or addresses, were it allowed to guess. */
static void refuses_what_points_elsewhere(void **state)
{
    static const struct {
        struct str text;
        const char *mime;
    } files[] = {
        {STR("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x\n"),
         "application/vnd.apple.mpegurl"},
        {STR("ffconcat version 1.0\nfile /etc/passwd\n"), "text/plain"},
        {STR("<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"),
         "image/svg+xml"},
        {STR("<?xml version='1.0'?><MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>"), "text/xml"},
        {STR("<!DOCTYPE html><script>alert(1)</script>"), "text/html"},
        {STR("v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n"), "text/plain"},
        {STR("%PDF-1.7\n"), "application/pdf"},
        {STR("PK\x03\x04 a"), "application/zip"},
        {STR("\x1f\x8b\x08"), "application/gzip"},
        {STR(""), "application/octet-stream"},
        {STR("\0\0\0\x20"
             "ftypheic\0\0\0\0"),
         "application/octet-stream"},
    };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct convert_result r = run_bytes(files[i].text.p, files[i].text.n, 64);
        assert_int_equal(r.refusal, CONVERT_UNSUPPORTED);
        assert_int_equal(r.kind, CONVERT_OTHER);
        assert_string_equal(r.mime, files[i].mime);
        convert_result_deinit(&r);
    }
}

/* A film whose data is said to lie in another file (dref with a url, not in this one). */
static void refuses_a_film_of_another_file(void **state)
{
    size_t n;
    char *bytes = read_sample("film.mov", &n);
    char *dref = memmem(bytes, n, "dref", 4);
    assert_non_null(dref);
    char *url = memmem(dref, 64, "url ", 4);
    assert_non_null(url);
    url[7] = 0; /* the flag that says: here */
    struct convert_result r = run_bytes(bytes, n, 64);
    assert_true(r.refusal == CONVERT_BROKEN || r.refusal == CONVERT_FINE); /* but not CRASHED */
    convert_result_deinit(&r);
    free(bytes);
}

/* ---- helpers of another mind ---- */

static struct convert_result run_word(const char *word, int64_t timeout_ms)
{
    size_t n;
    char *bytes = read_sample("plain.png", &n);
    int fd = fd_of(bytes, n);
    struct convert_result r =
        run_with(&(struct convert_options){.command = word, .timeout_ms = timeout_ms}, fd, 64);
    close(fd);
    free(bytes);
    return r;
}

static void a_helper_has_only_what_it_needs(void **state)
{
    int other = open("/dev/null", O_RDONLY); /* inheritable, and yet not inherited */
    struct convert_result r = run_word("gifts", 0);
    close(other);
    assert_int_equal(r.refusal, CONVERT_FINE);
    assert_int_equal(r.duration_ms, 7);
}

static void breaking_out_kills(void **state)
{
    assert_int_equal(run_word("nothing", 0).refusal, CONVERT_FINE);
    for (size_t i = 0; i < ARRAY_LEN(forbidden); i++) {
        print_message("%s\n", forbidden[i].word);
        assert_int_equal(run_word(forbidden[i].word, 0).refusal, CONVERT_CRASHED);
    }
}

static void hanging_ends(void **state)
{
    static const char *const words[] = {"sleep", "mute", "spin"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        int64_t start_ms = clock_mono_ms();
        assert_int_equal(run_word(words[i], 200).refusal, CONVERT_TIMED_OUT);
        assert_in_range(clock_mono_ms() - start_ms, 190, 5000);
    }
}

static void crashing_and_lying_are_told(void **state)
{
    assert_int_equal(run_word("crash", 0).refusal, CONVERT_CRASHED);
    assert_int_equal(run_word("liar", 0).refusal, CONVERT_CRASHED);
    assert_int_equal(run_word("fail", 0).refusal, CONVERT_CRASHED);
    struct convert_result r = run_word("chatter", 0);
    assert_true(r.refusal == CONVERT_CRASHED || r.refusal == CONVERT_TIMED_OUT);
}

static void a_helper_that_cannot_start_is_an_error(void **state)
{
    struct convert *c;
    struct convert_result r;
    int fd = fd_of("GIF89a", 6);
    assert_int_equal(convert_create(&c, &(struct convert_options){.program = "/nowhere"}), ERR_OK);
    assert_int_equal(convert_run(c, fd, &(struct convert_wish){64}, &r), ERR_NOT_FOUND);
    convert_result_deinit(&r);
    close(fd);
    convert_destroy(&c);
}

static void only_regular_files(void **state)
{
    struct convert *c;
    struct convert_result r;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(convert_create(&c, &(struct convert_options){0}), ERR_OK);
    assert_int_equal(convert_run(c, ends[0], &(struct convert_wish){64}, &r), ERR_INVALID_ARGUMENT);
    assert_int_equal(convert_run(c, -1, &(struct convert_wish){64}, &r), ERR_INVALID_ARGUMENT);
    close(ends[0]);
    close(ends[1]);
    convert_destroy(&c);
}

/* ---- taking turns ---- */

struct caller {
    struct convert *convert;
    int fd;
    enum err err;
};

static void *call(void *arg)
{
    struct caller *caller = arg;
    struct convert_result r;
    caller->err = convert_run(caller->convert, caller->fd, &(struct convert_wish){64}, &r);
    convert_result_deinit(&r);
    return NULL;
}

static void callers_wait_within_bounds(void **state)
{
    enum { CALLERS = 4 };
    struct caller callers[CALLERS];
    pthread_t threads[CALLERS];
    struct convert *c;
    unsigned refused = 0;
    int fd = fd_of("GIF89a", 6);
    assert_int_equal(convert_create(&c, &(struct convert_options){.at_once = 1,
                                                                  .waiting_max = 2,
                                                                  .timeout_ms = 300,
                                                                  .command = "sleep"}),
                     ERR_OK);
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.convert = c, .fd = fd};
        assert_int_equal(pthread_create(&threads[i], NULL, call, &callers[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
        refused += callers[i].err == ERR_UNAVAILABLE;
        assert_true(callers[i].err == ERR_OK || callers[i].err == ERR_UNAVAILABLE);
    }
    assert_int_equal(refused, 1);
    close(fd);
    convert_destroy(&c);
}

/* ---- the report ---- */

static void a_report_is_believed_within_bounds(void **state)
{
    struct convert_report good = {.kind = CONVERT_IMAGE, .width = 9, .height = 8}, out;
    uint8_t bytes[CONVERT_REPORT_HEAD_BYTES + 32] = {0};
    good.thumbnail_width = good.thumbnail_height = 4;
    good.thumbnail_bytes = 32;
    convert_report_write(&good, bytes);
    uint8_t *picture = bytes + CONVERT_REPORT_HEAD_BYTES;
    assert_false(convert_report_parse(bytes, sizeof(bytes), &out)); /* no WebP */
    memcpy(picture, "RIFF\x18\0\0\0WEBPVP8 ", 16);
    assert_true(convert_report_parse(bytes, sizeof(bytes), &out));
    assert_int_equal(out.width, 9);
    assert_false(convert_report_parse(bytes, sizeof(bytes) - 1, &out));
    for (size_t n = 0; n < sizeof(bytes); n++)
        assert_false(convert_report_parse(bytes, n, &out));
    good.thumbnail_width = CONVERT_THUMBNAIL_PX_MAX + 1;
    convert_report_write(&good, bytes);
    assert_false(convert_report_parse(bytes, sizeof(bytes), &out));
    good.thumbnail_width = 4;
    good.kind = CONVERT_VIDEO + 1;
    convert_report_write(&good, bytes);
    assert_false(convert_report_parse(bytes, sizeof(bytes), &out));
    good.kind = CONVERT_VIDEO;
    good.duration_ms = -1;
    convert_report_write(&good, bytes);
    assert_false(convert_report_parse(bytes, sizeof(bytes), &out));
}

static void refusals_have_names(void **state)
{
    assert_string_equal(convert_refusal_name(CONVERT_TOO_LARGE), "too_large");
    for (int i = 0; i < CONVERT_REFUSALS; i++)
        assert_true(strlen(convert_refusal_text(i)) > 0);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return play(argv[1], argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_of_real_media),
        cmocka_unit_test(makes_no_picture_unasked),
        cmocka_unit_test(no_picture_grows),
        cmocka_unit_test(stands_upright_and_strips),
        cmocka_unit_test(refuses_a_bomb_of_pixels),
        cmocka_unit_test(survives_a_bomb_of_text),
        cmocka_unit_test(a_million_pictures_cost_no_more),
        cmocka_unit_test(cut_files_get_a_verdict),
        cmocka_unit_test(refuses_what_points_elsewhere),
        cmocka_unit_test(refuses_a_film_of_another_file),
        cmocka_unit_test(a_helper_has_only_what_it_needs),
        cmocka_unit_test(breaking_out_kills),
        cmocka_unit_test(hanging_ends),
        cmocka_unit_test(crashing_and_lying_are_told),
        cmocka_unit_test(a_helper_that_cannot_start_is_an_error),
        cmocka_unit_test(only_regular_files),
        cmocka_unit_test(callers_wait_within_bounds),
        cmocka_unit_test(a_report_is_believed_within_bounds),
        cmocka_unit_test(refusals_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
