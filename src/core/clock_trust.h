/*
 * clock_trust: may what deletes by age believe the time of day? A clock that says 2100 for a moment
 * would otherwise take all that is kept. Believed is a clock that goes on as the monotonic one
 * does, and that stands, after a restart, less than a week from where it was last believed. After a
 * leap it is believed again when it is back, or when it has gone on steadily for a day: time
 * enough for whoever reads the warning. All threads.
 */
#pragma once

#include "core/base.h"

/* Where it was believed last, by an earlier life of this program, and since when it is doubted (0:
 * not); a file of two numbers, which need not be there. Before whoever asks. */
void clock_trust_load(const char *path);
/* Warns, once a leap, with what to do. */
bool clock_is_trusted(void);
/* Writes both into that file: at a new doubt, else once an hour at most. May block. */
void clock_trust_keep(void);
/* Forgets everything: for tests. */
void clock_trust_reset(void);
