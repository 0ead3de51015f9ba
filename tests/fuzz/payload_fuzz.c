/* payload_fuzz: any bytes through every payload parser; for the dependency descriptor the first
 * byte is the number of decode targets known from before. */
#include <stdlib.h>

#include "sfu/wire/payload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vp8_payload vp8, again;
    struct vp9_payload vp9;
    struct h264_payload h264;
    struct av1_payload av1;
    struct dd_info dd;
    if (vp8_parse(&vp8, data, size)) {
        uint8_t out[PAYLOAD_DESCRIPTOR_MAX + 1] = {0};
        check(vp8.descriptor_bytes < size);
        size_t n = vp8_rewrite(out, &vp8, data, 0x4321, 0x77);
        check(n == vp8.descriptor_bytes && vp8_parse(&again, out, n + 1));
        check(again.descriptor_bytes == n && again.tid == vp8.tid && again.keyidx == vp8.keyidx);
        check(!vp8.tl0picidx_offset || again.tl0picidx == 0x77);
    }
    if (vp9_parse(&vp9, data, size))
        check(vp9.descriptor_bytes < size && vp9.sid < 8 && vp9.tid < 8);
    if (h264_parse(&h264, data, size))
        check(!h264.is_keyframe || h264.is_frame_start);
    if (av1_parse(&av1, data, size))
        check(av1.is_keyframe == (av1.is_new_sequence || av1.has_sequence_header));
    if (size && dd_parse(&dd, data + 1, size - 1, data[0])) {
        check(dd.template_count <= 64 && dd.decode_targets <= 32);
        check(!dd.has_structure || (dd.template_count >= 1 && dd.decode_targets >= 1));
    }
    return 0;
}
