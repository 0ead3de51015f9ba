/* signature: the header of signed requests, what is signed, and what scopes open. */
#include "test.h"

#include <stdio.h>

#include "edge/edge_internal.h"

#define KEY "key=01M7YJPKHX1NE66T8H50TPYVP7"
#define TIME "time=1795248836157"
#define NONCE "nonce=0123456789abcdef"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define DIGEST "digest=" EMPTY
#define SIGNATURE "signature=" EMPTY

static bool parses(const char *text)
{
    struct edge_signature s;
    const char *problem;
    bool is_good = edge_signature_parse(str_from(text), &s, &problem);
    assert_int_equal(is_good, problem == NULL);
    return is_good;
}

static void test_header(void **state UNUSED)
{
    struct edge_signature s;
    const char *problem;
    assert_true(edge_signature_parse(STR(SIGNATURE ", " NONCE "," TIME " ,\t" KEY ", " DIGEST), &s,
                                     &problem));
    assert_true(str_eq(s.key_id, STR("01M7YJPKHX1NE66T8H50TPYVP7")));
    assert_true(str_eq(s.nonce, STR("0123456789abcdef")));
    assert_true(str_eq(s.signature, STR(EMPTY)));
    assert_int_equal(s.time_ms, 1795248836157);
    assert_int_equal(s.body_digest[0], 0xe3);
    assert_true(edge_signature_has_body(&s, STR_NULL));
    assert_true(edge_signature_has_body(&s, STR("")));
    assert_false(edge_signature_has_body(&s, STR(" ")));
}

static void test_bad_headers(void **state UNUSED)
{
    static const char *const bad[] = {
        "",
        ",",
        "key",
        KEY,
        KEY "," TIME "," NONCE "," DIGEST,
        KEY "," TIME "," NONCE "," DIGEST "," SIGNATURE ",",
        KEY "," TIME "," NONCE "," DIGEST "," SIGNATURE "," KEY,
        KEY "," TIME "," NONCE "," DIGEST "," SIGNATURE ",more=1",
        "key=short," TIME "," NONCE "," DIGEST "," SIGNATURE,
        "KEY=01M7YJPKHX1NE66T8H50TPYVP7," TIME "," NONCE "," DIGEST "," SIGNATURE,
        KEY ",time=," NONCE "," DIGEST "," SIGNATURE,
        KEY ",time=-1," NONCE "," DIGEST "," SIGNATURE,
        KEY ",time=+1," NONCE "," DIGEST "," SIGNATURE,
        KEY ",time=01," NONCE "," DIGEST "," SIGNATURE,
        KEY ",time=1e9," NONCE "," DIGEST "," SIGNATURE,
        KEY ",time=99999999999999999999," NONCE "," DIGEST "," SIGNATURE,
        KEY "," TIME ",nonce=," DIGEST "," SIGNATURE,
        KEY "," TIME ",nonce=" EMPTY "0," DIGEST "," SIGNATURE,
        KEY "," TIME "," NONCE ",digest=e3b0," SIGNATURE,
        KEY "," TIME "," NONCE "," DIGEST ",signature=" EMPTY "00",
        KEY "," TIME "," NONCE "," DIGEST ",signature=E" EMPTY,
        KEY "," TIME "," NONCE
            ",digest=E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855," SIGNATURE,
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (parses(bad[i]))
            fail_msg("accepted: %s", bad[i]);
    assert_true(parses(KEY "," TIME "," NONCE "," DIGEST "," SIGNATURE));
    assert_true(parses(KEY ",time=0," NONCE "," DIGEST "," SIGNATURE));
}

static void expect_query(const char *query, const char *expected)
{
    struct edge_signature s = {0};
    struct http_request req = {
        .method = HTTP_METHOD_POST, .path = STR("/a%20b/"), .query = str_from(query)};
    struct strbuf text = {0};
    char wanted[256];
    snprintf(wanted, sizeof(wanted), "POST\n/a%%20b/\n%s\n%064d", expected, 0);
    edge_signature_request(&s, &req, &text);
    assert_string_equal(text.p, wanted);
    strbuf_deinit(&text);
}

static void test_query(void **state UNUSED)
{
    expect_query("", "");
    expect_query("a=1", "a=1");
    expect_query("b=2&a=1", "a=1&b=2");
    expect_query("a=2&a=10&a", "a&a=10&a=2");
    expect_query("z=%E4%B8%AD&Z=+&", "&Z=+&z=%E4%B8%AD");
    expect_query("&&", "&&");
}

static void test_long_query(void **state UNUSED)
{
    /* More parts than are sorted: as it came, whole. */
    struct edge_signature s = {0};
    struct strbuf query = {0}, text = {0};
    for (int i = 999; i >= 0; i--)
        strbuf_printf(&query, "%d&", i);
    struct http_request req = {
        .method = HTTP_METHOD_GET, .path = STR("/"), .query = strbuf_str(&query)};
    edge_signature_request(&s, &req, &text);
    assert_memory_equal(text.p + strlen("GET\n/\n"), query.p, query.n);
    assert_int_equal(text.n, strlen("GET\n/\n") + query.n + 1 + 64);
    strbuf_deinit(&query);
    strbuf_deinit(&text);
}

static void test_scopes(void **state UNUSED)
{
    assert_true(edge_scopes_open("", "messages", "write"));
    assert_true(edge_scopes_open("", "sockets", NULL));
    assert_true(edge_scopes_open("messages", "messages", "write"));
    assert_true(edge_scopes_open("users:read messages", "messages", "read"));
    assert_true(edge_scopes_open("messages:read", "messages", "read"));
    assert_false(edge_scopes_open("messages:read", "messages", "write"));
    assert_false(edge_scopes_open("message", "messages", "read"));
    assert_false(edge_scopes_open("messages2", "messages", "read"));
    assert_false(edge_scopes_open("messages", "sockets", NULL));
    assert_false(edge_scopes_open("sockets:read", "sockets", NULL));
    assert_true(edge_scopes_open("messages sockets", "sockets", NULL));
    assert_false(edge_scopes_open(" ", "messages", "read"));
}

/* Cut off after its first part, "messages:read" would open writing too. */
static void test_scopes_are_whole_or_refused(void **state UNUSED)
{
    char out[24];
    char *two[] = {(char *)"sockets", (char *)"messages:read"};
    assert_true(edge_scopes_take(out, sizeof(out), two, 2));
    assert_string_equal(out, "sockets messages:read");
    assert_true(edge_scopes_take(out, sizeof(out), NULL, 0));
    assert_string_equal(out, "");
    for (size_t size = 2; size < sizeof("sockets messages:read"); size++) {
        assert_false(edge_scopes_take(out, size, two, 2));
        assert_false(edge_scopes_open(out, "messages", "read"));
        assert_false(edge_scopes_open(out, "messages", "write"));
        assert_false(edge_scopes_open(out, "sockets", NULL));
    }
    char *bad[] = {(char *)"users messages"}, *empty[] = {(char *)""};
    assert_false(edge_scopes_take(out, sizeof(out), bad, 1));
    assert_false(edge_scopes_take(out, sizeof(out), empty, 1));
    assert_false(edge_scopes_open(out, "messages", "read"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header), cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_query),  cmocka_unit_test(test_long_query),
        cmocka_unit_test(test_scopes), cmocka_unit_test(test_scopes_are_whole_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
