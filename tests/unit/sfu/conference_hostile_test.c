/*
 * Whoever has not proved to know a peer's password: gets no byte from us, and changes nothing for
 * those who meet, however much is sent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conference/conference.h"

#define FLOOD_PER_MS 100 /* 100,000 a second */
#define FLOOD_MS 1000

static const struct person_options SPEAKER = {.has_audio = true, .video_layers = 3};

struct datagram {
    uint8_t bytes[1400];
    size_t n;
};

/* A check with this username and password (NULL: without MESSAGE-INTEGRITY). */
static struct datagram check_of(const char *username, const char *password)
{
    static const uint8_t TRANSACTION[STUN_TRANSACTION_SIZE] = {7};
    struct datagram d;
    d.n = stun_write_request(d.bytes, sizeof(d.bytes),
                             &(struct stun_request_options){
                                 .transaction = TRANSACTION,
                                 .username = str_from(username),
                                 .password = password ? str_from(password) : STR_NULL,
                                 .priority = 1,
                                 .has_use_candidate = true,
                             });
    assert_true(d.n > 0);
    return d;
}

static void username_of(const struct client *c, char out[64])
{
    snprintf(out, 64, "%s:%s", c->remote_ufrag, c->ufrag);
}

/* Bytes of a kind by the first one (RFC 7983), the rest at random. */
static struct datagram noise(struct net *net, uint8_t first)
{
    struct datagram d = {.n = 2 + net_random(net) % 1300};
    for (size_t i = 0; i < d.n; i += 4) {
        uint32_t r = net_random(net);
        memcpy(d.bytes + i, &r, sizeof(r));
    }
    d.bytes[0] = first;
    return d;
}

enum kind {
    ANY_BYTES,
    LIKE_RTP,
    LIKE_RTCP,
    DTLS_HELLO, /* of a record that looks right */
    DTLS_ALERT, /* fatal, in the clear */
    STUN_NOBODY,
    STUN_OTHERS, /* ufrags that were never given out */
    STUN_NO_INTEGRITY,
    STUN_WRONG_PASSWORD,
    STUN_SUCCESS_FORGED,
    STUN_BROKEN,
    KINDS
};

/* Of each kind the one that comes nearest to being heard: `c` is a participant's connection. */
static struct datagram forge(struct net *net, const struct client *c, enum kind kind)
{
    static const uint8_t HELLO[] = {22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 200, 1, 0, 0, 188};
    static const uint8_t ALERT[] = {21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40};
    struct datagram d;
    char username[64];
    username_of(c, username);
    switch (kind) {
    case LIKE_RTP:
        return noise(net, 0x80);
    case LIKE_RTCP:
        d = noise(net, 0x80);
        d.bytes[1] = 201;
        return d;
    case DTLS_HELLO:
        d = noise(net, 22);
        memcpy(d.bytes, HELLO, sizeof(HELLO));
        d.n = 213;
        return d;
    case DTLS_ALERT:
        memcpy(d.bytes, ALERT, sizeof(ALERT));
        d.n = sizeof(ALERT);
        return d;
    case STUN_NOBODY:
        return check_of("", "someone's password");
    case STUN_OTHERS:
        username[net_random(net) % strlen(c->remote_ufrag)] ^= 1;
        return check_of(username, c->remote_pwd);
    case STUN_NO_INTEGRITY:
        return check_of(username, NULL);
    case STUN_WRONG_PASSWORD:
        return check_of(username, "not the password at all!");
    case STUN_SUCCESS_FORGED:
        d.n = stun_write_success(d.bytes, sizeof(d.bytes), c->transaction, &c->address,
                                 STR("not the password at all!"));
        return d;
    case STUN_BROKEN:
        d = check_of(username, c->remote_pwd);
        d.bytes[24 + net_random(net) % (d.n - 24)] ^= 0x55; /* FINGERPRINT tells */
        return d;
    default:
        return noise(net, (uint8_t)net_random(net));
    }
}

static struct sfu_address stranger(struct net *net)
{
    return sfu_address_v4(0xc6330000 | (net_random(net) & 0xffff), (uint16_t)net_random(net));
}

static uint64_t dropped(const struct conference *f)
{
    return conference_counter(f, SFU_COUNTER_DROP_UNKNOWN) +
           conference_counter(f, SFU_COUNTER_DROP_STUN_MALFORMED) +
           conference_counter(f, SFU_COUNTER_DROP_STUN_STRANGER) +
           conference_counter(f, SFU_COUNTER_DROP_STUN_REFUSED) +
           conference_counter(f, SFU_COUNTER_DROP_SIZE);
}

static void meet(struct conference *f, unsigned workers)
{
    conference_init(f, &(struct conference_options){.worker_count = workers});
    for (unsigned i = 0; i < 3; i++) {
        struct person_options o = SPEAKER;
        o.publisher_worker = i % workers;
        o.subscriber_worker = (i + 1) % workers;
        (void)conference_join(f, &o);
    }
    conference_subscribe_all(f);
    conference_run_ms(f, 2500);
}

