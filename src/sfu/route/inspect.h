/*
 * inspect: looks into a packet's payload once, for all that forwarding needs to know of it.
 */
#pragma once

#include "sfu/route/media.h"
#include "sfu/route/names.h"

struct inspected {
    uint16_t width; /* of a keyframe; 0: not said */
    uint16_t height;
};

/* Sets m's keyframe, picture and dependency descriptor fields. dd_id: 0: not negotiated. */
void media_inspect(struct media *m, enum sfu_codec codec, uint8_t dd_id, struct inspected *out);
