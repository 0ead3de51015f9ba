/*
 * address: an IP address (or a local socket) and port as a small value, and as text.
 */
#pragma once

#include <sys/socket.h>

#include "core/str.h"

#define NET_ADDRESS_TEXT_SIZE 56 /* "[" 45 characters "]:65535" and NUL */

struct net_address {
    uint16_t family;   /* AF_INET, AF_INET6, AF_UNIX; 0: none */
    uint16_t port;     /* host order */
    uint32_t scope_id; /* link-local IPv6 */
    uint8_t ip[16];    /* AF_INET: the first 4 */
};

/* A v4-mapped IPv6 address becomes the IPv4 address it stands for. */
struct net_address net_address_from(const struct sockaddr *sa);
/* Returns the length of the sockaddr, 0 for a family other than IPv4 and IPv6. */
socklen_t net_address_to(const struct net_address *a, struct sockaddr_storage *out);
/* "192.0.2.1", "2001:db8::1", "local"; without the port. */
void net_address_ip_text(const struct net_address *a, char out[NET_ADDRESS_TEXT_SIZE]);
/* "192.0.2.1:80", "[2001:db8::1]:80", "local". */
void net_address_text(const struct net_address *a, char out[NET_ADDRESS_TEXT_SIZE]);
/* An IP address, or "ip:port", "[ip6]:port". Numbers only, no names, no zones, no octal or short
 * IPv4 forms. */
MUST_USE bool net_address_parse(struct str text, struct net_address *out);
