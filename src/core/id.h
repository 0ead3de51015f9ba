/*
 * id: names for things. An id is 26 characters of Crockford base32: 48 bits of wall milliseconds,
 * 80 random bits (a ULID), so ids sort by birth and cannot be guessed. Tokens are pure randomness.
 */
#pragma once

#include "core/str.h"

#define ID_SIZE 27 /* with NUL */

void id_make(char out[ID_SIZE]);
/* 26 characters of the alphabet, upper or lower case; outside ids are checked with this first. */
bool id_is_valid(const char *text);
/* Takes the id out of a row, an event or a task; what is none leaves "", and is false. */
bool id_read(char out[ID_SIZE], struct str text);
/* n characters of unpadded base64url randomness plus NUL; 43 characters carry 256 bits. */
void id_token(char *out, size_t n);
/* Bytes from the kernel (getrandom). Aborts if it cannot. */
void id_random(void *out, size_t n);
uint32_t id_random_u32(void);
/* A meeting code that people can read aloud: "abc-defg-hij", 10 letters without vowels or
 * look-alikes. */
#define ID_CODE_SIZE 13
void id_code(char out[ID_CODE_SIZE]);
