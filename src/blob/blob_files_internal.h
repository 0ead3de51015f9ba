/* blob_files_internal: for the driver's own tests. */
#pragma once

#include "core/base.h"

/* Behave as on a kernel without openat2 (before 5.6). */
void blob_files_without_openat2(bool is_without);
