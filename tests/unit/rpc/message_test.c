/* Messages of every kind of field: copying, unpacking what came from outside, JSON both ways. */
#include "test.h"

#include <string.h>

#include "core/arena.h"
#include "core/str.h"
#include "rpc/rpc.h"

#include "sample.pb-c.h"

static const ProtobufCMessageDescriptor *const everything = &sample__everything__descriptor;

static const char sample_json[] =
    "{\"i32\":-2147483648,\"s32\":-2,\"sf32\":-3,\"u32\":4294967295,\"f32\":5,"
    "\"i64\":\"-9007199254740993\",\"s64\":\"-9223372036854775808\",\"sf64\":9007199254740992,"
    "\"u64\":\"18446744073709551615\",\"f64\":10,\"real\":1.5,\"wide\":0.1,\"is_it\":true,"
    "\"colour\":\"dark_green\",\"text\":\"a\\\"\xc3\xa9\",\"raw\":\"AAEC/w==\","
    "\"part\":{\"name\":\"n\",\"count\":3},\"many\":[1,-2],\"texts\":[\"a\",\"\"],"
    "\"parts\":[{\"name\":\"\",\"count\":0},{\"name\":\"x\",\"count\":1}],"
    "\"colours\":[\"red\",\"dark_green\"],\"raws\":[\"\",\"+/8=\"],\"flags\":[true,false],"
    "\"reals\":[0,-0.5,1e+308],\"maybe\":\"\",\"perhaps\":0,\"by_part\":{\"name\":\"p\","
    "\"count\":0}}";

static Sample__Everything *parse(const char *json, struct arena *arena)
{
    struct strbuf problem = {0};
    ProtobufCMessage *m = rpc_json_parse(everything, str_from(json), arena, &problem);
    if (!m)
        fail_msg("%s", problem.p);
    strbuf_deinit(&problem);
    return (Sample__Everything *)m;
}

static void expect_json(const ProtobufCMessage *m, const char *expected)
{
    struct strbuf json = {0};
    rpc_json_write(&json, m);
    assert_string_equal(json.p, expected);
    strbuf_deinit(&json);
}

static void test_every_type_comes_back(void **state UNUSED)
{
    struct arena *arena = arena_create();
    Sample__Everything *m = parse(sample_json, arena);
    assert_true(m->i64 == INT64_C(-9007199254740993));
    assert_true(m->u64 == UINT64_MAX);
    assert_int_equal(m->raw.len, 4);
    assert_memory_equal(m->raw.data, "\0\1\2\xff", 4);
    assert_int_equal(m->choice_case, SAMPLE__EVERYTHING__CHOICE_BY_PART);
    expect_json(&m->base, sample_json);

    size_t n = protobuf_c_message_get_packed_size(&m->base);
    uint8_t *bytes = arena_alloc(arena, n);
    protobuf_c_message_pack(&m->base, bytes);
    ProtobufCMessage *unpacked = rpc_message_unpack(everything, arena, bytes, n);
    assert_non_null(unpacked);
    expect_json(unpacked, sample_json);
    arena_destroy(&arena);
}

static void test_defaults_are_written(void **state UNUSED)
{
    Sample__Everything m = SAMPLE__EVERYTHING__INIT;
    expect_json(&m.base, "{\"i32\":0,\"s32\":0,\"sf32\":0,\"u32\":0,\"f32\":0,\"i64\":0,\"s64\":0,"
                         "\"sf64\":0,\"u64\":0,\"f64\":0,\"real\":0,\"wide\":0,\"is_it\":false,"
                         "\"colour\":\"red\",\"text\":\"\",\"raw\":\"\",\"many\":[],\"texts\":[],"
                         "\"parts\":[],\"colours\":[],\"raws\":[],\"flags\":[],\"reals\":[]}");
}

static void test_a_copy_stands_alone(void **state UNUSED)
{
    struct arena *first = arena_create();
    struct arena *second = arena_create();
    Sample__Everything *m = parse(sample_json, first);
    ProtobufCMessage *copy = rpc_message_copy(second, &m->base);
    memset(m->text, 'z', strlen(m->text));
    m->parts[1]->name[0] = 'z';
    m->raw.data[0] = 'z';
    m->many[0] = 77;
    arena_destroy(&first);
    expect_json(copy, sample_json);
    /* On the wire too: an optional text that is set and empty stays set. */
    size_t n = protobuf_c_message_get_packed_size(copy);
    uint8_t *wire = arena_alloc(second, n);
    protobuf_c_message_pack(copy, wire);
    expect_json(rpc_message_unpack(everything, second, wire, n), sample_json);
    Sample__Everything empty = SAMPLE__EVERYTHING__INIT;
    empty.text = NULL; /* as a careless handler leaves it */
    assert_string_equal(((Sample__Everything *)rpc_message_copy(second, &empty.base))->text, "");
    arena_destroy(&second);
}

