/* guard and address: every form of every special address. */
#include "test.h"

#include <sys/socket.h>

#include "net/guard.h"

static enum guard_kind kind_of(const char *text)
{
    struct net_address a;
    struct sockaddr_storage sa;
    if (!net_address_parse(str_from(text), &a))
        fail_msg("%s does not parse", text);
    assert_true(net_address_to(&a, &sa) > 0);
    return guard_classify((struct sockaddr *)&sa);
}

static enum err check(const struct guard_options *opt, const char *text)
{
    struct net_address a;
    struct sockaddr_storage sa;
    assert_true(net_address_parse(str_from(text), &a));
    net_address_to(&a, &sa);
    return guard_check(opt, (struct sockaddr *)&sa);
}

static const struct {
    const char *text;
    enum guard_kind kind;
} rows[] = {
    {"8.8.8.8", GUARD_PUBLIC},
    {"1.1.1.1", GUARD_PUBLIC},
    {"0.0.0.0", GUARD_UNSPECIFIED},
    {"0.255.255.255", GUARD_UNSPECIFIED},
    {"1.0.0.0", GUARD_PUBLIC},
    {"9.255.255.255", GUARD_PUBLIC},
    {"10.0.0.0", GUARD_PRIVATE},
    {"10.255.255.255", GUARD_PRIVATE},
    {"11.0.0.0", GUARD_PUBLIC},
    {"100.63.255.255", GUARD_PUBLIC},
    {"100.64.0.0", GUARD_SHARED},
    {"100.127.255.255", GUARD_SHARED},
    {"100.128.0.0", GUARD_PUBLIC},
    {"127.0.0.1", GUARD_LOOPBACK},
    {"127.255.255.254", GUARD_LOOPBACK},
    {"126.255.255.255", GUARD_PUBLIC},
    {"128.0.0.0", GUARD_PUBLIC},
    {"169.254.169.254", GUARD_LINK_LOCAL},
    {"169.253.255.255", GUARD_PUBLIC},
    {"172.15.255.255", GUARD_PUBLIC},
    {"172.16.0.0", GUARD_PRIVATE},
    {"172.31.255.255", GUARD_PRIVATE},
    {"172.32.0.0", GUARD_PUBLIC},
    {"192.0.0.8", GUARD_RESERVED},
    {"192.0.2.1", GUARD_DOCUMENTATION},
    {"192.88.99.1", GUARD_TUNNEL},
    {"192.167.255.255", GUARD_PUBLIC},
    {"192.168.0.1", GUARD_PRIVATE},
    {"192.169.0.0", GUARD_PUBLIC},
    {"198.17.255.255", GUARD_PUBLIC},
    {"198.18.0.1", GUARD_BENCHMARK},
    {"198.19.255.255", GUARD_BENCHMARK},
    {"198.20.0.0", GUARD_PUBLIC},
    {"198.51.100.7", GUARD_DOCUMENTATION},
    {"203.0.113.7", GUARD_DOCUMENTATION},
    {"223.255.255.255", GUARD_PUBLIC},
    {"224.0.0.1", GUARD_MULTICAST},
    {"239.255.255.255", GUARD_MULTICAST},
    {"240.0.0.1", GUARD_RESERVED},
    {"255.255.255.254", GUARD_RESERVED},
    {"255.255.255.255", GUARD_BROADCAST},
    /* IPv6 */
    {"2606:4700::1111", GUARD_PUBLIC},
    {"2a00:1450:4001::8a", GUARD_PUBLIC},
    {"::", GUARD_UNSPECIFIED},
    {"::1", GUARD_LOOPBACK},
    {"fe80::1", GUARD_LINK_LOCAL},
    {"febf::1", GUARD_LINK_LOCAL},
    {"fec0::1", GUARD_PRIVATE},
    {"fc00::1", GUARD_PRIVATE},
    {"fdff:ffff::1", GUARD_PRIVATE},
    {"ff02::1", GUARD_MULTICAST},
    {"2001:db8::1", GUARD_DOCUMENTATION},
    {"3fff:0fff::1", GUARD_DOCUMENTATION},
    {"3fff:1000::1", GUARD_PUBLIC},
    {"2001:2::1", GUARD_BENCHMARK},
    {"2001:20::1", GUARD_RESERVED},
    {"2001:200::1", GUARD_PUBLIC},
    {"100::1", GUARD_RESERVED},
    {"4000::1", GUARD_RESERVED},
    {"1fff::1", GUARD_RESERVED},
    /* IPv4 in disguise */
    {"::ffff:127.0.0.1", GUARD_LOOPBACK},
    {"::ffff:10.0.0.1", GUARD_PRIVATE},
    {"::ffff:169.254.169.254", GUARD_LINK_LOCAL},
    {"::ffff:0.0.0.0", GUARD_UNSPECIFIED},
    {"::ffff:8.8.8.8", GUARD_PUBLIC},
    {"::ffff:0:127.0.0.1", GUARD_LOOPBACK},
    {"::127.0.0.1", GUARD_TUNNEL},
    {"::8.8.8.8", GUARD_TUNNEL},
    {"64:ff9b::127.0.0.1", GUARD_LOOPBACK},
    {"64:ff9b::192.168.1.1", GUARD_PRIVATE},
    {"64:ff9b::8.8.8.8", GUARD_PUBLIC},
    {"64:ff9b:1::8.8.8.8", GUARD_TUNNEL},
    {"2002:7f00:0001::", GUARD_TUNNEL},
    {"2002:0808:0808::1", GUARD_TUNNEL},
    {"2001:0:4136:e378:8000:63bf:3fff:fdd2", GUARD_TUNNEL},
    {"2606:4700::5efe:7f00:1", GUARD_TUNNEL},
    {"2606:4700::200:5efe:7f00:1", GUARD_TUNNEL},
};

