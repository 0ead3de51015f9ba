/* What only the bus over Redis can get wrong: what lies in its streams, who owns a group, what is
 * trimmed. Beside a server, see tests/services/run.mjs. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus_fixture.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "redis/redis.h"
#include "tcp_proxy.h"

#define OWNER_MS 600

static const char *url;
static char prefix[ID_SIZE + 8]; /* each test has topics of its own */

struct world {
    struct bus_fixture *f;
    struct bus *a, *b;
    struct redis *redis;
    struct arena *arena;
    struct tcp_proxy *proxy; /* the way of b */
    char key[128];           /* of channel "c" */
    struct journal heard, group, gaps;
};

static void on_event(void *arg, const struct bus_event *e)
{
    journal_note(arg, "%.*s", STR_FMT(e->payload));
}

static struct bus *open_bus(const char *address, struct store *store, const char *process)
{
    struct bus *bus;
    struct bus_options opt = {.driver = "redis",
                              .url = address,
                              .process = process,
                              .prefix = prefix,
                              .store = store,
                              .owner_ms = OWNER_MS};
    assert_int_equal(bus_open(&bus, &opt), ERR_OK);
    return bus;
}

static void wait_linked(struct bus *bus, bool is_linked)
{
    int64_t until_ms = clock_mono_ms() + 10000;
    while (bus_is_linked(bus) != is_linked && clock_mono_ms() < until_ms)
        usleep(5000);
    assert_int_equal(bus_is_linked(bus), is_linked);
}

static int setup(void **state)
{
    static struct world w;
    void *fixture;
    char id[ID_SIZE], address[256];
    id_make(id);
    snprintf(prefix, sizeof(prefix), "t%s.", id);
    bus_fixture_setup(&fixture);
    w = (struct world){.f = fixture, .arena = arena_create()};
    w.heard = w.group = w.gaps = (struct journal)JOURNAL_INIT;
    snprintf(w.key, sizeof(w.key), "{parlance}:%sc", prefix);
    const char *colon = strrchr(url, ':');
    w.proxy = tcp_proxy_start((uint16_t)atoi(colon + 1));
    snprintf(address, sizeof(address), "%.*s:%u", (int)(colon - url), url, tcp_proxy_port(w.proxy));
    bus_close(&w.f->bus);
    w.a = w.f->bus = open_bus(url, w.f->store, "a");
    w.b = open_bus(address, NULL, "b");
    assert_int_equal(redis_open(&w.redis, &(struct redis_options){.url = url}, NULL), ERR_OK);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    void *fixture = w->f;
    bus_close(&w->b);
    redis_close(&w->redis);
    tcp_proxy_stop(&w->proxy);
    arena_destroy(&w->arena);
    return bus_fixture_teardown(&fixture);
}

static void start(struct world *w)
{
    bus_start(w->a);
    bus_start(w->b);
    wait_linked(w->a, true);
    wait_linked(w->b, true);
}

static void commit(struct world *w, const char *text)
{
    struct bus_event event = {
        .channel = "c", .type = "done", .key = "k", .payload = str_from(text)};
    assert_int_equal(bus_fixture_publish(w->f, &event, ERR_OK), ERR_OK);
}

static void wait_sent(struct world *w)
{
    bus_fixture_wait_int(w->f, "SELECT COUNT(*) FROM bus_outbox", 0);
}

/* A command of words by spaces; %s of it is the stream. */
static const struct redis_reply *ask(struct world *w, const char *words)
{
    struct str argv[16], rest = str_from(words);
    size_t argc = 0;
    for (bool is_more = true; is_more && argc < ARRAY_LEN(argv);) {
        struct str word;
        is_more = str_cut(&rest, ' ', &word);
        argv[argc++] = str_eq(word, STR("KEY")) ? str_from(w->key) : word;
    }
    const struct redis_reply *reply;
    struct redis_command command = {.argv = argv, .argc = argc};
    assert_int_equal(redis_call(w->redis, &command, w->arena, &reply), ERR_OK);
    return reply;
}

static int64_t ask_number(struct world *w, const char *words)
{
    return ask(w, words)->number;
}

static void wait_number(struct world *w, const char *words, int64_t low, int64_t high)
{
    int64_t until_ms = clock_mono_ms() + 10000, found;
    while (((found = ask_number(w, words)) < low || found > high) && clock_mono_ms() < until_ms)
        usleep(20000);
    assert_in_range(found, low, high);
}

