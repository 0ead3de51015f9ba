/*
 * sfu_floor: the least that forwarding can cost here. A loop that receives in batches, decrypts
 * once, and for every other member encrypts into an arena and sends: one UDP_SEGMENT message per
 * run of equal packets, up to 64 messages a sendmmsg. It knows no ICE, no DTLS, no rewriting, no
 * feedback, no timers; keys and addresses stand in a file. What a server costs above this is its
 * own.
 *
 *   usage: sfu_floor ADDRESS PORT FILE
 *   FILE: a line per member: GROUP publish|subscribe IP PORT KEY_TO_SERVER KEY_TO_CLIENT
 *   (key and salt of AEAD_AES_128_GCM as 56 hexadecimal digits). A publisher's packets go to all
 *   subscribers but those of its own group.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base.h"
#include "core/mem.h"
#include "sfu/key.h"
#include "sfu/transport/srtp.h"
#include "sfu/wire/rtp.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define MEMBERS_MAX 2048
#define BATCH 64
#define PACKET_MAX 1500
#define MESSAGES 64
#define SEGMENTS_MAX 60
#define ARENA_BYTES (512 << 10)
#define PAD_MAX 2
#define RTP_PADDING_BIT 0x20
#define SOCKET_BUFFER_BYTES (4 << 20)

struct member {
    unsigned group;
    bool is_publisher;
    struct sockaddr_in address;
    struct sfu_srtp_rx *rx;
    struct sfu_srtp_tx *tx;
};

struct packet {
    uint8_t *bytes;
    size_t n;
    size_t header_bytes;
    uint8_t pad;
    unsigned group;
};

struct message {
    struct iovec iov;
    size_t segment;
    unsigned segments;
    const struct sockaddr_in *to;
    bool is_open;
};

struct floor {
    int fd;
    unsigned member_count;
    struct member members[MEMBERS_MAX];
    struct packet packets[BATCH];
    unsigned packet_count;
    uint8_t arena[ARENA_BYTES];
    size_t used;
    struct message messages[MESSAGES];
    unsigned message_count;
};

/* ---- sending ---- */

union segment_control {
    char bytes[CMSG_SPACE(sizeof(uint16_t))];
    struct cmsghdr align;
};

static void flush(struct floor *f)
{
    struct mmsghdr out[MESSAGES];
    union segment_control control[MESSAGES];
    for (unsigned i = 0; i < f->message_count; i++) {
        struct message *m = &f->messages[i];
        out[i].msg_hdr = (struct msghdr){.msg_name = (void *)m->to,
                                         .msg_namelen = sizeof(*m->to),
                                         .msg_iov = &m->iov,
                                         .msg_iovlen = 1};
        if (m->segments < 2)
            continue;
        uint16_t segment = (uint16_t)m->segment;
        out[i].msg_hdr.msg_control = control[i].bytes;
        out[i].msg_hdr.msg_controllen = sizeof(control[i].bytes);
        struct cmsghdr *c = CMSG_FIRSTHDR(&out[i].msg_hdr);
        c->cmsg_level = SOL_UDP;
        c->cmsg_type = UDP_SEGMENT;
        c->cmsg_len = CMSG_LEN(sizeof(segment));
        memcpy(CMSG_DATA(c), &segment, sizeof(segment));
    }
    for (unsigned at = 0; at < f->message_count;) {
        int sent = sendmmsg(f->fd, out + at, f->message_count - at, 0);
        at += sent > 0 ? (unsigned)sent : errno == EINTR ? 0 : 1;
    }
    f->message_count = 0;
    f->used = 0;
}

static void add(struct floor *f, const struct sockaddr_in *to, size_t n)
{
    struct message *last = f->message_count ? &f->messages[f->message_count - 1] : NULL;
    if (last && last->is_open && last->to == to && n <= last->segment &&
        last->segments < SEGMENTS_MAX && last->iov.iov_len + n < 65000) {
        last->iov.iov_len += n;
        last->segments++;
        last->is_open = n == last->segment;
    } else {
        f->messages[f->message_count++] = (struct message){
            .iov = {f->arena + f->used, n}, .segment = n, .segments = 1, .to = to, .is_open = true};
    }
    f->used += n;
}

static void forward_to(struct floor *f, struct member *m)
{
    for (unsigned i = 0; i < f->packet_count; i++) {
        struct packet *p = &f->packets[i];
        if (p->group == m->group)
            continue;
        if (f->message_count == MESSAGES || f->used + PACKET_MAX > sizeof(f->arena))
            flush(f);
        struct sfu_srtp_parts parts = {.header = p->bytes,
                                       .header_bytes = p->header_bytes,
                                       .payload = p->bytes + p->header_bytes,
                                       .payload_bytes = p->n - p->header_bytes,
                                       .pad_bytes = p->pad};
        size_t n = 0;
        if (!sfu_srtp_protect(m->tx, &parts, f->arena + f->used, PACKET_MAX, &n))
            add(f, &m->address, n);
    }
}

