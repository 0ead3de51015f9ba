/* str and strbuf: slices, numbers, UTF-8, JSON literals, encodings. */
#include "test.h"

#include <stdlib.h>

#include "core/arena.h"
#include "core/str.h"

static void comparisons(void **state)
{
    assert_true(str_eq(STR("abc"), STR("abc")));
    assert_true(str_eq(STR_NULL, STR("")));
    assert_false(str_eq(STR("abc"), STR("abd")));
    assert_false(str_eq(STR("abc"), STR("ab")));
    assert_true(str_eq_nocase(STR("Content-TYPE"), STR("content-type")));
    assert_false(str_eq_nocase(STR("@"), STR("`"))); /* differ in bit 5 only, but are no letters */
    assert_true(str_starts(STR("bearer x"), STR("bearer ")));
    assert_false(str_starts(STR("be"), STR("bearer")));
    assert_true(str_starts(STR_NULL, STR_NULL));
    assert_true(str_ends(STR("a.js"), STR(".js")));
    assert_false(str_ends(STR("s"), STR(".js")));
    assert_true(str_eq_secret(STR("abc"), STR("abc")));
    assert_false(str_eq_secret(STR("abc"), STR("abd")));
    assert_false(str_eq_secret(STR("abc"), STR("abcd")));
}

static void trims_and_cuts(void **state)
{
    assert_true(str_eq(str_trim(STR(" \t\r\n a b \n")), STR("a b")));
    assert_int_equal(str_trim(STR(" \t ")).n, 0);
    assert_int_equal(str_trim(STR_NULL).n, 0);

    struct str rest = STR("a,,b"), part;
    assert_true(str_cut(&rest, ',', &part));
    assert_true(str_eq(part, STR("a")));
    assert_true(str_cut(&rest, ',', &part));
    assert_int_equal(part.n, 0);
    assert_false(str_cut(&rest, ',', &part));
    assert_true(str_eq(part, STR("b")));
    assert_int_equal(rest.n, 0);
    assert_false(str_cut(&rest, ',', &part));
    assert_int_equal(part.n, 0);

    assert_true(str_eq(str_sub(STR("hello"), 1, 3), STR("ell")));
    assert_true(str_eq(str_sub(STR("hello"), 3, SIZE_MAX), STR("lo")));
    assert_int_equal(str_sub(STR("hello"), 9, 1).n, 0);
    assert_int_equal(str_sub(STR_NULL, 0, 5).n, 0);
    assert_int_equal(str_find(STR("a:b"), ':'), 1);
    assert_int_equal(str_find(STR("ab"), ':'), -1);
    assert_int_equal(str_find(STR_NULL, 'x'), -1);
}

static void numbers(void **state)
{
    static const struct {
        const char *text;
        bool is_i64, is_u64;
        int64_t i;
        uint64_t u;
    } cases[] = {
        {"0", true, true, 0, 0},
        {"007", true, true, 7, 7},
        {"-1", true, false, -1, 0},
        {"-0", true, false, 0, 0},
        {"9223372036854775807", true, true, INT64_MAX, INT64_MAX},
        {"9223372036854775808", false, true, 0, (uint64_t)INT64_MAX + 1},
        {"-9223372036854775808", true, false, INT64_MIN, 0},
        {"-9223372036854775809", false, false, 0, 0},
        {"18446744073709551615", false, true, 0, UINT64_MAX},
        {"18446744073709551616", false, false, 0, 0},
        {"99999999999999999999999", false, false, 0, 0},
        {"", false, false, 0, 0},
        {"-", false, false, 0, 0},
        {"--1", false, false, 0, 0},
        {"+1", false, false, 0, 0},
        {" 1", false, false, 0, 0},
        {"1 ", false, false, 0, 0},
        {"0x10", false, false, 0, 0},
        {"1e3", false, false, 0, 0},
    };
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        int64_t i = 0;
        uint64_t u = 0;
        bool is_i64 = str_to_i64(str_from(cases[k].text), &i);
        bool is_u64 = str_to_u64(str_from(cases[k].text), &u);
        if (is_i64 != cases[k].is_i64 || is_u64 != cases[k].is_u64 || i != cases[k].i ||
            u != cases[k].u)
            fail_msg("number \"%s\"", cases[k].text);
    }
}

static void utf8(void **state)
{
    static const struct {
        struct str s;
        bool is_valid;
        size_t count;
    } cases[] = {
        {STR(""), true, 0},
        {STR("plain"), true, 5},
        {STR("\xc3\xa4"), true, 1},
        {STR("\xe4\xb8\xad\xe6\x96\x87"), true, 2},
        {STR("\xf0\x9f\x98\x80"), true, 1},
        {STR("\xf4\x8f\xbf\xbf"), true, 1},     /* U+10FFFF */
        {STR("\xed\x9f\xbf"), true, 1},         /* U+D7FF */
        {STR("\xee\x80\x80"), true, 1},         /* U+E000 */
        {STR("\xe0\xa0\x80"), true, 1},         /* U+0800 */
        {STR("a\0b"), false, 0},                /* NUL */
        {STR("\x80"), false, 0},                /* lone continuation */
        {STR("\xc0\xaf"), false, 0},            /* overlong '/' */
        {STR("\xc1\xbf"), false, 0},            /* overlong */
        {STR("\xe0\x9f\xbf"), false, 0},        /* overlong */
        {STR("\xf0\x8f\xbf\xbf"), false, 0},    /* overlong */
        {STR("\xed\xa0\x80"), false, 0},        /* surrogate */
        {STR("\xed\xbf\xbf"), false, 0},        /* surrogate */
        {STR("\xf4\x90\x80\x80"), false, 0},    /* beyond U+10FFFF */
        {STR("\xf5\x80\x80\x80"), false, 0},    /* no such lead */
        {STR("\xff"), false, 0},                /* no such lead */
        {STR("\xc3"), false, 0},                /* cut */
        {STR("\xe4\xb8"), false, 0},            /* cut */
        {STR("\xf0\x9f\x98"), false, 0},        /* cut */
        {STR("\xe4\xb8\x28"), false, 0},        /* not a continuation */
        {STR("ok\xc3\x28ok"), false, 0},        /* in the middle */
        {STR("\xf0\x9f\x98\x80\x80"), false, 0} /* one too many */
    };
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        if (str_is_utf8(cases[k].s) != cases[k].is_valid)
            fail_msg("case %zu", k);
        if (cases[k].is_valid)
            assert_int_equal(str_utf8_count(cases[k].s), cases[k].count);
        for (size_t before = 1; before <= 17; before++) { /* plain text is judged by eights */
            char text[64] = "the plain text before and after it";
            memcpy(text + before, cases[k].s.p, cases[k].s.n);
            memcpy(text + before + cases[k].s.n, "and after", 9);
            if (str_is_utf8((struct str){text, before + cases[k].s.n + 9}) != cases[k].is_valid)
                fail_msg("case %zu after %zu bytes", k, before);
        }
    }
}