static void judges_every_form(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum guard_kind kind = kind_of(rows[i].text);
        if (kind != rows[i].kind)
            fail_msg("%s is %s, should be %s", rows[i].text, guard_kind_name(kind),
                     guard_kind_name(rows[i].kind));
        assert_int_equal(check(NULL, rows[i].text),
                         rows[i].kind == GUARD_PUBLIC ? ERR_OK : ERR_PERMISSION_DENIED);
    }
    struct sockaddr local = {.sa_family = AF_UNIX};
    assert_int_equal(guard_classify(&local), GUARD_OTHER_FAMILY);
    assert_int_equal(guard_check(NULL, &local), ERR_PERMISSION_DENIED);
}

static void allows_what_is_configured(void **state)
{
    struct guard_options loopback = {.is_loopback_allowed = true};
    struct guard_options private = {.is_private_allowed = true};
    assert_int_equal(check(&loopback, "127.0.0.1"), ERR_OK);
    assert_int_equal(check(&loopback, "::1"), ERR_OK);
    assert_int_equal(check(&loopback, "::ffff:127.0.0.1"), ERR_OK);
    assert_int_equal(check(&loopback, "10.0.0.1"), ERR_PERMISSION_DENIED);
    assert_int_equal(check(&private, "10.0.0.1"), ERR_OK);
    assert_int_equal(check(&private, "fd00::1"), ERR_OK);
    assert_int_equal(check(&private, "100.64.1.1"), ERR_OK);
    assert_int_equal(check(&private, "169.254.169.254"), ERR_PERMISSION_DENIED);
    assert_int_equal(check(&private, "127.0.0.1"), ERR_PERMISSION_DENIED);

    struct guard_range ranges[2];
    assert_true(guard_range_parse(STR("169.254.1.0/25"), &ranges[0]));
    assert_true(guard_range_parse(STR("fe80::/64"), &ranges[1]));
    struct guard_options some = {.allowed = ranges, .allowed_count = 2};
    assert_int_equal(check(&some, "169.254.1.127"), ERR_OK);
    assert_int_equal(check(&some, "::ffff:169.254.1.127"), ERR_OK);
    assert_int_equal(check(&some, "169.254.1.128"), ERR_PERMISSION_DENIED);
    assert_int_equal(check(&some, "fe80::abcd"), ERR_OK);
    assert_int_equal(check(&some, "fe80:0:0:1::abcd"), ERR_PERMISSION_DENIED);
}

static void parses_ranges(void **state)
{
    struct guard_range r;
    assert_true(guard_range_parse(STR("10.0.0.0/8"), &r));
    assert_int_equal(r.prefix_bits, 8);
    assert_true(guard_range_parse(STR("10.0.0.1"), &r));
    assert_int_equal(r.prefix_bits, 32);
    assert_true(guard_range_parse(STR("::/0"), &r));
    static const char *const bad[] = {"",           "/8",          "10.0.0.0/33", "10.0.0.0/",
                                      "10.0.0.0/x", "10.0.0.0/-1", "::/129",      "10.0.0.0:80/8",
                                      "[::1]/128",  "10/8",        "10.0.0.0/8/8"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (guard_range_parse(str_from(bad[i]), &r))
            fail_msg("%s was taken for a range", bad[i]);
}

static void parses_addresses(void **state)
{
    static const struct {
        const char *in;
        const char *out;
    } good[] = {
        {"192.0.2.1", "192.0.2.1:0"},
        {"192.0.2.1:80", "192.0.2.1:80"},
        {"2001:db8::1", "[2001:db8::1]:0"},
        {"[2001:db8::1]", "[2001:db8::1]:0"},
        {"[2001:db8::1]:65535", "[2001:db8::1]:65535"},
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct net_address a;
        char text[NET_ADDRESS_TEXT_SIZE];
        assert_true(net_address_parse(str_from(good[i].in), &a));
        net_address_text(&a, text);
        assert_string_equal(text, good[i].out);
    }
    /* What inet_aton or a browser would guess at is refused. */
    static const char *const bad[] = {"",
                                      "localhost",
                                      "127.1",
                                      "2130706433",
                                      "0x7f.0.0.1",
                                      "0177.0.0.1",
                                      "127.0.0.1 ",
                                      " 127.0.0.1",
                                      "127.0.0.1:",
                                      "127.0.0.1:65536",
                                      "127.0.0.1:-1",
                                      "127.0.0.1:080000",
                                      "[::1",
                                      "::1]",
                                      "[::1]x",
                                      "[::1]:",
                                      "[127.0.0.1]",
                                      "fe80::1%eth0",
                                      "1.2.3.4.5",
                                      "1.2.3"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct net_address a;
        if (net_address_parse(str_from(bad[i]), &a))
            fail_msg("\"%s\" was taken for an address", bad[i]);
    }
    struct net_address a;
    assert_false(net_address_parse((struct str){"127.0.0.1\0", 10}, &a));
    struct net_address local = {.family = AF_UNIX};
    char text[NET_ADDRESS_TEXT_SIZE];
    net_address_text(&local, text);
    assert_string_equal(text, "local");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_every_form),
        cmocka_unit_test(allows_what_is_configured),
        cmocka_unit_test(parses_ranges),
        cmocka_unit_test(parses_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
