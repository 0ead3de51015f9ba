/* convert_ffmpeg: see the header. The libraries' names carry the major version that our headers
 * were of, so another FFmpeg is refused rather than misunderstood. */
#include "convert/convert_ffmpeg.h"

#include <dlfcn.h>
#include <stdio.h>

#include "core/base.h"

#define NAME_OF(library, major) NAME_OF_(library, major)
#define NAME_OF_(library, major) "lib" #library ".so." #major

enum library { LIBRARY_avutil, LIBRARY_avcodec, LIBRARY_avformat, LIBRARY_swscale, LIBRARIES };

static const char *const names[LIBRARIES] = {
    NAME_OF(avutil, LIBAVUTIL_VERSION_MAJOR),
    NAME_OF(avcodec, LIBAVCODEC_VERSION_MAJOR),
    NAME_OF(avformat, LIBAVFORMAT_VERSION_MAJOR),
    NAME_OF(swscale, LIBSWSCALE_VERSION_MAJOR),
};

static struct convert_ffmpeg functions;
static bool is_loaded;

const struct convert_ffmpeg *convert_ffmpeg_load(void)
{
    void *libraries[LIBRARIES];
    if (is_loaded)
        return &functions;
    for (int i = 0; i < LIBRARIES; i++) {
        libraries[i] = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (!libraries[i])
            return NULL;
    }
#define XX(library, function)                                            \
    functions.function = dlsym(libraries[LIBRARY_##library], #function); \
    if (!functions.function)                                             \
        return NULL;
    CONVERT_FFMPEG_MAP(XX)
#undef XX
    functions.av_log_set_level(AV_LOG_QUIET);
    is_loaded = true;
    return &functions;
}
