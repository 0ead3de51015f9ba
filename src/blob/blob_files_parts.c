/*
 * Blobs that come slowly: one file each in ROOT/.parts, named as the blob with '+' for '/'. Nobody
 * removes what is old: whoever began it knows of it in a database and drops it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob/blob_files_internal.h"
#include "blob/blob_files_parts.h"
#include "core/id.h"
#include "core/mem.h"

static char *part_name(const char *name)
{
    char *part = mem_strdup(name);
    for (char *c = part; *c; c++) {
        if (*c == '/')
            *c = '+';
    }
    return part;
}

static int open_part(const struct blob_impl *impl, const char *name, int flags)
{
    char *part = part_name(name);
    int fd = openat(impl->part_dir_fd, part, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    int error_number = errno;
    free(part);
    errno = error_number;
    return fd;
}

/* A new file's name must be durable before anything in it is promised. */
static int open_for_writing(const struct blob_impl *impl, const char *name)
{
    int fd = open_part(impl, name, O_WRONLY);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    fd = open_part(impl, name, O_WRONLY | O_CREAT);
    if (fd >= 0 && fsync(impl->part_dir_fd) != 0) {
        int error_number = errno;
        close(fd);
        errno = error_number;
        return -1;
    }
    return fd;
}

enum err blob_files_part_write(struct blob_impl *impl, const char *name, uint64_t offset,
                               const void *bytes, size_t n)
{
    enum err err = ERR_OK;
    int fd = open_for_writing(impl, name);
    if (fd < 0)
        return blob_files_complain("write", name);
    struct stat st;
    if (fstat(fd, &st) != 0)
        err = blob_files_complain("look at", name);
    else if ((uint64_t)st.st_size < offset)
        err = ERR_OUT_OF_RANGE;
    for (size_t at = 0; at < n && !err;) {
        ssize_t part = pwrite(fd, (const char *)bytes + at, n - at, (off_t)(offset + at));
        if (part >= 0)
            at += (size_t)part;
        else if (errno != EINTR)
            err = blob_files_complain("write", name);
    }
    close(fd);
    return err;
}

static enum err sync_fd(int fd, const char *name)
{
    return fsync(fd) == 0 ? ERR_OK : blob_files_complain("sync", name);
}

enum err blob_files_part_sync(struct blob_impl *impl, const char *name)
{
    int fd = open_part(impl, name, O_WRONLY);
    if (fd < 0)
        return blob_files_complain("sync", name);
    enum err err = sync_fd(fd, name);
    close(fd);
    return err;
}

enum err blob_files_part_finish(struct blob_impl *impl, const char *name, uint64_t size)
{
    struct stat st;
    bool is_published;
    int fd = open_part(impl, name, O_WRONLY);
    if (fd < 0)
        return blob_files_complain("finish", name);
    enum err err = fstat(fd, &st) == 0 ? ERR_OK : blob_files_complain("look at", name);
    if (!err && (uint64_t)st.st_size < size)
        err = ERR_DATA_LOSS;
    if (!err && (uint64_t)st.st_size > size && ftruncate(fd, (off_t)size) != 0)
        err = blob_files_complain("cut", name);
    if (!err)
        err = sync_fd(fd, name);
    close(fd);
    if (err)
        return err;
    char *part = part_name(name);
    err = blob_files_publish(impl, impl->part_dir_fd, part, name, &is_published);
    free(part);
    return err;
}

enum err blob_files_part_drop(struct blob_impl *impl, const char *name)
{
    char *part = part_name(name);
    enum err err =
        unlinkat(impl->part_dir_fd, part, 0) == 0 ? ERR_OK : blob_files_complain("remove", name);
    free(part);
    return err;
}

/* ---- for other drivers ---- */

int blob_files_part_open(struct blob_impl *files, const char *name)
{
    return open_part(files, name, O_RDONLY);
}

int blob_files_scratch(struct blob_impl *files)
{
    int fd = openat(files->draft_dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    char name[ID_SIZE];
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
        return fd;
    id_make(name); /* not on every file system */
    fd = openat(files->draft_dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        unlinkat(files->draft_dir_fd, name, 0);
    return fd;
}
