/*
 * endpoint: one peer connection. A connected UDP socket; ICE as the far end wants it (full, with
 * one candidate pair: we check, answer checks, and go on asking for consent); DTLS in either role;
 * then SRTP. Datagrams are read in batches.
 */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/mem.h"

#define CHECK_FIRST_US 50000
#define CHECK_CONSENT_US 2500000 /* as Chromium */
#define PRIORITY_HOST 2130706431u
#define BATCH 32
#define SOCKET_BUFFER_BYTES (4 << 20)

static void say_state(struct endpoint *e, const char *event, const char *detail)
{
    load_say(json_pack("{s:s, s:i, s:s}", "event", event, "id", (int)e->id, "detail", detail));
}

static void send_bytes(struct endpoint *e, const uint8_t *bytes, size_t n)
{
    if (send(e->fd, bytes, n, MSG_DONTWAIT) < 0 && errno != ECONNREFUSED && errno != EAGAIN)
        fprintf(stderr, "load: endpoint %u: send: %s\n", e->id, strerror(errno));
}

static void on_dtls_send(void *arg, const uint8_t *bytes, size_t n)
{
    send_bytes(arg, bytes, n);
}

/* ---- life ---- */

static bool open_socket(struct endpoint *e, const char *host, bool is_timed)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    int bytes = SOCKET_BUFFER_BYTES, one = 1;
    e->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (e->fd < 0 || inet_pton(AF_INET, host, &in.sin_addr) != 1 ||
        bind(e->fd, (struct sockaddr *)&in, sizeof(in)) < 0)
        return false;
    /* Root may ask for more than rmem_max; without it, that much. */
    if (setsockopt(e->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
        (void)setsockopt(e->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    if (is_timed)
        (void)setsockopt(e->fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one));
    e->is_timed = is_timed;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = e};
    return epoll_ctl(e->load->epoll_fd, EPOLL_CTL_ADD, e->fd, &event) == 0;
}

struct endpoint *endpoint_create(struct load *load, const struct endpoint_options *opt,
                                 const char **problem)
{
    if (opt->id >= LOAD_ENDPOINTS_MAX || load->endpoints[opt->id]) {
        *problem = "no such place for an endpoint";
        return NULL;
    }
    struct endpoint *e = mem_new(struct endpoint);
    e->load = load;
    e->id = opt->id;
    e->is_controlling = opt->is_controlling;
    e->role = opt->is_dtls_server ? DTLS_SERVER : DTLS_CLIENT;
    e->rtcp_ssrc = id_random_u32() | 1;
    id_token(e->ufrag, sizeof(e->ufrag) - 1);
    id_token(e->pwd, sizeof(e->pwd) - 1);
    for (char *p = e->ufrag; *p; p++) /* base64url's - and _ are no ice-chars */
        *p = *p == '-' || *p == '_' ? 'x' : *p;
    for (char *p = e->pwd; *p; p++)
        *p = *p == '-' || *p == '_' ? 'x' : *p;
    id_random(&e->tie_breaker, sizeof(e->tie_breaker));
    if (!open_socket(e, opt->host, opt->is_timed)) {
        *problem = strerror(errno);
        endpoint_destroy(&e);
        return NULL;
    }
    load->endpoints[e->id] = e;
    load->endpoint_count = MAX(load->endpoint_count, e->id + 1);
    return e;
}

void endpoint_destroy(struct endpoint **endpoint)
{
    struct endpoint *e = *endpoint;
    *endpoint = NULL;
    if (!e)
        return;
    if (e->fd >= 0)
        close(e->fd);
    if (e->load->endpoints[e->id] == e)
        e->load->endpoints[e->id] = NULL;
    dtls_destroy(&e->dtls);
    sfu_srtp_tx_destroy(&e->tx);
    sfu_srtp_rx_destroy(&e->rx);
    sink_deinit(&e->sink);
    free(e);
}

uint16_t endpoint_port(const struct endpoint *e)
{
    struct sockaddr_in in = {0};
    socklen_t n = sizeof(in);
    return getsockname(e->fd, (struct sockaddr *)&in, &n) == 0 ? ntohs(in.sin_port) : 0;
}

