#ifndef SONDE_MODEL_PATCH_H
#define SONDE_MODEL_PATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "model/forward.h"
#include "model/metric.h"

/* Exact activation patching, many patches at once (docs/patching.md, "How it is fast"). A patch at
 * (layer, position) changes nothing below its layer and before its position, so each patch is a *lane*:
 * the rows of the receiving run that it changes. Lanes march upward together, every weight matrix meets
 * the rows of all of them in one product, keys and values of unchanged rows stay the receiving run's,
 * and above the last attention only the rows that the metric reads are computed. */

/* What one patch replaces: these values of the receiving run become the source's. */
struct patch_cell {
    enum site site; /* one of patch_sites */
    int layer;
    int layer_end; /* attn_out, mlp_out: every layer of [layer, layer_end); else layer + 1 */
    int head;      /* z, q, k, v, pattern */
    int unit;      /* mlp_post: the neuron */
    int64_t pos;   /* -1: every position */
    int64_t key;   /* pattern: -1: every key */
};
bool patch_site_ok(enum site s);
/* The receiving run and what is patched into it. */
struct patch_run {
    const struct params *p;
    const struct trace *base; /* made with patch_plan_base, no edits */
    int input;                /* of base */
    /* [SITE_COUNT * L]: values on the receiving run's positions, [T, width] or [H, T, T]; only what
     * the cells name. */
    const float *const *source;
    int64_t first;        /* the source agrees with the base before this position */
    struct metric metric; /* one entry with input 0, or METRIC_LOSS over the receiving tokens */
};
/* Sites that must be kept: of the receiving run, and of the one that values come from. */
void patch_plan_base(struct plan *p, enum site s);
void patch_plan_source(struct plan *p, enum site s);

struct patch_work { /* what was done, for who asks how fast it was */
    double flops;   /* of the products and of attention that were left after sharing */
    int64_t lanes;  /* cells that needed arithmetic at all */
};

struct patch_opts {
    struct pool *pool;
    size_t max_bytes; /* of the lanes, 0: no limit */
    /* Cell i of n; called in order. Cells of high layers first show first. */
    void (*cell)(struct patch_cell *out, void *arg, int64_t i);
    /* values[i0 .. i1) of the cells are known now; a non-zero answer cancels. May be NULL. */
    int (*ready)(void *arg, int64_t i0, int64_t i1);
    /* Called about once a layer with the share of all cells that is done; may be NULL. */
    progress_fn progress;
    void *arg;
    struct patch_work *work; /* added to; may be NULL */
};

/* values[n]: the metric after each patch. After ERR_CANCEL the values of cells that were ready are
 * there. Cells that can change nothing get the receiving run's own value, without arithmetic. */
int patch_sweep(double *values, int64_t n, const struct patch_run *r, const struct patch_opts *o,
    struct err *e);
/* The metric of the receiving run itself. */
int patch_base_value(double *value, const struct patch_run *r, struct pool *pool, struct err *e);
/* The same cell (NULL: none) by a whole forward pass: what the fast one must equal, and the way when
 * edits are on. */
int patch_full(double *value, const struct patch_cell *c, const struct patch_run *r,
    const struct edits *edits, struct pool *pool, struct err *e);

#endif
