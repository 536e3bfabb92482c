#ifndef SONDE_MODEL_BACKWARD_H
#define SONDE_MODEL_BACKWARD_H

#include "model/core/err.h"
#include "model/forward.h"
#include "model/metric.h"

struct backward_opts {
    const struct plan *want;     /* activation gradients to keep, by site; may be NULL */
    struct param_arrays *params; /* gradients are added to it; wte collects the embedding and, when
                                    tied, the unembedding; NULL: activation gradients alone */
    double scale;                /* of every gradient; 0: 1 */
    bool frozen_ln;              /* drop the gradient through every LN scale */
    const struct trace *frozen;  /* what the forward took its LN scales from; implies frozen_ln */
    const struct edits *edits;   /* the resolved edits the forward ran with: edited cells pass no
                                  gradient (zero, mean, resample, set) or a scaled one (scale) */
    struct pool *pool;
    progress_fn progress;
    void *progress_arg;
    size_t max_bytes; /* as in forward_opts, beside the forward trace */
    struct budget *budget;
};

/* What the forward pass must keep for backward to run. */
void backward_plan(struct plan *forward_plan, const struct config *cfg);
/* One pass: *value is the metric, *out holds dm/dsite for every wanted site (same layout as the
 * forward trace). `t` is a trace made with backward_plan. METRIC_LOSS walks the vocabulary in tiles
 * and needs no [T, V] logits; other metrics read only the rows they name. */
int backward(struct trace *out, double *value, const struct params *p, const struct trace *t,
    const struct metric *m, const struct backward_opts *o, struct err *e);

#endif
