/*
 * listen: the one place where TCP sockets are bound. Options are set before listening, since
 * accepted sockets inherit them.
 */
#include "net/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "net/address.h"

#define BACKLOG 4096
/* Else the kernel would take megabytes for a peer that does not read, before we notice. */
#define KERNEL_UNSENT_BYTES (128 * 1024)

static enum err fail_errno(const char *what, const char *where)
{
    int saved = errno;
    log_error(NULL, "cannot %s %s: %s", what, where, strerror(saved));
    return saved == EADDRINUSE ? ERR_ALREADY_EXISTS : err_from_errno(saved);
}

static void set_option(int fd, int level, int name, int value)
{
    (void)setsockopt(fd, level, name, &value, sizeof(value));
}

static enum err bind_address(const struct addrinfo *ai, const char *where, int *out, uint16_t *port)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail_errno("make a socket for", where);
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    /* Accepted sockets inherit these. */
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, KERNEL_UNSENT_BYTES);
    if (ai->ai_family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        enum err err = fail_errno("listen on", where);
        close(fd);
        return err;
    }
    struct sockaddr_storage bound = {0};
    socklen_t n = sizeof(bound);
    if (getsockname(fd, (struct sockaddr *)&bound, &n) == 0)
        *port = net_address_from((struct sockaddr *)&bound).port;
    *out = fd;
    return ERR_OK;
}

static bool has_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
    bool has = bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0;
    close(fd);
    return has;
}

enum err net_listen(const char *host, uint16_t port, int *fd, uint16_t *bound)
{
    char service[8];
    char where[300];
    if (!host || !host[0])
        host = has_ipv6() ? "::" : "0.0.0.0";
    snprintf(service, sizeof(service), "%u", port);
    snprintf(where, sizeof(where), strchr(host, ':') ? "[%.250s]:%s" : "%.250s:%s", host, service);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    int rc = getaddrinfo(host, service, &hints, &found);
    if (rc != 0) {
        log_error(NULL, "cannot listen on %s: %s", where, gai_strerror(rc));
        return ERR_INVALID_ARGUMENT;
    }
    enum err err = bind_address(found, where, fd, bound);
    freeaddrinfo(found);
    return err;
}
