/*
 * convert_helper: the command convert-helper: one file from stdin, one report to stdout. Loads what
 * it needs, locks itself in, and only then reads the first byte.
 */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert/convert_decode_internal.h"

static bool write_all(const uint8_t *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = write(STDOUT_FILENO, bytes, n);
        if (sent <= 0)
            return false;
        bytes += sent;
        n -= (size_t)sent;
    }
    return true;
}

int convert_helper_main(int argc, char **argv)
{
    int64_t px = 0;
    struct stat st;
    struct convert_report report;
    uint8_t head[CONVERT_REPORT_HEAD_BYTES];
    if (argc != 2 || !str_to_i64(str_from(argv[1]), &px) || px < 0 ||
        px > CONVERT_THUMBNAIL_PX_MAX || fstat(STDIN_FILENO, &st) != 0)
        return 64;
    convert_sandbox_limit();
    if (!convert_ffmpeg_load())
        return 69;
    convert_sandbox_lock();
    struct convert_input in = {.fd = STDIN_FILENO, .size = st.st_size};
    convert_decode(&in, (unsigned)px, &report);
    convert_report_write(&report, head);
    bool is_said =
        write_all(head, sizeof(head)) && write_all(report.thumbnail, report.thumbnail_bytes);
    _exit(is_said ? 0 : 74); /* nothing here needs a farewell */
}
