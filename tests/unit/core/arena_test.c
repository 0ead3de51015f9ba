/* arena: alignment, zeroing, growth, deferred calls, the limit for protobuf-c. */
#include "test.h"

#include <malloc.h>
#include <pthread.h>
#include <string.h>

#include "core/arena.h"
#include "core/clock.h"

static void alignment_and_zero(void **state)
{
    struct arena *a = arena_create();
    size_t total = 0;
    for (size_t n = 0; n < 300; n++) {
        uint8_t *p = arena_alloc(a, n);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, n); /* dirt that the next allocation must not show */
        total += n;
    }
    assert_int_equal(arena_used(a), total);
    arena_destroy(&a);
    assert_null(a);
    arena_destroy(&a); /* NULL is fine */
}

static void big_and_small_do_not_overlap(void **state)
{
    struct arena *a = arena_create();
    uint8_t *pieces[64];
    size_t sizes[64];
    for (size_t i = 0; i < 64; i++) {
        sizes[i] = i % 7 == 3 ? 100000 + i : 40 * i + 1;
        pieces[i] = arena_alloc(a, sizes[i]);
        memset(pieces[i], (int)i, sizes[i]);
    }
    for (size_t i = 0; i < 64; i++)
        for (size_t k = 0; k < sizes[i]; k++)
            if (pieces[i][k] != i)
                fail_msg("piece %zu, byte %zu", i, k);
    arena_destroy(&a);
}

static void texts(void **state)
{
    struct arena *a = arena_create();
    char *shorter = arena_strdup(a, "short");
    char *printed = arena_printf(a, "%s-%05d-%s", "x", 42, "y");
    char *longer = arena_printf(a, "%5000d", 7);
    assert_string_equal(shorter, "short");
    assert_string_equal(printed, "x-00042-y");
    assert_int_equal(strlen(longer), 5000);
    assert_null(arena_strdup(a, NULL));
    assert_memory_equal(arena_memdup(a, "a\0b", 3), "a\0b", 3);
    assert_non_null(arena_memdup(a, NULL, 0));
    uint32_t *numbers = arena_array(a, uint32_t, 10);
    numbers[9] = 1;
    arena_destroy(&a);
}

static char order[8], marks[][2] = {"1", "2", "l"};

static void note(void *arg)
{
    strcat(order, arg);
}

struct nested {
    struct arena *arena;
};

static void defer_more(void *arg)
{
    struct nested *nested = arg;
    strcat(order, "n");
    arena_defer(nested->arena, note, marks[2]);
}

static void deferred_calls(void **state)
{
    struct arena *a = arena_create();
    struct nested *nested = arena_new(a, struct nested);
    nested->arena = a;
    arena_defer(a, note, marks[0]);
    arena_defer(a, defer_more, nested);
    arena_defer(a, note, marks[1]);
    assert_string_equal(order, "");
    arena_destroy(&a);
    assert_string_equal(order, "2nl1"); /* newest first, and memory still there meanwhile */
}

static void protobuf_limit(void **state)
{
    struct arena *a = arena_create();
    ProtobufCAllocator *allocator = arena_protobuf(a, 1000);
    void *first = allocator->alloc(allocator->allocator_data, 600);
    assert_non_null(first);
    assert_null(allocator->alloc(allocator->allocator_data, 401));
    assert_non_null(allocator->alloc(allocator->allocator_data, 400));
    allocator->free(allocator->allocator_data, first); /* gives nothing back */
    assert_null(allocator->alloc(allocator->allocator_data, 1));
    ProtobufCAllocator *standard = arena_protobuf(a, 0);
    assert_non_null(standard->alloc(standard->allocator_data, 1 << 20));
    assert_null(standard->alloc(standard->allocator_data, (size_t)16 << 20));
    arena_destroy(&a);
}

/* What one thread creates another destroys, as requests do: the stock of chunks moves along. */
#define TRAVELLERS 500

static void *destroy_all(void *arg)
{
    struct arena **arenas = arg;
    for (size_t i = 0; i < TRAVELLERS; i++)
        arena_destroy(&arenas[i]);
    return NULL;
}

static void arenas_that_change_threads(void **state)
{
    static struct arena *arenas[TRAVELLERS];
    for (size_t round = 0; round < 5; round++) {
        for (size_t i = 0; i < TRAVELLERS; i++) {
            arenas[i] = arena_create();
            uint8_t *p = arena_alloc(arenas[i], 3000); /* second hand, and yet zeroed */
            for (size_t k = 0; k < 3000; k++)
                assert_int_equal(p[k], 0);
            memset(p, 0xff, 3000);
            memset(arena_alloc(arenas[i], 3000), 0xff, 3000); /* beyond the first chunk */
        }
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, destroy_all, arenas), 0);
        pthread_join(thread, NULL);
        for (size_t i = 0; i < TRAVELLERS; i++)
            assert_null(arenas[i]);
    }
}

enum { MANY = 900, FEW = 64 };

static void many_at_once(struct arena **arenas, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        arenas[i] = arena_create();
    for (unsigned i = 0; i < count; i++)
        arena_destroy(&arenas[i]);
}

/* A crowd leaves its chunks behind; those that few need afterwards go back to malloc. */
static void a_crowd_is_forgotten(void **state)
{
    static struct arena *arenas[MANY];
    many_at_once(arenas, FEW);
    size_t before = mallinfo2().uordblks;
    many_at_once(arenas, MANY);
    int64_t end_us = clock_mono_us() + 60000000;
    size_t now;
    do {
        many_at_once(arenas, FEW);
        now = mallinfo2().uordblks;
    } while (now > before + MANY / 4 * 4096 && clock_mono_us() < end_us);
    assert_in_range(now, 0, before + MANY / 4 * 4096);
}

struct lodger {
    struct arena *arena; /* where it lives */
};

/* What lives in an arena of its own and ends it: nothing is written after that (ASan looks). */
static void one_that_is_destroyed_from_inside(void **state)
{
    struct arena *a = arena_create();
    struct lodger *lodger = arena_new(a, struct lodger);
    lodger->arena = a;
    arena_destroy(&lodger->arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_is_destroyed_from_inside),
        cmocka_unit_test(alignment_and_zero),
        cmocka_unit_test(big_and_small_do_not_overlap),
        cmocka_unit_test(texts),
        cmocka_unit_test(deferred_calls),
        cmocka_unit_test(protobuf_limit),
        cmocka_unit_test(arenas_that_change_threads),
        cmocka_unit_test(a_crowd_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
