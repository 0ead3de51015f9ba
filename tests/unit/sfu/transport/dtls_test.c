/*
 * dtls_test: two ends of our own over a virtual network: profiles, fingerprints, lost datagrams in
 * every place, fragments, and bytes that are not DTLS.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sfu/transport/dtls.h"

#define QUEUE_MAX 64

struct datagram {
    size_t n;
    uint8_t bytes[1500];
};

struct end {
    struct dtls *dtls;
    struct datagram out[QUEUE_MAX]; /* sent and not yet delivered */
    size_t count;
    size_t sent;   /* ever */
    uint64_t lose; /* bit i: the i-th datagram ever sent is lost */
    size_t largest;
    char received[64];
    int echoes; /* how many messages to answer from inside on_data */
};

static struct dtls_context *context_a, *context_b;

static void on_send(void *arg, const uint8_t *bytes, size_t n)
{
    struct end *e = arg;
    assert_true(n <= DTLS_MTU_BYTES);
    e->largest = MAX(e->largest, n);
    if (e->sent < 64 && (e->lose >> e->sent & 1)) {
        e->sent++;
        return;
    }
    e->sent++;
    assert_true(e->count < QUEUE_MAX);
    e->out[e->count].n = n;
    memcpy(e->out[e->count++].bytes, bytes, n);
}

static void on_data(void *arg, const uint8_t *bytes, size_t n)
{
    struct end *e = arg;
    assert_true(n < sizeof(e->received));
    memcpy(e->received, bytes, n);
    e->received[n] = 0;
    if (e->echoes-- > 0)
        assert_int_equal(dtls_write(e->dtls, bytes, n), ERR_OK);
}

static void end_init(struct end *e, enum dtls_role role, const struct dtls_options *more)
{
    struct dtls_context *own = role == DTLS_CLIENT ? context_a : context_b;
    struct dtls_context *other = role == DTLS_CLIENT ? context_b : context_a;
    struct dtls_options opt = more ? *more : (struct dtls_options){0};
    *e = (struct end){.lose = 0};
    opt.context = own;
    opt.role = role;
    opt.on_send = on_send;
    opt.on_data = on_data;
    opt.arg = e;
    if (!more)
        opt.remote = dtls_context_fingerprint(other);
    assert_int_equal(dtls_create(&e->dtls, &opt), ERR_OK);
}

/* Delivers everything that lies in the queues, back and forth, in order. */
static void deliver(struct end *a, struct end *b, int64_t now_us)
{
    struct datagram d;
    for (;;) {
        struct end *from = a->count ? a : b->count ? b : NULL;
        if (!from)
            return;
        d = from->out[0];
        memmove(from->out, from->out + 1, --from->count * sizeof(d));
        dtls_on_datagram((from == a ? b : a)->dtls, d.bytes, d.n, now_us);
    }
}

/* Runs virtual time until both are settled or nothing is waited for; returns the time. */
static int64_t run(struct end *a, struct end *b, int64_t until_us)
{
    int64_t now = 0;
    dtls_start(b->dtls, now);
    dtls_start(a->dtls, now);
    for (;;) {
        deliver(a, b, now);
        if (dtls_state(a->dtls) == DTLS_CONNECTED && dtls_state(b->dtls) == DTLS_CONNECTED)
            return now;
        int64_t next = MIN(dtls_deadline_us(a->dtls), dtls_deadline_us(b->dtls));
        if (next == INT64_MAX || next > until_us)
            return now;
        now = next;
        dtls_tick(a->dtls, now);
        dtls_tick(b->dtls, now);
    }
}

static void end_deinit(struct end *e)
{
    dtls_destroy(&e->dtls);
}

static void assert_same_keys(struct end *client, struct end *server, enum srtp_profile profile)
{
    struct dtls_srtp_keys a, b;
    assert_int_equal(dtls_export_keys(client->dtls, &a), ERR_OK);
    assert_int_equal(dtls_export_keys(server->dtls, &b), ERR_OK);
    assert_int_equal(a.profile, profile);
    assert_int_equal(b.profile, profile);
    assert_memory_equal(&a.send, &b.recv, sizeof(a.send));
    assert_memory_equal(&a.recv, &b.send, sizeof(a.recv));
    assert_memory_not_equal(&a.send, &a.recv, sizeof(a.send));
}

