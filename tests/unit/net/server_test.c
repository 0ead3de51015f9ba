/* server: limits on connections and descriptors, draining, Unix sockets, addresses in use. */
#include "net_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/metric.h"

static struct fixture f;

static void on_request(void *arg, struct http_request *req)
{
    uid_t uid = 12345;
    char text[64];
    if (str_eq(req->path, STR("/never")))
        return;
    if (http_request_peer_uid(req, &uid))
        snprintf(text, sizeof(text), "uid %u %s", uid, http_request_remote(req));
    else
        snprintf(text, sizeof(text), "hi");
    http_respond(req, &(struct http_response){.body = str_from(text)});
}

static const struct http_options http = {.on_request = on_request};

static int teardown(void **state)
{
    fixture_stop(&f);
    return 0;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\n\r\n"

static void refuses_beyond_the_limit(void **state)
{
    struct client c[5];
    fixture_start(&f, (struct net_server_options){.http = http, .connections_max = 3});
    for (int i = 0; i < 3; i++) {
        client_connect(&c[i], &f);
        assert_int_equal(client_get(&c[i], GET("/")).status, 200);
    }
    for (int i = 3; i < 5; i++) {
        client_connect(&c[i], &f);
        struct client_response r = client_read_response(&c[i], false);
        assert_int_equal(r.status, 503);
        assert_non_null(client_header(r.head, "Retry-After").p);
        assert_true(client_is_closed(&c[i]));
        client_close(&c[i]);
    }
    assert_int_equal(client_get(&c[0], GET("/")).status, 200); /* the others do not notice */
    client_close(&c[0]);
    for (int i = 0; i < 1000 && net_server_connections(f.server) > 2; i++)
        usleep(1000);
    client_connect(&c[0], &f);
    assert_int_equal(client_get(&c[0], GET("/")).status, 200);
    for (int i = 0; i < 3; i++)
        client_close(&c[i]);
}

/* Silent connections do not keep others out: the oldest of them goes. */
static void gives_up_the_oldest_newcomer(void **state)
{
    struct client silent[8];
    struct client known;
    struct client late;
    fixture_start(&f, (struct net_server_options){.http = http, .pending_max = 4, .loop_count = 1});
    client_connect(&known, &f);
    assert_int_equal(client_get(&known, GET("/")).status, 200);
    for (int i = 0; i < 8; i++) {
        client_connect(&silent[i], &f);
        client_sends(&silent[i], "GET / HT");
    }
    for (int i = 0; i < 4; i++)
        assert_true(client_is_closed(&silent[i]));
    client_connect(&late, &f);
    assert_int_equal(client_get(&late, GET("/")).status, 200);
    assert_int_equal(client_get(&known, GET("/")).status, 200);
    for (int i = 5; i < 8; i++) { /* those that are left may still become known */
        client_sends(&silent[i], "TP/1.1\r\nHost: a\r\n\r\n");
        assert_int_equal(client_read_response(&silent[i], false).status, 200);
    }
    for (int i = 0; i < 8; i++)
        client_close(&silent[i]);
    client_close(&known);
    client_close(&late);
}

/* In a process of its own, where descriptors are few. Writes its port, then its log, to `out`. */
static void serve_with_few_descriptors(int in, int out)
{
    struct rlimit few = {48, 48};
    dup2(out, STDOUT_FILENO);
    setrlimit(RLIMIT_NOFILE, &few);
    fixture_start(&f, (struct net_server_options){.http = http, .connections_max = 1000});
    uint16_t port = net_server_port(f.server);
    if (write(out, &port, sizeof(port)) != sizeof(port))
        _exit(1);
    char end;
    (void)!read(in, &end, 1);
    fixture_stop(&f);
    exit(0);
}

/* A server in a process of its own, which has few descriptors: `to` ends it, `from` says its ports.
 */
static pid_t fork_server(void (*serve)(int from_test, int to_test), int *to_server,
                         int *from_server)
{
    int to[2], from[2];
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    fflush(stdout);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(to[1]);
        close(from[0]);
        serve(to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    *to_server = to[1];
    *from_server = from[0];
    return pid;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval deadline = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void survives_want_of_descriptors(void **state)
{
    int to, from;
    pid_t pid = fork_server(serve_with_few_descriptors, &to, &from);
    uint16_t port;
    assert_int_equal(read(from, &port, sizeof(port)), sizeof(port));

    enum { MANY = 100 };
    static struct client c[MANY];
    int served = 0;
    int refused = 0;
    for (int i = 0; i < MANY; i++) {
        c[i] = (struct client){.fd = connect_to(port)};
        struct client_response r = client_get(&c[i], GET("/"));
        if (r.status == 200)
            served++;
        else
            refused++;
        assert_true(r.status == 200 || r.status == 503 || r.status == 0);
    }
    assert_true(served > 10 && served < 48);
    assert_int_equal(refused, MANY - served);
    for (int i = 0; i < served; i++) /* those that have a place keep it */
        assert_int_equal(client_get(&c[i], GET("/")).status, 200);
    for (int i = 0; i < MANY; i++)
        client_close(&c[i]);
    /* And there is room again, once the server has seen them go. */
    int answer = 0;
    for (int64_t until_ms = clock_mono_ms() + 20000; answer != 200 && clock_mono_ms() < until_ms;) {
        struct client again = {.fd = connect_to(port)};
        answer = client_get(&again, GET("/")).status;
        client_close(&again);
    }
    assert_int_equal(answer, 200);

    close(to);
    struct strbuf log = {0};
    for (ssize_t n; (n = read(from, strbuf_reserve(&log, 4096), 4096)) > 0;)
        log.n += (size_t)n;
    strbuf_addc(&log, '\0');
    const char *said = strstr(log.p, "no file descriptors left");
    assert_non_null(said);
    assert_non_null(strstr(said, "ulimit -n"));
    assert_null(strstr(said + 1, "no file descriptors left")); /* once */
    strbuf_deinit(&log);
    close(from);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* Two servers in a process of their own: together they leave descriptors for the rest of it. The
 * clients are in another, or they would need as many. Writes the ports to `out`. */
static void serve_twice_with_few_descriptors(int in, int out)
{
    struct rlimit few = {600, 600}; /* of which 256 are not for connections */
    struct fixture servers[2] = {{.server = NULL}};
    char end;
    dup2(out, STDOUT_FILENO);
    setrlimit(RLIMIT_NOFILE, &few);
    for (int i = 0; i < 2; i++) {
        fixture_start(&servers[i], (struct net_server_options){.http = http});
        uint16_t port = net_server_port(servers[i].server);
        if (write(out, &port, sizeof(port)) != sizeof(port))
            _exit(1);
    }
    (void)!read(in, &end, 1);
    for (int i = 0; i < 2; i++)
        fixture_stop(&servers[i]);
    exit(0);
}

static void servers_share_the_descriptors(void **state)
{
    enum { MANY = 400 };
    static struct client c[MANY];
    int to, from, status, served[2] = {0};
    uint16_t ports[2];
    pid_t pid = fork_server(serve_twice_with_few_descriptors, &to, &from);
    for (int i = 0; i < 2; i++)
        assert_int_equal(read(from, &ports[i], sizeof(ports[i])), sizeof(ports[i]));
    for (int i = 0; i < MANY; i++) {
        c[i] = (struct client){.fd = connect_to(ports[i % 2])};
        served[i % 2] += client_get(&c[i], GET("/")).status == 200;
    }
    assert_int_equal(served[0] + served[1], 600 - 256);
    assert_int_equal(served[0], served[1]);
    for (int i = 0; i < MANY; i++)
        client_close(&c[i]);
    close(to);
    close(from);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void drains(void **state)
{
    struct client idle;
    struct client busy;
    struct client half;
    fixture_start(&f, (struct net_server_options){.http = http});
    client_connect(&idle, &f);
    assert_int_equal(client_get(&idle, GET("/")).status, 200);
    /* What stands behind an answered request in the same bytes has been read when the answer is
     * here. */
    client_connect(&busy, &f);
    assert_int_equal(client_get(&busy, GET("/") GET("/never")).status, 200);
    client_connect(&half, &f);
    assert_int_equal(client_get(&half, GET("/") "GET / HTTP/1.1\r\n").status, 200);
    /* The idle one goes at once; the two others are left when the time is up. */
    assert_int_equal(net_server_drain(f.server, 200), 2);
    assert_true(client_is_closed(&idle));
    client_sends(&half, "Host: a\r\n\r\n");
    struct client_response r = client_read_response(&half, false);
    assert_int_equal(r.status, 200);
    assert_true(str_eq(client_header(r.head, "Connection"), STR("close")));
    assert_true(client_is_closed(&half));
    /* Nobody listens any more. */
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(net_server_port(f.server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_not_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    close(fd);
    client_close(&idle);
    client_close(&busy);
    client_close(&half);
}

static void speaks_over_a_unix_socket(void **state)
{
    char path[128];
    struct stat st;
    struct client c;
    char expected[64];
    snprintf(path, sizeof(path), "%s/test.sock", fixture_dir(&f));
    /* one left over from a crash is in nobody's way */
    int stale = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    assert_int_equal(bind(stale, (struct sockaddr *)&address, sizeof(address)), 0);
    close(stale);
    fixture_start(&f, (struct net_server_options){.http = http, .unix_path = path});
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    client_connect_unix(&c, path);
    snprintf(expected, sizeof(expected), "uid %u local", getuid());
    assert_true(str_eq(client_get(&c, GET("/")).body, str_from(expected)));
    client_close(&c);
    /* a living one is not taken away */
    struct net_server *second;
    struct net_server_options opt = {
        .loops = f.loops, .loop_count = 1, .unix_path = path, .http = http};
    assert_int_equal(net_server_create(&second, &opt), ERR_ALREADY_EXISTS);
    assert_null(second);
    client_connect_unix(&c, path);
    assert_int_equal(client_get(&c, GET("/")).status, 200);
    client_close(&c);
    net_server_destroy(&f.server);
    assert_int_not_equal(stat(path, &st), 0); /* and it tidies up */
}

static void reports_a_taken_port(void **state)
{
    struct net_server *second;
    fixture_start(&f, (struct net_server_options){.http = http});
    struct net_server_options opt = {.loops = f.loops,
                                     .loop_count = 1,
                                     .host = "127.0.0.1",
                                     .port = net_server_port(f.server),
                                     .http = http};
    assert_int_equal(net_server_create(&second, &opt), ERR_ALREADY_EXISTS);
    opt.host = "no such host";
    assert_int_equal(net_server_create(&second, &opt), ERR_INVALID_ARGUMENT);
    opt.host = NULL; /* every address */
    opt.port = 0;
    assert_int_equal(net_server_create(&second, &opt), ERR_OK);
    struct net_server *first = f.server;
    f.server = second;
    struct client c;
    client_connect(&c, &f); /* IPv4 reaches the dual-stack socket */
    assert_int_equal(client_get(&c, GET("/")).status, 200);
    client_close(&c);
    f.server = first;
    net_server_destroy(&second);
}

static void counts(void **state)
{
    struct strbuf text = {0};
    struct client c;
    fixture_start(&f, (struct net_server_options){.http = http, .name = "counted"});
    client_connect(&c, &f);
    assert_int_equal(client_get(&c, GET("/")).status, 200);
    metric_write_prometheus(&text);
    assert_non_null(strstr(text.p, "parlance_net_connections{server=\"counted\"} 1\n"));
    assert_non_null(strstr(text.p, "parlance_net_answers_total{outcome=\"2xx\"}"));
    assert_non_null(strstr(text.p, "parlance_net_bytes_total{direction=\"in\"}"));
    strbuf_deinit(&text);
    client_close(&c);
    fixture_stop(&f);
    metric_write_prometheus(&text);
    assert_non_null(strstr(text.p, "parlance_net_connections{server=\"counted\"} 0\n"));
    strbuf_deinit(&text);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_teardown(fn, teardown)
    const struct CMUnitTest tests[] = {
        /* First those that fork, which threads do not like. */
        TEST(survives_want_of_descriptors),
        TEST(servers_share_the_descriptors),
        TEST(refuses_beyond_the_limit),
        TEST(gives_up_the_oldest_newcomer),
        TEST(drains),
        TEST(speaks_over_a_unix_socket),
        TEST(reports_a_taken_port),
        TEST(counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
