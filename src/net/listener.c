/*
 * listener: binds, accepts, and hands sockets round robin to the shards. It lives on the first
 * loop. Three ways to be full, none of which hurts those already served: the server's own limit
 * (newcomers are told 503), no descriptors left (a spare one is given up for a moment to take and
 * refuse the newcomer, or it would wait in the backlog for ever and spin the loop), and no memory
 * in the kernel (a pause). Each is logged once a minute at most, with what to raise.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "net/listen.h"
#include "net/server_internal.h"

#define BACKLOG 4096
#define ACCEPTS_PER_TURN 64
#define SAY_AGAIN_US 60000000
#define PAUSE_MS 100
#define FULL_BODY \
    "{\"error\":{\"code\":\"unavailable\",\"message\":\"too many connections, try later\"}}"

struct listener {
    struct net_server *server;
    struct loop *loop;
    uv_poll_t poll;
    struct loop_timer pause;
    int fd;
    int spare_fd; /* given up for a moment when descriptors run out */
    uint16_t port;
    char *unix_path;
    size_t next_shard;
    int64_t said_full_us;
    int64_t said_descriptors_us;
    bool is_stopped;
    bool is_closed; /* libuv has let go of poll */
    bool is_destroyed;
};

static enum err fail_errno(const char *what, const char *where)
{
    int saved = errno;
    log_error(NULL, "cannot %s %s: %s", what, where, strerror(saved));
    return saved == EADDRINUSE ? ERR_ALREADY_EXISTS : err_from_errno(saved);
}

