/* call: all kinds of calls between our client and our server, plain and by certificates; deadlines,
 * drains, servers that are not there and come back. */
#include "grpc_fixture.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"

static void test_unary(void **state)
{
    struct grpc_fixture f = {0};
    struct outcome out;
    fixture_start(&f);
    ask_wait(&f, &(struct ask){.method = "Echo", .body = "hello"}, &out);
    assert_int_equal(out.err, ERR_OK);
    assert_int_equal(out.messages, 1);
    assert_memory_equal(out.last, "hello", 5);
    assert_string_equal(out.trailer, "trailing");
    assert_true(out.is_answered);
    ask_wait(&f, &(struct ask){.method = "Header", .header = "a value"}, &out);
    assert_memory_equal(out.last, "a value", 7);
    fixture_stop(&f);
    assert_int_equal(f.opened, 2);
}

static void test_failures(void **state)
{
    struct grpc_fixture f = {0};
    struct outcome out;
    fixture_start(&f);
    ask_wait(&f, &(struct ask){.method = "Fail", .body = ""}, &out);
    assert_int_equal(out.err, ERR_NOT_FOUND);
    assert_string_equal(out.message, "nothing at 100% \xc3\xa4\n");
    assert_string_equal(out.trailer, "trailing");
    ask_wait(&f, &(struct ask){.method = "Nothing", .body = ""}, &out);
    assert_int_equal(out.err, ERR_UNIMPLEMENTED);
    ask_wait(&f, &(struct ask){.path = "/no.Such/Thing", .body = ""}, &out);
    assert_int_equal(out.err, ERR_UNIMPLEMENTED);
    ask_wait(&f, &(struct ask){.path = "nonsense", .body = ""}, &out);
    assert_int_not_equal(out.err, ERR_OK);
    fixture_stop(&f);
}

static void test_streams(void **state)
{
    static char big[300000];
    struct grpc_fixture f = {0};
    struct outcome out;
    fixture_start(&f);
    ask_wait(&f, &(struct ask){.method = "Count", .body = "\xc8"}, &out);
    assert_int_equal(out.err, ERR_OK);
    assert_int_equal(out.messages, 200);
    /* Both ways at once, and far more than the windows of HTTP/2 hold. */
    memset(big, 'x', sizeof(big));
    ask_wait(&f, &(struct ask){.method = "Echo", .body = big, .body_n = sizeof(big), .repeat = 60},
             &out);
    assert_int_equal(out.err, ERR_OK);
    assert_int_equal(out.messages, 60);
    assert_int_equal(out.last_n, sizeof(big));
    fixture_stop(&f);
}

static void test_many_at_once(void **state)
{
    static struct outcome outs[500];
    struct grpc_fixture f = {.server_options.streams_max = 50}; /* the rest waits its turn */
    fixture_start(&f);
    for (size_t i = 0; i < ARRAY_LEN(outs); i++)
        ask_start(&f, &(struct ask){.method = "Echo", .body = "x"}, &outs[i]);
    for (size_t i = 0; i < ARRAY_LEN(outs); i++) {
        outcome_wait(&outs[i]);
        assert_int_equal(outs[i].err, ERR_OK);
        assert_int_equal(outs[i].messages, 1);
    }
    fixture_stop(&f);
    assert_int_equal(f.opened, ARRAY_LEN(outs));
}

static void test_deadline(void **state)
{
    struct grpc_fixture f = {0};
    struct outcome out;
    fixture_start(&f);
    int64_t from_ms = clock_mono_ms();
    ask_wait(&f, &(struct ask){.method = "Hang", .body = "", .timeout_ms = 50}, &out);
    assert_int_equal(out.err, ERR_DEADLINE_EXCEEDED);
    assert_false(out.is_unprocessed);
    assert_true(clock_mono_ms() - from_ms >= 50 && clock_mono_ms() - from_ms < 3000);
    fixture_stop(&f); /* the server heard of it: its stream is gone */
}

