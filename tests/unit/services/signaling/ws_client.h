/* A WebSocket client of the tests' own: blocking, small, and independent of net/ws. */
#pragma once

#include <jansson.h>

#include "core/base.h"

struct ws_client {
    int fd;
    unsigned close_code; /* 0: open */
};

/* Shakes hands at path; fails the test if the server refuses. */
void ws_client_open(struct ws_client *c, uint16_t port, const char *path, const char *headers);
void ws_client_send(struct ws_client *c, const char *json);
/* The next message, or NULL when the socket was closed (close_code) or twenty seconds passed
 * (close_code 0). */
json_t *ws_client_next(struct ws_client *c);
/* Ends the TCP connection without a goodbye. */
void ws_client_cut(struct ws_client *c);
