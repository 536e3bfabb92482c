#ifndef SONDE_MODEL_BACKWARD_H
#define SONDE_MODEL_BACKWARD_H

#include "model/core/err.h"
#include "model/forward.h"
#include "model/metric.h"

/* Gradients of every parameter, F32, shapes as stored by GPT-2; wte collects the embedding and, when
 * tied, the unembedding. */
struct grads {
    struct layer_vectors *layer;   /* [L] */
    float **qkv, **o, **in, **out; /* [L]: [C, 3C], [C, C], [C, F], [F, C] */
    float *wte, *wpe;              /* [V, C], [n_ctx, C] */
    float *unembed;                /* [V, C], NULL when tied */
    float *lnf_g, *lnf_b;
    float *all; /* everything above is a part of this block of n_all values */
    size_t n_all;
};

size_t grads_count(const struct config *cfg); /* n_all */

int grads_init(struct grads *g, const struct config *cfg, struct arena *arena, struct err *e);
void grads_zero(struct grads *g, const struct config *cfg, struct pool *pool);

struct backward_opts {
    const struct plan *want;    /* activation gradients to keep, by site; may be NULL */
    struct grads *params;       /* added to; NULL: activation gradients alone */
    bool frozen_ln;             /* drop the gradient through every LN scale */
    const struct trace *frozen; /* what the forward took its LN scales from; implies frozen_ln */
    const struct edits *edits;  /* the resolved edits the forward ran with: edited cells pass no
                                  gradient (zero, mean, resample, set) or a scaled one (scale) */
    struct pool *pool;
    progress_fn progress;
    void *progress_arg;
};

/* What the forward pass must keep for backward to run. */
void backward_plan(struct plan *forward_plan, const struct config *cfg);
/* One pass: *value is the metric, *out holds dm/dsite for every wanted site (same layout as the
 * forward trace). `t` is a trace made with backward_plan. METRIC_LOSS walks the vocabulary in tiles
 * and needs no [T, V] logits; other metrics read only the rows they name. */
int backward(struct trace *out, double *value, const struct params *p, const struct trace *t,
    const struct metric *m, const struct backward_opts *o, struct err *e);

#endif
