/* The client before a server of our own: pipelined answers, silence, nonsense, the end. */
#include "test.h"

#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "redis/redis.h"

/* Answers each command by its name: ECHO x, MUTE (from then on nothing), JUNK, BYE, TWICE,
 * anything else with OK. */
struct server {
    pthread_t thread;
    int fd;
    uint16_t port;
    atomic_int connections;
    atomic_bool is_mute;
};

struct fixture {
    struct server server;
    struct redis *redis;
    struct arena *arena;
};

/* One command of short words; its length, 0 when there is no whole one. */
static size_t parse_command(const char *text, size_t n, struct str *words)
{
    int count, used = 0;
    if (sscanf(text, "*%d\r\n%n", &count, &used) != 1 || !used || count > 8)
        return 0;
    for (int i = 0; i < count; i++) {
        int length, more = 0;
        if (sscanf(text + used, "$%d\r\n%n", &length, &more) != 1 || !more ||
            (size_t)(used + more + length + 2) > n)
            return 0;
        words[i] = (struct str){text + used + more, (size_t)length};
        used += more + length + 2;
    }
    return (size_t)used;
}

static bool answer(struct server *s, int fd, const struct str *words)
{
    char text[256] = "+OK\r\n";
    if (str_eq(words[0], STR("MUTE")))
        atomic_store(&s->is_mute, true);
    if (str_eq(words[0], STR("BYE")))
        return false;
    if (str_eq(words[0], STR("JUNK")))
        snprintf(text, sizeof(text), "?what\r\n");
    if (str_eq(words[0], STR("ECHO")))
        snprintf(text, sizeof(text), "$%zu\r\n%.*s\r\n", words[1].n, STR_FMT(words[1]));
    if (str_eq(words[0], STR("TWICE")))
        snprintf(text, sizeof(text), "+OK\r\n+OK\r\n");
    return atomic_load(&s->is_mute) || send(fd, text, strlen(text), MSG_NOSIGNAL) > 0;
}

static void serve(struct server *s, int fd)
{
    char text[65536];
    size_t n = 0;
    ssize_t got;
    while ((got = recv(fd, text + n, sizeof(text) - 1 - n, 0)) > 0) {
        struct str words[8];
        size_t used;
        n += (size_t)got;
        text[n] = '\0';
        while ((used = parse_command(text, n, words)) > 0) {
            if (!answer(s, fd, words))
                return;
            memmove(text, text + used, n - used + 1);
            n -= used;
        }
    }
}

static void *server_main(void *arg)
{
    struct server *s = arg;
    int fd;
    while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
        atomic_fetch_add(&s->connections, 1);
        serve(s, fd);
        close(fd);
    }
    return NULL;
}

static int setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof(f));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    f.server.fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(f.server.fd, (struct sockaddr *)&at, n), 0);
    assert_int_equal(listen(f.server.fd, 8), 0);
    assert_int_equal(getsockname(f.server.fd, (struct sockaddr *)&at, &n), 0);
    pthread_create(&f.server.thread, NULL, server_main, &f.server);
    char url[64];
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", ntohs(at.sin_port));
    struct redis_options opt = {.url = url, .name = "test", .timeout_ms = 300};
    assert_int_equal(redis_open(&f.redis, &opt, NULL), ERR_OK);
    f.arena = arena_create();
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    redis_close(&f->redis);
    shutdown(f->server.fd, SHUT_RDWR);
    pthread_join(f->server.thread, NULL);
    close(f->server.fd);
    arena_destroy(&f->arena);
    return 0;
}

static enum err call(struct fixture *f, const char *name, const char *word,
                     const struct redis_reply **reply)
{
    struct str argv[] = {str_from(name), str_from(word)};
    struct redis_command command = {.argv = argv, .argc = word ? 2 : 1};
    return redis_call(f->redis, &command, f->arena, reply);
}

static void wait_until(struct fixture *f, bool is_up)
{
    int64_t until_ms = clock_mono_ms() + 20000;
    while (redis_is_up(f->redis) != is_up && clock_mono_ms() < until_ms)
        usleep(5000);
    assert_int_equal(redis_is_up(f->redis), is_up);
}

