/* err: the vocabulary and the two doors for foreign codes. */
#include "test.h"

#include <errno.h>
#include <string.h>
#include <uv.h>

#include "core/err.h"

static void names_round_trip(void **state)
{
    for (int code = ERR_OK; code <= ERR_UNAUTHENTICATED; code++) {
        assert_int_equal(err_from_name(err_name((enum err)code)), code);
        assert_true(strlen(err_text((enum err)code)) > 0);
        assert_in_range(err_http_status((enum err)code), 200, 504);
    }
    assert_string_equal(err_name(ERR_NOT_FOUND), "not_found");
    assert_string_equal(err_name(ERR_DEADLINE_EXCEEDED), "deadline_exceeded");
    assert_int_equal(err_http_status(ERR_UNAUTHENTICATED), 401);
}

static void strangers_are_unknown(void **state)
{
    assert_string_equal(err_name((enum err)99), "unknown");
    assert_string_equal(err_name((enum err) - 1), "unknown");
    assert_int_equal(err_http_status((enum err)17), 500);
    assert_int_equal(err_from_name("NOT_FOUND"), ERR_UNKNOWN);
    assert_int_equal(err_from_name(""), ERR_UNKNOWN);
    assert_int_equal(err_from_name(NULL), ERR_UNKNOWN);
}

static void system_codes(void **state)
{
    static const struct {
        int number;
        enum err err;
    } cases[] = {
        {0, ERR_OK},
        {ENOENT, ERR_NOT_FOUND},
        {EEXIST, ERR_ALREADY_EXISTS},
        {EACCES, ERR_PERMISSION_DENIED},
        {EINVAL, ERR_INVALID_ARGUMENT},
        {ENOSPC, ERR_RESOURCE_EXHAUSTED},
        {EMFILE, ERR_RESOURCE_EXHAUSTED},
        {EAGAIN, ERR_UNAVAILABLE},
        {ECONNREFUSED, ERR_UNAVAILABLE},
        {ETIMEDOUT, ERR_DEADLINE_EXCEEDED},
        {ECANCELED, ERR_CANCELLED},
        {EIO, ERR_DATA_LOSS},
        {99999, ERR_UNKNOWN},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(err_from_errno(cases[i].number), cases[i].err);
        assert_int_equal(err_from_uv(-cases[i].number), cases[i].err);
    }
    assert_int_equal(err_from_uv(7), ERR_OK); /* libuv: a positive result is a result */
    assert_int_equal(err_from_uv(UV_EOF), ERR_UNAVAILABLE);
    assert_int_equal(err_from_uv(UV_EAI_NONAME), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_round_trip),
        cmocka_unit_test(strangers_are_unknown),
        cmocka_unit_test(system_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