static void json_literals(void **state)
{
    static const struct {
        struct str in;
        const char *out;
    } cases[] = {
        {STR_NULL, "\"\""},
        {STR("plain"), "\"plain\""},
        {STR("a\"b\\c/"), "\"a\\\"b\\\\c/\""},
        {STR("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\""},
        {STR("a\0b\x1f\x7f"), "\"a\\u0000b\\u001f\\u007f\""},
        {STR("\xe4\xb8\xad"), "\"\xe4\xb8\xad\""},
        {STR("x\xffy"), "\"x\xef\xbf\xbdy\""},
        {STR("\xe4\xb8"), "\"\xef\xbf\xbd\""},                             /* one error, one sign */
        {STR("\xe4\xb8z"), "\"\xef\xbf\xbdz\""},                           /* the z survives */
        {STR("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* as Unicode says */
        {STR("\xf0\x9f\x98\""), "\"\xef\xbf\xbd\\\"\""}, /* no quote slips through */
    };
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        struct strbuf b = {0};
        strbuf_add_json(&b, cases[k].in);
        assert_string_equal(b.p, cases[k].out);
        strbuf_deinit(&b);
    }
}

static void encodings(void **state)
{
    /* RFC 4648 section 10, in the URL alphabet without padding. */
    static const char *const base64[][2] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff", "-_8"}};
    for (size_t k = 0; k < ARRAY_LEN(base64); k++) {
        char out[16];
        size_t n = strlen(base64[k][0]);
        str_base64url(out, base64[k][0], n);
        assert_string_equal(out, base64[k][1]);
        assert_int_equal(str_base64_size(n), strlen(out) + 1);
    }
    uint8_t bytes[4];
    char hex[9];
    assert_true(str_unhex(STR("00fFa5C3"), bytes, 4));
    assert_memory_equal(bytes, "\x00\xff\xa5\xc3", 4);
    str_hex(hex, bytes, 4);
    assert_string_equal(hex, "00ffa5c3");
    assert_false(str_unhex(STR("00ff"), bytes, 4));
    assert_false(str_unhex(STR("00ffa5c"), bytes, 4));
    assert_false(str_unhex(STR("00ffa5cg"), bytes, 4));
    assert_true(str_unhex(STR_NULL, bytes, 0));
}

static void copies(void **state)
{
    char *copy = str_dup(STR("a\0b"));
    assert_memory_equal(copy, "a\0b\0", 4);
    free(copy);
    copy = str_dup(STR_NULL);
    assert_string_equal(copy, "");
    free(copy);
    struct arena *arena = arena_create();
    assert_string_equal(str_arena(arena, str_sub(STR("hello"), 0, 4)), "hell");
    assert_string_equal(str_arena(arena, STR_NULL), "");
    arena_destroy(&arena);
}

static void builder(void **state)
{
    struct strbuf b = {0};
    assert_int_equal(strbuf_str(&b).n, 0);
    assert_string_equal(strbuf_str(&b).p, "");
    strbuf_add(&b, NULL, 0);
    assert_string_equal(b.p, "");
    for (int i = 0; i < 1000; i++)
        strbuf_addc(&b, (char)('a' + i % 26));
    assert_int_equal(b.n, 1000);
    assert_int_equal(strlen(b.p), 1000);
    assert_int_equal(b.p[999], 'a' + 999 % 26);
    strbuf_clear(&b);
    assert_string_equal(b.p, "");
    strbuf_printf(&b, "%s=%d", "x", 7);
    strbuf_printf(&b, "%300d", 1); /* longer than what is first tried */
    assert_int_equal(b.n, 303);
    assert_memory_equal(b.p, "x=7   ", 6);
    assert_int_equal(b.p[302], '1');
    strbuf_clear(&b);
    memcpy(strbuf_reserve(&b, 5000), "hello", 5);
    b.n += 5;
    strbuf_adds(&b, " there");
    assert_string_equal(b.p, "hello there");
    strbuf_deinit(&b);
    assert_null(b.p);
    strbuf_adds(&b, "usable again");
    assert_string_equal(b.p, "usable again");
    strbuf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparisons),   cmocka_unit_test(trims_and_cuts),
        cmocka_unit_test(numbers),       cmocka_unit_test(utf8),
        cmocka_unit_test(json_literals), cmocka_unit_test(encodings),
        cmocka_unit_test(copies),        cmocka_unit_test(builder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
