/*
 * redis_link: one connection: a non-blocking socket, TLS over it where the address asks for it,
 * hiredis' reader, and the few commands that sign in. Everything that waits has an end and may be
 * stopped from outside by a descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "net/tls.h"
#include "redis/redis_internal.h"

#define READ_BYTES 65536
#define ARGV_SMALL 16

struct redis_link {
    int fd;
    SSL *ssl; /* NULL: plain */
    struct redis_reader *reader;
    struct redis_host host;
    bool is_gone;
};

/* ---- waiting ---- */

static enum err wait_for(int fd, short events, const struct redis_wait *wait)
{
    struct pollfd fds[2] = {{.fd = fd, .events = events}, {.fd = wait->stop_fd, .events = POLLIN}};
    for (;;) {
        int64_t left_us = wait->until_us - clock_mono_us();
        if (left_us <= 0)
            return ERR_DEADLINE_EXCEEDED;
        int ready = poll(fds, 2, (int)MIN((left_us + 999) / 1000, 1000000));
        if (ready < 0 && errno != EINTR)
            return err_from_errno(errno);
        if (ready > 0 && fds[1].revents)
            return ERR_CANCELLED;
        if (ready > 0)
            return ERR_OK;
    }
}

/* ---- bytes ---- */

/* What OpenSSL waits for, or that it is over. */
static enum err after_tls(struct redis_link *link, int result, short *events)
{
    int why = SSL_get_error(link->ssl, result);
    ERR_clear_error();
    *events = why == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN;
    if (why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ)
        return ERR_NOT_FOUND;
    link->is_gone = true;
    return ERR_UNAVAILABLE;
}

static enum err after_socket(struct redis_link *link)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return ERR_NOT_FOUND;
    link->is_gone = true;
    return ERR_UNAVAILABLE;
}

