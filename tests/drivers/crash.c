/* crash: see the header. */
#include "crash.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"

void crash_ack(int pipe_fd, uint64_t number)
{
    if (write(pipe_fd, &number, sizeof(number)) != (ssize_t)sizeof(number))
        _exit(1);
}

/* Reads numbers until `until_us` (0: until the end of the pipe). */
static void read_acks(int fd, int64_t until_us, crash_ack_fn *on_ack, void *arg)
{
    for (;;) {
        int64_t left_us = until_us ? until_us - clock_mono_us() : 20000000;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left_us <= 0 || poll(&p, 1, (int)(left_us / 1000) + 1) <= 0)
            return;
        uint64_t number;
        if (read(fd, &number, sizeof(number)) != (ssize_t)sizeof(number))
            return;
        if (number)
            on_ack(arg, number);
    }
}

/* What was left from an earlier life may be acknowledged before the child is ready. */
static bool wait_for_ready(int fd, crash_ack_fn *on_ack, void *arg)
{
    uint64_t number;
    while (read(fd, &number, sizeof(number)) == (ssize_t)sizeof(number)) {
        if (number == 0)
            return true;
        on_ack(arg, number);
    }
    return false;
}

bool crash_run(crash_child_fn *child, crash_ack_fn *on_ack, void *arg, int64_t life_us)
{
    int fds[2];
    if (pipe(fds) != 0)
        abort();
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        child(arg, fds[1]);
        _exit(1);
    }
    close(fds[1]);
    bool is_good = wait_for_ready(fds[0], on_ack, arg);
    if (is_good)
        read_acks(fds[0], clock_mono_us() + life_us, on_ack, arg);
    kill(pid, SIGKILL);
    read_acks(fds[0], 0, on_ack, arg);
    close(fds[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    return is_good && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}