static void connects_and_exports_the_same_keys(void **state)
{
    struct end client, server;
    end_init(&client, DTLS_CLIENT, NULL);
    end_init(&server, DTLS_SERVER, NULL);
    struct dtls_srtp_keys keys;
    assert_int_equal(dtls_export_keys(client.dtls, &keys), ERR_FAILED_PRECONDITION);
    run(&client, &server, 1000000);
    assert_int_equal(dtls_state(client.dtls), DTLS_CONNECTED);
    assert_int_equal(dtls_state(server.dtls), DTLS_CONNECTED);
    assert_same_keys(&client, &server, SRTP_PROFILE_GCM_128);
    assert_true(dtls_deadline_us(client.dtls) == INT64_MAX);
    assert_true(dtls_deadline_us(server.dtls) == INT64_MAX);
    end_deinit(&client);
    end_deinit(&server);
}

static void the_server_chooses_the_profile(void **state)
{
    static const struct {
        enum srtp_profile client[4], server[4], chosen;
    } CASES[] = {
        {{SRTP_PROFILE_SHA1_80, SRTP_PROFILE_GCM_256, SRTP_PROFILE_GCM_128},
         {0},
         SRTP_PROFILE_GCM_128},
        {{SRTP_PROFILE_SHA1_80, SRTP_PROFILE_GCM_256}, {0}, SRTP_PROFILE_GCM_256},
        {{SRTP_PROFILE_SHA1_80}, {0}, SRTP_PROFILE_SHA1_80},
        {{SRTP_PROFILE_GCM_128, SRTP_PROFILE_SHA1_80},
         {SRTP_PROFILE_SHA1_80, SRTP_PROFILE_GCM_128},
         SRTP_PROFILE_SHA1_80},
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct end client, server;
        struct dtls_options c = {.remote = dtls_context_fingerprint(context_b),
                                 .profiles = CASES[i].client};
        struct dtls_options s = {.remote = dtls_context_fingerprint(context_a),
                                 .profiles = CASES[i].server[0] ? CASES[i].server : NULL};
        end_init(&client, DTLS_CLIENT, &c);
        end_init(&server, DTLS_SERVER, &s);
        run(&client, &server, 1000000);
        assert_same_keys(&client, &server, CASES[i].chosen);
        end_deinit(&client);
        end_deinit(&server);
    }
}

static void no_common_profile_fails(void **state)
{
    static const enum srtp_profile SHA1[] = {SRTP_PROFILE_SHA1_80, SRTP_PROFILE_NONE};
    static const enum srtp_profile GCM[] = {SRTP_PROFILE_GCM_128, SRTP_PROFILE_NONE};
    struct end client, server;
    struct dtls_options c = {.remote = dtls_context_fingerprint(context_b), .profiles = SHA1};
    struct dtls_options s = {.remote = dtls_context_fingerprint(context_a), .profiles = GCM};
    end_init(&client, DTLS_CLIENT, &c);
    end_init(&server, DTLS_SERVER, &s);
    run(&client, &server, 1000000);
    struct dtls_srtp_keys keys;
    assert_int_equal(dtls_state(server.dtls), DTLS_FAILED);
    assert_int_equal(dtls_failure(server.dtls), DTLS_NO_PROFILE);
    assert_int_equal(dtls_export_keys(server.dtls, &keys), ERR_FAILED_PRECONDITION);
    end_deinit(&client);
    end_deinit(&server);
}

static void a_wrong_fingerprint_gives_no_keys(void **state)
{
    for (int bad_bit = 0; bad_bit < 256; bad_bit += 51) {
        struct end client, server;
        struct fingerprint wrong = *dtls_context_fingerprint(context_a);
        wrong.bytes[bad_bit / 8] ^= (uint8_t)(1 << bad_bit % 8);
        end_init(&client, DTLS_CLIENT, NULL);
        end_init(&server, DTLS_SERVER, &(struct dtls_options){.remote = &wrong});
        run(&client, &server, 1000000);
        struct dtls_srtp_keys keys;
        assert_int_equal(dtls_state(server.dtls), DTLS_FAILED);
        assert_int_equal(dtls_failure(server.dtls), DTLS_BAD_FINGERPRINT);
        assert_int_equal(dtls_export_keys(server.dtls, &keys), ERR_FAILED_PRECONDITION);
        assert_int_equal(dtls_state(client.dtls), DTLS_FAILED); /* it was told by an alert */
        end_deinit(&client);
        end_deinit(&server);
    }
}

