/*
 * stun_test: the vectors of RFC 5769, the rules of RFC 8489 about integrity and fingerprint, and
 * messages that lie about their lengths.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sfu/wire/stun_internal.h"

#define PASSWORD "VOkJxbRl1RmTxUk/WvJxBt"

/* RFC 5769 section 2.1 */
static const char REQUEST[] = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420"
                              "636c69656e74002400046e0001ff"
                              "80290008932ff9b151263b36000600096576746a3a683676592020200008"
                              "00149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
/* section 2.2 */
static const char RESPONSE_V4[] =
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a6"
    "43"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
/* section 2.3 */
static const char RESPONSE_V6[] =
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9"
    "fa"
    "a5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c";

static const uint8_t TRANSACTION[12] = {0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34,
                                        0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae};

static size_t unhex(uint8_t *out, const char *hex)
{
    struct str s = str_from(hex);
    assert_true(str_unhex(s, out, s.n / 2));
    return s.n / 2;
}

static void reads_the_request_of_rfc5769(void **state)
{
    uint8_t bytes[256];
    size_t n = unhex(bytes, REQUEST);
    struct stun_message m;
    struct str local, remote;
    assert_true(stun_is_message(bytes, n));
    assert_int_equal(stun_parse(&m, bytes, n), ERR_OK);
    assert_int_equal(m.class, STUN_REQUEST);
    assert_memory_equal(m.transaction, TRANSACTION, 12);
    assert_true(stun_split_username(&m, &local, &remote));
    assert_true(str_eq(local, STR("evtj")) && str_eq(remote, STR("h6vY")));
    assert_true(m.has_priority && m.priority == 0x6e0001ff);
    assert_true(m.is_controlled && !m.is_controlling && m.tie_breaker == 0x932ff9b151263b36);
    assert_true(m.has_fingerprint && !m.has_use_candidate && !m.unknown_required);
    assert_true(stun_is_authentic(&m, STR(PASSWORD)));
    assert_false(stun_is_authentic(&m, STR("VOkJxbRl1RmTxUk/WvJxBu")));
    assert_false(stun_is_authentic(&m, STR_NULL));
}

static void reads_the_responses_of_rfc5769(void **state)
{
    static const uint8_t IP6[16] = {0x20, 0x01, 0x0d, 0xb8, 0x12, 0x34, 0x56, 0x78,
                                    0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77};
    struct sfu_address expected[2] = {sfu_address_v4(0xc0000201, 32853),
                                      sfu_address_v6(IP6, 32853)};
    for (int i = 0; i < 2; i++) {
        uint8_t bytes[256];
        size_t n = unhex(bytes, i ? RESPONSE_V6 : RESPONSE_V4);
        struct stun_message m;
        assert_int_equal(stun_parse(&m, bytes, n), ERR_OK);
        assert_int_equal(m.class, STUN_SUCCESS);
        assert_true(sfu_address_eq(&m.mapped, &expected[i]));
        assert_true(m.has_fingerprint && stun_is_authentic(&m, STR(PASSWORD)));
    }
}

static void reads_what_it_writes(void **state)
{
    uint8_t bytes[256];
    struct stun_message m;
    struct stun_request_options opt = {.transaction = TRANSACTION,
                                       .username = STR("them:us"),
                                       .password = STR(PASSWORD),
                                       .priority = 1,
                                       .tie_breaker = UINT64_MAX - 1,
                                       .nomination = 9,
                                       .has_use_candidate = true};
    size_t n = stun_write_request(bytes, sizeof(bytes), &opt);
    assert_int_equal(stun_parse(&m, bytes, n), ERR_OK);
    assert_true(str_eq(m.username, opt.username) && m.has_use_candidate && m.is_controlling);
    assert_true(m.has_nomination && m.nomination == 9 && m.tie_breaker == UINT64_MAX - 1);
    assert_true(m.priority == 1 && stun_is_authentic(&m, opt.password));
    for (size_t room = 0; room < n; room++)
        assert_int_equal(stun_write_request(bytes, room, &opt), 0);

    static const uint16_t CODES[] = {400, 401, 420, 487};
    for (size_t i = 0; i < ARRAY_LEN(CODES) * 2; i++) {
        struct stun_error_options error = {.transaction = TRANSACTION,
                                           .code = CODES[i / 2],
                                           .unknown_attribute = CODES[i / 2] == 420 ? 0x7777 : 0,
                                           .password = i % 2 ? STR(PASSWORD) : STR_NULL};
        n = stun_write_error(bytes, STUN_RESPONSE_MAX, &error);
        assert_int_equal(stun_parse(&m, bytes, n), ERR_OK);
        assert_int_equal(m.class, STUN_ERROR);
        assert_int_equal(m.error_code, CODES[i / 2]);
        assert_int_equal(stun_is_authentic(&m, STR(PASSWORD)), i % 2);
        for (size_t room = 0; room < n; room++)
            assert_int_equal(stun_write_error(bytes, room, &error), 0);
    }
    struct sfu_address mapped = sfu_address_v6(bytes, 65535);
    n = stun_write_success(bytes, STUN_RESPONSE_MAX, TRANSACTION, &mapped, STR(PASSWORD));
    assert_int_equal(stun_parse(&m, bytes, n), ERR_OK);
    assert_true(sfu_address_eq(&m.mapped, &mapped));
    for (size_t room = 0; room < n; room++)
        assert_int_equal(stun_write_success(bytes, room, TRANSACTION, &mapped, STR(PASSWORD)), 0);
}

