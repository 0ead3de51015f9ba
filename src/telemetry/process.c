/*
 * process: the process as Prometheus' client libraries name it (process_*), read from /proc at
 * the moment of asking, and which build this is.
 */
#include "telemetry/telemetry.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/metric.h"

static struct metric resident =
    METRIC_GAUGE("process_resident_memory_bytes", "Memory that is really there.");
static struct metric cpu = {.type = METRIC_TYPE_COUNTER,
                            .name = "process_cpu_seconds_total",
                            .help = "User and system time spent."};
static struct metric open_fds = METRIC_GAUGE("process_open_fds", "Open descriptors.");
static struct metric max_fds = METRIC_GAUGE("process_max_fds", "Descriptors that may be open.");
static struct metric threads = METRIC_GAUGE("process_threads", "Threads.");
static struct metric started =
    METRIC_GAUGE("process_start_time_seconds", "When the process started, since 1970.");
static struct metric build_info =
    METRIC_GAUGE("parlance_build_info", "Always 1; the labels tell the build.", "version");

/* Field `index` (from 0) of a file of /proc that holds one line of numbers. */
static double read_field(const char *path, int index)
{
    char line[1024];
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    char *at = fgets(line, sizeof(line), f);
    fclose(f);
    for (char *save = NULL, *word = at ? strtok_r(at, " ", &save) : NULL; word;
         word = strtok_r(NULL, " ", &save)) {
        if (index-- == 0)
            return strtod(word, NULL);
    }
    return 0;
}

static double read_resident(void *arg UNUSED)
{
    return read_field("/proc/self/statm", 1) * (double)sysconf(_SC_PAGESIZE);
}

static double read_cpu(void *arg UNUSED)
{
    struct timespec spent;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return (double)spent.tv_sec + (double)spent.tv_nsec / 1e9;
}

static double count_entries(const char *path)
{
    DIR *dir = opendir(path);
    double count = 0;
    if (!dir)
        return 0;
    for (struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static double read_open_fds(void *arg UNUSED)
{
    return count_entries("/proc/self/fd") - 1; /* the directory being read */
}

static double read_threads(void *arg UNUSED)
{
    return count_entries("/proc/self/task");
}

static double read_max_fds(void *arg UNUSED)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (double)limit.rlim_cur : 0;
}

void telemetry_count_process(const char *version)
{
    metric_register_read(&resident, read_resident, NULL);
    metric_register_read(&cpu, read_cpu, NULL);
    metric_register_read(&open_fds, read_open_fds, NULL);
    metric_register_read(&max_fds, read_max_fds, NULL);
    metric_register_read(&threads, read_threads, NULL);
    metric_set(&started, (double)clock_wall_ms() / 1000);
    metric_cell_set(metric_cell(&build_info, version, NULL, NULL), 1);
}
