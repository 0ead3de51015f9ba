/* mem: what it promises, and that it dies rather than return NULL. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "death.h"

static volatile size_t huge = SIZE_MAX / 2 + 2; /* volatile: the compiler would warn at once */

static void overflow_calloc(void)
{
    free(mem_calloc(huge, 4));
}

static void overflow_realloc(void)
{
    free(mem_realloc_array(NULL, huge, 2));
}

static void values(void **state)
{
    uint8_t zeros[64] = {0};
    void *p = mem_zalloc(64);
    assert_memory_equal(p, zeros, 64);
    free(p);
    p = mem_calloc(8, 8);
    assert_memory_equal(p, zeros, 64);
    p = mem_realloc_array(p, 32, 8);
    assert_memory_equal(p, zeros, 64);
    free(p);
    p = mem_alloc(0);
    assert_non_null(p);
    free(p);
    p = mem_strdup("text");
    assert_string_equal(p, "text");
    free(p);
    assert_null(mem_strdup(NULL));
    p = mem_dup("ab", 2);
    assert_memory_equal(p, "ab", 2);
    free(p);
}

static void overflow_aborts(void **state)
{
    char words[256];
    death_words(overflow_calloc, words, sizeof(words));
    assert_non_null(strstr(words, "allocation overflows"));
    death_words(overflow_realloc, words, sizeof(words));
    assert_non_null(strstr(words, "allocation overflows"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(overflow_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
