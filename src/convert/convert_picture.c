/* convert_picture: from a decoded frame, or a WebP file, to a small upright WebP picture. */
#include <stdlib.h>
#include <webp/decode.h>
#include <webp/demux.h>
#include <webp/encode.h>

#include "convert/convert_decode_internal.h"
#include "core/mem.h"

#define QUALITY 78.0f

void convert_fit(unsigned width, unsigned height, unsigned px, struct convert_pixels *out)
{
    unsigned longest = MAX(width, height);
    out->width = width;
    out->height = height;
    if (longest <= px)
        return;
    out->width = MAX(1u, (unsigned)(((uint64_t)width * px + longest / 2) / longest));
    out->height = MAX(1u, (unsigned)(((uint64_t)height * px + longest / 2) / longest));
}

enum convert_refusal convert_scale(const struct convert_ffmpeg *ff, const AVFrame *frame,
                                   unsigned px, struct convert_pixels *out)
{
    convert_fit((unsigned)frame->width, (unsigned)frame->height, px, out);
    struct SwsContext *sws =
        ff->sws_getContext(frame->width, frame->height, frame->format, (int)out->width,
                           (int)out->height, AV_PIX_FMT_RGBA, SWS_AREA, NULL, NULL, NULL);
    if (!sws)
        return CONVERT_BROKEN;
    /* Vector code may write past a row's end. */
    int stride = (int)out->width * 4 + 64;
    uint8_t *wide = mem_zalloc((size_t)stride * (out->height + 1));
    uint8_t *const planes[4] = {wide};
    const int strides[4] = {stride};
    int rows = ff->sws_scale(sws, (const uint8_t *const *)frame->data, frame->linesize, 0,
                             frame->height, planes, strides);
    out->rgba = mem_alloc((size_t)out->width * out->height * 4);
    for (unsigned y = 0; y < out->height; y++)
        memcpy(out->rgba + (size_t)y * out->width * 4, wide + (size_t)y * (size_t)stride,
               (size_t)out->width * 4);
    free(wide);
    ff->sws_freeContext(sws);
    return rows > 0 ? CONVERT_FINE : CONVERT_BROKEN;
}

/* Where the shown pixel (x, y) is stored. TIFF 6.0: 2 to 4 mirror or turn, 5 to 8 swap the sides.
 */
static void stored_at(unsigned orientation, unsigned width, unsigned height, unsigned *x,
                      unsigned *y)
{
    unsigned across = *x, down = *y;
    if (orientation >= 5) {
        across = *y;
        down = *x;
    }
    bool is_across = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    bool is_down = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    *x = is_across ? width - 1 - across : across;
    *y = is_down ? height - 1 - down : down;
}

void convert_turn(struct convert_pixels *p, unsigned orientation)
{
    if (orientation < 2 || orientation > 8)
        return;
    bool is_swapped = orientation >= 5;
    unsigned width = is_swapped ? p->height : p->width;
    unsigned height = is_swapped ? p->width : p->height;
    uint8_t *turned = mem_alloc((size_t)width * height * 4);
    for (unsigned y = 0; y < height; y++) {
        for (unsigned x = 0; x < width; x++) {
            unsigned from_x = x, from_y = y;
            stored_at(orientation, p->width, p->height, &from_x, &from_y);
            memcpy(turned + ((size_t)y * width + x) * 4,
                   p->rgba + ((size_t)from_y * p->width + from_x) * 4, 4);
        }
    }
    free(p->rgba);
    *p = (struct convert_pixels){turned, width, height};
}

enum convert_refusal convert_encode(const struct convert_pixels *p, struct convert_report *report)
{
    uint8_t *webp = NULL;
    size_t n =
        WebPEncodeRGBA(p->rgba, (int)p->width, (int)p->height, (int)p->width * 4, QUALITY, &webp);
    if (n == 0 || n > CONVERT_THUMBNAIL_MAX_BYTES) {
        WebPFree(webp);
        return CONVERT_TOO_LARGE;
    }
    report->thumbnail = mem_dup(webp, n);
    report->thumbnail_bytes = n;
    report->thumbnail_width = p->width;
    report->thumbnail_height = p->height;
    WebPFree(webp);
    return CONVERT_FINE;
}

/* The first picture's own bytes: an animation holds many. */
static bool first_picture(const uint8_t *bytes, size_t n, WebPData *out, WebPDemuxer **demuxer)
{
    WebPData all = {bytes, n};
    WebPIterator it;
    *demuxer = WebPDemux(&all);
    if (!*demuxer)
        return false;
    if (!WebPDemuxGetFrame(*demuxer, 1, &it))
        return false;
    *out = it.fragment;
    WebPDemuxReleaseIterator(&it);
    return true;
}

enum convert_refusal convert_decode_webp(const uint8_t *bytes, size_t n, unsigned width,
                                         unsigned height, unsigned px, struct convert_pixels *out)
{
    enum convert_refusal refusal = CONVERT_BROKEN;
    WebPDemuxer *demuxer = NULL;
    WebPData picture;
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config) || !first_picture(bytes, n, &picture, &demuxer) ||
        WebPGetFeatures(picture.bytes, picture.size, &config.input) != VP8_STATUS_OK)
        goto done;
    convert_fit(width, height, px, out);
    config.options.use_scaling = 1;
    config.options.scaled_width = (int)out->width;
    config.options.scaled_height = (int)out->height;
    config.output.colorspace = MODE_RGBA;
    VP8StatusCode status = WebPDecode(picture.bytes, picture.size, &config);
    if (status == VP8_STATUS_OUT_OF_MEMORY)
        refusal = CONVERT_TOO_LARGE;
    if (status == VP8_STATUS_OK) {
        out->rgba = mem_alloc((size_t)out->width * out->height * 4);
        for (unsigned y = 0; y < out->height; y++)
            memcpy(out->rgba + (size_t)y * out->width * 4,
                   config.output.u.RGBA.rgba + (size_t)y * (size_t)config.output.u.RGBA.stride,
                   (size_t)out->width * 4);
        refusal = CONVERT_FINE;
    }
    WebPFreeDecBuffer(&config.output);
done:
    WebPDemuxDelete(demuxer);
    return refusal;
}
