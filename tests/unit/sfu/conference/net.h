/*
 * net: a simulated network in virtual time. Datagrams take a while, get lost, come twice or out of
 * order, as a seeded generator decides: the same seed is the same conference, packet for packet.
 */
#pragma once

#include "core/base.h"
#include "sfu/wire/address.h"

struct net_link {
    double loss; /* 0..1 */
    double duplicate;
    int64_t delay_us;
    int64_t jitter_us; /* added, 0..jitter: reorders when above the distance of packets */
};

struct net_packet {
    struct net_packet *next;
    int64_t at_us;
    uint64_t order; /* of sending: ties are kept in order */
    struct sfu_address from;
    struct sfu_address to;
    size_t n;
    uint8_t bytes[];
};

struct net {
    uint64_t random;
    uint64_t sent;
    struct net_packet **heap;
    size_t count;
    size_t capacity;
};

void net_init(struct net *net, uint64_t seed);
void net_deinit(struct net *net);
uint32_t net_random(struct net *net);
double net_chance(struct net *net); /* 0..1 */
/* False: it was lost. */
bool net_send(struct net *net, const struct net_link *link, int64_t now_us,
              const struct sfu_address *from, const struct sfu_address *to, const uint8_t *bytes,
              size_t n);
/* The next datagram that is there by now, or NULL; free it. */
struct net_packet *net_receive(struct net *net, int64_t now_us);
