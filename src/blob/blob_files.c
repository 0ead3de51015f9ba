/*
 * blob_files: blobs as files beneath one directory, their names being their paths. Every path is
 * opened relative to the root with RESOLVE_BENEATH and without following links, so nothing outside
 * can be named even if the check of names had a hole; older kernels get the same walk by hand.
 *
 * A blob is written to ROOT/.tmp (one that comes slowly to ROOT/.parts, see blob_files_parts.c),
 * synced, and renamed without replacing: it is there whole or not at all, and the first of two
 * writers wins. Then the directory is synced, and each directory that had to be made, in its
 * parent.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "blob/blob_driver.h"
#include "blob/blob_files_internal.h"
#include "core/file.h"
#include "core/id.h"
#include "core/log.h"
#include "core/map.h"
#include "core/mem.h"

#define DURABLE_DIRS_MAX 4096
#define DRAFT_KEEP_S (24 * 3600) /* an older one in .tmp belongs to a process that died */

struct blob_draft {
    struct blob_impl *impl;
    int fd;
    uint64_t size;
    char draft_name[ID_SIZE];
    char name[];
};

enum err blob_files_complain(const char *what, const char *name)
{
    int error_number = errno;
    if (error_number == ENOENT)
        return ERR_NOT_FOUND;
    if (error_number == EEXIST)
        return ERR_ALREADY_EXISTS;
    log_error(NULL, "blob: cannot %s %s: %s", what, name, strerror(error_number));
    if (error_number == ENOTDIR || error_number == ELOOP || error_number == EISDIR)
        return ERR_FAILED_PRECONDITION; /* something stands where the name has a directory */
    return err_from_errno(error_number);
}

/* ---- paths ---- */

static _Atomic bool has_no_openat2;

void blob_files_without_openat2(bool is_without)
{
    has_no_openat2 = is_without;
}

