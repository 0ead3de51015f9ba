/*
 * server: a listening socket (TCP, TLS or Unix) whose connections are spread over loops, round
 * robin. Each loop owns its connections outright.
 *
 * When descriptors run out it says once what to raise and goes on serving those it has; beyond
 * connections_max newcomers get 503; sockets that have not completed a first request are few, small
 * and short-lived (the oldest goes first).
 */
#pragma once

#include "core/err.h"
#include "core/loop.h"
#include "net/http.h"
#include "net/tls.h"

struct net_server;

struct net_server_options {
    const char *name;          /* for logs and metrics: "http", "https", "control"; static */
    struct loop *const *loops; /* must outlive the server; the array itself need not */
    size_t loop_count;
    const char *host;       /* NULL or "": every address, IPv6 and IPv4 */
    uint16_t port;          /* 0: any free one, see net_server_port */
    const char *unix_path;  /* instead of host and port: a socket file of mode 0600 */
    struct net_tls *tls;    /* NULL: plain; must outlive the server */
    size_t connections_max; /* 0: what the descriptor limit allows all servers of the
                               process together */
    size_t pending_max;     /* connections before their first whole request; 0: 4,096 */
    struct http_options http;
};

/* ERR_ALREADY_EXISTS: the address is taken. The cause is logged. Not from a loop. */
MUST_USE enum err net_server_create(struct net_server **out, const struct net_server_options *opt);
uint16_t net_server_port(const struct net_server *server);
size_t net_server_connections(const struct net_server *server);
/*
 * Stops accepting, closes idle connections, sends the others `Connection: close` with their answer
 * and WebSockets 1001 (spread over half the time, so that they do not all come back at once), and
 * waits until all are gone or the time is up. Returns how many were left. Not from a loop.
 */
size_t net_server_drain(struct net_server *server, int64_t timeout_ms);
/* Ends what is left and frees. Not from a loop. Sets *server to NULL. */
void net_server_destroy(struct net_server **server);
