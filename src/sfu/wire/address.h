/*
 * address: where a datagram came from, as a small value that compares with one memcmp. The sfu does
 * not know sockets; whoever owns them converts (services/media), and turns a v4-mapped IPv6 address
 * into the IPv4 address it stands for.
 */
#pragma once

#include <string.h>

#include "core/base.h"

struct sfu_address {
    uint8_t ip[16];   /* network order; IPv4: the first 4, the rest zero */
    uint16_t port;    /* host order */
    uint8_t family;   /* 4, 6; 0: none */
    uint8_t reserved; /* zero */
    uint32_t
        via; /* which local socket or TCP connection; part of the identity; 0: the UDP socket */
};

static inline struct sfu_address sfu_address_v4(uint32_t ip_host_order, uint16_t port)
{
    return (struct sfu_address){
        .ip = {(uint8_t)(ip_host_order >> 24), (uint8_t)(ip_host_order >> 16),
               (uint8_t)(ip_host_order >> 8), (uint8_t)ip_host_order},
        .port = port,
        .family = 4,
    };
}

static inline struct sfu_address sfu_address_v6(const uint8_t ip[16], uint16_t port)
{
    struct sfu_address a = {.port = port, .family = 6};
    for (int i = 0; i < 16; i++)
        a.ip[i] = ip[i];
    return a;
}

static inline bool sfu_address_eq(const struct sfu_address *a, const struct sfu_address *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}