/* Puts an attribute at the end of a message and gives it a length (and, if wanted, a fingerprint).
 */
static size_t append(uint8_t *bytes, size_t n, uint16_t type, const char *value, size_t value_bytes)
{
    struct writer w = writer_of(bytes + n, 256);
    writer_u16(&w, type);
    writer_u16(&w, (uint16_t)value_bytes);
    writer_bytes(&w, value, value_bytes);
    while (writer_size(&w) % 4)
        writer_u8(&w, 0);
    n += writer_size(&w);
    bytes[2] = (uint8_t)((n - 20) >> 8);
    bytes[3] = (uint8_t)(n - 20);
    return n;
}

static size_t append_fingerprint(uint8_t *bytes, size_t n)
{
    char value[4];
    size_t end = append(bytes, n, STUN_FINGERPRINT, "\0\0\0\0", 4);
    struct writer w = writer_of(value, 4);
    writer_u32(&w, stun_fingerprint(bytes, n));
    memcpy(bytes + end - 4, value, 4);
    return end;
}

/* Incident 7: what stands behind MESSAGE-INTEGRITY anyone may have put there. */
static void ignores_attributes_behind_the_integrity(void **state)
{
    uint8_t bytes[512];
    struct stun_message m;
    size_t n = unhex(bytes, REQUEST) - 8; /* without FINGERPRINT */
    bytes[3] = (uint8_t)(n - 20);
    n = append(bytes, n, STUN_USE_CANDIDATE, "", 0);
    n = append(bytes, n, STUN_NOMINATION, "\0\0\0\7", 4);
    n = append(bytes, n, STUN_ICE_CONTROLLING, "12345678", 8);
    n = append(bytes, n, STUN_USERNAME, "evil:user", 9);
    n = append(bytes, n, 0x7abc, "must understand", 15);
    n = append_fingerprint(bytes, n);
    assert_int_equal(stun_parse(&m, bytes, n), ERR_OK);
    assert_true(stun_is_authentic(&m, STR(PASSWORD)));
    assert_false(m.has_use_candidate || m.has_nomination || m.is_controlling);
    assert_int_equal(m.unknown_required, 0);
    assert_true(str_eq(m.username, STR("evtj:h6vY")));
    assert_true(m.tie_breaker == 0x932ff9b151263b36);
}

static void the_fingerprint_is_right_and_last(void **state)
{
    uint8_t bytes[512];
    struct stun_message m;
    size_t n = unhex(bytes, REQUEST);
    for (size_t i = 0; i < n * 8; i++) { /* a CRC catches every single flipped bit */
        uint8_t bad[256];
        memcpy(bad, bytes, n);
        bad[i / 8] ^= (uint8_t)(1 << i % 8);
        bool is_parsed = stun_parse(&m, bad, n) == ERR_OK;
        assert_false(is_parsed && m.has_fingerprint);
    }
    n = append(bytes, n, 0x8022, "more", 4);
    assert_int_equal(stun_parse(&m, bytes, n), ERR_INVALID_ARGUMENT);
    n = append_fingerprint(bytes, n); /* two of them */
    assert_int_equal(stun_parse(&m, bytes, n), ERR_INVALID_ARGUMENT);
}

