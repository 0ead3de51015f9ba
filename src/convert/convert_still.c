/*
 * convert_still: PNG, JPEG, GIF and WebP. Size and orientation come from the headers, so a bomb is
 * refused undecoded. Each decoder is named by us and given the file as one packet: no demuxer
 * guesses anything. Of what moves, the first picture is shown.
 */
#include <stdlib.h>

#include "convert/convert_decode_internal.h"

static const char *decoder_of(enum convert_format format)
{
    return format == CONVERT_FORMAT_PNG ? "png" : format == CONVERT_FORMAT_GIF ? "gif" : "mjpeg";
}

static enum convert_refusal decode(const struct convert_ffmpeg *ff, enum convert_format format,
                                   const AVPacket *packet, unsigned px, struct convert_pixels *out)
{
    enum convert_refusal refusal = CONVERT_TOO_LARGE;
    AVFrame *frame = ff->av_frame_alloc();
    AVCodecContext *decoder = convert_open_decoder(ff, decoder_of(format), NULL);
    if (!frame || !decoder)
        goto done;
    int error = ff->avcodec_send_packet(decoder, packet);
    if (!error)
        error = ff->avcodec_send_packet(decoder, NULL);
    if (!error)
        error = ff->avcodec_receive_frame(decoder, frame);
    refusal = error ? convert_refusal_of(error) : convert_scale(ff, frame, px, out);
done:
    ff->avcodec_free_context(&decoder);
    ff->av_frame_free(&frame);
    return refusal;
}

/* All of the file, with the padding that decoders may read. */
static enum convert_refusal read_all(const struct convert_ffmpeg *ff,
                                     const struct convert_input *in, AVPacket *packet)
{
    if (in->size > CONVERT_IMAGE_MAX_BYTES || ff->av_new_packet(packet, (int)in->size) < 0)
        return CONVERT_TOO_LARGE;
    for (int64_t at = 0; at < in->size;) {
        int64_t n = convert_input_read(in, packet->data + at, (size_t)(in->size - at), at);
        if (n <= 0)
            return CONVERT_BROKEN;
        at += n;
    }
    return CONVERT_FINE;
}

static enum convert_refusal picture(const struct convert_ffmpeg *ff, enum convert_format format,
                                    const AVPacket *packet, const struct convert_image *image,
                                    unsigned px, struct convert_report *report)
{
    struct convert_pixels pixels = {0};
    enum convert_refusal refusal =
        format == CONVERT_FORMAT_WEBP
            ? convert_decode_webp(packet->data, (size_t)packet->size, image->width, image->height,
                                  px, &pixels)
            : decode(ff, format, packet, px, &pixels);
    if (!refusal) {
        convert_turn(&pixels, image->orientation);
        refusal = convert_encode(&pixels, report);
    }
    free(pixels.rgba);
    return refusal;
}

enum convert_refusal convert_decode_image(const struct convert_ffmpeg *ff,
                                          const struct convert_input *in,
                                          enum convert_format format, unsigned px,
                                          struct convert_report *report)
{
    struct convert_image image;
    AVPacket *packet = ff->av_packet_alloc();
    enum convert_refusal refusal = packet ? read_all(ff, in, packet) : CONVERT_TOO_LARGE;
    if (refusal)
        goto done;
    if (!convert_image_parse(format, packet->data, (size_t)packet->size, &image)) {
        refusal = CONVERT_BROKEN;
        goto done;
    }
    bool is_swapped = image.orientation >= 5;
    report->width = is_swapped ? image.height : image.width;
    report->height = is_swapped ? image.width : image.height;
    report->is_animated = image.is_animated;
    if (image.width > CONVERT_SIDE_PX_MAX || image.height > CONVERT_SIDE_PX_MAX ||
        (uint64_t)image.width * image.height > CONVERT_PIXELS_MAX)
        refusal = CONVERT_TOO_LARGE;
    else /* also where none is wanted: only what can be decoded is a picture */
        refusal = picture(ff, format, packet, &image, px ? px : 16, report);
    if (!px) {
        free(report->thumbnail);
        report->thumbnail = NULL;
        report->thumbnail_bytes = 0;
    }
done:
    ff->av_packet_free(&packet);
    return refusal;
}
