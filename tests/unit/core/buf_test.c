/* buf: the pool's bound, reuse, references. */
#include "test.h"

#include <string.h>

#include "core/buf.h"

static void runs_dry_and_recovers(void **state)
{
    struct buf *bufs[300];
    struct buf_pool *pool = buf_pool_create(300);
    for (size_t i = 0; i < 300; i++) {
        bufs[i] = buf_get(pool);
        assert_non_null(bufs[i]);
        assert_int_equal((uintptr_t)bufs[i]->data % 16, 0);
        memset(bufs[i]->data, (int)i, BUF_CAPACITY);
    }
    assert_int_equal(buf_pool_used(pool), 300);
    assert_null(buf_get(pool));
    for (size_t i = 0; i < 300; i++)
        for (size_t k = 0; k < BUF_CAPACITY; k += 100)
            assert_int_equal(bufs[i]->data[k], (uint8_t)i);
    struct buf *last = bufs[299];
    buf_unref(&bufs[299]);
    assert_null(bufs[299]);
    struct buf *again = buf_get(pool);
    assert_ptr_equal(again, last);
    assert_int_equal(again->n, 0);
    assert_int_equal(again->offset, 0);
    buf_unref(&again);
    for (size_t i = 0; i < 299; i++)
        buf_unref(&bufs[i]);
    assert_int_equal(buf_pool_used(pool), 0);
    buf_pool_destroy(&pool);
    assert_null(pool);
    buf_pool_destroy(&pool);
}

static void references(void **state)
{
    struct buf_pool *pool = buf_pool_create(1);
    struct buf *one = buf_get(pool), *two = buf_ref(one), *none = NULL;
    buf_unref(&none);
    one->offset = 12;
    assert_ptr_equal(buf_bytes(one), one->data + 12);
    buf_unref(&one);
    assert_int_equal(buf_pool_used(pool), 1);
    assert_null(buf_get(pool)); /* still held by two */
    buf_unref(&two);
    assert_int_equal(buf_pool_used(pool), 0);
    buf_pool_destroy(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_dry_and_recovers),
        cmocka_unit_test(references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