/* ---- SRTP ---- */

static bool use_keys(struct endpoint *e, enum srtp_profile profile, const struct srtp_key *send_key,
                     const struct srtp_key *recv_key)
{
    struct sfu_srtp_options tx = {.profile = profile, .key = send_key};
    struct sfu_srtp_options rx = {.profile = profile, .key = recv_key};
    if (e->tx || sfu_srtp_tx_create(&e->tx, &tx) || sfu_srtp_rx_create(&e->rx, &rx))
        return false;
    e->state = ENDPOINT_CONNECTED;
    say_state(e, "connected", srtp_profile_name(profile));
    return true;
}

bool endpoint_use_keys(struct endpoint *e, const struct srtp_key *send_key,
                       const struct srtp_key *recv_key)
{
    return use_keys(e, SRTP_PROFILE_GCM_128, send_key, recv_key);
}

static void on_dtls_state(struct endpoint *e)
{
    struct dtls_srtp_keys keys;
    if (e->state != ENDPOINT_CHECKING)
        return;
    if (dtls_state(e->dtls) == DTLS_FAILED) {
        e->state = ENDPOINT_FAILED;
        say_state(e, "failed", dtls_failure_text(dtls_failure(e->dtls)));
    } else if (dtls_state(e->dtls) == DTLS_CONNECTED && !dtls_export_keys(e->dtls, &keys) &&
               !use_keys(e, keys.profile, &keys.send, &keys.recv)) {
        e->state = ENDPOINT_FAILED;
        say_state(e, "failed", "no SRTP with these keys");
    }
}

void endpoint_send_rtcp(struct endpoint *e, uint8_t *bytes, size_t n, size_t capacity)
{
    if (e->state == ENDPOINT_CONNECTED && !sfu_srtcp_protect(e->tx, bytes, capacity, &n))
        send_bytes(e, bytes, n);
}

/* ---- ICE ---- */

static void send_check(struct endpoint *e)
{
    uint8_t out[STUN_MAX_BYTES];
    char username[sizeof(e->remote_ufrag) + sizeof(e->ufrag) + 1];
    snprintf(username, sizeof(username), "%s:%s", e->remote_ufrag, e->ufrag);
    id_random(e->transaction, sizeof(e->transaction));
    size_t n = stun_write_request(out, sizeof(out),
                                  &(struct stun_request_options){
                                      .transaction = e->transaction,
                                      .username = str_from(username),
                                      .password = str_from(e->remote_pwd),
                                      .priority = PRIORITY_HOST,
                                      .tie_breaker = e->tie_breaker,
                                      .is_controlled = !e->is_controlling,
                                      .has_use_candidate = e->is_controlling,
                                  });
    send_bytes(e, out, n);
}

bool endpoint_connect(struct endpoint *e, const char *host, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, host, &in.sin_addr) != 1 ||
        connect(e->fd, (struct sockaddr *)&in, sizeof(in)) < 0)
        return false;
    if (!e->remote_ufrag[0])
        return true; /* static keys will do */
    e->state = ENDPOINT_CHECKING;
    if (dtls_create(&e->dtls, &(struct dtls_options){.context = e->load->dtls,
                                                     .role = e->role,
                                                     .remote = &e->remote_fingerprint,
                                                     .on_send = on_dtls_send,
                                                     .arg = e}))
        return false;
    send_check(e);
    e->next_check_us = clock_mono_us() + CHECK_FIRST_US;
    return true;
}

