/*
 * powerloss_vfs: a disk that can lose its power, for tests. A SQLite VFS called "powerloss" over
 * the system's: the real files play the page cache, and beside them the VFS keeps what the disk
 * would hold. A write reaches the disk only by a sync; when the power goes, each 512-byte sector
 * written since is kept, dropped or torn (its first part new, the rest old) by chance, and the file
 * ends somewhere between its two ends. Directory operations are atomic and durable at once.
 *
 * The disk may also be full for a while: writes fail, and change nothing.
 *
 * A sync may also fail, as Linux does it: some sectors reached the disk, none is dirty any more,
 * and reading still shows them all.
 *
 * What the store writes without SQLite (the rescue of the log) counts as durable if the file was
 * synced before it was renamed: the test program wraps fsync (-Wl,--wrap=fsync) for that.
 */
#pragma once

#include "core/base.h"

struct powerloss {
    bool is_lying;        /* syncs do nothing */
    int64_t cut_after;    /* writes, truncations and syncs until the power goes; 0: never */
    int64_t fail_sync_in; /* syncs until one fails; 0: never */
    int64_t full_after;   /* writes, truncations and syncs until the disk is full; 0: never */
    int64_t full_count;   /* of them, until there is room again */
    unsigned seed;
};

/* Registers the VFS; once. */
void powerloss_register(void);
/* Sets what will happen from now on. */
void powerloss_arm(const struct powerloss *plan);
/* How many writes, truncations and syncs were seen since armed. */
int64_t powerloss_ops(void);
/* Whether the power has gone: every operation fails since. */
bool powerloss_is_off(void);
/* Turns the power off if it is on, and makes the files what the disk held. All must be closed. The
 * power is on again, nothing armed. */
void powerloss_restart(void);
/* Forgets every file: the directory is going away. */
void powerloss_forget(void);
