/* What the decoding files share: they run in the helper only. */
#pragma once

#include "convert/convert_ffmpeg.h"
#include "convert/convert_internal.h"

#define CONVERT_IMAGE_MAX_BYTES (64 << 20)

/* Pixels of a small picture, RGBA, rows without gaps. */
struct convert_pixels {
    uint8_t *rgba;
    unsigned width, height;
};

/* The longest side becomes `px` at most; no picture grows. */
void convert_fit(unsigned width, unsigned height, unsigned px, struct convert_pixels *out);
/* Scales one decoded frame. */
enum convert_refusal convert_scale(const struct convert_ffmpeg *ff, const AVFrame *frame,
                                   unsigned px, struct convert_pixels *out);
/* Turns and mirrors as EXIF's orientation (1 to 8) says. */
void convert_turn(struct convert_pixels *pixels, unsigned orientation);
/* WebP into the report. */
enum convert_refusal convert_encode(const struct convert_pixels *pixels,
                                    struct convert_report *report);
/* A whole WebP file, its first picture. */
enum convert_refusal convert_decode_webp(const uint8_t *bytes, size_t n, unsigned width,
                                         unsigned height, unsigned px, struct convert_pixels *out);

/* Still pictures, and everything with a clock. */
enum convert_refusal convert_decode_image(const struct convert_ffmpeg *ff,
                                          const struct convert_input *in,
                                          enum convert_format format, unsigned px,
                                          struct convert_report *report);
enum convert_refusal convert_decode_media(const struct convert_ffmpeg *ff,
                                          const struct convert_input *in,
                                          enum convert_format format, unsigned px,
                                          struct convert_report *report);

/* The codecs that may be decoded, by FFmpeg's names; and the bounds every decoder gets. */
#define CONVERT_CODECS                                                                  \
    "h264,hevc,vp8,vp9,libdav1d,opus,vorbis,aac,mp3float,mp3,flac,pcm_s16le,pcm_s24le," \
    "pcm_s32le,pcm_u8,pcm_f32le,pcm_alaw,pcm_mulaw"
enum convert_refusal convert_refusal_of(int av_error);
/* For decoders of ours; NULL parameters: a still picture. */
AVCodecContext *convert_open_decoder(const struct convert_ffmpeg *ff, const char *name,
                                     const AVCodecParameters *parameters);

/* Loudness by time, of a length nobody knows at first. */
#define CONVERT_WAVE_BINS 1024
struct convert_wave {
    uint8_t bins[CONVERT_WAVE_BINS];
    unsigned used;
    int64_t span;  /* samples in one bin; doubles when the bins are full */
    int64_t count; /* samples so far */
};
void convert_wave_add(struct convert_wave *wave, const struct convert_ffmpeg *ff,
                      const AVFrame *frame);
void convert_wave_finish(const struct convert_wave *wave, struct convert_report *report);
