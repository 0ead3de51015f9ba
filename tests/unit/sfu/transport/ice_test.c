/*
 * ice_test: the lite agent against checks as browsers send them, and as nobody should: every line
 * of the list "STUN Binding request" in the media design has its test here or in stun_test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "sfu/transport/ice.h"

#define LOCAL_UFRAG "Slot7Gen3"
#define LOCAL_PWD "0123456789abcdefghijklmn"
#define REMOTE_UFRAG "evtj"
#define SECOND_US 1000000

static const uint8_t TRANSACTION[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

static struct ice_agent *agent;
static struct ice_result result;

static struct ice_options options(void)
{
    return (struct ice_options){.credentials = {.local_ufrag = STR(LOCAL_UFRAG),
                                                .local_pwd = STR(LOCAL_PWD),
                                                .remote_ufrag = STR(REMOTE_UFRAG)}};
}

static int setup(void **state)
{
    struct ice_options opt = options();
    return ice_agent_create(&agent, &opt);
}

static int teardown(void **state)
{
    ice_agent_destroy(&agent);
    return agent != NULL;
}

static struct sfu_address address_of(uint16_t port)
{
    return sfu_address_v4(0xc0000201, port); /* 192.0.2.1 */
}

/* A check that is right in every way. */
static struct stun_request_options good_check(void)
{
    return (struct stun_request_options){.transaction = TRANSACTION,
                                         .username = STR(LOCAL_UFRAG ":" REMOTE_UFRAG),
                                         .password = STR(LOCAL_PWD),
                                         .priority = 0x6e0001ff,
                                         .tie_breaker = 77};
}

static enum err send_at(const struct stun_request_options *check, uint16_t port, int64_t now_us)
{
    uint8_t bytes[256];
    size_t n = stun_write_request(bytes, sizeof(bytes), check);
    assert_true(n > 0);
    struct sfu_address from = address_of(port);
    enum err err = ice_agent_on_stun(agent, bytes, n, &from, now_us, &result);
    assert_true(result.response_bytes <= 2 * n); /* never amplifies */
    return err;
}

static enum err send(const struct stun_request_options *check, uint16_t port)
{
    return send_at(check, port, 0);
}

/* The answer as the peer would read it. */
static struct stun_message answer(void)
{
    struct stun_message m;
    assert_int_equal(stun_parse(&m, result.response, result.response_bytes), ERR_OK);
    assert_true(m.has_fingerprint);
    assert_memory_equal(m.transaction, TRANSACTION, 12);
    return m;
}

static bool knows(uint16_t port)
{
    struct sfu_address from = address_of(port);
    return ice_agent_knows(agent, &from);
}

static uint16_t selected_port(void)
{
    const struct sfu_address *a = ice_agent_selected(agent);
    return a ? a->port : 0;
}

static void answers_a_good_check(void **state)
{
    struct stun_request_options check = good_check();
    assert_int_equal(send(&check, 5000), ERR_OK);
    assert_true(result.is_valid && result.has_added && !result.has_removed);
    assert_false(result.has_selected);
    struct stun_message m = answer();
    assert_int_equal(m.class, STUN_SUCCESS);
    assert_true(stun_is_authentic(&m, STR(LOCAL_PWD)));
    struct sfu_address from = address_of(5000);
    assert_true(sfu_address_eq(&m.mapped, &from));
    assert_true(knows(5000));
    assert_false(knows(5001));
    assert_null(ice_agent_selected(agent));
    assert_int_equal(ice_agent_destination(agent)->port, 5000);
    assert_int_equal(ice_agent_state(agent), ICE_WAITING);
    assert_int_equal(send(&check, 5000), ERR_OK); /* and again */
    assert_false(result.has_added);
}

