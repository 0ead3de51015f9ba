/*
 * The command's end of the control socket: a line to the server, and services behind it that are
 * called like any other. One call at a time; a call waits for its answer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/app_control.h"
#include "app/app_control_wire.h"
#include "control.pb-c.h"
#include "core/mem.h"
#include "rpc/rpc.h"

#define ANSWER_MS 30000

struct app_control_line {
    int fd;
};

struct remote {
    ProtobufCService base; /* first: what callers hold */
    struct app_control_line *line;
};

enum err app_control_dial(struct app_control_line **out, const char *data_dir)
{
    struct sockaddr_un address;
    int dir_fd;
    *out = NULL;
    enum err err = control_address(data_dir, &address, &dir_fd);
    if (err)
        return ERR_NOT_FOUND; /* no directory, no server */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        bool is_absent = errno == ENOENT || errno == ECONNREFUSED;
        err = is_absent ? ERR_NOT_FOUND : err_from_errno(errno);
    }
    if (dir_fd >= 0)
        close(dir_fd);
    if (err) {
        if (fd >= 0)
            close(fd);
        return err;
    }
    control_set_timeout(fd, ANSWER_MS);
    *out = mem_zalloc(sizeof(**out));
    (*out)->fd = fd;
    return ERR_OK;
}

void app_control_hang_up(struct app_control_line **line)
{
    if (!*line)
        return;
    close((*line)->fd);
    free(*line);
    *line = NULL;
}

/* The reply, or NULL after rpc_fail. */
static ProtobufCMessage *ask(struct remote *r, unsigned method, const ProtobufCMessage *input,
                             struct rpc_call *call)
{
    const ProtobufCMethodDescriptor *m = &r->base.descriptor->methods[method];
    Control__Request request = CONTROL__REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    request.service = (char *)r->base.descriptor->name;
    request.method = (char *)m->name;
    request.body.len = protobuf_c_message_get_packed_size(input);
    request.body.data = arena_alloc(call->arena, request.body.len + 1);
    protobuf_c_message_pack(input, request.body.data);
    enum err err = control_send(r->line->fd, &request.base);
    explicit_bzero(request.body.data, request.body.len);
    if (!err)
        err = control_receive(r->line->fd, &control__reply__descriptor, call->arena, &message);
    const Control__Reply *reply = (const Control__Reply *)message;
    if (err) {
        rpc_fail(call, ERR_UNAVAILABLE, "the server does not answer (its log may say why)");
        return NULL;
    }
    if (reply->code) {
        rpc_fail(call, (enum err)reply->code, "%s", reply->message);
        return NULL;
    }
    message = rpc_message_unpack(m->output, call->arena, reply->body.data, reply->body.len);
    if (!message)
        rpc_fail(call, ERR_INTERNAL, "the server's answer cannot be read: another version?");
    return message;
}

static void invoke(ProtobufCService *base, unsigned method, const ProtobufCMessage *input,
                   ProtobufCClosure closure, void *data)
{
    closure(ask((struct remote *)base, method, input, data), data);
}

static void destroy(ProtobufCService *base)
{
    free(base);
}

ProtobufCService *app_control_service(struct app_control_line *line,
                                      const ProtobufCServiceDescriptor *descriptor)
{
    struct remote *r = mem_zalloc(sizeof(*r));
    r->base = (ProtobufCService){.descriptor = descriptor, .invoke = invoke, .destroy = destroy};
    r->line = line;
    return &r->base;
}
