/* static: the files of tests/unit/net/site, embedded by tools/embed.c while building. */
#include "net_fixture.h"

#include <brotli/decode.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "core/file.h"
#include "net/static.h"

extern const struct static_table site; /* made by tools/embed.c */

static struct fixture f;

static void on_request(void *arg, struct http_request *req)
{
    static const struct http_header headers[] = {{STR("X-Page"), STR("yes")}};
    static const struct static_options opt = {headers, 1};
    if (!static_serve(&site, &opt, req))
        http_respond_error(req, 404, "not_found", "no such file");
}

static int setup(void **state)
{
    fixture_start(&f, (struct net_server_options){.http = {.on_request = on_request}});
    return 0;
}

static int teardown(void **state)
{
    fixture_stop(&f);
    return 0;
}

static struct client_response get(struct client *c, const char *path, const char *headers)
{
    char text[512];
    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n", path, headers);
    return client_get(c, text);
}

static struct strbuf original(const char *path)
{
    struct strbuf b = {0};
    char full[512];
    char *bytes;
    size_t n;
    snprintf(full, sizeof(full), "%s%s", SITE_DIR, path);
    assert_int_equal(file_read(full, 100000, &bytes, &n), ERR_OK);
    strbuf_add(&b, bytes, n);
    free(bytes);
    return b;
}

static void embeds_every_file(void **state)
{
    static const char *const paths[] = {"/assets/app-3F2A9C01.js", "/assets/plain.css",
                                        "/empty.txt", "/favicon.svg", "/index.html"};
    assert_int_equal(site.count, ARRAY_LEN(paths));
    for (size_t i = 0; i < site.count; i++) {
        const struct static_file *file = static_find(&site, str_from(paths[i]));
        struct strbuf whole = original(paths[i]);
        uint8_t plain[100000];
        assert_non_null(file);
        assert_int_equal(file->n, whole.n);
        assert_memory_equal(file->bytes, whole.p, whole.n);
        if (file->brotli) {
            size_t n = sizeof(plain);
            assert_true(file->brotli_n < file->n);
            assert_int_equal(BrotliDecoderDecompress(file->brotli_n, file->brotli, &n, plain),
                             BROTLI_DECODER_RESULT_SUCCESS);
            assert_int_equal(n, whole.n);
            assert_memory_equal(plain, whole.p, n);
        }
        if (file->gzip) {
            z_stream z = {.next_in = (Bytef *)file->gzip, .avail_in = (uInt)file->gzip_n};
            z.next_out = plain;
            z.avail_out = sizeof(plain);
            assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
            assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
            assert_memory_equal(plain, whole.p, whole.n);
            inflateEnd(&z);
        }
        strbuf_deinit(&whole);
    }
    assert_non_null(static_find(&site, STR("/index.html"))->brotli);
    assert_null(static_find(&site, STR("/assets/plain.css"))->brotli); /* too small to gain */
    assert_null(static_find(&site, STR("/index.htm")));
    assert_null(static_find(&site, STR("/index.html2")));
    assert_null(static_find(&site, STR("")));
}

static void serves_variants(void **state)
{
    static const struct {
        const char *accept;
        const char *coding; /* NULL: plain */
    } rows[] = {
        {"", NULL},
        {"Accept-Encoding: gzip, deflate, br\r\n", "br"},
        {"Accept-Encoding: gzip\r\n", "gzip"},
        {"Accept-Encoding: BR\r\n", "br"},
        {"Accept-Encoding: br;q=0, gzip;q=0.5\r\n", "gzip"},
        {"Accept-Encoding: br; q=0.000, gzip ; q=0\r\n", NULL},
        {"Accept-Encoding: br;q=0.001\r\n", "br"},
        {"Accept-Encoding: brx, xgzip\r\n", NULL},
        {"Accept-Encoding: identity\r\n", NULL},
    };
    const struct static_file *file = static_find(&site, STR("/index.html"));
    struct client c;
    client_connect(&c, &f);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct client_response r = get(&c, "/index.html", rows[i].accept);
        assert_int_equal(r.status, 200);
        assert_true(str_eq(client_header(r.head, "Content-Encoding"), str_from(rows[i].coding)));
        assert_true(str_eq(client_header(r.head, "Vary"), STR("Accept-Encoding")));
        assert_true(str_eq(client_header(r.head, "Content-Type"), STR("text/html; charset=utf-8")));
        assert_true(str_eq(client_header(r.head, "X-Page"), STR("yes")));
        size_t n = !rows[i].coding            ? file->n
                   : rows[i].coding[0] == 'b' ? file->brotli_n
                                              : file->gzip_n;
        assert_int_equal(r.body.n, n);
    }
    client_close(&c);
}

static void caches(void **state)
{
    struct client c;
    char header[128];
    client_connect(&c, &f);
    struct client_response r = get(&c, "/assets/app-3F2A9C01.js", "");
    assert_true(
        str_eq(client_header(r.head, "Cache-Control"), STR("public, max-age=31536000, immutable")));
    r = get(&c, "/index.html", "");
    assert_true(str_eq(client_header(r.head, "Cache-Control"), STR("no-cache")));
    struct str etag = client_header(r.head, "ETag");
    assert_int_equal(etag.n, 18);
    char tag[32];
    snprintf(tag, sizeof(tag), "%.*s", STR_FMT(etag));
    for (size_t i = 0; i < 4; i++) {
        const char *before = i == 0 ? "" : i == 1 ? "W/" : i == 2 ? "\"x\", " : "\"x\",W/";
        snprintf(header, sizeof(header), "If-None-Match: %s%s\r\n", before, tag);
        r = get(&c, "/index.html", header);
        assert_int_equal(r.status, 304);
        assert_int_equal(r.body.n, 0);
        assert_null(client_header(r.head, "Content-Length").p);
        assert_true(str_eq(client_header(r.head, "ETag"), str_from(tag)));
    }
    assert_int_equal(get(&c, "/index.html", "If-None-Match: *\r\n").status, 304);
    assert_int_equal(get(&c, "/index.html", "If-None-Match: \"other\"\r\n").status, 200);
    client_close(&c);
}

static void leaves_pages_to_the_client(void **state)
{
    struct client c;
    client_connect(&c, &f);
    static const char *const pages[] = {"/", "/meetings/abc-defg-hij", "/settings", "/?a=b.c",
                                        "/a.b/c"};
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        struct client_response r = get(&c, pages[i], "");
        assert_int_equal(r.status, 200);
        assert_true(str_starts(r.body, STR("<!doctype html>")));
    }
    assert_int_equal(get(&c, "/missing.js", "").status, 404);
    assert_int_equal(get(&c, "/assets/../index.html", "").status, 404);
    assert_int_equal(get(&c, "/empty.txt", "").body.n, 0);
    assert_int_equal(client_get(&c, "POST /index.html HTTP/1.1\r\nHost: a\r\n\r\n").status, 404);
    client_sends(&c, "HEAD /index.html HTTP/1.1\r\nHost: a\r\n\r\n");
    struct client_response r = client_read_response(&c, true);
    assert_int_equal(r.status, 200);
    assert_int_equal(get(&c, "/favicon.svg", "").status, 200);
    client_close(&c);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embeds_every_file),
        TEST(serves_variants),
        TEST(caches),
        TEST(leaves_pages_to_the_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
