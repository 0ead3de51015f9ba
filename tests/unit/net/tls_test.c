/* tls: certificates made and read, HTTP and WebSocket over TLS, reload under live connections. */
#include "net_fixture.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"

#define BIG_BYTES (3 * 1024 * 1024)

static char big[BIG_BYTES];
static struct fixture f;

static void on_message(void *arg, struct ws *ws, enum ws_opcode opcode, struct str payload)
{
    struct ws_frame *frame = ws_frame_create(opcode, payload);
    for (int i = 0; i < 3; i++)
        ws_send_frame(ws, frame, 0);
    ws_frame_unref(&frame);
}

static void on_close(void *arg, struct ws *ws, unsigned code, struct str reason)
{
}

static const struct ws_handler handler = {.on_message = on_message, .on_close = on_close};
static const struct ws_limits limits = {.message_max_bytes = BIG_BYTES,
                                        .queue_hard_bytes = 10 * BIG_BYTES};

static void on_request(void *arg, struct http_request *req)
{
    struct ws *ws;
    if (req->is_upgrade) {
        (void)!ws_accept(req, &(struct ws_options){.handler = &handler, .limits = &limits}, &ws);
    } else if (str_eq(req->path, STR("/big"))) {
        http_respond(
            req, &(struct http_response){.body = {big, BIG_BYTES}, .release = http_release_none});
    } else if (str_eq(req->path, STR("/file"))) {
        char path[] = "/tmp/net-file-XXXXXX";
        int fd = mkstemp(path);
        unlink(path);
        assert_int_equal(write(fd, big, BIG_BYTES), BIG_BYTES);
        http_respond(req, &(struct http_response){.file_fd = fd, .file_bytes = BIG_BYTES});
    } else {
        http_respond(req, &(struct http_response){.body = req->body.n   ? req->body
                                                          : req->is_tls ? STR("secure")
                                                                        : STR("plain")});
    }
}

static void make_tls(void)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1", "evil,DNS:bank", "::1"};
    char cert[128];
    char key[128];
    snprintf(cert, sizeof(cert), "%s/fullchain.pem", fixture_dir(&f));
    snprintf(key, sizeof(key), "%s/privkey.pem", fixture_dir(&f));
    assert_int_equal(net_tls_self_signed(f.dir, hosts, ARRAY_LEN(hosts)), ERR_OK);
    if (!f.tls)
        assert_int_equal(
            net_tls_create(&f.tls, &(struct net_tls_options){.cert_path = cert, .key_path = key},
                           NULL),
            ERR_OK);
}

static int setup(void **state)
{
    make_tls();
    fixture_start(
        &f, (struct net_server_options){
                .http = {.on_request = on_request, .head_ms = 1500, .body_max_bytes = BIG_BYTES}});
    return 0;
}

