/* The control socket: calls and their errors through it, callers one after the other, directories
 * with long names, what a caller may not do, and an end that waits for nobody. */
#include "test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app_control.h"
#include "app/app_control_wire.h"
#include "control.pb-c.h"
#include "core/clock.h"
#include "core/file.h"
#include "rpc/rpc.h"
#include "user.pb-c.h"

static void on_get_user(User__User_Service *s UNUSED, const User__GetUserRequest *in,
                        User__Profile_Closure closure, void *data)
{
    struct rpc_call *call = data;
    User__Profile p = USER__PROFILE__INIT;
    p.id = in->id;
    p.nickname = (char *)(call->who ? "somebody" : "the system");
    p.description = (char *)call->remote_addr;
    if (strcmp(in->id, "nobody") == 0)
        rpc_fail(call, ERR_NOT_FOUND, "no such user");
    closure(strcmp(in->id, "nobody") == 0 ? NULL : &p, call);
}

static User__User_Service user = {
    .base = {.descriptor = &user__user__descriptor, .invoke = protobuf_c_service_invoke_internal},
    .get_user = on_get_user,
};

static struct {
    char root[64];
    char dir[400];
    ProtobufCService *service;
    struct app_control *control;
} t;

static void start(void)
{
    assert_int_equal(
        app_control_start(&t.control, &(struct app_control_options){.data_dir = t.dir,
                                                                    .services = &t.service,
                                                                    .service_count = 1,
                                                                    .idle_ms = 1000}),
        ERR_OK);
}

static int setup(void **state UNUSED)
{
    snprintf(t.root, sizeof(t.root), "/tmp/parlance-test-XXXXXX");
    assert_non_null(mkdtemp(t.root));
    snprintf(t.dir, sizeof(t.dir), "%s", t.root);
    t.service = rpc_local_create(&user.base, NULL);
    return 0;
}

static int teardown(void **state UNUSED)
{
    char command[128];
    app_control_stop(&t.control);
    rpc_local_destroy(&t.service);
    snprintf(command, sizeof(command), "rm -rf %s", t.root);
    assert_int_equal(system(command), 0);
    return 0;
}

/* Asks on a line of its own; ERR_OK with the answer's nickname, or why not. */
static enum err ask(const char *id, char *nickname, size_t size)
{
    struct app_control_line *line;
    enum err err = app_control_dial(&line, t.dir);
    if (err)
        return err;
    ProtobufCService *remote = app_control_service(line, &user__user__descriptor);
    ProtobufCService *service = rpc_local_create(remote, NULL);
    struct rpc_call *call = rpc_call_create(NULL);
    User__GetUserRequest in = USER__GET_USER_REQUEST__INIT;
    in.id = (char *)id;
    const User__Profile *p = rpc_sync(service, "GetUser", &in.base, call);
    err = call->err;
    snprintf(nickname, size, "%s", p ? p->nickname : call->message);
    if (p) {
        assert_string_equal(p->id, id);
        assert_string_equal(p->description, "local");
    }
    rpc_call_unref(&call);
    rpc_local_destroy(&service);
    protobuf_c_service_destroy(remote);
    app_control_hang_up(&line);
    return err;
}

static void expect_served(void)
{
    char said[200];
    assert_int_equal(ask("ann", said, sizeof(said)), ERR_OK);
    assert_string_equal(said, "the system");
}

static int dial_raw(void)
{
    struct sockaddr_un address;
    int dir_fd;
    assert_int_equal(control_address(t.dir, &address, &dir_fd), ERR_OK);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    if (dir_fd >= 0)
        close(dir_fd);
    control_set_timeout(fd, 5000);
    return fd;
}

/* ---- tests ---- */

static void test_calls_and_errors(void **state UNUSED)
{
    char said[200];
    struct stat st;
    char path[500];
    assert_int_equal(ask("ann", said, sizeof(said)), ERR_NOT_FOUND); /* nobody listens */
    start();
    snprintf(path, sizeof(path), "%s/" CONTROL_SOCKET, t.dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    expect_served();
    assert_int_equal(ask("nobody", said, sizeof(said)), ERR_NOT_FOUND);
    assert_string_equal(said, "no such user");
    expect_served();
    app_control_stop(&t.control);
    assert_int_not_equal(stat(path, &st), 0);
}

static void test_long_directory(void **state UNUSED)
{
    size_t n = strlen(t.dir);
    while (n < 300)
        n += (size_t)snprintf(t.dir + n, sizeof(t.dir) - n, "/a-long-name-of-a-directory");
    assert_int_equal(file_make_dirs(t.dir, 0700), ERR_OK);
    start();
    expect_served();
}

static void test_left_by_a_dead_server(void **state UNUSED)
{
    struct app_control *dead;
    start();
    dead = t.control; /* its socket is taken from it, as by a kill */
    t.control = NULL;
    start();
    expect_served();
    app_control_stop(&dead);
}

static void expect_reply(int fd, const char *service, const char *method, enum err code)
{
    struct arena *arena = arena_create();
    ProtobufCMessage *reply;
    Control__Request in = CONTROL__REQUEST__INIT;
    in.service = (char *)service;
    in.method = (char *)method;
    assert_int_equal(control_send(fd, &in.base), ERR_OK);
    assert_int_equal(control_receive(fd, &control__reply__descriptor, arena, &reply), ERR_OK);
    assert_int_equal(((Control__Reply *)reply)->code, code);
    arena_destroy(&arena);
}

static void test_only_what_is_offered(void **state UNUSED)
{
    start();
    int fd = dial_raw();
    expect_reply(fd, "parlance.user.v1.User", "GetUser", ERR_OK);
    expect_reply(fd, "parlance.user.v1.User", "Launch", ERR_UNIMPLEMENTED);
    expect_reply(fd, "parlance.auth.v1.Auth", "Login", ERR_UNIMPLEMENTED);
    expect_reply(fd, "", "", ERR_UNIMPLEMENTED);
    expect_reply(fd, "parlance.user.v1.User", "GetUser", ERR_OK); /* the line still stands */
    close(fd);
}

static void test_nonsense_ends_the_line(void **state UNUSED)
{
    static const struct {
        const char *bytes;
        size_t n;
    } cases[] = {
        {"\xff\xff\xff\xff", 4}, {"\0\x10\0\1", 4}, {"\0\0\0\3\xff\xff\xff", 7}, {"\0\0", 2}};
    start();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char byte;
        int fd = dial_raw();
        assert_int_equal(send(fd, cases[i].bytes, cases[i].n, 0), cases[i].n);
        assert_true(recv(fd, &byte, 1, 0) <= 0);
        close(fd);
    }
    expect_served();
}

static void test_silence_is_let_go(void **state UNUSED)
{
    start();
    int64_t from_ms = clock_mono_ms();
    int silent = dial_raw();
    usleep(20 * 1000);
    expect_served(); /* when its second is over */
    assert_in_range(clock_mono_ms() - from_ms, 500, 20000);
    close(silent);
}

static void test_the_end_waits_for_nobody(void **state UNUSED)
{
    start();
    int fd = dial_raw();
    expect_reply(fd, "parlance.user.v1.User", "GetUser", ERR_OK);
    int64_t from_ms = clock_mono_ms();
    app_control_stop(&t.control);
    assert_true(clock_mono_ms() - from_ms < 900);
    close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_calls_and_errors),         TEST(test_long_directory),
        TEST(test_left_by_a_dead_server),    TEST(test_only_what_is_offered),
        TEST(test_nonsense_ends_the_line),   TEST(test_silence_is_let_go),
        TEST(test_the_end_waits_for_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
