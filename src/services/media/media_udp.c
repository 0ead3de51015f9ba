/*
 * The packet threads. Each waits on its socket and its wake-up eventfd, receives in batches
 * (recvmmsg with UDP GRO), hands them to its sfu worker, and sends what the worker gives in batches
 * (sendmmsg with UDP GSO). Where the kernel refuses GSO, segments go out singly, and a metric says
 * so.
 */
#include "services/media/media_udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metric.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define BATCH_RECEIVE 32
#define BATCH_SEND 64
#define RECEIVE_BYTES 65536           /* one GRO super-datagram */
#define SOCKET_BUFFER_BYTES (4 << 20) /* asked for; the kernel's limits may give less */
#define ROUNDS_MAX 8 /* batches received before timers and other threads get their turn */

static struct metric send_drops =
    METRIC_COUNTER("parlance_media_send_drops_total", "Messages the UDP socket refused.", "reason");
static struct metric gso_fallbacks = METRIC_COUNTER(
    "parlance_media_gso_fallbacks_total", "Segmented sends that went out singly instead.");
static struct metric batch_sizes =
    METRIC_HISTOGRAM("parlance_media_receive_batch_count", "Messages per receive batch.");

struct thread {
    struct media_udp *owner;
    struct sfu_worker *worker;
    pthread_t pthread;
    bool is_started;
    int fd;
    int wake_fd;
    int family; /* of the socket */
    bool has_gso;
    uint8_t *receive_bytes; /* BATCH_RECEIVE x RECEIVE_BYTES */
};

struct media_udp {
    unsigned count;
    uint16_t port;
    _Atomic bool is_stopping;
    sfu_event_fn *on_event;
    void *event_arg;
    struct thread threads[];
};

/* ---- addresses ---- */

static bool from_sockaddr(const struct sockaddr_storage *ss, struct sfu_address *out)
{
    if (ss->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)ss;
        *out = sfu_address_v4(ntohl(in->sin_addr.s_addr), ntohs(in->sin_port));
        return true;
    }
    if (ss->ss_family != AF_INET6)
        return false;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;
    const uint8_t *ip = in6->sin6_addr.s6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
        *out = sfu_address_v4((uint32_t)ip[12] << 24 | (uint32_t)ip[13] << 16 |
                                  (uint32_t)ip[14] << 8 | ip[15],
                              ntohs(in6->sin6_port));
    else
        *out = sfu_address_v6(ip, ntohs(in6->sin6_port));
    return true;
}

static socklen_t to_sockaddr(const struct sfu_address *a, int family, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)out;
        in->sin_family = AF_INET;
        in->sin_port = htons(a->port);
        memcpy(&in->sin_addr, a->ip, 4);
        return sizeof(*in);
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(a->port);
    if (a->family == 4) {
        in6->sin6_addr.s6_addr[10] = in6->sin6_addr.s6_addr[11] = 0xff;
        memcpy(in6->sin6_addr.s6_addr + 12, a->ip, 4);
    } else {
        memcpy(in6->sin6_addr.s6_addr, a->ip, 16);
    }
    return sizeof(*in6);
}

/* ---- sending ---- */

static void send_singly(struct thread *t, const struct sfu_send *s)
{
    struct sockaddr_storage to;
    socklen_t to_n = to_sockaddr(&s->to, t->family, &to);
    uint32_t step = s->segment_bytes ? s->segment_bytes : s->n;
    for (uint32_t at = 0; at < s->n; at += step) {
        uint32_t n = MIN(step, s->n - at);
        if (sendto(t->fd, s->bytes + at, n, 0, (struct sockaddr *)&to, to_n) < 0)
            metric_cell_add(
                metric_cell(&send_drops, errno == EAGAIN ? "full" : "error", NULL, NULL), 1);
    }
}

union segment_control {
    char bytes[CMSG_SPACE(sizeof(uint16_t))];
    struct cmsghdr align;
};

