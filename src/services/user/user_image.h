/*
 * user_image: recognises a picture by its content (PNG, JPEG, WebP), walks its structure and copies
 * only what draws it. What a camera or an editor wrote beside it (where it was taken, by whom,
 * comments, a thumbnail, whatever follows the end) does not leave the house. Pixels are not
 * decoded.
 */
#pragma once

#include "core/err.h"
#include "core/str.h"

#define USER_IMAGE_SIDE_MAX 4096 /* pixels */

struct user_image {
    const char *content_type;
    uint32_t width, height;
};

/* false with *problem: no picture of these kinds, broken, animated (WebP), or too large. `out` may
 * hold a part then. */
bool user_image_clean(const void *bytes, size_t n, struct strbuf *out, struct user_image *image,
                      const char **problem);