enum err redis_link_write(struct redis_link *link, const char *bytes, size_t n, size_t *sent)
{
    short events;
    *sent = 0;
    while (*sent < n) {
        ssize_t done = link->ssl ? SSL_write(link->ssl, bytes + *sent, (int)MIN(n - *sent, 1 << 20))
                                 : send(link->fd, bytes + *sent, n - *sent, MSG_NOSIGNAL);
        if (done > 0) {
            *sent += (size_t)done;
            continue;
        }
        enum err err = link->ssl ? after_tls(link, (int)done, &events) : after_socket(link);
        return err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    return ERR_OK;
}

/* NOT_FOUND: nothing there. */
static enum err read_once(struct redis_link *link)
{
    char bytes[READ_BYTES];
    short events;
    ssize_t n = link->ssl ? SSL_read(link->ssl, bytes, sizeof(bytes))
                          : recv(link->fd, bytes, sizeof(bytes), 0);
    if (n == 0 && !link->ssl) {
        link->is_gone = true;
        return ERR_UNAVAILABLE;
    }
    if (n <= 0)
        return link->ssl ? after_tls(link, (int)n, &events) : after_socket(link);
    enum err err = redis_reader_feed(link->reader, bytes, (size_t)n);
    link->is_gone = link->is_gone || err;
    return err;
}

/* Until the socket has no more: under TLS what was read ahead does not wake anybody. */
enum err redis_link_read(struct redis_link *link)
{
    enum err err = read_once(link);
    while (!err && link->ssl && SSL_has_pending(link->ssl))
        err = read_once(link);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err redis_link_take(struct redis_link *link, struct arena *arena,
                         const struct redis_reply **reply)
{
    return redis_reader_take(link->reader, arena, reply);
}

bool redis_link_is_quiet(const struct redis_link *link)
{
    return redis_reader_is_empty(link->reader);
}

int redis_link_fd(const struct redis_link *link)
{
    return link->fd;
}

const struct redis_host *redis_link_host(const struct redis_link *link)
{
    return &link->host;
}

/* ---- commands ---- */

char *redis_format(const struct str *argv, size_t argc, size_t *n)
{
    const char *few[ARGV_SMALL], **texts = few;
    size_t few_n[ARGV_SMALL] = {0}, *lengths = few_n;
    if (argc > ARGV_SMALL) {
        texts = mem_calloc(argc, sizeof(*texts));
        lengths = mem_calloc(argc, sizeof(*lengths));
    }
    for (size_t i = 0; i < argc; i++) {
        texts[i] = argv[i].p ? argv[i].p : "";
        lengths[i] = argv[i].n;
    }
    char *bytes = NULL;
    int made = redisFormatCommandArgv(&bytes, (int)argc, texts, lengths);
    if (made < 0)
        abort(); /* no memory */
    if (argc > ARGV_SMALL) {
        free(texts);
        free(lengths);
    }
    *n = (size_t)made;
    return bytes;
}

enum err redis_link_send(struct redis_link *link, const struct str *argv, size_t argc,
                         const struct redis_wait *wait)
{
    size_t n, sent = 0, part;
    char *bytes = redis_format(argv, argc, &n);
    enum err err = ERR_OK;
    while (!err && sent < n) {
        err = redis_link_write(link, bytes + sent, n - sent, &part);
        sent += part;
        if (!err && sent < n)
            err = wait_for(link->fd, POLLOUT, wait);
    }
    link->is_gone = link->is_gone || err; /* a part of it may have gone */
    free(bytes);
    return err;
}

enum err redis_link_receive(struct redis_link *link, struct arena *arena,
                            const struct redis_wait *wait, const struct redis_reply **reply)
{
    for (;;) {
        enum err err = redis_reader_take(link->reader, arena, reply);
        if (err == ERR_OK)
            return ERR_OK;
        if (err == ERR_DATA_LOSS)
            link->is_gone = true;
        if (link->is_gone)
            return ERR_UNAVAILABLE;
        err = read_once(link);
        if (err == ERR_NOT_FOUND) {
            err = wait_for(link->fd, POLLIN, wait);
            if (err == ERR_DEADLINE_EXCEEDED || err == ERR_CANCELLED)
                return err;
        }
        if (err)
            return ERR_UNAVAILABLE;
    }
}

enum err redis_link_call(struct redis_link *link, const struct str *argv, size_t argc,
                         struct arena *arena, const struct redis_wait *wait,
                         const struct redis_reply **reply)
{
    *reply = NULL;
    enum err err = redis_link_send(link, argv, argc, wait);
    if (!err)
        err = redis_link_receive(link, arena, wait, reply);
    return err ? err : redis_reply_err(*reply);
}

/* ---- connecting ---- */

static void say(char *problem, const struct redis_host *host, const char *what)
{
    snprintf(problem, REDIS_PROBLEM_SIZE, "%.100s:%u: %.180s", host->name, host->port, what);
}

static enum err connect_to(const struct addrinfo *info, const struct redis_wait *wait, int *out)
{
    int one = 1, failure = 0;
    socklen_t n = sizeof(failure);
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_from_errno(errno);
    enum err err = ERR_OK;
    if (connect(fd, info->ai_addr, info->ai_addrlen) != 0) {
        failure = errno;
        if (failure == EINPROGRESS) {
            err = wait_for(fd, POLLOUT, wait);
            if (!err && getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &n) != 0)
                failure = errno;
        }
        if (!err && failure && failure != EINPROGRESS)
            err = ERR_UNAVAILABLE;
    }
    if (err) {
        close(fd);
        errno = err == ERR_UNAVAILABLE ? failure : 0;
        return err;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    *out = fd;
    return ERR_OK;
}

static enum err connect_by_name(const struct redis_host *host, const struct redis_wait *wait,
                                int *fd, char *problem)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    char port[8];
    snprintf(port, sizeof(port), "%u", host->port);
    int failure = getaddrinfo(host->name, port, &hints, &list);
    if (failure) {
        say(problem, host, gai_strerror(failure));
        return ERR_UNAVAILABLE;
    }
    enum err err = ERR_UNAVAILABLE;
    for (const struct addrinfo *at = list; at && err && err != ERR_CANCELLED; at = at->ai_next) {
        errno = 0;
        err = connect_to(at, wait, fd);
        if (err)
            say(problem, host, errno ? strerror(errno) : err_text(err));
    }
    freeaddrinfo(list);
    return err;
}

static enum err shake_hands(struct redis_link *link, const struct redis_host *host,
                            const struct redis_wait *wait, char *problem)
{
    short events;
    for (;;) {
        int result = SSL_do_handshake(link->ssl);
        if (result == 1)
            return ERR_OK;
        char reason[180];
        long verified = SSL_get_verify_result(link->ssl);
        if (verified == X509_V_OK)
            ERR_error_string_n(ERR_peek_error(), reason, sizeof(reason));
        else
            net_tls_explain(verified, reason, sizeof(reason));
        enum err err = after_tls(link, result, &events);
        if (err == ERR_NOT_FOUND)
            err = wait_for(link->fd, events, wait);
        else
            say(problem, host, reason);
        if (err)
            return err;
    }
}

static enum err greet(struct redis_link *link, const struct str *argv, size_t argc,
                      const struct redis_host *host, const struct redis_wait *wait, char *problem)
{
    const struct redis_reply *reply;
    struct arena *arena = arena_create();
    enum err err = redis_link_call(link, argv, argc, arena, wait, &reply);
    if (err)
        say(problem, host, reply && reply->type == REDIS_PROBLEM ? reply->text.p : err_text(err));
    arena_destroy(&arena);
    return err;
}

static enum err sign_in(struct redis_link *link, const struct redis_address *a,
                        const struct redis_host *host, bool is_sentinel,
                        const struct redis_wait *wait, char *problem)
{
    const char *user = is_sentinel ? a->sentinel_user : a->user;
    const char *password = is_sentinel ? a->sentinel_password : a->password;
    struct str auth[3] = {STR("AUTH"), str_from(user), str_from(password)};
    char number[16];
    enum err err = ERR_OK;
    if (password && !user)
        auth[1] = auth[2];
    if (password)
        err = greet(link, auth, user ? 3 : 2, host, wait, problem);
    struct str ping = STR("PING");
    if (!err) /* also tells a server that is loading, or wants a password */
        err = greet(link, &ping, 1, host, wait, problem);
    if (err || is_sentinel)
        return err;
    if (a->database) {
        snprintf(number, sizeof(number), "%d", a->database);
        struct str select[2] = {STR("SELECT"), str_from(number)};
        err = greet(link, select, 2, host, wait, problem);
    }
    struct str name[3] = {STR("CLIENT"), STR("SETNAME"), str_from(a->name)};
    if (!err && a->name)
        err = greet(link, name, 3, host, wait, problem);
    return err;
}

enum err redis_link_connect(struct redis_link **out, const struct redis_address *a,
                            const struct redis_host *host, bool is_sentinel,
                            const struct redis_wait *wait, char *problem)
{
    *out = NULL;
    int fd = -1;
    enum err err = connect_by_name(host, wait, &fd, problem);
    if (err)
        return err;
    struct redis_link *link = mem_new(struct redis_link);
    link->fd = fd;
    link->host = *host;
    link->reader = redis_reader_create();
    if (a->tls) {
        link->ssl = net_tls_connect(a->tls, host->name);
        if (!link->ssl || SSL_set_fd(link->ssl, fd) != 1)
            err = ERR_RESOURCE_EXHAUSTED;
        else
            err = shake_hands(link, host, wait, problem);
    }
    if (!err)
        err = sign_in(link, a, host, is_sentinel, wait, problem);
    if (err)
        redis_link_close(&link);
    *out = link;
    return err;
}

void redis_link_close(struct redis_link **linkp)
{
    struct redis_link *link = *linkp;
    *linkp = NULL;
    if (!link)
        return;
    SSL_free(link->ssl);
    close(link->fd);
    redis_reader_destroy(&link->reader);
    free(link);
}