static void test_too_long(void **state)
{
    static char big[100000];
    struct grpc_fixture f = {.server_options.message_max_bytes = 50000};
    struct outcome out;
    fixture_start(&f);
    ask_wait(&f, &(struct ask){.method = "Echo", .body = big, .body_n = sizeof(big)}, &out);
    assert_int_equal(out.err, ERR_RESOURCE_EXHAUSTED);
    ask_wait(&f, &(struct ask){.method = "Echo", .body = "still alive"}, &out);
    assert_int_equal(out.err, ERR_OK);
    fixture_stop(&f);

    f = (struct grpc_fixture){.channel_options.message_max_bytes = 50000};
    fixture_start(&f);
    ask_wait(&f, &(struct ask){.method = "Echo", .body = big, .body_n = sizeof(big)}, &out);
    assert_int_equal(out.err, ERR_RESOURCE_EXHAUSTED);
    fixture_stop(&f);
}

static void test_nobody_there(void **state)
{
    struct grpc_fixture f = {.channel_options = {.port = 1, .backoff_min_ms = 20}};
    struct outcome out;
    fixture_start(&f);
    for (int i = 0; i < 3; i++) { /* refused, then in the pause, then refused again */
        ask_wait(&f, &(struct ask){.method = "Echo", .body = "x"}, &out);
        assert_int_equal(out.err, ERR_UNAVAILABLE);
        assert_true(out.is_unprocessed);
        assert_non_null(strstr(out.message, "127.0.0.1:1"));
        usleep(i == 1 ? 50000 : 0);
    }
    ask_wait(&f,
             &(struct ask){.method = "Echo", .body = "x", .timeout_ms = 100, .is_patient = true},
             &out);
    assert_int_equal(out.err, ERR_DEADLINE_EXCEEDED);
    assert_true(out.is_unprocessed);
    fixture_stop(&f);

    f = (struct grpc_fixture){.channel_options.host = "no-such-host.invalid"};
    fixture_start(&f);
    ask_wait(&f, &(struct ask){.method = "Echo", .body = "x"}, &out);
    assert_int_equal(out.err, ERR_UNAVAILABLE);
    fixture_stop(&f);
}

/* A drain lets the call in work end; then the channel finds the server that took the place. */
static void test_drain(void **state)
{
    struct grpc_fixture f = {0};
    struct outcome held, out;
    fixture_start(&f);
    uint16_t port = h2_server_port(f.server);
    ask_start(&f, &(struct ask){.method = "Hang", .body = "", .timeout_ms = 400}, &held);
    ask_wait(&f, &(struct ask){.method = "Echo", .body = "x"}, &out);
    int64_t from_ms = clock_mono_ms();
    assert_int_equal(h2_server_drain(f.server, 5000), 0);
    assert_true(clock_mono_ms() - from_ms < 3000);
    outcome_wait(&held);
    assert_int_equal(held.err, ERR_DEADLINE_EXCEEDED); /* not the drain ended it */
    ask_wait(&f, &(struct ask){.method = "Echo", .body = "x"}, &out);
    assert_int_equal(out.err, ERR_UNAVAILABLE);
    assert_true(out.is_unprocessed);

    struct grpc_fixture second = {.server_options.port = port};
    fixture_start(&second);
    ask_wait(&f,
             &(struct ask){.method = "Echo", .body = "x", .timeout_ms = 5000, .is_patient = true},
             &out);
    assert_int_equal(out.err, ERR_OK);
    fixture_stop(&second);
    fixture_stop(&f);
}

static void test_server_dies(void **state)
{
    struct grpc_fixture f = {0};
    struct outcome held;
    fixture_start(&f);
    ask_start(&f, &(struct ask){.method = "Hang", .body = ""}, &held);
    usleep(50000);
    h2_server_destroy(&f.server);
    outcome_wait(&held);
    assert_int_equal(held.err, ERR_UNAVAILABLE);
    assert_false(held.is_unprocessed); /* it was sent: nobody knows */
    fixture_stop(&f);
}

