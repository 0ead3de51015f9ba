/* store_mysql_address_test: what an address of MySQL may say, and that nothing else passes for one.
 */
#include "test.h"

#include "core/log.h"
#include "store/store_mysql_internal.h"

static void test_all_parts(void **state)
{
    struct mysql_address a;
    assert_int_equal(store_mysql_address_read(&a,
                                              "mysql://us%40er:p%3a%2F:w@one,two:3307,[::1]:3308/d"
                                              "b?ssl-ca=/etc/ca%20.pem&ssl-key=k&ssl-cert=c"),
                     ERR_OK);
    assert_string_equal(a.user, "us@er");
    assert_string_equal(a.password, "p:/:w");
    assert_string_equal(a.database, "db");
    assert_int_equal(a.host_count, 3);
    assert_string_equal(a.hosts[0].name, "one");
    assert_int_equal(a.hosts[0].port, 3306);
    assert_string_equal(a.hosts[1].name, "two");
    assert_int_equal(a.hosts[1].port, 3307);
    assert_string_equal(a.hosts[2].name, "::1");
    assert_int_equal(a.hosts[2].port, 3308);
    assert_string_equal(a.ssl_ca, "/etc/ca .pem");
    assert_true(a.has_tls && a.is_verified);
    store_mysql_address_deinit(&a);
}

static void test_modes_of_tls(void **state)
{
    static const struct {
        const char *url;
        bool has_tls, is_verified;
    } cases[] = {
        {"mariadb://u:p@h/d", false, false},
        {"mysql://u@h/d?ssl-mode=required", true, false},
        {"mysql://u:@h/d?ssl-mode=verify-full", true, true},
        {"mysql://u:p@h/d?ssl-ca=x&ssl-mode=disabled", false, false},
        {"mysql://u:p@/d?socket=/run/mysqld.sock", false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct mysql_address a;
        assert_int_equal(store_mysql_address_read(&a, cases[i].url), ERR_OK);
        assert_int_equal(a.has_tls, cases[i].has_tls);
        assert_int_equal(a.is_verified, cases[i].is_verified);
        store_mysql_address_deinit(&a);
    }
}

static void test_what_is_refused(void **state)
{
    static const char *const refused[] = {
        NULL,
        "",
        "mysql:",
        "mysql://",
        "postgres://u:p@h/d",
        "mysql://u:p@h",
        "mysql://u:p@h/",
        "mysql://u:p/d",
        "mysql://:p@h/d",
        "mysql://u:p@/d",
        "mysql://u:p@,/d",
        "mysql://u:p@h:0/d",
        "mysql://u:p@h:65536/d",
        "mysql://u:p@h:x/d",
        "mysql://u:p@[::1/d",
        "mysql://u:p@[::1]x/d",
        "mysql://u:p%@h/d",
        "mysql://u:p%4@h/d",
        "mysql://u:p%zz@h/d",
        "mysql://u:p%00@h/d",
        "mysql://u:p@h/d?ssl_ca=x", /* misspelled: not passed over */
        "mysql://u:p@h/d?ssl-ca",
        "mysql://u:p@h/d?ssl-ca=",
        "mysql://u:p@h/d?ssl-mode=sometimes",
        "mysql://u:p@1,2,3,4,5,6,7,8,9/d",
    };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct mysql_address a;
        assert_int_equal(store_mysql_address_read(&a, refused[i]), ERR_INVALID_ARGUMENT);
        assert_null(a.password);
    }
}

int main(void)
{
    log_set_level(LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_parts),
        cmocka_unit_test(test_modes_of_tls),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
