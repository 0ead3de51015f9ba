/* test_dir: a temporary directory of a test's own. */
#pragma once

struct test_dir {
    char path[64];
};

/* Aborts the test program if it cannot. */
void test_dir_make(struct test_dir *dir);
/* With all it holds. */
void test_dir_remove(struct test_dir *dir);
