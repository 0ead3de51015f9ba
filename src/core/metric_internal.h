/* metric_internal: what a cell is made of, for counting (metric.c) and writing (metric_text.c). */
#pragma once

#include "core/metric.h"

#define METRIC_SHARDS 8
#define METRIC_BUCKETS_MAX 21

/* One cache line or more of a cell, for the threads that share its number. */
struct metric_shard {
    uint64_t sum_bits; /* a double: the count, the gauge, or the sum of observations */
    uint64_t counts[]; /* histograms: per bucket, not cumulative; the last is +Inf */
};

struct metric_cell {
    struct metric_cell *next;
    struct metric_cell *next_in_bucket;
    uint64_t hash;
    char *values[METRIC_LABELS_MAX];
    double first_bound;    /* histograms: upper bound of bucket 0, the next twice as much */
    unsigned bucket_count; /* without +Inf */
    unsigned shard_count;
    size_t shard_bytes;
    uint8_t *shards;
};

static inline struct metric_shard *metric_shard_at(const struct metric_cell *c, unsigned i)
{
    return (struct metric_shard *)(void *)(c->shards + i * c->shard_bytes);
}

struct metric *metric_first(void);
double metric_cell_sum(struct metric_cell *c);
uint64_t metric_cell_bucket(struct metric_cell *c, unsigned bucket);
/* What the registered reads answer together; false when there are none. */
bool metric_read_sum(struct metric *m, double *sum);
