/*
 * loki: log lines as Loki's push API takes them (POST /loki/api/v1/push, JSON): one stream for each
 * level, its labels service, instance and level.
 */
#pragma once

#include "core/list.h"
#include "core/str.h"

struct loki_labels {
    const char *service, *instance;
};

/* Of outlet items: the line, its time, and as group its level. */
void loki_write_request(struct strbuf *out, const struct loki_labels *labels,
                        const struct list *items);
