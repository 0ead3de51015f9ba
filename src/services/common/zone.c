/*
 * zone: a name is first held against its shape, which leaves no room for tricks with paths, and
 * then looked up beneath the directory of compiled zones. Where there is none the shape must do.
 */
#include "services/common/zone.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "services/common/text.h"

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* "Area/Place": parts of letters, digits, '_', '+', '-', each begun by a letter, so no path tricks.
 * The first letter is a capital one: what the directory holds beside zones ("posix/", "localtime")
 * has none. */
static bool is_zone_shape(const char *zone)
{
    bool is_start = true;
    if (!(zone[0] >= 'A' && zone[0] <= 'Z'))
        return false;
    for (const char *p = zone; *p; p++) {
        if (is_start && !is_letter(*p))
            return false;
        if (!is_letter(*p) && !(*p >= '0' && *p <= '9') && !strchr("_+-/", *p))
            return false;
        is_start = *p == '/';
    }
    return !is_start;
}

/* A file beneath the directory that begins like compiled zone data. */
static bool is_zone_file(int dir, const char *zone)
{
    char magic[4];
    int fd = openat(dir, zone, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool is_zone = read(fd, magic, sizeof(magic)) == 4 && memcmp(magic, "TZif", 4) == 0;
    close(fd);
    return is_zone;
}

char *zone_take(struct rpc_call *call, const char *value, const char *dir_path)
{
    char *zone = text_take(call, value, &(struct text_rule){"time_zone", 0, 64, 0});
    if (!zone)
        return NULL;
    if (!zone[0])
        return arena_strdup(call->arena, "UTC");
    bool is_known = is_zone_shape(zone);
    int dir = is_known ? open(dir_path ? dir_path : "/usr/share/zoneinfo",
                              O_PATH | O_DIRECTORY | O_CLOEXEC)
                       : -1;
    if (dir >= 0) {
        is_known = strcmp(zone, "UTC") == 0 || is_zone_file(dir, zone);
        close(dir);
    }
    if (is_known)
        return zone;
    rpc_fail(call, ERR_INVALID_ARGUMENT, "time_zone: expected a zone like Europe/Berlin");
    return NULL;
}