static void set_segment(struct msghdr *h, union segment_control *control, uint16_t segment_bytes)
{
    h->msg_control = control->bytes;
    h->msg_controllen = sizeof(control->bytes);
    struct cmsghdr *c = CMSG_FIRSTHDR(h);
    c->cmsg_level = SOL_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    memcpy(CMSG_DATA(c), &segment_bytes, sizeof(segment_bytes));
}

/* The message at batch[0] was refused. Drops it, or sends it without GSO. */
static void handle_refusal(struct thread *t, const struct sfu_send *s)
{
    bool is_segmented = s->segment_bytes && s->segment_bytes < s->n;
    if (is_segmented && (errno == EINVAL || errno == EIO || errno == EOPNOTSUPP)) {
        metric_add(&gso_fallbacks, 1);
        if (errno != EINVAL)
            t->has_gso = false; /* the device cannot; EINVAL may be this message alone */
        send_singly(t, s);
        return;
    }
    metric_cell_add(metric_cell(&send_drops, errno == EAGAIN ? "full" : "error", NULL, NULL), 1);
}

static void on_send(void *arg, const struct sfu_send *batch, size_t count)
{
    struct thread *t = arg;
    struct mmsghdr messages[BATCH_SEND];
    struct iovec iov[BATCH_SEND];
    struct sockaddr_storage to[BATCH_SEND];
    union segment_control control[BATCH_SEND];
    size_t n = MIN(count, (size_t)BATCH_SEND);

    for (size_t i = 0; i < n; i++) {
        const struct sfu_send *s = &batch[i];
        iov[i] = (struct iovec){.iov_base = (void *)s->bytes, .iov_len = s->n};
        messages[i].msg_hdr = (struct msghdr){
            .msg_name = &to[i],
            .msg_namelen = to_sockaddr(&s->to, t->family, &to[i]),
            .msg_iov = &iov[i],
            .msg_iovlen = 1,
        };
        if (s->segment_bytes && s->segment_bytes < s->n && t->has_gso)
            set_segment(&messages[i].msg_hdr, &control[i], s->segment_bytes);
    }
    for (size_t at = 0; at < n;) {
        bool is_single =
            !t->has_gso && batch[at].segment_bytes && batch[at].segment_bytes < batch[at].n;
        if (is_single) {
            send_singly(t, &batch[at++]);
            continue;
        }
        int sent = sendmmsg(t->fd, messages + at, (unsigned)(n - at), 0);
        if (sent > 0)
            at += (size_t)sent;
        else if (errno != EINTR)
            handle_refusal(t, &batch[at++]);
    }
    if (count > n)
        on_send(arg, batch + n, count - n);
}

static void on_wake(void *arg)
{
    struct thread *t = arg;
    uint64_t one = 1;
    if (write(t->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        log_error(NULL, "media: cannot wake a worker: %s", strerror(errno));
}

static void on_event(void *arg, const struct sfu_event *event)
{
    struct thread *t = arg;
    t->owner->on_event(t->owner->event_arg, event);
}

/* ---- receiving ---- */

static uint16_t gro_segment(struct msghdr *h)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
            int segment;
            memcpy(&segment, CMSG_DATA(c), sizeof(segment));
            return (uint16_t)segment;
        }
    }
    return 0;
}

/* One batch; false when the socket is empty. */
static bool receive_batch(struct thread *t)
{
    struct mmsghdr messages[BATCH_RECEIVE];
    struct iovec iov[BATCH_RECEIVE];
    struct sockaddr_storage from[BATCH_RECEIVE];
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control[BATCH_RECEIVE];
    for (size_t i = 0; i < BATCH_RECEIVE; i++) {
        iov[i] = (struct iovec){t->receive_bytes + i * RECEIVE_BYTES, RECEIVE_BYTES};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
                                              .msg_namelen = sizeof(from[i]),
                                              .msg_iov = &iov[i],
                                              .msg_iovlen = 1,
                                              .msg_control = &control[i],
                                              .msg_controllen = sizeof(control[i])};
    }
    int got = recvmmsg(t->fd, messages, BATCH_RECEIVE, MSG_DONTWAIT, NULL);
    if (got <= 0)
        return false;
    metric_observe(&batch_sizes, got);
    struct sfu_received batch[BATCH_RECEIVE];
    size_t count = 0;
    for (int i = 0; i < got; i++) {
        if (!from_sockaddr(&from[i], &batch[count].from))
            continue;
        batch[count].bytes = iov[i].iov_base;
        batch[count].n = messages[i].msg_len;
        batch[count].segment_bytes = gro_segment(&messages[i].msg_hdr);
        count++;
    }
    sfu_worker_receive(t->worker, batch, count, clock_mono_us());
    return got == BATCH_RECEIVE;
}

