/* Names of time zones: known ones pass, everything that is a path, a foreign file or a guess does
 * not. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rpc/rpc.h"
#include "services/common/zone.h"

static char dir[] = "/tmp/parlance-zone-XXXXXX";

static void put(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state UNUSED)
{
    char path[128];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/Europe", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    put("Europe/Berlin", "TZif2 and so on");
    put("Zulu", "not zone data");
    put("localtime", "TZif2");
    return 0;
}

static int teardown(void **state UNUSED)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}

static void expect(const char *value, const char *from, const char *wanted)
{
    struct rpc_call *call = rpc_call_create(NULL);
    const char *zone = zone_take(call, value, from);
    if (!wanted) {
        assert_null(zone);
        assert_int_equal(rpc_failure(call), ERR_INVALID_ARGUMENT);
    } else if (!zone || strcmp(zone, wanted) != 0) {
        fail_msg("\"%s\" became %s", value, zone ? zone : "a refusal");
    }
    rpc_call_unref(&call);
}

static void test_known(void **state UNUSED)
{
    expect("Europe/Berlin", dir, "Europe/Berlin");
    expect("  Europe/Berlin ", dir, "Europe/Berlin");
    expect("", dir, "UTC");
    expect(NULL, dir, "UTC");
    expect("UTC", dir, "UTC"); /* known without a file */
}

static void test_refused(void **state UNUSED)
{
    static const char *const bad[] = {
        "Europe/Atlantis",
        "Zulu",
        "localtime",
        "europe/berlin",
        "Europe",
        "Europe/",
        "/Europe/Berlin",
        "Europe//Berlin",
        "../Europe/Berlin",
        "Europe/../Europe/Berlin",
        "Europe/Berlin\n/",
        "Europe/B'; DROP TABLE meetings",
        "+01:00",
        "A234567890123456789012345678901234567890123456789012345678901234567890",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        expect(bad[i], dir, NULL);
}

static void test_a_machine_without_zones(void **state UNUSED)
{
    expect("Europe/Atlantis", "/nonexistent", "Europe/Atlantis"); /* the shape must do */
    expect("../etc/passwd", "/nonexistent", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_a_machine_without_zones),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
