/*
 * A cluster whose other nodes take connections and never say a word: who opens, calls or closes it
 * waits for them once, not for each.
 */
#include "test.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/str.h"
#include "redis/redis.h"

#define SILENT 30
#define PATIENCE_MS 20000 /* each for itself would take thirty times two seconds */
#define CONNECTIONS 64

static struct {
    pthread_t thread;
    int fds[1 + CONNECTIONS]; /* the listening one first */
    size_t count;
    int stop[2];
    uint16_t port;
    int silent_fds[SILENT + 1]; /* the last one is in no list */
    uint16_t silent_ports[SILENT + 1];
} f;

static int listen_at(uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, n), 0);
    assert_int_equal(listen(fd, 32), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

/* The lower half of the slots is this node's, the rest the silent ones'. */
static void write_slots(struct strbuf *out)
{
    strbuf_printf(out, "*%d\r\n*3\r\n:0\r\n:8191\r\n*2\r\n$9\r\n127.0.0.1\r\n:%u\r\n", SILENT + 1,
                  f.port);
    for (int i = 0; i < SILENT; i++)
        strbuf_printf(out, "*3\r\n:%d\r\n:%d\r\n*2\r\n$9\r\n127.0.0.1\r\n:%u\r\n", 8192 + i * 273,
                      i == SILENT - 1 ? 16383 : 8192 + i * 273 + 272, f.silent_ports[i]);
}

/* One read is one command here: the client waits for each answer when it connects, and the tests
 * do. Commands that are read together are counted. */
static bool answer(int fd)
{
    char text[4096];
    ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
    if (n <= 0)
        return false;
    text[n] = '\0';
    struct strbuf out = {0};
    for (char *at = text; (at = strchr(at, '*')); at++) {
        if (strstr(at, "SLOTS"))
            write_slots(&out);
        else if (strstr(at, "MOVE"))
            strbuf_printf(&out, "-MOVED 1 127.0.0.1:%u\r\n", f.silent_ports[SILENT]);
        else
            strbuf_adds(&out, "+OK\r\n");
    }
    bool is_sent = send(fd, out.p, out.n, MSG_NOSIGNAL) == (ssize_t)out.n;
    strbuf_deinit(&out);
    return is_sent;
}

static void *serve(void *arg UNUSED)
{
    for (;;) {
        struct pollfd polls[2 + CONNECTIONS] = {{.fd = f.stop[0], .events = POLLIN}};
        for (size_t i = 0; i < f.count; i++)
            polls[i + 1] = (struct pollfd){.fd = f.fds[i], .events = POLLIN};
        size_t count = f.count;
        if (poll(polls, count + 1, -1) < 0 || polls[0].revents)
            return NULL;
        if (polls[1].revents && f.count < ARRAY_LEN(f.fds))
            f.fds[f.count++] = accept(f.fds[0], NULL, NULL);
        for (size_t i = 1; i < count; i++) {
            if (!polls[i + 1].revents || answer(f.fds[i]))
                continue;
            close(f.fds[i]);
            f.fds[i] = -1; /* poll passes it over */
        }
    }
}

static int setup(void **state UNUSED)
{
    memset(&f, 0, sizeof(f));
    f.fds[f.count++] = listen_at(&f.port);
    for (int i = 0; i <= SILENT; i++)
        f.silent_fds[i] = listen_at(&f.silent_ports[i]);
    assert_int_equal(pipe(f.stop), 0);
    return pthread_create(&f.thread, NULL, serve, NULL);
}

static int teardown(void **state UNUSED)
{
    assert_int_equal(write(f.stop[1], "x", 1), 1);
    pthread_join(f.thread, NULL);
    for (size_t i = 0; i < f.count; i++)
        if (f.fds[i] >= 0)
            close(f.fds[i]);
    for (int i = 0; i <= SILENT; i++)
        close(f.silent_fds[i]);
    close(f.stop[0]);
    close(f.stop[1]);
    return 0;
}

static struct redis *open_cluster(void)
{
    struct redis *redis;
    char url[64];
    snprintf(url, sizeof(url), "redis+cluster://127.0.0.1:%u", f.port);
    struct redis_options opt = {.url = url, .name = "test", .timeout_ms = 300};
    assert_int_equal(redis_open(&redis, &opt, NULL), ERR_OK);
    return redis;
}

static void test_silent_nodes_cost_the_time_of_one(void **state UNUSED)
{
    int64_t before_ms = clock_mono_ms();
    struct redis *redis = open_cluster();
    assert_true(clock_mono_ms() - before_ms < PATIENCE_MS);
    usleep(400 * 1000); /* so that it is looking again, something being amiss */
    before_ms = clock_mono_ms();
    redis_close(&redis);
    assert_true(clock_mono_ms() - before_ms < PATIENCE_MS);
}

static void test_a_call_that_is_sent_on_to_silence_ends(void **state UNUSED)
{
    struct redis *redis = open_cluster();
    struct arena *arena = arena_create();
    const struct redis_reply *reply;
    struct str argv[] = {STR("MOVE"), STR("b")}; /* slot 3300 */
    struct redis_command command = {.argv = argv, .argc = 2, .key_at = 1};
    int64_t before_ms = clock_mono_ms();
    assert_int_equal(redis_call(redis, &command, arena, &reply), ERR_UNAVAILABLE);
    assert_true(clock_mono_ms() - before_ms < PATIENCE_MS);
    argv[0] = STR("GET");
    assert_int_equal(redis_call(redis, &command, arena, &reply), ERR_OK); /* others go on */
    redis_close(&redis);
    arena_destroy(&arena);
}

static void on_done(void *arg, enum err err, const struct redis_reply *reply UNUSED)
{
    atomic_int *ended = arg;
    assert_true(err == ERR_CANCELLED || err == ERR_UNAVAILABLE);
    atomic_fetch_add(ended, 1);
}

static void test_closing_ends_what_is_parked(void **state UNUSED)
{
    struct redis *redis = open_cluster();
    atomic_int ended = 0;
    struct str argv[] = {STR("MOVE"), STR("b")};
    struct redis_command command = {.argv = argv, .argc = 2, .key_at = 1};
    for (int i = 0; i < 100; i++)
        redis_post(redis, &command, on_done, &ended);
    int64_t before_ms = clock_mono_ms();
    redis_close(&redis);
    assert_true(clock_mono_ms() - before_ms < PATIENCE_MS);
    assert_int_equal(atomic_load(&ended), 100);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_OFF);
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_silent_nodes_cost_the_time_of_one),
        T(test_a_call_that_is_sent_on_to_silence_ends),
        T(test_closing_ends_what_is_parked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
