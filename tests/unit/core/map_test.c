/* map: SipHash against its vectors, both tables against a plain model, removal while iterating. */
#include "test.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/map.h"
#include "core/siphash_internal.h"

/* SipHash-2-4, key 00..0f, input 00..(n-1): from the paper's appendix and its reference vectors. */
static void siphash_vectors(void **state)
{
    static const struct {
        size_t n;
        uint64_t hash;
    } cases[] = {
        {0, 0x726fdb47dd0e0e31}, {1, 0x74f839c593dc67fd},  {7, 0xab0200f58b01d137},
        {8, 0x93f5f5799a932462}, {15, 0xa129ca6149be45e5},
    };
    const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    uint8_t input[16];
    for (size_t i = 0; i < sizeof(input); i++)
        input[i] = (uint8_t)i;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(siphash_2_4(key, input, cases[i].n), cases[i].hash);
    assert_int_not_equal(siphash_1_3(key, input, 15), siphash_2_4(key, input, 15));
    assert_int_equal(map_hash("abc", 3), map_hash("abc", 3));
    assert_int_not_equal(map_hash("abc", 3), map_hash("abd", 3));
}

static void text_keys(void **state)
{
    struct map *m = map_create();
    int a, b;
    char key[] = "key";
    assert_null(map_get(m, STR("key")));
    assert_null(map_remove(m, STR("key")));
    assert_null(map_set(m, str_from(key), &a));
    key[0] = 'x'; /* the map has its own copy */
    assert_ptr_equal(map_get(m, STR("key")), &a);
    assert_ptr_equal(map_set(m, STR("key"), &b), &a);
    assert_ptr_equal(map_get(m, STR("key")), &b);
    assert_int_equal(map_count(m), 1);
    assert_null(map_set(m, STR(""), &a)); /* the empty key is a key */
    assert_ptr_equal(map_get(m, STR_NULL), &a);
    assert_null(map_set(m, STR("k\0y"), &a));
    assert_null(map_get(m, STR("k")));
    assert_ptr_equal(map_remove(m, STR("key")), &b);
    assert_null(map_get(m, STR("key")));
    assert_int_equal(map_count(m), 2);
    map_destroy(&m);
    assert_null(m);
    map_destroy(&m);
}

#define KEYS 512

/* A long random walk; after each step the table must agree with an array. */
static void walk64(void **state)
{
    static char values[KEYS];
    void *model[KEYS] = {0};
    struct map64 *m = map64_create();
    uint32_t random = 12345;
    size_t live = 0;
    for (int step = 0; step < 200000; step++) {
        random = random * 1664525 + 1013904223;
        uint64_t key = (random >> 8) % KEYS;
        void *value = &values[random >> 20 & 255];
        void *was = random >> 30 ? map64_set(m, key, value) : map64_remove(m, key);
        if (was != model[key])
            fail_msg("step %d, key %u", step, (unsigned)key);
        live -= model[key] != NULL;
        model[key] = random >> 30 ? value : NULL;
        live += model[key] != NULL;
        if (map64_count(m) != live || map64_get(m, key) != model[key])
            fail_msg("step %d, key %u", step, (unsigned)key);
    }
    for (uint64_t key = 0; key < KEYS; key++)
        assert_ptr_equal(map64_get(m, key), model[key]);
    map64_destroy(&m);
}

static void walk_text(void **state)
{
    static char values[KEYS];
    void *model[KEYS] = {0};
    struct map *m = map_create();
    uint32_t random = 99;
    for (int step = 0; step < 50000; step++) {
        char text[32];
        random = random * 1664525 + 1013904223;
        unsigned key = (random >> 8) % KEYS;
        bool is_set = random >> 31;
        snprintf(text, sizeof(text), "key-%u", key);
        void *was =
            is_set ? map_set(m, str_from(text), &values[key]) : map_remove(m, str_from(text));
        assert_ptr_equal(was, model[key]);
        model[key] = is_set ? &values[key] : NULL;
    }
    map_destroy(&m);
}

/* What was large once is not large for ever, and is as good as before. */
static void shrinks(void **state)
{
    static char value;
    struct map64 *m = map64_create();
    struct mallinfo2 first = mallinfo2();
    size_t before = first.uordblks + first.hblkhd;
    for (int round = 0; round < 3; round++) {
        for (uint64_t key = 0; key < 100000; key++)
            map64_set(m, key, &value);
        for (uint64_t key = 0; key < 100000; key++)
            if (key % 1000)
                assert_ptr_equal(map64_remove(m, key), &value);
        for (uint64_t key = 100000; key < 300000; key++) { /* a few at a time, all over the table */
            assert_null(map64_set(m, key, &value));
            assert_ptr_equal(map64_remove(m, key), &value);
        }
        assert_int_equal(map64_count(m), 100);
        for (uint64_t key = 0; key < 100000; key += 1000)
            assert_ptr_equal(map64_remove(m, key), &value);
        assert_int_equal(map64_count(m), 0);
        assert_null(map64_get(m, 1000));
        struct mallinfo2 info = mallinfo2();
        size_t bytes = info.uordblks + info.hblkhd;
        assert_true(bytes < before + 65536); /* nothing is counted where malloc is another one */
    }
    map64_destroy(&m);
}

static void remove_while_iterating(void **state)
{
    static char value;
    struct map64 *m = map64_create();
    for (uint64_t key = 0; key < 1000; key++)
        map64_set(m, key, &value);
    size_t at = 0, seen = 0;
    uint64_t key;
    void *found;
    while (map64_next(m, &at, &key, &found)) {
        assert_int_equal(key, seen++); /* in order of insertion, each once */
        assert_ptr_equal(found, &value);
        if (key % 3)
            assert_ptr_equal(map64_remove(m, key), &value);
    }
    assert_int_equal(seen, 1000);
    assert_int_equal(map64_count(m), 334);
    for (key = 0; key < 1000; key++)
        assert_int_equal(map64_get(m, key) != NULL, key % 3 == 0);
    for (at = 0; map64_next(m, &at, &key, NULL);)
        map64_remove(m, key);
    assert_int_equal(map64_count(m), 0);
    at = 0;
    assert_false(map64_next(m, &at, &key, NULL));
    map64_destroy(&m);

    struct map *texts = map_create();
    struct str text;
    map_set(texts, STR("a"), &value);
    map_set(texts, STR("b"), &value);
    at = 0;
    assert_true(map_next(texts, &at, &text, &found));
    assert_true(str_eq(text, STR("a")));
    map_remove(texts, STR("a"));
    assert_true(map_next(texts, &at, &text, NULL));
    assert_true(str_eq(text, STR("b")));
    assert_false(map_next(texts, &at, &text, NULL));
    map_destroy(&texts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siphash_vectors), cmocka_unit_test(text_keys),
        cmocka_unit_test(walk64),          cmocka_unit_test(walk_text),
        cmocka_unit_test(shrinks),         cmocka_unit_test(remove_while_iterating),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
