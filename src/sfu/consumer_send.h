/* consumer_send: writing a consumer's packets, for consumer.c alone. */
#pragma once

#include "sfu/consumer.h"

/* Packets of one layer, in order: those that the rewriter knows a number for go out. */
void consumer_send(struct consumer *c, const struct layer *l, struct buf *const *packets,
                   unsigned count);
/* Tells once that this codec of the track is none of the subscriber's. */
void consumer_refuse(struct consumer *c, uint8_t codec);
