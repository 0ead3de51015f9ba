/*
 * convert_media: what has a clock: films and recordings. One demuxer, chosen by us; it reads
 * through our own I/O over the one file, and whatever it would open besides is refused. A film
 * shows a frame from near its beginning; a recording is decoded for its waveform and its true
 * length.
 */
#include <errno.h>
#include <stdlib.h>

#include "convert/convert_decode_internal.h"
#include "core/mem.h"

#define TEXT_OF(number) TEXT_OF_(number)
#define TEXT_OF_(number) #number
#define IO_BYTES 32768
#define STREAMS_MAX 32
#define PROBE_BYTES (4 << 20)
#define PROBE_US (5 * AV_TIME_BASE)
#define FRAME_PACKETS_MAX 600                 /* read in search of a film's picture */
#define WAVE_MAX_MS ((int64_t)30 * 60 * 1000) /* longer recordings have no waveform */
#define PICTURE_AT_MAX_US (3 * (int64_t)AV_TIME_BASE)

struct media {
    const struct convert_ffmpeg *ff;
    const struct convert_input *in;
    int64_t at;
    AVFormatContext *format;
    AVIOContext *io;
    int video, audio; /* stream or -1 */
};

static int on_read(void *arg, uint8_t *out, int n)
{
    struct media *m = arg;
    int64_t got = convert_input_read(m->in, out, (size_t)n, m->at);
    if (got < 0)
        return AVERROR(EIO);
    m->at += got;
    return got ? (int)got : AVERROR_EOF;
}

static int64_t on_seek(void *arg, int64_t offset, int whence)
{
    struct media *m = arg;
    int64_t base = 0;
    switch (whence & ~AVSEEK_FORCE) {
    case AVSEEK_SIZE:
        return m->in->size;
    case SEEK_SET:
        break;
    case SEEK_CUR:
        base = m->at;
        break;
    case SEEK_END:
        base = m->in->size;
        break;
    default:
        return AVERROR(EINVAL);
    }
    if (__builtin_add_overflow(base, offset, &offset) || offset < 0)
        return AVERROR(EINVAL);
    return m->at = offset;
}

/* A playlist, a reference to another file: nothing is opened but what we have. */
static int refuse_open(AVFormatContext *s, AVIOContext **out, const char *url, int flags,
                       AVDictionary **options)
{
    *out = NULL;
    return AVERROR(EPERM);
}

/* The named decoder of a stream; FFmpeg's default for AV1 wants hardware. */
static const char *decoder_of(enum AVCodecID id)
{
    static const struct {
        enum AVCodecID id;
        const char *name;
    } decoders[] = {
        {AV_CODEC_ID_H264, "h264"},
        {AV_CODEC_ID_HEVC, "hevc"},
        {AV_CODEC_ID_VP8, "vp8"},
        {AV_CODEC_ID_VP9, "vp9"},
        {AV_CODEC_ID_AV1, "libdav1d"},
        {AV_CODEC_ID_OPUS, "opus"},
        {AV_CODEC_ID_VORBIS, "vorbis"},
        {AV_CODEC_ID_AAC, "aac"},
        {AV_CODEC_ID_MP3, "mp3float"},
        {AV_CODEC_ID_FLAC, "flac"},
        {AV_CODEC_ID_PCM_S16LE, "pcm_s16le"},
        {AV_CODEC_ID_PCM_S24LE, "pcm_s24le"},
        {AV_CODEC_ID_PCM_S32LE, "pcm_s32le"},
        {AV_CODEC_ID_PCM_U8, "pcm_u8"},
        {AV_CODEC_ID_PCM_F32LE, "pcm_f32le"},
        {AV_CODEC_ID_PCM_ALAW, "pcm_alaw"},
        {AV_CODEC_ID_PCM_MULAW, "pcm_mulaw"},
    };
    for (size_t i = 0; i < ARRAY_LEN(decoders); i++)
        if (decoders[i].id == id)
            return decoders[i].name;
    return NULL;
}

static void find_streams(struct media *m)
{
    m->video = m->audio = -1;
    for (unsigned i = 0; i < m->format->nb_streams; i++) {
        const AVStream *s = m->format->streams[i];
        bool is_cover = (s->disposition & AV_DISPOSITION_ATTACHED_PIC) != 0;
        if (!decoder_of(s->codecpar->codec_id))
            continue;
        if (s->codecpar->codec_type == AVMEDIA_TYPE_VIDEO && !is_cover && m->video < 0)
            m->video = (int)i;
        if (s->codecpar->codec_type == AVMEDIA_TYPE_AUDIO && m->audio < 0)
            m->audio = (int)i;
    }
}

