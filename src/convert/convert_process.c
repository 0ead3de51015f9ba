/*
 * convert_process: one helper, from its start to its end. It gets three descriptors (the file, the
 * pipe, /dev/null) and an empty environment; it has until the deadline to say its report. Whoever
 * calls sleeps meanwhile, and leaves only when the helper is dead and buried.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "convert/convert_internal.h"
#include "core/clock.h"

/* The result's place is 1; no descriptor of ours is inherited but those named here. */
static int spawn(const struct convert_options *opt, int in, int out, unsigned thumbnail_px,
                 pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    char px[16];
    char *environment[] = {NULL};
    char program[] = "parlance";
    char *argv[] = {program, (char *)opt->command, px, NULL};
    snprintf(px, sizeof(px), "%u", thumbnail_px);
    sigemptyset(&none);
    sigfillset(&all);
    int error = posix_spawn_file_actions_init(&actions);
    if (error)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (error) {
        posix_spawn_file_actions_destroy(&actions);
        return error;
    }
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    error = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    if (!error)
        error = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    if (!error)
        error = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (!error)
        error = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    if (!error)
        error = posix_spawn(pid, opt->program, &actions, &attributes, argv, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* dup2 onto itself would keep close-on-exec, so both ends are moved out of the way of 0 to 2. */
static int move_up(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    return moved;
}

/* Reads to the end of the pipe; false when the time is over, or the helper talks too much. */
static bool collect(int pipe_fd, int64_t deadline_ms, uint8_t *bytes, size_t capacity, size_t *n)
{
    for (*n = 0;;) {
        int64_t left_ms = deadline_ms - clock_mono_ms();
        struct pollfd wait = {.fd = pipe_fd, .events = POLLIN};
        if (left_ms <= 0)
            return false;
        if (poll(&wait, 1, (int)left_ms) <= 0)
            continue; /* interrupted, or the time is over: seen above */
        uint8_t rest[1];
        ssize_t got = *n < capacity ? read(pipe_fd, bytes + *n, capacity - *n)
                                    : read(pipe_fd, rest, sizeof(rest));
        if (got == 0)
            return true;
        if (got < 0 && errno != EINTR)
            return false;
        if (got > 0 && *n == capacity)
            return false;
        *n += got > 0 ? (size_t)got : 0;
    }
}

/* The pipe may be closed by one that goes on living: then it has as long as is left. */
static void bury(pid_t pid, bool is_overdue, int64_t deadline_ms, struct convert_ending *ending)
{
    while (!is_overdue) {
        pid_t dead = waitpid(pid, &ending->status, WNOHANG);
        if (dead == pid)
            break;
        if (clock_mono_ms() >= deadline_ms)
            is_overdue = true;
        else
            poll(NULL, 0, 1);
    }
    if (is_overdue) {
        kill(pid, SIGKILL);
        while (waitpid(pid, &ending->status, 0) < 0 && errno == EINTR)
            ;
    }
    int status = ending->status;
    bool is_cpu = WIFSIGNALED(status) && (WTERMSIG(status) == SIGXCPU);
    if (is_overdue || is_cpu)
        ending->refusal = CONVERT_TIMED_OUT;
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        ending->refusal = CONVERT_CRASHED;
    else
        ending->refusal = CONVERT_FINE;
}

enum err convert_process_run(const struct convert_options *opt, int fd, unsigned thumbnail_px,
                             uint8_t *bytes, size_t capacity, size_t *n,
                             struct convert_ending *ending)
{
    enum err err = ERR_OK;
    int ends[2] = {-1, -1};
    int in = -1, out = -1;
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) != 0 || (in = move_up(fd)) < 0 || (out = move_up(ends[1])) < 0) {
        err = err_from_errno(errno);
        goto done;
    }
    int error = spawn(opt, in, out, thumbnail_px, &pid);
    if (error) {
        err = err_from_errno(error);
        goto done;
    }
    int64_t deadline_ms = clock_mono_ms() + opt->timeout_ms;
    close(out);
    close(ends[1]);
    out = ends[1] = -1;
    bool is_said = collect(ends[0], deadline_ms, bytes, capacity, n);
    bury(pid, !is_said, deadline_ms, ending);
done:
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            close(ends[i]);
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return err;
}
