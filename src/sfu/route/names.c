/* names: codecs by the names that SDP gives them. */
#include "sfu/route/names.h"

static const char *const CODEC_NAMES[] = {
    [SFU_CODEC_NONE] = "none", [SFU_CODEC_OPUS] = "opus", [SFU_CODEC_VP8] = "VP8",
    [SFU_CODEC_VP9] = "VP9",   [SFU_CODEC_H264] = "H264", [SFU_CODEC_AV1] = "AV1",
};

enum sfu_codec sfu_codec_from_name(struct str name)
{
    for (unsigned i = SFU_CODEC_OPUS; i < ARRAY_LEN(CODEC_NAMES); i++)
        if (str_eq_nocase(name, str_from(CODEC_NAMES[i])))
            return (enum sfu_codec)i;
    return SFU_CODEC_NONE;
}

const char *sfu_codec_name(enum sfu_codec codec)
{
    return (unsigned)codec < ARRAY_LEN(CODEC_NAMES) ? CODEC_NAMES[codec] : "none";
}
