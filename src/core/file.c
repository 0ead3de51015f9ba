/*
 * file: reading and replacing whole small files. A file is replaced by writing a new one beside it,
 * syncing, renaming, and syncing the directory: after a crash there is the old file or the new one,
 * never half of either.
 */
#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/id.h"
#include "core/mem.h"

/* Reads on until the end: the size that fstat told may be wrong (procfs, a file still growing). */
static enum err read_all(int fd, size_t max_bytes, struct strbuf *into)
{
    for (;;) {
        char *at = strbuf_reserve(into, 4096);
        ssize_t got = read(fd, at, 4096);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_from_errno(errno);
        if (got == 0)
            return ERR_OK;
        into->n += (size_t)got;
        into->p[into->n] = '\0';
        if (into->n > max_bytes)
            return ERR_RESOURCE_EXHAUSTED;
    }
}

enum err file_read(const char *path, size_t max_bytes, char **out, size_t *n)
{
    struct strbuf bytes = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_from_errno(errno);
    enum err err = read_all(fd, max_bytes, &bytes);
    close(fd);
    if (err != ERR_OK) {
        strbuf_deinit(&bytes);
        return err;
    }
    *out = bytes.p;
    if (n)
        *n = bytes.n;
    return ERR_OK;
}

static enum err write_all(int fd, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return err_from_errno(errno);
        p += put;
        n -= (size_t)put;
    }
    return ERR_OK;
}

/* The directory must be synced too, or the rename itself may be lost. */
static enum err sync_parent(const char *path)
{
    char *dir = mem_strdup(path);
    char *slash = strrchr(dir, '/');
    enum err err = ERR_OK;
    if (slash)
        slash[slash == dir] = '\0'; /* "/file" has the parent "/" */
    int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        err = err_from_errno(errno);
    if (fd >= 0)
        close(fd);
    free(dir);
    return err;
}

enum err file_write_atomic(const char *path, const void *bytes, size_t n, unsigned mode)
{
    char token[9];
    struct strbuf temp = {0};
    enum err err;
    id_token(token, 8);
    strbuf_printf(&temp, "%s.%s.tmp", path, token);
    int fd = open(temp.p, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, (mode_t)mode);
    if (fd < 0) {
        err = err_from_errno(errno);
        goto done;
    }
    err = write_all(fd, bytes, n);
    if (err == ERR_OK && (fchmod(fd, (mode_t)mode) != 0 || fsync(fd) != 0)) /* chmod: umask */
        err = err_from_errno(errno);
    if (close(fd) != 0 && err == ERR_OK)
        err = err_from_errno(errno);
    if (err == ERR_OK && rename(temp.p, path) != 0)
        err = err_from_errno(errno);
    if (err == ERR_OK)
        err = sync_parent(path);
    else
        unlink(temp.p);
done:
    strbuf_deinit(&temp);
    return err;
}

static enum err make_one(const char *path, unsigned mode)
{
    struct stat st;
    if (mkdir(path, (mode_t)mode) == 0)
        return ERR_OK;
    if (errno != EEXIST)
        return err_from_errno(errno);
    if (stat(path, &st) != 0)
        return err_from_errno(errno);
    return S_ISDIR(st.st_mode) ? ERR_OK : ERR_FAILED_PRECONDITION;
}

enum err file_make_dirs(const char *path, unsigned mode)
{
    if (!*path)
        return ERR_INVALID_ARGUMENT;
    char *copy = mem_strdup(path);
    enum err err = ERR_OK;
    for (char *p = copy + 1; *p && err == ERR_OK; p++)
        if (*p == '/') {
            *p = '\0';
            err = make_one(copy, mode);
            *p = '/';
        }
    if (err == ERR_OK)
        err = make_one(copy, mode);
    free(copy);
    return err;
}