static void on_stun(struct endpoint *e, const uint8_t *bytes, size_t n)
{
    struct stun_message m;
    if (stun_parse(&m, bytes, n))
        return;
    if (m.class == STUN_REQUEST && stun_is_authentic(&m, str_from(e->pwd))) {
        uint8_t out[STUN_RESPONSE_MAX];
        struct sockaddr_in in = {0};
        socklen_t in_n = sizeof(in);
        (void)getpeername(e->fd, (struct sockaddr *)&in, &in_n);
        struct sfu_address from = sfu_address_v4(ntohl(in.sin_addr.s_addr), ntohs(in.sin_port));
        send_bytes(e, out,
                   stun_write_success(out, sizeof(out), m.transaction, &from, str_from(e->pwd)));
    } else if (m.class == STUN_SUCCESS && !e->has_answer && e->dtls &&
               memcmp(m.transaction, e->transaction, sizeof(e->transaction)) == 0 &&
               stun_is_authentic(&m, str_from(e->remote_pwd))) {
        e->has_answer = true;
        if (e->role == DTLS_CLIENT)
            (void)dtls_start(e->dtls, e->load->now_us);
        on_dtls_state(e);
    }
}

void endpoint_tick(struct endpoint *e, int64_t now_us)
{
    if (e->dtls && e->state != ENDPOINT_FAILED && now_us >= e->next_check_us) {
        send_check(e);
        e->next_check_us = now_us + (e->has_answer ? CHECK_CONSENT_US : CHECK_FIRST_US);
    }
    if (e->dtls && e->state == ENDPOINT_CHECKING && now_us >= dtls_deadline_us(e->dtls)) {
        (void)dtls_tick(e->dtls, now_us);
        on_dtls_state(e);
    }
    if (e->state == ENDPOINT_CONNECTED)
        sink_tick(e, now_us);
}

/* ---- receiving ---- */

static void on_srtp(struct endpoint *e, uint8_t *bytes, size_t n, int64_t at_ns)
{
    bool is_rtcp = rtp_is_rtcp(bytes, n);
    if (e->state != ENDPOINT_CONNECTED)
        return;
    enum err err =
        is_rtcp ? sfu_srtcp_unprotect(e->rx, bytes, &n) : sfu_srtp_unprotect(e->rx, bytes, &n);
    if (err == ERR_ALREADY_EXISTS)
        e->load->duplicates++;
    else if (err)
        e->load->forged++;
    else if (!is_rtcp)
        sink_on_rtp(e, bytes, n, e->load->now_us, at_ns);
    else
        sink_on_rtcp(e, bytes, n, e->load->now_us);
    if (!err && is_rtcp && e->source)
        source_on_rtcp(e->source, bytes, n);
}

static void on_datagram(struct endpoint *e, uint8_t *bytes, size_t n, int64_t at_ns)
{
    if (n == 0)
        return;
    if (bytes[0] < 4) {
        on_stun(e, bytes, n);
    } else if (bytes[0] >= 20 && bytes[0] <= 63 && e->dtls) {
        (void)dtls_on_datagram(e->dtls, bytes, n, e->load->now_us);
        on_dtls_state(e);
    } else if (bytes[0] >= 128 && bytes[0] <= 191) {
        on_srtp(e, bytes, n, at_ns);
    }
}

static int64_t stamp_of(struct msghdr *h)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS) {
            struct timespec t;
            memcpy(&t, CMSG_DATA(c), sizeof(t));
            return t.tv_sec * 1000000000ll + t.tv_nsec;
        }
    }
    return 0;
}

void endpoint_on_readable(struct endpoint *e)
{
    static uint8_t bytes[BATCH][PACKET_MAX];
    static union {
        char bytes[CMSG_SPACE(sizeof(struct timespec))];
        struct cmsghdr align;
    } control[BATCH];
    static struct mmsghdr messages[BATCH];
    static struct iovec iov[BATCH];
    for (int got = BATCH; got == BATCH;) {
        for (int i = 0; i < BATCH; i++) {
            iov[i] = (struct iovec){bytes[i], PACKET_MAX};
            messages[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
            if (e->is_timed) {
                messages[i].msg_hdr.msg_control = &control[i];
                messages[i].msg_hdr.msg_controllen = sizeof(control[i]);
            }
        }
        got = recvmmsg(e->fd, messages, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < got; i++)
            on_datagram(e, bytes[i], messages[i].msg_len,
                        e->is_timed ? stamp_of(&messages[i].msg_hdr) : 0);
    }
}