/* The list of decoders binds also those that FFmpeg opens itself while it looks around. */
static int open_format(struct media *m, const char *demuxer)
{
    AVDictionary *options = NULL;
    uint8_t *buffer = m->ff->av_malloc(IO_BYTES);
    m->format = m->ff->avformat_alloc_context();
    m->io =
        buffer ? m->ff->avio_alloc_context(buffer, IO_BYTES, 0, m, on_read, NULL, on_seek) : NULL;
    if (!m->io || !m->format) {
        m->ff->av_freep(m->io ? (void *)&m->io->buffer : (void *)&buffer);
        return AVERROR(ENOMEM);
    }
    m->format->pb = m->io;
    m->format->flags |= AVFMT_FLAG_CUSTOM_IO;
    m->format->io_open = refuse_open;
    m->format->probesize = PROBE_BYTES;
    m->format->max_analyze_duration = PROBE_US;
    m->format->max_streams = STREAMS_MAX;
    m->ff->av_dict_set(&options, "codec_whitelist", CONVERT_CODECS, 0);
    m->ff->av_dict_set(&options, "protocol_whitelist", "", 0);
    m->ff->av_dict_set(&options, "format_whitelist", demuxer, 0);
    int error =
        m->ff->avformat_open_input(&m->format, "", m->ff->av_find_input_format(demuxer), &options);
    m->ff->av_dict_free(&options);
    return error;
}

static int look_around(struct media *m)
{
    unsigned count = m->format->nb_streams;
    AVDictionary **options = mem_calloc(count ? count : 1, sizeof(AVDictionary *));
    for (unsigned i = 0; i < count; i++) {
        m->ff->av_dict_set(&options[i], "threads", "1", 0);
        m->ff->av_dict_set(&options[i], "max_pixels", TEXT_OF(CONVERT_PIXELS_MAX), 0);
    }
    int error = m->ff->avformat_find_stream_info(m->format, options);
    for (unsigned i = 0; i < count; i++)
        m->ff->av_dict_free(&options[i]);
    free(options);
    return error < 0 ? error : 0;
}

/* EXIF's number for a film's rotation; mirrors are not made out. */
static unsigned orientation_of(const struct media *m, AVStream *stream)
{
    size_t bytes = 0;
    const uint8_t *matrix =
        m->ff->av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &bytes);
    if (!matrix || bytes < 9 * sizeof(int32_t))
        return 1;
    double degrees = m->ff->av_display_rotation_get((const int32_t *)(const void *)matrix);
    if (!(degrees >= -360 && degrees <= 360))
        return 1;
    int quarters = ((int)(degrees < 0 ? degrees - 45 : degrees + 45) / 90 % 4 + 4) % 4;
    return (const unsigned[]){1, 8, 3, 6}[quarters]; /* counter-clockwise */
}

/* The next frame of one stream; packets of others are passed over, broken ones too. */
static int next_frame(struct media *m, AVCodecContext *decoder, int stream, AVPacket *packet,
                      AVFrame *frame, unsigned *packets_left)
{
    for (;;) {
        int error = m->ff->avcodec_receive_frame(decoder, frame);
        if (error != AVERROR(EAGAIN))
            return error;
        if (*packets_left == 0)
            return AVERROR_EOF;
        --*packets_left;
        error = m->ff->av_read_frame(m->format, packet);
        if (error == AVERROR(ENOMEM))
            return error;
        if (error)
            m->ff->avcodec_send_packet(decoder, NULL); /* what it still holds */
        else if (packet->stream_index == stream)
            m->ff->avcodec_send_packet(decoder, packet);
        m->ff->av_packet_unref(packet);
    }
}

/* A little after the beginning, which is often black; from the start where that fails. */
static int find_picture(struct media *m, AVCodecContext *decoder, AVPacket *packet, AVFrame *frame)
{
    int64_t at_us = MIN(m->format->duration > 0 ? m->format->duration / 10 : 0, PICTURE_AT_MAX_US);
    unsigned left = FRAME_PACKETS_MAX;
    if (at_us > 0 && m->ff->av_seek_frame(m->format, -1, at_us, 0) >= 0 &&
        next_frame(m, decoder, m->video, packet, frame, &left) == 0)
        return 0;
    left = FRAME_PACKETS_MAX;
    m->ff->avcodec_flush_buffers(decoder);
    if (at_us > 0 && m->ff->av_seek_frame(m->format, -1, 0, AVSEEK_FLAG_BACKWARD) < 0)
        return AVERROR_INVALIDDATA;
    return next_frame(m, decoder, m->video, packet, frame, &left);
}

