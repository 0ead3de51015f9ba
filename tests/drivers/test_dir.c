/* test_dir: see the header. */
#include "test_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void test_dir_make(struct test_dir *dir)
{
    snprintf(dir->path, sizeof(dir->path), "/tmp/parlance-test-XXXXXX");
    if (!mkdtemp(dir->path)) {
        perror(dir->path);
        abort();
    }
}

static void empty(int fd)
{
    DIR *d = fdopendir(fd);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (unlinkat(fd, e->d_name, 0) == 0)
            continue;
        int below = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (below >= 0)
            empty(below);
        unlinkat(fd, e->d_name, AT_REMOVEDIR);
    }
    closedir(d);
}

void test_dir_remove(struct test_dir *dir)
{
    int fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (fd >= 0)
        empty(fd);
    rmdir(dir->path);
}
