/*
 * media: what the helper of room convert does with a stranger's file: sniffing, headers, demuxers,
 * decoders, the small picture. Without the sandbox, so that a sanitizer can speak. Sizes are kept
 * small by the fuzzer (8 KiB); the same bounds on pixels hold as in the helper.
 */
#include <stdlib.h>

#include "convert/convert_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct convert_report report, again;
    struct convert_image image;
    (void)convert_sniff(data, size);
    for (int format = 0; format < CONVERT_FORMATS; format++)
        (void)convert_image_parse(format, data, size, &image);
    (void)convert_exif_orientation(data, size);
    (void)convert_report_parse(data, size, &again);
    /* Honest sizes only: filling 50 million pixels is what the helper's limits are for. */
    enum convert_format format = convert_format_of(data, size);
    if (convert_image_parse(format, data, size, &image) &&
        (uint64_t)image.width * image.height > 1 << 20 &&
        (uint64_t)image.width * image.height <= CONVERT_PIXELS_MAX)
        return 0;
    struct convert_input in = {.fd = -1, .bytes = data, .size = (int64_t)size};
    convert_decode(&in, 64, &report);
    free(report.thumbnail);
    return 0;
}
