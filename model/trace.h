#ifndef SONDE_MODEL_TRACE_H
#define SONDE_MODEL_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/config.h"
#include "model/core/arena.h"
#include "model/core/err.h"
#include "model/sites.h"

/* N inputs of different length, packed: input i owns rows [offset[i], offset[i + 1]). */
struct batch {
    const int32_t *tokens;
    const int64_t *offset; /* [n + 1] */
    int n;
};

enum logits_want {
    LOGITS_NONE,
    LOGITS_LAST, /* one row per input: no vocabulary product for the others */
    LOGITS_ALL
};

/* What a forward pass keeps. Nothing is kept that was not asked for. */
struct plan {
    uint8_t *keep; /* [SITE_COUNT * L], 1: keep */
    int n_layer;
    enum logits_want logits;
};

int plan_init(struct plan *p, const struct config *cfg, struct arena *arena, struct err *e);
void plan_keep(struct plan *p, enum site s, int layer); /* layer -1: every layer */
bool plan_keeps(const struct plan *p, enum site s, int layer);
bool plan_is_empty(const struct plan *p); /* no site, no logits: no pass is needed */
void plan_merge(struct plan *p, const struct plan *other);

/* Before a run: bytes of what is kept and of scratch, at least what it takes and at most a few
 * kilobytes more; floating-point operations. forward_estimate also knows edits and hooks. */
struct estimate {
    uint64_t keep_bytes, scratch_bytes;
    uint64_t result_bytes; /* of a run whose report stays in memory; a pass has none */
    double flops;
};
struct estimate plan_estimate(
    const struct plan *p, const struct config *cfg, const struct batch *b);

/* What a run left behind. Rows are the batch's packed rows; square sites are one [H, T, T] block per
 * input. resid_post of layer l and resid_pre of l + 1 share memory unless an edit parts them. */
struct trace {
    const struct config *cfg;
    struct batch batch; /* points into the arena */
    int64_t rows;       /* offset[n] */
    float **site;       /* [SITE_COUNT * L]: rows x width, NULL: not kept */
    float ***square;    /* [SITE_COUNT * L][n]: [H, T, T], NULL: not kept */
    float *logits;      /* [rows or n, V], NULL: not kept */
    enum logits_want logits_kept;
    size_t scratch_peak; /* bytes the pass took beside it */
    struct arena arena;
};

/* Borrowed; NULL where the site was not kept. Position 0 of input i for per-position sites. */
const float *trace_site(const struct trace *t, enum site s, int layer, int input);
const float *trace_square(const struct trace *t, enum site s, int layer, int input);
const float *trace_logits(
    const struct trace *t, int input, int64_t pos); /* pos < 0: from the end */
int64_t trace_len(const struct trace *t, int input);
void trace_release(struct trace *t);

#endif
