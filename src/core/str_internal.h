/* str_internal: the UTF-8 stepper that str.c and strbuf.c share. */
#pragma once

#include "core/base.h"

/*
 * Looks at the n >= 1 bytes at p: the length of the well-formed sequence there, or minus the number
 * of bytes that together make one error (replace them by one U+FFFD).
 */
int str_utf8_step(const uint8_t *p, size_t n);