static void a_late_fingerprint_holds_the_keys_back(void **state)
{
    for (int is_right = 0; is_right < 2; is_right++) {
        struct end client, server;
        end_init(&client, DTLS_CLIENT, NULL);
        end_init(&server, DTLS_SERVER, &(struct dtls_options){.remote = NULL});
        run(&client, &server, 1000000);
        struct dtls_srtp_keys keys;
        assert_int_equal(dtls_state(server.dtls), DTLS_UNVERIFIED);
        assert_int_equal(dtls_export_keys(server.dtls, &keys), ERR_FAILED_PRECONDITION);
        assert_int_equal(dtls_write(client.dtls, (const uint8_t *)"early", 5), ERR_OK);
        deliver(&client, &server, 0);
        assert_string_equal(server.received, "");
        struct fingerprint f = *dtls_context_fingerprint(context_a);
        f.bytes[31] ^= !is_right;
        dtls_set_remote_fingerprint(server.dtls, &f);
        assert_int_equal(dtls_state(server.dtls), is_right ? DTLS_CONNECTED : DTLS_FAILED);
        if (is_right)
            assert_same_keys(&client, &server, SRTP_PROFILE_GCM_128);
        else
            assert_int_equal(dtls_failure(server.dtls), DTLS_BAD_FINGERPRINT);
        end_deinit(&client);
        end_deinit(&server);
    }
}

static void an_unverified_peer_times_out(void **state)
{
    struct end client, server;
    end_init(&client, DTLS_CLIENT, NULL);
    end_init(&server, DTLS_SERVER, &(struct dtls_options){.timeout_us = 5000000});
    run(&client, &server, 4000000);
    assert_int_equal(dtls_state(server.dtls), DTLS_UNVERIFIED);
    assert_true(dtls_deadline_us(server.dtls) == 5000000);
    assert_int_equal(dtls_tick(server.dtls, 5000000), DTLS_FAILED);
    assert_int_equal(dtls_failure(server.dtls), DTLS_TIMED_OUT);
    end_deinit(&client);
    end_deinit(&server);
}

/* The first four datagrams of both sides lost in all patterns. */
static void survives_lost_datagrams(void **state)
{
    for (unsigned pattern = 0; pattern < 256; pattern++) {
        struct end client, server;
        end_init(&client, DTLS_CLIENT, NULL);
        end_init(&server, DTLS_SERVER, NULL);
        client.lose = pattern & 15;
        server.lose = pattern >> 4;
        int64_t took = run(&client, &server, 20000000);
        if (dtls_state(client.dtls) != DTLS_CONNECTED || dtls_state(server.dtls) != DTLS_CONNECTED)
            fail_msg("pattern %u: client %d server %d at %lld us", pattern, dtls_state(client.dtls),
                     dtls_state(server.dtls), (long long)took);
        assert_same_keys(&client, &server, SRTP_PROFILE_GCM_128);
        /* 100 + 200 + 400 + 800 ms at most per flight and side */
        assert_true(took <= 4000000);
        end_deinit(&client);
        end_deinit(&server);
    }
}

static void resends_at_100_ms_doubling_to_4_s(void **state)
{
    static const int64_t AT_MS[] = {100, 300, 700, 1500, 3100, 6300, 10300, 14300};
    struct end client;
    end_init(&client, DTLS_CLIENT, NULL);
    dtls_start(client.dtls, 0);
    size_t flight = client.sent;
    for (size_t i = 0; i < ARRAY_LEN(AT_MS); i++) {
        assert_int_equal(dtls_deadline_us(client.dtls), AT_MS[i] * 1000);
        dtls_tick(client.dtls, AT_MS[i] * 1000 - 1);
        assert_int_equal(client.sent, flight * (i + 1));
        dtls_tick(client.dtls, AT_MS[i] * 1000);
        assert_int_equal(client.sent, flight * (i + 2));
        client.count = 0;
    }
    assert_int_equal(dtls_tick(client.dtls, 30000000), DTLS_FAILED);
    assert_int_equal(dtls_failure(client.dtls), DTLS_TIMED_OUT);
    end_deinit(&client);
}