/* A socket file that nobody answers is left over from a crash. */
static bool is_stale(const struct sockaddr_un *address)
{
    struct stat st;
    if (lstat(address->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_refused = fd >= 0 &&
                      connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 &&
                      errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return is_refused;
}

static enum err listen_unix(struct listener *l, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return fail_errno("listen on", path);
    }
    strcpy(address.sun_path, path);
    if (is_stale(&address))
        unlink(path);
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return fail_errno("make a socket for", path);
    /* Before bind, so that the file is never there with another mode (Linux takes it over). */
    if (fchmod(l->fd, 0600) != 0 || bind(l->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        return fail_errno("listen on", path);
    l->unix_path = mem_strdup(path);
    if (listen(l->fd, BACKLOG) != 0)
        return fail_errno("listen on", path);
    return ERR_OK;
}

static bool may_say(struct listener *l, int64_t *said_us)
{
    int64_t now = loop_now_us(l->loop);
    if (*said_us && now - *said_us < SAY_AGAIN_US)
        return false;
    *said_us = now;
    return true;
}

static void say_full(struct listener *l, const char *what)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    log_error(NULL,
              "%s: %s; refusing newcomers, serving %zu (at most %zu; descriptor limit %llu: raise "
              "it with `ulimit -n` or LimitNOFILE= in the systemd unit)",
              l->server->name, what, atomic_load(&l->server->connection_count),
              l->server->connections_max, (unsigned long long)limit.rlim_cur);
}

/* Closes a newcomer; in plain HTTP it can be told why without waiting for it. */
static void refuse(struct listener *l, int fd)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\n"
                                 "Content-Type: application/json\r\n"
                                 "Content-Length: 76\r\n"
                                 "Retry-After: 5\r\n"
                                 "Connection: close\r\n\r\n" FULL_BODY;
    _Static_assert(sizeof(FULL_BODY) - 1 == 76, "Content-Length");
    if (!l->server->tls) {
        (void)send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        /* Unread bytes would turn the close into a reset that overtakes the answer. */
        char drop[4096];
        shutdown(fd, SHUT_WR);
        (void)recv(fd, drop, sizeof(drop), MSG_DONTWAIT);
    }
    close(fd);
}

struct adoption {
    struct shard *shard;
    int fd;
    struct net_address address;
};

static void adopt(void *arg)
{
    struct adoption *a = arg;
    conn_create(a->shard, a->fd, &a->address);
    free(a);
}

static void hand_over(struct listener *l, int fd, const struct net_address *address)
{
    struct net_server *server = l->server;
    struct shard *shard = &server->shards[l->next_shard];
    l->next_shard = (l->next_shard + 1) % server->shard_count;
    net_count(NET_ACCEPTED, 1);
    if (!net_server_admit(server)) {
        net_count(NET_REFUSED_FULL, 1);
        if (may_say(l, &l->said_full_us))
            say_full(l, "all connections are taken");
        refuse(l, fd);
    } else if (shard->loop == l->loop) {
        conn_create(shard, fd, address);
    } else {
        struct adoption *a = mem_alloc(sizeof(*a));
        *a = (struct adoption){shard, fd, *address};
        loop_post(shard->loop, adopt, a);
    }
}

static int accept_one(struct listener *l, struct net_address *address)
{
    struct sockaddr_storage from = {0};
    socklen_t n = sizeof(from);
    int fd = accept4(l->fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        *address = net_address_from((struct sockaddr *)&from);
    return fd; /* else errno says why */
}

static void on_acceptable(uv_poll_t *poll, int status, int events);

static void on_pause_over(void *arg)
{
    struct listener *l = arg;
    if (!l->is_stopped)
        uv_poll_start(&l->poll, UV_READABLE, on_acceptable);
}

static void take_a_pause(struct listener *l)
{
    uv_poll_stop(&l->poll);
    loop_timer_start(l->loop, &l->pause, PAUSE_MS, on_pause_over, l);
}

/* What accept said last; accept4 wants a descriptor before it looks whether anyone is waiting. */
enum accepted { TAKEN, NOBODY, TROUBLE };

static enum accepted refuse_one(struct listener *l)
{
    struct net_address address;
    close(l->spare_fd);
    int fd = accept_one(l, &address);
    enum accepted result = fd >= 0 ? TAKEN : errno == EAGAIN ? NOBODY : TROUBLE;
    if (fd >= 0) {
        if (may_say(l, &l->said_descriptors_us))
            say_full(l, "no file descriptors left");
        net_count(NET_REFUSED_DESCRIPTORS, 1);
        refuse(l, fd);
    }
    l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return l->spare_fd >= 0 ? result : TROUBLE;
}

static enum accepted accept_next(struct listener *l)
{
    struct net_address address;
    int fd = accept_one(l, &address);
    if (fd >= 0) {
        hand_over(l, fd, &address);
        return TAKEN;
    }
    switch (errno) {
    case EAGAIN:
        return NOBODY;
    case EMFILE:
    case ENFILE:
        return refuse_one(l);
    case ENOBUFS:
    case ENOMEM:
        return TROUBLE;
    default: /* of a connection that is gone already */
        return TAKEN;
    }
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    struct listener *l = CONTAINER_OF(poll, struct listener, poll);
    enum accepted result = TAKEN;
    for (int i = 0; i < ACCEPTS_PER_TURN && result == TAKEN; i++)
        result = accept_next(l);
    if (result == TROUBLE)
        take_a_pause(l);
}

static void start(void *arg)
{
    struct listener *l = arg;
    uv_poll_init(loop_uv(l->loop), &l->poll, l->fd);
    uv_poll_start(&l->poll, UV_READABLE, on_acceptable);
}

enum err listener_create(struct listener **out, struct net_server *server,
                         const struct net_server_options *opt)
{
    struct listener *l = mem_new(struct listener);
    l->server = server;
    l->loop = server->shards[0].loop;
    l->fd = -1;
    l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    enum err err = opt->unix_path ? listen_unix(l, opt->unix_path)
                                  : net_listen(opt->host, opt->port, &l->fd, &l->port);
    if (err)
        goto fail;
    loop_call(l->loop, start, l);
    *out = l;
    return ERR_OK;
fail:
    if (l->fd >= 0)
        close(l->fd);
    close(l->spare_fd);
    free(l->unix_path);
    free(l);
    return err;
}

uint16_t listener_port(const struct listener *listener)
{
    return listener->port;
}

static void listener_free(struct listener *l)
{
    free(l->unix_path);
    free(l);
}

static void on_closed(uv_handle_t *handle)
{
    struct listener *l = CONTAINER_OF((uv_poll_t *)handle, struct listener, poll);
    l->is_closed = true;
    if (l->is_destroyed)
        listener_free(l);
}

static void stop(void *arg)
{
    struct listener *l = arg;
    if (l->is_stopped)
        return;
    l->is_stopped = true;
    loop_timer_stop(&l->pause);
    /* Before the descriptor is closed and its number reused: libuv forgets by number. */
    uv_close((uv_handle_t *)&l->poll, on_closed);
    close(l->fd);
    close(l->spare_fd);
    if (l->unix_path)
        unlink(l->unix_path);
}

void listener_stop(struct listener *listener)
{
    loop_call(listener->loop, stop, listener);
}

static void end(void *arg)
{
    struct listener *l = arg;
    stop(l);
    l->is_destroyed = true;
    if (l->is_closed)
        listener_free(l);
}

void listener_destroy(struct listener **listener)
{
    if (!*listener)
        return;
    loop_call((*listener)->loop, end, *listener);
    *listener = NULL;
}
