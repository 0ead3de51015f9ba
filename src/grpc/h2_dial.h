/* h2_dial: a connected socket to a name and port, trying one of its addresses after the other. */
#pragma once

#include "core/err.h"
#include "core/loop.h"

struct h2_dial;

/* fd < 0: `err` and `why` say what the last address answered. Once, never inside h2_dial_start. */
typedef void h2_dial_fn(void *arg, int fd, enum err err, const char *why);
struct h2_dial *h2_dial_start(struct loop *loop, const char *host, uint16_t port,
                              int64_t timeout_ms, h2_dial_fn *done, void *arg);
/* `done` does not come. Accepts NULL; not needed after `done`. */
void h2_dial_cancel(struct h2_dial **dial);
