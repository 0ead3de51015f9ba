/*
 * powerloss_test: the message service on a disk that loses its power at random writes and syncs
 * (drivers/powerloss_vfs), fails a sync, or is full for a while. Sends, edits, recalls, reactions,
 * marks and scheduled sends: what was acknowledged is there afterwards, once; what was not is there
 * whole or not at all; the log verifies. The harness is tested on a disk that lies about syncs.
 */
#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "powerloss_vfs.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DATABASES 3
#else
#define DATABASES 10
#endif
#define LIVES_EACH 6
#define ACTS_EACH 70
#define OPS_MAX 1100 /* about as many as the acts of a life take */

struct scene {
    char dir[64];
    struct world_options opt;
    struct ledger ledger;
    int problems, cuts, failed_syncs;
};

/* The test's own start: made on a disk that is well. */
static void scene_begin(struct scene *s, unsigned seed)
{
    snprintf(s->dir, sizeof(s->dir), "%s/parlance-power-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(s->dir));
    s->opt = (struct world_options){.dir = s->dir, .vfs = "powerloss"};
    powerloss_arm(&(struct powerloss){.seed = seed});
    struct ledger *l = &s->ledger;
    *l = (struct ledger){.seed = seed};
    l->lines = mem_calloc(LEDGER_MAX, sizeof(l->lines[0]));
    l->w = world_open(&s->opt);
    l->ann = world_register(l->w, "ann");
    l->bob = world_register(l->w, "bob");
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    snprintf(l->id, sizeof(l->id), "%s", make_group(l->w, &l->ann, make, MEMBERS(&l->bob))->id);
}

static void scene_end(struct scene *s)
{
    char command[128];
    world_close(&s->ledger.w);
    powerloss_forget();
    snprintf(command, sizeof(command), "rm -rf %s", s->dir);
    assert_int_equal(system(command), 0);
    free(s->ledger.lines);
}

static void act_until_refused(struct scene *s)
{
    for (int i = 0; i < ACTS_EACH; i++)
        if (!ledger_act(&s->ledger))
            return;
}

static void power_back(struct scene *s, bool is_lying)
{
    char marker[128];
    world_close(&s->ledger.w);
    snprintf(marker, sizeof(marker), "%s/db/fsync-failed", s->dir);
    unlink(marker); /* a machine without power writes none */
    powerloss_restart();
    powerloss_arm(&(struct powerloss){.seed = s->ledger.seed, .is_lying = is_lying});
    s->ledger.w = world_open(&s->opt);
    s->cuts++;
}

static void live_until_the_cut(struct scene *s)
{
    struct powerloss plan = {.seed = s->ledger.seed};
    plan.cut_after = 1 + ledger_chance(&s->ledger, OPS_MAX);
    powerloss_arm(&plan);
    act_until_refused(s);
    power_back(s, false);
    s->problems += ledger_check(&s->ledger);
}

static bool is_found(void *arg)
{
    struct scene *s = arg;
    Message__SearchRequest in = MESSAGE__SEARCH_REQUEST__INIT;
    for (int i = s->ledger.count - 1; i >= 0; i--) {
        const struct ledger_line *line = &s->ledger.lines[i];
        in.query = (char *)line->text;
        if (line->is_recalled || line->is_hidden)
            continue;
        const Message__SearchReply *reply =
            ask(s->ledger.w, s->ledger.w->message, "Search", &in, &s->ledger.bob);
        return reply && reply->n_messages > 0;
    }
    return true;
}

/* ---- tests ---- */

static struct scene scene;

static unsigned fresh_seed(void)
{
    const char *given = getenv("SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)clock_mono_us();
    print_message("SEED=%u\n", seed);
    return seed;
}

static void test_power_cuts_lose_nothing(void **state UNUSED)
{
    unsigned seed = fresh_seed();
    int acknowledged = 0;
    scene = (struct scene){0};
    for (unsigned i = 0; i < DATABASES; i++) {
        scene_begin(&scene, seed + i);
        for (int life = 0; life < LIVES_EACH; life++)
            live_until_the_cut(&scene);
        eventually(is_found, &scene); /* the index goes on where it was */
        acknowledged += scene.ledger.acknowledged;
        scene_end(&scene);
    }
    print_message("%d cuts, %d acknowledged\n", scene.cuts, acknowledged);
    assert_int_equal(scene.problems, 0);
    assert_int_equal(scene.cuts, DATABASES * LIVES_EACH);
    assert_true(acknowledged > scene.cuts * 10);
}

static void test_a_lying_disk_is_seen_losing(void **state UNUSED)
{
    unsigned seed = fresh_seed();
    for (unsigned i = 0; i < 8; i++) {
        scene = (struct scene){0};
        scene_begin(&scene, seed + i);
        /* What is there is on the disk; from here on syncs do nothing. */
        world_close(&scene.ledger.w);
        powerloss_restart();
        powerloss_arm(&(struct powerloss){.seed = seed, .is_lying = true});
        scene.ledger.w = world_open(&scene.opt);
        act_until_refused(&scene);
        char db[128];
        snprintf(db, sizeof(db), "%s/db/parlance.db", scene.dir);
        world_close(&scene.ledger.w);
        powerloss_restart();
        powerloss_arm(&(struct powerloss){.seed = seed});
        /* Torn, it may not even open: look at it as a store first. */
        struct store *store = NULL;
        struct message_verdict verdict = {0};
        int64_t messages = -1;
        if (store_open(&store, &(struct store_options){.url = db, .ballast_bytes = -1}) == ERR_OK &&
            message_verify(store, &verdict) == ERR_OK)
            messages = verdict.problems ? -1 : verdict.messages;
        strbuf_deinit(&verdict.text);
        store_close(&store);
        int said = 0;
        for (int k = 0; k < scene.ledger.count; k++)
            said += scene.ledger.lines[k].seq > 0;
        bool is_losing = messages < said;
        scene.ledger.w = NULL;
        powerloss_forget();
        char command[128];
        snprintf(command, sizeof(command), "rm -rf %s", scene.dir);
        assert_int_equal(system(command), 0);
        free(scene.ledger.lines);
        if (is_losing)
            return;
    }
    fail_msg("a disk that lies lost nothing: the harness sleeps");
}

/* It stops acknowledging, says so, and the next start has everything that was acknowledged. */
static void test_a_failed_sync_stops_acknowledging(void **state UNUSED)
{
    unsigned seed = fresh_seed();
    scene = (struct scene){0};
    for (unsigned i = 0; i < DATABASES; i++) {
        scene_begin(&scene, seed + i);
        struct ledger *l = &scene.ledger;
        struct powerloss plan = {.seed = seed};
        plan.fail_sync_in = 1 + ledger_chance(l, 25);
        powerloss_arm(&plan);
        act_until_refused(&scene);
        bool is_broken = !store_is_writable(l->w->store);
        if (is_broken) {
            assert_int_equal(answer.err, ERR_UNAVAILABLE);
            assert_true(strlen(answer.message) > 3);
            assert_null(say(l->w, &l->ann, l->id, "is anybody there?", NULL));
            assert_non_null(look(l->w, &l->bob, l->id)); /* reading goes on */
        }
        scene.failed_syncs += is_broken;
        world_close(&l->w);
        powerloss_arm(&(struct powerloss){.seed = seed}); /* the process starts again */
        l->w = world_open(&scene.opt);
        scene.problems += ledger_check(l);
        live_until_the_cut(&scene); /* and what was mended is on the disk */
        scene_end(&scene);
    }
    print_message("%d failed syncs\n", scene.failed_syncs);
    assert_int_equal(scene.problems, 0);
    assert_true(scene.failed_syncs > 0);
}

static bool is_writable(void *store)
{
    return store_is_writable(store);
}

/* Refused with a clear error; nothing of it stays; with room again it goes on, without a start. */
static void test_a_full_disk_refuses_and_recovers(void **state UNUSED)
{
    unsigned seed = fresh_seed();
    int refused = 0;
    scene = (struct scene){0};
    for (unsigned i = 0; i < 4; i++) {
        scene_begin(&scene, seed + i);
        struct ledger *l = &scene.ledger;
        struct powerloss plan = {.seed = seed};
        plan.full_after = 1 + ledger_chance(l, OPS_MAX / 4);
        plan.full_count = 1 + ledger_chance(l, 30);
        powerloss_arm(&plan);
        act_until_refused(&scene);
        if (l->refused) {
            assert_int_equal(answer.err, ERR_RESOURCE_EXHAUSTED);
            assert_true(strlen(answer.message) > 3);
            assert_non_null(look(l->w, &l->bob, l->id)); /* reading goes on */
        }
        refused += l->refused;
        powerloss_arm(&(struct powerloss){.seed = seed}); /* somebody made room */
        eventually(is_writable, l->w->store);
        scene.problems += ledger_check(l);
        act_until_refused(&scene);
        scene.problems += ledger_check(l);
        live_until_the_cut(&scene);
        scene_end(&scene);
    }
    print_message("%d refused\n", refused);
    assert_int_equal(scene.problems, 0);
    assert_true(refused > 0);
}

int main(void)
{
    powerloss_register();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_cuts_lose_nothing),
        cmocka_unit_test(test_a_lying_disk_is_seen_losing),
        cmocka_unit_test(test_a_failed_sync_stops_acknowledging),
        cmocka_unit_test(test_a_full_disk_refuses_and_recovers),
    };
    return cmocka_run_group_tests_name("messages, power loss", tests, NULL, NULL);
}
