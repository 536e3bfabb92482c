#ifndef SONDE_MODEL_ADAMW_H
#define SONDE_MODEL_ADAMW_H

#include <stdint.h>

#include "model/core/arena.h"
#include "model/core/parallel.h"
#include "model/params.h"

/* AdamW with decoupled weight decay on matrices and embeddings alone (Kingma & Ba 2015; Loshchilov &
 * Hutter 2019, algorithm 2 with the decay scaled by the learning rate, as PyTorch does). The same
 * bytes whatever the number of threads. */
struct adamw {
    double beta1, beta2, eps, weight_decay;
    float *m, *v; /* [count] moments, in the order of param_arrays.flat */
    int64_t steps;
};

int adamw_init(struct adamw *a, const struct config *cfg, struct arena *arena, struct err *e);
/* L2 norm of all values, fp64 sums in a fixed order. */
double flat_norm(const float *x, int64_t n, struct pool *pool, double *scratch);
int64_t flat_norm_scratch(int64_t n); /* doubles it needs */
/* One step with gradients g * scale (clipping). The panels are stale until params_changed. */
void adamw_step(struct adamw *a, struct param_arrays *p, const struct param_arrays *g,
    const struct config *cfg, double lr, double scale, struct pool *pool);

/* Linear warm-up to lr, then a half cosine down to lr * floor at the last step; step counts from 0. */
struct schedule {
    double lr, floor;
    int64_t warmup, steps;
};
double schedule_lr(const struct schedule *s, int64_t step);

#endif
