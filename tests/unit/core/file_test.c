/* file: reading with a bound, replacing atomically, making directories. */
#include "test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"

static char dir[] = "/tmp/parlance-file-XXXXXX";

static const char *in_dir(const char *name)
{
    static char path[2][256];
    static int turn;
    turn ^= 1;
    snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
    return path[turn];
}

static int set_up(void **state)
{
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[64];
    snprintf(command, sizeof(command), "rm -r %s", dir);
    return system(command);
}

static unsigned mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static int count_entries(const char *path)
{
    int count = 0;
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *entry; (entry = readdir(d));)
        count += entry->d_name[0] != '.';
    closedir(d);
    return count;
}

static void writes_and_reads(void **state)
{
    const char *path = in_dir("secret");
    char *bytes;
    size_t n;
    mode_t umask_was = umask(077);
    assert_int_equal(file_write_atomic(path, "a\0b", 3, 0644), ERR_OK);
    assert_int_equal(mode_of(path), 0644); /* as asked, whatever the umask */
    umask(umask_was);
    assert_int_equal(file_write_atomic(path, "second", 6, 0600), ERR_OK);
    assert_int_equal(mode_of(path), 0600);
    assert_int_equal(file_read(path, 6, &bytes, &n), ERR_OK);
    assert_int_equal(n, 6);
    assert_string_equal(bytes, "second");
    free(bytes);
    assert_int_equal(file_read(path, 5, &bytes, &n), ERR_RESOURCE_EXHAUSTED);
    assert_int_equal(file_write_atomic(path, NULL, 0, 0600), ERR_OK);
    assert_int_equal(file_read(path, 0, &bytes, &n), ERR_OK);
    assert_int_equal(n, 0);
    assert_string_equal(bytes, "");
    free(bytes);
    assert_int_equal(count_entries(dir), 1); /* no temporary file stayed */
}

static void large_files(void **state)
{
    size_t size = 300001, n;
    char *bytes = malloc(size), *back;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 7);
    assert_int_equal(file_write_atomic(in_dir("large"), bytes, size, 0600), ERR_OK);
    assert_int_equal(file_read(in_dir("large"), size, &back, &n), ERR_OK);
    assert_int_equal(n, size);
    assert_memory_equal(back, bytes, size);
    free(back);
    free(bytes);
    unlink(in_dir("large"));
    /* procfs files have size 0 and bytes all the same */
    assert_int_equal(file_read("/proc/self/status", 1 << 20, &back, &n), ERR_OK);
    assert_true(n > 100);
    free(back);
}

static void failures(void **state)
{
    char *bytes;
    size_t n;
    assert_int_equal(file_read(in_dir("none"), 10, &bytes, &n), ERR_NOT_FOUND);
    assert_int_equal(file_read(dir, 10, &bytes, &n), ERR_FAILED_PRECONDITION);
    assert_int_equal(file_write_atomic(in_dir("no/such"), "x", 1, 0600), ERR_NOT_FOUND);
    assert_int_equal(mkdir(in_dir("taken"), 0700), 0);
    assert_int_equal(file_write_atomic(in_dir("taken"), "x", 1, 0600), ERR_FAILED_PRECONDITION);
    assert_int_equal(count_entries(in_dir("taken")), 0);
    rmdir(in_dir("taken"));
}

static void makes_dirs(void **state)
{
    assert_int_equal(file_make_dirs(in_dir("a/b//c/"), 0700), ERR_OK);
    assert_int_equal(mode_of(in_dir("a/b/c")), 0700);
    assert_int_equal(file_make_dirs(in_dir("a/b/c"), 0700), ERR_OK);
    assert_int_equal(file_write_atomic(in_dir("a/plain"), "x", 1, 0600), ERR_OK);
    assert_int_equal(file_make_dirs(in_dir("a/plain"), 0700), ERR_FAILED_PRECONDITION);
    assert_int_not_equal(file_make_dirs(in_dir("a/plain/d"), 0700), ERR_OK);
    assert_int_equal(file_make_dirs("", 0700), ERR_INVALID_ARGUMENT);
    assert_int_equal(file_make_dirs("/", 0700), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_and_reads),
        cmocka_unit_test(large_files),
        cmocka_unit_test(failures),
        cmocka_unit_test(makes_dirs),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
