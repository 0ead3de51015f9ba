/* id: form, order and spread of what is drawn. */
#include "test.h"

#include <ctype.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"

static void ids(void **state)
{
    char first[ID_SIZE], other[ID_SIZE];
    id_make(first);
    assert_int_equal(strlen(first), 26);
    assert_true(id_is_valid(first));
    int64_t start = clock_wall_ms();
    while (clock_wall_ms() < start + 2) {
    }
    id_make(other);
    assert_true(strcmp(first, other) < 0); /* sorts by birth */
    for (char *p = other; *p; p++)
        *p = (char)tolower(*p);
    assert_true(id_is_valid(other));
}

/* The time must stand in the first ten digits, or ids would not sort. */
static void id_carries_time(void **state)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    char id[ID_SIZE];
    int64_t before = clock_wall_ms(), ms = 0;
    id_make(id);
    for (int i = 0; i < 10; i++)
        ms = ms * 32 + (strchr(digits, id[i]) - digits);
    assert_in_range(ms, before, clock_wall_ms());
}

static void foreign_ids(void **state)
{
    static const struct {
        const char *text;
        bool is_valid;
    } cases[] = {
        {"01ARZ3NDEKTSV4RRFFQ69G5FAV", true},
        {"7ZZZZZZZZZZZZZZZZZZZZZZZZZ", true},
        {"8ZZZZZZZZZZZZZZZZZZZZZZZZZ", false},
        {"01ARZ3NDEKTSV4RRFFQ69G5FA", false},
        {"01ARZ3NDEKTSV4RRFFQ69G5FAVV", false},
        {"01ARZ3NDEKTSV4RRFFQ69G5FAI", false},
        {"01ARZ3NDEKTSV4RRFFQ69G5FAL", false},
        {"01ARZ3NDEKTSV4RRFFQ69G5FAO", false},
        {"01ARZ3NDEKTSV4RRFFQ69G5FAU", false},
        {"01ARZ3NDEKTSV4RRFFQ69G5FA'", false},
        {"../../../../etc/passwd....", false},
        {"", false},
        {NULL, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (id_is_valid(cases[i].text) != cases[i].is_valid)
            fail_msg("%s", cases[i].text);
}

/* Out of what goes on behind it, as a payload or a row does. */
static void ids_within(void **state)
{
    static const char text[] = "01ARZ3NDEKTSV4RRFFQ69G5FAV 7 and more";
    char id[ID_SIZE] = "what was there";
    assert_true(id_read(id, (struct str){text, 26}));
    assert_string_equal(id, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    assert_true(id_read(id, STR("01arz3ndektsv4rrffq69g5fav")));
    assert_string_equal(id, "01arz3ndektsv4rrffq69g5fav"); /* as it was written */
    static const struct str no_ids[] = {
        {text, 25},
        {text, 27},
        {text + 1, 26},
        {"01ARZ3NDEKTSV4RRFFQ69G5FA\0", 26},
        {"01ARZ3NDEK\0SV4RRFFQ69G5FAV", 26},
        {"", 0},
        {NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(no_ids); i++) {
        memset(id, 'x', sizeof(id));
        if (id_read(id, no_ids[i]) || id[0])
            fail_msg("no id, number %zu", i);
    }
}

static void tokens(void **state)
{
    char token[201], again[201];
    bool has_seen[256] = {false};
    int kinds = 0;
    for (int round = 0; round < 20; round++) {
        id_token(token, 200);
        assert_int_equal(strlen(token), 200);
        for (char *p = token; *p; p++) {
            assert_true(isalnum((unsigned char)*p) || *p == '-' || *p == '_');
            kinds += !has_seen[(uint8_t)*p];
            has_seen[(uint8_t)*p] = true;
        }
    }
    assert_int_equal(kinds, 64); /* 4,000 draws miss a given letter once in 10^27 */
    id_token(again, 200);
    assert_string_not_equal(token, again);
    id_token(token, 0);
    assert_string_equal(token, "");
}

static void codes(void **state)
{
    for (int round = 0; round < 500; round++) {
        char code[ID_CODE_SIZE];
        id_code(code);
        assert_int_equal(strlen(code), 12);
        for (int i = 0; i < 12; i++) {
            if (i == 3 || i == 8)
                assert_int_equal(code[i], '-');
            else
                assert_non_null(strchr("bcdfghjkmnpqrstvwxz", code[i]));
        }
    }
}

static void bytes(void **state)
{
    uint8_t a[1000] = {0}, b[1000] = {0};
    id_random(a, sizeof(a)); /* more than the kernel promises in one call */
    id_random(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    assert_memory_not_equal(a + 900, b + 900, 100);
    assert_true(id_random_u32() != id_random_u32() || id_random_u32() != id_random_u32());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids),         cmocka_unit_test(id_carries_time),
        cmocka_unit_test(foreign_ids), cmocka_unit_test(ids_within),
        cmocka_unit_test(tokens),      cmocka_unit_test(codes),
        cmocka_unit_test(bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
