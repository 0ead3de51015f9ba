/*
 * Who owns which shard, in a world of rows and instances that beat, come, leave, die and freeze at
 * random. After a while of peace every shard has one owner who lives, and they are spread evenly;
 * at no time do two hold the same fence, and nobody takes from one who beats.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/message/message_owner_plan.h"

#define INSTANCES 5
#define BEAT_MS 500

struct instance {
    struct message_owners owners;
    int64_t held[SHARDS_MAX]; /* fence, 0: none */
    bool is_here, is_frozen;
    bool is_listed; /* its row */
    int64_t beat, beat_at_ms;
};

static struct instance all[INSTANCES];
static char owner_row[SHARDS_MAX][MESSAGE_OWNER_SIZE];
static int64_t fence_row[SHARDS_MAX];
static bool is_away[SHARDS_MAX]; /* its row, with the database it lies in */
static unsigned shard_count;
static int64_t now_ms;
static unsigned seed;

static unsigned dice(unsigned n)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % n;
}

static void come(struct instance *in)
{
    int64_t beat = in->beat;
    bool is_listed = in->is_listed;
    *in = (struct instance){.is_here = true, .beat = beat, .is_listed = is_listed};
    snprintf(in->owners.me, sizeof(in->owners.me), "host-%d:1", (int)(in - all));
}

static void read_rows(struct message_view *v)
{
    memset(v, 0, sizeof(*v));
    for (int i = 0; i < INSTANCES; i++) {
        if (!all[i].is_listed)
            continue;
        struct message_peer *p = &v->peers[v->peer_count++];
        snprintf(p->id, sizeof(p->id), "host-%d:1", i);
        p->beat = all[i].beat;
    }
    memcpy(v->owners, owner_row, sizeof(v->owners));
    memcpy(v->fences, fence_row, sizeof(v->fences));
}

static struct instance *named(const char *id)
{
    int i;
    return sscanf(id, "host-%d:1", &i) == 1 ? &all[i] : NULL;
}

/* UPDATE ... SET fence = fence + 1, owner = ? WHERE fence = ? */
static bool move_row(unsigned shard, int64_t seen, const char *owner)
{
    if (fence_row[shard] != seen)
        return false;
    fence_row[shard]++;
    snprintf(owner_row[shard], sizeof(owner_row[0]), "%s", owner);
    return true;
}

static void carry_out(struct instance *in, const struct message_plan *plan)
{
    for (unsigned i = 0; i < shard_count; i++) {
        struct message_holding *h = &in->owners.holdings[i];
        if (plan->steps[i].kind == MESSAGE_STEP_NONE)
            continue;
        h->is_moving = false;
        if (plan->steps[i].kind == MESSAGE_STEP_GIVE) {
            move_row(i, in->held[i], plan->steps[i].to);
            in->held[i] = 0;
            continue;
        }
        struct instance *former = named(owner_row[i]);
        bool was_beating = former && former != in && former->is_here && !former->is_frozen &&
                           former->is_listed && now_ms - former->beat_at_ms < MESSAGE_LEASE_MS;
        int64_t seen = h->fence;
        h->is_failing = is_away[i];
        if (h->is_failing || !move_row(i, seen, in->owners.me))
            continue;
        assert_false(was_beating && former->held[i] == seen);
        in->held[i] = seen + 1;
        for (int j = 0; j < INSTANCES; j++)
            assert_false(&all[j] != in && all[j].held[i] == in->held[i]);
    }
}

static void beat(struct instance *in)
{
    static struct message_view view;
    static struct message_plan plan;
    bool is_ours[SHARDS_MAX];
    in->is_listed = !in->owners.is_leaving;
    in->beat += in->is_listed;
    in->beat_at_ms = now_ms;
    read_rows(&view);
    memset(&plan, 0, sizeof(plan));
    for (unsigned i = 0; i < shard_count; i++) {
        if (in->held[i] && view.fences[i] > in->held[i]) /* taken, while it slept perhaps */
            in->held[i] = 0;
        is_ours[i] = in->held[i] != 0;
    }
    message_plan(&in->owners, &view, shard_count, is_ours, now_ms, &plan);
    carry_out(in, &plan);
}

