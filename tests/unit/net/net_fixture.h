/*
 * net_fixture: a server of the test's own on real loops, and a blocking client that speaks to it
 * over loopback (plain or TLS) with a deadline, so that a test fails rather than hangs.
 */
#pragma once

#include "test.h"

#include <openssl/ssl.h>

#include "net/server.h"
#include "net/ws.h"

#define FIXTURE_LOOPS 2

struct fixture {
    struct loop *loops[FIXTURE_LOOPS];
    struct net_server *server;
    struct net_tls *tls;
    char dir[64]; /* temporary; "" until fixture_dir */
};

/* `opt` as for net_server_create, without loops; host is loopback unless there is a unix_path. */
void fixture_start(struct fixture *f, struct net_server_options opt);
void fixture_stop(struct fixture *f);
const char *fixture_dir(struct fixture *f);

struct client {
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
    struct strbuf in; /* received, not yet used */
};

struct client_response {
    int status;
    struct str head; /* with the empty line; valid until the next call */
    struct str body;
};

void client_connect(struct client *c, struct fixture *f);
void client_connect_tls(struct client *c, struct fixture *f);
void client_connect_unix(struct client *c, const char *path);
void client_close(struct client *c);
void client_send(struct client *c, struct str bytes);
void client_sends(struct client *c, const char *text);
/* In pieces of `step` bytes, each a packet of its own. */
void client_send_in_steps(struct client *c, struct str bytes, size_t step);
/* No more bytes from us. */
void client_shut(struct client *c);
/* Reads one whole answer (Content-Length); status 0: the connection ended before it. */
struct client_response client_read_response(struct client *c, bool is_head);
struct client_response client_get(struct client *c, const char *text);
/* Value of a header of the head, STR_NULL when absent. */
struct str client_header(struct str head, const char *name);
/* Waits for the end of the connection. False: bytes came, or the deadline passed. */
bool client_is_closed(struct client *c);
/* One more read into c->in; false at the end of the connection. */
bool client_read_some(struct client *c);
/* Used bytes of c->in. */
void client_consume(struct client *c, size_t n);

/* WebSocket client side. */
void client_ws_open(struct client *c, const char *path, const char *extra_headers);
enum {
    CLIENT_WS_UNMASKED = 1,
    CLIENT_WS_NOT_FINAL = 2,
    CLIENT_WS_RSV1 = 4,
    CLIENT_WS_RSV2 = 8,
    CLIENT_WS_RSV3 = 16
};
void client_ws_encode(struct strbuf *out, unsigned opcode, struct str payload, unsigned flags);
void client_ws_send(struct client *c, unsigned opcode, struct str payload, unsigned flags);
struct client_ws_frame {
    bool is_there; /* false: the connection ended */
    unsigned opcode;
    bool is_deflated;
    struct str payload; /* valid until the next call */
};
struct client_ws_frame client_ws_read(struct client *c);
/* Reads a Close frame and returns its code (1005: none), 0 when something else came. */
unsigned client_ws_read_close(struct client *c);