static int64_t dead_count(struct world *w)
{
    char words[192];
    snprintf(words, sizeof(words), "XLEN %s.dead", w->key);
    return ask_number(w, words);
}

static int64_t pending_count(struct world *w, const char *group)
{
    char words[192];
    snprintf(words, sizeof(words), "XPENDING KEY %s", group);
    return redis_reply_item(ask(w, words), 0)->number;
}

static void wait_confirmed(struct world *w, const char *group)
{
    for (int i = 0; i < 400 && pending_count(w, group); i++)
        usleep(5000);
    assert_int_equal(pending_count(w, group), 0);
}

/* ---- why there is no link ---- */

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static int told_count;
static bool is_password_told;

static void on_line(void *arg UNUSED, enum log_level level UNUSED, const char *line, size_t n)
{
    char *text = str_dup((struct str){line, n});
    pthread_mutex_lock(&log_lock);
    told_count += strstr(text, "bus: redis: no link") != NULL;
    is_password_told =
        is_password_told || (strstr(text, "bus: redis: no link") && strstr(text, "WRONGPASS"));
    pthread_mutex_unlock(&log_lock);
    free(text);
}

static int count_told(bool *is_password)
{
    pthread_mutex_lock(&log_lock);
    int count = told_count;
    *is_password = is_password_told;
    pthread_mutex_unlock(&log_lock);
    return count;
}

/* The loss says "closed", and only what follows says that the password is another now. */
static void test_a_reason_that_changes_is_said(void **state)
{
    struct world *w = *state;
    bool is_password = false;
    start(w);
    const struct redis_reply *kept = ask(w, "CONFIG GET requirepass");
    char back[192];
    snprintf(back, sizeof(back), "CONFIG SET requirepass %s",
             redis_reply_text(redis_reply_item(kept, 1)).p);
    enum log_level level = log_level();
    log_set_level(LOG_WARN);
    log_set_sink(on_line, NULL);
    ask(w, "CONFIG SET requirepass another");
    ask(w, "CLIENT KILL TYPE normal SKIPME yes");
    ask(w, "CLIENT KILL TYPE pubsub SKIPME yes");
    for (int64_t until_ms = clock_mono_ms() + 20000; !is_password && clock_mono_ms() < until_ms;
         usleep(5000))
        (void)count_told(&is_password);
    ask(w, back);
    wait_linked(w->a, true);
    wait_linked(w->b, true);
    log_set_sink(NULL, NULL);
    log_set_level(level);
    assert_true(is_password);
    assert_in_range(count_told(&is_password), 2, 40); /* not at each attempt */
}

/* ---- dead letters ---- */

static void test_garbage_holds_nobody_up(void **state)
{
    struct world *w = *state;
    bus_subscribe(w->a, "c", "a", on_event, &w->heard);
    bus_subscribe_group(w->b, "c", "g", on_event, &w->group);
    start(w);
    commit(w, "one");
    wait_sent(w);
    ask(w, "XADD KEY * e garbage");
    ask(w, "XADD KEY * other field");
    commit(w, "two");
    journal_wait(&w->group, 2);
    assert_string_equal(w->group.text, "one\ntwo\n");
    journal_wait(&w->heard, 2);
    assert_int_equal(dead_count(w), 2);
    wait_confirmed(w, "g");
}

static void test_what_ends_its_readers_is_given_up(void **state)
{
    struct world *w = *state;
    bus_expect_group(w->a, "c", "g");
    start(w);
    commit(w, "poison");
    commit(w, "suspect");
    commit(w, "good");
    wait_sent(w);
    /* A reader that has read all three, and ended before it had handled one; for the tenth time. */
    const struct redis_reply *stream =
        redis_reply_item(ask(w, "XREADGROUP GROUP g ghost COUNT 3 STREAMS KEY >"), 0);
    for (size_t i = 0; i < 2; i++) {
        const struct redis_reply *entry = redis_reply_item(redis_reply_item(stream, 1), i);
        char words[192];
        snprintf(words, sizeof(words), "XCLAIM KEY g ghost 0 %s RETRYCOUNT %d JUSTID",
                 redis_reply_text(redis_reply_item(entry, 0)).p, i ? 4 : 10);
        ask(w, words);
    }
    bus_subscribe_group(w->b, "c", "g", on_event, &w->group);
    journal_wait(&w->group, 2);
    assert_string_equal(w->group.text, "suspect\ngood\n");
    assert_int_equal(dead_count(w), 1);
    journal_stays(&w->group, 2);
}