static void test_calls(void **state)
{
    struct fixture *f = *state;
    const struct redis_reply *reply;
    assert_true(redis_is_up(f->redis));
    assert_int_equal(call(f, "ECHO", "hello", &reply), ERR_OK);
    assert_string_equal(redis_reply_text(reply).p, "hello");
}

enum { CALLERS = 6, CALLS = 300 };

struct caller {
    struct fixture *f;
    int index, wrong;
};

static void *caller_main(void *arg)
{
    struct caller *c = arg;
    for (int i = 0; i < CALLS; i++) {
        struct arena *arena = arena_create();
        const struct redis_reply *reply;
        char text[32];
        snprintf(text, sizeof(text), "%d of %d", i, c->index);
        struct str argv[] = {STR("ECHO"), str_from(text)};
        struct redis_command command = {.argv = argv, .argc = 2};
        enum err err = redis_call(c->f->redis, &command, arena, &reply);
        c->wrong += err || !str_eq(redis_reply_text(reply), str_from(text));
        arena_destroy(&arena);
    }
    return NULL;
}

static void test_each_caller_gets_its_own_answer(void **state)
{
    pthread_t threads[CALLERS];
    struct caller callers[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.f = *state, .index = i};
        pthread_create(&threads[i], NULL, caller_main, &callers[i]);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(callers[i].wrong, 0);
    }
}

static void test_silence_is_waited_for_once(void **state)
{
    struct fixture *f = *state;
    const struct redis_reply *reply;
    int64_t start_ms = clock_mono_ms();
    assert_int_equal(call(f, "MUTE", NULL, &reply), ERR_UNAVAILABLE);
    assert_in_range(clock_mono_ms() - start_ms, 290, 10000);
    start_ms = clock_mono_ms();
    for (int i = 0; i < 1000; i++)
        assert_int_equal(call(f, "ECHO", "x", &reply), ERR_UNAVAILABLE);
    assert_in_range(clock_mono_ms() - start_ms, 0, 20000);
    assert_false(redis_is_up(f->redis));
    atomic_store(&f->server.is_mute, false);
    wait_until(f, true);
    assert_int_equal(call(f, "ECHO", "back", &reply), ERR_OK);
}

static void test_a_server_that_froze_is_found_out(void **state)
{
    struct fixture *f = *state;
    atomic_store(&f->server.is_mute, true);
    wait_until(f, false); /* nobody has called */
    atomic_store(&f->server.is_mute, false);
    wait_until(f, true);
}

static void test_what_is_no_protocol_ends_the_connection(void **state)
{
    struct fixture *f = *state;
    const struct redis_reply *reply;
    assert_int_equal(call(f, "JUNK", NULL, &reply), ERR_UNAVAILABLE);
    wait_until(f, true);
    assert_int_equal(call(f, "BYE", NULL, &reply), ERR_UNAVAILABLE);
    wait_until(f, true);
    assert_int_equal(call(f, "ECHO", "again", &reply), ERR_OK);
    assert_int_equal(call(f, "TWICE", NULL, &reply), ERR_OK);
    wait_until(f, false); /* one answer more than questions: nobody knows which is whose */
    wait_until(f, true);
    assert_int_equal(atomic_load(&f->server.connections), 4);
}

static void on_done(void *arg, enum err err, const struct redis_reply *reply)
{
    atomic_int *counts = arg;
    atomic_fetch_add(&counts[err == ERR_CANCELLED], 1);
    assert_true(!err == (reply != NULL));
}

static void test_closing_ends_what_waits(void **state)
{
    struct fixture *f = *state;
    atomic_int counts[2] = {0, 0};
    struct str argv[] = {STR("MUTE")};
    struct redis_command command = {.argv = argv, .argc = 1};
    for (int i = 0; i < 10; i++)
        redis_post(f->redis, &command, on_done, counts);
    redis_close(&f->redis);
    assert_int_equal(atomic_load(&counts[1]), 10);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_OFF);
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_calls),
        T(test_each_caller_gets_its_own_answer),
        T(test_silence_is_waited_for_once),
        T(test_a_server_that_froze_is_found_out),
        T(test_what_is_no_protocol_ends_the_connection),
        T(test_closing_ends_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
