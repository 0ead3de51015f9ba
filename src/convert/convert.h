/*
 * convert: looks into media that strangers sent: what it is, how large, how long, how loud, and a
 * small picture of it. Decoders have bugs, so none runs here: each file is opened by a process of
 * its own (this binary again, command convert-helper) that has nothing but the file and a pipe:
 * no network, no other file, no new process, little memory and time. What it says is checked too.
 *
 *   struct convert_result r;
 *   enum err err = convert_run(convert, fd, &(struct convert_wish){.thumbnail_px = 320}, &r);
 *   if (!err && r.refusal == CONVERT_FINE) ...
 *   convert_result_deinit(&r);
 */
#pragma once

#include "core/err.h"
#include "core/str.h"

#define CONVERT_WAVEFORM_PEAKS 100
#define CONVERT_THUMBNAIL_PX_MAX 1280u
#define CONVERT_THUMBNAIL_MAX_BYTES (512u << 10)
#define CONVERT_PIXELS_MAX 50000000 /* of a picture or a frame */
#define CONVERT_SIDE_PX_MAX 32767u
#define CONVERT_SNIFF_BYTES 4096u /* convert_sniff never looks further */

enum convert_kind { CONVERT_OTHER, CONVERT_IMAGE, CONVERT_AUDIO, CONVERT_VIDEO };

/* XX(NAME, "name", sentence): what the file was refused for. Only FINE comes with all the facts. */
#define CONVERT_REFUSAL_MAP(XX)                                                         \
    XX(FINE, "fine", "it could be read")                                                \
    XX(UNSUPPORTED, "unsupported", "this kind of file is not looked into")              \
    XX(TOO_LARGE, "too_large", "more pixels or memory than a file may ask for")         \
    XX(BROKEN, "broken", "the file is damaged, or is not what its first bytes promise") \
    XX(TIMED_OUT, "timed_out", "it took too long to decode")                            \
    XX(CRASHED, "crashed", "its decoder crashed or did what it may not")

enum convert_refusal {
#define XX(name, text, sentence) CONVERT_##name,
    CONVERT_REFUSAL_MAP(XX)
#undef XX
        CONVERT_REFUSALS
};

/* "too_large". Never NULL. */
const char *convert_refusal_name(enum convert_refusal refusal);
/* One short English sentence. Never NULL. */
const char *convert_refusal_text(enum convert_refusal refusal);

struct convert_wish {
    unsigned thumbnail_px; /* the longest side of the small picture, at most
                              CONVERT_THUMBNAIL_PX_MAX; 0: none wanted */
};

struct convert_result {
    enum convert_refusal refusal;
    enum convert_kind kind;
    const char *mime;                         /* of the bytes, never of a name; static */
    bool is_animated;                         /* GIF, APNG or WebP with more than one picture */
    unsigned width, height;                   /* as shown: turned as its metadata says; else 0 */
    int64_t duration_ms;                      /* audio and video; 0: unknown */
    unsigned waveform_count;                  /* CONVERT_WAVEFORM_PEAKS for audio, or 0 */
    uint8_t waveform[CONVERT_WAVEFORM_PEAKS]; /* the loudest of each part; 255: full scale */
    uint8_t *thumbnail;                       /* WebP without metadata, turned; NULL: none */
    size_t thumbnail_bytes;
    unsigned thumbnail_width, thumbnail_height;
};

struct convert;

struct convert_options {
    unsigned at_once;     /* helpers at the same time; 0: 2 */
    unsigned waiting_max; /* callers that may wait for their turn; 0: 64 */
    int64_t timeout_ms;   /* from start to end of one helper; 0: 20,000 */
    /* For tests: another program and its word. NULL: this binary's convert-helper. */
    const char *program;
    const char *command;
};

MUST_USE enum err convert_create(struct convert **out, const struct convert_options *opt);
/* Nobody may be in convert_run any more. Accepts NULL. */
void convert_destroy(struct convert **convert);

/*
 * Blocks: for worker threads. `fd` is a regular file, read with pread from its start; its offset
 * stays, and it remains the caller's. OK says that there is a verdict, which may be a refusal;
 * ERR_UNAVAILABLE: too many wait already (try later); INVALID_ARGUMENT: no regular file; else this
 * machine could not start a helper. Give `out` to convert_result_deinit in every case.
 */
MUST_USE enum err convert_run(struct convert *convert, int fd, const struct convert_wish *wish,
                              struct convert_result *out);
void convert_result_deinit(struct convert_result *result);

struct convert_sniffed {
    enum convert_kind kind; /* of the container: audio in MP4 and WebM still says video here */
    const char *mime;       /* "application/octet-stream" when nobody knows it; static */
};

/* What a file's first bytes say (CONVERT_SNIFF_BYTES are enough). Pure and bounded: may be asked
 * anywhere. Never trusts a name; what is text with markup is text/html or image/svg+xml, so that
 * nobody shows it inline. */
struct convert_sniffed convert_sniff(const void *bytes, size_t n);

/* The command convert-helper: stdin is the file, stdout the pipe. Returns the exit status. */
int convert_helper_main(int argc, char **argv);