static void answers_ipv6(void **state)
{
    uint8_t bytes[256];
    struct stun_request_options check = good_check();
    size_t n = stun_write_request(bytes, sizeof(bytes), &check);
    static const uint8_t IP[16] = {0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    struct sfu_address from = sfu_address_v6(IP, 9);
    assert_int_equal(ice_agent_on_stun(agent, bytes, n, &from, 0, &result), ERR_OK);
    struct stun_message m = answer();
    assert_true(sfu_address_eq(&m.mapped, &from));
}

static void is_silent_to_strangers(void **state)
{
    struct stun_request_options check = good_check();
    check.username = STR("SomeoneElse:" REMOTE_UFRAG);
    assert_int_equal(send(&check, 5000), ERR_NOT_FOUND);
    assert_int_equal(result.response_bytes, 0);
    check.username = STR_NULL;
    assert_int_equal(send(&check, 5000), ERR_INVALID_ARGUMENT);
    assert_int_equal(result.response_bytes, 0);
    check.username = STR(LOCAL_UFRAG); /* no colon */
    assert_int_equal(send(&check, 5000), ERR_INVALID_ARGUMENT);
    assert_int_equal(result.response_bytes, 0);
    assert_false(knows(5000));
}

/* code 0: in silence. */
static void refuses(const struct stun_request_options *check, enum err err, int code)
{
    assert_int_equal(send(check, 5000), err);
    assert_false(result.is_valid);
    assert_false(knows(5000));
    assert_null(ice_agent_destination(agent));
    if (!code) {
        assert_int_equal(result.response_bytes, 0);
        return;
    }
    struct stun_message m = answer();
    assert_int_equal(m.class, STUN_ERROR);
    assert_int_equal(m.error_code, code);
    assert_true(stun_is_authentic(&m, STR(LOCAL_PWD)));
}

static void refuses_with_the_right_code(void **state)
{
    struct stun_request_options check = good_check();
    check.password = STR("not the password at all!");
    refuses(&check, ERR_UNAUTHENTICATED, 0);
    check = good_check();
    check.username = STR(LOCAL_UFRAG ":other");
    refuses(&check, ERR_UNAUTHENTICATED, 0);
    check = good_check();
    check.password = STR_NULL; /* no MESSAGE-INTEGRITY */
    refuses(&check, ERR_INVALID_ARGUMENT, 0);
    check = good_check();
    check.priority = 0;
    refuses(&check, ERR_INVALID_ARGUMENT, 400);
    check = good_check();
    check.is_controlled = true;
    refuses(&check, ERR_FAILED_PRECONDITION, 487);
    /* A refused nomination selects nothing. */
    check.has_use_candidate = true;
    refuses(&check, ERR_FAILED_PRECONDITION, 487);
}

static void needs_a_fingerprint(void **state)
{
    uint8_t bytes[256];
    struct stun_request_options check = good_check();
    size_t n = stun_write_request(bytes, sizeof(bytes), &check) - 8;
    bytes[3] = (uint8_t)(n - 20);
    struct sfu_address from = address_of(5000);
    assert_int_equal(ice_agent_on_stun(agent, bytes, n, &from, 0, &result), ERR_INVALID_ARGUMENT);
    assert_int_equal(result.response_bytes, 0);
}

static void ignores_answers_and_indications(void **state)
{
    uint8_t bytes[256];
    struct sfu_address from = address_of(5000);
    size_t n = stun_write_success(bytes, sizeof(bytes), TRANSACTION, &from, STR(LOCAL_PWD));
    assert_int_equal(ice_agent_on_stun(agent, bytes, n, &from, 0, &result), ERR_INVALID_ARGUMENT);
    assert_int_equal(result.response_bytes, 0);
}

static void use_candidate_selects(void **state)
{
    struct stun_request_options check = good_check();
    send(&check, 5000);
    check.has_use_candidate = true;
    send(&check, 5001);
    assert_true(result.has_selected);
    assert_int_equal(selected_port(), 5001);
    assert_int_equal(ice_agent_state(agent), ICE_CONNECTED);
    send(&check, 5001);
    assert_false(result.has_selected); /* it was already */
    check.has_use_candidate = false;
    send(&check, 5000);
    assert_int_equal(selected_port(), 5001);
    check.has_use_candidate = true;
    send(&check, 5000);
    assert_true(result.has_selected);
    assert_int_equal(selected_port(), 5000);
}

static void the_higher_nomination_wins(void **state)
{
    struct stun_request_options check = good_check();
    check.nomination = 3;
    send(&check, 5000);
    assert_int_equal(selected_port(), 5000);
    check.nomination = 2;
    check.has_use_candidate = true;
    send(&check, 5001);
    assert_int_equal(selected_port(), 5000);
    check.nomination = 3;
    send(&check, 5001);
    assert_int_equal(selected_port(), 5000);
    check.nomination = 4;
    send(&check, 5001);
    assert_int_equal(selected_port(), 5001);
}

static void keeps_at_most_eight_tuples(void **state)
{
    struct stun_request_options check = good_check();
    check.has_use_candidate = true;
    send_at(&check, 1, 0);
    check.has_use_candidate = false;
    for (uint16_t port = 2; port <= 8; port++)
        send_at(&check, port, port);
    send_at(&check, 2, 20); /* so 3 is the longest silent; 1 is selected */
    send_at(&check, 9, 30);
    assert_true(result.has_added && result.has_removed);
    assert_int_equal(result.removed.port, 3);
    assert_true(knows(1) && knows(2) && !knows(3) && knows(9));
    for (uint16_t port = 100; port < 400; port++)
        send_at(&check, port, port);
    struct sfu_address tuples[ICE_MAX_TUPLES];
    assert_int_equal(ice_agent_tuples(agent, tuples), ICE_MAX_TUPLES);
    assert_true(knows(1));
    assert_int_equal(selected_port(), 1);
}

static void honours_both_credentials_during_a_restart(void **state)
{
    struct stun_request_options check = good_check(), fresh = good_check();
    check.has_use_candidate = true;
    send(&check, 5000);
    struct ice_credentials next = {.local_ufrag = STR("Slot7Gen4"),
                                   .local_pwd = STR("nmlkjihgfedcba9876543210"),
                                   .remote_ufrag = STR("new1")};
    assert_int_equal(ice_agent_restart(agent, &next), ERR_OK);
    fresh.username = STR("Slot7Gen4:new1");
    fresh.password = next.local_pwd;
    assert_true(ice_agent_has_ufrag(agent, STR(LOCAL_UFRAG)));
    assert_true(ice_agent_has_ufrag(agent, STR("Slot7Gen4")));
    assert_int_equal(send(&check, 5000), ERR_OK);
    assert_false(result.has_restarted);
    assert_int_equal(send(&check, 5009), ERR_OK); /* keeps alive, but no longer chooses */
    assert_int_equal(selected_port(), 5000);
    /* Mixed: the new name with the old password. */
    fresh.password = STR(LOCAL_PWD);
    assert_int_equal(send(&fresh, 5001), ERR_UNAUTHENTICATED);
    assert_true(ice_agent_has_ufrag(agent, STR(LOCAL_UFRAG)));
    fresh.password = next.local_pwd;
    assert_int_equal(send(&fresh, 5001), ERR_OK);
    assert_true(result.has_restarted);
    assert_int_equal(selected_port(), 5000);
    assert_false(ice_agent_has_ufrag(agent, STR(LOCAL_UFRAG)));
    assert_int_equal(send(&check, 5000), ERR_NOT_FOUND);
    fresh.has_use_candidate = true;
    assert_int_equal(send(&fresh, 5001), ERR_OK);
    assert_false(result.has_restarted);
    assert_int_equal(selected_port(), 5001);
}

static void consent_runs_out_and_comes_back(void **state)
{
    struct stun_request_options check = good_check();
    check.has_use_candidate = true;
    assert_int_equal(ice_agent_deadline_us(agent), 30 * SECOND_US);
    send_at(&check, 5000, 5 * SECOND_US);
    assert_int_equal(ice_agent_deadline_us(agent), 35 * SECOND_US);
    check.has_use_candidate = false;
    send_at(&check, 5000, 10 * SECOND_US);
    assert_int_equal(ice_agent_tick(agent, 40 * SECOND_US - 1), ICE_CONNECTED);
    check.password = STR("wrong wrong wrong wrong!");
    send_at(&check, 5000, 39 * SECOND_US); /* does not count */
    assert_int_equal(ice_agent_tick(agent, 40 * SECOND_US), ICE_DISCONNECTED);
    assert_true(ice_agent_deadline_us(agent) == INT64_MAX);
    check.password = STR(LOCAL_PWD);
    send_at(&check, 5000, 50 * SECOND_US);
    assert_true(result.has_reconnected);
    assert_int_equal(ice_agent_state(agent), ICE_CONNECTED);
    assert_int_equal(ice_agent_deadline_us(agent), 80 * SECOND_US);
}

static void the_consent_timeout_is_10_to_60_s(void **state)
{
    static const int64_t CASES[][2] = {{1, 10}, {10, 10}, {25, 25}, {60, 60}, {61, 60}};
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct ice_agent *a;
        struct ice_options opt = options();
        opt.consent_timeout_us = CASES[i][0] * SECOND_US;
        opt.now_us = 3 * SECOND_US;
        assert_int_equal(ice_agent_create(&a, &opt), ERR_OK);
        assert_int_equal(ice_agent_deadline_us(a), (3 + CASES[i][1]) * SECOND_US);
        ice_agent_destroy(&a);
    }
}

