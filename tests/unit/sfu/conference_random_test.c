/*
 * What no scenario foresaw: meetings in which people come, go, mute, move, restart and change their
 * minds at random, on one worker or several, over bad networks; and one among them who sends
 * whatever comes to mind, properly encrypted. Each seed is another meeting. (RANDOM_SEEDS=1000 in
 * the environment runs as many, for a night.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conference/conference.h"

#define PEOPLE 6
#define ACTS 60
#define SEEDS 12

struct play {
    struct conference f;
    uint64_t seed;
    bool is_gone[PEOPLE];
    bool has_ended[PEOPLE][CLIENT_TRACKS]; /* the track */
    /* receivers[i] of person p shows track `of[p][i]` of person `from[p][i]`. */
    unsigned from[PEOPLE][CLIENT_RECEIVERS];
    unsigned of[PEOPLE][CLIENT_RECEIVERS];
};

static unsigned pick(struct play *p, unsigned n)
{
    return net_random(&p->f.net) % n;
}

static bool has_received(const struct play *p, unsigned who, unsigned from, unsigned track)
{
    for (unsigned i = 0; i < p->f.people[who].subscriber->receiver_count; i++)
        if (p->from[who][i] == from && p->of[who][i] == track)
            return true;
    return false;
}

/* Somebody gets everything there is and was not had before. */
static void subscribe_all(struct play *p, unsigned who)
{
    for (unsigned from = 0; from < p->f.person_count; from++)
        for (unsigned t = 0; t < p->f.people[from].track_count; t++) {
            if (from == who || p->is_gone[from] || p->has_ended[from][t] ||
                has_received(p, who, from, t))
                continue;
            unsigned i = p->f.people[who].subscriber->receiver_count;
            p->from[who][i] = from;
            p->of[who][i] = t;
            struct client_receiver *r =
                conference_subscribe(&p->f, &p->f.people[who], &p->f.people[from], t);
            r->is_gap_allowed = r->may_skip = true;
        }
}

static void come(struct play *p)
{
    if (p->f.person_count == PEOPLE)
        return;
    (void)conference_join(&p->f, &(struct person_options){
                                     .video_layers = pick(p, 4),
                                     .codec = SFU_CODEC_VP8 + pick(p, 4),
                                     .has_audio = pick(p, 2),
                                     .has_screen = pick(p, 4) == 0,
                                     .is_without_rtx = pick(p, 5) == 0,
                                     .publisher_worker = pick(p, p->f.worker_count),
                                     .subscriber_worker = pick(p, p->f.worker_count),
                                 });
    for (unsigned i = 0; i < p->f.person_count; i++)
        if (!p->is_gone[i])
            subscribe_all(p, i);
}

static void go(struct play *p, unsigned who)
{
    struct person *x = &p->f.people[who];
    assert_int_equal(sfu_peer_remove(p->f.sfu, x->publisher_id), ERR_OK);
    assert_int_equal(sfu_peer_remove(p->f.sfu, x->subscriber_id), ERR_OK);
    x->publisher->is_silent = x->subscriber->is_silent = true;
    p->is_gone[who] = true;
}

static void move(struct play *p, struct client *c)
{
    struct sfu_address to = c->address;
    to.port = (uint16_t)(to.port + 100);
    p->f.lands_on[c->id - 1] = pick(p, p->f.worker_count);
    client_move(c, &to);
}

static void restart(struct play *p, sfu_peer_id id, struct client *c)
{
    struct sfu_credentials fresh;
    assert_int_equal(sfu_peer_restart_ice(p->f.sfu, id, &fresh), ERR_OK);
    client_restart(c, &fresh);
}

/* A new encoder: other SSRCs, other numbers. */
static void renew(struct client_track *t)
{
    for (unsigned i = 0; i < t->layer_count; i++) {
        struct client_layer *l = &t->layers[i];
        /* Two jumps in a row under one SSRC, and SRTP itself loses count (RFC 3711, 3.3.1). */
        if (l->frame < l->renewed_at + 5)
            continue;
        l->renewed_at = l->frame;
        if (l->rid[0]) {
            l->renewals++;
            l->ssrc += CLIENT_RENEWAL;
            l->rtx_ssrc += CLIENT_RENEWAL;
        }
        l->seq = (uint16_t)(l->seq + 12345);
        l->wants_key = true;
        l->next_report_us += 500000;
        memset(l->sent, 0, CLIENT_HISTORY * sizeof(*l->sent));
    }
}

