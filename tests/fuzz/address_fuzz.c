/*
 * address: texts as addresses and ranges, bytes as addresses to judge. Checked: what parses comes
 * back from its own text; every disguise of an IPv4 address is judged like the address or refused.
 */
#include <assert.h>
#include <netinet/in.h>
#include <string.h>

#include "net/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum guard_kind kind_of(const struct net_address *a)
{
    struct sockaddr_storage sa;
    assert(net_address_to(a, &sa) > 0);
    return guard_classify((struct sockaddr *)&sa);
}

static void check_text(struct str text)
{
    struct net_address a;
    struct guard_range range;
    if (net_address_parse(text, &a)) {
        char out[NET_ADDRESS_TEXT_SIZE];
        struct net_address again;
        net_address_text(&a, out);
        assert(net_address_parse(str_from(out), &again));
        assert(again.family == a.family && again.port == a.port);
        assert(memcmp(again.ip, a.ip, sizeof(a.ip)) == 0);
        kind_of(&a);
    }
    if (guard_range_parse(text, &range))
        assert(guard_range_has(&range, &range.base));
}

static void check_disguises(const uint8_t v4[4])
{
    static const uint8_t prefixes[][12] = {
        {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff},    /* v4-mapped */
        {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0},    /* translated */
        {0, 0x64, 0xff, 0x9b},                         /* NAT64 */
        {0},                                           /* v4-compatible */
        {0, 0x64, 0xff, 0x9b, 0, 1},                   /* local NAT64 */
        {0x26, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0x5e, 0xfe}, /* ISATAP */
    };
    struct net_address plain = {.family = AF_INET};
    memcpy(plain.ip, v4, 4);
    enum guard_kind kind = kind_of(&plain);
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        struct net_address a = {.family = AF_INET6};
        memcpy(a.ip, prefixes[i], 12);
        memcpy(a.ip + 12, v4, 4);
        enum guard_kind disguised = kind_of(&a);
        assert(i < 3 ? disguised == kind : disguised != GUARD_PUBLIC);
    }
    struct net_address six_to_four = {.family = AF_INET6, .ip = {0x20, 0x02}};
    memcpy(six_to_four.ip + 2, v4, 4);
    assert(kind_of(&six_to_four) != GUARD_PUBLIC);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_text((struct str){(const char *)data, size});
    if (size >= 4)
        check_disguises(data);
    if (size >= 16) {
        struct net_address a = {.family = AF_INET6};
        memcpy(a.ip, data, 16);
        kind_of(&a);
    }
    return 0;
}