static void learns_the_remote_ufrag_late(void **state)
{
    struct stun_request_options check = good_check();
    struct ice_options opt = options();
    opt.credentials.remote_ufrag = STR_NULL;
    ice_agent_destroy(&agent);
    assert_int_equal(ice_agent_create(&agent, &opt), ERR_OK);
    assert_int_equal(send(&check, 5000), ERR_OK);
    assert_int_equal(ice_agent_set_remote_ufrag(agent, STR("other")), ERR_OK);
    assert_int_equal(send(&check, 5000), ERR_UNAUTHENTICATED);
    assert_int_equal(ice_agent_set_remote_ufrag(agent, STR(REMOTE_UFRAG)), ERR_OK);
    assert_int_equal(send(&check, 5000), ERR_OK);
}

static void refuses_bad_credentials(void **state)
{
    static const struct ice_credentials BAD[] = {
        {{"abc", 3}, {LOCAL_PWD, 24}, {0}},         {{"ab:cd", 5}, {LOCAL_PWD, 24}, {0}},
        {{"ab cd", 5}, {LOCAL_PWD, 24}, {0}},       {{"abcd", 4}, {"tooshort", 8}, {0}},
        {{"abcd", 4}, {LOCAL_PWD, 24}, {"xyz", 3}},
    };
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct ice_agent *a;
        struct ice_options opt = {.credentials = BAD[i]};
        assert_int_equal(ice_agent_create(&a, &opt), ERR_INVALID_ARGUMENT);
        assert_null(a);
        assert_int_equal(ice_agent_restart(agent, &BAD[i]), ERR_INVALID_ARGUMENT);
    }
    struct stun_request_options check = good_check();
    assert_int_equal(send(&check, 5000), ERR_OK); /* what stood before stands */
}