/* ---- certificates ---- */

static void add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_int_equal(X509_add_ext(cert, ext, -1), 1);
    X509_EXTENSION_free(ext);
}

/* One key and one certificate for both ways, which is its own authority. */
static void make_pair(char dir[64])
{
    static int serial;
    char path[128];
    snprintf(dir, 64, "/tmp/grpc-tls-XXXXXX");
    assert_non_null(mkdtemp(dir));
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)dir, -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, key);
    add_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(cert, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    snprintf(path, sizeof(path), "%s/fullchain.pem", dir);
    FILE *out = fopen(path, "w");
    PEM_write_X509(out, cert);
    fclose(out);
    snprintf(path, sizeof(path), "%s/privkey.pem", dir);
    out = fopen(path, "w");
    PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
    fclose(out);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void remove_pair(const char *dir)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/fullchain.pem", dir);
    unlink(path);
    snprintf(path, sizeof(path), "%s/privkey.pem", dir);
    unlink(path);
    rmdir(dir);
}

static struct net_tls *make_tls(const char *dir, const char *ca_dir, bool is_client, bool has_cert)
{
    static const char *const alpn[] = {"h2", NULL};
    char cert[128], key[128], ca[128];
    struct net_tls *tls = NULL;
    struct strbuf problem = {0};
    snprintf(cert, sizeof(cert), "%s/fullchain.pem", dir);
    snprintf(key, sizeof(key), "%s/privkey.pem", dir);
    snprintf(ca, sizeof(ca), "%s/fullchain.pem", ca_dir);
    enum err err = net_tls_create(&tls,
                                  &(struct net_tls_options){.cert_path = has_cert ? cert : NULL,
                                                            .key_path = has_cert ? key : NULL,
                                                            .ca_path = ca,
                                                            .alpn = alpn,
                                                            .is_client = is_client},
                                  &problem);
    if (err)
        fail_msg("%s", problem.p);
    return tls;
}

static enum err ask_over(struct net_tls *server, struct net_tls *client, const char *host)
{
    struct grpc_fixture f = {.server_options.tls = server,
                             .channel_options = {.tls = client, .host = host}};
    struct outcome out;
    fixture_start(&f);
    ask_wait(&f, &(struct ask){.method = "Echo", .body = "x"}, &out);
    fixture_stop(&f);
    return out.err;
}

static void test_certificates(void **state)
{
    char ours[64], others[64];
    make_pair(ours);
    make_pair(others);
    struct net_tls *server = make_tls(ours, ours, false, true);
    struct net_tls *client = make_tls(ours, ours, true, true);
    struct net_tls *nameless = make_tls(ours, ours, true, false);
    struct net_tls *stranger = make_tls(others, ours, true, true);
    struct net_tls *distrustful = make_tls(ours, others, true, true);
    assert_int_equal(ask_over(server, client, "127.0.0.1"), ERR_OK);
    assert_int_equal(ask_over(server, client, "localhost"), ERR_OK);
    assert_int_equal(ask_over(server, nameless, "localhost"), ERR_UNAVAILABLE);
    assert_int_equal(ask_over(server, stranger, "localhost"), ERR_UNAVAILABLE);
    assert_int_equal(ask_over(server, distrustful, "localhost"), ERR_UNAVAILABLE);
    assert_int_equal(ask_over(server, client, "127.0.0.2"), ERR_UNAVAILABLE); /* another's name */
    assert_int_equal(ask_over(server, NULL, "localhost"), ERR_UNAVAILABLE);
    assert_int_equal(ask_over(NULL, client, "localhost"), ERR_UNAVAILABLE);
    struct net_tls **const all[] = {&server, &client, &nameless, &stranger, &distrustful};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        net_tls_destroy(all[i]);
    remove_pair(ours);
    remove_pair(others);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary),        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_streams),      cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_deadline),     cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_nobody_there), cmocka_unit_test(test_drain),
        cmocka_unit_test(test_server_dies),  cmocka_unit_test(test_certificates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
