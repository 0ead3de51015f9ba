/*
 * The server's end of the control socket. One thread takes one caller after the other: these are
 * commands typed by a person, and a caller that says nothing is let go soon. Who calls is asked of
 * the kernel, besides the mode of the socket.
 */
#include "app/app_control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app_control_wire.h"
#include "control.pb-c.h"
#include "core/log.h"
#include "core/mem.h"
#include "rpc/rpc.h"

#define SERVICES_MAX 8
#define WAITING_MAX 16

struct app_control {
    struct sockaddr_un address;
    int dir_fd, listener, stop; /* -1: not open; stop: an eventfd */
    ProtobufCService *services[SERVICES_MAX];
    size_t service_count;
    int64_t idle_ms;
    pthread_t thread;
    bool is_running;
};

/* ---- one request ---- */

static ProtobufCService *find_service(const struct app_control *c, const char *name)
{
    for (size_t i = 0; i < c->service_count; i++) {
        if (strcmp(c->services[i]->descriptor->name, name) == 0)
            return c->services[i];
    }
    return NULL;
}

static void fail(Control__Reply *reply, struct arena *arena, enum err err, const char *message)
{
    reply->code = (int32_t)err;
    reply->message = arena_strdup(arena, message);
}

static void answer(const struct app_control *c, const Control__Request *in, struct arena *arena,
                   Control__Reply *reply)
{
    ProtobufCService *service = find_service(c, in->service);
    const ProtobufCMethodDescriptor *method =
        service ? protobuf_c_service_descriptor_get_method_by_name(service->descriptor, in->method)
                : NULL;
    if (!method) {
        fail(reply, arena, ERR_UNIMPLEMENTED, "this server does not know that command");
        return;
    }
    ProtobufCMessage *request =
        rpc_message_unpack(method->input, arena, in->body.data, in->body.len);
    if (!request) {
        fail(reply, arena, ERR_INVALID_ARGUMENT, "the request cannot be read");
        return;
    }
    struct rpc_call *call = rpc_call_create(NULL);
    call->remote_addr = "local"; /* for the audit log */
    const ProtobufCMessage *out = rpc_sync(service, in->method, request, call);
    if (out) {
        reply->body.len = protobuf_c_message_get_packed_size(out);
        reply->body.data = arena_alloc(arena, reply->body.len + 1);
        protobuf_c_message_pack(out, reply->body.data);
    } else {
        fail(reply, arena, call->err, call->message);
    }
    rpc_call_unref(&call);
}

static bool serve_one(const struct app_control *c, int fd)
{
    struct arena *arena = arena_create();
    ProtobufCMessage *request = NULL;
    enum err err = control_receive(fd, &control__request__descriptor, arena, &request);
    if (!err) {
        Control__Reply reply = CONTROL__REPLY__INIT;
        answer(c, (const Control__Request *)request, arena, &reply);
        err = control_send(fd, &reply.base);
    }
    if (err && err != ERR_NOT_FOUND)
        log_warn(NULL, "control: a caller was let go: %s", err_text(err));
    arena_destroy(&arena);
    return !err;
}

/* ---- callers ---- */

static bool is_allowed(int fd)
{
    struct ucred who;
    socklen_t n = sizeof(who);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) != 0)
        return false;
    if (who.uid == geteuid() || who.uid == 0)
        return true;
    log_warn(NULL, "control: user %u has nothing to say here", (unsigned)who.uid);
    return false;
}

/* The next request is there, or the caller hung up; false: stop, or nothing came in time. */
static bool wait_for_request(const struct app_control *c, int fd)
{
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = c->stop, .events = POLLIN}};
    int n;
    do {
        n = poll(fds, ARRAY_LEN(fds), (int)c->idle_ms);
    } while (n < 0 && errno == EINTR);
    return n > 0 && !fds[1].revents;
}

static void serve(const struct app_control *c, int fd)
{
    control_set_timeout(fd, c->idle_ms);
    if (!is_allowed(fd))
        return;
    while (wait_for_request(c, fd) && serve_one(c, fd))
        ;
}

static void *thread_main(void *arg)
{
    const struct app_control *c = arg;
    struct pollfd fds[] = {{.fd = c->listener, .events = POLLIN},
                           {.fd = c->stop, .events = POLLIN}};
    for (;;) {
        if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
            return NULL;
        if (fds[1].revents)
            return NULL;
        int fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        serve(c, fd);
        close(fd);
    }
}

/* ---- life ---- */

static enum err listen_at(struct app_control *c, const char *data_dir)
{
    enum err err = control_address(data_dir, &c->address, &c->dir_fd);
    if (err)
        return err;
    unlink(
        c->address
            .sun_path); /* of a server that died: the lock of store or data says that none lives */
    c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    c->stop = eventfd(0, EFD_CLOEXEC);
    if (c->listener < 0 || c->stop < 0 ||
        bind(c->listener, (struct sockaddr *)&c->address, sizeof(c->address)) != 0 ||
        chmod(c->address.sun_path, 0600) != 0 || listen(c->listener, WAITING_MAX) != 0)
        return err_from_errno(errno);
    return ERR_OK;
}

enum err app_control_start(struct app_control **out, const struct app_control_options *opt)
{
    struct app_control *c = mem_zalloc(sizeof(*c));
    c->dir_fd = c->listener = c->stop = -1;
    c->idle_ms = opt->idle_ms ? opt->idle_ms : 10 * 1000;
    for (size_t i = 0; i < opt->service_count && i < SERVICES_MAX; i++)
        c->services[c->service_count++] = opt->services[i];
    enum err err = listen_at(c, opt->data_dir);
    if (!err && pthread_create(&c->thread, NULL, thread_main, c) != 0)
        err = ERR_RESOURCE_EXHAUSTED;
    c->is_running = !err;
    if (err)
        app_control_stop(&c);
    *out = c;
    return err;
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

void app_control_stop(struct app_control **control)
{
    struct app_control *c = *control;
    *control = NULL;
    if (!c)
        return;
    if (c->is_running) {
        uint64_t one = 1;
        while (write(c->stop, &one, sizeof(one)) < 0 && errno == EINTR)
            ;
        pthread_join(c->thread, NULL);
        unlink(c->address.sun_path);
    }
    close_if_open(c->listener);
    close_if_open(c->stop);
    close_if_open(c->dir_fd);
    free(c);
}