static void demultiplexes_by_first_byte(void **state)
{
    for (unsigned first = 0; first < 256; first++) {
        uint8_t bytes[2] = {(uint8_t)first, 0};
        enum sfu_datagram expected = first <= 3                     ? SFU_DATAGRAM_STUN
                                     : first >= 20 && first <= 63   ? SFU_DATAGRAM_DTLS
                                     : first >= 128 && first <= 191 ? SFU_DATAGRAM_RTP
                                                                    : SFU_DATAGRAM_UNKNOWN;
        assert_int_equal(sfu_demux(bytes, 2), expected);
        assert_int_equal(sfu_demux(bytes, 1), SFU_DATAGRAM_UNKNOWN);
    }
    for (unsigned second = 0; second < 256; second++) {
        uint8_t bytes[2] = {0x80, (uint8_t)second};
        assert_int_equal(sfu_demux(bytes, 2),
                         second >= 192 && second <= 223 ? SFU_DATAGRAM_RTCP : SFU_DATAGRAM_RTP);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(answers_a_good_check),
        TEST(answers_ipv6),
        TEST(is_silent_to_strangers),
        TEST(refuses_with_the_right_code),
        TEST(needs_a_fingerprint),
        TEST(ignores_answers_and_indications),
        TEST(use_candidate_selects),
        TEST(the_higher_nomination_wins),
        TEST(keeps_at_most_eight_tuples),
        TEST(honours_both_credentials_during_a_restart),
        TEST(consent_runs_out_and_comes_back),
        TEST(the_consent_timeout_is_10_to_60_s),
        TEST(learns_the_remote_ufrag_late),
        TEST(refuses_bad_credentials),
        TEST(demultiplexes_by_first_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
