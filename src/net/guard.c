/*
 * guard: the judgement of addresses. An address is first unwrapped (v4-mapped, IPv4-translated,
 * NAT64: these really reach the IPv4 address inside), then looked up in the tables of IANA's
 * special-purpose registries. Tunnels that could reach an IPv4 address by a relay of the
 * attacker's choosing (6to4, Teredo, v4-compatible, ISATAP) are refused whatever they hold. IPv6
 * outside 2000::/3 is not public by definition. The first matching row decides, so narrow rows
 * stand before wide ones.
 */
#include "net/guard.h"

#include <netinet/in.h>
#include <string.h>

struct guard_row {
    uint8_t base[16];
    uint8_t bits;
    uint8_t kind;
};

static const struct guard_row v4_rows[] = {
    {{0}, 8, GUARD_UNSPECIFIED},
    {{10}, 8, GUARD_PRIVATE},
    {{100, 64}, 10, GUARD_SHARED},
    {{127}, 8, GUARD_LOOPBACK},
    {{169, 254}, 16, GUARD_LINK_LOCAL},
    {{172, 16}, 12, GUARD_PRIVATE},
    {{192, 0, 0}, 24, GUARD_RESERVED}, /* IETF protocol assignments */
    {{192, 0, 2}, 24, GUARD_DOCUMENTATION},
    {{192, 88, 99}, 24, GUARD_TUNNEL}, /* 6to4 relay anycast */
    {{192, 168}, 16, GUARD_PRIVATE},
    {{198, 18}, 15, GUARD_BENCHMARK},
    {{198, 51, 100}, 24, GUARD_DOCUMENTATION},
    {{203, 0, 113}, 24, GUARD_DOCUMENTATION},
    {{224}, 4, GUARD_MULTICAST},
    {{255, 255, 255, 255}, 32, GUARD_BROADCAST},
    {{240}, 4, GUARD_RESERVED},
};

static const struct guard_row v6_rows[] = {
    {{0}, 128, GUARD_UNSPECIFIED},
    {{[15] = 1}, 128, GUARD_LOOPBACK},
    {{0}, 96, GUARD_TUNNEL},                         /* v4-compatible, RFC 4291 2.5.5.1 */
    {{0, 0x64, 0xff, 0x9b, 0, 1}, 48, GUARD_TUNNEL}, /* local-use NAT64, RFC 8215 */
    {{0x20, 0x01, 0, 0}, 32, GUARD_TUNNEL},          /* Teredo */
    {{0x20, 0x01, 0, 2, 0, 0}, 48, GUARD_BENCHMARK}, /* RFC 5180 */
    {{0x20, 0x01, 0}, 23, GUARD_RESERVED},           /* IETF assignments, ORCHID */
    {{0x20, 0x01, 0x0d, 0xb8}, 32, GUARD_DOCUMENTATION},
    {{0x20, 0x02}, 16, GUARD_TUNNEL},           /* 6to4 */
    {{0x3f, 0xff, 0}, 20, GUARD_DOCUMENTATION}, /* RFC 9637 */
    {{0xfc}, 7, GUARD_PRIVATE},
    {{0xfe, 0x80}, 10, GUARD_LINK_LOCAL},
    {{0xfe, 0xc0}, 10, GUARD_PRIVATE}, /* site-local, obsolete */
    {{0xff}, 8, GUARD_MULTICAST},
    {{0x20}, 3, GUARD_PUBLIC},
    {{0}, 0, GUARD_RESERVED},
};

static bool bits_match(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned bytes = bits / 8;
    unsigned rest = bits % 8;
    if (memcmp(a, b, bytes) != 0)
        return false;
    return rest == 0 || ((a[bytes] ^ b[bytes]) >> (8 - rest)) == 0;
}

static enum guard_kind rows_find(const struct guard_row *rows, size_t count, const uint8_t *ip)
{
    for (size_t i = 0; i < count; i++)
        if (bits_match(ip, rows[i].base, rows[i].bits))
            return (enum guard_kind)rows[i].kind;
    return GUARD_PUBLIC;
}