static void act_on_track(struct play *p, unsigned who)
{
    struct person *x = &p->f.people[who];
    if (!x->track_count)
        return;
    unsigned t = pick(p, x->track_count);
    struct client_track *track = &x->publisher->tracks[t];
    struct sfu_producer_flags flags = {.is_held = pick(p, 2)};
    if (p->has_ended[who][t])
        return;
    switch (pick(p, 5)) {
    case 0:
        assert_int_equal(
            sfu_producer_set_flags(p->f.sfu, x->publisher_id, x->tracks[t].number, flags), ERR_OK);
        return;
    case 1:
        if (track->layer_count > 1)
            track->layers[1 + pick(p, track->layer_count - 1)].is_off ^= true;
        return;
    case 2:
        if (!track->is_audio)
            renew(track);
        return;
    case 3:
        if (pick(p, 3) == 0) {
            assert_int_equal(sfu_producer_remove(p->f.sfu, x->publisher_id, x->tracks[t].number),
                             ERR_OK);
            p->has_ended[who][t] = true;
        }
        return;
    default:
        track->is_muted ^= true;
    }
}

static void act(struct play *p)
{
    unsigned who = p->f.person_count ? pick(p, p->f.person_count) : 0;
    unsigned what = pick(p, 12);
    if (p->f.person_count < 2 || what == 0) {
        come(p);
        return;
    }
    struct person *x = &p->f.people[who];
    struct client *c = pick(p, 2) ? x->publisher : x->subscriber;
    if (p->is_gone[who] || !x->publisher->is_ready || !x->subscriber->is_ready)
        return;
    if (what == 1 && pick(p, 3) == 0)
        go(p, who);
    else if (what == 2)
        move(p, c);
    else if (what == 3)
        restart(p, c == x->publisher ? x->publisher_id : x->subscriber_id, c);
    else if (what <= 7 && x->next_consumer)
        assert_int_equal(
            sfu_consumer_set_choice(p->f.sfu, x->subscriber_id, 1 + pick(p, x->next_consumer),
                                    (struct sfu_consumer_choice){.layer = (uint8_t)pick(p, 4),
                                                                 .is_paused = pick(p, 4) == 0}),
            ERR_OK);
    else
        act_on_track(p, who);
}

static bool is_alive(const struct play *p, unsigned who, unsigned receiver)
{
    unsigned from = p->from[who][receiver];
    return !p->is_gone[who] && !p->is_gone[from] && !p->has_ended[from][p->of[who][receiver]];
}

/* Nothing is held, muted, paused, off or lost any more. */
static void release_all(struct play *p)
{
    struct conference *f = &p->f;
    f->down.loss = f->up.loss = 0;
    for (unsigned i = 0; i < f->client_count; i++)
        f->clients[i]->up.loss = 0;
    for (unsigned i = 0; i < f->person_count; i++) {
        struct person *x = &f->people[i];
        for (unsigned t = 0; !p->is_gone[i] && t < x->track_count; t++) {
            struct client_track *track = &x->publisher->tracks[t];
            track->is_muted = false;
            for (unsigned l = 0; l < track->layer_count; l++)
                track->layers[l].is_off = false;
            if (!p->has_ended[i][t])
                assert_int_equal(sfu_producer_set_flags(f->sfu, x->publisher_id,
                                                        x->tracks[t].number,
                                                        (struct sfu_producer_flags){0}),
                                 ERR_OK);
        }
        for (unsigned k = 1; !p->is_gone[i] && k <= x->next_consumer; k++)
            assert_int_equal(
                sfu_consumer_set_choice(f->sfu, x->subscriber_id, k,
                                        (struct sfu_consumer_choice){.layer = SFU_LAYER_BEST}),
                ERR_OK);
    }
}

