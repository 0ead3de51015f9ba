/* Who is in which conversation and looks at it: held against a plain table, at random; and that
 * leaving does not cost more in a large channel. */
#include "hub_fixture.h"

#include <stdlib.h>

#define USERS 20
#define TOPICS 12
#define STEPS 20000

static struct user *people[USERS];
static struct member sockets[USERS];

static void make_people(struct gateway *gw, size_t count, struct user **users, struct member *m)
{
    for (size_t i = 0; i < count; i++) {
        users[i] = mem_zalloc(sizeof(*users[i]));
        users[i]->gw = gw;
        list_init(&users[i]->members);
        m[i].user = users[i];
        list_add_tail(&users[i]->members, &m[i].in_user);
    }
}

static const char *topic_name(int i)
{
    static char name[16];
    snprintf(name, sizeof(name), "c-%d", i);
    return name;
}

static void check(struct gateway *gw, bool is_in[USERS][TOPICS], bool is_open[USERS][TOPICS])
{
    for (int t = 0; t < TOPICS; t++) {
        const struct topic *topic = topic_find(gw, topic_name(t));
        size_t readers = 0, lookers = 0;
        for (int u = 0; u < USERS; u++) {
            readers += is_in[u][t];
            const struct reader *r = topic ? topic_reader(topic, people[u]) : NULL;
            assert_int_equal(r != NULL, is_in[u][t]);
            if (r)
                assert_int_equal(people[u]->topics[r->place].topic, topic->number);
            bool looks = topic && topic_is_open(&sockets[u], topic);
            assert_int_equal(looks, is_in[u][t] && is_open[u][t]);
            lookers += looks;
        }
        assert_int_equal(topic != NULL, readers > 0);
        if (topic) {
            assert_int_equal(topic->reader_count, readers);
            assert_int_equal(topic->looker_count, lookers);
        }
    }
}

static void run_random(void *arg UNUSED)
{
    struct gateway *gw = hub.gw;
    bool is_in[USERS][TOPICS] = {0}, is_open[USERS][TOPICS] = {0};
    memset(sockets, 0, sizeof(sockets));
    make_people(gw, USERS, people, sockets);
    unsigned seed = 7;
    for (int step = 0; step < STEPS; step++) {
        int u = rand_r(&seed) % USERS, t = rand_r(&seed) % OPEN_MAX, what = rand_r(&seed) % 4;
        if (what == 0) {
            topic_add(gw, people[u], topic_name(t), 0);
            is_in[u][t] = true;
        } else if (what == 1) {
            topic_remove(gw, people[u], topic_name(t));
            is_open[u][t] &= !is_in[u][t]; /* who leaves looks away; who waits goes on waiting */
            is_in[u][t] = false;
        } else if (what == 2) {
            topic_open(&sockets[u], topic_name(t));
            is_open[u][t] = true;
        } else {
            topic_close(&sockets[u], topic_name(t));
            is_open[u][t] = false;
        }
        if (step % 50 == 0)
            check(gw, is_in, is_open);
    }
    for (int u = 0; u < USERS; u++) {
        topic_close_all(&sockets[u]);
        topic_remove_all(people[u]);
        free(people[u]);
    }
    assert_int_equal(map_count(gw->topics), 0);
}

static void test_random(void **state UNUSED)
{
    loop_call(hub.gw->loop, run_random, NULL);
}

static void run_large(void *arg UNUSED)
{
    enum { COUNT = 200000 };
    struct user **users = mem_calloc(COUNT, sizeof(*users));
    struct member *m = mem_calloc(COUNT, sizeof(*m));
    make_people(hub.gw, COUNT, users, m);
    int64_t from_ms = clock_mono_ms();
    for (int i = 0; i < COUNT; i++)
        topic_add(hub.gw, users[i], "channel", 0);
    for (int i = 0; i < COUNT; i++)
        topic_remove_all(users[i]);
    int64_t took_ms = clock_mono_ms() - from_ms;
    print_message("200,000 came and went in %d ms\n", (int)took_ms);
    assert_true(took_ms < 5000); /* it would be minutes if each looked for its place */
    for (int i = 0; i < COUNT; i++)
        free(users[i]);
    free(users);
    free(m);
}

static void test_large(void **state UNUSED)
{
    loop_call(hub.gw->loop, run_large, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_random, hub_open, hub_close),
        cmocka_unit_test_setup_teardown(test_large, hub_open, hub_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
