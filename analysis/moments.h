#ifndef SONDE_ANALYSIS_MOMENTS_H
#define SONDE_ANALYSIS_MOMENTS_H

#include "analysis/analysis.h"

/* Mean and spread of many cells over inputs, one input at a time (Welford 1962). NaN is left out. */
struct moments {
    double *mean, *m2;
    int32_t *count;
    int64_t n;
};
int moments_init(struct moments *t, int64_t n, struct arena *arena, struct err *e);
void moments_add(struct moments *t, int64_t i, double x);
void moments_add_all(struct moments *t, const float *x);
float moments_mean(const struct moments *t, int64_t i); /* NaN: nothing was added */
float moments_se(const struct moments *t, int64_t i);   /* of the mean; NaN below two values */
/* A block of the tally's shape: its mean, or its standard error. */
int moments_write(struct run *out, const struct block_spec *spec, const struct moments *t, bool se,
    struct arena *arena, struct err *e);
/* The same into blocks that were declared before; se may be NULL. */
int moments_set(struct block *mean, struct block *se, const struct moments *t, struct arena *arena,
    struct err *e);

#endif