static void test_a_stream_that_is_gone_begins_anew(void **state)
{
    struct world *w = *state;
    bus_subscribe(w->b, "c", "b", on_event, &w->heard);
    bus_subscribe_group(w->b, "c", "g", on_event, &w->group);
    start(w);
    commit(w, "one");
    journal_wait(&w->group, 1);
    journal_wait(&w->heard, 1);
    usleep(5000); /* ids are of the millisecond: within one, the new stream's would be the old's */
    ask(w, "DEL KEY");
    commit(w, "two");
    journal_wait(&w->group, 2);
    journal_wait(&w->heard, 2);
}

/* Who stops and does not take any more leaves it alone, or it would look deadly to the next. */
static void test_who_stops_takes_nothing_again_and_again(void **state)
{
    struct world *w = *state;
    bus_subscribe_group(w->b, "c", "g", on_event, &w->group);
    start(w);
    commit(w, "one");
    journal_wait(&w->group, 1);
    bus_stop_events(w->b);
    for (int i = 0; i < 3; i++)
        commit(w, "later");
    wait_sent(w);
    usleep(2500000);
    const struct redis_reply *rows = ask(w, "XPENDING KEY g - + 10");
    for (size_t i = 0; i < rows->count; i++)
        assert_in_range(redis_reply_item(&rows->items[i], 3)->number, 0, 2);
    bus_close(&w->b);
    w->b = open_bus(url, NULL, "b again");
    bus_subscribe_group(w->b, "c", "g", on_event, &w->group);
    bus_start(w->b);
    journal_wait(&w->group, 4);
    assert_int_equal(dead_count(w), 0);
}

/* ---- ownership ---- */

static void on_noted(void *arg, const struct bus_event *e)
{
    char text[64];
    int n = snprintf(text, sizeof(text), "%.*s\n", STR_FMT(e->payload));
    (void)!write(STDOUT_FILENO, text, (size_t)n);
}

/* This program again, as the owner of the group; what it handles comes by the pipe. */
static pid_t spawn_owner(int *from)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        execl("/proc/self/exe", "bus_redis_test", prefix, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    *from = ends[0];
    return child;
}

static int be_owner(const char *topics)
{
    snprintf(prefix, sizeof(prefix), "%s", topics);
    struct bus *bus = open_bus(url, NULL, "child");
    bus_subscribe_group(bus, "c", "g", on_noted, NULL);
    bus_start(bus);
    sleep(30);
    return 1;
}

static void expect_line(int from, const char *line)
{
    char text[64] = "";
    ssize_t n = read(from, text, sizeof(text) - 1);
    assert_true(n > 0);
    assert_string_equal(text, line);
}

static void end_child(pid_t child)
{
    int status;
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
}

/* It has handled what came first; whoever succeeds it is there. */
static pid_t begin_with_owner(struct world *w, int *from)
{
    bus_expect_group(w->a, "c", "g");
    start(w);
    pid_t child = spawn_owner(from);
    commit(w, "one");
    expect_line(*from, "one\n");
    wait_confirmed(w, "g");
    bus_subscribe_group(w->b, "c", "g", on_event, &w->group);
    return child;
}

static void test_a_frozen_owner_is_succeeded(void **state)
{
    struct world *w = *state;
    int from;
    pid_t child = begin_with_owner(w, &from);
    kill(child, SIGSTOP);
    commit(w, "two");
    journal_wait(&w->group, 1);
    kill(child, SIGCONT); /* it owns nothing any more, and knows it */
    usleep(OWNER_MS * 1000);
    for (int i = 0; i < 20; i++)
        commit(w, "more");
    journal_wait(&w->group, 21);
    journal_stays(&w->group, 21);
    end_child(child);
    close(from);
}

static void test_a_killed_owner_is_succeeded(void **state)
{
    struct world *w = *state;
    int from;
    pid_t child = begin_with_owner(w, &from);
    end_child(child);
    commit(w, "two");
    journal_wait(&w->group, 1);
    close(from);
}

