/*
 * convert: whoever wants a file looked into waits here for one of a few helpers' turns, and gets a
 * verdict. What is no medium is told from its first bytes, without a helper.
 */
#include "convert/convert.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert/convert_internal.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metric.h"

static struct metric verdicts = METRIC_COUNTER(
    "parlance_convert_files_total", "Files that were looked into, by verdict.", "verdict");
static struct metric seconds =
    METRIC_HISTOGRAM("parlance_convert_seconds", "How long a helper took for one file.");

struct convert {
    struct convert_options opt;
    char *program, *command;
    pthread_mutex_t lock;
    pthread_cond_t is_free;
    unsigned running, waiting;
};

static const struct {
    const char *name, *text;
} refusals[] = {
#define XX(name, text, sentence) {text, sentence},
    CONVERT_REFUSAL_MAP(XX)
#undef XX
};

const char *convert_refusal_name(enum convert_refusal refusal)
{
    return refusal < CONVERT_REFUSALS ? refusals[refusal].name : "unknown";
}

const char *convert_refusal_text(enum convert_refusal refusal)
{
    return refusal < CONVERT_REFUSALS ? refusals[refusal].text : "unknown";
}

enum err convert_create(struct convert **out, const struct convert_options *opt)
{
    struct convert *c = mem_new(struct convert);
    c->program = mem_strdup(opt->program ? opt->program : "/proc/self/exe");
    c->command = mem_strdup(opt->command ? opt->command : "convert-helper");
    c->opt = (struct convert_options){
        .at_once = opt->at_once ? opt->at_once : 2,
        .waiting_max = opt->waiting_max ? opt->waiting_max : 64,
        .timeout_ms = opt->timeout_ms > 0 ? opt->timeout_ms : 20000,
        .program = c->program,
        .command = c->command,
    };
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->is_free, NULL);
    *out = c;
    return ERR_OK;
}

void convert_destroy(struct convert **convert)
{
    struct convert *c = *convert;
    *convert = NULL;
    if (!c)
        return;
    pthread_cond_destroy(&c->is_free);
    pthread_mutex_destroy(&c->lock);
    free(c->program);
    free(c->command);
    free(c);
}

static bool enter(struct convert *c)
{
    bool may = true;
    pthread_mutex_lock(&c->lock);
    if (c->running >= c->opt.at_once) {
        may = c->waiting < c->opt.waiting_max;
        c->waiting += may;
        while (may && c->running >= c->opt.at_once)
            pthread_cond_wait(&c->is_free, &c->lock);
        c->waiting -= may;
    }
    c->running += may;
    pthread_mutex_unlock(&c->lock);
    return may;
}

static void leave(struct convert *c)
{
    pthread_mutex_lock(&c->lock);
    c->running--;
    pthread_cond_signal(&c->is_free);
    pthread_mutex_unlock(&c->lock);
}

/* What the file's first bytes promise. */
static enum err look(int fd, enum convert_format *format)
{
    struct stat st;
    uint8_t head[CONVERT_SNIFF_BYTES];
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return ERR_INVALID_ARGUMENT;
    ssize_t n = pread(fd, head, sizeof(head), 0);
    if (n < 0)
        return err_from_errno(errno);
    *format = convert_format_of(head, (size_t)n);
    return ERR_OK;
}

static void take(const struct convert_report *report, struct convert_result *out)
{
    out->refusal = report->refusal;
    if (report->kind != CONVERT_OTHER)
        out->kind = report->kind;
    out->is_animated = report->is_animated;
    out->width = report->width;
    out->height = report->height;
    out->duration_ms = report->duration_ms;
    out->waveform_count = report->waveform_count;
    memcpy(out->waveform, report->waveform, sizeof(out->waveform));
    if (report->thumbnail_bytes == 0)
        return;
    out->thumbnail = mem_dup(report->thumbnail, report->thumbnail_bytes);
    out->thumbnail_bytes = report->thumbnail_bytes;
    out->thumbnail_width = report->thumbnail_width;
    out->thumbnail_height = report->thumbnail_height;
}

static enum err ask_helper(struct convert *c, int fd, unsigned thumbnail_px,
                           struct convert_result *out)
{
    uint8_t *bytes = mem_alloc(CONVERT_REPORT_MAX_BYTES);
    size_t n = 0;
    struct convert_ending ending = {0};
    struct convert_report report;
    int64_t start_us = clock_mono_us();
    enum err err = convert_process_run(&c->opt, fd, MIN(thumbnail_px, CONVERT_THUMBNAIL_PX_MAX),
                                       bytes, CONVERT_REPORT_MAX_BYTES, &n, &ending);
    if (err) {
        log_error(NULL, "no helper for media could be started: %s", err_text(err));
    } else if (ending.refusal != CONVERT_FINE) {
        out->refusal = ending.refusal;
    } else if (!convert_report_parse(bytes, n, &report)) {
        out->refusal = CONVERT_CRASHED;
    } else {
        take(&report, out);
    }
    if (!err)
        metric_observe(&seconds, (double)(clock_mono_us() - start_us) / 1e6);
    free(bytes);
    return err;
}

enum err convert_run(struct convert *convert, int fd, const struct convert_wish *wish,
                     struct convert_result *out)
{
    enum convert_format format = CONVERT_FORMAT_UNKNOWN;
    *out = (struct convert_result){.refusal = CONVERT_UNSUPPORTED};
    out->mime = convert_format_mime(format, CONVERT_OTHER);
    enum err err = look(fd, &format);
    if (err)
        return err;
    out->kind = convert_format_kind(format);
    if (out->kind != CONVERT_OTHER) {
        if (!enter(convert))
            return ERR_UNAVAILABLE;
        err = ask_helper(convert, fd, wish->thumbnail_px, out);
        leave(convert);
    }
    out->mime = convert_format_mime(format, out->kind);
    if (!err)
        metric_cell_add(metric_cell(&verdicts, convert_refusal_name(out->refusal), NULL, NULL), 1);
    return err;
}

void convert_result_deinit(struct convert_result *result)
{
    free(result->thumbnail);
    result->thumbnail = NULL;
    result->thumbnail_bytes = 0;
}