static void drain_wake(struct thread *t)
{
    uint64_t count;
    while (read(t->wake_fd, &count, sizeof(count)) > 0)
        ;
}

static void *thread_main(void *arg)
{
    struct thread *t = arg;
    while (!t->owner->is_stopping) {
        int64_t now_us = clock_mono_us();
        int64_t next_us = sfu_worker_poll(t->worker, now_us);
        int64_t wait_us = CLAMP(next_us - now_us, 0, 1000 * 1000);
        struct timespec wait = {.tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000};
        struct pollfd fds[2] = {{.fd = t->fd, .events = POLLIN},
                                {.fd = t->wake_fd, .events = POLLIN}};
        if (ppoll(fds, 2, &wait, NULL) < 0 && errno != EINTR) {
            log_error(NULL, "media: poll: %s", strerror(errno));
            break;
        }
        if (fds[1].revents)
            drain_wake(t);
        for (int round = 0; round < ROUNDS_MAX && receive_batch(t); round++)
            ;
    }
    return NULL;
}

/* ---- sockets ---- */

static void set_option(int fd, int level, int name, int value)
{
    /* Wishes, not needs: an old kernel without GRO still works. */
    (void)setsockopt(fd, level, name, &value, sizeof(value));
}

/* Beyond net.core.rmem_max too, where we may: a moment without the CPU should cost no packet. */
static void set_buffer(int fd, int forced, int name, int bytes)
{
    if (setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof(bytes)) < 0)
        set_option(fd, SOL_SOCKET, name, bytes);
}

