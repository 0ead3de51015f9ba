/* death: for what must abort rather than go on. */
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

/* What a child printed before it died by SIGABRT; "" if it did not. */
static inline void death_words(void (*fn)(void), char *out, size_t size)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL); /* cmocka catches it */
        dup2(ends[1], STDOUT_FILENO);
        fn();
        _exit(0);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], out, size - 1);
    out[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
        out[0] = '\0';
}
