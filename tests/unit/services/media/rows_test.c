/*
 * What the store keeps of published tracks, through a crash too, and whose statistics one may see.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node.h"

/* ---- rows ---- */

struct row {
    char user_id[ID_SIZE], kind[16], source[16], codec[16];
    int64_t started_at_ms, seen_at_ms, ended_at_ms; /* ended 0: not yet */
};

struct reading {
    const char *user_id;
    struct row row;
    bool is_found;
};

static void take(char *out, size_t size, struct str s)
{
    snprintf(out, size, "%.*s", STR_FMT(s));
}

static enum err read_job(struct store_tx *tx, void *arg)
{
    struct reading *r = arg;
    struct store_stmt *st = store_query(tx,
                                        "SELECT user_id, kind, source, codec, started_at_ms,"
                                        " seen_at_ms, ended_at_ms FROM media_streams"
                                        " WHERE user_id = ?",
                                        "s", r->user_id);
    if ((r->is_found = store_step(st))) {
        take(r->row.user_id, ID_SIZE, store_str(st, 0));
        take(r->row.kind, sizeof(r->row.kind), store_str(st, 1));
        take(r->row.source, sizeof(r->row.source), store_str(st, 2));
        take(r->row.codec, sizeof(r->row.codec), store_str(st, 3));
        r->row.started_at_ms = store_int(st, 4);
        r->row.seen_at_ms = store_int(st, 5);
        r->row.ended_at_ms = store_int(st, 6);
    }
    return store_finish(st);
}

static bool read_row(const char *user_id, struct row *out)
{
    struct reading r = {.user_id = user_id};
    assert_int_equal(store_read(node.store, read_job, &r), ERR_OK);
    *out = r.row;
    return r.is_found;
}

static bool is_seen(const struct row *row)
{
    return row->seen_at_ms > row->started_at_ms;
}

static bool has_ended(const struct row *row)
{
    return row->ended_at_ms > 0;
}

static struct row wait_row(const char *user_id, bool (*is_wanted)(const struct row *row))
{
    struct row row;
    for (int64_t end = clock_mono_ms() + 20000; clock_mono_ms() < end; usleep(2000)) {
        if (read_row(user_id, &row) && is_wanted(&row))
            return row;
    }
    fail_msg("no such row of %s", user_id);
    return row;
}

/* ---- tests ---- */

static void test_a_track_is_a_row(void **state UNUSED)
{
    char meeting[ID_SIZE];
    struct person ann;
    int64_t before_ms = clock_wall_ms();
    node_start();
    id_make(meeting);
    open_session(meeting, &ann);
    publish(&ann);
    struct row row = wait_row(ann.user_id, is_seen);
    assert_string_equal(row.kind, "audio");
    assert_string_equal(row.source, "microphone");
    assert_string_equal(row.codec, "opus");
    assert_in_range(row.started_at_ms, before_ms, clock_wall_ms());
    assert_int_equal(row.ended_at_ms, 0);
    close_session(&ann);
    row = wait_row(ann.user_id, has_ended);
    assert_in_range(row.ended_at_ms, row.started_at_ms, clock_wall_ms());
}

static void test_the_end_of_the_service_ends_rows(void **state UNUSED)
{
    char meeting[ID_SIZE];
    struct person ann;
    struct row row;
    node_start();
    id_make(meeting);
    open_session(meeting, &ann);
    publish(&ann);
    rpc_local_destroy(&node.media);
    media_destroy(&node.service);
    store_flush(node.store);
    assert_true(read_row(ann.user_id, &row));
    assert_true(has_ended(&row));
}

static enum err crash_job(struct store_tx *tx, void *arg UNUSED)
{
    static const char sql[] =
        "INSERT INTO media_streams (id, meeting_id, session_id, participant_id, user_id, kind,"
        " source, codec, started_at_ms, seen_at_ms) VALUES (?, 'm', 's', 'p', ?, 'audio',"
        " 'microphone', 'opus', 1000, ?)";
    enum err err = store_run(tx, sql, "ssi", "1", "long", (int64_t)61000);
    return err ? err : store_run(tx, sql, "ssi", "2", "short", (int64_t)0);
}

static void test_a_crash_closes_at_the_last_sight(void **state UNUSED)
{
    struct row row;
    assert_int_equal(store_write_sync(node.store, 0, crash_job, NULL), ERR_OK);
    node_start();
    assert_true(read_row("long", &row));
    assert_int_equal(row.ended_at_ms, 61000);
    assert_true(read_row("short", &row));
    assert_int_equal(row.ended_at_ms, 1000);
}

/* How many peers `who` (NULL: the system) sees; -1: none of it. */
static int peers_seen(const struct identity *who, const char *meeting_id, const char *only_user)
{
    struct rpc_call *c = rpc_call_create(NULL);
    c->who = who;
    Media__GetStatsRequest request = MEDIA__GET_STATS_REQUEST__INIT;
    request.meeting_id = (char *)meeting_id;
    const Media__Stats *s = rpc_sync(node.media, "GetStats", &request.base, c);
    int count = s ? 0 : -1;
    for (size_t i = 0; s && i < s->n_rooms; i++) {
        for (size_t j = 0; j < s->rooms[i]->n_peers; j++, count++) {
            if (only_user)
                assert_string_equal(s->rooms[i]->peers[j]->user_id, only_user);
        }
    }
    rpc_call_unref(&c);
    return count;
}

static void test_statistics_are_ones_own(void **state UNUSED)
{
    char meeting[ID_SIZE], other[ID_SIZE];
    struct person ann, bob, cec;
    node_start();
    id_make(meeting);
    id_make(other);
    open_session(meeting, &ann);
    open_session(meeting, &bob);
    open_session(other, &cec);
    struct identity who = {.role = ROLE_USER};
    memcpy(who.user_id, ann.user_id, ID_SIZE);
    assert_int_equal(peers_seen(&who, "", ann.user_id), 1);
    assert_int_equal(peers_seen(&who, meeting, ann.user_id), 1);
    assert_int_equal(peers_seen(&who, other, NULL), 0);
    who.role = ROLE_GUEST;
    assert_int_equal(peers_seen(&who, "", ann.user_id), 1);
    who.role = ROLE_ADMIN;
    assert_int_equal(peers_seen(&who, "", NULL), 3);
    assert_int_equal(peers_seen(&who, meeting, NULL), 2);
    assert_int_equal(peers_seen(NULL, other, cec.user_id), 1);
    who = (struct identity){.role = ROLE_NONE};
    assert_int_equal(peers_seen(&who, "", NULL), -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, node_setup, node_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_track_is_a_row),
        TEST(test_the_end_of_the_service_ends_rows),
        TEST(test_a_crash_closes_at_the_last_sight),
        TEST(test_statistics_are_ones_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
