/* registry_fixture: see the header. */
#include "registry_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"

void announce(struct registry *r, const char *id)
{
    const struct registry_instance i = {"User", id, "10.0.0.1", 9, "{\"load\":1}"};
    assert_int_equal(registry_announce(r, &i), ERR_OK);
}

static void ids(struct registry *r, char *out, size_t size)
{
    struct arena *arena = arena_create();
    struct registry_instance *list;
    size_t count = registry_find(r, "User", arena, &list), n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", i ? " " : "", list[i].id);
    arena_destroy(&arena);
}

void wait_for(struct registry *r, const char *expected, int64_t max_ms)
{
    char found[200];
    int64_t until_ms = clock_mono_ms() + max_ms;
    do {
        ids(r, found, sizeof(found));
        if (strcmp(found, expected) == 0)
            return;
        usleep(5000);
    } while (clock_mono_ms() < until_ms);
    assert_string_equal(found, expected);
}

void must_stay(struct registry *r, const char *expected, int64_t ms)
{
    char found[200];
    for (int64_t until_ms = clock_mono_ms() + ms; clock_mono_ms() < until_ms; usleep(5000)) {
        ids(r, found, sizeof(found));
        assert_string_equal(found, expected);
    }
}

void wait_record(struct registry *r, const char *name, const char *expected, int64_t max_ms)
{
    char found[200] = "";
    int64_t until_ms = clock_mono_ms() + max_ms;
    do {
        struct arena *arena = arena_create();
        const char *value = registry_record_get(r, "rooms", name, arena);
        snprintf(found, sizeof(found), "%s", value ? value : "-");
        arena_destroy(&arena);
        if (strcmp(found, expected) == 0)
            return;
        usleep(5000);
    } while (clock_mono_ms() < until_ms);
    assert_string_equal(found, expected);
}