/* ISATAP (RFC 5214): the interface identifier names an IPv4 address. */
static bool is_isatap(const uint8_t ip[16])
{
    static const uint8_t marks[2][4] = {{0, 0, 0x5e, 0xfe}, {2, 0, 0x5e, 0xfe}};
    return memcmp(ip + 8, marks[0], 4) == 0 || memcmp(ip + 8, marks[1], 4) == 0;
}

/* Forms that reach the IPv4 address in their last four bytes become that address. */
static struct net_address unwrap(const struct sockaddr *sa)
{
    static const uint8_t prefixes[][12] = {
        {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, /* v4-mapped */
        {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0}, /* IPv4-translated, RFC 2765 */
        {0, 0x64, 0xff, 0x9b},                      /* NAT64, RFC 6052 */
    };
    struct net_address a = net_address_from(sa);
    if (a.family != AF_INET6)
        return a;
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        if (memcmp(a.ip, prefixes[i], 12) != 0)
            continue;
        struct net_address inner = {.family = AF_INET, .port = a.port};
        memcpy(inner.ip, a.ip + 12, 4);
        return inner;
    }
    return a;
}

static enum guard_kind classify(const struct net_address *a)
{
    if (a->family == AF_INET)
        return rows_find(v4_rows, ARRAY_LEN(v4_rows), a->ip);
    if (a->family != AF_INET6)
        return GUARD_OTHER_FAMILY;
    enum guard_kind kind = rows_find(v6_rows, ARRAY_LEN(v6_rows), a->ip);
    return kind == GUARD_PUBLIC && is_isatap(a->ip) ? GUARD_TUNNEL : kind;
}

enum guard_kind guard_classify(const struct sockaddr *sa)
{
    struct net_address a = unwrap(sa);
    return classify(&a);
}

const char *guard_kind_name(enum guard_kind kind)
{
    static const char *const names[] = {
        [GUARD_PUBLIC] = "public",
        [GUARD_UNSPECIFIED] = "unspecified",
        [GUARD_LOOPBACK] = "loopback",
        [GUARD_PRIVATE] = "private",
        [GUARD_SHARED] = "shared",
        [GUARD_LINK_LOCAL] = "link-local",
        [GUARD_MULTICAST] = "multicast",
        [GUARD_DOCUMENTATION] = "documentation",
        [GUARD_BENCHMARK] = "benchmark",
        [GUARD_BROADCAST] = "broadcast",
        [GUARD_RESERVED] = "reserved",
        [GUARD_TUNNEL] = "tunnel",
        [GUARD_OTHER_FAMILY] = "not an IP address",
    };
    return (size_t)kind < ARRAY_LEN(names) ? names[kind] : "unknown";
}

bool guard_range_parse(struct str text, struct guard_range *out)
{
    struct str ip;
    struct str bits_text = text;
    bool has_bits = str_cut(&bits_text, '/', &ip);
    struct guard_range range = {0};
    /* Neither a port nor brackets belong here. */
    if (str_find(ip, '[') >= 0 || !net_address_parse(ip, &range.base) ||
        (range.base.family == AF_INET && str_find(ip, ':') >= 0))
        return false;
    unsigned max_bits = range.base.family == AF_INET ? 32 : 128;
    uint64_t bits = max_bits;
    if (has_bits && (bits_text.n > 3 || !str_to_u64(bits_text, &bits) || bits > max_bits))
        return false;
    range.prefix_bits = (uint8_t)bits;
    *out = range;
    return true;
}

bool guard_range_has(const struct guard_range *range, const struct net_address *address)
{
    return range->base.family == address->family &&
           bits_match(range->base.ip, address->ip, range->prefix_bits);
}

enum err guard_check(const struct guard_options *opt, const struct sockaddr *sa)
{
    static const struct guard_options public_only = {0};
    if (!opt)
        opt = &public_only;
    struct net_address a = unwrap(sa);
    enum guard_kind kind = classify(&a);
    if (kind == GUARD_PUBLIC)
        return ERR_OK;
    if (kind == GUARD_LOOPBACK && opt->is_loopback_allowed)
        return ERR_OK;
    if ((kind == GUARD_PRIVATE || kind == GUARD_SHARED) && opt->is_private_allowed)
        return ERR_OK;
    for (size_t i = 0; i < opt->allowed_count; i++)
        if (guard_range_has(&opt->allowed[i], &a))
            return ERR_OK;
    return ERR_PERMISSION_DENIED;
}