/* Packets that differ by a byte or two become equal, so that one message can carry them. */
static void equalise(struct floor *f)
{
    for (unsigned from = 0, to; from < f->packet_count; from = to) {
        size_t low = f->packets[from].n, high = low;
        for (to = from + 1; to < f->packet_count; to++) {
            size_t l = MIN(low, f->packets[to].n), h = MAX(high, f->packets[to].n);
            if (h - l > PAD_MAX)
                break;
            low = l;
            high = h;
        }
        for (unsigned i = from; i < to; i++) {
            f->packets[i].pad = (uint8_t)(high - f->packets[i].n);
            if (f->packets[i].pad)
                f->packets[i].bytes[0] |= RTP_PADDING_BIT;
        }
    }
}

/* ---- receiving ---- */

static struct member *find_publisher(struct floor *f, const struct sockaddr_in *from)
{
    for (unsigned i = 0; i < f->member_count; i++)
        if (f->members[i].is_publisher && f->members[i].address.sin_port == from->sin_port)
            return &f->members[i];
    return NULL;
}

static void take(struct floor *f, uint8_t *bytes, size_t n, const struct sockaddr_in *from)
{
    struct member *m = find_publisher(f, from);
    struct rtp_packet p;
    if (!m || n < RTP_HEADER_BYTES || rtp_is_rtcp(bytes, n) ||
        sfu_srtp_unprotect(m->rx, bytes, &n) || !rtp_parse(&p, bytes, n))
        return;
    f->packets[f->packet_count++] = (struct packet){
        .bytes = bytes, .n = n, .header_bytes = p.payload_offset, .group = m->group};
}

static void run(struct floor *f)
{
    static uint8_t bytes[BATCH][PACKET_MAX];
    struct mmsghdr in[BATCH];
    struct iovec iov[BATCH];
    struct sockaddr_in from[BATCH];
    for (;;) {
        for (unsigned i = 0; i < BATCH; i++) {
            iov[i] = (struct iovec){bytes[i], PACKET_MAX};
            in[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
                                            .msg_namelen = sizeof(from[i]),
                                            .msg_iov = &iov[i],
                                            .msg_iovlen = 1};
        }
        int got = recvmmsg(f->fd, in, BATCH, MSG_WAITFORONE, NULL);
        f->packet_count = 0;
        for (int i = 0; i < got; i++)
            take(f, bytes[i], in[i].msg_len, &from[i]);
        equalise(f);
        for (unsigned i = 0; i < f->member_count; i++)
            if (!f->members[i].is_publisher)
                forward_to(f, &f->members[i]);
        flush(f);
    }
}

/* ---- setup ---- */

static bool read_member(struct member *m, const char *line)
{
    char role[16], ip[64], to_server[57], to_client[57];
    unsigned port;
    struct srtp_key up, down;
    if (sscanf(line, "%u %15s %63s %u %56s %56s", &m->group, role, ip, &port, to_server,
               to_client) != 6 ||
        !key_read(to_server, &up) || !key_read(to_client, &down))
        return false;
    m->is_publisher = strcmp(role, "publish") == 0;
    m->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return inet_pton(AF_INET, ip, &m->address.sin_addr) == 1 &&
           !sfu_srtp_rx_create(
               &m->rx, &(struct sfu_srtp_options){.profile = SRTP_PROFILE_GCM_128, .key = &up}) &&
           !sfu_srtp_tx_create(
               &m->tx, &(struct sfu_srtp_options){.profile = SRTP_PROFILE_GCM_128, .key = &down});
}

static bool read_members(struct floor *f, const char *path)
{
    char line[512];
    FILE *in = fopen(path, "re");
    bool ok = in;
    while (ok && fgets(line, sizeof(line), in))
        ok = f->member_count < MEMBERS_MAX && read_member(&f->members[f->member_count++], line);
    if (in)
        fclose(in);
    return ok;
}

static bool open_socket(struct floor *f, const char *host, const char *port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    int bytes = SOCKET_BUFFER_BYTES;
    f->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (f->fd < 0 || inet_pton(AF_INET, host, &in.sin_addr) != 1)
        return false;
    (void)setsockopt(f->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    (void)setsockopt(f->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    return bind(f->fd, (struct sockaddr *)&in, sizeof(in)) == 0;
}

int main(int argc, char **argv)
{
    struct floor *f = mem_new(struct floor);
    if (argc != 4 || !open_socket(f, argv[1], argv[2]) || !read_members(f, argv[3])) {
        fprintf(stderr, "usage: sfu_floor ADDRESS PORT FILE (errno: %s)\n", strerror(errno));
        return 1;
    }
    puts("floor: running");
    fflush(stdout);
    run(f);
    return 0;
}
