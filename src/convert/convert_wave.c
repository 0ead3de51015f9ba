/*
 * convert_wave: the loudest sample of each part of a recording. The length is unknown until the
 * end, so a fixed number of bins is filled, and joined in pairs whenever they are full.
 */
#include <math.h>

#include "convert/convert_decode_internal.h"

/* Magnitude in 0..255 of one sample, whatever it is stored as. */
static uint8_t magnitude(const uint8_t *p, enum AVSampleFormat format)
{
    double v = 0;
    switch (format) {
    case AV_SAMPLE_FMT_U8:
    case AV_SAMPLE_FMT_U8P:
        v = (*p - 128) / 128.0;
        break;
    case AV_SAMPLE_FMT_S16:
    case AV_SAMPLE_FMT_S16P: {
        int16_t s;
        memcpy(&s, p, sizeof(s));
        v = s / 32768.0;
        break;
    }
    case AV_SAMPLE_FMT_S32:
    case AV_SAMPLE_FMT_S32P: {
        int32_t s;
        memcpy(&s, p, sizeof(s));
        v = s / 2147483648.0;
        break;
    }
    case AV_SAMPLE_FMT_FLT:
    case AV_SAMPLE_FMT_FLTP: {
        float s;
        memcpy(&s, p, sizeof(s));
        v = (double)s;
        break;
    }
    default:
        break;
    }
    v = fabs(v);
    return isfinite(v) ? (uint8_t)(MIN(v, 1.0) * 255.0 + 0.5) : 0;
}

static size_t sample_bytes(enum AVSampleFormat format)
{
    switch (format) {
    case AV_SAMPLE_FMT_U8:
    case AV_SAMPLE_FMT_U8P:
        return 1;
    case AV_SAMPLE_FMT_S16:
    case AV_SAMPLE_FMT_S16P:
        return 2;
    case AV_SAMPLE_FMT_S32:
    case AV_SAMPLE_FMT_S32P:
    case AV_SAMPLE_FMT_FLT:
    case AV_SAMPLE_FMT_FLTP:
        return 4;
    default:
        return 0;
    }
}

static void join_pairs(struct convert_wave *w)
{
    for (unsigned i = 0; i < CONVERT_WAVE_BINS / 2; i++)
        w->bins[i] = MAX(w->bins[2 * i], w->bins[2 * i + 1]);
    memset(w->bins + CONVERT_WAVE_BINS / 2, 0, CONVERT_WAVE_BINS / 2);
    w->used = CONVERT_WAVE_BINS / 2;
    w->span *= 2;
}

void convert_wave_add(struct convert_wave *w, const struct convert_ffmpeg *ff, const AVFrame *frame)
{
    size_t bytes = sample_bytes(frame->format);
    int channels = MIN(frame->ch_layout.nb_channels, 8);
    bool is_planar = ff->av_sample_fmt_is_planar(frame->format);
    if (bytes == 0 || channels <= 0)
        return;
    if (w->span == 0)
        w->span = 64;
    for (int i = 0; i < frame->nb_samples; i++, w->count++) {
        if (w->count / w->span >= CONVERT_WAVE_BINS)
            join_pairs(w);
        size_t bin = (size_t)(w->count / w->span);
        w->used = (unsigned)bin + 1;
        /* Every channel of interleaved samples, the planes of planar ones: the first eight. */
        for (int c = 0; c < channels; c++) {
            const uint8_t *p =
                is_planar
                    ? frame->extended_data[c] + (size_t)i * bytes
                    : frame->data[0] +
                          ((size_t)i * (size_t)frame->ch_layout.nb_channels + (size_t)c) * bytes;
            w->bins[bin] = MAX(w->bins[bin], magnitude(p, frame->format));
        }
    }
}

void convert_wave_finish(const struct convert_wave *w, struct convert_report *report)
{
    if (w->used == 0)
        return;
    report->waveform_count = CONVERT_WAVEFORM_PEAKS;
    for (unsigned i = 0; i < CONVERT_WAVEFORM_PEAKS; i++) {
        unsigned from = i * w->used / CONVERT_WAVEFORM_PEAKS;
        unsigned to = MAX(from + 1, (i + 1) * w->used / CONVERT_WAVEFORM_PEAKS);
        for (unsigned bin = from; bin < to; bin++)
            report->waveform[i] = MAX(report->waveform[i], w->bins[bin]);
    }
}
