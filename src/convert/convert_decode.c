/* convert_decode: which way a file goes, and what decoders have in common. */
#include <errno.h>
#include <unistd.h>

#include "convert/convert_decode_internal.h"

int64_t convert_input_read(const struct convert_input *in, void *out, size_t n, int64_t offset)
{
    if (offset < 0 || offset >= in->size)
        return 0;
    n = MIN(n, (size_t)(in->size - offset));
    if (in->fd < 0) {
        memcpy(out, in->bytes + offset, n);
        return (int64_t)n;
    }
    return pread(in->fd, out, n, offset);
}

enum convert_refusal convert_refusal_of(int av_error)
{
    return av_error == AVERROR(ENOMEM) ? CONVERT_TOO_LARGE : CONVERT_BROKEN;
}

AVCodecContext *convert_open_decoder(const struct convert_ffmpeg *ff, const char *name,
                                     const AVCodecParameters *parameters)
{
    const AVCodec *codec = ff->avcodec_find_decoder_by_name(name);
    AVCodecContext *context = codec ? ff->avcodec_alloc_context3(codec) : NULL;
    if (!context)
        return NULL;
    if (parameters && ff->avcodec_parameters_to_context(context, parameters) < 0)
        goto fail;
    context->thread_count = 1;
    context->max_pixels = CONVERT_PIXELS_MAX;
    context->err_recognition = 0;
    if (ff->avcodec_open2(context, codec, NULL) < 0)
        goto fail;
    return context;
fail:
    ff->avcodec_free_context(&context);
    return NULL;
}

void convert_decode(const struct convert_input *in, unsigned thumbnail_px,
                    struct convert_report *report)
{
    uint8_t head[CONVERT_SNIFF_BYTES];
    *report = (struct convert_report){.refusal = CONVERT_UNSUPPORTED};
    const struct convert_ffmpeg *ff = convert_ffmpeg_load();
    int64_t n = convert_input_read(in, head, sizeof(head), 0);
    if (n <= 0 || !ff)
        return;
    enum convert_format format = convert_format_of(head, (size_t)n);
    report->kind = convert_format_kind(format);
    if (report->kind == CONVERT_IMAGE)
        report->refusal = convert_decode_image(ff, in, format, thumbnail_px, report);
    else if (report->kind != CONVERT_OTHER)
        report->refusal = convert_decode_media(ff, in, format, thumbnail_px, report);
}