static void test_json_is_strict(void **state UNUSED)
{
    static const struct {
        const char *json, *problem;
    } cases[] = {
        {"{\"u32\":-1}", "u32: expected a whole number from 0 to 4294967295"},
        {"{\"i32\":2147483648}", "i32: expected a whole number from -2147483648 to 2147483647"},
        {"{\"i64\":99999999999999999999}", "i64: expected a whole number of 64 bits"},
        {"{\"u64\":\"18446744073709551616\"}",
         "u64: expected a whole number of 64 bits that is not negative"},
        {"{\"i32\":\"1\"}", "i32: expected a whole number from -2147483648 to 2147483647"},
        {"{\"i64\":\"1 \"}", "i64: expected a whole number of 64 bits"},
        {"{\"i64\":true}", "i64: expected a whole number of 64 bits"},
        {"{\"real\":1e39}", "real: number out of range"},
        {"{\"wide\":\"1\"}", "wide: expected a number"},
        {"{\"colour\":\"RED\"}", "colour: expected one of red, dark_green"},
        {"{\"colours\":[\"red\",\"blue\"]}", "colours[1]: expected one of red, dark_green"},
        {"{\"colour\":0}", "colour: expected text"},
        {"{\"raw\":\"a\"}", "raw: expected base64 text"},
        {"{\"raw\":\"a?==\"}", "raw: expected base64 text"},
        {"{\"parts\":[{},{\"nome\":1}]}", "parts[1].nome: unknown field"},
        {"{\"parts\":{}}", "parts: expected a list"},
        {"{\"part\":[]}", "part: expected an object"},
        {"{\"text\":\"a\\u0000b\"}", "text: must not contain NUL"},
        {"{\"by_name\":\"a\",\"by_number\":1}",
         "by_number: excludes another field that is also given"},
        {"[1]", "expected an object"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = arena_create();
        struct strbuf problem = {0};
        assert_null(rpc_json_parse(everything, str_from(cases[i].json), arena, &problem));
        assert_string_equal(problem.p, cases[i].problem);
        strbuf_deinit(&problem);
        arena_destroy(&arena);
    }
}

static void test_depth_is_bounded(void **state UNUSED)
{
    struct arena *arena = arena_create();
    struct strbuf json = {0}, problem = {0};
    for (int i = 0; i < 100000; i++)
        strbuf_adds(&json, "[");
    assert_null(rpc_json_parse(everything, strbuf_str(&json), arena, &problem));
    assert_string_equal(problem.p, "not valid JSON: nested deeper than 32");
    /* Brackets in a text do not count. */
    strbuf_clear(&json);
    strbuf_adds(&json, "{\"text\":\"\\\"");
    for (int i = 0; i < 100; i++)
        strbuf_adds(&json, "[{");
    strbuf_adds(&json, "\"}");
    assert_non_null(rpc_json_parse(everything, strbuf_str(&json), arena, &problem));
    strbuf_deinit(&json);
    strbuf_deinit(&problem);
    arena_destroy(&arena);
}

static bool unpacks(const void *bytes, size_t n)
{
    struct arena *arena = arena_create();
    bool is_unpacked = rpc_message_unpack(everything, arena, bytes, n) != NULL;
    arena_destroy(&arena);
    return is_unpacked;
}

static void test_unpacking_is_strict(void **state UNUSED)
{
    assert_true(unpacks("", 0));
    assert_true(unpacks("\x7a\x03"
                        "abc",
                        5));
    assert_false(unpacks("\x7a\x03"
                         "a\0c",
                         5));                                 /* NUL */
    assert_false(unpacks("\x7a\x02\xc3\x28", 4));             /* not UTF-8 */
    assert_false(unpacks("\x7a\x05", 2));                     /* cut off */
    assert_false(unpacks("\x0b\x08\x01\x0c", 4));             /* a group */
    assert_false(unpacks("\x8a\x01\x04\x0a\x02\xff\xff", 7)); /* not UTF-8, inside a part */
    assert_true(unpacks("\xc8\x3e\x05", 3));                  /* a field that we do not know */
}

/* 1 MiB of empty parts would be 40 MiB of structs. */
static void test_unpacking_is_bounded(void **state UNUSED)
{
    struct strbuf wire = {0};
    struct arena *arena = arena_create();
    while (wire.n < 1u << 20)
        strbuf_add(&wire, "\xa2\x01\x00", 3);
    (void)rpc_message_unpack(everything, arena, wire.p, wire.n);
    assert_true(arena_used(arena) <= 65536 + 65 * wire.n);
    strbuf_deinit(&wire);
    arena_destroy(&arena);
}

static void test_fields_from_text(void **state UNUSED)
{
    static const struct {
        const char *field, *text;
        bool is_ok;
    } cases[] = {
        {"i32", "-7", true},
        {"i32", "7.0", false},
        {"u64", "18446744073709551615", true},
        {"u64", "-1", false},
        {"is_it", "true", true},
        {"is_it", "1", false},
        {"colour", "dark_green", true},
        {"colour", "DARK_GREEN", false},
        {"wide", "1e3", true},
        {"wide", "inf", false},
        {"wide", "", false},
        {"wide", "0x10", false},
        {"text", "", true},
        {"part", "{}", false},
        {"raw", "AA", true},
        {"maybe", "x", true},
        {"tex", "x", false},
        {"textt", "x", false},
    };
    struct arena *arena = arena_create();
    struct strbuf problem = {0};
    ProtobufCMessage *m = rpc_message_create(everything, arena);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bool is_ok =
            rpc_field_set(m, str_from(cases[i].field), str_from(cases[i].text), arena, &problem);
        if (is_ok != cases[i].is_ok)
            fail_msg("%s=%s", cases[i].field, cases[i].text);
    }
    assert_int_equal(((Sample__Everything *)m)->_maybe_case, SAMPLE__EVERYTHING___MAYBE_MAYBE);
    for (int i = 0; i < 100; i++)
        assert_true(rpc_field_set(m, STR("many"), STR("5"), arena, &problem));
    assert_int_equal(((Sample__Everything *)m)->n_many, 100);
    assert_false(rpc_field_set(m, STR("many"), STR("5"), arena, &problem));
    strbuf_deinit(&problem);
    arena_destroy(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_comes_back), cmocka_unit_test(test_defaults_are_written),
        cmocka_unit_test(test_a_copy_stands_alone),   cmocka_unit_test(test_json_is_strict),
        cmocka_unit_test(test_depth_is_bounded),      cmocka_unit_test(test_unpacking_is_strict),
        cmocka_unit_test(test_unpacking_is_bounded),  cmocka_unit_test(test_fields_from_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