static void attributes_of_a_wrong_length_are_refused(void **state)
{
    static const struct {
        uint16_t type;
        size_t n;
    } GOOD[] = {{STUN_PRIORITY, 4},        {STUN_USE_CANDIDATE, 0}, {STUN_ICE_CONTROLLED, 8},
                {STUN_ICE_CONTROLLING, 8}, {STUN_NOMINATION, 4},    {STUN_MESSAGE_INTEGRITY, 20},
                {STUN_FINGERPRINT, 4}};
    static const char VALUE[32];
    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++) {
        for (size_t size = 0; size < 32; size++) {
            uint8_t bytes[128] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
            struct stun_message m;
            size_t n = append(bytes, 20, GOOD[i].type, VALUE, size);
            bool is_right = size == GOOD[i].n && GOOD[i].type != STUN_FINGERPRINT;
            assert_int_equal(stun_parse(&m, bytes, n), is_right ? ERR_OK : ERR_INVALID_ARGUMENT);
        }
    }
}

static void unknown_attributes(void **state)
{
    uint8_t bytes[128] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
    struct stun_message m;
    size_t n = append(bytes, 20, 0xc057, "\0\3\0\1", 4); /* GOOG-NETWORK-INFO: may be ignored */
    assert_int_equal(stun_parse(&m, bytes, n), ERR_OK);
    assert_int_equal(m.unknown_required, 0);
    n = append(bytes, n, 0x7001, "x", 1);
    n = append(bytes, n, 0x7002, "x", 1);
    assert_int_equal(stun_parse(&m, bytes, n), ERR_OK);
    assert_int_equal(m.unknown_required, 0x7001);
}

/* Cut at every byte, and every length set to 0, 1 and the most it can say; in heap blocks of exact
 * size, so that a sanitizer sees an overrun. */
static void lengths_that_lie(void **state)
{
    static const uint16_t LENGTHS[] = {0, 1, 2, 3, 4, 5, 0x7fff, 0xfffc, 0xffff};
    uint8_t bytes[256];
    struct stun_message m;
    size_t n = unhex(bytes, REQUEST);
    for (size_t size = 0; size < n; size++) {
        uint8_t *cut = malloc(size ? size : 1);
        memcpy(cut, bytes, size);
        assert_int_equal(stun_parse(&m, cut, size), ERR_INVALID_ARGUMENT);
        if (size >= 20) { /* with a header that agrees */
            cut[2] = 0;
            cut[3] = (uint8_t)(size - 20);
            (void)!stun_parse(&m, cut, size);
            assert_false(m.has_fingerprint && stun_is_authentic(&m, STR(PASSWORD)));
        }
        free(cut);
    }
    for (size_t at = 2; at + 1 < n; at += at == 2 ? 20 : 4) {
        for (size_t i = 0; i < ARRAY_LEN(LENGTHS); i++) {
            uint8_t *bad = malloc(n);
            memcpy(bad, bytes, n);
            bad[at] = (uint8_t)(LENGTHS[i] >> 8);
            bad[at + 1] = (uint8_t)LENGTHS[i];
            bool is_same = memcmp(bad, bytes, n) == 0;
            bool is_parsed = stun_parse(&m, bad, n) == ERR_OK;
            assert_true(is_same || !is_parsed || !stun_is_authentic(&m, STR(PASSWORD)));
            free(bad);
        }
    }
}

static void what_is_no_binding_message(void **state)
{
    uint8_t bytes[STUN_MAX_BYTES + 100] = {0};
    struct stun_message m;
    size_t n = unhex(bytes, REQUEST);
    bytes[1] = 3; /* Allocate */
    assert_int_equal(stun_parse(&m, bytes, n), ERR_INVALID_ARGUMENT);
    bytes[1] = 1;
    bytes[0] = 0x40;
    assert_int_equal(stun_parse(&m, bytes, n), ERR_INVALID_ARGUMENT);
    bytes[0] = 0;
    bytes[4] ^= 1;
    assert_false(stun_is_message(bytes, n));
    bytes[4] ^= 1;
    n = STUN_MAX_BYTES + 4; /* well-formed, but longer than any check */
    bytes[2] = (uint8_t)((n - 20) >> 8);
    bytes[3] = (uint8_t)(n - 20);
    assert_true(stun_is_message(bytes, n));
    assert_int_equal(stun_parse(&m, bytes, n), ERR_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_request_of_rfc5769),
        cmocka_unit_test(reads_the_responses_of_rfc5769),
        cmocka_unit_test(reads_what_it_writes),
        cmocka_unit_test(ignores_attributes_behind_the_integrity),
        cmocka_unit_test(the_fingerprint_is_right_and_last),
        cmocka_unit_test(attributes_of_a_wrong_length_are_refused),
        cmocka_unit_test(unknown_attributes),
        cmocka_unit_test(lengths_that_lie),
        cmocka_unit_test(what_is_no_binding_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
