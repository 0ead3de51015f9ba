/* Answers of the server: each kind, in pieces of any size, and what is hostile. */
#include "test.h"

#include "redis/redis_internal.h"

struct fixture {
    struct redis_reader *reader;
    struct arena *arena;
};

static int setup(void **state)
{
    static struct fixture f;
    f.reader = redis_reader_create();
    f.arena = arena_create();
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    redis_reader_destroy(&f->reader);
    arena_destroy(&f->arena);
    return 0;
}

static enum err take(struct fixture *f, const struct redis_reply **reply)
{
    return redis_reader_take(f->reader, f->arena, reply);
}

static void feed(struct fixture *f, const char *text)
{
    assert_int_equal(redis_reader_feed(f->reader, text, strlen(text)), ERR_OK);
}

static const char mixed[] = "+OK\r\n:-42\r\n$5\r\nhe\r\no\r\n$-1\r\n*0\r\n-ERR no\r\n"
                            "*3\r\n:1\r\n*2\r\n$1\r\na\r\n$0\r\n\r\n$-1\r\n";

static void check_mixed(struct fixture *f, size_t step)
{
    const struct redis_reply *got[7], *reply;
    size_t count = 0;
    for (size_t at = 0; at < sizeof(mixed) - 1; at += step) {
        size_t n = MIN(step, sizeof(mixed) - 1 - at);
        assert_int_equal(redis_reader_feed(f->reader, mixed + at, n), ERR_OK);
        while (take(f, &reply) == ERR_OK)
            got[count++] = reply;
    }
    assert_int_equal(count, 7);
    assert_string_equal(redis_reply_text(got[0]).p, "OK");
    assert_int_equal(got[1]->number, -42);
    assert_int_equal(got[2]->text.n, 5);
    assert_memory_equal(got[2]->text.p, "he\r\no", 6); /* and its NUL */
    assert_int_equal(got[3]->type, REDIS_NIL);
    assert_int_equal(got[4]->type, REDIS_LIST);
    assert_int_equal(got[4]->count, 0);
    assert_int_equal(got[5]->type, REDIS_PROBLEM);
    assert_int_equal(redis_reply_err(got[5]), ERR_INTERNAL);
    assert_int_equal(got[6]->count, 3);
    const struct redis_reply *inner = redis_reply_item(got[6], 1);
    assert_string_equal(redis_reply_text(redis_reply_item(inner, 0)).p, "a");
    assert_int_equal(redis_reply_text(redis_reply_item(inner, 1)).n, 0);
    assert_null(redis_reply_item(inner, 2));
    assert_int_equal(redis_reply_item(got[6], 2)->type, REDIS_NIL);
}

static void test_every_kind_in_pieces(void **state)
{
    for (size_t step = 1; step < sizeof(mixed); step++)
        check_mixed(*state, step);
}

static void test_errors_by_their_word(void **state)
{
    static const struct {
        const char *text;
        enum err err;
    } cases[] = {
        {"-NOGROUP No such key\r\n", ERR_NOT_FOUND},
        {"-BUSYGROUP exists\r\n", ERR_ALREADY_EXISTS},
        {"-WRONGTYPE no\r\n", ERR_FAILED_PRECONDITION},
        {"-NOAUTH no\r\n", ERR_PERMISSION_DENIED},
        {"-LOADING\r\n", ERR_UNAVAILABLE},
        {"-READONLY no\r\n", ERR_UNAVAILABLE},
        {"-OOM no\r\n", ERR_RESOURCE_EXHAUSTED},
        {"-LOADINGS no\r\n", ERR_INTERNAL},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct redis_reply *reply;
        feed(f, cases[i].text);
        assert_int_equal(take(f, &reply), ERR_OK);
        assert_int_equal(redis_reply_err(reply), cases[i].err);
    }
}

static void test_hostile_lists(void **state)
{
    static const char *const hostile[] = {
        "*2147483647\r\n", "*1000000000000\r\n",
        "*262145\r\n",     "*262144\r\n*262144\r\n",
        "*-2\r\n",         "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
        "?\r\n",           "$-2\r\n",
        ":12x\r\n",
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        const struct redis_reply *reply;
        feed(f, hostile[i]);
        assert_int_equal(take(f, &reply), ERR_DATA_LOSS);
        assert_int_equal(take(f, &reply), ERR_DATA_LOSS); /* and stays so */
        redis_reader_destroy(&f->reader);
        f->reader = redis_reader_create();
    }
}

static void test_an_answer_without_end(void **state)
{
    struct fixture *f = *state;
    static char bytes[1 << 20];
    const struct redis_reply *reply;
    enum err err = ERR_OK;
    int fed = 0;
    memset(bytes, 'x', sizeof(bytes));
    feed(f, "$1000000000\r\n");
    while (!err && fed++ < 1000) {
        err = redis_reader_feed(f->reader, bytes, sizeof(bytes));
        if (!err)
            assert_int_equal(take(f, &reply), ERR_NOT_FOUND);
    }
    assert_int_equal(err, ERR_RESOURCE_EXHAUSTED);
    assert_in_range(fed, 100, 200);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_every_kind_in_pieces),
        T(test_errors_by_their_word),
        T(test_hostile_lists),
        T(test_an_answer_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
