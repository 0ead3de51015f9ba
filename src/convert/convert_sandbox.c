/*
 * convert_sandbox: what the helper takes from itself, before it looks at a stranger's byte: limits
 * and identity first, then (libraries loaded) every system call but the few that decoding needs.
 * Any other ends the process at once. Decoding runs on one thread, so clone is not among them.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "convert/convert_internal.h"

#define CPU_SECONDS 10
#define MEMORY_BYTES ((rlim_t)1 << 30)
#define FILES_WHILE_LOADING 16
#define NOBODY 65534

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true /* needs terabytes of addresses, and calls of its own when it reports */
#else
#define IS_SANITIZED false
#endif

static void give_up(const char *what)
{
    fprintf(stderr, "parlance convert-helper: no %s\n", what);
    _exit(70);
}

static void limit(int resource, rlim_t soft, rlim_t hard)
{
    struct rlimit r = {soft, hard};
    if (setrlimit(resource, &r) != 0)
        give_up("limits");
}

/* Root of a container is nobody here. */
static void drop_identity(void)
{
    if (geteuid() != 0)
        return;
    if (setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
        setresuid(NOBODY, NOBODY, NOBODY) != 0)
        give_up("other identity");
}

void convert_sandbox_limit(void)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        give_up("privileges to lose");
    drop_identity();
    /* A change of identity clears it. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0)
        give_up("death with its parent");
    limit(RLIMIT_CPU, CPU_SECONDS, CPU_SECONDS + 1);
    limit(RLIMIT_CORE, 0, 0);
    limit(RLIMIT_FSIZE, 0, 0);
    limit(RLIMIT_NPROC, 0, 0);
    limit(RLIMIT_NOFILE, FILES_WHILE_LOADING, FILES_WHILE_LOADING);
    if (!IS_SANITIZED)
        limit(RLIMIT_AS, MEMORY_BYTES, MEMORY_BYTES);
    /* Seccomp forbids sockets and paths anyway; where the kernel lets us, there are none. */
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC) != 0)
        errno = 0;
}

static void allow(scmp_filter_ctx ctx, int call)
{
    if (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 0) != 0)
        give_up("filter");
}

static void allow_on(scmp_filter_ctx ctx, int call, unsigned fd)
{
    if (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1, SCMP_A0(SCMP_CMP_EQ, fd)) != 0)
        give_up("filter");
}

/* Memory, but none that can be executed. */
static void allow_memory(scmp_filter_ctx ctx, int call)
{
    if (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) !=
        0)
        give_up("filter");
}

static void allow_reporting(scmp_filter_ctx ctx)
{
    static const int calls[] = {SCMP_SYS(sigaltstack), SCMP_SYS(rt_sigaction), SCMP_SYS(getpid),
                                SCMP_SYS(gettid),      SCMP_SYS(sched_yield),  SCMP_SYS(readlink),
                                SCMP_SYS(getrlimit),   SCMP_SYS(prlimit64),    SCMP_SYS(tgkill)};
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        allow(ctx, calls[i]);
}

void convert_sandbox_lock(void)
{
    static const int calls[] = {
        SCMP_SYS(brk),       SCMP_SYS(munmap),        SCMP_SYS(mremap),        SCMP_SYS(madvise),
        SCMP_SYS(futex),     SCMP_SYS(clock_gettime), SCMP_SYS(rt_sigreturn),  SCMP_SYS(exit),
        SCMP_SYS(getrandom), SCMP_SYS(exit_group),    SCMP_SYS(rt_sigprocmask)};
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!ctx)
        give_up("filter");
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        allow(ctx, calls[i]);
    allow_memory(ctx, SCMP_SYS(mmap));
    allow_memory(ctx, SCMP_SYS(mprotect));
    allow_on(ctx, SCMP_SYS(pread64), STDIN_FILENO);
    allow_on(ctx, SCMP_SYS(write), STDOUT_FILENO);
    allow_on(ctx, SCMP_SYS(write), STDERR_FILENO);
    if (IS_SANITIZED)
        allow_reporting(ctx);
    if (seccomp_load(ctx) != 0)
        give_up("filter");
    seccomp_release(ctx);
}