static enum convert_refusal film(struct media *m, unsigned px, struct convert_report *report)
{
    enum convert_refusal refusal = CONVERT_BROKEN;
    AVStream *stream = m->format->streams[m->video];
    const AVCodecParameters *p = stream->codecpar;
    struct convert_pixels pixels = {0};
    unsigned orientation = orientation_of(m, stream);
    if (p->width <= 0 || p->height <= 0)
        return CONVERT_BROKEN;
    report->kind = CONVERT_VIDEO;
    report->width = (unsigned)(orientation >= 5 ? p->height : p->width);
    report->height = (unsigned)(orientation >= 5 ? p->width : p->height);
    if ((uint64_t)p->width * (uint64_t)p->height > CONVERT_PIXELS_MAX)
        return CONVERT_TOO_LARGE;
    if (px == 0)
        return CONVERT_FINE;
    AVCodecContext *decoder = convert_open_decoder(m->ff, decoder_of(p->codec_id), p);
    AVPacket *packet = m->ff->av_packet_alloc();
    AVFrame *frame = m->ff->av_frame_alloc();
    if (decoder && packet && frame) {
        int error = find_picture(m, decoder, packet, frame);
        refusal = error ? convert_refusal_of(error) : convert_scale(m->ff, frame, px, &pixels);
    }
    if (!refusal) {
        convert_turn(&pixels, orientation);
        refusal = convert_encode(&pixels, report);
    }
    free(pixels.rgba);
    m->ff->av_frame_free(&frame);
    m->ff->av_packet_free(&packet);
    m->ff->avcodec_free_context(&decoder);
    return refusal;
}

/* A recorder that streams writes no length into its head: then the samples are counted. */
static enum convert_refusal recording(struct media *m, struct convert_report *report)
{
    enum convert_refusal refusal = CONVERT_BROKEN;
    const AVCodecParameters *p = m->format->streams[m->audio]->codecpar;
    struct convert_wave wave = {0};
    report->kind = CONVERT_AUDIO;
    if (report->duration_ms > WAVE_MAX_MS)
        return CONVERT_FINE;
    AVCodecContext *decoder = convert_open_decoder(m->ff, decoder_of(p->codec_id), p);
    AVPacket *packet = m->ff->av_packet_alloc();
    AVFrame *frame = m->ff->av_frame_alloc();
    unsigned left = UINT32_MAX;
    int rate = 0;
    while (decoder && packet && frame) {
        int error = next_frame(m, decoder, m->audio, packet, frame, &left);
        if (error == AVERROR_INVALIDDATA)
            continue; /* one bad packet is not the end: each read goes on in the file */
        if (error)
            break;
        rate = frame->sample_rate > 0 ? frame->sample_rate : rate;
        convert_wave_add(&wave, m->ff, frame);
        m->ff->av_frame_unref(frame);
        if (rate > 0 && wave.count / rate > WAVE_MAX_MS / 1000)
            break;
    }
    if (wave.count > 0 && rate > 0) {
        convert_wave_finish(&wave, report);
        int64_t heard_ms = m->ff->av_rescale(wave.count, 1000, rate);
        report->duration_ms = heard_ms < WAVE_MAX_MS ? heard_ms : report->duration_ms;
        refusal = CONVERT_FINE;
    }
    m->ff->av_frame_free(&frame);
    m->ff->av_packet_free(&packet);
    m->ff->avcodec_free_context(&decoder);
    return refusal;
}

enum convert_refusal convert_decode_media(const struct convert_ffmpeg *ff,
                                          const struct convert_input *in,
                                          enum convert_format format, unsigned px,
                                          struct convert_report *report)
{
    struct media m = {.ff = ff, .in = in};
    enum convert_refusal refusal = CONVERT_BROKEN;
    int error = open_format(&m, convert_format_demuxer(format));
    if (!error)
        error = look_around(&m);
    if (error) {
        refusal = convert_refusal_of(error);
        goto done;
    }
    find_streams(&m);
    if (m.format->duration > 0)
        report->duration_ms = m.format->duration / (AV_TIME_BASE / 1000);
    if (m.video >= 0)
        refusal = film(&m, px, report);
    else if (m.audio >= 0)
        refusal = recording(&m, report);
    else
        refusal = CONVERT_UNSUPPORTED;
done:
    ff->avformat_close_input(&m.format);
    if (m.io)
        ff->av_freep(&m.io->buffer);
    ff->avio_context_free(&m.io);
    return refusal;
}
