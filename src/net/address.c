/*
 * address: conversions between sockaddr, our compact value and text. Parsing accepts numbers only
 * and nothing that inet_aton would guess at (octal, short forms): what is not canonical is refused,
 * because two readers that disagree about an address are how guards are walked around.
 */
#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

struct net_address net_address_from(const struct sockaddr *sa)
{
    struct net_address a = {.family = sa->sa_family};
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        memcpy(a.ip, &in.sin_addr, 4);
        a.port = ntohs(in.sin_port);
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof(in6));
        a.port = ntohs(in6.sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
            a.family = AF_INET;
            memcpy(a.ip, in6.sin6_addr.s6_addr + 12, 4);
        } else {
            memcpy(a.ip, &in6.sin6_addr, 16);
            a.scope_id = in6.sin6_scope_id;
        }
    }
    return a;
}

socklen_t net_address_to(const struct net_address *a, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (a->family == AF_INET) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(a->port)};
        memcpy(&in.sin_addr, a->ip, 4);
        memcpy(out, &in, sizeof(in));
        return sizeof(in);
    }
    if (a->family == AF_INET6) {
        struct sockaddr_in6 in6 = {
            .sin6_family = AF_INET6, .sin6_port = htons(a->port), .sin6_scope_id = a->scope_id};
        memcpy(&in6.sin6_addr, a->ip, 16);
        memcpy(out, &in6, sizeof(in6));
        return sizeof(in6);
    }
    return 0;
}

/* inet_ntop goes through printf, and this is asked for with every request. */
static void ip4_text(const uint8_t ip[4], char *out)
{
    for (int i = 0; i < 4; i++) {
        uint8_t v = ip[i];
        if (v >= 100)
            *out++ = (char)('0' + v / 100);
        if (v >= 10)
            *out++ = (char)('0' + v / 10 % 10);
        *out++ = (char)('0' + v % 10);
        *out++ = i < 3 ? '.' : '\0';
    }
}

void net_address_ip_text(const struct net_address *a, char out[NET_ADDRESS_TEXT_SIZE])
{
    if (a->family != AF_INET && a->family != AF_INET6) {
        memcpy(out, "local", sizeof("local"));
        return;
    }
    if (a->family == AF_INET)
        ip4_text(a->ip, out);
    else if (!inet_ntop(a->family, a->ip, out, NET_ADDRESS_TEXT_SIZE))
        out[0] = '\0';
}

void net_address_text(const struct net_address *a, char out[NET_ADDRESS_TEXT_SIZE])
{
    char ip[NET_ADDRESS_TEXT_SIZE];
    net_address_ip_text(a, ip);
    if (a->family == AF_INET)
        snprintf(out, NET_ADDRESS_TEXT_SIZE, "%.45s:%u", ip, a->port);
    else if (a->family == AF_INET6)
        snprintf(out, NET_ADDRESS_TEXT_SIZE, "[%.45s]:%u", ip, a->port);
    else
        memcpy(out, "local", sizeof("local"));
}

static bool port_parse(struct str text, uint16_t *out)
{
    uint64_t port;
    if (text.n == 0 || text.n > 5 || !str_to_u64(text, &port) || port > 65535)
        return false;
    *out = (uint16_t)port;
    return true;
}

static bool ip_parse(struct str text, int family, struct net_address *out)
{
    char copy[INET6_ADDRSTRLEN];
    if (text.n == 0 || text.n >= sizeof(copy) || memchr(text.p, '\0', text.n))
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    uint8_t ip[16] = {0};
    if (inet_pton(family, copy, ip) != 1)
        return false;
    out->family = (uint16_t)family;
    memcpy(out->ip, ip, sizeof(ip));
    return true;
}

bool net_address_parse(struct str text, struct net_address *out)
{
    struct net_address a = {0};
    if (text.n > 0 && text.p[0] == '[') {
        ptrdiff_t close = str_find(text, ']');
        if (close < 0 || !ip_parse(str_sub(text, 1, (size_t)close - 1), AF_INET6, &a))
            return false;
        struct str rest = str_sub(text, (size_t)close + 1, SIZE_MAX);
        if (rest.n > 0 && (rest.p[0] != ':' || !port_parse(str_sub(rest, 1, SIZE_MAX), &a.port)))
            return false;
    } else if (!ip_parse(text, AF_INET6, &a)) {
        struct str host;
        struct str port = text;
        bool has_port = str_cut(&port, ':', &host);
        if (!ip_parse(host, AF_INET, &a) || (has_port && !port_parse(port, &a.port)))
            return false;
    }
    *out = a;
    return true;
}
