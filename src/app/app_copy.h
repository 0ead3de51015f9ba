/* app_copy: all that a deployment keeps in one database, into another (`parlance copy-store`). */
#pragma once

#include "core/err.h"
#include "core/str.h"

struct app_copy_options {
    const char *from, *to; /* sqlite:PATH, postgres://..., mysql://... */
    void (*progress)(void *arg, const char *table, int64_t rows, int64_t total, bool is_check);
    void *arg;
};

/* Appends to `report` what was done, or to `problem` why not. The target must be empty. */
MUST_USE enum err app_copy(const struct app_copy_options *opt, struct strbuf *report,
                           struct strbuf *problem);