static int teardown(void **state)
{
    fixture_stop(&f);
    return 0;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\n\r\n"

static void makes_a_certificate(void **state)
{
    static const char *const names[] = {"meet.example.org", "192.0.2.1", "2001:db8::1"};
    struct fixture own = {0};
    char path[128];
    struct stat st;
    fixture_dir(&own);
    assert_int_equal(net_tls_self_signed(own.dir, names, ARRAY_LEN(names)), ERR_OK);
    snprintf(path, sizeof(path), "%s/privkey.pem", own.dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    ino_t key_inode = st.st_ino;
    snprintf(path, sizeof(path), "%s/fullchain.pem", own.dir);
    FILE *file = fopen(path, "r");
    X509 *cert = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    assert_non_null(cert);
    assert_int_equal(X509_check_host(cert, "meet.example.org", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(cert, "other.example.org", 0, 0, NULL), 0);
    assert_int_equal(X509_check_ip_asc(cert, "192.0.2.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(cert, "2001:db8::1", 0), 1);
    assert_int_equal(X509_check_purpose(cert, X509_PURPOSE_SSL_SERVER, 0), 1);
    assert_int_equal(EVP_PKEY_get_bits(X509_get0_pubkey(cert)), 256);
    X509_free(cert);
    /* the second start keeps them */
    assert_int_equal(net_tls_self_signed(own.dir, names, ARRAY_LEN(names)), ERR_OK);
    snprintf(path, sizeof(path), "%s/privkey.pem", own.dir);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_ino == key_inode);
    fixture_stop(&own);
}

static void names_what_is_wrong(void **state)
{
    struct net_tls *tls;
    struct strbuf problem = {0};
    assert_int_equal(net_tls_create(&tls,
                                    &(struct net_tls_options){.cert_path = "/nonexistent/cert.pem",
                                                              .key_path = "/nonexistent/key.pem"},
                                    &problem),
                     ERR_INVALID_ARGUMENT);
    assert_null(tls);
    assert_non_null(strstr(problem.p, "/nonexistent/cert.pem"));
    strbuf_deinit(&problem);
}

static void serves_http(void **state)
{
    struct client c;
    client_connect_tls(&c, &f);
    assert_true(str_eq(client_get(&c, GET("/")).body, STR("secure")));
    const unsigned char *alpn;
    unsigned alpn_n;
    SSL_get0_alpn_selected(c.ssl, &alpn, &alpn_n);
    assert_int_equal(alpn_n, 8);
    client_sends(&c, GET("/big") GET("/file") GET("/"));
    for (int i = 0; i < 2; i++) {
        struct client_response r = client_read_response(&c, false);
        assert_int_equal(r.body.n, BIG_BYTES);
        assert_memory_equal(r.body.p, big, BIG_BYTES);
    }
    assert_true(str_eq(client_read_response(&c, false).body, STR("secure")));
    client_send_in_steps(&c, STR(GET("/")), 1);
    assert_true(str_eq(client_read_response(&c, false).body, STR("secure")));
    client_sends(&c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3145728\r\n\r\n");
    client_send(&c, (struct str){big, BIG_BYTES});
    struct client_response r = client_read_response(&c, false);
    assert_int_equal(r.body.n, BIG_BYTES);
    assert_memory_equal(r.body.p, big, BIG_BYTES);
    r = client_get(&c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_true(str_eq(r.body, STR("secure")));
    assert_true(client_is_closed(&c));
    assert_true(SSL_get_shutdown(c.ssl) & SSL_RECEIVED_SHUTDOWN); /* close_notify, no truncation */
    client_close(&c);
}

static void serves_websockets(void **state)
{
    struct client c;
    client_connect_tls(&c, &f);
    client_ws_open(&c, "/", "");
    static const size_t sizes[] = {0, 10, 16384, 70000, 1000000};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        client_ws_send(&c, WS_BINARY, (struct str){big, sizes[i]}, 0);
        for (int k = 0; k < 3; k++) {
            struct client_ws_frame frame = client_ws_read(&c);
            assert_int_equal(frame.payload.n, sizes[i]);
            assert_memory_equal(frame.payload.p, big, sizes[i]);
        }
    }
    client_ws_send(&c, 8, STR("\x03\xe8"), 0);
    assert_int_equal(client_ws_read_close(&c), 1000);
    assert_true(client_is_closed(&c));
    client_close(&c);
}

static void refuses_what_is_no_tls(void **state)
{
    struct client c;
    client_connect(&c, &f);
    client_sends(&c, GET("/"));
    while (client_read_some(&c)) { /* an alert perhaps, then the end */
    }
    client_close(&c);
    /* a handshake that does not get on is given up */
    client_connect(&c, &f);
    client_send(&c, STR("\x16\x03\x01"));
    assert_true(client_is_closed(&c));
    client_close(&c);
    /* old versions are not spoken */
    client_connect(&c, &f);
    c.ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(c.ctx, TLS1_1_VERSION);
    SSL_CTX_set_max_proto_version(c.ctx, TLS1_1_VERSION);
    SSL_CTX_set_cipher_list(c.ctx, "ALL:@SECLEVEL=0");
    c.ssl = SSL_new(c.ctx);
    SSL_set_fd(c.ssl, c.fd);
    assert_true(SSL_connect(c.ssl) <= 0);
    client_close(&c);
}

static X509 *peer_certificate(struct client *c)
{
    X509 *cert = SSL_get1_peer_certificate(c->ssl);
    assert_non_null(cert);
    return cert;
}

static void reloads(void **state)
{
    struct client before;
    struct client after;
    char path[128];
    client_connect_tls(&before, &f);
    X509 *old = peer_certificate(&before);
    /* a broken file changes nothing */
    struct strbuf problem = {0};
    snprintf(path, sizeof(path), "%s/fullchain.pem", f.dir);
    assert_int_equal(file_write_atomic(path, "nonsense", 8, 0600), ERR_OK);
    assert_int_equal(net_tls_reload(f.tls, &problem), ERR_INVALID_ARGUMENT);
    assert_non_null(strstr(problem.p, "fullchain.pem"));
    strbuf_deinit(&problem);
    client_connect_tls(&after, &f);
    X509 *same = peer_certificate(&after);
    assert_int_equal(X509_cmp(old, same), 0);
    client_close(&after);
    unlink(path);
    make_tls();
    assert_int_equal(net_tls_reload(f.tls, NULL), ERR_OK);
    client_connect_tls(&after, &f);
    X509 *new = peer_certificate(&after);
    assert_int_not_equal(X509_cmp(old, new), 0);
    /* both go on */
    assert_int_equal(client_get(&before, GET("/")).status, 200);
    assert_int_equal(client_get(&after, GET("/")).status, 200);
    client_close(&before);
    client_close(&after);
    X509_free(old);
    X509_free(same);
    X509_free(new);
}

int main(void)
{
    for (size_t i = 0; i < BIG_BYTES; i++)
        big[i] = (char)('a' + i % 23);
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_a_certificate),
        cmocka_unit_test(names_what_is_wrong),
        TEST(serves_http),
        TEST(serves_websockets),
        TEST(refuses_what_is_no_tls),
        TEST(reloads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
