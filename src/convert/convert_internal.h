/* What the files of room convert share. The helper's side and the parent's meet in the report. */
#pragma once

#include "convert/convert.h"
#include "core/cursor.h"

/* ---- what a file is (convert_sniff.c) ---- */

/* XX(NAME, kind, mime, FFmpeg's demuxer or NULL) */
#define CONVERT_FORMAT_MAP(XX)                                 \
    XX(UNKNOWN, OTHER, "application/octet-stream", NULL)       \
    XX(PNG, IMAGE, "image/png", NULL)                          \
    XX(JPEG, IMAGE, "image/jpeg", NULL)                        \
    XX(GIF, IMAGE, "image/gif", NULL)                          \
    XX(WEBP, IMAGE, "image/webp", NULL)                        \
    XX(MP4, VIDEO, "video/mp4", "mov")                         \
    XX(MOV, VIDEO, "video/quicktime", "mov")                   \
    XX(WEBM, VIDEO, "video/webm", "matroska")                  \
    XX(MATROSKA, VIDEO, "video/x-matroska", "matroska")        \
    XX(OGG, AUDIO, "audio/ogg", "ogg")                         \
    XX(MP3, AUDIO, "audio/mpeg", "mp3")                        \
    XX(AAC, AUDIO, "audio/aac", "aac")                         \
    XX(WAV, AUDIO, "audio/wav", "wav")                         \
    XX(FLAC, AUDIO, "audio/flac", "flac")                      \
    XX(SVG, OTHER, "image/svg+xml", NULL)                      \
    XX(HTML, OTHER, "text/html", NULL)                         \
    XX(XML, OTHER, "text/xml", NULL)                           \
    XX(PLAYLIST, OTHER, "application/vnd.apple.mpegurl", NULL) \
    XX(TEXT, OTHER, "text/plain", NULL)                        \
    XX(PDF, OTHER, "application/pdf", NULL)                    \
    XX(ZIP, OTHER, "application/zip", NULL)                    \
    XX(GZIP, OTHER, "application/gzip", NULL)

enum convert_format {
#define XX(name, kind, mime, demuxer) CONVERT_FORMAT_##name,
    CONVERT_FORMAT_MAP(XX)
#undef XX
        CONVERT_FORMATS
};

enum convert_format convert_format_of(const uint8_t *bytes, size_t n);
enum convert_kind convert_format_kind(enum convert_format format);
const char *convert_format_demuxer(enum convert_format format);
/* What a container turned out to hold may change its name: video/mp4 -> audio/mp4. */
const char *convert_format_mime(enum convert_format format, enum convert_kind kind);

/* ---- what a still picture's own headers say, undecoded (convert_image.c) ---- */

struct convert_image {
    unsigned width, height; /* as stored */
    unsigned orientation;   /* of EXIF, 1 to 8 */
    bool is_animated;
};

/* Fills what it finds; false when there are no dimensions. */
bool convert_image_parse(enum convert_format format, const uint8_t *bytes, size_t n,
                         struct convert_image *out);
/* Orientation of a TIFF block as EXIF carries it; 1 when there is none. */
unsigned convert_exif_orientation(const uint8_t *bytes, size_t n);

/* ---- the report, from the helper to the parent (convert_report.c) ---- */

struct convert_report {
    enum convert_refusal refusal;
    enum convert_kind kind;
    bool is_animated;
    unsigned width, height;
    int64_t duration_ms;
    unsigned waveform_count;
    uint8_t waveform[CONVERT_WAVEFORM_PEAKS];
    unsigned thumbnail_width, thumbnail_height;
    uint8_t *thumbnail; /* borrowed when parsed; of malloc when written */
    size_t thumbnail_bytes;
};

#define CONVERT_REPORT_HEAD_BYTES 136u
#define CONVERT_REPORT_MAX_BYTES (CONVERT_REPORT_HEAD_BYTES + CONVERT_THUMBNAIL_MAX_BYTES)

void convert_report_write(const struct convert_report *report, uint8_t *head);
/* The writer may be in a stranger's hands: false for anything that ours would not have written. */
bool convert_report_parse(const uint8_t *bytes, size_t n, struct convert_report *out);

/* ---- the process (convert_process.c) ---- */

struct convert_ending {
    enum convert_refusal refusal; /* CRASHED or TIMED_OUT, or FINE when it ended by itself */
    int status;                   /* of waitpid */
};

/* Starts a helper, collects at most `capacity` bytes of what it says, and sees it dead. */
MUST_USE enum err convert_process_run(const struct convert_options *opt, int fd,
                                      unsigned thumbnail_px, uint8_t *bytes, size_t capacity,
                                      size_t *n, struct convert_ending *ending);

/* ---- inside the helper ---- */

/* Both abort the process when they cannot be had, but for the namespaces, which not every machine
 * permits. `limit` comes before the libraries are loaded, `lock` after. */
void convert_sandbox_limit(void);
void convert_sandbox_lock(void);

struct convert_input {
    int fd; /* -1: the bytes below (a fuzzer's) */
    const uint8_t *bytes;
    int64_t size;
};

/* As pread(2). */
int64_t convert_input_read(const struct convert_input *in, void *out, size_t n, int64_t offset);
/* Decodes; everything that can be wrong becomes report->refusal. */
void convert_decode(const struct convert_input *in, unsigned thumbnail_px,
                    struct convert_report *report);