static enum err open_socket(struct thread *t, const struct media_udp_options *opt, uint16_t port)
{
    bool is_any = !opt->host || !opt->host[0];
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_PASSIVE | AI_NUMERICHOST};
    struct addrinfo *list = NULL;
    char service[8];
    snprintf(service, sizeof(service), "%u", port);
    if (getaddrinfo(is_any ? "::" : opt->host, service, &hints, &list) != 0)
        return ERR_INVALID_ARGUMENT;
    t->fd = socket(list->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (t->fd < 0 && is_any) { /* a machine without IPv6 */
        freeaddrinfo(list);
        if (getaddrinfo("0.0.0.0", service, &hints, &list) != 0)
            return ERR_INVALID_ARGUMENT;
        t->fd = socket(list->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
    enum err err = t->fd < 0 ? err_from_errno(errno) : ERR_OK;
    if (!err) {
        t->family = list->ai_family;
        set_option(t->fd, SOL_SOCKET, SO_REUSEPORT, 1);
        if (t->family == AF_INET6) {
            set_option(t->fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
            set_option(t->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
        }
        set_option(t->fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
        set_buffer(t->fd, SO_RCVBUFFORCE, SO_RCVBUF, SOCKET_BUFFER_BYTES);
        set_buffer(t->fd, SO_SNDBUFFORCE, SO_SNDBUF, SOCKET_BUFFER_BYTES);
        set_option(t->fd, SOL_UDP, UDP_GRO, 1);
        if (bind(t->fd, list->ai_addr, list->ai_addrlen) < 0)
            err = errno == EADDRINUSE ? ERR_ALREADY_EXISTS : err_from_errno(errno);
    }
    freeaddrinfo(list);
    return err;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage ss;
    socklen_t n = sizeof(ss);
    struct sfu_address a = {0};
    if (getsockname(fd, (struct sockaddr *)&ss, &n) == 0)
        from_sockaddr(&ss, &a);
    return a.port;
}

/* SO_REUSEPORT would let a second server share the port unnoticed: the first bind is tried without.
 */
static enum err check_port_free(const struct media_udp_options *opt)
{
    if (opt->port == 0)
        return ERR_OK;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(opt->port)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_from_errno(errno);
    int failed = bind(fd, (struct sockaddr *)&in, sizeof(in));
    close(fd);
    return failed ? ERR_ALREADY_EXISTS : ERR_OK;
}

enum err media_udp_open(struct media_udp **out, const struct media_udp_options *opt)
{
    struct media_udp *u = mem_zalloc(sizeof(*u) + opt->worker_count * sizeof(u->threads[0]));
    u->count = opt->worker_count;
    for (unsigned i = 0; i < u->count; i++)
        u->threads[i].fd = u->threads[i].wake_fd = -1;
    enum err err = check_port_free(opt);
    if (err)
        goto fail;
    u->port = opt->port;
    for (unsigned i = 0; i < u->count; i++) {
        struct thread *t = &u->threads[i];
        t->owner = u;
        t->has_gso = true;
        t->receive_bytes = mem_alloc((size_t)BATCH_RECEIVE * RECEIVE_BYTES);
        if ((err = open_socket(t, opt, u->port)))
            goto fail;
        u->port = bound_port(t->fd);
        t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (t->wake_fd < 0) {
            err = err_from_errno(errno);
            goto fail;
        }
    }
    *out = u;
    return ERR_OK;
fail:
    media_udp_close(&u);
    return err;
}

uint16_t media_udp_port(const struct media_udp *u)
{
    return u->port;
}

uint64_t media_udp_kernel_drops(const struct media_udp *u)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < u->count; i++) {
        uint32_t info[SK_MEMINFO_VARS] = {0};
        socklen_t n = sizeof(info);
        if (getsockopt(u->threads[i].fd, SOL_SOCKET, SO_MEMINFO, info, &n) == 0)
            sum += info[SK_MEMINFO_DROPS];
    }
    return sum;
}

void media_udp_fill_io(struct media_udp *u, struct sfu_worker_io *io, sfu_event_fn *event_fn,
                       void *arg)
{
    u->on_event = event_fn;
    u->event_arg = arg;
    for (unsigned i = 0; i < u->count; i++)
        io[i] = (struct sfu_worker_io){
            .on_send = on_send, .on_event = on_event, .on_wake = on_wake, .arg = &u->threads[i]};
}

enum err media_udp_start(struct media_udp *u, struct sfu *sfu)
{
    for (unsigned i = 0; i < u->count; i++) {
        struct thread *t = &u->threads[i];
        t->worker = sfu_worker(sfu, i);
        int failed = pthread_create(&t->pthread, NULL, thread_main, t);
        if (failed)
            return err_from_errno(failed);
        t->is_started = true;
        char name[24];
        snprintf(name, sizeof(name), "media-%u", i % 1000); /* the kernel takes 15 characters */
        pthread_setname_np(t->pthread, name);
    }
    return ERR_OK;
}

void media_udp_stop(struct media_udp *u)
{
    u->is_stopping = true;
    for (unsigned i = 0; i < u->count; i++) {
        if (!u->threads[i].is_started)
            continue;
        on_wake(&u->threads[i]);
        pthread_join(u->threads[i].pthread, NULL);
        u->threads[i].is_started = false;
    }
}

void media_udp_close(struct media_udp **udp)
{
    struct media_udp *u = *udp;
    *udp = NULL;
    if (!u)
        return;
    media_udp_stop(u);
    for (unsigned i = 0; i < u->count; i++) {
        if (u->threads[i].fd >= 0)
            close(u->threads[i].fd);
        if (u->threads[i].wake_fd >= 0)
            close(u->threads[i].wake_fd);
        free(u->threads[i].receive_bytes);
    }
    free(u);
}