/* Part by part, no part a link. */
static int open_by_walking(int root_fd, const char *path, int flags)
{
    int dir_fd = dup(root_fd);
    struct str rest = str_from(path), part;
    while (dir_fd >= 0 && str_cut(&rest, '/', &part)) {
        char *name = str_dup(part);
        int below = openat(dir_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int error_number = errno;
        free(name);
        close(dir_fd);
        errno = error_number;
        dir_fd = below;
    }
    if (dir_fd < 0)
        return -1;
    int fd = openat(dir_fd, path + (part.p - path), flags | O_NOFOLLOW);
    int error_number = errno;
    close(dir_fd);
    errno = error_number;
    return fd;
}

static int open_beneath(int root_fd, const char *path, int flags)
{
    flags |= O_CLOEXEC;
    if (!has_no_openat2) {
        struct open_how how = {.flags = (uint64_t)flags,
                               .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
        int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
        if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
            return fd;
        if (errno == ENOSYS)
            has_no_openat2 = true;
    }
    return open_by_walking(root_fd, path, flags);
}

/* "a/b" of "a/b/c", "" of "c"; *base is the last part. The caller frees. */
static char *split(const char *name, const char **base)
{
    const char *slash = strrchr(name, '/');
    *base = slash ? slash + 1 : name;
    return str_dup((struct str){name, slash ? (size_t)(slash - name) : 0});
}

static int open_dir(const struct blob_impl *impl, const char *dir)
{
    return open_beneath(impl->root_fd, *dir ? dir : ".", O_RDONLY | O_DIRECTORY);
}

/* Makes one directory if it is missing and makes sure that its parent's disk knows it: whoever made
 * it may not have come so far. Returns it opened. */
static int step_into(int dir_fd, const char *name)
{
    if (mkdirat(dir_fd, name, 0700) != 0 && errno != EEXIST)
        return -1;
    if (fsync(dir_fd) != 0)
        return -1;
    return openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int make_dir(const struct blob_impl *impl, const char *dir)
{
    struct str rest = str_from(dir), part;
    int fd = open_dir(impl, "");
    for (bool has_more = *dir != '\0'; has_more && fd >= 0;) {
        has_more = str_cut(&rest, '/', &part);
        char *step = str_dup(part);
        int below = step_into(fd, step);
        int error_number = errno;
        free(step);
        close(fd);
        errno = error_number;
        fd = below;
    }
    return fd;
}

/* The directory for a new blob. Those that this process made sure of once are only opened. */
static int make_parent(struct blob_impl *impl, const char *dir)
{
    struct str key = str_from(dir);
    pthread_mutex_lock(&impl->lock);
    bool is_known = *dir == '\0' || map_get(impl->durable_dirs, key) != NULL;
    pthread_mutex_unlock(&impl->lock);
    if (is_known) {
        int fd = open_dir(impl, dir);
        if (fd >= 0 || errno != ENOENT)
            return fd;
    }
    int fd = make_dir(impl, dir);
    if (fd < 0)
        return -1;
    pthread_mutex_lock(&impl->lock);
    if (map_count(impl->durable_dirs) >= DURABLE_DIRS_MAX) {
        map_destroy(&impl->durable_dirs);
        impl->durable_dirs = map_create();
    }
    map_set(impl->durable_dirs, key, impl);
    pthread_mutex_unlock(&impl->lock);
    return fd;
}

/* ---- reading ---- */

/* What is asked for and is no blob (a directory, a link, below another blob) is not found. */
static enum err not_a_blob(const char *what, const char *name)
{
    if (errno == ENOTDIR || errno == ELOOP || errno == EISDIR)
        errno = ENOENT;
    return blob_files_complain(what, name);
}

/* Regular files only: a directory is a part of a name, not a blob. */
static enum err open_blob(const struct blob_impl *impl, const char *name, int *fd, uint64_t *size)
{
    struct stat st;
    *fd = open_beneath(impl->root_fd, name, O_RDONLY | O_NONBLOCK);
    if (*fd < 0)
        return not_a_blob("open", name);
    enum err err = fstat(*fd, &st) == 0 ? ERR_OK : blob_files_complain("look at", name);
    if (!err && !S_ISREG(st.st_mode))
        err = ERR_NOT_FOUND;
    if (err)
        close(*fd);
    else
        *size = (uint64_t)st.st_size;
    return err;
}

static enum err files_size(struct blob_impl *impl, const char *name, uint64_t *size)
{
    int fd;
    enum err err = open_blob(impl, name, &fd, size);
    if (!err)
        close(fd);
    return err;
}

static enum err files_open_file(struct blob_impl *impl, const char *name, int *fd, uint64_t *size)
{
    enum err err = open_blob(impl, name, fd, size);
    if (err)
        *fd = -1;
    return err;
}

static enum err files_read(struct blob_impl *impl, const char *name, uint64_t offset, char *bytes,
                           size_t n, size_t *got)
{
    int fd;
    uint64_t size;
    *got = 0;
    enum err err = open_blob(impl, name, &fd, &size);
    if (err)
        return err;
    while (*got < n) {
        ssize_t part = pread(fd, bytes + *got, n - *got, (off_t)(offset + *got));
        if (part == 0)
            break;
        if (part > 0) {
            *got += (size_t)part;
        } else if (errno != EINTR) {
            err = blob_files_complain("read", name);
            break;
        }
    }
    close(fd);
    return err;
}

static enum err files_remove(struct blob_impl *impl, const char *name)
{
    const char *base;
    char *dir = split(name, &base);
    int dir_fd = open_dir(impl, dir);
    enum err err = dir_fd < 0 ? not_a_blob("open the directory of", name) : ERR_OK;
    free(dir);
    if (err)
        return err;
    if (unlinkat(dir_fd, base, 0) != 0 || fsync(dir_fd) != 0)
        err = not_a_blob("remove", name);
    close(dir_fd);
    return err;
}

/* ---- writing ---- */

static void draft_destroy(struct blob_draft **draftp, bool is_kept)
{
    struct blob_draft *d = *draftp;
    *draftp = NULL;
    close(d->fd);
    if (!is_kept)
        unlinkat(d->impl->draft_dir_fd, d->draft_name, 0);
    free(d);
}

static enum err files_draft_open(struct blob_impl *impl, const char *name, struct blob_draft **out)
{
    struct blob_draft *d = mem_zalloc(sizeof(*d) + strlen(name) + 1);
    d->impl = impl;
    strcpy(d->name, name);
    id_make(d->draft_name);
    *out = NULL;
    d->fd = openat(impl->draft_dir_fd, d->draft_name,
                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (d->fd < 0) {
        free(d);
        return blob_files_complain("create a draft of", name);
    }
    *out = d;
    return ERR_OK;
}

static enum err files_draft_add(struct blob_draft *d, const void *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t part = write(d->fd, (const char *)bytes + at, n - at);
        if (part >= 0)
            at += (size_t)part;
        else if (errno != EINTR)
            return blob_files_complain("write", d->name);
    }
    d->size += n;
    return ERR_OK;
}

/* Rename that never replaces; by link where the file system cannot. */
static int publish(int from_dir, const char *from, int to_dir, const char *to)
{
    if (renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (linkat(from_dir, from, to_dir, to, 0) != 0)
        return -1;
    unlinkat(from_dir, from, 0);
    return 0;
}

enum err blob_files_publish(struct blob_impl *impl, int from_dir, const char *from,
                            const char *name, bool *is_published)
{
    const char *base;
    enum err err = ERR_OK;
    char *dir = split(name, &base);
    int dir_fd = make_parent(impl, dir);
    *is_published = false;
    if (dir_fd < 0)
        err = blob_files_complain("make the directory of", name);
    else if (publish(from_dir, from, dir_fd, base) != 0)
        err = blob_files_complain("name", name);
    else
        *is_published = true;
    if (*is_published && fsync(dir_fd) != 0)
        err = blob_files_complain("sync the directory of", name);
    if (dir_fd >= 0)
        close(dir_fd);
    free(dir);
    return err;
}

static enum err files_draft_finish(struct blob_draft **draftp)
{
    struct blob_draft *d = *draftp;
    bool is_published = false;
    enum err err = fsync(d->fd) == 0 ? ERR_OK : blob_files_complain("sync", d->name);
    if (!err)
        err = blob_files_publish(d->impl, d->impl->draft_dir_fd, d->draft_name, d->name,
                                 &is_published);
    if (err && is_published) /* not durable: nothing there */
        (void)!files_remove(d->impl, d->name);
    draft_destroy(draftp, is_published);
    return err;
}

static void files_draft_abort(struct blob_draft **draft)
{
    draft_destroy(draft, false);
}

/* ---- the store ---- */

static void remove_old_drafts(const struct blob_impl *impl)
{
    int fd = dup(impl->draft_dir_fd);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    time_t now = time(NULL);
    struct stat st;
    for (struct dirent *e; (e = readdir(dir));)
        if (id_is_valid(e->d_name) && fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode) && now - st.st_mtime > DRAFT_KEEP_S)
            unlinkat(fd, e->d_name, 0);
    closedir(dir);
}

static void files_close(struct blob_impl **implp)
{
    struct blob_impl *impl = *implp;
    *implp = NULL;
    if (impl->draft_dir_fd >= 0)
        close(impl->draft_dir_fd);
    if (impl->part_dir_fd >= 0)
        close(impl->part_dir_fd);
    if (impl->root_fd >= 0)
        close(impl->root_fd);
    map_destroy(&impl->durable_dirs);
    pthread_mutex_destroy(&impl->lock);
    free(impl->root);
    free(impl);
}

static enum err files_open(const struct blob_options *opt, struct blob_impl **out)
{
    *out = NULL;
    if (!opt->root || !*opt->root) {
        log_error(NULL, "blob: no directory is given");
        return ERR_INVALID_ARGUMENT;
    }
    struct blob_impl *impl = mem_new(struct blob_impl);
    impl->root_fd = impl->draft_dir_fd = impl->part_dir_fd = -1;
    impl->root = mem_strdup(opt->root);
    impl->durable_dirs = map_create();
    pthread_mutex_init(&impl->lock, NULL);
    enum err err = file_make_dirs(opt->root, 0700);
    if (err)
        log_error(NULL, "blob: cannot make %s: %s", opt->root, err_text(err));
    if (!err) {
        impl->root_fd = open(opt->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (impl->root_fd >= 0)
            impl->draft_dir_fd = step_into(impl->root_fd, ".tmp");
        if (impl->draft_dir_fd >= 0)
            impl->part_dir_fd = step_into(impl->root_fd, ".parts");
        if (impl->part_dir_fd < 0) {
            log_error(NULL, "blob: cannot open %s: %s", opt->root, strerror(errno));
            err = err_from_errno(errno);
        }
    }
    if (err) {
        files_close(&impl);
        return err;
    }
    remove_old_drafts(impl);
    *out = impl;
    return ERR_OK;
}

const struct blob_driver blob_files = {
    .name = "files",
    .open = files_open,
    .close = files_close,
    .read = files_read,
    .size = files_size,
    .open_file = files_open_file,
    .remove = files_remove,
    .draft_open = files_draft_open,
    .draft_add = files_draft_add,
    .draft_finish = files_draft_finish,
    .draft_abort = files_draft_abort,
    .part_write = blob_files_part_write,
    .part_sync = blob_files_part_sync,
    .part_finish = blob_files_part_finish,
    .part_drop = blob_files_part_drop,
};
