/* terms: how text is divided for search, as the index keeps it and as a query asks. */
#include "test.h"

#include "services/message/message_internal.h"

static const struct {
    const char *text, *terms, *query;
} cases[] = {
    {"", "", NULL},
    {" ?! ", "", NULL},
    {"Hello, World", "hello world", "\"hello\"* AND \"world\"*"},
    {"x-1", "x 1", "\"x\"* AND \"1\"*"},
    {"ÄÖ straße", "äö straße", "\"äö\"* AND \"straße\"*"},
    {"中", "中", "\"中\"*"},
    {"中文", "中文 文", "\"中文\""},
    {"中文字", "中文 文字 字", "\"中文\" AND \"文字\""},
    {"用Go写", "用 go 写", "\"用\"* AND \"go\"* AND \"写\"*"},
    {"ひらカナ", "ひら らカ カナ ナ", "\"ひら\" AND \"らカ\" AND \"カナ\""},
    {"привет", "привет", "\"привет\"*"},
    {"\"a\" OR (b)", "a or b", "\"a\"* AND \"or\"* AND \"b\"*"},
    {"हिन्दी", "हिन्दी", "\"हिन्दी\"*"},
};

static void test_terms(void **state UNUSED)
{
    struct arena *arena = arena_create();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_string_equal(message_terms(arena, cases[i].text), cases[i].terms);
        char *query = message_terms_query(arena, cases[i].text);
        if (cases[i].query)
            assert_string_equal(query, cases[i].query);
        else
            assert_null(query);
    }
    arena_destroy(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_terms)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
