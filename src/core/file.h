/* file: whole small files, safely: written aside, synced, renamed. */
#pragma once

#include "core/err.h"
#include "core/str.h"

/* Reads all of it (malloc, NUL-terminated); RESOURCE_EXHAUSTED beyond max_bytes. */
MUST_USE enum err file_read(const char *path, size_t max_bytes, char **out, size_t *n);
/* temp file + fsync + rename + fsync of the directory; mode as for open(2). */
MUST_USE enum err file_write_atomic(const char *path, const void *bytes, size_t n, unsigned mode);
/* mkdir -p; existing directories are fine. */
MUST_USE enum err file_make_dirs(const char *path, unsigned mode);