/* The fragments used up record numbers that the client will use again in the clear: move those up.
 */
static void renumber_clear_records(struct datagram *d)
{
    for (size_t at = 0; at + 13 <= d->n;
         at += 13 + ((size_t)d->bytes[at + 11] << 8 | d->bytes[at + 12]))
        if (d->bytes[at + 3] == 0 && d->bytes[at + 4] == 0)
            d->bytes[at + 9] = 4;
}

/* A ClientHello in one record becomes records of `size` bytes of handshake body (RFC 6347 4.2.3).
 */
static void send_fragmented(struct end *to, const struct datagram *hello, size_t size,
                            bool backward)
{
    const uint8_t *record = hello->bytes;
    size_t length = (size_t)record[13 + 1] << 16 | (size_t)record[13 + 2] << 8 | record[13 + 3];
    const uint8_t *message = record + 13 + 12;
    size_t pieces = (length + size - 1) / size;
    for (size_t i = 0; i < pieces; i++) {
        size_t at = (backward ? pieces - 1 - i : i) * size, n = MIN(size, length - at);
        uint8_t out[1500];
        memcpy(out, record, 13 + 12);
        out[10] = (uint8_t)i; /* record sequence number */
        out[11] = (uint8_t)((n + 12) >> 8);
        out[12] = (uint8_t)(n + 12);
        out[13 + 6] = 0;
        out[13 + 7] = (uint8_t)(at >> 8);
        out[13 + 8] = (uint8_t)at;
        out[13 + 9] = 0;
        out[13 + 10] = (uint8_t)(n >> 8);
        out[13 + 11] = (uint8_t)n;
        memcpy(out + 25, message + at, n);
        dtls_on_datagram(to->dtls, out, 25 + n, 0);
    }
}

static void accepts_a_fragmented_client_hello(void **state)
{
    static const size_t SIZES[] = {1, 7, 50, 100, 140};
    for (size_t i = 0; i < ARRAY_LEN(SIZES) * 2; i++) {
        struct end client, server;
        end_init(&client, DTLS_CLIENT, NULL);
        end_init(&server, DTLS_SERVER, NULL);
        dtls_start(client.dtls, 0);
        assert_int_equal(client.count, 1);
        send_fragmented(&server, &client.out[0], SIZES[i / 2], i % 2);
        client.count = 0;
        assert_true(server.count > 0);
        for (size_t k = 0; k < server.count; k++)
            dtls_on_datagram(client.dtls, server.out[k].bytes, server.out[k].n, 0);
        server.count = 0;
        for (size_t k = 0; k < client.count; k++)
            renumber_clear_records(&client.out[k]);
        deliver(&client, &server, 0);
        assert_same_keys(&client, &server, SRTP_PROFILE_GCM_128);
        end_deinit(&client);
        end_deinit(&server);
    }
}

static void carries_application_data(void **state)
{
    struct end client, server;
    end_init(&client, DTLS_CLIENT, NULL);
    end_init(&server, DTLS_SERVER, NULL);
    assert_int_equal(dtls_write(client.dtls, (const uint8_t *)"x", 1), ERR_FAILED_PRECONDITION);
    run(&client, &server, 1000000);
    assert_int_equal(dtls_write(client.dtls, (const uint8_t *)"to server", 9), ERR_OK);
    assert_int_equal(dtls_write(server.dtls, (const uint8_t *)"to client", 9), ERR_OK);
    deliver(&client, &server, 0);
    assert_string_equal(server.received, "to server");
    assert_string_equal(client.received, "to client");
    dtls_close(client.dtls);
    deliver(&client, &server, 0);
    assert_int_equal(dtls_state(server.dtls), DTLS_CLOSED);
    assert_int_equal(dtls_state(client.dtls), DTLS_CLOSED);
    end_deinit(&client);
    end_deinit(&server);
}