/* However it went: in the end everybody sees and hears everybody, and misses nothing. */
static void check_recovery(struct play *p)
{
    static uint64_t before[PEOPLE][CLIENT_RECEIVERS];
    release_all(p);
    conference_run_ms(&p->f, 1000);
    for (unsigned i = 0; i < p->f.person_count; i++)
        for (unsigned k = 0; k < p->f.people[i].subscriber->receiver_count; k++)
            before[i][k] = p->f.people[i].subscriber->receivers[k].frames;
    conference_run_ms(&p->f, 1000);
    conference_settle(&p->f);
    for (unsigned i = 0; i < p->f.person_count; i++)
        for (unsigned k = 0; k < p->f.people[i].subscriber->receiver_count; k++) {
            const struct client_receiver *r = &p->f.people[i].subscriber->receivers[k];
            if (!is_alive(p, i, k))
                continue;
            if (r->frames < before[i][k] + 25 || (!r->is_audio && !client_is_complete(r)))
                fail_msg("seed %d: person %u, track %u of %u: %d frames, waits for %d of %d",
                         (int)p->seed, i, p->of[i][k], p->from[i][k],
                         (int)(r->frames - before[i][k]), (int)r->next, (int)r->highest);
        }
}

static void run_random(uint64_t seed)
{
    struct play p = {.seed = seed};
    struct conference_options opt = {
        .seed = seed,
        .worker_count = 1 + (unsigned)seed % 3,
        .ring_bytes = seed % 4 == 0 ? 1 : 0,
        .link = {.loss = 0.01 * (double)(seed % 4),
                 .duplicate = 0.005,
                 .delay_us = 5000 + 10000 * (int64_t)(seed % 3),
                 .jitter_us = 4000 * (int64_t)(seed % 5)},
    };
    conference_init(&p.f, &opt);
    for (unsigned i = 0; i < ACTS; i++) {
        act(&p);
        conference_run_ms(&p.f, 20 + pick(&p, 120));
        for (unsigned k = 0; k < p.f.client_count; k++)
            if (p.f.clients[k]->faults)
                fail_msg("seed %d, act %u: client %u: %s", (int)seed, i, p.f.clients[k]->id,
                         p.f.clients[k]->fault);
    }
    check_recovery(&p);
    conference_assert_faultless(&p.f);
    assert_int_equal(conference_counter(&p.f, SFU_COUNTER_DROP_PROTECT), 0);
    for (unsigned i = 0; i < p.f.person_count; i++)
        if (!p.is_gone[i])
            go(&p, i);
    conference_run_ms(&p.f, 100);
    for (unsigned w = 0; w < p.f.worker_count; w++) {
        assert_int_equal(sfu_worker_peer_count(sfu_worker(p.f.sfu, w)), 0);
        assert_int_equal(sfu_worker_buf_count(sfu_worker(p.f.sfu, w)), 0);
    }
    conference_deinit(&p.f);
}

static void test_random_meetings(void **state)
{
    const char *wished = getenv("RANDOM_SEEDS"), *first = getenv("RANDOM_FIRST");
    uint64_t from = first ? strtoull(first, NULL, 10) : 1;
    uint64_t count = wished ? strtoull(wished, NULL, 10) : SEEDS;
    for (uint64_t seed = from; seed < from + count; seed++)
        run_random(seed);
}

/* ---- one who means harm ---- */

