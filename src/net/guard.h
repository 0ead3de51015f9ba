/*
 * guard: one function judges whether an address may be connected to on behalf of outsiders
 * (webhooks, link previews, OIDC, TURN relays, S3). It sees through every disguise an IPv4 address
 * can wear in IPv6. Callers resolve once, judge what they resolved, and connect to exactly that.
 */
#pragma once

#include "core/err.h"
#include "net/address.h"

enum guard_kind {
    GUARD_PUBLIC,
    GUARD_UNSPECIFIED,   /* 0.0.0.0/8, :: */
    GUARD_LOOPBACK,      /* 127.0.0.0/8, ::1 */
    GUARD_PRIVATE,       /* RFC 1918, fc00::/7, fec0::/10 */
    GUARD_SHARED,        /* 100.64.0.0/10: carrier-grade NAT */
    GUARD_LINK_LOCAL,    /* 169.254.0.0/16 (cloud metadata lives there), fe80::/10 */
    GUARD_MULTICAST,     /* 224.0.0.0/4, ff00::/8 */
    GUARD_DOCUMENTATION, /* 192.0.2.0/24 and friends, 2001:db8::/32, 3fff::/20 */
    GUARD_BENCHMARK,     /* 198.18.0.0/15, 2001:2::/48 */
    GUARD_BROADCAST,     /* 255.255.255.255 */
    GUARD_RESERVED,      /* what IANA keeps back; IPv6 outside 2000::/3 */
    GUARD_TUNNEL,        /* 6to4, Teredo, v4-compatible, ISATAP: obsolete ways around a guard */
    GUARD_OTHER_FAMILY,  /* not IP */
};

/* What the address really is, after unwrapping v4-mapped and NAT64 forms. */
enum guard_kind guard_classify(const struct sockaddr *sa);
const char *guard_kind_name(enum guard_kind kind);

/* An address range, e.g. from configuration: "10.1.0.0/16", "fd00::/8", "192.0.2.7". */
struct guard_range {
    struct net_address base;
    uint8_t prefix_bits;
};
MUST_USE bool guard_range_parse(struct str text, struct guard_range *out);
bool guard_range_has(const struct guard_range *range, const struct net_address *address);

struct guard_options {
    bool is_loopback_allowed;
    bool is_private_allowed; /* private, shared and unique local ranges; never link-local */
    const struct guard_range *allowed; /* further exceptions, by range */
    size_t allowed_count;
};

/* ERR_OK or ERR_PERMISSION_DENIED. NULL options: public addresses only. */
MUST_USE enum err guard_check(const struct guard_options *opt, const struct sockaddr *sa);
