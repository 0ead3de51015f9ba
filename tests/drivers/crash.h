/*
 * crash: a child process that is killed with SIGKILL at a random moment. What it acknowledges it
 * writes to a pipe as numbers; what was written before the kill was acknowledged to somebody.
 */
#pragma once

#include "core/base.h"

/* Runs in the child until it is killed. Opens what it needs, and writes the number 0 when it is
 * ready for the blow. */
typedef void crash_child_fn(void *arg, int pipe_fd);
/* Called in the parent, in order, with each further number. */
typedef void crash_ack_fn(void *arg, uint64_t number);

/* From the child: at most 8 bytes at once, so numbers never mix. */
void crash_ack(int pipe_fd, uint64_t number);
/* Forks, waits for 0, lets the child live for the time, kills it, reads the rest. False when the
 * child ended by itself. */
bool crash_run(crash_child_fn *child, crash_ack_fn *on_ack, void *arg, int64_t life_us);
