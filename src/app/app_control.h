/*
 * app_control: the running server as commands on the same machine reach it, through the socket
 * DATA/parlance.sock (mode 0600, and the kernel says who is calling: the server's own user or
 * root). A command calls services through it as the system itself, so nobody has to stop the server
 * to mend an account, and no second process ever opens the store.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "core/err.h"

struct app_control;

struct app_control_options {
    const char *data_dir;
    ProtobufCService *const *services; /* what may be called; copied */
    size_t service_count;              /* at most 8 */
    int64_t idle_ms; /* a caller that says nothing for so long is let go; 0: 10,000 */
};

MUST_USE enum err app_control_start(struct app_control **out,
                                    const struct app_control_options *opt);
/* Waits for the call in work; no call may go to the services after them. Accepts NULL. */
void app_control_stop(struct app_control **control);

/* ---- the command's side ---- */

struct app_control_line;

/* ERR_NOT_FOUND: no server is running on this directory. */
MUST_USE enum err app_control_dial(struct app_control_line **out, const char *data_dir);
/* A service of the running server; destroy with protobuf_c_service_destroy, before the line. */
ProtobufCService *app_control_service(struct app_control_line *line,
                                      const ProtobufCServiceDescriptor *descriptor);
/* Accepts NULL. */
void app_control_hang_up(struct app_control_line **line);
