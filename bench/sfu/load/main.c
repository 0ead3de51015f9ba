/*
 * sfu_load: many WebRTC clients in one thread. Waits on the caller's lines (stdin), its sockets,
 * the sources' clocks and a tick of 5 ms. Ends with "quit", with the end of stdin, or after
 * LIFE_MAX_S.
 */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"

#define EVENTS 64
#define LINE_MAX_BYTES 65536
#define LIFE_MAX_S 7200

int64_t load_realtime_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

void load_say(json_t *event)
{
    json_dumpf(event, stdout, JSON_COMPACT);
    fputc('\n', stdout);
    fflush(stdout);
    json_decref(event);
}

struct lines {
    char bytes[LINE_MAX_BYTES];
    size_t n;
};

static void read_lines(struct load *load, struct lines *in)
{
    ssize_t got = read(STDIN_FILENO, in->bytes + in->n, sizeof(in->bytes) - in->n);
    if (got <= 0) {
        load->is_done = got == 0 || (errno != EAGAIN && errno != EINTR);
        return;
    }
    in->n += (size_t)got;
    char *at = in->bytes, *end;
    while ((end = memchr(at, '\n', in->n - (size_t)(at - in->bytes)))) {
        *end = 0;
        control_line(load, at);
        at = end + 1;
    }
    in->n -= (size_t)(at - in->bytes);
    memmove(in->bytes, at, in->n);
    if (in->n == sizeof(in->bytes)) {
        fprintf(stderr, "load: a line is too long\n");
        load->is_done = true;
    }
}

static int64_t run_sources(struct load *load)
{
    int64_t due_us = INT64_MAX;
    for (unsigned i = 0; i < load->source_count; i++)
        if (load->sources[i])
            due_us = MIN(due_us, source_run(load->sources[i], clock_mono_us()));
    return due_us;
}

static void tick(struct load *load)
{
    for (unsigned i = 0; i < load->endpoint_count; i++)
        if (load->endpoints[i])
            endpoint_tick(load->endpoints[i], load->now_us);
}

static void wait_once(struct load *load, struct lines *in, int64_t due_us)
{
    struct epoll_event events[EVENTS];
    int64_t wait_us = MAX(due_us - clock_mono_us(), 0);
    struct timespec wait = {wait_us / 1000000, wait_us % 1000000 * 1000};
    int got = epoll_pwait2(load->epoll_fd, events, EVENTS, &wait, NULL);
    load->now_us = clock_mono_us();
    bool has_lines = false;
    for (int i = 0; i < got; i++) {
        if (events[i].data.ptr)
            endpoint_on_readable(events[i].data.ptr);
        else
            has_lines = true;
    }
    if (has_lines) /* last: a line may close an endpoint */
        read_lines(load, in);
}

static bool open_load(struct load *load)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
    load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    return load->epoll_fd >= 0 && fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) == 0 &&
           epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event) == 0 &&
           !dtls_context_create(&load->dtls);
}

static void close_load(struct load *load)
{
    for (unsigned i = 0; i < load->endpoint_count; i++)
        endpoint_destroy(&load->endpoints[i]);
    for (unsigned i = 0; i < load->source_count; i++)
        free(load->sources[i]);
    dtls_context_destroy(&load->dtls);
    free(load->delays_ns);
    if (load->epoll_fd >= 0)
        close(load->epoll_fd);
}

int main(void)
{
    struct load *load = mem_new(struct load);
    struct lines *in = mem_new(struct lines);
    bool is_open = open_load(load);
    if (!is_open)
        fprintf(stderr, "load: cannot start: %s\n", strerror(errno));
    int64_t end_us = clock_mono_us() + LIFE_MAX_S * 1000000ll, next_tick_us = 0;
    while (is_open && !load->is_done && clock_mono_us() < end_us) {
        int64_t due_us = MIN(run_sources(load), next_tick_us);
        wait_once(load, in, due_us);
        if (load->now_us >= next_tick_us) {
            tick(load);
            next_tick_us = load->now_us + LOAD_TICK_US;
        }
    }
    close_load(load);
    free(in);
    free(load);
    return is_open ? 0 : 1;
}
