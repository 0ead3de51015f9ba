/* Messages on the control socket: a length of four bytes, then that many bytes of protobuf. */
#include "app/app_control_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/mem.h"
#include "rpc/rpc.h"

enum err control_address(const char *data_dir, struct sockaddr_un *out, int *dir_fd)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    *dir_fd = -1;
    int n = snprintf(out->sun_path, sizeof(out->sun_path), "%s/" CONTROL_SOCKET, data_dir);
    if (n > 0 && (size_t)n < sizeof(out->sun_path))
        return ERR_OK;
    *dir_fd = open(data_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*dir_fd < 0)
        return err_from_errno(errno);
    snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d/" CONTROL_SOCKET, *dir_fd);
    return ERR_OK;
}

void control_set_timeout(int fd, int64_t timeout_ms)
{
    struct timeval t = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

enum err control_send(int fd, const ProtobufCMessage *message)
{
    size_t n = protobuf_c_message_get_packed_size(message);
    if (n > CONTROL_MESSAGE_MAX)
        return ERR_INVALID_ARGUMENT;
    uint8_t *bytes = mem_alloc(n + 4);
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(n >> (24 - 8 * i));
    protobuf_c_message_pack(message, bytes + 4);
    size_t at = 0;
    while (at < n + 4) {
        ssize_t sent = send(fd, bytes + at, n + 4 - at, MSG_NOSIGNAL);
        if (sent <= 0)
            break;
        at += (size_t)sent;
    }
    enum err err = at == n + 4 ? ERR_OK : ERR_UNAVAILABLE;
    explicit_bzero(bytes, n + 4); /* passwords pass here */
    free(bytes);
    return err;
}

static enum err receive_all(int fd, uint8_t *out, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = recv(fd, out + at, n - at, 0);
        if (got == 0)
            return at ? ERR_UNAVAILABLE : ERR_NOT_FOUND;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ERR_UNAVAILABLE;
        at += (size_t)got;
    }
    return ERR_OK;
}

enum err control_receive(int fd, const ProtobufCMessageDescriptor *descriptor, struct arena *arena,
                         ProtobufCMessage **out)
{
    uint8_t length[4];
    enum err err = receive_all(fd, length, sizeof(length));
    if (err)
        return err;
    size_t n = (size_t)length[0] << 24 | (size_t)length[1] << 16 | (size_t)length[2] << 8 |
               (size_t)length[3];
    if (n > CONTROL_MESSAGE_MAX)
        return ERR_INVALID_ARGUMENT;
    uint8_t *bytes = mem_alloc(n + 1);
    err = receive_all(fd, bytes, n);
    if (!err && !(*out = rpc_message_unpack(descriptor, arena, bytes, n)))
        err = ERR_INVALID_ARGUMENT;
    explicit_bzero(bytes, n);
    free(bytes);
    return err == ERR_NOT_FOUND && n ? ERR_UNAVAILABLE : err;
}