static void check_unharmed(struct conference *f, unsigned frames)
{
    conference_settle(f);
    conference_assert_faultless(f);
    for (unsigned i = 0; i < f->person_count; i++)
        for (unsigned k = 0; k < f->people[i].subscriber->receiver_count; k++) {
            struct client_receiver *r = &f->people[i].subscriber->receivers[k];
            assert_true(client_is_complete(r));
            assert_true(r->is_audio || r->frames >= frames);
        }
    assert_int_equal(f->events[SFU_EVENT_PEER_DISCONNECTED], 0);
    assert_int_equal(f->events[SFU_EVENT_PEER_CLOSED], 0);
    assert_int_equal(f->events[SFU_EVENT_PEER_FAILED], 0);
    assert_int_equal(f->events[SFU_EVENT_PEER_MOVED], 0);
}

/* Every kind, from strange addresses, to every worker: silence, and each is counted. */
static void test_strangers_get_nothing(void **state)
{
    struct conference f;
    struct sfu_credentials credentials;
    sfu_peer_id expected;
    meet(&f, 2);
    struct sfu_peer_options opt = {.room = CONFERENCE_ROOM};
    assert_int_equal(sfu_peer_add(f.sfu, &opt, &expected, &credentials), ERR_OK);
    struct client announced = {.id = 99}; /* somebody who has not come yet */
    snprintf(announced.ufrag, sizeof(announced.ufrag), "abcd");
    memcpy(announced.remote_ufrag, credentials.ufrag, sizeof(credentials.ufrag));
    memcpy(announced.remote_pwd, credentials.pwd, sizeof(credentials.pwd));
    uint64_t before = dropped(&f);
    unsigned count = 0;
    for (unsigned round = 0; round < 50; round++)
        for (enum kind kind = 0; kind < KINDS; kind++)
            for (unsigned i = 0; i <= f.client_count; i++) {
                const struct client *c = i < f.client_count ? f.clients[i] : &announced;
                struct datagram d = forge(&f.net, c, kind);
                struct sfu_address from = stranger(&f.net);
                conference_inject(&f, round % 2, &from, d.bytes, d.n);
                count++;
            }
    conference_run_ms(&f, 500); /* what was handed over, and what a timer might send */
    assert_int_equal(f.bytes_to_strangers, 0);
    assert_int_equal(dropped(&f) - before, count);
    check_unharmed(&f, 85);
    conference_deinit(&f);
}

/* Who knows ufrag and password gets the answer to the check, not larger than it, and no more. */
static void test_a_right_check_is_answered(void **state)
{
    struct conference f;
    struct sfu_credentials credentials;
    sfu_peer_id id;
    char username[64];
    conference_init(&f, &(struct conference_options){0});
    struct sfu_peer_options opt = {.room = CONFERENCE_ROOM};
    assert_int_equal(sfu_peer_add(f.sfu, &opt, &id, &credentials), ERR_OK);
    snprintf(username, sizeof(username), "%s:abcd", credentials.ufrag);
    struct sfu_address from = stranger(&f.net);
    struct datagram d = check_of(username, "not the password at all!");
    conference_inject(&f, 0, &from, d.bytes, d.n);
    conference_run_ms(&f, 100);
    assert_int_equal(f.datagrams_sent, 0);
    assert_int_equal(sfu_worker_peer_count(sfu_worker(f.sfu, 0)), 0); /* costs us nothing */
    d = check_of(username, credentials.pwd);
    conference_inject(&f, 0, &from, d.bytes, d.n);
    conference_run_ms(&f, 5000);
    assert_int_equal(f.datagrams_sent, 1);
    assert_true(f.bytes_to_strangers > 0 && f.bytes_to_strangers <= d.n);
    conference_deinit(&f);
}

/* A hundred thousand in a second, half of them under the participants' own addresses: the meeting
 * goes on as if nothing was, and nothing of the flood is kept. */
static void test_spoofed_flood(void **state)
{
    struct conference f;
    meet(&f, 2);
    uint64_t received = conference_counter(&f, SFU_COUNTER_RECEIVED);
    size_t bufs[2];
    for (unsigned w = 0; w < 2; w++)
        bufs[w] = sfu_worker_buf_count(sfu_worker(f.sfu, w));
    for (unsigned ms = 0; ms < FLOOD_MS; ms++) {
        for (unsigned i = 0; i < FLOOD_PER_MS; i++) {
            unsigned victim = net_random(&f.net) % f.client_count;
            const struct client *c = f.clients[victim];
            struct datagram d = forge(&f.net, c, (enum kind)(i % KINDS));
            struct sfu_address from = i % 2 ? c->address : stranger(&f.net);
            conference_inject(&f, i % 2 ? f.lands_on[victim] : i / 2 % 2, &from, d.bytes, d.n);
        }
        conference_run_ms(&f, 1);
    }
    assert_true(conference_counter(&f, SFU_COUNTER_RECEIVED) - received > FLOOD_MS * FLOOD_PER_MS);
    assert_true(conference_counter(&f, SFU_COUNTER_DROP_SRTP_FORGED) > FLOOD_MS * 5);
    assert_int_equal(f.bytes_to_strangers, 0);
    for (unsigned w = 0; w < 2; w++) {
        assert_int_equal(sfu_worker_peer_count(sfu_worker(f.sfu, w)), 3);
        /* What the last three seconds of the meeting need, as before. */
        assert_true(sfu_worker_buf_count(sfu_worker(f.sfu, w)) < bufs[w] * 3 / 2);
    }
    check_unharmed(&f, 100);
    conference_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strangers_get_nothing),
        cmocka_unit_test(test_a_right_check_is_answered),
        cmocka_unit_test(test_spoofed_flood),
    };
    return cmocka_run_group_tests_name("sfu_conference_hostile", tests, NULL, NULL);
}
