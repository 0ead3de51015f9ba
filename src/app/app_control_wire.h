/* What both ends of the control socket share: its address, and messages on it. */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <sys/un.h>

#include "core/arena.h"
#include "core/err.h"

#define CONTROL_SOCKET "parlance.sock"
#define CONTROL_MESSAGE_MAX (1 << 20)

/*
 * The socket's address. Beneath a long directory it does not fit sun_path: then it goes through the
 * directory's descriptor. *dir_fd (-1: none) is the caller's to close after bind or connect.
 */
MUST_USE enum err control_address(const char *data_dir, struct sockaddr_un *out, int *dir_fd);
void control_set_timeout(int fd, int64_t timeout_ms);

MUST_USE enum err control_send(int fd, const ProtobufCMessage *message);
/* ERR_NOT_FOUND: the other end has hung up; ERR_INVALID_ARGUMENT: too long, or no such message. */
MUST_USE enum err control_receive(int fd, const ProtobufCMessageDescriptor *descriptor,
                                  struct arena *arena, ProtobufCMessage **out);