/* SCTP answers from inside the callback; two records share a datagram. */
static void answers_from_inside_the_callback(void **state)
{
    struct end client, server;
    end_init(&client, DTLS_CLIENT, NULL);
    end_init(&server, DTLS_SERVER, NULL);
    run(&client, &server, 1000000);
    server.echoes = 3;
    assert_int_equal(dtls_write(client.dtls, (const uint8_t *)"one", 3), ERR_OK);
    assert_int_equal(dtls_write(client.dtls, (const uint8_t *)"two", 3), ERR_OK);
    assert_int_equal(client.count, 2);
    struct datagram both = client.out[0];
    memcpy(both.bytes + both.n, client.out[1].bytes, client.out[1].n);
    both.n += client.out[1].n;
    client.count = 0;
    dtls_on_datagram(server.dtls, both.bytes, both.n, 0);
    assert_string_equal(server.received, "two");
    assert_int_equal(server.count, 2);
    deliver(&client, &server, 0);
    assert_string_equal(client.received, "two");
    end_deinit(&client);
    end_deinit(&server);
}

/* Incident 4 of the trust notes: data in the clear (epoch 0) must not pass for the peer's. */
static void refuses_plaintext_after_the_handshake(void **state)
{
    static const uint8_t CLEAR[] = {23, 0xfe, 0xfd, 0, 0,   0,   0,   0,  0,
                                    0,  99,   0,    4, 'e', 'v', 'i', 'l'};
    static const uint8_t ALERT[] = {21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 98, 0, 2, 2, 40};
    struct end client, server;
    end_init(&client, DTLS_CLIENT, NULL);
    end_init(&server, DTLS_SERVER, NULL);
    run(&client, &server, 1000000);
    dtls_on_datagram(server.dtls, CLEAR, sizeof(CLEAR), 0);
    dtls_on_datagram(server.dtls, ALERT, sizeof(ALERT), 0);
    assert_string_equal(server.received, "");
    assert_int_equal(dtls_state(server.dtls), DTLS_CONNECTED);
    end_deinit(&client);
    end_deinit(&server);
}

/* Each datagram delivered three times, some of them again after the end: no echo between the ends.
 */
static void duplicates_die_out(void **state)
{
    struct end client, server;
    struct datagram seen[QUEUE_MAX];
    bool is_from_client[QUEUE_MAX];
    size_t count = 0;
    end_init(&client, DTLS_CLIENT, NULL);
    end_init(&server, DTLS_SERVER, NULL);
    dtls_start(client.dtls, 0);
    while (client.count || server.count) {
        struct end *from = client.count ? &client : &server;
        struct end *to = client.count ? &server : &client;
        assert_true(count < QUEUE_MAX);
        is_from_client[count] = from == &client;
        seen[count] = from->out[0];
        memmove(from->out, from->out + 1, --from->count * sizeof(seen[0]));
        for (int copies = 0; copies < 3; copies++)
            dtls_on_datagram(to->dtls, seen[count].bytes, seen[count].n, 0);
        count++;
    }
    assert_same_keys(&client, &server, SRTP_PROFILE_GCM_128);
    size_t before = client.sent + server.sent;
    for (int64_t now_us = 1000; now_us < 200000; now_us += 1000) {
        for (size_t i = 0; i < count; i++)
            dtls_on_datagram((is_from_client[i] ? &server : &client)->dtls, seen[i].bytes,
                             seen[i].n, now_us);
        deliver(&client, &server, now_us);
    }
    assert_true(client.sent + server.sent - before <= 4 * 2); /* the last flight every 50 ms */
    assert_same_keys(&client, &server, SRTP_PROFILE_GCM_128);
    end_deinit(&client);
    end_deinit(&server);
}

static void *shake_hands(void *arg)
{
    for (int i = 0; i < 10; i++) {
        struct end *client = calloc(1, sizeof(*client)), *server = calloc(1, sizeof(*server));
        end_init(client, DTLS_CLIENT, NULL);
        end_init(server, DTLS_SERVER, NULL);
        run(client, server, 1000000);
        assert_same_keys(client, server, SRTP_PROFILE_GCM_128);
        struct dtls_srtp_keys keys;
        struct sfu_srtp_tx *tx;
        assert_int_equal(dtls_export_keys(client->dtls, &keys), ERR_OK);
        struct sfu_srtp_options opt = {.profile = keys.profile, .key = &keys.send};
        assert_int_equal(sfu_srtp_tx_create(&tx, &opt), ERR_OK);
        static const uint8_t HEADER[12] = {0x80};
        struct sfu_srtp_parts parts = {.header = HEADER, .header_bytes = 12};
        uint8_t out[64];
        size_t n;
        assert_int_equal(sfu_srtp_protect(tx, &parts, out, sizeof(out), &n), ERR_OK);
        sfu_srtp_tx_destroy(&tx);
        end_deinit(client);
        end_deinit(server);
        free(client);
        free(server);
    }
    return NULL;
}

