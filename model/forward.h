#ifndef SONDE_MODEL_FORWARD_H
#define SONDE_MODEL_FORWARD_H

#include <stdint.h>

#include "model/core/err.h"
#include "model/core/parallel.h"
#include "model/edit.h"
#include "model/params.h"
#include "model/trace.h"

/* Called at block boundaries; a non-zero answer cancels the run (ERR_CANCEL). */
typedef int (*progress_fn)(void *arg, double done, double total);

/* For analyses inside the house: called with the live data of a site, after edits and before it is
 * kept. data is [rows, width], or [H, T, T] of one input for square sites. */
struct hook {
    enum site site;
    int layer; /* -1: every layer */
    int (*fn)(
        void *arg, enum site s, int layer, int input, float *data, int64_t rows, int64_t width);
    void *arg;
};

/* Keys and values of the positions so far, one input, for generation. */
struct kv_cache {
    int64_t len, capacity;
    float **k, **v; /* [L][capacity, C] */
};
int kv_cache_init(struct kv_cache *c, const struct config *cfg, int64_t capacity,
    struct arena *arena, struct err *e);

struct forward_opts {
    const struct plan *plan;   /* NULL: last logits only */
    const struct edits *edits; /* means and resampled values already resolved, see edits_resolve */
    const struct hook *hooks;
    int n_hooks;
    const struct trace *frozen; /* take every LN scale from this trace of the same batch */
    struct kv_cache *kv; /* one input: its rows stand at positions kv->len .. and are added */
    bool is_part;        /* of a longer text or batch: an edit may touch nothing here */
    struct pool *pool;
    progress_fn progress;
    void *progress_arg;
    size_t max_bytes; /* the pass alone, kept and scratch, takes no more than this; 0: no limit */
    struct budget *budget; /* shared with others: what is kept stays on it; NULL: none */
};

/* Runs the model on a packed batch. ids and lengths are checked against the vocabulary and n_ctx.
 * On error nothing is left in *out. */
int forward(struct trace *out, const struct params *p, const struct batch *b,
    const struct forward_opts *o, struct err *e);

/* What such a pass would take; o->max_bytes is not looked at. */
int forward_estimate(struct estimate *out, const struct forward_opts *o, const struct config *cfg,
    const struct batch *b, struct err *e);

/* Turns mean and resample edits into values: runs the reference inputs once, unedited, with the pool,
 * progress and limits of `how`. `mean` is over all positions of all reference inputs. Edits are
 * copied into the arena. */
int edits_resolve(struct edits *out, const struct edits *in, const struct params *p,
    const struct batch *reference, const struct forward_opts *how, struct arena *arena,
    struct err *e);
/* ERR_USAGE for an edit without values, and for one that touches no position of the batch: that is a
 * mistake in it, unless the batch is a part and the position stands elsewhere. */
int edits_check(const struct edits *eds, const struct batch *b, bool is_part, struct err *e);

#endif
