/* cursor, writer and list: the inline foundations. */
#include "test.h"

#include "core/cursor.h"
#include "core/list.h"

static void reads(void **state)
{
    static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18};
    struct cursor c = cursor_of(bytes, sizeof(bytes));
    assert_int_equal(cursor_u8(&c), 1);
    assert_int_equal(cursor_u16(&c), 0x0203);
    assert_int_equal(cursor_u24(&c), 0x040506);
    assert_int_equal(cursor_u32(&c), 0x0708090a);
    assert_true(cursor_u64(&c) == 0x0b0c0d0e0f101112);
    assert_int_equal(cursor_left(&c), 0);
    assert_false(c.bad);
    assert_int_equal(cursor_u8(&c), 0);
    assert_true(c.bad);
}

static void never_leaves_the_buffer(void **state)
{
    static const uint8_t bytes[] = {1, 2, 3};
    struct cursor c = cursor_of(bytes, sizeof(bytes));
    assert_int_equal(cursor_u32(&c), 0);
    assert_true(c.bad);
    assert_int_equal(cursor_u8(&c), 0); /* bad stays bad, though a byte would be there */
    assert_null(cursor_bytes(&c, 0));

    c = cursor_of(bytes, sizeof(bytes));
    cursor_skip(&c, SIZE_MAX);
    assert_true(c.bad);

    c = cursor_of(bytes, sizeof(bytes));
    struct cursor sub = cursor_sub(&c, 2);
    assert_int_equal(cursor_u16(&sub), 0x0102);
    assert_int_equal(cursor_u8(&sub), 0);
    assert_true(sub.bad);
    assert_false(c.bad);
    assert_int_equal(cursor_u8(&c), 3);
    sub = cursor_sub(&c, 1);
    assert_true(sub.bad && c.bad);
    assert_int_equal(cursor_left(&sub), 0);
}

static void writes(void **state)
{
    uint8_t out[19];
    struct writer w = writer_of(out, sizeof(out));
    writer_u8(&w, 1);
    writer_u16(&w, 0x0203);
    writer_u24(&w, 0x040506);
    writer_u32(&w, 0x0708090a);
    writer_u64(&w, 0x0b0c0d0e0f101112);
    assert_int_equal(writer_size(&w), 18);
    for (uint8_t i = 0; i < 18; i++)
        assert_int_equal(out[i], i + 1);
    out[18] = 0xee;
    writer_u16(&w, 0xffff);
    assert_true(w.bad);
    assert_int_equal(out[18], 0xee); /* nothing half-written */
    writer_u8(&w, 1);
    assert_int_equal(writer_size(&w), 18); /* bad stays bad */
}

struct item {
    int number;
    struct list node;
};

static void lists(void **state)
{
    struct list head;
    struct item items[4] = {{1}, {2}, {3}, {4}};
    int order = 0;
    list_init(&head);
    assert_true(list_is_empty(&head));
    list_add_tail(&head, &items[1].node);
    list_add_tail(&head, &items[2].node);
    list_add_head(&head, &items[0].node);
    list_remove(&items[3].node); /* in no list */
    assert_false(list_is_linked(&items[3].node));
    LIST_FOREACH(&head, node)
    {
        order = order * 10 + LIST_ENTRY(node, struct item, node)->number;
        list_remove(node);
    }
    assert_int_equal(order, 123);
    assert_true(list_is_empty(&head));
    assert_false(list_is_linked(&items[1].node));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads),
        cmocka_unit_test(never_leaves_the_buffer),
        cmocka_unit_test(writes),
        cmocka_unit_test(lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