/* The context and the crypto engines are shared by all workers (meant for the thread sanitizer). */
static void workers_share_one_context(void **state)
{
    pthread_t threads[3];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, shake_hands, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* Random and damaged datagrams end no connection that stands. */
static void garbage_ends_nothing(void **state)
{
    struct end client, server;
    end_init(&client, DTLS_CLIENT, NULL);
    end_init(&server, DTLS_SERVER, NULL);
    run(&client, &server, 1000000);
    assert_int_equal(dtls_write(client.dtls, (const uint8_t *)"hello", 5), ERR_OK);
    struct datagram good = client.out[0];
    client.count = 0;
    uint32_t seed = 1;
    for (int i = 0; i < 20000; i++) {
        struct datagram bad = good;
        seed = seed * 1664525 + 1013904223;
        bad.bytes[seed >> 8 & 31] ^= (uint8_t)(1 + (seed >> 16 & 127));
        bad.bytes[0] = (uint8_t)(20 + (seed >> 24) % 44);
        dtls_on_datagram(server.dtls, bad.bytes, (seed >> 4) % (good.n + 1), i);
        server.count = 0;
    }
    assert_int_equal(dtls_state(server.dtls), DTLS_CONNECTED);
    dtls_on_datagram(server.dtls, good.bytes, good.n, 0);
    assert_string_equal(server.received, "hello");
    end_deinit(&client);
    end_deinit(&server);
}

/* Truncates every datagram of a handshake at every byte: never a crash, never a key. */
static void truncated_handshakes(void **state)
{
    for (size_t cut = 1; cut < 700; cut += 3) {
        struct end client, server;
        end_init(&client, DTLS_CLIENT, NULL);
        end_init(&server, DTLS_SERVER, NULL);
        dtls_start(client.dtls, 0);
        struct datagram hello = client.out[0];
        client.count = 0;
        if (cut < hello.n) {
            dtls_on_datagram(server.dtls, hello.bytes, cut, 0);
            assert_int_not_equal(dtls_state(server.dtls), DTLS_CONNECTED);
        }
        server.count = 0;
        dtls_on_datagram(server.dtls, hello.bytes, hello.n, 0);
        if (server.count && cut < server.out[0].n) {
            dtls_on_datagram(client.dtls, server.out[0].bytes, cut, 0);
            assert_int_not_equal(dtls_state(client.dtls), DTLS_CONNECTED);
        }
        end_deinit(&client);
        end_deinit(&server);
    }
}

static int setup(void **state)
{
    return dtls_context_create(&context_a) || dtls_context_create(&context_b);
}

static int teardown(void **state)
{
    dtls_context_destroy(&context_a);
    dtls_context_destroy(&context_b);
    return context_a || context_b;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connects_and_exports_the_same_keys),
        cmocka_unit_test(the_server_chooses_the_profile),
        cmocka_unit_test(no_common_profile_fails),
        cmocka_unit_test(a_wrong_fingerprint_gives_no_keys),
        cmocka_unit_test(a_late_fingerprint_holds_the_keys_back),
        cmocka_unit_test(an_unverified_peer_times_out),
        cmocka_unit_test(survives_lost_datagrams),
        cmocka_unit_test(resends_at_100_ms_doubling_to_4_s),
        cmocka_unit_test(accepts_a_fragmented_client_hello),
        cmocka_unit_test(carries_application_data),
        cmocka_unit_test(answers_from_inside_the_callback),
        cmocka_unit_test(refuses_plaintext_after_the_handshake),
        cmocka_unit_test(duplicates_die_out),
        cmocka_unit_test(workers_share_one_context),
        cmocka_unit_test(garbage_ends_nothing),
        cmocka_unit_test(truncated_handshakes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