/* ---- a lost connection ---- */

static void test_what_was_added_meanwhile_comes(void **state)
{
    struct world *w = *state;
    bus_subscribe(w->b, "c", "b", on_event, &w->heard);
    bus_subscribe_group(w->b, "c", "g", on_event, &w->group);
    bus_on_gap(w->b, "gap", on_event, &w->gaps);
    start(w);
    commit(w, "before");
    journal_wait(&w->heard, 1);
    journal_wait(&w->group, 1);
    for (int round = 1; round <= 3; round++) {
        tcp_proxy_set(w->proxy, round == 2 ? TCP_PROXY_HELD : TCP_PROXY_CUT);
        wait_linked(w->b, false);
        for (int i = 0; i < 10; i++)
            commit(w, "meanwhile");
        wait_sent(w);
        tcp_proxy_set(w->proxy, TCP_PROXY_OPEN);
        journal_wait(&w->gaps, round);
        journal_wait(&w->heard, 1 + round * 10);
        journal_wait(&w->group, 1 + round * 10);
    }
    journal_stays(&w->heard, 31); /* each once */
}

/* ---- within bounds ---- */

static void test_what_all_have_handled_is_trimmed(void **state)
{
    struct world *w = *state;
    char words[128];
    bus_subscribe_group(w->b, "c", "g", on_event, &w->group);
    ask(w, "XGROUP CREATE KEY slow 0 MKSTREAM");
    for (int i = 1; i <= 1000; i++) { /* of half an hour ago, and nothing for group g */
        snprintf(words, sizeof(words), "XADD KEY %" PRId64 "-%d e x", clock_wall_ms() - 1800000, i);
        ask(w, words);
    }
    start(w);
    for (int i = 0; i < 10; i++)
        commit(w, "new");
    journal_wait(&w->group, 10);
    usleep(3 * OWNER_MS * 1000);
    assert_int_equal(ask_number(w, "XLEN KEY"), 1010); /* one has not read them yet */
    snprintf(words, sizeof(words), "XGROUP SETID KEY slow %" PRId64 "-0", clock_wall_ms());
    ask(w, words);
    wait_number(w, "XLEN KEY", 10, 110); /* whole nodes are dropped */
    commit(w, "more");
    journal_wait(&w->group, 11);
}

/* A group that nobody has served for a week does not hold the others up for ever. */
static void test_an_abandoned_group_is_dropped(void **state)
{
    struct world *w = *state;
    bus_subscribe_group(w->b, "c", "g", on_event, &w->group);
    ask(w, "XADD KEY 1-0 e x");
    ask(w, "XADD KEY 2-0 e x");
    ask(w, "XGROUP CREATE KEY forgotten 0");
    start(w);
    commit(w, "new");
    journal_wait(&w->group, 1);
    int64_t until_ms = clock_mono_ms() + 20000;
    while (ask(w, "XINFO GROUPS KEY")->count > 1 && clock_mono_ms() < until_ms)
        usleep(20000);
    assert_int_equal(ask(w, "XINFO GROUPS KEY")->count, 1);
    commit(w, "more");
    journal_wait(&w->group, 2);
}

int main(int argc, char **argv)
{
    url = getenv("PARLANCE_TEST_REDIS_URL");
    if (!url) {
        print_error("no server: run this by node tests/services/run.mjs redis\n");
        return 77;
    }
    signal(SIGPIPE, SIG_IGN);
    log_set_level(getenv("TEST_LOG") && argc == 1 ? LOG_DEBUG : LOG_OFF);
    if (argc > 1)
        return be_owner(argv[1]);
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_reason_that_changes_is_said),
        T(test_garbage_holds_nobody_up),
        T(test_what_ends_its_readers_is_given_up),
        T(test_a_stream_that_is_gone_begins_anew),
        T(test_who_stops_takes_nothing_again_and_again),
        T(test_a_frozen_owner_is_succeeded),
        T(test_a_killed_owner_is_succeeded),
        T(test_what_was_added_meanwhile_comes),
        T(test_what_all_have_handled_is_trimmed),
        T(test_an_abandoned_group_is_dropped),
    };
    return cmocka_run_group_tests_name("bus over redis", tests, NULL, NULL);
}
