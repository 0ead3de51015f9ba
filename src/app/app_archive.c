/* app_archive: files copied, summed, walked and removed for backup and restore; see the header. */
#include "app/app_archive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"

#define COPY_BYTES (256u << 10)
#define DEPTH_MAX 16

char *archive_join(const char *dir, const char *name)
{
    struct strbuf b = {0};
    strbuf_printf(&b, "%s/%s", dir, name);
    return b.p;
}

bool archive_go_on(struct archive_progress *progress, int64_t more_bytes)
{
    if (!progress)
        return true;
    progress->state.done_bytes += more_bytes;
    return !progress->fn || progress->fn(progress->arg, &progress->state);
}

/* ---- sums ---- */

static void finish_sum(crypto_hash_sha256_state *state, char sum[ARCHIVE_SUM_CHARS + 1])
{
    uint8_t digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_final(state, digest);
    str_hex(sum, digest, sizeof(digest));
}

void archive_sum(const void *bytes, size_t n, char sum[ARCHIVE_SUM_CHARS + 1])
{
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, bytes, n);
    finish_sum(&state, sum);
}

static enum err complain(const char *what, const char *path)
{
    int error_number = errno;
    if (error_number != ENOENT && error_number != EEXIST)
        log_error(NULL, "cannot %s %s: %s", what, path, strerror(error_number));
    return error_number == ENOSPC ? ERR_RESOURCE_EXHAUSTED : err_from_errno(error_number);
}

static enum err write_all(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t put = write(fd, bytes, n);
        if (put < 0 && errno != EINTR)
            return ERR_UNAVAILABLE;
        bytes += put > 0 ? put : 0;
        n -= put > 0 ? (size_t)put : 0;
    }
    return ERR_OK;
}

/* From one descriptor to another (-1: nowhere). */
static enum err pump(int in, int out, const char *path, struct archive_progress *progress,
                     char sum[ARCHIVE_SUM_CHARS + 1])
{
    crypto_hash_sha256_state state;
    char *bytes = mem_alloc(COPY_BYTES);
    enum err err = ERR_OK;
    crypto_hash_sha256_init(&state);
    while (!err) {
        ssize_t n = read(in, bytes, COPY_BYTES);
        if (n == 0)
            break;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err = complain("read", path);
            break;
        }
        crypto_hash_sha256_update(&state, (const uint8_t *)bytes, (size_t)n);
        if (out >= 0 && write_all(out, bytes, (size_t)n))
            err = complain("write", path);
        else if (!archive_go_on(progress, n))
            err = ERR_CANCELLED;
    }
    finish_sum(&state, sum);
    free(bytes);
    return err;
}

enum err archive_sum_file(const char *path, char sum[ARCHIVE_SUM_CHARS + 1])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return complain("open", path);
    enum err err = pump(fd, -1, path, NULL, sum);
    close(fd);
    return err;
}

/* ---- copies ---- */

static enum err make_parent(const char *path)
{
    char *dir = mem_strdup(path);
    char *slash = strrchr(dir, '/');
    *slash = '\0';
    enum err err = file_make_dirs(dir, 0700);
    free(dir);
    return err;
}

enum err archive_copy(const char *from, const char *to, const char *path,
                      struct archive_progress *progress, char sum[ARCHIVE_SUM_CHARS + 1])
{
    char *source = archive_join(from, path), *target = archive_join(to, path);
    int in = -1, out = -1;
    enum err err = make_parent(target);
    if (err)
        goto done;
    in = open(source, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (in < 0) {
        err = complain("open", source);
        goto done;
    }
    out = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (out < 0) {
        err = complain("create", target);
        goto done;
    }
    err = pump(in, out, path, progress, sum);
    if (close(out) != 0 && !err)
        err = complain("close", target);
    if (err)
        unlink(target);
    if (!err && progress)
        progress->state.file_count++;
done:
    if (in >= 0)
        close(in);
    free(source);
    free(target);
    return err;
}

/* ---- trees ---- */

struct walk {
    const char *root;
    archive_walk_fn *fn;
    void *arg;
};

static enum err walk_dir(const struct walk *w, const char *dir, int depth);

static enum err walk_entry(const struct walk *w, const char *path, int depth)
{
    struct stat st;
    char *full = archive_join(w->root, path);
    int gone = lstat(full, &st);
    free(full);
    if (gone != 0)
        return ERR_OK; /* between readdir and here */
    if (S_ISDIR(st.st_mode))
        return depth < DEPTH_MAX ? walk_dir(w, path, depth + 1) : ERR_OUT_OF_RANGE;
    return S_ISREG(st.st_mode) ? w->fn(w->arg, path, st.st_size) : ERR_OK;
}

static enum err walk_dir(const struct walk *w, const char *dir, int depth)
{
    char *full = archive_join(w->root, dir);
    DIR *d = opendir(full);
    enum err err = !d && errno != ENOENT ? complain("open", full) : ERR_OK;
    for (struct dirent *e; d && !err && (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        char *path = archive_join(dir, e->d_name);
        err = walk_entry(w, path, depth);
        free(path);
    }
    if (d)
        closedir(d);
    free(full);
    return err;
}

enum err archive_walk(const char *root, const char *dir, archive_walk_fn *fn, void *arg)
{
    return walk_dir(&(struct walk){root, fn, arg}, dir, 0);
}

enum err archive_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return complain("open", path);
    enum err err = syncfs(fd) == 0 ? ERR_OK : complain("sync", path);
    close(fd);
    return err;
}

void archive_remove(const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        char *below = archive_join(path, e->d_name);
        if (unlink(below) != 0)
            archive_remove(below);
        free(below);
    }
    if (d)
        closedir(d);
    rmdir(path);
}
