/* seeded: whether this process has the bug of that name (SEEDED_BUG). */
#pragma once

#include "core/base.h"

bool has_bug(const char *name);