static void send_nonsense(struct conference *f, struct person *wicked)
{
    uint8_t bytes[1200];
    struct client *c = wicked->publisher;
    size_t n = 12 + net_random(&f->net) % 1100;
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)net_random(&f->net);
    bytes[0] = 0x80;
    if (net_random(&f->net) % 3 == 0) {
        static const uint8_t TYPES[] = {200, 201, 202, 203, 204, 205, 206, 207};
        bytes[0] |= net_random(&f->net) % 32;
        bytes[1] = TYPES[net_random(&f->net) % sizeof(TYPES)];
        bytes[2] = 0;
        bytes[3] = (uint8_t)(n / 4 - 1);
        n = MIN(n / 4 * 4, 1024u);
        bytes[2] = (uint8_t)((n / 4 - 1) >> 8);
        bytes[3] = (uint8_t)(n / 4 - 1);
        client_send_rtcp(net_random(&f->net) % 2 ? c : wicked->subscriber, bytes, n, sizeof(bytes));
        return;
    }
    /* Its own SSRCs, the others', and any; payload types that are negotiated. */
    const struct client *victim = f->clients[net_random(&f->net) % f->client_count];
    uint32_t ssrc = net_random(&f->net);
    if (net_random(&f->net) % 2 && victim->track_count)
        ssrc = victim->tracks[0].layers[0].ssrc;
    bytes[1] = (uint8_t)(96 + net_random(&f->net) % 16);
    for (int i = 0; i < 4; i++)
        bytes[8 + i] = (uint8_t)(ssrc >> (24 - 8 * i));
    (void)client_send_rtp(c, bytes, 12, bytes + 12, n - 12);
}

static void test_a_wicked_publisher(void **state)
{
    static const struct person_options SPEAKER = {.has_audio = true, .video_layers = 3};
    struct conference f;
    conference_init(&f, &(struct conference_options){.seed = 9, .worker_count = 2});
    for (unsigned i = 0; i < 3; i++) {
        struct person_options o = SPEAKER;
        o.publisher_worker = i % 2;
        o.subscriber_worker = (i + 1) % 2;
        (void)conference_join(&f, &o);
    }
    struct person *wicked = &f.people[2];
    for (unsigned i = 0; i < 2; i++)
        for (unsigned t = 0; t < 2; t++)
            (void)conference_subscribe(&f, &f.people[i], &f.people[1 - i], t);
    for (unsigned t = 0; t < 2; t++)
        (void)conference_subscribe(&f, wicked, &f.people[0], t);
    conference_run_ms(&f, 1500);
    for (unsigned ms = 0; ms < 2000; ms++) {
        for (unsigned i = 0; i < 5; i++)
            send_nonsense(&f, wicked);
        conference_run_ms(&f, 1);
    }
    conference_settle(&f);
    for (unsigned i = 0; i < 2; i++) {
        if (f.people[i].publisher->faults || f.people[i].subscriber->faults)
            fail_msg("person %u: %s%s", i, f.people[i].publisher->fault,
                     f.people[i].subscriber->fault);
        for (unsigned k = 0; k < 2; k++) {
            struct client_receiver *r = &f.people[i].subscriber->receivers[k];
            assert_true(client_is_complete(r) && r->frames > 80);
        }
        assert_true(f.people[i].publisher->tracks[1].layers[2].plis < 20);
    }
    conference_deinit(&f);
}

/* Far more than any browser sends: what is above the allowance goes no further, and the allowance
 * comes back. */
static void test_a_flooding_publisher(void **state)
{
    struct conference f;
    conference_init(&f, &(struct conference_options){.seed = 4});
    struct person *wicked = conference_join(&f, &(struct person_options){.video_layers = 1});
    struct person *other = conference_join(&f, &(struct person_options){0});
    struct client_receiver *r = conference_subscribe(&f, other, wicked, 0);
    conference_run_ms(&f, 1500);
    wicked->publisher->tracks[0].layers[0].packets_per_frame = 600; /* 18,000 a second */
    r->is_gap_allowed = r->may_skip = true;
    uint64_t before = conference_counter(&f, SFU_COUNTER_FORWARDED);
    uint64_t sent = wicked->publisher->tracks[0].layers[0].packets;
    conference_run_ms(&f, 2000);
    sent = wicked->publisher->tracks[0].layers[0].packets - sent;
    uint64_t forwarded = conference_counter(&f, SFU_COUNTER_FORWARDED) - before;
    assert_true(sent > 30000);
    assert_in_range(forwarded, 18000, 24500);
    assert_true(conference_counter(&f, SFU_COUNTER_DROP_RATE) >= sent - 25000);
    conference_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_meetings),
        cmocka_unit_test(test_a_wicked_publisher),
        cmocka_unit_test(test_a_flooding_publisher),
    };
    return cmocka_run_group_tests_name("sfu_conference_random", tests, NULL, NULL);
}
