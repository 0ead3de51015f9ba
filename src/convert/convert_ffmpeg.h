/*
 * convert_ffmpeg: FFmpeg's functions that we use, found when the helper asks. Linked plainly, its
 * 130 libraries would be loaded at every start of parlance (30 ms, 5 MB of private memory) into a
 * process that never decodes anything.
 */
#pragma once

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libswscale/swscale.h>

/* XX(library, function) */
#define CONVERT_FFMPEG_MAP(XX)                 \
    XX(avutil, av_dict_free)                   \
    XX(avutil, av_dict_set)                    \
    XX(avutil, av_display_rotation_get)        \
    XX(avutil, av_frame_alloc)                 \
    XX(avutil, av_frame_free)                  \
    XX(avutil, av_frame_unref)                 \
    XX(avutil, av_freep)                       \
    XX(avutil, av_log_set_level)               \
    XX(avutil, av_malloc)                      \
    XX(avutil, av_max_alloc)                   \
    XX(avutil, av_rescale)                     \
    XX(avutil, av_sample_fmt_is_planar)        \
    XX(avcodec, av_new_packet)                 \
    XX(avcodec, av_packet_alloc)               \
    XX(avcodec, av_packet_free)                \
    XX(avcodec, av_packet_unref)               \
    XX(avcodec, avcodec_alloc_context3)        \
    XX(avcodec, avcodec_find_decoder_by_name)  \
    XX(avcodec, avcodec_flush_buffers)         \
    XX(avcodec, avcodec_free_context)          \
    XX(avcodec, avcodec_open2)                 \
    XX(avcodec, avcodec_parameters_to_context) \
    XX(avcodec, avcodec_receive_frame)         \
    XX(avcodec, avcodec_send_packet)           \
    XX(avformat, av_find_input_format)         \
    XX(avformat, av_read_frame)                \
    XX(avformat, av_seek_frame)                \
    XX(avformat, av_stream_get_side_data)      \
    XX(avformat, avformat_alloc_context)       \
    XX(avformat, avformat_close_input)         \
    XX(avformat, avformat_find_stream_info)    \
    XX(avformat, avformat_open_input)          \
    XX(avformat, avio_alloc_context)           \
    XX(avformat, avio_context_free)            \
    XX(swscale, sws_freeContext)               \
    XX(swscale, sws_getContext)                \
    XX(swscale, sws_scale)

struct convert_ffmpeg {
#define XX(library, function) __typeof__(function) *function;
    CONVERT_FFMPEG_MAP(XX)
#undef XX
};

/* NULL when the libraries, or one of the functions, are not there. Loads once; one thread. */
const struct convert_ffmpeg *convert_ffmpeg_load(void);