static void pass(int64_t ms)
{
    for (int64_t until = now_ms + ms; now_ms < until; now_ms += BEAT_MS / 5)
        for (int i = 0; i < INSTANCES; i++)
            if (all[i].is_here && !all[i].is_frozen && now_ms - all[i].beat_at_ms >= BEAT_MS)
                beat(&all[i]);
}

static void something_happens(void)
{
    struct instance *in = &all[dice(INSTANCES)];
    switch (dice(5)) {
    case 0: /* killed: what it held it holds no more; its rows stay */
        in->is_here = false;
        memset(in->held, 0, sizeof(in->held));
        break;
    case 1:
        if (!in->is_here || in->owners.is_leaving)
            come(in);
        break;
    case 2:
        in->owners.is_leaving = true; /* until it is gone */
        break;
    case 3:
        in->is_frozen = true;
        break;
    default:
        in->is_frozen = false;
    }
}

static void check_peace(void)
{
    unsigned alive = 0, least = UINT32_MAX, most = 0;
    for (int i = 0; i < INSTANCES; i++) {
        unsigned owned = 0;
        if (!all[i].is_here || all[i].is_frozen || all[i].owners.is_leaving)
            continue;
        for (unsigned s = 0; s < shard_count; s++)
            owned += all[i].held[s] != 0 && all[i].held[s] == fence_row[s];
        alive++;
        least = MIN(least, owned);
        most = MAX(most, owned);
    }
    for (unsigned s = 0; s < shard_count; s++) {
        const struct instance *owner = named(owner_row[s]);
        assert_true(owner && owner->held[s] == fence_row[s]);
    }
    assert_true(most <= (shard_count + alive - 1) / alive);
    assert_true(alive > shard_count || least > 0);
}

static void play(unsigned shards, unsigned from)
{
    seed = from;
    shard_count = shards;
    memset(all, 0, sizeof(all));
    memset(owner_row, 0, sizeof(owner_row));
    memset(fence_row, 0, sizeof(fence_row));
    now_ms = 1000000;
    come(&all[0]);
    for (int round = 0; round < 6; round++) {
        for (unsigned i = dice(8); i > 0; i--) {
            something_happens();
            pass(dice(4000));
        }
        if (!all[0].is_here || all[0].owners.is_leaving)
            come(&all[0]);
        all[0].is_frozen = false;
        pass(20000);
        check_peace();
    }
}

static void test_any_course_of_things(void **state UNUSED)
{
    static const unsigned counts[] = {1, 2, 7, 8, 64};
    for (unsigned from = 1; from <= 200; from++)
        play(counts[from % ARRAY_LEN(counts)], from);
}

/* A name that was ours is ours at once: a process that was killed and came back waits for nobody.
 */
static void test_who_comes_back_waits_for_nobody(void **state UNUSED)
{
    seed = 1;
    shard_count = 4;
    memset(all, 0, sizeof(all));
    memset(owner_row, 0, sizeof(owner_row));
    memset(fence_row, 0, sizeof(fence_row));
    come(&all[0]);
    beat(&all[0]);
    assert_int_equal(fence_row[3], 1);
    come(&all[0]);
    beat(&all[0]);
    assert_int_equal(all[0].held[3], 2);
}

static void test_what_is_away_keeps_nothing_else(void **state UNUSED)
{
    unsigned last = 0;
    seed = 1;
    shard_count = 8;
    memset(all, 0, sizeof(all));
    memset(owner_row, 0, sizeof(owner_row));
    memset(fence_row, 0, sizeof(fence_row));
    for (int i = 0; i < 3; i++)
        come(&all[i]);
    pass(20000);
    check_peace();
    for (unsigned i = 0; i < shard_count; i++)
        last = all[0].held[i] ? i : last;
    for (unsigned i = 0; i < last; i++)
        is_away[i] = all[0].held[i] != 0;
    all[0].is_here = false;
    memset(all[0].held, 0, sizeof(all[0].held));
    pass(20000);
    assert_true(all[1].held[last] == fence_row[last] || all[2].held[last] == fence_row[last]);
    memset(is_away, 0, sizeof(is_away));
    pass(20000);
    check_peace();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_course_of_things),
        cmocka_unit_test(test_who_comes_back_waits_for_nobody),
        cmocka_unit_test(test_what_is_away_keeps_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
